"""The job of `provision fleet report`: read what the machines left, and recognise why some did not pass.

files of the hosts -> machines -> those that are missing -> known failures, rows of the ledger -> the account
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from provisioner.diagnose.failures.catalogue import load_catalogue
from provisioner.diagnose.failures.explain import explain_text
from provisioner.diagnose.failures.model import Catalogue
from provisioner.diagnose.fleet.host_file import MAX_BYTES, missing, read_host_file
from provisioner.diagnose.fleet.machine import Machine, Status
from provisioner.diagnose.machine.known import Stack, find_known
from provisioner.diagnose.machine.known_rows import Row
from provisioner.errors import ProvisionError, UsageError
from provisioner.ground.files import read_file
from provisioner.ground.names import check_profile_name
from provisioner.ground.text import shown
from provisioner.pipeline.ledger import describe_lock, load_ledger
from provisioner.pipeline.settings import Settings
from provisioner.pipeline.validate import recognise_report
from provisioner.profile.model import Device, Profile

HOSTS_FILE = "hosts.txt"
"""Names of the hosts that should have a file in the folder, one a line."""

_MAX_HOSTS_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Fleet:
    """What is known of a fleet.

    Attributes:
        machines: The worst first, then by profile and host.
        rows: Rows of the ledger that applied on a machine, by id.
    """

    machines: tuple[Machine, ...]
    rows: dict[str, Row]


def read_fleet(settings: Settings, folders: Sequence[Path]) -> Fleet:
    """Read the folders of verdicts: one folder for each profile, or one for all.

    Raises:
        UsageError: ``fleet.no_folder``, ``fleet.no_hosts``, ``fleet.bad_hosts``.
    """
    found = [machine for folder in folders for machine in _read_folder(folder)]
    return judge_machines(settings, found, folders)


def judge_machines(settings: Settings, found: Sequence[Machine], folders: Sequence[Path]) -> Fleet:
    """Order what was read of some folders, and recognise why machines did not pass.

    Raises:
        UsageError: ``fleet.no_hosts``.
    """
    if not found:
        raise UsageError(
            "fleet.no_hosts",
            f"there is no file of a host in {', '.join(f'`{folder}`' for folder in folders)}",
            hints=[
                "name the folder that `provision fleet run` or the playbook's `provision_verdicts_dir` names"
            ],
        )
    profiles = dict(_load_profiles(settings, {machine.profile for machine in found}))
    rows, stacks = load_ledger(), _Stacks(settings, profiles)
    judged = [
        _ask_ledger(_doubt_device(machine, profiles.get(machine.profile)), rows, stacks) for machine in found
    ]
    if any(machine.status is not Status.PASSED for machine in judged):
        catalogue = load_catalogue()
        judged = [_explain(machine, catalogue) for machine in judged]
    order = list(Status)
    ledger = {row.id: row for row in rows}
    applied = {row for machine in judged for row in machine.known}
    return Fleet(
        machines=tuple(sorted(judged, key=lambda each: (order.index(each.status), each.profile, each.host))),
        rows={name: row for name, row in ledger.items() if name in applied},
    )


def _read_folder(folder: Path) -> Iterator[Machine]:
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix == ".json")
    except OSError as error:
        raise UsageError(
            "fleet.no_folder",
            f"the folder `{folder}` cannot be read: {(error.strerror or str(error)).lower()}",
            hints=["name the folder that `provision_verdicts_dir` named"],
            context={"path": str(folder)},
        ) from error
    found = [read_host(path) for path in paths]
    yield from found
    profiles = sorted({machine.profile for machine in found if machine.profile}) or [""]
    there = {machine.host for machine in found}
    for host in list_expected(folder):
        if host not in there:
            yield missing(host, profiles[0] if len(profiles) == 1 else "")


def read_host(path: Path) -> Machine:
    """Return what a host's file says, which `provisioner.diagnose.fleet.host_file` judges."""
    host = path.name.removesuffix(".json")
    try:
        return read_host_file(read_file(path, max_bytes=MAX_BYTES, follow_links=False), host)
    except OSError as error:
        why = f"its file cannot be read: {(error.strerror or str(error)).lower()}"
        return Machine(host=host, profile="", status=Status.UNKNOWN, reason=why)


def list_expected(folder: Path) -> tuple[str, ...]:
    """Return the hosts that should have a file in a folder; none where nobody wrote them down.

    Raises:
        UsageError: ``fleet.bad_hosts``.
    """
    path = folder / HOSTS_FILE
    try:
        text = read_file(path, max_bytes=_MAX_HOSTS_BYTES).decode()
    except FileNotFoundError:
        return ()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            "fleet.bad_hosts",
            f"the hosts of the fleet cannot be read from `{path}`: {str(error).lower()}",
            hints=["write the name of one host a line into it, or delete it"],
            context={"path": str(path)},
        ) from error
    names = (line.strip() for line in text.splitlines())
    listed = dict.fromkeys(name for name in names if name and not name.startswith("#"))
    return check_hosts(listed, place=str(path))


def check_hosts(names: Iterable[str], *, place: str) -> tuple[str, ...]:
    """Return the names, each of which becomes a file's.

    Raises:
        UsageError: ``fleet.bad_hosts``.
    """
    listed = tuple(names)
    for name in listed:
        if not name.isprintable() or len(name) > 200 or "/" in name or name.startswith("."):
            raise UsageError(
                "fleet.bad_hosts",
                f"`{place}` names a host {shown(name)}, which cannot be the name of a file",
                hints=["give the host another name there; `ansible_host` says its address"],
                context={"place": place},
            )
    return listed


def _load_profiles(settings: Settings, names: Iterable[str]) -> Iterator[tuple[str, Profile]]:
    """Yield the profiles that are here; those of other people's folders are not, and need not be."""
    for name in names:
        if check_profile_name(name) is None:
            try:
                yield name, settings.load_profile(name)
            except ProvisionError:
                continue


class _Stacks:
    """What the ledger is asked about of each profile's lock: read once, for thousands of machines."""

    def __init__(self, settings: Settings, profiles: Mapping[str, Profile]) -> None:
        self._settings = settings
        self._profiles = profiles
        self._found: dict[tuple[str, str], Stack] = {}

    def find(self, name: str, platform: str) -> Stack | None:
        """Return the stack; None for a profile that is not here, or that meets no GPU driver."""
        profile = self._profiles.get(name)
        if profile is None or profile.device is not Device.XPU:
            return None
        if (name, platform) not in self._found:
            self._found[name, platform] = describe_lock(self._settings, profile, platform)
        return self._found[name, platform]


def _ask_ledger(machine: Machine, rows: Sequence[Row], stacks: _Stacks) -> Machine:
    """Add the rows that this version's ledger has for the card, the driver and the lock."""
    if machine.facts is None:
        return machine
    stack = stacks.find(machine.profile, "win-64" if machine.facts.os == "windows" else "linux-64")
    if stack is None:
        return machine
    applied = [each.row.id for each in find_known(rows, stack, machine.facts) if each.sure]
    return replace(machine, known=tuple(dict.fromkeys((*machine.known, *applied))))


def _doubt_device(machine: Machine, profile: Profile | None) -> Machine:
    """Take a machine's ``passed`` back where it ran on another kind of device than the profile is for."""
    if machine.status is not Status.PASSED or profile is None:
        return machine
    kind = (machine.device or "nothing known").partition(":")[0]
    if kind == profile.device.value:
        return machine
    reason = f"it was validated on {kind}, and `{profile.name}` is for {profile.device.value}"
    return replace(machine, status=Status.UNKNOWN, reason=reason)


def _explain(machine: Machine, catalogue: Catalogue) -> Machine:
    """Recognise the failure by this version's catalogue: what the machine says of it is not asked.

    The catalogue knows of servers of packages and models; where ssh did not get through, its words mislead.
    """
    if machine.status in {Status.PASSED, Status.UNREACHABLE}:
        return machine
    matches = recognise_report(machine.report, catalogue) if machine.report else ()
    if not matches and machine.log:
        matches = explain_text([machine.log], catalogue)
    return replace(machine, matches=matches)
