"""The real probe in small real environments: what is missing, changed, foreign or crashing there is named."""

import base64
import hashlib
import json
import subprocess
import sys
import textwrap
import venv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from provisioner.diagnose.failures.probe_errors import recognise_error
from provisioner.engines.process.run import start_program
from provisioner.events import ignore_events
from provisioner.install.file_lists import BYTECODE_NAME
from provisioner.install.inventory import find_list_digests, make_inventory
from provisioner.profile.model import TorchVariant
from provisioner.validate.model import Report, Status, ValidationRequest, Verdict
from provisioner.validate.run import validate_environment


def digest_lists(prefix: Path) -> dict[str, str]:
    """Return what a build would keep of the lists of files."""
    return find_list_digests(make_inventory(prefix))


TORCH = {
    "torch/__init__.py": """
        from torch import version
        __version__ = "2.13.0+cpu"
        def get_num_threads(): return 1
    """,
    "torch/version.py": "cuda = None",
}


def site_packages(prefix: Path) -> Path:
    if sys.platform == "win32":
        return prefix / "Lib" / "site-packages"
    return prefix / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"


def install(site: Path, name: str, version: str, files: Mapping[str, str]) -> None:
    """Lay a package out as an installer does, with its RECORD."""
    info = f"{name}-{version}.dist-info"
    content = {path: textwrap.dedent(text).encode() for path, text in files.items()}
    content[f"{info}/METADATA"] = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode()
    record = ""
    for path, data in content.items():
        (site / path).parent.mkdir(parents=True, exist_ok=True)
        (site / path).write_bytes(data)
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        record += f"{path},sha256={digest},{len(data)}\n"
    (site / info / "RECORD").write_text(f"{record}{info}/RECORD,,\n", encoding="utf-8")


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    """An environment with a stand-in for torch and a small package."""
    folder = tmp_path / "environment"
    venv.create(folder, with_pip=False, symlinks=True)
    site = site_packages(folder)
    install(site, "torch", "2.13.0+cpu", TORCH)
    install(site, "demo", "1.0", {"demo/__init__.py": "", "demo/part.py": "x = 1\n"})
    return folder


def validate(prefix: Path, **options: Any) -> Report:
    values: dict[str, Any] = {
        "interpreter": prefix / "bin" / "python",
        "prefix": prefix,
        "device": "cpu",
        "family": "llama3",
        "precision": "fp32",
        "torch_variant": TorchVariant.CPU,
        "locked": {"torch": "2.13.0+cpu", "demo": "1.0"},
    }
    request = ValidationRequest(**(values | options))
    return validate_environment(
        request, process=start_program, recognise=recognise_error, on_event=ignore_events
    )


def assert_passed(report: Report, stage: str) -> None:
    record = report.find_record(stage)
    assert record is not None
    assert record.status is Status.PASSED, record.reason


def test_whole_packages_pass_and_a_missing_module_is_named(prefix: Path) -> None:
    """The files agree with their packages; transformers, which nobody installed, is missing by name."""
    report = validate(prefix)
    assert_passed(report, "packages")
    assert (report.stage, report.code) == ("imports", "missing_module")
    assert "'transformers'" in str(report.reason)
    assert report.versions["demo"] == "1.0"
    assert report.versions["python"].startswith("3.")


def test_a_deleted_file_is_named(prefix: Path) -> None:
    """One module file less: failed, with package and file."""
    (site_packages(prefix) / "demo" / "part.py").unlink()
    report = validate(prefix)
    assert (report.verdict, report.stage, report.code) == (Verdict.FAILED, "packages", "damaged_files")
    assert "`demo/part.py` of `demo` is missing" in str(report.reason)


def test_a_changed_file_is_named(prefix: Path) -> None:
    """One byte more in a file: failed; what Python compiled meanwhile is no change."""
    part = site_packages(prefix) / "demo" / "part.py"
    subprocess.run([prefix / "bin" / "python", "-c", "import demo.part"], check=True)
    assert_passed(validate(prefix), "packages")
    part.write_text("x = 2\n", encoding="utf-8")
    assert "`demo/part.py` of `demo` is changed" in str(validate(prefix).reason)


def test_a_replaced_torch_is_named(prefix: Path) -> None:
    """Another build of torch in its place is a matter of the variant, not of a version."""
    site = site_packages(prefix)
    (site / "torch-2.13.0+cpu.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: torch\nVersion: 2.13.0\n", encoding="utf-8"
    )
    report = validate(prefix)
    assert (report.stage, report.code) == ("packages", "torch_variant")


@pytest.mark.parametrize(
    "name",
    [
        "late.pth",
        "sitecustomize.py",
        "usercustomize.pyc",
        "sitecustomize/__init__.py",
        "sitecustomize.abi3.so",
    ],
)
def test_added_startup_code_is_named(prefix: Path, name: str) -> None:
    """What Python runs at its start and no package brought is an offence of its own."""
    path = site_packages(prefix) / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"")
    report = validate(prefix)
    assert (report.verdict, report.stage, report.code) == (Verdict.FAILED, "packages", "startup_code")
    assert f"`{path.relative_to(prefix)}`" in str(report.reason)


def test_startup_code_of_a_package_counts_from_the_day_it_was_built(prefix: Path) -> None:
    """A package of the lock may bring a `.pth` file; one that was installed later may not."""
    site = site_packages(prefix)
    install(site, "starter", "1.0", {"starter.pth": "import os\n"})
    assert_passed(validate(prefix, manifest=digest_lists(prefix)), "packages")
    before = {name: text for name, text in digest_lists(prefix).items() if "starter" not in name}
    report = validate(prefix, manifest=before)
    assert (report.stage, report.code) == ("packages", "startup_code")


def test_an_added_file_is_named(prefix: Path, tmp_path: Path) -> None:
    """A module that no package brought fails, and a link to a folder; what Python compiled does not."""
    site = site_packages(prefix)
    (site / "demo" / "extra.py").write_text("x = 1\n", encoding="utf-8")
    (site / "elsewhere").symlink_to(tmp_path)
    (site / "demo" / "__pycache__").mkdir()
    (site / "demo" / "__pycache__" / "part.cpython-311.pyc").write_bytes(b"")
    report = validate(prefix)
    assert (report.verdict, report.stage, report.code) == (Verdict.FAILED, "packages", "added_files")
    added = [str((site / name).relative_to(prefix)) for name in ("demo/extra.py", "elsewhere")]
    assert f"`{added[0]}`, `{added[1]}`" in str(report.reason)
    assert "more" not in str(report.reason)


def test_a_file_that_was_changed_together_with_its_record_is_noticed(prefix: Path) -> None:
    """The lists of files are those of the day when the environment was built."""
    manifest = digest_lists(prefix)
    assert_passed(validate(prefix, manifest=manifest), "packages")
    install(site_packages(prefix), "demo", "1.0", {"demo/__init__.py": "", "demo/part.py": "x = 2\n"})
    assert_passed(validate(prefix), "packages")
    report = validate(prefix, manifest=manifest)
    assert (report.stage, report.code) == ("packages", "damaged_files")
    assert "demo-1.0.dist-info/RECORD` of `demo` is changed" in str(report.reason)


def test_a_compiled_module_of_the_build_is_compared(prefix: Path) -> None:
    """Changed it is damage; deleted it is none, because Python makes it again."""
    compiled = site_packages(prefix) / "demo/__pycache__/part.cpython-311.pyc"
    compiled.parent.mkdir()
    compiled.write_bytes(b"as built")
    digest = base64.urlsafe_b64encode(hashlib.sha256(b"as built").digest()).rstrip(b"=").decode()
    row = f"{compiled.relative_to(prefix).as_posix()},sha256={digest},8\n"
    (prefix / BYTECODE_NAME).write_text(row, encoding="utf-8")
    manifest = digest_lists(prefix)
    assert_passed(validate(prefix, manifest=manifest), "packages")
    compiled.write_bytes(b"as edited")
    report = validate(prefix, manifest=manifest)
    assert (report.stage, report.code) == ("packages", "damaged_files")
    assert "part.cpython-311.pyc` of `provision-bytecode.csv` is changed" in str(report.reason)
    compiled.unlink()
    assert_passed(validate(prefix, manifest=manifest), "packages")
    (prefix / BYTECODE_NAME).write_text("", encoding="utf-8")
    assert validate(prefix, manifest=manifest).code == "damaged_files"


def test_what_conda_packages_brought_is_known(prefix: Path) -> None:
    """Files that a conda package lists are no strangers, until its list is another."""
    site = site_packages(prefix)
    (site / "native.py").write_text("", encoding="utf-8")
    record = prefix / "conda-meta" / "native-1.0-0.json"
    record.parent.mkdir()
    record.write_text(
        json.dumps({"files": [str((site / "native.py").relative_to(prefix))]}), encoding="utf-8"
    )
    manifest = digest_lists(prefix)
    assert_passed(validate(prefix, manifest=manifest), "packages")
    record.write_text("{", encoding="utf-8")
    assert validate(prefix, manifest=manifest).code == "damaged_files"
    assert validate(prefix).code == "added_files"


def test_a_foreign_package_is_named(prefix: Path, tmp_path: Path) -> None:
    """A `.pth` file that brings in a folder of elsewhere: the package and the folder are named."""
    other = tmp_path / "other"
    install(other, "intruder", "1.0", {"intruder.py": ""})
    (site_packages(prefix) / "intruder.pth").write_text(f"{other}\n", encoding="utf-8")
    report = validate(prefix)
    assert (report.stage, report.code) == ("packages", "contaminated")
    assert "`intruder`" in str(report.reason)
    assert str(other) in str(report.reason)


def test_a_foreign_torch_is_named(prefix: Path, tmp_path: Path) -> None:
    """A `torch.py` that a `.pth` file puts before the environment's is named by its file."""
    other = tmp_path / "other"
    other.mkdir()
    (other / "torch.py").write_text(
        "__version__ = '9'\nclass version: cuda = None\ndef get_num_threads(): return 1\n", encoding="utf-8"
    )
    install(site_packages(prefix), "transformers", "4.37.0", {"transformers.py": ""})
    line = f"import sys; sys.path.insert(0, {str(other)!r})\n"
    install(site_packages(prefix), "first", "1.0", {"first.pth": line})
    report = validate(prefix)
    assert (report.stage, report.code) == ("imports", "contaminated")
    assert str(other / "torch.py") in str(report.reason)


def test_what_surrounds_the_environment_is_not_used(prefix: Path, tmp_path: Path) -> None:
    """`PYTHONPATH`, `PYTHONHOME`, start-up files and the user's own site do not reach the probe."""
    evil = tmp_path / "evil"
    evil.mkdir()
    for name in ("torch.py", "sitecustomize.py", "usercustomize.py"):
        (evil / name).write_text("raise SystemExit('the evil one ran')", encoding="utf-8")
    user = tmp_path / "home" / ".local" / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}"
    (user / "site-packages").mkdir(parents=True)
    (user / "site-packages" / "torch.py").write_text("raise SystemExit('the user's')", encoding="utf-8")
    host = {
        "PYTHONPATH": str(evil),
        "PYTHONHOME": str(evil),
        "PYTHONSTARTUP": str(evil / "torch.py"),
        "LD_LIBRARY_PATH": str(evil),
        "HOME": str(tmp_path / "home"),
    }
    report = validate(prefix, host_env=host)
    assert_passed(report, "packages")
    assert report.code == "missing_module"
    assert "'transformers'" in str(report.reason)


@pytest.mark.parametrize(
    ("torch", "code", "said"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGILL)", "crash", "SIGILL"),
        ("import ctypes; ctypes.string_at(0)", "crash", "SIGSEGV"),
        ("import os; os._exit(3)", "crash", "exit code 3"),
        ("raise SystemExit(0)", "import", "SystemExit"),
        ("import time; time.sleep(60)", "timeout", "did not end"),
        (
            "raise OSError('libmkl_intel_lp64.so.2: cannot open shared object file')",
            "missing_library",
            "libmkl_intel_lp64.so.2",
        ),
    ],
)
def test_a_torch_that_does_not_load_is_told(prefix: Path, torch: str, code: str, said: str) -> None:
    """Whatever importing torch does, it is the imports check that tells, with the cause."""
    (site_packages(prefix) / "torch" / "__init__.py").write_text(torch, encoding="utf-8")
    report = validate(prefix, locked={"demo": "1.0"}, deadlines_s={"imports": 2.0})
    assert (report.stage, report.code) == ("imports", code), report.reason
    assert said in str(report.reason)


def test_the_memory_cap_holds(prefix: Path) -> None:
    """A probe that takes more memory than allowed is out of memory, not killed by the machine."""
    greedy = "data = bytearray(3 << 30)"
    (site_packages(prefix) / "torch" / "__init__.py").write_text(greedy, encoding="utf-8")
    report = validate(prefix, locked={"demo": "1.0"}, memory_limit_bytes=1 << 30)
    assert (report.stage, report.code) == ("imports", "host_memory")
