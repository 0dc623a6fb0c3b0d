"""What the cluster looks like, kept from watches: nothing that went is forgotten, nothing happens twice."""

from __future__ import annotations

from core.clock import SystemClock
from k8s.client import Connection
from k8s.mirror import DOUBTED_S, REFUSED_S, Mirror, Seen, job_of
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


class Moment(SystemClock):
    at = 1_000.0

    def now(self) -> float:
        return self.at


def mirrored(clock: Moment) -> Mirror:
    """All that is looked at was listed just now."""

    def ignored(*_: object) -> None:
        pass

    mirror = Mirror(
        Connection(clock=clock),
        clock=clock,
        selector="",
        job_changed=ignored,
        pod_changed=ignored,
        node_changed=ignored,
        others_changed=ignored,
    )
    mirror.jobs.take(Synced(()))
    mirror.nodes.take(Synced(()))
    for seen in (mirror.pods, mirror.all_pods):
        seen.take(Synced(()))
    for each in (mirror.jobs, mirror.pods, mirror.nodes):
        each.listed_at = clock.at
    return mirror


def test_others_that_may_not_be_listed_any_more_are_not_seen() -> None:
    clock = Moment()
    mirror = mirrored(clock)
    mirror.all_pods.take(Stale("pods is forbidden", clock.at, True))
    assert mirror.sees_others, "a server that was started just now says so for a moment"
    clock.at += REFUSED_S + 0.1
    assert (mirror.sees_others, mirror.is_blind) == (False, True)
    assert mirror.stale is None, "of our own runs all is known"
    mirror.all_pods.take(Synced((pod("a"),)))
    assert (mirror.sees_others, mirror.is_blind) == (True, False)


def test_others_that_cannot_be_listed_for_another_reason_are_doubted_later() -> None:
    clock = Moment()
    mirror = mirrored(clock)
    mirror.all_pods.take(Stale("the list takes too long", clock.at))
    clock.at += DOUBTED_S - 0.1
    assert mirror.sees_others
    clock.at += 0.2
    assert not mirror.sees_others


def test_while_nothing_at_all_can_be_seen_it_is_the_connection_and_others_stay() -> None:
    clock = Moment()
    mirror = mirrored(clock)
    for seen in (mirror.pods, mirror.all_pods):
        seen.take(Stale("no route", clock.at))
    clock.at += 600
    assert mirror.sees_others
    mirror.pods.take(Synced(()))
    mirror.pods.listed_at = clock.at
    assert mirror.sees_others, "the others will be listed in a moment, too"


def test_others_were_never_seen_where_that_is_not_allowed() -> None:
    clock = Moment()
    mirror = mirrored(clock)
    mirror.all_pods.is_synced = False
    assert (mirror.sees_others, mirror.is_blind) == (False, False), "they were not asked for yet"
    mirror.all_pods.take(Stale("pods is forbidden", clock.at, True))
    assert (mirror.sees_others, mirror.is_blind) == (False, True)
