"""What `effects` shows: text that fits 80 columns, and JSON that stays as documented."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from story import E0, Story

from core import events as ev
from core.analysis import wave_analysis
from core.design import Design, Factor, cells, change
from core.factors import fractional, plackett_burman
from core.ids import ExperimentId, WaveId
from core.patch import Change, apply, digest
from core.state import State
from tui import answer
from tui.cli import main
from tui.effects import text
from tui.effects_json import facts

RECORDING = Path(__file__).parents[2] / "recordings" / "demo-cpu-first.jsonl.gz"
NINE = Design("full factorial", (Factor("DEPTH", ("2", "4", "8")), Factor("MATRIX_LR", ("0.02", "0.04", "0.08"))))
NAMES = ("DEPTH", "TOTAL_BATCH_SIZE", "MATRIX_LR", "WARMDOWN_RATIO")
FOUR = tuple(
    Factor(name, levels)
    for name, levels in zip(NAMES, (("4", "8"), ("2**14", "2**15"), ("0.04", "0.08"), ("0.5", "0.8")), strict=True)
)


def wave(design: Design) -> tuple[Story, list[ExperimentId]]:
    """A wave over a design, but its unchanged cell."""
    story = Story().score(E0, 2.50, 2.52)
    base = {"DEPTH": "4", "TOTAL_BATCH_SIZE": "2**14", "MATRIX_LR": "0.04", "WARMDOWN_RATIO": "0.5"}
    story.tell(ev.WavePlanned, wave=WaveId("w1"), parent=E0, reason="because", design=design)
    made = [(cell, change(design, cell, base)) for cell in cells(design)]
    for i, (cell, its) in enumerate([(cell, its) for cell, its in made if its.settings], 1):
        story.tell(
            ev.ExperimentProposed,
            experiment=ExperimentId(f"e{i}"),
            wave=WaveId("w1"),
            parent=E0,
            change=its,
            digest=digest(apply(story.state.sources[E0], its)),
            title=f"cell {i}",
            cell=cell,
        )
    return story, list(story.state.waves[WaveId("w1")].experiments)


def shown(state: State) -> str:
    analysis = wave_analysis(state, state.waves[WaveId("w1")])
    assert analysis is not None
    found = text(analysis, simulated=state.simulated)
    assert max(map(len, found.splitlines())) <= 80
    json.dumps(facts(analysis))
    return found


def test_two_factors_are_a_grid_with_glyphs_and_the_best_marked() -> None:
    story, names = wave(NINE)
    for name, score in zip(names[:5], (2.40, 2.35, 2.45, 2.55, 2.48), strict=True):
        story.score(name, score)
    story.judge(names[1], "discarded")
    story.crash(story.start(names[5])).judge(names[5], "crashed")
    story.tell(ev.ExperimentVetoed, experiment=names[6], by="me")
    found = shown(story.state)
    rows = [line.split() for line in found.splitlines() if line.split()[:1] and line.split()[0] in ("2", "4", "8")]
    assert rows == [
        ["2", "−0.1100", "−0.1600✗▼▽", "−0.0600"],
        ["4", "+0.0400", "e0", "−0.0300"],
        ["8", "‼", "⊘", "…"],
    ]
    assert "waiting for e8; lost e6 ‼, e7 ⊘" in found
    assert "predicted best: DEPTH 2, MATRIX_LR 0.04 (e2)" in found


def test_effects_are_aligned_to_the_last_digit_and_marked() -> None:
    story, names = wave(fractional(FOUR, 8))
    for i, name in enumerate(names):
        story.score(name, 2.51 - 0.3 * (i >= 3) + 0.01 * (i % 2))
    found = shown(story.state)
    assert "fractional factorial of 8 cells, resolution IV, D=ABC" in found
    assert "aliased: A×B = C×D; A×C = B×D; A×D = B×C" in found
    rows = [line for line in found.splitlines() if " ± " in line and " to " in line and "val_bpb" not in line]
    assert len(rows) == 7
    assert len({line.index("±") for line in rows}) == 1
    assert len({line.index(" to ") for line in rows}) == 1
    assert rows[0].startswith("A DEPTH ")
    assert rows[0].endswith("**")
    assert any(line.startswith("A×B (= C×D)") for line in rows)
    assert "noise: sd" in found


def test_what_cannot_be_told_yet_is_said_with_what_it_needs() -> None:
    story, names = wave(fractional(FOUR, 8))
    for name in names[2:]:
        story.score(name, 2.5)
    found = shown(story.state)
    assert "6 effects" not in found
    assert f"A×B, A×C, A×D, B×C, B×D, C×D: needs {names[0]}, {names[1]}" in found
    story, names = wave(fractional(FOUR, 8))
    assert "not yet: 2 of 8 cells" in shown(story.score(names[0], 2.5).state)


def test_screening_says_what_is_mixed_into_main_effects() -> None:
    story, names = wave(plackett_burman((*FOUR, Factor("DEPTH2", ("1", "2")))[:4]))
    for i, name in enumerate(names):
        story.score(name, 2.5 + 0.01 * i)
    assert "Plackett-Burman of 8 cells, resolution III" in shown(story.state)


def test_a_list_shows_deltas_the_best_first() -> None:
    story = Story().score(E0, 2.50)
    a, b, c = story.wave({"DEPTH": "8"}, {"DEPTH": "2"}, {"DEPTH": "1"})
    found = shown(story.score(a, 2.60).score(b, 2.40).crash(story.start(c)).judge(c, "crashed").state)
    lines = found.splitlines()
    assert "a list of free edits" in lines
    assert [line.split()[0] for line in lines[-3:]] == [b, a, c]
    assert "−0.100 ± 0.021" in lines[-3]
    assert "lost" in lines[-1]


def test_text_from_researchers_is_cleaned() -> None:
    name = "EVIL\x1b[31m\nNAME"
    story = Story().score(E0, 2.50)
    names = story.wave({"DEPTH": "8"}, factors={name: ("1", "2")})
    for i, level in enumerate(("1", "2"), 2):
        names.append(ExperimentId(f"e{i}"))
        story.tell(
            ev.ExperimentProposed,
            experiment=names[-1],
            wave=WaveId("w1"),
            parent=E0,
            change=Change(),
            digest=level,
            title="\x1b[2Jboo",
            cell={name: level},
        )
        story.score(names[-1], 2.4)
    found = shown(story.state)
    assert "\x1b" not in found
    assert "A EVIL NAME" in found


def test_simulated_sessions_say_so() -> None:
    story, names = wave(NINE)
    analysis = wave_analysis(story.score(names[0], 2.4).state, story.state.waves[WaveId("w1")])
    assert analysis is not None
    assert text(analysis, simulated=True).startswith("SIMULATED w1 from e0")
    assert facts(analysis, simulated=True)["simulated"] is True


def test_the_json_has_every_documented_field() -> None:
    story, names = wave(NINE)
    for i, name in enumerate(names):
        story.score(name, 2.4 + 0.01 * i**2)
    analysis = wave_analysis(story.state, story.state.waves[WaveId("w1")])
    assert analysis is not None
    found = json.loads(json.dumps(facts(analysis)))
    assert set(found) == {
        *(
            "version",
            "simulated",
            "wave",
            "parent",
            "gpu_type",
            "problem",
            "design",
            "noise",
            "error",
            "residual",
            "cells",
        ),
        *("effects", "missing", "predicted", "turning"),
    }
    assert found["version"] == 1
    assert set(found["design"]) == {"kind", "factors", "generators", "resolution", "aliases"}
    assert set(found["effects"][0]) == {
        *("factors", "levels", "size", "standard_error", "low", "high", "clear", "sure", "aliases", "mixed"),
    }
    assert set(found["cells"][0]) == {
        *("experiment", "standing", "status", "title", "cell", "twin"),
        *("gpu_type", "runs", "mean", "delta", "standard_error", "level"),
        "repeated_by",
    }
    assert set(found["predicted"]) == {"cell", "val_bpb", "standard_error", "low", "high", "tested"}
    assert set(found["turning"]) == {"shape", "codes", "inside", "others"}
    assert set(found["residual"]) == {"sd", "df", "beyond_noise"}


def test_the_json_of_a_twin_names_the_duplicates_that_count_for_it() -> None:
    story, (first, second, *_) = wave(NINE)
    story.score(first, 2.4).score(second, 2.41).tell(ev.DuplicateFound, experiment=second, twin=first, reason="same")
    found = {cell["experiment"]: cell for cell in json.loads(answer.effects(story.state, None, as_json=True))["cells"]}
    assert (found[first]["repeated_by"], found[first]["runs"]) == ([second], 2)
    assert (found[second]["twin"], found[second]["repeated_by"]) == (first, [])


def test_the_command_answers_for_a_recording() -> None:
    for given in (["w1"], ["1"]):
        done = CliRunner().invoke(main, ["effects", *given, "--recording", str(RECORDING)])
        assert done.exit_code == 0, done.output
        assert "B DEPTH             +0.814 ± 0.041" in done.output
    done = CliRunner().invoke(main, ["effects", "--json", "--recording", str(RECORDING)])
    assert json.loads(done.output)["wave"] == "w4"


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (["w9", "--recording", str(RECORDING)], "There is no wave w9; this session has w1 to w4."),
        ([], "There is no session at "),
    ],
)
def test_what_is_not_there_is_one_sentence(given: list[str], reason: str, tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["-C", str(tmp_path), "effects", *given])
    assert done.exit_code == 2
    assert reason in done.output
    assert len(done.output.splitlines()) == 1


def test_a_wave_without_results_is_one_sentence() -> None:
    story, _ = wave(NINE)
    with pytest.raises(Exception, match=r"w1 has no results yet \(8 experiments\)"):
        answer.effects(story.state, None, as_json=False)
    with pytest.raises(Exception, match="This session has no waves yet"):
        answer.effects(Story().state, None, as_json=False)
