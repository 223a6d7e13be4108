"""The checks of a validation, in their order."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Stage:
    """One check: its longest time in seconds, what it does, and what is true where it passed.

    The time is at least 120 s for a check that can make the first call on a device.
    """

    name: str
    deadline_s: float
    doing: str
    meaning: str


_TABLE = (
    Stage("packages", 180, "comparing files with their packages", "what is installed is what is locked"),
    Stage("imports", 300, "importing the stack's libraries", "the libraries load, from this environment"),
    Stage("device", 120, "asking the driver about the device", "the device is there and describes itself"),
    Stage(
        "kernels",
        600,  # the first call on a device compiles its kernels
        "compiling kernels, can take minutes the first time",
        "copies are exact, matrix products agree with fp64",
    ),
    Stage("weights", 600, "loading the model", "the model loads"),
    Stage("reference", 600, "running the fp32 model on the CPU", "the fp32 model on the CPU is sane"),
    Stage("conversion", 600, "converting to the profile's precision", "the layers were really replaced"),
    Stage("forward", 900, "running the model, kernels may be compiled first", "the model ran on the device"),
    Stage("comparison", 120, "comparing with the reference", "its logits agree with the reference"),
    Stage("generation", 600, "generating with the cache", "it continues the prompt with the cache"),
    Stage("width", 900, "running layers of production size", "layers of production size agree too"),
    Stage("speed", 600, "measuring tokens per second", "reported, never judged"),
    Stage("repeat", 900, "running the model in a second process", "a second process calculates the same"),
    Stage("commands", 120, "running the profile's commands", "the profile's programs start"),
    Stage("exit", 30, "waiting for its end", "the process ended cleanly"),
)

STAGES: Mapping[str, Stage] = {stage.name: stage for stage in _TABLE}
"""Every check by name, in the order in which it runs."""

START_DEADLINE_S = 60.0
"""Seconds until the probe must have begun its first check."""
