"""What is concluded from a run's pod, its Job and its log, and what is kept of it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from core.executor import Ended
from core.executors.local_outcome import Limits
from core.ids import RunId
from core.transcript import Reader, Summary
from k8s.ending import concluded
from k8s.kept import FILE, keep, kept
from k8s.run import Run, is_over, moment, started
from k8s.shapes import Job, Pod, decode

RUN = RunId("e1-1")
LIMITS = Limits(60, 64, 0)
RESULT = b"---\nval_bpb: 1.25\n"


def pod(phase: str, **state: Any) -> Pod:
    status = {"phase": phase, "containerStatuses": [{"name": "train", "state": state}] if state else []}
    return decode(Pod, msgspec.json.encode({"metadata": {"name": "p", "uid": "1"}, "status": status}))


def job(*conditions: str) -> Job:
    found = [{"type": kind, "status": "True"} for kind in conditions]
    return decode(Job, msgspec.json.encode({"metadata": {"name": "j"}, "status": {"conditions": found}}))


RUNNING = {"running": {"startedAt": "2026-11-23T10:00:00Z"}}
DONE = {"terminated": {"exitCode": 0, "startedAt": "2026-11-23T10:00:00Z", "finishedAt": "2026-11-23T10:00:09Z"}}
AT = datetime(2026, 11, 23, 10, 0, 9, tzinfo=UTC).timestamp()


def log(text: bytes) -> Reader:
    reader = Reader()
    reader.feed(text)
    return reader


def end_of(run: Run, text: bytes = b"", now: float = AT + 1) -> Ended:
    return concluded(run, log(text), None, (), LIMITS, now)


def run(**given: Any) -> Run:
    return Run(RUN, "j", **given)


OVER = {
    "nothing was seen yet": (run(), False),
    "its pod waits": (run(job=job(), pod=pod("Pending")), False),
    "its pod runs": (run(job=job(), pod=pod("Running", **RUNNING)), False),
    "its container ended": (run(job=job(), pod=pod("Running", **DONE)), True),
    "its pod ended": (run(job=job(), pod=pod("Failed")), True),
    "its pod is gone": (run(job=job(), pod=pod("Running", **RUNNING), is_pod_gone=True), True),
    "its Job failed before it had a pod": (run(job=job("Failed")), True),
    "its Job is gone": (run(job=job(), is_job_gone=True), True),
    "its Job is gone and its pod not yet": (run(pod=pod("Running", **RUNNING), is_job_gone=True), False),
    "it was given up": (run(why="its node stopped answering"), True),
}


@pytest.mark.parametrize(("found", "over"), OVER.values(), ids=OVER)
def test_a_run_is_over_once_its_end_is_there_or_nothing_of_it_is(found: Run, over: bool) -> None:
    assert is_over(found) == over


def test_a_run_has_begun_with_its_container_and_not_with_its_pod() -> None:
    assert started(pod("Pending", waiting={"reason": "ContainerCreating"})) is None
    assert started(pod("Running", **RUNNING)) is not None
    assert started(pod("Succeeded", **DONE)) is not None


def test_what_is_seen_at_once_happens_when_it_is_seen() -> None:
    stamp = datetime.fromtimestamp(1000, UTC)
    assert moment(stamp, 1000.7) == 1000.7
    assert moment(stamp, 1090.0) == 1000.0, "found by an engine that came back"
    assert moment(stamp, 900.0) == 900.0, "the cluster's clock is ahead"
    assert moment(None, 5.0) == 5.0


def test_a_result_in_the_log_is_finished() -> None:
    end = end_of(run(job=job(), pod=pod("Succeeded", **DONE)), RESULT)
    assert (end.outcome, end.exit_code, end.at) == ("finished", 0, AT + 1)
    assert end.summary == Summary(1.25)


def test_what_was_cancelled_is_cancelled_however_it_vanished() -> None:
    for found in (
        run(job=job(), pod=pod("Running", **RUNNING), is_pod_gone=True, is_job_gone=True, cancelled_at=1.0),
        run(is_job_gone=True, cancelled_at=1.0),
        run(cancelled_at=1.0),
        run(cancelled_at=1.0, why="it was stopped, and its pod did not end", pod=pod("Running", **RUNNING)),
    ):
        assert end_of(found).outcome == "cancelled"


def test_what_vanished_by_somebody_elses_hand_is_lost() -> None:
    gone = run(job=job(), pod=pod("Running", **RUNNING), is_pod_gone=True)
    assert end_of(gone).outcome == "lost"
    assert end_of(run(job=job(), is_job_gone=True)).reason == "somebody else deleted its Job"


def test_a_run_that_is_given_up_is_lost_unless_its_result_is_there() -> None:
    given_up = run(job=job(), pod=pod("Running", **RUNNING), why="its node h100-01 stopped answering")
    assert (end_of(given_up).outcome, end_of(given_up).reason) == ("lost", "its node h100-01 stopped answering")
    assert end_of(given_up, RESULT).outcome == "finished"


def test_an_end_is_kept_as_it_was_told(tmp_path: Path) -> None:
    end = Ended(run=RUN, at=1.5, outcome="finished", summary=Summary(1.25, extra={"x": 1.0}), fingerprint="é", tail="t")
    assert kept(tmp_path, RUN) is None
    keep(tmp_path, end)
    assert kept(tmp_path, RUN) == end
    (tmp_path / RUN / FILE).write_text("{")
    assert kept(tmp_path, RUN) is None
