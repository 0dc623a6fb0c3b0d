"""What the cluster looks like, kept from watches: nothing that went is forgotten, nothing happens twice."""

from __future__ import annotations

from k8s.mirror import Seen, job_of
from k8s.shapes import Changed, Meta, Pod, PodStatus
from k8s.watching import Stale, Synced


def pod(name: str, uid: str = "", phase: str = "Running") -> Pod:
    return Pod(metadata=Meta(name=name, namespace="lab", uid=uid or name), status=PodStatus(phase=phase))


class Told:
    def __init__(self) -> None:
        self.happened: list[str] = []
        self.pods: Seen[Pod] = Seen(Pod, "/api/v1/pods", {}, self.take)

    def take(self, pod: Pod, gone: bool) -> None:
        self.happened.append(f"{'-' if gone else '+'}{pod.metadata.uid} {pod.status.phase}")

    def since(self) -> list[str]:
        told, self.happened = self.happened, []
        return told


def test_a_list_tells_only_what_it_changes() -> None:
    told = Told()
    told.pods.take(Synced((pod("a"), pod("b"))))
    assert told.since() == ["+a Running", "+b Running"]
    told.pods.take(Synced((pod("a"), pod("b", phase="Succeeded"), pod("c"))))
    assert told.since() == ["+b Succeeded", "+c Running"]
    told.pods.take(Synced((pod("c"),)))
    assert sorted(told.since()) == ["-a Running", "-b Succeeded"]


def test_what_was_deleted_is_told_as_it_was_last() -> None:
    told = Told()
    told.pods.take(Synced((pod("a"),)))
    told.pods.take(Changed("DELETED", pod("a", phase="Failed")))
    assert told.since() == ["+a Running", "-a Failed"]
    assert not told.pods.things


def test_another_of_the_same_name_is_not_the_same() -> None:
    told = Told()
    told.pods.take(Synced((pod("a", "1"),)))
    told.pods.take(Synced((pod("a", "2"),)))
    assert told.since() == ["+1 Running", "-1 Running", "+2 Running"]


def test_what_is_stale_stays_as_it_was_until_the_next_list() -> None:
    told = Told()
    told.pods.take(Synced((pod("a"),)))
    told.pods.take(Stale("gone", 1.0))
    assert told.pods.stale == Stale("gone", 1.0)
    assert list(told.pods.things) == [("lab", "a")]
    told.pods.take(Synced(()))
    assert told.pods.stale is None
    assert told.since() == ["+a Running", "-a Running"]


def test_the_job_of_a_pod_is_found_by_the_old_label_and_the_new_one() -> None:
    for label in ("job-name", "batch.kubernetes.io/job-name"):
        assert job_of(Pod(metadata=Meta(labels={label: "run"}))) == "run"
    assert job_of(Pod()) == ""
