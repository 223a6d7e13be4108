"""The worker that links with rattler: a JSON task on stdin, the answer in the file that the task names."""

import asyncio
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any


def main() -> None:
    """Do the task, write the answer, and leave without the interpreter's own exit."""
    task = json.load(sys.stdin)
    answer = asyncio.run(_install(task))
    Path(task["answer"]).write_text(json.dumps(answer), encoding="utf-8")
    # The answer is out; rattler's threads may crash an orderly exit.
    os._exit(0)


async def _install(task: dict[str, Any]) -> dict[str, Any]:
    import rattler  # noqa: PLC0415 - the reason for this process
    from rattler import exceptions  # noqa: PLC0415 - see above

    cache = rattler.PackageCache.new_layered(
        # What lies unpacked in the cache is compared with the packages' own lists before it is linked.
        [task["cache"]],
        validation_mode=rattler.ValidationMode.full(),
    )
    try:
        await rattler.install(
            [_record(rattler, package) for package in task["packages"]],
            target_prefix=task["prefix"],
            platform=rattler.Subdir(task["platform"]),
            execute_link_scripts=False,
            show_progress=False,
            package_cache=cache,
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


def _record(rattler: Any, package: dict[str, Any]) -> Any:
    with tempfile.TemporaryDirectory() as folder:
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
