"""Opening a workspace, its files and branches, and making one."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from checkout import BETTER, PREPARE, TRAIN, commit_all, git, make, refusal

from core.errors import WorkspaceError
from core.workspace import FILE_LIMIT, Workspace

# --- opening ----------------------------------------------------------------------------------------------------------


def test_an_unmodified_checkout_opens_without_init(root: Path) -> None:
    workspace = Workspace.open(root)
    assert workspace.train_source() == TRAIN
    assert workspace.program() == "Lower val_bpb.\n"
    assert workspace.head() == git(root, "rev-parse", "--short=7", "HEAD")
    assert workspace.prepare_digest() == hashlib.sha256(PREPARE.encode()).hexdigest()


def test_program_is_optional_and_read_as_it_stands_now(root: Path) -> None:
    workspace = Workspace.open(root)
    (root / "program.md").write_bytes(b"Be bold \xff.\n")
    assert workspace.program() == "Be bold \ufffd.\n"
    (root / "program.md").unlink()
    assert Workspace.open(root).program() == ""


def test_a_missing_folder_is_said(tmp_path: Path) -> None:
    assert refusal(tmp_path / "nowhere").startswith(f"There is no folder {tmp_path / 'nowhere'}; run this in")


def test_missing_git_is_said(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert refusal(root).startswith("git is not installed, or not on PATH; install it")


def test_a_folder_without_repository_or_commits_is_said(tmp_path: Path) -> None:
    assert "is not in a git repository; run `git init`" in refusal(tmp_path)
    assert "or `autoresearch-tui init`" in refusal(tmp_path)
    git(tmp_path, "init", "-q")
    assert "has no commits yet; run `git add train.py prepare.py`" in refusal(tmp_path)
    assert "is the inside of a repository" in refusal(tmp_path / ".git")


def test_a_repository_of_another_user_is_said(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    assert refusal(root).endswith(f"run `git config --global --add safe.directory '{root}'`.")


@pytest.mark.parametrize("name", ["train.py", "prepare.py"])
def test_a_file_that_is_missing_untracked_changed_or_a_link_is_said(root: Path, name: str) -> None:
    (root / name).write_text("x = 1\n")
    assert refusal(root) == f"{name} has uncommitted changes; commit them, or put them away with `git stash`."
    git(root, "add", name)
    git(root, "checkout", "-q", "HEAD", "--", name)
    (root / name).write_text("x = 1\n")
    git(root, "add", name)
    (root / name).write_text(TRAIN if name == "train.py" else PREPARE)
    assert "has uncommitted changes" in refusal(root)  # staged alone
    git(root, "reset", "-q", "--hard")
    (root / name).rename(root / "other.py")
    assert refusal(root) == f"There is no {name} in {root}; bring it back with `git checkout {name}`."
    (root / name).symlink_to("other.py")
    assert f"{name} is empty, a link or a folder" in refusal(root)
    commit_all(root)
    assert f"{name} is empty, a link or a folder" in refusal(root)
    git(root, "rm", "-q", "--cached", name)
    git(root, "commit", "-q", "-m", "away")
    assert f"{name} is not tracked by git yet; run `git add {name}`" in refusal(root)
    (root / name).unlink()
    assert refusal(root) == f"There is no {name} in {root}; `autoresearch-tui init` makes one."


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        (b"x = 1\ny = (\n", "train.py line 2 is not valid Python: '(' was never closed. Correct it and commit."),
        (b"x = '\\d'\0", "is not valid Python"),
        (b"x = '\xff'\n", "train.py is not UTF-8 at byte 5; save it as UTF-8 and commit."),
    ],
)
def test_a_train_py_that_does_not_parse_is_said(root: Path, source: bytes, sentence: str) -> None:
    (root / "train.py").write_bytes(source)
    commit_all(root)
    assert sentence in refusal(root)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_is_not_writable_is_said(root: Path) -> None:
    root.chmod(0o500)
    try:
        assert refusal(root).startswith(f"You may not write to {root}; change its permissions")
    finally:
        root.chmod(0o700)


def test_other_uncommitted_changes_are_the_users_business(root: Path) -> None:
    (root / "notes.txt").write_text("mine")
    (root / "program.md").write_text("changed")
    assert Workspace.open(root).train_source() == TRAIN


def test_a_variable_that_points_git_elsewhere_is_ignored(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = make(tmp_path / "other")
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other / "no-index"))
    assert Workspace.open(root).start_branch("2026-11-23")
    monkeypatch.undo()
    assert git(other, "branch", "--list", "autoresearch/*") == ""


def test_a_changed_prepare_is_noticed_but_crlf_is_not_a_change(root: Path) -> None:
    workspace = Workspace.open(root)
    digest = workspace.prepare_digest()
    workspace.check_prepare(digest)
    (root / "prepare.py").write_bytes(PREPARE.replace("\n", "\r\n").encode())
    workspace.check_prepare(digest)
    for change in (lambda: (root / "prepare.py").write_text("TIME_BUDGET = 1\n"), (root / "prepare.py").unlink):
        change()
        with pytest.raises(
            WorkspaceError, match=r"changed since the session began.*`git checkout prepare.py`, or start"
        ):
            workspace.check_prepare(digest)


# --- the state folder, base files, branches ---------------------------------------------------------------------------


def test_the_state_folder_is_private_and_git_does_not_see_it(root: Path) -> None:
    workspace = Workspace.open(root)
    assert workspace.ensure_state() == workspace.ensure_state() == root / ".autoresearch"
    assert workspace.state.stat().st_mode & 0o777 == 0o700
    assert (workspace.state / "runs").is_dir()
    assert git(root, "status", "--porcelain", "--untracked-files=all") == ""


def test_a_state_folder_that_cannot_be_made_is_said(root: Path) -> None:
    (root / ".autoresearch").write_text("in the way")
    with pytest.raises(WorkspaceError, match="Remove what is in the way"):
        Workspace.open(root).ensure_state()


def test_base_files_are_the_small_regular_tracked_files_of_head(root: Path, tmp_path: Path) -> None:
    (root / "lib").mkdir()
    (root / "lib" / "für mich.sh").write_text("echo")
    (root / "lib" / "für mich.sh").chmod(0o755)
    (root / "link.py").symlink_to("train.py")
    (root / "big.bin").write_bytes(b"\0" * (FILE_LIMIT + 1))
    commit_all(root)
    (root / "program.md").write_text("not committed")
    (root / "untracked.py").write_text("")
    folder = Workspace.open(root).base_files(tmp_path / "base")
    names = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert names == {"train.py", "prepare.py", "program.md", ".gitignore", "lib/für mich.sh"}
    assert (folder / "program.md").read_text() == "Lower val_bpb.\n"
    assert (folder / "lib" / "für mich.sh").stat().st_mode & 0o111


def test_base_files_are_written_once_per_commit(root: Path, tmp_path: Path) -> None:
    workspace = Workspace.open(root)
    first = workspace.base_files(tmp_path / "base")
    (first / "mark").touch()
    assert workspace.base_files(tmp_path / "base") == first
    assert (first / "mark").exists()
    (root / "train.py").write_text(BETTER)
    commit_all(root)
    second = workspace.base_files(tmp_path / "base")
    assert (second / "train.py").read_text() == BETTER
    assert {path.name for path in (tmp_path / "base").iterdir()} == {first.name, second.name}


def test_too_many_base_files_are_said(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.workspace.TOTAL_LIMIT", 10)
    with pytest.raises(WorkspaceError, match="every run gets a copy; move data into an ignored folder"):
        Workspace.open(root).base_files(tmp_path / "base")


def test_branches_are_made_at_head_without_checking_out(root: Path) -> None:
    workspace = Workspace.open(root)
    names = [workspace.start_branch("2026-11-23") for _ in range(3)]
    assert names == ["autoresearch/2026-11-23", "autoresearch/2026-11-23-2", "autoresearch/2026-11-23-3"]
    assert git(root, "branch", "--show-current") == "main"
    assert {git(root, "rev-parse", name) for name in names} == {git(root, "rev-parse", "HEAD")}


def test_a_branch_in_the_way_is_said(root: Path) -> None:
    git(root, "branch", "autoresearch")
    with pytest.raises(WorkspaceError, match="rename that with `git branch -m autoresearch old`"):
        Workspace.open(root).start_branch("2026-11-23")


# --- init -------------------------------------------------------------------------------------------------------------

TEMPLATE = {"train.py": TRAIN.encode(), "prepare.py": PREPARE.encode(), ".gitignore": b"run.log\n"}


def test_init_makes_a_workspace_out_of_nothing_and_then_has_nothing_to_do(tmp_path: Path) -> None:
    root = tmp_path / "new" / "demo"
    said = Workspace.init(root, TEMPLATE, "# slots = 1\n")
    workspace = Workspace.open(root)
    assert said == [
        f"Made the folder {root}.",
        "Made a git repository.",
        "Wrote train.py, prepare.py, .gitignore, autoresearch.toml.",
        f"Committed train.py, prepare.py, .gitignore, autoresearch.toml as {workspace.head()}.",
    ]
    assert git(root, "status", "--porcelain") == ""
    assert git(root, "branch", "--show-current") == "main"
    assert Workspace.init(root, TEMPLATE, "") == [
        "Left as found: train.py, prepare.py, .gitignore, autoresearch.toml.",
    ]


def test_init_overwrites_nothing_and_commits_only_what_it_wrote(root: Path) -> None:
    (root / "program.md").write_text("changed")
    (root / "notes.txt").write_text("staged")
    git(root, "add", "notes.txt")
    said = Workspace.init(root, TEMPLATE | {"program.md": b"template"}, "seed = 1\n")
    assert said[0] == "Wrote autoresearch.toml."
    assert said[1] == "Left as found: train.py, prepare.py, .gitignore, program.md."
    assert git(root, "show", "--name-only", "--format=", "HEAD") == "autoresearch.toml"
    assert git(root, "status", "--porcelain").split("\n") == ["A  notes.txt", " M program.md"]
    assert (root / "program.md").read_text() == "changed"


def test_an_init_that_was_killed_before_its_commit_is_completed(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    for name, content in TEMPLATE.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "mine.txt").write_text("")
    Workspace.init(tmp_path, TEMPLATE, "")
    assert Workspace.open(tmp_path).train_source() == TRAIN
    assert git(tmp_path, "status", "--porcelain") == "?? mine.txt"


def test_init_in_a_folder_of_a_bigger_repository_uses_that_unless_it_ignores_the_folder(root: Path) -> None:
    Workspace.init(root / "inside", TEMPLATE, "")
    assert not (root / "inside" / ".git").exists()
    assert git(root, "status", "--porcelain") == ""
    (root / ".gitignore").write_text("scratch/\n")
    Workspace.init(root / "scratch", TEMPLATE, "")
    assert (root / "scratch" / ".git").is_dir()
    assert Workspace.open(root / "scratch").prefix == ""


def test_init_where_one_may_not_write_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WorkspaceError, match=r"cannot be made a workspace: .* Choose a folder"):
        Workspace.init(tmp_path / "file" / "below", TEMPLATE, "")
