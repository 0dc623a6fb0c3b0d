"""Virtual time: an event loop whose clock jumps to the next appointment whenever nothing else can happen.

Callbacks that are ready run first, and what real work a `working` block stands for is waited for; then the earliest
sleeper of the clock goes on, and only it. So the order of everything follows from the program, not from the machine.
Real timers (asyncio.sleep) stay real, and a signal or a socket is seen between two jumps. What is handed to a thread
runs at once in the loop's own. Knows nothing of sessions.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import selectors
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar, TypeVarTuple, Unpack

Result = TypeVar("Result")
Arguments = TypeVarTuple("Arguments")


class VirtualClock:
    is_real = False

    def __init__(self, start: float = 0.0) -> None:
        self._now = start
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = itertools.count()  # those who wait for the same moment go on in the order they came
        self._works = 0

    def now(self) -> float:
        return self._now

    def start_at(self, moment: float) -> None:
        """Sets it, before anybody sleeps."""
        self._now = moment

    async def sleep(self, seconds: float) -> None:
        gone_on: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now + max(0.0, seconds), next(self._order), gone_on))
        await gone_on

    @contextmanager
    def working(self) -> Iterator[None]:
        self._works += 1
        try:
            yield
        finally:
            self._works -= 1

    def jump(self) -> bool:
        """To the earliest sleeper, which goes on; False if there is none or real work is under way."""
        while self._sleepers and not self._works:
            when, _, gone_on = heapq.heappop(self._sleepers)
            if not gone_on.done():  # else it was cancelled
                self._now = max(self._now, when)
                gone_on.set_result(None)
                return True
        return False


class _Selector(selectors.DefaultSelector):
    """Asked to wait, it lets the clock jump instead, if that gets somebody going."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or (timeout is not None and timeout <= 0) or self._clock.jump():
            return ready
        return super().select(timeout)


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self.virtual_clock = VirtualClock()
        super().__init__(_Selector(self.virtual_clock))

    def run_in_executor(
        self, executor: Any, func: Callable[[Unpack[Arguments]], Result], *args: *Arguments
    ) -> asyncio.Future[Result]:
        """Runs it now: threads would finish in an order that is not the program's."""
        done: asyncio.Future[Result] = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:  # it is the caller's, who awaits it
            done.set_exception(error)
        return done


def run(main: Coroutine[Any, Any, Result]) -> Result:
    """As asyncio.run, in virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)


def running_clock() -> VirtualClock | None:
    """The clock of the loop that runs now; None if that loop's time is real."""
    loop = asyncio.get_running_loop()
    return loop.virtual_clock if isinstance(loop, VirtualLoop) else None
