"""The simulated fleet as settings describe it, and what becomes of a job on it. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from functools import lru_cache

from core import knobs
from core.errors import SettingsError
from core.events import Gpu
from core.executor import Job
from core.executors.fate import Fate, Physics, fate
from core.ids import GpuId
from core.knobs import Value
from core.surfaces import Surface

MEMORY_MB = {"H100": 81_920, "H200": 144_384}
MOST = 10_000  # GPUs
_GROUP = re.compile(r"\s*([A-Za-z][\w.-]{0,39})\s*:\s*([1-9]\d{0,4})\s*", re.ASCII)

Fates = Callable[[Job], Fate]


def fleet(text: str) -> tuple[Gpu, ...]:
    """The GPUs of "H100:13,H200:3". Raises SettingsError."""
    groups = [_GROUP.fullmatch(part) for part in text.split(",")]
    found = [(group[1], int(group[2])) for group in groups if group is not None]
    kinds = [kind for kind, _ in found]
    if len(found) < len(groups) or len(set(kinds)) < len(kinds) or sum(count for _, count in found) > MOST:
        raise SettingsError(
            f"fleet is {text[:80]!r}: write each GPU type once, with how many there are (at most {MOST:,} in all), "
            'like "H100:13,H200:3".'
        )
    return tuple(
        Gpu(GpuId(f"{kind}-{place:0{len(str(count - 1))}}"), kind, MEMORY_MB.get(kind, 0))
        for kind, count in found
        for place in range(count)
    )


def fates(surface: Surface, physics: Physics, session_seed: int, start: str) -> Fates:
    """What becomes of each job: its constants decide, as the surface has it, and the dice of the session.

    `start`: the train.py that the session began with.
    """

    def of(job: Job) -> Fate:
        config, code = _read(job.source, start)
        return fate(
            config,
            surface,
            gpu_type=job.gpu_type,
            seed=job.seed,
            physics=physics,
            session_seed=session_seed,
            run=job.run,
            code=code,
        )

    return of


@lru_cache(maxsize=64)
def _read(source: str, start: str) -> tuple[dict[str, Value], str]:
    """The constants, and a digest of the rest; quickly if it differs from `start` in constants alone."""
    changed = knobs.variant(source, start)
    if changed is not None and source != start:
        config, code = _read(start, start)
        return config | {name: knob.value for name, knob in changed.items()}, code
    found = knobs.find(source)
    constants = {knob.line for knob in found}
    rest = (line for number, line in enumerate(source.splitlines(), 1) if number not in constants)
    code = hashlib.sha256("\n".join(rest).encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return {knob.name: knob.value for knob in found}, code
