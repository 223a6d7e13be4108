"""The ledger of what is known about card, driver and wheel: loaded, and asked about a plan or a lock."""

from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

from provisioner.diagnose.machine.known import Stack, find_known, find_stop, list_notices
from provisioner.diagnose.machine.known_rows import Row, parse_ledger
from provisioner.engines.machine.host import gather_host
from provisioner.events import Listener
from provisioner.ground.files import read_file
from provisioner.ground.yaml_reader import MAX_BYTES
from provisioner.install.plan import InstallPlan
from provisioner.pipeline.settings import Settings, builtin_folder
from provisioner.profile.load import LEDGER
from provisioner.profile.model import Profile
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


def judge_stack(
    settings: Settings, profile: Profile, plan: InstallPlan, *, enforce: bool, on_event: Listener
) -> None:
    """Tell what is known of this machine's card and driver with the wheels of a plan.

    Raises:
        UnvalidatedError: ``known.<row>``: it is known to fail, and ``enforce``.
    """
    facts = gather_host(target=settings.data, variables=settings.environ)
    known = find_known(load_ledger(), describe_stack(plan.platform, plan.wheels, plan.env), facts)
    stop = find_stop(known, subject=f"`{profile.name}`") if enforce else None
    if stop is not None:
        raise stop
    for notice in list_notices(known, subject=f"`{profile.name}`", where="on this machine"):
        on_event(notice)
