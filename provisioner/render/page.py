"""One self-contained page: no script, nothing loaded; what every page of ours looks like."""

import importlib.resources
from collections.abc import Iterable
from html import escape
from string import Template


def write_page(*, title: str, body: str, style: str = "") -> str:
    """Return the page; ``title`` is text, ``body`` and ``style`` are markup and rules."""
    page = importlib.resources.files("provisioner.render").joinpath("page.html").read_text("utf-8")
    return Template(page).substitute(title=escape(title), style=style, body=body)


def section(title: str, content: str) -> str:
    """Return a section with its heading."""
    return f"<section><h2>{escape(title)}</h2>{content}</section>\n"


def bullets(sentences: Iterable[str]) -> str:
    """Return a list of sentences; nothing where there is none."""
    items = "".join(f"<li>{prose(sentence)}</li>" for sentence in sentences)
    return f"<ul>{items}</ul>" if items else ""


def prose(text: str) -> str:
    """Return a sentence with its values in backticks set as code."""
    parts = escape(text).split("`")
    if len(parts) % 2 == 0:  # an unpaired backtick
        return escape(text)
    return "".join(f"<code>{part}</code>" if number % 2 else part for number, part in enumerate(parts))
