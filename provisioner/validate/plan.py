"""Which stages a request gets, and why the others are left out."""

from dataclasses import replace

from provisioner.errors import UsageError
from provisioner.profile.model import Family
from provisioner.validate.model import CheckRecord, Status, ValidationRequest
from provisioner.validate.stages import STAGES
from provisioner.validate.tolerances import LOW_BIT, TOLERANCES

_DEVICES = ("cpu", "xpu", "cuda")
_PARENT_STAGES = ("repeat", "commands", "exit")


def settle_request(request: ValidationRequest) -> ValidationRequest:
    """Refuse what cannot be checked, and choose what the asked device can run.

    ipex-llm's builds for XPU have no low-bit kernels for the CPU, so such a stack is checked there through
    plain transformers; the report says what that leaves open.
    """
    kind, _, number = request.device.partition(":")
    known = kind in _DEVICES and (not number or number.isdecimal()) and request.precision in TOLERANCES
    if not known:
        raise UsageError(
            "validate.request",
            f"`{request.family}` in `{request.precision}` on `{request.device}` cannot be validated",
            hints=["name a device as `cpu`, `xpu` or `xpu:1`"],
        )
    if request.model_dir is not None and request.model_dir.is_file() and request.backend != "openvino":
        raise UsageError(
            "validate.request",
            f"`{request.model_dir.name}` is a file, and the backend `{request.backend}` reads folders",
            hints=["name a folder that holds safetensors and a tokenizer"],
        )
    if request.backend == "openvino" or request.precision in LOW_BIT:  # the same packages serve every device
        return request
    if request.device_kind == "cpu" and request.profile_device not in (None, "cpu"):
        return replace(request, backend="transformers", precision="bf16", tolerance=None)
    if request.precision == "fp32":
        return replace(request, backend="transformers")
    return request


def list_probe_stages(request: ValidationRequest) -> list[str]:
    """Return the stages for the probe."""
    left_out = {*_PARENT_STAGES, *find_impossible(request)}
    return [stage for stage in STAGES if stage not in left_out and (stage != "width" or request.width)]


def find_impossible(request: ValidationRequest) -> dict[str, str]:
    """Return the stages that cannot be made with this model, with the reason."""
    if request.backend != "openvino":
        reason = {"width": f"the sizes of a large model are not known of the family `{request.family}`"}
        return {} if request.family in tuple(Family) else reason
    reasons = {"width": "OpenVINO runs model files, none of this size is at hand"}
    if request.model_dir is not None:
        reasons["conversion"] = "the weights of a model of your own are not read back"
        if request.model_dir.is_file():
            why = "openvino_genai gives no logits of a GGUF file of your own, its text alone"
            reasons |= dict.fromkeys(("reference", "forward", "comparison", "repeat"), why)
    return reasons


def is_repeated(request: ValidationRequest) -> bool:
    """Tell whether a second process may calculate otherwise: it finds the kernels that the first compiled."""
    return request.device_kind != "cpu" and "repeat" not in find_impossible(request)


def list_repeated_stages(request: ValidationRequest) -> list[str]:
    """Return the stages of the second process: what leads to the forward of the same model."""
    reference = (
        ("reference",) if request.backend == "openvino" else ()
    )  # its prompts are those of the forward
    wanted = ("imports", "device", "weights", *reference, "conversion", "forward")
    return [stage for stage in wanted if stage not in find_impossible(request)]


def explain_skip(stage: str, request: ValidationRequest, bad: CheckRecord | None) -> CheckRecord:
    """Return the record of a stage that never ran; ``bad``: the check that ended the run."""
    impossible = find_impossible(request)
    if stage in impossible:
        reason = impossible[stage]
    elif stage == "width" and not request.width:
        reason = "not asked for: `--width` runs the layers of production size"
    elif stage == "repeat" and request.device_kind == "cpu":
        reason = "a CPU compiles no kernels that a second process could find"
    elif stage == "commands" and not request.commands:
        reason = "the profile names no command"
    else:
        reason = f"`{bad.name}` came first and did not pass" if bad is not None else "it was not asked for"
    return CheckRecord(name=stage, status=Status.SKIPPED, seconds=0.0, reason=reason)
