"""Which of many literal texts a long text may hold, told from its groups of four bytes in one pass.

Looking for a thousand anchors one after the other costs more than all that follows. A table of the groups of
four bytes that a block holds leaves the few anchors of which every group is there.
"""

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

_GROUP_BYTES = 4  # no anchor is shorter
_TABLE_BITS = 22
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
        self._starts = np.cumsum(lengths - _GROUP_BYTES + 1) - (lengths - _GROUP_BYTES + 1)

    def list_possible(self, text: bytes) -> list[bytes]:
        """Return the anchors that ``text`` may hold; those left out it does not hold."""
        if len(text) < _GROUP_BYTES:
            return []
        table = np.zeros(1 << _TABLE_BITS, dtype=bool)
        table[_hash_groups(text)] = True
        found = np.logical_and.reduceat(table[self._hashes], self._starts)
        return [self._anchors[at] for at in np.flatnonzero(found)]


def _hash_groups(text: bytes) -> NDArray[np.uint32]:
    """Return the place in the table of each group of neighbouring bytes."""
    codes = np.frombuffer(text, dtype=np.uint8)
    groups = np.zeros(len(codes) - _GROUP_BYTES + 1, dtype=np.uint32)
    for at in range(_GROUP_BYTES):
        groups = groups << np.uint32(8) | codes[at : len(groups) + at]
    return groups * _MIX >> np.uint32(32 - _TABLE_BITS)
