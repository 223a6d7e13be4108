"""``provision lock --verify-urls``: can every locked file still be fetched?"""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

from provisioner.cli.addresses import IndexAddresses
from provisioner.cli.result import Result
from provisioner.cli.settings import Settings
from provisioner.cli.wiring import Engines
from provisioner.errors import ExitCode, ProvisionError, UnavailableError
from provisioner.lock.model import Lock
from provisioner.lock.store import lockfile_path, read_lock
from provisioner.lock.verify_urls import FileCheck, HeadAnswer, judge_answers, plan_file_checks
from provisioner.profile.model import Profile
from provisioner.resolve.model import PipPackage


def verify_lockfiles(settings: Settings, wanted: Iterable[Profile]) -> Result:
    """Ask for every file of the lockfiles and report those that are gone, refused or replaced."""
    errors: list[ProvisionError] = []
    lines: list[str] = []
    rows = []
    with closing(Engines(settings)) as engines:
        addresses = IndexAddresses(engines)
        for profile in wanted:
            lock = read_lock(lockfile_path(settings.find_lockfile_folder(profile.file), profile.name))
            files, found = _verify(engines, addresses, lock)
            errors.extend(found)
            rows.append({"profile": profile.name, "files": files, "problems": len(found)})
            lines.append(f"{profile.name}: {files} files asked for, {len(found)} problems")
    code = errors[0].exit_code if errors else ExitCode.OK
    return Result(data={"profiles": rows}, text="\n".join(lines), exit_code=code, errors=tuple(errors))


def _verify(engines: Engines, addresses: IndexAddresses, lock: Lock) -> tuple[int, list[ProvisionError]]:
    """Return how many files were asked for, and what is wrong with some."""
    missing: list[ProvisionError] = []

    def absolute(package: PipPackage) -> str:
        try:
            return addresses(package)
        except UnavailableError as error:
            missing.append(error)
            return ""

    checks = [check for check in plan_file_checks(lock, absolute=absolute) if check.url]
    with ThreadPoolExecutor(max_workers=8) as pool:
        answers = list(pool.map(lambda check: _ask(engines, check), checks))
    found = [*missing, *(finding.as_error() for finding in judge_answers(checks, answers))]
    return len(checks) + len(missing), found


def _ask(engines: Engines, check: FileCheck) -> HeadAnswer:
    try:
        reply = engines.downloader.head(check.url)
    except UnavailableError as error:
        status = error.context.get("status")
        return HeadAnswer(
            url=check.url,
            status=status if isinstance(status, int) else None,
            headers={},
            problem=error.message,
        )
    return HeadAnswer(url=check.url, status=reply.status, headers=reply.headers)
