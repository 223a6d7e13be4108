"""The file of a fleet's host: what a machine says of itself counts only against it."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provisioner.diagnose.fleet.host_file import MAX_BYTES, read_host_file
from provisioner.diagnose.fleet.machine import Machine, Status
from provisioner.validate.model import CheckRecord
from provisioner.validate.model import Status as CheckStatus
from tests.fleet_files import FAILED, PASSED, ROOT, host_document

EVIDENCE = ROOT / "docs" / "evidence"


def read(document: object, host: str = "ws-01") -> Machine:
    return read_host_file(json.dumps(document).encode(), host)


def list_texts(machine: Machine) -> Iterator[str]:
    """Yield every text of a machine that a page or a table shows."""
    values = [
        getattr(machine, name)
        for name in Machine.__dataclass_fields__
        if name not in {"report", "log", "facts"}
    ]
    yield from (value for value in values if isinstance(value, str))
    yield from (*machine.hints, *machine.notes, *machine.known)


def test_a_machine_that_passed_is_read() -> None:
    """Verdict, card, speed and lock stand where the table looks for them."""
    machine = read(host_document("ws-01", PASSED, changed=True))
    assert machine.status is Status.PASSED
    assert (machine.profile, machine.card, machine.driver) == ("llama3-cpu", "A Processor", None)
    assert (machine.decode_tokens_per_second, machine.prefill_tokens_per_second) == (35.94, 410.0)
    assert machine.lock_fingerprint == "ab" * 32
    assert machine.changed
    assert machine.reason is None


def test_a_machine_that_failed_says_at_which_stage() -> None:
    """The stage, the reason, the error's code and its hints are kept."""
    machine = read(host_document("ws-01", FAILED))
    assert machine.status is Status.FAILED
    assert machine.reason == "stage forward: the driver lost the device"
    assert machine.code == "validate.device_lost"
    assert machine.hints == ("restart the machine",)


@pytest.mark.parametrize("status", ["unreachable", "error", "unknown", "unvalidated", "failed"])
def test_no_other_status_becomes_better(status: str) -> None:
    """A result that passed does not mend what the control node saw."""
    assert read(host_document("ws-01", PASSED, status=status)).status == status


LIES: dict[str, dict[str, Any]] = {
    "no result": {"result": None},
    "another schema": {"result": host_document("ws-01", PASSED)["result"] | {"schema": "provision.result/2"}},
    "exit code of the file": {"exit_code": 6},
    "no exit code": {"exit_code": None},
    "a failed result": {"result": host_document("ws-01", FAILED)["result"]},
    "another profile": {"profile": "llama3-xpu"},
}


@pytest.mark.parametrize("lie", LIES)
def test_a_claim_that_nothing_bears_out_is_unknown(lie: str) -> None:
    """`passed` counts where result, verdict and report say so, too."""
    machine = read(host_document("ws-01", PASSED) | LIES[lie])
    assert machine.status is Status.UNKNOWN
    assert machine.reason


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("exit_code", 7),
        ("errors", [{"message": "x"}]),
        ("errors", None),
        ("data", None),
        ("data", []),
    ],
)
def test_a_result_that_contradicts_itself_is_unknown(key: str, value: object) -> None:
    """An exit code that is not 0, an error, or no data: it did not pass."""
    document = host_document("ws-01", PASSED)
    document["result"][key] = value
    assert read(document).status is Status.UNKNOWN


def test_a_report_without_a_forward_pass_is_unknown() -> None:
    """The checks decide, not the word `passed` above them."""
    for records in ((), (CheckRecord(name="forward", status=CheckStatus.SKIPPED, seconds=0.0),)):
        assert read(host_document("ws-01", replace(PASSED, records=records))).status is Status.UNKNOWN
    broken = CheckRecord(name="comparison", status=CheckStatus.FAILED, seconds=1.0)
    report = replace(PASSED, records=(*PASSED.records, broken))
    assert "`comparison`" in str(read(host_document("ws-01", report)).reason)


def test_what_passed_in_real_had_a_forward_pass() -> None:
    """No report of the evidence that passed would be doubted for want of it."""
    documents = [json.loads(path.read_bytes()) for path in sorted(EVIDENCE.glob("*.json"))]
    assert len(documents) > 5
    for document in documents:
        stages = {stage["name"]: stage["status"] for stage in document["stages"]}
        assert (stages["forward"] == "passed") >= (document["verdict"] == "passed")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{",
        b"\xff\xfe",
        b'{"schema": NaN}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"schema": ' + b"9" * 5000 + b"}",
        b" " * (MAX_BYTES + 1),
        json.dumps({"schema": "provision.fleet-host/2"}).encode(),
        json.dumps(host_document("ws-02", PASSED)).encode(),
        json.dumps(host_document("ws-01", PASSED, status="missing")).encode(),
        json.dumps(host_document("ws-01", PASSED, status=["passed"])).encode(),
        json.dumps(host_document("ws-01", PASSED) | {"profile": "../x"}).encode(),
    ],
)
def test_a_file_that_is_none_is_unknown(data: bytes) -> None:
    """Whatever stands in it, the host is named and not counted as good."""
    machine = read_host_file(data, "ws-01")
    assert (machine.host, machine.status) == ("ws-01", Status.UNKNOWN)
    assert machine.reason


def test_hostile_words_become_one_printable_line() -> None:
    """Escape sequences, line breaks, marks that turn the text around, and megabytes do not get through."""
    hostile = "\x1b[31m\u202ered\nline\x00" + "x" * 3000
    report = replace(
        FAILED,
        reason=hostile,
        hints=(hostile,) * 100,
        device={"asked": hostile, "name": hostile, "driver": hostile},
        tool_version=hostile,
    )
    document = host_document("ws-01", report, errors=[hostile])
    document["result"]["errors"] = [{"message": hostile, "code": hostile, "hints": [hostile, 5, None]}]
    texts = list(list_texts(read(document)))
    assert len(texts) > 5
    assert all(text.isprintable() and len(text) < 700 for text in texts)


@pytest.mark.parametrize("speed", [-1, 1e10, "fast", True, [1.0], 10**400, None])
def test_a_speed_that_is_none_is_left_out(speed: object) -> None:
    """Only a number that a machine could reach is shown."""
    record = CheckRecord(
        name="speed",
        status=CheckStatus.PASSED,
        seconds=1.0,
        measured={"warm": {"decode_tokens_per_second": speed}},
    )
    machine = read(host_document("ws-01", replace(PASSED, records=(PASSED.records[0], record))))
    assert machine.decode_tokens_per_second is None


def test_a_report_of_numbers_too_large_is_none() -> None:
    """Seconds that no float holds make the report unusable, not the program."""
    document = host_document("ws-01", PASSED)
    document["result"]["data"]["report"]["records"][0]["seconds"] = 10**400
    assert read(document).status is Status.UNKNOWN


def test_a_clock_that_is_ahead_is_told() -> None:
    """A validation after its own gathering shows a wrong clock; one before it shows nothing."""
    (note,) = read(host_document("ws-01", replace(PASSED, created_at="2026-11-27T07:30:00+00:00"))).notes
    assert note.startswith("its clock is ahead by 23:59:00 or more")
    assert read(host_document("ws-01", replace(PASSED, created_at="2020-01-01T00:00:00+00:00"))).notes == ()
    assert read(host_document("ws-01", PASSED, gathered_at="yesterday")).notes == ()


def test_what_the_control_node_noticed_is_told_beside_the_verdict() -> None:
    """A clock that Ansible compared is no reason to doubt a proof, and is not lost."""
    clock = {"code": "fleet.clock", "message": "the clock is 7200 s behind"}
    machine = read(host_document("ws-01", PASSED, errors=[clock]))
    assert (machine.status, machine.notes, machine.code) == (Status.PASSED, (clock["message"],), None)
    machine = read(host_document("ws-01", FAILED, errors=[clock]))
    assert (machine.code, machine.notes) == ("validate.device_lost", (clock["message"],))
    machine = read(host_document("ws-01", None, errors=[{"message": "no route"}, clock]))
    assert (machine.reason, machine.notes) == ("no route", (clock["message"],))


def test_a_machine_that_answered_nothing_has_a_reason() -> None:
    """What Ansible said of it is shown."""
    machine = read(host_document("ws-01", None, errors=["ssh: no route to host"]))
    assert (machine.status, machine.reason) == (Status.UNREACHABLE, "ssh: no route to host")
    assert read(host_document("ws-01", None)).reason == "its file does not say why"


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def list_places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every container in a document with each of its keys."""
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield value, key
        yield from list_places(value[key])


DOCUMENTS = [json.dumps(host_document("ws-01", report)) for report in (PASSED, FAILED, None)]


@settings(max_examples=100)
@given(st.data())
def test_no_document_breaks_the_reader(data: st.DataObject) -> None:
    """Any values at any places: an answer, of printable lines; what was put there never makes it better."""
    document = json.loads(data.draw(st.sampled_from(DOCUMENTS)))
    was = document["status"]
    for _ in range(data.draw(st.integers(1, 4))):
        places = list(list_places(document))
        container, key = places[data.draw(st.integers(0, len(places) - 1))]
        container[key] = data.draw(VALUES)
    machine = read(document)
    assert machine.status is not Status.PASSED or was == "passed"
    assert all(text.isprintable() for text in list_texts(machine))
