"""A report is stored, read back and written for people and for CI."""

import json
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from provisioner.errors import ValidateError
from provisioner.pipeline.reports import is_proven
from provisioner.profile.model import Device, Profile, TorchVariant, Validation
from provisioner.render.report_html import write_html
from provisioner.render.report_junit import write_junit
from provisioner.validate.model import CheckRecord, Report, Status, Verdict, digest_validation, parse_report
from provisioner.validate.stages import STAGES
from tests.browser import measure_page, picture_page

HOSTILE = '<script>alert("1")</script> & \x1b[31m \x00 \ufffe `x'
PROFILE = Profile(
    name="x",
    description="x",
    family="llama3",
    device=Device.CPU,
    torch=TorchVariant.CPU,
    python="3.11",
    platforms=(),
    validation=Validation(backend="transformers", precision="bf16", prompt="x", expect="y"),
)
PASSED = Report(
    verdict=Verdict.PASSED,
    records=(
        CheckRecord(name="packages", status=Status.PASSED, seconds=1.25, measured={"files": 10}),
        CheckRecord(name="generation", status=Status.PASSED, seconds=0.5, measured={"text": " Paris"}),
        CheckRecord(name="width", status=Status.SKIPPED, seconds=0.0, reason="not asked for"),
    ),
    device={"asked": "xpu:1", "name": "Arc <A770>"},
    versions={"python": "3.11.7", "torch": "2.13.0+cpu", "numpy": "1.26.4"},
    environment="llama3-arc",
    family="llama3",
    backend="ipex-llm",
    precision="sym_int4",
    lock_fingerprint="ab12",
    not_proven=("nothing of `xpu`",),
    created_at="2026-01-02T03:04:05+00:00",
    tool_version="0.1.0",
)
FAILED = replace(
    PASSED,
    verdict=Verdict.FAILED,
    stage="forward",
    reason=HOSTILE,
    hints=(HOSTILE,),
    code="crash",
    environment=HOSTILE,
    output=HOSTILE,
    records=(
        *PASSED.records[:1],
        CheckRecord(
            name="forward",
            status=Status.FAILED,
            seconds=3.0,
            reason=HOSTILE,
            hints=(HOSTILE,),
            code="crash",
            measured={HOSTILE: HOSTILE},
        ),
    ),
)


@pytest.mark.parametrize("report", [PASSED, FAILED], ids=["passed", "failed"])
def test_a_report_survives_its_json(report: Report) -> None:
    """What is stored is read back the same."""
    assert parse_report(json.loads(json.dumps(report.as_json()))) == report


@pytest.mark.parametrize(
    "damage",
    [{"schema": "other/1"}, {"verdict": "great"}, {"records": [{}]}, {"records": 5}, {"hints": None}],
)
def test_a_damaged_report_is_refused(damage: dict[str, object]) -> None:
    """A report of another schema or shape is an error with a hint, never a verdict."""
    with pytest.raises(ValidateError) as caught:
        parse_report(PASSED.as_json() | damage)
    assert caught.value.hints


class Page(HTMLParser):
    """Collects tags and text of a page."""

    def __init__(self) -> None:
        """Start empty."""
        super().__init__()
        self.tags: list[str] = []
        self.attributes: dict[str, str] = {}
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep the tag."""
        self.tags.append(tag)
        self.attributes |= {name: value or "" for name, value in attrs}

    def handle_data(self, data: str) -> None:
        """Keep the text."""
        self.text += data


def test_the_page_is_self_contained_and_hostile_text_stays_text() -> None:
    """No script, no address, no style from elsewhere; what the environment says cannot become markup."""
    page = Page()
    html = write_html(FAILED)
    page.feed(html)
    assert "script" not in page.tags
    assert "link" not in page.tags
    assert not {"src", "href", "onclick"} & page.attributes.keys()
    assert not re.search(r"https?://", html)
    assert '<script>alert("1")</script>' in page.text
    assert "Content-Security-Policy" in html


def test_the_page_tells_the_verdict_and_the_numbers() -> None:
    """A reader finds verdict, device, answer, seconds, versions and what is not proven."""
    page = Page()
    page.feed(write_html(PASSED))
    for text in (
        "passed",
        "Arc <A770>",
        "Paris",
        "1.25 s",
        "2.13.0+cpu",
        "nothing of",
        "not asked for",
        "ab12",
    ):
        assert text in page.text, text


@pytest.mark.browser
@pytest.mark.parametrize("width", [380, 1280])
@pytest.mark.parametrize("report", [PASSED, FAILED], ids=["passed", "failed"])
def test_the_page_fits_a_telephone_and_a_screen(report: Report, width: int, tmp_path: Path) -> None:
    """Chromium shows every bar, and nothing is wider than the window."""
    html = write_html(report, notices=[HOSTILE, "this stack is archived upstream"], uses=["x" * 200])
    bars = "return [...page.querySelectorAll('.bars i')].map(each => each.getBoundingClientRect().width);"
    seen = measure_page(html.replace("\x00", ""), tmp_path, width=width, script=bars)
    assert seen["scroll"] == seen["width"] == width
    assert min(seen["more"]) > 0
    assert picture_page(html.replace("\x00", ""), tmp_path, width=width).stat().st_size > 10_000


def test_the_page_has_the_notices_and_the_commands_of_the_terminal() -> None:
    """What `validate` prints about an archived stack and about using it stands on the page."""
    page = Page()
    page.feed(write_html(PASSED, notices=["it is `archived`"], uses=["provision shell llama3-arc"]))
    assert "it is archived" in page.text
    assert "provision shell llama3-arc" in page.text


def test_junit_counts_and_names_the_checks() -> None:
    """CI sees one case per check, with the reason where one failed."""
    suite = ET.fromstring(write_junit(FAILED))  # noqa: S314 - our own text
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("2", "1", "0")
    failure = suite.find("testcase[@name='forward']/failure")
    assert failure is not None
    assert failure.get("type") == "crash"
    assert "<script>" in str(failure.get("message"))
    suite = ET.fromstring(write_junit(PASSED))  # noqa: S314 - the same
    assert suite.find("testcase[@name='width']/skipped") is not None


def test_every_stage_has_a_sentence_on_the_page() -> None:
    """No check is shown without what it means."""
    records = tuple(CheckRecord(name=stage, status=Status.PASSED, seconds=0.1) for stage in STAGES)
    assert '<span class="soft"></span>' not in write_html(replace(PASSED, records=records))


@pytest.mark.parametrize(
    "changed",
    [
        {"precision": "nf4"},
        {"expect": "z"},
        {"tolerance": 0.5},
        {"model": "m"},
        {"commands": (("x", "--help"),)},
    ],
)
def test_a_report_proves_what_the_profile_asked_then(changed: dict[str, Any]) -> None:
    """Whoever asks for more in the profile gets a new validation, although the lock is the same."""
    report = replace(PASSED, asked=digest_validation(PROFILE))
    assert is_proven(report, PROFILE)
    assert is_proven(report, replace(PROFILE, description="z"))
    assert not is_proven(report, replace(PROFILE, validation=replace(PROFILE.validation, **changed)))
    assert not is_proven(report, replace(PROFILE, family="qwen3"))
    assert not is_proven(FAILED, PROFILE)
    assert not is_proven(None, PROFILE)


def test_a_report_of_an_older_version_is_read_and_proves_nothing() -> None:
    """It lacks the digest of what was asked."""
    document = json.loads(json.dumps(PASSED.as_json()))
    del document["asked"]
    assert not is_proven(parse_report(document), PROFILE)
