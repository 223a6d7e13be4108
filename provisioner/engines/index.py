"""A loopback package index that shows the resolver exactly what a profile allows.

uv asks one index per solve, and this is it. Each project is answered from the one index that the profile routes
it to, so no look-alike elsewhere can win, whatever depends on it. Files that the profile's date, its choice of
pre-releases and of yanked files exclude are not shown at all. What could not be fetched is remembered as the
error it is, because a resolver calls it "no solution".
"""

import hashlib
import json
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
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

_MOST_METADATA = 4 * 1024 * 1024

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
            sources=project in self.request.sdists,
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
        return chosen

    def hidden(self, project: str) -> tuple[str, ...]:
        """Return, for a message about a missing version, what the profile's limits hide of a project."""
        if project in self.request.provided:
            return ()
        files = self.read_page(self.index_of(project), project)
        return tuple(count_hidden(files, limits=self.limits_of(project)))

    def metadata_of(self, project: str, filename: str) -> bytes:
        """Return a shown file's METADATA.

        Raises:
            KeyError: No such file was shown.
            UnavailableError: It could not be read.
        """
        if project in self.request.provided:
            version = self.request.provided[project]
            return f"Metadata-Version: 2.1\nName: {project}\nVersion: {version}\n".encode()
        file = next(
            file
            for version, file in self.shown[project].items()
            if shown_name(project, version, file) == filename
        )
        body = self.read_metadata(self.index_of(project), file)
        with self._guard:
            self.metadata[filename] = body
        return body


def shown_name(project: str, version: Version, file: IndexFile) -> str:
    """Return the filename that the resolver sees.

    A source archive that the profile allows is shown as the wheel that it will be built into, so that resolving
    never builds anything.
    """
    return file.filename if file.filename.endswith(".whl") else _universal_wheel(project, version)


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


def read_sdist_metadata(archive: Path) -> bytes:
    """Return the PKG-INFO of a source archive, completed from setuptools' list of requirements.

    Nothing in the archive is run. Metadata before version 2.2 may leave requirements out, which setuptools then
    writes to ``requires.txt``.

    Raises:
        UnavailableError: The file is not a source archive.
    """
    try:
        with tarfile.open(archive) as tar:
            members = {
                member.name: member for member in tar if member.isfile() and member.size < _MOST_METADATA
            }
            name = next(name for name in members if name.endswith("/PKG-INFO") and name.count("/") == 1)
            body = _read_member(tar, members[name])
            requires = next((n for n in members if n.endswith(".egg-info/requires.txt")), None)
            if b"Requires-Dist:" in body or requires is None:
                return body
            head, separator, rest = body.partition(b"\n\n")
            wanted = _read_member(tar, members[requires]).decode()
            return "\n".join([head.decode(), *_requires_dist(wanted)]).encode() + separator + rest
    except (tarfile.TarError, OSError, EOFError, StopIteration, UnicodeDecodeError) as error:
        raise UnavailableError(
            "unavailable.bad_sdist",
            f"`{archive.name}` is called a source archive by its index and holds no PKG-INFO",
        ) from error


def _read_member(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    stream = tar.extractfile(member)
    return stream.read() if stream else b""


def _requires_dist(text: str) -> Iterator[str]:
    """Yield ``Requires-Dist`` lines for setuptools' ``requires.txt``: sections are ``[extra:marker]``."""
    condition = ""
    for line in filter(None, (line.strip() for line in text.splitlines())):
        if line.startswith("["):
            extra, _, marker = line[1:-1].partition(":")
            parts = [f"({marker})" if marker else "", f"extra == '{extra}'" if extra else ""]
            condition = " and ".join(part for part in parts if part)
        else:
            yield f"Requires-Dist: {line}" + (f" ; {condition}" if condition else "")


@contextmanager
def serve_shelf(shelf: Shelf) -> Iterator[str]:
    """Serve the shelf on loopback for the length of the block; yield the index's address."""
    handler = type("ShelfHandler", (_Handler,), {"shelf": shelf})
    server = _Server(("127.0.0.1", 0), handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/simple/"
    finally:
        server.shutdown()
        server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """Keep a hung-up connection off the user's terminal; real failures are kept by the handler."""


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
        except ConnectionError:
            # The resolver has its answer, or has given up, and hung up.
            self.close_connection = True
        except ProvisionError as error:
            self._fail(error)
        except Exception as error:  # noqa: BLE001 - a thread's traceback would be lost; the solve raises it
            self._fail(InternalError("internal.index", f"serving {self.path} failed: {error!r}"))

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing."""

    def _page(self, project: str) -> bytes:
        files = [
            {
                "filename": (name := shown_name(project, version, file)),
                "url": f"/simple/{project}/{quote(name)}",
                "hashes": {"sha256": file.sha256} if file.sha256 else {},
                "core-metadata": True,
                **({"requires-python": file.requires_python} if file.requires_python else {}),
            }
            for version, file in self.shelf.show(project).items()
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


def _universal_wheel(project: str, version: Version) -> str:
    return f"{project.replace('-', '_')}-{version}-py3-none-any.whl"


def _provided_file(project: str, version: Version) -> IndexFile:
    filename = _universal_wheel(project, version)
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
    names = tuple(IndexFile.__dataclass_fields__)
    rows = [[getattr(file, name) for name in names] for file in files]
    return json.dumps({"fields": names, "files": rows}, separators=(",", ":"))


def load_files(text: str) -> tuple[IndexFile, ...]:
    """Return what `dump_files` wrote.

    Raises:
        ValueError: It was written by another version.
    """
    document = json.loads(text)
    names = tuple(IndexFile.__dataclass_fields__)
    if tuple(document["fields"]) != names:
        raise ValueError("the cached page is of another version")
    return tuple(IndexFile(**dict(zip(names, row, strict=True))) for row in document["files"])
