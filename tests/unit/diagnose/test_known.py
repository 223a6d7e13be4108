"""The ledger `envs/known.yaml`: what it says of recorded machines, and what a row must have."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from provisioner.diagnose.machine.facts import DisplayDevice, HostFacts, Library
from provisioner.diagnose.machine.facts_json import parse_facts
from provisioner.diagnose.machine.gpus import load_gpus
from provisioner.diagnose.machine.known import (
    Known,
    Stack,
    find_known,
    find_stop,
    list_notices,
    match_row,
)
from provisioner.diagnose.machine.known_rows import Level, Row, parse_ledger
from provisioner.errors import ExitCode, InternalError, UnvalidatedError
from provisioner.events import Event, Notice
from provisioner.install.plan import InstallPlan
from provisioner.lock.file import read_lock
from provisioner.pipeline.gate import judge_stack
from provisioner.pipeline.ledger import describe_stack, load_ledger
from provisioner.pipeline.settings import Settings
from provisioner.profile.load import load_profile
from provisioner.resolve.model import PipPackage

ROOT = Path(__file__).parents[3]
HOSTS = ROOT / "tests" / "data" / "hosts"
ROWS = {row.id: row for row in load_ledger()}

A770, B580, B70, LUNAR_LAKE, PANTHER_LAKE = "56a0", "e20b", "e223", "64a0", "b080"

# A recorded machine as it is, a profile as it is locked: the first sentence, up to its source.
SENTENCES = {
    ("linux-arc-a770-healthy", "llama3-xpu"): (
        "`x` is reported to work here: an A770 on Ubuntu 26.04's own driver runs torch 2.12.0"
    ),
    ("linux-arc-a770-healthy", "llama3-arc"): (
        "`x` is reported to fail here: Intel's hosts answer 403 for wheels of IPEX, while their index pages "
        "still list them"
    ),
    ("linux-arc-b580-old-kernel", "llama3-openvino"): (
        "`x` is outside of what its makers support here: the B-series needs kernel 6.11 or newer "
        "(Ubuntu 24.10)"
    ),
    ("linux-nvidia-and-two-b70", "llama3-arc26"): (
        "`x` is reported to fail here: torch 2.6.0 ends with `could not create an engine` on compute-runtime "
        "26.22.38646.4 (newer ones were not tried); a current torch does not"
    ),
    ("linux-nvidia-and-two-b70", "llama3-openvino"): None,
    ("linux-uhd-and-a770", "llama3-arc26"): (
        "`x` is reported to fail here: torch 2.6 counts the integrated GPU beside the card and ends with "
        "`could not create an engine`"
    ),
    ("windows-arc-a770-old-driver", "llama3-arc"): (
        "`x` is outside of what its makers support here: IPEX 2.1 needs the display driver "
        "31.0.101.5122 or newer"
    ),
    ("windows-uhd-and-a770", "llama3-arc26"): (
        "`x` is reported to fail here: torch 2.6 counts the integrated GPU beside the card and ends with "
        "`could not create an engine`"
    ),
    ("windows-uhd-and-a770", "llama3-xpu"): (
        "`x` may meet a known problem here: the wheels of triton-xpu 3.7.1 were replaced in place in June "
        "2026; a lock of before fails with `hash_mismatch`"
    ),
    ("wsl2-arc-a770", "llama3-openvino"): None,
}

# Row to a recorded machine, what is changed of it, and packages: a combination that the row is about.
REACHED: dict[str, tuple[str, Mapping[str, Any], Mapping[str, str]]] = {
    "arc-a-windows-torch-2-14-nan": ("windows-uhd-and-a770", {}, {"torch": "2.14.0+xpu"}),
    "arc-a-windows-torch-2-11-clean": (
        "windows-uhd-and-a770",
        {},
        {"torch": "2.11.0+xpu", "intel-sycl-rt": "2025.3.2"},
    ),
    "a770-linux-onednn-26-14": (
        "linux-arc-a770-healthy",
        {"runtime": "26.22.38646.4"},
        {"torch": "2.12.0+xpu"},
    ),
    "sycl-cache-26-05-segfault": (
        "linux-arc-a770-healthy",
        {"variables": {"SYCL_CACHE_PERSISTENT": "1"}},
        {"torch": "2.13.0+xpu"},
    ),
    "b580-windows-torch-2-13-works": (
        "windows-uhd-and-a770",
        {"gpu": B580, "driver": "32.0.101.8860"},
        {"torch": "2.13.0+xpu"},
    ),
    "b580-windows-torch-2-14-slow": ("windows-uhd-and-a770", {"gpu": B580}, {"torch": "2.14.0+xpu"}),
    "b580-windows-triton-3-7-2-works": (
        "windows-uhd-and-a770",
        {"gpu": B580, "driver": "32.0.101.8801"},
        {"triton-xpu": "3.7.2"},
    ),
    "b70-linux-torch-2-11-works": (
        "linux-nvidia-and-two-b70",
        {},
        {"torch": "2.11.0+xpu", "torchvision": "0.26.0+xpu", "triton-xpu": "3.7.0"},
    ),
    "lunar-lake-windows-torch-2-9-works": (
        "windows-uhd-and-a770",
        {"gpu": LUNAR_LAKE},
        {"torch": "2.9.0+xpu"},
    ),
    "panther-lake-old-ubuntu": ("linux-uhd-and-a770", {"gpu": PANTHER_LAKE}, {"torch": "2.12.0+xpu"}),
    "torch-2-7-arc-b-ubuntu-24-04": ("linux-arc-b580-old-kernel", {}, {"torch": "2.7.1+xpu"}),
    "vllm-runtime-floor": ("linux-arc-a770-healthy", {}, {"vllm": "0.9.0"}),
    "vllm-arc-a-broken": ("linux-arc-a770-healthy", {}, {"vllm": "0.11.0"}),
    "openvino-silent-cpu": ("windows-uhd-and-a770", {"gpu": B580}, {"openvino": "2026.4.1"}),
    "torch-2-11-no-hash": ("linux-arc-a770-healthy", {}, {"torch": "2.11.0+xpu"}),
    "ipex-2-1-linux-kernel": (
        "linux-arc-a770-healthy",
        {"kernel": "5.15.0-91-generic"},
        {"intel-extension-for-pytorch": "2.1.10+xpu"},
    ),
    "arc-b-windows-driver": (
        "windows-arc-a770-old-driver",
        {"gpu": B580},
        {"ipex-llm": "2.2.0"},
    ),
    "ipex-2-1-other-oneapi": (
        "linux-arc-a770-healthy",
        {},
        {"intel-extension-for-pytorch": "2.1.10+xpu", "dpcpp-cpp-rt": "2025.0.2"},
    ),
    "ocl-icd-vendors-hides-opencl": (
        "linux-arc-a770-healthy",
        {"variables": {"OCL_ICD_VENDORS": "/opt/conda/etc/OpenCL/vendors"}},
        {"torch": "2.12.0+xpu"},
    ),
    "arc-a-four-gib-buffer": ("linux-arc-a770-healthy", {}, {"torch": "2.1.0a0+cxx11.abi"}),
    "arc-a-windows-immediate-lists": ("windows-uhd-and-a770", {}, {"torch": "2.6.0+xpu"}),
    "device-lost-old-windows-driver": (
        "windows-arc-a770-old-driver",
        {},
        {"intel-extension-for-pytorch": "2.1.10+xpu"},
    ),
    "arc-a-fp64-kernels": ("linux-arc-a770-healthy", {}, {"torch": "2.7.1+xpu"}),
    "ipex-2-1-20-compiler-crash": (
        "linux-arc-a770-healthy",
        {},
        {"intel-extension-for-pytorch": "2.1.20+xpu"},
    ),
    "torch-below-2-6-no-runtime": ("windows-uhd-and-a770", {}, {"torch": "2.5.1+xpu"}),
}


def load_host(name: str) -> HostFacts:
    return parse_facts(json.loads((HOSTS / f"{name}.json").read_text(encoding="utf-8")))


def change(facts: HostFacts, changes: Mapping[str, Any]) -> HostFacts:
    """Return a recorded machine with another card, driver, compute-runtime, kernel or variables."""
    others = {name: value for name, value in changes.items() if name in {"kernel", "variables"}}
    if "runtime" in changes:
        others["libraries"] = (
            Library(kind="opencl-driver", path="/x/libigdrcl.so", version=changes["runtime"]),
        )
    displays = [
        replace(
            each,
            device=changes.get("gpu", each.device),
            driver_version=changes.get("driver", each.driver_version),
        )
        for each in facts.displays or ()
        if each.vendor == "8086"
    ]
    return replace(facts, displays=tuple(displays), **others)


def platform_of(facts: HostFacts) -> str:
    return "win-64" if facts.os == "windows" else "linux-64"


def stack_of(profile: str, platform: str) -> Stack:
    part = read_lock(ROOT / "lockfiles" / f"{profile}.conda-lock.yml").find_platform(platform)
    return describe_stack(platform, part.pip)


def known_of(host: str, profile: str) -> tuple[Known, ...]:
    facts = load_host(host)
    return find_known(ROWS.values(), stack_of(profile, platform_of(facts)), facts)


@pytest.mark.parametrize(("host", "profile"), SENTENCES)
def test_a_recorded_machine_gets_its_sentence(host: str, profile: str) -> None:
    """Of each recorded machine and each lockfile the first sentence is this, or none is said."""
    expected = SENTENCES[host, profile]
    known = known_of(host, profile)
    if expected is None:
        assert known == ()
    else:
        row = known[0].row
        assert known[0].describe("`x`") == f"{expected} ({row.source}, {row.date})"


@pytest.mark.parametrize("name", REACHED)
def test_a_row_applies_to_its_combination_and_to_no_other(name: str) -> None:
    """Each row is sure of the combination it is about, and does not hold for a machine without packages."""
    host, changes, packages = REACHED[name]
    facts = change(load_host(host), changes)
    stack = Stack(platform=platform_of(facts), packages=packages, hosts=frozenset())
    assert match_row(ROWS[name], stack, facts) is True
    assert match_row(ROWS[name], replace(stack, packages={}), facts) is False


def test_every_row_is_reached() -> None:
    """A row that no combination of the tables reaches would be a row that nobody has tried."""
    said = {each.row.id for host, profile in SENTENCES for each in known_of(host, profile)}
    assert sorted(ROWS.keys() - said - REACHED.keys()) == []
    assert len(ROWS) >= 25


def test_rows_name_cards_that_doctor_knows() -> None:
    """A class, generation or PCI id of a row is one of the table of GPUs."""
    gpus = load_gpus().values()
    names = {f"8086:{gpu.device}" for gpu in gpus} | {gpu.architecture.name for gpu in gpus}
    names |= {gpu.architecture.gpu_class or "" for gpu in gpus}
    assert {name for row in ROWS.values() for name in row.when.gpu} <= names


@pytest.mark.parametrize("lost", ["source", "address", "date", "remedy", "when"])
def test_a_row_without_source_or_date_is_refused(lost: str) -> None:
    """Nothing is claimed that cannot be looked up; the message names the place and the key."""
    row = {
        "id": "a",
        "kind": "bad",
        "level": "warn",
        "when": {"kernel": "<6.2"},
        "effect": "it fails",
        "remedy": "boot another kernel",
        "status": "open",
        "source": "a page",
        "address": "https://example.org/a",
        "date": "2026-11-15",
    }
    assert len(parse_ledger(_write(row), "known.yaml")) == 1
    del row[lost]
    with pytest.raises(InternalError, match=rf"known\.yaml:3:\d+: key `{lost}` is missing") as caught:
        parse_ledger(_write(row), "known.yaml")
    assert caught.value.code == "known.invalid"


def _write(row: Mapping[str, Any]) -> bytes:
    text = json.dumps([row])  # JSON is YAML
    return f"schema: provision.known/1\nrows:\n  {text}\n".encode()


def test_what_is_not_known_stops_nothing() -> None:
    """A row that would stop is only told where the machine does not say whether it applies."""
    facts = replace(load_host("windows-uhd-and-a770"), displays=None)
    known = find_known(ROWS.values(), Stack(platform="win-64", packages={"torch": "2.14.0+xpu"}), facts)
    assert [(each.row.id, each.sure) for each in known] == [("arc-a-windows-torch-2-14-nan", False)]
    assert find_stop(known, subject="`x`") is None
    (notice,) = list_notices(known, subject="`x`", where="here")
    assert notice.level == "warning"
    assert "whether this applies here is not known" in notice.message


def test_a_sure_stop_is_an_error_with_its_remedy() -> None:
    """`create` ends with exit 7, the row's code, what to do, and how to go on all the same."""
    facts = load_host("windows-uhd-and-a770")
    known = find_known(ROWS.values(), Stack(platform="win-64", packages={"torch": "2.14.0+xpu"}), facts)
    stop = find_stop(known, subject="`x`")
    assert stop is not None
    assert (stop.code, stop.exit_code) == ("known.arc_a_windows_torch_2_14_nan", ExitCode.UNVALIDATED)
    assert stop.hints[0].startswith("use `llama3-xpu`")
    assert "--no-gate" in stop.hints[1]


def test_the_gate_asks_the_ledger_before_a_build(tmp_path: Path) -> None:
    """A plan whose packages are known to fail ends before a byte; without the gate it is a warning."""
    wheels = [
        PipPackage(name=name, version=version, filename="x", url="pypi:x", index="pypi", sha256="0" * 64)
        for name, version in (("intel-extension-for-pytorch", "2.1.10+xpu"), ("dpcpp-cpp-rt", "2025.0.2"))
    ]
    plan = InstallPlan(
        environment="x",
        profile="x",
        platform="linux-64",
        base="venv",
        python="3.11",
        wheels=tuple(wheels),
        fingerprint="0",
    )
    settings = Settings(environ={}, profile_folders=(), lockfiles=None, data=tmp_path)
    profile = load_profile("llama3-arc", folders=[ROOT / "envs"])
    said: list[Event] = []
    with pytest.raises(UnvalidatedError, match=r"linked to oneAPI 2024\.0"):
        judge_stack(settings, profile, plan, enforce=True, on_event=said.append)
    assert said == []
    judge_stack(settings, profile, plan, enforce=False, on_event=said.append)
    assert [each.level for each in said if isinstance(each, Notice)] == ["warning"]


def test_create_warns_of_a_card_that_a_profile_is_not_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It names the profile that is for it, and goes on: nothing is known against the build."""
    facts = HostFacts(os="windows", displays=(DisplayDevice(vendor="8086", device=B580),))
    monkeypatch.setattr("provisioner.pipeline.gate.gather_host", lambda **_: facts)
    plan = InstallPlan(
        environment="x", profile="x", platform="win-64", base="venv", python="3.11", fingerprint="0"
    )
    settings = Settings(environ={}, profile_folders=(), lockfiles=None, data=tmp_path)
    said: list[Event] = []
    for name in ("chatglm2-arc", "chatglm2-arc26"):
        profile = load_profile(name, folders=[ROOT / "envs"])
        judge_stack(settings, profile, plan, enforce=True, on_event=said.append)
    assert [each.message for each in said if isinstance(each, Notice) and each.level == "warning"] == [
        (
            "`chatglm2-arc` is for `arc-a`, `integrated`, `flex`, `max`, and Arc B580 is `arc-b`;"
            " run `provision create chatglm2-arc26`, which is for this machine"
        )
    ]


def test_the_driver_of_the_card_counts() -> None:
    """Beside an integrated GPU with an old driver, a card with a new one is not warned of."""
    row = ROWS["arc-b-windows-driver"]
    stack = Stack(platform="win-64", packages={"ipex-llm": "2.2.0"})
    old = DisplayDevice(vendor="8086", device="4680", driver_version="31.0.101.4952")
    new = DisplayDevice(vendor="8086", device=B580, driver_version="32.0.101.8826")
    facts = HostFacts(os="windows", displays=(old, new))
    assert match_row(row, stack, facts) is False
    assert match_row(row, stack, replace(facts, displays=(new, replace(new, driver_version=None)))) is None
    assert match_row(row, stack, replace(facts, displays=(replace(new, driver_version="31.0.101.5448"),)))


def test_a_lock_alone_is_judged_by_its_packages_and_system() -> None:
    """Without a machine, only rows that ask for nothing else of it are sure."""
    sure = {
        each.row.id
        for profile in ("llama3-arc", "llama3-xpu", "llama3-openvino")
        for platform in ("linux-64", "win-64")
        for each in find_known(ROWS.values(), stack_of(profile, platform), None)
        if each.sure
    }
    assert sure == {"intel-wheel-host-403", "triton-xpu-3-7-1-replaced"}


def test_stops_come_first() -> None:
    """What is sure is told before what is not, and a stop before a warning."""

    def row(name: str, level: Level) -> Row:
        return replace(ROWS["torch-2-11-no-hash"], id=name, level=level)

    rows = [row("tell", Level.TELL), row("warn", Level.WARN), row("stop", Level.STOP)]
    known = find_known(rows, Stack(platform="linux-64", packages={"torch": "2.11.0+xpu"}), None)
    assert [each.row.id for each in known] == ["stop", "warn", "tell"]
