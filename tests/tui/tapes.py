"""Sessions for tests of the screens, as facts: one cut off while much runs, one with a two-factor wave."""

from __future__ import annotations

import asyncio
from functools import lru_cache

from campaign import UPSTREAM, Campaign, config
from story import E0, Story

from core import events as ev
from core.researcher import Plan
from core.researchers.designed import DesignedResearcher
from core.state import State
from core.surfaces import surface


@lru_cache(maxsize=4)
def simulated(hours: float = 1.0, seed: int = 0) -> tuple[ev.Fact, ...]:
    """A simulated campaign of 13 H100 and 3 H200, cut off at `hours`: runs are under way."""
    researcher = DesignedResearcher()

    def propose(state: State, slots: int) -> Plan:
        return asyncio.run(researcher.propose(state, slots))

    campaign = Campaign(surface("ridge", config(UPSTREAM), seed), propose, seed=seed, progress=True)
    campaign.run(hours=hours)
    return tuple(campaign.facts)


@lru_cache(maxsize=1)
def crossed() -> tuple[ev.Fact, ...]:
    """Two factors crossed on 6 GPUs: cells kept, discarded, crashed, vetoed, running, waiting."""
    story = Story(gpus=6, gpu_type="H100")
    story.score(E0, 1.003, 1.0042, 1.0021)
    cells = [{"DEPTH": depth, "MATRIX_LR": rate} for depth in ("2", "4", "8") for rate in ("0.02", "0.04", "0.08")]
    factors: dict[str, tuple[str, ...]] = {"DEPTH": ("2", "4", "8"), "MATRIX_LR": ("0.02", "0.04", "0.08")}
    names = story.wave(*[cell for cell in cells if cell != {"DEPTH": "4", "MATRIX_LR": "0.04"}], factors=factors)
    story.score(names[0], 1.012).judge(names[0], "discarded")
    story.score(names[1], 1.0056).judge(names[1], "discarded")
    story.crash(story.start(names[2]), "OutOfMemoryError: CUDA out of memory [tried 2 GiB]")
    story.judge(names[2], "crashed")
    story.score(names[3], 0.9912, 0.9921).judge(names[3], "kept")
    story.tell(ev.ExperimentVetoed, experiment=names[4], by="ada", reason="too slow")
    story.progress(story.start(names[5], gpu=1), *[4.0 - 0.1 * i for i in range(12)])
    story.start(names[6], gpu=2)
    return tuple(story.facts)
