"""The process that becomes a run: forked by the supervisor and stripped of everything of it.

Cold, it then executes the order's command. Warm, it goes on in the forked interpreter, which has imported the slow
modules already, and does what `python train.py` would have done. Imports the standard library alone: the workspace's
Python runs it.
"""

from __future__ import annotations

import atexit
import builtins
import contextlib
import gc
import importlib
import os
import resource
import signal
import site
import sys
import threading
import time
import traceback
import types
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

LINUX = sys.platform.startswith("linux")
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36


@dataclass
class Order:
    """What to run, and within which limits."""

    run: str
    folder: Path
    gpu: str  # only noted, for whoever adopts the run
    argv: list[str]
    script: str
    env: dict[str, str]
    cpus: list[int] | None
    warm: bool
    timeout_s: float
    grace_s: float  # from SIGTERM to SIGKILL
    output_bytes: int
    memory_mb: int  # 0: no limit

    @classmethod
    def of(cls, op: dict[str, Any]) -> Order:
        """Raises KeyError, TypeError, AttributeError, ArithmeticError or ValueError if it is none."""
        return cls(
            run=str(op["run"]),
            folder=Path(op["folder"]),
            gpu=str(op.get("gpu", "")),
            argv=[str(part) for part in op["argv"]],
            script=str(op["script"]),
            env={str(name): str(value) for name, value in op["env"].items()},
            cpus=None if op["cpus"] is None else [int(cpu) for cpu in op["cpus"]],
            warm=op.get("warm") is True,
            timeout_s=float(op["timeout_s"]),
            grace_s=float(op["grace_s"]),
            output_bytes=int(op["output_bytes"]),
            memory_mb=int(op["memory_mb"]),
        )


def prctl(option: int, value: int) -> None:
    """Does nothing where there is no such call."""
    if LINUX:
        with contextlib.suppress(ImportError):
            import ctypes

            ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def become(order: Order, output: int, warm: bool, supervisor: int) -> NoReturn:
    """Called in the forked child; `output` is where it prints to, `supervisor` the process it was forked from."""
    code = 127
    try:
        isolate(order, output, supervisor)
        if warm:
            code = perform(order)
        else:
            os.execvpe(order.argv[0], order.argv, order.env)  # noqa: S606  no shell is the point
    except BaseException as error:
        os.write(2, f"cannot start {' '.join(order.argv)}: {error}\n".encode(errors="replace"))
    finally:
        os._exit(code)  # whatever happened: there must never be a second supervisor


def isolate(order: Order, output: int, supervisor: int) -> None:
    os.setsid()
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != supervisor:  # it died before that call
        os._exit(127)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    close_the_rest()
    os.chdir(order.folder)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError):  # if memory runs out, the run goes first and the engine stays
        Path("/proc/self/oom_score_adj").write_text("500")
    if order.cpus and hasattr(os, "sched_setaffinity"):
        with contextlib.suppress(OSError):  # a container may not have these cores: run anyway
            os.sched_setaffinity(0, order.cpus)


def close_the_rest() -> None:
    """A list of what is open, because closing up to the limit may mean a thousand million calls."""
    for name in os.listdir("/dev/fd"):  # noqa: PTH208  names are numbers, not paths
        if int(name) > 2:
            with contextlib.suppress(OSError):
                os.close(int(name))


def perform(order: Order) -> int:
    """The script as `python script` would run it, in this process; the exit code that python would end with."""
    inherit(order)
    path = str(order.folder.resolve() / order.script)
    main = types.ModuleType("__main__")  # not runpy: it takes `__main__` away again before the exit handlers run
    vars(main).update(__file__=path, __builtins__=builtins)
    sys.modules["__main__"] = main
    code = 0
    try:
        exec(compile(Path(path).read_bytes(), path, "exec", dont_inherit=True), vars(main))  # noqa: S102  our purpose
    except SystemExit as stop:
        code = exit_code(stop.code)
    except BaseException as error:
        error.with_traceback(error.__traceback__ and error.__traceback__.tb_next)  # without this frame
        sys.excepthook(type(error), error, error.__traceback__)
        code = -signal.SIGINT if isinstance(error, KeyboardInterrupt) else 1
    code = wind_up(code)
    vars(main).clear()  # files left open at module level are closed, hence written
    if code < 0:
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    return code & 0xFF


def inherit(order: Order) -> None:
    """Makes a forked interpreter look like a fresh one with the run's environment."""
    os.environ.clear()
    os.environ.update(order.env)
    time.tzset()
    sys.argv = [order.script]
    sys.path[:0] = [str(order.folder.resolve()), *filter(None, order.env.get("PYTHONPATH", "").split(os.pathsep))]
    sys.dont_write_bytecode = bool(order.env.get("PYTHONDONTWRITEBYTECODE"))
    if random := sys.modules.get("numpy.random"):
        random.seed()  # else all runs would share the parent's state; the library's `random` reseeds itself
    if torch := sys.modules.get("torch"):
        threads = order.env.get("OMP_NUM_THREADS") or str(len(order.cpus or ()))
        if threads.isdigit() and int(threads) > 0:
            torch.set_num_threads(int(threads))  # OpenMP read the variable when it was loaded


def exit_code(code: object) -> int:
    if code is None or isinstance(code, int):
        return (code or 0) & 0xFF
    print(code, file=sys.stderr)
    return 1


def wind_up(code: int) -> int:
    """What the interpreter does at its end: other threads, exit handlers, buffers."""
    try:
        threading._shutdown()  # type: ignore[attr-defined]  # noqa: SLF001  as multiprocessing does
        atexit._run_exitfuncs()  # noqa: SLF001
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:
        traceback.print_exc()
        return code or 120
    return code


def warm_up(names: Iterable[str]) -> list[str]:
    """In the supervisor: imports what it can. Empty if forking is unsafe afterwards: only one thread may exist."""
    if sys.prefix == sys.base_prefix:  # -I left it out; `python train.py` would have it
        site.addsitedir(site.getusersitepackages())
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # numpy's copy starts its threads on import
    loaded = []
    for name in names:
        try:
            importlib.import_module(name)
            loaded.append(name)
        except Exception as error:
            print(f"{name} was not warmed: {error}", file=sys.stderr)
    gc.collect()
    gc.freeze()  # children share these pages as long as nobody touches them
    return loaded if len(os.listdir("/proc/self/task")) == 1 else []  # noqa: PTH208
