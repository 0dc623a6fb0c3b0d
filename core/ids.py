"""Names of things, as types of their own, so that an experiment is never passed where a run is meant."""

from __future__ import annotations

from typing import NewType

SessionId = NewType("SessionId", str)  # "2026-11-23-a1b2c3"
ExperimentId = NewType("ExperimentId", str)  # "e0" is the train.py as found; "e1", "e2", … are changes
WaveId = NewType("WaveId", str)  # "w1", "w2", …
RunId = NewType("RunId", str)  # "e12-1": the first execution of e12
GpuId = NewType("GpuId", str)  # "cpu0", "gpu3", a node and index on a cluster
CommandId = NewType("CommandId", str)

BASELINE = ExperimentId("e0")


def experiment_id(number: int) -> ExperimentId:
    return ExperimentId(f"e{number}")


def number(name: ExperimentId) -> int:
    """Its place in the order of proposal; −1 for a name that is none."""
    digits = name[1:]
    return int(digits) if digits.isdecimal() else -1


def wave_id(number: int) -> WaveId:
    return WaveId(f"w{number}")


def run_id(experiment: ExperimentId, number: int) -> RunId:
    return RunId(f"{experiment}-{number}")
