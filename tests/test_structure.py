"""The shape of the project: import contracts, file sizes, packaging."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("core", "k8s", "recordings", "themes", "trainer", "tui")
FILES = [path for name in (*PACKAGES, "tests") for path in sorted((ROOT / name).rglob("*.py"))]
HEAVY = ("torch", "anthropic", "kubernetes", "textual", "plotext", "asyncssh")


def test_the_import_contracts_hold() -> None:
    lint = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([lint, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_python_files_stay_under_400_lines(path: Path) -> None:
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= 400 or path == ROOT / "trainer" / "train.py"


@pytest.mark.parametrize(
    "start",
    [
        "import tui.cli, core.headless, core.session, core.follower",
        "from click.testing import CliRunner; from tui.cli import main; CliRunner().invoke(main, ['--help'])",
        "import core.player, core.fold, core.recording",
    ],
    ids=["no-ui", "help", "playback"],
)
def test_starting_imports_nothing_heavy(start: str) -> None:
    code = f"{start}\nimport sys; print(*[name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_help_imports_neither_numpy_nor_the_engine() -> None:
    code = (
        "from click.testing import CliRunner; from tui.cli import main; CliRunner().invoke(main, ['--help'])\n"
        "import sys; print(*[name for name in ('numpy', 'core.engine', 'aiosqlite', 'psutil') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_the_first_frame_waits_for_neither_numpy_nor_plotext_nor_the_engine() -> None:
    heavy = ("numpy", "plotext", "core.engine", "core.analysis", "torch", "psutil")
    code = f"import tui.window, sys; print(*[name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_no_other_distribution_claims_our_top_level_names() -> None:
    owners = packages_distributions()
    assert {name: owners[name] for name in PACKAGES if set(owners.get(name, [])) - {"autoresearch-tui"}} == {}


@pytest.mark.slow
def test_the_wheel_holds_everything_that_runs_and_nothing_else(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    template = {f"trainer/{name}" for name in ("train.py", "prepare.py", "corpus.py", "program.md", "profiles.toml")}
    needed = {"core/engine.py", "core/executors/runner.py", "tui/cli.py", "tui/app.tcss", "themes/night.toml"}
    assert template | needed | {"k8s/starter.py", "k8s/manifests/base/kustomization.yaml"} <= names
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == set(PACKAGES)
