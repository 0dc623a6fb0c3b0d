"""The ledger and the noise as text."""

from __future__ import annotations

from story import E0, Story

from core import events as ev
from core.ledger import COLUMNS
from core.verdict import noise as noise_on
from tui.ledger import noise, shares, table


def test_the_table_has_every_column_in_order_and_their_sum() -> None:
    story = Story(gpus=2).score(E0, 2.50, 2.52)
    (name,) = story.wave({"DEPTH": "2"})
    story.crash(story.start(name)).wait(59)
    rows = table(story.state, story.at).splitlines()
    assert [row[10:27].strip() for row in rows[1:-1]] == list(COLUMNS)
    cells = {row[10:27].strip() or row[:9].strip(): tuple(row[27:].split()) for row in rows}
    assert cells["training"] == ("0.28", "10.6%")
    assert cells["crash"] == ("0.02", "0.6%")
    assert cells["queue"] == ("–", "–")
    assert cells["idle"] == ("2.32", "86.9%")
    assert cells["all"] == ("2.67", "100.0%")
    assert rows[0].split() == ["GPU-minutes", "share"]
    assert len({len(row) for row in rows}) == 1
    assert table(Story().state, Story().at) == ""
    assert "GPU-hours" in table(story.state, story.at + 7200)


def test_the_line_leaves_out_what_took_little() -> None:
    story = Story(gpus=1)
    story.finish(story.start(E0), 2.5, seconds=100.0).wait(300)
    assert shares(story.state, story.at) == "training 25%, idle 75%"
    assert shares(Story().state, Story().at) == ""


def test_the_noise_comes_with_its_degrees_of_freedom_and_how_many_are_measured() -> None:
    story = Story(gpu_type="H100").score(E0, 1.0, 1.001, 1.002)
    other = ev.Gpu(story.gpus[0].id, "H200")
    rows = noise(story.tell(ev.FleetSeen, gpus=(*story.gpus, other)).state).splitlines()
    found = noise_on(story.state, "H100")
    assert rows[0] == f"noise on H100: sd {found.sd:.2g}, {found.df:.3g} degrees of freedom (2 measured here)"
    assert rows[1].startswith("noise on H200: sd 0.0007, ")
    assert rows[1].endswith("(none measured here)")
    assert noise(Story(gpus=0).state) == ""
