"""Lockfiles on disk: what is written is read back, and what was damaged is refused with its line."""

import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from provisioner.errors import InternalError, LockError, UsageError
from provisioner.install.plan import plan_install
from provisioner.lock.assemble import make_lock
from provisioner.lock.conda_lock_v1 import dump_lock
from provisioner.lock.file import lockfile_path, read_lock, read_lock_head, write_lock
from provisioner.lock.model import Lock
from provisioner.profile.model import Decision, Index
from provisioner.resolve.model import PipPackage, Resolution
from tests.unit.lock.samples import (
    SOURCE,
    conda_package,
    tiny_lock,
    tiny_profile,
    tiny_resolution,
    torch_wheel,
    wheel,
)


@pytest.fixture
def lockfile(tmp_path: Path) -> Path:
    """Return the sample lock, written."""
    path = lockfile_path(tmp_path, "tiny")
    write_lock(path, tiny_lock())
    return path


def refused(path: Path, text: str) -> LockError:
    """Return the error that reading the text gives."""
    path.write_text(text, encoding="utf-8")
    with pytest.raises(LockError) as caught:
        read_lock(path)
    return caught.value


def test_a_written_lock_is_read_back_equal(lockfile: Path) -> None:
    """Nothing of a lock is lost in its file."""
    assert read_lock(lockfile) == tiny_lock()


def test_the_head_is_that_of_the_lock(lockfile: Path) -> None:
    """What freshness needs is read without the packages."""
    head, lock = read_lock_head(lockfile), tiny_lock()
    assert (head.profile, head.source, head.inputs, head.notes) == ("tiny", SOURCE, lock.inputs, lock.notes)
    assert (head.channels, head.indexes) == (lock.channels, lock.indexes)


def test_an_unchanged_lock_does_not_touch_its_file(lockfile: Path) -> None:
    """Locking again leaves the file as it was, also with the line ends of a Windows checkout."""
    before = lockfile.stat()
    assert write_lock(lockfile, tiny_lock()) is False
    assert (lockfile.stat().st_mtime_ns, lockfile.stat().st_ino) == (before.st_mtime_ns, before.st_ino)
    lockfile.write_bytes(b"\xef\xbb\xbf" + lockfile.read_bytes().replace(b"\n", b"\r\n"))
    assert write_lock(lockfile, tiny_lock()) is False
    assert read_lock(lockfile) == tiny_lock()
    assert read_lock_head(lockfile).profile == "tiny"


def test_a_changed_lock_replaces_its_file_and_leaves_nothing_beside_it(lockfile: Path) -> None:
    """The new file stands at once, and no temporary one remains."""
    assert write_lock(lockfile, replace(tiny_lock(), notes=())) is True
    assert read_lock(lockfile).notes == ()
    assert [path.name for path in lockfile.parent.iterdir()] == [lockfile.name]


def test_a_folder_that_cannot_be_written_is_an_error_of_the_lock(tmp_path: Path) -> None:
    """A file in the place of the folder is named, not a traceback."""
    (tmp_path / "lockfiles").write_text("")
    with pytest.raises(LockError) as caught:
        write_lock(lockfile_path(tmp_path / "lockfiles", "tiny"), tiny_lock())
    assert caught.value.code == "lock.unwritable"


def test_a_missing_lockfile_says_how_to_make_one(tmp_path: Path) -> None:
    """The hint is the command."""
    for read in (read_lock, read_lock_head):
        with pytest.raises(LockError) as caught:
            read(lockfile_path(tmp_path, "tiny"))
        assert (caught.value.code, caught.value.exit_code) == ("lock.missing", 4)
        assert caught.value.hints == ("run `provision lock tiny`",)


@pytest.mark.parametrize("name", ["../tiny", "a/b", "a\\b", "", ".hidden", "C:tiny"])
def test_a_profile_name_cannot_lead_out_of_the_folder(tmp_path: Path, name: str) -> None:
    """A path in the place of a name is a usage error."""
    with pytest.raises(UsageError):
        lockfile_path(tmp_path, name)


def test_a_platform_that_is_not_locked_is_named() -> None:
    """The error says what there is."""
    with pytest.raises(LockError) as caught:
        tiny_lock().find_platform("osx-arm64")
    assert caught.value.code == "lock.platform"
    assert "`linux-64`, `win-64`" in caught.value.message
    assert tiny_lock().find_platform("win-64").platform == "win-64"


def test_a_lock_without_sizes_is_written_and_read_as_before(tmp_path: Path) -> None:
    """Lockfiles from before there were sizes keep their bytes, and make the same environment."""
    lock = tiny_lock()
    platforms = tuple(
        replace(
            platform,
            conda=tuple(replace(package, size=None) for package in platform.conda),
            pip=tuple(replace(package, size=None) for package in platform.pip),
        )
        for platform in lock.platforms
    )
    old = replace(lock, platforms=platforms)
    path = tmp_path / "tiny.conda-lock.yml"
    assert write_lock(path, old)
    text = path.read_text(encoding="utf-8")
    assert "    format: '1'\n" in text
    assert "size" not in text
    assert read_lock(path) == old
    plans = [plan_install(each, platform="linux-64", python="3.11") for each in (lock, old)]
    assert plans[0].fingerprint == plans[1].fingerprint


Sabotage = Callable[[str], str]
TORCH = "https://download.pytorch.org/whl/cpu/torch-2.13.0%2Bcpu-cp311-cp311-linux_x86_64.whl"
LIBUV = "https://conda.anaconda.org/conda-forge/linux-64/libuv-1.48.0-h0_0.conda"
TABULATE = "pypi:tabulate-0.9.0-py3-none-any.whl"


def swap(old: str, new: str) -> Sabotage:
    """Return an edit of the first occurrence, which must be there."""

    def edit(text: str) -> str:
        assert old in text
        return text.replace(old, new, 1)

    return edit


@pytest.mark.parametrize(
    ("sabotage", "reason"),
    [
        (lambda _: "", "is empty"),
        (lambda _: "a: [", "not YAML"),
        (lambda _: "- a\n", "a mapping"),
        (lambda _: "a: 1\n--- \nb: 1\n", "a second YAML document"),
        (lambda _: "[" * 200_000, "nested"),
        (lambda _: "a: &x [1]\nb: *x\n", "anchor `&x`"),
        (lambda _: "a: !!python/object:os.system 1\n", "is not read here"),
        (lambda text: text.replace("version: 1\n", "", 1), "key `version` is missing"),
        (swap("version: 1\n", "version: '1'\n"), "a number is expected"),
        (swap("version: 1\n", "version: 1\nversion: 1\n"), "is already given"),
        (swap("version: 1\n", "version: 1\nextra: 1\n"), "unknown key `extra`"),
        (swap("    format: '2'\n", ""), "did not write this file"),
        (
            swap("    profile: tiny\n", '    profile: tiny\n    "\\e]0;x\\a": red\n'),
            "`\\x1b]0;x\\x07` is not",
        ),
        (swap("    profile: tiny\n", "    profile: ../tiny\n"), "not a profile's name"),
        (swap("    profile: tiny\n", "    profile: tiny\n    colour: red\n"), "`colour` is not a key"),
        (
            swap("  platforms:\n  - linux-64\n", "  platforms:\n  - osx-arm64\n"),
            "not one of linux-64, win-64",
        ),
        (swap("  - win-64\n  sources", "  sources"), "different platforms"),
        (swap("python: '\"3.11\"'", "python: '\"3.12\"'"), "does not belong to its inputs"),
        (swap("python: '\"3.11\"'", "python: '{broken'"), "`input linux-64 python` is not JSON"),
        (swap("python: '\"3.11\"'", "python: '5'"), "is not what a profile says there"),
        (swap("python: '\"3.11\"'", "python: '[\"3.11\"]'"), "is not what a profile says there"),
        (swap('       "tabulate",', '       "tabulate @ file:///x",'), "`input linux-64 pip`: `tabulate @"),
        (swap('       "libuv"', '       "conda-forge::libuv"'), "`input linux-64 conda`: `conda-forge::"),
        (swap('"torch": "https://download', '"torch": 1, "x": "https://download'), "what a profile says"),
        (swap("count linux-64: '6'", "count linux-64: '7'"), "`count linux-64`"),
        (swap("    from pytorch-cpu linux-64: torch\n", ""), "comes from no index of the lock"),
        (swap("tabulate-0.9.0-py3-none-any.whl 31000", "tabulate 31000"), "`size linux-64`"),
        (swap("py3-none-any.whl 31000", "py3-none-any.whl -1"), "is not a file name and its bytes"),
        (swap("    size linux-64: |-", "    size osx-arm64: |-"), "`size "),
        (swap("    format: '2'\n", "    format: '1'\n"), "`format`"),
        (swap("index pytorch-cpu: https://", "index pytorch-cpu: http://"), "is not https"),
        (
            swap("url: https://conda.anaconda.org/conda-forge\n", "url: file:///srv/conda\n"),
            "not a plain https",
        ),
        (swap("used_env_vars: []", "used_env_vars: [TOKEN]"), "must not depend on variables"),
        (swap("  manager: conda\n", "  manager: npm\n"), "not one of conda, pip"),
        (swap("  platform: linux-64\n", "  platform: osx-arm64\n"), "not one of the file's platforms"),
        (swap("  version: '1.48.0'\n", "  version: 1.48\n"), "which is a number to YAML"),
        (swap("  optional: true\n", "  optional: false\n"), "`validation` and optional"),
        (swap("  category: main\n", "  category: dev\n"), "not `dev`"),
        (swap("  category: main\n", ""), "key `category` is missing"),
        (swap("  category: main\n", "  category: main\n  build: x\n"), "unknown key `build`"),
        (swap(TORCH, "http://download.pytorch.org/whl/cpu/" + TORCH.rsplit("/", 1)[1]), "is not https"),
        (swap(TORCH, "file:///tmp/" + TORCH.rsplit("/", 1)[1]), "not a plain https"),
        (swap(TORCH, "//server/share/" + TORCH.rsplit("/", 1)[1]), "not a plain https"),
        (swap(TORCH, "https://evil.example/" + TORCH.rsplit("/", 1)[1]), "`files pytorch-cpu`"),
        (swap(TORCH, TORCH + "?token=hunter2"), "has no `?`"),
        (swap(TORCH, TORCH.replace("/whl/cpu/", "/whl/../")), "read in two ways"),
        (swap(TORCH, TORCH.replace("/whl/cpu/", "/whl/%252e%252e/")), "read in two ways"),
        (swap(TORCH, TORCH.replace("/whl/cpu/", "/whl/a%2fb/")), "read in two ways"),
        (swap(TORCH, TORCH.replace("/whl/cpu/", "/t/tk-hunter2/")), "has no user, password or token"),
        (swap(TORCH, TORCH.replace("https://", "https://me:hunter2@")), "has no user, password or token"),
        (swap(TABULATE, "pypi:../../tabulate-0.9.0-py3-none-any.whl"), "comes from no index"),
        (swap(TABULATE, "pypi:tabulate-0.8.0-py3-none-any.whl"), "is not `tabulate` in version `0.9.0`"),
        (swap(TABULATE, "pypi:tabulate-0.9.0.tar.gz"), "the profile does not allow"),
        (swap(LIBUV, LIBUV.replace("conda.anaconda.org", "evil.example")), "not come from one of the lock's"),
        (swap(LIBUV, LIBUV.replace("linux-64", "osx-64")), "is for `osx-64`"),
        (swap(LIBUV, LIBUV.replace("libuv-1.48.0", "libuv-1.49.0")), "is not `libuv`"),
        (swap("    md5: b5003500ba97d39f18cae90998a56303\n", ""), "has the digests md5 and sha256"),
        (swap("md5: b5003500", "md5: B5003500"), "not an md5 digest"),
        (swap("sha256: ca2827670c", "sha256: CA2827670c"), "64 lower-case hex"),
        (swap("sha256: ca2827670c", "sha256: ca2827670"), "64 lower-case hex"),
        (swap("    sha256: ca2827670c", "    md5: ca2827670c"), "has the digests sha256"),
    ],
)
def test_damage_is_refused_with_its_line(lockfile: Path, sabotage: Sabotage, reason: str) -> None:
    """One error of the lock's kind, naming file and line, and never a secret."""
    error = refused(lockfile, sabotage(lockfile.read_text(encoding="utf-8")))
    assert (error.code, error.exit_code) == ("lock.damaged", 4)
    assert reason in error.message
    assert error.message.startswith(f"`{lockfile}:{error.context['line']}`: ")
    assert "hunter2" not in error.message


def test_the_line_is_that_of_the_damage(lockfile: Path) -> None:
    """An editor opens where the mistake is."""
    text = lockfile.read_text(encoding="utf-8")
    line = text[: text.index("  category: main")].count("\n") + 1
    assert refused(lockfile, swap("category: main", "category: dev")(text)).context["line"] == line


def test_entries_that_stand_twice_or_got_lost_are_noticed(lockfile: Path) -> None:
    """The head counts the entries, so that a bad merge cannot lose one in silence."""
    head, _, body = lockfile.read_text(encoding="utf-8").partition("package:\n")
    first, *entries = [f"- name: {entry}" for entry in body.split("- name: ")[1:]]
    twice = "".join([first, first, *entries])
    assert "is there twice" in refused(lockfile, f"{head}package:\n{twice}").message
    assert "`count linux-64`" in refused(lockfile, f"{head}package:\n{''.join(entries)}").message
    with pytest.raises(LockError, match="counts 12 entries, and 11 follow"):
        read_lock_head(lockfile)


@pytest.mark.parametrize(
    ("head", "line"),
    [("package:\n", "- {name: a}\n"), ("", "a: 1\n"), ("", "["), ("", "{a: "), ("", "- ")],
)
def test_a_hundred_thousand_of_one_thing_are_refused_soon(lockfile: Path, head: str, line: str) -> None:
    """Bad input costs time in proportion to its size, and no stack."""
    start = time.process_time()
    error = refused(lockfile, head + line * 100_000)
    assert error.code == "lock.damaged"
    assert time.process_time() - start < 20


def test_a_file_longer_than_any_lock_is_told_as_that(lockfile: Path) -> None:
    """Neither reader counts the entries of the part that was read."""
    with lockfile.open("ab") as file:
        file.write(b"- name: a\n" * 900_000)
    for read in (read_lock, read_lock_head):
        with pytest.raises(LockError, match="larger than 8 MiB"):
            read(lockfile)


def test_a_pipe_in_the_place_of_a_lockfile_is_not_waited_for(tmp_path: Path) -> None:
    """Nothing but regular files is read."""
    if sys.platform == "win32":
        pytest.skip("Windows has no named pipes in folders")
    path = lockfile_path(tmp_path, "tiny")
    os.mkfifo(path)
    for read in (read_lock, read_lock_head):
        with pytest.raises(LockError) as caught:
            read(path)
        assert caught.value.code == "lock.unreadable"


def test_a_git_conflict_is_named_as_such(lockfile: Path) -> None:
    """Both readers see it."""
    text = lockfile.read_text(encoding="utf-8")
    error = refused(lockfile, swap("- name: numpy", "<<<<<<< HEAD\n- name: numpy")(text))
    assert "git conflict" in error.message
    with pytest.raises(LockError, match="git conflict"):
        read_lock_head(lockfile)


def test_a_file_cut_off_anywhere_is_refused_by_both_readers(lockfile: Path) -> None:
    """No prefix of a lockfile passes for one; the last line end alone may be missing."""
    content = lockfile.read_bytes()
    for length in [*range(0, len(content) - 1, 97), len(content) - 2]:
        lockfile.write_bytes(content[:length])
        for read in (read_lock, read_lock_head):
            with pytest.raises(LockError):
                read(lockfile)


def test_bytes_that_are_no_text_are_refused(lockfile: Path) -> None:
    """Latin-1, UTF-16 and NUL bytes are damage with a line."""
    content = lockfile.read_bytes()
    for bad in (content + b"# \xe9\n", content.decode().encode("utf-16"), content + b"# \x00\n"):
        lockfile.write_bytes(bad)
        with pytest.raises(LockError) as caught:
            read_lock(lockfile)
        assert caught.value.code == "lock.damaged"


@pytest.mark.parametrize(("old", "new"), [("version: 1\n", "version: 2\n"), ("format: '2'", "format: '4'")])
def test_a_newer_format_asks_for_a_newer_tool(lockfile: Path, old: str, new: str) -> None:
    """Both readers say so before anything else."""
    error = refused(lockfile, swap(old, new)(lockfile.read_text(encoding="utf-8")))
    assert error.code == "lock.newer"
    with pytest.raises(LockError) as caught:
        read_lock_head(lockfile)
    assert caught.value.code == "lock.newer"


def test_a_folder_in_the_place_of_a_lockfile_is_an_error_of_the_lock(tmp_path: Path) -> None:
    """Nothing but files is read."""
    lockfile_path(tmp_path, "tiny").mkdir()
    with pytest.raises(LockError) as caught:
        read_lock(lockfile_path(tmp_path, "tiny"))
    assert caught.value.code == "lock.unreadable"


def with_wheel(package: PipPackage) -> Lock:
    """Return the sample lock with one more wheel on Linux."""
    resolution = tiny_resolution()
    linux, windows = resolution.platforms
    more = replace(linux, pip=(*linux.pip, package))
    return make_lock(tiny_profile(), replace(resolution, platforms=(more, windows)), SOURCE)


@pytest.mark.parametrize(
    "lock",
    [
        with_wheel(replace(wheel("six", "1.16.0"), sha256="")),
        with_wheel(replace(wheel("six", "1.16.0"), url="https://mirror.example/six-1.16.0-py3-none-any.whl")),
        with_wheel(replace(wheel("six", "1.16.0"), index="elsewhere")),
        with_wheel(replace(torch_wheel(), name="torch-two", url="http://127.0.0.1/x.whl")),
        with_wheel(wheel("tabulate", "0.9.0")),
        replace(tiny_lock(), platforms=tiny_lock().platforms[::-1]),
        replace(tiny_lock(), platforms=tiny_lock().platforms[:1]),
        replace(tiny_lock(), inputs={}),
    ],
)
def test_what_would_be_refused_is_never_written(tmp_path: Path, lock: Lock) -> None:
    """A lock that breaks a rule of the format is our bug, and leaves no file."""
    with pytest.raises(InternalError):
        write_lock(lockfile_path(tmp_path, "tiny"), lock)
    assert list(tmp_path.iterdir()) == []


def test_a_source_archive_stands_only_where_the_profile_allows_it(tmp_path: Path) -> None:
    """Building runs code of the file's author, so a name in the profile is needed."""
    filename = "sgmllib3k-1.0.0.tar.gz"
    archive = replace(wheel("sgmllib3k", "1.0.0"), filename=filename, url=f"pypi:{filename}")
    with pytest.raises(InternalError, match="which the profile does not allow"):
        dump_lock(with_wheel(archive))
    profile = tiny_profile()
    linux, windows = profile.platforms
    allowed = replace(linux, sdists=(Decision(requirement="Sgmllib3k", reason="it has no wheel"),))
    linux_files, windows_files = tiny_resolution().platforms
    files = replace(linux_files, pip=(*linux_files.pip, archive))
    resolution = replace(tiny_resolution(), platforms=(files, windows_files))
    lock = make_lock(replace(profile, platforms=(allowed, windows)), resolution, SOURCE)
    path = lockfile_path(tmp_path, "tiny")
    write_lock(path, lock)
    assert read_lock(path) == lock


def test_a_resolution_of_another_profile_makes_no_lock() -> None:
    """Profile and resolution must speak of the same platforms."""
    with pytest.raises(InternalError):
        make_lock(tiny_profile(), replace(tiny_resolution(), profile="other"), SOURCE)
    with pytest.raises(InternalError):
        make_lock(tiny_profile(), Resolution(profile="tiny", platforms=()), SOURCE)


def test_a_loopback_index_and_channel_may_speak_http(tmp_path: Path) -> None:
    """Development on one machine needs no certificate."""
    channel = "http://127.0.0.1:8080/chan"
    profile = tiny_profile()
    profile = replace(
        profile,
        indexes=(Index(name="pytorch-cpu", url="http://localhost:81/simple/"),),
        platforms=tuple(replace(platform, channels=(channel,)) for platform in profile.platforms),
    )
    resolution = tiny_resolution()
    platforms = tuple(
        replace(
            platform,
            conda=(conda_package("libuv", "1.48.0", subdir="noarch", channel=channel),),
            pip=(replace(torch_wheel(), url="http://localhost:81/files/" + TORCH.rsplit("/", 1)[1]),),
        )
        for platform in resolution.platforms
    )
    lock = make_lock(profile, replace(resolution, platforms=platforms), SOURCE)
    path = lockfile_path(tmp_path, "tiny")
    write_lock(path, lock)
    assert read_lock(path) == lock


def test_the_text_names_the_command_that_made_it() -> None:
    """A reader of the file learns not to edit it."""
    assert dump_lock(tiny_lock()).startswith("# Generated by `provision lock tiny`: do not edit")


def test_publishers_are_kept_and_make_no_other_environment(tmp_path: Path) -> None:
    """They are read back as they were written, and the environment that was built stays the same one."""
    lock = tiny_lock()
    attested = replace(
        lock,
        platforms=tuple(
            replace(
                platform,
                pip=tuple(replace(p, publisher="GitHub owner/name release.yml") for p in platform.pip),
            )
            for platform in lock.platforms
        ),
    )
    path = tmp_path / "tiny.conda-lock.yml"
    write_lock(path, attested)
    assert read_lock(path) == attested
    assert "format: '3'" in path.read_text()
    plans = [plan_install(each, platform="linux-64", python="3.11").fingerprint for each in (lock, attested)]
    assert plans[0] == plans[1]
    assert "format: '2'" in dump_lock(lock)
    path.write_text(path.read_text().replace("GitHub owner/name release.yml", "GitHub \u202e"))
    with pytest.raises(LockError, match="is not the name of a publisher"):
        read_lock(path)
