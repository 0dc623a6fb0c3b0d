"""Virtual time moves only when nothing else can happen, and in an order that follows from the program."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from core import virtual
from core.clock import ScaledClock


def clock() -> virtual.VirtualClock:
    found = virtual.running_clock()
    assert found is not None
    return found


def test_a_year_passes_in_no_time() -> None:
    async def main() -> float:
        await clock().sleep(365 * 86_400)
        return clock().now()

    begun = time.monotonic()
    assert virtual.run(main()) == 365 * 86_400
    assert time.monotonic() - begun < 1


def test_sleepers_go_on_in_the_order_of_their_times_and_then_of_their_coming() -> None:
    async def main() -> list[tuple[str, float]]:
        seen: list[tuple[str, float]] = []

        async def sleeper(name: str, seconds: float) -> None:
            await clock().sleep(seconds)
            seen.append((name, clock().now()))
            await asyncio.sleep(0)  # others that are ready come before the next moment

        await asyncio.gather(sleeper("late", 3), sleeper("first", 1), sleeper("second", 1), sleeper("now", -5))
        return seen

    assert virtual.run(main()) == [("now", 0), ("first", 1), ("second", 1), ("late", 3)]


def test_time_stands_still_while_real_work_is_under_way() -> None:
    async def main() -> tuple[float, float]:
        done = asyncio.Event()
        loop = asyncio.get_running_loop()
        sleeper = asyncio.create_task(clock().sleep(10))
        threading.Timer(0.05, lambda: loop.call_soon_threadsafe(done.set)).start()
        with clock().working():
            await done.wait()
            meanwhile = clock().now()
        await sleeper
        return meanwhile, clock().now()

    assert virtual.run(main()) == (0, 10)


def test_a_cancelled_sleeper_is_passed_over() -> None:
    async def main() -> float:
        sleeper = asyncio.create_task(clock().sleep(2))
        await clock().sleep(1)
        sleeper.cancel()
        await clock().sleep(4)
        return clock().now()

    assert virtual.run(main()) == 5


def test_real_timers_stay_real() -> None:
    async def main() -> tuple[float, float]:
        begun = time.monotonic()
        await asyncio.sleep(0.05)
        return time.monotonic() - begun, clock().now()

    real, passed = virtual.run(main())
    assert real >= 0.05
    assert passed == 0


def test_what_is_handed_to_a_thread_runs_at_once_and_its_errors_reach_the_caller() -> None:
    def fail() -> None:
        raise ValueError("no")

    async def main() -> int:
        sleeper = asyncio.create_task(clock().sleep(1))
        await asyncio.sleep(0)
        here = await asyncio.to_thread(threading.get_ident)
        assert clock().now() == 0
        with pytest.raises(ValueError, match="no"):
            await asyncio.to_thread(fail)
        await sleeper
        return here

    assert virtual.run(main()) == threading.get_ident()


def test_a_loop_of_real_time_has_no_virtual_clock() -> None:
    async def main() -> bool:
        return virtual.running_clock() is None

    assert asyncio.run(main())


async def test_a_scaled_clock_passes_a_minute_per_second() -> None:
    scaled = ScaledClock(1000.0, 60.0)
    begun = time.monotonic()
    await scaled.sleep(6)
    assert 0.1 <= time.monotonic() - begun < 1
    assert scaled.now() >= 1006
