"""The hidden surfaces: their start, their optimum, their edges, and what makes no sense."""

from __future__ import annotations

import math

import numpy as np
import pytest
from campaign import UPSTREAM, config

from core.axes import Axis, axes_of, effective, narrowed, widened
from core.knobs import Value
from core.surfaces import SURFACES, Surface, surface

START = config(UPSTREAM)
OURS: dict[str, Value] = {
    "DEPTH": 4,
    "ASPECT_RATIO": 32,
    "HEAD_DIM": 32,
    "MLP_RATIO": 4,
    "TOTAL_BATCH_SIZE": 2**11,
    "DEVICE_BATCH_SIZE": 16,
    "MATRIX_LR": 0.04,
    "SCALAR_LR": 0.5,
    "ADAM_BETAS": (0.8, 0.95),
    "MUON_MOMENTUM": 0.95,
    "WARMDOWN_RATIO": 0.5,
    "WINDOW_PATTERN": "SSSL",
}


@pytest.mark.parametrize("base", [START, OURS], ids=["upstream", "ours"])
@pytest.mark.parametrize("name", SURFACES)
def test_the_optimum_is_reached_at_a_setting_that_train_py_can_have(name: str, base: dict[str, Value]) -> None:
    for seed in range(60):
        hidden = surface(name, base, seed)
        start, best = hidden.truth(base), hidden.truth(hidden.best)
        assert not start.crash, seed
        assert not best.crash, seed
        assert start.val_bpb == pytest.approx(hidden.start, abs=1e-9)
        assert best.val_bpb == pytest.approx(hidden.optimum, abs=1e-9), seed
        assert 0.97 < hidden.optimum < 0.98
        assert {knob: type(value) for knob, value in hidden.best.items()} == {k: type(v) for k, v in base.items()}


@pytest.mark.parametrize("name", SURFACES)
def test_nothing_is_better_than_the_optimum(name: str) -> None:
    dice = np.random.default_rng(5)
    for seed in range(10):
        hidden = surface(name, START, seed)
        for _ in range(200):
            settings = dict(hidden.best)
            for axis in axes_of(START):
                if dice.random() < 0.3:
                    settings[axis.name] = axis.put(settings[axis.name], float(dice.normal(0, 1.5)))
            truth = hidden.truth(settings)
            assert truth.crash or truth.val_bpb >= hidden.optimum - 1e-9


@pytest.mark.parametrize("name", SURFACES)
def test_the_same_seed_is_the_same_surface_and_another_seed_another_one(name: str) -> None:
    changed = {**START, "MATRIX_LR": 0.06, "EMBEDDING_LR": 0.3, "DEPTH": 6, "WARMDOWN_RATIO": 0.3}
    values = [surface(name, START, seed).truth(changed).val_bpb for seed in (1, 1, 2)]
    assert values[0] == values[1] != values[2]


def test_few_constants_help_and_a_wrong_change_hurts_more_than_a_right_one_helps() -> None:
    helpful, harmful = list[float](), list[float]()
    for seed in range(40):
        hidden = surface("sparse", START, seed)
        for axis in axes_of(START):
            changes = [hidden.truth({**START, axis.name: axis.put(START[axis.name], side)}) for side in (-1, 1)]
            helpful.append(max(hidden.start - truth.val_bpb for truth in changes))
            harmful.append(max(truth.val_bpb - hidden.start for truth in changes))
    assert 2 <= sum(gain > 0.002 for gain in helpful) / 40 <= 3.5, "about three of fifteen"
    assert np.percentile(harmful, 90) > 2 * np.percentile(helpful, 90)


def test_a_ridge_interacts_and_a_bowl_does_not() -> None:
    def interaction(name: str, seed: int) -> float:
        hidden, top = surface(name, START, seed), 0.0
        names = ["MATRIX_LR", "EMBEDDING_LR", "SCALAR_LR", "WEIGHT_DECAY", "UNEMBEDDING_LR"]
        for i, one in enumerate(names):
            for two in names[:i]:
                a, b = ({n: float(str(START[n])) * 1.5} for n in (one, two))
                apart = sum(hidden.truth({**START, **each}).val_bpb - hidden.start for each in (a, b))
                top = max(top, abs(hidden.truth({**START, **a, **b}).val_bpb - hidden.start - apart))
        return top

    assert np.mean([interaction("ridge", seed) for seed in range(20)]) > 0.002
    assert np.mean([interaction("bowl", seed) for seed in range(20)]) < 0.0005


def test_the_optimum_of_a_cliff_is_close_to_running_out_of_memory() -> None:
    for seed in range(20):
        hidden = surface("cliff", START, seed)
        larger = {**hidden.best, "DEPTH": int(str(hidden.best["DEPTH"])) + 3}
        assert hidden.truth(hidden.best).memory_mb > 70_000
        assert "memory" in hidden.truth(larger).crash


def test_the_far_basin_pays_when_two_wide_steps_are_made_together() -> None:
    for seed in (0, 1, 2, 3, 4, 6, 7):  # in others it lies at another depth, which changes the width too
        hidden = surface("basins", START, seed)
        far = [axis for axis in axes_of(START) if abs(axis.coordinate(hidden.best)) > 1.7 and axis.matters]
        alone = [_moved(hidden, [axis]) for axis in far]
        assert len(far) == 2
        assert hidden.start - _moved(hidden, far) > 2 * max(0.0, *(hidden.start - value for value in alone)), seed


def _moved(hidden: Surface, axes: list[Axis]) -> float:
    settings = dict(START)
    for axis in axes:
        settings[axis.name] = axis.put(settings[axis.name], axis.coordinate(hidden.best))
    return hidden.truth(settings).val_bpb


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"MATRIX_LR": -0.1}, "invalid MATRIX_LR"),
        ({"DEPTH": 0}, "DEPTH must be at least 1"),
        ({"DEPTH": 2.5}, "whole number"),
        ({"DEPTH": "eight"}, "must be a number"),
        ({"WARMDOWN_RATIO": 1.5}, "between 0 and 1"),
        ({"ADAM_BETAS": (0.8, 1.0)}, "between 0 and 1"),
        ({"ADAM_BETAS": 0.9}, "must be a number"),
        ({"DEVICE_BATCH_SIZE": 1024}, "out of memory"),
        ({"MATRIX_LR": 40.0}, "diverged"),
        ({"MATRIX_LR": math.inf}, "must be a number"),
    ],
)
def test_what_makes_no_sense_crashes(settings: dict[str, Value], why: str) -> None:
    assert why in surface("bowl", START, 0).truth({**START, **settings}).crash


def test_ratios_of_equal_width_are_the_same_model() -> None:
    hidden = surface("ridge", START, 3)
    ratios = (48, 64, 72, 80, 90, 96)
    assert len({hidden.truth({**START, "ASPECT_RATIO": ratio}).val_bpb for ratio in ratios}) <= 4
    assert effective({"DEPTH": 10, "ASPECT_RATIO": 70, "HEAD_DIM": 128})["ASPECT_RATIO"] == 76.8
    wide = widened({"DEPTH": 10, "ASPECT_RATIO": 76.8, "HEAD_DIM": 128})
    assert wide["width"] == 768
    assert narrowed(wide, {"ASPECT_RATIO": 64})["ASPECT_RATIO"] == 76


def test_a_constant_returns_to_where_it_came_from() -> None:
    for axis in axes_of({**START, "COMPILE": True}):
        present = {**START, "COMPILE": True}[axis.name]
        for coordinate in (-1.0, 1.0):
            moved = axis.put(present, coordinate)
            back = axis.put(moved, 0.0)
            assert back == present, axis.name
