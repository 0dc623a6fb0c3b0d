"""Nodes as platforms label them, as short as a test can say it."""

from __future__ import annotations

from k8s.shapes import Condition, Labels, Meta, Node, NodeSpec, NodeStatus, Taint

GPU = "nvidia.com/gpu"
PRODUCT = "nvidia.com/gpu.product"


def node(
    labels: Labels,
    resources: dict[str, int] | None = None,
    *,
    name: str = "n1",
    capacity: dict[str, int] | None = None,
    ready: str = "True",
    cordoned: bool = False,
    taints: tuple[Taint, ...] = (),
) -> Node:
    """`resources` are what it offers; `capacity` is the same unless it says more."""
    offered = {GPU: 8} if resources is None else resources
    texts = {key: str(number) for key, number in offered.items()}
    there = {key: str(number) for key, number in (capacity or offered).items()}
    return Node(
        metadata=Meta(name=name, labels={"kubernetes.io/hostname": name, **labels}),
        spec=NodeSpec(unschedulable=cordoned, taints=taints),
        status=NodeStatus(allocatable=texts, capacity=there, conditions=(Condition(type="Ready", status=ready),)),
    )


def h100(name: str = "n1", count: int = 1) -> Node:
    return node({PRODUCT: "NVIDIA-H100-80GB-HBM3", "nvidia.com/gpu.memory": "81559"}, {GPU: count}, name=name)
