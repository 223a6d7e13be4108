"""What is no page of an index is answered with the index's name, whatever it is."""

import pytest

from provisioner.engines.index.page import parse_page
from provisioner.errors import UnavailableError

URL = "https://index.example.org/simple/app/"
NEWER = b'<meta name="pypi:repository-version" content="9.0"><a href="app-1.0-py3-none-any.whl">app</a>'


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/vnd.pypi.simple.v1+json", b"[" * 100_000),
        ("application/vnd.pypi.simple.v1+json", b'{"files": [1]}'),
        ("application/vnd.pypi.simple.v1+json", b"\xff"),
        ("text/html", NEWER),
        ("text/html", b"<h1>Sign in</h1>"),
        ("text/html", b"<![broken <a href='app-1.0-py3-none-any.whl'>app-1.0-py3-none-any.whl</a>"),
    ],
)
def test_a_hostile_page_is_the_indexs_fault(kind: str, body: bytes) -> None:
    """Deep nesting, another shape, no text, a version of the future, a login page."""
    with pytest.raises(UnavailableError, match=r"`index\.example\.org.*` answered for `app`") as caught:
        parse_page(body, kind=kind, url=URL, project="app")
    assert caught.value.code == "unavailable.bad_page"
