"""Secrets: credentials of an index are used and appear nowhere."""

import base64
import json
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli.lab import Lab, Outcome

SECRET = "CANARY"  # noqa: S105 - the word that must not appear
FORMS = (SECRET, base64.b64encode(b"ada:CANARY").decode().rstrip("="), "C%41NARY")


def private(lab: Lab, *, password: str = SECRET, mode: str = "private") -> str:
    """Return the index's address with credentials."""
    return lab.server.url.replace("://", f"://ada:{password}@") + f"/{mode}/simple"


def check_tree(root: Path) -> None:
    """Assert that no file below holds the secret in any form."""
    for path in root.rglob("*"):
        if path.is_file() and not path.is_symlink():
            data = path.read_bytes()
            assert not any(form.encode() in data for form in FORMS), path


def check_text(*texts: str) -> None:
    for text in texts:
        assert not any(form in text for form in FORMS), text


@contextmanager
def watching_processes() -> Iterator[set[tuple[bytes, bytes]]]:
    """Collect the arguments and the environment of every process on this machine."""
    seen: set[tuple[bytes, bytes]] = set()
    stop = threading.Event()

    def watch() -> None:
        while not stop.is_set():
            for folder in Path("/proc").glob("[0-9]*"):
                try:
                    seen.add(((folder / "cmdline").read_bytes(), (folder / "environ").read_bytes()))
                except OSError:
                    continue
            time.sleep(0.01)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        stop.set()
        thread.join()


def test_credentials_are_used_and_never_shown(lab: Lab) -> None:
    """With a password in pip's configuration everything works, and it is in no output, file or argv."""
    lab.offer("torch", "2.13.0+cpu", index="torch")
    lab.offer("tinyapp", "1.0")
    # files behind the password, too
    page = lab.server.files["simple/tinyapp/"]
    lab.server.files["simple/tinyapp/"] = page.replace(b"/ok/files/", b"/private/files/")
    lab.write_profile()
    lab.environ["PIP_INDEX_URL"] = private(lab)
    with watching_processes() as seen:
        for arguments in (
            ("lock", "tiny"),
            ("create", "tiny", "--no-validate"),
            ("create", "tiny", "--json"),
            ("export", "tiny", "--format", "requirements"),
            ("lock", "--verify-urls", "tiny", "--json"),
            ("doctor", "tiny", "--save", "facts.json"),
            ("report", "tiny", "--output", "report.json"),
            ("report", "tiny", "--json"),
        ):
            shown = lab.spawn(*arguments)
            assert shown.code in {0, 6}, shown.err
            check_text(shown.out, shown.err)
    assert any(b"-m\0provisioner\0" in line for line, _ in seen)
    assert not any(form.encode() in line for form in FORMS for line, _ in seen)
    assert any("authorization" in request.headers for request in lab.server.requests)
    check_tree(lab.root)
    shared = lab.root.joinpath("report.json").read_text(encoding="utf-8")
    assert not [word for word in (str(lab.root), "127.0.0.1", socket.gethostname(), "ada") if word in shared]


def test_a_proxys_password_stays_in_our_process(lab: Lab) -> None:
    """The engines and what they start work with local files alone, and are not told of any proxy."""
    lab.lock_tiny()
    proxy = {"HTTP_PROXY": "http://ada:CANARY@127.0.0.1:1", "https_proxy": "http://ada:CANARY@127.0.0.1:1"}
    with watching_processes() as seen:
        shown = lab.spawn(
            *("create", "tiny", "--no-validate"), variables={**lab.environ, **proxy, "no_proxy": "127.0.0.1"}
        )
    assert shown.code == 0, shown.err
    children = [(line, environ) for line, environ in seen if str(lab.data).encode() in line]
    assert children
    assert not [line for line, environ in children if b"CANARY" in environ]


@pytest.mark.slow
def test_no_failure_shows_credentials(lab: Lab) -> None:
    """Whatever the index answers, the error names the host and not the password."""
    lab.offer("torch", "2.13.0+cpu", index="torch")
    lab.offer("tinyapp", "1.0")
    lab.write_profile()
    host = lab.server.url.removeprefix("http://")
    modes = ("private", "e403", "e500", "html", "trunc", "reset")
    addresses = {mode: private(lab, password=f"{SECRET}-and-wrong", mode=mode) for mode in modes}
    for shown in run_at_once(
        lab, {mode: {"PIP_INDEX_URL": addresses[mode]} for mode in modes}, "lock", "tiny"
    ):
        assert shown.code == 8
        assert host in shown.error["message"]
        check_text(shown.out, shown.err)
    check_tree(lab.root)


@pytest.mark.slow
def test_no_form_of_a_secret_is_shown(tiny: Lab) -> None:
    """User information, tokens in paths and queries, proxies and wheelhouses: none is repeated."""
    tiny.lockfile.unlink()
    dead = "127.0.0.1:1"
    cases = {
        "percent": {"PIP_INDEX_URL": f"http://ada:C%41NARY@{dead}/simple"},
        "token": {"PIP_INDEX_URL": f"http://{dead}/t/CANARY/simple"},
        "query": {"PIP_INDEX_URL": f"http://{dead}/simple?token=CANARY"},
        "proxy": {"HTTP_PROXY": f"http://ada:CANARY@{dead}"},
        "links": {"PROVISION_FIND_LINKS": f"http://ada:CANARY@{dead}/wheels"},
    }
    for arguments in (("create", "tiny", "--lock", "--no-validate"), ("doctor", "tiny")):
        for shown in run_at_once(tiny, cases, *arguments):
            check_text(shown.out, shown.err)
    check_tree(tiny.root)


def run_at_once(lab: Lab, cases: Mapping[str, Mapping[str, str]], *arguments: str) -> list[Outcome]:
    """Run a command once for each set of variables, at the same time: most of it is waiting."""

    def run(case: str) -> Outcome:
        own = {
            "PROVISION_DATA_DIR": str(lab.root / case),
            "PROVISION_LOCKFILES": str(lab.root / f"{case}-locks"),
        }
        return lab.spawn(*arguments, "--json", variables=own | dict(cases[case]))

    with ThreadPoolExecutor() as pool:
        return list(pool.map(run, cases))


def test_a_mirror_with_a_password(lab: Lab) -> None:
    """A mirror's password serves the request and reaches neither lockfile nor error."""
    lab.lock_tiny()
    mirror = lab.server.url.replace("://", "://ada:CANARY@") + "/private"
    lab.root.joinpath("mirrors.json").write_text(
        json.dumps({f"{lab.server.url}/ok": mirror}), encoding="utf-8"
    )
    for arguments in (("lock", "tiny", "--upgrade"), ("create", "tiny", "--no-validate")):
        shown = lab.run(*arguments, "--mirrors", "mirrors.json", "--json")
        assert shown.code == 0, shown.err
        check_text(shown.out, shown.err)
    lab.root.joinpath("mirrors.json").unlink()
    check_tree(lab.root)
