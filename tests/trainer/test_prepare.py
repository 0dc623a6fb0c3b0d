"""Preparing a corpus, checking it, and judging with it."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

TEMPLATE = Path(__file__).resolve().parents[2] / "trainer"
Run = Callable[..., "subprocess.CompletedProcess[str]"]


def digest(output: str) -> str:
    return next(line.removeprefix("corpus: ") for line in output.splitlines() if line.startswith("corpus: "))


def sentence(result: subprocess.CompletedProcess[str]) -> str:
    """Standard error of a run that failed as it should: with status 1 and one line."""
    assert result.returncode == 1, result.stdout + result.stderr
    assert len(result.stderr.strip().splitlines()) == 1, result.stderr
    return result.stderr


def texts_of(prepare: ModuleType, root: Path) -> tuple[list[str], list[str]]:
    """The documents of both splits, decoded."""
    from tokenizers import Tokenizer

    folder = root / json.loads((root / "cpu.json").read_text())["folder"]
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    corpus = prepare.load_corpus()

    def decode(split: Any) -> list[str]:
        spans = zip(split.offsets[:-1], split.offsets[1:], strict=True)
        return [str(tokenizer.decode(split.tokens[a:b].tolist())) for a, b in spans]

    return decode(corpus.train), decode(corpus.val)


def test_each_document_is_kept_whole_in_train_or_in_val(prepare: ModuleType, prepared: Path, texts: Path) -> None:
    train, val = texts_of(prepare, prepared)
    assert train
    assert val
    assert not set(train) & set(val)
    assert Counter(train + val) == Counter(path.read_text() for path in texts.iterdir())


def test_bpb_is_nats_over_bytes_over_ln_2(prepare: ModuleType, prepared: Path) -> None:
    torch = pytest.importorskip("torch", reason="the judge needs torch")
    from tokenizers import Tokenizer

    def model(_inputs: Any, targets: Any, reduction: str) -> Any:
        assert reduction == "none"
        return 0.5 + (targets % 7).float()

    folder = prepared / json.loads((prepared / "cpu.json").read_text())["folder"]
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    rows = list(prepare.pack(prepare.load_corpus().val, prepare.MAX_SEQ_LEN, None))[: 20480 // 128]
    nats, size = 0.0, 0
    for row in rows:
        for token in row[1:].tolist():
            if token != 0:
                nats += 0.5 + token % 7
                size += len(tokenizer.decode([token]).encode())  # the corpus is ASCII: no token is part of a character
    expected = nats / size / math.log(2)
    assert prepare.evaluate_bpb(model, 16) == pytest.approx(expected, rel=1e-6)
    assert prepare.evaluate_bpb(model, 7) == pytest.approx(expected, rel=1e-6)  # the last batch is ragged
    assert torch.is_grad_enabled()


def test_a_uniform_guess_over_the_vocabulary_has_the_entropy_of_its_tokens(prepare: ModuleType) -> None:
    torch = pytest.importorskip("torch", reason="the judge needs torch")
    corpus = prepare.load_corpus()
    bytes_per_token = corpus.token_bytes[np.asarray(corpus.val.tokens)].mean()
    bpb = prepare.evaluate_bpb(lambda x, y, reduction: torch.full(y.shape, math.log(1024)), 16)
    assert bpb == pytest.approx(10 / bytes_per_token, rel=0.1)


def test_preparing_again_is_instant_and_two_at_once_both_end_well(run: Run, texts: Path, tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    root = tmp_path / "data"
    with ThreadPoolExecutor(2) as pool:
        pair = list(pool.map(lambda _: run("prepare.py", "--data", str(texts), data=root), range(2)))
    assert [result.returncode for result in pair] == [0, 0], pair[0].stderr + pair[1].stderr
    again = run("prepare.py", data=root)  # without options: the corpus in force
    assert "is ready" in again.stdout
    assert digest(pair[0].stdout) == digest(pair[1].stdout) == digest(again.stdout)
    assert sorted(path.name.split("-")[0] for path in root.iterdir()) == ["cpu", "cpu.json"]


@pytest.mark.parametrize("damage", ["change", "delete"])
def test_a_damaged_corpus_is_refused_and_prepare_mends_it(
    run: Run, prepared: Path, texts: Path, tmp_path: Path, damage: str
) -> None:
    root = shutil.copytree(prepared, tmp_path / "data")
    victim = next(root.glob("cpu-*/val.npy"))
    if damage == "change":
        data = bytearray(victim.read_bytes())
        data[-1] ^= 1
        victim.write_bytes(data)
    else:
        victim.unlink()
    load = ("-c", "import prepare; prepare.load_corpus()")
    assert "run `python prepare.py`" in sentence(run(*load, data=root))
    mended = run("prepare.py", data=root)
    assert "was built" in mended.stdout
    assert run(*load, data=root).returncode == 0


def test_a_changed_source_is_another_corpus_but_only_if_asked_for(run: Run, texts: Path, tmp_path: Path) -> None:
    source = shutil.copytree(texts, tmp_path / "texts")
    first = run("prepare.py", "--data", str(source), data=tmp_path / "data")
    (source / "more.txt").write_text("something new\n" * 50)
    assert digest(run("prepare.py", data=tmp_path / "data").stdout) == digest(first.stdout)
    second = run("prepare.py", "--data", str(source), data=tmp_path / "data")
    assert digest(first.stdout) != digest(second.stdout)


def test_text_that_spells_out_the_special_token_is_text(run: Run, texts: Path, tmp_path: Path) -> None:
    source = shutil.copytree(texts, tmp_path / "texts")
    (source / "special.txt").write_text("before <|bos|> after\n" * 50)
    assert run("prepare.py", "--data", str(source), data=tmp_path / "data").returncode == 0
    for split in ("train", "val"):
        assert np.load(next((tmp_path / "data").glob(f"cpu-*/{split}.npy"))).min() > 0


@pytest.mark.parametrize("form", ["one.txt", "two.md", "sub/three.py", "four.parquet"])
def test_a_folder_of_any_known_form_is_a_corpus(run: Run, texts: Path, tmp_path: Path, form: str) -> None:
    all_text = "\n".join(path.read_text() for path in sorted(texts.iterdir()))[:400_000]
    target = tmp_path / "texts" / form
    target.parent.mkdir(parents=True)
    if form.endswith("parquet"):
        pyarrow = pytest.importorskip("pyarrow", reason="parquet needs pyarrow")
        parquet = pytest.importorskip("pyarrow.parquet")
        rows = [all_text[at : at + 4000] for at in range(0, len(all_text), 4000)]
        parquet.write_table(pyarrow.table({"text": rows, "id": list(range(len(rows)))}), target)
    else:
        target.write_text(all_text)
    result = run("prepare.py", "--data", str(tmp_path / "texts"), data=tmp_path / "data")
    assert result.returncode == 0, result.stderr
    assert digest(result.stdout)


def test_unusable_sources_are_refused_in_one_sentence(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "texts"
    root = tmp_path / "data"

    def refusal() -> str:
        return sentence(run("prepare.py", "--data", str(folder), data=root))

    assert "is not a folder" in refusal()
    folder.mkdir()
    (folder / "picture.png").write_bytes(b"\x89PNG")
    assert "holds no text" in refusal()
    (folder / "short.txt").write_text("too short\n" * 20)
    assert "too small" in refusal()
    (folder / "broken.parquet").write_bytes(b"PAR1 not really")
    assert "parquet" in refusal()
    assert list(root.iterdir()) == []


def test_missing_packages_are_named(run: Run, tmp_path: Path) -> None:
    def without(package: str, *arguments: str) -> str:
        code = f"import sys, corpus; sys.modules[{package!r}] = None; corpus.main({list(arguments)})"
        return sentence(run("-c", code, data=tmp_path / "data"))

    (folder := tmp_path / "texts").mkdir()
    (folder / "some.parquet").write_bytes(b"PAR1")
    assert "pip install huggingface_hub pyarrow" in without("huggingface_hub", "--hf", "someone/something")
    assert "pip install pyarrow" in without("pyarrow", "--data", str(folder))
    assert "pip install tokenizers" in without("tokenizers", "--data", str(folder))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AUTORESEARCH_TIME_BUDGET", "soon"),
        ("AUTORESEARCH_TIME_BUDGET", "0"),
        ("AUTORESEARCH_TIME_BUDGET", "inf"),
        ("AUTORESEARCH_DEVICE", "tpu"),
    ],
)
def test_a_wrong_environment_variable_is_named(run: Run, tmp_path: Path, name: str, value: str) -> None:
    message = sentence(run("-c", "import prepare", data=tmp_path, **{name: value}))
    assert name in message
    assert repr(value) in message


def test_the_budget_in_force_comes_from_the_device_or_the_environment(run: Run, tmp_path: Path) -> None:
    def budget(**extra: str) -> str:
        return run("-c", "import prepare; print(prepare.TIME_BUDGET)", data=tmp_path, **extra).stdout.strip()

    assert budget() == "8.0"
    assert budget(AUTORESEARCH_DEVICE="cuda") == "300.0"
    assert budget(AUTORESEARCH_TIME_BUDGET="1.5") == "1.5"


def test_importing_prepare_loads_no_torch_and_starts_no_thread(run: Run, tmp_path: Path) -> None:
    code = "import sys, threading, prepare; print('torch' in sys.modules, threading.active_count())"
    assert run("-c", code, data=tmp_path).stdout.split() == ["False", "1"]
