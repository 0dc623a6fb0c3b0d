"""One question to a scripted model, over a real connection: what is sent, what interrupts it, what it may cost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from claude import replies
from claude.desks import StoryDesk
from claude.replies import Reply, answer, failure, text, thought, tool
from claude.server import KEY, Asked, Server
from story import SOURCE, Story

from core import commands
from core import events as ev
from core.claude.conversation import Unavailable
from core.claude.prices import Price
from core.claude.settings import ClaudeSettings
from core.clock import SystemClock
from core.design import Design
from core.errors import ResearcherFailed
from core.ids import ExperimentId
from core.researcher import Plan
from core.researchers.claude import ClaudeResearcher

E0 = ExperimentId("e0")
KEYS = {"ANTHROPIC_API_KEY": KEY}


@pytest.fixture
def story(tmp_path: Path) -> Story:
    for name, content in (("train.py", SOURCE), ("prepare.py", "TIME_BUDGET = 300\n"), ("program.md", "Lower it.\n")):
        (tmp_path / name).write_text(content)
    return Story(gpus=4).score(E0, 1.0, 1.001, 0.999)


@asynccontextmanager
async def asking(
    folder: Path, story: Story, script: Callable[[Asked], Reply], **settings: Any
) -> AsyncIterator[tuple[ClaudeResearcher, Server]]:
    with Server(script) as server:
        chosen = msgspec.structs.replace(ClaudeSettings(base_url=server.url, silence_s=5.0), **settings)
        researcher = ClaudeResearcher(folder, folder / "runs", chosen, SystemClock(), KEYS)
        researcher.sit(StoryDesk(story))
        try:
            yield researcher, server
        finally:
            await researcher.close()


def wave(*depths: str, **more: Any) -> dict[str, Any]:
    ideas = [
        {"title": f"depth {d}", "hypothesis": "h", "settings": [{"name": "DEPTH", "value": d}], "edits": []}
        for d in depths
    ]
    return tool("plan_wave", {"hypothesis": "Does depth help?", "baseline": "e0", "experiments": ideas, **more})


async def plan(folder: Path, story: Story, script: Callable[[Asked], Reply], **settings: Any) -> tuple[Plan, Server]:
    async with asking(folder, story, script, **settings) as (researcher, server):
        return await researcher.plan(story.state, 4, patience_s=0.0), server


def facts(story: Story, kind: type[Any]) -> list[Any]:
    return [fact for fact in story.facts if isinstance(fact, kind)]


async def test_one_answer_is_a_wave_and_is_told_as_it_comes(tmp_path: Path, story: Story) -> None:
    reply = answer(thought("Depth was never varied."), text("I vary depth."), wave("2", "3"))
    found, server = await plan(tmp_path, story, lambda _: reply)
    assert [idea.change.settings for idea in found.ideas] == [{"DEPTH": "2"}, {"DEPTH": "3"}]
    said = facts(story, ev.ResearcherSaid)
    assert [(fact.text, fact.is_thought) for fact in said] == [
        ("Depth was never varied.", True),
        ("I vary depth.", False),
    ]
    (call,) = facts(story, ev.ModelCalled)
    assert call.stop_reason == "tool_use"
    assert call.usd > 0
    assert call.cache_write_tokens > 0
    assert story.state.model_usd == call.usd
    assert not server.refused


async def test_what_is_stable_stands_first_and_is_cached(tmp_path: Path, story: Story) -> None:
    def script(asked: Asked) -> Reply:
        return answer(tool("note", {"text": "Look."})) if asked.number == 1 else answer(wave("2"))

    _, server = await plan(tmp_path, story, script)
    first, second = (asked.body for asked in server.asked)
    assert first["system"] == second["system"]
    assert first["tools"] == second["tools"]
    assert "cache_control" in first["system"][-1]
    assert second["messages"][0] == first["messages"][0], "the question is the same to the byte"
    assert "cache_control" in second["messages"][-1]["content"][-1], "and the tools' answers are read again"
    assert facts(story, ev.ModelCalled)[1].cache_read_tokens > 0


async def test_lists_of_one_answer_are_one_wave(tmp_path: Path, story: Story) -> None:
    found, _ = await plan(tmp_path, story, lambda _: answer(wave("2"), {**wave("3"), "id": "toolu_b"}))
    assert len(found.ideas) == 2


async def test_a_wave_without_anything_new_is_sent_back_with_the_reasons(tmp_path: Path, story: Story) -> None:
    story.wave({"DEPTH": "2"})
    replies_ = [answer(wave("2")), answer(wave("3"))]
    found, server = await plan(tmp_path, story, lambda asked: replies_[asked.number - 1])
    assert [idea.change.settings for idea in found.ideas] == [{"DEPTH": "3"}]
    (sent_back,) = server.asked[1].body["messages"][-1]["content"]
    assert sent_back["is_error"]
    assert "e1" in sent_back["content"]


async def test_a_steer_interrupts_the_call_in_flight_and_is_said_next(tmp_path: Path, story: Story) -> None:
    slow = Reply(steps=(*answer(text("I think for long")).steps[:4], replies.Stall()))

    async with asking(tmp_path, story, lambda a: slow if a.number == 1 else answer(wave("2"))) as (researcher, server):
        asked = asyncio.create_task(researcher.plan(story.state, 4, patience_s=60.0))
        while not server.asked:  # noqa: ASYNC110  it is asked in another thread
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.2)
        story.order(commands.Note(text="Try a shallower one."))
        async with asyncio.timeout(4):
            await asked
    assert "Try a shallower one." in server.asked[1].latest
    interrupted, _ = facts(story, ev.ModelCalled)
    assert interrupted.error == "it was interrupted"
    assert interrupted.usd > 0, "what was written until then is paid for"


async def test_commands_of_the_model_are_carried_out_in_its_name(tmp_path: Path, story: Story) -> None:
    (name,) = story.wave({"DEPTH": "2"})
    promote = tool("promote", {"experiment": name, "reason": "promising"})
    await plan(tmp_path, story, lambda a: answer(promote) if a.number == 1 else answer(wave("3")))
    assert story.state.experiments[name].promoted
    assert facts(story, ev.ExperimentPromoted)[0].by == "claude"


async def test_notes_reach_the_notebook(tmp_path: Path, story: Story) -> None:
    note = tool("note", {"text": "Depth is flat."}, "toolu_n")
    await plan(tmp_path, story, lambda _: answer(note, wave("2")))
    assert [entry.text for entry in story.state.notebook] == ["Depth is flat."]


@pytest.mark.parametrize("kind", ["talks", "fails", "never plans"])
async def test_an_agent_that_comes_to_nothing_is_given_up(kind: str, tmp_path: Path, story: Story) -> None:
    def script(asked: Asked) -> Reply:
        match kind:
            case "talks":
                return answer(text("The research is complete."))
            case "fails":
                return answer(tool("edit", {"experiment": "e0", "edits": [{"search": "nowhere", "replace": "x"}]}))
            case _:
                return answer(tool("note", {"text": f"thought {asked.number}"}))

    with pytest.raises(Unavailable) as caught:
        await plan(tmp_path, story, script, max_turns=6)
    assert caught.value.is_agent
    assert len(facts(story, ev.ModelCalled)) <= 6


async def test_the_last_answer_is_announced(tmp_path: Path, story: Story) -> None:
    def script(asked: Asked) -> Reply:
        last = "your last answer" in asked.latest
        return answer(wave("2")) if last else answer(tool("note", {"text": f"thought {asked.number}"}))

    _, server = await plan(tmp_path, story, script, max_turns=4)
    assert len(server.asked) == 4


async def test_a_thought_that_was_cut_off_is_not_taken_back_and_the_model_is_told_to_be_brief(
    tmp_path: Path, story: Story
) -> None:
    unsigned = answer(thought("So many possibilities", signature=""), stop="max_tokens")
    _, server = await plan(tmp_path, story, lambda a: unsigned if a.number == 1 else answer(wave("2")))
    assert len(server.asked[1].body["messages"]) == 1
    assert "cut off at the length limit" in server.asked[1].latest
    assert not server.refused


async def test_every_kind_of_effort_and_thought_is_passed_on(tmp_path: Path, story: Story) -> None:
    _, server = await plan(tmp_path, story, lambda _: answer(wave("2")), effort="low", thinking="disabled")
    body = server.asked[0].body
    assert body["output_config"] == {"effort": "low"}
    assert body["thinking"] == {"type": "disabled"}
    _, server = await plan(tmp_path, story, lambda _: answer(wave("3")), effort="", thinking="")
    assert not {"output_config", "thinking"} & set(server.asked[0].body), "left to the model"


# --- money ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cap", ["max_usd", "max_usd_day", "max_usd_wave"])
async def test_a_call_that_might_exceed_a_cap_is_not_made(cap: str, tmp_path: Path, story: Story) -> None:
    with pytest.raises(Unavailable, match="too much for one more call") as caught:
        await plan(tmp_path, story, lambda _: answer(wave("2")), **{cap: 0.05})
    assert caught.value.is_final == (cap == "max_usd")
    assert not facts(story, ev.ModelCalled)


async def test_repair_and_plan_of_one_question_share_the_cap_of_a_wave(tmp_path: Path, story: Story) -> None:
    crashed(story)
    before = story.state.model_usd

    def script(asked: Asked) -> Reply:
        return answer(text("Leave it. " * 1200)) if asked.number == 1 else answer(wave("3"))

    dear = {"claude-sonnet": Price(0.1, 100, 0.1, 0.1), "claude-opus": Price(10, 50, 1, 12.5)}
    with pytest.raises(Unavailable, match="per wave"):
        await plan(tmp_path, story, script, max_usd_wave=0.45, max_tokens=4000, prices=dear)
    assert len(facts(story, ev.ModelCalled)) == 1, "the repair was affordable, the plan was not any more"
    assert story.state.model_usd - before < 0.45


async def test_near_a_cap_answers_are_shorter_and_the_model_is_told(tmp_path: Path, story: Story) -> None:
    story.tell(ev.ModelCalled, call=1, model="claude-opus-5-5", usd=9.6)
    _, server = await plan(tmp_path, story, lambda _: answer(wave("2")), max_usd=10.0, max_usd_day=None)
    (asked,) = server.asked
    assert 4000 <= asked.body["max_tokens"] < 32_000
    assert "is near: plan now" in asked.said
    assert server.other == ["/v1/messages/count_tokens"], "the count of the service is asked only where it matters"


async def test_gpus_and_model_together_never_pass_their_limit(tmp_path: Path, story: Story) -> None:
    story.tell(ev.LimitsSet, max_usd=5.0)
    story.tell(ev.ModelCalled, call=1, model="claude-opus-5-5", usd=4.99)
    with pytest.raises(Unavailable, match="GPUs and model together"):
        await plan(tmp_path, story, lambda _: answer(wave("2")))


# --- failures that nobody stands in for -------------------------------------------------------------------------------


async def test_without_a_stand_in_a_wrong_key_ends_the_research_with_a_sentence(tmp_path: Path, story: Story) -> None:
    bad = failure(401, "authentication_error", f"invalid x-api-key {KEY}")
    async with asking(tmp_path, story, lambda _: bad) as (researcher, _):
        with pytest.raises(ResearcherFailed, match="set ANTHROPIC_API_KEY"):
            await researcher.propose(story.state, 4)
    assert KEY not in msgspec.json.encode(story.facts).decode()


async def test_a_service_that_repeats_the_key_does_not_get_it_into_the_log(tmp_path: Path, story: Story) -> None:
    bad = failure(400, "invalid_request_error", f"{KEY} may not do this")
    with pytest.raises(Unavailable, match=r"\[key\] may not do this"):
        await plan(tmp_path, story, lambda _: bad)
    assert KEY not in msgspec.json.encode(story.facts).decode()


async def test_without_a_stand_in_the_cap_of_a_day_is_waited_for(tmp_path: Path, story: Story) -> None:
    async with asking(tmp_path, story, lambda _: answer(wave("2")), max_usd_day=0.01) as (researcher, _):
        found = await researcher.propose(story.state, 4)
    assert not found.ideas
    assert 0 < found.wait_s <= 86_400


# --- repairs ----------------------------------------------------------------------------------------------------------


def crashed(story: Story) -> ExperimentId:
    (name,) = story.wave({"DEPTH": "2"})
    story.crash(story.start(name), "ZeroDivisionError: division by zero")
    story.judge(name, "crashed")
    return name


async def test_a_crash_is_repaired_first_by_the_model_for_repairs(tmp_path: Path, story: Story) -> None:
    name = crashed(story)
    mended = {"experiment": name, "diagnosis": "too shallow", "settings": [{"name": "DEPTH", "value": "3"}]}
    found, server = await plan(tmp_path, story, lambda _: answer(tool("repair", {**mended, "edits": []})))
    assert [idea.repairs for idea in found.ideas] == [name]
    (asked,) = server.asked
    assert asked.body["model"] == "claude-sonnet-5-5"
    assert "ZeroDivisionError" in asked.question
    assert facts(story, ev.ModelCalled)[0].purpose == "repair"


async def test_a_crash_that_is_not_worth_it_is_dropped_with_the_reason(tmp_path: Path, story: Story) -> None:
    name = crashed(story)

    def script(asked: Asked) -> Reply:
        return answer(text("The idea itself is broken.")) if asked.number == 1 else answer(wave("3"))

    found, _ = await plan(tmp_path, story, script)
    assert story.state.repairs[name].reason == "The idea itself is broken."
    assert found.ideas[0].change.settings == {"DEPTH": "3"}, "and the wave is planned"


async def test_an_edited_program_is_said_as_such(tmp_path: Path, story: Story) -> None:
    async with asking(tmp_path, story, lambda asked: answer(wave(str(1 + asked.number)))) as (researcher, server):
        await researcher.plan(story.state, 4, patience_s=0.0)
        (tmp_path / "program.md").write_text("Lower it. Never touch the optimizer.\n")
        await researcher.plan(story.state, 4, patience_s=0.0)
    assert "program.md was edited" not in server.asked[0].said
    assert "+Lower it. Never touch the optimizer." in server.asked[1].said


async def test_a_design_by_name_is_one_wave(tmp_path: Path, story: Story) -> None:
    factors = [{"name": "DEPTH", "levels": ["2", "4"]}, {"name": "MATRIX_LR", "levels": ["0.02", "0.04"]}]
    wanted = {"hypothesis": "h", "baseline": "e0", "design": "full factorial", "factors": factors}
    found, _ = await plan(tmp_path, story, lambda _: answer(tool("plan_wave", wanted)))
    assert isinstance(found.design, Design)
    assert len(found.ideas) == 3, "the fourth cell is the baseline"
