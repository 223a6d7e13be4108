"""Read from a log which programs, versions, system and card it is of, and which hardware it shows.

Pure: what was found of ``signs.yaml`` goes in.
"""

import re
from collections.abc import Iterator, Mapping, Sequence

from provisioner.diagnose.failures.answer import Surroundings
from provisioner.diagnose.failures.model import Signs
from provisioner.diagnose.failures.signature import Signature

_VERSION = re.compile(r"\d{1,4}(?:\.\d{1,6}){1,3}(?:a0|\+[a-z]{2,5}\d{0,4})?")
_FORMS = {  # of packages that number in another way
    "llama.cpp": re.compile(r"\d{4,5}"),
    "kernel": re.compile(r"[4567]\.\d{1,2}"),  # squeezing joins what follows with the patch number
    "compute-runtime": re.compile(r"2\d\.\d\d\.\d{5}(?:\.\d{1,2})?|1\.\d{1,2}\.\d{5}"),
    "opencl-driver": re.compile(r"2\d\.\d\d\.\d{5}"),
    "level-zero-driver": re.compile(r"2\d\.\d\d\.\d{5}"),
}


def list_signs(signs: Signs) -> Iterator[Signature]:
    """Yield all that is looked for."""
    yield from (*signs.intel, *signs.other, *signs.unrelated)
    for program in signs.programs:
        yield from program.signatures
    for table in (signs.systems, signs.cards, signs.architectures, signs.versions):
        for signatures in table.values():
            yield from signatures


def read_surroundings(signs: Signs, found: Mapping[str, str]) -> Surroundings:
    """Return what the log shows.

    Args:
        signs: What was looked for.
        found: The text that was found, by the signature's source.
    """
    return Surroundings(
        programs=tuple(program for program in signs.programs if _holds(program.signatures, found)),
        versions={
            name: version.group()
            for name, signatures in signs.versions.items()
            for signature in reversed(signatures)
            if (version := _find_version(name, found.get(signature.source, "")))
        },
        system=_find_name(signs.systems, found),
        card=_find_name(signs.cards, found),
        architecture=_find_name(signs.architectures, found),
        intel=sum(signature.source in found for signature in signs.intel),
        other=sum(signature.source in found for signature in signs.other),
        unrelated=_holds(signs.unrelated, found),
    )


def _find_version(package: str, text: str) -> re.Match[str] | None:
    return _FORMS.get(package, _VERSION).search(text)


def _find_name(table: Mapping[str, Sequence[Signature]], found: Mapping[str, str]) -> str | None:
    return next((name for name, signatures in table.items() if _holds(signatures, found)), None)


def _holds(signatures: Sequence[Signature], found: Mapping[str, str]) -> bool:
    return any(signature.source in found for signature in signatures)
