"""The probe's variables: a few of ours, the profile's, nothing that contaminates."""

from pathlib import PurePath, PurePosixPath, PureWindowsPath
from typing import Any

from provisioner.validate.environment import build_environment, find_programs
from provisioner.validate.model import ValidationRequest


def request(prefix: PurePath, **options: Any) -> ValidationRequest:
    values: dict[str, Any] = {"device": "cpu", "family": "llama3", "precision": "sym_int8"}
    return ValidationRequest(**(values | {"prefix": prefix, "interpreter": prefix / "python"} | options))


def test_windows_keeps_what_python_needs_to_start() -> None:
    """`SystemRoot` and its kin pass in any spelling, and the conda folders come before the system's."""
    prefix = PureWindowsPath(r"C:\envs\llama3-arc")
    host = {"SystemRoot": r"D:\Windows", "PYTHONPATH": r"C:\evil", "Path": r"C:\evil", "AppData": r"C:\a"}
    variables = build_environment(
        request(prefix, host_env=host, base="conda", platform="win-64"), r"C:\scratch"
    )
    assert variables["SystemRoot"] == r"D:\Windows"
    assert variables["AppData"] == r"C:\a"
    assert "PYTHONPATH" not in variables
    assert variables["TEMP"] == r"C:\scratch"
    folders = variables["PATH"].split(";")
    assert folders[0] == r"C:\envs\llama3-arc"
    assert r"C:\envs\llama3-arc\Scripts" in folders
    assert r"C:\envs\llama3-arc\Library\bin" in folders
    assert folders[-2:] == [r"D:\Windows\System32", r"D:\Windows"]
    assert r"C:\evil" not in folders


def test_posix_paths_are_the_environments_and_the_systems() -> None:
    """Our own `PATH` is not passed on."""
    variables = build_environment(
        request(PurePosixPath("/envs/a"), host_env={"PATH": "/evil", "HOME": "/home/me"}), "/scratch"
    )
    assert variables["PATH"] == "/envs/a/bin:/usr/local/bin:/usr/bin:/bin"
    assert variables["HOME"] == "/home/me"
    assert variables["TMPDIR"] == "/scratch"


def test_the_profile_cannot_switch_the_hub_on() -> None:
    """Offline stays offline, whatever a profile says; its other variables are literal but for `{prefix}`."""
    env = {"HF_HUB_OFFLINE": "0", "LIB": "{prefix}/lib", "ODD": "{other} $(x)"}
    variables = build_environment(request(PurePosixPath("/envs/a"), env=env), "/scratch")
    assert variables["HF_HUB_OFFLINE"] == "1"
    assert variables["LIB"] == "/envs/a/lib"
    assert variables["ODD"] == "{other} $(x)"


def test_programs_are_looked_up_in_the_environment_only() -> None:
    """A command is searched where the platform puts programs, with the suffixes that Windows adds."""
    (program,) = find_programs(request(PurePosixPath("/envs/a")), "chatchat")
    assert str(program) == "/envs/a/bin/chatchat"
    places = find_programs(request(PureWindowsPath(r"C:\a"), platform="win-64"), "chatchat")
    assert str(places[0]) == r"C:\a\Scripts\chatchat.exe"
