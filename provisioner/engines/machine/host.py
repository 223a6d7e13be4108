"""Gather what ``doctor`` judges about this machine; no program runs on Linux, one PowerShell on Windows."""

import shutil
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from pathlib import Path

from provisioner.diagnose.machine.facts import HostFacts, Reach, keep_variables
from provisioner.diagnose.machine.facts_json import scrub

if sys.platform == "win32":
    from provisioner.engines.machine.windows import gather_windows
else:
    from provisioner.engines.machine.linux import LinuxSystem, gather_linux


def gather_host(*, target: Path, variables: Mapping[str, str]) -> HostFacts:
    """Return the facts of this machine, private words taken out.

    Args:
        target: The folder where the environment is, or would be built.
        variables: The inherited environment; only a fixed list of names is kept.
    """
    if sys.platform == "win32":
        facts = gather_windows(variables)
    else:
        facts = gather_linux(LinuxSystem(), variables)
    return add_surroundings(facts, target=target, variables=variables)


def ask_indexes(
    indexes: Mapping[str, str], reach: Callable[[str], str], *, timeout_s: float = 5.0
) -> tuple[Reach, ...]:
    """Ask indexes in parallel and return one answer per name.

    Args:
        indexes: Name to address; the addresses are asked and not kept.
        reach: Gets an address and returns an empty text when it answered, else one short reason without
            addresses and secrets. It must have a time-out of its own.
        timeout_s: Who has not answered by then is not reached.
    """
    if not indexes:
        return ()
    pool = ThreadPoolExecutor(max_workers=min(8, len(indexes)))
    asked = {name: pool.submit(reach, address) for name, address in indexes.items()}
    wait(asked.values(), timeout=timeout_s)
    pool.shutdown(wait=False, cancel_futures=True)
    answers = []
    for name, future in asked.items():
        reason = future.result() if future.done() and not future.cancelled() else "no answer in time"
        answers.append(Reach(name=name, reached=not reason, detail=reason))
    return tuple(answers)


def add_surroundings(facts: HostFacts, *, target: Path, variables: Mapping[str, str]) -> HostFacts:
    """Return the facts with disk, folder and kept variables, which are the same on every system."""
    filled = replace(
        facts,
        variables=keep_variables(variables),
        disk_free_bytes=_read_free_bytes(target),
        target=str(target),
        target_length=len(str(target)),
    )
    return scrub(filled, variables=variables)


def _read_free_bytes(target: Path) -> int | None:
    for folder in (target, *target.parents):
        try:
            return shutil.disk_usage(folder).free
        except FileNotFoundError:
            continue
        except OSError:
            return None
    return None
