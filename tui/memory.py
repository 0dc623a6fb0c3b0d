"""What a window remembers of the facts beyond the state: when the researcher was asked, what was rejected and why, what
happened to the fleet.

It fills as facts pass. A window that sought in a recording forgets, and takes what the tape keeps of them up to there.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

import msgspec

from core import events as ev
from core.ids import GpuId, WaveId
from tui.deeds import TOGETHER, deed_of

FLEET = 200  # happenings that are kept
FAILURES = 100
REJECTED = 20  # per wave, with their reasons
NAMED = 4  # GPUs named in one happening


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """How a wave came about."""

    asked_at: float | None = None
    slots: int = 0  # experiments that were asked for
    rejected: tuple[ev.ProposalRejected, ...] = ()


class Happening(msgspec.Struct, frozen=True):
    """Something that happened to the fleet; `text` may hold names from outside."""

    at: float
    text: str
    role: str


class Memory:
    """`version` changes with everything that is worth drawing again."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        self.version = getattr(self, "version", 0) + 1
        self.answers: dict[WaveId, Answer] = {}
        self.failures: deque[ev.ResearchFailed] = deque(maxlen=FAILURES)
        self.fleet: deque[Happening] = deque(maxlen=FLEET)
        self.groups: dict[str, frozenset[str]] = {}  # deeds of one key press on several experiments, by its name
        self._asked: ev.WaveAsked | None = None
        self._gpus: dict[GpuId, ev.Gpu] = {}
        self._seen = False
        self._unseen = ""
        self._begun = False  # it knows of an engine's start

    def take(self, facts: Iterable[ev.Fact]) -> None:
        for fact in facts:
            if type(fact) in _WORTH:
                self._remember(fact)

    def _remember(self, fact: ev.Fact) -> None:
        match fact:
            case ev.WaveAsked():
                self._asked = fact
            case ev.WavePlanned():
                self._planned(fact)
            case ev.ProposalRejected():
                self._rejected(fact)
            case ev.ResearchFailed():
                self._asked = None
                self.failures.append(fact)
                self.version += 1
            case ev.ExperimentVetoed() | ev.ExperimentPromoted() | ev.RerunRequested():
                if fact.cause.startswith(TOGETHER):
                    self.groups[fact.cause] = self.groups.get(fact.cause, frozenset()) | {deed_of(fact)}
            case ev.FleetSeen():
                self._fleet_seen(fact)
            case ev.RunEnded(outcome="lost"):
                self._happened(fact.at, f"run {fact.run} was lost: {fact.reason or 'nobody knows why'}", "error")
            case ev.ExecutorLost():
                self._happened(fact.at, f"the executor cannot be reached: {fact.reason}", "error")
            case ev.ExecutorFound():
                self._happened(fact.at, "the executor can be reached again", "success")
            case ev.EngineStarted():
                self._begun = True
                with_ = f"{fact.executor} {fact.place}".rstrip()
                self._happened(fact.at, f"engine started on {fact.host} with {with_}", "foreground")
            case ev.EngineStopped():
                role = "foreground" if fact.exit_code == 0 else "error"
                self._happened(fact.at, f"engine stopped: {fact.reason}", role)

    def _planned(self, fact: ev.WavePlanned) -> None:
        asked, self._asked = self._asked, None
        self.answers[fact.wave] = Answer(asked_at=asked.at if asked else None, slots=asked.slots if asked else 0)
        self.version += 1

    def _rejected(self, fact: ev.ProposalRejected) -> None:
        found = self.answers.get(fact.wave, Answer())
        self.answers[fact.wave] = msgspec.structs.replace(found, rejected=(*found.rejected, fact)[-REJECTED:])
        self.version += 1

    def _fleet_seen(self, fact: ev.FleetSeen) -> None:
        now = {gpu.id: gpu for gpu in fact.gpus}
        if not self._seen and self._begun:
            self._happened(fact.at, f"fleet found: {_counted(fact.gpus)}", "foreground")
        elif self._seen:
            for text, role in changes(self._gpus, now):
                self._happened(fact.at, text, role)
        if fact.unseen != self._unseen:
            self._happened(
                fact.at, fact.unseen or "all of the fleet is seen again", "warning" if fact.unseen else "success"
            )
        self._gpus, self._seen, self._unseen = now, True, fact.unseen

    def _happened(self, at: float, text: str, role: str) -> None:
        self.fleet.append(Happening(at, text, role))
        self.version += 1


_WORTH = frozenset(
    (
        *(ev.WaveAsked, ev.WavePlanned, ev.ProposalRejected, ev.ResearchFailed, ev.FleetSeen, ev.RunEnded),
        *(ev.ExperimentVetoed, ev.ExperimentPromoted, ev.RerunRequested),
        *(ev.ExecutorLost, ev.ExecutorFound, ev.EngineStarted, ev.EngineStopped),
    )
)


def changes(before: dict[GpuId, ev.Gpu], now: dict[GpuId, ev.Gpu]) -> list[tuple[str, str]]:
    """What is different, as sentences with roles: GPUs that came, went, broke, that others took and gave back."""
    came = [gpu for name, gpu in now.items() if name not in before]
    went = [gpu for name, gpu in before.items() if name not in now]
    both = [(before[name], gpu) for name, gpu in now.items() if name in before and before[name] != gpu]
    broke = [gpu for old, gpu in both if gpu.broken and not old.broken]
    mended = [gpu for old, gpu in both if old.broken and not gpu.broken]
    sound = [(old, gpu) for old, gpu in both if not gpu.broken and not old.broken]
    taken = [gpu for old, gpu in sound if gpu.held_by and gpu.held_by != old.held_by]
    given = [gpu for old, gpu in sound if old.held_by and not gpu.held_by]
    found = []
    for gpus, what, role in (
        (came, "came", "success"),
        (went, "went", "error"),
        (mended, "works again", "success"),
        (given, "free again", "gpu-free"),
    ):
        if gpus:
            found.append((f"{_named(gpus)} {what}", role))
    return [*found, *_by_reason(broke, "broken: ", "error"), *_by_reason(taken, "taken by ", "gpu-other")]


def _by_reason(gpus: list[ev.Gpu], what: str, role: str) -> Iterable[tuple[str, str]]:
    for why in dict.fromkeys(gpu.held_by for gpu in gpus):
        yield f"{_named([gpu for gpu in gpus if gpu.held_by == why])} {what}{why or 'a run of ours is on it'}", role


def _named(gpus: list[ev.Gpu]) -> str:
    names = ", ".join(gpu.id for gpu in gpus[:NAMED])
    return f"{names} and {len(gpus) - NAMED:,} more" if len(gpus) > NAMED else names


def _counted(gpus: Iterable[ev.Gpu]) -> str:
    counts: dict[str, int] = {}
    for gpu in gpus:
        counts[gpu.type] = counts.get(gpu.type, 0) + 1
    return ", ".join(f"{count:,} {kind}" for kind, count in counts.items()) or "no GPU"
