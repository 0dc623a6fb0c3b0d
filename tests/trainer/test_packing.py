"""Rows of the dataloader: each starts with BOS, and nothing is lost but the last incomplete row."""

from __future__ import annotations

import importlib.util
import itertools
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

TEMPLATE = Path(__file__).resolve().parents[2] / "trainer"


def load_prepare() -> ModuleType:
    spec = importlib.util.spec_from_file_location("prepare_for_packing", TEMPLATE / "prepare.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


prepare = load_prepare()
DOCUMENTS = st.lists(st.integers(0, 90), min_size=1, max_size=60)


def packed(lengths: list[int], seq_len: int, seed: int | None) -> tuple[list[list[int]], int]:
    """Rows of documents whose tokens are all different: 1, 2, 3, ... through the whole split; and their number."""
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    split = prepare.Split(np.arange(1, offsets[-1] + 1, dtype=np.uint16), offsets)
    rng = None if seed is None else np.random.default_rng(seed)
    return [[int(token) for token in row] for row in prepare.pack(split, seq_len, rng)], int(offsets[-1])


@settings(deadline=None)  # a busy machine is not a bug
@given(DOCUMENTS, st.integers(2, 40), st.none() | st.integers(0, 9))
def test_every_row_is_full_and_starts_with_bos(lengths: list[int], seq_len: int, seed: int | None) -> None:
    rows, _ = packed(lengths, seq_len, seed)
    assert all(len(row) == seq_len + 1 and row[0] == 0 for row in rows)


@settings(deadline=None)  # a busy machine is not a bug
@given(DOCUMENTS, st.integers(2, 40), st.none() | st.integers(0, 9))
def test_every_token_comes_once_but_those_of_the_last_row(lengths: list[int], seq_len: int, seed: int | None) -> None:
    rows, total = packed(lengths, seq_len, seed)
    seen = Counter(token for row in rows for token in row if token)
    assert not seen or set(seen.values()) == {1}
    assert total - len(seen) < seq_len


@settings(deadline=None)  # a busy machine is not a bug
@given(DOCUMENTS, st.integers(2, 40), st.none() | st.integers(0, 9))
def test_a_new_document_never_follows_without_bos(lengths: list[int], seq_len: int, seed: int | None) -> None:
    rows, _ = packed(lengths, seq_len, seed)
    document = np.repeat(np.arange(len(lengths)), lengths)
    for left, right in itertools.chain.from_iterable(itertools.pairwise(row) for row in rows):
        if left and right:
            assert right == left + 1
            assert document[left - 1] == document[right - 1]


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(1, 300), min_size=200, max_size=300))
def test_packing_adds_little_more_than_one_bos_per_piece(lengths: list[int]) -> None:
    rows, _ = packed(lengths, 64, 0)
    pieces = sum(-(-length // 64) for length in lengths)
    assert sum(row.count(0) for row in rows) < pieces + len(rows)


def test_epochs_differ_in_order_and_seeds_repeat_them(prepared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch", reason="the dataloader yields tensors")
    monkeypatch.setenv("AUTORESEARCH_DATA", str(prepared))
    prepare.load_corpus.cache_clear()
    monkeypatch.setattr(prepare, "DEVICE", "cpu")

    def first(seed: int, batches: int = 3) -> list[list[list[int]]]:
        loader = prepare.make_dataloader(4, 128, seed=seed)
        return [next(loader)[0].tolist() for _ in range(batches)]

    assert first(1) == first(1) != first(2)
    loader = prepare.make_dataloader(200, 128, seed=1)
    epochs = [next(loader)[2] for _ in range(40)]
    assert epochs == sorted(epochs)
    assert epochs[-1] > 1


def test_targets_are_the_inputs_one_token_on(prepared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch", reason="the dataloader yields tensors")
    monkeypatch.setenv("AUTORESEARCH_DATA", str(prepared))
    prepare.load_corpus.cache_clear()
    monkeypatch.setattr(prepare, "DEVICE", "cpu")
    inputs, targets, _ = next(prepare.make_dataloader(4, 128, seed=1))
    assert inputs.shape == targets.shape == (4, 128)
    assert inputs[:, 1:].tolist() == targets[:, :-1].tolist()
    assert not inputs[:, 0].any()
