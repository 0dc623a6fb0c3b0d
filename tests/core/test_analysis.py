"""A wave's results: cells against the parent, effects as they become known, and the best cell."""

from __future__ import annotations

import pytest
from story import E0, Story

from core import events as ev
from core.analysis import Analysis, latest, wave_analysis
from core.design import Design, Factor, cells, change
from core.ids import ExperimentId, WaveId
from core.patch import Change, Edit, apply, digest
from core.state import State

W1 = WaveId("w1")
FACTORS: dict[str, tuple[str, ...]] = {"DEPTH": ("4", "8"), "MATRIX_LR": ("0.04", "0.08")}
OTHERS = ({"DEPTH": "4", "MATRIX_LR": "0.08"}, {"DEPTH": "8", "MATRIX_LR": "0.04"}, {"DEPTH": "8", "MATRIX_LR": "0.08"})


def analysed(state: State, wave: str = "w1") -> Analysis:
    found = wave_analysis(state, state.waves[WaveId(wave)])
    assert found is not None
    return found


def planned() -> tuple[Story, list[ExperimentId]]:
    story = Story().score(E0, 2.50, 2.52)
    return story, story.wave(*OTHERS, factors=FACTORS)


def told(analysis: Analysis) -> dict[tuple[str, ...], float]:
    assert analysis.fit is not None
    return {effect.factors: effect.size for effect in analysis.fit.effects}


def test_there_is_nothing_before_the_first_result() -> None:
    story, _ = planned()
    assert wave_analysis(story.state, story.state.waves[W1]) is None
    assert latest(story.state) is None


def test_a_finished_wave_has_effects_with_the_parent_as_its_unchanged_cell() -> None:
    story, (a, b, c) = planned()
    story.score(a, 2.41).score(b, 2.31).score(c, 2.21)
    found = analysed(story.state)
    assert [cell.experiment for cell in found.cells] == [E0, a, b, c]
    assert told(found) == pytest.approx({("DEPTH",): -0.2, ("MATRIX_LR",): -0.1, ("DEPTH", "MATRIX_LR"): 0.0}, abs=1e-9)
    assert found.fit is not None
    assert found.fit.runs == 5
    assert found.predicted is not None
    assert found.predicted.cell == {"DEPTH": "8", "MATRIX_LR": "0.08"}


def test_deltas_are_against_the_parent_on_the_same_gpu_type_with_the_noise_measured_there() -> None:
    story, (a, *_) = planned()
    found = analysed(story.score(a, 2.41, 2.43).state)
    cell = next(cell for cell in found.cells if cell.experiment == a)
    assert cell.delta == pytest.approx(-0.09)
    assert cell.standard_error == pytest.approx(found.noise.sd * (1 / 2 + 1 / 2) ** 0.5)
    assert (found.gpu_type, found.noise.measured_df) == ("cpu", 2)


def on_two_types(*base: float) -> tuple[Analysis, ExperimentId]:
    """Two cells on "cpu", and one on "H100" where the parent has these results."""
    story, (a, b, c) = planned()
    story.score(a, 2.41).score(b, 2.31)
    story.fleet(cpu=2, H100=1)
    return analysed(story.score(E0, *base, on="H100").score(c, 1.0, on="H100").state), c


def test_a_result_on_a_gpu_type_without_the_parent_does_not_count() -> None:
    found, c = on_two_types()
    assert found.gpu_type == "cpu"
    assert {cell.experiment: cell.mean for cell in found.cells}[c] is None


def test_a_cell_that_ran_on_another_gpu_type_counts_by_its_difference_to_the_parent_there() -> None:
    found, c = on_two_types(1.3, 1.3)
    cell = next(cell for cell in found.cells if cell.experiment == c)
    assert (cell.standing, cell.gpu_type, cell.mean) == ("measured", "H100", 1.0)
    assert cell.delta == pytest.approx(-0.3)
    assert cell.level == pytest.approx(2.51 - 0.3)
    assert told(found) == pytest.approx({("DEPTH",): -0.2, ("MATRIX_LR",): -0.1, ("DEPTH", "MATRIX_LR"): 0.0}, abs=1e-9)
    assert found.predicted is not None
    assert found.predicted.cell == {"DEPTH": "8", "MATRIX_LR": "0.08"}


def test_what_is_unknown_of_the_difference_between_gpu_types_is_in_the_errors() -> None:
    few, _ = on_two_types(1.28, 1.32)
    many, _ = on_two_types(*[1.28, 1.32] * 20)
    assert few.fit is not None
    assert many.fit is not None
    assert few.fit.effects[0].standard_error > 1.05 * many.fit.effects[0].standard_error


def test_waiting_crashed_and_vetoed_cells_have_their_place() -> None:
    story, (a, b, c) = planned()
    story.score(a, 2.41)
    story.crash(story.start(b)).judge(b, "crashed")
    found = analysed(story.state)
    assert {cell.experiment: cell.standing for cell in found.cells} == {
        E0: "measured",
        a: "measured",
        b: "lost",
        c: "waiting",
    }
    assert found.fit is not None
    assert {m.factors: m.reason for m in found.fit.missing}[("DEPTH",)] == f"needs {c}"
    story.tell(ev.ExperimentVetoed, experiment=c, by="me")
    found = analysed(story.state)
    assert found.fit is not None
    assert {m.factors: m.reason for m in found.fit.missing}[("DEPTH",)] == f"lost with {b}, {c}"


def test_all_crashed_is_no_result() -> None:
    story, members = planned()
    for name in members:
        story.crash(story.start(name)).judge(name, "crashed")
    assert wave_analysis(story.state, story.state.waves[W1]) is None


def test_a_duplicate_shares_the_runs_of_its_twin() -> None:
    story, (a, b, c) = planned()
    story.score(a, 2.41).score(b, 2.31)
    story.tell(ev.DuplicateFound, experiment=c, twin=b, reason="same")
    found = analysed(story.state)
    cell = next(cell for cell in found.cells if cell.experiment == c)
    assert (cell.twin, cell.mean, cell.standing) == (b, 2.31, "measured")
    assert found.fit is not None
    assert found.fit.runs == 4, "the one run of both is not counted twice"
    assert found.fit.cells == 4


def test_a_cell_that_was_tried_before_counts_with_what_was_measured_then() -> None:
    story = Story().score(E0, 2.50, 2.52)
    (old,) = story.wave({"DEPTH": "8"})
    story.score(old, 2.31)
    a, c = story.wave(OTHERS[0], OTHERS[2], factors=FACTORS)
    found = analysed(story.score(a, 2.41).score(c, 2.21).state, "w2")
    (known,) = [cell for cell in found.cells if cell.twin == old]
    assert (known.experiment, known.cell, known.mean) == (None, OTHERS[1], 2.31)
    assert told(found)["DEPTH", "MATRIX_LR"] == pytest.approx(0.0, abs=1e-9)


def test_a_cell_that_was_never_proposed_is_not_run() -> None:
    story = Story().score(E0, 2.50)
    a, _ = story.wave(*OTHERS[:2], factors=FACTORS)
    found = analysed(story.score(a, 2.41).state)
    assert [cell.standing for cell in found.cells] == ["measured", "measured", "waiting", "not run"]


def test_an_experiment_on_another_baseline_says_nothing_about_its_wave() -> None:
    story, (a, *_) = planned()
    story.score(a, 2.41, 2.42).judge(a, "kept").move(a)
    late = ExperimentId("e4")
    story.tell(
        ev.ExperimentProposed, experiment=late, wave=W1, parent=a, change=Change(), digest="d", title="", cell=OTHERS[1]
    )
    found = analysed(story.score(late, 1.0).state)
    cell = next(cell for cell in found.cells if cell.experiment == late)
    assert (cell.standing, cell.mean, cell.delta) == ("moved", None, None)
    assert found.fit is not None
    assert found.fit.cells == 2


def test_a_list_of_free_edits_has_deltas_alone() -> None:
    story = Story().score(E0, 2.50)
    (a,) = story.wave({"DEPTH": "8"})
    found = analysed(story.score(a, 2.40).state)
    assert found.fit is None
    assert [cell.delta for cell in found.cells] == [None, pytest.approx(-0.1)]


def test_a_parent_between_the_levels_is_no_cell() -> None:
    story = Story().score(E0, 2.50)
    names = story.wave({"DEPTH": "2"}, {"DEPTH": "8"}, factors={"DEPTH": ("2", "8")})
    found = analysed(story.score(names[0], 2.40).score(names[1], 2.60).state)
    assert found.fit is not None
    assert found.fit.cells == 2
    assert told(found) == pytest.approx({("DEPTH",): 0.2})


def test_a_level_written_differently_is_the_same_level() -> None:
    story = Story().score(E0, 2.50)
    names = story.wave({"TOTAL_BATCH_SIZE": "32768"}, factors={"TOTAL_BATCH_SIZE": ("16384", "32768")})
    found = analysed(story.score(names[0], 2.60).state)
    assert told(found) == pytest.approx({("TOTAL_BATCH_SIZE",): 0.1})


def test_a_structural_factor_crosses_with_a_constant() -> None:
    edit = Edit("import os\n", "import os\nimport math\n")
    design = Design(
        "full factorial", (Factor("MATH", ("without", "with"), edits=(edit,)), Factor("DEPTH", ("4", "8"), "linear"))
    )
    story = Story().score(E0, 2.50)
    source = story.state.sources[E0]
    story.tell(ev.WavePlanned, wave=W1, parent=E0, reason="because", design=design)
    for i, cell in enumerate(cells(design)[1:], 1):
        made = change(design, cell, {"DEPTH": "4"})
        story.tell(
            ev.ExperimentProposed,
            experiment=ExperimentId(f"e{i}"),
            wave=W1,
            parent=E0,
            change=made,
            digest=digest(apply(source, made)),
            title=f"cell {i}",
            cell=cell,
        )
    for i, score in enumerate((2.40, 2.30, 2.00), 1):
        story.score(ExperimentId(f"e{i}"), score)
    assert told(analysed(story.state)) == pytest.approx(
        {("DEPTH",): -0.2, ("MATH",): -0.3, ("MATH", "DEPTH"): -0.1}, abs=1e-9
    )


def test_a_recorded_design_that_is_none_leaves_the_deltas_and_says_why() -> None:
    story = Story().score(E0, 2.50)
    (a,) = story.wave({"DEPTH": "8"}, factors={"DEPTH": ("8", "8")})
    found = analysed(story.score(a, 2.40).state)
    assert "DEPTH has a level twice" in found.problem
    assert found.fit is None
    assert found.cells[1].delta == pytest.approx(-0.1)


def test_the_latest_wave_is_one_with_a_design_and_a_result() -> None:
    story, (a, *_) = planned()
    story.score(a, 2.41)
    (free,) = story.wave({"WARMDOWN_RATIO": "0.3"})
    story.score(free, 2.45)
    story.wave({"DEPTH": "2"}, factors={"DEPTH": ("2", "4")})
    found = latest(story.state)
    assert found is not None
    assert found.id == "w1"
