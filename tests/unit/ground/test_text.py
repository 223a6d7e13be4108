"""Text from outside, made fit for a message."""

import pytest

from provisioner.ground.text import did_you_mean, escape_controls, replace_controls, shorten, shown


@pytest.mark.parametrize("text", ["\x1b[31mred", "a\x07b", "a\u202eb", "\x9bm", "a\udcffb", "\u2028"])
def test_nothing_that_a_terminal_obeys_is_left(text: str) -> None:
    """Escapes, bells, changes of direction and lone surrogates are written out or replaced."""
    for safe in (escape_controls(text), replace_controls(text), shorten(text, 80), shown(text)):
        assert safe.isprintable()
        safe.encode()
    assert escape_controls("a\x1bb\n", keep="\n") == "a\\x1bb\n"


def test_printable_text_stays_as_it_is() -> None:
    """Letters of any language are text."""
    assert escape_controls("größer 模型") == replace_controls("größer 模型") == "größer 模型"


def test_long_text_is_cut() -> None:
    """A value is cut at its end; a message keeps its first and its last words, where causes stand."""
    assert len(shown("x" * 1000)) == 62
    assert shorten("first " + "x " * 1000 + "last", 40).startswith("first x")
    assert shorten("first " + "x " * 1000 + "last", 40).endswith("x last")
    assert shorten("a\n  b\tc", 40) == "a b c"


def test_the_nearest_known_word_is_suggested() -> None:
    """Nothing is suggested for a word that is like none."""
    assert did_you_mean("pakages", ("packages", "routes")) == " (did you mean `packages`?)"
    assert did_you_mean("zzz", ("packages", "routes")) == ""
