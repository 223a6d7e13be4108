"""What is known about card, driver and wheel: which rows of ``envs/known.yaml`` apply here.

A row applies, does not apply, or this machine does not tell: much of a machine may be unread. Pure rules.
"""

import operator
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version

from provisioner.diagnose.machine.facts import DisplayDevice, HostFacts
from provisioner.diagnose.machine.gpus import INTEL_VENDOR, find_gpu
from provisioner.diagnose.machine.known_rows import Kind, Level, Row, When
from provisioner.diagnose.machine.layers.model import parse_version
from provisioner.errors import UnvalidatedError
from provisioner.events import Notice

_OPERATORS = {
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
}
_PLATFORMS = {"linux-64": "linux", "win-64": "windows"}
_RUNTIME_KINDS = {"gpu-driver", "opencl-driver"}


_WORDS = {
    Kind.SLOW: "is known to be slow",
    Kind.FLOOR: "is outside of what its makers support",
    Kind.GOOD: "is reported to work",
}
_BAD_WORDS = {
    Level.STOP: "is known to fail",
    Level.WARN: "is reported to fail",
    Level.TELL: "may meet a known problem",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Stack:
    """What of a lock or an environment is judged.

    Attributes:
        platform: ``linux-64`` or ``win-64``.
        packages: Normalised name to version; None: not known.
        hosts: Hosts that its files come from; None: not known.
        variables: What activation sets; it wins over inherited variables.
    """

    platform: str
    packages: Mapping[str, str] | None = None
    hosts: frozenset[str] | None = None
    variables: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Known:
    """A row that applies; not ``sure`` where the facts leave it open."""

    row: Row
    sure: bool

    def describe(self, subject: str, *, where: str = "here") -> str:
        """Return the sentence about `a profile`; ``where``: ``on this machine``, ``on `win-64```."""
        row = self.row
        said = f"{row.effect} ({row.source}, {row.date})"
        if self.sure:
            words = _BAD_WORDS[row.level] if row.kind is Kind.BAD else _WORDS[row.kind]
            return f"{subject} {words} {where}: {said}"
        return f"{subject}: whether this applies {where} is not known: {said}"

    def as_json(self) -> dict[str, Any]:
        """Return the row as an entry of a document's ``known``."""
        row = self.row
        return {
            "id": row.id,
            "kind": row.kind.value,
            "level": row.level.value,
            "sure": self.sure,
            "effect": row.effect,
            "remedy": row.remedy,
            "status": row.status,
            "source": row.source,
            "address": row.address,
            "date": row.date,
        }


def find_known(rows: Iterable[Row], stack: Stack, facts: HostFacts | None) -> tuple[Known, ...]:
    """Return the rows that apply, what is sure and what stops first; ``facts`` None: of the packages alone.

    Of what is not sure only rows that would stop are returned: the others are noise.
    """
    found = []
    for row in rows:
        answer = match_row(row, stack, facts)
        if answer or (answer is None and row.level is Level.STOP and stack.packages is not None):
            found.append(Known(row=row, sure=answer is True))
    order = list(Level)
    return tuple(sorted(found, key=lambda each: (not each.sure, order.index(each.row.level))))


def find_stop(known: Sequence[Known], *, subject: str) -> UnvalidatedError | None:
    """Return the error of the first row that is sure and stops a build; None where there is none."""
    stops = [each for each in known if each.sure and each.row.level is Level.STOP]
    if not stops:
        return None
    row = stops[0].row
    return UnvalidatedError(
        f"known.{row.id.replace('-', '_')}",
        stops[0].describe(subject, where="on this machine"),
        hints=[row.remedy, "build it all the same with `provision create --no-gate`"],
        context={"known": [each.as_json() for each in stops]},
    )


def list_notices(known: Sequence[Known], *, subject: str, where: str) -> list[Notice]:
    """Return what a user should read once; good reports and mended notes are left to `doctor`."""
    return [
        Notice(
            message=f"{each.describe(subject, where=where)}; {each.row.remedy}",
            level="info" if each.row.level is Level.TELL else "warning",
        )
        for each in known
        if each.row.kind is not Kind.GOOD and (each.row.level, each.row.status) != (Level.TELL, "mended")
    ]


def match_row(row: Row, stack: Stack, facts: HostFacts | None) -> bool | None:
    """Return whether a row applies; None where it is not known."""
    return _all([*_judge_stack(row.when, stack), *_judge_machine(row.when, stack, facts)])


def _judge_stack(when: When, stack: Stack) -> Iterator[bool | None]:
    for name, wanted in when.packages.items():
        yield None if stack.packages is None else _is_in_range(stack.packages.get(name), wanted)
    for name in when.absent:
        yield None if stack.packages is None else name not in stack.packages
    if when.host:
        yield None if stack.hosts is None else when.host in stack.hosts


def _judge_machine(when: When, stack: Stack, facts: HostFacts | None) -> Iterator[bool | None]:
    if facts is None:  # of the machine a lock knows its system; WSL is Linux to it
        if when.os:
            yield _PLATFORMS[stack.platform] in when.os
        others = (when.gpu, when.release, when.not_release, when.kernel, when.driver, when.runtime)
        if any((*others, when.variables, when.devices)):
            yield None
        return
    if when.os:
        yield ("wsl" if facts.wsl else facts.os) in when.os
    if when.release:
        yield None if facts.release is None else facts.release.startswith(when.release)
    if when.not_release:
        yield None if facts.release is None else not facts.release.startswith(when.not_release)
    if when.kernel:
        found = re.match(r"[0-9]+(?:\.[0-9]+)*", facts.kernel or "")
        yield _is_in_range(found[0], when.kernel) if found else None
    if when.runtime:
        yield _is_runtime_in_range(facts, when.runtime)
    own = {**facts.variables, **stack.variables}
    for name, value in when.variables.items():
        yield name in own and value in ("*", own[name])
    yield from _judge_devices(when, facts)


def _judge_devices(when: When, facts: HostFacts) -> Iterator[bool | None]:
    """Judge card and display driver together: the driver of the card that the row is about counts."""
    if not (when.gpu or when.driver or when.devices):
        return
    intel = [each for each in facts.displays or () if each.vendor.lower() == INTEL_VENDOR]
    if facts.displays is None or (facts.wsl and not intel):  # WSL hides what the card is
        yield None
        return
    meant = [each for each in intel if not when.gpu or not set(when.gpu).isdisjoint(_name_display(each))]
    yield bool(meant)
    if when.driver:
        yield _any(
            None if each.driver_version is None else _is_in_range(each.driver_version, when.driver)
            for each in meant
        )
    if when.devices:
        known = [gpu for each in intel if (gpu := find_gpu(each.vendor, each.device))]
        yield {gpu.architecture.discrete for gpu in known} == {True, False}


def _name_display(display: DisplayDevice) -> set[str]:
    """Return what a row may call a GPU: its PCI id, and where it is known its class and generation."""
    gpu = find_gpu(display.vendor, display.device)
    names = {f"{display.vendor}:{display.device}".lower()}
    return names if gpu is None else names | {gpu.architecture.name, gpu.architecture.gpu_class or ""}


def _is_in_range(version: str | None, wanted: str) -> bool | None:
    if version is None:
        return False
    try:
        return SpecifierSet(wanted).contains(Version(version), prereleases=True)
    except InvalidVersion:
        return None


def _is_runtime_in_range(facts: HostFacts, wanted: str) -> bool | None:
    """Compare compute-runtime by its build, else by year and week, which Level Zero lacks."""
    libraries = [each for each in facts.libraries or () if each.kind in _RUNTIME_KINDS and each.version]
    versions = [parse_version(each.version or "") for each in libraries]
    answers: list[bool | None] = []
    for clause in wanted.split(","):
        sign, number = re.findall(r"^([<>=!]+)(.*)$", clause)[0]
        parts = parse_version(number)
        if len(parts) > 2:
            found = next((each[2:3] for each in versions if len(each) > 2), None)
        else:
            found = next((each[:2] for each in versions if each and each[0] > 1), None)
        goal = parts[2:3] or parts[:2]
        answers.append(None if found is None else _OPERATORS[sign](found, goal))
    return _all(answers)


def _all(answers: Iterable[bool | None]) -> bool | None:
    said = list(answers)
    return False if False in said else None if None in said else True


def _any(answers: Iterable[bool | None]) -> bool | None:
    said = list(answers)
    return True if True in said else None if None in said else False
