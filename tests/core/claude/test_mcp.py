"""Another program as the researcher: the real client over standard input and output, against a real engine process."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import imagined
import pytest
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
from story import E0, Story

from core import commands, log
from core import events as ev
from core import thinking as th
from core.claude.planning import rechecked
from core.errors import Refused
from core.ids import ExperimentId
from core.patch import Change, Edit
from core.researcher import Idea, Plan

ROOT = Path(__file__).parents[3]
MAIN = [sys.executable, "-c", "from tui.cli import main; main()"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


@contextlib.asynccontextmanager
async def engine(folder: Path, *flags: str) -> AsyncIterator[None]:
    command = [*MAIN, "-C", str(folder), "--no-ui", "--executor", "simulator", "--speed", "600", *flags]
    with (folder.parent / "engine.log").open("w") as output:
        process = await asyncio.create_subprocess_exec(*command, env=ENVIRONMENT, stdout=output, stderr=output)
    try:
        async with asyncio.timeout(30):
            file = imagined.file_of(folder)
            while not log.is_held(file) or not imagined.facts_of(folder):  # noqa: ASYNC110  another process tells
                await asyncio.sleep(0.05)
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGKILL)
        await process.wait()


@contextlib.asynccontextmanager
async def client(folder: Path) -> AsyncIterator[ClientSession]:
    server = StdioServerParameters(command=MAIN[0], args=[*MAIN[1:], "-C", str(folder), "mcp"], env=ENVIRONMENT)
    async with stdio_client(server) as (incoming, outgoing), ClientSession(incoming, outgoing) as session:
        await session.initialize()
        yield session


async def call(session: ClientSession, name: str, **arguments: Any) -> tuple[str, bool]:
    result: Any = await session.call_tool(name, arguments)
    return "\n".join(part.text for part in result.content), bool(result.is_error)


def idea(title: str, **settings: str) -> dict[str, Any]:
    given = [{"name": name, "value": value} for name, value in settings.items()]
    return {"title": title, "hypothesis": "it may help", "settings": given}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = imagined.workspace(tmp_path / "w")
    (folder / "autoresearch.toml").write_text('[claude]\nstand_in = "none"\n')
    return folder


async def test_a_client_looks_plans_notes_vetoes_and_hears_the_operator(folder: Path) -> None:
    async with engine(folder, "--researcher", "mcp"), client(folder) as session:
        names = [tool.name for tool in (await session.list_tools()).tools]
        assert {"session", "plan_wave", "wait", "results", "note"} <= set(names)
        shown, _ = await call(session, "session")
        assert "MATRIX_LR = 0.04" in shown
        assert "# Now" in shown
        ideas = [idea("slow", MATRIX_LR="0.02"), idea("fast", MATRIX_LR="0.06"), idea("deep", DEPTH="10")]
        answer, is_error = await call(session, "plan_wave", hypothesis="rates", baseline="e0", experiments=ideas)
        assert (answer, is_error) == ("Planned: 3 experiments.", False)
        await _until(folder, lambda state: len(state.experiments) == 4)
        written, is_error = await call(session, "note", text="asked for rates")
        assert not is_error, written
        wave = next(iter(imagined.state_of(folder).waves.values()))
        assert wave.researcher == "mcp"
        log.send(imagined.file_of(folder), commands.Note(by="ada", text="look at the batch"))
        heard, _ = await call(session, "wait", seconds=20)
        assert "# Now" in heard
        await _until(folder, lambda state: any("batch" in note.text for note in state.notes))
        assert "ada: look at the batch" in (await call(session, "session", brief=True))[0]
        assert imagined.state_of(folder).notebook[0].text == "asked for rates"
        await _fails_with_what_to_do(session)


async def _until(folder: Path, ready: Any) -> None:
    async with asyncio.timeout(30):
        while not ready(imagined.state_of(folder)):  # noqa: ASYNC110  another process tells
            await asyncio.sleep(0.1)


async def _fails_with_what_to_do(session: ClientSession) -> None:
    for name, arguments in (
        ("plan_wave", {"hypothesis": "h", "baseline": "e99", "experiments": [idea("a", DEPTH="4")]}),
        ("plan_wave", {"hypothesis": "h"}),
        ("wait", {"seconds": "soon"}),
        ("read_file", {"path": "../../etc/passwd"}),
        ("veto", {"experiment": "e0", "reason": "no"}),
        ("no_such_tool", {}),
    ):
        answer, is_error = await call(session, name, **arguments)
        assert is_error, answer
        assert answer


def test_without_an_engine_a_session_can_be_looked_at_and_not_planned(folder: Path) -> None:
    imagined.campaign(folder, max_experiments=3)

    async def looked() -> None:
        async with client(folder) as session:
            assert "--researcher mcp" in (await call(session, "session"))[0]
            baseline = imagined.state_of(folder).baseline
            plan = {"hypothesis": "h", "baseline": baseline, "experiments": [idea("a", SCALAR_LR="0.111")]}
            answer, is_error = await call(session, "plan_wave", **plan)
            assert is_error, answer
            assert "--researcher mcp" in answer

    asyncio.run(looked())


# --- the engine's side ------------------------------------------------------------------------------------------------


def test_where_no_client_plans_the_stand_in_does_and_says_so(tmp_path: Path) -> None:
    folder = imagined.workspace(tmp_path / "w")
    stopped, state = imagined.watched(folder, researcher="mcp", max_experiments=40)
    assert stopped.exit_code == 0
    assert state.stand_in == "designed"
    assert {wave.researcher for wave in state.waves.values()} == {"designed"}


def outside() -> Story:
    story = Story()
    return story.tell(ev.EngineStarted, pid=1, host="h", executor="local", researcher="mcp", version="0")


def offer(*ideas: Idea) -> commands.ProposeWave:
    return commands.ProposeWave(plan=Plan(reason="r", ideas=ideas))


def deep(number: int) -> Idea:
    return Idea(title="deep", change=Change(settings={"DEPTH": str(number)}))


def test_an_offer_waits_until_its_wave_is_planned_and_only_so_many_wait() -> None:
    story = outside()
    for number in range(commands.MOST_OFFERED):
        story.order(offer(deep(6 + number)), by="mcp")
    with pytest.raises(Refused, match="wait already"):
        story.order(offer(deep(20)), by="mcp")
    assert len(story.state.offered) == commands.MOST_OFFERED
    story.tell(ev.WavePlanned, wave="w1", parent=E0, reason="r", researcher="designed")
    assert len(story.state.offered) == commands.MOST_OFFERED, "the stand-in's wave takes none of them"
    story.tell(ev.WavePlanned, wave="w2", parent=E0, reason="r", researcher="mcp")
    assert [offered.plan.ideas[0].change.settings["DEPTH"] for offered in story.state.offered] == ["7", "8", "9"]


def test_offers_are_refused_where_another_researcher_plans() -> None:
    with pytest.raises(Refused, match="--researcher mcp"):
        Story().order(offer(deep(6)), by="mcp")
    with pytest.raises(Refused, match="no experiments"):
        outside().order(offer(), by="mcp")


def test_a_command_with_a_wave_survives_its_codec_and_so_does_its_fact() -> None:
    wish = offer(deep(6), Idea(title="x", change=Change(edits=(Edit("a", "b"),)), repairs=ExperimentId("e3")))
    assert commands.decode(commands.encode(wish)) == wish
    fact = th.WaveOffered(at=1.0, by="mcp", plan=wish.plan)
    assert ev.decode(ev.encode(fact)) == fact


def test_the_engine_looks_again_at_what_a_client_says_it_checked() -> None:
    story = outside()
    cheat = Idea(title="\x1b[31mfast", change=Change(edits=(Edit("seed = int(", "import subprocess\nseed = int("),)))
    plan = rechecked(Plan(reason="r", ideas=(cheat, deep(6))), story.state.sources[E0], frozenset())
    assert "subprocess" in plan.ideas[0].refused
    assert plan.ideas[0].title == "fast"
    assert plan.ideas[1].refused == ""
