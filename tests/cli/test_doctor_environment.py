"""`doctor` of an environment: its files are looked at today, a validation speaks for the day it was made."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from provisioner.install.generations import EnvironmentHome, find_environment
from provisioner.install.receipt import OTHER_REPORT_NAME
from provisioner.validate.model import CheckRecord, Report, Status, Verdict
from tests.cli.lab import Lab
from tests.loopback import serve

LOGS = Path(__file__).parents[1] / "data" / "logs"

TORCH = {
    "torch/__init__.py": "from torch.version import __version__\n",
    "torch/version.py": "__version__ = '2.13.0+cpu'\n",
}


@pytest.fixture(scope="module")
def proven(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Yield a lab whose environment has a torch of two files and a report that it passed."""
    with serve() as server:
        lab = Lab(root=tmp_path_factory.mktemp("proven"), server=server)
        lab.lock_tiny(torch=TORCH)
        lab.build_tiny()
        _store_report(lab, asked="cpu")
        yield lab


def _store_report(lab: Lab, *, asked: str) -> Path:
    generation = find_environment(EnvironmentHome(data=lab.data), "tiny")
    assert generation is not None
    report = Report(
        verdict=Verdict.PASSED,
        records=tuple(
            CheckRecord(name=name, status=Status.PASSED, seconds=1.0) for name in ("device", "kernels")
        ),
        device={"asked": asked, "name": "A processor"},
        versions={"torch": "2.13.0+cpu"},
        environment="tiny",
        lock_fingerprint=generation.receipt.fingerprint,
        created_at="2026-01-02T03:04:05+00:00",
    )
    generation.report.write_text(json.dumps(report.as_json()), encoding="utf-8")
    return generation.report


def _site(prefix: Path) -> Path:
    (site,) = prefix.glob("lib/python*/site-packages")
    return site


def _prefix(lab: Lab) -> Path:
    (prefix,) = (lab.data / "environments/tiny/generations").iterdir()
    return prefix


def _replace(path: Path, text: str) -> None:
    path.unlink()  # it may be a hard link into the cache
    path.write_text(text, encoding="utf-8")


def _relink(path: Path, target: str) -> None:
    path.unlink()
    path.symlink_to(target)


def test_an_earlier_validation_is_no_pass_for_today(proven: Lab) -> None:
    """What the last validation saw has its date, passes nothing, and does not spoil a sound environment."""
    shown = proven.run("doctor", "tiny", "--json")
    layers = {layer["name"]: layer for layer in shown.data["layers"]}
    assert (shown.code, shown.data["outcome"]) == (0, "ok")
    assert layers["environment"]["verdict"] == "pass"
    assert layers["torch"] == {
        "name": "torch",
        "verdict": "not asked",
        "evidence": "doctor does not start torch; the validation of 2026-01-02 imported torch 2.13.0+cpu",
        "hint": None,
    }
    assert layers["kernel"]["verdict"] == "not asked"
    assert "the validation of 2026-01-02 got a right matrix product" in layers["kernel"]["evidence"]
    assert "`provision validate tiny`" in layers["kernel"]["hint"]
    alone = proven.run("doctor", "tiny", "--layer", "kernel", "--json")
    assert (alone.code, alone.data["outcome"]) == (7, "unknown")


@pytest.mark.parametrize(
    ("place", "damage", "words"),
    [
        ("bin/python", Path.unlink, "the interpreter `bin/python` is missing"),
        ("bin/python", lambda path: _relink(path, "/gone/python3"), "`/gone/python3`, which is gone"),
        ("bin/python", lambda path: _replace(path, "text"), "is no program that this system can start"),
        ("pyvenv.cfg", Path.unlink, "`pyvenv.cfg`, by which Python finds"),
        ("pyvenv.cfg", lambda path: _replace(path, "home = /gone/bin\n"), "came from `/gone/bin`"),
        ("SITE/torch", shutil.rmtree, "`torch/__init__.py` is missing (and 1 more)"),
        ("SITE/torch/__init__.py", lambda path: _replace(path, ""), "`torch/__init__.py` has 0 bytes"),
        (
            "SITE/torch/version.py",
            lambda path: _replace(path, "__version__ = '2.13.0+cu1'\n"),
            "torch's files are those of 2.13.0+cu1",
        ),
        ("SITE", shutil.rmtree, "`site-packages`) is missing"),
        ("SITE/tinyapp.py", Path.unlink, "site-packages/tinyapp.py` is not as built"),
        (
            "SITE/tinyapp.py",
            lambda path: _replace(path, "x = 1\n"),
            "site-packages/tinyapp.py` is not as built",
        ),
        (
            "SITE/evil.pth",
            lambda path: path.write_text("import os\n"),
            "site-packages/evil.pth` is not as built",
        ),
    ],
)
def test_files_that_nothing_works_without_are_looked_at(
    proven: Lab, place: str, damage: Callable[[Path], None], words: str
) -> None:
    """Without Python or torch the environment fails, whatever was seen earlier, and `repair` is offered."""
    prefix = _prefix(proven)
    path = _site(prefix) if place == "SITE" else prefix / place.replace("SITE", str(_site(prefix)))
    kept = prefix.with_name("kept")
    shutil.copytree(prefix, kept, symlinks=True)
    try:
        damage(path)
        shown = proven.run("doctor", "tiny", "--json")
        explained = proven.run("explain", "tiny", "--json").data
        told = proven.run("explain", "tiny", "--exit-code")
    finally:
        shutil.rmtree(prefix)
        kept.rename(prefix)
    layers = {layer["name"]: layer for layer in shown.data["layers"]}
    assert (shown.code, shown.error["code"], shown.data["first"]) == (6, "doctor.fail", "environment")
    assert words in layers["environment"]["evidence"]
    assert "`provision repair tiny`" in shown.error["hints"][0]
    assert {layers[name]["verdict"] for name in ("torch", "kernel")} == {"not asked"}
    assert words.removesuffix(" (and 1 more)") in explained["damage"][0]
    assert explained["failure"] is None
    assert told.code == 10
    assert told.out.startswith(f"damage: {explained['damage'][0]}\n")
    assert "\nhint: run `provision repair tiny` " in told.out


def test_what_doctor_finds_broken_repair_mends(lab: Lab) -> None:
    """An environment without Python and torch is built again by the command in the hint."""
    lab.lock_tiny(torch=TORCH)
    prefix = lab.build_tiny()
    (prefix / "bin/python").unlink()
    shutil.rmtree(_site(prefix) / "torch")
    assert lab.run("doctor", "tiny", "--layer", "environment").code == 6
    lab.run("repair", "tiny", "--no-validate")
    assert lab.run("doctor", "tiny", "--layer", "environment").code == 0


def test_a_pass_stands_when_every_file_is_as_it_was_built(tiny: Lab) -> None:
    """What is put back has the digest of what was proven: `repair --no-validate` forgets a failure only."""
    module = next(tiny.build_tiny().rglob("tinyapp.py"))
    path = _store_report(tiny, asked="cpu")
    _replace(module, "VERSION = 'broken'\n")
    shown = tiny.run("repair", "tiny", "--no-validate")
    assert shown.code == 0
    assert "tiny: up to date, passed on cpu (A processor) at 2026-01-02T03:04:05+00:00\n" in shown.out
    assert tiny.run("list", "--json").data["environments"][0]["verdict"] == "passed"
    failed = json.loads(path.read_text(encoding="utf-8")) | {"verdict": "failed", "stage": "packages"}
    path.write_text(json.dumps(failed), encoding="utf-8")
    _replace(module, "VERSION = 'broken'\n")
    assert tiny.run("repair", "tiny", "--no-validate", "--json").data["verdict"] == "unvalidated"


def test_explain_recognises_what_create_does(lab: Lab) -> None:
    """The failure that `create` names is what `explain` names of the report that it left."""
    said = "libmkl_intel_lp64.so.2: cannot open shared object file: No such file or directory"
    lab.lock_tiny(torch=TORCH | {"torch/__init__.py": f"raise ImportError('{said}')\n"})
    created = lab.run("create", "tiny", "--json").data["matches"]
    explained = lab.run("explain", "tiny", "--json").data["matches"]
    assert created
    assert {match["id"] for match in created} <= {match["id"] for match in explained}


def test_an_environment_that_was_never_validated_is_unknown(tiny: Lab) -> None:
    """Where torch was never started nothing is known of it, and `validate` is offered."""
    tiny.build_tiny()
    shown = tiny.run("doctor", "tiny", "--json")
    assert (shown.code, shown.data["outcome"]) == (7, "unknown")
    assert shown.error["hints"] == ["run `provision validate tiny` to try it now"]


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
    assert explained.startswith("damage: changed since it was built: tinyapp is missing (locked 1.0)\nhint: ")
    assert (
        "\nthe last validation, of 2026-01-02 on `cpu`, did not pass stage packages: installed files differ"
        "\nhint: run " in explained
    )
    assert "`provision repair tiny`" in explained
    failure = tiny.run("explain", "tiny", "--json").data["failure"]
    assert (failure["stage"], failure["reason"]) == ("packages", "installed files differ")
    assert "  2026-01-02" in tiny.run("list").out
    assert "None" not in tiny.run("list").out


def test_explain_has_what_is_fatal_before_a_warning_of_a_validation(tiny: Lab) -> None:
    """Validations and packages are ordered together, as one log is: a warning that came first is no cause."""
    prefix = tiny.build_tiny()
    (torch,) = prefix.rglob("torch-*.dist-info")
    torch.rename(torch.with_name("torch-2.1.0a0+cxx11.abi.dist-info"))
    generation = find_environment(EnvironmentHome(data=tiny.data), "tiny")
    assert generation is not None
    report = Report(
        verdict=Verdict.FAILED,
        stage="imports",
        reason="torch cannot be imported",
        records=(CheckRecord(name="imports", status=Status.FAILED, seconds=1.0),),
        device={"asked": "cpu"},
        output=(LOGS / "torch24-numpy21.log").read_text(encoding="utf-8"),
        environment="tiny",
        lock_fingerprint=generation.receipt.fingerprint,
        created_at="2026-01-02T03:04:05+00:00",
    )
    generation.report.write_text(json.dumps(report.as_json()), encoding="utf-8")
    matches = tiny.run("explain", "tiny", "--json").data["matches"]
    assert [match["id"] for match in matches] == ["libmkl-core-libs", "numpy2-abi"]


@pytest.mark.parametrize(("asked", "kernel"), [("cpu", "not asked"), ("xpu:1", "unknown")])
def test_a_validation_elsewhere_proves_nothing_here(tiny: Lab, asked: str, kernel: str) -> None:
    """A kernel that ran on another device than the profile's is not counted as one that ran on it."""
    tiny.build_tiny()
    _store_report(tiny, asked=asked)
    layers = {layer["name"]: layer for layer in tiny.run("doctor", "tiny", "--json").data["layers"]}
    assert layers["torch"]["verdict"] == "not asked"
    assert layers["kernel"]["verdict"] == kernel


def test_a_pass_on_another_device_is_told_and_proves_nothing(lab: Lab) -> None:
    """Only the newest validation is called the last; the profile's verdict stays that of its own device."""
    lab.offer("torch", "2.11.0+xpu", index="torch")
    lab.offer("tinyapp", "1.0")
    lab.write_profile(
        changes={"device: cpu": "device: xpu", "torch: cpu": "torch: xpu", "2.13.0+cpu": "2.11.0+xpu"}
    )
    assert lab.run("create", "tiny", "--lock", "--no-gate", "--no-validate").code == 0
    generation = find_environment(EnvironmentHome(data=lab.data), "tiny")
    assert generation is not None
    _store_report(lab, asked="cpu")
    passed = generation.report.rename(generation.prefix / OTHER_REPORT_NAME)
    explained = lab.run("explain", "tiny").out
    assert "the last validation, of 2026-01-02 on `cpu`, passed; it was not validated on `xpu`" in explained
    absent = json.loads(passed.read_text(encoding="utf-8")) | {
        "verdict": "unvalidated",
        "stage": "device",
        "reason": "torch sees no `xpu` device",
        "device": {"asked": "xpu"},
        "created_at": "2026-01-01T03:04:05+00:00",
    }
    generation.report.write_text(json.dumps(absent), encoding="utf-8")
    explained = lab.run("explain", "tiny").out
    assert "the validation of 2026-01-01 on `xpu` did not pass stage device: torch sees no" in explained
    assert "\nthe last validation, of 2026-01-02 on `cpu`, passed\n" in explained
    assert lab.run("explain", "tiny", "--json").data["failure"]["stage"] == "device"
    (row,) = lab.run("list", "--json").data["environments"]
    assert (row["verdict"], row["elsewhere"]["verdict"], row["elsewhere"]["device"]) == (
        "unvalidated",
        "passed",
        "cpu",
    )
    told = "passed on cpu at 2026-01-02T03:04:05+00:00"
    assert f"    on another device than its profile's: {told}\n" in lab.run("list").out
    assert "; passed on cpu (A processor) at 2026-01-02" in lab.run("list", "--generations").out
    doctor = lab.run("doctor", "tiny")
    told = "passed on cpu (A processor) at 2026-01-02T03:04:05+00:00; unvalidated on xpu"
    assert f"\nvalidated: {told}" in doctor.out
    generation.report.write_text(
        json.dumps(absent | {"created_at": "2026-01-03T03:04:05+00:00"}), encoding="utf-8"
    )
    explained = lab.run("explain", "tiny").out
    assert "the last validation, of 2026-01-03 on `xpu`, did not pass" in explained
    assert "\nthe validation of 2026-01-02 on `cpu` passed\n" in explained
