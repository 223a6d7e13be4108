"""What `create --dry-run` does, which other runs of `create` need not load."""

from provisioner.pipeline.create import CreateChoices
from provisioner.pipeline.dry_run import preview_create
from provisioner.pipeline.settings import Settings
from provisioner.profile.model import Profile
from provisioner.render.preview import render_preview
from provisioner.render.progress import show_progress
from provisioner.render.result import Result


def preview(settings: Settings, profile: Profile, choices: CreateChoices) -> Result:
    """Return what `create` would fetch and change; errors as from `preview_create`."""
    with show_progress(settings.environ) as listener:
        told = preview_create(settings, profile, choices, on_event=listener)
    seen = told.seen
    return render_preview(
        seen.plan,
        [(each.package, each.source) for each in seen.wanted],
        up_to_date=told.up_to_date,
        changed=told.changed,
        validate=told.validate,
        changes=told.changes,
        stored_bytes=seen.stored_bytes,
        disk_bytes=seen.disk_bytes,
        free_bytes=seen.free_bytes,
    )
