"""What all pages share: one self-contained file, no script, nothing loaded, every foreign text escaped."""

import importlib.resources
from collections.abc import Iterable
from html import escape
from string import Template


def fill_page(title: str, body: str, *, colour: str) -> str:
    """Return the page.

    Args:
        title: As text.
        body: As HTML, in which everything from elsewhere is escaped.
        colour: Of the verdict: ``passed``, ``failed``, ``skipped`` or ``error``.
    """
    page = importlib.resources.files("provisioner.render").joinpath("page.html").read_text("utf-8")
    return Template(page).substitute(title=escape(title), colour=colour, body=body)


def write_section(title: str, content: str) -> str:
    """Return HTML under a heading; ``content`` is HTML."""
    return f"<section><h2>{escape(title)}</h2>{content}</section>\n"


def write_bullets(sentences: Iterable[str]) -> str:
    """Return sentences as a list, nothing for none."""
    items = "".join(f"<li>{write_prose(sentence)}</li>" for sentence in sentences)
    return f"<ul>{items}</ul>" if items else ""


def write_prose(text: str) -> str:
    """Return a sentence with its values in backticks set as code."""
    parts = escape(text).split("`")
    if len(parts) % 2 == 0:  # an unpaired backtick
        return escape(text)
    return "".join(f"<code>{part}</code>" if number % 2 else part for number, part in enumerate(parts))
