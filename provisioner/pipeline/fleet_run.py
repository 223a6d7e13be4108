"""The job of `provision fleet run`: a playbook on the machines of an inventory, and what they answered.

profile, fresh lock -> machines of the inventory -> those that are proven already -> playbook -> the account
"""

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryFile

from provisioner.diagnose.fleet.host_file import missing
from provisioner.diagnose.fleet.machine import Machine, Status
from provisioner.engines.ansible.playbook import Ansible, describe_abort, find_ansible
from provisioner.errors import UsageError
from provisioner.events import Listener, Notice, StageFinished, StageStarted, ignore_events
from provisioner.ground.files import make_private_folder, write_atomically
from provisioner.ground.refusals import DISK_FAULTS, disk_error
from provisioner.ground.scratch import hold_scratch
from provisioner.lock.file import read_lock, read_lock_head
from provisioner.lock.freshness import check_freshness
from provisioner.pipeline.create import plan_profile
from provisioner.pipeline.fleet_report import (
    HOSTS_FILE,
    Fleet,
    check_hosts,
    judge_machines,
    list_expected,
    read_host,
)
from provisioner.pipeline.settings import Settings, builtin_folder
from provisioner.profile.model import Profile

LOG_FILE = "ansible.log"
_COLLECTION = "provision.workstations"
_CLOCK_SLACK = timedelta(minutes=5)
_LOOK_EVERY_S = 1.0
_ROOM_BYTES = 1024 * 1024
_INSTEAD = "choose another folder with `--verdicts`"


@dataclass(frozen=True, kw_only=True, slots=True)
class FleetChoices:
    """What a user may choose about a run.

    Attributes:
        verdicts: Where the machines' files go.
        forks: On how many machines at a time.
        limit: Ansible's pattern of hosts and groups; None: all of the inventory.
        every: Whether machines are asked again that are proven already.
        max_age_s: How old what proves a machine may be.
        playbook: In place of ours; it leaves the same files.
    """

    verdicts: Path
    forks: int = 5
    limit: str | None = None
    every: bool = False
    max_age_s: float = 86_400.0
    playbook: Path | None = None


def run_fleet(
    settings: Settings,
    inventory: str,
    profile_name: str,
    choices: FleetChoices,
    *,
    on_event: Listener = ignore_events,
) -> Fleet:
    """Build and prove a profile on the machines of an inventory, but for those that are proven already.

    Raises:
        LockError: The lockfile is missing or stale.
        UsageError: ``fleet.…``: there is no Ansible, no inventory, no playbook; or no such profile.
        InstallError: The folder of the verdicts cannot be made or takes nothing.
        InternalError: ``fleet.ansible``: it ended before a machine answered.
    """
    profile = settings.load_profile(profile_name)
    lockfile = settings.find_lockfile(profile)
    stale = check_freshness(read_lock_head(lockfile), profile, lockfile=lockfile.as_posix())
    if stale is not None:
        raise stale
    ansible = find_ansible(settings.environ)
    hosts = _list_hosts(ansible, inventory, choices)
    verdicts = make_private_folder(choices.verdicts.absolute(), instead=_INSTEAD)
    choices = replace(choices, verdicts=verdicts)
    _write_hosts(verdicts, hosts, limited=choices.limit is not None)
    proven = set() if choices.every else set(_find_proven(hosts, choices, profile=profile, lockfile=lockfile))
    if proven:
        count = f"{len(proven)} of {len(hosts)} machines"
        on_event(Notice(message=f"{count} are proven for this lock already; `--all` asks them again"))
    wanted = [host for host in hosts if host not in proven]
    if wanted:
        for host in wanted:  # what an earlier run left is no answer of this one
            (verdicts / f"{host}.json").unlink(missing_ok=True)
        _play(
            ansible,
            wanted,
            inventory=inventory,
            profile=profile,
            lockfile=lockfile,
            choices=choices,
            on_event=on_event,
        )
    found = [_read(host, profile, verdicts=verdicts) for host in hosts]
    return judge_machines(settings, found, [verdicts])


def list_fingerprints(profile: Profile, lockfile: Path) -> frozenset[str]:
    """Return what an environment of this lock may have as its fingerprint, on any system and card."""
    lock = read_lock(lockfile)
    return frozenset(
        plan_profile(
            lock,
            profile,
            platform=platform.name,
            name=None,
            env={**platform.env, **platform.env_by_gpu.get(gpu, {})},
            sources={},
        ).fingerprint
        for platform in profile.platforms
        if any(part.platform == platform.name for part in lock.platforms)
        for gpu in ("", *platform.env_by_gpu)
    )


def _list_hosts(ansible: Ansible, inventory: str, choices: FleetChoices) -> tuple[str, ...]:
    if "," not in inventory and not Path(inventory).exists():
        raise UsageError(
            "fleet.no_inventory",
            f"there is no inventory `{inventory}`",
            hints=["name a file or folder of Ansible's, or machines with commas between: `ws-01,ws-02,`"],
        )
    hosts = ansible.list_hosts(inventory, limit=choices.limit, cwd=Path.cwd())
    return check_hosts(hosts, place=inventory)


def _write_hosts(verdicts: Path, hosts: Sequence[str], *, limited: bool) -> None:
    """Write down who should answer: of a part of the inventory beside those of before."""
    expected = dict.fromkeys((*(list_expected(verdicts) if limited else ()), *hosts))
    with _writing(verdicts):
        write_atomically(verdicts / HOSTS_FILE, "".join(f"{host}\n" for host in sorted(expected)))


@contextmanager
def _writing(verdicts: Path) -> Iterator[None]:
    """Say of what the disk refuses that it is the disk of the verdicts."""
    try:
        yield
    except OSError as error:
        if error.errno not in DISK_FAULTS:
            raise
        refused = OSError(error.errno, error.strerror)  # the folder can be chosen, a file in it cannot
        raise disk_error(verdicts, refused, instead=_INSTEAD) from error


def _find_proven(
    hosts: Sequence[str], choices: FleetChoices, *, profile: Profile, lockfile: Path
) -> Iterator[str]:
    """Yield the hosts that passed with this lock, not long ago."""
    locks = list_fingerprints(profile, lockfile)
    now = datetime.now(UTC)
    for host in hosts:
        machine = _read(host, profile, verdicts=choices.verdicts)
        if machine.status is not Status.PASSED or machine.lock_fingerprint not in locks:
            continue
        gathered_at = datetime.fromisoformat(machine.gathered_at) if machine.gathered_at else None
        if gathered_at and -_CLOCK_SLACK <= now - gathered_at <= timedelta(seconds=choices.max_age_s):
            yield host


def _read(host: str, profile: Profile, *, verdicts: Path) -> Machine:
    path = verdicts / f"{host}.json"
    if not os.path.lexists(path):
        reason = f"the playbook left no file of it; `{verdicts / LOG_FILE}` has what Ansible said"
        return missing(host, profile.name, reason)
    machine = read_host(path)
    if machine.profile in {profile.name, ""}:
        return replace(machine, profile=profile.name)
    why = f"its file speaks of the profile `{machine.profile}`"
    return Machine(host=host, profile=profile.name, status=Status.UNKNOWN, reason=why)


def _play(
    ansible: Ansible,
    hosts: Sequence[str],
    *,
    inventory: str,
    profile: Profile,
    lockfile: Path,
    choices: FleetChoices,
    on_event: Listener,
) -> None:
    """Run the playbook and tell of each machine as its file appears."""
    verdicts = choices.verdicts
    variables = {
        "provision_profile": profile.name,
        "provision_verdicts_dir": str(verdicts),
        "provision_lockfile": str(lockfile.absolute()),
        "provision_envs_dir": str(Path(profile.file).absolute().parent),
    }
    started = time.monotonic()
    count = "1 machine" if len(hosts) == 1 else f"{len(hosts)} machines, {choices.forks} at a time"
    on_event(StageStarted(stage="fleet", detail=count))
    with (
        hold_scratch("fleet") as scratch,
        _hold_playbook(choices.playbook, scratch) as playbook,
        ansible.play(
            playbook,
            inventory=inventory,
            hosts=hosts,
            variables=variables,
            forks=choices.forks,
            scratch=scratch,
            cwd=Path.cwd(),
        ) as play,
        _writing(verdicts),
        (verdicts / LOG_FILE).open("w", encoding="utf-8") as log,
    ):
        waiting = dict.fromkeys(hosts)
        while play.exit_code is None:
            for line in play.lines(_LOOK_EVERY_S):
                log.write(f"{line}\n")
            for host in [host for host in waiting if (verdicts / f"{host}.json").exists()]:
                del waiting[host]
                on_event(Notice(message=f"{host}: {_read(host, profile, verdicts=verdicts).status.value}"))
        for line in play.lines(0.0):
            log.write(f"{line}\n")
        if waiting:  # perhaps because Ansible could not write their files
            with TemporaryFile(dir=verdicts) as file:
                file.write(bytes(_ROOM_BYTES))
        if play.exit_code != 0 and len(waiting) == len(hosts):
            raise describe_abort(play)
    on_event(StageFinished(stage="fleet", seconds=time.monotonic() - started))


@contextmanager
def _hold_playbook(chosen: Path | None, scratch: Path) -> Iterator[Path]:
    """Yield the playbook; ours finds its collection beside it, whatever is configured."""
    if chosen is not None:
        yield chosen.absolute()
        return
    collection = builtin_folder("ansible")
    if not collection.is_dir():
        raise UsageError(
            "fleet.no_collection",
            "the collection `ansible/` did not come with this installation",
            hints=["name a playbook with `--playbook`, or install provision from its source"],
        )
    namespace = scratch.joinpath("collections", "ansible_collections", *_COLLECTION.split(".")[:1])
    namespace.mkdir(parents=True)
    (namespace / _COLLECTION.split(".")[1]).symlink_to(collection.absolute(), target_is_directory=True)
    playbook = scratch / "workstation.yml"
    playbook.write_text(
        f"- name: Import the playbook\n  ansible.builtin.import_playbook: {_COLLECTION}.workstation\n",
        encoding="utf-8",
    )
    yield playbook
