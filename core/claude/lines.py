"""A train.py as lines: each statement without those within it, with the names that it binds, reads and calls."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from typing import NamedTuple

Function = ast.FunctionDef | ast.AsyncFunctionDef
_HOLDING = ast.If | ast.For | ast.While | ast.With | ast.Try | ast.Match


class Line(NamedTuple):
    """One statement without those within it.

    `scope` is the function or class that it stands in, "" for the module; `under` the head of what it depends on there.
    """

    statement: ast.stmt
    scope: str
    under: str
    stores: frozenset[str]
    loads: frozenset[str]
    calls: tuple[ast.Call, ...]
    nodes: tuple[ast.AST, ...]

    @property
    def placed(self) -> str:
        """Its text, and on what it depends: the same line under another condition is another line."""
        return f"{self.text} ({self.under})" if self.under else self.text

    @property
    def text(self) -> str:
        """Of a simple statement all of it; of a compound one its head."""
        if isinstance(self.statement, Function):
            return f"def {self.statement.name}({ast.unparse(self.statement.args)})"
        text = ast.unparse(self.statement)
        return text if not getattr(self.statement, "body", None) else text.partition("\n")[0]

    def called(self, names: Iterable[str]) -> list[str]:
        return [ast.unparse(call) for call in self.calls if name_of(call.func) in names]

    def calls_any(self, names: Iterable[str]) -> bool:
        return any(name_of(call.func) in names for call in self.calls)


def lines_of(node: ast.AST, scope: str, under: str = "") -> Iterator[Line]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, Function | ast.ClassDef):
            yield _line(child, scope, under)
            yield from lines_of(child, f"{scope}.{child.name}")
        elif isinstance(child, ast.stmt):
            yield _line(child, scope, under)
            yield from lines_of(child, scope, _head(child))
        elif not isinstance(child, ast.expr):
            yield from lines_of(child, scope, under)  # handlers and cases hold statements


def _head(statement: ast.stmt) -> str:
    return ast.unparse(statement).partition("\n")[0] if isinstance(statement, _HOLDING) else ""


def _line(statement: ast.stmt, scope: str, under: str) -> Line:
    nodes = [node for child in own_parts(statement) for node in ast.walk(child)]
    names = [node for node in nodes if isinstance(node, ast.Name)]
    bound = {node.id for node in names if not isinstance(node.ctx, ast.Load)}
    loads = {node.id for node in names if isinstance(node.ctx, ast.Load)}
    if isinstance(statement, Function | ast.ClassDef):
        bound.add(statement.name)
    if isinstance(statement, ast.AugAssign):
        loads |= bound
    calls = tuple(node for node in nodes if isinstance(node, ast.Call))
    return Line(statement, scope, under, frozenset(bound), frozenset(loads), calls, tuple(nodes))


def own_parts(statement: ast.stmt) -> list[ast.AST]:
    """What belongs to it and is no statement."""
    return [
        child
        for child in ast.iter_child_nodes(statement)
        if not isinstance(child, ast.stmt | ast.excepthandler | ast.match_case)
    ]


def name_of(node: ast.expr) -> str:
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""
