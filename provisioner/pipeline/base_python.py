"""Which Python a virtual environment is made of: one of this machine, or a managed one."""

from pathlib import Path

from provisioner.engines.uv.managed import find_unpacked, load_managed, unpack_managed
from provisioner.ground.refusals import disk_error
from provisioner.install.plan import VENV, InstallPlan
from provisioner.pipeline.engines import Engines


def find_base_python(plan: InstallPlan, engines: Engines, *, managed: bool) -> Path | None:
    """Return the interpreter; None for a base that brings its own.

    Asked first of all: a missing interpreter stops a build before anything is made or fetched.

    Args:
        plan: What is to be built.
        engines: What looks for interpreters, and fetches.
        managed: Whether to take the managed one, fetched and unpacked where it is not here yet. Without it
            one that was unpacked before is taken where the machine has none of its own.

    Raises:
        InstallError: There is none, or the managed one is refused.
        UnavailableError: The managed one could not be had.
        UsageError: There is no managed one of that version.
    """
    if plan.base != VENV:
        return None
    folder = engines.home.pythons
    if folder.is_dir():
        _ = engines.fetcher  # which keeps others from deleting an unused Python before it is used
    if not managed:
        return engines.uv_installer.find_python(plan.python, platform=plan.platform, managed=folder)
    package = load_managed(plan.python, plan.platform)
    unpacked = find_unpacked(plan.python, plan.platform, folder=folder)
    if unpacked is not None:
        return unpacked
    archive = engines.fetcher.fetch([package])[package.sha256].path
    try:
        return unpack_managed(archive, package, plan.platform, folder=folder)
    except OSError as error:
        raise disk_error(folder, error) from error
