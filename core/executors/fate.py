"""What becomes of a simulated run: how long it takes, what it measures, whether it crashes. Pure.

The truth is the surface's; what is added here is what a cluster adds to it: seconds, noise, offsets between GPU types,
accidents and a learning curve. The same job always has the same fate. Knows no clock, no fleet and no train.py.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from random import Random
from zlib import crc32

import msgspec

from core.knobs import Value
from core.surfaces import GPU_MEMORY_MB, Surface

VOCABULARY = 8192
NATS_PER_BPB = 2.8  # training loss in nats per token at val_bpb 1: about 4 bytes per token, and ln 2
POWER = 0.35  # exponent of the learning curve
WARM = 0.004  # fraction of the budget at which the curve begins
SLOW_SD = 0.01  # how much better or worse than its end a configuration looks at first, relative
LOSS_SD = 0.0015  # minibatch noise of the smoothed training loss, relative
STEP_S = {"H100": 0.283, "H200": 0.263}  # of one optimizer step
OFFSET_BPB = {"H200": -0.005}  # of val_bpb, against an H100
ROOM_MB = {"H100": GPU_MEMORY_MB, "H200": 141_000.0}  # of its memory, for a run


class Physics(msgspec.Struct, frozen=True, kw_only=True):
    """How the simulated cluster behaves. The defaults are published figures of runs with a 5-minute budget."""

    budget_s: float = 300.0
    startup_s: float = 8.0
    startup_sd_s: float = 0.5
    evaluation_s: float = 18.0
    evaluation_sd_s: float = 0.3
    step_s: dict[str, float] = msgspec.field(default_factory=lambda: dict(STEP_S))  # of one step of `step_tokens`
    step_tokens: int = 2**19
    offset_bpb: dict[str, float] = msgspec.field(default_factory=lambda: dict(OFFSET_BPB))  # of val_bpb
    room_mb: dict[str, float] = msgspec.field(default_factory=lambda: dict(ROOM_MB))  # of GPU memory, for a run
    seed_sd: float = 0.0007  # of val_bpb, from seed to seed
    gpu_sd: float = 0.0003  # of val_bpb, the same seed once more
    crash_rate: float = 0.02  # besides what the surface says


class Crash(msgspec.Struct, frozen=True):
    reason: str
    after_s: float  # seconds since the start of the run
    tail: str  # last lines of its log


class Fate(msgspec.Struct, frozen=True, kw_only=True):
    startup_s: float
    training_s: float
    evaluation_s: float
    val_bpb: float  # as measured: truth + offset of the GPU type + noise
    memory_mb: float
    params_m: float
    tokens_m: float
    steps: int
    fingerprint: str  # of the effective configuration
    crash: Crash | None
    early: float  # how much worse than its end it looks at the beginning, relative
    dice: int  # of the minibatch noise

    @property
    def seconds(self) -> float:
        """From its start to its end, whatever the end is."""
        return self.crash.after_s if self.crash else self.startup_s + self.training_s + self.evaluation_s

    def loss(self, fraction: float) -> float:
        """Smoothed training loss in nats per token at this fraction of the budget: a power law down to the result."""
        left: float = (fraction + WARM) ** -POWER - (1 + WARM) ** -POWER
        end = NATS_PER_BPB * self.val_bpb
        falling: float = (math.log(VOCABULARY) - end) * left / (WARM**-POWER - (1 + WARM) ** -POWER)
        noise = _dice(f"{self.dice}/{fraction:.6f}").gauss(0, LOSS_SD)
        return (end + falling) * (1 + self.early * (1 - fraction) + noise)


def fate(
    config: Mapping[str, Value],
    surface: Surface,
    *,
    gpu_type: str,
    seed: int,
    physics: Physics,
    session_seed: int = 0,
    run: str = "",
    code: str = "",
) -> Fate:
    """What becomes of a run of the constants `config` with this seed.

    `run` tells executions of one seed apart, `code` (a digest) configurations that differ in more than constants.
    """
    real = effective(config)
    mark, truth = fingerprint(real, code), surface.truth(real)
    dice = _dice(f"{session_seed}/{seed}/{run}")
    startup = max(1.0, dice.gauss(physics.startup_s, physics.startup_sd_s))
    evaluation = max(1.0, dice.gauss(physics.evaluation_s, physics.evaluation_sd_s))
    seed_noise = _dice(f"{session_seed}/{seed}/{mark}").gauss(0, physics.seed_sd)
    mean = truth.val_bpb if math.isfinite(truth.val_bpb) else surface.start  # it crashes: nobody will see it
    measured = mean + physics.offset_bpb.get(gpu_type, 0.0) + seed_noise + dice.gauss(0, physics.gpu_sd)
    tokens = physics.budget_s / physics.step_s.get(gpu_type, STEP_S["H100"]) * physics.step_tokens
    return Fate(
        startup_s=startup,
        training_s=physics.budget_s,
        evaluation_s=evaluation,
        val_bpb=measured,
        memory_mb=truth.memory_mb,
        params_m=_params_m(real),
        tokens_m=tokens / 1e6,
        steps=max(1, round(tokens / _number(real, "TOTAL_BATCH_SIZE", physics.step_tokens))),
        fingerprint=mark,
        crash=_crash(truth.crash_on(physics.room_mb.get(gpu_type, GPU_MEMORY_MB)), startup, physics, dice),
        early=_early(measured, surface.start, mark),
        dice=crc32(f"{session_seed}/{seed}/{run}/loss".encode()),
    )


def _dice(text: str) -> Random:
    """The same throws for the same text, on every machine."""
    return Random(text)  # noqa: S311  nothing secret


def _early(val_bpb: float, start: float, mark: str) -> float:
    """A bad configuration looks worse at first than it ends; any may look a little better or worse."""
    return max(0.0, val_bpb / start - 1) + _dice(mark).gauss(0, SLOW_SD)


# --- the effective configuration --------------------------------------------------------------------------------------


def effective(config: Mapping[str, Value]) -> dict[str, Value]:
    """The constants as the model is built from them: a width is a whole number of heads.

    Ratios of equal width are the same model, so they come out as the same ratio.
    """
    depth, ratio, head = (config.get(name) for name in ("DEPTH", "ASPECT_RATIO", "HEAD_DIM"))
    if not (isinstance(depth, int) and isinstance(ratio, int | float) and isinstance(head, int)):
        return dict(config)
    if min(depth, ratio, head) <= 0:
        return dict(config)
    width = math.ceil(round(depth * ratio / head, 6)) * head
    exact = width / depth
    return {**config, "ASPECT_RATIO": int(exact) if exact.is_integer() else exact}


def fingerprint(real: Mapping[str, Value], code: str = "") -> str:
    """16 hexadecimal digits; `real` is an effective configuration."""
    text = repr(sorted((name, _plain(value)) for name, value in real.items()))
    return hashlib.sha256(f"{code} {text}".encode()).hexdigest()[:16]


def _plain(value: object) -> object:
    """1 and 1.0, [1] and (1,) are one value."""
    if isinstance(value, list | tuple):
        return tuple(_plain(part) for part in value)
    return float(value) if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**53 else value


def _params_m(real: Mapping[str, Value]) -> float:
    """Millions of parameters: 12 width² per block, and the embeddings."""
    depth, ratio = _number(real, "DEPTH", 8), _number(real, "ASPECT_RATIO", 64)
    width = depth * ratio
    return (12 * depth * width**2 + 2 * VOCABULARY * width) / 1e6


def _number(real: Mapping[str, Value], name: str, default: float) -> float:
    value = real.get(name)
    return float(value) if isinstance(value, int | float) and 0 < value < 1e15 else float(default)


# --- accidents --------------------------------------------------------------------------------------------------------

_MEMORY = "CUDA out of memory"
_ACCIDENTS = (  # cause, weight, whether it is there from the first step, its last line
    ("RuntimeError: mat1 and mat2 shapes cannot be multiplied (32768x512 and 640x2048)", 0.35, True),
    ("NameError: name 'window_size' is not defined", 0.35, True),
    (_MEMORY, 0.2, True),
    ("DistBackendError: NCCL error: remote process exited or there was a network error", 0.05, False),
    ("AcceleratorError: CUDA error: uncorrectable ECC error encountered", 0.05, False),
)


def _crash(said: str, startup: float, physics: Physics, dice: Random) -> Crash | None:
    """What the surface says comes first; the dice are thrown all the same, so that nothing else depends on it."""
    happens, when = dice.random() < physics.crash_rate, dice.random()
    reason, _, soon = dice.choices(_ACCIDENTS, [weight for _, weight, _ in _ACCIDENTS])[0]
    if not (said or happens):
        return None
    if said:
        reason, soon = said, "memory" in said.lower()
    return Crash(reason, startup + when * (5.0 if soon else physics.budget_s), _tail(reason))


def _tail(reason: str) -> str:
    last = f"torch.OutOfMemoryError: {reason}." if reason == _MEMORY else reason
    return f'Traceback (most recent call last):\n  File "train.py", line 1, in <module>\n{last}'
