"""What the scheduler says of a pod that it cannot place, as what stands between it and a GPU: `scheduling(message)`.

Of each node it asks, in this order, and stops at the first no: is it cordoned, is it tainted, is it of the type, has
it free ports and enough of everything, can it have the volumes, may the pod be beside those that are there. So a count
from before the type may be of nodes of any type, one from behind it is of nodes of ours, and that nodes of other types
do not take it is as it should be. Asks no cluster.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

import msgspec

from core.transcript import clean

Kind = Literal[
    "starting", "gpu", "room", "nodes", "taint", "scaling", "queue", "quota", "image", "volume", "claim", "config"
]
_PERSONAL: frozenset[Kind] = frozenset({"image", "config", "nodes", "taint", "quota", "claim"})
_PROSE = re.compile(r"nodes are available: (.*?)(?:\.\s|,?\s*preemption:|\.?$)", re.DOTALL)
_COUNT = re.compile(r"(\d+) (.+?)(?=, \d+ |$)")
_TAINT = re.compile(r"taint\w* \{([^:}]+)")
_TYPE = re.compile(r"did(?:n't| not) match (?:Pod's )?node (?:affinity|selector)|the requested (?:host|node ?)name")
_ILL = {  # what the cluster itself finds wrong with a node, by its taint
    "node.kubernetes.io/unreachable": "unreachable",
    "node.kubernetes.io/not-ready": "not ready",
    "node.kubernetes.io/unschedulable": "cordoned",
    "node.kubernetes.io/memory-pressure": "short of memory",
    "node.kubernetes.io/disk-pressure": "short of disk",
    "node.kubernetes.io/pid-pressure": "short of process ids",
    "node.kubernetes.io/network-unavailable": "without network",
    "node.kubernetes.io/out-of-service": "out of service",
    "node.cloudprovider.kubernetes.io/uninitialized": "not set up yet",
    "node.cloudprovider.kubernetes.io/shutdown": "shut down",
}
_ROLES = frozenset(  # taints of nodes that are not for work
    {f"node-role.kubernetes.io/{role}" for role in ("control-plane", "controlplane", "master", "etcd", "infra")}
    | {"CriticalAddonsOnly"}
)
_NAMELESS = ""  # newer schedulers do not say which taint it is


class Waits(msgspec.Struct, frozen=True):
    kind: Kind
    reason: str  # completes "e12-1 waits: …"

    @property
    def needs_a_person(self) -> bool:
        """It does not pass by itself, or not soon."""
        return self.kind in _PERSONAL


class _Reading(NamedTuple):
    """What keeps a pod from nodes of its type."""

    pattern: re.Pattern[str]
    kind: Kind
    sentence: str
    beside: str = ""  # behind another reason; "": it may count the same nodes


# The most telling first.
_READINGS = (
    _Reading(re.compile(r"^Insufficient \S+/\S+"), "gpu", "no GPU is free on the {nodes} that could take it"),
    _Reading(re.compile(r"^Insufficient "), "room", "too little {what} is free on {nodes}"),
    _Reading(re.compile(r"^Too many pods"), "room", "{nodes} of this GPU type can hold no more pods"),
    _Reading(
        re.compile(r"free ports"),
        "room",
        "the ports it asks for are taken on {nodes} of this GPU type",
        "{nodes} without the ports it asks for",
    ),
    _Reading(
        re.compile(r"volume node affinity conflict|PersistentVolume's node affinity|no available volume zone"),
        "claim",
        "its volume cannot be had on {nodes} of this GPU type, only on other nodes or in another zone",
        "{nodes} where its volume cannot be had",
    ),
    _Reading(
        re.compile(
            r"persistent volumes to bind|enough free storage|max volume count|no available disk|ReadWriteOncePod"
        ),
        "claim",
        "{nodes} of this GPU type cannot give it its volume: {said}",
        "{nodes} that cannot give it its volume",
    ),
    _Reading(
        re.compile(r"topology spread"),
        "room",
        "rules on how pods are spread keep it from {nodes} of this GPU type",
        "{nodes} from which rules on how pods are spread keep it",
    ),
    _Reading(
        re.compile(r"pods? (?:anti-)?affinity|pods anti-affinity"),
        "room",
        "rules on which pods may be together keep it from {nodes} of this GPU type",
        "{nodes} from which rules on which pods may be together keep it",
    ),
)
# Of the whole pod, whatever the nodes.
_CLAIMS = (
    (
        re.compile(r'persistentvolumeclaim "([^"]+)" not found', re.IGNORECASE),
        "there is no volume claim {}: make it, or change kubernetes.volumes",
    ),
    (
        re.compile(r'persistentvolumeclaim "([^"]+)" is being deleted', re.IGNORECASE),
        "its volume claim {} is being deleted: make it again, or change kubernetes.volumes",
    ),
    (
        re.compile(r'persistentvolumeclaim "([^"]+)" bound to non-existent', re.IGNORECASE),
        "the volume of claim {} is gone: make both again",
    ),
    (
        re.compile(r"(pvc\(s\)) bound to non-existent pv", re.IGNORECASE),
        "the volume of a claim is gone: make both again",
    ),
    (
        re.compile(r"(unbound) immediate PersistentVolumeClaims", re.IGNORECASE),
        "a volume claim has no volume yet: `kubectl describe pvc` says what it lacks, such as a storage class",
    ),
)


class _Count(NamedTuple):
    nodes: int
    reason: str


def scheduling(message: str) -> Waits:
    """Of the scheduler's message, such as "0/7 nodes are available: 3 Insufficient nvidia.com/gpu, 4 node(s) …"."""
    if lacks := _claim(message):
        return lacks
    found = _PROSE.search(message)
    counts = [_Count(int(match[1]), match[2].rstrip(",")) for match in _COUNT.finditer(found[1] if found else "")]
    others = [count for count in counts if _TYPE.search(count.reason)]
    early = [count for count in counts if _is_early(count)]
    ours = [count for count in counts if count not in others and count not in early]
    if ours:
        return _of_our_type(ours, early) or Waits("room", clean(message, 300))
    if counts:
        return _before_the_type(early, is_all=not others)
    return Waits("room", clean(message, 300) or "the scheduler has not looked at it yet")


def _claim(message: str) -> Waits | None:
    for pattern, sentence in _CLAIMS:
        if match := pattern.search(message):
            return Waits("claim", sentence.format(clean(match[1], 80)))
    return None


# --- nodes of the type that is asked for ------------------------------------------------------------------------------


def _of_our_type(ours: list[_Count], early: list[_Count]) -> Waits | None:
    """The most telling reason, then what keeps it from further nodes."""
    found = [(reading, count) for reading in _READINGS for count in ours if reading.pattern.search(count.reason)]
    if not found:
        return None
    first, count = found[0]
    beside = [_filled(each.beside, at) for each, at in found[1:] if each.beside and each != first]
    known = [f"{_nodes(nodes)} {what}" for nodes, what in _ill(early)]
    known += [f"{_nodes(nodes)} reserved ({taint})" for nodes, taint in _taints(early) if taint]
    beside += [f"of any type, {', '.join(known)}"] if known else []
    return Waits(first.kind, "; ".join([_filled(first.sentence, count), *beside]))


def _filled(sentence: str, count: _Count) -> str:
    what = count.reason.removeprefix("Insufficient ")
    return sentence.format(nodes=_nodes(count.nodes), what=clean(what, 80), said=clean(count.reason, 120))


# --- nodes of any type ------------------------------------------------------------------------------------------------


def _is_early(count: _Count) -> bool:
    """Counted before the scheduler looks at the type."""
    return "were unschedulable" in count.reason or "taint" in count.reason


def _before_the_type(early: list[_Count], *, is_all: bool) -> Waits:
    """No node is known to be of the type. `is_all`: there are no other nodes, so that also a control plane matters."""
    ill, taints = _ill(early), _taints(early)
    if is_all and not ill and not taints:
        taints = _taints(early, with_roles=True)
    if taints:
        reserved = [f"{_nodes(nodes)} {_reserved(taint)}" for nodes, taint in taints]
        may = " or ".join([*reserved, *(f"{_nodes(nodes)} {what}" for nodes, what in ill)])
        named = "it" if len(taints) == 1 else "what your runs may use"
        return Waits("taint", f"only {may} may have this GPU type: wait, or add {named} to kubernetes.tolerations")
    if ill:
        return Waits("nodes", f"{' and '.join(_are(*each) for each in ill)}: no other has this GPU type")
    return Waits("nodes", "no node has this GPU type and the labels that are asked for")


def _reserved(taint: str) -> str:
    return f"reserved by the taint {taint}" if taint else "with a taint that is not tolerated"


def _ill(early: list[_Count]) -> list[tuple[int, str]]:
    """Nodes that take nothing at present, and why."""
    found = [
        (count.nodes, "cordoned" if "were unschedulable" in count.reason else _ILL.get(_taint(count.reason)))
        for count in early
    ]
    return [(nodes, what) for nodes, what in found if what is not None]


def _taints(early: list[_Count], *, with_roles: bool = False) -> list[tuple[int, str]]:
    """Nodes that are kept for others, and the taint that says so; those of a control plane `with_roles` alone."""
    found = [(count.nodes, _taint(count.reason)) for count in early if "taint" in count.reason]
    return [each for each in found if each[1] not in _ILL and (with_roles or _key(each[1]) not in _ROLES)]


def _taint(reason: str) -> str:
    match = _TAINT.search(reason)
    return clean(match[1].strip(), 80) if match else _NAMELESS


def _key(taint: str) -> str:
    return taint.partition("=")[0]


def _nodes(count: int) -> str:
    return f"{count} node" if count == 1 else f"{count} nodes"


def _are(count: int, what: str) -> str:
    return f"{_nodes(count)} {'is' if count == 1 else 'are'} {what}"
