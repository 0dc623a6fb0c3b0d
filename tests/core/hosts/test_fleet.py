"""The places of a host as the engine sees them."""

from __future__ import annotations

from typing import Any

import pytest

from core.hosts.fleet import Standing, gone, observed, promised, seats
from core.hosts.settings import HostSettings

H100 = {"index": 0, "uuid": "GPU-1", "name": "NVIDIA H100 80GB HBM3", "memory_mb": 81559, "mig": False}


def host(**changes: Any) -> HostSettings:
    return HostSettings(name="box1", address="gpu1.lab", **changes)


def hello(*gpus: dict[str, Any], cores: int = 4) -> dict[str, Any]:
    return {"gpus": list(gpus), "cores": list(range(cores))}


def test_all_gpus_of_the_driver_are_places_with_a_lease_that_all_users_share() -> None:
    first, second = seats(host(), hello(H100, {**H100, "index": 1, "uuid": "GPU-2"}))
    assert (first.gpu.id, first.gpu.type, first.gpu.memory_mb) == ("box1/gpu0", "H100", 81559)
    assert first.slot["lease"] == "/tmp/autoresearch-gpus/GPU-1"  # noqa: S108
    assert (second.slot["index"], second.slot["uuid"]) == (1, "GPU-2")


def test_the_settings_may_name_the_type_and_take_fewer() -> None:
    (seat,) = seats(host(gpus="Hopper:1"), hello(H100, {**H100, "index": 1}))
    assert (seat.gpu.type, seat.slot["uuid"]) == ("Hopper", "GPU-1")


def test_without_a_driver_cores_are_split_evenly() -> None:
    assert [seat.slot["cpus"] for seat in seats(host(gpus="cpu:2"), hello())] == [(0, 1), (2, 3)]
    assert len(seats(host(), hello())) == 4


def test_a_host_that_was_never_asked_has_what_the_settings_say() -> None:
    assert [seat.gpu.id for seat in promised(host(gpus="H100:2"))] == ["box1/gpu0", "box1/gpu1"]
    assert [seat.gpu.id for seat in promised(host(gpus="cpu:1"))] == ["box1/cpu0"]
    assert promised(host()) == ()


@pytest.mark.parametrize(
    ("standing", "ours", "held_by", "broken"),
    [
        (Standing(), False, "", False),
        (Standing(held={"box1/gpu0": "ada (python, process 7)"}), False, "ada (python, process 7)", False),
        (Standing(held={"box1/gpu0": "lease"}), False, "another engine", False),
        (Standing(held={"box1/gpu0": "lease"}), True, "", False),
        (Standing(sick="disk full: 3 MB free"), False, "disk full: 3 MB free", True),
        (Standing(gone_s=12.0, sick="disk full"), True, "host gone for 10 s", True),
    ],
)
def test_a_gpu_says_who_has_it_or_what_is_wrong(standing: Standing, ours: bool, held_by: str, broken: bool) -> None:
    places = seats(host(), hello(H100))
    (gpu,) = observed(places, standing, {places[0].gpu.id} if ours else ())
    assert (gpu.held_by, gpu.broken) == (held_by, broken)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.5, "host gone"), (12, "host gone for 10 s"), (130, "host gone for 2 min"), (90_000, "host gone for 24 h")],
)
def test_how_long_a_host_is_gone_is_told_in_steps(seconds: float, text: str) -> None:
    assert gone(seconds) == text
