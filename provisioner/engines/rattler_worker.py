"""The worker process that loads rattler: a JSON task on stdin, the answer in the file that the task names."""

import asyncio
import datetime
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
    from rattler.exceptions import GatewayError, SolverError  # noqa: PLC0415 - see above

    gateway = rattler.Gateway(
        cache_dir=Path(task["cache"]),
        default_config=rattler.SourceConfig(
            cache_action="force-cache-only" if task["offline"] else "cache-or-fetch"
        ),
    )
    as_of = task["as_of"]
    limit = datetime.datetime.fromisoformat(as_of) + datetime.timedelta(days=1) if as_of else None
    try:
        records = await rattler.solve(
            task["channels"],
            task["specs"],
            gateway=gateway,
            platforms=[task["platform"], "noarch"],
            virtual_packages=[
                rattler.GenericVirtualPackage(
                    rattler.PackageName(name), rattler.Version(version), rattler.BuildString("0")
                )
                for name, version in task["virtual_packages"]
            ],
            locked_packages=[_record(rattler, package) for package in task["preferred"]],
            exclude_newer=limit.replace(tzinfo=datetime.UTC) if limit else None,
        )
    except SolverError as error:
        return {"failure": "unsatisfiable", "reason": str(error)}
    except GatewayError as error:
        return {"failure": "unavailable", "reason": str(error).replace("\n", ": ")}
    return {"packages": [_package(record) for record in records]}


def _record(rattler: Any, package: dict[str, Any]) -> Any:
    record = rattler.PackageRecord(
        name=package["name"],
        version=package["version"],
        build=rattler.BuildString(package["build"]),
        build_number=0,
        subdir=package["subdir"],
        depends=[f"{name} {spec}".strip() for name, spec in package["dependencies"].items()],
        sha256=bytes.fromhex(package["sha256"]),
        md5=bytes.fromhex(package["md5"]),
    )
    url = package["url"]
    channel, filename = url.rsplit("/", 2)[0], url.rsplit("/", 1)[1]
    return rattler.RepoDataRecord(package_record=record, file_name=filename, url=url, channel=channel)


def _package(record: Any) -> dict[str, Any]:
    return {
        "name": record.name.normalized,
        "version": str(record.version),
        "build": str(record.build),
        "subdir": record.subdir if isinstance(record.subdir, str) else str(record.subdir),
        "url": record.url,
        "sha256": record.sha256.hex() if record.sha256 else "",
        "md5": record.md5.hex() if record.md5 else "",
        "dependencies": dict(
            sorted((text.split(" ", 1)[0], text.partition(" ")[2]) for text in record.depends)
        ),
    }


if __name__ == "__main__":
    main()
