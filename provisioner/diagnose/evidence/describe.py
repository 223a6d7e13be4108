"""Make the document for sharing of a validation's report and the machine's facts."""

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from provisioner.diagnose.evidence.form import KERNEL, LABEL, SCHEMA, VERSION, WORD, check_label
from provisioner.diagnose.machine.facts import DisplayDevice, HostFacts
from provisioner.diagnose.machine.gpus import INTEL_VENDOR, find_gpu
from provisioner.profile.model import Family
from provisioner.validate.model import OWN_FAMILY, Report
from provisioner.validate.stages import STAGES

# Packages that decide what runs on a GPU; others may be a user's own, whose names are nobody's business.
_TOLD = re.compile(
    r"python|numpy|torch|torchvision|torchao|transformers|tokenizers|accelerate|bitsandbytes|vllm"
    r"|(?:triton|pytorch-triton|ipex-llm|bigdl-core|intel|onednn|onemkl|mkl|dpcpp|oneccl|openvino)(?:-[a-z0-9-]+)?"
)
# Figure to its way in what a stage measured.
_FIGURES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "conversion": {"rounding_largest": ("rounding", "largest")},
    "forward": {"peak_mib": ("peak_bytes",)},
    "comparison": {
        "relative_difference": ("relative_difference",),
        "relative_difference_of_file": ("of_file", "relative_difference"),
        "cosine": ("cosine",),
    },
    "width": {"relative_difference": ("relative_difference",), "peak_mib": ("peak_bytes",)},
    "speed": {
        "prefill_tokens_per_second": ("warm", "prefill_tokens_per_second"),
        "decode_tokens_per_second": ("warm", "decode_tokens_per_second"),
    },
}


def describe_evidence(
    report: Report,
    *,
    profile: str | None = None,
    platform: str | None = None,
    host: HostFacts | None = None,
    known: Iterable[str] = (),
    failures: Iterable[str] = (),
) -> dict[str, Any]:
    """Return the document about one validation; what does not look as ``EVIDENCE`` asks is left out.

    ``profile`` is the name of a built-in one; None: a user's own, of which no name is told.
    """
    document = {
        "schema": SCHEMA,
        "profile": profile,
        "family": report.family if profile or report.family in tuple(Family) else OWN_FAMILY,
        "backend": report.backend,
        "precision": report.precision,
        "verdict": report.verdict.value,
        "stage": report.stage if report.stage in STAGES else None,
        "code": _fit(report.code, WORD),
        "date": report.created_at[:10],
        "tool_version": _fit(report.tool_version, VERSION),
        "platform": platform,
        "lock_fingerprint": report.lock_fingerprint,
        "device": _describe_device(report, host),
        "host": _describe_host(host) if host else None,
        "versions": {
            name: version
            for name, version in report.versions.items()
            if _TOLD.fullmatch(name) and re.fullmatch(VERSION, version)
        },
        "stages": [
            _drop_unknown(
                {
                    "name": record.name,
                    "status": record.status.value,
                    "seconds": round(record.seconds, 3),
                    "figures": dict(_list_figures(record.name, record.measured)) or None,
                }
            )
            for record in report.records
        ],
        "known": list(known) or None,
        "failures": list(failures) or None,
    }
    return _drop_unknown(document)


def write_evidence(document: Mapping[str, Any]) -> str:
    """Return a document's text."""
    return json.dumps(document, indent=1) + "\n"


def _list_figures(stage: str, measured: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Yield the figures that decide; a memory size in MiB."""
    for name, way in _FIGURES.get(stage, {}).items():
        value: Any = measured
        for key in way:
            value = value.get(key) if isinstance(value, Mapping) else None
        if isinstance(value, int | float) and math.isfinite(value) and value >= 0:
            yield name, round(value / 2**20 if name.endswith("_mib") else value, 4)


def _describe_device(report: Report, host: HostFacts | None) -> dict[str, Any]:
    seen = report.device
    kind = str(seen.get("kind") or str(seen.get("asked", "cpu")).partition(":")[0])
    name = str(seen.get("name") or kind)
    display = _find_card(host, name) if kind == "xpu" and host else None
    pci = f"{display.vendor}:{display.device}".lower() if display else None
    libraries = {each.kind: each.version for each in (host.libraries if host else None) or ()}
    driver = (
        (display and display.driver_version) or libraries.get("gpu-driver") or libraries.get("opencl-driver")
    )
    return _drop_unknown(
        {
            "kind": kind,
            "name": _fit_label(name) or kind,
            "pci": pci,
            "driver": _fit(seen.get("driver") or (driver if kind == "xpu" else None), VERSION),
        }
    )


def _find_card(host: HostFacts, name: str) -> DisplayDevice | None:
    """Return the display device that the model ran on: the one that the name tells, else the only one."""
    intel = [each for each in host.displays or () if each.vendor.lower() == INTEL_VENDOR]
    named = [
        each
        for each in intel
        if (gpu := find_gpu(each.vendor, each.device)) and gpu.product.split()[-1] in name
    ]
    return named[0] if named else intel[0] if len(intel) == 1 else None


def _describe_host(facts: HostFacts) -> dict[str, Any]:
    displays = [
        _drop_unknown(
            {
                "vendor": each.vendor.lower(),
                "device": each.device.lower(),
                "driver": _fit(each.driver, WORD),
                "driver_version": _fit(each.driver_version, VERSION),
            }
        )
        for each in facts.displays or ()
    ]
    libraries = [
        _drop_unknown({"kind": each.kind, "version": _fit(each.version, VERSION)})
        for each in facts.libraries or ()
    ]
    kernel = re.match(KERNEL, facts.kernel or "")
    return _drop_unknown(
        {
            "os": facts.os,
            "release": _fit_label(facts.release),
            "kernel": kernel[0] if kernel else None,
            "wsl": facts.wsl,
            "container": facts.container,
            "displays": None if facts.displays is None else displays,
            "libraries": None if facts.libraries is None else libraries,
        }
    )


def _fit(text: object, pattern: str) -> str | None:
    return text if isinstance(text, str) and re.fullmatch(pattern, text) else None


def _fit_label(text: str | None) -> str | None:
    """Return a product's name without what no label holds; None where nothing is left or it looks private."""
    cleaned = re.sub(r"[^A-Za-z0-9 ().,+/-]+", " ", text or "").strip()[:80]
    return _fit(None if check_label(cleaned) else cleaned, LABEL)


def _drop_unknown(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
