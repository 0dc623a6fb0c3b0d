"""The places for runs on this machine: its NVIDIA GPUs, else its CPU cores. Asks the driver once and starts nothing."""

from __future__ import annotations

import os
import re

import msgspec

from core.errors import NothingRuns
from core.events import Gpu
from core.ids import GpuId

CORES = 8  # slots that are made of CPU cores unless more are asked for
SHARED = 4  # slots per core at most

_NOISE = re.compile(r"\b(?:NVIDIA|GeForce|Quadro|Tesla|Graphics|Corporation)\b", re.IGNORECASE)
_PACKAGE = re.compile(r"[ -](?:\d+\s?GB|SXM\d?|PCIe|HBM\d?e?|NVL|OEM|MIG|Laptop GPU|Server Edition)\b.*", re.IGNORECASE)


class Slot(msgspec.Struct, frozen=True):
    """Where one run fits. CPU slots have cores to be pinned to, GPU slots have the driver's index."""

    gpu: Gpu
    cpus: tuple[int, ...] | None = None
    index: int | None = None


def local_slots(count: int | None = None) -> tuple[Slot, ...]:
    """All GPUs, or CPU slots where there are none; at most `count`. Raises NothingRuns if that leaves nothing."""
    if count is not None and count < 1:
        raise NothingRuns(f"{count} slots were asked for: set slots to 1 or more, or unset it.")
    gpus = visible(gpu_slots(), os.environ.get("CUDA_VISIBLE_DEVICES"))
    return gpus[:count] if gpus else cpu_slots(available_cores(), count)


def gpu_slots() -> tuple[Slot, ...]:
    """What the driver reports; empty without a driver. Raises NothingRuns if it has GPUs that cannot be used."""
    import pynvml  # half the start-up time of this module; most laptops have no use for it

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return ()
    try:
        devices = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
        return tuple(_slot(index, device) for index, device in enumerate(devices))
    except pynvml.NVMLError as error:
        raise NothingRuns(
            f"The NVIDIA driver reports an error ({error}): run nvidia-smi, and reboot if it agrees."
        ) from error
    finally:
        pynvml.nvmlShutdown()


def visible(slots: tuple[Slot, ...], chosen: str | None) -> tuple[Slot, ...]:
    """Those that CUDA_VISIBLE_DEVICES allows; it is not applied if it is unset or names GPUs in another way."""
    names = [name.strip() for name in (chosen or "").split(",")] if chosen is not None else []
    if chosen is None or not all(name.isdigit() for name in names if name):
        return slots
    return tuple(slot for slot in slots if str(slot.index) in names)


def _slot(index: int, device: object) -> Slot:
    import pynvml

    if _is_split(device):
        raise NothingRuns(
            f"GPU {index} is split by MIG, which runs here cannot use: turn it off with nvidia-smi -mig 0."
        )
    name = pynvml.nvmlDeviceGetName(device)
    memory = int(pynvml.nvmlDeviceGetMemoryInfo(device).total) >> 20
    type_name = gpu_type(name if isinstance(name, str) else name.decode(errors="replace"))
    return Slot(gpu=Gpu(id=GpuId(f"gpu{index}"), type=type_name, memory_mb=memory), index=index)


def _is_split(device: object) -> bool:
    import pynvml

    try:
        return bool(pynvml.nvmlDeviceGetMigMode(device)[0])
    except pynvml.NVMLError:  # a GPU that knows no MIG
        return False


def gpu_type(product: str) -> str:
    """The short name of a product: "NVIDIA H100 80GB HBM3" is an "H100", "NVIDIA GeForce RTX 4090" an "RTX 4090"."""
    plain = " ".join(_NOISE.sub(" ", product).split())
    return _PACKAGE.sub("", plain).strip() or plain or "GPU"


def available_cores() -> tuple[int, ...]:
    """The cores that this process may use; where the system cannot say, as many as it has."""
    if hasattr(os, "sched_getaffinity"):
        return tuple(sorted(os.sched_getaffinity(0)))
    return tuple(range(os.cpu_count() or 1))


def cpu_slots(cores: tuple[int, ...], count: int | None) -> tuple[Slot, ...]:
    """The cores split evenly, so that runs side by side do not disturb each other; shared only if asked for more."""
    number = min(len(cores), CORES) if count is None else min(count, SHARED * len(cores))
    if number < 1:
        raise NothingRuns("No CPU core is available to this process: check its affinity and its container's limits.")
    return tuple(
        Slot(gpu=Gpu(id=GpuId(f"cpu{index}"), type="cpu"), cpus=_share(cores, index, number)) for index in range(number)
    )


def _share(cores: tuple[int, ...], index: int, number: int) -> tuple[int, ...]:
    if number > len(cores):
        return (cores[index % len(cores)],)
    size = len(cores) // number  # the same for all: results of unequal slots would not compare
    return cores[index * size : (index + 1) * size]
