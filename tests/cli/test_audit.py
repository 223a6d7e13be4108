"""`provision audit`: what is known against a lock, asked of a server that answers as OSV does."""

import json
from collections.abc import Iterator

import jsonschema
import pytest

from provisioner.diagnose.advisories.lifecycle import load_rows
from tests.cli.lab import REPOSITORY, Lab, Outcome
from tests.osv_server import TORCH, OsvServer, serve_osv

# The same vulnerability in PyPA's database, and another one of a package that has no fix.
TWIN = {
    "id": "PYSEC-2025-41",
    "details": "PyTorch is a Python package.",
    "aliases": ["CVE-2025-32434", "GHSA-53q9-r3pm-6pq6"],
    "modified": "2025-04-18T16:15:23Z",
    "affected": [
        {
            "package": {"name": "torch", "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "2.6.0"}]}],
        }
    ],
}
PLANTED = {
    "id": "GHSA-aaaa-bbbb-cccc",
    "summary": "tinyapp runs what it reads",
    "modified": "2026-02-01T00:00:00Z",
    "affected": [{"package": {"name": "tinyapp", "ecosystem": "PyPI"}, "versions": ["1.0"]}],
    "database_specific": {"severity": "MODERATE"},
}


@pytest.fixture
def osv(tiny: Lab) -> Iterator[OsvServer]:
    with serve_osv() as server:
        (tiny.root / "provision.yaml").write_text(
            f"mirrors: {{https://api.osv.dev/: {server.url}/}}\n", "utf-8"
        )
        server.plant("torch", "2.13.0", TORCH)
        server.plant("torch", "2.13.0", TWIN)
        server.plant("tinyapp", "1.0", PLANTED)
        yield server


def ignore(lab: Lab, osv: OsvServer, lines: str) -> Outcome:
    """Run the audit with lines below `audit.ignore`."""
    head = f"mirrors: {{https://api.osv.dev/: {osv.url}/}}\naudit:\n  ignore:\n"
    (lab.root / "provision.yaml").write_text(f"{head}{lines}", "utf-8")
    return lab.run("audit", "tiny", "--exit-code", "--json")


def test_a_planted_vulnerability_is_found(tiny: Lab, osv: OsvServer) -> None:
    """Each locked version is asked for without its local part; two names of one advisory are one finding."""
    shown = tiny.run("audit", "tiny", "--json")
    assert shown.code == 0
    (row,) = shown.data["profiles"]
    assert {(query["package"]["name"], query["version"]) for query in osv.queries} == {
        ("torch", "2.13.0"),
        ("tinyapp", "1.0"),
    }
    planted, torch = row["vulnerabilities"]
    assert (planted["id"], planted["severity"], planted["fixed"]) == ("GHSA-aaaa-bbbb-cccc", "moderate", None)
    assert (torch["id"], torch["version"]) == ("GHSA-53q9-r3pm-6pq6", "2.13.0+cpu")
    assert torch["severity"] == "critical"
    assert torch["aliases"] == ["CVE-2025-32434", "PYSEC-2025-41"]
    assert tiny.lockfile.read_text("utf-8").splitlines()[torch["line"] - 1] == "- name: torch"
    text = tiny.run("audit", "tiny").out
    assert "tiny: 2 known vulnerabilities in 2 versions of packages for linux-64" in text
    assert "GHSA-53q9-r3pm-6pq6, CVE-2025-32434: critical" in text


def test_the_exit_code_is_for_ci(tiny: Lab, osv: OsvServer) -> None:
    """`--exit-code` is 10 for a vulnerability and 0 where every finding is ignored or none is there."""
    assert tiny.run("audit", "tiny", "--exit-code").code == 10
    osv.named.clear()
    assert tiny.run("audit", "tiny", "--exit-code").code == 0


def test_the_mended_version_is_the_next_one(tiny: Lab, osv: OsvServer) -> None:
    """Of several mended versions the lowest above the locked one is told."""
    events = [
        {"introduced": "0"},
        {"fixed": "2.6.0"},
        {"introduced": "2.12"},
        {"fixed": "2.13.1"},
        {"fixed": "3"},
    ]
    affected = [{**TORCH["affected"][0], "ranges": [{"type": "ECOSYSTEM", "events": events}]}]  # type: ignore[index]
    osv.advisories["GHSA-53q9-r3pm-6pq6"]["affected"] = affected
    (row,) = tiny.run("audit", "tiny", "--json").data["profiles"]
    assert row["vulnerabilities"][1]["fixed"] == "2.13.1"


def test_what_was_withdrawn_does_not_count(tiny: Lab, osv: OsvServer) -> None:
    """An advisory that its author took back is no finding."""
    osv.advisories["GHSA-aaaa-bbbb-cccc"]["withdrawn"] = "2026-03-01T00:00:00Z"
    (row,) = tiny.run("audit", "tiny", "--json").data["profiles"]
    assert [each["package"] for each in row["vulnerabilities"]] == ["torch"]


def test_all_pages_of_an_answer_are_read(tiny: Lab, osv: OsvServer) -> None:
    """What OSV puts on a further page counts, too."""
    osv.page = 1
    (row,) = tiny.run("audit", "tiny", "--json").data["profiles"]
    assert row["vulnerabilities"][1]["aliases"] == ["CVE-2025-32434", "PYSEC-2025-41"]
    assert "PYSEC-2025-41" in osv.reads


def test_without_a_network_the_last_answers_count(tiny: Lab, osv: OsvServer) -> None:
    """`--offline` answers from the cache what was asked before, and refuses what was not."""
    refused = tiny.run("audit", "tiny", "--offline", "--json")
    assert refused.code == 8
    assert refused.error["code"] == "unavailable.no_answer"
    assert refused.error["context"]["packages"] == ["tinyapp==1.0", "torch==2.13.0"]
    online = tiny.run("audit", "tiny").out
    asked = len(osv.queries)
    assert tiny.run("audit", "tiny", "--offline").out == online
    assert len(osv.queries) == asked


def test_an_advisory_is_read_again_only_after_a_change(tiny: Lab, osv: OsvServer) -> None:
    """The second run asks for the list and reads nothing; a changed advisory is read once more."""
    tiny.run("audit", "tiny")
    osv.reads.clear()
    tiny.run("audit", "tiny")
    assert osv.reads == []
    osv.advisories["GHSA-aaaa-bbbb-cccc"] |= {"modified": "2026-05-05T00:00:00Z", "summary": "it is worse"}
    assert "it is worse" in tiny.run("audit", "tiny").out
    assert osv.reads == ["GHSA-aaaa-bbbb-cccc"]


def test_recorded_answers_stand_for_the_service(tiny: Lab, osv: OsvServer) -> None:
    """What `--save` wrote gives the same findings with `--answers` on a machine without a cache."""
    online = tiny.run("audit", "tiny", "--save", "answers.json").out
    asked = len(osv.queries)
    variables = {"PROVISION_DATA_DIR": str(tiny.root / "other")}
    shown = tiny.run("audit", "tiny", "--answers", "answers.json", "--offline", **variables)
    assert shown.out == online
    assert len(osv.queries) == asked
    assert not (tiny.root / "other").exists()


@pytest.mark.parametrize("content", ["{}", "[]", "no", '{"schema": "provision.osv/1", "answers": [7]}'])
def test_a_file_of_answers_that_is_none_is_refused(content: str, tiny: Lab) -> None:
    """`--answers` with something else is a mistake of the command line."""
    (tiny.root / "answers.json").write_text(content, "utf-8")
    shown = tiny.run("audit", "tiny", "--answers", "answers.json", "--json")
    assert shown.code == 2
    assert shown.error["code"] == "usage.answers"


@pytest.mark.parametrize(
    "raw", [b"no", b"{}", b'{"results": []}', b'{"results": [{"vulns": [{"id": "../x"}]}, {}]}']
)
def test_an_answer_that_is_none_is_said(raw: bytes, tiny: Lab, osv: OsvServer) -> None:
    """A server that answers something else is exit 8 and never "nothing found"."""
    osv.raw = raw
    shown = tiny.run("audit", "tiny", "--json")
    assert shown.code == 8
    assert shown.error["code"] == "unavailable.answer"


@pytest.mark.parametrize(
    "wrong",
    [
        {"id": "GHSA-other"},
        {"affected": "tinyapp"},
        {"affected": [{"package": "tinyapp"}]},
        {"affected": [{"package": {"name": 5, "ecosystem": "PyPI"}}]},
        {"affected": [{"package": {"name": "tinyapp"}, "ranges": [7]}]},
        {"affected": [{"package": {"name": "tinyapp"}, "ranges": [{"events": [{"fixed": 2}]}]}]},
    ],
)
def test_an_advisory_of_another_shape_is_said(wrong: dict[str, object], tiny: Lab, osv: OsvServer) -> None:
    """What cannot be read ends the audit with exit 8 and names the advisory."""
    osv.advisories["GHSA-aaaa-bbbb-cccc"] |= wrong
    osv.named = {("tinyapp", "1.0"): ["GHSA-aaaa-bbbb-cccc"]}
    shown = tiny.run("audit", "tiny", "--json")
    assert shown.code == 8
    assert shown.error["code"] == "unavailable.answer"
    assert "GHSA-aaaa-bbbb-cccc" in shown.error["message"] or "GHSA-other" in shown.error["message"]


@pytest.mark.parametrize("odd", [{"aliases": None}, {"affected": None}, {"summary": None, "details": None}])
def test_what_an_advisory_may_leave_out_is_not_missed(
    odd: dict[str, object], tiny: Lab, osv: OsvServer
) -> None:
    """Aliases, summary and affected versions may be absent; control characters are not printed."""
    osv.advisories["GHSA-aaaa-bbbb-cccc"] |= {"summary": "\x1b[31mred\ntext"} | odd
    shown = tiny.run("audit", "tiny")
    assert shown.code == 0
    assert "GHSA-aaaa-bbbb-cccc" in shown.out
    assert "\x1b" not in shown.out


def test_a_profile_without_a_lockfile_or_platform_is_said(tiny: Lab, osv: OsvServer) -> None:
    """Exit 4, and nobody is asked."""
    assert tiny.run("audit", "tiny", "--platform", "win-64").code == 4
    tiny.lockfile.unlink()
    assert tiny.run("audit", "tiny").code == 4
    assert tiny.run("audit").code == 2
    assert osv.queries == []


def test_what_is_ignored_has_a_reason_and_a_day(tiny: Lab, osv: OsvServer) -> None:
    """An ignored finding is shown with its reason and does not count; an alias names it as well."""
    lines = '    CVE-2025-32434: {reason: we load safetensors alone, until: "2099-01-01"}\n'
    lines += '    GHSA-aaaa-bbbb-cccc: {reason: not reached, until: "2099-01-01"}\n'
    shown = ignore(tiny, osv, lines + '    GHSA-none: {reason: gone, until: "2099-01-01"}\n')
    assert shown.code == 0
    (row,) = shown.data["profiles"]
    planted, torch = row["vulnerabilities"]
    assert torch["ignored"] == {"reason": "we load safetensors alone", "until": "2099-01-01"}
    assert planted["ignored"]
    assert row["unused_ignores"] == ["GHSA-none"]


def test_an_expired_ignore_fails_loudly(tiny: Lab, osv: OsvServer) -> None:
    """After its last day an ignored finding ends the audit, before anybody is asked."""
    lines = '    CVE-2025-32434: {reason: next sprint, until: "2026-01-31"}\n'
    shown = ignore(tiny, osv, lines)
    assert shown.code == 2
    assert shown.error["code"] == "audit.ignore_expired"
    assert "next sprint" in shown.error["message"]
    assert osv.queries == []
    assert tiny.run("list").code == 0


@pytest.mark.parametrize(
    "lines",
    ["    GHSA-1: {reason: because}\n", '    GHSA-1: {until: "2099-01-01"}\n', "    GHSA-1: soon\n"],
)
def test_an_ignore_without_reason_or_day_is_refused(lines: str, tiny: Lab, osv: OsvServer) -> None:
    """Both must be written."""
    assert ignore(tiny, osv, lines).code == 2


def test_the_log_for_code_hosts_fits_the_schema(tiny: Lab, osv: OsvServer) -> None:
    """`--format sarif` has a result at the package's line, and suppresses what is ignored."""
    ignore(tiny, osv, '    CVE-2025-32434: {reason: safetensors alone, until: "2099-01-01"}\n')
    log = json.loads(tiny.run("audit", "tiny", "--format", "sarif").out)
    schema = REPOSITORY / "tests" / "data" / "sarif" / "sarif-2.1.0.json"
    jsonschema.validate(log, json.loads(schema.read_text("utf-8")))
    (run,) = log["runs"]
    planted, torch = (each for each in run["results"] if each["ruleId"].startswith("GHSA"))
    assert "suppressions" not in planted
    assert torch["suppressions"][0]["justification"] == "safetensors alone (until 2099-01-01)"
    place = torch["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "lockfiles/tiny.conda-lock.yml"
    assert place["region"]["startLine"] > 1
    rule = run["tool"]["driver"]["rules"][torch["ruleIndex"]]
    assert (rule["id"], rule["properties"]["security-severity"]) == ("GHSA-53q9-r3pm-6pq6", "9.0")


def test_archived_projects_and_ends_of_life_are_told(lab: Lab) -> None:
    """The Arc profile stands on two archived projects; alone they are exit 12."""
    with serve_osv() as osv:
        (lab.root / "provision.yaml").write_text(f"mirrors: {{https://api.osv.dev/: {osv.url}/}}\n", "utf-8")
        shown = lab.run("audit", "llama3-arc", "--exit-code", "--json")
    assert shown.code == 12
    row = json.loads(shown.out)["data"]["profiles"][0]
    states = {each["package"]: (each["state"], each["date"]) for each in row["endings"]}
    assert states["ipex-llm"] == ("archived", "2026-01-28")
    assert states["intel-extension-for-pytorch"] == ("archived", "2026-03-30")
    assert "python" in row["not_in_osv"]


def test_every_end_has_a_source() -> None:
    """No row of the table is hearsay, and no id stands twice."""
    rows = load_rows()
    assert all(row["source"].startswith("https://") for row in rows)
    assert len({row["id"] for row in rows}) == len(rows)
    assert all(("package" in row) != ("python" in row) for row in rows)
