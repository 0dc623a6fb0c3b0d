"""What people type after ":": commands with what they are about, and what would complete them. Pure.

`hear` answers with an action of the table and where to look, or with one sentence; nothing is carried out here.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Literal, NamedTuple

import msgspec

from core.ids import ExperimentId, WaveId
from core.state import State
from tui.actions import BY_ID, is_there, why_not
from tui.moment import Moment
from tui.safe import line as safe
from tui.signs import word

Takes = Literal["", "experiment", "experiment reason", "reason", "note", "wave", "on or off", "filter", "theme", "seek"]
OFFERS = 8  # completions that are shown
FAR_ENOUGH = 200  # experiments looked at for a completion


class Verb(NamedTuple):
    action: str  # an id of the action table; "theme" for a theme
    takes: Takes
    help: str


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """What to do: look there, then carry out the action; or `wrong`, a sentence."""

    action: str = ""
    experiment: ExperimentId | None = None
    wave: WaveId | None = None
    text: str = ""  # a reason, a note, a filter, a place to seek
    theme: str = ""
    wrong: str = ""


class Offer(NamedTuple):
    text: str  # the whole command, without ":"
    note: str  # what it is; safe


VERBS: dict[str, Verb] = {
    "veto": Verb("veto", "experiment reason", "take an experiment out"),
    "promote": Verb("promote", "experiment", "let an experiment go first"),
    "rerun": Verb("rerun", "experiment", "one more run with another seed"),
    "kill": Verb("stop_run", "experiment reason", "stop its run"),
    "pause": Verb("pause", "reason", "launch nothing new"),
    "resume": Verb("pause", "", "go on"),
    "steer": Verb("steer", "note", "a note to the researcher"),
    "gate": Verb("gate", "on or off", "waves wait for approval"),
    "approve": Verb("approve", "", "let the waiting wave run"),
    "undo": Verb("undo", "", "take back your last command"),
    "more": Verb("more_gpus", "", "one GPU more of the type under the cursor of the fleet"),
    "fewer": Verb("fewer_gpus", "", "one GPU fewer of it"),
    "start": Verb("start_engine", "", "start the engine"),
    "stop": Verb("stop_engine", "", "stop the engine"),
    "experiments": Verb("experiments", "filter", "all of them, or those that match"),
    "dashboard": Verb("dashboard", "", "back to it"),
    "fleet": Verb("fleet", "", "nodes and GPUs"),
    "lineage": Verb("lineage", "", "the tree of kept changes"),
    "researcher": Verb("researcher", "", "what it said and planned"),
    "effects": Verb("effects", "wave", "what a wave says"),
    "log": Verb("log", "experiment", "the log of its run"),
    "diff": Verb("diff", "experiment", "its change of train.py"),
    "theme": Verb("theme", "theme", "how everything looks"),
    "seek": Verb("seek", "seek", "in a recording: 50%, 1h30m, e42"),
    "help": Verb("help", "", "all keys"),
    "quit": Verb("leave", "", "leave; the research goes on"),
}
ALIASES: dict[str, str] = {
    "q": "quit", "q!": "stop", "quit!": "stop", "exit": "quit", "wq": "quit", "h": "help", "?": "help",
    "stop_run": "kill", "note": "steer", "go": "resume", "unpause": "resume", "dash": "dashboard", "home": "dashboard",
    "table": "experiments", "exp": "experiments", "e": "experiments", "gpus": "fleet", "nodes": "fleet", "logs": "log",
    "colors": "theme", "colorscheme": "theme",
}  # fmt: skip
_ID = re.compile(r"(?P<experiment>e\d+)(?:-\d+)?|(?P<wave>w\d+)")


def hear(said: str, moment: Moment, themes: Sequence[str] = ()) -> Heard:
    """`said` without its ":"."""
    first, _, rest = said.strip().lstrip(":").strip().partition(" ")
    rest = rest.strip()
    if not first:
        return Heard()
    if found := _ID.fullmatch(first.lower()):
        return _go_to(found, moment)
    name = _verb(first)
    if name is None:
        return Heard(wrong=_unknown(first))
    return _taken(name, VERBS[name], rest, moment, themes)


def _verb(first: str) -> str | None:
    """Its whole name, or as much of one as says which it is."""
    low = first.lower().replace("-", "_")
    if low in VERBS or low in ALIASES:
        return ALIASES.get(low, low)
    starts = [verb for verb in VERBS if verb.startswith(low)]
    return starts[0] if len(starts) == 1 else None


def _unknown(first: str) -> str:
    low, shown = first.lower(), safe(first, 40)
    starts = [verb for verb in VERBS if verb.startswith(low)]
    if len(starts) > 1:
        return f":{shown} could be {' or '.join(f':{verb}' for verb in starts)}; write more of it."
    near = difflib.get_close_matches(low, [*VERBS, *ALIASES], n=1, cutoff=0.5)
    return f"There is no :{shown}" + (f"; did you mean :{near[0]}?" if near else "; :help shows what there is.")


def _go_to(found: re.Match[str], moment: Moment) -> Heard:
    if name := found["experiment"]:
        wrong = _no_experiment(name, moment.state)
        return Heard(wrong=wrong) if wrong else Heard(action="dashboard", experiment=ExperimentId(name))
    wave = WaveId(found["wave"])
    wrong = _no_wave(wave, moment.state)
    return Heard(wrong=wrong) if wrong else Heard(action="dashboard", wave=wave)


def _taken(name: str, verb: Verb, rest: str, moment: Moment, themes: Sequence[str]) -> Heard:
    match verb.takes:
        case "experiment" | "experiment reason":
            return _about_experiment(name, verb, rest, moment)
        case "wave":
            return _about_wave(verb, rest, moment)
        case "theme":
            return _theme(rest, themes)
        case "on or off":
            return _gate(rest, moment)
        case "note" | "seek" if not rest:
            missing = "what to tell it" if verb.takes == "note" else "where to"
            return Heard(wrong=f":{name} needs {missing}: :{name} {_EXAMPLES[verb.takes]}")
        case "":
            if rest:
                return Heard(wrong=f":{name} takes nothing behind it.")
    if name in ("pause", "resume") and moment.mode != "playback" and bool(moment.state.pause) == (name == "pause"):
        return Heard(wrong="Research is paused already." if name == "pause" else "Research is not paused.")
    return Heard(action=verb.action, text=rest)


_EXAMPLES = {"note": "try a larger batch", "seek": "50%"}


def _about_experiment(name: str, verb: Verb, rest: str, moment: Moment) -> Heard:
    first, _, reason = rest.partition(" ")
    found = _ID.fullmatch(first.lower())
    if found is None or not found["experiment"]:
        if first and not (verb.takes == "experiment reason" and moment.selected):
            return Heard(wrong=f"{safe(first, 40)} is no experiment; write it like :{name} e42.")
        return Heard(action=verb.action, text=rest)  # the selected one
    if reason and verb.takes == "experiment":
        return Heard(wrong=f":{name} takes one experiment, like :{name} {found['experiment']}.")
    wrong = _no_experiment(found["experiment"], moment.state)
    if wrong:
        return Heard(wrong=wrong)
    return Heard(action=verb.action, experiment=ExperimentId(found["experiment"]), text=reason.strip())


def _about_wave(verb: Verb, rest: str, moment: Moment) -> Heard:
    if not rest:
        return Heard(action=verb.action)
    found = _ID.fullmatch(rest.lower())
    if found is None or not found["wave"]:
        return Heard(wrong=f"{safe(rest, 40)} is no wave; write it like :effects w12.")
    wrong = _no_wave(WaveId(found["wave"]), moment.state)
    return Heard(wrong=wrong) if wrong else Heard(action=verb.action, wave=WaveId(found["wave"]))


def _no_experiment(name: str, state: State) -> str:
    if name in state.experiments:
        return ""
    last = next(reversed(state.experiments), None)
    return f"There is no experiment {name}; the latest is {last}." if last else f"There is no {name} yet."


def _no_wave(name: str, state: State) -> str:
    if name in state.waves:
        return ""
    last = next(reversed(state.waves), None)
    return f"There is no wave {name}; the latest is {last}." if last else "There is no wave yet."


def _theme(rest: str, themes: Sequence[str]) -> Heard:
    if rest in themes:
        return Heard(theme=rest)
    near = difflib.get_close_matches(rest, themes, n=1)
    hint = f"; did you mean {near[0]}?" if near else f"; there are {', '.join(themes)}."
    return Heard(wrong=(f"There is no theme {safe(rest, 40)}" if rest else "Which theme") + hint)


def _gate(rest: str, moment: Moment) -> Heard:
    if rest not in ("", "on", "off"):
        return Heard(wrong=f":gate is on or off, not {safe(rest, 40)}.")
    if rest and moment.state.gate == (rest == "on"):
        return Heard(wrong=f"The approval gate is {rest} already.")
    return Heard(action="gate")


# --- completion -------------------------------------------------------------------------------------------------------


def offers(said: str, moment: Moment, themes: Sequence[str] = ()) -> list[Offer]:
    """What `said` may become, the likeliest first; what is impossible now says why."""
    first, space, rest = said.lstrip(": ").partition(" ")
    if not space:
        return list(islice(_first_words(first.lower(), moment), OFFERS))
    name = _verb(first)
    if name is None:
        return []
    return [
        Offer(f"{name} {word}", note) for word, note in islice(_second_words(VERBS[name], rest, moment, themes), OFFERS)
    ]


def _first_words(first: str, moment: Moment) -> Iterable[Offer]:
    if re.fullmatch(r"[ew]\d+", first):
        yield from (Offer(word, note) for word, note in _named(first, moment))
    for name, verb in VERBS.items():
        if name.startswith(first) and _is_there(verb, moment):
            yield Offer(
                name, verb.help if verb.action not in BY_ID else why_not(BY_ID[verb.action], moment) or verb.help
            )


def _is_there(verb: Verb, moment: Moment) -> bool:
    return verb.action not in BY_ID or is_there(BY_ID[verb.action], moment)


def _second_words(verb: Verb, rest: str, moment: Moment, themes: Sequence[str]) -> Iterable[tuple[str, str]]:
    match verb.takes:
        case "experiment" | "experiment reason" if " " not in rest:
            return _named(rest or "e", moment, is_open=verb.action in ("veto", "stop_run"))
        case "wave":
            return _named(rest or "w", moment)
        case "theme":
            return ((name, "") for name in themes if name.startswith(rest))
        case "on or off":
            return ((word, "") for word in ("on", "off") if word.startswith(rest))
    return ()


def _named(start: str, moment: Moment, *, is_open: bool = False) -> Iterable[tuple[str, str]]:
    """Experiments or waves whose id begins like that, the latest first; of experiments the selected one before."""
    state = moment.state
    if start.startswith("w"):
        for wave in islice(reversed(state.waves), FAR_ENOUGH):
            if wave.startswith(start):
                yield wave, safe(state.waves[wave].reason, 100)
        return
    order = dict.fromkeys([moment.selected] if moment.selected else [])
    exact = [ExperimentId(start)] if start in state.experiments else []
    among = state.open if is_open else state.experiments
    for name in dict.fromkeys([*exact, *order, *islice(reversed(among), FAR_ENOUGH)]):
        if name in among and name.startswith(start):
            experiment = state.experiments[name]
            yield name, safe(f"{word(state, experiment)}  {experiment.title}", 100)
