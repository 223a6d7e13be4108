"""Which profile is proposed for a machine: from what profiles say of GPUs, and from the ledger."""

import json
from pathlib import Path

import pytest

from provisioner.diagnose.machine.facts import DisplayDevice, HostFacts
from provisioner.diagnose.machine.facts_json import parse_facts
from provisioner.diagnose.machine.gate import wanted_host
from provisioner.diagnose.machine.layers.hardware import check_gpu
from provisioner.diagnose.machine.layers.model import LayerState
from provisioner.pipeline.proposal import find_better, find_unfit, propose_profile
from provisioner.pipeline.settings import Settings
from provisioner.profile.load import load_profile

ROOT = Path(__file__).parents[3]
ENVS = ROOT / "envs"
MAX_1550 = HostFacts(os="linux", displays=(DisplayDevice(vendor="8086", device="0bd5"),))
FLEX_170 = HostFacts(os="linux", displays=(DisplayDevice(vendor="8086", device="56c0"),))
B580_WINDOWS = HostFacts(os="windows", displays=(DisplayDevice(vendor="8086", device="e20b"),))


def load_host(name: str) -> HostFacts:
    """Return a recorded machine."""
    return parse_facts(json.loads((ROOT / "tests" / "data" / "hosts" / f"{name}.json").read_text()))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings without folders of the user's."""
    return Settings(environ={}, profile_folders=(ENVS,), lockfiles=None, data=tmp_path)


@pytest.mark.parametrize(
    ("host", "family", "profile"),
    [
        ("linux-arc-a770-healthy", "llama3", "llama3-xpu"),
        ("linux-arc-a770-healthy", "chatglm2", "chatglm2-arc26"),
        ("linux-arc-a770-healthy", "chatglm", "chatglm-xpu"),
        ("linux-nvidia-and-two-b70", "chatglm2", "chatglm2-arc26"),
        ("linux-arc-b580-old-kernel", "chatglm2", "chatglm2-cpu"),
        ("windows-uhd-and-a770", "llama3", "llama3-xpu"),
        ("windows-nvidia-and-meteor-lake", "llama3", "llama3-xpu"),
        ("linux-uhd-only", "llama3", "llama3-torch-cpu"),
        ("linux-nvidia-only", "chatglm2", "chatglm2-cpu"),
        ("linux-nvidia-only", "chatglm", None),
        ("wsl2-no-gpu-libraries", "llama3", "llama3-torch-cpu"),
    ],
)
def test_a_machine_gets_the_profile_for_its_card(
    host: str, family: str, profile: str | None, settings: Settings
) -> None:
    """The first maintained one that is for the card's class and that no row of the ledger stops."""
    found = propose_profile(settings, load_host(host), family=family)
    assert (found.profile.name if found.profile else None) == profile


@pytest.mark.parametrize(
    ("facts", "family", "profile"),
    [
        (MAX_1550, "chatglm2", "chatglm2-arc"),
        (MAX_1550, "llama3", "llama3-xpu"),
        (FLEX_170, "llama3", "llama3-openvino"),
        (B580_WINDOWS, "chatglm2", "chatglm2-arc26"),
    ],
)
def test_a_class_that_a_profile_does_not_name_is_passed_over(
    facts: HostFacts, family: str, profile: str, settings: Settings
) -> None:
    """Flex is not among what upstream torch is for, Max not among what ipex-llm on torch 2.6 is for."""
    found = propose_profile(settings, facts, family=family)
    assert found.profile is not None
    assert found.profile.name == profile


def test_a_profile_for_other_cards_says_so_and_names_the_right_one(settings: Settings) -> None:
    """`doctor` cannot know that it runs, and `create` warns; neither stops a build."""
    profile = load_profile("chatglm2-arc", folders=[ENVS])
    said = find_unfit(profile, B580_WINDOWS)
    assert said == ("`chatglm2-arc` is for `arc-a`, `integrated`, `flex`, `max`, and Arc B580 is `arc-b`")
    better = find_better(settings, profile, B580_WINDOWS)
    assert better == "chatglm2-arc26"
    wanted = wanted_host(profile, platform="win-64")
    result = check_gpu(B580_WINDOWS, wanted)
    assert result.state is LayerState.UNKNOWN
    assert find_unfit(load_profile("chatglm2-arc26", folders=[ENVS]), B580_WINDOWS) is None
    assert find_unfit(profile, HostFacts(os="linux", displays=())) is None


def test_a_profile_without_classes_is_for_any_card(tmp_path: Path) -> None:
    """Only one that names some is for these alone; a section of a platform adds to them."""
    text = "description: x\nextends: torch-xpu\nfamily: llama3\n"
    (tmp_path / "mine.yaml").write_text(text + "win-64: {gpus: {flex: {env: {X_Y: '1'}}}}\n")
    mine = load_profile("mine", folders=[tmp_path, ENVS])
    classes = {part.name: part.gpus for part in mine.platforms}
    assert classes["linux-64"] == ("arc-a", "arc-b", "integrated", "max")
    assert set(classes["win-64"]) == {*classes["linux-64"], "flex"}
