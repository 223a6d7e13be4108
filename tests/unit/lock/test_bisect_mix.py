"""Between two locks, changes that need each other go together, and no mixture breaks a dependency."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from provisioner.lock.bisect_mix import Package, allows, index_packages, make_mixture
from provisioner.lock.model import LockedPlatform
from provisioner.resolve.model import PipPackage


def wheel(name: str, version: str, **dependencies: str) -> PipPackage:
    filename = f"{name}-{version}-py3-none-any.whl"
    return PipPackage(
        name=name,
        version=version,
        filename=filename,
        url=f"pypi:{filename}",
        index="pypi",
        sha256=version.replace(".", "0") * 8,
        dependencies=dependencies,
    )


def part(*wheels: PipPackage) -> LockedPlatform:
    return LockedPlatform(
        platform="linux-64", fingerprint="f", pip=tuple(sorted(wheels, key=lambda w: w.name))
    )


def satisfies(package: Package, constraint: str) -> bool:
    assert isinstance(package, PipPackage)
    return allows(package, constraint)


def names(groups: tuple[frozenset[tuple[str, str]], ...]) -> list[set[str]]:
    return [{name for _, name in group} for group in groups]


def test_changes_that_need_each_other_are_one_group() -> None:
    """A pair that pins each other moves together; what only one needs comes before it; the rest is free."""
    good = part(
        wheel("app", "1", lib="==1", core="<3"),
        wheel("lib", "1", app="==1"),
        wheel("core", "1"),
        wheel("free", "1"),
    )
    bad = part(
        wheel("app", "2", lib="==2", core=">=2"),
        wheel("lib", "2", app="==2"),
        wheel("core", "2"),
        wheel("free", "2"),
    )
    mixture = make_mixture(good, bad, satisfies=satisfies)
    assert names(mixture.groups) == [{"core"}, {"free"}, {"app", "lib"}]
    assert mixture.close({2}) == {0, 2}
    assert mixture.mix(()).pip == good.pip
    assert mixture.mix(range(3)).pip == bad.pip


def test_packages_that_come_and_go_are_changes() -> None:
    """A new package comes with the first that needs it, and an old one stays as long as one needs it."""
    good = part(wheel("app", "1", gone=""), wheel("gone", "1"))
    bad = part(wheel("app", "2", fresh=">=1"), wheel("fresh", "1"))
    mixture = make_mixture(good, bad, satisfies=satisfies)
    assert names(mixture.groups) == [{"fresh"}, {"app"}, {"gone"}]
    assert mixture.close({2}) == {0, 1, 2}
    assert [package.name for package in mixture.mix({0, 1}).pip] == ["app", "fresh", "gone"]


def test_what_a_lock_breaks_itself_is_no_reason() -> None:
    """A constraint that the profile overrides holds nothing together."""
    good = part(wheel("app", "1", lib="==9"), wheel("lib", "1"))
    bad = part(wheel("app", "2", lib="==9"), wheel("lib", "2"))
    assert len(make_mixture(good, bad, satisfies=satisfies).groups) == 2


@st.composite
def locks(draw: st.DrawFn) -> tuple[LockedPlatform, LockedPlatform]:
    """Two consistent locks: of each package version 1 or 2, with constraints that hold in its lock."""
    count = draw(st.integers(1, 7))
    sides = []
    for side in (1, 2):
        versions = {
            f"p{number}": draw(st.integers(1, 3)) * 10 + side
            for number in range(count)
            if draw(st.booleans())
        }
        wheels = []
        for name, version in versions.items():
            needed = draw(st.lists(st.sampled_from(sorted(versions)), max_size=2))
            forms = {
                other: draw(
                    st.sampled_from(
                        ["", f"=={versions[other]}", f">={versions[other]}", f"<={versions[other]}"]
                    )
                )
                for other in needed
            }
            wheels.append(replace(wheel(name, str(version)), dependencies=forms))
        sides.append(part(*wheels))
    return sides[0], sides[1]


@given(locks(), st.data())
def test_no_complete_choice_breaks_a_dependency(
    pair: tuple[LockedPlatform, LockedPlatform], data: st.DataObject
) -> None:
    """Whatever is chosen with what it needs: every package finds what it needs, as it allows it."""
    mixture = make_mixture(*pair, satisfies=satisfies)
    numbers = range(len(mixture.groups))
    chosen = data.draw(st.sets(st.sampled_from(numbers))) if numbers else set()
    for choice in (mixture.close(chosen), range(len(chosen))):
        packages = index_packages(mixture.mix(choice))
        for package in packages.values():
            for name, constraint in package.dependencies.items():
                assert satisfies(packages["pip", name], constraint)
