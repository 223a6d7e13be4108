"""Of each version, the one file that a target can install is chosen, whatever the page's order."""

import pytest
from packaging.version import Version

from provisioner.engines.index.page import IndexFile
from provisioner.engines.index.wheel_choice import Limits, choose_wheels, count_hidden


def entry(
    filename: str, *, uploaded: str | None = None, yanked: str | None = None, python: str | None = None
) -> IndexFile:
    """Return a page's line."""
    return IndexFile(
        filename=filename,
        url=f"https://index.example.com/{filename}",
        sha256=None,
        requires_python=python,
        uploaded=uploaded,
        yanked=yanked,
        size=None,
    )


def choose(*files: IndexFile | str, platform: str = "linux-64", limits: Limits | None = None) -> list[str]:
    """Return the chosen filenames of project `app` for Python 3.11, by version."""
    page = [file if isinstance(file, IndexFile) else entry(file) for file in files]
    chosen = choose_wheels(page, project="app", platform=platform, python="3.11", limits=limits or Limits())
    return [chosen[version].filename for version in sorted(chosen)]


@pytest.mark.parametrize(
    "filename",
    [
        "app-1.0-cp311-cp311-manylinux_2_28_x86_64.whl",
        "app-1.0-cp311-cp311-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
        "app-1.0-cp311-cp311-linux_x86_64.whl",
        "app-1.0-cp38-abi3-manylinux1_x86_64.whl",
        "app-1.0-py2.py3-none-any.whl",
        "app-1.0-py311-none-any.whl",
        "app-1.0-py3-none-manylinux2010_x86_64.whl",
        "App-1.0-1-py3-none-any.whl",
    ],
)
def test_what_linux_can_install_is_taken(filename: str) -> None:
    """Every tag that CPython 3.11 on glibc 2.28 takes."""
    assert choose(filename) == [filename]


@pytest.mark.parametrize(
    "filename",
    [
        "app-1.0-cp310-cp310-manylinux_2_28_x86_64.whl",
        "app-1.0-cp312-abi3-manylinux_2_28_x86_64.whl",
        "app-1.0-cp311-cp311-manylinux_2_34_x86_64.whl",
        "app-1.0-cp311-cp311-musllinux_1_2_x86_64.whl",
        "app-1.0-cp311-cp311-win_amd64.whl",
        "app-1.0-cp311-cp311-manylinux_2_28_aarch64.whl",
        "app-1.0-pp311-pypy311_pp73-manylinux_2_28_x86_64.whl",
        "app_extra-1.0-py3-none-any.whl",
        "app-1.0-none-any.whl",
        "app-one-py3-none-any.whl",
        "app-1.0.tar.gz",
    ],
)
def test_what_linux_cannot_install_is_left_out(filename: str) -> None:
    """Other interpreters, newer libraries, other machines, other projects, broken names, source archives."""
    assert choose(filename) == []


def test_the_most_specific_wheel_of_a_version_wins() -> None:
    """Compiled before pure, newer manylinux before older, the higher build number among equals."""
    best = "app-1.0-cp311-cp311-manylinux_2_28_x86_64.whl"
    assert choose("app-1.0-py3-none-any.whl", "app-1.0-cp311-cp311-manylinux2014_x86_64.whl", best) == [best]
    builds = [f"app-1.0{build}-py3-none-any.whl" for build in ("-10", "", "-9")]
    assert choose(*builds) == [builds[0]]


def test_windows_takes_its_own() -> None:
    """A page with wheels for both systems gives each its file."""
    files = ["app-1.0-cp311-cp311-win_amd64.whl", "app-1.0-cp311-cp311-manylinux_2_28_x86_64.whl"]
    assert choose(*files, platform="win-64") == files[:1]
    assert choose(*files) == files[1:]


def test_a_python_that_a_file_does_not_admit_hides_it() -> None:
    """Broken specifiers of old uploads hide nothing."""
    assert choose(entry("app-1.0-py3-none-any.whl", python=">=3.12")) == []
    assert choose(entry("app-1.0-py3-none-any.whl", python=">=3.6*")) == ["app-1.0-py3-none-any.whl"]
    assert choose(entry("app-1.0-py3-none-any.whl", python=">=3.11,<3.12")) == ["app-1.0-py3-none-any.whl"]


def test_a_wheel_wins_over_the_source_archive_that_a_profile_allows() -> None:
    """An archive stands in only where a version has no wheel."""
    limits = Limits(sources=True)
    files = ["app-1.0.tar.gz", "app-1.0-py3-none-any.whl", "app-2.0.tar.gz"]
    assert choose(*files, limits=limits) == ["app-1.0-py3-none-any.whl", "app-2.0.tar.gz"]


def test_limits_hide_and_are_counted() -> None:
    """Date, pre-releases, yanked files and source archives: each is named in the hint."""
    page = [
        entry("app-1.0-py3-none-any.whl", uploaded="2024-01-01T00:00:00Z"),
        entry("app-1.1-py3-none-any.whl", uploaded="2024-01-01T00:00:00Z", yanked=""),
        entry("app-1.2rc1-py3-none-any.whl", uploaded="2024-01-01T00:00:00Z"),
        entry("app-1.3.tar.gz", uploaded="2024-01-01T00:00:00Z"),
        entry("app-2.0-py3-none-any.whl", uploaded="2026-01-01T00:00:00Z"),
        entry("app-2.1-py3-none-any.whl"),
    ]
    limits = Limits(before="2025-05-01")
    assert choose(*page, limits=limits) == ["app-1.0-py3-none-any.whl"]
    assert list(count_hidden(page, limits=limits)) == [
        "1 pre-releases",
        "1 versions uploaded after `as_of`",
        "1 yanked versions",
        "1 versions that exist as source archives only",
    ]
    open_limits = Limits(prereleases=True, yanked=frozenset({Version("1.1")}), sources=True)
    assert len(choose(*page, limits=open_limits)) == len(page)
    assert list(count_hidden(page, limits=open_limits)) == []
