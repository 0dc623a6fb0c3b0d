"""Makes the recording of Claude's researcher on the real trainer; the model's part is a script, and is named so.

Run it as `PYTHONPATH=tests:. python -m claude.record FOLDER NAME.jsonl.gz`. Everything but
the model is real: training on the CPU, a crash and its repair, an operator who steers while the model speaks and vetoes
with a reason.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import stub
from claude.replies import Reply, answer, slow, text, thought, tool
from claude.server import KEY, Asked, Server
from claude.sessions import settle

MODEL = "claude-scripted"  # so that nobody takes its words for a model's
PRICE = {"input": 4, "output": 20, "cache_read": 0.2, "cache_write": 5}
ARGUMENTS = ("--no-ui", "--researcher", "claude", "--max-experiments", "12", "--slots", "1")
PACE_S = 0.15  # between the events of an answer
STEER = "The budget is eight seconds: look for more steps in it before you look for a better model."
WHY = "twice as deep cannot be trained in eight seconds; w1 does not need it"

GELU = ("F.relu(self.up(norm(x))).square()", "F.gelu(self.up(norm(x)))")
GATE = (
    (
        "        self.down = nn.Linear(config.mlp_width, width, bias=False)\n",
        """        self.down = nn.Linear(config.mlp_width, width, bias=False)
        self.gate = nn.Linear(width, width, bias=False)
""",
    ),
    (
        "        return x + self.down(F.relu(self.up(norm(x))).square())\n",
        """        y = norm(x)
        return x + self.down(F.relu(self.up(y)).square() * torch.sigmoid(self.gate(y)))
""",
    ),
)
MENDED = (
    (
        "        self.gate = nn.Linear(width, width, bias=False)\n",
        "        self.gate = nn.Linear(width, config.mlp_width, bias=False)\n",
    ),
    (
        "for p in (block.to_qkv, block.from_heads, block.up, block.down)]",
        "for p in (block.to_qkv, block.from_heads, block.up, block.down, block.gate)]",
    ),
    (
        "            nn.init.zeros_(block.down.weight)\n",
        "            nn.init.zeros_(block.down.weight)\n            nn.init.zeros_(block.gate.weight)\n",
    ),
)
PLAIN = ("    x = grads.lerp(momentum, MUON_MOMENTUM)\n", "    x = momentum.clone()\n")


def blocks(*edits: tuple[str, str]) -> list[dict[str, str]]:
    return [{"search": search, "replace": replace} for search, replace in edits]


def idea(title: str, why: str, *edits: tuple[str, str], **settings: str) -> dict[str, Any]:
    named = [{"name": name, "value": value} for name, value in settings.items()]
    return {"title": title, "hypothesis": why, "edits": blocks(*edits), "settings": named}


FIRST = [
    idea("half the depth", "A smaller model takes more steps in the same time.", DEPTH="2"),
    idea("GELU instead of squared ReLU", "Smoother, and cheaper to get right in few steps.", GELU),
    idea("a gate on the MLP", "The network may learn which hidden units a token needs.", *GATE),
    idea("a shorter warm-down", "Half of so short a run is much to spend on cooling.", WARMDOWN_RATIO="0.3"),
    idea("a higher rate for matrices", "Few steps: each may be longer.", MATRIX_LR="0.08"),
    idea("twice the depth", "More capacity, if the time allows it.", DEPTH="8"),
]
SECOND = [
    idea("half the batch", "Twice the steps, each noisier.", TOTAL_BATCH_SIZE="2**10"),
    idea(
        "a quarter of the batch",
        "Where does the noise begin to cost more than the steps gain?",
        TOTAL_BATCH_SIZE="2**9",
    ),
    idea("no Nesterov step in Muon", "One operation less; with few steps the look ahead may mislead.", PLAIN),
    idea("half the MLP", "Cheaper steps.", MLP_RATIO="2"),
    idea("no value embeddings", "A table less to train.", VALUE_EMBEDDING_EVERY="0"),
]


class Recorded:
    """What the scripted model says; `steer` is called while it speaks for the third time."""

    def __init__(self, steer: Any) -> None:
        self._steer = steer
        self._waves = 0

    def __call__(self, asked: Asked) -> Reply:
        return slow(self._said(asked), PACE_S)

    def _said(self, asked: Asked) -> Reply:
        start = asked.question.rsplit("Plan the next wave from ", 1)[-1].split(":")[0]
        if "not repaired yet" in asked.question:
            wanted = {"experiment": "e3", "diagnosis": DIAGNOSIS, "edits": blocks(*MENDED), "settings": []}
            return answer(
                thought(LOOKING), text(f"The idea is sound, the shape was not. {DIAGNOSIS}"), tool("repair", wanted)
            )
        if self._waves == 0:
            self._waves = 1
            return answer(
                thought(OPENING), text(FIRST_SAID), tool("plan_wave", _wave(start, "broad sweep", FIRST, WHY_FIRST))
            )
        if STEER not in asked.said:
            self._steer()
            return answer(
                thought(LOOKING * 6), text("Next I would make the model wider, because " + "capacity matters, " * 40)
            )
        if self._waves == 1 and not asked.turns:
            return answer(
                text("You want steps. I look at what the first wave says of them."), tool("results", {"top": 8})
            )
        self._waves += 1
        wave = _wave(start, "optimizer", SECOND, WHY_SECOND)
        notes = [tool("note", {"text": NOTE})] if self._waves == 2 else []
        return answer(text(SECOND_SAID), *notes, tool("plan_wave", wave, "toolu_wave"))


def _wave(start: str, phase: str, ideas: list[dict[str, Any]], why: str) -> dict[str, Any]:
    return {
        "hypothesis": why,
        "baseline": start,
        "phase": phase,
        "expected_effect": "-0.05 from the best of them",
        "tier": "screen",
        "design": "list",
        "experiments": ideas,
    }


OPENING = (
    "Eight seconds on one core. What limits it: steps, capacity or the optimizer? One change for each answers that. "
)
LOOKING = "The traceback names the product of two tensors whose widths differ. "
DIAGNOSIS = "The gate has the width of the stream, but it multiplies the hidden units of the MLP."
WHY_FIRST = "What limits a run of eight seconds: the number of steps, the capacity, or the optimizer?"
WHY_SECOND = "More steps in the same time, as the operator asks: smaller batches, cheaper blocks, a cheaper update."
FIRST_SAID = "Six single changes first: two of depth, two of the code of the MLP, two of the schedule and rate."
SECOND_SAID = "Steps, then: smaller batches, a smaller MLP, a plainer Muon step. Nothing deeper: you vetoed it."
NOTE = "The operator: more steps before better models. e6 (DEPTH 8) was vetoed as too slow for eight seconds."


def main() -> None:
    folder, recording = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()

    def order(*words: str) -> None:
        done = stub.run(folder, *words)
        print(words[0], done.stdout.strip(), done.stderr.strip(), flush=True)

    with Server(Recorded(lambda: order("note", STEER))) as server:
        table = _made(folder)
        settle(folder, {**MODELS, "base_url": server.url})
        (folder / "autoresearch.toml").write_text(table + (folder / "autoresearch.toml").read_text())
        environment = {**stub.environment(), "ANTHROPIC_API_KEY": KEY}
        command = [sys.executable, "-c", "from tui.cli import main; main()", "demo", str(folder), *ARGUMENTS]
        with subprocess.Popen(command, env=environment) as engine:
            stub.until(
                lambda: "e6" in stub.state_of(folder).experiments if stub.file_of(folder).exists() else False, 300
            )
            time.sleep(3)
            order("veto", "e6", WHY)
            assert engine.wait(3000) == 0
    told = f"autoresearch-tui demo FOLDER {' '.join(ARGUMENTS)}"
    order("export", "--format", "jsonl", "--progress-every", "1s", "--command", told, "-o", str(recording))
    print(len(recording.read_bytes()), "bytes", os.fspath(recording))


MODELS = {"model": MODEL, "repair_model": MODEL, "fallback_model": "", "prices": {MODEL: PRICE}}


def _made(folder: Path) -> str:
    """A demo workspace with its data; returns its settings."""
    from tui import template

    template.make(folder, print)
    subprocess.run([sys.executable, "prepare.py"], cwd=folder, check=True)
    return (folder / "autoresearch.toml").read_text()


if __name__ == "__main__":
    main()
