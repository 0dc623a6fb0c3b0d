"""Everything that goes wrong with a model, through the real engine: each has a defined end, and the GPUs stay busy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from claude import replies
from claude.competent import Competent
from claude.replies import Reply, answer, failure, text, tool
from claude.server import KEY, Asked, Script
from claude.sessions import LATENCY_S, Held, held

from core import thinking as th
from core.ids import ExperimentId

BUSY = 0.93  # of GPU-seconds of a short session, its first question included
WHILE_IT_TALKS = 0.8  # the same where each question runs into the stand-in's patience, and replicates have told all
GOOD = answer(text("Let me see. " * 20), tool("note", {"text": "Looking around. " * 10}))


def first(count: int, bad: Callable[[Asked], Reply], then: Script | None = None) -> Script:
    """So many bad replies, then a competent researcher."""
    good = then or Competent()
    return lambda asked: bad(asked) if asked.number <= count else good(asked)


def kept_going(session: Held, busy: float = BUSY) -> None:
    """What holds whatever happened."""
    assert session.stopped.exit_code == 0, session.stopped
    assert not session.state.gave_up
    assert session.busy > busy, f"{session.busy:.1%} busy"
    assert not session.server.refused, "every request was one that the service takes"
    told = msgspec.json.encode(session.facts).decode()
    assert KEY not in told
    assert sum(fact.usd for fact in session.of(th.ModelCalled)) == pytest.approx(session.state.model_usd)
    for asked in session.server.asked:
        assert asked.size < 400_000


# --- what passes by itself --------------------------------------------------------------------------------------------

PASSING: dict[str, tuple[Reply, str]] = {
    "529": (failure(529, "overloaded_error", "Overloaded"), "overloaded"),
    "500": (failure(500, "api_error", "Internal"), "failed"),
    "503": (failure(503, "api_error", "Unavailable"), "failed"),
    "408": (failure(408, "timeout_error", "Too slow"), "failed"),
    "a page of a proxy": (replies.html(), "502"),
    "429": (failure(429, "rate_limit_error", "Slowly", retry_after="20"), "rate limit"),
    "429 without a hint": (failure(429, "rate_limit_error", "Slowly"), "rate limit"),
    "429 with a strange hint": (failure(429, "rate_limit_error", "Slowly", retry_after="soon"), "rate limit"),
    "a cut connection": (replies.cut(GOOD), "connection"),
    "a connection cut at once": (replies.cut(GOOD, "content_block_start"), "connection"),
    "an end before the end": (replies.ended_early(GOOD), "ended before its end"),
    "an end in the middle of a tool": (replies.ended_early(replies.cut_tool(GOOD, 12), "message_delta"), "ended"),
    "an error in the stream": (replies.broken_off(GOOD), "overloaded"),
    "a failure in the stream": (replies.broken_off(GOOD, "api_error"), "failed"),
    "a garbled line": (replies.garbled(GOOD), "could not be read"),
    "silence in the middle": (replies.stalled(GOOD), "no sign of life"),
    "silence from the start": (Reply(steps=(replies.Stall(),)), "no sign of life"),
}


@pytest.mark.parametrize("name", PASSING)
def test_what_passes_by_itself_is_tried_again_visibly(name: str, tmp_path: Path) -> None:
    bad, why = PASSING[name]
    session = held(tmp_path / "work", first(2, lambda _: bad), hours=0.5)
    kept_going(session)
    failed = [call for call in session.of(th.ModelCalled) if call.error]
    assert len(failed) == 2
    assert all(why in call.error for call in failed), failed
    assert all(call.again_at is not None and call.again_at > call.at for call in failed), "it says when"
    assert set(session.waves_by) == {"claude"}
    assert not session.of(th.StandInAsked)


def test_a_wish_to_be_left_alone_is_obeyed(tmp_path: Path) -> None:
    session = held(tmp_path / "work", first(1, lambda _: PASSING["429"][0]), hours=0.4)
    failed, then = session.of(th.ModelCalled)[:2]
    assert failed.again_at == pytest.approx(failed.at + 20)
    assert then.at - then.seconds >= failed.at + 20


def test_slow_answers_and_strangers_in_the_stream_are_no_failures(tmp_path: Path) -> None:
    good = Competent()
    session = held(tmp_path / "work", lambda asked: replies.slow(replies.with_strangers(good(asked)), 0.01), hours=0.3)
    kept_going(session)
    assert session.errors == []


def test_an_hour_of_being_sent_away_is_bridged_by_the_stand_in_and_ends(tmp_path: Path) -> None:
    away = failure(429, "rate_limit_error", "Slowly", retry_after="3600")
    session = held(tmp_path / "work", first(1, lambda _: away), hours=2)
    kept_going(session)
    assert session.waves_by[0] == "designed"
    assert session.waves_by[-1] == "claude"
    went, came = session.of(th.StandInAsked)
    assert (went.stand_in, came.stand_in) == ("designed", "")
    assert "rate limit" in went.reason
    left_alone = [call.at - call.seconds for call in session.of(th.ModelCalled)]
    assert min(left_alone[1:]) >= left_alone[0] + 3600, "nobody asks before"


def test_a_service_that_stays_away_leaves_the_research_to_the_stand_in(tmp_path: Path) -> None:
    session = held(tmp_path / "work", lambda _: PASSING["529"][0], hours=1, claude={"stand_in_after_s": 200})
    kept_going(session)
    went = session.of(th.StandInAsked)[0]
    assert "overloaded" in went.reason
    assert went.at - session.state.started_at < 200 + 2 * LATENCY_S
    assert set(session.waves_by) == {"designed"}
    assert session.state.stand_in == "designed"
    assert len(session.server.asked) < 60, "it is not hammered"


# --- what does not ----------------------------------------------------------------------------------------------------

LASTING: dict[str, tuple[Reply, str]] = {
    "a wrong key": (failure(401, "authentication_error", "invalid x-api-key"), "key"),
    "no credit": (failure(400, "invalid_request_error", "Your credit balance is too low"), "credit"),
    "no bill paid": (failure(402, "billing_error", "Pay first"), "credit"),
    "no permission": (failure(403, "permission_error", "Not allowed"), "may not"),
    "no such model": (failure(404, "not_found_error", "model: claude-nothing"), "no such model"),
    "a request that it does not take": (failure(400, "invalid_request_error", "tools.3: no"), "refused"),
}


@pytest.mark.parametrize("name", LASTING)
def test_what_no_waiting_mends_is_said_once_and_the_stand_in_goes_on(name: str, tmp_path: Path) -> None:
    bad, why = LASTING[name]
    session = held(tmp_path / "work", lambda _: bad, hours=0.5)
    kept_going(session)
    assert why in session.errors[0]
    assert len(session.server.asked) <= 4, "it is not asked again and again"
    assert session.of(th.StandInAsked)[0].stand_in == "designed"
    assert set(session.waves_by) == {"designed"}


def test_without_a_key_it_says_so_and_the_stand_in_goes_on(tmp_path: Path) -> None:
    session = held(tmp_path / "work", Competent(), hours=0.3, key="")
    assert session.stopped.exit_code == 0
    assert session.busy > BUSY
    assert session.server.asked == []
    assert "ANTHROPIC_API_KEY" in session.of(th.StandInAsked)[0].reason


# --- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("said", [(), (text("I should not help with this."),)], ids=["silently", "with words"])
def test_a_refusal_is_a_state_that_another_model_is_asked_once_about_and_never_a_loop(
    said: tuple[dict[str, str], ...], tmp_path: Path
) -> None:
    session = held(tmp_path / "work", lambda _: replies.refusal("frontier_llm", *said), hours=1)
    kept_going(session)
    models = [str(asked.body["model"]) for asked in session.server.asked]
    assert models[:2] == ["claude-opus-5-5", "claude-sonnet-5-5"]
    assert len(models) <= 4
    assert all(call.stop_reason == "refusal" for call in session.of(th.ModelCalled))
    went = session.of(th.StandInAsked)[0]
    assert "frontier_llm" in went.reason
    assert set(session.waves_by) == {"designed"}


def test_the_fallback_model_goes_on_where_the_first_refuses(tmp_path: Path) -> None:
    good = Competent()

    def script(asked: Asked) -> Reply:
        return replies.refusal() if asked.body["model"] == "claude-opus-5-5" else good(asked)

    session = held(tmp_path / "work", script, hours=0.5)
    kept_going(session)
    assert set(session.waves_by) == {"claude"}
    refused = [call for call in session.of(th.ModelCalled) if call.stop_reason == "refusal"]
    assert refused
    assert {call.model for call in refused} == {"claude-opus-5-5"}


# --- answers that cannot be used --------------------------------------------------------------------------------------


def planned(asked: Asked, **more: object) -> dict[str, object]:
    settings = [{"name": "MATRIX_LR", "value": f"0.0{5 + asked.number}"}]
    idea = {"title": "a rate", "hypothesis": "better", "settings": settings, "edits": []}
    return {"hypothesis": "Is a higher rate better?", "baseline": "e0", "experiments": [idea], **more}


def test_a_tool_call_that_was_cut_off_is_never_carried_out(tmp_path: Path) -> None:
    def cut(asked: Asked) -> Reply:
        return replies.cut_tool(answer(tool("plan_wave", planned(asked))), 120)

    session = held(tmp_path / "work", first(1, cut), hours=0.3)
    kept_going(session)
    second = session.server.asked[1].body["messages"][-1]["content"]
    assert any(block["type"] == "tool_result" and block["is_error"] for block in second)
    assert session.of(th.ToolUsed)[0].error
    assert "Is a higher rate better?" not in {wave.reason for wave in session.state.waves.values()}


def test_a_cut_call_that_still_parses_is_not_carried_out_either(tmp_path: Path) -> None:
    whole = {"text": "first part"}
    cut = replies.answer(tool("note", whole), stop="max_tokens")
    session = held(tmp_path / "work", first(1, lambda _: cut), hours=0.2)
    assert session.of(th.ToolUsed)[0].error
    assert "first part" not in [note.text for note in session.of(th.NotebookWritten)]


BAD_CALLS: dict[str, Reply] = {
    "an unknown tool": answer(tool("run_shell", {"command": "ls"})),
    "no input": answer(tool("plan_wave", {})),
    "wrong types": answer(tool("plan_wave", {"hypothesis": 3, "baseline": ["e0"], "experiments": "all"})),
    "too much": answer(tool("plan_wave", {"hypothesis": "x", "baseline": "e0", "x": {"y": [1] * 500}})),
    "an empty answer": answer(),
    "blank words": answer(text(" \n ")),
    "only words": answer(text("I would now try a higher rate.")),
    "that it is done": answer(text("The research is complete. Thank you!")),
    "an unknown stop reason": answer(text("Hm."), stop="moonlight"),
    "a pause": answer(text("Let me think"), stop="pause_turn"),
    "the length limit": answer(text("And so on"), stop="max_tokens"),
    "an empty list": answer(tool("plan_wave", {"hypothesis": "x", "baseline": "e0", "experiments": []})),
    "an old baseline": answer(tool("plan_wave", {"hypothesis": "x", "baseline": "e77", "experiments": []})),
    "a wait while GPUs are free": answer(tool("wait", {"reason": "no idea", "seconds": 1e9})),
    "two answers at once": answer(tool("note", {"text": "one"}), tool("run_shell", {}, "toolu_b")),
}


@pytest.mark.parametrize("name", BAD_CALLS)
def test_an_answer_that_cannot_be_used_is_corrected_in_the_next(name: str, tmp_path: Path) -> None:
    session = held(tmp_path / "work", first(1, lambda _: BAD_CALLS[name]), hours=0.3)
    kept_going(session)
    assert len(session.server.asked) > 1
    assert set(session.waves_by) == {"claude"}


@pytest.mark.parametrize("name", BAD_CALLS)
def test_answers_that_can_never_be_used_end_with_the_stand_in_and_cost_little(name: str, tmp_path: Path) -> None:
    session = held(tmp_path / "work", lambda _: BAD_CALLS[name], hours=0.6)
    kept_going(session, WHILE_IT_TALKS)
    assert "designed" in session.waves_by
    assert session.of(th.StandInAsked)
    assert session.state.model_usd < 3


def test_the_same_failing_edit_again_and_again_ends(tmp_path: Path) -> None:
    block = {"search": "no such line", "replace": "x = 1"}
    wanted = {"experiment": "e0", "edits": [block]}
    session = held(tmp_path / "work", lambda _: answer(tool("edit", wanted)), hours=0.4)
    kept_going(session, WHILE_IT_TALKS)
    assert "again" in session.of(th.StandInAsked)[0].reason
    told = [block["content"] for asked in session.server.asked for block in results(asked)]
    assert any("matches nothing in train.py" in each for each in told)


def results(asked: Asked) -> list[dict[str, str]]:
    content = asked.body["messages"][-1]["content"]
    return [block for block in content if block["type"] == "tool_result"]


# --- too long ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["refused", "stopped"])
def test_a_question_that_is_too_long_is_asked_again_with_less_history(how: str, tmp_path: Path) -> None:
    good, sizes = Competent(), list[int]()

    def script(asked: Asked) -> Reply:
        sizes.append(asked.size)
        if asked.number not in (8, 9):
            return good(asked)
        if how == "stopped":
            return answer(text("Hm"), stop="model_context_window_exceeded")
        return failure(400, "invalid_request_error", "prompt is too long: 1000001 tokens > 1000000 maximum")

    session = held(tmp_path / "work", script, hours=2, fleet="H100:8")
    kept_going(session)
    assert sizes[7] > sizes[8] > sizes[9], "each shorter than the one before"
    assert set(session.waves_by) == {"claude"}


# --- repairs ----------------------------------------------------------------------------------------------------------


def test_a_crashed_experiment_is_repaired_once_and_otherwise_remembered(tmp_path: Path) -> None:
    session = held(tmp_path / "work", Competent(), hours=3, fleet="H100:8")
    kept_going(session)
    tried = session.state.repairs
    assert tried
    for name, repair in tried.items():
        assert session.state.experiments[name].status == "crashed"
        assert repair.by is None or session.state.experiments[repair.by].id != name
    assert len({repair.by for repair in tried.values() if repair.by}) == sum(bool(r.by) for r in tried.values())
    assert ExperimentId("e0") not in tried
