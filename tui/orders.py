"""The commands of the command line that tell the engine something; without one they wait for the next."""

from __future__ import annotations

import getpass
import time
from typing import TYPE_CHECKING

import click

from tui.shell import say, session_file, state_of, text_of

if TYPE_CHECKING:
    from core.commands import Command

STOPPING = {False: "Stopping; running jobs finish first.", True: "Stopping; running jobs are stopped."}
GATE = {True: "New waves wait for `approve` from now on.", False: "New waves need no approval; what waited goes on."}
ANSWER_WITHIN_S = 5.0
NO_ENGINE = "No engine is running, so there is nothing to stop."


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

    if context.meta["read_only"]:
        raise Refused("With --read-only nothing is changed; leave it out.")
    command = msgspec.structs.replace(command, at=time.time())
    file = session_file(context.obj)
    if not log.is_held(file):
        commands.decide(state_of(context.obj), command)  # says no at once if it would
        if needs_engine:
            raise Refused(NO_ENGINE)
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


# --- research as a whole ----------------------------------------------------------------------------------------------


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

    _tell(context, Pause(by=_operator(), reason=text_of(reason)), "Paused; running jobs finish.")


@click.command()
@click.pass_context
def resume(context: click.Context) -> None:
    """Go on after `pause`."""
    from core.commands import Resume

    _tell(context, Resume(by=_operator()), "Research goes on.")


@click.command()
@click.argument("text")
@click.pass_context
def note(context: click.Context, text: str) -> None:
    """Leave a note for the researcher and the record."""
    from core.commands import Note

    _tell(context, Note(by=_operator(), text=text_of(text)), "Noted.")


@click.command()
@click.argument("switch", type=click.Choice(["on", "off"]))
@click.pass_context
def gate(context: click.Context, switch: str) -> None:
    """Let new waves wait for `approve`, or not; off approves what waits."""
    from core.commands import Gate

    _tell(context, Gate(by=_operator(), on=switch == "on"), GATE[switch == "on"])


@click.command()
@click.argument("wave", required=False)
@click.pass_context
def approve(context: click.Context, wave: str | None) -> None:
    """Let WAVE (such as w3) run; default: the one that has waited longest."""
    from core import views
    from core.commands import Approve
    from core.errors import Refused
    from core.ids import WaveId

    waiting = (WaveId(text_of(wave)),) if wave else views.held(state_of(context.obj))
    if not waiting:
        raise Refused("No wave waits for approval.")
    _tell(context, Approve(by=_operator(), wave=waiting[0]), f"{waiting[0]} is approved.")


@click.command(name="max-gpus")
@click.argument("gpu_type", metavar="TYPE")
@click.argument("limit")
@click.pass_context
def max_gpus(context: click.Context, gpu_type: str, limit: str) -> None:
    """Use at most LIMIT GPUs of TYPE (such as H100); none: all of them.

    Runs that wait count too. What runs beyond the limit finishes.
    """
    from core.commands import MaxGpus
    from core.errors import Refused

    if limit != "none" and not limit.isdecimal():
        raise Refused(f"{text_of(limit)!r} is no limit; write a whole number, or none.")
    most = None if limit == "none" else int(limit)
    done = f"All {gpu_type} may be used." if most is None else f"At most {most} × {gpu_type} from now on."
    _tell(context, MaxGpus(by=_operator(), gpu_type=text_of(gpu_type), limit=most), done)


@click.command()
@click.pass_context
def undo(context: click.Context) -> None:
    """Take back your last command that can still be undone."""
    from core.commands import Undo, undoable

    found = undoable(state_of(context.obj), _operator())
    _tell(context, Undo(by=_operator()), f"Undone: {found[0] if found else 'your last command'}.")


# --- experiments and runs ---------------------------------------------------------------------------------------------


@click.command()
@click.argument("experiment")
@click.argument("reason", required=False, default="")
@click.pass_context
def veto(context: click.Context, experiment: str, reason: str) -> None:
    """Take EXPERIMENT (such as e12) out; its running job is stopped."""
    from core.commands import Veto
    from core.ids import ExperimentId

    wish = Veto(by=_operator(), experiment=ExperimentId(text_of(experiment)), reason=text_of(reason))
    _tell(context, wish, f"{experiment} is vetoed.")


@click.command()
@click.argument("experiment")
@click.argument("reason", required=False, default="")
@click.pass_context
def promote(context: click.Context, experiment: str, reason: str) -> None:
    """Run EXPERIMENT next; a discarded one gets another look with more seeds."""
    from core.commands import Promote
    from core.ids import ExperimentId

    wish = Promote(by=_operator(), experiment=ExperimentId(text_of(experiment)), reason=text_of(reason))
    _tell(context, wish, f"{experiment} is promoted: it runs as soon as a slot is free.")


@click.command()
@click.argument("experiment")
@click.pass_context
def rerun(context: click.Context, experiment: str) -> None:
    """Run EXPERIMENT once more with another seed."""
    from core.commands import Rerun
    from core.ids import ExperimentId

    wish = Rerun(by=_operator(), experiment=ExperimentId(text_of(experiment)))
    _tell(context, wish, f"{experiment} runs once more as soon as a slot is free.")


@click.command()
@click.argument("run")
@click.argument("reason", required=False, default="")
@click.pass_context
def kill(context: click.Context, run: str, reason: str) -> None:
    """Stop RUN (such as e12-1); an experiment without another run is out."""
    from core.commands import StopRun
    from core.ids import RunId

    wish = StopRun(by=_operator(), run=RunId(text_of(run)), reason=text_of(reason))
    _tell(context, wish, f"{run} is stopped.")


ALL = (stop, pause, resume, note, gate, approve, max_gpus, undo, veto, promote, rerun, kill)
