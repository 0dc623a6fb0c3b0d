"""A whole recording in memory, made for seeking: packed facts, their times, and a state every so many facts.

Facts are kept as packed JSON (about 15 bytes each instead of 300 as objects). States are immutable, so a kept one is a
key frame: any position is the key frame before it and a short fold. It knows no clock and no speed.
"""

from __future__ import annotations

import math
import zlib
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate, islice, pairwise
from typing import Literal

from core import events as ev
from core.collector import no_collection
from core.fold import fold
from core.recording import Block
from core.state import State

Step = Literal["event", "experiment", "wave", "kept"]

MOST_KEY_FRAMES = 64  # their dictionaries are copies: 2 to 6 MB each at 30,000 experiments
MARKED = {ev.WavePlanned, ev.ExperimentJudged, ev.ExperimentVetoed, ev.DuplicateFound}
RARE = frozenset(  # what windows remember beyond the state, wherever somebody seeks
    (
        *(ev.WaveAsked, ev.WavePlanned, ev.ProposalRejected, ev.ResearchFailed, ev.FleetSeen),
        *(ev.ExecutorLost, ev.ExecutorFound, ev.EngineStarted, ev.EngineStopped),
    )
)
RARE_BYTES = 4_000_000  # of them at most, as JSON: 40 ms


class Tape:
    """Positions count facts: at position 0 nothing has happened, at `len(tape)` everything."""

    def __init__(self) -> None:
        self.times = array("d")  # of each fact, seconds since the epoch; never falling
        self._marks: dict[Step, array[int]] = {kind: array("q") for kind in ("experiment", "wave", "kept")}
        self._blocks: list[tuple[int, bytes]] = []  # position of the first fact, packed lines
        self._rare: list[tuple[int, int, bytes]] = []  # position after it, bytes, packed line
        self._unpacked: tuple[int, list[bytes]] = (-1, [])  # the block that was read last
        self._key_frames: list[State] = [State()]
        self._stride = 1  # blocks from key frame to key frame
        self._end = State()

    def __len__(self) -> int:
        return len(self.times)

    def add(self, block: Block) -> None:
        """Appends facts. Runs in a thread: 15 ms per block; packing them, in one beside it, costs no more time."""
        begin = len(self)
        with ThreadPoolExecutor(1) as beside, no_collection():
            packed = beside.submit(_packed, block.bodies)
            for position, fact in enumerate(block.facts, start=begin + 1):
                if type(fact) in MARKED:
                    self._mark(position, fact)
                if type(fact) in RARE or (isinstance(fact, ev.RunEnded) and fact.outcome == "lost"):
                    body = block.bodies[position - begin - 1]
                    self._rare.append((position, len(body), _packed([body])))
            self.times.extend(_rising([fact.at for fact in block.facts], self.times[-1] if begin else -math.inf))
            self._end = fold(self._end, block.facts)
            self._blocks.append((begin, packed.result()))
        if len(self._blocks) % self._stride == 0:
            self._keep(self._end)

    @property
    def end(self) -> State:
        """Everything that is on the tape so far."""
        return self._end

    def _mark(self, position: int, fact: ev.Fact) -> None:
        self._marks["wave" if isinstance(fact, ev.WavePlanned) else "experiment"].append(position)
        if isinstance(fact, ev.ExperimentJudged) and fact.verdict == "kept":
            self._marks["kept"].append(position)

    def _keep(self, state: State) -> None:
        self._key_frames.append(state)
        if len(self._key_frames) > MOST_KEY_FRAMES:
            self._key_frames = self._key_frames[::2]
            self._stride *= 2

    def facts(self, begin: int, end: int) -> list[ev.Fact]:
        """The facts from position `begin` to position `end`."""
        found: list[ev.Fact] = []
        index = max(0, bisect_right(self._blocks, begin, key=lambda block: block[0]) - 1)
        while index < len(self._blocks) and (first := self._blocks[index][0]) < end:
            found += ev.decode_many(self._lines(index)[max(0, begin - first) : end - first])
            index += 1
        return found

    def rare(self, end: int) -> list[ev.Fact]:
        """The rare facts up to position `end`: all, or the latest of very many."""
        found: list[bytes] = []
        size = 0
        for at in range(bisect_right(self._rare, end, key=lambda each: each[0]) - 1, -1, -1):
            _, length, packed = self._rare[at]
            size += length
            if size > RARE_BYTES:
                break
            found.append(zlib.decompress(packed))
        return ev.decode_many(found[::-1])

    def _lines(self, index: int) -> list[bytes]:
        unpacked = self._unpacked  # read once: a thread may seek meanwhile
        if unpacked[0] != index:
            self._unpacked = unpacked = (index, zlib.decompress(self._blocks[index][1]).split(b"\n"))
        return unpacked[1]

    def state_at(self, position: int, near: State) -> State:
        """The fold of the first `position` facts. `near` is a state of this tape that may save some folding."""
        index = bisect_right(self._key_frames, position, key=lambda state: state.seq) - 1
        start = self._key_frames[index]
        if start.seq < near.seq <= position:
            start = near
        with no_collection():
            return fold(start, self.facts(start.seq, position)) if start.seq < position else start

    def distance(self, position: int, near: State) -> int:
        """Facts that `state_at` has to fold."""
        starts = [state.seq for state in (*self._key_frames, near) if state.seq <= position]
        return position - max(starts)

    def at_time(self, when: float) -> int:
        """The position at which everything up to `when` has happened."""
        return bisect_right(self.times, when)

    def next_mark(self, kind: Step, position: int, *, back: bool) -> int:
        """The position right after the next (or the previous) thing of that kind; an end of the tape if none."""
        if kind == "event":
            return min(max(0, position + (-1 if back else 1)), len(self))
        marks = self._marks[kind]
        if back:
            index = bisect_left(marks, position) - 1
            return marks[index] if index >= 0 else 0
        index = bisect_right(marks, position)
        return marks[index] if index < len(marks) else len(self)

    def positions(self, kind: Step) -> Sequence[int]:
        """Right after each thing of that kind; none for events, which are everywhere."""
        return self._marks[kind] if kind != "event" else ()

    def clock(self, idle_s: float) -> array[float]:
        """When each fact is due, in seconds of playing at speed 1, if no pause is longer than `idle_s`."""
        gaps = (min(later - earlier, idle_s) for earlier, later in pairwise(self.times))
        return array("d", accumulate(gaps, initial=0.0)) if self.times else array("d")


def _packed(bodies: list[bytes]) -> bytes:
    return zlib.compress(b"\n".join([line.rstrip(b"\n") for line in bodies]), 1)


def _rising(times: list[float], latest: float) -> Iterable[float]:
    """The times, none before `latest` or before one that stands earlier."""
    if times and times[0] >= latest and times == sorted(times):  # as nearly always; much quicker
        return times
    return islice(accumulate(times, max, initial=latest), 1, None)
