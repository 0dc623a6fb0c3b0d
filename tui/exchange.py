"""Sessions out as tables and recordings, and results.tsv files in."""

from __future__ import annotations

import csv
import gzip
import io
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from core import events as ev
from core import log, recording, results, session
from core.errors import RecordingError
from core.fold import fold
from core.ledger import held_s
from core.money import run_usd
from core.results import Problem
from core.settings import Settings
from core.state import Run, State
from core.views import results_rows
from core.workspace import Workspace
from tui import __version__

COLUMNS = (
    *("run", "experiment", "wave", "title", "verdict", "tier", "purpose", "gpu_type", "gpu", "seed", "requested_at"),
    *("started_at", "ended_at", "outcome", "val_bpb", "training_s", "total_s", "memory_mb", "mfu_percent", "tokens_m"),
    *("steps", "params_m", "fingerprint", "corpus", "reason", "gpu_s", "usd"),
)


def check(source: Path, *, is_session: bool) -> None:
    """Raises LogError if there is no session there, which says how to begin one."""
    if is_session:
        with log.opened(source):
            pass


def lines(
    source: Path, form: str, *, is_session: bool = True, progress_every: float = 0.0, command: str = ""
) -> Iterable[bytes]:
    """The session or recording at `source` as tsv, csv or jsonl. Raises LogError, RecordingError.

    `progress_every`: of each run, progress at most so often, in seconds; `command`: said in a recording's header.
    """
    check(source, is_session=is_session)
    facts = log.read_all(source) if is_session else list(recording.read(source))
    state = fold(State(), facts)
    if form == "tsv":
        return [results.dump(results_rows(state)).encode()]
    if form == "csv":
        return [_table(state).encode()]
    head = recording.header(state, __version__, executor=recording.executor_of(facts), command=command)
    return recording.dump(head, recording.thinned(facts, progress_every))


def deliver(lines: Iterable[bytes], output: Path | None) -> None:
    """Writes to `output`, or to standard output; packed if its name ends in .gz. Raises RecordingError."""
    if output is None:
        sys.stdout.buffer.writelines(lines)
        sys.stdout.flush()
        return
    if output.suffix == ".gz":
        lines = [gzip.compress(b"".join(lines), mtime=0)]  # the same facts make the same file
    try:
        _write(output.resolve(), lines)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise RecordingError(f"Cannot write {str(output)!r}: {why}.") from error


def _write(path: Path, lines: Iterable[bytes]) -> None:
    """All or nothing into a file; straight into what is no file, such as a pipe or a device."""
    if path.exists() and not path.is_file():
        with path.open("wb") as out:
            out.writelines(lines)
        return
    fresh = path.with_name(f".{path.name}.new")
    try:
        with fresh.open("wb") as out:
            out.writelines(lines)
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)


def _table(state: State) -> str:
    """One row per run. A cell that a spreadsheet would take for a formula gets a leading apostrophe."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow((*COLUMNS, "simulated"))
    for run in state.runs.values():
        writer.writerow([_cell(value) for value in (*_row(state, run), state.simulated)])
    return out.getvalue()


def _row(state: State, run: Run) -> list[object]:
    experiment, result = state.experiments.get(run.experiment), run.result
    known: dict[str, object] = {
        "run": run.id,
        "wave": experiment.wave if experiment else "",
        "title": experiment.title if experiment else "",
        "verdict": experiment.status if experiment else "",
        "gpu_s": round(held_s(state, run, state.at), 3),
        "usd": None if (cost := run_usd(state, run, state.at)) is None else round(cost, 6),
    }
    return [known.get(name, getattr(run, name, getattr(result, name, ""))) for name in COLUMNS]


def _cell(value: object) -> object:
    risky = isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r")
    return f"'{value}" if risky else "" if value is None else value


def import_results(path: Path, file: Path, settings: Settings, version: str) -> tuple[int, tuple[Problem, ...]]:
    """Appends every readable row to the session of `path`, which begins one if there is none.

    Rows that are there already are left out. Returns how many were new, and the lines that could not be read. Raises
    RecordingError, EngineRunning.
    """
    try:
        loaded = results.load(file.read_bytes())
    except OSError as error:
        raise RecordingError(f"Cannot read {file}: {error}.") from error
    facts = [
        ev.ResultImported(
            at=time.time(),
            commit=row.commit,
            status=row.status,
            description=row.description,
            val_bpb=row.val_bpb,
            memory_gb=row.memory_gb,
        )
        for row in loaded.rows
    ]
    return session.record(Workspace.open(path), facts, settings, version), loaded.problems
