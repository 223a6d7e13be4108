"""Code that Python runs at every start of an environment needs a line in the profile, by package."""

from collections.abc import Mapping, Sequence

from packaging.utils import canonicalize_name

from provisioner.errors import ErrorList, InstallError
from provisioner.install.plan import InstallPlan
from provisioner.resolve.model import CondaPackage, PipPackage


def check_startup(plan: InstallPlan, startup: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Return a notice for every package that the profile lets run code at every start.

    Args:
        plan: What is built.
        startup: By the sha256 of a package's file: what Python will run at every start.

    Raises:
        InstallError: ``install.startup``: packages that the profile does not name bring such code.
    """
    notices, refused = [], []
    packages: tuple[CondaPackage | PipPackage, ...] = (*plan.conda, *plan.wheels)
    for package in packages:
        files = startup.get(package.sha256, ())
        if not files:
            continue
        what = f"`{package.filename}` has {_words(files)}, which Python runs at every start"
        reason = plan.startup.get(canonicalize_name(package.name))
        if reason is None:
            refused.append(
                InstallError(
                    "install.startup",
                    f"{what}, and the profile `{plan.profile}` does not allow it",
                    hints=[
                        f"if you trust it, allow it in the profile: `startup: {{{package.name}: why}}`",
                        "else choose another version or build of the package and lock again",
                    ],
                    context={"filename": package.filename, "files": list(files)},
                )
            )
        else:
            notices.append(f"{what}; the profile allows it: {reason}")
    if refused:
        raise refused[0] if len(refused) == 1 else ErrorList(refused)
    return tuple(notices)


def _words(files: Sequence[str]) -> str:
    shown = ", ".join(f"`{ascii(name)[1:-1]}`" for name in files[:3])
    return shown if len(files) <= 3 else f"{shown} and {len(files) - 3} more"
