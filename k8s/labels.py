"""What GPUs a node has, from its labels and resources: `gpu_kinds(node)`. Every platform labels them in its own way.

NVIDIA's feature discovery, CoreWeave, GKE, Karpenter on AWS and Azure, EKS, AKS, Alibaba, AMD, Intel and Akash are
read; a slice of a GPU (MIG), a shared one and a virtual one are kinds of their own and never pass for a whole one. How
many there are is what the node offers as a resource: labels count cards. Knows no pods.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Literal

import msgspec

from k8s import names
from k8s.names import Product
from k8s.shapes import Labels, Node

Flavour = Literal["whole", "mig", "shared", "vgpu", "invalid"]
INSTANCE = "node.kubernetes.io/instance-type"
HOSTNAME = "kubernetes.io/hostname"
_MIG_RESOURCE = re.compile(r"nvidia\.com/mig-(?P<profile>\d+g\.\d+gb(?:\.\w+)?)(?:\.shared)?")
_WHOLE = re.compile(r"nvidia\.com/gpu(\.shared)?|amd\.com/gpu|gpu\.intel\.com/(i915|xe)")
_VENDORS = {"nvidia.com": "NVIDIA", "amd.com": "AMD", "gpu.intel.com": "Intel"}
_UNITS = {"k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """GPUs of one kind on one node."""

    type: str  # "H100", "A100-40GB MIG 1g.5gb", "A10G shared"
    resource: str  # what a pod asks for: "nvidia.com/gpu", "amd.com/gpu", "nvidia.com/mig-1g.10gb"
    key: str  # the label that says the product, and its value, for a pod's node affinity
    value: str
    count: int  # that pods can have
    broken: int = 0  # more that the node has and does not offer: unhealthy, or their driver is not up
    memory_mb: int = 0  # of one; 0: not known
    flavour: Flavour = "whole"


class Found(msgspec.Struct, frozen=True):
    """What a platform's labels say of a node's cards."""

    key: str
    value: str
    product: Product
    memory_mb: int = 0


def gpu_kinds(node: Node) -> tuple[Kind, ...]:
    """None for a node without GPUs that a container can have; more than one where cards are sliced differently."""
    return tuple(_kinds(node))


def whole(quantity: str) -> int:
    """A resource quantity as a whole number, rounded down: "8", "1k", "2e3"; 0 for what is none."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?(?:[eE]\d+)?)(m|[kMGT]|[KMGT]i)?", quantity)
    if match is None:
        return 0
    scale = 0.001 if match[2] == "m" else _UNITS.get(match[2] or "", 1)
    return int(float(match[1]) * scale)


def _kinds(node: Node) -> Iterator[Kind]:
    labels = node.metadata.labels
    for resource in sorted(node.status.capacity | node.status.allocatable):
        offered = whole(node.status.allocatable.get(resource, "0"))
        there = max(offered, whole(node.status.capacity.get(resource, "0")))
        if there and (mig := _MIG_RESOURCE.fullmatch(resource)):
            yield _slice(node, resource, mig["profile"], offered, there)
        elif there and _WHOLE.fullmatch(resource):
            found = _found(labels, resource) or _nameless(node, resource)
            product = _divided(found.product, labels, resource)
            yield Kind(
                type=product.type,
                resource=resource,
                key=found.key,
                value=found.value,
                count=0 if product.part == "MIG invalid" else offered,
                broken=there if product.part == "MIG invalid" else there - offered,
                memory_mb=_profile_mb(product.part) or found.memory_mb,
                flavour=_flavour(product),
            )


def _slice(node: Node, resource: str, profile: str, offered: int, there: int) -> Kind:
    """Of MIG's mixed strategy: every profile is a resource, and the product label still names the card."""
    labels = node.metadata.labels
    found = _found(labels, "nvidia.com/gpu") or _nameless(node, "nvidia.com/gpu")
    product = Product(found.product.name.removesuffix("-PCIe"), f"MIG {profile}", resource.endswith(".shared"))
    return Kind(
        type=product.type,
        resource=resource,
        key=found.key,
        value=found.value,
        count=offered,
        broken=there - offered,
        memory_mb=whole(labels.get(f"nvidia.com/mig-{profile}.memory", "")) or _profile_mb(product.part),
        flavour="shared" if product.is_shared else "mig",
    )


def _flavour(product: Product) -> Flavour:
    match product.part.partition(" "):
        case ("MIG", _, "invalid"):
            return "invalid"
        case _ if product.is_shared:
            return "shared"
        case ("MIG", _, _):
            return "mig"
        case ("vGPU", _, _):
            return "vgpu"
    return "vgpu" if product.name.endswith("vGPU") else "whole"


def _divided(product: Product, labels: Labels, resource: str) -> Product:
    """Where other labels say that the cards are sliced or shared."""
    part, is_shared = product.part, product.is_shared or resource.endswith(".shared")
    if size := labels.get("cloud.google.com/gke-gpu-partition-size"):
        product, part = product._replace(name=product.name.removesuffix("-PCIe")), f"MIG {size}"
    strategies = ("cloud.google.com/gke-gpu-sharing-strategy", "nvidia.com/gpu.sharing-strategy")
    is_shared = is_shared or any(labels.get(key, "none") not in ("none", "") for key in strategies)
    return product._replace(part=part, is_shared=is_shared or whole(labels.get("nvidia.com/gpu.replicas", "1")) > 1)


def _profile_mb(part: str) -> int:
    """Memory that the name of a MIG profile promises."""
    match = re.search(r"\d+g\.(\d+)gb", part)
    return int(match[1]) * 1024 if match else 0


def _nameless(node: Node, resource: str) -> Found:
    """GPUs of a model that nobody says: told apart from others by instance type, else by node."""
    vendor = next((name for prefix, name in _VENDORS.items() if resource.startswith(prefix)), "")
    instance = node.metadata.labels.get(INSTANCE, "")
    key, value = (INSTANCE, instance) if instance else (HOSTNAME, node.metadata.labels.get(HOSTNAME, node.name))
    return Found(key, value, Product(f"{vendor} GPU".strip()))


# --- what platforms write, the most precise first ---------------------------------------------------------------------


def _found(labels: Labels, resource: str) -> Found | None:
    readers = next(rows for prefix, rows in _READERS.items() if resource.startswith(prefix))
    return next((found for read in readers if (found := read(labels))), None)


def _plain(key: str, memory: str = "", scale: int = 1) -> Callable[[Labels], Found | None]:
    """A label whose value is the product, and one with its memory in MiB times `scale`."""

    def read(labels: Labels) -> Found | None:
        if not (value := labels.get(key, "")):
            return None
        memory_mb = whole(labels.get(memory, "")) * scale
        return Found(key, value, names.product(value, memory_mb), memory_mb)

    return read


def _gke(labels: Labels) -> Found | None:
    """GKE's plain "nvidia-tesla-a100" is the one with 40 GB."""
    found = _plain("cloud.google.com/gke-accelerator")(labels)
    is_small = found is not None and found.product.name == "A100"
    return msgspec.structs.replace(found, product=Product("A100-40GB")) if found and is_small else found


def _instance(labels: Labels) -> Found | None:
    value = labels.get(INSTANCE, "")
    name = names.of_instance(value)
    return Found(INSTANCE, value, Product(name)) if name else None


def _sized(key: str) -> Callable[[Labels], Found | None]:
    """A label with the model alone: its size follows from the instance type, if that is known."""

    def read(labels: Labels) -> Found | None:
        found, whole_name = _plain(key)(labels), _instance(labels)
        if found and whole_name and whole_name.product.name.startswith(found.product.name):
            return msgspec.structs.replace(found, product=whole_name.product)
        return found

    return read


def _amd(labels: Labels) -> Found | None:
    """Memory is written like "192G"; the second key is that of an older labeller."""
    for key in ("amd.com/gpu.product-name", "beta.amd.com/gpu.product-name"):
        if value := labels.get(key):
            memory_mb = whole(re.sub(r"G$", "", labels.get("amd.com/gpu.vram", ""))) * 1024
            return Found(key, value, names.product(value, memory_mb), memory_mb)
    return None


def _amd_in_keys(labels: Labels) -> Found | None:
    """The oldest labeller: "beta.amd.com/gpu.vram.16G" is 1, and no product is named."""
    said = {
        match[1]: match[2] for key in labels if (match := re.fullmatch(r"beta\.amd\.com/gpu\.([a-z-]+)\.(\w+)", key))
    }
    if "vram" not in said and "cu-count" not in said:
        return None
    vram, units = said.get("vram", ""), said.get("cu-count", "")
    name = " ".join(filter(None, ("AMD", vram and f"{vram}B", units and f"{units}CU")))
    key = f"beta.amd.com/gpu.cu-count.{units}" if units else f"beta.amd.com/gpu.vram.{vram}"
    return Found(key, labels[key], Product(name), whole(vram.removesuffix("G")) * 1024)


def _akash(labels: Labels) -> Found | None:
    """The model is in the key, and the memory in a longer one."""
    pattern = r"akash\.network/capabilities\.gpu\.vendor\.nvidia\.model\.(\w+?)(?:\.ram\.(\d+)Gi)?"
    found = {key: match for key in sorted(labels) if (match := re.fullmatch(pattern, key))}
    sizes = [int(match[2]) for match in found.values() if match[2]]
    memory_mb = 1024 * max(sizes, default=0)
    for key, match in found.items():
        if not match[2]:
            return Found(key, labels[key], names.product(match[1], memory_mb), memory_mb)
    return None


_READERS: dict[str, tuple[Callable[[Labels], Found | None], ...]] = {
    "nvidia.com/": (
        _plain("nvidia.com/gpu.product", "nvidia.com/gpu.memory"),
        _plain("gpu.nvidia.com/class", "gpu.nvidia.com/vram", 1000),
        _gke,  # after CoreWeave, whose nodes carry this key too
        _plain("karpenter.k8s.aws/instance-gpu-name", "karpenter.k8s.aws/instance-gpu-memory"),
        _plain("eks.amazonaws.com/instance-gpu-name", "eks.amazonaws.com/instance-gpu-memory"),
        _sized("karpenter.azure.com/sku-gpu-name"),
        _plain("alibabacloud.com/gpu-card-model"),
        _akash,
        _instance,
    ),
    "amd.com/": (_amd, _amd_in_keys, _instance),
    "gpu.intel.com/": (_plain("gpu.intel.com/product"),),
}
