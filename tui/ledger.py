"""Where the GPU time went and how noisy runs are, as plain text.

Pure functions from a state to lines. They know no colours and no screen size.
"""

from __future__ import annotations

from core.ledger import GROUPS, ledger
from core.sentences import at_budget
from core.state import State
from core.tiers import agreement
from core.views import noises

IN_HOURS_S = 3 * 3600.0  # of GPU time in all: less is shown in minutes
WORTH_A_WORD = 0.005  # of all: less is left out of a line


def shares(state: State, now: float) -> str:
    """One line, "training 61%, idle 39%": what took little is left out."""
    spent = ledger(state, now)
    total = sum(spent.values()) or 1.0
    return ", ".join(f"{name} {part / total:.0%}" for name, part in spent.items() if part / total >= WORTH_A_WORD)


def table(state: State, now: float) -> str:
    """Every column of the ledger in GPU-minutes or GPU-hours and as a share; "" before there is any."""
    spent = ledger(state, now)
    total = sum(spent.values())
    if not total:
        return ""
    unit, size = ("GPU-hours", 3600.0) if total >= IN_HOURS_S else ("GPU-minutes", 60.0)
    rows = [_row("", "", unit, "share")]
    for group, columns in GROUPS.items():
        for place, name in enumerate(columns):
            rows.append(_row("" if place else group, name, *_amounts(spent[name], size, total)))
    rows.append(_row("all", "", *_amounts(total, size, total)))
    return "\n".join(rows)


def _row(group: str, name: str, amount: str, share: str) -> str:
    return f"{group:<9} {name:<17} {amount:>11} {share:>7}"


def _amounts(seconds: float, size: float, total: float) -> tuple[str, str]:
    """Nothing is a dash, so that little is told from none."""
    return (f"{seconds / size:,.2f}", f"{seconds / total:.1%}") if seconds else ("–", "–")


def tiers(state: State) -> str:
    """How well the screening tier tells what the validation tier will say; "" with one tier or too little measured."""
    both = agreement(state)
    if both is None:
        return ""
    found = f"rank correlation {both.rank_correlation:+.2f} over {both.experiments} experiments".replace("-", "−")
    wider = "; that is poor, so more are promoted" if both.is_poor else ""
    return f"screening against validation: {found}{wider}"


def noise(state: State) -> str:
    """One line per GPU type; df counts the prior as well."""
    at = at_budget(state)
    return "\n".join(
        f"noise on {gpu_type}{at}: sd {found.sd:.2g}, {found.df:.3g} degree{'s' * (found.df != 1)} of freedom "
        f"({found.measured_df or 'none'} measured here)"
        for gpu_type, found in noises(state).items()
    )
