"""Runs that wait in the cluster: taken back by a pause or a lower limit, and why they wait is told."""

from __future__ import annotations

from pathlib import Path

import stub
from expedition import STUB, Expedition, expedition

from core import events as ev
from core.fold import fold
from core.state import State

LONG = STUB.replace("(2 + seed % 20 / 10)", "(6 + seed % 20 / 10)")  # takes 6 to 8 s


def plentiful(state: State) -> str:
    return max(state.holders, key=lambda kind: state.holders[kind].gpus)


async def full(trip: Expedition, *arguments: str) -> str:
    """A campaign that fills the plentiful type, and some wait; that type."""
    trip.start("--max-experiments", "60", *arguments)

    def is_full() -> bool:
        state = trip.state
        holder = state.holders.get(plentiful(state)) if state.holders else None
        return holder is not None and holder.runs >= holder.gpus > 0 and holder.queued > 0

    await trip.until(is_full, 90)
    return plentiful(trip.state)


async def test_below_what_runs_the_limit_lets_runs_finish_and_starts_no_more(
    kubeconfig: str, place: str, tmp_path: Path
) -> None:
    async with expedition(kubeconfig, place, tmp_path, train=LONG) as trip:
        kind = await full(trip)
        trip.command("max-gpus", kind, "2")
        await trip.until(lambda: sum(live == kind for live in trip.witness.live.values()) <= 2, 60)
        await trip.more(ev.RunStarted, 2)
        trip.command("stop")
        state = await trip.settle(None)
        assert beyond(trip, kind) == []
        outcomes = {run.result.outcome for run in state.runs.values() if run.result and run.started_at is not None}
        assert outcomes == {"finished"}, "what ran has finished"
        assert any(run.started_at is None for run in state.runs.values()), "what waited was taken back"


def beyond(trip: Expedition, kind: str) -> list[str]:
    """Runs that were requested while as many as the limit allows ran or waited."""
    state, found = State(), list[str]()
    for fact in trip.facts():
        state = fold(state, [fact])
        if isinstance(fact, ev.RunRequested) and fact.gpu_type == kind and kind in state.max_gpus:
            holder = state.holders[kind]
            found += [fact.run] if holder.runs + holder.queued > state.max_gpus[kind] else []
    return found


async def test_a_pause_takes_back_what_waits_and_going_on_launches_it_again(
    kubeconfig: str, place: str, tmp_path: Path
) -> None:
    async with expedition(kubeconfig, place, tmp_path, train=LONG) as trip:
        await full(trip)
        trip.command("pause")
        (paused,) = (fact.at for fact in trip.of(ev.ResearchPaused))
        await trip.until(lambda: not trip.state.active)
        late = [fact.run for fact in trip.of(ev.RunStarted) if fact.at > paused + 2]
        assert late == [], "nothing starts while research is paused"
        taken = {run.experiment for run in trip.state.runs.values() if run.started_at is None}
        assert taken
        trip.command("resume")
        await trip.until(lambda: all(trip.state.experiments[name].status != "proposed" for name in taken))
        trip.command("stop")
        await trip.settle(None)


async def test_a_quota_that_is_used_up_is_told_and_the_runs_wait_for_it(
    kubeconfig: str, place: str, tmp_path: Path
) -> None:
    async with expedition(kubeconfig, place, tmp_path, train=LONG) as trip:
        quota = {
            "apiVersion": "v1",
            "kind": "ResourceQuota",
            "metadata": {"name": "few"},
            "spec": {"hard": {"pods": "2"}},
        }
        await trip.ask("POST", f"/api/v1/namespaces/{place}/resourcequotas", {}, quota)
        trip.start("--max-experiments", "2")
        await trip.until(lambda: any("quota" in fact.reason for fact in trip.of(ev.RunWaiting)), 60)
        fact = next(fact for fact in trip.of(ev.RunWaiting) if "quota" in fact.reason)
        assert fact.needs_a_person
        assert "the namespace's quota is used up" in stub.run(trip.workspace, "status").stdout
        assert trip.lost() == [], "it waits"
        trip.command("stop", "--now")
        await trip.settle(None)
