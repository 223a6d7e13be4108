"""Read what locks the provisioner itself: a requirements file of pip's, as uv writes it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from packaging.requirements import Requirement

_ENTRY = re.compile(r"^(?=[a-z0-9])", re.MULTILINE)
_HASH = re.compile(r"^ +--hash=sha256:([0-9a-f]{64})(?: \\)?$", re.MULTILINE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Pin:
    """One version of a lockfile.

    Attributes:
        requirement: ``name==version``, some with a marker.
        hashes: sha256 of the files that pip may take.
        notes: uv's comments on it.
    """

    requirement: Requirement
    hashes: tuple[str, ...]
    notes: str

    @property
    def version(self) -> str:
        """The version."""
        return next(iter(self.requirement.specifier)).version

    def is_for(self, machine: Mapping[str, str]) -> bool:
        """Say whether pip takes this pin on a machine, given by values of markers."""
        return self.requirement.marker is None or self.requirement.marker.evaluate(dict(machine))


def parse_requirements(text: str) -> tuple[Pin, ...]:
    """Return the pins: a line each, below it the hashes and uv's notes as comments."""
    pins = []
    for entry in _ENTRY.split(text)[1:]:
        line, _, rest = entry.partition("\n")
        pins.append(
            Pin(requirement=Requirement(line.rstrip(" \\")), hashes=tuple(_HASH.findall(rest)), notes=rest)
        )
    return tuple(pins)
