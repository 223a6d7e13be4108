"""Whether a conda package is one that another's dependency allows."""

from fnmatch import fnmatchcase

import rattler
from rattler.exceptions import InvalidVersionError, InvalidVersionSpecError

from provisioner.resolve.model import CondaPackage


def allows_conda(package: CondaPackage, constraint: str) -> bool:
    """Tell whether a constraint, ``>=3.11,<3.12 *_cpython``, allows a package; an unreadable one does."""
    version, _, build = constraint.partition(" ")
    try:
        allowed = rattler.VersionSpec(version or "*").matches(rattler.Version(package.version))
    except (InvalidVersionError, InvalidVersionSpecError):
        return True
    return bool(allowed) and fnmatchcase(package.build, build.strip() or "*")
