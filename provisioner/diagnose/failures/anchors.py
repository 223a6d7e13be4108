"""Which of many literal texts a text may hold, and from where, told from groups of four bytes in one pass.

Looking for a thousand anchors one after the other costs more than all that follows. A table of where the
groups of four bytes first stand in a block leaves the few anchors of which every group is there, and the
search for each begins where its rarest group does.
"""

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

_GROUP_BYTES = 4  # no anchor is shorter
_TABLE_BITS = 20
_NOWHERE = 1 << 30  # no text is so long
_MIX = np.uint32(2654435761)  # Knuth's multiplicative hash: spreads neighbouring groups over the table


class AnchorTable:
    """Anchors, prepared to be looked for together."""

    def __init__(self, anchors: Collection[bytes]) -> None:
        """Prepare ``anchors``, none of which is shorter than four bytes."""
        self._anchors = tuple(anchors)
        lengths = np.array([len(anchor) for anchor in self._anchors])
        ends = np.cumsum(lengths)
        inside = np.ones(ends[-1], dtype=bool)  # what begins in an anchor's last three bytes is none
        for back in range(1, _GROUP_BYTES):
            inside[ends - back] = False
        self._hashes = _hash_groups(b"".join(self._anchors))[inside[: 1 - _GROUP_BYTES]]
        counts = lengths - _GROUP_BYTES + 1
        self._starts = np.cumsum(counts) - counts
        self._offsets = np.arange(len(self._hashes), dtype=np.int32) - np.repeat(self._starts, counts)

    def list_possible(self, text: bytes) -> list[tuple[bytes, int]]:
        """Return the anchors that ``text`` may hold, each with a place before which it does not stand.

        The others it does not hold.
        """
        if len(text) < _GROUP_BYTES:
            return []
        hashes = _hash_groups(text)
        first = np.full(1 << _TABLE_BITS, _NOWHERE, dtype=np.int32)
        # Of equal places the last that is written stays, so backwards it is the first of the text.
        first[hashes[::-1]] = np.arange(len(hashes), dtype=np.int32)[::-1]
        earliest = np.maximum.reduceat(first[self._hashes] - self._offsets, self._starts)
        found = np.flatnonzero(earliest < _NOWHERE >> 1)
        return [
            (self._anchors[at], max(start, 0))
            for at, start in zip(found.tolist(), earliest[found].tolist(), strict=True)
        ]


def _hash_groups(text: bytes) -> NDArray[np.uint32]:
    """Return the place in the table of each group of neighbouring bytes."""
    codes = np.frombuffer(text, dtype=np.uint8)
    groups = np.zeros(len(codes) - _GROUP_BYTES + 1, dtype=np.uint32)
    for at in range(_GROUP_BYTES):
        groups = groups << np.uint32(8) | codes[at : len(groups) + at]
    return groups * _MIX >> np.uint32(32 - _TABLE_BITS)
