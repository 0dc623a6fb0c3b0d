"""What became of a run whose spot node was taken back."""

from __future__ import annotations

import msgspec
import pytest
from fallen import THEN, end_of, ended, message, pod
from labelled import h100

from k8s.overdue import silent
from k8s.shapes import ContainerState, Meta, Node, NodeSpec, Running, Taint


@pytest.mark.parametrize("reason", ["NodeShutdown", "Terminated", "Shutdown"])
def test_a_spot_node_that_is_taken_away_takes_the_run_with_it(reason: str) -> None:
    end = end_of(pod(ended(137), reason=reason, message="Pod was terminated in response to imminent node shutdown."))
    assert (end.outcome, end.reason) == ("lost", "its node was shut down")


@pytest.mark.parametrize(
    ("label", "value", "notice"),
    [
        ("cloud.google.com/gke-spot", "true", "cloud.google.com/impending-node-termination"),
        ("cloud.google.com/gke-preemptible", "true", "node.cloudprovider.kubernetes.io/shutdown"),
        ("eks.amazonaws.com/capacityType", "SPOT", "aws-node-termination-handler/spot-itn"),
        ("karpenter.sh/capacity-type", "spot", "karpenter.sh/disrupted"),
        ("kubernetes.azure.com/scalesetpriority", "spot", "node.cloudprovider.kubernetes.io/shutdown"),
        ("node.kubernetes.io/lifecycle", "spot", "aws-node-termination-handler/rebalance-recommendation"),
    ],
)
def test_a_spot_node_that_is_taken_back_is_told_apart_from_one_that_fails(label: str, value: str, notice: str) -> None:
    stopped = pod(
        ended(143, message=message(signal=15, cause="stopped")), disrupted="EvictionByEvictionAPI", deleted=True
    )
    known = Node(metadata=Meta(name="n1", labels={label: value}), status=h100().status)
    warned = msgspec.structs.replace(known, spec=NodeSpec(taints=(Taint(key=notice, effect="NoSchedule"),)))
    drained = "evicted: its node is being drained"
    assert end_of(stopped, node=warned).reason == f"its spot node was reclaimed: {drained}"
    assert end_of(stopped, node=known).reason == f"{drained} (a spot node: most likely reclaimed)"
    assert end_of(stopped, node=msgspec.structs.replace(warned, metadata=Meta(name="n1"))).reason == drained


def test_a_spot_node_that_is_gone_is_remembered_as_one() -> None:
    running = pod(ContainerState(running=Running(THEN)), phase="Running", deleted=True)
    spot = Node(metadata=Meta(name="n1", labels={"karpenter.sh/capacity-type": "spot"}))
    assert end_of(running, node=None, last_node=spot).reason == "its node is gone (a spot node: most likely reclaimed)"
    assert silent(running, spot) == "its node n1 stopped answering (a spot node: most likely reclaimed)"
    assert silent(running, None) == "its node n1 stopped answering"


def test_a_preemption_on_a_spot_node_is_no_reclaim() -> None:
    stopped = pod(ended(143), disrupted="PreemptionByScheduler", deleted=True)
    spot = Node(metadata=Meta(name="n1", labels={"karpenter.sh/capacity-type": "spot"}))
    assert end_of(stopped, node=spot).reason == "preempted: a more important pod took its place"
