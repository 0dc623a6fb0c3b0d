"""The language of filters: which experiments a list shows. A text becomes a tree of tests; pure and quick.

Words and "quoted phrases" are looked for in id, title and hypothesis. `verdict:kept,merged`, `gpu:H200`, `wave:12`,
`id:e42`; `bpb<0.98`, `delta<-0.01`, `sigma>3`, `runs>=2`, `lines<0`; constants of train.py: `DEPTH=8`,
`MATRIX_LR>0.03`. `-` in front says no; `or` and parentheses as expected; what stands side by side must all be true.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import NoReturn

import msgspec

from core import knobs
from core.errors import PatchError
from core.state import Experiment, State
from tui import standing
from tui.signs import ROLES, word

Test = Callable[[State, Experiment], bool]
STATUSES = ("open", *ROLES)  # as they are shown
OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "=": operator.eq, "!=": operator.ne,
}  # fmt: skip
NUMBERS: dict[str, Callable[[State, Experiment], float | None]] = {
    "bpb": standing.mean_bpb,
    "delta": lambda _, experiment: experiment.evidence.delta if experiment.evidence else None,
    "sigma": lambda _, experiment: _sigma(experiment),
    "runs": lambda _, experiment: len(experiment.runs),
    "lines": lambda _, experiment: experiment.lines,
}
FIELDS = "verdict:, gpu:, wave:, id:, bpb<, delta<, sigma>, runs> and lines<"

_TOKEN = re.compile(
    r"""\s*(?: (?P<not>-)(?=[^\s\d.=<>]) | (?P<paren>[()]) | "(?P<quoted>[^"]*)" | (?P<open>")
    | (?P<name>[A-Za-z_]\w*) (?P<op><=|>=|!=|[<>=:]) (?: "(?P<phrase>[^"]*)" | (?P<value>\([^()]*\) | [^\s()"]*) )
    | (?P<word>[^\s()"]+) )""",
    re.VERBOSE,
)


class FilterError(ValueError):
    """One sentence for the person who typed it."""


class Filter(msgspec.Struct, frozen=True):
    """What was typed, and the test that it is. An experiment that stays the same object passes as it did, but for
    those that are open where `live`, and those with new results where `scored`."""

    text: str
    test: Test
    scored: bool = False
    live: bool = False

    @property
    def is_empty(self) -> bool:
        return not self.text


def parse(text: str) -> Filter:
    """Raises FilterError."""
    reader = _Reader(text)
    if not reader.tokens:
        return Filter("", _everything)
    test = reader.either()
    if reader.at < len(reader.tokens):
        raise FilterError("A parenthesis is closed that was not opened; remove it or put the text in quotes.")
    return Filter(text.strip(), test, scored="bpb" in text, live=":" in text)


def readable(text: str) -> tuple[Filter, str]:
    """The filter of as many words from the first on as can be read, and what is wrong with the rest; "" if nothing."""
    try:
        return parse(text), ""
    except FilterError as error:
        shorter = text.rstrip().rpartition(" ")[0]
        return (readable(shorter)[0] if shorter else parse("")), str(error)


def matches(found: Filter, state: State, experiment: Experiment) -> bool:
    return found.test(state, experiment)


def _everything(_: State, __: Experiment) -> bool:
    return True


class _Reader:
    """Recursive descent: either = all ("or" all)*; all = one+; one = "-" one | "(" either ")" | term."""

    def __init__(self, text: str) -> None:
        self.tokens = list(_tokens(text))
        self.at = 0

    def _is(self, kind: str, value: str = "") -> bool:
        if self.at >= len(self.tokens):
            return False
        found = self.tokens[self.at]
        return found.lastgroup is not None and found[kind] is not None and (not value or found[kind].lower() == value)

    def either(self) -> Test:
        tests = [self._all()]
        while self._is("word", "or"):
            self.at += 1
            tests.append(self._all())
        return tests[0] if len(tests) == 1 else lambda state, experiment: any(test(state, experiment) for test in tests)

    def _all(self) -> Test:
        tests: list[Test] = []
        while self.at < len(self.tokens) and not self._is("word", "or") and not self._is("paren", ")"):
            tests.append(self._one())
        if not tests:
            raise FilterError('Something is missing beside "or" or between parentheses; say what is looked for there.')
        return tests[0] if len(tests) == 1 else lambda state, experiment: all(test(state, experiment) for test in tests)

    def _one(self) -> Test:
        token = self.tokens[self.at]
        self.at += 1
        if token["not"]:
            test = self._negated()
            return lambda state, experiment: not test(state, experiment)
        if token["paren"]:
            test = self.either()
            if not self._is("paren", ")"):
                raise FilterError("A parenthesis is not closed; add one at the end.")
            self.at += 1
            return test
        return _term(token)

    def _negated(self) -> Test:
        if self.at >= len(self.tokens):
            raise FilterError('There is nothing behind "-"; say what is not looked for, as in -verdict:crashed.')
        return self._one()


def _tokens(text: str) -> Iterator[re.Match[str]]:
    at, text = 0, text.rstrip()
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None or found["open"]:
            raise FilterError('A quote is not closed; add a " at its end.')
        yield found
        at = found.end()


# --- terms ------------------------------------------------------------------------------------------------------------


def _term(token: re.Match[str]) -> Test:
    if token["quoted"] is not None:
        return _text(token["quoted"])
    if token["word"] is not None:
        return _text(token["word"])
    name, sign = token["name"], token["op"]
    value = token["phrase"] if token["phrase"] is not None else token["value"]
    return _field(name.lower(), sign, value) if not _is_constant(name) else _constant(name, sign, value)


def _is_constant(name: str) -> bool:
    return name == name.upper() and name.lower() not in NUMBERS and name.lower() not in _NAMED


def _field(name: str, sign: str, value: str) -> Test:
    if name in NUMBERS:
        return _number(name, sign, value)
    if name not in _NAMED:
        raise FilterError(
            f'There is no field "{name}"; there are {FIELDS}, and constants in capitals (DEPTH=8); quote what is text.'
        )
    if sign not in (":", "="):
        raise FilterError(f"{name} is no number; write {name}: and what it should be.")
    if not value:
        raise FilterError(f"Say which after {name}: as in {_EXAMPLES[name]}.")
    return _NAMED[name](value)


def _text(wanted: str) -> Test:
    low = wanted.casefold()

    def test(_: State, experiment: Experiment) -> bool:
        return low in _searched(experiment.id, experiment.title, experiment.hypothesis)

    return test


@lru_cache(maxsize=20_000)
def _searched(*texts: str) -> str:
    return "\n".join(texts).casefold()


def _verdict(value: str) -> Test:
    wanted: set[str] = set()
    for part in filter(None, value.lower().split(",")):
        found = {status for status in STATUSES if status.startswith(part)}
        if not found:
            raise FilterError(f'There is no verdict "{part}"; there are {", ".join(STATUSES)}.')
        wanted |= found

    def test(state: State, experiment: Experiment) -> bool:
        if not experiment.is_open:
            return experiment.status in wanted
        return "open" in wanted or word(state, experiment) in wanted

    return test


def _gpu(value: str) -> Test:
    wanted = tuple(part for part in value.casefold().split(",") if part)

    def test(state: State, experiment: Experiment) -> bool:
        return any(state.runs[run].gpu_type.casefold().startswith(wanted) for run in experiment.runs)

    return test


def _wave(value: str) -> Test:
    wanted = {f"w{part.lower().removeprefix('w')}" for part in value.split(",") if part}
    return lambda _, experiment: experiment.wave in wanted


def _id(value: str) -> Test:
    wanted = {f"e{part.lower().removeprefix('e')}" for part in value.split(",") if part}
    return lambda _, experiment: experiment.id in wanted


_NAMED: dict[str, Callable[[str], Test]] = {
    "verdict": _verdict, "status": _verdict, "is": _verdict, "gpu": _gpu, "wave": _wave, "id": _id,
}  # fmt: skip
_EXAMPLES = {
    "verdict": "verdict:kept", "status": "status:running", "is": "is:open", "gpu": "gpu:H200", "wave": "wave:12",
    "id": "id:e42",
}  # fmt: skip


def _number(name: str, sign: str, value: str) -> Test:
    sign = "=" if sign == ":" else sign
    try:
        wanted = float(value.replace("−", "-"))
    except ValueError:
        raise FilterError(f"{name}{sign} needs a number, as in {name}{sign}{_number_like(name)}.") from None
    compared, measured = OPERATORS[sign], NUMBERS[name]
    close = sign in ("=", "!=") and name in ("bpb", "delta", "sigma")  # what is shown is rounded

    def test(state: State, experiment: Experiment) -> bool:
        found = measured(state, experiment)
        return found is not None and compared(round(found, 4) if close else found, wanted)

    return test


def _number_like(name: str) -> str:
    return {"bpb": "0.98", "delta": "-0.01", "sigma": "3"}.get(name, "2")


def _sigma(experiment: Experiment) -> float | None:
    evidence = experiment.evidence
    if evidence is None or evidence.standard_error <= 0:
        return None
    return abs(evidence.delta) / evidence.standard_error


# --- constants of train.py --------------------------------------------------------------------------------------------


def _constant(name: str, sign: str, value: str) -> Test:
    sign = "=" if sign == ":" else sign
    if not value:
        raise FilterError(f"Say which value after {name}{sign} as in {name}{sign}8.")
    wanted, compared = _value(value), OPERATORS[sign]
    if sign not in ("=", "!=") and not isinstance(wanted, float):
        _raise(f"{name}{sign} needs a number, as in {name}{sign}8.")

    def test(state: State, experiment: Experiment) -> bool:
        text = constant(state, experiment, name)
        found = _value(text) if text is not None else None
        if isinstance(found, float) and isinstance(wanted, float):
            return compared(found, wanted)
        return found is not None and (found == wanted if sign == "=" else sign == "!=" and found != wanted)

    return test


def _raise(sentence: str) -> NoReturn:
    raise FilterError(sentence)


def constant(state: State, experiment: Experiment, name: str) -> str | None:
    """The source text of a constant in the experiment's train.py; None where it has none.

    Followed through the parents without making any train.py; an edit counts where it holds the whole assignment.
    """
    seen = 0
    while seen < 10_000:
        change = experiment.change
        if (found := change.settings.get(name) or experiment.cell.get(name)) is not None:
            return found
        if change.edits and (found := next((t for e in change.edits if (t := _assigned(e.replace, name))), None)):
            return found
        if (source := state.sources.get(experiment.id)) is not None:
            return _constants(source).get(name)
        parent = state.experiments.get(experiment.parent) if experiment.parent else None
        if parent is None:
            return None
        experiment, seen = parent, seen + 1
    return None


def _assigned(text: str, name: str) -> str | None:
    found = re.search(rf"^{re.escape(name)}\s*(?::[^=\n]*)?=\s*([^#\n]+)", text, re.MULTILINE)
    return found[1].strip() if found else None


@lru_cache(maxsize=64)
def _constants(source: str) -> dict[str, str]:
    return {knob.name: knob.text for knob in knobs.find(source)}


@lru_cache(maxsize=8192)
def _value(text: str) -> float | str:
    """A number, or the text without quotes and spaces: 2**19 is 524288, "SSSL" is SSSL."""
    try:
        found = knobs.value_of(text)
    except PatchError:
        return text.strip().replace(" ", "")
    if isinstance(found, bool) or not isinstance(found, int | float):
        return str(found).replace(" ", "")
    return float(found) if abs(found) < 1e300 else str(found)
