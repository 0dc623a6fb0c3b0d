"""The places for runs on a machine."""

from __future__ import annotations

import pytest

from core.errors import NothingRuns
from core.events import Gpu
from core.executors.gpus import Slot, cpu_slots, gpu_type, local_slots, visible
from core.ids import GpuId


def test_gpus_go_by_their_short_names() -> None:
    names = {
        "NVIDIA H100 80GB HBM3": "H100",
        "NVIDIA H100 PCIe": "H100",
        "NVIDIA H200": "H200",
        "NVIDIA A100-SXM4-80GB": "A100",
        "NVIDIA GeForce RTX 4090": "RTX 4090",
        "NVIDIA GeForce RTX 3080 Laptop GPU": "RTX 3080",
        "NVIDIA RTX 6000 Ada Generation": "RTX 6000 Ada Generation",
        "Tesla V100-SXM2-16GB": "V100",
        "NVIDIA L40S": "L40S",
        "NVIDIA": "GPU",
    }
    assert {name: gpu_type(name) for name in names} == names


def test_cores_are_shared_out_evenly() -> None:
    cores = tuple(range(16))
    assert [slot.cpus for slot in cpu_slots(cores, 3)] == [(0, 1, 2, 3, 4), (5, 6, 7, 8, 9), (10, 11, 12, 13, 14)]
    assert len(cpu_slots(cores, None)) == 8
    assert [slot.cpus for slot in cpu_slots((4, 6), 5)] == [(4,), (6,), (4,), (6,), (4,)]
    assert len(cpu_slots((4, 6), 99)) == 8


def test_no_slots_is_an_error() -> None:
    with pytest.raises(NothingRuns, match="set slots to 1 or more"):
        local_slots(0)
    with pytest.raises(NothingRuns, match="No CPU core"):
        cpu_slots((), None)
    assert len(local_slots(1)) == 1


def test_cuda_visible_devices_is_respected() -> None:
    two = tuple(Slot(Gpu(GpuId(f"gpu{index}"), "H100"), index=index) for index in range(2))
    assert visible(two, None) == two
    assert visible(two, "1") == two[1:]
    assert visible(two, "") == ()
    assert visible(two, "GPU-8f2e") == two
