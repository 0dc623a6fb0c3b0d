"""Train a small GPT for a fixed time and print its validation bits per byte.

This is the one file that experiments change. It reads from top to bottom: constants, model, optimizer, schedule, loop.
Data, budget and judge are in prepare.py. What is uncertain, such as a better model, belongs here.
"""

# ruff: noqa: E402 (the clock starts before the slow imports)
from __future__ import annotations

import time

STARTED = time.perf_counter()

import ast
import gc
import hashlib
import json
import math
import os
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NoReturn

import torch
import torch.nn.functional as F  # noqa: N812  its usual name
from torch import Tensor, nn

from prepare import DEVICE, MAX_SEQ_LEN, TIME_BUDGET, VOCABULARY_SIZE, clock, evaluate_bpb, load_corpus, make_dataloader

# Model
DEPTH = 4  # transformer blocks
ASPECT_RATIO = 32  # width = DEPTH * ASPECT_RATIO, rounded up to a multiple of HEAD_DIM
HEAD_DIM = 32  # width of one attention head
MLP_RATIO = 4  # hidden width of the MLP, in widths
WINDOW_PATTERN = "SSSL"  # attention per block, repeated: S sees half the sequence, L all; the last block is always L
VALUE_EMBEDDING_EVERY = 2  # every n-th block, counted from the last, adds a token's value embedding; 0: none
SOFTCAP = 15.0  # logits are squashed smoothly into (-SOFTCAP, SOFTCAP)
ROPE_BASE = 10_000  # longest wavelength of the rotary position embedding

# Batch
TOTAL_BATCH_SIZE = 2**11  # tokens per optimizer step
DEVICE_BATCH_SIZE = 16  # rows per forward pass; the gradient is accumulated over as many passes as needed

# Optimizer
EMBEDDING_LR = 0.6  # AdamW, token and value embeddings
UNEMBEDDING_LR = 0.004  # AdamW, output layer
MATRIX_LR = 0.04  # Muon, all other matrices
SCALAR_LR = 0.5  # AdamW, per-block scalars
WEIGHT_DECAY = 0.2  # Muon's matrices only, fading to zero over the run
ADAM_BETAS = (0.8, 0.95)  # decay of AdamW's mean and of its mean square
ADAM_EPS = 1e-10  # keeps AdamW's quotient finite
MUON_MOMENTUM = 0.95  # decay of Muon's momentum
MUON_STEPS = 5  # Newton-Schulz iterations per update

# Schedule, as fractions of the run
WARMUP_RATIO = 0.0  # rise of the learning rate from zero
WARMDOWN_RATIO = 0.5  # fall to FINAL_LR_FRAC
FINAL_LR_FRAC = 0.0  # learning rate at the end, as a fraction of its full value

# What follows is code; a number that is worth changing belongs above.

DTYPE = torch.bfloat16 if DEVICE == "cuda" else torch.float32
START_UP_STEPS = 10 if DEVICE == "cuda" else 2  # compilation and first touches: not timed, charged at the usual price


def fail(sentence: str) -> NoReturn:
    print(f"\nFAIL: {sentence}", flush=True)
    sys.exit(1)


def whole_number(name: str, least: int) -> int | None:
    """The environment variable `name`, None if it is not set."""
    text = os.environ.get(name)
    if text and not (text.isascii() and text.isdigit() and int(text) >= least):
        sys.exit(f"{name} is {text!r}: set it to a whole number of at least {least}, or unset it.")
    return int(text) if text else None


# ---- the effective configuration: what the constants come down to ----


@dataclass(frozen=True)
class ModelConfig:
    vocab_size: int
    seq_len: int
    depth: int
    width: int
    heads: int
    mlp_width: int
    windows: tuple[int, ...]  # tokens that a position sees, per block
    value_embeddings: tuple[bool, ...]  # per block
    softcap: float
    rope_base: float


@dataclass(frozen=True)
class BatchConfig:
    rows: int  # per forward pass
    passes: int  # per optimizer step


def model_config() -> ModelConfig:
    heads = -(-DEPTH * ASPECT_RATIO // HEAD_DIM)
    sight = {"S": MAX_SEQ_LEN // 2, "L": MAX_SEQ_LEN}
    windows = [sight[WINDOW_PATTERN[block % len(WINDOW_PATTERN)]] for block in range(DEPTH - 1)]
    every = VALUE_EMBEDDING_EVERY
    return ModelConfig(
        vocab_size=VOCABULARY_SIZE,
        seq_len=MAX_SEQ_LEN,
        depth=DEPTH,
        width=heads * HEAD_DIM,
        heads=heads,
        mlp_width=round(MLP_RATIO * heads * HEAD_DIM),
        windows=(*windows, MAX_SEQ_LEN),
        value_embeddings=tuple(every > 0 and (DEPTH - 1 - block) % every == 0 for block in range(DEPTH)),
        softcap=float(SOFTCAP),
        rope_base=float(ROPE_BASE),
    )


def batch_config() -> BatchConfig:
    """Rows are rounded: one pass has at most DEVICE_BATCH_SIZE of them, a step at least one pass."""
    rows = max(1, TOTAL_BATCH_SIZE // MAX_SEQ_LEN)
    passes = -(-rows // DEVICE_BATCH_SIZE)
    return BatchConfig(rows=rows // passes, passes=passes)


def fingerprint(*effective: object) -> str:
    """A digest of everything that decides what is computed, seed and corpus apart.

    A constant that is read only in model_config and batch_config counts through their results (`effective`), every
    other by its value; of the code everything counts but comments, docstrings and layout.
    """
    simple = (int, float, str, tuple, type(None))
    values = {name: plain(value) for name, value in globals().items() if name.isupper() and isinstance(value, simple)}
    del values["STARTED"]
    tree = ast.parse(Path(__file__).read_text(encoding="utf-8"))
    tree.body = [node for node in tree.body if not (isinstance(node, ast.Assign) and target(node) in values)]
    read: set[str] = set()
    for node in tree.body:
        derived = isinstance(node, ast.FunctionDef) and node.name in ("model_config", "batch_config")
        read |= set() if derived else {name.id for name in ast.walk(node) if isinstance(name, ast.Name)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node):
            node.body = node.body[1:]
    constants = sorted((name, value) for name, value in values.items() if name in read)
    facts = repr((effective, constants, ast.dump(tree)))
    return hashlib.sha256(facts.encode()).hexdigest()[:16]


def plain(value: object) -> object:
    """Equal numbers alike: 1 and 1.0 are the same setting."""
    if isinstance(value, tuple):
        return tuple(map(plain, value))
    return float(value) if isinstance(value, int | float) else value


def target(node: ast.Assign) -> str:
    return node.targets[0].id if isinstance(node.targets[0], ast.Name) else ""


# ---- the model ----


def norm(x: Tensor) -> Tensor:
    return F.rms_norm(x, (x.size(-1),))


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary position embedding; x is (batch, time, heads, head width)."""
    left, right = x.chunk(2, dim=-1)
    return torch.cat((left * cos + right * sin, right * cos - left * sin), dim=-1)


def make_attention(seq_len: int, window: int) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """Causal attention over the last `window` tokens, for tensors (batch, heads, time, head width)."""
    if window >= seq_len:
        return lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True)
    if DEVICE == "cuda":  # FlexAttention skips the blocks outside the window; without a compiler it would be slow
        from torch.nn.attention.flex_attention import create_block_mask, flex_attention

        def seen(_batch: Tensor, _head: Tensor, q: Tensor, k: Tensor) -> Tensor:
            return (q >= k) & (q - k < window)

        block_mask = create_block_mask(seen, None, None, seq_len, seq_len, device=DEVICE)
        return lambda q, k, v: flex_attention(q, k, v, block_mask=block_mask)  # type: ignore[return-value]
    at = torch.arange(seq_len, device=DEVICE)
    distance = at[:, None] - at[None, :]
    mask = (distance >= 0) & (distance < window)
    return lambda q, k, v: F.scaled_dot_product_attention(q, k, v, attn_mask=mask)


class Block(nn.Module):
    def __init__(self, config: ModelConfig, index: int) -> None:
        super().__init__()
        width = config.width
        self.heads = config.heads
        self.attention = make_attention(config.seq_len, config.windows[index])
        self.to_qkv = nn.Linear(width, 3 * width, bias=False)
        self.from_heads = nn.Linear(width, width, bias=False)
        self.up = nn.Linear(width, config.mlp_width, bias=False)
        self.down = nn.Linear(config.mlp_width, width, bias=False)
        self.values = nn.Embedding(config.vocab_size, width) if config.value_embeddings[index] else None

    def forward(self, x: Tensor, tokens: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        batch, time, width = x.shape
        q, k, v = self.to_qkv(norm(x)).view(batch, time, 3 * self.heads, -1).chunk(3, dim=2)
        if self.values is not None:
            v = v + self.values(tokens).to(v.dtype).view(v.shape)
        q, k = (norm(rotate(part, cos, sin)).to(v.dtype) for part in (q, k))
        y = self.attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2))
        x = x + self.from_heads(y.transpose(1, 2).reshape(batch, time, width))
        return x + self.down(F.relu(self.up(norm(x))).square())


class GPT(nn.Module):
    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.embed = nn.Embedding(config.vocab_size, config.width)
        self.blocks = nn.ModuleList(Block(config, index) for index in range(config.depth))
        self.unembed = nn.Linear(config.width, config.vocab_size, bias=False)
        self.stay = nn.Parameter(torch.ones(config.depth))  # per block: how much of its input goes on
        self.recall = nn.Parameter(torch.full((config.depth,), 0.1))  # per block: how much of the embedding is added
        half = torch.arange(0, config.width // config.heads, 2) / (config.width // config.heads)
        angles = torch.outer(torch.arange(config.seq_len).float(), config.rope_base**-half)[None, :, None, :]
        self.register_buffer("cos", angles.cos().to(DTYPE), persistent=False)
        self.register_buffer("sin", angles.sin().to(DTYPE), persistent=False)
        self.init_weights()

    @torch.no_grad()
    def init_weights(self) -> None:
        """Blocks start as the identity (zero projections), logits near zero, value embeddings as nothing."""
        bound = (3 / self.config.width) ** 0.5  # uniform with standard deviation width ** -0.5
        nn.init.normal_(self.embed.weight, std=1.0)
        nn.init.normal_(self.unembed.weight, std=0.001)
        for block in self.blocks:
            nn.init.uniform_(block.to_qkv.weight, -bound, bound)
            nn.init.uniform_(block.up.weight, -bound, bound)
            nn.init.zeros_(block.from_heads.weight)
            nn.init.zeros_(block.down.weight)
            if block.values is not None:
                nn.init.uniform_(block.values.weight, -bound, bound)

    def forward(self, tokens: Tensor, targets: Tensor, reduction: str = "mean") -> Tensor:
        """The cross-entropy of the targets in nats."""
        cos, sin = self.cos[:, : tokens.size(1)], self.sin[:, : tokens.size(1)]
        x = first = norm(self.embed(tokens)).to(DTYPE)
        for index, block in enumerate(self.blocks):
            x = block(self.stay[index] * x + self.recall[index] * first, tokens, cos, sin)
        logits = self.unembed(norm(x)).float()
        logits = self.config.softcap * torch.tanh(logits / self.config.softcap)
        return F.cross_entropy(logits.view(-1, logits.size(-1)), targets.view(-1), reduction=reduction)

    def flops_per_token(self) -> float:
        """Forward and backward: 6 per weight of a matrix product, 12 per head dimension and token seen."""
        tables = [self.embed.weight.numel()]
        tables += [block.values.weight.numel() for block in self.blocks if block.values is not None]
        weights = sum(p.numel() for p in self.parameters()) - sum(tables)
        return 6 * weights + 12 * self.config.width * sum(self.config.windows)


# ---- the optimizer: Muon for matrices, AdamW for the rest, without torch.optim, which takes a second to import ----


@dataclass
class Group:
    params: list[nn.Parameter]
    lr: float
    betas: tuple[float, float] = ADAM_BETAS


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    return torch.compile(function, dynamic=False, fullgraph=True) if DEVICE == "cuda" else function


@compiled
def adamw_step(
    p: Tensor, grad: Tensor, mean: Tensor, square: Tensor, lr: Tensor, b1: float, b2: float, t: Tensor
) -> None:
    mean.lerp_(grad, 1 - b1)
    square.lerp_(grad.square(), 1 - b2)
    unbiased = (square / (1 - b2**t)).sqrt() + ADAM_EPS
    p.sub_(lr * (mean / (1 - b1**t)) / unbiased)


@compiled
def muon_step(stack: Tensor, grads: Tensor, momentum: Tensor, lr: Tensor, decay: Tensor) -> Tensor:
    """New values of a stack of equal-shaped matrices: a step along the nearest semi-orthogonal matrix.

    The quintic Newton-Schulz iteration pushes all singular values of the (Nesterov) momentum towards 1.
    """
    momentum.lerp_(grads, 1 - MUON_MOMENTUM)
    x = grads.lerp(momentum, MUON_MOMENTUM)
    x = x.bfloat16() if DEVICE == "cuda" else x
    tall = x.size(-2) > x.size(-1)
    x = x.mT if tall else x
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(MUON_STEPS):
        gram = x @ x.mT
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    x = x.mT if tall else x
    scale = max(1, x.size(-2) / x.size(-1)) ** 0.5
    return stack * (1 - lr * decay) - lr * scale * x.to(stack.dtype)


class Optimizer:
    """Muon for the matrices of the blocks, stacked by shape; AdamW for tables, output layer and scalars."""

    def __init__(self, model: GPT) -> None:
        tables = [model.embed.weight, *(b.values.weight for b in model.blocks if b.values is not None)]
        self.adamw = [
            Group(tables, EMBEDDING_LR),
            Group([model.unembed.weight], UNEMBEDDING_LR),
            Group([model.stay], SCALAR_LR * 0.01),
            Group([model.recall], SCALAR_LR, (0.96, 0.95)),
        ]
        in_blocks = [p for block in model.blocks for p in (block.to_qkv, block.from_heads, block.up, block.down)]
        shapes: dict[torch.Size, list[nn.Parameter]] = {}
        for linear in in_blocks:
            shapes.setdefault(linear.weight.shape, []).append(linear.weight)
        self.muon = list(shapes.values())
        self.momenta = [torch.zeros_like(torch.stack(list(params))) for params in self.muon]
        self.moments = {p: (torch.zeros_like(p), torch.zeros_like(p)) for g in self.adamw for p in g.params}
        self.steps = 0

    @torch.no_grad()
    def step(self, lr_multiplier: float, decay_multiplier: float) -> None:
        self.steps += 1
        number = torch.tensor  # numbers that change are tensors: a compiled step would be compiled again for each value
        for group in self.adamw:
            for p in group.params:
                lr, t = number(group.lr * lr_multiplier), number(float(self.steps))
                adamw_step(p, p.grad, *self.moments[p], lr, *group.betas, t)
        for params, momentum in zip(self.muon, self.momenta, strict=True):
            lr, decay = number(MATRIX_LR * lr_multiplier), number(WEIGHT_DECAY * decay_multiplier)
            grads = torch.stack([p.grad for p in params])
            stepped = muon_step(torch.stack(list(params)), grads, momentum, lr, decay)
            torch._foreach_copy_(list(params), list(stepped.unbind()))


def lr_multiplier(progress: float) -> float:
    """The schedule: progress is the fraction of the budget that is spent."""
    if progress < WARMUP_RATIO:
        return progress / WARMUP_RATIO
    if progress <= 1 - WARMDOWN_RATIO:
        return 1.0
    left = (1 - progress) / WARMDOWN_RATIO
    return left + (1 - left) * FINAL_LR_FRAC


# ---- the run ----


def peak_flops() -> float:
    """Dense bf16 operations per second of this GPU; 0 if unknown."""
    known = {"H100": 989e12, "H200": 989e12, "H800": 989e12, "B200": 2250e12, "A100": 312e12, "L40S": 362e12}
    name = torch.cuda.get_device_name() if DEVICE == "cuda" else ""
    return next((flops for part, flops in known.items() if part in name), 0.0)


def synchronize() -> None:
    if DEVICE == "cuda":
        torch.cuda.synchronize()


def main() -> None:
    seed = whole_number("AUTORESEARCH_SEED", 0)
    seed = 42 if seed is None else seed
    max_steps = whole_number("AUTORESEARCH_MAX_STEPS", 1)
    if DEVICE == "cuda" and not torch.cuda.is_available():
        sys.exit("This GPU cannot be used by the installed torch: install a CUDA build or set AUTORESEARCH_DEVICE=cpu.")
    if DEVICE == "cpu":
        torch.set_num_threads(1)
    torch.manual_seed(seed)
    torch.set_float32_matmul_precision("high")
    corpus = load_corpus()

    config, batch = model_config(), batch_config()
    model = GPT(config).to(DEVICE)
    optimizer = Optimizer(model)
    num_params = sum(p.numel() for p in model.parameters())
    forward: Callable[..., Tensor] = torch.compile(model, dynamic=False) if DEVICE == "cuda" else model

    def losses(tokens: Tensor, targets: Tensor, reduction: str = "mean") -> Tensor:
        with torch.autocast(DEVICE, DTYPE, enabled=DEVICE == "cuda"):
            return forward(tokens, targets, reduction)

    print(f"Model config: {json.dumps({**asdict(config), **asdict(batch), 'num_params': num_params})}")
    print(f"fingerprint: {fingerprint(config, batch, num_params, max_steps)}")
    print(f"corpus: {corpus.digest}", flush=True)

    tokens_per_step = batch.rows * batch.passes * MAX_SEQ_LEN
    loader = make_dataloader(batch.rows, MAX_SEQ_LEN, seed=seed)
    tokens, targets, epoch = next(loader)
    startup_seconds = time.perf_counter() - STARTED
    step, timed, spent, smooth = 0, 0.0, 0.0, 0.0
    limit = 2 * math.log(VOCABULARY_SIZE)  # a model that knows nothing starts at half of this
    while True:
        synchronize()
        before = clock()
        total = torch.zeros((), device=DEVICE)
        for _ in range(batch.passes):
            loss = losses(tokens, targets) / batch.passes
            loss.backward()
            total += loss.detach()
            tokens, targets, epoch = next(loader)
        progress = step / max_steps if max_steps else min(spent / TIME_BUDGET, 1.0)
        lrm = lr_multiplier(progress)
        optimizer.step(lrm, 1 - progress)
        model.zero_grad(set_to_none=True)
        loss_now = total.item()
        synchronize()
        dt = clock() - before
        step += 1
        if not loss_now <= limit:
            fail(f"the loss is {loss_now} at step {step}")
        if step == 1:  # from here on nothing is garbage: the collector would only cost time
            gc.collect()
            gc.disable()
        if step > START_UP_STEPS:
            timed += dt
            spent = timed * step / (step - START_UP_STEPS)
        smooth = 0.9 * smooth + 0.1 * loss_now
        rate = tokens_per_step / dt
        mfu = 100 * model.flops_per_token() * rate / peak_flops() if peak_flops() else 0.0
        print(
            f"\rstep {step:05d} ({100 * progress:.1f}%) | loss: {smooth / (1 - 0.9**step):.6f} | lrm: {lrm:.2f} | "
            f"dt: {1000 * dt:.0f}ms | tok/sec: {rate:,.0f} | mfu: {mfu:.1f}% | epoch: {epoch} | "
            f"remaining: {max(0.0, TIME_BUDGET - spent):.0f}s    ",
            end="",
            flush=True,
        )
        if step == max_steps or (not max_steps and spent + dt / 2 > TIME_BUDGET):  # ends at the step nearest to it
            break
    print(flush=True)

    eval_started = time.perf_counter()
    val_bpb = evaluate_bpb(losses, batch.rows)
    if not math.isfinite(val_bpb):
        fail("val_bpb is not a finite number")
    ended = time.perf_counter()
    rate = tokens_per_step * step / spent if spent else 0.0
    mfu = 100 * model.flops_per_token() * rate / peak_flops() if peak_flops() else 0.0
    peak_memory = torch.cuda.max_memory_allocated() if DEVICE == "cuda" else 0
    print("---")
    print(f"val_bpb:          {val_bpb:.6f}")
    print(f"training_seconds: {spent:.1f}")
    print(f"total_seconds:    {ended - STARTED:.1f}")
    print(f"peak_vram_mb:     {peak_memory / 2**20:.1f}")
    print(f"mfu_percent:      {mfu:.2f}")
    print(f"total_tokens_M:   {tokens_per_step * step / 1e6:.3f}")
    print(f"num_steps:        {step}")
    print(f"num_params_M:     {num_params / 1e6:.2f}")
    print(f"depth:            {config.depth}")
    print(f"startup_seconds:  {startup_seconds:.1f}")
    print(f"eval_seconds:     {ended - eval_started:.1f}", flush=True)


if __name__ == "__main__":
    main()
