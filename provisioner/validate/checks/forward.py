"""Does the model calculate what it should?"""

from collections.abc import Mapping

from provisioner.validate.checks import openvino
from provisioner.validate.checks.device import CPU_TENSOR_HINTS
from provisioner.validate.checks.finding import DRIVER_HINT, REBUILD_HINT, Finding
from provisioner.validate.checks.logits import check_agreement, check_choices, check_lengths, check_logits
from provisioner.validate.checks.rounding import check_rounding
from provisioner.validate.model import JSON, ValidationRequest
from provisioner.validate.tolerances import RANDOM_TOLERANCES


def check_weights(measured: Mapping[str, JSON], request: ValidationRequest) -> Finding | None:
    """A model was loaded, by OpenVINO on the right device, and there is something to continue."""
    if request.backend == "openvino" and (finding := openvino.check_execution(measured, request)):
        return finding
    if (measured.get("parameters") or measured.get("bytes")) and measured["prompt_ids"]:
        return None
    return Finding(code="weights", message="the model has no weights or the prompt no tokens")


def check_reference(measured: Mapping[str, JSON], request: ValidationRequest) -> Finding | None:
    """The fp32 model itself is sane; else nothing could be compared with it."""
    finding = check_logits(measured, "the fp32 reference on the CPU")
    silent = request.backend == "openvino" and request.model_dir is not None  # logits of a folder alone
    if finding is None and not silent and not _says(measured, request):
        return Finding(
            code="wrong_reference",
            message=f"the fp32 reference on the CPU continues the prompt with `{measured['text']}`, "
            f"without `{request.expected}`: the weights or torch's CPU kernels are wrong",
            hints=(REBUILD_HINT,),
        )
    return finding


def check_conversion(measured: Mapping[str, JSON], request: ValidationRequest) -> Finding | None:
    """The layers were really replaced; ipex-llm and others may leave them silently as they were."""
    if "rounding" in measured:
        return check_rounding(measured, request)
    if measured["backend"] != "ipex-llm":
        return None
    kinds = [name for name in measured["linear_classes"] if name != "Linear"]
    attention = [name for name in measured["replaced"] if "Attention" in name]
    if kinds and (attention or request.model_dir is not None):
        return None
    what = "attention" if kinds else "linear layers"
    return Finding(
        code="not_converted",
        message=f"ipex-llm left the {what} of `{request.family}` as they were: its fast paths would not run",
        hints=(
            f"pin the transformers version that ipex-llm supports for `{request.family}`",
            "see `provision show` for the profile's pins",
        ),
    )


def check_forward(measured: Mapping[str, JSON], request: ValidationRequest) -> Finding | None:
    """The model ran where it was asked to, its output is a sane vector, and the device finds its peaks."""
    if request.backend == "openvino":
        return openvino.check_modes(measured, request)
    if measured["tensors_elsewhere_count"]:
        return cpu_tensors(measured, request)
    if measured["output_device"] != measured["asked_device"]:
        return Finding(
            code="wrong_device",
            message=f"the output lies on `{measured['output_device']}`, not on `{measured['asked_device']}`",
            hints=CPU_TENSOR_HINTS,
        )
    what = f"the {request.precision} forward on `{request.device}`"
    return (
        check_logits(measured, what)
        or check_lengths(measured["lengths"], request, what)
        or check_choices(measured["lengths"], request)
    )


def cpu_tensors(
    measured: Mapping[str, JSON], request: ValidationRequest, *, operator: str | None = None
) -> Finding:
    """Return the finding for tensors left on the CPU, and the operator that they reached if it is known."""
    names = [f"`{name}`" for name in measured.get("tensors_elsewhere", ())]
    names += [f"`{name}`" for name in measured.get("cpu_locals", ())]
    more = max(measured.get("tensors_elsewhere_count", 0) - len(measured.get("tensors_elsewhere", ())), 0)
    listed = ", ".join(names) + (f" and {more} more" if more else "")
    if operator is None:
        message = (
            f"tensors are left on the CPU while the model runs on `{request.device}`: "
            f"its fused operators exist there only: {listed}"
        )
    else:
        given = f"CPU tensors: {listed}" if listed else "CPU tensors"
        message = f"the fused operator `{operator}` exists for XPU only and was given {given}"
    return Finding(code="cpu_fallback", message=message, hints=CPU_TENSOR_HINTS)


def check_comparison(measured: Mapping[str, JSON], request: ValidationRequest) -> Finding | None:
    """The logits agree with the reference within the precision's tolerance."""
    what = f"the {request.precision} forward"
    return check_agreement(measured, request, what) or check_lengths(
        measured.get("lengths", ()), request, what
    )


def check_generation(measured: Mapping[str, JSON], request: ValidationRequest) -> Finding | None:
    """The model says what it should, and its cached single-token path calculates the same."""
    if not _says(measured, request):
        return Finding(
            code="wrong_answer",
            message=f"the model continues the prompt with `{measured['text']}`, without `{request.expected}`",
            hints=(DRIVER_HINT, "try a higher precision in the profile's `validation.precision`"),
        )
    if not measured.get("same_twice", True):
        return Finding(
            code="unstable",
            message="the same prompt was continued in two ways, though the likeliest token is always taken",
            hints=(DRIVER_HINT,),
        )
    if request.backend == "openvino":
        return openvino.check_text(measured, request)
    what = "the single-token step with the cache"
    return check_logits(measured["cached_step"], what) or check_agreement(
        measured["cached_step"], request, what
    )


def check_width(measured: Mapping[str, JSON], request: ValidationRequest) -> Finding | None:
    """Layers of production size agree with their reference too."""
    tolerance = RANDOM_TOLERANCES[request.precision]
    for what, values in (
        ("a forward through layers of production size", measured),
        ("a cached step through layers of production size", measured["cached_step"]),
    ):
        finding = check_logits(values, what) or check_agreement(values, request, what, tolerance=tolerance)
        if finding is not None:
            return finding
    return None


def _says(measured: Mapping[str, JSON], request: ValidationRequest) -> bool:
    return request.expected is None or request.expected.lower() in str(measured["text"]).lower()
