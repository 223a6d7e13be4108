"""Environments read from their files: packages, and libraries that binaries ask for in vain."""

import struct
import sys
from pathlib import Path

import numpy  # noqa: ICN001 # its place on the disk, not its arrays
import pytest

from provisioner.engines.machine.binaries import read_needs
from provisioner.engines.machine.environment import gather_environment


def _write_elf(path: Path, *, needed: tuple[str, ...], runpath: str = "") -> None:
    """Write the smallest 64-bit ELF library with a dynamic section."""
    strings = b"\0"
    entries = []
    for tag, text in [*((1, name) for name in needed), *([(29, runpath)] if runpath else [])]:
        entries.append((tag, len(strings)))
        strings += text.encode() + b"\0"
    headers_at, count = 64, 2
    strings_at = headers_at + 56 * count
    dynamic_at = strings_at + len(strings)
    table = [*entries, (5, strings_at), (0, 0)]
    dynamic = b"".join(struct.pack("<qQ", tag, value) for tag, value in table)
    size = dynamic_at + len(dynamic)
    head = b"\x7fELF\x02\x01\x01" + bytes(9)
    head += struct.pack("<HHIQQQIHHHHHH", 3, 62, 1, 0, headers_at, 0, 0, 64, 56, count, 0, 0, 0)
    load = struct.pack("<IIQQQQQQ", 1, 5, 0, 0, 0, size, size, 4096)
    pointer = struct.pack(
        "<IIQQQQQQ", 2, 6, dynamic_at, dynamic_at, dynamic_at, len(dynamic), len(dynamic), 8
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(head + load + pointer + strings + dynamic)


def _write_pe(path: Path, *, needed: tuple[str, ...]) -> None:
    """Write the smallest 64-bit DLL with an import directory, in one section at 0x1000."""
    descriptors_size = 20 * (len(needed) + 1)
    names = b""
    descriptors = b""
    for name in needed:
        descriptors += struct.pack("<IIIII", 0, 0, 0, 0x1000 + descriptors_size + len(names), 0)
        names += name.encode() + b"\0"
    body = descriptors + bytes(20) + names
    optional = bytearray(240)
    struct.pack_into("<H", optional, 0, 0x20B)
    struct.pack_into("<II", optional, 112 + 8, 0x1000, len(body))
    head = b"MZ" + bytes(58) + struct.pack("<I", 64)
    coff = b"PE\0\0" + struct.pack("<HHIIIHH", 0x8664, 1, 0, 0, 0, len(optional), 0x2022)
    section = b".rdata\0\0" + struct.pack("<IIIIIIHHI", len(body), 0x1000, len(body), 512, 0, 0, 0, 0, 0)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes((head + coff + bytes(optional) + section).ljust(512, b"\0") + body)


def _add_package(site: Path, name: str, version: str) -> None:
    folder = site / f"{name}-{version}.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text(f"Name: {name}\nVersion: {version}\n", encoding="utf-8")


@pytest.fixture
def linux(tmp_path: Path) -> Path:
    """Return a venv in Linux' layout with torch 2.1 of Intel's."""
    site = tmp_path / "env/lib/python3.11/site-packages"
    _add_package(site, "torch", "2.1.0a0+cxx11.abi")
    _add_package(site, "Intel_Extension.for-pytorch", "2.1.10+xpu")
    (tmp_path / "env/pyvenv.cfg").write_text("home = /usr/bin\nversion = 3.11.9\n", encoding="utf-8")
    (tmp_path / "system").mkdir()
    (tmp_path / "system/libc.so.6").touch()
    return tmp_path


@pytest.fixture
def windows(tmp_path: Path) -> Path:
    """Return a conda prefix in Windows' layout with torch 2.1 of Intel's."""
    _add_package(tmp_path / "env/Lib/site-packages", "torch", "2.1.0a0+cxx11.abi")
    record = tmp_path / "env/conda-meta/python-3.11.9-h631f459_0_cpython.json"
    record.parent.mkdir(parents=True)
    record.write_text("{}", encoding="utf-8")
    system = tmp_path / "System32"
    system.mkdir()
    (system / "KERNEL32.dll").touch()
    return tmp_path


def test_packages_and_python_are_read(linux: Path) -> None:
    """Names are normalised, versions keep their local part."""
    facts = gather_environment(linux / "env", platform="linux-64", locked={"torch": "2.1"})
    assert facts.python == "3.11.9"
    assert facts.distributions == {
        "torch": "2.1.0a0+cxx11.abi",
        "intel-extension-for-pytorch": "2.1.10+xpu",
    }
    assert facts.locked == {"torch": "2.1"}
    assert facts.missing_libraries == ()


def test_missing_libraries_of_linux_are_named(linux: Path) -> None:
    """A library that is nowhere is named with who needs it; the others are found where the loader looks."""
    site = linux / "env/lib/python3.11/site-packages"
    _write_elf(
        site / "torch/lib/libtorch_cpu.so",
        needed=("libc10.so", "libc.so.6", "libmkl_intel_lp64.so.2", "libsycl.so.7", "libextra.so.1"),
        runpath="$ORIGIN:$ORIGIN/../../extra/lib",
    )
    (site / "torch/lib/libc10.so").touch()
    (site / "extra/lib").mkdir(parents=True)
    (site / "extra/lib/libextra.so.1").touch()
    (linux / "env/lib/libsycl.so.7").touch()
    facts = gather_environment(linux / "env", platform="linux-64", system_folders=[linux / "system"])
    assert facts.missing_libraries == ("libmkl_intel_lp64.so.2 (needed by torch/lib/libtorch_cpu.so)",)


def test_missing_libraries_of_windows_are_named(windows: Path) -> None:
    """The `uv.dll` of libuv is missed by name until conda's package brings it; Windows ignores case."""
    library = windows / "env/Lib/site-packages/torch/lib/backend_with_compiler.dll"
    _write_pe(library, needed=("KERNEL32.dll", "api-ms-win-crt-runtime-l1-1-0.dll", "uv.dll", "c10.dll"))
    (library.parent / "C10.dll").touch()
    places = [windows / "System32"]
    facts = gather_environment(windows / "env", platform="win-64", system_folders=places)
    assert facts.python == "3.11.9"
    assert facts.missing_libraries == ("uv.dll (needed by torch/lib/backend_with_compiler.dll)",)
    (windows / "env/Library/bin").mkdir(parents=True)
    (windows / "env/Library/bin/uv.dll").touch()
    mended = gather_environment(windows / "env", platform="win-64", system_folders=places)
    assert mended.missing_libraries == ()


def test_libraries_of_torch_are_compared_with_its_record(linux: Path) -> None:
    """A library that is gone, cut short or no library is named; the rest of the record is not looked at."""
    site = linux / "env/lib/python3.11/site-packages"
    _write_elf(site / "torch/lib/libc10.so", needed=("libc.so.6",))
    _write_elf(site / "torch/lib/libtorch.so", needed=("libc.so.6",))
    (site / "torch/__init__.py").write_text("", encoding="utf-8")
    (site / "torch/lib/libshm.so").write_bytes(b"no ELF file, and as long as the record says")
    sizes = {path.name: path.stat().st_size for path in (site / "torch/lib").iterdir()}
    rows = [f"torch/lib/{name},sha256=x,{size}" for name, size in sizes.items()]
    rows += ["torch/lib/libgone.so.1,sha256=x,7", "torch/utils/notes.txt,sha256=x,5", "torch/RECORD,,"]
    rows += ["torch/__init__.py,sha256=x,0", "torch/lib/libodd.so,sha256=x,much"]
    record = site / "torch-2.1.0a0+cxx11.abi.dist-info/RECORD"
    record.write_text("\n".join(rows), encoding="utf-8")
    whole = (site / "torch/lib/libc10.so").read_bytes()
    (site / "torch/lib/libc10.so").write_bytes(whole[:100])
    facts = gather_environment(linux / "env", platform="linux-64", system_folders=[linux / "system"])
    assert facts.damage is not None
    assert set(facts.damage) == {
        f"`torch/lib/libc10.so` has 100 bytes, and had {len(whole)} when it was installed",
        "`torch/lib/libc10.so` is no library that this system can load",
        "`torch/lib/libgone.so.1` is missing",
        "`torch/lib/libshm.so` is no library that this system can load",
    }


def test_the_build_is_read_from_torch_itself(linux: Path) -> None:
    """The default index's torch names its build in its code only."""
    site = linux / "env/lib/python3.11/site-packages"
    (site / "torch").mkdir()
    code = "from typing import Optional\n__version__ = '2.13.0+cu130'\ndebug = False\n"
    (site / "torch/version.py").write_text(code, encoding="utf-8")
    assert gather_environment(linux / "env", platform="linux-64").torch_version == "2.13.0+cu130"


def test_a_windows_interpreter_is_a_windows_program(windows: Path) -> None:
    """On Windows the interpreter starts as every program there does, and conda's needs no `pyvenv.cfg`."""
    python = windows / "env/python.exe"
    python.write_bytes(b"MZ and more")
    assert gather_environment(windows / "env", platform="win-64", interpreter=python).damage == ()
    python.write_bytes(b"\x7fELF")
    facts = gather_environment(windows / "env", platform="win-64", interpreter=python)
    assert facts.damage == ("the interpreter `python.exe` is no program that this system can start",)


def test_a_folder_without_packages_has_unknown_ones(tmp_path: Path) -> None:
    """A folder that is no environment has unknown packages, not none, and its lack of them is damage."""
    facts = gather_environment(tmp_path, platform="linux-64")
    assert facts.distributions is None
    assert facts.missing_libraries is None
    assert facts.damage == ("the folder of packages (`site-packages`) is missing",)


@pytest.mark.skipif(sys.platform != "linux", reason="reads an ELF library that was not built here")
def test_a_real_library_is_read() -> None:
    """NumPy's own binary asks for the C library and for OpenBLAS below its origin, by this reader too."""
    (binary,) = (Path(numpy.__file__).parent / "_core").glob("_multiarray_umath*.so")
    needs = read_needs(binary)
    assert needs is not None
    assert "libc.so.6" in needs.names
    assert any("openblas" in name for name in needs.names)
    assert any(folder.startswith("$ORIGIN") for folder in needs.folders)


@pytest.mark.parametrize("keep", [0, 3, 40, 70, 130, 180])
def test_damaged_binaries_ask_for_nothing(tmp_path: Path, keep: int) -> None:
    """A truncated, foreign or endless binary gives no names and no error."""
    elf, dll = tmp_path / "a.so", tmp_path / "a.dll"
    _write_elf(elf, needed=("libx.so",))
    _write_pe(dll, needed=("x.dll",))
    for file in (elf, dll):
        whole = file.read_bytes()
        assert read_needs(file) is not None
        file.write_bytes(whole[:keep])
        assert read_needs(file) is None
        file.write_bytes(whole[:keep] + b"\xff" * (len(whole) - keep))
        needs = read_needs(file)
        assert needs is None or len(needs.names) < 5000
