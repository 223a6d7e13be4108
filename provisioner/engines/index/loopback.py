"""A loopback package index that shows the resolver exactly what a profile allows.

uv asks one index per solve, and this is it. Each project is answered from the one index that the profile
routes it to, so no look-alike elsewhere can win, whatever depends on it. Files that the profile's date, its
choice of pre-releases and of yanked files exclude are not shown at all. What could not be fetched is
remembered as the error it is, because a resolver calls it "no solution".
"""

import datetime as dt
import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from socketserver import StreamRequestHandler, ThreadingTCPServer
from threading import Lock, Thread
from urllib.parse import unquote

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from provisioner.engines.index.page import IndexFile
from provisioner.engines.index.page_cache import Choice, IndexSource
from provisioner.engines.index.wheel_choice import Limits, choose_wheels, count_hidden, find_other_wheels
from provisioner.engines.net.addresses import host_and_port
from provisioner.errors import InternalError, ProvisionError, UnavailableError
from provisioner.ground.names import DEFAULT_INDEX
from provisioner.resolve.request import PipRequest

_LONGEST_LINE = 64 * 1024


class Shelf:
    """What one request may see, and what was seen.

    Attributes:
        failures: What could not be fetched, in the order it was asked for.
        shown: Project to the files shown for it, by version.
    """

    def __init__(self, request: PipRequest, source: IndexSource) -> None:
        """Show nothing yet."""
        self.request = request
        self.source = source
        self.failures: list[ProvisionError] = []
        self.shown: dict[str, Choice] = {}
        self._guard = Lock()

    def index_of(self, project: str) -> str:
        """Return the name of the only index that the project comes from."""
        return self.request.routes.get(project, DEFAULT_INDEX)

    def show(self, project: str) -> Choice:
        """Return the project's files by version, after the profile's limits.

        Raises:
            UnavailableError: The index could not be read, or a routed package is not there.
        """
        if project not in self.shown:
            chosen = self._choose(project)
            with self._guard:
                self.shown[project] = chosen
        return self.shown[project]

    def _choose(self, project: str) -> Choice:
        if project in self.request.provided:
            version = Version(self.request.provided[project])
            return {version: _provided_file(project, version)}
        limits = self._limits_of(project)

        def choose(files: tuple[IndexFile, ...]) -> Choice:
            if limits.before and files and not any(file.uploaded for file in files):
                raise _no_upload_times(project)
            return choose_wheels(
                files,
                project=project,
                platform=self.request.platform,
                python=self.request.python,
                limits=limits,
            )

        address = self._address_of(project)
        key = f"{project} {self.request.platform} {self.request.python} {limits.key}"
        try:
            chosen = self.source.read_choice(address, project, key=key, choose=choose)
        except UnavailableError as error:
            error.context.setdefault("index", self.index_of(project))
            raise
        if chosen is None and address is not None:
            raise self._not_there(project, address)
        return chosen or {}

    def _address_of(self, project: str) -> str | None:
        index = self.index_of(project)
        return None if index == DEFAULT_INDEX else self.request.indexes[index]

    def _not_there(self, project: str, address: str) -> UnavailableError:
        index, host = self.index_of(project), host_and_port(address)
        return UnavailableError(
            "unavailable.not_found",
            f"index `{index}` at `{host}` has no `{project}`, and the profile takes it from nowhere else",
            hints=[f"check the address of index `{index}`, or route `{project}` to the index that has it"],
            context={"host": host, "index": index, "project": project},
        )

    def _limits_of(self, project: str) -> Limits:
        """Return what the profile allows of the project.

        Only the default index gives upload times that can be trusted to be complete; what is routed elsewhere
        is pinned by version, and the date does not apply to it.
        """
        request = self.request
        dated = request.as_of is not None and self.index_of(project) == DEFAULT_INDEX
        return Limits(
            before=day_after(request.as_of) if dated and request.as_of else None,
            prereleases=project in request.prereleases,
            yanked=frozenset(
                Version(version)
                for name, _, version in (text.partition("==") for text in request.yanked)
                if name == project
            ),
            sources=project in request.sdists,
        )

    def find_hidden(self, project: str) -> tuple[str, ...]:
        """Return, for a message about a missing version, what the profile's limits hide of a project."""
        if project in self.request.provided:
            return ()
        files = self.source.read_page(self._address_of(project), project) or ()
        return tuple(count_hidden(files, limits=self._limits_of(project)))

    def find_other_wheels(self, requirement: Requirement) -> list[str]:
        """Return what the wheels of the required versions are for, if none is for the target."""
        project = canonicalize_name(requirement.name)
        if project in self.request.provided:
            return []
        return find_other_wheels(
            self.source.read_page(self._address_of(project), project) or (),
            project=project,
            wanted=requirement.specifier,
            platform=self.request.platform,
            python=self.request.python,
        )

    def find_exact(self, requirement: str) -> tuple[str, Version, IndexFile] | None:
        """Return the file that answers an exact requirement (``name==version``)."""
        parsed = Requirement(requirement)
        project = canonicalize_name(parsed.name)
        chosen = self.show(project)
        versions = parsed.specifier.filter(chosen, prereleases=True)
        version = max(versions, default=None)
        return None if version is None else (project, version, chosen[version])

    def read_metadata(self, project: str, version: Version) -> bytes:
        """Return a shown file's METADATA.

        Raises:
            UnavailableError: It could not be read.
        """
        if project in self.request.provided:
            return f"Metadata-Version: 2.1\nName: {project}\nVersion: {version}\n\n".encode()
        return self.source.read_metadata(self.shown[project][version])


def _no_upload_times(project: str) -> UnavailableError:
    return UnavailableError(
        "unavailable.no_upload_times",
        f"the default index gives no upload times for `{project}`, so the profile's `as_of` cannot be kept",
        hints=["lock through an index that gives upload times (PEP 700), or drop `as_of`"],
        context={"project": project},
    )


def shown_name(project: str, version: Version, file: IndexFile) -> str:
    """Return the filename that the resolver sees.

    A source archive that the profile allows is shown as the wheel that it will be built into, so that
    resolving never builds anything.
    """
    return file.filename if file.filename.endswith(".whl") else _universal_wheel(project, version)


def day_after(date: str) -> str:
    """Return the ISO date after ``date``; upload times compare with it as texts."""
    return (dt.date.fromisoformat(date) + dt.timedelta(days=1)).isoformat()


def _universal_wheel(project: str, version: Version) -> str:
    return f"{project.replace('-', '_')}-{version}-py3-none-any.whl"


def _provided_file(project: str, version: Version) -> IndexFile:
    filename = _universal_wheel(project, version)
    return IndexFile(filename=filename, url=filename)


@contextmanager
def serve_shelf(shelf: Shelf) -> Iterator[str]:
    """Serve the shelf on loopback for the length of the block; yield the index's address."""
    handler = type("ShelfHandler", (_Handler,), {"shelf": shelf})
    server = _Server(("127.0.0.1", 0), handler)
    # The interval is how long the end of the block waits.
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/simple/"
    finally:
        server.shutdown()
        server.server_close()


class _Server(ThreadingTCPServer):
    daemon_threads = True
    # Else the end of the block would wait for the resolver's idle connections.
    block_on_close = False
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """Keep a hung-up connection off the user's terminal; real failures are kept by the handler."""


class _Handler(StreamRequestHandler):
    """Answers ``GET /simple/<project>/`` and ``GET /simple/<project>/<file>.metadata``.

    Of HTTP it reads what one known client needs: with ``http.server`` a lock spent half its time on headers.
    """

    # Without this, each small answer waits for the client's delayed acknowledgement.
    disable_nagle_algorithm = True
    shelf: Shelf

    def handle(self) -> None:
        """Answer requests until the resolver hangs up."""
        with suppress(ConnectionError):
            while (words := self.rfile.readline(_LONGEST_LINE).split()) and len(words) == 3:
                while self.rfile.readline(_LONGEST_LINE).strip():
                    pass
                self._respond(words[1].decode("ascii", "replace"))

    def _respond(self, path: str) -> None:
        """Answer a page or a file's metadata; what cannot be fetched is kept and answered with 404."""
        parts = [unquote(part) for part in path.split("/") if part]
        kind, body, status = "text/plain", b"not here\n", "404 Not Found"
        try:
            if len(parts) == 2:
                kind, body = "application/vnd.pypi.simple.v1+json", self._page(canonicalize_name(parts[1]))
                status = "200 OK"
            elif len(parts) == 3 and parts[2].endswith(".metadata"):
                version = Version(parts[2].split("-")[1])
                kind, body = "application/octet-stream", self.shelf.read_metadata(parts[1], version)
                status = "200 OK"
        except ProvisionError as error:
            self.shelf.failures.append(error)
        except Exception as error:  # noqa: BLE001 - a thread's traceback would be lost; the solve raises it
            self.shelf.failures.append(InternalError("internal.index", f"serving `{path}` failed: {error!r}"))
        head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
        self.wfile.write(f"{head}Cache-Control: no-store\r\n\r\n".encode() + body)

    def _page(self, project: str) -> bytes:
        files = [
            {
                "filename": (name := shown_name(project, version, file)),
                # Nothing that a filename or a project may hold has to be quoted.
                "url": f"/simple/{project}/{name}",
                "hashes": {},
                "core-metadata": True,
                **({"requires-python": file.requires_python} if file.requires_python else {}),
            }
            for version, file in self.shelf.show(project).items()
        ]
        return json.dumps({"meta": {"api-version": "1.1"}, "name": project, "files": files}).encode()
