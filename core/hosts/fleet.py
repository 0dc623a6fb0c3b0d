"""The places for runs on hosts: from what a host says it has to GPUs as the engine knows them. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from core.events import Gpu
from core.executors.gpus import cpu_slots, gpu_type
from core.hosts.settings import HostSettings
from core.ids import GpuId

LEASED = "lease"  # the agent's word for a GPU that a run has, ours or another engine's
_LADDER = (5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14400, 43200, 86400)  # s


class Seat(msgspec.Struct, frozen=True):
    """Where one run fits. `slot`: the same in the agent's words."""

    gpu: Gpu
    slot: dict[str, Any]


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How a host is. `held`: by the slot's id, who has it."""

    gone_s: float | None = None  # None: it answers
    sick: str = ""  # why nothing can begin there
    held: Mapping[str, str] = {}


def seats(host: HostSettings, hello: Mapping[str, Any]) -> tuple[Seat, ...]:
    """As the settings say; else all GPUs that the driver lists; else CPU cores, split evenly."""
    if host.slurm and host.offer:
        kind, count = host.offer
        return tuple(_seat(host, f"slurm{place}", kind, lease=f"leases/slurm{place}") for place in range(count))
    if (host.offer and host.offer[0] == "cpu") or (not host.offer and not hello["gpus"]):
        slots = cpu_slots(tuple(hello["cores"]), host.offer[1] if host.offer else None)
        return tuple(_seat(host, slot.gpu.id, "cpu", lease=f"leases/{slot.gpu.id}", cpus=slot.cpus) for slot in slots)
    return tuple(_gpus(host, hello["gpus"]))


def promised(host: HostSettings) -> tuple[Seat, ...]:
    """What the settings say of a host that was not asked yet."""
    count = host.offer[1] if host.offer else 0
    return seats(host, {"gpus": [], "cores": range(count)}) if count else ()


def _gpus(host: HostSettings, found: list[dict[str, Any]]) -> list[Seat]:
    count = host.offer[1] if host.offer else len(found)
    known = found[:count] or [{"index": place, "uuid": "", "name": "", "memory_mb": 0} for place in range(count)]
    return [
        _seat(
            host,
            f"gpu{each['index']}",
            host.offer[0] if host.offer else gpu_type(each["name"]),
            lease=f"{host.leases}/{each['uuid'] or each['index']}",
            index=each["index"],
            uuid=each["uuid"],
            memory_mb=each["memory_mb"],
            trouble="split by MIG" if each.get("mig") else "",
        )
        for each in known
    ]


def _seat(
    host: HostSettings,
    name: str,
    kind: str,
    *,
    lease: str,
    index: int | None = None,
    cpus: tuple[int, ...] | None = None,
    uuid: str = "",
    memory_mb: int = 0,
    trouble: str = "",
) -> Seat:
    gpu = Gpu(GpuId(f"{host.name}/{name}"), kind, memory_mb, held_by=trouble, broken=bool(trouble))
    return Seat(gpu, {"id": gpu.id, "lease": lease, "index": index, "cpus": cpus, "uuid": uuid})


def observed(seats: Collection[Seat], standing: Standing, ours: Collection[GpuId | None]) -> tuple[Gpu, ...]:
    """The host's GPUs as they are now. `ours`: those that runs of this session have."""
    return tuple(_observed(seat.gpu, standing, is_ours=seat.gpu.id in ours) for seat in seats)


def _observed(gpu: Gpu, standing: Standing, *, is_ours: bool) -> Gpu:
    if standing.gone_s is not None:
        return _replaced(gpu, held_by=gone(standing.gone_s), broken=True)
    if standing.sick:
        return _replaced(gpu, held_by=standing.sick, broken=True)
    who = standing.held.get(gpu.id, "")
    if gpu.broken or not who or is_ours:
        return gpu
    return _replaced(gpu, held_by="another engine" if who == LEASED else who)


def _replaced(gpu: Gpu, *, held_by: str, broken: bool = False) -> Gpu:
    return msgspec.structs.replace(gpu, held_by=held_by, broken=broken)


def gone(seconds: float) -> str:
    """ "host gone for 2 min": in steps, as every change is recorded."""
    past = [step for step in _LADDER if step <= seconds]
    if not past:
        return "host gone"
    step = past[-1]
    number, unit = (step, "s") if step < 60 else (step // 60, "min") if step < 3600 else (step // 3600, "h")
    return f"host gone for {number} {unit}"
