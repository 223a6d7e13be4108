"""Failures of our own validation are recognised like those of pasted logs."""

from provisioner.pipeline.validate import recognise_report
from provisioner.validate.model import CheckRecord, Report, Status, Verdict

REASON = "the fused operator `torch_ipex::mul_add` exists for XPU only and was given CPU tensors: `inv_freq`"
TRACE = (
    "Traceback (most recent call last):\n"
    "NotImplementedError: Could not run 'torch_ipex::mul_add' with arguments from the 'CPU' backend. ...\n"
)


def report(verdict: Verdict, status: Status) -> Report:
    record = CheckRecord(
        name="forward",
        status=status,
        seconds=1.0,
        reason=REASON,
        measured={"error": TRACE},
        code="cpu_fallback",
    )
    return Report(
        verdict=verdict,
        stage="forward",
        reason=REASON,
        records=(record,),
        environment="chatglm2-cpu",
        family="chatglm2",
        backend="ipex-llm",
        precision="sym_int8",
        created_at="2026-01-02T03:04:05+00:00",
        tool_version="0.1.0",
    )


def test_the_traceback_of_the_failed_check_is_recognised() -> None:
    """What the probe raised is looked up, and what the checks before it ruled out does not come first."""
    (match,) = recognise_report(report(Verdict.FAILED, Status.FAILED))
    assert match.id == "ipex-mul-add-cpu-backend"
    assert match.cause.startswith("1. CPU fallback")
    assert recognise_report(report(Verdict.PASSED, Status.PASSED)) == ()
