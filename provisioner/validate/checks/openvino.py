"""Did OpenVINO run the model where it was asked to, and calculate what the converted weights say?"""

import math
from collections.abc import Iterable, Mapping

from provisioner.validate.checks.finding import DRIVER_HINT, Finding
from provisioner.validate.checks.logits import check_agreement, check_lengths, check_logits
from provisioner.validate.model import JSON, ValidationRequest
from provisioner.validate.tolerances import OPENVINO_ACCURACY_TOLERANCE, OPENVINO_LARGEST_GAP

_MODES: Mapping[str, float | None] = {"accuracy": OPENVINO_ACCURACY_TOLERANCE, "default": None}


def check_execution(measured: Mapping[str, JSON], request: ValidationRequest) -> Finding | None:
    """openvino_genai compiled the language model for the asked device; tokenizers are always the CPU's."""
    devices = [places for name, places in measured["execution_devices"].items() if name.startswith("LLM")]
    if not devices:
        return _elsewhere(request, "at a place that it does not name")
    return _check_places((place for places in devices for place in places), request)


def check_modes(measured: Mapping[str, JSON], request: ValidationRequest) -> Finding | None:
    """Both modes ran on the device and agree with the converted weights, at every length and cached."""
    for mode, tolerance in _MODES.items():
        entry = measured["modes"][mode]
        prompt, *others = entry["lengths"]
        what = f"the forward in {mode.upper() if mode == 'accuracy' else mode} mode on `{request.device}`"
        step = f"the single-token step with the cache in {mode} mode"
        finding = (
            _check_places(entry["devices"], request)
            or check_logits(prompt, what)
            or check_agreement(prompt, request, what, tolerance=tolerance)
            or check_lengths(others, request, what, tolerance=tolerance)
            or check_logits(entry["cached_step"], step)
            or check_agreement(entry["cached_step"], request, step, tolerance=tolerance)
        )
        if finding is not None:
            return finding
    return None


def check_text(measured: Mapping[str, JSON], request: ValidationRequest) -> Finding | None:
    """Every token of a folder's text is the likeliest by the reference's logits, or nearly."""
    worst = max(measured.get("behind", ()), key=lambda gap: math.inf if gap is None else gap, default=0.0)
    if worst is not None and worst <= OPENVINO_LARGEST_GAP:
        return None
    said = "by no number" if worst is None else f"by {worst:.2g} standard deviations of the logits"
    return Finding(
        code="wrong_answer",
        message=f"the pipeline on `{request.device}` says `{measured['text']}`, of which a token is behind "
        f"the likeliest {said}; {OPENVINO_LARGEST_GAP:g} is allowed against the CPU in ACCURACY mode",
        hints=(DRIVER_HINT,),
    )


def _check_places(places: Iterable[str], request: ValidationRequest) -> Finding | None:
    kind = request.device_kind
    wrong = sorted({place for place in places if place.partition(":")[0] != kind})
    return _elsewhere(request, f"on {', '.join(f'`{place}`' for place in wrong)}") if wrong else None


def _elsewhere(request: ValidationRequest, where: str) -> Finding:
    return Finding(
        code="cpu_fallback",
        message=f"OpenVINO runs the model {where}, not on `{request.device}`",
        hints=(DRIVER_HINT, "name the device itself (`GPU`), never `AUTO` or `HETERO`, which take the CPU"),
    )
