"""train.py really run, on a small corpus."""

from __future__ import annotations

import json
import re
import subprocess
import time
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from core import knobs

pytest.importorskip("torch", reason="train.py needs torch, from the train extra")
TEMPLATE = Path(__file__).resolve().parents[2] / "trainer"
SOURCE = (TEMPLATE / "train.py").read_text()
GPU: dict[str, str] = tomllib.loads((TEMPLATE / "profiles.toml").read_text())["gpu"]
Run = Callable[..., "subprocess.CompletedProcess[str]"]
FIELDS = ["val_bpb", "training_seconds", "total_seconds", "peak_vram_mb", "mfu_percent", "total_tokens_M", "num_steps"]
FIELDS += ["num_params_M", "depth"]
PROGRESS = re.compile(
    r"step (\d{5}) \([\d.]+%\) \| loss: ([\d.]+) \| lrm: [\d.]+ \| dt: \d+ms \| tok/sec: [\d,]+ \| mfu: [\d.]+% \| "
    r"epoch: \d+ \| remaining: \d+s *"
)


def result_of(output: str) -> dict[str, str]:
    block = output.split("\n---\n")[1]
    return {name: value.strip() for name, _, value in (line.partition(":") for line in block.strip().splitlines())}


def substance(output: str) -> tuple[str, list[str]]:
    """What must be equal between equal runs: the result and every loss."""
    return result_of(output)["val_bpb"], [match[2] for match in PROGRESS.finditer(output)]


@pytest.fixture
def change(workspace: Path) -> Callable[..., None]:
    def write(**values: str) -> None:
        (workspace / "train.py").write_text(knobs.settings(SOURCE, values))

    return write


SMALL = {"DEPTH": "2", "TOTAL_BATCH_SIZE": "2**9", "DEVICE_BATCH_SIZE": "2"}


def test_a_run_prints_what_the_contract_says(run: Run, change: Callable[..., None], prepared: Path) -> None:
    change(**SMALL)
    started = time.monotonic()
    result = run("train.py", data=prepared, AUTORESEARCH_TIME_BUDGET="1")
    assert result.returncode == 0, result.stderr
    assert time.monotonic() - started < 20
    head, progress = result.stdout.split("\r", 1)
    config = json.loads(next(line for line in head.splitlines() if line.startswith("Model config: "))[14:])
    assert (config["depth"], config["width"], config["rows"], config["passes"]) == (2, 64, 2, 2)
    assert re.search(r"(?m)^fingerprint: [0-9a-f]{16}$", head)
    assert re.search(r"(?m)^corpus: [0-9a-f]{16}$", head)
    lines = progress.split("\n---\n")[0].split("\r")
    assert all(PROGRESS.fullmatch(line.rstrip("\n")) for line in lines)
    summary = result_of(result.stdout)
    assert list(summary)[: len(FIELDS)] == FIELDS
    assert 0.9 <= float(summary["training_seconds"]) <= 1.1
    assert 0.5 < float(summary["val_bpb"]) < 5
    assert int(summary["num_steps"]) == len(lines) > 5


def test_equal_seed_and_steps_are_equal_to_the_bit(
    run: Run, change: Callable[..., None], prepared: Path, workspace: Path, tmp_path: Path
) -> None:
    """Cold, cold again, and in the forked child of a warm process."""
    steps = {"AUTORESEARCH_MAX_STEPS": "4"}
    change(**SMALL)
    cold = run("train.py", data=prepared, **steps)
    assert substance(cold.stdout)[1]
    assert substance(run("train.py", data=prepared, **steps).stdout) == substance(cold.stdout)
    assert substance(run("train.py", data=prepared, AUTORESEARCH_SEED="7", **steps).stdout) != substance(cold.stdout)
    server = tmp_path / "server.py"
    server.write_text(
        "import os, runpy, sys\n"
        "import numpy, torch, torch._dynamo\n"
        "if os.fork() == 0:\n"
        f"    os.chdir({str(workspace)!r})\n"
        "    sys.path[0] = os.getcwd()\n"
        "    runpy.run_path('train.py', run_name='__main__')\n"
        "    sys.exit(0)\n"
        "sys.exit(os.waitstatus_to_exitcode(os.wait()[1]))\n"
    )
    forked = run(str(server), data=prepared, **steps)
    assert forked.returncode == 0, forked.stderr
    assert substance(forked.stdout) == substance(cold.stdout)


@pytest.mark.parametrize(
    ("name", "rate", "loss"), [("EMBEDDING_LR", "1e38", "nan"), ("UNEMBEDDING_LR", "1e9", r"[\d.]+")]
)
def test_a_diverging_run_fails_fast(
    run: Run, change: Callable[..., None], prepared: Path, name: str, rate: str, loss: str
) -> None:
    change(**SMALL, **{name: rate})
    result = run("train.py", data=prepared, AUTORESEARCH_MAX_STEPS="50")
    assert result.returncode == 1
    assert re.search(rf"(?m)^FAIL: the loss is {loss} at step \d+$", result.stdout)
    assert "---" not in result.stdout


def test_without_a_corpus_it_says_what_to_do_and_prepares_nothing(run: Run, tmp_path: Path) -> None:
    result = run("train.py", data=tmp_path / "none")
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    assert "run `python prepare.py`" in result.stderr
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("name", ["AUTORESEARCH_SEED", "AUTORESEARCH_MAX_STEPS"])
def test_a_wrong_environment_variable_is_named(run: Run, tmp_path: Path, name: str) -> None:
    result = run("train.py", data=tmp_path, **{name: "-1"})
    assert result.returncode == 1
    assert result.stderr.startswith(f"{name} is '-1'")
    assert result.stderr.count("\n") == 1


def test_the_fingerprint_is_that_of_the_effective_configuration(run: Run, workspace: Path, prepared: Path) -> None:
    wide = {"DEPTH": "8", "HEAD_DIM": "128"}
    variants = {
        "shipped": SOURCE,
        "comment": SOURCE.replace("# transformer blocks", "# blocks") + "\n# the end\n",
        "expression": knobs.settings(SOURCE, {"TOTAL_BATCH_SIZE": "2048", "WARMUP_RATIO": "0", "MLP_RATIO": "4.0"}),
        "same last window": knobs.settings(SOURCE, {"WINDOW_PATTERN": '"SSSS"'}),
        "larger than the batch": knobs.settings(SOURCE, {"DEVICE_BATCH_SIZE": "64"}),
        "accumulated": knobs.settings(SOURCE, {"DEVICE_BATCH_SIZE": "8"}),
        "rate": knobs.settings(SOURCE, {"MATRIX_LR": "0.05"}),
        "betas": knobs.settings(SOURCE, {"ADAM_BETAS": "(0.9, 0.95)"}),
        "schedule": knobs.settings(SOURCE, {"WARMDOWN_RATIO": "0.4"}),
        "windows": knobs.settings(SOURCE, {"WINDOW_PATTERN": '"L"'}),
        "code": SOURCE.replace(".square())", ")", 1),
        "new constant": SOURCE.replace("# Batch\n", "CLIP = 1.0\n").replace(
            "self.steps += 1", "self.steps += int(CLIP)"
        ),
        "its value": SOURCE.replace("# Batch\n", "CLIP = 2.0\n").replace("self.steps += 1", "self.steps += int(CLIP)"),
        "wide 72": knobs.settings(SOURCE, {**wide, "ASPECT_RATIO": "72"}),
        "wide 80": knobs.settings(SOURCE, {**wide, "ASPECT_RATIO": "80"}),
    }
    script = (
        "import runpy, sys\n"
        "for name in sys.argv[1:]:\n"
        "    m = runpy.run_path(name, run_name='variant')\n"
        "    print(m['fingerprint'](m['model_config'](), m['batch_config']()))\n"
    )
    for index, source in enumerate(variants.values()):
        (workspace / f"v{index}.py").write_text(source)
    result = run("-c", script, *[f"v{index}.py" for index in range(len(variants))], data=prepared)
    assert result.returncode == 0, result.stderr
    prints = dict(zip(variants, result.stdout.split(), strict=True))
    same = {"shipped", "comment", "expression", "same last window", "larger than the batch"}
    assert {name for name, value in prints.items() if value == prints["shipped"]} == same
    assert prints["wide 72"] == prints["wide 80"]
    assert len(set(prints.values())) == len(variants) - len(same)


def test_every_constant_has_a_comment_and_the_gpu_profile_changes_some_of_them() -> None:
    shipped = {knob.name: knob for knob in knobs.find(SOURCE)}
    assert all(knob.comment for knob in shipped.values())
    assert {"DEPTH", "TOTAL_BATCH_SIZE", "ADAM_BETAS", "WINDOW_PATTERN", "FINAL_LR_FRAC"} <= set(shipped)
    scaled = {knob.name: knob for knob in knobs.find(knobs.settings(SOURCE, GPU))}
    assert {name for name in scaled if scaled[name].value != shipped[name].value} == set(GPU)
    assert scaled["TOTAL_BATCH_SIZE"].value == 2**19
