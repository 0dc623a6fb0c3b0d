"""Where the session stands: the best val_bpb and its gain, what is used of the budget, what the researcher does.

As pieces of the header. Pure but for the latest answers, kept by the parts of the state they were made from.
"""

from __future__ import annotations

from core import views
from core.ids import BASELINE
from core.sentences import at_budget
from core.state import State
from tui import numbers, saying
from tui.bars import bar
from tui.glyphs import Glyphs
from tui.moment import Moment
from tui.paint import EMPTY, Line, line
from tui.remembered import Remembered
from tui.safe import line as safe
from tui.widgets.pieces import Piece, piece

BAR = 8  # cells
NEAR = 0.9  # of a limit: worth a warning
REASON = 40  # characters

_best: Remembered[views.Estimate | None] = Remembered()
_gain: Remembered[views.Improvement | None] = Remembered()
_queued: Remembered[int] = Remembered()


# --- the result -------------------------------------------------------------------------------------------------------


def result(moment: Moment, glyphs: Glyphs) -> list[Piece]:
    state = moment.state
    parts = (state.scores, state.spread, state.baseline, state.experiments.get(state.baseline))
    best = _best.get(parts, lambda: views.best(state))
    if best is None:
        return [piece(80, line((f"{glyphs.best} no val_bpb yet", "muted")), line(("no val_bpb yet", "muted")))]
    return [
        _champion(best, f" on {safe(best.gpu_type, 16)}" if _is_mixed(state) else "", glyphs),
        *_improved(_gain.get(parts, lambda: views.improvement(state)), glyphs),
    ]


def _is_mixed(state: State) -> bool:
    """Whether GPUs of several types are here: a value means little without its own."""
    return len({gpu.type for gpu in state.gpus} | set(state.spread)) > 1


def _champion(best: views.Estimate, on: str, glyphs: Glyphs) -> Piece:
    value = (f"{glyphs.best} {numbers.bpb(best.mean)}", "best bold")
    half = (f" {glyphs.plus_minus}{numbers.bpb((best.high - best.low) / 2)}", "muted")
    name = "the start" if best.experiment == BASELINE else str(best.experiment)
    typed, named = (on, "muted"), (f"  {name}", "")
    long = line((f"{glyphs.best} val_bpb {numbers.bpb(best.mean)}", "best bold"), half, named, typed)
    return piece(80, long, line(value, half, named, typed), line(value, half, typed), line(value, typed), line(value))


def _improved(gain: views.Improvement | None, glyphs: Glyphs) -> list[Piece]:
    """A gain on the runs that it was chosen for flatters itself: said so, and never in the colour of a success."""
    if gain is None:
        return []
    percent = numbers.percent(gain.percent, 2)
    role = "better" if gain.is_fresh and gain.percent + gain.half_percent < 0 else ""
    both = (f"{percent[:-2]} {glyphs.plus_minus}{gain.half_percent:.2f} %", role)
    least = line((numbers.percent(gain.percent), role))
    if gain.is_fresh:
        interval = (" since the start (95 % intervals)", "muted")
        return [piece(55, line(both, interval), line(both, (" since the start", "muted")), line(both), least)]
    long, short, word = ((text, "muted") for text in (" since the start, not confirmed", ", not confirmed", " unsure"))
    return [piece(55, line(both, long), line(both, short), line(both, word), (*least, word))]


# --- the budget -------------------------------------------------------------------------------------------------------


def budget(moment: Moment, glyphs: Glyphs) -> list[Piece]:
    return [_time(moment, glyphs), _experiments(moment, glyphs), *_money(moment, glyphs), *_per_run(moment)]


def _per_run(moment: Moment) -> list[Piece]:
    """What every result and its noise are measured at."""
    said = at_budget(moment.state, before="")
    return [piece(30, line((said, "muted")), EMPTY)] if said else []


def _time(moment: Moment, glyphs: Glyphs) -> Piece:
    spent, hours = views.elapsed(moment.state, moment.now), moment.state.limits.max_hours
    limit = hours * 3600 if hours else None
    return piece(
        50,
        *_against(
            numbers.duration(spent),
            numbers.duration(limit) if limit else "",
            spent / limit if limit else None,
            glyphs,
        ),
    )


def _experiments(moment: Moment, glyphs: Glyphs) -> Piece:
    done, limit = views.proposed(moment.state), moment.state.limits.max_experiments
    if limit is None:
        said = line((f"{done:,}", ""), (f" experiment{'s' * (done != 1)}", "muted"))
        return piece(45, said, line((f"{done:,}", ""), (" tried", "muted")), EMPTY)
    long, *rest = _against(f"{done:,}", f"{limit:,}", done / limit if limit else 1.0, glyphs)
    return piece(45, (*long, (" experiments", "muted")), *((*form, (" tried", "muted")) for form in rest), EMPTY)


def _money(moment: Moment, glyphs: Glyphs) -> list[Piece]:
    spent, limit = views.spent_usd(moment.state, moment.now), moment.state.limits.max_usd
    if spent is None and not limit:
        return []
    ceiling, spent = numbers.usd(limit) if limit else "", spent or 0.0
    return [piece(48, *_against(numbers.usd(spent), ceiling, spent / limit if limit else None, glyphs))]


def _against(used: str, limit: str, share: float | None, glyphs: Glyphs) -> tuple[Line, ...]:
    """From long to short: "1h23m of 2h00m ███░", "1h23m of 2h00m", "1h23m/2h00m"."""
    if share is None:
        return (line((used, "")),)
    role = "warning" if share >= NEAR else ""
    filled, empty = bar(share, BAR, glyphs)
    words = line((used, role), (f" of {limit}", "muted"))
    bars = line((" ", ""), (filled, role or "accent"), (empty, "border"))
    return ((*words, *bars), words, line((used, role), (f"/{limit}", "muted")))


# --- the researcher ---------------------------------------------------------------------------------------------------


def researcher(moment: Moment) -> Piece:
    state = moment.state
    if moment.mode in ("down", "finished", "loading", "starting") or state.engine is None:
        return piece(0, EMPTY)
    who = f"{safe(state.engine.researcher, 24)} researcher "
    said, role = doing(moment)
    return piece(35, line((who, "muted"), (said, role)), line((said, role)), EMPTY)


def doing(moment: Moment, most: int = REASON) -> tuple[str, str]:
    """What the researcher does now, and its role; what it says itself in at most `most` cells."""
    said, role = _doing(moment, most)
    other = saying.stands_in(moment.state)
    return other + said, "warning" if other else role


def _doing(moment: Moment, most: int) -> tuple[str, str]:
    state = moment.state
    if state.gave_up:
        return f"gave up: {safe(state.gave_up, most)}", "error"
    if state.asked is not None:
        return _thinking(moment, most)
    if wait := saying.waits(state, moment.now, most):
        return wait, "accent"
    if state.failures:
        return f"failed {numbers.count(state.failures, 'time')}: {safe(state.failure, most)}", "warning"
    if held := views.held(state):
        return f"{held[0]} waits for approval", "warning"
    waiting = _queued.get((state.open, state.experiments), lambda: _waiting(state))
    return (f"next wave after {waiting:,} queued", "muted") if waiting else ("next wave soon", "muted")


def _thinking(moment: Moment, most: int) -> tuple[str, str]:
    state = moment.state
    if retry := saying.retry(state, moment.now, most):
        return retry, "warning"
    spent = numbers.duration(moment.now - state.asked.at) if state.asked else ""
    again = f", attempt {state.failures + 1}" if state.failures else ""
    words = saying.words(state, most)
    return f"thinking {spent}{again}{f': {words}' if words else ''}", "accent"


def _waiting(state: State) -> int:
    """Experiments that have not begun; `views.queued` says which and in what order, and takes longer."""
    return sum(state.experiments[name].status == "proposed" for name in state.open)
