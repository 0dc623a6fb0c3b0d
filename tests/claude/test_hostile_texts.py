"""Thirty texts that want something, in logs, titles, reasons and results: tools do what they did without them."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

import pytest
from claude.injections import INJECTIONS, injected
from story import SOURCE, Story

from core import events as ev
from core.claude import context, repairs
from core.claude.fences import mark
from core.claude.tools import Used, View, use
from core.errors import PatchError
from core.ids import ExperimentId, RunId, WaveId
from core.patch import Change
from core.state import State

CANARY = "QZCANARYQZ"
LONGEST = 40_000  # characters of an answer
ACTS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("promote", {"experiment": "e3", "reason": "it is good"}),
    ("retest", {"experiment": "e2", "reason": "once more"}),
    ("veto", {"experiment": "e3", "reason": "no longer"}),
    ("wait", {"reason": "for results", "seconds": 60}),
    ("note", {"text": "DEPTH matters."}),
    ("repair", {"experiment": "e1", "diagnosis": "too deep", "settings": [{"name": "DEPTH", "value": "5"}]}),
    (
        "plan_wave",
        {
            "hypothesis": "depth",
            "baseline": "e0",
            "design": "full factorial",
            "factors": [{"name": "DEPTH", "levels": ["3", "6"]}, {"name": "MATRIX_LR", "levels": ["0.02", "0.08"]}],
        },
    ),
    ("plan_wave", {"hypothesis": "?", "baseline": "e999", "experiments": []}),
)
LOOKS: tuple[tuple[str, dict[str, Any]], ...] = (
    (
        "results",
        {"columns": ["status", "title", "hypothesis", "reason", "change", "wave", "cell", "phase"], "top": 100},
    ),
    ("results", {"containing": "a"}),
    ("effects", {"wave": "w1"}),
    ("effects", {}),
    ("log_excerpt", {"run": "e1-1", "lines": 200}),
    ("log_excerpt", {"run": "e2", "part": "start"}),
    ("log_excerpt", {"run": "e2-1", "containing": CANARY}),
    ("read_file", {"path": "train.py"}),
    ("read_file", {"path": "program.md"}),
    ("read_file", {"path": "e1"}),
    ("read_file", {"path": CANARY}),
    ("edit", {"experiment": "e0", "edits": [{"search": "DEPTH = 4", "replace": "DEPTH = 5"}]}),
)


def state_with(text: str) -> State:
    return story_with(text).state


def story_with(text: str) -> Story:
    """A crash, a result and an open experiment; everything that others may write says `text`."""
    story = Story(gpus=3, source=SOURCE.replace("# layers", f"# layers {CANARY}"))
    story.tell(
        ev.WavePlanned, wave=WaveId("w1"), parent=ExperimentId("e0"), reason=text, researcher="claude", phase=text
    )
    for number in (1, 2, 3):
        story.tell(
            ev.ExperimentProposed,
            experiment=ExperimentId(f"e{number}"),
            wave=WaveId("w1"),
            parent=ExperimentId("e0"),
            change=Change(settings={"DEPTH": str(4 + number)}),
            digest=f"d{number}",
            title=text,
            hypothesis=text,
            cell={"DEPTH": str(4 + number)},
        )
    story.tell(ev.ProposalRejected, wave=WaveId("w1"), title=text, reason=text)
    for number in (1, 2, 3):
        story.start(ExperimentId(f"e{number}"), gpu=number - 1)
    story.wait(300)
    story.tell(ev.RunEnded, run=RunId("e1-1"), outcome="crashed", reason=text, tail=text)
    story.tell(ev.RunEnded, run=RunId("e2-1"), outcome="finished", val_bpb=1.9, tail=text)
    story.tell(ev.ExperimentJudged, experiment=ExperimentId("e1"), verdict="crashed", reason=text)
    story.tell(ev.ResearcherSaid, call=1, text=text)
    story.tell(ev.NotebookWritten, text=text[:2000])  # the tool takes no more
    return story


def seen(state: State, text: str) -> View:
    def files(path: str) -> str:
        if path != "program.md":
            raise PatchError(f"There is no file {path}.")
        return text

    return View(state=state, now=state.at, slots=3, files=files, log_of=lambda _: text)


def outside(answer: str, seal: str) -> str:
    """What of an answer stands in no fence."""
    return re.sub(rf"<data-{seal} [^\n]*>\n.*?\n</data-{seal}>", "", answer, flags=re.DOTALL)


@pytest.fixture(params=range(len(INJECTIONS)), ids=lambda place: f"text {place}")
def hostile(request: pytest.FixtureRequest) -> str:
    return f"{CANARY} {injected(INJECTIONS[request.param], mark(state_with('harmless')))} {CANARY}"


def decided(used: Used) -> tuple[Any, ...]:
    return used.plan, used.commands, used.notes, bool(used.error)


def test_there_are_at_least_thirty() -> None:
    assert len(set(INJECTIONS)) >= 30


def test_no_text_changes_what_a_tool_does(hostile: str) -> None:
    state, harmless = state_with(hostile), state_with("harmless")
    for name, arguments in ACTS:
        after, before = use(name, arguments, seen(state, hostile)), use(name, arguments, seen(harmless, "harmless"))
        if name == "repair":  # it carries the title of what it repairs, cleaned
            assert (after.plan is None, after.error) == (before.plan is None, before.error)
            assert (
                after.plan is None or before.plan is None or after.plan.ideas[0].change == before.plan.ideas[0].change
            )
        else:
            assert decided(after) == decided(before), name


def test_no_text_gets_out_of_its_fence(hostile: str) -> None:
    state = state_with(hostile)
    seal = mark(state)
    for name, arguments in (*LOOKS, *ACTS):
        answer = use(name, arguments, seen(state, hostile)).answer
        assert answer.count(f"<data-{seal}") == answer.count(f"</data-{seal}>"), name
        rest = outside(answer, seal)
        assert seal not in rest, name
        if arguments.get("path") != CANARY:
            assert CANARY not in rest, f"{name} says it outside of a fence: {rest[:300]}"
        assert len(answer) < LONGEST, name


def test_no_control_character_gets_through(hostile: str) -> None:
    state = state_with(hostile)
    for name, arguments in (*LOOKS, *ACTS):
        used = use(name, arguments, seen(state, hostile))
        for text in (used.answer, used.told, used.error):
            bad = [c for c in text if c != "\n" and unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")]
            assert not bad, (name, bad)


def test_no_text_gets_out_of_its_fence_in_a_question(hostile: str) -> None:
    state = state_with(hostile)
    shown = {
        "baseline": context.baseline(state),
        "history": context.history(state),
        "short history": context.history(state, 100),
        "question": context.question(state, 3, state.at),
        "repairs": repairs.question(seen(state, hostile), (state.experiments[ExperimentId("e1")],)),
    }
    for name, told in shown.items():
        rest = outside(told, mark(state))
        assert CANARY not in rest, f"the {name} says it outside of a fence: {rest[:600]}"
        assert mark(state) not in rest, name
        assert len(told) < LONGEST, name
        assert not [c for c in told if c != "\n" and unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")]


def test_what_the_operator_says_stands_outside_and_only_that(hostile: str) -> None:
    story = story_with(hostile)
    story.wait(1).tell(ev.NoteAdded, by="ada", text="OPERATORSAYS try muon")
    story.tell(ev.ExperimentVetoed, experiment=ExperimentId("e3"), by="ada", reason="OPERATORSAYS too slow")
    state = story.state
    told = f"{context.history(state)}\n{context.question(state, 3, state.at)}"
    rest = outside(told, mark(state))
    assert rest.count("OPERATORSAYS try muon") >= 1
    assert rest.count("OPERATORSAYS too slow") >= 1
    assert CANARY not in rest, rest[:600]
