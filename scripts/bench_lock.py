#!/usr/bin/env python3
"""Measure `provision lock` against the bare engine calls, as ratios within one run; prints JSON.

    scripts/bench_lock.py --mirrors FILE [--rounds N] [--data-dir DIR] [PROFILE]

bare     `uv pip compile` of the profile's requirements against the same indexes, and a py-rattler solve of
         its conda packages, each in its own process, one platform after the other, with their caches warm
offline  the same with uv's `--offline`: the engines' own work without a word to any server
lock     `provision lock PROFILE --upgrade` for both platforms, every package free to move, metadata warm
all      `provision lock --all --upgrade`, metadata warm

Rounds alternate between the contestants, and the median counts: machines are noisy.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from pypi_simple import PYPI_SIMPLE_ENDPOINT
from uv import find_uv_bin

from provisioner.engines.index.loopback import day_after
from provisioner.engines.net.addresses import to_mirror
from provisioner.profile.load import load_profile
from provisioner.profile.model import Platform, Profile
from provisioner.resolve.platforms import find_target
from provisioner.resolve.request import make_conda_request

_RATTLER = """
import asyncio, json, os, rattler, sys
task = json.loads(sys.argv[1])
async def solve():
    gateway = rattler.Gateway(cache_dir=task["cache"])
    return await rattler.solve(
        task["channels"], task["specs"], gateway=gateway, platforms=[task["platform"], "noarch"],
        virtual_packages=[
            rattler.GenericVirtualPackage(
                rattler.PackageName(n), rattler.Version(v), rattler.BuildString("0")
            )
            for n, v in task["virtual"]
        ],
    )
found = asyncio.run(solve())
os._exit(0 if found else 1)
"""


def timed(action: Callable[[], object]) -> float:
    """Return the seconds that an action takes."""
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def run(*words: str | Path) -> None:
    """Run a program that must succeed."""
    done = subprocess.run([str(word) for word in words], check=False, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{words[0]} failed with {done.returncode}:\n{done.stderr}")


def uv_command(
    profile: Profile, platform: Platform, folder: Path, mirrors: Mapping[str, str]
) -> list[str | Path]:
    """Return the bare call of uv for one platform; its answer goes to `folder`."""
    work = folder / platform.name
    work.mkdir(exist_ok=True)
    (work / "requirements.txt").write_text("\n".join(platform.pip))
    (work / "overrides.txt").write_text("\n".join(decision.requirement for decision in platform.overrides))
    command: list[str | Path] = [
        *(find_uv_bin(), "pip", "compile", work / "requirements.txt", "--overrides", work / "overrides.txt"),
        *("--no-config", "--cache-dir", folder / "uv-cache", "--quiet", "--upgrade"),
        *("--format", "pylock.toml", "--output-file", work / "pylock.toml"),
        *("--python", sys.executable, "--python-version", profile.python),
        *("--python-platform", find_target(platform.name).uv_platform),
        *("--default-index", PYPI_SIMPLE_ENDPOINT, "--index-strategy", "unsafe-best-match"),
        *("--prerelease", "allow" if platform.prereleases else "disallow", "--only-binary", ":all:"),
    ]
    for index in profile.indexes:
        command += ["--index", to_mirror(index.url, mirrors)]
    if profile.as_of:
        command += ["--exclude-newer", day_after(profile.as_of)]
        for name in platform.routes:
            command += ["--exclude-newer-package", f"{name}=false"]
    return command


def rattler_command(
    profile: Profile, platform: Platform, folder: Path, mirrors: Mapping[str, str]
) -> list[str | Path]:
    """Return the bare call of rattler for one platform; empty where the profile has no conda packages."""
    request = make_conda_request(profile, platform)
    if request is None:
        return []
    task = {
        "cache": str(folder / "rattler-cache"),
        "channels": [to_mirror(channel, mirrors) for channel in request.channels],
        "specs": request.specs,
        "platform": platform.name,
        "virtual": find_target(platform.name).virtual_packages,
    }
    return [sys.executable, "-I", "-c", _RATTLER, json.dumps(task)]


def bench_lock(profile: Profile, mirror_file: Path, data: Path, rounds: int) -> dict[str, float]:
    """Return medians and ratios."""
    mirrors: dict[str, str] = json.loads(mirror_file.read_text())
    folder = Path(tempfile.mkdtemp(prefix="bench-lock-", dir=data))
    uv = [uv_command(profile, platform, folder, mirrors) for platform in profile.platforms]
    rattler = [rattler_command(profile, platform, folder, mirrors) for platform in profile.platforms]
    options = ("--upgrade", "--mirrors", mirror_file, "--data-dir", data, "--lockfiles", folder / "locks")
    lock = (sys.executable, "-m", "provisioner", "lock")

    def run_each(commands: list[list[str | Path]], *more: str) -> None:
        for command in filter(None, commands):
            run(*command, *more)

    contestants: dict[str, Callable[[], None]] = {
        "uv": lambda: run_each(uv),
        "uv_offline": lambda: run_each(uv, "--offline"),
        "rattler": lambda: run_each(rattler),
        "lock": lambda: run(*lock, profile.name, *options),
        "lock_all": lambda: run(*lock, "--all", *options),
    }
    for action in contestants.values():
        action()
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, action in contestants.items():
            seconds[name].append(timed(action))
    median = {name: statistics.median(values) for name, values in seconds.items()}
    return {
        **{f"{name}_s": round(value, 3) for name, value in median.items()},
        "lock_over_bare": round(median["lock"] / (median["uv"] + median["rattler"]), 2),
        "lock_over_offline": round(median["lock"] / (median["uv_offline"] + median["rattler"]), 2),
        "all_over_one": round(median["lock_all"] / median["lock"], 2),
    }


def main() -> None:
    """Run and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("profile", nargs="?", default="llama3-arc")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--mirrors", type=Path, required=True)
    parser.add_argument("--data-dir", type=Path)
    arguments = parser.parse_args()
    profile = load_profile(arguments.profile, folders=[Path(__file__).parents[1] / "envs"])
    with tempfile.TemporaryDirectory(prefix="provision-bench-") as scratch:
        data = arguments.data_dir or Path(scratch)
        figures = {"profile": profile.name, "rounds": arguments.rounds}
        json.dump(
            figures | bench_lock(profile, arguments.mirrors, data, arguments.rounds), sys.stdout, indent=2
        )
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
