"""Refuse an archive: the error, and the budget of what it may unpack to."""

from provisioner.errors import InstallError

_FREE_BYTES = 64 * 1024 * 1024
_MOST_RATIO = 100
_BLOCK_BYTES = 512


class Budget:
    """Counts what an archive unpacks to: a small file must not fill the disk, with bytes or with files.

    Attributes:
        spent_bytes: What it has unpacked to so far.
    """

    def __init__(self, archive: str, *, size_bytes: int) -> None:
        """Allow what an honest archive of that size can need."""
        self.spent_bytes = 0
        self._archive = archive
        self._left = unpack_budget(size_bytes)

    def spend(self, count: int) -> None:
        """Take the bytes of one file or chunk, at least a block.

        Raises:
            InstallError: ``install.archive``: the budget is used up.
        """
        self.spent_bytes += count
        self._left -= max(count, _BLOCK_BYTES)
        if self._left < 0:
            raise refuse(self._archive, "unpacks to far more than its size allows")


def unpack_budget(size_bytes: int) -> int:
    """Return how many bytes an archive of that size may unpack to."""
    return max(_FREE_BYTES, _MOST_RATIO * size_bytes)


def refuse(archive: str, why: str, *, member: str | None = None) -> InstallError:
    """Build the error for an archive; ``why`` goes on from the member's name, or from the archive's."""
    shown = f": member {ascii(member)[:200]} {why}" if member is not None else f": it {why}"
    return InstallError(
        "install.archive",
        f"`{archive}` is refused{shown}",
        hints=[
            "do not install it: its author made a mistake, or means harm",
            "choose another version or build of the package and lock again",
        ],
        context={"filename": archive} | ({"member": ascii(member)[:200]} if member is not None else {}),
    )
