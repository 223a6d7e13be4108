"""Keep the modules that an environment needed in compiled form, for the next one of the same wheels.

A first import of torch and transformers compiles 2,000 modules. Which of all modules are worth it is seen in
the validated environment; compiled they are from the checked wheels in the store.
"""

import os
from pathlib import Path

from provisioner.engines.bytecode.cache import find_compiled_place, list_compiled, list_modules
from provisioner.errors import InternalError
from provisioner.events import Listener, Notice, tell_step
from provisioner.ground.text import count_of
from provisioner.install.generations import Generation
from provisioner.install.plan import InstallPlan
from provisioner.install.prefix_layout import find_site_packages
from provisioner.pipeline.build import BuildEngines


def keep_bytecode(
    generation: Generation, plan: InstallPlan, engines: BuildEngines, *, on_event: Listener
) -> None:
    """Compile what a new environment has imported and no earlier one did; a failure is only told."""
    wanted = _find_new_modules(generation, plan, engines)
    if not wanted:
        return
    count = sum(len(modules) for modules in wanted.values())
    detail = f"compiling {count_of(count, 'module')} for later environments"
    try:
        with tell_step("install", detail, on_event):
            engines.bytecode.compile(
                generation.python, wanted, python=generation.receipt.python, processes=os.cpu_count() or 1
            )
    except (OSError, InternalError) as error:
        message = f"modules were not compiled for later environments: {error}"
        on_event(Notice(message=message, level="warning"))


def _find_new_modules(
    generation: Generation, plan: InstallPlan, engines: BuildEngines
) -> dict[Path, list[str]]:
    """Return modules by wheel: those that were imported, and those that the cache has, where it lacks one."""
    python = generation.receipt.python
    site = find_site_packages(generation.prefix, platform=plan.platform, python=python)
    wanted: dict[Path, list[str]] = {}
    wheels = [package for package in plan.wheels if package.filename.endswith(".whl")]
    for sha256, file in engines.fetcher.fetch(wheels).items():
        archive = engines.bytecode.find(sha256, python=python)
        kept = frozenset() if archive is None else list_compiled(archive)
        places = {find_compiled_place(module, python=python): module for module in list_modules(file.path)}
        imported = {place for place in places if place in kept or (site / place).is_file()}
        if imported - kept:
            wanted[file.path] = [places[place] for place in imported]
    return wanted
