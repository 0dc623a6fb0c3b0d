"""What bad input gets: one sentence, an exit code, and nothing lost."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import stub
from checkout import commit_all, git
from stub import engine, file_of, running, state_of, until

from core import events as ev
from core import log as logs

QUICK = ("--no-ui", "--max-experiments", "6")


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    return stub.make_stub(tmp_path / "work")


def refusal(workspace: Path, *arguments: str) -> tuple[int, str]:
    done = stub.run(workspace, *(arguments or QUICK))
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    return done.returncode, done.stderr


def test_no_repository(tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    code, sentence = refusal(tmp_path / "plain")
    assert code == 2
    assert "git init" in sentence


def test_text_that_drives_a_terminal_is_shown_as_text(workspace: Path) -> None:
    stub.run(workspace, *QUICK)
    logs.append_all(file_of(workspace), [ev.ResearchPaused(at=1.0, by="\x1b]0;owned\x07\x1b[31mred")])
    assert "\x1b" not in stub.run(workspace, "status").stdout


def test_a_terminal_without_unicode_and_a_full_disk_for_the_output_change_nothing(workspace: Path) -> None:
    odd = subprocess.run(
        stub.command(workspace, *QUICK),
        env={**stub.environment(), "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"},
        cwd=workspace.parent,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert odd.returncode == 0, odd.stderr
    with Path("/dev/full").open("w") as full:
        command = stub.command(workspace, "--no-ui", "--max-experiments", "8")
        done = subprocess.run(
            command, env=stub.environment(), cwd=workspace.parent, stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert done.returncode == 0, done.stderr
    assert not state_of(workspace).open


def test_a_start_that_fails_leaves_no_branch_behind(tmp_path: Path) -> None:
    workspace = stub.make_stub(tmp_path / "work", settings='python = "/nonexistent/python"\n')
    for _ in range(2):
        assert refusal(workspace)[0] == 3
    assert git(workspace, "branch", "--list", "autoresearch/*") == ""


def test_a_baseline_that_was_mended_runs_again(tmp_path: Path) -> None:
    flag = tmp_path / "broken"
    flag.touch()
    check = f"import os, sys\nif os.path.exists({str(flag)!r}):\n    sys.exit(9)\n"
    workspace = stub.make_stub(tmp_path / "work", train=check + stub.TRAIN)
    assert stub.run(workspace, *QUICK).returncode == 3
    flag.unlink()
    assert stub.run(workspace, *QUICK).returncode == 0


def test_ctrl_c_before_the_engine_is_up_exits_130(workspace: Path) -> None:
    slow = "import signal; signal.raise_signal(signal.SIGINT)"
    code = f"from core import session\nsession.hide_memory = lambda: exec({slow!r})\nfrom tui.cli import main\nmain()"
    command = [sys.executable, "-c", code, "-C", str(workspace), *QUICK]
    assert subprocess.run(command, env=stub.environment(), capture_output=True, check=False).returncode == 130


def test_a_branch_that_vanishes_is_said_in_the_log_too(workspace: Path) -> None:
    with engine(workspace) as process:
        git(workspace, "branch", "-D", state_of(workspace).branch)
        assert process.wait(60) == 2
    stopped = state_of(workspace).last_stop
    assert stopped is not None
    assert "is gone" in stopped.reason
    until(lambda: not running(workspace), 10)


def test_a_changed_train_py(workspace: Path) -> None:
    with (workspace / "train.py").open("a") as file:
        file.write("# mine\n")
    code, sentence = refusal(workspace)
    assert code == 2
    assert "uncommitted changes" in sentence


def test_a_train_py_that_does_not_parse(workspace: Path) -> None:
    (workspace / "train.py").write_text("def (:\n")
    commit_all(workspace)
    assert refusal(workspace)[0] == 2


def test_an_unknown_setting_names_the_nearest(workspace: Path) -> None:
    with (workspace / "autoresearch.toml").open("a") as file:
        file.write("max_experimnts = 3\n")
    code, sentence = refusal(workspace)
    assert code == 2
    assert "max_experiments" in sentence


def test_a_changed_prepare_py_after_the_session_began(workspace: Path) -> None:
    stub.run(workspace, *QUICK)
    with (workspace / "prepare.py").open("a") as file:
        file.write("# easier\n")
    commit_all(workspace)
    code, sentence = refusal(workspace, "--no-ui", "--max-experiments", "9")
    assert code == 2
    assert "prepare.py has changed since the session began" in sentence
    assert len(state_of(workspace).experiments) == 7


def test_a_damaged_database(workspace: Path) -> None:
    stub.run(workspace, *QUICK)
    file_of(workspace).write_bytes(b"rubbish" * 5000)
    for arguments in (QUICK, ("status",), ("export", "--format", "tsv")):
        code, sentence = refusal(workspace, *arguments)
        assert code == 2
        assert "damaged" in sentence


def test_a_baseline_that_cannot_run_ends_with_3_and_says_why(tmp_path: Path) -> None:
    workspace = stub.make_stub(tmp_path / "work", train="import nonexistent_module\n" + stub.TRAIN)
    done = stub.run(workspace, *QUICK)
    assert done.returncode == 3
    assert "No module named 'nonexistent_module'" in done.stdout


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ('print("\\n---")', "sys.exit(0)", "printed no result"),
        ("{evaluate_bpb(DEPTH, TOTAL_BATCH_SIZE, MATRIX_LR, seed):.6f}", "nan", "nan"),
        ('print("\\n---")', "os.kill(os.getpid(), 11)", "signal 11"),
    ],
    ids=["no result", "nan", "segfault"],
)
def test_experiments_that_fail_are_crashed_with_a_reason_and_the_campaign_goes_on(
    tmp_path: Path, old: str, new: str, reason: str
) -> None:
    assert old in stub.TRAIN
    line = next(text for text in stub.TRAIN.splitlines() if old in text)
    broken = f"if DEPTH != 4:\n    {line.replace(old, new)}\nelse:\n    {line}"
    workspace = stub.make_stub(
        tmp_path / "work", train=stub.TRAIN.replace(line, broken), settings='factors = ["DEPTH"]\n'
    )
    done = stub.run(workspace, "--no-ui", "--max-experiments", "2")
    assert done.returncode == 0, done.stdout
    state = state_of(workspace)
    assert [experiment.status for experiment in state.experiments.values()] == ["kept", "crashed", "crashed"]
    assert reason in state.experiments["e1"].reason  # type: ignore[index]


def test_a_wrong_flag_value_is_a_usage_error(workspace: Path) -> None:
    assert stub.run(workspace, "--no-ui", "--max-experiments", "0").returncode == 2
    assert stub.run(workspace, "--no-ui", "--executor", "moon").returncode == 2
    assert stub.run(workspace, "--no-such-flag").returncode == 2
    assert stub.run(workspace, "play", "nothing.jsonl", "--no-ui").returncode == 2


def test_a_session_that_is_removed_under_a_running_engine_ends_it_with_a_sentence(workspace: Path) -> None:
    with engine(workspace) as process:
        file_of(workspace).unlink()
        out, _ = process.communicate(timeout=20)
    assert process.returncode == 2
    assert "was removed or replaced while the engine ran" in out


@pytest.mark.parametrize("value", ["1e308", "nan", "-1", "0"])
def test_an_absurd_result_is_a_crash_and_the_session_stays_readable(tmp_path: Path, value: str) -> None:
    line = next(text for text in stub.TRAIN.splitlines() if "evaluate_bpb(DEPTH" in text)
    workspace = stub.make_stub(tmp_path / "work", train=stub.TRAIN.replace(line, f'print("val_bpb: {value}")'))
    assert stub.run(workspace, *QUICK).returncode == 3
    for command in (("status",), ("chart",), ("export", "--format", "tsv")):
        assert stub.run(workspace, *command).returncode == 0


def test_export_writes_through_links_and_devices_and_leaves_nothing_behind(workspace: Path, tmp_path: Path) -> None:
    stub.run(workspace, *QUICK)
    target, link, pipe = tmp_path / "target.tsv", tmp_path / "link.tsv", tmp_path / "pipe"
    target.write_text("old")
    link.symlink_to(target)
    assert stub.run(workspace, "export", "--format", "tsv", "-o", str(link)).returncode == 0
    assert link.is_symlink()
    assert target.read_text().startswith("commit\t")
    pipe.symlink_to("/dev/null")
    assert stub.run(workspace, "export", "--format", "tsv", "-o", str(pipe)).returncode == 0
    assert Path("/dev/null").is_char_device()
    (tmp_path / "folder").mkdir()
    for odd in (str(tmp_path / "folder"), "", "/nonexistent/x"):
        assert refusal(workspace, "export", "--format", "tsv", "-o", odd)[0] == 2
    assert not list(tmp_path.glob(".*.new"))


def test_an_argument_that_is_no_utf8_is_taken_with_a_mark(workspace: Path) -> None:
    stub.run(workspace, *QUICK)
    assert stub.run(workspace, "note", "a\udcff").returncode == 0
