"""Settings: the defaults, then autoresearch.toml in the workspace, then AUTORESEARCH_* variables, then flags.

`Settings` is the one table: names, types, ranges and comments stand there, and the template that `init` writes is
made from it. Every value remembers where it came from. Reads one file and prints nothing; what a setting does is
known elsewhere.
"""

from __future__ import annotations

import difflib
import math
import re
import sys
import tomllib
import types
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

import msgspec
from msgspec import Meta

from core.errors import SettingsError

FILE = "autoresearch.toml"
PREFIX = "AUTORESEARCH_"
TRAINERS_OWN = frozenset(
    {"DATA", "DEVICE", "MAX_STEPS", "TIME_BUDGET", "SEED"}
)  # AUTORESEARCH_<these> are read by the trainer
WINDOWS_OWN = frozenset({"THEME", "ASCII"})  # and these by the control room
PERSONAL = frozenset({"theme", "ascii", "reduced_motion", "vim", "keys"})  # in a person's own config.toml

# What a value must be. The description completes the sentence "slots must be …".
Name = Annotated[str, Meta(min_length=1, description="a name")]
Text = Annotated[str, Meta(description="a text")]
Switch = Annotated[bool, Meta(description="true or false")]
Above0 = Annotated[float, Meta(gt=0, le=1e9, description="a number above 0")]
Few = Annotated[int, Meta(ge=0, le=1000, description="a whole number from 0 to 1000")]
From0 = Annotated[float, Meta(ge=0, description="a number, 0 or more")]
Count = Annotated[int, Meta(ge=1, le=10**9, description="a whole number, 1 or more")]
Seed = Annotated[int, Meta(ge=0, le=2**31 - 1, description="a whole number from 0 to 2147483647")]
_DURATION = 'seconds or a duration such as "90m"'
Seconds = Annotated[float, Meta(gt=0, description=f"{_DURATION}, above 0", extra={"duration": True})]
Seconds0 = Annotated[float, Meta(ge=0, description=f"{_DURATION}, 0 or more", extra={"duration": True})]
OnExit = Annotated[Literal["stop", "leave"], Meta(description='"stop" or "leave"')]
_Inside = Annotated[str, Meta(pattern=r"^(?!/)(?!(.*/)?\.\.(/|$)).+$")]
Folders = Annotated[tuple[_Inside, ...], Meta(description='a list of folders inside the workspace, like ["data"]')]
_Constant = Annotated[str, Meta(pattern=r"^[A-Za-z_][A-Za-z_0-9]*$")]
Constants = Annotated[tuple[_Constant, ...], Meta(description='a list of constants of train.py, like ["MATRIX_LR"]')]
_Type = Annotated[str, Meta(pattern=r"^[A-Za-z]([\w. -]*[\w.-])?$")]
Types = Annotated[tuple[_Type, ...], Meta(description='a list of GPU types, like ["H100"]')]
_GROUP = r"\s*[A-Za-z][\w.-]*\s*:\s*[1-9]\d{0,3}\s*"
_FLEET = 'GPU types and how many of each, like "H100:13,H200:3"'
Fleet = Annotated[str, Meta(pattern=rf"^{_GROUP}(,{_GROUP})*$", description=_FLEET)]
Speed = Annotated[
    str,
    Meta(
        pattern=r"^(max|0*[1-9]\d{0,5}(\.\d{1,6})?|0?\.\d{0,3}[1-9]\d{0,3})$",
        description='"1", "60" or "max", as a text',
    ),
]
Share = Annotated[float, Meta(gt=0, le=1, description="a number above 0, at most 1")]
_Variable = Annotated[str, Meta(pattern=r"^[A-Za-z_][A-Za-z_0-9]*$")]
Variables = Annotated[dict[_Variable, str], Meta(description='names with texts, like { OMP_NUM_THREADS = "4" }')]
_Price = Annotated[float, Meta(ge=0, le=1e6)]
Table = Annotated[dict[str, Any], Meta(description='a table, like { namespace = "research" }')]
GpuLimits = Annotated[
    dict[_Type, Annotated[int, Meta(ge=0, le=100_000)]],
    Meta(
        description='GPU types with how many at most, like "H100:13,H200:3" or { H100 = 13 }',
        extra={"pairs": r"\s*[:=]\s*"},
    ),
]
Prices = Annotated[dict[_Type, _Price], Meta(description="GPU types with dollars per hour, like { H100 = 2.5 }")]


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """All settings of one invocation; None reads "none" in TOML, variables and flags."""

    executor: Annotated[Name, "where runs execute"] = "local"
    researcher: Annotated[Name, "who proposes experiments"] = "designed"
    max_hours: Annotated[Above0 | None, "the session ends after so many hours"] = None
    max_experiments: Annotated[Count | None, "the session ends after so many experiments"] = None
    target_bpb: Annotated[Above0 | None, "the session ends when a kept val_bpb is at or below this"] = None
    max_usd: Annotated[Above0 | None, "the session ends when it has cost so many dollars"] = None
    for_: Annotated[Seconds | None, 'this invocation ends after "1h", "90m", "45s"'] = msgspec.field(
        default=None, name="for"
    )
    on_exit: Annotated[OnExit, "runs still going when the engine ends: stop them, or leave them"] = "stop"
    slots: Annotated[Count | None, "GPUs used at a time; none: all"] = None
    max_gpus: Annotated[GpuLimits | None, "GPUs in use or waited for, by type; none: no limit"] = None
    seed: Annotated[Seed, "every random choice follows from it"] = 0
    time_budget: Annotated[Seconds | None, "seconds of training per run; none: the trainer's own"] = None
    startup_s: Annotated[Seconds0, "a run is killed after 2 × budget + this: start-up, compilation, evaluation"] = 120.0
    output_mb: Annotated[Above0, "a run that prints more is killed"] = 64.0
    memory_gb: Annotated[Above0 | None, "main memory that a run may use; none: no limit"] = None
    python: Annotated[Text, "interpreter of runs; empty: .venv/bin/python if there is one, else ours"] = ""
    warm: Annotated[Switch, "start runs from a process that has imported torch (Linux, CPU)"] = True
    links: Annotated[Folders, "folders of the workspace linked into every run's folder"] = ()
    env: Annotated[Variables, "environment variables of runs"] = {}
    gpu_usd_hour: Annotated[Prices, "what a GPU costs while a run holds it"] = {}
    factors: Annotated[Constants, "constants that may be varied; empty: all that are recognised"] = ()
    ignore_factors: Annotated[Constants, "constants that are never varied"] = ()
    baseline_runs: Annotated[Few, "runs of the baseline before the first verdict"] = 3
    false_keeps: Annotated[Share, "chance per wave that a change is kept that is no better"] = 0.1
    worth: Annotated[Above0, "an improvement of so many standard deviations of a run should not be missed"] = 2.5
    futility: Annotated[Share, "evidence, as a likelihood ratio, below which a change is not run again"] = 0.2
    max_retests: Annotated[Few, "repeats of an experiment that could be noise"] = 6
    max_lost: Annotated[Count, "runs of an experiment that the cluster may lose before it counts as crashed"] = 5
    equivalence: Annotated[From0, "standard deviations that a simplification may cost"] = 1.0
    memory_price: Annotated[From0, "val_bpb that every additional GB of GPU memory has to earn"] = 0.0001
    final_runs: Annotated[Few, "fresh runs of the best and of the start at the end, for an honest report"] = 3
    early_stop: Annotated[Switch, "hopeless runs are stopped"] = True
    overlap: Annotated[Switch, "the next wave is asked for before the one before is done"] = True
    replicates: Annotated[Switch, "GPUs with nothing to do repeat the baseline"] = True
    screen: Annotated[Types, "GPU types for first runs; empty: the plentiful type, or what validate leaves"] = ()
    validate: Annotated[Types, "GPU types on which the best are confirmed; empty: all others"] = ()
    fleet: Annotated[Fleet, "GPUs of the simulator"] = "H100:13,H200:3"
    speed: Annotated[Speed, "of the simulator: times real time, or as fast as it computes"] = "60"
    surface: Annotated[Name, "of the simulator: how constants decide val_bpb"] = "ridge"
    answer_s: Annotated[Seconds0, "of the simulator: how long the researcher thinks"] = 75.0
    queue_s: Annotated[Seconds0, "of the simulator: what the cluster takes to place a job"] = 0.0
    kubernetes: Annotated[Table, "the cluster that the executor kubernetes uses"] = {}
    hosts: Annotated[Table, "the machines that the executor ssh uses"] = {}
    claude: Annotated[Table, "the model that the researcher claude asks, and what it may cost"] = {}

    def timeout_s(self, budget_s: float) -> float:
        """Seconds after which a run with `budget_s` seconds of training is killed."""
        return 2 * budget_s + self.startup_s

    def interpreter(self, workspace: Path) -> str:
        """The Python that runs train.py. A relative path counts from the workspace; a bare name is found on PATH."""
        if self.python:
            return str(workspace / Path(self.python).expanduser()) if "/" in self.python else self.python
        own = workspace / ".venv" / "bin" / "python"
        return str(own) if own.exists() else sys.executable


class Loaded(NamedTuple):
    settings: Settings
    origins: dict[str, str]  # name: "default", "autoresearch.toml", "environment AUTORESEARCH_SLOTS", "flag --slots"
    warnings: tuple[str, ...]  # sentences about variables that look like ours and are not


class Setting(NamedTuple):
    """One row of the table, as read from `Settings`."""

    name: str  # in TOML, in Loaded.origins; "for" where the attribute is `for_`
    hint: Any
    default: object
    comment: str
    expects: str  # completes "must be …"
    optional: bool
    duration: bool
    pairs: str  # a pattern of what stands between the two halves of a pair, in a text
    kind: Any  # bool, int, float, str, tuple, dict or Literal

    @property
    def variable(self) -> str:
        return PREFIX + self.name.upper()

    @property
    def flag(self) -> str:
        return "--" + self.name.replace("_", "-")


def _setting(field: msgspec.structs.FieldInfo) -> Setting:
    first, *_, comment = get_args(field.type)
    optional = get_origin(first) in (Union, types.UnionType)  # X | None
    bare, meta, *_ = get_args(get_args(first)[0] if optional else field.type)
    return Setting(
        name=field.encode_name,
        hint=field.type,
        default={} if field.default is msgspec.NODEFAULT else field.default,
        comment=comment,
        expects=meta.description + (', or "none"' if optional else ""),
        optional=optional,
        duration="duration" in (meta.extra or {}),
        pairs=(meta.extra or {}).get("pairs", "="),
        kind=get_origin(bare) or bare,
    )


SETTINGS: tuple[Setting, ...] = tuple(_setting(field) for field in msgspec.structs.fields(Settings))
_BY_NAME = {setting.name: setting for setting in SETTINGS}


def load(workspace: Path, environ: Mapping[str, str], flags: Mapping[str, object]) -> Loaded:
    """The settings that hold in `workspace`. A flag that is None or () was not given; an empty variable is not set.

    Flags are named as settings ("for", "max_hours"), their values are typed or texts. Later sources replace a value
    whole: lists and tables are not merged. Raises SettingsError.
    """
    values: dict[str, object] = {}
    origins = dict.fromkeys(_BY_NAME, "default")
    for name, value, origin in (*_from_file(workspace / FILE), *_from_environ(environ), *_from_flags(flags)):
        values[name], origins[name] = value, origin
    return Loaded(msgspec.convert(values, Settings), origins, tuple(_strangers(environ)))


def template() -> str:
    """The autoresearch.toml that `init` writes: every setting at its default, commented out."""
    lines = [f"# {setting.name} = {_toml(setting.default)}" for setting in SETTINGS]
    width = max(map(len, lines))
    rows = [f"{line:<{width}}  # {setting.comment}" for line, setting in zip(lines, SETTINGS, strict=True)]
    return "\n".join((*_HEADER, "", *rows, ""))


_HEADER = (
    "## Settings of autoresearch-tui for this workspace. Every line shows a default: remove its first # to change it.",
    f"## A variable such as {PREFIX}SLOTS=2 or a flag such as --slots 2 overrides what stands here.",
)
_UNITS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0}
_NUMBER = r"(?:\d+(?:\.\d*)?|\.\d+)"


def duration(text: str) -> float:
    """Seconds in "1h", "90m", "45s", "1h30m", "2d" or plain seconds. Raises SettingsError."""
    compact = text.strip().lower()
    if re.fullmatch(_NUMBER, compact, re.ASCII):
        return float(compact)
    if not re.fullmatch(rf"(?:{_NUMBER}[dhms]\s*)+", compact, re.ASCII):
        raise SettingsError(f"{text!r} is not a duration; write it like 1h, 90m, 45s, 1h30m or 3600.")
    return sum(float(number) * _UNITS[unit] for number, unit in re.findall(rf"({_NUMBER})([dhms])", compact, re.ASCII))


# --- the three sources ------------------------------------------------------------------------------------------------


def _from_file(path: Path) -> Iterable[tuple[str, object, str]]:
    text = _text(path)
    try:
        table = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError, ValueError) as error:
        raise SettingsError(f"{path} is not valid TOML: {error}. Correct that line.") from error
    for name, value in table.items():
        where = f"{path}{_line(text, name)}"
        setting = _known(name, where)
        yield setting.name, _checked(setting, value, where, is_text=setting.duration), FILE


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} cannot be read: {error}. Make it a readable UTF-8 file, or remove it.") from error


def _line(text: str, name: str) -> str:
    """ " line 3" of the first line that sets `name`; tomllib keeps no positions."""
    pattern = re.compile(rf"""\s*\[?\[?\s*["']?{re.escape(name)}["']?\s*[=.\]]""")
    numbers = (number for number, line in enumerate(text.splitlines(), 1) if pattern.match(line))
    return next((f" line {number}" for number in numbers), "")


def _from_environ(environ: Mapping[str, str]) -> Iterable[tuple[str, object, str]]:
    for setting in SETTINGS:
        if value := environ.get(setting.variable, ""):
            where = f"environment {setting.variable}"
            yield setting.name, _checked(setting, value, where, is_text=True), where


def _strangers(environ: Mapping[str, str]) -> Iterable[str]:
    known, other = {setting.variable for setting in SETTINGS}, TRAINERS_OWN | WINDOWS_OWN
    for variable in sorted(environ):
        if variable.startswith(PREFIX) and variable not in known and variable[len(PREFIX) :] not in other:
            near = _nearest(variable, known) or "."
            yield f"The environment variable {variable} is not a setting and is ignored{near}"


def _from_flags(flags: Mapping[str, object]) -> Iterable[tuple[str, object, str]]:
    for name, value in flags.items():
        setting = _known(name.replace("-", "_").rstrip("_"), "flags")
        if value is not None and value != ():
            where = f"flag {setting.flag}"
            yield setting.name, _checked(setting, value, where, is_text=True), where


# --- one value --------------------------------------------------------------------------------------------------------


def _known(name: str, where: str) -> Setting:
    try:
        return _BY_NAME[name]
    except KeyError:
        if name in PERSONAL:
            raise SettingsError(
                f"{where}: {name} is a preference, not a setting of a workspace; "
                "it belongs in your own ~/.config/autoresearch-tui/config.toml."
            ) from None
        near = _nearest(name, _BY_NAME) or f"; the settings are {', '.join(_BY_NAME)}."
        raise SettingsError(f"{where}: there is no setting {name!r}{near}") from None


def _nearest(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name.replace("-", "_"), list(known), n=1, cutoff=0.6)
    return f"; did you mean {near[0]}?" if near else ""


def _checked(setting: Setting, value: object, where: str, *, is_text: bool) -> object:
    """`value` in the setting's own type. is_text: a text may stand for a number, a switch, a list or a table."""
    if setting.optional and isinstance(value, str) and value.strip().lower() == "none":
        return None
    try:
        plain = _parsed(setting, value) if is_text else value
        good: object = msgspec.convert(plain, setting.hint, strict=not (is_text and setting.kind is dict))
    except (ValueError, SettingsError) as error:  # msgspec.ValidationError is a ValueError
        raise _wrong(setting, value, where) from error
    if isinstance(good, float) and not math.isfinite(good):
        raise _wrong(setting, value, where)
    return good


def _wrong(setting: Setting, value: object, where: str) -> SettingsError:
    shown = str(value).lower() if isinstance(value, bool) else repr(value)
    seen = "" if setting.kind is dict else f", not {shown[:80]}"  # variables of runs may be secrets
    return SettingsError(f"{where}: {setting.name} must be {setting.expects}{seen}.")


def _parsed(setting: Setting, value: object) -> object:
    if isinstance(value, str):
        return _from_text(setting, value.strip())
    if setting.kind is dict and isinstance(value, (list, tuple)):
        return _pairs(value, setting.pairs)
    return value


def _from_text(setting: Setting, text: str) -> object:
    if setting.duration:
        return duration(text)
    if setting.kind in (int, float):
        return setting.kind(text)
    if setting.kind is bool:
        return _SWITCHES.get(text.lower(), text)
    if setting.kind in (tuple, dict):
        parts = [part.strip() for part in text.split(",") if part.strip()]
        return _pairs(parts, setting.pairs) if setting.kind is dict else parts
    return text


_SWITCHES = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}


def _pairs(parts: Iterable[object], between: str) -> dict[str, str]:
    """{"A": "1"} from "A=1"; a part that is no pair has no name and is refused by the type."""
    split = [re.split(between, str(part), maxsplit=1) for part in parts]
    return {pair[0].strip() if len(pair) == 2 else "": pair[-1] for pair in split}


def _toml(value: object) -> str:
    match value:
        case None:
            return '"none"'
        case float():
            return f"{value:g}"
        case _:
            return msgspec.json.encode(value).decode()  # the same in TOML: texts, whole numbers, [] and {}
