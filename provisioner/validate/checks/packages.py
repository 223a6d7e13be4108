"""Is what is installed what is locked?"""

from collections.abc import Mapping

from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version

from provisioner.profile.model import TorchVariant
from provisioner.profile.torch_rules import find_torch_problems
from provisioner.validate.checks.finding import REBUILD_HINT, Finding
from provisioner.validate.model import JSON, ValidationRequest

_NAMED = 3


def check_packages(measured: Mapping[str, JSON], request: ValidationRequest) -> Finding | None:
    """Compare the packages around torch, names, versions and files."""
    installed: Mapping[str, str] = measured["installed"]
    return (
        _check_torch(installed, request)
        or _check_versions(installed, request)
        or _check_transformers(installed, request)
        or _check_places(measured)
        or _check_startup(measured)
        or _check_files(measured)
        or _check_added(measured)
    )


def _check_torch(installed: Mapping[str, str], request: ValidationRequest) -> Finding | None:
    """A torch of another build is the commonest accident, and a second IPEX the next: they come first."""
    if request.torch_variant is None:
        return None
    for problem in find_torch_problems(installed, request.torch_variant):
        if problem.code == "no_torch":  # named with the other missing packages
            continue
        unwanted = problem.code.startswith("ipex_") or request.torch_variant is TorchVariant.NONE
        return Finding(
            code="forbidden_package" if unwanted else problem.code,
            message=f"{problem.message}: another package or a later `pip install` brought it",
            hints=(REBUILD_HINT, "install further packages through the profile, which keeps torch's build"),
        )
    return None


def _check_versions(installed: Mapping[str, str], request: ValidationRequest) -> Finding | None:
    wrong = [
        f"`{name}` is `{installed[name]}`, locked `{version}`"
        if name in installed
        else f"`{name}` is missing"
        for name, version in sorted(request.locked.items())
        if not _same(installed.get(name), version)
    ]
    if not wrong:
        return None
    more = f" and {len(wrong) - _NAMED} more" if len(wrong) > _NAMED else ""
    return Finding(
        code="package_mismatch",
        message=f"the environment is not what its lock says: {', '.join(wrong[:_NAMED])}{more}",
        hints=(REBUILD_HINT,),
    )


def _same(version: str | None, locked: str) -> bool:
    if version is None:
        return False
    try:
        return Version(version) == Version(locked)
    except InvalidVersion:
        return version == locked


def _check_transformers(installed: Mapping[str, str], request: ValidationRequest) -> Finding | None:
    version = installed.get("transformers")
    if request.transformers is None or version is None:
        return None
    if SpecifierSet(request.transformers).contains(version, prereleases=True):
        return None
    return Finding(
        code="transformers_version",
        message=f"transformers `{version}` does not run `{request.family}` on this stack, "
        f"which needs `{request.transformers}`",
        hints=(f"pin `transformers{request.transformers}` in the profile",),
    )


def _check_places(measured: Mapping[str, JSON]) -> Finding | None:
    elsewhere: Mapping[str, str] = measured["elsewhere"]
    if not elsewhere:
        return None
    name, place = next(iter(elsewhere.items()))
    return Finding(
        code="contaminated",
        message=f"`{name}` comes from `{place}`, outside the environment",
        hints=("remove the `.pth` file or link that brings the folder in", REBUILD_HINT),
    )


def _check_files(measured: Mapping[str, JSON]) -> Finding | None:
    if not measured["damaged_count"]:
        return None
    named = ", ".join(
        f"`{item['file']}` of `{item['package']}` is {item['problem']}"
        for item in measured["damaged"][:_NAMED]
    )
    more = measured["damaged_count"] - min(_NAMED, len(measured["damaged"]))
    return Finding(
        code="damaged_files",
        message=f"installed files differ from their packages: {named}"
        + (f" and {more} more" if more else ""),
        hints=(REBUILD_HINT,),
    )


def _check_startup(measured: Mapping[str, JSON]) -> Finding | None:
    if not measured["startup"]:
        return None
    named = ", ".join(f"`{path}`" for path in measured["startup"])
    return Finding(
        code="startup_code",
        message=f"code runs whenever this Python starts, and no locked package brought it: {named}",
        hints=("remove it if you do not know it", REBUILD_HINT),
    )


def _check_added(measured: Mapping[str, JSON]) -> Finding | None:
    if not measured["added_count"]:
        return None
    named = ", ".join(f"`{path}`" for path in measured["added"][:_NAMED])
    more = measured["added_count"] - min(_NAMED, len(measured["added"]))
    return Finding(
        code="added_files",
        message=f"no package brought these files: {named}" + (f" and {more} more" if more else ""),
        hints=("remove them, or add the package that has them to the profile", REBUILD_HINT),
    )
