"""What the scheduler's counts tell: rows of messages as schedulers from v1.19 to v1.36 write them."""

from __future__ import annotations

import pytest

from k8s.scheduling import scheduling


@pytest.mark.parametrize(
    ("message", "kind", "words"),
    [
        (
            (
                "0/1 nodes are available: 1 Insufficient nvidia.com/gpu. preemption: 0/1 nodes are available: 1 No "
                "preemption victims found for incoming pod."
            ),
            "gpu",
            "no GPU is free on the 1 node that could take it",
        ),
        (
            (
                "0/7 nodes are available: 3 Insufficient nvidia.com/gpu, 4 node(s) didn't match Pod's node "
                "affinity/selector. preemption: 0/7 nodes are available: 3 No preemption victims found for incoming "
                "pod, 4 Preemption is not helpful for scheduling."
            ),
            "gpu",
            "no GPU is free on the 3 nodes that could take it",
        ),
        (
            (
                "0/3 nodes are available: 1 Insufficient ephemeral-storage, 1 Insufficient nvidia.com/gpu, 2 node(s) "
                "didn't match Pod's node affinity/selector. preemption: 0/3 nodes are available: 1 No preemption "
                "victims found for incoming pod, 2 Preemption is not helpful for scheduling."
            ),
            "gpu",
            "no GPU is free on the 1 node that could take it",
        ),
        (
            (
                "0/317 nodes are available: 2 Insufficient nvidia.com/gpu, 2 node(s) were unschedulable, 313 didn't "
                "match node affinity"
            ),
            "gpu",
            "no GPU is free on the 2 nodes that could take it; of any type, 2 nodes cordoned",
        ),
        (
            (
                "0/10 nodes are available: 5 Insufficient nvidia.com/gpu, 5 node(s) had untolerated taint "
                "{gpu-class-reservation=h100: NoSchedule}."
            ),
            "gpu",
            (
                "no GPU is free on the 5 nodes that could take it; of any type, 5 nodes reserved "
                "(gpu-class-reservation=h100)"
            ),
        ),
        (
            (
                "0/6 nodes are available: 5 node(s) had untolerated taint {team: NoSchedule}, 1 node(s) didn't match "
                "Pod's node affinity/selector."
            ),
            "taint",
            "only 5 nodes reserved by the taint team may have this GPU type: wait, or add it to kubernetes.tolerations",
        ),
        (
            "0/2 nodes are available: 1 node(s) had taint {a: b}, that the pod didn't tolerate, 1 Insufficient cpu.",
            "room",
            "too little cpu is free on 1 node; of any type, 1 node reserved (a)",
        ),
        (
            (
                "0/16 nodes are available: 12 node(s) had taint {node.kubernetes.io/unreachable: }, that the pod "
                "didn't tolerate, 1 node(s) had taint {node.kubernetes.io/disk-pressure: }, that the pod didn't "
                "tolerate, 3 node(s) didn't match Pod's node affinity."
            ),
            "nodes",
            "12 nodes are unreachable and 1 node is short of disk: no other has this GPU type",
        ),
        (
            (
                "0/5 nodes are available: 3 Insufficient nvidia.com/gpu, 2 node(s) had untolerated taint "
                "{node.kubernetes.io/not-ready: }."
            ),
            "gpu",
            "no GPU is free on the 3 nodes that could take it; of any type, 2 nodes not ready",
        ),
        (
            (
                "0/3 nodes are available: 1 node(s) had untolerated taint {node.kubernetes.io/not-ready: }, "
                "2 node(s) had untolerated taint {team: NoSchedule}."
            ),
            "taint",
            (
                "only 2 nodes reserved by the taint team or 1 node not ready may have this GPU type: wait, or add it "
                "to kubernetes.tolerations"
            ),
        ),
        (
            "0/4 nodes are available: 4 node(s) didn't match Pod's node affinity/selector.",
            "nodes",
            "no node has this GPU type and the labels that are asked for",
        ),
        ("0/2 nodes are available: 2 Insufficient cpu.", "room", "too little cpu is free on 2 nodes"),
        (
            "0/2 nodes are available: 2 node(s) were unschedulable.",
            "nodes",
            "2 nodes are cordoned: no other has this GPU type",
        ),
        ("no nodes available to schedule pods", "room", "no nodes available to schedule pods"),
    ],
)
def test_of_the_schedulers_counts_the_one_that_matters_is_told(message: str, kind: str, words: str) -> None:
    waits = scheduling(message)
    assert (waits.kind, waits.reason) == (kind, words)


PLANE = "node(s) had untolerated taint {node-role.kubernetes.io/control-plane: }"
MASTER = "node(s) had taint {node-role.kubernetes.io/master: }, that the pod didn't tolerate"
ELSEWHERE = "node(s) didn't match Pod's node affinity/selector"
NOT_HERE = "no node has this GPU type and the labels that are asked for"
FULL = "no GPU is free on the 13 nodes that could take it"


@pytest.mark.parametrize(
    ("counts", "kind", "words"),
    [
        # A control plane is not for runs, unless there is nothing else.
        (f"1 {PLANE}, 6 {ELSEWHERE}", "nodes", NOT_HERE),
        (f"1 {MASTER}, 6 node(s) didn't match Pod's node affinity", "nodes", NOT_HERE),
        (f"1 {MASTER}, 6 node(s) didn't match node selector", "nodes", NOT_HERE),
        (f"13 Insufficient nvidia.com/gpu, 1 {PLANE}, 3 {ELSEWHERE}", "gpu", FULL),
        (f"1 {PLANE}, 2 node(s) were unschedulable", "nodes", "2 nodes are cordoned: no other has this GPU type"),
        (
            f"1 {PLANE}",
            "taint",
            (
                "only 1 node reserved by the taint node-role.kubernetes.io/control-plane may have this GPU type: wait, "
                "or add it to kubernetes.tolerations"
            ),
        ),
        # A taint is looked at before the type: it may be of nodes of any type.
        (
            f"2 node(s) had untolerated taint {{cpu: only}}, 13 Insufficient nvidia.com/gpu, 3 {ELSEWHERE}",
            "gpu",
            f"{FULL}; of any type, 2 nodes reserved (cpu)",
        ),
        (
            f"1 node(s) had untolerated taint {{a: }}, 3 node(s) had untolerated taint {{b: c}}, 3 {ELSEWHERE}",
            "taint",
            (
                "only 1 node reserved by the taint a or 3 nodes reserved by the taint b may have this GPU type: wait, "
                "or add what your runs may use to kubernetes.tolerations"
            ),
        ),
        # v1.35 and later do not name it.
        (
            (
                f"13 Insufficient nvidia.com/gpu, 1 node(s) had untolerated taint(s), 3 {ELSEWHERE}. no new claims to "
                "deallocate, preemption: 0/17 nodes are available: 17 Preemption is not helpful for scheduling"
            ),
            "gpu",
            FULL,
        ),
        (
            f"1 node(s) had untolerated taint(s), 3 {ELSEWHERE}",
            "taint",
            (
                "only 1 node with a taint that is not tolerated may have this GPU type: wait, or add it to "
                "kubernetes.tolerations"
            ),
        ),
        (
            "1 node(s) had untolerated taint(s), 2 Insufficient memory. no new claims to deallocate, preemption: 0/3",
            "room",
            "too little memory is free on 2 nodes",
        ),
        # What is looked at behind the type is of nodes that have it.
        (
            f"3 node(s) had volume node affinity conflict, 4 {ELSEWHERE}",
            "claim",
            "its volume cannot be had on 3 nodes of this GPU type, only on other nodes or in another zone",
        ),
        (
            f"3 node(s) didn't match PersistentVolume's node affinity, 4 {ELSEWHERE}",
            "claim",
            "its volume cannot be had on 3 nodes of this GPU type, only on other nodes or in another zone",
        ),
        (
            f"2 node(s) didn't find available persistent volumes to bind, 4 {ELSEWHERE}",
            "claim",
            (
                "2 nodes of this GPU type cannot give it its volume: node(s) didn't find available persistent volumes "
                "to bind"
            ),
        ),
        (
            f"3 node(s) didn't match pod topology spread constraints, 1 {PLANE}, 2 {ELSEWHERE}",
            "room",
            "rules on how pods are spread keep it from 3 nodes of this GPU type",
        ),
        (
            f"1 node(s) didn't match pod topology spread constraints (missing required label), 2 {ELSEWHERE}",
            "room",
            "rules on how pods are spread keep it from 1 node of this GPU type",
        ),
        (
            f"3 node(s) didn't match pod anti-affinity rules, 1 {PLANE}",
            "room",
            "rules on which pods may be together keep it from 3 nodes of this GPU type",
        ),
        (
            "3 node(s) didn't match pod affinity/anti-affinity, 3 node(s) didn't match pod anti-affinity rules",
            "room",
            "rules on which pods may be together keep it from 3 nodes of this GPU type",
        ),
        (
            f"2 node(s) didn't satisfy existing pods anti-affinity rules, 4 {ELSEWHERE}",
            "room",
            "rules on which pods may be together keep it from 2 nodes of this GPU type",
        ),
        (
            f"1 node(s) didn't have free ports for the requested pod ports, 4 {ELSEWHERE}",
            "room",
            "the ports it asks for are taken on 1 node of this GPU type",
        ),
        (f"2 Too many pods, 4 {ELSEWHERE}", "room", "2 nodes of this GPU type can hold no more pods"),
        (
            f"13 Insufficient nvidia.com/gpu, 2 node(s) had volume node affinity conflict, 4 {ELSEWHERE}",
            "gpu",
            f"{FULL}; 2 nodes where its volume cannot be had",
        ),
        # What is not known is told as it is.
        (
            f"2 node(s) were out of luck, 4 {ELSEWHERE}",
            "room",
            f"0/9 nodes are available: 2 node(s) were out of luck, 4 {ELSEWHERE}.",
        ),
    ],
)
def test_what_is_counted_is_of_the_nodes_that_the_scheduler_had_come_to(counts: str, kind: str, words: str) -> None:
    waits = scheduling(f"0/9 nodes are available: {counts}.")
    assert (waits.kind, waits.reason) == (kind, words)


UNBOUND = "a volume claim has no volume yet: `kubectl describe pvc` says what it lacks, such as a storage class"


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (
            (
                "0/3 nodes are available: pod has unbound immediate PersistentVolumeClaims. preemption: 0/3 nodes are "
                "available: 3 Preemption is not helpful for scheduling."
            ),
            UNBOUND,
        ),
        ("0/3 nodes are available: 3 pod has unbound immediate PersistentVolumeClaims.", UNBOUND),
        (
            (
                'error while running "VolumeBinding" prefilter plugin for pod "x": pod has unbound immediate '
                "PersistentVolumeClaims"
            ),
            UNBOUND,
        ),
        (
            '0/3 nodes are available: persistentvolumeclaim "corpus" not found. preemption: 0/3 nodes are available.',
            "there is no volume claim corpus: make it, or change kubernetes.volumes",
        ),
        (
            'persistentvolumeclaim "corpus" not found',
            "there is no volume claim corpus: make it, or change kubernetes.volumes",
        ),
        (
            '0/3 nodes are available: persistentvolumeclaim "corpus" is being deleted.',
            "its volume claim corpus is being deleted: make it again, or change kubernetes.volumes",
        ),
        (
            '0/1 nodes are available: persistentvolumeclaim "corpus" bound to non-existent persistentvolume "v".',
            "the volume of claim corpus is gone: make both again",
        ),
        (
            "0/1 nodes are available: 1 node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s).",
            "the volume of a claim is gone: make both again",
        ),
    ],
)
def test_a_volume_claim_that_cannot_be_used_needs_a_person(message: str, words: str) -> None:
    waits = scheduling(message)
    assert (waits.kind, waits.reason, waits.needs_a_person) == ("claim", words, True)
