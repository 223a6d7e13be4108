"""The table of GPUs against sources that it was not written from."""

import json

import jsonschema
import pytest

from provisioner.diagnose.machine.gpus import TABLE, find_gpu, load_gpus
from provisioner.profile.keys import GPU_CLASSES

# Architectures as the Linux kernel groups them (include/drm/intel/pciids.h, 0755a4e3).
KERNEL = {
    "Alchemist": "56a0 56a1 56a2 56be 56bf 5690 5691 5692 56a5 56a6 56b0 56b1 56ba 56bb 56bc 56bd 5693 5694 "
    "5695 56a3 56a4 56b2 56b3 5696 5697",
    "Flex": "56c0 56c1 56c2",
    "Max": "0b69 0b6e 0bd4 0bd5 0bd6 0bd7 0bd8 0bd9 0bda 0bdb 0be0 0be1 0be5",
    "Battlemage": "e202 e209 e20b e20c e20d e210 e211 e212 e216 e220 e221 e222 e223",
    "Meteor Lake": "7d40 7d45 7d55 7d60 7dd5",
    "Arrow Lake": "7d51 7dd1 7d41 7d67 b640",
    "Lunar Lake": "6420 64a0 64b0",
    "Panther Lake": "b080 b081 b082 b083 b084 b085 b086 b087 b08f b090 b0a0 b0b0",
}

# Public reports that name id and product together, none of them a source of the table.
REPORTS = [
    ("56a0", "Arc A770", "talmolab/sleap-nn#206"),
    ("56a5", "Arc A380", "intel.github.io graphics table"),
    ("56a6", "Arc A310", "intel.github.io graphics table"),
    ("56a1", "Arc A750", "geerlingguy/raspberry-pi-pcie-devices#510"),
    ("56c1", "Data Center GPU Flex 140", "intel.github.io graphics table"),
    ("e20b", "Arc B580", "intel/torch-xpu-ops#4925"),
    ("e211", "Arc Pro B60", "sgl-project/sglang#38873"),
    ("e212", "Arc Pro B50", "Solaris17/Arc-Firmware#10"),
    ("e223", "Arc Pro B70", "IceWhaleTech/ZimaOS#491"),
    ("0bd5", "Data Center GPU Max 1550", "intel/torch-xpu-ops#3455"),
    ("b086", "Arc Pro B390 (Panther Lake)", "intel/media-driver#2035"),
    ("b085", "Arc Pro B370 (Panther Lake)", "easydiffusion/torchruntime v1.33.0"),
]


@pytest.mark.parametrize("architecture", KERNEL)
def test_ids_are_of_the_architecture_that_the_kernel_says(architecture: str) -> None:
    """Every id of the kernel's supported groups is in the table, in the same group and supported."""
    for device in KERNEL[architecture].split():
        gpu = find_gpu("8086", device)
        assert gpu is not None, device
        assert gpu.architecture.name == architecture
        assert gpu.supported


@pytest.mark.parametrize(("device", "product", "source"), REPORTS)
def test_products_are_named_as_their_owners_name_them(device: str, product: str, source: str) -> None:
    """The product names agree with reports of people who own the card."""
    gpu = find_gpu("8086", device.upper())
    assert gpu is not None, source
    assert gpu.product == product, source


@pytest.mark.parametrize(
    "device", ["4680", "a780", "9a49", "3e98", "5917", "4905", "46a6", "1616", "8a52", "46d1"]
)
def test_older_graphics_are_known_and_not_enough(device: str) -> None:
    """UHD, Iris Xe, DG1 and everything before is named, and supported by no stack."""
    gpu = find_gpu("8086", device)
    assert gpu is not None
    assert not gpu.supported


def test_other_vendors_and_unknown_ids_are_not_guessed() -> None:
    """Another vendor's id is no Intel GPU, and an id that is not in the table is unknown."""
    assert find_gpu("10de", "56a0") is None
    assert find_gpu("8086", "ffff") is None


SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["sources", "architectures"],
    "properties": {
        "sources": {"type": "array", "minItems": 1, "items": {"type": "string", "minLength": 1}},
        "architectures": {
            "type": "array",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["name", "discrete", "gpu_class", "kernel_floor", "products"],
                "properties": {
                    "name": {"type": "string", "minLength": 1},
                    "discrete": {"type": "boolean"},
                    "gpu_class": {"enum": [*GPU_CLASSES, None]},
                    "kernel_floor": {"type": ["string", "null"], "pattern": r"^\d+(\.\d+)+$"},
                    "kernel_floor_source": {"type": "string", "minLength": 1},
                    "products": {
                        "type": "object",
                        "minProperties": 1,
                        "additionalProperties": {
                            "type": "string",
                            "pattern": "^[0-9a-f]{4}( [0-9a-f]{4})*$",
                        },
                    },
                },
                "if": {"properties": {"kernel_floor": {"type": "string"}}},
                "then": {"required": ["kernel_floor_source"]},
            },
        },
    },
}


def test_the_table_has_its_form() -> None:
    """Every entry is of the schema, every id stands once, and every word of the profile is some GPU's."""
    table = json.loads(TABLE.read_text(encoding="utf-8"))
    jsonschema.validate(table, SCHEMA)
    products = [products for each in table["architectures"] for products in each["products"].values()]
    devices = " ".join(products).split()
    assert len(devices) == len(set(devices)) == len(load_gpus())
    assert {gpu.architecture.gpu_class for gpu in load_gpus().values() if gpu.supported} == set(GPU_CLASSES)
