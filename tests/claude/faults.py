"""A scripted researcher that looks around a lot, and a service that fails at random: for long sessions.

The dice decide by the number of the request, so that the same seed gives the same session.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from claude import replies
from claude.competent import baseline, constants, moved
from claude.replies import Reply, answer, failure, text, thought, tool
from claude.server import Asked

LOOKS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("results", {"top": 30, "sort": "newest"}),
    ("results", {"columns": ["val_bpb", "title", "reason", "change", "wave"], "top": 60}),
    ("effects", {}),
    ("read_file", {"path": "train.py"}),
    ("read_file", {"path": "../../etc/passwd"}),
    ("log_excerpt", {"run": "e0", "lines": 50}),
    ("edit", {"experiment": "e0", "edits": [{"search": "DEPTH = 8", "replace": "DEPTH = 6"}]}),
    ("retest", {"experiment": "e1", "reason": "to be sure"}),
    ("promote", {"experiment": "e2", "reason": "it looks good"}),
    ("veto", {"experiment": "e3", "reason": "no longer"}),
)


class Wanderer:
    """A few looks per question, then a small wave; notes in between."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def __call__(self, asked: Asked) -> Reply:
        dice = Random(f"{self.seed}/{asked.number}")
        said = (thought("Perhaps. " * dice.randint(1, 60)), text("Looking on. " * dice.randint(1, 10)))
        if "call repair" in asked.question and "Crashed, and not repaired" in asked.question:
            return answer(text("None of them is worth it."))
        if "last answer" in asked.latest or (asked.turns > 3 and dice.random() < 0.35):
            return answer(*said, tool("plan_wave", self._wave(asked, dice)))
        if dice.random() < 0.1:
            return answer(*said, tool("note", {"text": f"At request {asked.number}: " + "it matters. " * 8}))
        name, arguments = dice.choice(LOOKS)
        return answer(*said, tool(name, arguments))

    def _wave(self, asked: Asked, dice: Random) -> dict[str, object]:
        known = constants(asked)
        names = [name for name in known if name.endswith(("_LR", "_DECAY", "_RATIO"))]
        ideas = []
        for name in dice.sample(names, k=min(4, len(names))):
            value = moved(known[name], name, dice.uniform(-1.5, 1.5), 1.5)
            ideas.append({"title": f"{name} {value}", "hypothesis": "", "settings": [{"name": name, "value": value}]})
        return {"hypothesis": "One by one.", "baseline": baseline(asked), "experiments": ideas}


FAULTS: tuple[Callable[[Reply], Reply], ...] = (
    lambda _: failure(529, "overloaded_error", "Overloaded"),
    lambda _: failure(500, "api_error", "Internal"),
    lambda _: failure(429, "rate_limit_error", "Slowly", retry_after="7"),
    lambda _: failure(429, "rate_limit_error", "Slowly", retry_after="900"),
    lambda _: replies.html(),
    replies.cut,
    replies.ended_early,
    replies.broken_off,
    replies.garbled,
    lambda reply: replies.cut_tool(reply, 15),
    lambda reply: replies.cut_tool(reply, 40, "tool_use"),
    replies.with_strangers,
    lambda _: replies.refusal(),
    lambda _: answer(text("I am done.")),
    lambda _: answer(text("…"), stop="max_tokens"),
    lambda _: answer(text("…"), stop="pause_turn"),
    lambda _: answer(text("…"), stop="model_context_window_exceeded"),
    lambda _: failure(400, "invalid_request_error", "prompt is too long: 1000001 tokens > 1000000 maximum"),
    lambda _: answer(tool("plan_wave", {"hypothesis": 1})),
    lambda _: answer(tool("no_such_tool", {})),
    lambda reply: replies.thinking_in_silence(reply, 3000),
    lambda reply: replies.cut(replies.thinking_in_silence(reply, 3000)),
)
RARE = (replies.stalled,)  # it takes real time to notice


def faulty(good: Callable[[Asked], Reply], seed: int, share: float = 0.25) -> Callable[[Asked], Reply]:
    """The same, with so large a share of its replies spoilt."""

    def script(asked: Asked) -> Reply:
        dice, reply = Random(f"{seed}/fault/{asked.number}"), good(asked)
        if dice.random() < 0.004:
            return dice.choice(RARE)(reply)
        return dice.choice(FAULTS)(reply) if dice.random() < share else reply

    return script
