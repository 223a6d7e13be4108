"""A loopback package index that shows the resolver exactly what a profile allows.

uv asks one index per solve, and this is it. Each project is answered from the one index that the profile routes
it to, so no look-alike elsewhere can win, whatever depends on it. Files that the profile's date, its choice of
pre-releases and of yanked files exclude are not shown at all. What could not be fetched is remembered as the
error it is, because a resolver calls it "no solution".
"""

import hashlib
import json
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock, Thread
from typing import IO
from urllib.parse import quote, unquote

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from provisioner.engines.index_page import IndexFile
from provisioner.engines.wheel_choice import Limits, choose_wheels, count_hidden
from provisioner.errors import InternalError, ProvisionError, UnavailableError
from provisioner.profile.model import DEFAULT_INDEX
from provisioner.resolve.request import PipRequest

PageSource = Callable[[str, str], tuple[IndexFile, ...]]
"""Index name and project to the project's wheels; empty where the index has no such project."""
MetadataSource = Callable[[str, IndexFile], bytes]
"""Index name and wheel to the wheel's METADATA."""


@dataclass
class Shelf:
    """What one request may see, and what was seen.

    Attributes:
        failures: What could not be fetched, in the order it was asked for.
        shown: Project to the files shown for it, by version.
        metadata: Filename to the METADATA handed out.
    """

    request: PipRequest
    read_page: PageSource
    read_metadata: MetadataSource
    failures: list[ProvisionError] = field(default_factory=list)
    shown: dict[str, dict[Version, IndexFile]] = field(default_factory=dict)
    metadata: dict[str, bytes] = field(default_factory=dict)
    hidden: dict[str, tuple[str, ...]] = field(default_factory=dict)
    _guard: Lock = field(default_factory=Lock)

    def index_of(self, project: str) -> str:
        """Return the name of the only index that the project comes from."""
        return self.request.routes.get(project, DEFAULT_INDEX)

    def limits_of(self, project: str) -> Limits:
        """Return what the profile allows of the project.

        Only the default index gives upload times that can be trusted to be complete; what is routed elsewhere is
        pinned by version, and the date does not apply to it.
        """
        routed = self.index_of(project) != DEFAULT_INDEX
        return Limits(
            before=None if routed or not self.request.as_of else day_after(self.request.as_of),
            prereleases=project in self.request.prereleases,
            yanked=frozenset(
                Version(text.split("==", 1)[1])
                for text in self.request.yanked
                if text.split("==", 1)[0] == project
            ),
        )

    def show(self, project: str) -> dict[Version, IndexFile]:
        """Return the project's files by version, after the profile's limits.

        Raises:
            UnavailableError: The index could not be read.
        """
        if project in self.request.provided:
            version = Version(self.request.provided[project])
            return {version: _provided_file(project, version)}
        files = self.read_page(self.index_of(project), project)
        limits = self.limits_of(project)
        if limits.before and files and not any(file.uploaded for file in files):
            raise UnavailableError(
                "unavailable.no_upload_times",
                f"the default index gives no upload times for `{project}`, so the profile's `as_of` cannot be kept",
                hints=["lock through an index that gives upload times (PEP 700), or drop `as_of`"],
                context={"project": project},
            )
        chosen = choose_wheels(
            files,
            project=project,
            platform=self.request.platform,
            python=self.request.python,
            limits=limits,
        )
        with self._guard:
            self.shown[project] = chosen
            self.hidden[project] = tuple(count_hidden(files, limits=limits))
        return chosen

    def metadata_of(self, project: str, filename: str) -> bytes:
        """Return a shown file's METADATA.

        Raises:
            KeyError: No such file was shown.
            UnavailableError: It could not be read.
        """
        if project in self.request.provided:
            version = self.request.provided[project]
            return f"Metadata-Version: 2.1\nName: {project}\nVersion: {version}\n".encode()
        file = next(file for file in self.shown[project].values() if file.filename == filename)
        body = self.read_metadata(self.index_of(project), file)
        with self._guard:
            self.metadata[filename] = body
        return body


def day_after(date: str) -> str:
    """Return the ISO date after ``date``; upload times compare with it as texts."""
    from datetime import date as day  # noqa: PLC0415 - the name would hide the argument's
    from datetime import timedelta  # noqa: PLC0415 - beside its use

    return (day.fromisoformat(date) + timedelta(days=1)).isoformat()


def find_exact(shelf: Shelf, requirement: str) -> tuple[str, Version, IndexFile] | None:
    """Return the shown file that answers an exact requirement (``name==version``)."""
    parsed = Requirement(requirement)
    project = canonicalize_name(parsed.name)
    matching = [v for v in shelf.show(project) if parsed.specifier.contains(v, prereleases=True)]
    if not matching:
        return None
    version = max(matching)
    return project, version, shelf.shown[project][version]


def read_wheel_metadata(wheel: Path | IO[bytes], *, name: str) -> bytes:
    """Return the METADATA member of a wheel, which is called ``name`` in messages.

    Raises:
        UnavailableError: The file is not a wheel.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            member = next(
                member
                for member in archive.namelist()
                if member.endswith(".dist-info/METADATA") and member.count("/") == 1
            )
            return archive.read(member)
    except (zipfile.BadZipFile, StopIteration, KeyError) as error:
        raise UnavailableError(
            "unavailable.bad_wheel", f"`{name}` is called a wheel by its index and holds no METADATA"
        ) from error


@contextmanager
def serve_shelf(shelf: Shelf) -> Iterator[str]:
    """Serve the shelf on loopback for the length of the block; yield the index's address."""
    handler = type("ShelfHandler", (_Handler,), {"shelf": shelf})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/simple/"
    finally:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    """Answers ``/simple/<project>/`` and ``/simple/<project>/<file>.metadata``."""

    protocol_version = "HTTP/1.1"
    # Without this, each small answer waits for the client's delayed acknowledgement.
    disable_nagle_algorithm = True
    wbufsize = -1
    shelf: Shelf

    def do_GET(self) -> None:
        """Answer a page or a file's metadata; what cannot be fetched is kept and answered with 404."""
        parts = [unquote(part) for part in self.path.split("/") if part]
        try:
            if len(parts) == 2:
                self._answer("application/vnd.pypi.simple.v1+json", self._page(canonicalize_name(parts[1])))
            elif len(parts) == 3 and parts[2].endswith(".metadata"):
                body = self.shelf.metadata_of(parts[1], parts[2].removesuffix(".metadata"))
                self._answer("application/octet-stream", body)
            else:
                self._answer("text/plain", b"not here\n", status=404)
        except ProvisionError as error:
            self._fail(error)
        except Exception as error:  # noqa: BLE001 - a thread's traceback would be lost; the solve raises it
            self._fail(InternalError("internal.index", f"serving {self.path} failed: {error!r}"))

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing."""

    def _page(self, project: str) -> bytes:
        files = [
            {
                "filename": file.filename,
                "url": f"/simple/{project}/{quote(file.filename)}",
                "hashes": {"sha256": file.sha256} if file.sha256 else {},
                "core-metadata": True,
                **({"requires-python": file.requires_python} if file.requires_python else {}),
            }
            for file in self.shelf.show(project).values()
        ]
        return json.dumps({"meta": {"api-version": "1.1"}, "name": project, "files": files}).encode()

    def _fail(self, error: ProvisionError) -> None:
        self.shelf.failures.append(error)
        self._answer("text/plain", b"failed\n", status=404)

    def _answer(self, kind: str, body: bytes, *, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)


def _provided_file(project: str, version: Version) -> IndexFile:
    filename = f"{project.replace('-', '_')}-{version}-py3-none-any.whl"
    return IndexFile(
        filename=filename,
        url=filename,
        sha256=hashlib.sha256(filename.encode()).hexdigest(),
        requires_python=None,
        uploaded=None,
        yanked=None,
        metadata=True,
        size=None,
    )


def dump_files(files: tuple[IndexFile, ...]) -> str:
    """Return the files as JSON, for the metadata cache."""
    return json.dumps([asdict(file) for file in files])


def load_files(text: str) -> tuple[IndexFile, ...]:
    """Return what `dump_files` wrote."""
    return tuple(IndexFile(**_checked(entry)) for entry in json.loads(text))


def _checked(entry: Mapping[str, object]) -> Mapping[str, object]:
    if set(entry) != set(IndexFile.__dataclass_fields__):
        raise ValueError("the cached page is of another version")
    return entry
