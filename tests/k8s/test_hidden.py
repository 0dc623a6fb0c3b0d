"""GPUs of others where others cannot be seen: believed held when a run waits in vain, and for a while after."""

from __future__ import annotations

from core.events import Gpu
from core.ids import GpuId
from k8s.hidden import FORGET_S, SETTLE_S, Hidden


def gpus(*numbers: int, kind: str = "H100") -> list[Gpu]:
    return [Gpu(GpuId(f"{kind}/{number}"), kind) for number in numbers]


def taken(hidden: Hidden, idle: list[Gpu], now: float, *, blocked: bool = True) -> set[str]:
    return set(hidden.among(idle, ("H100",) if blocked else (), now))


def full() -> Hidden:
    """Two GPUs that others hold, as is known after a while."""
    hidden = Hidden()
    taken(hidden, gpus(0, 1), 0)
    assert taken(hidden, gpus(0, 1), SETTLE_S) == {"H100/0", "H100/1"}
    return hidden


def test_what_a_waiting_run_does_not_get_is_somebody_elses_after_the_scheduler_had_time_to_give_it() -> None:
    hidden = Hidden()
    assert taken(hidden, gpus(0, 1), 0) == set()
    assert taken(hidden, gpus(0, 1), SETTLE_S - 1) == set()
    assert taken(hidden, gpus(0, 1), SETTLE_S) == {"H100/0", "H100/1"}


def test_a_gpu_between_two_runs_of_ours_is_not_taken_for_somebody_elses() -> None:
    hidden = full()
    assert taken(hidden, gpus(0, 1, 2), SETTLE_S + 1) == {"H100/0", "H100/1"}
    assert taken(hidden, gpus(0, 1), SETTLE_S + 5) == {"H100/0", "H100/1"}, "the next run has it"


def test_which_gpu_of_a_node_the_next_run_seems_to_have_changes_nothing() -> None:
    hidden = full()
    taken(hidden, gpus(0, 1, 2), SETTLE_S + 1)
    assert taken(hidden, gpus(1, 2), SETTLE_S + 5) == {"H100/1", "H100/2"}


def test_a_run_that_got_its_gpu_does_not_make_all_others_free_at_once() -> None:
    hidden = full()
    assert len(taken(hidden, gpus(0, 1), SETTLE_S + 1, blocked=False)) == 2
    assert len(taken(hidden, gpus(0, 1), SETTLE_S + FORGET_S - 1, blocked=False)) == 2
    assert taken(hidden, gpus(0, 1), SETTLE_S + FORGET_S, blocked=False) == set()


def test_another_type_is_free_as_before() -> None:
    hidden = full()
    assert taken(hidden, gpus(0, 1) + gpus(0, kind="H200"), SETTLE_S + 1) == {"H100/0", "H100/1"}


def test_what_others_had_when_they_were_seen_last_is_believed_for_a_while() -> None:
    hidden = Hidden()
    hidden.remember(gpus(1), 0)
    assert taken(hidden, gpus(0, 1), 0, blocked=False) == {"H100/1"}
    assert taken(hidden, gpus(0, 1), FORGET_S - 1, blocked=False) == {"H100/1"}
    assert taken(hidden, gpus(0, 1), FORGET_S, blocked=False) == set()


def test_others_that_are_seen_again_are_not_guessed_any_more() -> None:
    hidden = full()
    hidden.forget()
    assert taken(hidden, gpus(0, 1), SETTLE_S + 1, blocked=False) == set()
