"""What every experiment shares and none may change: the corpus, its tokens, the time budget and the judge.

`python prepare.py` builds a corpus once (in corpus.py); `train.py` imports this file, which loads that corpus, checks
its digest and measures validation bits per byte. The profile follows from the device: "gpu" for CUDA, "cpu" for the
rest. Importing this file touches no device and starts no thread. It knows nothing of models or optimizers.
"""

from __future__ import annotations

import functools
import hashlib
import json
import math
import os
import sys
import time
from bisect import bisect_right, insort
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import torch

GPU_TIME_BUDGET = 300  # seconds of wall clock
CPU_TIME_BUDGET = 8  # seconds of CPU time on one core, so that a busy machine gives the same result
BOS = 0  # the only special token: every document, and so every row, starts with it

Tokens = npt.NDArray[np.uint16]
Offsets = npt.NDArray[np.int64]
Model = Callable[..., "torch.Tensor"]


def fail(sentence: str) -> NoReturn:
    """Print one sentence on standard error and exit with status 1."""
    sys.exit(sentence)


@dataclass(frozen=True)
class Profile:
    """What the size of the machine decides."""

    name: str
    seq_len: int
    vocabulary: int
    budget: float
    eval_tokens: int
    sample_bytes: int  # of text that the tokenizer is trained on


PROFILES = {
    "gpu": Profile("gpu", 2048, 8192, GPU_TIME_BUDGET, 40 * 2**19, 200_000_000),
    "cpu": Profile("cpu", 128, 1024, CPU_TIME_BUDGET, 20 * 2**10, 4_000_000),
}


def choose_device() -> str:
    """AUTORESEARCH_DEVICE, else cuda if a driver and a torch that can use it are there, else cpu; asks no driver."""
    if chosen := os.environ.get("AUTORESEARCH_DEVICE"):
        if chosen not in ("cpu", "cuda", "mps"):
            fail(f"AUTORESEARCH_DEVICE is {chosen!r}: set it to cpu, cuda or mps, or unset it.")
        return chosen
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES", "all") in ("", "-1")
    driver = any(Path(node).exists() for node in ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg"))
    if hidden or not driver:
        return "cpu"
    try:
        return "cpu" if metadata.version("torch").endswith("+cpu") else "cuda"
    except metadata.PackageNotFoundError:
        return "cuda"


def choose_budget(default: float) -> float:
    """Seconds of training: AUTORESEARCH_TIME_BUDGET, else the profile's."""
    text = os.environ.get("AUTORESEARCH_TIME_BUDGET")
    if not text:
        return float(default)
    try:
        budget = float(text)
    except ValueError:
        budget = math.nan
    if not 0 < budget < math.inf:
        fail(f"AUTORESEARCH_TIME_BUDGET is {text!r}: set it to a positive number of seconds, or unset it.")
    return budget


DEVICE = choose_device()
PROFILE = PROFILES["gpu" if DEVICE == "cuda" else "cpu"]
MAX_SEQ_LEN = PROFILE.seq_len
VOCABULARY_SIZE = PROFILE.vocabulary
EVAL_TOKENS = PROFILE.eval_tokens
TIME_BUDGET = choose_budget(PROFILE.budget)


def clock() -> float:
    """Seconds on the clock that the budget is counted on: CPU time of this process on cpu, else wall clock."""
    return time.process_time() if DEVICE == "cpu" else time.perf_counter()


# ---- the corpus on disk: ROOT/cpu.json names the folder in force, ROOT/cpu-<key>/ holds it ----


def data_root() -> Path:
    """Where prepared data lives: AUTORESEARCH_DATA, else ~/.cache/autoresearch-tui."""
    return Path(os.environ.get("AUTORESEARCH_DATA") or "~/.cache/autoresearch-tui").expanduser()


class Damaged(Exception):  # noqa: N818  reads as the sentence it is
    """A prepared folder is missing something or does not match its digest."""


@dataclass(frozen=True)
class Split:
    """Documents end to end, without BOS; document i is tokens[offsets[i]:offsets[i + 1]]."""

    tokens: Tokens
    offsets: Offsets


@dataclass(frozen=True)
class Corpus:
    """A verified corpus."""

    digest: str
    train: Split
    val: Split
    token_bytes: npt.NDArray[np.int64]  # UTF-8 bytes per token; 0 for special tokens


def digest_of(hashes: dict[str, str]) -> str:
    return hashlib.sha256(json.dumps(hashes, sort_keys=True).encode()).hexdigest()[:16]


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def verify(folder: Path) -> dict[str, Any]:
    """Return the folder's description after hashing every file in it; raises Damaged."""
    try:
        meta: dict[str, Any] = json.loads((folder / "meta.json").read_text())
        changed = [name for name, digest in meta["files"].items() if sha256_of(folder / name) != digest]
        if changed or digest_of(meta["files"]) != meta["digest"]:
            raise Damaged(f"{changed[0] if changed else 'meta.json'} has changed")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise Damaged(f"it cannot be read ({error})") from error
    return meta


def read_pointer(root: Path, profile: Profile) -> dict[str, Any] | None:
    """The corpus in force, {"folder": name, "source": {...}}; None if there is none."""
    try:
        pointer = json.loads((root / f"{profile.name}.json").read_text())
        return pointer if isinstance(pointer["folder"], str) and isinstance(pointer["source"]["kind"], str) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


@functools.cache
def load_corpus() -> Corpus:
    """Load and verify the corpus in force; exits with one sentence if it is missing or was tampered with."""
    root = data_root()
    pointer = read_pointer(root, PROFILE)
    if pointer is None:
        fail(f"No corpus is prepared for the {PROFILE.name} profile in {root}: run `python prepare.py` first.")
    folder = root / pointer["folder"]
    try:
        digest = str(verify(folder)["digest"])
    except Damaged as why:
        fail(f"The corpus in {folder} is damaged: {why}; run `python prepare.py` to build it again.")
    train, val = (
        Split(np.load(folder / f"{name}.npy", mmap_mode="r"), np.load(folder / f"{name}.offsets.npy"))
        for name in ("train", "val")
    )
    return Corpus(digest, train, val, np.load(folder / "token_bytes.npy"))


# ---- rows: every row starts with BOS, and no token is wasted ----


def pack(split: Split, seq_len: int, rng: np.random.Generator | None) -> Iterator[Tokens]:
    """Yield rows of seq_len + 1 tokens: one epoch, shuffled by rng, in order if it is None.

    Documents are cut into pieces of at most seq_len tokens; each piece is preceded by BOS. A full piece is a row. The
    shorter ones wait in a pool; a row takes the longest that fits, again and again, and where none fits, the head of
    the longest (its tail, with a BOS of its own, goes back to the pool). A gap of one is a lone BOS. So each token of
    the corpus comes exactly once per epoch, except those of the last, incomplete row, which are dropped.
    """
    size = seq_len + 1
    lengths = np.diff(split.offsets)
    counts = -(-lengths // seq_len)
    nth = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    starts = np.repeat(split.offsets[:-1], counts) + nth * seq_len
    sizes = np.minimum(seq_len, np.repeat(lengths, counts) - nth * seq_len)
    order = np.arange(len(starts)) if rng is None else rng.permutation(len(starts))
    pool: list[tuple[int, int]] = []
    pooled = 0
    for at in order:
        piece = (int(sizes[at]), int(starts[at]))
        if piece[0] == seq_len:
            yield join(split.tokens, [piece], size)
            continue
        insort(pool, piece)
        pooled += piece[0] + 1
        if pooled > 32 * size:  # enough to choose from
            yield join(split.tokens, take_row(pool, size), size)
            pooled = sum(length + 1 for length, _ in pool)
    while pool:
        pieces = take_row(pool, size)
        if sum(length + 1 for length, _ in pieces) >= seq_len:
            yield join(split.tokens, pieces, size)


def take_row(pool: list[tuple[int, int]], room: int) -> list[tuple[int, int]]:
    """Take pieces (length, start) from a sorted pool until `room` tokens, a BOS for each included, are filled."""
    pieces = []
    while room > 1 and pool:
        fits = bisect_right(pool, (room - 1, sys.maxsize)) - 1
        length, start = pool.pop(fits)  # at -1, where none fits, the longest
        if length > room - 1:
            insort(pool, (length - (room - 1), start + room - 1))
            length = room - 1
        pieces.append((length, start))
        room -= length + 1
    return pieces


def join(tokens: Tokens, pieces: list[tuple[int, int]], size: int) -> Tokens:
    row = np.full(size, BOS, dtype=np.uint16)
    at = 0
    for length, start in pieces:
        row[at + 1 : at + 1 + length] = tokens[start : start + length]
        at += length + 1
    return row


Batch = tuple["torch.Tensor", "torch.Tensor", int]


def make_dataloader(rows: int, seq_len: int, *, seed: int) -> Iterator[Batch]:
    """Yield (inputs, targets, epoch) for ever; the tensors are int64 of shape (rows, seq_len) on the device in use."""
    epoch, split = 1, load_corpus().train
    stream = pack(split, seq_len, np.random.default_rng((seed, epoch)))
    while True:
        batch: list[Tokens] = []
        while len(batch) < rows:
            row = next(stream, None)
            if row is None:
                epoch += 1
                stream = pack(split, seq_len, np.random.default_rng((seed, epoch)))
            else:
                batch.append(row)
        yield (*to_device(batch), epoch)


def to_device(rows: list[Tokens]) -> tuple[torch.Tensor, torch.Tensor]:
    import torch

    block = torch.from_numpy(np.stack(rows).astype(np.int64))
    if DEVICE == "cuda":
        block = block.pin_memory()
    block = block.to(DEVICE, non_blocking=True)
    return block[:, :-1].contiguous(), block[:, 1:].contiguous()


# ---- the judge ----


def evaluate_bpb(model: Model, rows_per_batch: int) -> float:
    """Validation bits per byte: summed cross-entropy in nats / (ln 2 x summed bytes of the targets).

    `model(inputs, targets, reduction="none")` gives the cross-entropy of each target. Special tokens count in neither
    sum. The rows are the first EVAL_TOKENS of the validation split, so the result does not depend on the batch size.
    """
    import torch

    corpus = load_corpus()
    rows = [row for row, _ in zip(pack(corpus.val, MAX_SEQ_LEN, None), range(EVAL_TOKENS // MAX_SEQ_LEN), strict=False)]
    token_bytes = torch.from_numpy(corpus.token_bytes).to(DEVICE)
    nats = torch.zeros((), dtype=torch.float32 if DEVICE == "mps" else torch.float64, device=DEVICE)
    total_bytes = torch.zeros((), dtype=torch.int64, device=DEVICE)
    with torch.no_grad():
        for at in range(0, len(rows), rows_per_batch):
            inputs, targets = to_device(rows[at : at + rows_per_batch])
            sizes = token_bytes[targets.view(-1)]
            losses = model(inputs, targets, reduction="none").view(-1)
            nats += torch.where(sizes > 0, losses, 0).sum(dtype=nats.dtype)
            total_bytes += sizes.sum()
    return float(nats) / (math.log(2) * int(total_bytes))


if __name__ == "__main__":
    from corpus import main

    main()
