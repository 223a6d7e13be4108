"""`doctor` takes from the last validation only what it says about the profile's device."""

import json
import shutil

import pytest

from provisioner.install.home import EnvironmentHome, find_environment
from provisioner.validate.model import CheckRecord, Report, Status, Verdict
from tests.cli.lab import Lab


def test_a_validation_that_ended_before_torch_fails_no_kernel(tiny: Lab) -> None:
    """A failure at the packages says nothing of torch and its kernels; `explain` has it first."""
    tiny.build_tiny()
    generation = find_environment(EnvironmentHome(data=tiny.data), "tiny")
    assert generation is not None
    names = ("imports", "device", "kernels")
    report = Report(
        verdict=Verdict.FAILED,
        stage="packages",
        reason="installed files differ",
        records=(
            CheckRecord(name="packages", status=Status.FAILED, seconds=1.0, reason="installed files differ"),
            *(CheckRecord(name=name, status=Status.SKIPPED, seconds=0.0) for name in names),
        ),
        device={"asked": "cpu"},
        versions={"torch": "2.13.0+cpu"},
        environment="tiny",
        lock_fingerprint=generation.receipt.fingerprint,
        created_at="2026-01-02T03:04:05+00:00",
    )
    generation.report.write_text(json.dumps(report.as_json()), encoding="utf-8")
    (installed,) = generation.prefix.glob("lib/python*/site-packages/tinyapp-*")
    shutil.rmtree(installed)
    layers = {layer["name"]: layer for layer in tiny.run("doctor", "tiny", "--json").data["layers"]}
    assert "`provision repair tiny`" in layers["environment"]["hint"]
    for name in ("torch", "kernel"):
        assert layers[name]["verdict"] == "unknown"
        assert "ended before, at stage packages: installed files differ" in layers[name]["evidence"]
    explained = tiny.run("explain", "tiny").out
    assert explained.startswith(
        "the last validation did not pass stage packages: installed files differ\nhint: run "
    )
    assert "`provision repair tiny`" in explained
    failure = tiny.run("explain", "tiny", "--json").data["failure"]
    assert (failure["stage"], failure["reason"]) == ("packages", "installed files differ")
    assert " at 2026-01-02" in tiny.run("list").out
    assert "None" not in tiny.run("list").out


@pytest.mark.parametrize(("asked", "kernel"), [("cpu", "pass"), ("xpu:1", "unknown")])
def test_a_validation_elsewhere_proves_nothing_here(tiny: Lab, asked: str, kernel: str) -> None:
    """A kernel that ran on another device than the profile's is not counted as one that ran on it."""
    tiny.build_tiny()
    generation = find_environment(EnvironmentHome(data=tiny.data), "tiny")
    assert generation is not None
    report = Report(
        verdict=Verdict.PASSED,
        records=tuple(
            CheckRecord(name=name, status=Status.PASSED, seconds=1.0) for name in ("device", "kernels")
        ),
        device={"asked": asked, "name": "A processor"},
        versions={"torch": "2.13.0+cpu"},
        environment="tiny",
        family="llama3",
        backend="transformers",
        precision="bf16",
        lock_fingerprint=generation.receipt.fingerprint,
        created_at="2026-01-02T03:04:05+00:00",
        tool_version="0.1.0",
    )
    generation.report.write_text(json.dumps(report.as_json()), encoding="utf-8")
    layers = {layer["name"]: layer for layer in tiny.run("doctor", "tiny", "--json").data["layers"]}
    assert layers["torch"]["verdict"] == "pass"
    assert layers["kernel"]["verdict"] == kernel
