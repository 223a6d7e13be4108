from hypothesis import given
from hypothesis import strategies as st

from provisioner.diagnose.failures.anchors import AnchorTable


@given(st.lists(st.binary(min_size=4, max_size=12), min_size=1, max_size=20), st.binary(max_size=300))
def test_no_anchor_that_is_there_is_left_out(anchors: list[bytes], text: bytes) -> None:
    """Every anchor that a text holds is found from the place that is named for it, also at its very end."""
    text += anchors[0]
    possible = AnchorTable(anchors).list_possible(text)
    held = {anchor: text.find(anchor) for anchor in anchors if anchor in text}
    assert held == {anchor: text.find(anchor, start) for anchor, start in possible if anchor in held}


def test_anchors_that_are_not_there_are_left_out() -> None:
    """An anchor of which a group of four bytes is missing costs no search, and a short text holds none."""
    table = AnchorTable([b"levelzero", b"levelone"])
    assert table.list_possible(b"initialising levelzero") == [(b"levelzero", 13)]
    assert table.list_possible(b"lev") == []
