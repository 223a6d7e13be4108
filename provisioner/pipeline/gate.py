"""What `create` asks of the machine before the first byte is downloaded."""

from dataclasses import replace

from provisioner.diagnose.machine.gate import find_gpu_class, find_obstacle, wanted_host
from provisioner.diagnose.machine.known import find_known, find_stop, list_notices
from provisioner.engines.machine.host import gather_host
from provisioner.events import Listener, Notice
from provisioner.install.plan import InstallPlan
from provisioner.pipeline.ledger import describe_stack, load_ledger
from provisioner.pipeline.proposal import find_better, find_unfit
from provisioner.pipeline.settings import Settings, host_platform
from provisioner.profile.model import Device, Profile


def judge_machine(settings: Settings, profile: Profile, *, enforce: bool) -> str | None:
    """Return the class of this machine's GPU as an XPU profile names it; None where there is none.

    Raises:
        InstallError: The disk has no room.
        UnvalidatedError: There is no GPU that the built environment could be validated on.
    """
    facts = gather_host(target=settings.data, variables=settings.environ)
    if enforce:
        wanted = wanted_host(profile, platform=host_platform())
        obstacle = find_obstacle(facts, wanted, profile=profile.name)
        if obstacle is not None:  # once more, with what a build that goes on does not need to know
            wanted = replace(wanted, better=find_better(settings, profile, facts))
            raise find_obstacle(facts, wanted, profile=profile.name) or obstacle
    return find_gpu_class(facts)


def judge_stack(
    settings: Settings,
    profile: Profile,
    plan: InstallPlan,
    *,
    device: str | None = None,
    enforce: bool,
    on_event: Listener,
) -> None:
    """Tell what is known of this machine's card and driver with the wheels of a plan that is for a card.

    Args:
        settings: Where things are.
        profile: The profile; what is for a CPU knows no card.
        plan: What will be installed.
        device: Device to validate on; None: the profile's.
        enforce: Whether what is known to fail stops.
        on_event: Told what is known.

    Raises:
        UnvalidatedError: ``known.<row>``: it is known to fail, and ``enforce``.
    """
    if profile.device is not Device.XPU or device == "cpu":
        return
    facts = gather_host(target=settings.data, variables=settings.environ)
    known = find_known(load_ledger(), describe_stack(plan.platform, plan.wheels, plan.env), facts)
    stop = find_stop(known, subject=f"`{profile.name}`") if enforce else None
    unfit = find_unfit(profile, facts)
    better = find_better(settings, profile, facts) if stop or unfit else None
    advice = f"run `provision create {better}`, which is for this machine" if better else None
    if stop is not None:
        stop.hints = (*stop.hints[:1], *([advice] if advice else []), *stop.hints[1:])
        raise stop
    if unfit is not None:
        on_event(Notice(message=f"{unfit}; {advice}" if advice else unfit, level="warning"))
    for notice in list_notices(known, subject=f"`{profile.name}`", where="on this machine"):
        on_event(notice)
