"""What is no page of an index is answered with the index's name, whatever it is."""

import pytest
from pypi_simple import ProjectPage

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


DIGEST = "0123456789abcdef" * 4
# Of many servers: each text is a page.
PAGES = f"""\
<!DOCTYPE html><meta name="pypi:repository-version" content="1.3"><title>Links for app</title>\
<a href="../../files/app-1.0.tar.gz#sha256={DIGEST}" data-requires-python="&gt;=3.9">app-1.0.tar.gz</a><br />

<A HREF="/whl/app-1.0%2Bcpu-py3-none-any.whl#sha256={DIGEST}">app-1.0+cpu-py3-none-any.whl</A>

<a href="app-1.0-py3-none-any.whl">app-1.0-py3-none-any.whl</a> <a href="../">..</a>

<base href="https://files.example.org/a/"><a href="app-1.0.tar.gz">app-1.0.tar.gz</a>

<a href="app-1.0.tar.gz">app-1.0.tar.gz</a><base target="x"><base href="b/"><base href="c/">

<a href="app-1.0.tar.gz" data-yanked="broken &amp; slow">app-1.0.tar.gz</a>
<a href="app-1.1.tar.gz" data-yanked>app-1.1.tar.gz</a>
<a href="app-1.2.tar.gz" data-yanked="">app-1.2.tar.gz</a>

<a href="app-1.0.tar.gz">
  <code>app-1.0</code><!-- -1 -->.tar.gz </a> and app-2.0.tar.gz

<a href="app-1.0&#43;cpu.tar.gz">app-1.0&#43;cpu.tar.gz</a>

<a href="app-1.0.tar.gz#md5={DIGEST[:32]}">app-1.0.tar.gz</a><a name="x">app-3.0.tar.gz</a>

<a href="app-1.0.tar.gz#sha256={DIGEST}" data-provenance="https://index.example.org/p">app-1.0.tar.gz
""".split("\n\n")


@pytest.mark.parametrize("page", PAGES)
def test_html_pages_say_what_pypi_simple_reads_in_them(page: str) -> None:
    """The links of a page are those that a library finds which is ten times slower."""
    found = parse_page(page.encode(), kind="text/html", url=f"{URL}/", project="app")
    wanted = [
        package
        for package in ProjectPage.from_html("app", page, base_url=f"{URL}/").packages
        if package.filename.endswith((".whl", ".tar.gz"))
    ]
    assert wanted
    assert [(file.filename, file.url, file.sha256, file.requires_python, file.yanked) for file in found] == [
        (
            package.filename,
            package.url,
            package.digests.get("sha256"),
            package.requires_python,
            (package.yanked_reason or "") if package.is_yanked else None,
        )
        for package in wanted
    ]
    assert [file.provenance for file in found] == [package.provenance_url for package in wanted]
