"""Read the METADATA of a wheel on a server without fetching the wheel: by ranges, from the archive's end."""

import io
import re

from provisioner.engines.net.addresses import filename_of, host_and_port
from provisioner.engines.net.download import Downloader
from provisioner.errors import UnavailableError

_TAIL_BYTES = 64 * 1024


class RemoteFile(io.RawIOBase):
    """A read-only, seekable view of a file on a server that answers byte ranges."""

    def __init__(self, downloader: Downloader, url: str) -> None:
        """Fetch the end of the file, where a zip archive's directory is.

        Raises:
            UnavailableError: The file could not be read.
            ValueError: The server does not answer ranges.
        """
        super().__init__()
        self._downloader = downloader
        self._url = url
        reply = downloader.get(url, byte_range=f"bytes=-{_TAIL_BYTES}")
        match = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", reply.headers.get("content-range", ""))
        if reply.status == 206 and match:
            self._tail_at, self._size = int(match.group(1)), int(match.group(2))
        elif reply.status == 200:
            # A small file, or a server that ignores ranges and has sent everything.
            self._tail_at, self._size = 0, len(reply.body)
        else:
            raise ValueError(f"status {reply.status} to a range")
        self._tail = reply.body
        self._position = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to a place and return it."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = base + offset
        return self._position

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override] # typeshed's type is private
        """Fill the buffer from the tail, else by one more range."""
        start, end = self._position, min(self._position + len(buffer), self._size)
        if start >= end:
            return 0
        if start >= self._tail_at:
            body = self._tail[start - self._tail_at : end - self._tail_at]
        else:
            body = self._fetch(start, end)
        buffer[: len(body)] = body
        self._position += len(body)
        return len(body)

    def _fetch(self, start: int, end: int) -> bytes:
        reply = self._downloader.get(self._url, byte_range=f"bytes={start}-{end - 1}")
        said = reply.headers.get("content-range", "")
        if reply.status != 206 or not said.startswith(f"bytes {start}-"):
            # Bytes of another place would be read as this one's.
            raise UnavailableError(
                "unavailable.range",
                f"`{host_and_port(self._url)}` answered a range of `{filename_of(self._url)}` with another",
                hints=["run the same command again"],
                retryable=True,
            )
        return reply.body[: end - start]
