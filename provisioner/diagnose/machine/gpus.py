"""Intel graphics by PCI device id: product, architecture, and whether the XPU stacks run on it.

The table and its sources are in ``gpus.json``: JSON, because an XPU profile's ``create`` reads it each time.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

INTEL_VENDOR = "8086"
TABLE = Path(__file__).with_name("gpus.json")


@dataclass(frozen=True, kw_only=True, slots=True)
class Architecture:
    """One architecture of Intel graphics.

    Attributes:
        discrete: A card with memory of its own, for which Resizable BAR matters.
        gpu_class: The profile's word for it (``arc-a``); None where no XPU stack runs on it.
        kernel_floor: First Linux release that is known to drive it without an option; None: not known.
    """

    name: str
    discrete: bool
    gpu_class: str | None
    kernel_floor: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Gpu:
    """One PCI device id."""

    device: str
    product: str
    architecture: Architecture

    @property
    def supported(self) -> bool:
        """Return whether any XPU stack runs on it."""
        return self.architecture.gpu_class is not None


def describe_unfit(subject: str, gpu: Gpu, classes: Sequence[str]) -> str | None:
    """Say that a GPU is none of those that a profile is for; None where it is one. No classes: any GPU."""
    found = gpu.architecture.gpu_class
    if not classes or found in classes:
        return None
    return f"{subject} is for {', '.join(f'`{each}`' for each in classes)}, and {gpu.product} is `{found}`"


def find_gpu(vendor: str, device: str) -> Gpu | None:
    """Return what a PCI id is; None for other vendors and for ids that are not in the table."""
    return load_gpus().get(device.lower()) if vendor.lower() == INTEL_VENDOR else None


@cache
def load_gpus() -> dict[str, Gpu]:
    """Return the whole table, by device id."""
    document = json.loads(TABLE.read_text(encoding="utf-8"))
    table = {}
    for item in document["architectures"]:
        architecture = Architecture(**{name: item[name] for name in Architecture.__dataclass_fields__})
        for product, devices in item["products"].items():
            for device in devices.split():
                table[device] = Gpu(device=device, product=product, architecture=architecture)
    return table
