"""`provision fleet report`: every machine named, nothing counted as good that is not, causes told once."""

import json
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.browser import measure_page
from tests.cli.lab import Lab
from tests.fleet_files import FAILED, HOSTS, PASSED, put_host

HOSTILE = '<script>alert("1")</script><img src=x onerror=alert(1)> & `x'


@pytest.fixture
def verdicts(lab: Lab) -> Path:
    """Return a folder with two machines that passed."""
    folder = lab.root / "verdicts"
    put_host(folder, "ws-01", PASSED)
    put_host(folder, "ws-02", PASSED)
    return folder


def test_all_passed_is_the_only_good_answer(lab: Lab, verdicts: Path) -> None:
    """Exit code 0, no error, each machine on its line with card and speed."""
    shown = lab.run("fleet", "report", str(verdicts))
    assert (shown.code, shown.err) == (0, "")
    assert re.search(r"ws-01 +llama3-cpu +A Processor +- +passed +35\.9\n", shown.out)
    assert shown.out.endswith("2 machines: 2 passed\n")


@pytest.mark.parametrize(
    ("status", "code", "error"),
    [
        ("failed", 6, "fleet.failed"),
        ("error", 6, "fleet.failed"),
        ("unreachable", 8, "fleet.unreachable"),
        ("unvalidated", 7, "fleet.unvalidated"),
        ("unknown", 7, "fleet.unvalidated"),
    ],
)
def test_one_machine_decides_the_exit_code(
    lab: Lab, verdicts: Path, status: str, code: int, error: str
) -> None:
    """Two that passed do not outweigh one that did not."""
    put_host(verdicts, "ws-03", None, status=status)
    shown = lab.run("fleet", "report", str(verdicts), "--json")
    assert (shown.code, shown.error["code"]) == (code, error)
    assert shown.error["context"] == {"machines": ["ws-03"]}
    assert shown.data["counts"]["passed"] == 2


def test_the_worst_comes_first(lab: Lab, verdicts: Path) -> None:
    """Failed before unreachable before unvalidated: in the table, the errors and the exit code."""
    for host, status in (("ws-03", "unvalidated"), ("ws-04", "unreachable"), ("ws-05", "failed")):
        put_host(verdicts, host, None, status=status)
    shown = lab.run("fleet", "report", str(verdicts), "--json")
    assert shown.code == 6
    assert [error["code"] for error in shown.document["errors"]] == [
        "fleet.failed",
        "fleet.unreachable",
        "fleet.unvalidated",
    ]
    hosts = [machine["host"] for machine in shown.data["machines"]]
    assert hosts == ["ws-05", "ws-04", "ws-03", "ws-01", "ws-02"]
    (verdicts / "ws-05.json").unlink()
    assert lab.run("fleet", "report", str(verdicts)).code == 8


def test_a_machine_without_a_file_is_missing(lab: Lab, verdicts: Path) -> None:
    """Who stands in hosts.txt and left nothing is named, and the fleet is not good."""
    (verdicts / "hosts.txt").write_text("# the lab\nws-01\nws-02\nws-09\n\n", encoding="utf-8")
    shown = lab.run("fleet", "report", str(verdicts), "--json")
    assert shown.code == 8
    assert [machine["host"] for machine in shown.data["machines"] if machine["status"] == "missing"] == [
        "ws-09"
    ]
    (verdicts / "hosts.txt").write_text("ws-01\n../x\n", encoding="utf-8")
    assert lab.run("fleet", "report", str(verdicts), "--json").error["code"] == "fleet.bad_hosts"


def test_an_empty_folder_is_no_good_answer(lab: Lab) -> None:
    """No machine, no success: a wrong folder is a usage error that says which one is meant."""
    (lab.root / "empty").mkdir()
    for folder, code in (("empty", "fleet.no_hosts"), ("nowhere", "fleet.no_folder")):
        shown = lab.run("fleet", "report", folder, "--json")
        assert (shown.code, shown.error["code"]) == (2, code)


def test_links_and_damaged_files_are_named(lab: Lab, verdicts: Path) -> None:
    """A link out of the folder is not followed, and a file that cannot be read is a machine not known."""
    (verdicts / "ws-03.json").symlink_to(verdicts / "ws-01.json")
    (verdicts / "ws-04.json").write_text("{", encoding="utf-8")
    (verdicts / "ws-05.json").mkdir()
    data = lab.run("fleet", "report", str(verdicts), "--json").data
    unknown = {machine["host"] for machine in data["machines"] if machine["status"] == "unknown"}
    assert unknown == {"ws-03", "ws-04", "ws-05"}


def test_one_cause_is_told_once_for_all_its_machines(lab: Lab, verdicts: Path) -> None:
    """The catalogue recognises the failure from the report itself, not from what the machine says it is."""
    lying = [{"id": "made-up", "title": "All is well", "cause": "x", "fix": "y"}]
    for host in ("ws-03", "ws-04"):
        path = put_host(verdicts, host, FAILED)
        document = json.loads(path.read_bytes())
        document["result"]["data"]["matches"] = lying
        path.write_text(json.dumps(document), encoding="utf-8")
    shown = lab.run("fleet", "report", str(verdicts))
    assert shown.out.count("failed: `ws-03`, `ws-04`") == 1
    assert "All is well" not in shown.out
    (cause,) = lab.run("fleet", "report", str(verdicts), "--json").data["causes"]
    assert cause["machines"] == ["ws-03", "ws-04"]
    assert cause["match"]["id"] in shown.out
    assert cause["match"]["fix"].split()[0] in shown.out


def test_what_failed_before_there_was_a_report_is_recognised(lab: Lab, verdicts: Path) -> None:
    """A message that Ansible passed on is looked up, too."""
    message = "ImportError: libsycl.so.7: cannot open shared object file: No such file or directory"
    put_host(verdicts, "ws-03", None, status="error", errors=[{"message": message}])
    (cause,) = lab.run("fleet", "report", str(verdicts), "--json").data["causes"]
    assert "libsycl" in cause["match"]["evidence"]


def test_a_machine_that_ssh_does_not_reach_gets_no_cure_for_packages(lab: Lab, verdicts: Path) -> None:
    """The words are those of a failed download; no mirror and no proxy mends ssh."""
    why = "ssh: Could not resolve hostname ws-03: Name or service not known"
    error = {"code": "fleet.unreachable", "message": f"`ws-03` cannot be reached: {why}"}
    put_host(verdicts, "ws-03", None, errors=[error])
    shown = lab.run("fleet", "report", str(verdicts), "--json")
    (cause,) = shown.data["causes"]
    assert (cause["match"], cause["reason"]) == (None, error["message"])
    text = lab.run("fleet", "report", str(verdicts)).out
    assert "`ansible HOST -i INVENTORY -m ping`" in text
    assert not re.search("mirror|proxy", text, re.IGNORECASE)


def test_rows_of_the_ledger_are_told_with_their_machines(lab: Lab, verdicts: Path) -> None:
    """The ledger is asked here about the card and driver that `doctor` saw; made-up rows do not count."""
    doctor = lab.run(
        "doctor", "llama3-xpu", "--from", str(HOSTS / "linux-arc-b580-old-kernel.json"), "--json"
    ).document
    doctor["data"]["known"].append({"id": "made-up", "sure": True, "effect": "x", "remedy": "y"})
    doctor["data"]["known"] = [row for row in doctor["data"]["known"] if row["id"] != "arc-b-linux-kernel"]
    doctor["data"]["known"][0]["effect"] = "all is well"
    put_host(verdicts, "ws-03", None, status="unvalidated", profile="llama3-xpu", doctor=doctor)
    shown = lab.run("fleet", "report", str(verdicts), "--json")
    machine = next(each for each in shown.data["machines"] if each["host"] == "ws-03")
    assert (machine["card"], machine["driver"]) == ("Arc B580 (8086:e20b)", "1.6.31740")
    known = {row["id"]: row for row in shown.data["known"]}
    assert known["arc-b-linux-kernel"]["machines"] == ["ws-03"]
    assert "made-up" not in known
    text = lab.run("fleet", "report", str(verdicts)).out
    assert "known: the B-series needs kernel 6.11 or newer" in text
    assert "all is well" not in text


def test_a_device_that_is_not_the_profiles_proves_nothing(lab: Lab, verdicts: Path) -> None:
    """A profile for XPU that passed on the CPU is not counted as good."""
    put_host(verdicts, "ws-03", PASSED, profile="llama3-xpu")
    shown = lab.run("fleet", "report", str(verdicts), "--json")
    assert shown.code == 7
    (machine,) = [each for each in shown.data["machines"] if each["host"] == "ws-03"]
    assert machine["reason"] == "it was validated on cpu, and `llama3-xpu` is for xpu"


def test_different_locks_of_one_profile_are_told(lab: Lab, verdicts: Path) -> None:
    """Machines that were built of different locks are not the same fleet."""
    put_host(verdicts, "ws-03", replace(PASSED, lock_fingerprint="cd" * 32))
    shown = lab.run("fleet", "report", str(verdicts))
    assert "have 2 different locks: `abababababab` on 2, `cdcdcdcdcdcd` on 1" in shown.out


def test_several_folders_are_one_account(lab: Lab, verdicts: Path) -> None:
    """A folder a profile: machine and profile together make a line."""
    other = lab.root / "other"
    put_host(other, "ws-01", FAILED)
    data = lab.run("fleet", "report", str(verdicts), str(other), "--json").data
    assert [(each["host"], each["status"]) for each in data["machines"]] == [
        ("ws-01", "failed"),
        ("ws-01", "passed"),
        ("ws-02", "passed"),
    ]


def test_junit_has_a_case_a_machine(lab: Lab, verdicts: Path) -> None:
    """A failure is a failure, what is not known an error, and control characters do not spoil the XML."""
    put_host(verdicts, "ws-03", replace(FAILED, reason=f"{HOSTILE}\x00\x1b[31m\ufffe"))
    put_host(verdicts, "ws-04", None)
    shown = lab.run("fleet", "report", str(verdicts), "--format", "junit")
    assert shown.code == 6
    suite = ET.fromstring(shown.out)  # noqa: S314 - our own text
    assert [suite.get(name) for name in ("tests", "failures", "errors")] == ["4", "1", "1"]
    failure = suite.find("testcase[@name='ws-03']/failure")
    assert failure is not None
    assert '<script>alert("1")' in str(failure.get("message"))
    assert failure.get("type") == "validate.device_lost"
    assert suite.find("testcase[@name='ws-04']/error") is not None
    assert suite.find("testcase[@name='ws-01']/*[2]") is None


class Page(HTMLParser):
    """Collects tags, attributes and text of a page."""

    def __init__(self, html: str) -> None:
        """Read it."""
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep the tag."""
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        """Keep the text."""
        self.text += data


@pytest.fixture
def page(lab: Lab, verdicts: Path) -> Path:
    """Return the page of a fleet in which a machine tries everything."""
    report = replace(FAILED, reason=HOSTILE, hints=(HOSTILE,), device={"name": HOSTILE, "driver": HOSTILE})
    path = put_host(verdicts, "ws-03", replace(report, output="", records=()))
    document = json.loads(path.read_bytes())
    document["result"]["data"]["environment"] = HOSTILE
    path.write_text(json.dumps(document), encoding="utf-8")
    put_host(verdicts, "ws-04", None, errors=[HOSTILE])
    (verdicts / "hosts.txt").write_text("ws-01\nws-<b>9\n", encoding="utf-8")
    html = lab.root / "fleet.html"
    assert lab.run("fleet", "report", str(verdicts), "--html", str(html)).code == 6
    return html


def test_the_page_is_self_contained_and_hostile_text_stays_text(page: Path) -> None:
    """No script, no picture, no address, nothing loaded: what a machine says cannot become markup."""
    html = page.read_text(encoding="utf-8")
    shown = Page(html)
    assert not {"script", "img", "link", "b", "iframe", "a", "form"} & shown.tags
    assert not {"src", "href", "onerror", "onclick", "style"} & shown.attributes
    assert not re.search(r"https?://", html)
    assert "default-src 'none'" in html
    assert '<script>alert("1")</script>' in shown.text
    assert "ws-<b>9" in shown.text


def test_the_page_tells_what_the_table_tells(page: Path) -> None:
    """Every machine with its verdict, the counts, the causes."""
    text = Page(page.read_text(encoding="utf-8")).text
    for word in ("ws-01", "ws-04", "2 of 5 machines passed", "35.9", "unreachable", "missing", "A Processor"):
        assert word in text, word


# How many lines each verdict takes.
_LINES = """
return [...page.querySelectorAll("td[data-label=verdict] span")].map((each) => {
  const range = page.createRange();
  range.selectNodeContents(each);
  return range.getClientRects().length;
});
"""


@pytest.mark.browser
@pytest.mark.parametrize("width", [320, 641, 1280])
def test_the_page_fits_the_screen(page: Path, width: int, tmp_path: Path) -> None:
    """In chromium nothing is wider than a telephone's or a desk's screen, and none breaks `unreachable`."""
    shown = measure_page(page.read_text(encoding="utf-8"), tmp_path, width=width, script=_LINES)
    assert (shown["width"], shown["scroll"], shown["more"]) == (width, width, [1] * 5)
