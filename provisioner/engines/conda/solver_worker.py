"""The worker process that loads rattler: a JSON task on stdin, the answer in the file that the task names."""

import asyncio
import datetime as dt
import json
import os
import sys
from pathlib import Path
from typing import Any


def main() -> None:
    """Solve the task, write the answer, and leave without the interpreter's own exit."""
    task = json.load(sys.stdin)
    answer = asyncio.run(_solve(task))
    Path(task["answer"]).write_text(json.dumps(answer), encoding="utf-8")
    # The answer is out; rattler's threads may crash an orderly exit.
    os._exit(0)


async def _solve(task: dict[str, Any]) -> dict[str, Any]:
    import rattler  # noqa: PLC0415 - the reason for this process
    from rattler.exceptions import GatewayError, InvalidMatchSpecError, SolverError  # noqa: PLC0415 - see above

    gateway = rattler.Gateway(
        cache_dir=Path(task["cache"]),
        default_config=rattler.SourceConfig(
            cache_action="force-cache-only" if task["offline"] else "cache-or-fetch"
        ),
        # Without a limit, rattler waits for a silent server for ever; this one is for a whole request.
        client=rattler.Client(timeout=task["timeout_s"]),
    )
    platforms = [task["platform"], "noarch"]
    try:
        specs = [rattler.MatchSpec(spec) for spec in task["specs"]]
        records = await rattler.solve(
            task["channels"],
            specs,
            gateway=gateway,
            platforms=platforms,
            virtual_packages=[
                rattler.GenericVirtualPackage(
                    rattler.PackageName(name), rattler.Version(version), rattler.BuildString("0")
                )
                for name, version in task["virtual_packages"]
            ],
            locked_packages=await _find_preferred(gateway, task, platforms),
            exclude_newer=_end_of(task["as_of"]),
        )
    except SolverError as error:
        return {"failure": "unsatisfiable", "reason": str(error)}
    except InvalidMatchSpecError as error:
        return {"failure": "bad_spec", "reason": str(error)}
    except GatewayError as error:
        return {"failure": "unavailable", "reason": str(error)}
    return {"packages": [_describe(record) for record in records]}


def _end_of(date: str | None) -> dt.datetime | None:
    """Return the last moment of an ISO date; rattler counts milliseconds, and includes the limit."""
    if date is None:
        return None
    day = dt.datetime.fromisoformat(date).replace(tzinfo=dt.UTC)
    return day + dt.timedelta(days=1) - dt.timedelta(milliseconds=1)


async def _find_preferred(gateway: Any, task: dict[str, Any], platforms: list[str]) -> list[Any]:
    """Return the channel's own records of the packages to keep.

    rattler puts locked records among the candidates as they are, so one that the channel does not have any
    more, or a record of our own making without its constraints, could be chosen.
    """
    wanted = {package["name"]: package["sha256"] for package in task["preferred"]}
    if not wanted:
        return []
    found = await gateway.query(task["channels"], platforms, list(wanted), recursive=False)
    return [
        record
        for records in found
        for record in records
        if record.sha256 is not None and record.sha256.hex() == wanted.get(record.name.normalized)
    ]


def _describe(record: Any) -> dict[str, Any]:
    return {
        "name": record.name.normalized,
        "version": str(record.version),
        "build": str(record.build),
        "subdir": str(record.subdir),
        "url": record.url,
        "sha256": record.sha256.hex() if record.sha256 else "",
        "md5": record.md5.hex() if record.md5 else "",
        "dependencies": dict(
            sorted((text.split(" ", 1)[0], text.partition(" ")[2]) for text in record.depends)
        ),
    }


if __name__ == "__main__":
    main()
