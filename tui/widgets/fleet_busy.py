"""How busy the GPUs are now, and were over the session, in words. Pure."""

from __future__ import annotations

from core.ledger import vacancy
from tui import numbers
from tui.moment import Moment
from tui.widgets import fleet_ledger

NOW, LAST = "{now} busy", "{so_far} so far"  # how busy a type is, and was
NOW_AND_LAST = f"{NOW}, {LAST}"


def is_old(moment: Moment) -> bool:
    """Whether nobody looks after the fleet, so that how busy it is now is not known."""
    return moment.state.engine is None or moment.mode in ("down", "finished") or moment.state.lost is not None


def occupancy(moment: Moment) -> float:
    """Runs of ours, as a share of the GPUs that work and that nobody else holds."""
    holders = moment.state.holders.values()
    usable = vacancy(holders).usable
    ours = sum(min(holder.runs, holder.gpus) for holder in holders)
    return ours / usable if usable else 0.0


def busy(moment: Moment, kind: str, words: str, cells: int = 5) -> str:
    """ "92 % busy, 94 % so far" of a type, each number in `cells`; "" while none of its time has passed."""
    so_far = fleet_ledger.occupancies(moment).get(kind)
    if so_far is None and words != NOW:
        return ""
    return words.format(
        now=numbers.share(now(moment, kind)).rjust(cells), so_far=numbers.share(so_far or 0.0).rjust(cells)
    )


def now(moment: Moment, kind: str) -> float:
    """As `occupancy`, of one type."""
    holder = moment.state.holders[kind]
    return min(holder.runs, holder.gpus) / holder.usable if holder.usable else 0.0
