"""Evidence: nothing private goes out, nothing hostile comes in, and sentences say what the files say."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from provisioner.diagnose.evidence.describe import describe_evidence, write_evidence
from provisioner.diagnose.evidence.form import Evidence, json_schema, parse_evidence
from provisioner.diagnose.evidence.proof import find_proof
from provisioner.diagnose.machine.facts import DeviceNode, DisplayDevice, HostFacts, Library
from provisioner.errors import ErrorList
from provisioner.pipeline.evidence import load_evidence
from provisioner.profile.load import load_profile
from provisioner.render.evidence import replace_table
from provisioner.validate.model import CheckRecord, Report, Status, Verdict

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "docs" / "evidence"
B580 = DisplayDevice(vendor="8086", device="e20b", address="0000:03:00.0", name="mona's card", driver="xe")
HOST = HostFacts(
    os="linux",
    release="Ubuntu 24.04.1 LTS",
    kernel="6.11.0-8-mona",
    displays=(B580,),
    nodes=(DeviceNode(path="/dev/dri/renderD128"),),
    libraries=(Library(kind="gpu-driver", path="/home/mona/libze_intel_gpu.so.1", version="1.6.32224"),),
    variables={"LD_LIBRARY_PATH": "/home/mona/lib"},
    target="/home/mona/envs",
)
UUID = "8680e20b-0000-0000-0300-000000000000"
REPORT = Report(
    verdict=Verdict.FAILED,
    stage="speed",
    reason="cannot open /home/mona/model of mona-tower (10.1.2.3)",
    hints=("ask mona",),
    code="crash",
    records=(
        CheckRecord(name="packages", status=Status.PASSED, seconds=1.0, measured={"prefix": "/home/mona"}),
        CheckRecord(
            name="comparison",
            status=Status.PASSED,
            seconds=0.5,
            measured={"relative_difference": 0.02345678, "cosine": float("nan"), "of_file": "mona"},
        ),
        CheckRecord(
            name="speed", status=Status.ERROR, seconds=0.0, reason="mona", measured={"warm": {"x": 1}}
        ),
    ),
    device={"kind": "xpu", "name": "Intel(R) Arc(TM) B580 Graphics", "properties": {"uuid": UUID}},
    versions={"python": "3.11.9", "torch": "2.12.0+xpu", "monas-secret-plan": "1.0"},
    environment="mona-env",
    family="llama3",
    backend="transformers",
    precision="nf4",
    lock_fingerprint="a" * 64,
    not_proven=("mona",),
    created_at="2026-11-26T01:02:03+00:00",
    tool_version="0.1.0",
    output="mona",
)


def describe(profile: str | None = "llama3-xpu", **changes: Any) -> dict[str, Any]:
    """Return the document of the report above."""
    return describe_evidence(
        replace(REPORT, **changes), profile=profile, platform="linux-64", host=HOST, known=["a-row"]
    )


def test_nothing_private_goes_out() -> None:
    """Names, paths, addresses, serials and what a user's packages are called stay at home; figures go."""
    text = write_evidence(describe())
    for word in ("mona", "/home", "/dev", "10.1.2.3", UUID, "0000:03", "LD_LIBRARY_PATH"):
        assert word not in text, word
    document = json.loads(text)
    assert document["device"] == {
        "kind": "xpu",
        "name": "Intel(R) Arc(TM) B580 Graphics",
        "pci": "8086:e20b",
        "driver": "1.6.32224",
    }
    assert document["host"]["kernel"] == "6.11.0-8"
    assert document["versions"] == {"python": "3.11.9", "torch": "2.12.0+xpu"}
    assert document["stages"][1]["figures"] == {"relative_difference": 0.0235}


def test_a_users_own_profile_has_no_name() -> None:
    """Neither its own nor that of its family goes out; a family that we have sizes of says what ran."""
    own = describe(None, family="monanet")
    assert ("profile" in own, own["family"]) == (False, "own")
    assert "mona" not in write_evidence(own)
    assert parse_evidence(write_evidence(own).encode(), "report.json").profile is None
    assert describe(None)["family"] == "llama3"


@pytest.mark.parametrize(
    "name", [f"card {UUID}", "card 10.1.2.3", "card a0-b1-c2-d3-e4-f5", "card /home/mona", "\x1b[", "é"]
)
def test_a_device_with_a_private_name_is_only_its_kind(name: str) -> None:
    """What a driver calls a device is shared where it looks like a product's name alone."""
    assert describe(device={"kind": "xpu", "name": name})["device"]["name"] == "xpu"


def test_what_is_written_is_read() -> None:
    """A document fits the form and the JSON Schema, and says the product of the PCI id."""
    document = describe()
    evidence = parse_evidence(write_evidence(document).encode(), "report.json")
    assert (evidence.profile, evidence.card, evidence.verdict) == ("llama3-xpu", "Arc B580", Verdict.FAILED)
    assert evidence.figures == {"comparison.relative_difference": 0.0235}
    jsonschema.Draft202012Validator.check_schema(json_schema())
    jsonschema.Draft202012Validator(json_schema()).validate(document)


@pytest.mark.parametrize(
    ("key", "value", "why"),
    [
        ("verdict", "wonderful", "is not one of passed, failed, unvalidated"),
        ("schema", "provision.evidence/2", "is not one of provision.evidence/1"),
        ("profile", "../../etc/passwd", "is not a profile's name"),
        ("date", "yesterday", "is not a date"),
        ("reason", "cannot open /home/mona", "unknown key `reason`"),
        ("stages", [{"name": "speed", "status": "passed", "seconds": -1}], "seconds"),
        ("stages", [{"name": "dance", "status": "passed", "seconds": 1}], "is not one of"),
        ("device", {"kind": "xpu", "name": f"card {UUID}"}, "an address or a serial number"),
        ("device", {"kind": "xpu", "name": "</td><script>"}, "is not a product's name"),
        ("device", {"kind": "xpu", "name": "a | b"}, "is not a product's name"),
        ("versions", {"torch": "/home/mona"}, "is not a version"),
        ("versions", ["torch"], "a mapping is expected"),
    ],
)
def test_what_the_form_does_not_allow_is_refused_with_its_place(key: str, value: Any, why: str) -> None:
    """Files come from anyone: each wrong value is told with file, line and column."""
    text = json.dumps(describe() | {key: value}, indent=1)
    with pytest.raises(ErrorList) as caught:
        parse_evidence(text.encode(), "sent.json")
    assert any(why in error.message for error in caught.value.errors), caught.value.message
    line = caught.value.errors[0].context["line"]
    assert caught.value.errors[0].message.startswith(f"sent.json:{line}:")
    assert line > 1


@pytest.mark.parametrize(
    "data",
    [b"", b"[]", b"[" * 50_000, b"{" * 50_000, b"\xff\xfe", b" " * (1 << 17), b'{"schema": 1, "schema": 2}'],
)
def test_what_is_no_document_is_refused(data: bytes) -> None:
    """Empty, endless, deep, doubled and binary files are usage errors."""
    with pytest.raises(ErrorList) as caught:
        parse_evidence(data, "sent.json")
    assert caught.value.exit_code == 2


def test_the_committed_reports_have_the_form_and_the_table_is_current() -> None:
    """Every file of docs/evidence/ is one that `scripts/add-evidence` takes, and the page shows them all."""
    paths = sorted(FOLDER.glob("*.json"))
    checked = [parse_evidence(path.read_bytes(), path.name) for path in paths]
    assert checked
    assert tuple(checked) == load_evidence()
    page = FOLDER.joinpath("README.md").read_text(encoding="utf-8")
    assert page == replace_table(page, checked)
    assert not [path.name for path in paths if f"`{path.name}`" not in page]


def test_a_report_is_added_whole_or_not_at_all(tmp_path: Path) -> None:
    """`scripts/add-evidence` writes file and table, nothing where one file is bad, and nothing twice."""
    script = tmp_path / "scripts" / "add-evidence"
    script.parent.mkdir()
    shutil.copy(ROOT / "scripts" / "add-evidence", script)
    folder = tmp_path / "docs" / "evidence"
    folder.mkdir(parents=True)
    page = folder / "README.md"
    page.write_text("before\n" + replace_table("", []) + "after\n", encoding="utf-8")
    good, bad = tmp_path / "good.json", tmp_path / "bad.json"
    good.write_text(write_evidence(describe()), encoding="utf-8")
    bad.write_text(write_evidence(describe() | {"verdict": "x"}), encoding="utf-8")

    def add(*files: Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, script, *files], capture_output=True, text=True, check=False)

    before = page.read_text(encoding="utf-8")
    refused = add(good, bad)
    assert (refused.returncode, "bad.json:7:13" in refused.stderr) == (2, True), refused.stderr
    assert (list(folder.glob("*.json")), page.read_text(encoding="utf-8")) == ([], before)
    assert add(good).returncode == 0
    assert [path.name for path in folder.glob("*.json")] == ["llama3-xpu-nf4-arc-b580-2026-11-26.json"]
    row = "| llama3-xpu | nf4 | Arc B580 | 1.6.32224 | failed | 0.0235 |  |  |  |  |  | 2026-11-26 |"
    assert row in page.read_text(encoding="utf-8")
    assert "there already" in add(good).stdout
    assert len(list(folder.glob("*.json"))) == 1


def say(profile: str, *evidence: Evidence, card: str | None = None, fingerprint: str | None = None) -> str:
    """Return the sentence about a built-in profile."""
    wanted = load_profile(profile, folders=[ROOT / "envs"])
    return find_proof(evidence, wanted, card=card).describe(fingerprint=fingerprint)


def test_sentences_say_what_is_proven_where() -> None:
    """Cards that passed and failed, other locks, reports without a profile, the card that nobody reported."""
    failed = parse_evidence(write_evidence(describe()).encode(), "x.json")
    passed = replace(failed, verdict=Verdict.PASSED, date="2026-11-27")
    other = replace(passed, card="NVIDIA H100", kind="cuda", profile=None)
    assert say("llama3-cpu", passed) == "no report yet"
    assert say("llama3-xpu") == "no report from an Intel GPU yet"
    assert say("llama3-xpu", card="Data Center GPU Max") == "no report from a Data Center GPU Max yet"
    assert say("llama3-xpu", passed, card="Arc B580") == "proven on Arc B580 (2026-11-27)"
    assert say("llama3-xpu", failed, card="Arc A770") == (
        "failed on Arc B580 (2026-11-26); no report from an Arc A770 yet"
    )
    assert say("llama3-xpu", passed, fingerprint="a" * 64) == "proven on Arc B580 (2026-11-27)"
    assert "(2026-11-27, with another lock)" in say("llama3-xpu", passed, fingerprint="b" * 64)
    assert say("llama3-torch-cpu", other) == "its checks passed with other wheels on NVIDIA H100 (2026-11-27)"
    assert say("llama3-xpu29", other) == "no report from an Intel GPU yet"
