"""What the last validation of an environment saw of torch and its device."""

from provisioner.diagnose.machine.facts import TorchFacts
from provisioner.validate.model import Report, Status


def read_torch_facts(report: Report, *, device: str) -> TorchFacts:
    """Return what a stored report says of torch on a kind of device."""
    if str(report.device.get("asked", device)).partition(":")[0] != device:
        # Another device answered.
        return TorchFacts(asked_at=report.created_at, version=report.versions.get("torch"))
    imports, seen, kernels = (_read_outcome(report, name) for name in ("imports", "device", "kernels"))
    about_torch = False in (imports, seen, kernels)
    stopped = f"ended before, at stage {report.stage}: {report.reason}"
    return TorchFacts(
        asked_at=report.created_at,
        version=None if imports is False else report.versions.get("torch"),
        devices=None if seen is None else ((str(report.device.get("name")),) if seen else ()),
        kernel_ran=kernels,
        error=report.reason if about_torch else None,
        unasked=stopped if kernels is None and report.stage and not about_torch else None,
    )


def _read_outcome(report: Report, name: str) -> bool | None:
    """Return whether a check passed; None where it was never made."""
    record = report.find_record(name)
    return None if record is None or record.status is Status.SKIPPED else record.status is Status.PASSED
