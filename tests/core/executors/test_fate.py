"""What becomes of a simulated run follows from the job, and its figures are the published ones."""

from __future__ import annotations

from statistics import fmean, stdev

import msgspec
import pytest
from campaign import UPSTREAM, config

from core.executors.fate import ROOM_MB, Fate, Physics, effective, fate
from core.executors.simulator_fleet import fleet
from core.knobs import Value
from core.surfaces import Surface, Truth, surface

BASE = config(UPSTREAM)
SURE = msgspec.structs.replace(Physics(), crash_rate=0.0)


class Flat:
    """Everything is the same, but one constant crashes."""

    name, start, optimum, best = "flat", 1.0, 1.0, BASE

    def truth(self, config: dict[str, Value]) -> Truth:
        return Truth(1.0, 40_000.0, "CUDA out of memory" if config.get("DEPTH") == 99 else "")


FLAT: Surface = Flat()  # type: ignore[assignment]  # a dict is a mapping


def lot(seed: int = 1, gpu_type: str = "H100", physics: Physics = SURE, run: str = "", **changes: Value) -> Fate:
    return fate({**BASE, **changes}, FLAT, gpu_type=gpu_type, seed=seed, physics=physics, run=run)


def test_the_same_job_has_the_same_fate_always() -> None:
    assert lot() == lot()
    assert lot().loss(0.3) == lot().loss(0.3)
    assert lot().val_bpb != lot(seed=2).val_bpb
    assert lot().val_bpb != lot(run="e1-2").val_bpb, "the same seed once more differs a little"


def test_noise_and_times_are_the_published_ones() -> None:
    lots = [lot(seed) for seed in range(2000)]
    assert stdev(one.val_bpb for one in lots) == pytest.approx((0.0007**2 + 0.0003**2) ** 0.5, rel=0.08)
    assert fmean(one.val_bpb for one in lots) == pytest.approx(1.0, abs=0.0001)
    assert fmean(one.seconds for one in lots) == pytest.approx(326, abs=0.2)
    again = [lot(1, run=f"e1-{number}").val_bpb for number in range(500)]
    assert stdev(again) == pytest.approx(0.0003, rel=0.15)


def test_an_h200_makes_more_steps_and_is_better_by_its_offset() -> None:
    here, there = ([lot(seed, kind) for seed in range(500)] for kind in ("H100", "H200"))
    assert there[0].steps / here[0].steps == pytest.approx(283 / 263, rel=0.01)
    offset = fmean(one.val_bpb for one in there) - fmean(one.val_bpb for one in here)
    assert offset == pytest.approx(-0.005, abs=0.0002)


def test_six_ratios_are_four_models() -> None:
    marks = {ratio: lot(ASPECT_RATIO=ratio).fingerprint for ratio in (48, 64, 72, 80, 90, 96)}
    assert len(set(marks.values())) == 4
    assert marks[72] == marks[80]
    assert marks[90] == marks[96]
    assert effective({**BASE, "ASPECT_RATIO": 72}) == effective({**BASE, "ASPECT_RATIO": 80})


def test_equal_values_are_one_configuration_and_other_code_is_another() -> None:
    assert lot(MATRIX_LR=1).fingerprint == lot(MATRIX_LR=1.0).fingerprint
    assert lot(MATRIX_LR=1).fingerprint != lot(MATRIX_LR=2).fingerprint
    other = fate(BASE, FLAT, gpu_type="H100", seed=1, physics=SURE, code="edited")
    assert other.fingerprint != lot().fingerprint


def test_two_in_a_hundred_crash_most_of_them_within_seconds() -> None:
    crashes = [crash for seed in range(5000) if (crash := lot(seed, physics=Physics()).crash)]
    assert len(crashes) == pytest.approx(100, abs=30)
    early = sum(crash.after_s < 20 for crash in crashes)
    assert 0.8 * len(crashes) < early < len(crashes)
    assert all(crash.reason in crash.tail for crash in crashes)


def test_what_the_surface_says_crashes_always() -> None:
    crashes = [lot(seed, DEPTH=99).crash for seed in range(20)]
    assert {crash and crash.reason for crash in crashes} == {"CUDA out of memory"}
    assert all(crash and crash.after_s < 20 for crash in crashes)


def test_what_is_too_large_for_an_h100_may_fit_into_an_h200() -> None:
    hidden = surface("cliff", BASE, 1)
    depth = next(depth for depth in range(8, 99) if hidden.truth({**BASE, "DEPTH": depth}).memory_mb > 90_000)
    large, diverging = {**BASE, "DEPTH": depth}, {**BASE, "DEPTH": depth, "MATRIX_LR": 40.0}

    def end(values: dict[str, Value], gpu_type: str) -> str:
        found = fate(values, hidden, gpu_type=gpu_type, seed=1, physics=SURE)
        return found.crash.reason if found.crash else ""

    memory = hidden.truth(large).memory_mb
    assert 90_000 < memory < 141_000, "it must be between the two for this test"
    assert end(large, "H100") == f"CUDA out of memory: {memory / 1000:.0f} GB of 80 GB needed"
    assert end(large, "H200") == ""
    assert end(diverging, "H200") == "the loss diverged (MATRIX_LR is too high)"
    assert end({**BASE, "DEVICE_BATCH_SIZE": 1024}, "H200").endswith(" GB of 141 GB needed")
    assert end(large, "L4") == end(large, "H100"), "another type is taken for the reference type"


def test_a_run_can_have_of_a_gpu_what_the_simulated_fleet_shows_of_it() -> None:
    for gpu in fleet("H100:1,H200:1"):
        assert 0.95 * gpu.memory_mb < ROOM_MB[gpu.type] < gpu.memory_mb


def test_the_loss_falls_down_to_the_result_and_a_bad_run_is_seen_early() -> None:
    good = surface("bowl", BASE, 1)
    bad = {**BASE, "MATRIX_LR": 1.0, "EMBEDDING_LR": 20.0, "DEPTH": 2}
    one, other = (fate(values, good, gpu_type="H100", seed=1, physics=SURE) for values in (BASE, bad))
    losses = [one.loss(step / 20) for step in range(21)]
    assert losses[0] > 2 * losses[-1]
    assert losses[4] > losses[9] > losses[19]
    assert losses[-1] == pytest.approx(2.8 * one.val_bpb, rel=0.01)
    assert other.val_bpb > one.val_bpb + 0.02, "the surface must make it bad for this test"
    assert other.loss(0.3) > 1.03 * one.loss(0.3)
