"""What a server answered, and what to make of it."""

import mimetypes
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from provisioner.engines.net.errors import Attempt
from provisioner.engines.net.local_files import open_local

if TYPE_CHECKING:
    import httpx


@dataclass(frozen=True, kw_only=True, slots=True)
class Response:
    """A page: ``headers`` in lower case, ``body`` decoded, ``url`` of the server that answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: str


def make_response(answer: "httpx.Response", body: bytes) -> Response:
    """Return a server's answer with ``body`` as read."""
    headers = {name.lower(): value for name, value in answer.headers.items()}
    return Response(status=answer.status_code, headers=headers, body=body, url=str(answer.url))


def continues_at(answer: "httpx.Response", start: int) -> bool:
    """Tell whether a partial answer begins at ``start``: a lying server must not make us splice files."""
    match = re.match(r"bytes (\d{1,18})-", answer.headers.get("content-range", ""))
    return answer.status_code == 206 and match is not None and int(match.group(1)) == start


def is_web_page(headers: Mapping[str, str], head: bytes) -> bool:
    """Tell whether a body that begins with ``head`` is a page for people."""
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind in {"text/html", "application/xhtml+xml"} and head.lstrip()[:1] in {b"<", b""}


def read_local(attempt: Attempt) -> Response:
    """Return a local page."""
    with open_local(attempt) as source:
        kind = mimetypes.guess_type(source.name)[0] or "application/octet-stream"
        return Response(status=200, headers={"content-type": kind}, body=source.read(), url=attempt.asked)
