"""Laws of editing a list in a YAML text: only the item changes, whatever is around it."""

import yaml
from hypothesis import given
from hypothesis import strategies as st

from provisioner.ground.yaml_edit import remove_item, set_item

ITEMS = st.sampled_from(["a", "b==1.0", "c[x,y]>=1,<2", "yes", "3.10", "d # no", "e: f", "'q'"])
COMMENT = st.sampled_from(["", "# why", "# - b==1.0"])
ENDS = st.sampled_from(["\n", "\r\n"])


@st.composite
def files(draw: st.DrawFn) -> tuple[str, list[str]]:
    """Return a file with a list of packages, and the list."""
    items = draw(st.lists(ITEMS, unique=True, min_size=1, max_size=4))
    written = [yaml.safe_dump([item], default_flow_style=True).strip()[1:-1] for item in items]
    lines = ["description: x", draw(COMMENT)]
    if draw(st.booleans()):
        lines += ["pip:", f"  packages: [{', '.join(written)}]  {draw(COMMENT)}"]
    else:
        indent = draw(st.sampled_from(["  ", "    ", "      "]))
        lines += ["pip:", "  packages:"]
        for item in written:
            lines += [f"{indent}{draw(COMMENT)}".rstrip(), f"{indent}- {item} {draw(COMMENT)}".rstrip()]
    lines += draw(st.sampled_from([[], ["", "# the end"], ["  routes: {a: b}", "env:", "  A: b"]]))
    end = draw(ENDS)
    return end.join(lines) + draw(st.sampled_from(["", end])), items


@given(files(), ITEMS)
def test_what_is_set_is_there_and_what_was_there_stays(file: tuple[str, list[str]], item: str) -> None:
    """An item replaces its like in its place, or is the last; removing a new one gives the same text back."""
    text, items = file
    changed = set_item(text, ["pip", "packages"], item, same=lambda other: other == item)
    expected = items if item in items else [*items, item]
    value = yaml.safe_load(text)
    value["pip"]["packages"] = expected
    assert yaml.safe_load(changed) == value
    if item not in items:
        back = remove_item(changed, ["pip", "packages"], same=lambda other: other == item)
        assert back.rstrip("\r\n") == text.rstrip("\r\n")


@given(files(), st.data())
def test_what_is_removed_is_gone_alone(file: tuple[str, list[str]], data: st.DataObject) -> None:
    """Every other value stays, and every line of comment."""
    text, items = file
    item = data.draw(st.sampled_from(items))
    changed = remove_item(text, ["pip", "packages"], same=lambda other: other == item)
    value = yaml.safe_load(text)
    value["pip"]["packages"] = [each for each in items if each != item]
    assert yaml.safe_load(changed) == value


@given(ITEMS, ENDS, st.sampled_from(["", "# end"]))
def test_missing_keys_are_made(item: str, end: str, comment: str) -> None:
    """A file without the list, or without its section, gets both, and keeps its text."""
    for text in (
        f"description: x{end}{comment}",
        f"description: x{end}pip:{end}  # why{end}  routes: {{a: b}}  # w{end}{comment}{end}",
        f"description: x{end}pip: {{routes: {{a: b}}}}{end}",
        f"description: x{end}pip:{end}  packages:{end}",
        f"description: x{end}pip:{end}  packages: []  # none{end}env: {{A: b}}{end}",
    ):
        changed = set_item(text, ["pip", "packages"], item, same=lambda other: other == item)
        value = yaml.safe_load(text)
        value["pip"] = (value.get("pip") or {}) | {"packages": [item]}
        assert yaml.safe_load(changed) == value
        assert changed.count("#") >= text.count("#")
