"""A disk that fills up is this machine's fault: no experiment pays for it, and the engine ends and says so."""

from __future__ import annotations

import errno
import json
import subprocess
from pathlib import Path

import full_disk
import imagined
import pytest
import stub
from imagined import facts_of

from core import events as ev
from core.errors import AutoresearchError, LogError, NothingRuns
from core.executor import Job
from core.executors import simulator
from core.executors.simulator_notes import Note, Notes
from core.refusals import plain, refusal

FULL = OSError(errno.ENOSPC, "No space left on device", "/data/note")


class Small(Notes):
    """Takes a few notes; then the disk is full."""

    left = 12

    def keep(self, note: Note) -> None:
        self.left -= 1
        if self.left < 0:
            raise FULL
        super().keep(note)


@pytest.mark.parametrize("left", range(1, 20))
def test_a_simulation_that_cannot_be_noted_ends_the_engine_and_no_experiment_pays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left: int
) -> None:
    monkeypatch.setattr(simulator, "Notes", Small)
    monkeypatch.setattr(Small, "left", left)
    folder = imagined.workspace(tmp_path / "work")
    with pytest.raises(NothingRuns, match="The disk is full: /data/note cannot be written"):
        imagined.campaign(folder, fleet="H100:4", max_experiments=8, seed=1)
    facts = facts_of(folder)
    assert not [fact for fact in facts if isinstance(fact, ev.RunEnded) and fact.outcome in ("crashed", "lost")]
    assert isinstance(facts[-1], ev.EngineStopped)
    assert facts[-1].exit_code == 3
    monkeypatch.undo()
    assert imagined.campaign(folder, fleet="H100:4", max_experiments=2, seed=1).exit_code == 0, "and it goes on later"


class Forbidding(simulator.Simulator):
    """Its first launch fails, for a reason that is not the disk's."""

    async def launch(self, job: Job) -> None:
        if job.run == "e0-1":
            raise PermissionError(errno.EACCES, "Permission denied")
        await super().launch(job)


def test_a_run_that_could_not_be_launched_is_lost_not_crashed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulator, "Simulator", Forbidding)
    folder = imagined.workspace(tmp_path / "work")
    assert imagined.campaign(folder, fleet="H100:3", max_experiments=2, seed=1).exit_code == 0
    (end,) = [fact for fact in facts_of(folder) if isinstance(fact, ev.RunEnded) and fact.run == "e0-1"]
    assert (end.outcome, end.reason) == ("lost", "it could not be launched: [Errno 13] Permission denied")


def test_on_a_disk_that_fills_up_the_engine_ends_with_a_sentence_and_goes_on_later(tmp_path: Path) -> None:
    command = full_disk.command(tmp_path)
    if command is None:
        pytest.skip("no tmpfs can be mounted here")
    done = subprocess.run(command, env=stub.environment(), capture_output=True, text=True, check=True, timeout=90)
    found = json.loads(done.stdout)
    assert found["code"] in (2, 3), found
    assert "isk is full" in found["said"].splitlines()[-1], found
    assert "crashed" not in found["ends"], found
    assert found["again"] == 0, found


def test_what_the_machine_refuses_reads_as_one_sentence() -> None:
    told = plain(ExceptionGroup("", [ExceptionGroup("", [FULL])]))
    assert isinstance(told, NothingRuns)
    assert str(told).startswith("The disk is full: /data/note cannot be written.")
    assert refusal(OSError(errno.EACCES, "Permission denied")) is None
    assert isinstance(plain(ExceptionGroup("", [PermissionError(errno.EACCES, "no")])), AutoresearchError)


def test_an_error_of_ours_comes_before_one_of_the_machine_and_a_mistake_is_not_hidden() -> None:
    ours = LogError("it was removed")
    assert plain(ExceptionGroup("", [ours, FULL])) is ours
    mistake = ExceptionGroup("", [ours, KeyError("x")])
    assert plain(mistake) is mistake
