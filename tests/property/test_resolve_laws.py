"""Laws of choosing wheels and of reading metadata."""

from hypothesis import given
from hypothesis import strategies as st
from packaging.tags import compatible_tags, cpython_tags
from packaging.utils import canonicalize_name, parse_wheel_filename
from packaging.version import Version

from provisioner.engines.index.metadata import find_requires_dist
from provisioner.engines.index.page import IndexFile
from provisioner.engines.index.wheel_choice import Limits, choose_wheels
from provisioner.resolve.platforms import TARGETS

_VERSIONS = st.sampled_from(
    ["1.0", "1.0.0", "1.1", "2.0a1", "2.0", "2.0.post1", "2.1.0a0+cxx11.abi", "1!3.0"]
)
_TAGS = st.sampled_from(
    [
        "py3-none-any",
        "py2.py3-none-any",
        "cp311-cp311-win_amd64",
        "cp311-cp311-manylinux_2_28_x86_64",
        "cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64",
        "cp37-abi3-manylinux1_x86_64",
        "cp310-cp310-win_amd64",
        "cp311-cp311-musllinux_1_2_x86_64",
        "cp311-none-linux_x86_64",
    ]
)
_BUILDS = st.sampled_from(["", "-1", "-2b", "-10"])
_FILENAMES = st.builds("app-{}{}-{}.whl".format, _VERSIONS, _BUILDS, _TAGS)


def page_of(filenames: list[str]) -> list[IndexFile]:
    """Return a page without upload times."""
    return [
        IndexFile(
            filename=name,
            url=name,
            sha256=None,
            requires_python=None,
            uploaded=None,
            yanked=None,
            size=None,
        )
        for name in filenames
    ]


@given(st.lists(_FILENAMES, unique=True), st.randoms(), st.sampled_from(sorted(TARGETS)))
def test_the_order_of_a_page_does_not_matter(
    filenames: list[str], random: st.DataObject, platform: str
) -> None:
    """Shuffling a page changes no choice."""
    limits = Limits(prereleases=True)
    shuffled = list(filenames)
    random.shuffle(shuffled)  # type: ignore[attr-defined] # a random.Random of Hypothesis'
    first, second = (
        choose_wheels(page_of(names), project="app", platform=platform, python="3.11", limits=limits)
        for names in (filenames, shuffled)
    )
    assert {version: file.filename for version, file in first.items()} == {
        version: file.filename for version, file in second.items()
    }


@given(st.lists(_FILENAMES, unique=True), st.sampled_from(sorted(TARGETS)))
def test_choosing_agrees_with_packaging(filenames: list[str], platform: str) -> None:
    """Our quick reading of names takes exactly the versions that packaging's tags allow."""
    target = TARGETS[platform].wheel_platforms
    allowed = {
        *cpython_tags((3, 11), abis=["cp311"], platforms=target),
        *compatible_tags((3, 11), interpreter="cp311", platforms=target),
    }
    expected = set()
    for filename in filenames:
        name, version, _, tags = parse_wheel_filename(filename)
        if canonicalize_name(name) == "app" and tags & allowed:
            expected.add(version)
    limits = Limits(prereleases=True)
    chosen = choose_wheels(page_of(filenames), project="app", platform=platform, python="3.11", limits=limits)
    assert set(chosen) == expected
    assert all(parse_wheel_filename(file.filename)[1] == version for version, file in chosen.items())
    assert all(isinstance(version, Version) for version in chosen)


@given(
    st.lists(st.sampled_from(["numpy", "torch >=2 ; extra == 'x'", "a[b]==1"])),
    st.sampled_from(["\n", "\r\n"]),
)
def test_every_requirement_is_read_and_nothing_of_the_description(wanted: list[str], newline: str) -> None:
    """Headers end at the first empty line; a README may quote METADATA."""
    head = ["Metadata-Version: 2.1", "Name: app", *(f"Requires-Dist: {text}" for text in wanted)]
    text = newline.join([*head, "", "Requires-Dist: evil", ""])
    assert find_requires_dist(text.encode()) == wanted


@given(st.binary())
def test_reading_requirements_never_fails(metadata: bytes) -> None:
    """Whatever an index serves as METADATA."""
    find_requires_dist(metadata)
