"""The packages of a lock as one page: who needs whom, sizes, indexes, the torch variant, known problems.

A list with arcs beside it, each package above what it needs. No script: what a package is joined to lights up
by rules of its own when the pointer or the focus is on it, so the Tab key shows as much as a mouse.
"""

import importlib.resources
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from provisioner.diagnose.machine.known import Known
from provisioner.ground.names import DEFAULT_INDEX
from provisioner.ground.text import count_of
from provisioner.lock.fingerprint import read_input
from provisioner.lock.graph import Key, find_missing, find_needs, list_packages, order_by_need
from provisioner.lock.model import Lock, LockedPlatform
from provisioner.profile.model import Profile
from provisioner.profile.rules import conda_name, requirement_name
from provisioner.render.amounts import format_bytes
from provisioner.render.page import bullets, section, write_page
from provisioner.resolve.model import CondaPackage, PipPackage

Package = CondaPackage | PipPackage
_ROW_HEIGHT = 28
_INTRO = (
    "Each package stands above what it needs. On a package, with the pointer or the Tab key, blue arcs lead "
    "to what it needs and green ones to what needs it; Enter goes to its facts."
)
# Intel's runtimes below torch and oneAPI, as their wheels are called.
_RUNTIME = re.compile(
    r"(?:intel-(?:sycl|opencl|openmp|cmplr|pti)|dpcpp|mkl|onemkl|onednn|oneccl|impi|umf|tbb|tcmlib)\b.*"
)
_COLOURS = 6


@dataclass(frozen=True, kw_only=True, slots=True)
class _Picture:
    """What is drawn: packages in their order, whom each needs, and how each is marked.

    Attributes:
        numbers: A package's place in the order, which names it on the page.
        colours: Index or channel to the number of its colour.
        chips: The words that a package is marked with, and their class.
    """

    packages: Mapping[Key, Package]
    order: Sequence[Key]
    needs: Mapping[Key, Sequence[Key]]
    missing: Mapping[Key, Sequence[str]]
    numbers: Mapping[Key, int]
    colours: Mapping[str, int]
    chips: Mapping[Key, Sequence[tuple[str, str]]]


def write_graph(profile: Profile, lock: Lock, platform: LockedPlatform, known: Sequence[Known]) -> str:
    """Return the page about one platform of a lock; ``known`` are rows of the ledger that may apply."""
    known = [each for each in known if each.row.when.packages]
    picture = _arrange(profile, lock, platform, known)
    legend = _legend(picture)
    graph = f'<div class="graph"><ol>{_rows(picture)}</ol>{_arcs(picture)}</div>'
    body = "".join(
        (
            _header(profile, lock, platform, picture.packages.values()),
            _warnings(known, picture.packages),
            section("Who needs whom", f'<div class="card"><p class="soft">{_INTRO}</p>{legend}{graph}</div>'),
            section("Packages", f'<div class="card">{_table(picture)}</div>'),
            section("Notes of the lock", f'<div class="card">{bullets(lock.notes)}</div>')
            if lock.notes
            else "",
        )
    )
    title = f"{profile.name} on {platform.platform}: {count_of(len(picture.order), 'package')}"
    return write_page(title=title, body=body, style=_write_style(picture))


def _write_style(picture: _Picture) -> str:
    style = importlib.resources.files("provisioner.render").joinpath("graph.css").read_text("utf-8")
    total = _ROW_HEIGHT * len(picture.order)
    return f":root {{ --row: {_ROW_HEIGHT}px; --rows: {total}px; }}\n{style}{_light_rules(picture)}"


def _arrange(profile: Profile, lock: Lock, platform: LockedPlatform, known: Sequence[Known]) -> _Picture:
    packages, needs = list_packages(platform), find_needs(platform)
    # Each above what it needs: what nobody needs, and somebody asked for, begins.
    order = list(reversed(order_by_need(needs)))
    return _Picture(
        packages=packages,
        order=order,
        needs=needs,
        missing=find_missing(platform),
        numbers={key: number for number, key in enumerate(order)},
        colours=_colour_indexes(packages.values()),
        chips={key: _find_chips(packages[key], profile, lock, platform, known) for key in order},
    )


def _header(
    profile: Profile,
    lock: Lock,
    platform: LockedPlatform,
    packages: Iterable[Package],
) -> str:
    listed = list(packages)
    sizes = [package.size for package in listed if package.size is not None]
    unknown = len(listed) - len(sizes)
    python = read_input(lock.inputs, platform.platform, "python")
    figures = {
        "Platform": platform.platform,
        "Packages": str(len(listed)),
        "To download": format_bytes(sum(sizes)) + (f" and {unknown} of unknown size" if unknown else ""),
        "torch": str(profile.torch.value),
        "Python": python or "",
        "State upstream": f"{profile.status.state.value} {profile.status.since or ''}".strip(),
    }
    shown = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>"
        for name, value in figures.items()
        if value
    )
    return (
        f'<header><p class="badge">locked</p><h1>{escape(profile.name)}</h1>'
        f'<p>{escape(profile.description)}</p></header><dl class="card figures">{shown}</dl>\n'
    )


def _warnings(known: Sequence[Known], packages: Mapping[Key, Package]) -> str:
    """Return what the ledger knows of these packages: surely, or on some machines."""
    names = {name for _, name in packages}
    told = []
    for each in known:
        row = each.row
        touched = ", ".join(f"`{name}`" for name in row.when.packages if name in names)
        sure = "" if each.sure else "on some machines: "
        told.append(
            f"{touched or 'these packages'}: {sure}{row.effect}; {row.remedy} ({row.source}, {row.date})"
        )
    return section("What is known", f'<div class="card">{bullets(told)}</div>') if told else ""


def _colour_indexes(packages: Iterable[Package]) -> dict[str, int]:
    """Return index or channel to the number of its colour; the default index first."""
    names = sorted(
        {_index_of(package) for package in packages}, key=lambda name: (name != DEFAULT_INDEX, name)
    )
    return {name: min(number, _COLOURS - 1) for number, name in enumerate(names)}


def _index_of(package: Package) -> str:
    return package.url.rsplit("/", 3)[1] if isinstance(package, CondaPackage) else package.index


def _legend(picture: _Picture) -> str:
    counts = dict.fromkeys(picture.colours, 0)
    for package in picture.packages.values():
        counts[_index_of(package)] += 1
    items = "".join(
        f"<li>{_swatch(picture.colours[name])} {escape(name)}: {count}</li>" for name, count in counts.items()
    )
    return f'<ul class="legend">{items}</ul>'


def _swatch(colour: int) -> str:
    return f'<span class="swatch" style="background: var(--i{colour})"></span>'


def _find_chips(
    package: Package,
    profile: Profile,
    lock: Lock,
    platform: LockedPlatform,
    known: Sequence[Known],
) -> list[tuple[str, str]]:
    """Return the words that a package is marked with, and their class."""
    chips = []
    if package.name == "torch":
        chips.append((f"torch {profile.torch.value}", "torch"))
    if any(package.name in each.row.when.packages for each in known):
        chips.append(("known", "known"))
    if _RUNTIME.fullmatch(package.name):
        chips.append(("runtime", "plain"))
    if isinstance(package, PipPackage) and package.validation:
        chips.append(("never installed", "plain"))
    elif package.name in _find_asked(package, lock, platform):
        chips.append(("asked for", "plain"))
    return chips


def _find_asked(package: Package, lock: Lock, platform: LockedPlatform) -> set[str]:
    """Return the names that the profile asked for when it was locked."""
    is_conda = isinstance(package, CondaPackage)
    asked = read_input(lock.inputs, platform.platform, "conda" if is_conda else "pip") or ()
    return set(map(conda_name if is_conda else requirement_name, asked))


def _rows(picture: _Picture) -> str:
    largest = max((package.size or 0 for package in picture.packages.values()), default=0) or 1
    rows = []
    for number, key in enumerate(picture.order):
        package = picture.packages[key]
        size = "" if package.size is None else format_bytes(package.size)
        bar = f'<i style="width: {50 * (package.size or 0) / largest:.1f}px"></i>'
        rows.append(
            f'<li><a id="n{number}" href="#p{number}">{_swatch(picture.colours[_index_of(package)])}'
            f'<span class="name">{escape(package.name)}</span>{_show_chips(picture.chips[key])}'
            f'<span class="version">{escape(package.version)}</span>'
            f'<span class="size">{bar}<span>{size}</span></span></a></li>'
        )
    return "".join(rows)


def _show_chips(chips: Iterable[tuple[str, str]]) -> str:
    return "".join(f'<span class="chip {kind}">{escape(word)}</span>' for word, kind in chips)


def _arcs(picture: _Picture) -> str:
    """Draw an arc from each package to each that it needs; the farther apart, the wider it goes out."""
    count = len(picture.order)
    paths = []
    for key in picture.order:
        for need in picture.needs[key]:
            start, end = picture.numbers[key], picture.numbers[need]
            out = min(14 + 118 * (abs(end - start) / count) ** 0.6, 130)
            top, bottom = (number * _ROW_HEIGHT + _ROW_HEIGHT // 2 for number in (start, end))
            curve = f"M0 {top}C{out:.0f} {top} {out:.0f} {bottom} 0 {bottom}"
            paths.append(f'<path class="f{start} t{end}" d="{curve}"/>')
    return (
        f'<svg viewBox="0 0 100 {_ROW_HEIGHT * count}" preserveAspectRatio="none" role="img" '
        f'aria-label="arcs from packages to what they need">{"".join(paths)}</svg>'
    )


def _light_rules(picture: _Picture) -> str:
    """Return the rules that light up what a package is joined to while it has the focus or the pointer."""
    joined: dict[int, set[int]] = {number: set() for number in range(len(picture.order))}
    for key, found in picture.needs.items():
        for need in found:
            joined[picture.numbers[key]].add(picture.numbers[need])
            joined[picture.numbers[need]].add(picture.numbers[key])
    rules = []
    for number, others in joined.items():
        on = f".graph:has(#n{number}:is(:hover, :focus))"
        rules.append(f"{on} .f{number} {{ stroke: var(--bar); stroke-opacity: 1; stroke-width: 2; }}")
        rules.append(f"{on} .t{number} {{ stroke: var(--passed); stroke-opacity: 1; stroke-width: 2; }}")
        if others:
            ids = ", ".join(f"#n{each}" for each in sorted(others))
            rules.append(f"{on} :is({ids}) {{ background: var(--mark); }}")
    return "\n".join(rules) + "\n"


def _table(picture: _Picture) -> str:
    needed_by: dict[Key, list[Key]] = {key: [] for key in picture.order}
    for key in picture.order:
        for need in picture.needs[key]:
            needed_by[need].append(key)
    rows = []
    for key in picture.order:
        package, number = picture.packages[key], picture.numbers[key]
        size = "" if package.size is None else format_bytes(package.size)
        absent = ", ".join(picture.missing[key])
        absent = f' <span class="soft">not locked: {escape(absent)}</span>' if absent else ""
        index = _index_of(package)
        rows.append(
            f'<tr id="p{number}"><td><a href="#n{number}">{escape(package.name)}</a> '
            f"{_show_chips(picture.chips[key])}</td><td>{escape(package.version)}</td>"
            f'<td title="from">{_swatch(picture.colours[index])} {escape(index)}</td>'
            f'<td class="number" title="size">{size}</td>'
            f'<td title="needs">{_links(picture.needs[key], picture.numbers)}{absent}</td>'
            f'<td title="needed by">{_links(needed_by[key], picture.numbers)}</td></tr>'
        )
    names = ("Package", "Version", "From", "Size", "Needs", "Needed by")
    head = "".join(f"<th>{name}</th>" for name in names)
    body = "".join(rows)
    return f'<table class="packages"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def _links(keys: Iterable[Key], numbers: Mapping[Key, int]) -> str:
    return ", ".join(f'<a href="#p{numbers[key]}">{escape(key[1])}</a>' for key in keys)
