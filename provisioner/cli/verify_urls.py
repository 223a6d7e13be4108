"""``provision lock --verify-urls``: can every locked file still be fetched?"""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from provisioner.cli.addresses import IndexAddresses
from provisioner.cli.result import Result
from provisioner.cli.settings import Settings
from provisioner.cli.wiring import Engines
from provisioner.errors import ExitCode, ProvisionError, UnavailableError
from provisioner.lock.store import lockfile_path, read_lock
from provisioner.lock.verify_urls import FileCheck, HeadAnswer, judge_answers, plan_file_checks
from provisioner.profile.model import Profile
from provisioner.resolve.model import PipPackage


def verify_lockfiles(settings: Settings, wanted: Iterable[Profile]) -> Result:
    """Ask for every file of the lockfiles and report those that are gone, refused or replaced."""
    engines = Engines(settings)
    addresses = IndexAddresses(engines)
    errors: list[ProvisionError] = []
    lines: list[str] = []
    rows = []
    for profile in wanted:
        lock = read_lock(lockfile_path(settings.find_lockfile_folder(profile.file), profile.name))
        missing: list[ProvisionError] = []

        def absolute(package: PipPackage, missing: list[ProvisionError] = missing) -> str:
            try:
                return addresses(package)
            except UnavailableError as error:
                missing.append(error)
                return ""

        checks = [check for check in plan_file_checks(lock, absolute=absolute) if check.url]
        with ThreadPoolExecutor(max_workers=8) as pool:
            answers = list(pool.map(lambda check: _ask(engines, check), checks))
        found = [*missing, *(finding.as_error() for finding in judge_answers(checks, answers))]
        errors.extend(found)
        rows.append({"profile": profile.name, "files": len(checks) + len(missing), "problems": len(found)})
        lines.append(f"{profile.name}: {len(checks) + len(missing)} files asked for, {len(found)} problems")
    engines.close()
    code = errors[0].exit_code if errors else ExitCode.OK
    return Result(data={"profiles": rows}, text="\n".join(lines), exit_code=code, errors=tuple(errors))


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
