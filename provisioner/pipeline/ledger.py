"""The ledger of what is known about card, driver and wheel, asked about a lock or an environment."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from urllib.parse import urlsplit

from provisioner.diagnose.machine.facts import HostFacts
from provisioner.diagnose.machine.known import Known, Stack, find_known
from provisioner.diagnose.machine.known_rows import Row, parse_ledger
from provisioner.errors import LockError
from provisioner.ground.files import read_file
from provisioner.ground.yaml_reader import MAX_BYTES
from provisioner.install.generations import Generation
from provisioner.lock.file import read_lock
from provisioner.pipeline.settings import Settings, builtin_folder
from provisioner.profile.load import LEDGER
from provisioner.profile.model import Device, Profile
from provisioner.resolve.model import PipPackage


def load_ledger() -> tuple[Row, ...]:
    """Return the rows that travel with the package; errors as from `provisioner.diagnose.machine.known`."""
    path = builtin_folder("envs") / LEDGER
    return parse_ledger(read_file(path, max_bytes=MAX_BYTES), path.name)


def describe_stack(
    platform: str, wheels: Iterable[PipPackage], variables: Mapping[str, str] | None = None
) -> Stack:
    """Return what the ledger is asked about, from a lock's wheels of one platform."""
    taken = [wheel for wheel in wheels if not wheel.validation]
    hosts = {urlsplit(wheel.url).hostname or "" for wheel in taken}
    return Stack(
        platform=platform,
        packages={wheel.name: wheel.version for wheel in taken},
        hosts=frozenset(hosts),
        variables=dict(variables or {}),
    )


def list_known(
    settings: Settings, profile: Profile | None, generation: Generation | None, facts: HostFacts
) -> tuple[Known, ...]:
    """Return the rows of the ledger that apply to a machine with an environment, or a profile's lock.

    A profile for the CPU meets no GPU driver, so nothing applies to it. Without a profile, rows about
    packages are left open.
    """
    if profile is not None and profile.device is not Device.XPU:
        return ()
    platform = "win-64" if facts.os == "windows" else "linux-64"
    stack = Stack(platform=platform)
    if profile is not None:
        stack = describe_lock(settings, profile, platform)
    if generation is not None:
        wheels = {each.name: each.version for each in generation.receipt.packages if each.kind == "wheel"}
        stack = replace(stack, packages=wheels, variables=generation.receipt.env)
    return find_known(load_ledger(), stack, facts)


def describe_lock(settings: Settings, profile: Profile, platform: str) -> Stack:
    """Return what the ledger is asked about of a profile's lock; without one its packages are not known."""
    env = next((each.env for each in profile.platforms if each.name == platform), {})
    try:
        part = read_lock(settings.find_lockfile(profile)).find_platform(platform)
    except LockError:
        return Stack(platform=platform, variables=env)
    return describe_stack(platform, part.pip, env)
