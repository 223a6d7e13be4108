"""A validation's verdict as words, data and exit code."""

from dataclasses import replace
from pathlib import Path

import pytest

from provisioner.diagnose.failures.answer import Match
from provisioner.diagnose.failures.model import Confidence, Phase, Severity
from provisioner.errors import ExitCode
from provisioner.install.generations import Generation
from provisioner.install.receipt import Receipt
from provisioner.profile.load import load_profile
from provisioner.profile.model import Device
from provisioner.render.create import (
    describe_device,
    describe_environment,
    exit_code_of,
    report_errors,
    summarise_report,
)
from provisioner.validate.model import CheckRecord, Report, Status, Verdict

PROFILE = load_profile("llama3-cpu", folders=[Path(__file__).parents[3] / "envs"])
PASSED = Report(
    verdict=Verdict.PASSED,
    environment="demo",
    backend="ipex-llm",
    precision="sym_int8",
    device={"asked": "cpu", "device": "cpu", "name": "A Processor"},
    records=(
        CheckRecord(
            name="comparison", status=Status.PASSED, seconds=0.5, measured={"relative_difference": 0.0851}
        ),
        CheckRecord(
            name="generation",
            status=Status.PASSED,
            seconds=1.0,
            measured={"text": " Paris", "prompt": "The capital of France is"},
        ),
    ),
    not_proven=("speed is that of this machine",),
    created_at="2026-11-22T12:00:00+00:00",
)
MATCH = Match(
    id="x-y",
    title="A title",
    stage=next(iter(Phase)),
    severity=next(iter(Severity)),
    confidence=Confidence("high"),
    cause="x",
    fix="y",
    line=1,
    evidence="a line",
)
FAILED = replace(
    PASSED,
    verdict=Verdict.FAILED,
    stage="comparison",
    code="wrong_result",
    reason="the logits differ by 1.2",
    hints=("repair it",),
)


def generation(tmp_path: Path) -> Generation:
    prefix = tmp_path / "1-00000000"
    receipt = Receipt(
        environment="demo",
        profile="llama3-cpu",
        fingerprint="0" * 64,
        platform="linux-64",
        base="venv",
        python="3.11.7",
        prefix=str(prefix),
        created_at="2026-11-22T12:00:00+00:00",
    )
    return Generation(number=1, prefix=prefix, receipt=receipt)


@pytest.mark.parametrize(
    ("verdict", "code"),
    [
        (Verdict.PASSED, ExitCode.OK),
        (Verdict.FAILED, ExitCode.VALIDATE),
        (Verdict.UNVALIDATED, ExitCode.UNVALIDATED),
    ],
)
def test_every_verdict_has_its_exit_code(verdict: Verdict, code: ExitCode) -> None:
    """The contract's table; the error, where there is one, has the same code."""
    report = replace(FAILED, verdict=verdict)
    assert exit_code_of(report) is code
    assert all(error.exit_code is code for error in report_errors(report))
    assert len(report_errors(report)) == (0 if code is ExitCode.OK else 1)


def test_a_failure_names_environment_stage_and_reason() -> None:
    """The error has the cause as its code, and the hints of the check."""
    (error,) = report_errors(FAILED)
    assert error.code == "validate.wrong_result"
    assert error.message == "environment `demo` failed at stage comparison: the logits differ by 1.2"
    assert error.hints == ("repair it",)
    assert error.context["stage"] == "comparison"


def test_scripts_find_the_evidence() -> None:
    """Prompt, continuation, agreement and seconds stand in the data."""
    facts = summarise_report(PASSED, PROFILE)
    assert facts["prompt"] == "The capital of France is"
    assert facts["continuation"] == " Paris"
    assert facts["relative_difference"] == 0.0851
    assert facts["seconds"] == {"comparison": 0.5, "generation": 1.0}


def test_nothing_is_claimed_that_was_not_measured() -> None:
    """Without a generation there is neither a prompt nor a continuation."""
    facts = summarise_report(replace(PASSED, records=()), PROFILE)
    assert (facts["prompt"], facts["continuation"], facts["relative_difference"]) == (None, None, None)


def test_words_of_a_new_environment(tmp_path: Path) -> None:
    """Verdict, device, proof, stages, what is not proven, the notice, the folder and how to use it."""
    text = describe_environment(PROFILE, generation(tmp_path), PASSED, new=True)
    assert text.startswith("demo: checks on cpu (A Processor)\n")
    assert text.endswith("\ndemo: passed on cpu (A Processor)")
    assert "prompt: 'The capital of France is' -> ' Paris'" in text
    assert "differ from the fp32 reference by 0.0851" in text
    assert "not proven: speed is that of this machine" in text
    assert text.count("archived upstream since 2026-01-28") == 1
    assert str(tmp_path) in text
    assert "provision run demo -- python" in text


def test_words_of_a_failure_are_short(tmp_path: Path) -> None:
    """What never ran after a failure is one line, and no command uses an environment that failed."""
    skipped = tuple(
        CheckRecord(
            name=name, status=Status.SKIPPED, seconds=0.0, reason="`packages` came first and did not pass"
        )
        for name in ("imports", "device")
    )
    commands = CheckRecord(
        name="commands", status=Status.SKIPPED, seconds=0.0, reason="the profile names no command"
    )
    packages = CheckRecord(name="packages", status=Status.FAILED, seconds=1.0, reason="changed")
    report = replace(FAILED, stage="packages", records=(packages, *skipped, commands))
    text = describe_environment(PROFILE, generation(tmp_path), report, new=True)
    assert "  not run after `packages`: imports, device\n" in text
    assert text.count("came first") == 0
    assert "the profile names no command" in text
    assert "it is kept; put back what was changed in it: provision repair demo" in text
    assert "use it" not in text


def test_a_model_of_ones_own_that_fails_blames_no_file(tmp_path: Path) -> None:
    """Repair would not help; the profile's own model, on the same device, tells which of the two it is."""
    report = replace(FAILED, stage="weights", device={"asked": "xpu:1"})
    text = describe_environment(PROFILE, generation(tmp_path), report, new=True, own_model=True)
    wanted = "prove it with the profile's own model, to see whether yours is to blame:"
    assert f"{wanted} provision validate demo --device xpu:1\n" in text
    assert "repair demo" not in text


def test_nothing_is_put_back_where_only_the_device_is_absent(tmp_path: Path) -> None:
    """Nobody changed an environment that could not be validated here; the device is what it wants."""
    report = replace(FAILED, verdict=Verdict.UNVALIDATED, stage="device", code="device_missing")
    text = describe_environment(PROFILE, generation(tmp_path), report, new=True)
    assert "  it is kept; prove it where the device is: provision validate demo\n" in text
    assert "repair demo" not in text


def test_nothing_is_put_back_where_another_device_was_asked_for(tmp_path: Path) -> None:
    """A torch for the CPU sees no XPU, however whole the environment is."""
    report = replace(FAILED, stage="device", code="torch_variant", device={"asked": "xpu:1"})
    text = describe_environment(PROFILE, generation(tmp_path), report, new=True)
    assert "  it is kept; prove it on cpu, which it is for: provision validate demo\n" in text
    assert "repair demo" not in text


def test_words_of_an_environment_that_is_up_to_date(tmp_path: Path) -> None:
    """One line says so; the notice is not repeated."""
    text = describe_environment(PROFILE, generation(tmp_path), PASSED, new=False)
    assert text.startswith("demo: up to date, passed on cpu (A Processor) at 2026-11-22T12:00:00+00:00\n")
    assert "archived" not in text


def test_words_of_an_environment_without_a_report(tmp_path: Path) -> None:
    """What was not validated is not called good, and the command that does it is named."""
    text = describe_environment(PROFILE, generation(tmp_path), None, new=True)
    assert text.startswith("demo: built, not validated\n  validate it: provision validate demo\n")
    assert "passed" not in text


def test_words_of_an_environment_that_passed_on_another_device_alone(tmp_path: Path) -> None:
    """What was proven is said, and that it was not on the profile's device."""
    profile = replace(PROFILE, device=Device.XPU)
    text = describe_environment(profile, generation(tmp_path), None, elsewhere=PASSED, new=True)
    told = "not validated on xpu; passed on cpu (A Processor) at 2026-11-22T12:00:00+00:00"
    assert text.startswith(f"demo: built, {told}\n  validate it: provision validate demo\n")


def test_the_first_known_failure_is_told(tmp_path: Path) -> None:
    """A recognised failure stands below the verdict with cause and fix."""
    known = [
        replace(MATCH, id="a-b", title="The cause", cause="one\ntwo", fix="do it"),
        replace(MATCH, id="c-d", title="Another"),
    ]
    text = describe_environment(PROFILE, generation(tmp_path), FAILED, new=True, known=known)
    assert "recognised: The cause (`a-b`, confidence high)\n    cause: one\n    two\n    fix: do it" in text
    assert "Another" not in text


def test_a_device_is_named_once() -> None:
    """Kind and name, or the kind alone."""
    assert describe_device(PASSED) == "cpu (A Processor)"
    assert describe_device(replace(PASSED, device={"asked": "xpu"})) == "xpu"
