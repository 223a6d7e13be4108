"""Solve wheels with uv, against a loopback index that shows only what the profile allows."""

import sys
import tempfile
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path

from packaging.metadata import RawMetadata, parse_email
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version
from uv import find_uv_bin

from provisioner.engines.index import Shelf, find_exact, serve_shelf, shown_name
from provisioner.engines.index_page import IndexFile
from provisioner.engines.index_source import IndexSource
from provisioner.engines.process import Completed, ProgramTimeoutError, run_program
from provisioner.errors import ErrorList, InternalError, ResolveError, UnavailableError
from provisioner.profile.model import DEFAULT_INDEX
from provisioner.resolve.model import PipPackage
from provisioner.resolve.request import PipRequest, PipSolution
from provisioner.resolve.target import find_target, marker_environment

_TIMEOUT_S = 600.0


class UvSolver:
    """A `PipSolver` that runs ``uv pip compile`` per platform."""

    def __init__(
        self,
        source: IndexSource,
        *,
        cache: Path,
        hash_file: Callable[[str, IndexFile], str],
        environ: Mapping[str, str],
    ) -> None:
        """Keep the parts.

        Args:
            source: Reads the real indexes.
            cache: uv's private cache; it keeps what uv learns about the interpreter.
            hash_file: Index name and file to the sha256 of a file whose index says none.
            environ: Environment of the child process.
        """
        self._source = source
        self._cache = cache
        self._hash_file = hash_file
        self._environ = environ

    def solve_pip(self, request: PipRequest) -> PipSolution:
        """Return the wheels; see `PipSolver`."""
        shelf = Shelf(
            request=request, read_page=self._source.read_page, read_metadata=self._source.read_metadata
        )
        versions = self._compile(shelf)
        chosen = [
            (project, version, shelf.shown[project][version])
            for project, version in versions.items()
            if project not in request.provided
        ]
        dependencies = find_dependencies(shelf, versions)
        packages = [
            self._package(shelf, project, version, file, dependencies=dependencies.get(project, {}))
            for project, version, file in chosen
        ]
        assets = [self._asset(shelf, requirement) for requirement in request.assets]
        notes = [
            f"`{project}=={version}` was yanked from its index"
            f"{f' ({file.yanked})' if file.yanked else ''} and is allowed by the profile"
            for project, version, file in chosen
            if file.yanked is not None
        ]
        return PipSolution(packages=(*packages, *assets), notes=tuple(notes))

    def _compile(self, shelf: Shelf) -> dict[str, Version]:
        request = shelf.request
        with tempfile.TemporaryDirectory(prefix="provision-uv-") as folder, serve_shelf(shelf) as address:
            work = Path(folder)
            answer = work / "pylock.answer.toml"
            _write_lines(work / "requirements.txt", request.requirements)
            _write_lines(work / "overrides.txt", request.overrides)
            if request.preferred:
                answer.write_text(_preferences(request.preferred), encoding="utf-8")
            completed = self._run(work, answer, address, request)
            if shelf.failures:
                _raise_failures(shelf)
            if completed.exit_code != 0:
                raise _explain(completed, shelf)
            document = tomllib.loads(answer.read_text(encoding="utf-8"))
        return {
            canonicalize_name(package["name"]): Version(package["version"])
            for package in document.get("packages", [])
        }

    def _run(self, work: Path, answer: Path, address: str, request: PipRequest) -> Completed:
        arguments = [
            find_uv_bin(),
            *("pip", "compile", "requirements.txt", "--overrides", "overrides.txt"),
            *("--format", "pylock.toml", "--output-file", answer.name, "--no-header", "--quiet"),
            *("--no-config", "--cache-dir", str(self._cache), "--color", "never"),
            *("--default-index", address, "--only-binary", ":all:"),
            # Which pre-releases exist is the index's decision, per package.
            *("--prerelease", "allow"),
            *("--python", sys.executable, "--no-python-downloads"),
            *(
                "--python-version",
                request.python,
                "--python-platform",
                find_target(request.platform).uv_platform,
            ),
        ]
        try:
            return run_program(arguments, env=self._environ, cwd=work, timeout_s=_TIMEOUT_S)
        except ProgramTimeoutError as error:
            raise InternalError(
                "internal.uv_timeout", f"uv did not answer for `{request.platform}` within {_TIMEOUT_S:g} s"
            ) from error

    def _package(
        self,
        shelf: Shelf,
        project: str,
        version: Version,
        file: IndexFile,
        *,
        dependencies: Mapping[str, str],
        validation: bool = False,
    ) -> PipPackage:
        index = shelf.index_of(project)
        default = index == DEFAULT_INDEX
        return PipPackage(
            name=project,
            version=str(version),
            filename=file.filename,
            url=f"pypi:{file.filename}" if default else file.url,
            index=index,
            sha256=file.sha256 or self._hash_file(index, file),
            dependencies=dependencies,
            validation=validation,
        )

    def _asset(self, shelf: Shelf, requirement: str) -> PipPackage:
        found = find_exact(shelf, requirement)
        if found is None:
            raise ResolveError(
                "resolve.no_asset",
                f"validation asset `{requirement}` is on no index that the profile names",
                hints=["correct `validation.asset` in the profile"],
            )
        return self._package(shelf, *found, dependencies={}, validation=True)


def find_dependencies(shelf: Shelf, versions: Mapping[str, Version]) -> dict[str, dict[str, str]]:
    """Return, per project of a solution, what its metadata asks for on the request's platform.

    Extras count where some requirement asks for them, so the walk starts from the request's own.
    """
    request = shelf.request
    target = find_target(request.platform)
    found: dict[str, dict[str, str]] = {}
    seen: set[tuple[str, str]] = set()
    waiting = [Requirement(text) for text in request.requirements]
    while waiting:
        requirement = waiting.pop()
        project = canonicalize_name(requirement.name)
        for extra in ("", *sorted(requirement.extras)):
            if (project, extra) in seen or project not in versions or project in request.provided:
                continue
            seen.add((project, extra))
            environment = marker_environment(target, request.python, extra=extra)
            for wanted in _requires(shelf, project, versions[project]):
                name = canonicalize_name(wanted.name)
                if name in versions and (wanted.marker is None or wanted.marker.evaluate(environment)):
                    found.setdefault(project, {})[name] = str(wanted.specifier)
                    waiting.append(wanted)
    return {project: dict(sorted(wants.items())) for project, wants in found.items()}


def _requires(shelf: Shelf, project: str, version: Version) -> list[Requirement]:
    filename = shown_name(project, version, shelf.shown[project][version])
    body = shelf.metadata.get(filename) or shelf.metadata_of(project, filename)
    raw: RawMetadata = parse_email(body)[0]
    wanted = []
    for text in raw.get("requires_dist", []):
        try:
            wanted.append(Requirement(text))
        except InvalidRequirement:
            # uv has accepted it; the list only describes the lock.
            continue
    return wanted


def _preferences(preferred: Mapping[str, str]) -> str:
    packages = "".join(
        f'[[packages]]\nname = "{name}"\nversion = "{version}"\n\n'
        for name, version in sorted(preferred.items())
    )
    return f'lock-version = "1.0"\ncreated-by = "provision"\n\n{packages}'


def _write_lines(path: Path, lines: tuple[str, ...]) -> None:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _raise_failures(shelf: Shelf) -> None:
    unique = list({failure.message: failure for failure in shelf.failures}.values())
    if len(unique) == 1:
        raise unique[0]
    # Connections to one dead host fail once per project; the first says it all, the count says how many.
    first = unique[0]
    if all(isinstance(failure, UnavailableError) for failure in unique):
        raise UnavailableError(
            first.code,
            f"{first.message} (and {len(unique) - 1} more of the like)",
            hints=first.hints,
            retryable=first.retryable,
            context=first.context,
        )
    raise ErrorList(unique)


def _explain(completed: Completed, shelf: Shelf) -> ResolveError | InternalError:
    reason = completed.stderr.strip()
    request = shelf.request
    if "No solution found" not in reason and "no versions of" not in reason:
        return InternalError(
            "internal.uv", f"uv failed on `{request.platform}` with exit code {completed.exit_code}: {reason}"
        )
    hidden = [
        f"`{project}`: {', '.join(what)} are hidden by the profile"
        for project in sorted(shelf.shown)
        if f"{project}=" in reason.replace("<", "=").replace(">", "=") and (what := shelf.hidden(project))
    ]
    return ResolveError(
        "resolve.unsatisfiable",
        f"no set of wheels answers the profile on `{request.platform}`; the solver says:\n{_indent(reason)}",
        hints=[
            "change one of the requirements named above, or state in `pip.overrides` which one wins and why",
            *(f"look at {line}" for line in hidden[:3]),
        ],
        context={"platform": request.platform},
    )


def _indent(text: str) -> str:
    return "\n".join(f"  {line}".rstrip() for line in text.splitlines())
