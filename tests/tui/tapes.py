"""Sessions for tests of the screens, as facts: one cut off while much runs, one with a two-factor wave."""

from __future__ import annotations

import asyncio
from functools import lru_cache

from campaign import UPSTREAM, Campaign, config
from story import E0, Story

from core import events as ev
from core.ids import GpuId, RunId
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


@lru_cache(maxsize=1)
def shared() -> tuple[ev.Fact, ...]:
    """13 H100 and 3 H200 on three nodes, some held by others, one broken; two crossed factors that interact."""
    story = Story().fleet(H100=13, H200=3)
    places = [("gpu-a1", 8, "H100"), ("gpu-a2", 5, "H100"), ("gpu-b1", 3, "H200")]
    whole = [ev.Gpu(GpuId(f"{node}/{i}"), kind) for node, count, kind in places for i in range(count)]
    for at, by in ((3, "ml-vision"), (11, "ml-vision"), (15, "bob")):
        whole[at] = ev.Gpu(whole[at].id, whole[at].type, held_by=by)
    whole[12] = ev.Gpu(whole[12].id, "H100", held_by="NVIDIA XID 79: it has fallen off the bus", broken=True)
    story.facts = [fact for fact in story.facts if not isinstance(fact, ev.FleetSeen)]
    story.gpus = tuple(whole)
    story.tell(ev.FleetSeen, gpus=tuple(ev.Gpu(gpu.id, gpu.type) for gpu in whole)).wait(60)
    story.tell(ev.FleetSeen, gpus=story.gpus).score(E0, 1.003, 1.0042, 1.0021)
    story.score(E0, 1.0012, on="H200")
    story.tell(ev.WaveAsked, slots=8).wait(40)
    levels = [{"DEPTH": depth, "MATRIX_LR": rate} for depth in ("2", "4", "8") for rate in ("0.02", "0.04", "0.08")]
    cells = [cell for cell in levels if cell != {"DEPTH": "4", "MATRIX_LR": "0.04"}]
    names = story.wave(*cells, factors={"DEPTH": ("2", "4", "8"), "MATRIX_LR": ("0.02", "0.04", "0.08")})
    scores = (1.031, 1.019, 1.008, 1.006, 1.011, 0.981, 0.993, 1.024)  # deep models want a low rate
    for more in (0.0, 0.0008):
        begun = [story.start(name, gpu=at) for at, name in zip((0, 1, 2, 4, 5, 6, 7, 8), names, strict=True)]
        story.wait(300)
        for run, score in zip(begun, scores, strict=True):
            story.finish(run, score + more, seconds=2.0)
    for name in (*names[:5], *names[6:]):
        story.judge(name, "discarded")
    story.judge(names[5], "kept").move(names[5])
    ratios, depths = ("0.2", "0.4", "0.6", "0.8"), ("6", "10")
    cells = [{"WARMDOWN_RATIO": ratio, "DEPTH": depth} for ratio in ratios for depth in depths]
    later = story.wave(*cells, factors={"WARMDOWN_RATIO": ratios, "DEPTH": depths})
    runs = [story.start(name, gpu=at) for at, name in zip((0, 1, 2, 4, 5, 8, 9), later[:7], strict=True)]
    for at, run in enumerate(runs):
        story.progress(run, *[3.9 - 0.1 * i for i in range(at + 2)])
    story.start(names[5], on="H200", purpose="retest")
    story.tell(ev.RunRequested, run=RunId(f"{later[7]}-1"), experiment=later[7], gpu_type="H200", seed=1)
    story.tell(ev.RunWaiting, run=RunId(f"{later[7]}-1"), reason="no node with a free H200: bob has the last one")
    return tuple(story.facts)
