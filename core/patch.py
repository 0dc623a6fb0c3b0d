"""A change to train.py: applied, checked before it costs a GPU-second, told apart from others, shown.

Nothing is executed. The checks catch what would waste a run or make its result meaningless (the evaluation gone or
replaced, the seed ignored, no change at all); they are no sandbox and do not know whether a change is a good idea.
"""

from __future__ import annotations

import ast
import difflib
import warnings
from collections.abc import Callable, Iterator
from functools import lru_cache

import msgspec

from core import knobs
from core.errors import PatchError
from core.literals import has_text
from core.shapes import digest as digest

MAX_BYTES = 2_000_000
SEED_VARIABLE = "AUTORESEARCH_SEED"
EVALUATION = "evaluate_bpb"
PROTECTED = (EVALUATION, "TIME_BUDGET")  # imported from the evaluator's module, never to be replaced in train.py
SEEDING = frozenset({"manual_seed", "seed"})  # torch.manual_seed, mx.random.seed, …

_JUNK_LINES = 3000  # longer files are compared with difflib's autojunk, or equal lines would cost minutes


class Edit(msgspec.Struct, frozen=True):
    """`search` occurs exactly once in the source and becomes `replace`."""

    search: str
    replace: str


class Change(msgspec.Struct, frozen=True):
    """What an experiment does to its parent: edits in order, then constants set to new source texts."""

    settings: dict[str, str] = {}
    edits: tuple[Edit, ...] = ()


class _Facts(msgspec.Struct, frozen=True):
    """What the checks look at in one train.py."""

    calls: frozenset[str]  # last names of what is called, import aliases resolved
    bound: frozenset[str]  # names assigned, defined or taken as a parameter anywhere; `x` for `module.x = …` too
    imports: frozenset[tuple[str, str]]  # (name in its module, module), for `from module import name`
    modules: dict[str, str]  # local name -> module, for `import module`
    stored_on: frozenset[str]  # local names whose attributes are assigned
    strings: frozenset[str]


def apply(source: str, change: Change) -> str:
    """The source after the change. Raises PatchError with a sentence for the researcher."""
    for number, edit in enumerate(change.edits, 1):
        source = _replace(source, edit, f"Edit {number}" if len(change.edits) > 1 else "The edit")
    return knobs.settings(source, change.settings) if change.settings else source


def check(source: str, parent: str) -> str | None:
    """Why this train.py must not run, as one sentence; None if it may."""
    if len(source.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        return f"train.py is larger than {MAX_BYTES // 1_000_000} MB; keep data out of it."
    numbers = _differs_in_numbers(source, parent)
    if reason := _does_not_compile(parent if numbers else source):
        return reason
    if digest(source, like=parent) == digest(parent):
        return "train.py does the same as its parent: nothing but comments or layout differs."
    try:
        old = _facts(parent)
        new = old if numbers else _facts(source)
    except knobs.UNPARSABLE:
        return None  # the parent does not parse, so there is nothing that it kept
    return next((reason for rule in RULES if (reason := rule(new, old))), None)


def _differs_in_numbers(source: str, parent: str) -> bool:
    """Whether only constants differ and no text among them: then it compiles and names what its parent does."""
    changed = knobs.variant(source, parent)
    before = {knob.name: knob for knob in knobs.find(parent)}
    return changed is not None and not any(
        has_text(knob.value) for name in changed for knob in (changed[name], before[name])
    )


def diff(old: str, new: str, *, context: int = 3, name: str = "train.py") -> str:
    """A unified diff, "" for equal texts. Every line counts, however common (difflib would ignore popular ones)."""
    before, after = _lines(old), _lines(new)
    hunks = list(_matcher(before, after).get_grouped_opcodes(context))
    if not hunks or old == new:
        return ""
    lines = [f"--- a/{name}\n", f"+++ b/{name}\n"]
    for hunk in hunks:
        first, last = hunk[0], hunk[-1]
        lines.append(f"@@ -{_range(first[1], last[2])} +{_range(first[3], last[4])} @@\n")
        lines.extend(_marked(line) for line in _hunk(hunk, before, after))
    return "".join(lines)


def summary(old: str, new: str) -> str:
    """A change in a few words: "DEPTH 4 → 2, MATRIX_LR 0.04 → 0.08", "+12 −3 lines", or both."""
    if old == new:
        return "no change"
    before = {knob.name: knob for knob in knobs.find(old)}
    after = {knob.name: knob for knob in knobs.find(new)}
    changed = [name for name in after if name in before and repr(after[name].value) != repr(before[name].value)]
    told = [f"{name} {_flat(before[name].text)} → {_flat(after[name].text)}" for name in changed]
    shown = [*told[:4], *([f"{len(told) - 4} more"] if len(told) > 4 else [])]
    rest = _with_texts(old, {name: after[name].text for name in changed})
    if digest(rest) != digest(new):
        shown.append(_counted(rest, new))
    return ", ".join(shown) or "comments or layout only"


# -- applying --------------------------------------------------------------------------------------------------------


def _replace(source: str, edit: Edit, which: str) -> str:
    search, replace = (_with_newlines_of(source, text) for text in (edit.search, edit.replace))
    if not search:
        raise PatchError(f"{which} has an empty search text; give the lines that are to be replaced.")
    found = _occurrences(source, search)
    if not found:
        raise PatchError(f"{which} matches nothing in train.py: {_nearest(source, search)}.")
    if len(found) > 1:
        lines = ", ".join(str(source.count("\n", 0, start) + 1) for start in found[:5])
        more = " and more" if len(found) > 5 else ""
        raise PatchError(f"{which} matches {len(found)} places (lines {lines}{more}); add lines that make it unique.")
    return source[: found[0]] + replace + source[found[0] + len(search) :]


def _with_newlines_of(source: str, text: str) -> str:
    """Models write \\n; a file that only knows \\r\\n is searched and extended with those."""
    if "\r\n" in source and source.count("\n") == source.count("\r\n"):
        return text.replace("\r\n", "\n").replace("\n", "\r\n")
    return text


def _occurrences(source: str, search: str) -> list[int]:
    """Where it starts, overlaps included; at most 1,000."""
    found: list[int] = []
    start = source.find(search)
    while start >= 0 and len(found) < 1000:
        found.append(start)
        start = source.find(search, start + 1)
    return found


def _nearest(source: str, search: str) -> str:
    wanted = next((line.strip() for line in search.splitlines() if line.strip()), "")[:200]
    numbers: dict[str, int] = {}
    for number, line in enumerate(source.split("\n")[:20_000], 1):
        numbers.setdefault(line.strip()[:200], number)
    near = difflib.get_close_matches(wanted, numbers, 2, 0.5)
    if not near:
        return f"no line is like {_flat(wanted, 60)!r}; copy the search text from the current file"
    shown = " and ".join(f"line {numbers[line]} is {_flat(line, 80)!r}" for line in near)
    return f"the nearest {shown}; copy the search text exactly"


# -- checking --------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=32)
def _does_not_compile(source: str) -> str | None:
    try:
        tree = knobs.parse(source)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(tree, "train.py", "exec", dont_inherit=True)
    except SyntaxError as error:
        return f"train.py does not compile: {error.msg} (line {error.lineno})."
    except (RecursionError, MemoryError):
        return "train.py does not compile: its expressions are nested too deeply."
    except ValueError as error:
        return f"train.py does not compile: {error}."
    return None


@lru_cache(maxsize=32)
def _facts(source: str) -> _Facts:
    nodes = list(ast.walk(knobs.parse(source)))
    aliases = {a.asname or a.name: a.name for n in nodes if isinstance(n, ast.ImportFrom) for a in n.names}
    return _Facts(
        calls=frozenset(aliases.get(name, name) for n in nodes if isinstance(n, ast.Call) and (name := _last(n.func))),
        bound=frozenset(aliases.get(name, name) for n in nodes for name in _bindings(n)),
        imports=frozenset((a.name, n.module or "") for n in nodes if isinstance(n, ast.ImportFrom) for a in n.names),
        modules={a.asname or a.name: a.name for n in nodes if isinstance(n, ast.Import) for a in n.names},
        stored_on=frozenset(
            n.value.id
            for n in nodes
            if isinstance(n, ast.Attribute) and not isinstance(n.ctx, ast.Load) and isinstance(n.value, ast.Name)
        ),
        strings=frozenset(n.value for n in nodes if isinstance(n, ast.Constant) and isinstance(n.value, str)),
    )


def _last(node: ast.expr) -> str:
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""


def _bindings(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.Name(id=name, ctx=ast.Store() | ast.Del()) | ast.Attribute(attr=name, ctx=ast.Store() | ast.Del()):
            yield name
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name) | ast.arg(arg=name):
            yield name
        case ast.Import(names=names):
            yield from (alias.asname or alias.name for alias in names)


def _homes(facts: _Facts, name: str) -> set[str]:
    """The modules that `name` comes from; `prepare` for `import prepare` where nothing imports the name itself."""
    named = {module for original, module in facts.imports if original == name}
    return named or {"prepare"} & set(facts.modules.values())


def _still_evaluates(new: _Facts, old: _Facts) -> str | None:
    if EVALUATION in old.calls - new.calls:
        return f"train.py no longer calls {EVALUATION}, so its run would have no result; keep the call."
    return None


def _evaluates_with_the_same(new: _Facts, old: _Facts) -> str | None:
    homes = _homes(old, EVALUATION)
    if EVALUATION in old.calls and homes and _homes(new, EVALUATION) != homes:
        return f"{EVALUATION} no longer comes from {_and(homes)}, so results could not be compared; keep its import."
    return None


def _replaces_nothing_protected(new: _Facts, old: _Facts) -> str | None:
    for name in PROTECTED:
        if (homes := _homes(old, name)) and name in new.bound - old.bound:
            return f"train.py redefines {name}, which {_and(homes)} decides; leave it as it is imported."
    if EVALUATION in new.strings - old.strings:
        return f"train.py names {EVALUATION} in a string, which could replace it; call it plainly."
    return None


def _leaves_the_evaluator_alone(new: _Facts, old: _Facts) -> str | None:
    homes = _homes(old, EVALUATION)
    touched = {new.modules[name] for name in new.stored_on - old.stored_on if new.modules.get(name) in homes}
    return f"train.py assigns to attributes of {_and(touched)}, which is read-only." if touched else None


def _keeps_the_seed_variable(new: _Facts, old: _Facts) -> str | None:
    if any(SEED_VARIABLE in text for text in old.strings) and not any(SEED_VARIABLE in text for text in new.strings):
        return f"train.py no longer reads {SEED_VARIABLE}, so replicates would repeat one seed; keep that line."
    return None


def _keeps_seeding(new: _Facts, old: _Facts) -> str | None:
    if lost := sorted(old.calls & SEEDING - new.calls):
        return f"train.py no longer calls {lost[0]}, so its result would depend on chance; keep the seeding."
    return None


def _and(names: set[str]) -> str:
    return " and ".join(sorted(names))


def _still_reports(new: _Facts, old: _Facts) -> str | None:
    if any("val_bpb:" in text for text in old.strings) and not any("val_bpb:" in text for text in new.strings):
        return 'train.py no longer prints "val_bpb:", so its result could not be read; keep the closing block.'
    return None


RULES: tuple[Callable[[_Facts, _Facts], str | None], ...] = (
    _still_evaluates,
    _evaluates_with_the_same,
    _replaces_nothing_protected,
    _leaves_the_evaluator_alone,
    _keeps_the_seed_variable,
    _keeps_seeding,
    _still_reports,
)


# -- telling apart and showing ---------------------------------------------------------------------------------------


def _matcher(before: list[str], after: list[str]) -> difflib.SequenceMatcher[str]:
    return difflib.SequenceMatcher(None, before, after, autojunk=max(len(before), len(after)) > _JUNK_LINES)


_Opcodes = list[tuple[str, int, int, int, int]]


def _hunk(hunk: _Opcodes, before: list[str], after: list[str]) -> Iterator[str]:
    for tag, old_start, old_end, new_start, new_end in hunk:
        if tag == "equal":
            yield from (" " + line for line in before[old_start:old_end])
            continue
        yield from ("-" + line for line in before[old_start:old_end])
        yield from ("+" + line for line in after[new_start:new_end])


def _lines(text: str) -> list[str]:
    """Lines with their ends; only \n ends one, or a form feed in the source would end a line of the diff."""
    *whole, last = text.split("\n")
    return [line + "\n" for line in whole] + ([last] if last else [])


def _marked(line: str) -> str:
    return line if line.endswith("\n") else line + "\n\\ No newline at end of file\n"


def _range(start: int, stop: int) -> str:
    """As in difflib and POSIX: 1-based, the length left out when it is 1, the line before when it is 0."""
    length = stop - start
    if length == 1:
        return str(start + 1)
    return f"{start + bool(length)},{length}"


def _with_texts(source: str, texts: dict[str, str]) -> str:
    try:
        return knobs.settings(source, texts)
    except PatchError:
        return source


def _counted(old: str, new: str) -> str:
    codes = _matcher(_lines(old), _lines(new)).get_opcodes()
    added = sum(code[4] - code[3] for code in codes if code[0] != "equal")
    removed = sum(code[2] - code[1] for code in codes if code[0] != "equal")
    return f"+{added} −{removed} lines"


def _flat(text: str, limit: int = 24) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= limit else flat[: limit - 1] + "…"
