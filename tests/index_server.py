"""Package indexes with real wheels, all on one loopback server, and a solver that looks at them."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from provisioner.engines.index.page_cache import IndexSource
from provisioner.engines.index.reader import IndexReader
from provisioner.engines.net.download import Downloader
from provisioner.engines.net.pip_config import PackageSettings
from provisioner.engines.net.settings import NetworkSettings
from provisioner.engines.uv.solver import UvSolver
from provisioner.events import Listener, ignore_events
from provisioner.resolve.request import PipRequest, PipSolution
from tests.loopback import Loopback
from tests.wheels import pack_wheel, wheel_members

JSON = "application/vnd.pypi.simple.v1+json"


@dataclass
class PackageIndex:
    """One index on the server; `address` is a good one, `address_in` one with a fault."""

    server: Loopback
    name: str
    _pages: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    @property
    def address(self) -> str:
        """Return the address at which the index works."""
        return self.address_in("ok")

    def address_in(self, mode: str) -> str:
        """Return an address with one of the loopback server's faults."""
        return f"{self.server.url}/{mode}/{self.name}"

    def add(
        self,
        project: str,
        version: str,
        *requires: str,
        tag: str = "py3-none-any",
        uploaded: str | None = "2024-01-01T00:00:00Z",
        hashed: bool = True,
        served: bool = True,
        **more: Any,
    ) -> bytes:
        """Offer a wheel and return its bytes; ``more`` are fields of the page."""
        filename = f"{project.replace('-', '_')}-{version}-{tag}.whl"
        members = wheel_members(project, version, requires=requires)
        data = pack_wheel(members)
        if served:
            self.server.files[f"{self.name}/files/{filename}"] = data
        metadata = next(text for path, text in members.items() if path.endswith("/METADATA"))
        self.server.files[f"{self.name}/files/{filename}.metadata"] = metadata
        digest = {"sha256": hashlib.sha256(data).hexdigest()} if hashed else {}
        self.list_file(project, filename, digest, uploaded, **more)
        return data

    def list_file(
        self, project: str, filename: str, hashes: dict[str, str], uploaded: str | None, **more: Any
    ) -> None:
        """Put a line on the project's page."""
        entry = {
            "filename": filename,
            "url": f"../files/{quote(filename, safe='+')}",
            "hashes": hashes,
            **{name.replace("_", "-"): value for name, value in more.items()},
        }
        if uploaded is not None:
            entry["upload-time"] = uploaded
        files = self._pages.setdefault(project, [])
        files.append(entry)
        page = f"{self.name}/{project}/"
        self.server.files[page] = json.dumps(
            {"meta": {"api-version": "1.1"}, "name": project, "files": files}
        ).encode()
        self.server.types[page] = JSON

    def asked(self) -> set[str]:
        """Return the projects whose page somebody asked for, however it was answered."""
        parts = [request.path.strip("/").split("/") for request in self.server.requests]
        return {path[2] for path in parts if len(path) == 3 and path[1] == self.name}


@dataclass(kw_only=True)
class Bench:
    """A solver over indexes of one server, with everything that it keeps below one folder."""

    folder: Path
    default: str
    offline: bool = False
    clock: Callable[[], float] | None = None
    environ: dict[str, str] = field(default_factory=dict)
    on_event: Listener = ignore_events
    mirrors: dict[str, str] = field(default_factory=dict)
    tries: int = 1

    _downloaders: list[Downloader] = field(default_factory=list)

    def close(self) -> None:
        """Close the connections of all solvers."""
        while self._downloaders:
            self._downloaders.pop().close()

    def solver(self) -> UvSolver:
        """Return a fresh solver: nothing in memory, what is on disk stays."""
        settings = NetworkSettings(
            tries=self.tries, backoff_s=0.01, offline=self.offline, stall_timeout_s=5.0, mirrors=self.mirrors
        )
        downloader = Downloader(settings, on_event=self.on_event)
        self._downloaders.append(downloader)
        reader = IndexReader(downloader, folder=self.folder / "whole")
        clock = {"clock": self.clock} if self.clock else {}
        source = IndexSource(
            reader,
            packages=PackageSettings(default_index=self.default),
            cache=self.folder / "index",
            offline=self.offline,
            **clock,
        )
        return UvSolver(source, cache=self.folder / "uv", environ=self.environ)

    def solve(self, *requirements: str, platform: str = "linux-64", **more: Any) -> PipSolution:
        """Solve requirements for Python 3.11."""
        request = PipRequest(platform=platform, python="3.11", requirements=requirements, **more)
        try:
            return self.solver().solve_pip(request)
        finally:
            self.close()


def versions(solution: PipSolution) -> dict[str, str]:
    """Return name to version of what was found."""
    return {package.name: package.version for package in solution.packages}
