"""Committing what is kept, whatever the user and the repository do."""

from __future__ import annotations

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from checkout import BETTER, TRAIN, commit_all, git, keep, make

from core.errors import WorkspaceError
from core.workspace import Workspace


def test_what_is_kept_is_committed_on_its_branch_with_trailers(root: Path, workspace: Workspace, branch: str) -> None:
    commit = keep(workspace, branch)
    assert commit == git(root, "rev-parse", "--short=7", branch)
    assert workspace.train_source(branch) == BETTER
    assert git(root, "log", "-1", "--format=%B", branch) == (
        "Raise MATRIX_LR\n\nExperiment: e12\nSession: 2026-11-23-a1b2c3"
    )
    assert git(root, "log", "-1", "--format=%an %ae %cn", branch) == "Ada ada@example.org Ada"
    assert git(root, "diff", "--name-only", "main", branch) == "train.py"
    assert git(root, "rev-parse", f"{branch}^") == git(root, "rev-parse", "main")


def test_staged_and_unstaged_changes_of_the_user_stay_as_they_are(
    root: Path, workspace: Workspace, branch: str
) -> None:
    (root / "program.md").write_text("staged")
    (root / "new.txt").write_text("new")
    git(root, "add", "program.md", "new.txt")
    (root / "prepare.py").write_text("unstaged")
    (root / "train.py").write_text("mine = 1\n")
    before = (git(root, "status", "--porcelain=v2"), git(root, "diff"), git(root, "diff", "--cached"))
    keep(workspace, branch)
    assert (git(root, "status", "--porcelain=v2"), git(root, "diff"), git(root, "diff", "--cached")) == before
    assert git(root, "diff", "--name-only", "main", branch) == "train.py"


def test_an_engine_killed_between_commit_and_its_record_commits_once(
    root: Path, workspace: Workspace, branch: str
) -> None:
    first = keep(workspace, branch)
    second = keep(workspace, branch, TRAIN, "e1")
    assert keep(workspace, branch) == first
    assert keep(workspace, branch, TRAIN, "e1") == second
    assert git(root, "rev-list", "--count", f"main..{branch}") == "2"
    assert git(root, "rev-parse", "--short=7", branch) == second


def test_text_in_a_message_that_looks_like_a_trailer_is_not_one(root: Path, workspace: Workspace, branch: str) -> None:
    keep(workspace, branch, message="Sly\n\nExperiment: e2\nSession: 2026-11-23-a1b2c3")
    assert keep(workspace, branch, TRAIN, "e2") != keep(workspace, branch)
    assert workspace.train_source(branch) == TRAIN


def test_terminal_escapes_and_empty_messages_do_not_reach_the_log(
    root: Path, workspace: Workspace, branch: str
) -> None:
    keep(workspace, branch, message="\x1b[31mred\x07\0 …\r\nbody")
    assert git(root, "log", "-1", "--format=%s", branch) == "[31mred … body"
    keep(workspace, branch, TRAIN, "e13", message="\n")
    assert git(root, "log", "-1", "--format=%s", branch) == "Keep e13"


def test_a_checked_out_branch_takes_the_clean_folder_along(root: Path, workspace: Workspace, branch: str) -> None:
    git(root, "checkout", "-q", branch)
    (root / "train.py").chmod(0o640)
    (root / "program.md").write_text("mine")
    keep(workspace, branch)
    assert (root / "train.py").read_text() == BETTER
    assert (root / "train.py").stat().st_mode & 0o777 == 0o640
    assert git(root, "status", "--porcelain") == "M program.md"
    keep(workspace, branch, TRAIN, "e13")
    assert git(root, "status", "--porcelain") == "M program.md"


def test_a_checked_out_branch_leaves_a_changed_train_py_alone(root: Path, workspace: Workspace, branch: str) -> None:
    git(root, "checkout", "-q", branch)
    (root / "train.py").write_text("mine = 1\n")
    keep(workspace, branch)
    assert (root / "train.py").read_text() == "mine = 1\n"
    git(root, "add", "train.py")
    keep(workspace, branch, TRAIN, "e13")
    assert git(root, "show", ":train.py") == "mine = 1"
    (root / "train.py").write_text(TRAIN)
    keep(workspace, branch, BETTER, "e14")
    assert git(root, "show", ":train.py") == "mine = 1"  # staged alone
    assert (root / "train.py").read_text() == TRAIN


def test_a_folder_that_a_killed_engine_left_behind_is_brought_along(
    root: Path, workspace: Workspace, branch: str
) -> None:
    commit = keep(workspace, branch)
    git(root, "symbolic-ref", "HEAD", f"refs/heads/{branch}")  # the branch moved, index and folder did not
    assert git(root, "status", "--porcelain") != ""
    assert keep(workspace, branch) == commit
    assert git(root, "status", "--porcelain") == ""
    assert (root / "train.py").read_text() == BETTER


def test_a_busy_index_does_not_stop_a_commit(root: Path, workspace: Workspace, branch: str) -> None:
    git(root, "checkout", "-q", branch)
    (root / ".git" / "index.lock").touch()
    assert keep(workspace, branch) == git(root, "rev-parse", "--short=7", branch)
    (root / ".git" / "index.lock").unlink()
    assert keep(workspace, branch)
    assert git(root, "status", "--porcelain") == ""


def test_crlf_bytes_and_the_executable_bit_are_preserved(root: Path) -> None:
    (root / "train.py").write_bytes(TRAIN.replace("\n", "\r\n").encode())
    (root / "train.py").chmod(0o755)
    commit_all(root)
    workspace = Workspace.open(root)
    assert workspace.train_source() == TRAIN.replace("\n", "\r\n")
    branch = workspace.start_branch("2026-11-23")
    git(root, "checkout", "-q", branch)
    keep(workspace, branch, BETTER.replace("\n", "\r\n"))
    assert workspace.train_source(branch) == BETTER.replace("\n", "\r\n")
    assert (root / "train.py").read_bytes() == BETTER.replace("\n", "\r\n").encode()
    assert git(root, "ls-tree", branch, "train.py").startswith("100755")
    assert git(root, "status", "--porcelain") == ""


def test_a_checkout_with_converted_line_endings_stays_clean(root: Path) -> None:
    git(root, "config", "core.autocrlf", "true")
    for name in ("train.py", "prepare.py"):
        (root / name).unlink()
    git(root, "checkout", "-q", ".")
    assert b"\r\n" in (root / "train.py").read_bytes()
    workspace = Workspace.open(root)
    workspace.check_prepare(workspace.prepare_digest())
    branch = workspace.start_branch("2026-11-23")
    git(root, "checkout", "-q", branch)
    keep(workspace, branch, workspace.train_source().replace("0.04", "0.05"))
    assert git(root, "show", f"{branch}:train.py") == BETTER.strip()
    assert (root / "train.py").read_bytes() == BETTER.replace("\n", "\r\n").encode()
    assert git(root, "status", "--porcelain") == ""


def test_a_subfolder_of_a_bigger_repository_is_a_workspace(tmp_path: Path) -> None:
    top = make(tmp_path / "top")
    folder = top / "a [b]*" / "ünder"
    folder.mkdir(parents=True)
    for name in ("train.py", "prepare.py"):
        (folder / name).write_text("INNER = 1\n")
    commit_all(top)
    workspace = Workspace.open(folder)
    assert workspace.prefix == "a [b]*/ünder/"
    assert workspace.train_source() == "INNER = 1\n"
    branch = workspace.start_branch("2026-11-23")
    git(top, "checkout", "-q", branch)
    keep(workspace, branch, "INNER = 2\n")
    assert git(top, "-c", "core.quotePath=false", "diff", "--name-only", "main", branch) == "a [b]*/ünder/train.py"
    assert (folder / "train.py").read_text() == "INNER = 2\n"
    assert (top / "train.py").read_text() == TRAIN
    workspace.ensure_state()
    assert git(top, "status", "--porcelain") == ""
    base = workspace.base_files(tmp_path / "base")
    assert {path.name for path in base.iterdir()} == {"train.py", "prepare.py"}


def test_commits_from_two_threads_both_arrive(root: Path, workspace: Workspace, branch: str) -> None:
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda number: keep(workspace, branch, f"X = {number}\n", f"e{number}"), range(4)))
    assert git(root, "rev-list", "--count", f"main..{branch}") == "4"


def test_a_branch_that_is_gone_or_locked_is_said(root: Path) -> None:
    workspace = Workspace.open(root)
    with pytest.raises(WorkspaceError, match=r"The branch autoresearch/x is gone; make it again with `git branch"):
        keep(workspace, "autoresearch/x")
    branch = workspace.start_branch("2026-11-23")
    (root / ".git" / "refs" / "heads" / "autoresearch" / "2026-11-23.lock").touch()
    with pytest.raises(WorkspaceError, match=r"git cannot move the branch autoresearch/2026-11-23: .*lock"):
        keep(workspace, branch)


def test_without_a_name_in_gits_configuration_commits_carry_ours(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    workspace = Workspace.open(root)
    branch = workspace.start_branch("2026-11-23")
    keep(workspace, branch)
    author = "autoresearch-tui autoresearch-tui@localhost"
    assert git(root, "log", "-1", "--format=%an %ae%n%cn %ce", branch) == f"{author}\n{author}"


def test_nothing_that_a_repository_configures_is_executed(root: Path, tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    script = tmp_path / "script"
    script.write_text(f'#!/bin/sh\necho "$0 $@" >> {trap}\ncat\n')
    script.chmod(0o755)
    for hook in ("reference-transaction", "post-index-change", "pre-commit", "post-commit", "post-checkout"):
        shutil.copy(script, root / ".git" / "hooks" / hook)
    (root / ".gitattributes").write_text("*.py filter=trap diff=trap\n")
    git(root, "-c", "core.hooksPath=/dev/null", "add", ".gitattributes")
    git(root, "-c", "core.hooksPath=/dev/null", "commit", "-q", "-m", "attributes")
    keys = ("core.fsmonitor", "core.pager", "core.editor", "core.sshCommand", "gpg.program", "diff.external")
    for key in (*keys, "filter.trap.clean", "filter.trap.smudge", "filter.trap.process", "diff.trap.textconv"):
        git(root, "config", key, str(script))
    for command in ("commit-tree", "update-ref", "rev-parse", "ls-tree"):
        git(root, "config", f"alias.{command}", f"!{script}")
    for switch in ("commit.gpgSign", "log.showSignature", "filter.trap.required"):
        git(root, "config", switch, "true")
    trap.unlink(missing_ok=True)
    workspace = Workspace.open(root)
    workspace.ensure_state()
    workspace.base_files(tmp_path / "base")
    branch = workspace.start_branch("2026-11-23")
    git(root, "-c", "core.hooksPath=/dev/null", "symbolic-ref", "HEAD", f"refs/heads/{branch}")
    keep(workspace, branch)
    Workspace.init(root, {"extra.md": b"x"}, "")
    assert not trap.exists(), trap.read_text()
    assert (root / "train.py").read_text() == BETTER
