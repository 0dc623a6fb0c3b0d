"""The user's git repository: what research starts from, and the branch that keeps what is kept.

Reads committed bytes, never filtered ones, and commits by plumbing: the user's index, HEAD and files stay as they are.
Git runs without hooks, pagers, prompts, monitors or network, whatever the repository's configuration asks for.
Everything here blocks; the engine calls it from a thread. Knows nothing of experiments but the id in a trailer line.
"""

from __future__ import annotations

import ast
import hashlib
import itertools
import os
import re
import subprocess
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from core.errors import WorkspaceError
from core.ids import ExperimentId, SessionId

TRAIN, PREPARE, PROGRAM, SETTINGS = "train.py", "prepare.py", "program.md", "autoresearch.toml"
FILE_LIMIT = 5_000_000  # bytes; larger tracked files are not copied into run folders
TOTAL_LIMIT = 100_000_000  # bytes

_PATIENCE_S = 120.0  # no command here takes a second; a file system that hangs should say so
_ATTEMPTS = 5  # to move a branch that somebody else moves too
_HISTORY = 1000  # commits of a branch that are searched for an experiment
_CONFIG = (
    *("core.hooksPath=/dev/null", "core.fsmonitor=false", "core.quotePath=false", "commit.gpgSign=false"),
    *("log.showSignature=false", "i18n.commitEncoding=UTF-8", "init.defaultBranch=main"),
)
_COMMAND = ("git", "--no-pager", *(word for setting in _CONFIG for word in ("-c", setting)))
_KEPT = re.compile(r"(?!GIT_)|GIT_(CONFIG|AUTHOR|COMMITTER|EXEC|CEILING|TEST)")  # not GIT_DIR, GIT_INDEX_FILE, …
_QUIET = {
    "LC_ALL": "C",  # what git says is recognised below
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_LITERAL_PATHSPECS": "1",  # a folder may be called [a]*
    "GIT_ALLOW_PROTOCOL": "none",  # a partial clone would fetch what it lacks
}
_NOBODY = ("-c", "user.name=autoresearch-tui", "-c", "user.email=autoresearch-tui@localhost")  # if git knows no name
_Answer = subprocess.CompletedProcess[bytes]


@dataclass(frozen=True, slots=True)
class Workspace:
    """A folder whose train.py can be researched. `open` checks that it can; `init` makes one."""

    root: Path
    prefix: str = ""  # of root inside its repository: "" or "sub/folder/"

    @property
    def state(self) -> Path:
        """Where sessions, run folders and logs live; git does not see it."""
        return self.root / ".autoresearch"

    @classmethod
    def open(cls, path: Path) -> Workspace:
        """The workspace at `path`, ready to be researched in. Raises WorkspaceError: one sentence, with what to do."""
        root = path.expanduser().resolve()
        _require(root.is_dir(), f"There is no folder {root}; run this in the folder that holds your {TRAIN}.")
        workspace = cls(root, _prefix(root))
        commit_first = f"run `git add {TRAIN} {PREPARE}` and `git commit` there first"
        _require(workspace._object("HEAD^{commit}"), f"The repository of {root} has no commits yet; {commit_first}.")
        workspace._check_file(TRAIN)
        workspace._check_file(PREPARE)
        _check_python(workspace.train_source())
        _require(
            os.access(root, os.W_OK), f"You may not write to {root}; change its permissions, or look with --read-only."
        )
        return workspace

    @classmethod
    def init(cls, path: Path, template_files: Mapping[str, bytes], settings_text: str) -> list[str]:
        """Makes `path` a workspace: folder, repository and files where they are missing; commits what it wrote.

        Overwrites nothing and commits nothing else. Returns sentences about what it did. Raises WorkspaceError.
        """
        root = path.expanduser().resolve()
        files = {**template_files, SETTINGS: settings_text.encode()}
        with _explained(f"{root} cannot be made a workspace", "Choose a folder that you may write to."):
            said = _make_repository(root)
            workspace = cls(root, _prefix(root))
            left = [name for name in files if os.path.lexists(root / name)]
            for name in (wrote := [name for name in files if name not in left]):
                _write(root / name, files[name], 0o644)
            said += [f"Wrote {', '.join(wrote)}."] if wrote else []
            said += [f"Left as found: {', '.join(left)}."] if left else []
            return said + workspace._commit_new(files)

    def head(self, commit: str = "HEAD") -> str:
        """The short hash of `commit`, by default of what is checked out."""
        return self._text("rev-parse", "--short=7", commit)

    def train_source(self, commit: str = "HEAD") -> str:
        """train.py of `commit`, line endings as committed. Raises WorkspaceError if it is not UTF-8."""
        try:
            return self._blob(commit, TRAIN).decode()
        except UnicodeDecodeError as error:
            raise WorkspaceError(f"{TRAIN} is not UTF-8 at byte {error.start}; save it as UTF-8 and commit.") from error

    def program(self) -> str:
        """program.md as it stands in the folder now, committed or not; "" if there is none."""
        with _explained(f"{PROGRAM} cannot be read", "Make it a readable file."), suppress(FileNotFoundError):
            return (self.root / PROGRAM).read_bytes().decode("utf-8-sig", "replace")
        return ""

    def prepare_digest(self, commit: str = "HEAD") -> str:
        """sha256 in hexadecimal of prepare.py as committed, which is what runs get."""
        return hashlib.sha256(self._blob(commit, PREPARE)).hexdigest()

    def check_prepare(self, digest: str) -> None:
        """Raises WorkspaceError unless prepare.py in the folder still has `digest`, line endings apart."""
        content = _content(self.root / PREPARE) or b""
        is_same = digest in {hashlib.sha256(text).hexdigest() for text in (content, _lf(content))}
        why = f"{PREPARE} has changed since the session began, so results would not compare"
        _require(is_same, f"{why}; restore it with `git checkout {PREPARE}`, or start a new session.")

    def base_files(self, destination: Path, commit: str = "HEAD") -> Path:
        """Writes the tracked files of `commit` to destination/<full hash> and returns that folder; once per commit.

        Regular files of the workspace up to FILE_LIMIT; symbolic links, submodules and larger files are left out.
        Raises WorkspaceError if they exceed TOTAL_LIMIT together, or cannot be written.
        """
        folder = destination / self._text("rev-parse", "--verify", f"{commit}^{{commit}}")
        with _explained(f"The files of the workspace cannot be copied to {destination}", "Is the disk full?"):
            destination.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=destination, prefix=".new-") as scratch:
                for name, mode, content in () if folder.is_dir() else self._files(folder.name):
                    _write(Path(scratch, "base", name), content, 0o755 if mode == "100755" else 0o644)
                if not folder.is_dir():  # all or nothing; also false where another engine was faster
                    Path(scratch, "base").rename(folder)
        return folder

    def ensure_state(self) -> Path:
        """Makes the folder `.autoresearch/`, for its owner alone and invisible to git; returns it."""
        with _explained(f"{self.state} cannot be made", "Remove what is in the way."):
            self.state.mkdir(mode=0o700, exist_ok=True)
            (self.state / "runs").mkdir(exist_ok=True)
            (self.state / ".gitignore").write_text("*\n")
        return self.state

    def start_branch(self, date: str, *, prefix: str = "autoresearch") -> str:
        """A new branch at HEAD, not checked out: <prefix>/<date>, or with -2, -3, … if that exists. Its name."""
        names = (f"{prefix}/{date}" + (f"-{number}" if number > 1 else "") for number in itertools.count(1))
        name = next(name for name in names if not self._object(f"refs/heads/{name}"))
        head = self._text("rev-parse", "HEAD")
        answer = _run(self.root, "update-ref", f"refs/heads/{name}", head, "")  # "": it must not exist
        remedy = f"If a branch called {prefix} is in its way, rename that with `git branch -m {prefix} old`."
        _require(answer.returncode == 0, f"git cannot make the branch {name}: {_said(answer)}. {remedy}")
        return name

    def commit_kept(
        self, branch: str, source: str, message: str, *, experiment: ExperimentId, session: SessionId
    ) -> str:
        """Commits train.py = `source` on top of `branch` and returns the short hash.

        Done once: a branch that has a commit of this experiment and session gives that one back. If the branch is
        checked out and train.py is unmodified, the folder follows. Raises WorkspaceError.
        """
        ref = f"refs/heads/{branch}"
        trailers = f"Experiment: {experiment}\nSession: {session}"
        body = f"{_plain(message) or f'Keep {experiment}'}\n\n{trailers}\n"
        for _ in range(_ATTEMPTS):
            tip = self._object(f"{ref}^{{commit}}") or ""
            _require(tip, f"The branch {branch} is gone; make it again with `git branch {branch} <commit>`.")
            commit = self._find(tip, trailers)
            if commit is None:
                mode = (self._entry(tip, TRAIN) or "100644").split()[0]
                commit = self._commit(tip, {TRAIN: (mode, source.encode())}, body)
                answer = _run(self.root, "update-ref", "-m", f"autoresearch: keep {experiment}", ref, commit, tip)
                if answer.returncode != 0:
                    continue
            self._follow(ref, commit)
            return self.head(commit)
        raise WorkspaceError(f"git cannot move the branch {branch}: {_said(answer)}. Is another git at work there?")

    def _commit_new(self, contents: Mapping[str, bytes]) -> list[str]:
        """Commits what `init` writes and HEAD lacks, be it from an `init` that was killed. What it did."""
        parent = self._object("HEAD^{commit}")
        files = {
            name: ("100644", content)
            for name, content in contents.items()
            if _content(self.root / name) == content and not (parent and self._entry(parent, name))
        }
        if not files:
            return []
        commit = self._commit(parent, files, "Make a workspace for autoresearch-tui\n")
        self._bytes("update-ref", "-m", "autoresearch: init", "HEAD", commit, parent or "")
        self._stage({name: self._entry(commit, name) or "" for name in files})
        return [f"Committed {', '.join(files)} as {self.head(commit)}."]

    def _follow(self, ref: str, commit: str) -> None:
        """Brings index and train.py to `commit` if `ref` is checked out and the user has changed neither.

        Completes what a killed process began. If it cannot, what is kept is safe and `git status` shows the difference.
        """
        old, new, path = self._entry(f"{commit}^", TRAIN), self._entry(commit, TRAIN), self.root / TRAIN
        is_checked_out = _run(self.root, "symbolic-ref", "-q", "HEAD").stdout.decode().strip() == ref
        if not (old and new and is_checked_out and self._object(ref) == commit and self._staged(TRAIN) in (old, new)):
            return
        before, after = self._blob(f"{commit}^", TRAIN), self._blob(commit, TRAIN)
        with suppress(OSError, WorkspaceError):
            content = _content(path)
            if content is not None and (_same(content, before) or _same(content, after)):
                self._stage({TRAIN: new})
                is_crlf = b"\r\n" in content and b"\r\n" not in before  # as git checked it out
                _replace(path, _lf(after).replace(b"\n", b"\r\n") if is_crlf else after)

    def _bytes(self, *arguments: str, stdin: bytes = b"", index: str = "") -> bytes:
        answer = _run(self.root, *arguments, stdin=stdin, index=index)
        _require(answer.returncode == 0, f"git failed in {self.root}: {_said(answer)}. Run `git status` there.")
        return answer.stdout

    def _text(self, *arguments: str, stdin: bytes = b"", index: str = "") -> str:
        return os.fsdecode(self._bytes(*arguments, stdin=stdin, index=index)).rstrip("\n")

    def _object(self, name: str) -> str | None:
        answer = _run(self.root, "rev-parse", "--verify", "--quiet", "--end-of-options", name)
        return answer.stdout.decode().strip() or None

    def _blob(self, commit: str, name: str) -> bytes:
        return self._bytes("cat-file", "blob", f"{commit}:{self.prefix}{name}")

    def _entry(self, commit: str, name: str) -> str | None:
        """Mode and object of `name` in `commit`, "100644 1f3a…"; None if it is not there."""
        row = self._text("ls-tree", "-z", "--full-tree", commit, "--", self.prefix + name).split()
        return f"{row[0]} {row[2]}" if row else None

    def _staged(self, name: str) -> str | None:
        """Mode and object of `name` in the index; None if it is not there, or is being merged."""
        row = self._text("ls-files", "-z", "--stage", "--", name).split()
        return f"{row[0]} {row[1]}" if row and row[2] == "0" else None

    def _stage(self, entries: Mapping[str, str], index: str = "") -> None:
        rows = "".join(f"{entry}\t{self.prefix}{name}\0" for name, entry in entries.items())
        pattern = r"^filter\..*\.(clean|process|required)$"  # git looks at files of the same second through filters
        keys = _run(self.root, "config", "-z", "--name-only", "--get-regexp", pattern).stdout.split(b"\0")
        unfiltered = [word for key in keys if key for word in ("-c", os.fsdecode(key) + "=")]
        self._bytes(*unfiltered, "update-index", "-z", "--index-info", stdin=os.fsencode(rows), index=index)

    def _check_file(self, name: str) -> None:
        path, committed = self.root / name, self._entry("HEAD", name)
        remedy = f"bring it back with `git checkout {name}`" if committed else "`autoresearch-tui init` makes one"
        _require(os.path.lexists(path), f"There is no {name} in {self.root}; {remedy}.")
        _require(committed, f"{name} is not tracked by git yet; run `git add {name}` and `git commit` first.")
        _require(content := _content(path), f"{name} is empty, a link or a folder; put the file itself there.")
        is_clean = self._staged(name) == committed and _same(content, self._blob("HEAD", name))
        _require(is_clean, f"{name} has uncommitted changes; commit them, or put them away with `git stash`.")

    def _files(self, commit: str) -> Iterator[tuple[str, str, bytes]]:
        """(name, mode, content) of the files that base_files copies."""
        where = ("--", self.prefix) if self.prefix else ()
        rows = self._text("ls-tree", "-r", "-z", "--long", "--full-tree", commit, *where).split("\0")
        wanted = [row for row in map(self._row, filter(None, rows)) if row is not None]
        total = sum(size for *_, size in wanted)
        why = f"The tracked files of {self.root} are {total / 1e6:.0f} MB and every run gets a copy"
        _require(total <= TOTAL_LIMIT, f"{why}; move data into an ignored folder named under links in {SETTINGS}.")
        contents = self._bytes("cat-file", "--batch", stdin="".join(f"{row[2]}\n" for row in wanted).encode())
        at = 0
        for name, mode, _, size in wanted:
            at = contents.index(b"\n", at) + 1  # "<object> blob <size>", content, newline
            yield name, mode, contents[at : at + size]
            at += size + 1

    def _row(self, row: str) -> tuple[str, str, str, int] | None:
        """(name, mode, object, bytes) of a row of ls-tree; None for what is not copied."""
        facts, path = row.split("\t", 1)
        mode, _, blob, size = facts.split()
        name = path.removeprefix(self.prefix)
        is_safe = not {"", ".", "..", ".git"} & set(name.lower().split("/"))  # a tree can say anything
        return (name, mode, blob, int(size)) if mode.startswith("100") and is_safe and int(size) <= FILE_LIMIT else None

    def _commit(self, parent: str | None, files: Mapping[str, tuple[str, bytes]], message: str) -> str:
        """A commit on `parent` with `files` (mode, content) in place. No branch, index or file of the user changes."""
        entries = {
            name: f"{mode} " + self._text("hash-object", "-w", "--no-filters", "--stdin", stdin=content)
            for name, (mode, content) in files.items()
        }
        with _explained("git cannot make a commit", "Is the disk full?"), tempfile.TemporaryDirectory() as scratch:
            index = str(Path(scratch, "index"))
            self._bytes("read-tree", parent or "--empty", index=index)
            self._stage(entries, index)
            tree = self._text("write-tree", "--missing-ok", index=index)  # a partial clone lacks other files
        is_known = _run(self.root, "-c", "user.useConfigOnly=true", "var", "GIT_COMMITTER_IDENT").returncode == 0
        command = (*(() if is_known else _NOBODY), "commit-tree", tree, *(("-p", parent) if parent else ()))
        return self._text(*command, stdin=message.encode())

    def _find(self, tip: str, trailers: str) -> str | None:
        """The commit at or below `tip` whose message ends with `trailers`."""
        history = self._text("log", "-z", "--first-parent", f"-n{_HISTORY}", "--encoding=UTF-8", "--format=%H%n%B", tip)
        records = (record.partition("\n") for record in history.split("\0"))
        return next((commit for commit, _, body in records if body.rstrip().endswith(f"\n\n{trailers}")), None)


def _run(folder: Path, *arguments: str, stdin: bytes = b"", index: str = "") -> _Answer:
    environment = {name: text for name, text in os.environ.items() if _KEPT.match(name)} | _QUIET
    environment |= {"GIT_INDEX_FILE": index} if index else {}
    command = (*_COMMAND, *arguments)
    try:
        return subprocess.run(
            command, cwd=folder, input=stdin, env=environment, capture_output=True, timeout=_PATIENCE_S, check=False
        )
    except FileNotFoundError as error:
        raise WorkspaceError("git is not installed, or not on PATH; install it: what is kept is committed.") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise WorkspaceError(f"git cannot run in {folder}: {error}. Is the file system there?") from error


def _said(answer: _Answer) -> str:
    first = _plain(os.fsdecode(answer.stderr)).partition("\n")[0]
    return re.sub(r"^(fatal|error): |\.$", "", first) or f"exit code {answer.returncode}"


def _prefix(root: Path) -> str:
    """Of `root` inside its repository. Raises WorkspaceError if it is in none."""
    answer = _run(root, "rev-parse", "--is-inside-work-tree", "--show-prefix")
    said = os.fsdecode(answer.stderr)
    owned = re.search(r"dubious ownership in repository at '(.*)'", said)
    command = f"git config --global --add safe.directory '{owned[1] if owned else root}'"
    _require(not owned, f"{root} belongs to another user, so git will not touch it; if you trust it, run `{command}`.")
    remedy = f"run `git init`, `git add {TRAIN} {PREPARE}` and `git commit` there, or `autoresearch-tui init`"
    _require("not a git repository" not in said, f"{root} is not in a git repository; {remedy}.")
    _require(answer.returncode == 0, f"git cannot read {root}: {_said(answer)}. Run `git status` there.")
    inside, _, prefix = os.fsdecode(answer.stdout).partition("\n")
    _require(inside == "true", f"{root} is the inside of a repository; go to the folder that holds your {TRAIN}.")
    return prefix.rstrip("\n")


def _make_repository(root: Path) -> list[str]:
    """Makes the folder and its repository where they are missing. What it did."""
    said = [] if root.is_dir() else [f"Made the folder {root}."]
    root.mkdir(parents=True, exist_ok=True)
    outside = b"not a git repository" in _run(root, "rev-parse", "--is-inside-work-tree").stderr
    is_ignored = _run(root, "--no-literal-pathspecs", "check-ignore", "-q", ".").returncode == 0
    if outside or is_ignored:  # by a bigger repository
        answer = _run(root, "init", "-q", "--template=")
        _require(answer.returncode == 0, f"git cannot make a repository in {root}: {_said(answer)}. Is it writable?")
        said.append("Made a git repository.")
    return said


def _require(is_fine: object, sentence: str) -> None:
    if not is_fine:
        raise WorkspaceError(sentence)


@contextmanager
def _explained(what: str, remedy: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise WorkspaceError(f"{what}: {error}. {remedy}") from error


def _check_python(source: str) -> None:
    try:
        with warnings.catch_warnings(action="ignore"):
            ast.parse(source.removeprefix("\ufeff"), TRAIN)
    except SyntaxError as error:
        line = f" line {error.lineno}" if error.lineno else ""
        message = f"{TRAIN}{line} is not valid Python: {error.msg}. Correct it and commit."
        raise WorkspaceError(message) from error
    except (ValueError, RecursionError, MemoryError) as error:  # a NUL byte, nesting without end
        raise WorkspaceError(f"{TRAIN} is not valid Python: {error}. Correct it and commit.") from error


def _plain(text: str) -> str:
    # messages come from models and are read on terminals: no control characters
    return "".join(letter for letter in text if letter in "\n\t" or letter.isprintable()).strip()


def _lf(content: bytes) -> bytes:
    return content.replace(b"\r\n", b"\n")


def _content(path: Path) -> bytes | None:  # None if it is no regular file
    return path.read_bytes() if path.is_file() and not path.is_symlink() else None


def _same(content: bytes | None, committed: bytes) -> bool:
    """Whether a file is what was committed, checked out with or without CRLF."""
    return content is not None and committed in (content, _lf(content))


def _replace(path: Path, content: bytes) -> None:  # all or nothing, with the permissions that the file has
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".autoresearch-") as scratch:
        _write(Path(scratch, path.name), content, path.stat().st_mode & 0o777)
        Path(scratch, path.name).replace(path)


def _write(path: Path, content: bytes, mode: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    path.chmod(mode)
