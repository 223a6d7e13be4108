"""All of a change or nothing, also where the process that makes it is killed.

<data>/undo/<digest>.json    what the profile, its lockfile and the environment were before `provision add`
<data>/undo/<digest>.lock    held by the process that makes the change; the system ends it with that process

Who comes next (`add`, `create`, `lock`) finds the file, and nobody who holds the lock, and puts all back.
"""

import base64
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from provisioner.errors import BusyError
from provisioner.events import Listener, Notice
from provisioner.ground.file_lock import hold_file
from provisioner.ground.files import make_private_folder, write_atomically
from provisioner.install.generations import EnvironmentHome
from provisioner.install.transaction import Standing, remember_environment, restore_environment
from provisioner.pipeline.settings import Settings

_FOLDER = "undo"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Before:
    """What there was before a change.

    Attributes:
        files: The profile and its lockfile, each with its bytes; None where there was no such file.
        edited: Digest of the profile after the change: one that somebody else has changed since stays.
        environment: Name of the environment.
        standing: What it was.
    """

    files: tuple[tuple[Path, bytes | None], ...]
    edited: str
    environment: str
    standing: Standing


@contextmanager
def all_or_nothing(
    settings: Settings,
    file: Path,
    lockfile: Path,
    environment: str,
    *,
    edited: bytes,
    on_event: Listener,
) -> Iterator[Callable[[], None]]:
    """Put profile, lockfile and environment back where the block fails, or calls what it gets, or is killed.

    Args:
        settings: Where things are.
        file: The profile's.
        lockfile: The profile's.
        environment: Name of the environment.
        edited: What the block will make of the profile.
        on_event: Gets a notice.

    Raises:
        BusyError: Another process changes the profile.
    """
    home = EnvironmentHome(data=settings.data)
    journal = _find_journal(settings, file)
    make_private_folder(home.data)
    make_private_folder(journal.parent)
    with hold_file(journal.with_suffix(".lock"), timeout_s=0.0) as held:
        if not held:
            raise BusyError(
                "busy.profile",
                f"another process changes the profile `{file}`",
                hints=["wait until it has ended"],
                retryable=True,
                context={"path": str(file)},
            )
        before = _Before(
            files=tuple(
                (path.absolute(), path.read_bytes() if path.is_file() else None) for path in (file, lockfile)
            ),
            edited=sha256(edited).hexdigest(),
            environment=environment,
            standing=remember_environment(home, environment),
        )
        write_atomically(journal, _format(before))

        def put_back() -> None:
            _put_back(home, before)
            told = f"`{file}`, `{lockfile}` and the environment `{environment}` are as they were"
            on_event(Notice(message=told, level="warning"))

        try:
            yield put_back
        except BaseException:
            put_back()
            raise
        finally:
            journal.unlink(missing_ok=True)


def find_killed(settings: Settings) -> bool:
    """Tell whether a change may have been killed; it costs next to nothing."""
    folder = settings.data / _FOLDER
    return folder.is_dir() and any(folder.glob("*.json"))


def undo_killed(settings: Settings, *, on_event: Listener) -> None:
    """Put back what changes that were killed had begun; those that go on are left alone."""
    home = EnvironmentHome(data=settings.data)
    for journal in sorted((settings.data / _FOLDER).glob("*.json")):
        with ExitStack() as stack:
            held = stack.enter_context(hold_file(journal.with_suffix(".lock"), timeout_s=0.0))
            if not held or not journal.is_file():
                continue
            before = _parse(journal.read_bytes())
            if before is not None:
                _put_back(home, before)
                told = f"an earlier `provision add` was killed: `{before.files[0][0]}`, its lockfile and"
                on_event(
                    Notice(
                        message=f"{told} the environment `{before.environment}` are as they were before it",
                        level="warning",
                    )
                )
            journal.unlink(missing_ok=True)


def _put_back(home: EnvironmentHome, before: _Before) -> None:
    file, content = before.files[0]
    now = file.read_bytes() if file.is_file() else None
    ours = now == content or (now is not None and sha256(now).hexdigest() == before.edited)
    for path, old in before.files if ours else ():
        if old is None:
            path.unlink(missing_ok=True)
        elif not path.is_file() or path.read_bytes() != old:
            write_atomically(path, old, mode=path.stat().st_mode & 0o777 if path.is_file() else 0o644)
    restore_environment(home, before.environment, before.standing)


def _find_journal(settings: Settings, file: Path) -> Path:
    return settings.data / _FOLDER / f"{sha256(str(file.resolve()).encode()).hexdigest()[:16]}.json"


def _format(before: _Before) -> str:
    return json.dumps(
        {
            "files": [
                [str(path), None if data is None else base64.b64encode(data).decode()]
                for path, data in before.files
            ],
            "edited": before.edited,
            "environment": before.environment,
            "current": before.standing.current,
            "generations": sorted(before.standing.generations),
        }
    )


def _parse(data: bytes) -> _Before | None:
    """Return what a journal says; None where it is none of ours."""
    try:
        values = json.loads(data)
        return _Before(
            files=tuple(
                (Path(path), None if text is None else base64.b64decode(text, validate=True))
                for path, text in values["files"]
            ),
            edited=values["edited"],
            environment=values["environment"],
            standing=Standing(current=values["current"], generations=frozenset(values["generations"])),
        )
    except (ValueError, LookupError, TypeError):
        return None
