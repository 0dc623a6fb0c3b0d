"""The commands of the command line, each a thin shell around the core."""

from __future__ import annotations

import asyncio
import getpass
import json
import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tui import __version__
from tui.shell import draw, load, research, research_options, say, say_json, session_file

if TYPE_CHECKING:
    from core.commands import Command
    from core.state import State

STOPPING = {False: "Stopping; running jobs finish first.", True: "Stopping; running jobs are stopped."}
ANSWER_WITHIN_S = 5.0

Path_ = click.Path(path_type=Path)


# --- starting ---------------------------------------------------------------------------------------------------------


@click.command()
@click.argument("folder", type=Path_, required=False)
@research_options
@click.pass_context
def demo(context: click.Context, /, folder: Path | None, no_ui: bool, as_json: bool, **flags: Any) -> None:
    """Research a small GPT, in a workspace made for it.

    FOLDER is made from the template, with its data; default: a folder under your data folder. With
    --executor simulator nothing is real, and neither data nor torch is needed.
    """
    from core import simulated
    from tui import template

    given = {**context.meta["flags"], **{name: value for name, value in flags.items() if value is not None}}
    chosen = load(folder or template.demo_folder(), given).settings
    imagined = simulated.is_simulated(chosen)
    workspace = folder or template.demo_folder(simulated=imagined)
    tell = _aside if as_json else say
    template.make(workspace, tell, has_gpu=True if imagined else None)
    if not imagined:
        template.prepare(workspace, chosen, tell)
    research(context, workspace, given, as_json=as_json)


def _aside(text: str) -> None:
    click.echo(text, err=True)


@click.command()
@click.pass_obj
def init(workspace: Path) -> None:
    """Make a workspace: what is missing of one.

    That is a git repository, train.py, prepare.py, program.md and autoresearch.toml. Nothing is overwritten.
    """
    from tui import template

    template.make(workspace, say)
    say("Next: `python prepare.py` prepares the data, `autoresearch-tui doctor` checks, `autoresearch-tui` starts.")


@click.command()
@click.pass_context
def doctor(context: click.Context) -> None:
    """Check everything, with a 5-second run.

    Settings and where they come from, Python, git, disk, slots, torch, the workspace and its trainer.
    """
    from tui.doctor import examine

    loaded = load(context.obj, context.meta["flags"])
    context.exit(examine(context.obj, loaded, say))


# --- looking ----------------------------------------------------------------------------------------------------------


def _state(workspace: Path) -> State:
    from core import log
    from core.fold import fold
    from core.state import State

    return fold(State(), log.read_all(session_file(workspace)))


@click.command()
@click.option("--json", "as_json", is_flag=True, help="The stable interface; described in the README.")
@click.pass_obj
def status(workspace: Path, as_json: bool) -> None:
    """What the session has reached, and whether an engine runs."""
    from core import headless, log, views
    from tui import ledger
    from tui.chart import summary

    state, file = _state(workspace), session_file(workspace)
    alive = log.is_held(file)
    beat = log.heartbeat(file)
    now = time.time() if alive and not state.simulated else state.at  # simulated time is where its facts are
    if as_json:
        facts = views.status(state, now=now, alive=alive, pid=beat.pid if beat and alive else None)
        click.echo(json.dumps(facts, ensure_ascii=False))
        return
    engine = f"engine alive (pid {beat.pid})" if alive and beat else "no engine running"
    stopped = f"; it ended: {state.last_stop.reason}" if state.last_stop and not alive else ""
    why = f" ({state.pause.reason})" if state.pause and state.pause.reason else ""
    paused = f"; paused by {state.pause.by}{why}" if state.pause else ""
    mark = "SIMULATED " if state.simulated else ""
    say(f"{mark}session {state.session} on {state.branch}: {engine}{stopped}{paused}")
    say(summary(state, now))
    if books := ledger.table(state, now):
        say(books)
    if noise := ledger.noise(state):
        say(noise)
    if agreed := ledger.tiers(state):
        say(agreed)
    running = headless.progress(state) if alive else ""
    if running:
        say(running)


@click.command()
@click.pass_obj
def chart(workspace: Path) -> None:
    """Draw val_bpb over experiments."""
    draw(_state(workspace))


@click.command()
@click.argument("wave", required=False)
@click.option("--recording", type=Path_, help="Of a recorded session instead of this workspace's.")
@click.option("--json", "as_json", is_flag=True, help="The stable interface; described in the README.")
@click.pass_obj
def effects(workspace: Path, wave: str | None, recording: Path | None, as_json: bool) -> None:
    """What WAVE (such as w12) says: effects, cells, the predicted best.

    Default: the latest wave with a design and a result. It may still be running.
    """
    from tui import answer

    state = answer.recorded(recording) if recording else _state(workspace)
    (say_json if as_json else say)(answer.effects(state, _text(wave) if wave else None, as_json=as_json))


@click.command()
@click.argument("recording", type=Path_)
@click.option("--speed", type=float, default=1.0, metavar="X", help="Times real time; inf: no waiting.")
@click.option("--no-ui", is_flag=True, help="Print lines.")
@click.option("--json", "as_json", is_flag=True, help="Print the facts themselves.")
def play(recording: Path, speed: float, no_ui: bool, as_json: bool) -> None:
    """Play a recorded session."""
    from core import headless
    from core.feed import Player

    if not speed > 0:
        raise click.BadParameter("must be above 0", param_hint="--speed")
    updates = Player(recording, speed=speed, idle_s=10.0 if math.isfinite(speed) else 0.0).updates()
    shown = headless.show_json(updates, say_json, version=__version__) if as_json else headless.show(updates, say)
    state = asyncio.run(_finished(shown))
    if not as_json:
        draw(state)


async def _finished(shown: Any) -> Any:
    return await shown


# --- telling the engine -----------------------------------------------------------------------------------------------


def _text(text: str) -> str:
    """Arguments may hold bytes that are no UTF-8."""
    return text.encode("utf-8", "replace").decode()


def _operator() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "operator"


def _tell(context: click.Context, command: Command, done: str, *, needs_engine: bool = False) -> None:
    """Leaves a command and waits for the answer; without an engine it waits for the next one."""
    import msgspec

    from core import commands, log
    from core.errors import Refused

    command = msgspec.structs.replace(command, at=time.time())
    file = session_file(context.obj)
    if not log.is_held(file):
        commands.decide(_state(context.obj), command)  # says no at once if it would
        if needs_engine:
            raise Refused("No engine is running, so there is nothing to stop.")
        log.send(file, command)
        say("No engine is running; this takes effect when one starts.")
        return
    number = log.send(file, command)
    deadline = time.monotonic() + ANSWER_WITHIN_S
    while (answer := log.answer(file, number)) is None:
        if not log.is_held(file):
            say("The engine has ended meanwhile.")
            return
        if time.monotonic() > deadline:
            say("The engine has not answered yet; it will when it can.")
            return
        time.sleep(0.02)
    if answer:
        raise Refused(answer)
    say(done)


@click.command()
@click.option("--now", is_flag=True, help="Do not wait for running jobs; they are stopped.")
@click.pass_context
def stop(context: click.Context, now: bool) -> None:
    """Stop the engine; running jobs finish first unless --now."""
    from core.commands import Stop

    _tell(context, Stop(by=_operator(), now=now), STOPPING[now], needs_engine=True)


@click.command()
@click.argument("reason", required=False, default="")
@click.pass_context
def pause(context: click.Context, reason: str) -> None:
    """Start no further runs until `resume`; running jobs finish."""
    from core.commands import Pause

    _tell(context, Pause(by=_operator(), reason=_text(reason)), "Paused; running jobs finish.")


@click.command()
@click.pass_context
def resume(context: click.Context) -> None:
    """Go on after `pause`."""
    from core.commands import Resume

    _tell(context, Resume(by=_operator()), "Research goes on.")


@click.command()
@click.argument("experiment")
@click.argument("reason", required=False, default="")
@click.pass_context
def veto(context: click.Context, experiment: str, reason: str) -> None:
    """Take EXPERIMENT (such as e12) out; its running job is stopped."""
    from core.commands import Veto
    from core.ids import ExperimentId

    _tell(
        context,
        Veto(by=_operator(), experiment=ExperimentId(_text(experiment)), reason=_text(reason)),
        f"{experiment} is vetoed.",
    )


@click.command()
@click.argument("experiment")
@click.argument("reason", required=False, default="")
@click.pass_context
def promote(context: click.Context, experiment: str, reason: str) -> None:
    """Run EXPERIMENT next; a discarded one gets another look with more seeds."""
    from core.commands import Promote
    from core.ids import ExperimentId

    wish = Promote(by=_operator(), experiment=ExperimentId(_text(experiment)), reason=_text(reason))
    _tell(context, wish, f"{experiment} is promoted: it runs as soon as a slot is free.")


@click.command()
@click.argument("text")
@click.pass_context
def note(context: click.Context, text: str) -> None:
    """Leave a note for the researcher and the record."""
    from core.commands import Note

    _tell(context, Note(by=_operator(), text=_text(text)), "Noted.")


# --- in and out -------------------------------------------------------------------------------------------------------


@click.command()
@click.option("--format", "form", type=click.Choice(["tsv", "csv", "jsonl"]), required=True)
@click.option("-o", "--output", type=Path_, help="Default: standard output.")
@click.pass_obj
def export(workspace: Path, form: str, output: Path | None) -> None:
    """The session as results.tsv, as a table of runs (csv), or as a recording (jsonl)."""
    from tui import exchange

    exchange.export(session_file(workspace), form, output)


@click.command(name="import")
@click.argument("results", type=Path_)
@click.pass_context
def import_(context: click.Context, results: Path) -> None:
    """Take the rows of a results.tsv into the session, as history."""
    from tui import exchange

    loaded = load(context.obj, context.meta["flags"])
    rows, problems = exchange.import_results(context.obj, results, loaded.settings, __version__)
    for problem in problems:
        click.echo(f"{results}:{problem.line}: {problem.reason}", err=True)
    say(f"Imported {rows} row{'s' * (rows != 1)} of {results}; {len(problems)} could not be read.")


ALL = (demo, init, doctor, status, chart, effects, play, stop, pause, resume, veto, promote, note, export, import_)
