"""The right to see others' pods is lost and comes back, while an engine runs: on an API server that plays a cluster."""

from __future__ import annotations

import time

from lab import Lab
from played_cluster import Played
from watched import FOREVER, RUN, Watched

from core.executor import Ended, FleetObserved, Lost, Started
from core.ids import RunId
from k8s.executor import UNSEEN, KubernetesExecutor
from k8s.inventory import OTHERS

SECOND = RunId("e2-1")
SOON_S = 12.0  # a stream of a watch, a refusal that is believed, and a tick


def holders(engine: Watched[KubernetesExecutor]) -> dict[str, str]:
    return {gpu.id: gpu.held_by for gpu in engine.of(FleetObserved)[-1].gpus if gpu.held_by}


async def test_others_are_guessed_while_they_may_not_be_seen_and_ours_stay_where_they_are(
    played: Played, lab: Lab
) -> None:
    async with lab.engine() as engine:
        await played.occupy("h100-0000")
        await engine.until(lambda: holders(engine) == {"h100-0000/0": "lab"}, 5)
        await engine.launch(FOREVER)
        first = await engine.first(Started)

        played.hides_others = True
        await engine.until(lambda: engine.of(FleetObserved)[-1].unseen == UNSEEN, SOON_S)
        assert holders(engine) == {"h100-0000/0": OTHERS}, "what was known is believed for a while"
        await engine.launch(FOREVER, SECOND)
        second = await engine.first(Started, SECOND, seconds=5)
        assert second.gpu != first.gpu
        pods = {pod["spec"]["nodeName"] for pod in played.pods.things.values()}
        assert {gpu.partition("/")[0] for gpu in (first.gpu, second.gpu)} == pods, "each where it runs"
        places = {gpu for gpus in engine.executor._fleet._places.values() for gpu in gpus}
        assert {first.gpu, second.gpu} <= places
        assert not engine.of(Ended)
        assert not engine.of(Lost)

        played.hides_others = False
        await engine.until(lambda: engine.of(FleetObserved)[-1].unseen == "", SOON_S)
        assert set(holders(engine).values()) == {"lab"}
        assert not engine.of(Ended)


async def test_who_never_had_the_right_is_told_so(played: Played, lab: Lab) -> None:
    played.hides_others = True
    async with lab.engine() as engine:
        began = time.monotonic()
        await engine.until(lambda: engine.of(FleetObserved)[-1].unseen == UNSEEN, SOON_S)
        assert time.monotonic() - began < 5
        await engine.launch(FOREVER)
        assert (await engine.first(Started)).run == RUN
