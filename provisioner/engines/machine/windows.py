r"""Read a Windows machine through one PowerShell call that prints JSON.

``wmic`` is gone from current Windows 11. Sources: Microsoft's reference of ``Win32_VideoController``,
``Win32_PnPEntity`` (problem codes, ``CompatibleID``) and ``Win32_DeviceMemoryAddress``, and the registry's
``HKLM\SYSTEM\CurrentControlSet\Control\FileSystem\LongPathsEnabled``.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from provisioner.diagnose.machine.facts import DisplayDevice, HostFacts, Library
from provisioner.engines.process.run import ProgramTimeoutError, run_program
from provisioner.ground.text import replace_controls, shorten, shown

TIMEOUT_S = 10.0

# As text in `-Command`: Windows' default policy runs no script files.
SCRIPT = Path(__file__).with_name("windows.ps1")

_PNP_ID = re.compile(r"^PCI\\VEN_([0-9A-F]{4})&DEV_([0-9A-F]{4})", re.IGNORECASE)


def gather_windows(variables: Mapping[str, str]) -> HostFacts:
    """Return the machine's facts; where PowerShell does not answer, why (``unread``).

    Args:
        variables: The inherited environment: PowerShell needs it whole, it stays on this machine.
    """
    folder = Path(variables.get("SYSTEMROOT") or variables.get("SystemRoot") or r"C:\Windows") / "System32"
    program = folder / "WindowsPowerShell" / "v1.0" / "powershell.exe"
    argv = (program, "-NoProfile", "-NonInteractive", "-Command", SCRIPT.read_text(encoding="utf-8"))
    try:
        done = run_program(argv, env=variables, cwd=folder, timeout_s=TIMEOUT_S)
    except ProgramTimeoutError:
        return _unread(f"PowerShell did not answer within {TIMEOUT_S:g} s")
    except OSError as error:
        return _unread(f"`{program}` could not be started: {(error.strerror or str(error)).lower()}")
    return parse_windows_facts(done.stdout)


def parse_windows_facts(text: str) -> HostFacts:
    """Read what the script printed; what is missing or has another type is unknown."""
    try:
        data = json.loads(text.lstrip("\ufeff").strip())
    except ValueError:
        data = None
    if not isinstance(data, dict):
        said = shorten(text, 120)
        return _unread(f"PowerShell answered {shown(said)}" if said else "PowerShell printed nothing")
    loader = data.get("loader")
    long_paths = data.get("long_paths")
    displays = data.get("displays")
    return HostFacts(
        os="windows",
        release=_text(data.get("release")),
        kernel=_text(data.get("kernel")),
        container=False,
        wsl=False,
        displays=_read_displays(displays) if displays is not None else None,
        libraries=_read_loader(loader, data.get("loader_path")),
        long_paths=bool(long_paths) if isinstance(long_paths, int) else None,
        vc_runtime=_text(data.get("vc_runtime")),
    )


def _unread(why: str) -> HostFacts:
    return HostFacts(os="windows", container=False, wsl=False, unread=why)


def _read_displays(items: Any) -> tuple[DisplayDevice, ...]:
    # Windows PowerShell writes a list of one as the thing itself where it was piped.
    listed = items if isinstance(items, list) else [items]
    found = (_read_display(item) for item in listed if isinstance(item, dict))
    return tuple(display for display in found if display is not None)


def _read_display(item: dict[str, Any]) -> DisplayDevice | None:
    match = _PNP_ID.match(_text(item.get("id")) or "")
    if match is None:
        return None
    problem = item.get("problem")
    bars = item.get("bars")
    texts = [str(size) for size in (bars if isinstance(bars, list) else [bars])]
    sizes = [int(size) for size in texts if size.isdecimal() and len(size) < 20]
    return DisplayDevice(
        vendor=match.group(1).lower(),
        device=match.group(2).lower(),
        name=_text(item.get("name")),
        driver=_text(item.get("service")),
        driver_version=_text(item.get("version")),
        problem=problem if type(problem) is int else None,
        bar_bytes=max(sizes, default=None),
    )


def _read_loader(version: Any, path: Any) -> tuple[Library, ...] | None:
    if not isinstance(version, str):
        return None
    if not path:
        return ()
    return (Library(kind="loader", path=_text(path) or "ze_loader.dll", version=version or None),)


def _text(value: Any) -> str | None:
    if not isinstance(value, str):
        return None
    return replace_controls(value, "").strip()
