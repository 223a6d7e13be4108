"""Intel graphics by PCI device id: product, generation, and whether the XPU stacks run on it.

Sources, read in November 2026:
- product names: intel/compute-runtime, shared/source/dll/devices/devices_base.inl (00eda807); where it has no
  name, the public pci.ids names (Arc Pro B70 e223, Arc Pro B370 and B390 b084 to b087) or the generation's;
- which id is which generation: linux, include/drm/intel/pciids.h (0755a4e3);
- older graphics: mesa, include/pci_ids/iris_pci_ids.h;
- what is supported: PyTorch, docs/source/notes/get_start_xpu ("Intel Arc A-Series or newer", Meteor, Arrow,
  Lunar and Panther Lake), and intel-extension-for-pytorch's lists for Flex and Max. UHD and Iris Xe are on
  none of them (intel/intel-extension-for-pytorch#714).
"""

from dataclasses import dataclass
from enum import StrEnum

INTEL_VENDOR = "8086"


class GpuClass(StrEnum):
    """The profile's words for kinds of GPU (``env-by-gpu``)."""

    ARC_A = "arc-a"
    ARC_B = "arc-b"
    INTEGRATED = "integrated"
    FLEX = "flex"
    MAX = "max"


@dataclass(frozen=True, kw_only=True, slots=True)
class Generation:
    """One generation of Intel graphics.

    Attributes:
        discrete: A card with memory of its own, for which Resizable BAR matters.
        supported: Whether any XPU stack runs on it.
        gpu_class: The profile's word for it; None where it is not supported.
        kernel_floor: First Linux release that is known to drive it without an option; None: not known.
    """

    name: str
    discrete: bool
    supported: bool
    gpu_class: GpuClass | None = None
    kernel_floor: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Gpu:
    """One PCI device id."""

    device: str
    product: str
    generation: Generation


# Kernel floors: Alchemist JuliaGPU/oneAPI.jl#228; Battlemage ipex-llm's bmg_quickstart (Ubuntu 24.10) and
# intel-gpu/intel-gpu-i915-backports#209 (6.8 does not bind); G31, the B70, is later, the release not
# known (IceWhaleTech/ZimaOS#491: not 6.12); Meteor Lake jellyfin's hardware page (incomplete before 6.7).
ALCHEMIST = Generation(
    name="Alchemist", discrete=True, supported=True, gpu_class=GpuClass.ARC_A, kernel_floor="6.2"
)
FLEX = Generation(name="Flex", discrete=True, supported=True, gpu_class=GpuClass.FLEX)
MAX = Generation(name="Max", discrete=True, supported=True, gpu_class=GpuClass.MAX)
BATTLEMAGE = Generation(
    name="Battlemage", discrete=True, supported=True, gpu_class=GpuClass.ARC_B, kernel_floor="6.11"
)
BATTLEMAGE_G31 = Generation(name="Battlemage", discrete=True, supported=True, gpu_class=GpuClass.ARC_B)
METEOR_LAKE = Generation(
    name="Meteor Lake", discrete=False, supported=True, gpu_class=GpuClass.INTEGRATED, kernel_floor="6.7"
)
ARROW_LAKE = Generation(name="Arrow Lake", discrete=False, supported=True, gpu_class=GpuClass.INTEGRATED)
LUNAR_LAKE = Generation(name="Lunar Lake", discrete=False, supported=True, gpu_class=GpuClass.INTEGRATED)
PANTHER_LAKE = Generation(name="Panther Lake", discrete=False, supported=True, gpu_class=GpuClass.INTEGRATED)
XE_LP = Generation(name="Xe-LP", discrete=False, supported=False)
DG1 = Generation(name="DG1", discrete=True, supported=False)
OLDER = Generation(name="before Xe", discrete=False, supported=False)

_PRODUCTS: dict[Generation, str] = {
    ALCHEMIST: """
        4f80 Intel DG2 graphics
        4f81 Intel DG2 graphics
        4f82 Intel DG2 graphics
        4f83 Intel DG2 graphics
        4f84 Intel DG2 graphics
        4f85 Intel DG2 graphics
        4f86 Intel DG2 graphics
        4f87 Intel DG2 graphics
        4f88 Intel DG2 graphics
        5690 Arc A770M
        5691 Arc A730M
        5692 Arc A550M
        5693 Arc A370M
        5694 Arc A350M
        5695 Intel DG2 graphics
        5696 Arc A570M
        5697 Arc A530M
        56a0 Arc A770
        56a1 Arc A750
        56a2 Arc A580
        56a3 Intel DG2 graphics
        56a4 Intel DG2 graphics
        56a5 Arc A380
        56a6 Arc A310
        56af Arc A760A
        56b0 Arc Pro A30M
        56b1 Arc Pro A40/A50
        56b2 Arc Pro A60M
        56b3 Arc Pro A60
        56ba Arc A380E
        56bb Arc A310E
        56bc Arc A370E
        56bd Arc A350E
        56be Arc A750E
        56bf Arc A580E
    """,
    FLEX: """
        56c0 Data Center GPU Flex 170
        56c1 Data Center GPU Flex 140
        56c2 Data Center GPU Flex 170V
    """,
    MAX: """
        0b69 Data Center GPU Max 1450
        0b6e Data Center GPU Max 1100C
        0bd0 Data Center GPU Max
        0bd4 Data Center GPU Max 1550VG
        0bd5 Data Center GPU Max 1550
        0bd6 Data Center GPU Max 1550
        0bd7 Data Center GPU Max 1350
        0bd8 Data Center GPU Max 1350
        0bd9 Data Center GPU Max 1100
        0bda Data Center GPU Max 1100
        0bdb Data Center GPU Max 1100
        0be0 Data Center GPU Max
        0be1 Data Center GPU Max
        0be5 Data Center GPU Max
    """,
    BATTLEMAGE: """
        e202 Intel Battlemage G21 graphics
        e209 Arc B580
        e20b Arc B580
        e20c Arc B570
        e20d Intel Battlemage G21 graphics
        e210 Intel Battlemage G21 graphics
        e211 Arc Pro B60
        e212 Arc Pro B50
        e215 Intel Battlemage graphics
        e216 Intel Battlemage graphics
    """,
    BATTLEMAGE_G31: """
        e220 Intel Battlemage G31 graphics
        e221 Intel Battlemage G31 graphics
        e222 Intel Battlemage G31 graphics
        e223 Arc Pro B70
    """,
    METEOR_LAKE: """
        7d40 Intel Graphics (Meteor Lake)
        7d45 Intel Graphics (Meteor Lake-U)
        7d55 Arc Graphics (Meteor Lake-H)
        7d60 Intel Graphics (Meteor Lake)
        7dd5 Intel Graphics (Meteor Lake-H)
    """,
    ARROW_LAKE: """
        7d41 Intel Graphics (Arrow Lake-U)
        7d51 Arc Graphics (Arrow Lake-H)
        7d67 Intel Graphics (Arrow Lake-S)
        7dd1 Intel Graphics (Arrow Lake-H)
        b640 Intel Graphics (Arrow Lake-S)
    """,
    LUNAR_LAKE: """
        6420 Intel Graphics (Lunar Lake)
        64a0 Arc Graphics (Lunar Lake)
        64b0 Intel Graphics (Lunar Lake)
    """,
    PANTHER_LAKE: """
        b080 Arc B390 (Panther Lake)
        b081 Arc B370 (Panther Lake)
        b082 Arc B390 (Panther Lake)
        b083 Arc B370 (Panther Lake)
        b084 Arc Pro B390 (Panther Lake)
        b085 Arc Pro B370 (Panther Lake)
        b086 Arc Pro B390 (Panther Lake)
        b087 Arc Pro B370 (Panther Lake)
        b08f Intel Graphics (Panther Lake)
        b090 Intel Graphics (Panther Lake)
        b0a0 Intel Graphics (Panther Lake)
        b0b0 Intel Graphics (Panther Lake)
    """,
    DG1: """
        4905 Iris Xe MAX
        4906 Intel DG1 graphics
        4907 Server GPU SG-18M
        4908 Iris Xe (DG1)
        4909 Iris Xe MAX 100
    """,
    XE_LP: """
        4c8a UHD Graphics 750
        4c8b UHD Graphics 730
        4c90 UHD Graphics P750
        4680 UHD Graphics 770
        4682 UHD Graphics 730
        4690 UHD Graphics 770
        4692 UHD Graphics 730
        4693 UHD Graphics 710
        a780 UHD Graphics 770
        a782 UHD Graphics 730
        46a6 Iris Xe Graphics
        46a8 Iris Xe Graphics
        46aa Iris Xe Graphics
        9a40 Iris Xe Graphics
        9a49 Iris Xe Graphics
        a7a0 Iris Xe Graphics
        a7a1 Iris Xe Graphics
    """,
}

# Ids that have no name of their own, or none that helps: one product for the whole list.
_UNNAMED: dict[Generation, tuple[str, str]] = {
    XE_LP: (
        "UHD Graphics",
        """
        4c80 4c8c 4c9a 4688 468a 468b a781 a783 a788 a789 a78a a78b 46d0 46d1 46d2 46d3 46d4 46a0 46a1 46a2
        46a3 462a 4626 4628 46b0 46b1 46b2 46b3 46c0 46c1 46c2 46c3 a720 a721 a7a8 a7a9 a7aa a7ab a7ac a7ad
        9a59 9a60 9a68 9a70 9a78 9ac0 9ac9 9ad9 9af8
        """,
    ),
    OLDER: (
        "HD/UHD Graphics",
        """
        1602 1606 160a 160b 160d 160e 1612 1616 161a 161b 161d 161e 1622 1626 162a 162b 162d 162e 1902 1906
        190a 190b 190e 1912 1913 1915 1916 1917 191a 191b 191d 191e 1921 1923 1926 1927 192a 192b 192d 1932
        193a 193b 193d 0a84 1a84 1a85 5a84 5a85 3184 3185 5902 5906 5908 590a 590b 590e 5912 5913 5915 5916
        5917 591a 591b 591c 591d 591e 5921 5923 5926 5927 593b 87c0 87ca 3e90 3e91 3e92 3e93 3e94 3e96 3e98
        3e99 3e9a 3e9b 3e9c 3ea0 3ea1 3ea2 3ea3 3ea4 3ea5 3ea6 3ea7 3ea8 3ea9 9b21 9b41 9ba0 9ba2 9ba4 9ba5
        9ba8 9baa 9bab 9bac 9bc0 9bc2 9bc4 9bc5 9bc6 9bc8 9bca 9bcb 9bcc 9be6 9bf6 8a50 8a51 8a52 8a53 8a54
        8a56 8a57 8a58 8a59 8a5a 8a5b 8a5c 8a5d 8a70 8a71 4541 4551 4555 4557 4570 4571 4e51 4e55 4e57 4e61
        4e71
        """,
    ),
}


def find_gpu(vendor: str, device: str) -> Gpu | None:
    """Return what a PCI id is; None for other vendors and for ids that are not in the table."""
    return _GPUS.get(device.lower()) if vendor.lower() == INTEL_VENDOR else None


def list_gpus() -> tuple[Gpu, ...]:
    """Return the whole table, by device id."""
    return tuple(_GPUS[device] for device in sorted(_GPUS))


def _read_table() -> dict[str, Gpu]:
    table: dict[str, Gpu] = {}
    for generation, lines in _PRODUCTS.items():
        for line in lines.strip().splitlines():
            device, product = line.strip().split(" ", 1)
            table[device] = Gpu(device=device, product=product, generation=generation)
    for generation, (product, devices) in _UNNAMED.items():
        for device in devices.split():
            table[device] = Gpu(device=device, product=product, generation=generation)
    return table


_GPUS = _read_table()
