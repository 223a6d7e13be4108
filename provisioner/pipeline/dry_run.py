"""The job of `provision create --dry-run`: gate, plan, ledger, and what a build would fetch."""

from provisioner.events import Listener
from provisioner.install.transaction import find_current
from provisioner.pipeline.create import CreateChoices, ask_ledger, pass_gate, plan_environment
from provisioner.pipeline.engines import Engines
from provisioner.pipeline.preview import Preview, preview
from provisioner.pipeline.settings import Settings
from provisioner.profile.model import Profile


def preview_create(
    settings: Settings, profile: Profile, choices: CreateChoices, *, on_event: Listener
) -> tuple[bool, Preview]:
    """Tell what `create` would do; nothing is made, and no host is asked.

    Returns:
        Whether the environment is up to date already, and what a build would fetch.
    """
    gpu = pass_gate(settings, profile, choices)
    plan = plan_environment(settings, profile, name=choices.name, gpu=gpu)
    with Engines(settings) as engines:
        current = None if choices.rebuild else find_current(engines.home, plan)
        if current is None:
            ask_ledger(settings, profile, plan, choices, on_event=on_event)
        return current is not None, preview(plan, engines)
