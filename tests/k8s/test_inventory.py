"""Who holds which GPU of a cluster, and where a run of a GPU type may go."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from labelled import GPU, PRODUCT, h100, node

from core.errors import NothingRuns
from core.events import Gpu
from core.ids import GpuId
from k8s.inventory import MANAGED, MANAGER, SESSION, Offer, fleet, offer, placement, places, requested, tolerates
from k8s.settings import ClusterSettings, Toleration
from k8s.shapes import Container, Meta, Node, Pod, PodSpec, PodStatus, Resources, Taint

SETTINGS = ClusterSettings()
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def pod(
    name: str,
    *,
    on: str = "n1",
    gpus: int = 1,
    session: str = "",
    namespace: str = "team-a",
    phase: str = "Running",
    age: int = 0,
    resource: str = GPU,
) -> Pod:
    """`session`: it is a run of that session; `age` in seconds."""
    labels = {MANAGER: MANAGED, SESSION: session} if session else {}
    created = NOON - timedelta(seconds=age)
    return Pod(
        metadata=Meta(name=name, uid=name, namespace=namespace, labels=labels, creation_timestamp=created),
        spec=PodSpec(node_name=on, containers=(Container("c", Resources(limits={resource: str(gpus)})),)),
        status=PodStatus(phase=phase),
    )


def offers(*nodes: Node, settings: ClusterSettings = SETTINGS) -> list[Offer]:
    return [offer(each, settings) for each in nodes]


def seen(nodes: list[Node], *pods: Pod) -> dict[str, str]:
    """Holders by GPU, as session "s" sees it."""
    found = offers(*nodes)
    gpus = fleet(found, pods, session="s", places=places(found, pods, {}))
    return {gpu.id: gpu.held_by for gpu in gpus}


def test_gpus_are_named_by_node_and_place_in_a_stable_order() -> None:
    found = offers(h100("b", 2), h100("a"))
    assert fleet(found, (), session="s", places={}) == (
        Gpu(GpuId("a/0"), "H100", 81559),
        Gpu(GpuId("b/0"), "H100", 81559),
        Gpu(GpuId("b/1"), "H100", 81559),
    )


def test_our_own_runs_do_not_hold_gpus_and_others_do_by_namespace() -> None:
    pods = pod("ours", session="s", age=9), pod("theirs", gpus=2, namespace="vision", age=8)
    assert seen([h100(count=4)], *pods) == {"n1/0": "", "n1/1": "vision", "n1/2": "vision", "n1/3": ""}


def test_another_session_of_ours_is_somebody_else() -> None:
    assert seen([h100()], pod("p", session="other")) == {"n1/0": "session other"}


def test_pods_that_ended_or_wait_hold_nothing() -> None:
    pods = pod("done", phase="Succeeded"), pod("failed", phase="Failed"), pod("waits", on="")
    assert seen([h100()], *pods) == {"n1/0": ""}


def test_a_pod_without_a_gpu_holds_none() -> None:
    assert seen([h100()], pod("cpu", resource="cpu")) == {"n1/0": ""}


def test_a_pod_keeps_its_gpu_when_the_one_before_it_ends() -> None:
    found = offers(h100(count=2))
    first, second = pod("first", age=9), pod("second", age=5)
    before = places(found, [first, second], {})
    assert before == {"first": ("n1/0",), "second": ("n1/1",)}
    after = places(found, [second, pod("third")], before)
    assert after == {"second": ("n1/1",), "third": ("n1/0",)}


def test_a_pod_that_found_no_gpu_free_gets_the_first_that_becomes_free() -> None:
    found = offers(h100())
    first, second = pod("first", age=9), pod("second", age=5)
    before = places(found, [first, second], {})
    assert before == {"first": ("n1/0",)}
    assert places(found, [second], before) == {"second": ("n1/0",)}


def test_a_pod_is_placed_anew_when_its_gpu_is_no_longer_there() -> None:
    before = {"p": (GpuId("n1/7"),)}
    assert places(offers(h100(count=2)), [pod("p")], before) == {"p": ("n1/0",)}


def test_unhealthy_gpus_are_broken_and_are_given_to_pods_last() -> None:
    sick = node({PRODUCT: "NVIDIA-L4"}, {GPU: 1}, capacity={GPU: 2})
    found = offers(sick)
    gpus = fleet(found, [pod("p")], session="s", places=places(found, [pod("p")], {}))
    assert [(gpu.held_by, gpu.broken) for gpu in gpus] == [("team-a", False), ("unhealthy", True)]


@pytest.mark.parametrize(
    ("closed", "why", "broken"),
    [
        (node({PRODUCT: "NVIDIA-L4"}, {GPU: 1}, ready="Unknown"), "not ready", True),
        (node({PRODUCT: "NVIDIA-L4"}, {GPU: 1}, ready="False", cordoned=True), "not ready", True),
        (node({PRODUCT: "NVIDIA-L4"}, {GPU: 1}, cordoned=True), "cordoned", True),
        (
            node(
                {PRODUCT: "NVIDIA-L4"}, {GPU: 1}, taints=(Taint("node.kubernetes.io/disk-pressure", "", "NoSchedule"),)
            ),
            "disk-pressure",
            True,
        ),
        (
            node({PRODUCT: "NVIDIA-L4"}, {GPU: 1}, taints=(Taint("tritonOnly", "true", "NoExecute"),)),
            "reserved (tritonOnly)",
            False,
        ),
        (node({PRODUCT: "A100-SXM4-80GB-MIG-INVALID"}, {GPU: 1}), "MIG is not set up", True),
    ],
)
def test_a_node_that_takes_nothing_says_why(closed: Node, why: str, broken: bool) -> None:
    (gpu,) = fleet(offers(closed), (), session="s", places={})
    assert (gpu.held_by, gpu.broken) == (why, broken)


def test_a_run_of_ours_on_a_node_that_was_cordoned_still_has_its_gpu() -> None:
    found = offers(node({PRODUCT: "NVIDIA-L4"}, {GPU: 2}, cordoned=True))
    ours = [pod("p", session="s")]
    gpus = fleet(found, ours, session="s", places=places(found, ours, {}))
    assert [(gpu.held_by, gpu.broken) for gpu in gpus] == [("", True), ("cordoned", True)]


@pytest.mark.parametrize(
    "taint",
    [
        Taint("nvidia.com/gpu", "present", "NoSchedule"),
        Taint("nvidia.com/gpu", "true", "NoSchedule"),
        Taint("kubernetes.azure.com/scalesetpriority", "spot", "NoSchedule"),
        Taint("sku", "gpu", "NoSchedule"),
        Taint("whatever", "x", "PreferNoSchedule"),
    ],
)
def test_the_usual_taints_of_gpu_nodes_keep_nobody_away(taint: Taint) -> None:
    (gpu,) = fleet(offers(node({PRODUCT: "Tesla-T4"}, {GPU: 1}, taints=(taint,))), (), session="s", places={})
    assert gpu.held_by == ""


@pytest.mark.parametrize(
    ("given", "result"),
    [
        (Toleration(operator="Exists"), True),
        (Toleration(key="a", operator="Exists"), True),
        (Toleration(key="a", value="1"), True),
        (Toleration(key="a", value="2"), False),
        (Toleration(key="a", operator="Exists", effect="NoExecute"), False),
        (Toleration(key="b", operator="Exists"), False),
    ],
)
def test_taints_are_tolerated_by_the_schedulers_rules(given: Toleration, result: bool) -> None:
    assert tolerates([given], Taint("a", "1", "NoSchedule")) is result


def test_nodes_that_the_settings_leave_out_are_no_part_of_the_fleet() -> None:
    settings = ClusterSettings(node_selector={"pool": "ml"})
    chosen = node({PRODUCT: "NVIDIA-L4", "pool": "ml"}, {GPU: 1}, name="n2")
    found = offers(h100(), chosen, settings=settings)
    assert [gpu.id for gpu in fleet(found, (), session="s", places={})] == ["n2/0"]


def test_slices_have_names_of_their_own_and_are_held_apart() -> None:
    mixed = node({PRODUCT: "A100-PCIE-40GB"}, {GPU: 1, "nvidia.com/mig-1g.5gb": 2})
    assert seen([mixed], pod("p", resource="nvidia.com/mig-1g.5gb")) == {
        "n1/0": "",
        "n1/mig-1g.5gb/0": "team-a",
        "n1/mig-1g.5gb/1": "",
    }


def test_a_pod_takes_what_its_containers_ask_for_together_or_one_of_those_before() -> None:
    one, four = (Container("c", Resources(limits={GPU: count})) for count in ("1", "4"))
    assert requested(Pod(spec=PodSpec(containers=(one, one)))) == {GPU: 2}
    assert requested(Pod(spec=PodSpec(containers=(one, one), init_containers=(four, one)))) == {GPU: 4}


# --- where a run may go -----------------------------------------------------------------------------------------------


def term(key: str, *values: str) -> dict[str, object]:
    return {"matchExpressions": [{"key": key, "operator": "In", "values": list(values)}]}


def test_a_run_goes_where_the_nodes_own_label_says() -> None:
    found = placement("H100", offers(h100("a"), h100("b"), node({PRODUCT: "NVIDIA-L4"}, name="c")))
    assert (found.resource, found.terms) == (GPU, (term(PRODUCT, "NVIDIA-H100-80GB-HBM3"),))


def test_one_type_may_be_called_differently_by_different_pools() -> None:
    other = node({"gpu.nvidia.com/class": "H100_NVLINK_80GB"}, name="b")
    third = node({PRODUCT: "NVIDIA-H100-80GB-HBM2e"}, name="c")
    assert placement("H100", offers(h100("a"), other, third)).terms == (
        term("gpu.nvidia.com/class", "H100_NVLINK_80GB"),
        term(PRODUCT, "NVIDIA-H100-80GB-HBM2e", "NVIDIA-H100-80GB-HBM3"),
    )


def test_where_a_label_names_shared_and_whole_gpus_alike_nodes_are_named() -> None:
    """A run that asks for a whole GPU must never come to share one."""
    whole = node({PRODUCT: "NVIDIA-A10G"}, name="whole")
    shared = node({PRODUCT: "NVIDIA-A10G", "nvidia.com/gpu.replicas": "4"}, name="shared")
    found = offers(whole, shared)
    assert placement("A10G", found).terms == (term("kubernetes.io/hostname", "whole"),)
    assert placement("A10G shared", found).terms == (term("kubernetes.io/hostname", "shared"),)


def test_slices_are_asked_for_by_their_own_resource() -> None:
    mixed = node({PRODUCT: "A100-PCIE-40GB"}, {GPU: 1, "nvidia.com/mig-1g.5gb": 2})
    found = placement("A100-40GB MIG 1g.5gb", offers(mixed))
    assert (found.resource, found.terms) == ("nvidia.com/mig-1g.5gb", (term(PRODUCT, "A100-PCIE-40GB"),))


def test_a_type_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(NothingRuns, match="There is no B200 in this cluster, only H100: change the tier's GPU types"):
        placement("B200", offers(h100()))


def test_a_fleet_of_eight_thousand_gpus_is_counted_in_order() -> None:
    nodes = [h100(f"n{index:04}", 8) for index in range(1000)]
    found = offers(*nodes)
    pods = [pod(f"p{index}", on=f"n{index % 1000:04}", session="s" if index < 2000 else "") for index in range(4000)]
    gpus = fleet(found, pods, session="s", places=places(found, pods, {}))
    assert len({gpu.id for gpu in gpus}) == 8000
    assert sum(gpu.held_by == "team-a" for gpu in gpus) == 2000
