"""Files and folders at ``file:`` addresses: indexes and wheelhouses on a disk."""

from typing import BinaryIO

from provisioner.engines.net import errors as failures
from provisioner.engines.net.addresses import local_path
from provisioner.engines.net.errors import Attempt


def open_local(attempt: Attempt) -> BinaryIO:
    """Open a local file; a folder stands for its ``index.html``, as in a file tree of an index.

    Raises:
        UnavailableError: There is none, or it is no regular file.
    """
    path = local_path(attempt.asked)
    try:
        if path.is_dir():
            path /= "index.html"
        if not path.is_file():  # opening a pipe would wait for its writer
            path.stat()
            raise failures.unreadable(attempt, "it is not a regular file")
        return path.open("rb")
    except FileNotFoundError as error:
        raise failures.not_found(attempt) from error
    except OSError as error:
        raise failures.unreadable(attempt, (error.strerror or str(error)).lower()) from error
