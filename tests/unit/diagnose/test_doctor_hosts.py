"""Recorded machines, made from public reports: what doctor says of each."""

import json
from pathlib import Path
from typing import Any

import pytest

from provisioner.diagnose.machine.doctor import LAYERS, describe_layers, judge_layers
from provisioner.diagnose.machine.facts_json import as_json, parse_facts
from provisioner.diagnose.machine.layers.model import LayerState, WantedHost

HOSTS = Path(__file__).parents[2] / "data" / "hosts"
LETTERS = {LayerState.PASS: "+", LayerState.FAIL: "x", LayerState.UNKNOWN: "?", LayerState.NOT_NEEDED: "-"}

# One letter per layer, in order: gpu, kernel-driver, device-nodes, resizable-bar, user-driver, variables,
# disk, indexes, environment, torch, kernel. Then the outcome and the first hint.
EXPECTED = {
    "linux-arc-a770-healthy": ("+++++++----", "ok", None),
    "linux-arc-a770-no-render-group": (
        "++x++++----",
        "fail",
        "run `sudo usermod -aG render $USER`, then log out and in again",
    ),
    "linux-arc-b580-old-kernel": ("+xx++++----", "fail", "boot Linux 6.11 or newer"),
    "linux-arc-b70-unknown-to-kernel": (
        "+xx+x++----",
        "fail",
        "boot a newer kernel with its firmware files, and look for `i915` and `xe` in `dmesg`",
    ),
    "linux-container-render-group": ("++x++++----", "fail", "start the container with `--group-add 105`"),
    "linux-container-without-dri": ("++x++++----", "fail", "start the container with `--device /dev/dri`"),
    "linux-nvidia-and-a770-small-bar": (
        "+++x+++----",
        "fail",
        "enable `Resizable BAR` and `Above 4G Decoding` in the firmware setup",
    ),
    "linux-nvidia-and-two-b70": ("+++++x+----", "fail", "open a new shell without oneAPI's `setvars`"),
    "linux-nvidia-only": (
        "x----++----",
        "unsupported",
        "choose a profile for the CPU from `provision list`, or add an Intel Arc card",
    ),
    "linux-uhd-and-a770": (
        "+++++x+----",
        "fail",
        "set `ONEAPI_DEVICE_SELECTOR=level_zero:0`, or disable the integrated GPU in the firmware setup",
    ),
    "linux-uhd-and-b580-container": (
        "++++x++----",
        "fail",
        "install Intel's GPU packages: `libze1 libze-intel-gpu1 intel-opencl-icd`",
    ),
    "linux-uhd-only": (
        "x++-+x+----",
        "unsupported",
        "choose a profile for the CPU from `provision list`, or add an Intel Arc card",
    ),
    # The ledger alone knows that this driver is too old for IPEX 2.1.
    "windows-arc-a770-old-driver": ("++-++++----", "ok", None),
    "windows-iris-xe-only": (
        "x+--x++----",
        "unsupported",
        "choose a profile for the CPU from `provision list`, or add an Intel Arc card",
    ),
    "windows-nvidia-and-meteor-lake": ("++--++x----", "fail", "set `LongPathsEnabled` to 1"),
    "windows-uhd-and-a770": (
        "++-++x+----",
        "fail",
        "set `ONEAPI_DEVICE_SELECTOR=level_zero:0`, or disable the integrated GPU in the firmware setup",
    ),
    "wsl2-arc-a770": ("?++-+++----", "unknown", "run `provision doctor` in Windows to see the card"),
    "wsl2-no-gpu-libraries": (
        "?++-x++----",
        "fail",
        "install Intel's GPU packages: `libze1 libze-intel-gpu1 intel-opencl-icd`",
    ),
}


def _load(name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((HOSTS / f"{name}.json").read_text(encoding="utf-8"))
    return document


def test_every_recorded_machine_is_in_the_table() -> None:
    """A recorded machine without an expected answer is no test."""
    assert {path.stem for path in HOSTS.glob("*.json")} == EXPECTED.keys()


@pytest.mark.parametrize("name", EXPECTED)
def test_recorded_machine_gets_its_verdicts(name: str) -> None:
    """Each recorded machine gets the expected verdict per layer, outcome and first hint."""
    document = _load(name)
    letters, outcome, hint = EXPECTED[name]
    results = judge_layers(parse_facts(document), WantedHost(**document["wanted"]))
    assert "".join(LETTERS[result.state] for result in results.values()) == letters
    assert describe_layers(results)["outcome"] == outcome
    hinted = [result for result in results.values() if result.state is LayerState.FAIL] or [
        result for result in results.values() if result.state is LayerState.UNKNOWN
    ]
    first = hinted[0].hint if hinted else None
    assert (first or "").startswith(hint or "")
    assert (first is None) == (hint is None)


@pytest.mark.parametrize("name", EXPECTED)
def test_every_failure_says_what_to_do_in_one_line(name: str) -> None:
    """Evidence and hints are one line each, and no failure comes without a hint."""
    document = _load(name)
    for result in judge_layers(parse_facts(document), WantedHost(**document["wanted"])).values():
        assert result.evidence
        assert result.evidence.isprintable()
        assert result.state is not LayerState.FAIL or result.hint
        assert (result.hint or "x").isprintable()


@pytest.mark.parametrize("name", EXPECTED)
def test_gpu_layers_are_not_needed_for_the_cpu(name: str) -> None:
    """On every machine, a profile for the CPU is never stopped by its GPU."""
    results = judge_layers(parse_facts(_load(name)), WantedHost(device="cpu"))
    assert "".join(LETTERS[result.state] for result in results.values())[:5] == "-----"


@pytest.mark.parametrize("name", EXPECTED)
def test_recorded_machine_survives_the_round_trip(name: str) -> None:
    """Facts that are saved and loaded are the same facts, and name where they come from."""
    document = _load(name)
    facts = parse_facts(document)
    assert parse_facts(as_json(facts)) == facts
    assert document["source"]
    assert document["assumed"]


def test_each_layer_is_judged_by_some_machine() -> None:
    """The recorded machines fail or pass every layer that needs no environment."""
    seen = ["".join(letters[at] for letters, _, _ in EXPECTED.values()) for at in range(7)]
    assert all("+" in column and "x" in column for column in seen)
    assert len(LAYERS) == 11
