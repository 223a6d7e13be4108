"""The end of a command: one document, words in their places, no control character, no lost result."""

import io
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from provisioner.errors import ErrorList, ExitCode, LockError, UsageError
from provisioner.render.output import Answer
from provisioner.render.streams import printable, write_text


class FullStream(io.StringIO):
    """A stream whose disk is full."""

    def flush(self) -> None:
        """Fail as a full disk does."""
        raise OSError(28, "No space left on device")


class LeftStream(io.StringIO):
    """A pipe whose reader has gone."""

    def flush(self) -> None:
        """Fail as a closed pipe does."""
        raise BrokenPipeError(32, "Broken pipe")


@contextmanager
def streams(out: io.StringIO | None = None) -> Iterator[tuple[io.StringIO, io.StringIO]]:
    """Put streams in the place of stdout and stderr."""
    new = (out or io.StringIO(), io.StringIO())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", new[0])
        patch.setattr(sys, "stderr", new[1])
        yield new


def test_words_go_to_stdout_and_errors_to_stderr() -> None:
    """A result ends with one line end; found errors stand beside it, hints below them."""
    error = LockError("lock.stale", "`a` is stale", hints=["lock it", "or not"])
    with streams() as (out, err):
        assert Answer(command="lock", as_json=False).finish({}, text="done", code=4, errors=[error]) == 4
    assert out.getvalue() == "done\n"
    assert err.getvalue() == "error: `a` is stale\nhint: lock it\nhint: or not\n"


def test_a_document_has_exactly_the_keys_of_the_contract() -> None:
    """Success and failure have one shape."""
    with streams() as (out, _):
        Answer(command="list", as_json=True).finish({"a": Path("b")}, text="words", code=0)
    assert json.loads(out.getvalue()) == {
        "schema": "provision.result/1",
        "command": "list",
        "exit_code": 0,
        "data": {"a": "b"},
        "errors": [],
    }


def test_several_errors_are_one_document() -> None:
    """All are told, the first one's code counts."""
    both = ErrorList([UsageError("a.b", "one"), UsageError("c.d", "two", retryable=True, context={"x": 1})])
    with streams() as (out, err):
        assert Answer(command="lock", as_json=True).fail(*both.errors) == ExitCode.USAGE
    document = json.loads(out.getvalue())
    assert [error["code"] for error in document["errors"]] == ["a.b", "c.d"]
    assert document["errors"][1] == {
        "code": "c.d",
        "message": "two",
        "hints": [],
        "retryable": True,
        "context": {"x": 1},
    }
    assert err.getvalue() == "error: one\nerror: two\n"


def test_never_two_documents() -> None:
    """A signal after the answer adds words, not a second document."""
    answer = Answer(command="lock", as_json=True)
    with streams() as (out, err):
        answer.finish({}, text="", code=0)
        answer.fail(UsageError("a.b", "late"))
    json.loads(out.getvalue())
    assert "late" in err.getvalue()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_number_that_is_none_is_refused_before_anything_is_printed(value: float) -> None:
    """`NaN` is no JSON; half a document is none."""
    with streams() as (out, _), pytest.raises(ValueError, match="JSON"):
        Answer(command="x", as_json=True).finish({"value": value}, text="", code=0)
    assert out.getvalue() == ""


@pytest.mark.parametrize("as_json", [True, False])
@pytest.mark.parametrize(("code", "wanted"), [(0, 1), (6, 6)])
def test_a_result_that_could_not_be_written_is_no_success(as_json: Any, code: int, wanted: int) -> None:
    """The reason is told on stderr; a failure keeps its own code."""
    with streams(FullStream()) as (_, err):
        assert Answer(command="x", as_json=as_json).finish({}, text="a", code=code) == wanted
    assert err.getvalue() == "error: standard output cannot be written: no space left on device\n"


def test_a_reader_that_went_is_no_failure() -> None:
    """Whoever closes a pipe has seen enough."""
    with streams(LeftStream()) as (_, err):
        assert Answer(command="x", as_json=False).finish({}, text="a", code=0) == 0
    assert err.getvalue() == ""


def test_letters_and_line_ends_pass_and_controls_do_not() -> None:
    """Only what a terminal would obey is written out."""
    assert printable("é 漢 ✓\ttab\nline") == "é 漢 ✓\ttab\nline"
    assert printable("\x1b[31m\a\r\x7f\x9b") == "\\x1b[31m\\x07\\x0d\\x7f\\x9b"


def test_writing_tells_why_it_failed() -> None:
    """None is success; a reason is lower case, for a sentence."""
    stream = io.StringIO()
    assert write_text(stream, "a") is None
    assert stream.getvalue() == "a"
    assert write_text(FullStream(), "a") == "no space left on device"
