r"""The reader of what Windows' PowerShell prints; the text is laid out as ConvertTo-Json writes it."""

import json
from typing import Any

import pytest

from provisioner.diagnose.machine.doctor import judge_layers
from provisioner.diagnose.machine.facts import HostFacts
from provisioner.diagnose.machine.layers.model import LayerState, WantedHost
from provisioner.engines.machine.windows import SCRIPT, gather_windows, parse_windows_facts

PRINTED: dict[str, Any] = {
    "release": "Microsoft Windows 11 专业版",
    "kernel": "10.0.26100",
    "long_paths": 1,
    "loader": "1.18.3.0",
    "loader_path": "C:\\WINDOWS\\system32\\ze_loader.dll",
    "vc_runtime": "14.40.33810.0",
    "displays": [
        {
            "id": "PCI\\VEN_8086&DEV_4680&SUBSYS_7D271462&REV_0C\\3&11583659&0&10",
            "name": "Intel(R) UHD Graphics 770",
            "service": "igfxnd",
            "problem": 0,
            "version": "32.0.101.6559",
            "bars": ["16777216", "268435456"],
        },
        {
            "id": "PCI\\VEN_8086&DEV_56A0&SUBSYS_38881025&REV_08\\6&12FFFB42&0&00080019",
            "name": "Intel(R) Arc(TM) A770 Graphics",
            "service": "igfxnd",
            "problem": 0,
            "version": "32.0.101.6559",
            "bars": ["16777216", "17179869184"],
        },
    ],
}


def _parse(**changes: Any) -> HostFacts:
    return parse_windows_facts(json.dumps(PRINTED | changes))


def test_displays_and_system_are_read() -> None:
    """Both GPUs, their driver and window, Level Zero, the runtime and the setting are read."""
    facts = parse_windows_facts("\ufeff" + json.dumps(PRINTED) + "\r\n")
    assert facts.displays is not None
    assert [(each.vendor, each.device) for each in facts.displays] == [("8086", "4680"), ("8086", "56a0")]
    assert facts.displays[1].bar_bytes == 16 * 1024**3
    assert facts.displays[1].driver_version == "32.0.101.6559"
    assert facts.libraries is not None
    assert facts.libraries[0].version == "1.18.3.0"
    assert (facts.long_paths, facts.vc_runtime, facts.kernel) == (True, "14.40.33810.0", "10.0.26100")


def test_one_display_written_as_itself_is_read() -> None:
    """Windows PowerShell may write a list of one without brackets."""
    facts = _parse(displays=PRINTED["displays"][1] | {"bars": "17179869184"})
    assert facts.displays is not None
    assert facts.displays[0].bar_bytes == 16 * 1024**3


def test_what_is_missing_is_told_from_what_is_unknown() -> None:
    """An absent library is empty, a value that could not be read is None."""
    absent = _parse(loader="", loader_path="", vc_runtime="", displays=[], long_paths=0)
    assert (absent.libraries, absent.vc_runtime, absent.displays, absent.long_paths) == ((), "", (), False)
    unread = _parse(loader=None, vc_runtime=None, displays=None, long_paths=None)
    assert (unread.libraries, unread.vc_runtime, unread.displays, unread.long_paths) == (
        None,
        None,
        None,
        None,
    )


@pytest.mark.parametrize(
    "text",
    ["", "[]", "null", "{", "Get-CimInstance : Zugriff verweigert", '{"displays": [1, "x", {"id": 7}]}'],
)
def test_other_output_gives_unknown_facts(text: str) -> None:
    """Errors and other people's JSON give no GPU and no failure."""
    facts = parse_windows_facts(text)
    assert facts.os == "windows"
    assert not facts.displays
    assert facts.kernel is None


def test_hostile_values_are_not_kept() -> None:
    """Control characters, other types and endless numbers do not come through."""
    display = PRINTED["displays"][1] | {
        "name": "Arc\x1b[31m",
        "problem": "43",
        "bars": ["9" * 400, "x", None],
        "version": ["1"],
    }
    facts = _parse(displays=[display])
    assert facts.displays is not None
    assert facts.displays[0].name == "Arc[31m"
    assert facts.displays[0].problem is None
    assert facts.displays[0].bar_bytes is None
    assert facts.displays[0].driver_version is None


def test_the_script_can_be_one_argument() -> None:
    """The script holds no double quote, which the command line would need to escape, and no wmic."""
    script = SCRIPT.read_text(encoding="utf-8")
    assert '"' not in script
    assert "wmic" not in script.lower()
    assert len(script) < 8000


def test_without_powershell_the_reason_is_kept() -> None:
    """Where PowerShell cannot be started, or prints nothing as under Wine, doctor says so and no more."""
    missing = gather_windows({"SYSTEMROOT": "/nowhere"})
    assert missing == HostFacts(os="windows", container=False, wsl=False, unread=missing.unread)
    assert "powershell.exe` could not be started: " in str(missing.unread)
    silent = parse_windows_facts("")
    assert silent.unread == "PowerShell printed nothing"
    for facts in (missing, silent):
        result = judge_layers(facts, WantedHost(device="xpu"))["gpu"]
        assert result.state is LayerState.UNKNOWN
        assert str(facts.unread) in result.evidence
        assert "sandbox" not in f"{result.evidence} {result.hint}"
