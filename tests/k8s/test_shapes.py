"""What the API server sends, and what a proxy sends in its place."""

from __future__ import annotations

import json

import pytest

from k8s.shapes import (
    Bookmark,
    Changed,
    Event,
    Failure,
    Job,
    Node,
    Pod,
    decode,
    decode_failure,
    decode_frame,
    decode_list,
)


def frame(kind: str, thing: object) -> bytes:
    return json.dumps({"type": kind, "object": thing}).encode()


def test_a_change_holds_what_is_used_of_a_pod() -> None:
    body = {
        "kind": "Pod",
        "metadata": {"name": "p", "uid": "u", "creationTimestamp": "2026-11-23T12:00:00Z", "managedFields": [1, 2]},
        "spec": {"nodeName": "n1", "containers": [{"name": "c", "resources": {"limits": {"nvidia.com/gpu": "1"}}}]},
        "status": {
            "phase": "Failed",
            "containerStatuses": [
                {"name": "c", "ready": False, "state": {"terminated": {"exitCode": 137, "finishedAt": None}}}
            ],
        },
    }
    change = decode_frame(Pod, frame("MODIFIED", body))
    assert isinstance(change, Changed)
    assert change.kind == "MODIFIED"
    pod = change.object
    assert (pod.name, pod.spec.node_name, pod.has_ended) == ("p", "n1", True)
    assert pod.spec.containers[0].resources.limits == {"nvidia.com/gpu": "1"}
    ended = pod.status.container_statuses[0].state.terminated
    assert ended is not None
    assert (ended.exit_code, ended.finished_at) == (137, None)


def test_a_bookmark_says_where_to_go_on() -> None:
    assert decode_frame(Node, frame("BOOKMARK", {"metadata": {"resourceVersion": "42"}})) == Bookmark("42")


def test_an_error_in_a_watch_is_a_failure() -> None:
    expired = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version"}
    assert decode_frame(Job, frame("ERROR", expired)) == Failure(410, "Expired", "too old resource version")


@pytest.mark.parametrize("line", [b"<html>502</html>", b"", b"{}", b'{"type": "NEWS", "object": {}}', b"Too many"])
def test_what_is_no_frame_is_an_error_of_one_kind(line: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  any
        decode_frame(Pod, line)


def test_a_page_of_a_list_says_whether_there_is_more() -> None:
    body = {"metadata": {"resourceVersion": "7", "continue": "abc"}, "items": [{"metadata": {"name": "n1"}}]}
    page = decode_list(Node, json.dumps(body).encode())
    assert (page.metadata.resource_version, page.metadata.continue_) == ("7", "abc")
    assert [node.name for node in page.items] == ["n1"]


def test_a_node_that_does_not_say_that_it_is_ready_is_not() -> None:
    silent = {"status": {"conditions": [{"type": "Ready", "status": "Unknown"}]}}
    assert not decode(Node, json.dumps(silent).encode()).is_ready
    assert not Node().is_ready


def test_an_event_has_the_time_at_which_it_was_seen_last() -> None:
    body = {"lastTimestamp": None, "firstTimestamp": None, "eventTime": "2026-11-23T12:00:00.250000Z", "count": None}
    assert decode(Event, json.dumps(body).encode()).at % 1 == 0.25


def test_a_proxys_page_is_a_failure_without_words() -> None:
    assert decode_failure(b"<html>") == Failure()
