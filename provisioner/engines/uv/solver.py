"""Solve wheels with uv, against a loopback index that shows only what the profile allows."""

import re
import sys
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from threading import Event

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from provisioner.engines.index.loopback import Shelf, serve_shelf
from provisioner.engines.index.metadata import find_requires_dist
from provisioner.engines.index.page import IndexFile
from provisioner.engines.index.page_cache import IndexSource
from provisioner.engines.process.run import Completed
from provisioner.engines.uv.no_solution import explain_failure, join_failures
from provisioner.engines.uv.program import Uv
from provisioner.errors import ResolveError
from provisioner.ground.files import make_private_folder
from provisioner.ground.names import DEFAULT_INDEX
from provisioner.ground.scratch import hold_scratch
from provisioner.resolve.model import PipPackage
from provisioner.resolve.platforms import find_target, marker_environment
from provisioner.resolve.request import PipRequest, PipSolution

_TIMEOUT_S = 600.0
_JOBS = 8
_NAME = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)")


class UvSolver:
    """A `PipSolver` that runs ``uv pip compile`` per platform."""

    def __init__(self, source: IndexSource, *, cache: Path, environ: Mapping[str, str]) -> None:
        """Keep the parts.

        Args:
            source: Reads the real indexes.
            cache: uv's private cache; it keeps what uv learns about the interpreter.
            environ: Environment of the child process; see `Uv`.
        """
        self._source = source
        self._uv = Uv(cache=cache, environ=environ)
        self._stop = Event()

    def stop(self) -> None:
        """End what is under way; see `PipSolver`."""
        self._stop.set()

    def solve_pip(self, request: PipRequest) -> PipSolution:
        """Return the wheels; see `PipSolver`."""
        epoch = self._source.epoch
        shelf = Shelf(request, self._source)
        try:
            versions = self._compile(shelf)
        except ResolveError:
            if not self._source.renew(epoch):
                raise
            shelf = Shelf(request, self._source)
            versions = self._compile(shelf)
        chosen = [
            (project, version, shelf.shown[project][version])
            for project, version in versions.items()
            if project not in request.provided
        ]
        dependencies = find_dependencies(shelf, versions)
        with ThreadPoolExecutor(_JOBS) as pool:  # servers may have to be asked for digests and sizes
            completed = pool.map(self._source.complete, [file for _, _, file in chosen])
            packages = [
                self._package(shelf, project, version, file, dependencies=dependencies.get(project, {}))
                for (project, version, _), file in zip(chosen, completed, strict=True)
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
        with hold_scratch("uv") as work, serve_shelf(shelf) as address:
            answer = work / "answer.txt"
            _write_lines(work / "requirements.txt", request.requirements)
            _write_lines(work / "overrides.txt", request.overrides)
            # What stands in the file is preferred.
            _write_lines(answer, [f"{name}=={version}" for name, version in request.preferred.items()])
            completed = self._run(work, answer, address, request)
            if shelf.failures:
                raise join_failures(shelf.failures)
            if completed.exit_code != 0:
                raise explain_failure(
                    completed.stderr.replace(address, "the index/"), completed.exit_code, shelf
                )
            lines = answer.read_text(encoding="utf-8").split()
        pins = (line.split("==") for line in lines)
        return {canonicalize_name(name): Version(version) for name, version in pins}

    def _run(self, work: Path, answer: Path, address: str, request: PipRequest) -> Completed:
        make_private_folder(self._uv.cache)
        return self._uv.run(
            *("pip", "compile", "requirements.txt", "--overrides", "overrides.txt"),
            *("--output-file", answer.name, "--no-header", "--no-annotate", "--quiet"),
            *("--default-index", address, "--only-binary", ":all:"),
            # Which pre-releases exist is the index's decision, per package.
            *("--prerelease", "allow"),
            *("--python", sys.executable, "--python-version", request.python),
            *("--python-platform", find_target(request.platform).uv_platform),
            cwd=work,
            timeout_s=_TIMEOUT_S,
            stop=self._stop,
        )

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
        return PipPackage(
            name=project,
            version=str(version),
            filename=file.filename,
            url=f"pypi:{file.filename}" if index == DEFAULT_INDEX else file.url,
            index=index,
            sha256=file.sha256 or "",
            size=file.size,
            publisher=self._source.find_publisher(file),
            dependencies=dependencies,
            validation=validation,
        )

    def _asset(self, shelf: Shelf, requirement: str) -> PipPackage:
        found = shelf.find_exact(requirement)
        if found is None:
            raise ResolveError(
                "resolve.no_asset",
                f"validation asset `{requirement}` is on no index that the profile names",
                hints=["correct `validation.asset` in the profile"],
            )
        project, version, file = found
        file = self._source.complete(file)
        return self._package(shelf, project, version, file, dependencies={}, validation=True)


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
            for wanted in _requires(shelf, project, versions):
                if wanted.marker is None or wanted.marker.evaluate(environment):
                    found.setdefault(project, {})[canonicalize_name(wanted.name)] = str(wanted.specifier)
                    waiting.append(wanted)
    return {project: dict(sorted(wants.items())) for project, wants in found.items()}


def _requires(shelf: Shelf, project: str, versions: Mapping[str, Version]) -> list[Requirement]:
    """Return a project's requirements for others of the solution; the rest is mostly unused extras."""
    named = _name_requirements(shelf.read_metadata(project, versions[project]))
    wanted = [_parse(text) for name, text in named if name in versions]
    return [requirement for requirement in wanted if requirement is not None]


@cache
def _name_requirements(metadata: bytes) -> tuple[tuple[str, str], ...]:
    """Return the requirements of METADATA as (normalised name, text), unparsed."""
    return tuple(
        (canonicalize_name(name.group(1)), text)
        for text in find_requires_dist(metadata)
        if (name := _NAME.match(text))
    )


@cache
def _parse(text: str) -> Requirement | None:
    try:
        return Requirement(text)
    except InvalidRequirement:
        # uv has accepted it; the list only describes the lock.
        return None


def _write_lines(path: Path, lines: Iterable[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
