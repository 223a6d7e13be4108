"""The lists of files that packages brought: RECORD of a wheel, a file in ``conda-meta`` of a conda package.

They name their files with digests. Whoever changes a file and its line in such a list changes the list, whose
own digest stands in the inventory as it was built.
"""

from pathlib import Path, PurePosixPath

BYTECODE_NAME = "provision-bytecode.csv"
"""The compiled modules that a build put beside their sources: a list like RECORD."""
_LISTS = (
    "lib/python3*/site-packages/*.dist-info/RECORD",
    "Lib/site-packages/*.dist-info/RECORD",
    "conda-meta/*.json",
    BYTECODE_NAME,
)


def find_lists(prefix: Path) -> tuple[str, ...]:
    """Return the paths of all lists of files in an environment, by their paths in there."""
    return tuple(
        sorted(path.relative_to(prefix).as_posix() for pattern in _LISTS for path in prefix.glob(pattern))
    )


def is_list(name: str) -> bool:
    """Tell whether a path in an environment is that of a list of files."""
    path = PurePosixPath(name)
    return any(len(path.parts) == pattern.count("/") + 1 and path.match(pattern) for pattern in _LISTS)
