"""Spot nodes: which they are, and whether one is being taken back by its cloud. From labels and taints alone.

Every platform says so in its own way: GKE, EKS and its node termination handler, Karpenter, AKS. Where none gave
notice, a spot node that is gone was most likely reclaimed, and no more than that is said.
"""

from __future__ import annotations

from k8s.shapes import Node

_LABELS = {
    "cloud.google.com/gke-spot": "true",
    "cloud.google.com/gke-preemptible": "true",
    "eks.amazonaws.com/capacityType": "SPOT",
    "karpenter.sh/capacity-type": "spot",
    "kubernetes.azure.com/scalesetpriority": "spot",
    "node.kubernetes.io/lifecycle": "spot",
}
_NOTICES = frozenset(
    {
        "cloud.google.com/impending-node-termination",
        "aws-node-termination-handler/spot-itn",
        "aws-node-termination-handler/rebalance-recommendation",
        "karpenter.sh/disrupted",
        "node.cloudprovider.kubernetes.io/shutdown",
    }
)


def is_spot(node: Node) -> bool:
    return any(node.metadata.labels.get(label) == value for label, value in _LABELS.items())


def by_cloud(why: str, node: Node | None) -> str:
    """Why a run lost its node, with what its cloud had to do with it. `node`: as it was last seen."""
    if node is None or not is_spot(node):
        return why
    if any(taint.key in _NOTICES for taint in node.spec.taints):
        return f"its spot node was reclaimed: {why}"
    return f"{why} (a spot node: most likely reclaimed)"
