"""A loopback server that answers as OSV does, from advisories that a test plants.

Shape of requests and answers: google/osv.dev, docs/api/post-v1-querybatch.md and get-v1-vulns.md.
"""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

# GHSA-53q9-r3pm-6pq6 as OSV serves it, without most of its references.
TORCH = {
    "id": "GHSA-53q9-r3pm-6pq6",
    "summary": "PyTorch: `torch.load` with `weights_only=True` leads to remote code execution",
    "details": "# Description\nA Remote Command Execution vulnerability.",
    "aliases": ["CVE-2025-32434", "PYSEC-2025-41"],
    "modified": "2025-05-28T19:42:35Z",
    "published": "2025-04-18T15:34:52Z",
    "references": [{"type": "WEB", "url": "https://nvd.nist.gov/vuln/detail/CVE-2025-32434"}],
    "affected": [
        {
            "package": {"name": "torch", "ecosystem": "PyPI", "purl": "pkg:pypi/torch"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "2.6.0"}]}],
        }
    ],
    "severity": [
        {"type": "CVSS_V4", "score": "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N"}
    ],
    "database_specific": {"severity": "CRITICAL", "cwe_ids": ["CWE-502"], "github_reviewed": True},
    "schema_version": "1.4.0",
}


@dataclass(kw_only=True)
class OsvServer:
    """A running server: its address, what it knows, and what it was asked.

    Attributes:
        named: Name and version to the ids that name them.
        advisories: Id to document.
        queries: Every query of every batch; ``reads`` the ids of advisories that were read.
        page: So many ids go into one answer to a query.
    """

    url: str
    named: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    advisories: dict[str, dict[str, Any]] = field(default_factory=dict)
    queries: list[dict[str, Any]] = field(default_factory=list)
    reads: list[str] = field(default_factory=list)
    page: int = 1000
    raw: bytes | None = None

    def plant(self, name: str, version: str, document: Mapping[str, Any]) -> None:
        """Let an advisory name a version."""
        self.named.setdefault((name, version), []).append(document["id"])
        self.advisories[document["id"]] = dict(document)

    def answer(self, query: Mapping[str, Any]) -> dict[str, Any]:
        """Return one result of a batch."""
        package = query["package"]
        assert package["ecosystem"] == "PyPI"
        ids = self.named.get((package["name"], query["version"]), [])
        start = int(query.get("page_token", "0"))
        rows = [{"id": name, "modified": self.advisories[name]["modified"]} for name in ids]
        result: dict[str, Any] = {"vulns": rows[start : start + self.page]} if rows else {}
        if start + self.page < len(rows):
            result["next_page_token"] = str(start + self.page)
        return result


class _Handler(BaseHTTPRequestHandler):
    osv: OsvServer

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Keep quiet."""

    def do_POST(self) -> None:
        """Answer a batch."""
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self.path != "/v1/querybatch" or len(body["queries"]) > 1000:
            self._send(400, {"code": 3, "message": "Too many queries."})
            return
        self.osv.queries += body["queries"]
        self._send(200, {"results": [self.osv.answer(query) for query in body["queries"]]})

    def do_GET(self) -> None:
        """Answer with one advisory."""
        name = self.path.removeprefix("/v1/vulns/")
        self.osv.reads.append(name)
        found = self.osv.advisories.get(name)
        self._send(200 if found else 404, found or {"code": 5, "message": "Bug not found."})

    def _send(self, status: int, document: Mapping[str, Any]) -> None:
        body = self.osv.raw or json.dumps(document).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def serve_osv() -> Iterator[OsvServer]:
    """Serve for the length of a ``with`` block."""
    handler = type("Handler", (_Handler,), {})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    osv = OsvServer(url=f"http://127.0.0.1:{server.server_address[1]}")
    handler.osv = osv  # type: ignore[attr-defined] # declared on the base class
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield osv
    finally:
        server.shutdown()
        server.server_close()
