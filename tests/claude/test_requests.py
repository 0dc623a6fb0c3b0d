"""What the model is sent: stable first, volatile last, bounded; and what an operator does reaches it as such."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import imagined
import pytest
from claude.competent import Competent
from claude.replies import Reply, answer, failure, slow, text
from claude.server import Asked
from claude.sessions import Held, held

from core import commands, money
from core import log as logs
from core import thinking as th
from core.ids import ExperimentId, WaveId

VOLATILE = ("Elapsed", " free; ", "Spent $", "left for", "Your next wave")


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Held:
    return held(tmp_path_factory.mktemp("requests") / "work", Competent(), hours=3, fleet="H100:13,H200:3")


def marked(blocks: list[dict[str, Any]]) -> list[int]:
    return [place for place, block in enumerate(blocks) if "cache_control" in block]


def test_tools_and_instructions_are_the_same_bytes_in_every_request(session: Held) -> None:
    asked = session.server.asked
    assert len(asked) > 20
    for name in ("tools", "system"):
        assert len({json.dumps(each.body[name]) for each in asked}) == 1


def test_the_breakpoints_stand_after_what_is_stable(session: Held) -> None:
    for asked in session.server.asked:
        system, opening = asked.body["system"], asked.body["messages"][0]["content"]
        assert marked(system) == [len(system) - 1]
        ends = marked(opening)
        assert ends
        stable = system + opening[: ends[-1] + 1] if asked.turns == 0 else system
        told = "\n".join(block["text"] for block in stable)
        assert not [word for word in VOLATILE if word in told]


def test_a_conversation_only_grows_at_its_end(session: Held) -> None:
    """So that each of its requests reads the one before from the cache."""
    pairs = [(a, b) for a, b in zip(session.server.asked, session.server.asked[1:], strict=False) if b.turns > a.turns]
    assert pairs
    for before, after in pairs:
        shared = len(before.body["messages"])
        assert bare(after.body["messages"][:shared]) == bare(before.body["messages"])
        assert session.server.bills[after.number - 1].usage["cache_read_input_tokens"] > 2000


def bare(value: Any) -> Any:
    """Without the marks of the cache."""
    match value:
        case dict():
            return {name: bare(each) for name, each in value.items() if name != "cache_control"}
        case list():
            return [bare(each) for each in value]
    return value


def test_the_size_of_a_request_is_bounded(session: Held) -> None:
    assert max(asked.size for asked in session.server.asked) < 150_000


def test_tools_are_strict_and_closed(session: Held) -> None:
    for tool in session.server.asked[0].body["tools"]:
        assert tool["strict"] is True
        assert closed(tool["input_schema"]), tool["name"]


def closed(schema: dict[str, Any]) -> bool:
    if schema["type"] == "array":
        return closed(schema["items"])
    if schema["type"] != "object":
        return True
    inside = schema["properties"]
    return (
        schema["additionalProperties"] is False
        and set(schema["required"]) == set(inside)
        and all(closed(each) for each in inside.values())
    )


def test_the_same_session_is_asked_the_same(tmp_path: Path) -> None:
    """Nothing of the day, the process or the machine is in a question."""
    one, two = (held(tmp_path / name, Competent(), hours=0.4) for name in ("one", "two"))
    assert [without_marks(a) for a in one.server.asked] == [without_marks(a) for a in two.server.asked]


def without_marks(asked: Asked) -> str:
    return re.sub(r"data-[0-9a-f]{16}", "data-", json.dumps(asked.body))


def test_what_it_says_is_recorded_in_pieces_of_a_second_at_most(session: Held) -> None:
    said = session.of(th.ResearcherSaid)
    assert said
    for call in {fact.call for fact in said}:
        answered = next(fact for fact in session.of(th.ModelCalled) if fact.call == call)
        assert sum(fact.call == call for fact in said) <= 3 + answered.seconds


def test_the_totals_of_the_state_are_the_sums_of_the_facts(session: Held) -> None:
    calls, usage = session.of(th.ModelCalled), session.state.usage
    assert sum(used.calls for used in usage.values()) == len(calls) == len(session.server.bills)
    assert sum(used.output_tokens for used in usage.values()) == sum(b.output_tokens for b in session.server.bills)
    read = sum(used.cache_read_tokens for used in usage.values())
    assert read == sum(bill.usage["cache_read_input_tokens"] for bill in session.server.bills) > 0
    assert money.spent_usd(session.state, session.state.at) == pytest.approx(session.state.model_usd)


def test_each_wave_has_its_phase(session: Held) -> None:
    planned = [
        wave for wave in session.state.waves.values() if wave.researcher == "claude" and len(wave.experiments) > 1
    ]
    assert planned
    assert all(wave.phase for wave in planned)


# --- operators --------------------------------------------------------------------------------------------------------


class Operated(Competent):
    """While the model thinks about request `at`, an operator does something."""

    def __init__(self, folder: Path, at: int, *wishes: commands.Command, pause_s: float = 0.3) -> None:
        super().__init__()
        self._folder, self._at, self._wishes, self._pause_s = folder, at, wishes, pause_s

    def __call__(self, asked: Asked) -> Reply:
        reply = super().__call__(asked)
        if asked.number != self._at:
            return reply
        for wish in self._wishes:
            logs.send(imagined.file_of(self._folder), wish)
        return slow(reply, self._pause_s)


def test_a_steer_interrupts_the_call_in_flight_and_is_said_next(tmp_path: Path) -> None:
    folder = tmp_path / "work"
    session = held(folder, Operated(folder, 2, commands.Note(text="Try smaller batches.", by="ada")), hours=0.7)
    interrupted = session.of(th.ModelCalled)[1]
    assert interrupted.error == "it was interrupted"
    assert interrupted.usd > 0, "what was read is paid for"
    second, third = session.server.asked[1:3]
    assert "Try smaller batches." not in second.said
    assert "operator (ada)" in third.latest
    assert "Try smaller batches." in third.latest
    later = session.server.asked[-1]
    assert "Try smaller batches." in later.question, "it is never forgotten"
    assert session.waves_by[-1] == "claude"


def test_a_veto_with_a_reason_and_a_promotion_reach_the_next_question(tmp_path: Path) -> None:
    folder = tmp_path / "work"
    veto = commands.Veto(experiment=ExperimentId("e16"), reason="it needs too much memory", by="ada")
    promote = commands.Promote(experiment=ExperimentId("e15"), reason="I like it", by="ada")
    session = held(folder, Operated(folder, 2, veto, promote, pause_s=0.02), hours=1.2, fleet="H100:3,H200:1")
    assert session.state.experiments[ExperimentId("e16")].status == "vetoed"
    later = [asked for asked in session.server.asked[2:] if not asked.turns]
    told = [asked.question for asked in later if "not repaired yet" not in asked.question]
    at_once = told[0].split("From the operator, since you were asked last")[1]
    assert "ada vetoed e16" in at_once
    assert "it needs too much memory" in at_once
    assert "ada promoted e15" in at_once
    assert all("it needs too much memory" in each for each in told)


def test_a_veto_in_the_middle_of_a_question_reaches_the_next_call_of_it(tmp_path: Path) -> None:
    folder = tmp_path / "work"
    veto = commands.Veto(experiment=ExperimentId("e30"), reason="it needs too much memory", by="ada")
    session = held(folder, Operated(folder, 3, veto, pause_s=0.02), hours=1.5, fleet="H100:3,H200:1")
    third, fourth = session.server.asked[2:4]
    assert (third.turns, fourth.turns) == (0, 1), "it looks around first"
    assert "From the operator, just now: ada vetoed e30" in fourth.latest
    assert "it needs too much memory" in fourth.latest


def test_an_edit_of_the_instructions_reaches_the_next_question(tmp_path: Path) -> None:
    folder = tmp_path / "work"
    good = Competent()

    def script(asked: Asked) -> Reply:
        if asked.number == 2:
            (folder / "program.md").write_text("Lower val_bpb.\nNever touch DEPTH.\n")
        return good(asked)

    session = held(folder, script, hours=1)
    before, after = session.server.asked[1], session.server.asked[2]
    assert "Never touch DEPTH" not in json.dumps(before.body["system"])
    assert "Never touch DEPTH" in json.dumps(after.body["system"])
    assert "program.md was edited" in after.question


def test_an_edit_of_the_instructions_is_told_until_it_has_been_answered(tmp_path: Path) -> None:
    folder, good = tmp_path / "work", Competent()

    def script(asked: Asked) -> Reply:
        if asked.number == 1:
            (folder / "program.md").write_text("Lower val_bpb.\nNever touch DEPTH.\n")
        return failure(400, "invalid_request_error", "prompt is too long") if asked.number == 2 else good(asked)

    session = held(folder, script, hours=0.9)
    told = ["program.md was edited" in asked.question for asked in session.server.asked[:5] if not asked.turns]
    assert told[:4] == [False, True, True, False]


def test_the_gate_holds_its_waves_until_they_are_approved(tmp_path: Path) -> None:
    folder = tmp_path / "work"
    imagined.workspace(folder)
    session = held(folder, Operated(folder, 1, commands.Gate(on=True, by="ada")), hours=0.5)
    first = session.state.waves[WaveId("w1")]
    assert first.researcher == "claude"
    assert first.held
    assert not any(session.state.experiments[name].runs for name in first.experiments)


# --- money ------------------------------------------------------------------------------------------------------------


def test_the_budget_of_the_session_counts_gpus_and_model_together(tmp_path: Path) -> None:
    session = held(tmp_path / "work", Competent(), hours=8, max_usd=6.0, gpu_usd_hour={"H100": 2.0})
    spent = money.spent_usd(session.state, session.state.at)
    assert spent is not None
    assert "$6.00" in session.stopped.reason
    assert session.state.model_usd > 0.05
    assert spent < 6.0 + 4 * 2.0 * 400 / 3600, "running jobs finish"


def test_near_a_cap_the_model_is_told(tmp_path: Path) -> None:
    session = held(tmp_path / "work", Competent(), hours=4, fleet="H100:8", claude={"max_usd": 0.6, "max_tokens": 5000})
    assert session.state.model_usd <= 0.6
    assert any("is near: plan now" in asked.said for asked in session.server.asked)
    assert not any("is near: plan now" in asked.said for asked in session.server.asked[:2])
    went = session.of(th.StandInAsked)
    assert went
    assert "$0.60" in went[0].reason


def test_an_engine_that_comes_back_counts_on(tmp_path: Path) -> None:
    folder = tmp_path / "work"
    first = held(folder, Competent(), hours=8, for_="30m", on_exit="leave")
    second = held(folder, Competent(1), hours=1.2)
    calls = [fact.call for fact in second.of(th.ModelCalled)]
    assert calls == sorted(set(calls))
    assert second.state.model_usd > first.state.model_usd > 0
    assert len(second.of(th.ModelCalled)) == len(first.server.bills) + len(second.server.bills)


def test_an_answer_of_words_alone_is_never_sent_back_empty(tmp_path: Path) -> None:
    good = Competent()
    session = held(tmp_path / "w", lambda a: answer(text(" ")) if a.number == 1 else good(a), hours=0.2)
    assert not session.server.refused
