"""The links on a page of a package index in HTML (PEP 503), and the version of its format (PEP 629)."""

from html.parser import HTMLParser
from typing import NamedTuple
from urllib.parse import urljoin

from packaging.version import Version


class Link(NamedTuple):
    """One link: its text without tags, its absolute address, and the attributes of its tag."""

    text: str
    url: str
    attributes: dict[str, str]


class _Reader(HTMLParser):
    """Notes what a page says; a link ends at its end tag, or where the next one begins."""

    def __init__(self) -> None:
        super().__init__()
        self.base = ""
        self.version = ""
        self.links: list[tuple[dict[str, str], list[str]]] = []
        self._in_link = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag == "a":
            self._in_link = "href" in values
            if self._in_link:
                self.links.append((values, []))
        elif tag == "base":
            self.base = self.base or values.get("href", "")
        elif tag == "meta" and values.get("name") == "pypi:repository-version":
            self.version = self.version or values.get("content", "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "a":
            self._in_link = False

    def handle_data(self, data: str) -> None:
        if self._in_link:
            self.links[-1][1].append(data)


def read_links(text: str, *, url: str) -> list[Link]:
    """Return the links of a page that came from ``url``, in their order.

    Raises:
        ValueError: It cannot be read, or is of a later version of the format.
    """
    reader = _Reader()
    try:
        reader.feed(text)
        reader.close()
    except AssertionError as error:  # of the standard library's parser, for some broken declarations
        raise ValueError(f"no HTML: {error}") from error
    if reader.version and Version(reader.version).major > 1:
        raise ValueError(f"version {reader.version} of the format is not known")
    base = urljoin(url, reader.base)
    return [
        Link(text="".join(texts).strip(), url=urljoin(base, values["href"]), attributes=values)
        for values, texts in reader.links
    ]
