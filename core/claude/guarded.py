"""The statements of a train.py that make its result: what must stay, and where nothing may be added.

The clock is whatever decides when training ends, found backwards from the test that leaves the loop; the loss is what
the evaluator is given, found backwards from its call. Texts are compared, nothing is executed.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TypeGuard

import msgspec

from core.claude.lines import Function, Line, lines_of, name_of
from core.patch import EVALUATION, SEED_VARIABLE

BUDGET = "TIME_BUDGET"
DATA = ("make_dataloader", "load_corpus")
VALIDATION = frozenset({"val", "valid", "validation", "token_bytes"})
CLOCKS = frozenset({"clock", "time", "perf_counter", "monotonic", "process_time", "perf_counter_ns", "time_ns"})
TRAINING = frozenset({"self.training", "torch.is_grad_enabled()", "reduction == 'mean'", "reduction != 'none'"})
UNTIMED = frozenset(
    {"print", "len", "max", "min", "float", "int", "round", "abs", "str", "collect", "disable", "freeze"}
)
UNTIMED |= {"enable", "synchronize"}
PLAIN = frozenset({"max", "min", "float", "int", "len", "DEVICE"})
CASTS = frozenset({"to", "cuda", "bfloat16", "half", "float", "train", "requires_grad_", "compile"})
REPORTED = ("bpb", "---")


class Guarded(msgspec.Struct, frozen=True):
    """Texts with their counts; equal for two files of the same result. `names` decide when training ends."""

    names: tuple[str, ...]
    evaluation: dict[str, int]  # calls of the evaluator
    result: dict[str, int]  # statements that bind what it gives, or print it
    seeding: dict[str, int]  # calls that seed, and what binds the seed
    data: dict[str, int]  # uses of the corpus and of the loader's maker
    clock: dict[str, int]  # statements that decide when training ends
    untimed: dict[str, int]  # statements of the loop that the clock does not see
    work: dict[str, int]  # gradients taken outside of that loop
    loss: dict[str, int]  # what the evaluator's model gives back and where it reads the targets
    path: dict[str, int]  # what binds the names that it is called through
    attention: dict[str, int]  # calls that see the future


def guarded(tree: ast.Module) -> Guarded:
    lines = list(lines_of(tree, ""))
    loops = [line for line in lines if isinstance(line.statement, ast.While | ast.For) and _leaves(line.statement)]
    homes = frozenset({"", *(loop.scope for loop in loops)})
    near = [line for line in lines if line.scope in homes]
    deciding = _deciding(near)
    return Guarded(
        names=tuple(sorted(deciding)),
        evaluation=_counted(text for line in lines for text in line.called({EVALUATION})),
        result=_counted(_result(lines)),
        seeding=_counted(_seeding(lines)),
        data=_counted(_data(tree, lines)),
        clock=_counted((*_clock(near, deciding), *_reached(lines, deciding))),
        untimed=_counted(text for loop in loops for text in _untimed(loop.statement)),
        work=_counted(_work(tree, loops)),
        loss=_counted(_loss(lines)),
        path=_counted(_path(lines)),
        attention=_counted(text for line in lines for text in _attention(line)),
    )


def _counted(texts: Iterable[str]) -> dict[str, int]:
    return dict(Counter(texts))


def _loads(node: ast.AST) -> set[str]:
    return {each.id for each in ast.walk(node) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Load)}


def _assigns(line: Line) -> bool:
    return isinstance(line.statement, ast.Assign | ast.AnnAssign | ast.AugAssign)


# --- the result -------------------------------------------------------------------------------------------------------


def _result(lines: list[Line]) -> Iterator[str]:
    names = {name for line in lines if _assigns(line) and line.calls_any({EVALUATION}) for name in line.stores}
    for line in lines:
        if line.stores & names or (_writes(line) and any(mark in _written(line) for mark in REPORTED)):
            yield line.placed


def _writes(line: Line) -> bool:
    """Whether it may print: a call for its effect, or one whose value is thrown away or kept."""
    return bool(line.calls) and isinstance(line.statement, ast.Expr | ast.Assign | ast.AnnAssign | ast.Return)


def _written(line: Line) -> str:
    """All constant text in it, joined, so that a key cannot be cut in two."""
    texts = [node for node in line.nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    return "".join(str(node.value) for node in sorted(texts, key=lambda node: (node.lineno, node.col_offset)))


# --- seed and data ----------------------------------------------------------------------------------------------------


def _seeding(lines: list[Line]) -> Iterator[str]:
    makers: set[str] = set()
    for line in lines:
        for node in line.nodes:
            match node:
                case ast.Call(func=function) if "seed" in name_of(function).lower():
                    yield ast.unparse(node)
                case ast.Attribute(attr=attr) if "seed" in attr.lower():
                    yield f".{attr}"
                case ast.keyword(arg=str(name)) if "seed" in name:
                    yield ast.unparse(node)
        if any("seed" in name.lower() for name in line.stores) or SEED_VARIABLE in _written(line):
            makers |= {name_of(call.func) for call in line.calls}
            yield line.placed
    yield from _whole(lines, makers)


def _whole(lines: list[Line], names: Iterable[str]) -> Iterator[str]:
    """Functions of the module, with their bodies."""
    for line in lines:
        if not line.scope and isinstance(line.statement, Function) and line.statement.name in names:
            yield ast.unparse(line.statement)


def _data(tree: ast.Module, lines: list[Line]) -> Iterator[str]:
    """How the corpus is read: the loader may be made with other rows, and nothing else of it may differ."""
    corpora = {name for line in lines if _assigns(line) and line.calls_any({DATA[1]}) for name in line.stores}
    for node in ast.walk(tree):
        match node:
            case ast.Call(args=args, keywords=keywords) if name_of(node.func) == DATA[0]:
                starred = any(isinstance(each, ast.Starred) for each in args)
                yield f"{DATA[0]}: {len(args)} {sorted(k.arg or '**' for k in keywords)} {starred}"
            case ast.Attribute(value=ast.Name(id=name)) if name in corpora:
                yield ast.unparse(node)
            case ast.Name(id=name) if name in corpora or name in DATA:
                yield name
            case ast.Attribute(attr=attr) if attr in VALIDATION:
                yield f".{attr}"


# --- the clock --------------------------------------------------------------------------------------------------------


def _leaves(loop: ast.While | ast.For) -> bool:
    """Whether the budget ends it."""
    own = isinstance(loop, ast.While) and BUDGET in _loads(loop.test)
    return own or any(_ends(each) for each in ast.walk(loop))


def _ends(node: ast.AST) -> bool:
    """Whether it leaves a loop when the budget is spent."""
    if not isinstance(node, ast.If) or BUDGET not in _loads(node.test):
        return False
    return any(isinstance(each, ast.Break | ast.Return) for each in ast.walk(node))


def _deciding(lines: list[Line]) -> frozenset[str]:
    """Names that the end of training depends on, through any number of assignments."""
    names: set[str] = set()
    for line in lines:
        if _ends(line.statement) or (isinstance(line.statement, ast.While) and BUDGET in line.loads):
            names |= line.loads
    made = [line for line in lines if _assigns(line)]
    while more := {name for line in made if line.stores & names for name in line.loads} - names:
        names |= more
    return frozenset(names - PLAIN)


def _clock(lines: list[Line], deciding: frozenset[str]) -> Iterator[str]:
    for line in lines:
        tests = isinstance(line.statement, ast.If | ast.While) and BUDGET in line.loads
        if tests or (line.stores & deciding and not isinstance(line.statement, ast.ClassDef)):
            yield line.placed
    yield from _whole(lines, deciding)


def _reached(lines: list[Line], deciding: frozenset[str]) -> Iterator[str]:
    """Other functions that take hold of those names."""
    for line in lines:
        if isinstance(line.statement, ast.Global | ast.Nonlocal) and deciding & set(line.statement.names):
            yield line.text


def _untimed(loop: ast.stmt) -> Iterator[str]:
    """Statements before the clock is first read or after it is last read, if they call more than what prints."""
    body = getattr(loop, "body", [])
    reads = [place for place, each in enumerate(body) if _calls_any(each, CLOCKS)]
    if len(reads) < 2:
        return
    for place, each in enumerate(body):
        if not reads[0] <= place <= reads[-1] and (not _is_light(each) or _jumps(each)):
            yield ast.unparse(each)


def _calls_any(node: ast.AST, names: frozenset[str]) -> bool:
    return any(isinstance(each, ast.Call) and name_of(each.func) in names for each in ast.walk(node))


def _is_light(statement: ast.stmt) -> bool:
    return all(name_of(node.func) in UNTIMED for node in ast.walk(statement) if isinstance(node, ast.Call))


def _jumps(statement: ast.stmt) -> bool:
    return any(isinstance(node, ast.Continue) for node in ast.walk(statement))


def _work(tree: ast.Module, loops: list[Line]) -> Iterator[str]:
    inside = {id(node) for loop in loops for node in ast.walk(loop.statement)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and id(node) not in inside and _is_gradient(node):
            yield ast.unparse(node)


def _is_gradient(node: ast.Attribute) -> bool:
    return node.attr == "backward" or (node.attr == "grad" and name_of(node.value) == "autograd")


# --- the loss ---------------------------------------------------------------------------------------------------------


def _loss(lines: list[Line]) -> Iterator[str]:
    """Of functions that take a `reduction`: returns, decorators and looks at the targets, except in training."""
    known = {id(line.statement): line for line in lines}
    for line in lines:
        function = line.statement
        if not isinstance(function, Function) or "reduction" not in (arguments := _arguments(function)):
            continue
        answer = {name for name in arguments if name.startswith("target") or name in ("y", "labels", "reduction")}
        yield from (f"@{ast.unparse(each)} in {line.scope}" for each in function.decorator_list)
        for each in map(known.__getitem__, map(id, _outside_training(function.body))):
            if isinstance(each.statement, ast.Return) or each.stores & answer or each.loads & answer:
                yield f"{each.placed} in {each.scope}"


def _arguments(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    every = (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs)
    return [each.arg for each in every]


def _outside_training(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements, at any depth, that may run while the model is evaluated."""
    for each in body:
        if isinstance(each, ast.If) and _is_training(each.test):
            yield from _outside_training(each.orelse)
            continue
        yield each
        for field in ("body", "orelse", "finalbody"):
            yield from _outside_training(getattr(each, field, []))
        for handler in (*getattr(each, "handlers", []), *getattr(each, "cases", [])):
            yield from _outside_training(handler.body)


def _is_training(test: ast.expr) -> bool:
    if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And):
        return any(_is_training(part) for part in test.values)
    return ast.unparse(test) in TRAINING


def _path(lines: list[Line]) -> Iterator[str]:
    """From the evaluator's first argument back to the model: `losses`, what it calls, what that was made of."""
    calls = [(line, call) for line in lines for call in line.calls if name_of(call.func) == EVALUATION]
    homes = {"", *(line.scope for line, _ in calls)}
    near = [line for line in lines if line.scope in homes]
    names = {each.id for _, call in calls for each in call.args[:1] if isinstance(each, ast.Name)}
    within = {f"{line.scope}.{name}" for line in near for name in line.stores & names}
    names |= {call.func.id for line in lines if line.scope in within for call in line.calls if _isown_parts(call.func)}
    names |= {name for line in near if _assigns(line) and line.stores & names for name in line.loads if name == "model"}
    bound = [line for line in near if line.stores & names and not isinstance(line.statement, ast.ClassDef)]
    yield from (f"{sorted(line.stores & names)} {_made(line)}" for line in bound)
    yield from _classes(lines, {name_of(call.func) for line in bound if _assigns(line) for call in line.calls})


def _classes(lines: list[Line], made: set[str]) -> Iterator[str]:
    """What the model is made of: the head of its class and the arguments of its forward, and that it is bound once."""
    own = {line.statement.name for line in lines if isinstance(line.statement, ast.ClassDef)} & made
    for line in lines:
        if line.stores & own:
            yield f"{_class_head(line.statement)} in {line.scope}"
        if line.scope.rpartition(".")[2] in own and "forward" in line.stores:
            yield f"{line.text} in {line.scope}"


def _class_head(statement: ast.stmt) -> str:
    return ast.unparse(statement).partition("\n")[0]


def _isown_parts(function: ast.expr) -> TypeGuard[ast.Name]:
    return isinstance(function, ast.Name)


def _made(line: Line) -> str:
    """How a name on that path is bound; which options a compiler or `.to` gets does not matter."""
    value = getattr(line.statement, "value", None)
    return _bare(value) if isinstance(value, ast.expr) else line.text


def _bare(value: ast.expr) -> str:
    match value:
        case ast.IfExp(body=body, orelse=orelse):
            return f"{_bare(body)} or {_bare(orelse)}"
        case ast.Call(func=ast.Attribute(value=ast.Name(id="torch"), attr="compile"), args=[inner]):
            return _bare(inner)
        case ast.Call(func=ast.Attribute(value=inner, attr=attr)) if attr in CASTS:
            return _bare(inner)
    return ast.unparse(value)


# --- what may be seen -------------------------------------------------------------------------------------------------


def _attention(line: Line) -> Iterator[str]:
    """Calls of attention without a causal mask."""
    for call in line.calls:
        given = {each.arg: ast.unparse(each.value) for each in call.keywords}
        masked = given.get("is_causal") == "True" or given.get("attn_mask", "None") != "None" or len(call.args) > 3
        if name_of(call.func) == "scaled_dot_product_attention" and not masked:
            yield ast.unparse(call)
