"""A file that an index gives no digest for is fetched whole, once, whoever asks."""

import multiprocessing
from pathlib import Path

from provisioner.engines.index.page import IndexFile
from provisioner.engines.index.reader import IndexReader
from provisioner.engines.net.download import Downloader
from provisioner.engines.net.settings import NetworkSettings
from tests.loopback import serve
from tests.wheels import make_wheel

FILENAME, DATA = make_wheel("app", "1.0", {"app/data.bin": bytes(range(256)) * 200})


def fetch(url: str, folder: Path, answers: "multiprocessing.SimpleQueue[bytes | str]") -> None:
    """Fetch a file in a process of its own, and answer with its bytes or with the error."""
    reader = IndexReader(Downloader(NetworkSettings(tries=1)), folder=folder)
    try:
        answers.put(reader.fetch_whole(IndexFile(FILENAME, url)).read_bytes())
    except Exception as error:  # noqa: BLE001 - whatever it is, the test shows it
        answers.put(repr(error))


def test_two_processes_that_want_one_file_both_get_it_and_fetch_it_once(tmp_path: Path) -> None:
    """The second waits for the first; neither begins the other's partial file anew."""
    context = multiprocessing.get_context("spawn")
    answers: multiprocessing.SimpleQueue[bytes | str] = context.SimpleQueue()
    with serve({FILENAME: DATA}) as server:
        work = (f"{server.url}/slow/{FILENAME}", tmp_path, answers)
        processes = [context.Process(target=fetch, args=work) for _ in range(2)]
        for process in processes:
            process.start()
        for process in processes:
            process.join(timeout=60)
        assert [answers.get() for _ in processes] == [DATA, DATA]
        assert server.count(f"/slow/{FILENAME}") == 1
