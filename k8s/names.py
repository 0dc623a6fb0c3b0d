"""The short name of a GPU, as people say it, from what a product is called: "NVIDIA-A100-SXM4-80GB" is an "A100-80GB".

Results compare within one name only, so what differs in speed differs in name: a PCIe card is not an SXM module, 40 GB
not 80. Knows products and instance types; knows nothing of nodes.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_MIG = re.compile(r"[-_]MIG[-_](?P<profile>\d+g\.\d+gb(?:\.\w+)?|INVALID)", re.IGNORECASE)
_SHARED = re.compile(r"[-_]SHARED$", re.IGNORECASE)
_VGPU = re.compile(r"[-_](?P<profile>\d+[QCAB])$")
_MAKER = re.compile(r"\b(?:nvidia|tesla|grid|geforce|quadro|amd|instinct|radeon|intel)\b[ -]*", re.IGNORECASE)
_GB = re.compile(r"\b(?P<gb>\d+)\s?gb\b", re.IGNORECASE)
_PCIE = re.compile(r"\bpcie\b", re.IGNORECASE)
_NVL = re.compile(r"\bNVL\b")  # CoreWeave's NVLINK is something else: every SXM module has it
_PACKAGE = re.compile(
    r"\b(?:sxm\d?|pcie|hbm\d?e?|nvl|nvlink|oam|mega|\d+\s?gb|laptop gpu|(?:server|workstation) edition|blackwell)\b",
    re.IGNORECASE,
)
_RTX = re.compile(r"^(?P<line>rtx|gtx)\s?(?P<number>\d{3,4})\s?(?P<more>ti super|super|ti)?$", re.IGNORECASE)
_CODED = re.compile(r"^v100m(?P<gb>\d+)$", re.IGNORECASE)

SIZES = {"A100": (40, 80), "V100": (16, 32), "P100": (12, 16)}  # GB, of models that come in more than one
PCIE_TOO = frozenset({"A100", "H100", "V100", "P100"})  # as modules and as cards


class Product(NamedTuple):
    name: str  # of the whole card
    part: str = ""  # "MIG 1g.5gb", "vGPU 4Q"; "": the whole
    is_shared: bool = False

    @property
    def type(self) -> str:
        """The GPU type that the rest of the program knows."""
        return " ".join(filter(None, (self.name, self.part, "shared" if self.is_shared else "")))


def product(text: str, memory_mb: int = 0) -> Product:
    """Of a label's value; `memory_mb` of the whole card tells A100-40GB and A100-80GB apart, 0 if it is not known."""
    is_shared = bool(_SHARED.search(text))
    text = _SHARED.sub("", text)
    if mig := _MIG.search(text):
        whole = card(text[: mig.start()], 0).removesuffix("-PCIe")
        return Product(whole, f"MIG {mig['profile'].lower()}", is_shared)
    if vgpu := _VGPU.search(text):
        return Product(card(text[: vgpu.start()], 0), f"vGPU {vgpu['profile']}", is_shared)
    return Product(card(text, memory_mb), "", is_shared)


def card(text: str, memory_mb: int) -> str:
    words = " ".join(re.split(r"[-_ ]+", text.strip().replace("Max-Q", "MaxQ")))
    plain = " ".join(_PACKAGE.sub(" ", _MAKER.sub(" ", words)).split()).replace("MaxQ", "Max-Q")
    if coded := _CODED.match(plain):
        return f"V100-{coded['gb']}GB"
    name = _spelled(plain) or text
    said = _GB.search(words)
    size = _size(name, int(said["gb"]) if said else 0, memory_mb)
    form = "-PCIe" if name in PCIE_TOO and _PCIE.search(words) else "-NVL" if _NVL.search(words) else ""
    return f"{name}{size}{form}"


def _spelled(plain: str) -> str:
    """Models in capitals, as on the box: "h100" is an "H100", "rtx1660ti" an "RTX 1660 Ti"."""
    if rtx := _RTX.match(plain):
        more = f" {rtx['more'].title()}" if rtx["more"] else ""
        return f"{rtx['line'].upper()} {rtx['number']}{more}"
    return plain.upper() if re.fullmatch(r"[a-z]{1,2}\d{1,3}[a-z]{0,2}", plain) else plain


def _size(name: str, said_gb: int, memory_mb: int) -> str:
    sizes = SIZES.get(name)
    if sizes is None:
        return ""
    size = said_gb or (min(sizes, key=lambda gb: abs(gb * 1024 - memory_mb)) if memory_mb else 0)
    return f"-{size}GB" if size else ""


# --- where a node says no more than its instance type -----------------------------------------------------------------

_INSTANCES = tuple(
    (re.compile(pattern, re.IGNORECASE), name)
    for pattern, name in (
        (r"Standard_NC\d+as_T4_v3", "T4"),
        (r"Standard_NC\d+r?s_v3", "V100-16GB-PCIe"),
        (r"Standard_ND\d+rs_v2", "V100-32GB"),
        (r"Standard_NC\d+r?s_v2", "P100-16GB-PCIe"),
        (r"Standard_NC\d+r?(_Promo)?", "K80"),
        (r"Standard_NC\d+ads_A100_v4", "A100-80GB-PCIe"),
        (r"Standard_ND\d+asr_v4|Standard_ND\d+asr_A100_v4", "A100-40GB"),
        (r"Standard_ND\d+amsr_A100_v4", "A100-80GB"),
        (r"Standard_NC\w*adi?s_H100_v5", "H100-NVL"),
        (r"Standard_ND\d+isr_H100_v5", "H100"),
        (r"Standard_ND\d+isr_H200_v5", "H200"),
        (r"Standard_ND\d+isr_MI300X_v5", "MI300X"),
        (r"Standard_NV(36|72)ads_A10_v5", "A10"),
        (r"Standard_NV\d+ads_A10_v5", "A10 vGPU"),
        (r"p6-b200\..*", "B200"),
        (r"p5\..*", "H100"),
        (r"p5en?\..*", "H200"),
        (r"p4d\..*", "A100-40GB"),
        (r"p4de\..*", "A100-80GB"),
        (r"p3dn\..*", "V100-32GB"),
        (r"p3\..*", "V100-16GB"),
        (r"g6e\..*", "L40S"),
        (r"g6\..*", "L4"),
        (r"g5\..*", "A10G"),
        (r"g4dn\..*", "T4"),
        (r"a3-(high|mega)gpu-.*", "H100"),
        (r"a3-ultragpu-.*", "H200"),
        (r"a2-highgpu-.*|a2-megagpu-.*", "A100-40GB"),
        (r"a2-ultragpu-.*", "A100-80GB"),
        (r"g2-standard-.*", "L4"),
        (r"gd-\d+xh100.*", "H100"),
        (r"gd-\d+xh200.*", "H200"),
    )
)


def of_instance(instance: str) -> str:
    """The GPU of a cloud's instance type; "" for one that is not known."""
    return next((name for pattern, name in _INSTANCES if pattern.fullmatch(instance)), "")
