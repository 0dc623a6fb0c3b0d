"""What became of a run: whose fault it was, in plain words."""

from __future__ import annotations

import pytest
from fallen import EVICTED_BY_NODE, RESULT, THEN, down, end_of, ended, message, pod, told

from k8s.causes import is_infrastructure
from k8s.shapes import (
    Condition,
    ContainerState,
    Event,
    Involved,
    Job,
    JobStatus,
    Running,
    Waiting,
)


def test_a_run_that_goes_on_has_no_outcome() -> None:
    assert told(pod(ContainerState(running=Running(THEN)), phase="Running")) is None
    assert told(pod(ContainerState(waiting=Waiting("ContainerCreating")), phase="Pending")) is None
    assert told() is None


def test_a_run_on_a_node_that_stopped_answering_is_not_over_while_its_pod_stays() -> None:
    assert told(pod(ContainerState(running=Running(THEN)), phase="Running"), node=down()) is None


def test_a_complete_result_is_finished_at_the_time_its_container_ended() -> None:
    end = end_of(pod(ended(0, reason="Completed"), phase="Succeeded"), text=RESULT)
    assert (end.outcome, end.at, end.fingerprint, end.exit_code) == ("finished", THEN.timestamp(), "abc", 0)
    assert end.summary is not None
    assert end.summary.val_bpb == 0.9979


def test_the_result_survives_a_lost_log() -> None:
    end = end_of(pod(ended(0, message=message(exit_code=0, log=RESULT)), phase="Succeeded"))
    assert end.summary is not None
    assert (end.outcome, end.summary.val_bpb, end.fingerprint) == ("finished", 0.9979, "abc")


@pytest.mark.parametrize(("said", "counts"), [(0.75, 0.75), (-0.5, -0.5), (3600.0, 0.0)])
def test_the_message_is_believed_on_fractions_of_a_second(said: float, counts: float) -> None:
    moment = THEN.timestamp()
    end = end_of(pod(ended(0, message=message(exit_code=0, log=RESULT, at=moment + said)), phase="Succeeded"))
    assert end.at == moment + counts


def test_a_log_that_broke_off_gives_way_to_the_message() -> None:
    end = end_of(pod(ended(0, message=message(exit_code=0, log=RESULT)), phase="Succeeded"), text="step 1\n---\nval_b")
    assert end.outcome == "finished"


def test_an_exception_is_the_experiments_own_fault() -> None:
    trace = "Traceback (most recent call last):\n  File x\nValueError: no such width\n"
    end = end_of(pod(ended(1, message=message(exit_code=1, log=trace))))
    assert (end.outcome, end.reason, end.exit_code) == ("crashed", "ValueError: no such width", 1)
    assert "ValueError" in end.tail
    assert not is_infrastructure(end)


@pytest.mark.parametrize(
    ("cause", "reason", "words"),
    [
        ("timeout", "", "ran longer than 720 s and was killed"),
        ("output", "", "wrote more than 64 MB of output and was killed"),
        ("void", "prepare.py was changed", "prepare.py was changed"),
    ],
)
def test_the_starters_word_is_taken_for_what_it_ended(cause: str, reason: str, words: str) -> None:
    end = end_of(pod(ended(1, message=message(signal=15, cause=cause, reason=reason))))
    assert (end.outcome, end.reason) == ("crashed", words)


def test_a_void_run_has_no_result_though_it_printed_one() -> None:
    end = end_of(pod(ended(1, message=message(exit_code=0, cause="void", reason="changed", log=RESULT))))
    assert (end.outcome, end.summary) == ("crashed", None)


def test_an_interpreter_that_is_not_in_the_image_is_not_the_experiments_fault() -> None:
    end = end_of(pod(ended(1, message=message(reason="cannot start python9: no such file"))))
    assert (end.outcome, end.reason) == ("lost", "cannot start python9: no such file")


def test_a_kill_that_nobody_explains_may_have_been_for_memory() -> None:
    end = end_of(pod(ended(137)))
    assert (end.outcome, end.reason, end.exit_code) == ("crashed", "killed by signal 9 (out of memory?)", -9)


def test_out_of_memory_is_the_experiments_fault() -> None:
    end = end_of(pod(ended(137, reason="OOMKilled")))
    assert (end.outcome, end.reason) == ("crashed", "used more main memory than it may (4096 MB) and was killed")


@pytest.mark.parametrize("reason", ["StartError", "ContainerCannotRun"])
def test_a_container_that_cannot_start_is_the_clusters_fault(reason: str) -> None:
    end = end_of(pod(ended(127, reason=reason, message="exec: python: not found")))
    assert (end.outcome, end.reason) == ("lost", "its container could not start: exec: python: not found")


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        (
            "UnexpectedAdmissionError",
            (
                "Allocate failed due to requested number of devices unavailable for nvidia.com/gpu. Requested: 4, "
                "Available: 0, which is unexpected"
            ),
        ),
        (
            "UnexpectedAdmissionError",
            (
                "Pod was rejected: Allocate failed due to requested number of devices unavailable for nvidia.com/gpu. "
                "Requested: 1, Available: 0, which is unexpected"
            ),
        ),
        ("OutOfnvidia.com/gpu", "Node didn't have enough resource: nvidia.com/gpu"),
    ],
)
def test_two_pods_sent_to_the_last_gpu_are_told_so(reason: str, text: str) -> None:
    end = end_of(pod(reason=reason, message=text))
    assert end.outcome == "lost"
    assert end.reason.startswith("its node had no free GPU for it after all: ")
    assert "Pod was rejected" not in end.reason


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (f"The node was low on resource: memory. Threshold quantity: 100Mi. {EVICTED_BY_NODE}memory.", "memory"),
        (
            (
                "The node was low on resource: ephemeral-storage. Threshold quantity: 2727346284, available: 432908Ki. "
                f"{EVICTED_BY_NODE}ephemeral-storage."
            ),
            "disk space",
        ),
    ],
)
def test_a_node_that_ran_out_of_something_evicts_at_its_own_cost(text: str, what: str) -> None:
    end = end_of(pod(reason="Evicted", message=text, disrupted="TerminationByKubelet"))
    assert (end.outcome, end.reason) == ("lost", f"evicted: its node ran out of {what}")


@pytest.mark.parametrize(
    "text",
    [
        'Usage of EmptyDir volume "logs" exceeds the limit "30Mi". ',
        "Pod ephemeral local storage usage exceeds the total limit of containers 8Mi. ",
    ],
)
def test_a_run_that_fills_its_disk_is_evicted_at_its_own_cost(text: str) -> None:
    end = end_of(pod(ended(137), reason="Evicted", message=text, disrupted="TerminationByKubelet"))
    assert end.outcome == "crashed"
    assert end.reason.startswith("wrote more to disk than it may, and was killed: ")


@pytest.mark.parametrize(
    ("disruption", "words"),
    [
        ("PreemptionByScheduler", "preempted: a more important pod took its place"),
        ("DeletionByTaintManager", "its node failed or was reserved, and it was evicted"),
        ("EvictionByEvictionAPI", "evicted: its node is being drained"),
        ("DeletionByPodGC", "its node is gone"),
        ("TerminationByKubelet", "its node had to let go of it"),
        ("SomethingNew", "told"),
    ],
)
def test_a_disruption_says_itself_what_it_is(disruption: str, words: str) -> None:
    stopped = ended(143, message=message(signal=15, cause="stopped"))
    end = end_of(pod(stopped, disrupted=disruption, deleted=True))
    assert (end.outcome, end.reason) == ("lost", words)


def test_an_old_cluster_says_in_an_event_alone_that_a_pod_was_preempted() -> None:
    stopped = pod(ended(143, message=message(signal=15, cause="stopped")), deleted=True)
    preempted = Event(
        involved_object=Involved(kind="Pod", name="p", uid="p1"),
        reason="Preempted",
        message="Preempted by pod default/preemptor on node",
    )
    end = told(stopped, events=(preempted,))
    assert end is not None
    assert (end.outcome, end.reason) == ("lost", "preempted: a more important pod took its place")


def test_a_pod_to_be_deleted_from_a_node_that_does_not_answer_is_lost() -> None:
    running = pod(ContainerState(running=Running(THEN)), phase="Running", deleted=True)
    assert told(running) is None
    end = end_of(running, node=down())
    assert (end.outcome, end.reason) == ("lost", "its node stopped answering")
    assert end_of(running, node=None).reason == "its node is gone"


def test_a_pod_that_somebody_else_deleted_is_lost() -> None:
    stopped = pod(ended(143, message=message(signal=15, cause="stopped")), deleted=True)
    assert (end_of(stopped).outcome, end_of(stopped).reason) == ("lost", "somebody else deleted its pod")


def test_a_job_that_somebody_else_deleted_is_lost() -> None:
    end = told(job=None)
    assert end is not None
    assert (end.outcome, end.reason, end.at) == ("lost", "somebody else deleted its Job", 5.0)


def test_a_pod_that_goes_with_its_job_was_not_meant_itself() -> None:
    stopped = pod(ended(143, message=message(signal=15, cause="stopped")), deleted=True)
    end = told(stopped, job=None)
    assert end is not None
    assert (end.outcome, end.reason) == ("lost", "somebody else deleted its Job")


def test_a_queue_that_takes_a_place_back_says_so() -> None:
    stopped = pod(ended(143, message=message(signal=15, cause="stopped")), deleted=True)
    suspended = Job(status=JobStatus(conditions=(Condition(type="Suspended", status="True"),)))
    end = told(stopped, job=suspended)
    assert end is not None
    assert (end.outcome, end.reason) == ("lost", "the queue took its place back")


def test_a_job_that_failed_without_a_trace_of_its_pod_is_lost() -> None:
    failed = Job(status=JobStatus(conditions=(Condition(type="Failed", status="True", reason="BackoffLimitExceeded"),)))
    end = told(job=failed)
    assert end is not None
    assert (end.outcome, end.reason) == ("lost", "its pod is gone, and nothing says why")


def test_what_we_cancelled_ourselves_is_cancelled_whatever_it_says() -> None:
    stopped = pod(ended(143, message=message(signal=15, cause="stopped", log=RESULT)), deleted=True)
    assert end_of(stopped, cancelled=True).outcome == "cancelled"
    gone = told(job=None, cancelled=True)
    assert gone is not None
    assert gone.outcome == "cancelled"


def test_a_result_counts_though_the_pod_was_taken_away_behind_it() -> None:
    stopped = ended(143, message=message(signal=15, cause="stopped", log=RESULT))
    assert end_of(pod(stopped, disrupted="PreemptionByScheduler", deleted=True)).outcome == "finished"
    assert end_of(pod(ended(137, reason="OOMKilled")), text=RESULT).outcome == "crashed"


def test_the_pods_deadline_is_the_experiments_fault_only_if_it_had_begun() -> None:
    killed = ended(143, message=message(signal=15, cause="stopped"))
    late = end_of(pod(killed, reason="DeadlineExceeded"))
    assert (late.outcome, late.reason) == ("crashed", "ran longer than 720 s and was killed")
    never = end_of(pod(reason="DeadlineExceeded", message="Pod was active on the node longer than …"))
    assert never.outcome == "lost"
    assert "did not start in time" in never.reason


def test_the_latest_of_two_pods_counts() -> None:
    old = pod(ended(143, message=message(signal=15, cause="stopped")), deleted=True)
    new = pod(ContainerState(running=Running(THEN)), phase="Running", at=THEN.replace(hour=13))
    assert told(old, new) is None


def test_a_message_that_is_none_of_ours_is_not_believed() -> None:
    end = end_of(pod(ended(1, message="cannot open starter.py")), text="x\n")
    assert (end.outcome, end.reason) == ("crashed", "exited with code 1 without a result block")
