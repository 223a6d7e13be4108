"""Loading: five mistakes are five errors, stacks merge, names are never paths."""

import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from provisioner.errors import ErrorList, ExitCode, UsageError
from provisioner.profile.load import list_profiles, load_profile
from provisioner.profile.model import Platform, Profile

BASE = """\
description: A small profile
family: llama3
device: cpu
torch: cpu
python: "3.11"
"""


def write(folder: Path, files: Mapping[str, str]) -> Path:
    """Write profiles by name."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8", newline="")
    return folder


def load(folder: Path, name: str = "p") -> Profile:
    return load_profile(name, folders=[folder])


def errors(folder: Path, name: str = "p") -> list[UsageError]:
    """Load a profile that must be refused, and return its errors."""
    with pytest.raises(ErrorList) as caught:
        load(folder, name)
    assert caught.value.exit_code is ExitCode.USAGE
    assert all(isinstance(error, UsageError) for error in caught.value.errors)
    return [error for error in caught.value.errors if isinstance(error, UsageError)]


def places(found: list[UsageError]) -> list[str]:
    """Return each error's code and place in the file."""
    return [
        f"{e.code} {Path(e.context['file']).stem}:{e.context['line']}:{e.context['column']}" for e in found
    ]


def linux(profile: Profile) -> Platform:
    return profile.platforms[0]


def test_five_mistakes_are_five_errors_with_their_places(tmp_path: Path) -> None:
    """One run tells everything that is wrong, in the order of the lines, with what was meant."""
    text = """\
description: Five mistakes
family: Llama 3
device: cpu
torch: cpu
python: 3.11
pip:
  pakages: [numpy]
  routes:
    torch: [x]
device: xpu
"""
    found = errors(write(tmp_path, {"p": text}))
    assert places(found) == [
        "profile.bad_value p:2:9",
        "profile.wrong_type p:5:9",
        "profile.unknown_key p:7:3",
        "profile.wrong_type p:9:12",
        "profile.duplicate_key p:10:1",
    ]
    assert found[0].message.startswith(f"{tmp_path / 'p.yaml'}:2:9: ")
    assert "is not a plain name like `llama3`" in found[0].message
    assert found[1].hints == ('write it in quotes: "3.11"',)
    assert "unknown key `pakages` (did you mean `packages`?)" in found[2].message


def test_contradictions_wait_for_a_file_without_mistakes(tmp_path: Path) -> None:
    """An unknown index is told with its place and the index that was meant."""
    text = (
        BASE + "indexes:\n  pytorch-cpu: https://example.org/cpu\npip:\n  routes:\n    torch: pytorch_cpu\n"
    )
    found = errors(write(tmp_path, {"p": text.replace("pytorch_cpu", "pytorch-gpu")}))
    assert places(found) == ["profile.unknown_index p:10:12"]
    assert "did you mean `pytorch-cpu`?" in found[0].message


def test_mistakes_of_a_stack_are_told_with_those_of_the_profile(tmp_path: Path) -> None:
    """Every file is checked in one run."""
    files = {"p": BASE + "extends: s\ncolour: red\n", "s": "description: s\nstack: true\npython: 3.12\n"}
    assert places(errors(write(tmp_path, files))) == ["profile.unknown_key p:7:1", "profile.wrong_type s:3:9"]


def test_windows_line_ends_change_nothing(tmp_path: Path) -> None:
    """A profile saved by Notepad is the same profile."""
    text = BASE + "pip:\n  packages:\n    - numpy==1.26.4\n"
    write(tmp_path, {"p": text})
    write(tmp_path, {"q": text.replace("\n", "\r\n")})
    assert load(tmp_path, "p").platforms == load(tmp_path, "q").platforms


def test_platforms_are_all_where_none_is_named(tmp_path: Path) -> None:
    """A profile is for Linux and Windows unless it says otherwise, in a fixed order."""
    write(
        tmp_path,
        {"p": BASE, "q": BASE + "platforms: [win-64]\n", "r": BASE + "platforms: [win-64, linux-64]\n"},
    )
    assert [p.name for p in load(tmp_path).platforms] == ["linux-64", "win-64"]
    assert [p.name for p in load(tmp_path, "q").platforms] == ["win-64"]
    assert [p.name for p in load(tmp_path, "r").platforms] == ["linux-64", "win-64"]


def test_a_profile_narrows_the_platforms_of_what_it_extends(tmp_path: Path) -> None:
    """The nearest list decides, so that a package for one system can be added to a stack for all."""
    both = BASE + "platforms: [linux-64, win-64]\n"
    child = "description: d\nextends: both\n"
    write(tmp_path, {"both": both, "p": child + "platforms: [linux-64]\n", "q": child})
    assert [p.name for p in load(tmp_path).platforms] == ["linux-64"]
    assert [p.name for p in load(tmp_path, "q").platforms] == ["linux-64", "win-64"]


def test_lists_add_and_mappings_merge_and_scalars_replace(tmp_path: Path) -> None:
    """A profile adds to its stack and has the last word."""
    stack = """\
description: s
stack: true
python: "3.10"
conda: {channels: [conda-forge], packages: [libuv]}
pip: {packages: [numpy==1.26.4, tabulate], prereleases: [Foo_Bar]}
env: {A: from-stack, B: from-stack}
linux-64: {env: {B: from-stack-on-linux}}
gpus: {arc-a: {env: {X: "1"}}}
validation: {imports: [numpy]}
"""
    profile = """\
description: p
extends: s
family: llama3
device: xpu
torch: xpu
python: "3.11"
conda: {packages: [sqlite]}
indexes: {x: "https://example.org/x"}
pip: {packages: [sentencepiece], prereleases: [foo.bar, baz], routes: {torch: x}}
env: {B: from-profile}
gpus: {arc-a: {env: {Y: "2"}}}
validation: {imports: [tabulate], commands: [[python, -V]]}
"""
    found = load(write(tmp_path, {"s": stack, "p": profile}))
    assert found.description == "p"
    assert found.python == "3.11"
    assert found.stacks == ("s",)
    platform = linux(found)
    assert platform.channels == ("conda-forge",)
    assert platform.conda == ("libuv", "sqlite")
    assert platform.pip == ("numpy==1.26.4", "tabulate", "sentencepiece")
    assert platform.prereleases == ("foo-bar", "baz")
    assert platform.env == {"A": "from-stack", "B": "from-profile"}
    assert platform.env_by_gpu == {"arc-a": {"X": "1", "Y": "2"}}
    assert found.validation.imports == ("numpy", "tabulate")
    assert found.validation.commands == (("python", "-V"),)


def test_a_pin_replaces_the_stacks_pin_of_the_same_package_in_its_place(tmp_path: Path) -> None:
    """Names are compared as Python does, extras and all; nothing of the old pin stays."""
    files = {
        "s": 'description: s\nstack: true\npip:\n  packages: ["Foo.Bar[x]>=1", zlib-ng]\n'
        "linux-64: {pip: {packages: [only-linux==1]}}\n",
        "p": BASE + "extends: s\npip:\n  packages: [foo_bar==2, only-linux==2]\n",
    }
    assert linux(load(write(tmp_path, files))).pip == ("foo-bar==2", "zlib-ng", "only-linux==2")


def test_a_platform_section_wins_over_the_same_file_only(tmp_path: Path) -> None:
    """The nearer file wins, even against a platform section of a stack."""
    files = {
        "s": "description: s\nstack: true\nenv: {A: s}\nwin-64: {env: {A: s-win}}\n",
        "p": BASE + "extends: s\n",
        "q": BASE + "extends: s\nenv: {A: q}\n",
    }
    write(tmp_path, files)
    assert [p.env["A"] for p in load(tmp_path, "p").platforms] == ["s", "s-win"]
    assert [p.env["A"] for p in load(tmp_path, "q").platforms] == ["q", "q"]


def test_of_several_stacks_the_first_named_is_nearest(tmp_path: Path) -> None:
    """`extends: [near, far]`: near wins."""
    files = {
        "near": "description: n\nstack: true\nenv: {A: near}\n",
        "far": "description: f\nstack: true\nenv: {A: far, B: far}\n",
        "p": BASE + "extends: [near, far]\n",
    }
    found = load(write(tmp_path, files))
    assert found.stacks == ("near", "far")
    assert linux(found).env == {"B": "far", "A": "near"}


def test_a_stack_reached_twice_counts_once_and_farthest(tmp_path: Path) -> None:
    """In a diamond the shared stack is behind both that extend it."""
    files = {
        "ground": "description: b\nstack: true\nenv: {A: ground}\npip: {packages: [one]}\n",
        "left": "description: l\nstack: true\nextends: ground\n",
        "right": "description: r\nstack: true\nextends: ground\nenv: {A: right}\n",
        "p": BASE + "extends: [left, right]\n",
    }
    found = load(write(tmp_path, files))
    assert found.stacks == ("left", "right", "ground")
    assert linux(found).env == {"A": "right"}
    assert linux(found).pip == ("one",)


def test_a_route_can_be_taken_back(tmp_path: Path) -> None:
    """A route to `pypi` removes the stack's."""
    files = {
        "s": "description: s\nstack: true\nindexes: {x: https://example.org/x}\n"
        "pip: {routes: {a: x, B_b: x}}\n",
        "p": BASE + "extends: s\npip: {routes: {a: pypi}}\n",
    }
    assert linux(load(write(tmp_path, files))).routes == {"b-b": "x"}


def test_a_circle_of_stacks_is_printed(tmp_path: Path) -> None:
    """A cycle names its members in order, at the line that closes it."""
    files = {
        "a": BASE + "extends: b\n",
        "b": "description: b\nextends: c\nstack: true\n",
        "c": "description: c\nextends: a\nstack: true\n",
        "self": BASE + "extends: self\n",
    }
    write(tmp_path, files)
    found = errors(tmp_path, "a")
    assert places(found) == ["profile.cycle c:2:10"]
    assert found[0].message.endswith("extends goes in a circle: a -> b -> c -> a")
    assert "self -> self" in errors(tmp_path, "self")[0].message


def test_a_long_chain_is_refused(tmp_path: Path) -> None:
    """Fifty stacks upon each other are an error, not a crash."""
    files = {f"s{i}": f"description: s\nstack: true\nextends: s{i + 1}\n" for i in range(50)}
    write(tmp_path, {**files, "s50": "description: s\nstack: true\n", "p": BASE + "extends: s0\n"})
    assert [e.code for e in errors(tmp_path)] == ["profile.too_deep"]


def test_a_wide_lattice_of_stacks_is_read_once_each(tmp_path: Path) -> None:
    """Twenty stacks on each of seven floors, each extending all below: 20^7 ways, 140 files."""
    files = {"p": BASE + f"extends: [{', '.join(f's0x{i}' for i in range(20))}]\n"}
    for floor in range(7):
        below = ", ".join(f"s{floor + 1}x{i}" for i in range(20))
        extends = f"extends: [{below}]\n" if floor < 6 else ""
        files |= {f"s{floor}x{i}": f"description: s\nstack: true\n{extends}" for i in range(20)}
    write(tmp_path, files)
    start = time.perf_counter()
    assert len(load(tmp_path).stacks) == 140
    assert time.perf_counter() - start < 5


def test_a_missing_profile_names_no_stack(tmp_path: Path) -> None:
    """What may stand on the command line is named, a stack may not."""
    write(tmp_path, {"p": BASE, "torch-xpu": "description: s\nstack: true\n"})
    with pytest.raises(UsageError) as caught:
        load_profile("nothing", folders=[tmp_path])
    assert caught.value.hints == ("known profiles: p",)


def test_a_missing_stack_names_what_there_is(tmp_path: Path) -> None:
    """The place, the nearest name and all names are told."""
    write(tmp_path, {"p": BASE + "extends: torch-xpo\n", "torch-xpu": "description: s\nstack: true\n"})
    found = errors(tmp_path)
    assert places(found) == ["profile.not_found p:6:10"]
    assert "did you mean `torch-xpu`?" in found[0].message
    assert found[0].hints == ("known profiles: p, torch-xpu",)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("description: p\nextend: s\n", ["extends"]),
        (BASE.replace("device:", "devise:"), ["device"]),
        (BASE.replace("family:", "famly:").replace("torch:", "troch:"), ["family", "torch"]),
    ],
)
def test_a_misspelt_key_is_not_missing_too(tmp_path: Path, text: str, meant: list[str]) -> None:
    """One mistake is one error: what the key was meant to be, or what `extends` brings, is not asked for."""
    found = errors(write(tmp_path, {"p": text, "s": "description: s\nstack: true\n"}))
    assert [e.message.partition("(")[2] for e in found] == [f"did you mean `{key}`?)" for key in meant]


def test_an_unknown_key_hides_no_missing_one(tmp_path: Path) -> None:
    """Where nothing near was meant, all that is wrong is told in one run."""
    found = errors(write(tmp_path, {"p": BASE.replace("device: cpu", "unheard: of")}))
    assert places(found) == ["profile.missing_key p:1:1", "profile.unknown_key p:3:1"]


def test_keys_that_nobody_gives_are_told_after_merging(tmp_path: Path) -> None:
    """A profile may leave keys to its stack, but somebody has to give them."""
    files = {
        "s": "description: s\nstack: true\ndevice: cpu\n",
        "p": "description: p\nextends: s\nfamily: llama3\n",
    }
    found = errors(write(tmp_path, files))
    assert [e.message.split(": ", 1)[1] for e in found] == [
        "key `torch` is missing in the profile and in what it extends (`s`)",
        "key `python` is missing in the profile and in what it extends (`s`)",
    ]


@pytest.mark.parametrize("extends", ["", "extends: s\n"], ids=["alone", "on a stack"])
def test_a_profile_says_which_model_proves_it(tmp_path: Path, extends: str) -> None:
    """Without a family and without a model of the user's own there is nothing to validate with."""
    body = "description: p\ndevice: cpu\ntorch: cpu\npython: '3.11'\n" + extends
    write(tmp_path, {"s": "description: s\nstack: true\n", "p": body})
    assert places(errors(tmp_path)) == ["profile.missing_key p:1:1"]
    assert "neither `family` nor `validation.model`" in errors(tmp_path)[0].message
    write(tmp_path, {"p": body + "validation: {backend: transformers, model: own}\n"})
    assert load(tmp_path).family == ""


NAMES = [
    *(
        "",
        ".",
        "..",
        "../x",
        "/abs",
        "a/b",
        "a\\b",
        "-rf",
        "~",
        "~root",
        "con",
        "nul",
        "aux.yaml",
        "com1",
        "lpt9.x",
    ),
    *(
        "x" * 65,
        "x" * 256,
        "a\0b",
        "a\nb",
        "a\n",
        "a\u202eb",
        "e\u0301",
        "é",
        "a ",
        " a",
        "a.",
        "base",
        "A",
        "C:x",
    ),
    *("https://example.org/x", "*", "a..b", "$(id)", "%PATH%"),
]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_never_a_path(tmp_path: Path, name: str) -> None:
    """Path-like, reserved and unprintable names are refused before any file is looked for."""
    with pytest.raises(UsageError) as caught:
        load(tmp_path, name)
    assert caught.value.code == "profile.bad_name"
    assert caught.value.message.isprintable()


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "/etc/passwd", "https://example.org/s", "con", "a/b", "S"]
)
def test_extends_takes_names_only(tmp_path: Path, name: str) -> None:
    """A stack's name cannot leave the folders either."""
    found = errors(write(tmp_path, {"p": BASE + f'extends: "{name}"\n'}))
    assert [e.context["line"] for e in found] == [6]
    assert found[0].code in {"profile.bad_name", "profile.bad_value"}


def test_an_unknown_profile_names_what_there_is(tmp_path: Path) -> None:
    """The error offers the nearest name, and tells of a file with the other ending."""
    write(tmp_path, {"llama3-cpu": BASE})
    (tmp_path / "other.yml").write_text(BASE)
    with pytest.raises(UsageError, match="did you mean `llama3-cpu`") as caught:
        load(tmp_path, "lama3-cpu")
    assert caught.value.code == "profile.not_found"
    with pytest.raises(UsageError, match=r"has another ending") as caught:
        load(tmp_path, "other")
    assert caught.value.hints == ("rename it to `other.yaml`",)


def test_a_stack_is_not_created(tmp_path: Path) -> None:
    """A stack is for extending."""
    write(tmp_path, {"s": "description: s\nstack: true\n"})
    with pytest.raises(UsageError) as caught:
        load(tmp_path, "s")
    assert caught.value.code == "profile.is_stack"


def test_a_profile_can_extend_a_profile(tmp_path: Path) -> None:
    """Whether a profile is a stack is not inherited."""
    write(
        tmp_path,
        {"p": BASE, "q": "description: q\nextends: p\n", "r": "description: r\nextends: p\nstack: true\n"},
    )
    assert load(tmp_path, "q").description == "q"
    assert [entry.name for entry in list_profiles([tmp_path])] == ["p", "q"]


@pytest.mark.parametrize("kind", ["symlink", "dangling", "directory", "pipe", "device"])
def test_only_regular_files_are_read(tmp_path: Path, kind: str) -> None:
    """Links, folders, pipes and devices under a profile's name are refused, and nothing blocks."""
    path = tmp_path / "p.yaml"
    if kind == "symlink":
        outside = tmp_path / "outside"
        outside.write_text(BASE)
        path.symlink_to(outside)
    elif kind == "dangling":
        path.symlink_to(tmp_path / "nowhere")
    elif kind == "directory":
        path.mkdir()
    elif kind == "pipe" and sys.platform != "win32":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")
    assert places(errors(tmp_path)) == ["profile.not_regular p:1:1"]


def test_the_first_folder_that_has_a_name_wins(tmp_path: Path) -> None:
    """A user's profile hides a built-in one of the same name, also as a stack; a missing folder is none."""
    user = write(
        tmp_path / "user", {"p": BASE + "extends: s\n", "s": "description: s\nstack: true\nenv: {A: user}\n"}
    )
    built_in = write(
        tmp_path / "builtin", {"s": "description: s\nstack: true\nenv: {A: builtin}\n", "q": BASE}
    )
    folders = [tmp_path / "missing", user, built_in]
    found = load_profile("p", folders=folders)
    assert linux(found).env == {"A": "user"}
    assert [entry.name for entry in list_profiles(folders)] == ["p", "q"]
    assert Path(found.file) == user / "p.yaml"


def test_a_broken_profile_is_listed_with_its_error(tmp_path: Path) -> None:
    """One bad file hides no good one; stacks are left out until asked for."""
    files = {
        "good": BASE,
        "bad": BASE + "colour: red\n",
        "stack": "description: s\nstack: true\n",
        "Bad Name": BASE,
    }
    write(tmp_path, files)
    entries = {entry.name: entry for entry in list_profiles([tmp_path])}
    assert list(entries) == ["Bad Name", "bad", "good"]
    assert entries["good"].error is None
    assert entries["good"].description == "A small profile"
    bad = entries["bad"].error
    assert isinstance(bad, ErrorList)
    assert bad.code == "profile.unknown_key"
    assert entries["Bad Name"].error is not None
    assert [e.name for e in list_profiles([tmp_path], stacks=True) if e.stack] == ["stack"]


def test_origins_name_the_file_of_every_value(tmp_path: Path) -> None:
    """The last word's place is kept, for the profile's values and for the stack's."""
    files = {
        "s": 'description: s\nstack: true\npython: "3.10"\npip:\n  packages:\n    - numpy\n    - tabulate\n',
        "p": BASE + "extends: s\npip:\n  packages: [tabulate==1]\nwin-64: {env: {A: b}}\n",
    }
    found = load(write(tmp_path, files))
    short = {key: f"{Path(o.file).stem}:{o.line}:{o.column}" for key, o in found.origins.items()}
    assert short["python"] == "p:5:9"
    assert short["linux-64.pip.packages[0]"] == "s:6:7"
    assert short["linux-64.pip.packages[1]"] == "p:8:14"
    assert short["win-64.env.A"] == "p:9:19"
    assert "linux-64.env.A" not in short


def test_very_many_problems_are_not_printed(tmp_path: Path) -> None:
    """A hostile file cannot flood the terminal."""
    found = errors(write(tmp_path, {"p": BASE + "".join(f"k{i}: x\n" for i in range(5000))}))
    assert len(found) == 101
    assert found[-1].message == "and more problems"
