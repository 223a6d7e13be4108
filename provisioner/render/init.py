"""What `provision init` answers: the files, why that stack, and what of an imported file was taken."""

from collections.abc import Sequence

from provisioner.ground.text import count_of
from provisioner.profile.foreign.collect import ForeignLine
from provisioner.render.result import Result


def render_begun(
    name: str,
    *,
    extends: str,
    reasons: Sequence[str],
    files: Sequence[str],
    source: str | None,
    lines: Sequence[ForeignLine],
    notes: Sequence[str],
    is_folders: bool,
    device: str | None,
) -> Result:
    """Return what was written and what comes next; ``device`` is what `create` is to be given here.

    ``is_folders`` tells that verbs without a name mean the profile.
    """
    taken = [each for each in lines if not each.reason]
    left = [each for each in lines if each.reason]
    text = [
        f"{name}: written {', '.join(files)}",
        f"  builds on {extends}",
        *(f"  {each.strip()}" for each in reasons[1:]),
    ]
    if source is not None:
        text.append(f"  {source}: {count_of(len(taken), 'line')} taken, {len(left)} not:")
        text += [f"    {source}:{each.line}: {each.text}: {each.reason}" for each in left]
    text += [f"  note: {note}" for note in notes]
    given = f" --device {device}   (here is no GPU that it is for)" if device else ""
    text.append(f"  next: provision create {'' if is_folders else f'{name} '}--lock{given}")
    return Result(
        data={
            "profile": name,
            "extends": extends,
            "reasons": list(reasons),
            "files": list(files),
            "notes": list(notes),
            "device": device,
            "source": source,
            "taken": [{"line": each.line, "text": each.text} for each in taken],
            "not_taken": [{"line": each.line, "text": each.text, "reason": each.reason} for each in left],
        },
        text="\n".join(text),
    )
