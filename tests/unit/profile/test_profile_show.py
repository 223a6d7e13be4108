"""`provision show`: every merged value once, with the place it comes from."""

import json
from pathlib import Path

from provisioner.profile.load import load_profile
from provisioner.render.profile import as_dict, show_rows

STACK = """\
description: s
stack: true
indexes: {x: "https://example.org/x"}
pip:
  packages: [numpy==1.26.4]
  overrides: {numpy==1.26.4: because}
env: {A: "1"}
win-64:
  pip: {packages: [colorama]}
  env: {A: "2"}
"""
PROFILE = """\
description: p
extends: s
family: llama3
device: cpu
torch: cpu
python: "3.11"
"""


def test_rows_tell_value_and_place(tmp_path: Path) -> None:
    """What both platforms share stands once, what differs has the platform's name, defaults no place."""
    (tmp_path / "s.yaml").write_text(STACK)
    (tmp_path / "p.yaml").write_text(PROFILE)
    rows = show_rows(load_profile("p", folders=[tmp_path]))
    found = {
        (row.key, row.value): row.origin and f"{Path(row.origin.file).stem}:{row.origin.line}" for row in rows
    }
    assert found == {
        ("description", "p"): "p:1",
        ("family", "llama3"): "p:3",
        ("device", "cpu"): "p:4",
        ("torch", "cpu"): "p:5",
        ("platforms", "linux-64, win-64"): None,
        ("python", "3.11"): "p:6",
        ("status.state", "supported"): None,
        ("indexes.x", "https://example.org/x"): "s:3",
        ("pip.packages", "numpy==1.26.4"): "s:5",
        ("win-64.pip.packages", "colorama"): "s:9",
        ("pip.overrides", "numpy==1.26.4 (because)"): "s:6",
        ("linux-64.env.A", "1"): "s:7",
        ("win-64.env.A", "2"): "s:10",
        ("validation.backend", "transformers"): None,
        ("validation.precision", "bf16"): None,
        ("validation.tolerance", "by precision"): None,
        ("validation.weights", "random"): None,
    }


def test_the_dict_is_json_and_complete(tmp_path: Path) -> None:
    """`--json` holds plain values, and an origin for every value that was written."""
    (tmp_path / "s.yaml").write_text(STACK)
    (tmp_path / "p.yaml").write_text(PROFILE)
    found = json.loads(json.dumps(as_dict(load_profile("p", folders=[tmp_path]))))
    assert found["platforms"]["win-64"]["pip"]["packages"] == ["numpy==1.26.4", "colorama"]
    assert found["platforms"]["win-64"]["pip"]["overrides"] == {"numpy==1.26.4": "because"}
    assert found["origins"]["win-64.env.A"] == f"{tmp_path / 's.yaml'}:10:12"
