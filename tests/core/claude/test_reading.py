"""Streams read: what was said, what it cost, and which tool calls may be believed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from claude import replies
from claude.replies import Event, Reply, answer, text, thought, tool
from hypothesis import given
from hypothesis import strategies as st

from core.claude.reading import Answer, Reading

CALL = {"hypothesis": "is it better?", "levels": ["0.1", "0.2"], "deep": {"n": 3}}


def read(reply: Reply) -> Reading:
    reading = Reading()
    for step in reply.steps:
        if isinstance(step, Event):
            reading.feed(step.data)
    return reading


def answered(reply: Reply) -> Answer:
    return read(reply).answer(1, "m")


def delta(kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": 0, "delta": {"type": kind, **fields}}


def test_a_whole_answer_gives_text_thought_and_tools() -> None:
    reply = answer(thought("Hm."), text("I plan."), tool("plan_wave", CALL))
    found = answered(reply)
    assert read(reply).is_whole
    assert found.text == "I plan."
    assert found.stop_reason == "tool_use"
    assert [(call.name, call.arguments, call.problem) for call in found.tools] == [("plan_wave", CALL, "")]
    assert [block["type"] for block in found.blocks] == ["thinking", "text", "tool_use"]
    assert found.blocks[0]["signature"] == "signed"


def test_an_answer_without_its_last_event_is_not_whole() -> None:
    assert not read(replies.ended_early(answer(text("Almost")))).is_whole


@pytest.mark.parametrize("length", range(1, len(json.dumps(CALL))))
def test_arguments_that_were_cut_anywhere_are_never_a_smaller_call(length: int) -> None:
    (call,) = answered(replies.cut_tool(answer(tool("plan_wave", CALL)), length)).tools
    assert call.problem
    assert call.arguments in ({}, CALL)


def test_a_call_that_parses_but_was_cut_is_not_believed() -> None:
    (call,) = answered(answer(tool("note", {"text": "one"}), stop="max_tokens")).tools
    assert "cut off" in call.problem


@pytest.mark.parametrize("content", ["[1]", '"x"', "3", "{", "nul", '{"a": 1} {"b": 2}'])
def test_arguments_that_are_no_object_have_a_problem(content: str) -> None:
    reading = Reading()
    start = {"type": "tool_use", "id": "t", "name": "note", "input": {}}
    reading.feed({"type": "content_block_start", "index": 0, "content_block": start})
    reading.feed(delta("input_json_delta", partial_json=content))
    reading.feed({"type": "content_block_stop", "index": 0})
    (call,) = reading.answer(1, "m").tools
    assert call.problem
    assert reading.answer(1, "m").blocks[0]["input"] == {}, "what is sent back is what the service takes"


def test_a_call_whose_end_was_not_seen_has_a_problem_however_well_it_parses() -> None:
    reading = Reading()
    start = {"type": "tool_use", "id": "t", "name": "note", "input": {}}
    reading.feed({"type": "content_block_start", "index": 0, "content_block": start})
    reading.feed(delta("input_json_delta", partial_json='{"text": "one"}'))
    (call,) = reading.answer(1, "m").tools
    assert call.problem == "its arguments are not complete"


def test_what_is_not_known_says_nothing() -> None:
    reading = Reading()
    for event in ({"type": "moon"}, {}, {"type": "content_block_delta", "index": 7, "delta": {}}, delta("new_delta")):
        assert reading.feed(event) == ("", False)


def test_a_cut_answer_is_billed_by_what_was_heard_at_most() -> None:
    reading = Reading()
    usage = {"input_tokens": 100, "cache_read_input_tokens": 50, "output_tokens": 1}
    reading.feed({"type": "message_start", "message": {"usage": usage}})
    reading.feed({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}})
    reading.feed(delta("text_delta", text="schön"))
    bounded = reading.bounded(unheard=0)
    assert (bounded.input_tokens, bounded.cache_read_tokens, bounded.output_tokens) == (100, 50, 6)
    assert reading.bounded(unheard=3000).output_tokens == 3006, "it may have thought in silence"


def test_nothing_is_billed_for_an_answer_that_never_began() -> None:
    assert read(Reply(steps=())).bounded(unheard=3000).output_tokens == 0


@given(st.lists(st.dictionaries(st.text(max_size=8), st.none() | st.integers() | st.text(max_size=8), max_size=4)))
def test_no_sequence_of_events_breaks_it(events: list[dict[str, Any]]) -> None:
    reading = Reading()
    for event in events:
        reading.feed(event)
    reading.answer(1, "m")
