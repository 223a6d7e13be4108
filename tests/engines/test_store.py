"""Files come into the store from wherever they can be had, with the locked name and digest only."""

import hashlib
import json
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from provisioner.engines.store.file import StoredFile
from provisioner.engines.store.store import Store
from provisioner.errors import InstallError, ProvisionError, UnavailableError
from provisioner.events import Event, Notice, Progress
from provisioner.resolve.model import PipPackage
from tests.installing import close_clients, install, make_engines, make_plan, run_python, stock_wheel
from tests.loopback import Loopback, serve
from tests.wheels import lock_wheel, make_wheel, write_wheel

FILENAME, DATA = make_wheel("demo")
DEMO = lock_wheel(FILENAME, DATA)
OTHER = make_wheel("demo", files={"demo.py": "OTHER = 1\n"})[1]


@pytest.fixture(autouse=True)
def _close() -> Iterator[None]:
    yield
    close_clients()


@pytest.fixture
def index() -> Iterator[Loopback]:
    """An index with the project's page in HTML, and the wheel."""
    with serve({FILENAME: DATA}) as server:
        set_page(server, {"filename": FILENAME, "sha256": DEMO.sha256})
        yield server


def set_page(server: Loopback, *files: Mapping[str, str], json_page: bool = False) -> None:
    """Make the server's page of the project."""
    if json_page:
        entries = [
            {
                "filename": file["filename"],
                "url": f"/ok/{file['filename']}",
                "hashes": {"sha256": file["sha256"]},
            }
            for file in files
        ]
        body = json.dumps({"meta": {"api-version": "1.0"}, "name": "demo", "files": entries}).encode()
        server.types["simple/demo/"] = "application/vnd.pypi.simple.v1+json"
    else:
        links = [
            f'<a href="/ok/{file["filename"]}#sha256={file["sha256"]}">{file["filename"]}</a>'
            for file in files
        ]
        body = "\n".join(links).encode()
        server.types["simple/demo/"] = "text/html"
    server.files["simple/demo/"] = body


def fetch(data: Path, *packages: PipPackage, **sources: object) -> Mapping[str, StoredFile]:
    return make_engines(data, **sources).fetcher.fetch(packages)  # type: ignore[arg-type] # passed on


@pytest.mark.parametrize("json_page", [True, False])
def test_files_of_the_default_index_are_found_on_its_page(
    index: Loopback, tmp_path: Path, *, json_page: bool
) -> None:
    """Both kinds of page lead to the file; the second fetch asks nobody."""
    set_page(index, {"filename": FILENAME, "sha256": DEMO.sha256}, json_page=json_page)
    stored = fetch(tmp_path, DEMO, default_index=f"{index.url}/ok/simple")[DEMO.sha256]
    assert stored.path.read_bytes() == DATA
    assert stored.path.name == FILENAME
    assert [request.path for request in index.requests] == ["/ok/simple/demo/", f"/ok/{FILENAME}"]
    fetch(tmp_path, DEMO)
    assert len(index.requests) == 2


def test_files_with_an_address_are_fetched_from_there(index: Loopback, tmp_path: Path) -> None:
    """A canonical address needs no page."""
    entry = replace(DEMO, url=f"{index.url}/ok/{FILENAME}", index="torch-cpu")
    assert fetch(tmp_path, entry)[DEMO.sha256].path.read_bytes() == DATA
    assert index.count("/ok/simple/demo/") == 0


@pytest.mark.parametrize("kind", ["path", "address", "page"])
def test_wheelhouses_are_asked_before_the_network(index: Loopback, tmp_path: Path, kind: str) -> None:
    """A folder, its address or a page of links: the file is taken by name and digest."""
    house = tmp_path / "dépôt of wheels"
    write_wheel(house, FILENAME, DATA)
    index.files["links.html"] = f'<a href="{FILENAME}">{FILENAME}</a>'.encode()
    index.types["links.html"] = "text/html"
    where = {"path": str(house), "address": house.as_uri(), "page": f"{index.url}/ok/links.html"}[kind]
    entry = replace(DEMO, url=f"https://nowhere.invalid/{FILENAME}")
    assert fetch(tmp_path / "data", entry, wheelhouses=[where])[DEMO.sha256].path.read_bytes() == DATA


@pytest.mark.parametrize("there", [True, False])
def test_a_page_of_links_is_asked_once_for_all_files(index: Loopback, tmp_path: Path, *, there: bool) -> None:
    """Eight threads want a file from one page at the same time; a missing page is not asked for again."""
    wheels = [make_wheel(f"demo{number}") for number in range(8)]
    house = tmp_path / "wheels"
    for name, data in wheels:
        write_wheel(house, name, data)
        index.files[name] = data
    if there:
        index.files["links.html"] = "\n".join(f'<a href="{name}">{name}</a>' for name, _ in wheels).encode()
        index.types["links.html"] = "text/html"
    index.delay_s = 0.2
    page = f"{index.url}/ok/links.html"
    files = [lock_wheel(name, data) for name, data in wheels]
    assert len(fetch(tmp_path / "data", *files, wheelhouses=[page, str(house)])) == 8
    assert index.count("/ok/links.html") == 1


def test_a_namesake_in_a_wheelhouse_is_passed_over(index: Loopback, tmp_path: Path) -> None:
    """Another file of that name is not the locked one: the next source is asked."""
    house = tmp_path / "wheels"
    write_wheel(house, FILENAME, OTHER)
    stored = fetch(tmp_path / "data", DEMO, wheelhouses=[str(house)], default_index=f"{index.url}/ok/simple")
    assert stored[DEMO.sha256].path.read_bytes() == DATA


def test_a_namesake_alone_is_an_integrity_error(tmp_path: Path) -> None:
    """Where only another file of that name can be had, that is told, not the missing network."""
    house = tmp_path / "wheels"
    write_wheel(house, FILENAME, OTHER)
    with pytest.raises(InstallError) as caught:
        fetch(tmp_path / "data", DEMO, wheelhouses=[str(house)])
    assert caught.value.code == "install.hash_mismatch"
    assert hashlib.sha256(OTHER).hexdigest() in caught.value.message


def test_further_indexes_serve_files_by_digest(index: Loopback, tmp_path: Path) -> None:
    """An extra index may have the locked file; it never decides which file that is."""
    extra = [f"{index.url}/ok/simple"]
    assert fetch(tmp_path / "a", DEMO, extra_indexes=extra)[DEMO.sha256].path.read_bytes() == DATA
    set_page(index, {"filename": FILENAME, "sha256": hashlib.sha256(OTHER).hexdigest()})
    with pytest.raises(InstallError) as caught:
        fetch(tmp_path / "b", DEMO, extra_indexes=extra)
    assert caught.value.code == "install.hash_mismatch"


def test_an_index_that_says_another_digest_is_not_even_asked_for_the_file(
    index: Loopback, tmp_path: Path
) -> None:
    """Expected and got are told, and the file is not fetched."""
    changed = hashlib.sha256(OTHER).hexdigest()
    set_page(index, {"filename": FILENAME, "sha256": changed})
    with pytest.raises(InstallError) as caught:
        fetch(tmp_path, DEMO, default_index=f"{index.url}/ok/simple")
    assert DEMO.sha256 in caught.value.message
    assert changed in caught.value.message
    assert index.count(f"/ok/{FILENAME}") == 0


def test_a_file_that_left_the_index_is_told(index: Loopback, tmp_path: Path) -> None:
    """The page is there and the file is not on it."""
    set_page(index, {"filename": "demo-0.9-py3-none-any.whl", "sha256": "0" * 64})
    with pytest.raises(UnavailableError, match="not in the index") as caught:
        fetch(tmp_path, DEMO, default_index=f"{index.url}/ok/simple")
    assert caught.value.code == "unavailable.not_found"
    assert FILENAME in caught.value.message


@pytest.mark.parametrize("mode", ["html", "e500", "trunc", "e401"])
def test_an_index_that_is_none_is_named(index: Loopback, tmp_path: Path, mode: str) -> None:
    """A login page, an error, a torso: exit 8 with the host, never a wrong file."""
    with pytest.raises(ProvisionError) as caught:
        fetch(tmp_path, DEMO, default_index=f"{index.url}/{mode}/simple")
    assert caught.value.exit_code == 8
    assert index.url.removeprefix("http://") in str(caught.value.as_json())


def test_many_files_come_at_once(tmp_path: Path) -> None:
    """Eight at a time, with progress in bytes and files, told by one thread at a time."""
    wheels = [make_wheel(f"demo-{number}") for number in range(24)]
    busy = threading.Lock()
    events: list[Event] = []

    def listen(event: Event) -> None:
        assert busy.acquire(blocking=False), "two threads tell at once"
        events.append(event)
        busy.release()

    with serve(dict(wheels)) as server:
        server.delay_s = 0.05
        packages = [lock_wheel(*wheel, url=f"{server.url}/ok/{wheel[0]}") for wheel in wheels]
        stored = fetch(tmp_path, *packages, on_event=listen)
    assert len(stored) == 24
    files = [event for event in events if isinstance(event, Progress) and event.unit == "files"]
    assert [event.done for event in files] == list(range(1, 25))
    assert {event.total for event in files} == {24}
    assert {event.item for event in events if isinstance(event, Progress) and event.unit == "bytes"} >= {
        wheels[0][0]
    }


def test_one_bad_file_stops_the_others(tmp_path: Path) -> None:
    """After an integrity error no more files are started."""
    wheels = [make_wheel(f"demo-{number}") for number in range(40)]
    with serve(dict(wheels)) as server:
        server.delay_s = 0.05
        packages = [lock_wheel(*wheel, url=f"{server.url}/ok/{wheel[0]}") for wheel in wheels]
        packages[0] = replace(packages[0], sha256="0" * 64)
        with pytest.raises(InstallError):
            fetch(tmp_path, *packages)
        assert len(server.requests) < 40


def test_an_interrupted_fetch_goes_on(tmp_path: Path) -> None:
    """What arrived before a failure is kept for the next run."""
    filename, data = make_wheel("large", files={"large.bin": hashlib.shake_256(b"x").digest(300_000)})
    with serve({filename: data}) as server:
        entry = lock_wheel(filename, data, url=f"{server.url}/trunc/{filename}")
        with pytest.raises(UnavailableError):
            fetch(tmp_path, entry)
        fetch(tmp_path, replace(entry, url=f"{server.url}/ok/{filename}"))
        assert server.requests[-1].headers["range"] == f"bytes={len(data) // 2}-"


def test_a_refused_file_does_not_stay(tmp_path: Path) -> None:
    """What the scan refuses is deleted, and refused again the next time."""
    filename, data = make_wheel("demo", files={"../x": "x"})
    write_wheel(tmp_path / "wheels", filename, data)
    for _ in range(2):
        with pytest.raises(InstallError, match="refused"):
            fetch(tmp_path / "data", lock_wheel(filename, data), wheelhouses=[str(tmp_path / "wheels")])
        assert not list((tmp_path / "data" / "store" / "sha256").rglob("*.whl"))


@pytest.mark.parametrize("spoil", [lambda data: data[:-1], lambda data: b"?" + data[1:]])
@pytest.mark.parametrize("quietly", [False, True])
def test_a_file_that_was_damaged_is_fetched_again(
    tmp_path: Path, spoil: Callable[[bytes], bytes], *, quietly: bool
) -> None:
    """A byte that is missing or another one is noticed, also where the file's date is as before, and told."""
    house = tmp_path / "wheels"
    entry = stock_wheel(house, "demo")
    path = fetch(tmp_path / "data", entry, wheelhouses=[str(house)])[entry.sha256].path
    good, status = path.read_bytes(), path.stat()
    path.write_bytes(spoil(good))
    if quietly:
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    events: list[Event] = []
    again = fetch(tmp_path / "data", entry, wheelhouses=[str(house)], on_event=events.append)
    assert again[entry.sha256].path.read_bytes() == good
    assert [event.message for event in events if isinstance(event, Notice) and FILENAME in event.message]


def test_a_damaged_file_heals_within_one_build(tmp_path: Path) -> None:
    """The environment is built although a file in the store has changed since it was fetched."""
    house, data = tmp_path / "wheels", tmp_path / "data"
    entry = stock_wheel(house, "demo")
    first = install(data, make_plan([entry]), wheelhouse=house)
    (path,) = (data / "store").rglob("*.whl")
    good = path.read_bytes()
    path.write_bytes(good[:50] + bytes([good[50] ^ 1]) + good[51:])
    again = install(data, make_plan([entry]), wheelhouse=house, rebuild=True)
    assert again.prefix != first.prefix
    assert run_python(again, "import demo; print(demo.VERSION)") == "1.0"


def test_a_file_is_hashed_again_after_a_start_of_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was not on the disk when the machine stopped may be lost, with the same size and date."""
    house = tmp_path / "wheels"
    entry = stock_wheel(house, "demo")
    path = fetch(tmp_path / "data", entry, wheelhouses=[str(house)])[entry.sha256].path
    store = Store(tmp_path / "data" / "store")
    assert store.find(entry)
    monkeypatch.setattr("provisioner.ground.file_state._boot", lambda: "another start")
    assert store.find(entry) is None
    assert store.check(entry, on_damage=pytest.fail) is not None
    found = store.find(entry)
    assert found is not None
    assert found.path == path


def test_a_damaged_record_costs_a_hash(tmp_path: Path) -> None:
    """What the store knew of a file may be lost; the file is not fetched again."""
    house = tmp_path / "wheels"
    entry = stock_wheel(house, "demo")
    path = fetch(tmp_path / "data", entry, wheelhouses=[str(house)])[entry.sha256].path
    path.with_name(f"{path.name}.json").write_text("{}", encoding="utf-8")
    assert fetch(tmp_path / "data", entry)[entry.sha256].path == path


def test_files_that_an_older_scanner_let_pass_are_scanned_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the rules change, what is in the store is judged anew."""
    house = tmp_path / "wheels"
    entry = stock_wheel(house, "demo")
    stored = fetch(tmp_path / "data", entry, wheelhouses=[str(house)])[entry.sha256]
    record = stored.path.with_name(f"{stored.path.name}.json")
    before = json.loads(record.read_text(encoding="utf-8"))
    monkeypatch.setattr("provisioner.engines.store.store.SCANNER", before["scanner"] + 1)
    fetch(tmp_path / "data", entry)
    assert json.loads(record.read_text(encoding="utf-8"))["scanner"] == before["scanner"] + 1


@pytest.mark.parametrize(
    "change",
    [
        *({"sha256": value} for value in ("", "a" * 63, "A" * 64, "../" + "a" * 61, "g" * 64)),
        *(
            {"filename": value}
            for value in ("../x.whl", "/x.whl", "a/b.whl", "a\\b.whl", "C:x.whl", "..", "")
        ),
    ],
)
def test_a_hostile_lock_leads_nowhere(tmp_path: Path, change: dict[str, str]) -> None:
    """Digest and name become a path, so both are checked."""
    with pytest.raises(InstallError):
        Store(tmp_path / "data" / "store").find(replace(DEMO, **change))  # type: ignore[arg-type] # texts
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_no_index_means_wheelhouses_alone(index: Loopback, tmp_path: Path) -> None:
    """Nobody is asked for a wheel that no wheelhouse has, wherever the lock says it is."""
    house = tmp_path / "house"
    write_wheel(house, FILENAME, DATA)
    address = f"{index.url}/ok/simple"
    fetch(tmp_path / "a", DEMO, wheelhouses=[str(house)], default_index=address, no_index=True)
    for package in (DEMO, replace(DEMO, url=f"{index.url}/ok/{FILENAME}", index="torch")):
        with pytest.raises(UnavailableError) as caught:
            fetch(tmp_path / "b", package, default_index=address, no_index=True)
        assert caught.value.code == "unavailable.no_index"
    assert index.requests == []
