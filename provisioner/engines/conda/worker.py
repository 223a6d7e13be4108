"""The worker process that loads rattler: a JSON task on stdin, the answer in the file that the task names.

It is run as a script and imported by nothing, so that no other process loads rattler.
"""

import asyncio
import datetime as dt
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import rattler
from rattler import exceptions


def main() -> None:
    """Do the task, write the answer, and leave without the interpreter's own exit."""
    task = json.load(sys.stdin)
    answer = asyncio.run(_solve(task) if task["do"] == "solve" else _link(task))
    Path(task["answer"]).write_text(json.dumps(answer), encoding="utf-8")
    # The answer is out; rattler's threads may crash an orderly exit.
    os._exit(0)


async def _solve(task: dict[str, Any]) -> dict[str, Any]:
    gateway = rattler.Gateway(
        cache_dir=Path(task["cache"]),
        default_config=rattler.SourceConfig(
            cache_action="force-cache-only" if task["offline"] else "cache-or-fetch"
        ),
        # Without a limit, rattler waits for a silent server for ever; this one is for a whole request.
        client=rattler.Client(timeout=task["timeout_s"]),
    )
    platforms = [rattler.Subdir(task["platform"]), rattler.Subdir("noarch")]
    try:
        records = await rattler.solve(
            task["channels"],
            [rattler.MatchSpec(spec) for spec in task["specs"]],
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
    except exceptions.SolverError as error:
        return {"failure": "unsatisfiable", "reason": str(error)}
    except exceptions.InvalidMatchSpecError as error:
        return {"failure": "bad_spec", "reason": str(error)}
    except exceptions.GatewayError as error:
        return {"failure": "unavailable", "reason": str(error)}
    return {"packages": [_describe(record) for record in records]}


def _end_of(date: str | None) -> dt.datetime | None:
    """Return the last moment of an ISO date; rattler counts milliseconds, and includes the limit."""
    if date is None:
        return None
    day = dt.datetime.fromisoformat(date).replace(tzinfo=dt.UTC)
    return day + dt.timedelta(days=1) - dt.timedelta(milliseconds=1)


async def _find_preferred(
    gateway: rattler.Gateway, task: dict[str, Any], platforms: list[rattler.Subdir]
) -> list[rattler.RepoDataRecord]:
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


def _describe(record: rattler.RepoDataRecord) -> dict[str, Any]:
    return {
        "name": record.name.normalized,
        "version": str(record.version),
        "build": str(record.build),
        "subdir": str(record.subdir),
        "url": record.url,
        "sha256": record.sha256.hex() if record.sha256 else "",
        "md5": record.md5.hex() if record.md5 else "",
        "size": record.size,
        "dependencies": dict(
            sorted((text.split(" ", 1)[0], text.partition(" ")[2]) for text in record.depends)
        ),
    }


async def _link(task: dict[str, Any]) -> dict[str, Any]:
    try:
        await rattler.install(
            [_make_record(package) for package in task["packages"]],
            target_prefix=task["prefix"],
            platform=rattler.Subdir(task["platform"]),
            execute_link_scripts=False,
            show_progress=False,
            package_cache=rattler.PackageCache(task["cache"]),
        )
    except (
        exceptions.ExtractError,
        exceptions.InstallerError,
        exceptions.IoError,
        exceptions.LinkError,
        exceptions.TransactionError,
    ) as error:
        return {"failure": f"{error}".replace("\n", ": ")}
    return {}


def _make_record(package: dict[str, Any]) -> rattler.RepoDataRecord:
    with tempfile.TemporaryDirectory(dir=".") as folder:  # which is deleted after us whatever happens
        path = Path(folder, "index.json")
        path.write_text(json.dumps(package["index"]), encoding="utf-8")
        record = rattler.PackageRecord.from_index_json(
            path, size=package["size"], sha256=package["sha256"], md5=package["md5"] or None
        )
    return rattler.RepoDataRecord(
        package_record=record, file_name=package["filename"], url=package["url"], channel=package["channel"]
    )


if __name__ == "__main__":
    main()
