"""Laws of lockfiles, for locks that nobody thought of."""

from dataclasses import replace
from random import Random
from string import ascii_lowercase

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provisioner.errors import LockError
from provisioner.ground.yaml_writer import write_yaml
from provisioner.lock.assemble import make_lock
from provisioner.lock.conda_lock_v1 import dump_lock
from provisioner.lock.diff import diff_locks
from provisioner.lock.file import read_lock, read_lock_head, write_lock
from provisioner.lock.fingerprint import fingerprint_inputs
from provisioner.lock.freshness import find_changes
from provisioner.lock.model import Lock
from provisioner.profile.model import Decision, Platform, Profile
from provisioner.resolve.model import CondaPackage, PipPackage, PlatformResolution, Resolution
from tests.unit.lock.samples import SOURCE, conda_package, tiny_lock, tiny_profile, torch_wheel, wheel

names = st.text(alphabet=ascii_lowercase, min_size=1, max_size=8)
versions = st.tuples(st.integers(0, 99), st.integers(0, 99)).map(lambda pair: f"{pair[0]}.{pair[1]}")
printable = st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126), max_size=20)
dependencies = st.dictionaries(names, printable, max_size=3)
words = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=30)


@st.composite
def wheels(draw: st.DrawFn) -> PipPackage:
    """Return a wheel of the default index or of `pytorch-cpu`."""
    package = wheel(draw(names), draw(versions), validation=draw(st.booleans()))
    if draw(st.booleans()):
        package = replace(torch_wheel(draw(versions)), validation=package.validation)
    return replace(package, dependencies=draw(dependencies))


@st.composite
def resolutions(draw: st.DrawFn) -> Resolution:
    """Return a resolution of the sample profile with any packages."""
    platforms = []
    for name in ("linux-64", "win-64"):
        conda: list[CondaPackage] = [
            replace(
                conda_package(n, v, subdir=draw(st.sampled_from([name, "noarch"]))),
                dependencies=draw(dependencies),
            )
            for n, v in draw(st.dictionaries(names, versions, max_size=4)).items()
        ]
        pip = draw(st.lists(wheels(), max_size=5, unique_by=lambda package: package.name))
        platforms.append(PlatformResolution(platform=name, conda=tuple(conda), pip=tuple(pip)))
    notes = draw(st.lists(words, max_size=3))
    return Resolution(profile="tiny", platforms=tuple(platforms), notes=tuple(notes))


def shuffled(resolution: Resolution, random: Random) -> Resolution:
    """Return the same answer with every list in another order."""
    platforms = []
    for platform in resolution.platforms:
        conda, pip = list(platform.conda), list(platform.pip)
        random.shuffle(conda)
        random.shuffle(pip)
        turned = [replace(p, dependencies=dict(reversed(list(p.dependencies.items())))) for p in pip]
        platforms.append(replace(platform, conda=tuple(conda), pip=tuple(turned)))
    random.shuffle(platforms)
    return replace(resolution, platforms=tuple(platforms), notes=resolution.notes[::-1])


@given(resolution=resolutions())
@settings(max_examples=60)
def test_parse_undoes_dump(tmp_path_factory: pytest.TempPathFactory, resolution: Resolution) -> None:
    """Every lock that can be written is read back equal, and its head with it."""
    lock = make_lock(tiny_profile(), resolution, SOURCE)
    path = tmp_path_factory.mktemp("law") / "tiny.conda-lock.yml"
    write_lock(path, lock)
    assert read_lock(path) == lock
    assert read_lock_head(path).inputs == lock.inputs


@given(resolution=resolutions(), random=st.randoms(use_true_random=False))
@settings(max_examples=60)
def test_the_same_answer_gives_the_same_bytes(resolution: Resolution, random: Random) -> None:
    """The order in which solvers answer, and profiles list, is not seen in the file."""
    profile = tiny_profile()
    linux, windows = profile.platforms
    turned = replace(
        profile, platforms=(windows, replace(linux, pip=linux.pip[::-1], conda=linux.conda[::-1]))
    )
    text = dump_lock(make_lock(profile, resolution, SOURCE))
    assert dump_lock(make_lock(turned, shuffled(resolution, random), SOURCE)) == text
    assert text.isascii()


@given(resolution=resolutions())
@settings(max_examples=30)
def test_a_lock_does_not_differ_from_itself(resolution: Resolution) -> None:
    """A diff of equal locks is empty."""
    lock = make_lock(tiny_profile(), resolution, SOURCE)
    assert not diff_locks(lock, lock).platforms


@given(old=resolutions(), new=resolutions())
@settings(max_examples=60)
def test_a_diff_names_each_package_that_differs_once(old: Resolution, new: Resolution) -> None:
    """Added, removed and changed packages are the symmetric difference of two locks, and nothing else."""
    before, after = (make_lock(tiny_profile(), resolution, SOURCE) for resolution in (old, new))
    told = {
        (platform.platform, change.manager, change.name)
        for platform in diff_locks(before, after).platforms
        for change in platform.changes
    }
    left, right = _packages(before), _packages(after)
    assert told == {key for key in {*left, *right} if left.get(key) != right.get(key)}


def _packages(lock: Lock) -> dict[tuple[str, str, str], tuple[str, ...]]:
    found: dict[tuple[str, str, str], tuple[str, ...]] = {}
    for platform in lock.platforms:
        for conda in platform.conda:
            found[platform.platform, "conda", conda.name] = (conda.url, conda.sha256)
        for pip in platform.pip:
            manager = "asset" if pip.validation else "pip"
            found[platform.platform, manager, pip.name] = (pip.url, pip.sha256, pip.index)
    return found


@given(new=st.sampled_from(["pip", "conda", "prereleases", "yanked", "overrides"]), name=names)
@settings(max_examples=40)
def test_freshness_names_the_key_that_changed(new: str, name: str) -> None:
    """Whatever is added to whichever list, its key and its name are told, and only those."""
    profile = tiny_profile()
    linux, windows = profile.platforms
    subject = f"added-{name}"
    changed = replace(profile, platforms=(_with(linux, new, f"{subject}==1"), windows))
    assert [(change.key, change.reason) for change in find_changes(tiny_lock(), changed)] == [
        (f"linux-64 {new}", f"`{'added-' + name + '-1' if new == 'prereleases' else subject}` was added")
    ]


def _with(platform: Platform, key: str, requirement: str) -> Platform:
    if key == "pip":
        return replace(platform, pip=(*platform.pip, requirement))
    if key == "conda":
        return replace(platform, conda=(*platform.conda, requirement))
    if key == "prereleases":
        return replace(platform, prereleases=(requirement.replace("==", "-"),))
    decision = Decision(requirement=requirement, reason="since")
    if key == "yanked":
        return replace(platform, yanked=(decision,))
    return replace(platform, overrides=(*platform.overrides, decision))


@given(text=st.text(alphabet=st.characters(max_codepoint=0x10FFFF), max_size=60))
@settings(max_examples=100)
def test_any_text_in_the_place_of_a_lockfile_is_answered_by_an_error_of_the_lock(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    """No input makes a traceback."""
    path = tmp_path_factory.mktemp("law") / "tiny.conda-lock.yml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(LockError):
        read_lock(path)


@given(data=st.data())
@settings(max_examples=80)
def test_a_damaged_lockfile_is_read_as_written_or_refused(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """A changed line is refused, or the lock says what it says: writing it says the same to a YAML reader."""
    import yaml

    lines = dump_lock(tiny_lock()).splitlines()
    number = data.draw(st.integers(0, len(lines) - 1))
    lines[number] = data.draw(st.sampled_from([*lines, "", "  x: 1", "- 1", "\t", "  url: ''"]))
    text = "\n".join(lines) + "\n"
    path = tmp_path_factory.mktemp("law") / "tiny.conda-lock.yml"
    path.write_text(text, encoding="utf-8")
    try:
        lock = read_lock(path)
    except LockError:
        return
    assert yaml.safe_load(dump_lock(lock)) == yaml.safe_load(text)


nested = st.recursive(
    st.one_of(words, st.integers(), st.booleans()),
    lambda inner: st.one_of(
        st.dictionaries(names, inner, max_size=3),
        st.lists(st.one_of(words, st.dictionaries(names, inner, max_size=3)), max_size=3),
    ),
    max_leaves=8,
)


@given(
    value=st.dictionaries(
        st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=20), nested, max_size=4
    )
)
@settings(max_examples=100)
def test_a_yaml_reader_reads_what_was_written(value: dict[str, object]) -> None:
    """Text stays text, whatever it looks like."""
    import yaml

    assert (yaml.safe_load("\n".join(write_yaml(value))) or {}) == value  # type: ignore[arg-type] # any YAML value


def test_a_profile_without_order_has_one_fingerprint() -> None:
    """Two orders of the same lists give the same inputs."""
    profile: Profile = tiny_profile()
    linux, windows = profile.platforms
    turned = replace(profile, platforms=(replace(linux, pip=linux.pip[::-1]), windows))
    assert fingerprint_inputs(profile) == fingerprint_inputs(turned)
