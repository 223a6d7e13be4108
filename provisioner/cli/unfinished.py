"""Put back what a killed `add` had begun, before a verb reads the profile."""

from provisioner.pipeline.settings import Settings
from provisioner.pipeline.undo import find_killed, undo_killed
from provisioner.render.progress import show_progress


def undo_killed_changes(settings: Settings) -> None:
    """Let profiles, lockfiles and environments be what they were before changes that were killed."""
    if find_killed(settings):
        with show_progress(settings.environ) as listener:
            undo_killed(settings, on_event=listener)
