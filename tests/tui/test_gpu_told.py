"""One GPU in words: node, run, Job, and what the run before used."""

from __future__ import annotations

import pytest
from rooms import Room
from story import E0, Story
from tapes import shared
from textual.pilot import Pilot

from core import events as ev
from core.fold import fold
from core.ids import GpuId
from core.state import State
from k8s import jobs
from tui import gpu_told, gpus
from tui.glyphs import ASCII, UNICODE
from tui.moment import Moment
from tui.paint import plain, width
from tui.screens.fleet import Told


def clustered() -> Story:
    """Two nodes; a run on the second GPU of the first one, where another has finished."""
    story = Story(gpus=0)
    story.tell(
        ev.EngineStarted, pid=1, host="pod-7f", executor="kubernetes", researcher="designed", version="0",
        place="prod-gpu/ml-team",
    )  # fmt: skip
    names = ("ip-10-0-12-34.ec2.internal/0", "ip-10-0-12-34.ec2.internal/1", "ip-10-0-77-1.ec2.internal/0")
    story.gpus = tuple(ev.Gpu(GpuId(name), "cpu", 81920) for name in names)
    story.tell(ev.FleetSeen, gpus=story.gpus)
    run = story.start(E0, gpu=1)
    story.wait(300).tell(
        ev.RunEnded, run=run, outcome="finished", val_bpb=1.0, mfu_percent=41.3, memory_mb=39_000.0
    )  # fmt: skip
    story.start(E0, gpu=1)
    return story


def moment(state: State) -> Moment:
    return Moment(state=state, now=state.at, mode="live")


def told(state: State, at: int, cells: int = 200) -> str:
    line = gpu_told.told(moment(state), state.gpus[at], cells, UNICODE)
    assert width(line) <= cells
    return plain(line)


def test_a_gpu_has_its_node_its_run_its_job_and_what_the_run_before_used() -> None:
    state = clustered().state
    name = jobs.name(state.session, next(iter(state.active)))
    assert name == "autoresearch-s-e0-2"
    assert told(state, 1) == (
        f"node ip-10-0-12-34.ec2.internal · cpu 80 GB · e0-2 is Job {name} · e0-1 before: mfu 41 %, 38.1 GB"
    )
    assert told(state, 0) == "node ip-10-0-12-34.ec2.internal · cpu 80 GB"
    assert told(state, 1, 60).startswith("node ip-10-0-12-34")


def test_what_was_not_reported_is_not_made_up() -> None:
    story = Story(gpus=1)
    story.finish(story.start(E0), 1.0)
    assert told(story.state, 0) == "node h · cpu"


def test_on_a_wide_screen_each_row_has_its_job() -> None:
    state = clustered().state
    at = moment(state)
    rows = [plain(gpus.row(at, gpu, 196, UNICODE)) for gpu in state.gpus]
    assert "autoresearch-s-e0-2" in rows[1]
    head = plain(gpus.head(state, 196))
    assert head.index("Job") == rows[1].index("autoresearch-s-e0-2")
    assert "Job" not in plain(gpus.head(state, 116))
    assert "Job" not in plain(gpus.head(fold(State(), shared()), 196))


@pytest.mark.parametrize("cells", [4, 8, 12, 22])
def test_the_number_of_a_gpu_is_never_cut_off_its_node(cells: int) -> None:
    state = clustered().state
    names = ["".join(text for text, _ in gpu_told.called(state, gpu.id, cells)) for gpu in state.gpus]
    assert [name.rstrip()[-2:] for name in names] == ["/0", "/1", "/0"]
    assert all(len(name) == cells for name in names)


def test_of_neighbours_in_a_node_its_name_stands_out_once() -> None:
    state = fold(State(), shared())
    roles = [gpu_told.called(state, gpu.id, 12)[0][1] for gpu in state.gpus]
    assert [at for at, role in enumerate(roles) if not role] == [0, 8, 13]


def test_names_from_outside_stay_text() -> None:
    story = Story(gpus=0)
    bad = GpuId("[red]\x1b[31m/" + "漢字" * 100)
    story.tell(ev.FleetSeen, gpus=(ev.Gpu(bad, "[b]\t"),))
    for cells in (5, 12, 80):
        spans = gpu_told.called(story.state, bad, cells)
        assert width(spans) == cells
        line = gpu_told.told(moment(story.state), story.state.gpus[0], cells, ASCII)
        assert width(line) <= cells
        assert plain(line).isprintable()


async def test_the_fleet_screen_tells_of_the_gpu_under_the_cursor() -> None:
    async with Room(clustered().facts).run_test(size=(120, 40)) as pilot:
        assert "node ip-10-0-12-34" in await shown(pilot, "F")
        assert "Job autoresearch-s-e0-2" in await shown(pilot, "g", "j")
        assert "node ip-10-0-77-1" in await shown(pilot, "G")


async def shown(pilot: Pilot[int], *keys: str) -> str:
    await pilot.pause()
    await pilot.press(*keys)
    await pilot.pause()
    pilot.app.show_now()  # type: ignore[attr-defined]
    await pilot.pause()
    pane = pilot.app.screen.query_one(Told)
    return plain(pane.lines(pane.moment, 116, 1)[0])
