"""Finds in a train.py whatever reaches beyond training: imports, builtins, attributes and stores.

A finding is a reason and the whole expression it stands in, so that what a parent had already can be told apart from
what a change adds. Names are resolved through imports; nothing is executed. It judges nothing.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import NamedTuple


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


SAFE_MODULES = _words(
    "__future__ abc bisect cmath collections contextlib copy dataclasses decimal enum fractions functools heapq"
    " itertools math numbers operator statistics string textwrap torch typing typing_extensions warnings"
)
# Known to the parent, perhaps, but every new use of them is looked at: files, processes, the clock, the evaluator.
RISKY_MODULES = _words(
    "os sys io time pathlib prepare corpus subprocess shutil socket random secrets datetime tempfile glob gc"
    " threading multiprocessing importlib ctypes builtins inspect types signal atexit pickle marshal ast json"
    " hashlib numpy urllib http requests asyncio codecs code runpy weakref logging platform resource"
)
HARMLESS = _words(  # what is used of them all the same
    "gc.collect gc.disable gc.enable gc.freeze prepare.MAX_SEQ_LEN prepare.VOCABULARY_SIZE prepare.DEVICE"
    " prepare.TIME_BUDGET prepare.make_dataloader"
)
TORCH_DOORS = (  # dotted beginnings that lead out of training
    *("torch.hub", "torch.utils.cpp_extension", "torch.utils.model_zoo", "torch.utils.data", "torch.utils.tensorboard"),
    *("torch.distributed", "torch.multiprocessing", "torch.package", "torch.serialization", "torch.jit", "torch._C"),
    *("torch.overrides", "torch.library", "torch.utils._python_dispatch", "torch.ops", "torch.classes", "torch.save"),
    *("torch.load", "torch.from_file", "torch.seed", "torch.random.seed", "torch.onnx", "torch.export", "torch.fx"),
)
BUILTINS = _words(
    "exec eval compile open __import__ globals locals vars dir input breakpoint memoryview help exit quit copyright"
    " license credits __builtins__ __loader__ __spec__ __file__ SystemExit KeyboardInterrupt"
)
REFLECTION = frozenset({"getattr", "setattr", "delattr", "hasattr"})
ATTRIBUTES = _words(  # whatever they are taken from
    "os sys io subprocess socket shutil importlib ctypes builtins pathlib inspect codecs linecache"
    " hub cpp_extension load_library load_inline load_state_dict_from_url download_url_to_file from_file"
    " fromfile memmap tofile save load loadtxt savetxt genfromtxt read_text read_bytes write_text write_bytes unlink"
    " rmdir iterdir rglob glob symlink_to system popen Popen check_output environ getenv putenv urlopen urlretrieve"
    " meta_path _getframe settrace setprofile stdout stderr excepthook exec_module load_module"
    " import_module find_spec get_referrers get_objects attrgetter methodcaller make_dataclass open"
    " register_forward_hook register_forward_pre_hook register_module_forward_hook _forward_hooks _call_impl"
    " register_module_forward_pre_hook register_load_state_dict_post_hook reset_peak_memory_stats"
    " reset_max_memory_allocated f_globals f_locals f_back f_builtins gi_frame cr_frame tb_frame tb_next gi_code"
    " func_globals co_code TorchFunctionMode TorchDispatchMode finalize enable_grad set_grad_enabled get_type_hints"
    " ForwardRef evaluate_forward_ref"
)
DUNDERS = _words(  # plain ones, loaded or defined
    "__init__ __post_init__ __len__ __iter__ __next__ __getitem__ __setitem__ __contains__ __enter__ __exit__ __repr__"
    " __str__ __add__ __mul__ __sub__ __name__ __doc__ __all__ __slots__ __version__ __annotations__ __call__"
    " __main__ __future__"
)
NOT_BOUND = _words("print float str int round min max sum len repr format isinstance range zip super type abs sorted")
PRIVATE = ("torch._dynamo", "torch._inductor.config", "torch._functorch.config", "torch._foreach_", "torch._scaled_mm")
TUNABLE = ("torch.backends", "torch._dynamo.config", "torch._inductor.config", "torch._functorch.config")


class Finding(NamedTuple):
    reason: str  # a sentence without its full stop, with what to do
    where: str  # the expression or statement it stands in, as text


class Names(NamedTuple):
    """Local names and where they come from: {"F": "torch.nn.functional"}."""

    origins: dict[str, str]

    def dotted(self, node: ast.expr) -> str:
        """ "torch.nn.functional.relu" of an attribute chain that begins at an import; "" of any other."""
        match node:
            case ast.Name(id=name):
                return self.origins.get(name, "")
            case ast.Attribute(value=value, attr=attr):
                return f"{start}.{attr}" if (start := self.dotted(value)) else ""
        return ""


def names_of(tree: ast.AST) -> Names:
    origins: dict[str, str] = {}
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                for alias in names:
                    top = alias.name.partition(".")[0]
                    origins[alias.asname or top] = alias.name if alias.asname else top
            case ast.ImportFrom(module=module, names=names):
                origins.update({alias.asname or alias.name: f"{module or ''}.{alias.name}" for alias in names})
    return Names(origins)


def imported(tree: ast.AST) -> Iterator[tuple[str, str, str]]:
    """(module, name or "", local name) of every import."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from ((alias.name, "", alias.asname or alias.name) for alias in names)
            case ast.ImportFrom(module=module, names=names, level=level):
                yield from (("." * level + (module or ""), alias.name, alias.asname or alias.name) for alias in names)


def findings(tree: ast.AST, allowed: frozenset[str]) -> Iterator[Finding]:
    """In the order of the source; imports are not among them."""
    names = names_of(tree)
    yield from _within(tree, None, names, allowed)


def _within(node: ast.AST, around: ast.expr | None, names: Names, allowed: frozenset[str]) -> Iterator[Finding]:
    """`around` is the outermost expression that the node belongs to."""
    if isinstance(node, ast.expr) and around is None:
        around = node
    for reason in _reasons(node, names, allowed):
        yield Finding(reason, ast.unparse(around) if around is not None else _head(node))
    for child in ast.iter_child_nodes(node):
        yield from _within(child, around, names, allowed)


def _head(node: ast.AST) -> str:
    return ast.unparse(node).partition("\n")[0]


def _reasons(node: ast.AST, names: Names, allowed: frozenset[str]) -> Iterator[str]:
    match node:
        case ast.Name(id=name):
            yield from _of_name(node, name, names, allowed)
        case ast.Attribute(attr=attr):
            yield from _of_attribute(node, attr, names, allowed)
        case ast.Call(func=ast.Name(id=name)) if name in REFLECTION:
            yield from _of_reflection(node, name)
        case ast.Constant(value=str(text)) if _is_dunder(text) and text not in DUNDERS:
            yield f"it names {text} in a string, which reaches into Python itself; write plain model code"
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
            yield from _of_function(name, names)
        case ast.ClassDef(name=name):
            if node.keywords:
                yield f"the class {name} has a metaclass or options; make it a plain class"
            yield from _of_binding(name, names)
        case ast.arg(arg=str(name)) | ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)):
            yield from _of_binding(name, names)


def _of_function(name: str, names: Names) -> Iterator[str]:
    if name == "__call__":
        yield "it defines __call__, which may stand before a model's forward; give the method a plain name"
    elif _is_dunder(name) and name not in DUNDERS:
        yield f"it defines {name}, which acts behind the code that is read; give the method a plain name"
    yield from _of_binding(name, names)


def _of_binding(name: str, names: Names) -> Iterator[str]:
    if name in names.origins or name in NOT_BOUND:
        yield f"it binds {name} again, which is imported or Python's own; take another name"


def _of_name(node: ast.Name, name: str, names: Names, allowed: frozenset[str]) -> Iterator[str]:
    if name in BUILTINS or (_is_dunder(name) and name not in DUNDERS):
        yield f"it uses {name}, which reaches beyond training; write plain model code"
    elif name in REFLECTION:
        yield f"it uses {name}, which hides what is touched; name the attribute plainly"
    if isinstance(node.ctx, ast.Load):
        yield from _of_origin(names.origins.get(name, ""), allowed)
    else:
        yield from _of_binding(name, names)


def _of_attribute(node: ast.Attribute, attr: str, names: Names, allowed: frozenset[str]) -> Iterator[str]:
    origin = names.dotted(node)
    if origin and origin.partition(".")[0] in allowed:
        return
    if isinstance(node.ctx, ast.Load):
        if any(origin == door or origin.startswith(f"{door}.") for door in TORCH_DOORS):
            yield f"it uses {origin}, which leads out of training; leave it out"
            return
        yield from _of_private(origin)
    elif origin and not origin.startswith(TUNABLE):
        yield f"it assigns to {origin}, which belongs to a library or to prepare.py; leave it as it is"
    elif attr in ("forward", "training") or _is_dunder(attr):
        yield f"it replaces .{attr} from outside; change the class instead"
    if attr in ATTRIBUTES:
        yield f"it uses .{attr}, which reaches files, processes or the measurement; leave it out"
    elif _is_dunder(attr) and attr not in DUNDERS:
        yield f"it uses {attr}, which reaches into Python itself; write plain model code"


def _of_private(origin: str) -> Iterator[str]:
    """What a module keeps to itself, other modules that it imports among it."""
    top, *rest = origin.split(".")
    hidden = [part for part in rest if part.startswith("_") and not _is_dunder(part)]
    lent = [part for part in rest if part in RISKY_MODULES] if top != "torch" else []
    if top and (hidden or lent) and not origin.startswith(PRIVATE):
        yield f"it uses {origin}, which a module keeps to itself; leave it out"


def _of_origin(origin: str, allowed: frozenset[str]) -> Iterator[str]:
    module = origin.partition(".")[0]
    if not module or module in allowed or origin in HARMLESS:
        return
    if module in RISKY_MODULES:
        yield f"it adds a use of {origin}; files, processes, the clock and the evaluator stay as they are"
    elif origin.startswith(TORCH_DOORS) or origin.rpartition(".")[2] in ATTRIBUTES:
        yield f"it uses {origin}, which leads out of training; leave it out"


def _of_reflection(node: ast.Call, name: str) -> Iterator[str]:
    """Already told by the name itself: here only that it is said once per call, with its arguments."""
    if len(node.args) > 1 and not isinstance(node.args[1], ast.Constant):
        yield f"it uses {name} with a computed name, which hides what is touched; name the attribute plainly"


def _is_dunder(name: str) -> bool:
    return len(name) > 4 and name.startswith("__") and name.endswith("__")
