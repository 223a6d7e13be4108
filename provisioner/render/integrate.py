"""What `integrate` and `create --jupyter --vscode` answer: which tools start an environment now."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from provisioner.ground.text import shown
from provisioner.install.tools import VSCODE_FILE, VSCODE_KEY, Integrated, Tools
from provisioner.render.result import Result


def render_integrated(name: str, tools: Tools, done: Integrated, *, removed: bool) -> Result:
    """Return the answer of `integrate`."""
    lines = [name, *describe_integrated(tools, done, removed=removed)]
    return Result(data={"environment": name, "removed": removed, **as_data(done)}, text="\n".join(lines))


def as_data(done: Integrated) -> dict[str, Any]:
    """Return what was written, for programs."""
    return {"jupyter": _text(done.jupyter), "vscode": _text(done.vscode), "replaced": done.replaced}


def describe_integrated(tools: Tools, done: Integrated, *, removed: bool = False) -> Iterator[str]:
    """Yield a line for each tool."""
    if tools.jupyter and removed:
        yield f"  Jupyter: {f'removed {done.jupyter}' if done.jupyter else 'there was no kernel of it'}"
    elif tools.jupyter and done.jupyter:
        yield f"  Jupyter: kernel `{done.jupyter.name}` written to {done.jupyter}"
    if tools.vscode and removed:
        yield f"  VS Code: {f'`{VSCODE_KEY}` out of {done.vscode}' if done.vscode else 'no setting of it'}"
    elif tools.vscode:
        kept = "" if done.vscode else ", as it was"
        old = f", in place of {shown(done.replaced)}" if done.replaced else ""
        yield f"  VS Code: `{VSCODE_KEY}` in {tools.folder / VSCODE_FILE}{kept}{old}"
        chosen = (
            "where you chose an interpreter before, run `Python: Clear Workspace Interpreter Setting` once"
        )
        yield f"    next: open the folder in VS Code; {chosen}"


def _text(path: Path | None) -> str | None:
    return str(path) if path else None
