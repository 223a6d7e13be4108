"""``provision clean``: remove what no environment needs."""

import click

from provisioner.cli.options import Age, lock_timeout_flag, settings_flags, verb
from provisioner.ground.text import count_of
from provisioner.pipeline.clean import CleanChoices, clean
from provisioner.pipeline.settings import Settings
from provisioner.render.amounts import format_bytes
from provisioner.render.result import Result


@verb("clean")
# No variables: what is set for another command must not delete downloads.
@click.option(
    "--all",
    "everything",
    is_flag=True,
    help="Also all downloads and caches; the next build fetches them again.",
)
@click.option(
    "--keep",
    multiple=True,
    metavar="PROFILE",
    help="Also all downloads and caches but those of PROFILE; can be given again.",
)
@click.option(
    "--older-than",
    "older_than_s",
    type=Age(),
    metavar="AGE",
    help="Only what is older than 12h, 30d, 8w; also downloads that no environment is built of.",
)
@click.option(
    "--dry-run", is_flag=True, help="Tell what would go, and how many bytes that would free; delete nothing."
)
@lock_timeout_flag
@settings_flags
def command(
    *,
    settings: Settings,
    everything: bool,
    keep: tuple[str, ...],
    older_than_s: float | None,
    dry_run: bool,
    lock_timeout: float,
) -> Result:
    """Remove all generations but the current one of each environment; with --all the downloads too.

    After a rollback that is the newer one, too. What dead builders left goes, what a program uses stays.
    """
    choices = CleanChoices(everything=everything, keep=keep, older_than_s=older_than_s, dry_run=dry_run)
    cleaned = clean(settings, choices, lock_timeout_s=lock_timeout)
    removed = [str(path) for path in cleaned.removed]
    would = "would be " if dry_run else ""
    done = "would remove" if dry_run else "removed"
    lines = [f"{done} {path}" for path in removed]
    if cleaned.leftovers:
        lines.append(f"{done} {count_of(cleaned.leftovers, 'incomplete generation')}")
    if lines:
        lines.append(f"{format_bytes(cleaned.freed_bytes)} {would}freed")
    lines += [f"kept: {sentence}" for sentence in cleaned.in_use]
    data = {
        "dry_run": dry_run,
        "removed": removed,
        "incomplete_generations": cleaned.leftovers,
        "freed_bytes": cleaned.freed_bytes,
        "in_use": list(cleaned.in_use),
    }
    return Result(data=data, text="\n".join(lines or ["nothing to remove"]))
