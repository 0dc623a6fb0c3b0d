"""Build a corpus from text: find documents, train a tokenizer, write tokens, put the result in force.

The only part of the workspace that writes to the data folder. Building happens in a scratch folder that is renamed when
it is complete, so a reader never sees half a corpus, and of two builders at once both end well. It needs no torch.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import json
import os
import shutil
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from prepare import BOS, DEVICE, PROFILES, Damaged, Profile, data_root, digest_of, fail, read_pointer, sha256_of, verify

VAL_SHARE = 1 / 16  # of the documents, chosen by a hash of their text: equal documents land on the same side
FORMAT = 1  # raise it when prepared files change meaning

Source = dict[str, str]
STDLIB = {"kind": "stdlib", "python": sys.version.split()[0]}

TEXT = (".txt", ".md", ".py")
NOT_STDLIB = {"test", "tests", "idle_test", "site-packages", "dist-packages", "encodings", "idlelib", "lib2to3"}


def find_files(source: Source) -> list[Path]:
    """The files of a source, in an order that is arbitrary but the same everywhere."""
    if source["kind"] == "hf":
        return download(source["repo"], int(source["shards"]))
    root = Path(sysconfig.get_path("stdlib") if source["kind"] == "stdlib" else source["path"])
    suffixes, skipped = ((".py",), NOT_STDLIB) if source["kind"] == "stdlib" else ((*TEXT, ".parquet"), set[str]())
    if not root.is_dir():
        fail(f"{root} is not a folder: give --data a folder of .txt, .md, .py or .parquet files.")
    found = [path.relative_to(root) for path in root.rglob("*") if path.suffix.lower() in suffixes and path.is_file()]
    wanted = [path for path in found if not any(part in skipped or part.startswith(".") for part in path.parts)]
    if not wanted:
        fail(f"{root} holds no text: it needs {', '.join(suffixes)} files.")
    return [root / path for path in sorted(wanted, key=lambda path: hashlib.sha256(path.as_posix().encode()).digest())]


def download(repo: str, shards: int) -> list[Path]:
    """The first parquet shards of a Hugging Face data set, from its cache if they are there."""
    try:
        import huggingface_hub as hub
    except ImportError:
        fail("--hf needs the huggingface_hub package: run `pip install huggingface_hub pyarrow`.")
    try:
        names = sorted(n for n in hub.list_repo_files(repo, repo_type="dataset") if n.endswith(".parquet"))[:shards]
        paths = [Path(hub.hf_hub_download(repo, name, repo_type="dataset")) for name in names]
    except Exception as error:  # what is raised without a network depends on the HTTP client that the hub uses
        fail(f"Cannot download {repo} from Hugging Face: {str(error).splitlines()[0]}")
    return paths or fail(f"The data set {repo} holds no .parquet files.")


def documents(files: list[Path]) -> Iterator[str]:
    """Yield every document: a row of a parquet file, else a file (of few files, pieces cut at line ends)."""
    texts = [path for path in files if path.suffix.lower() != ".parquet"]
    piece = max(1024, sum(path.stat().st_size for path in texts) // 128) if len(files) < 64 else sys.maxsize
    for path in files:
        if path.suffix.lower() == ".parquet":
            yield from parquet_rows(path)
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        at = 0
        while at < len(text):
            end = text.find("\n", at + piece) + 1 or len(text)
            yield text[at:end]
            at = end


def parquet_rows(path: Path) -> Iterator[str]:
    try:
        parquet = importlib.import_module("pyarrow.parquet")
    except ImportError:
        fail("Reading .parquet files needs the pyarrow package: run `pip install pyarrow`.")
    try:
        for batch in parquet.ParquetFile(path).iter_batches(columns=["text"]):
            yield from (str(text) for text in batch.column("text").to_pylist() if text)
    except (KeyError, OSError, ValueError) as error:  # pyarrow's errors derive from these
        fail(f"{path} cannot be read as parquet with a column named text: {str(error).splitlines()[0]}")


def is_val(text: str) -> bool:
    return hashlib.sha256(text.encode("utf-8", "replace")).digest()[:4] < int(VAL_SHARE * 2**32).to_bytes(4, "big")


def train_tokenizer(files: list[Path], profile: Profile) -> Any:
    """A byte-level BPE trained on the first sample_bytes of the training documents; its token 0 is BOS."""
    try:
        from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    except ImportError:
        fail("Preparing a corpus needs the tokenizers package: run `pip install tokenizers`.")

    def sample() -> Iterator[str]:
        left = profile.sample_bytes
        for text in documents(files):
            if left > 0 and not is_val(text):
                left -= len(text)
                yield text
            elif left <= 0:
                return

    tokenizer = Tokenizer(models.BPE())
    tokenizer.encode_special_tokens = True  # a text that spells out the name of BOS is text
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=profile.vocabulary, special_tokens=["<|bos|>"], initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(sample(), trainer)
    if tokenizer.get_vocab_size() != profile.vocabulary:
        fail(f"The corpus is too small: it yields {tokenizer.get_vocab_size()} tokens of {profile.vocabulary}.")
    return tokenizer


def batches(texts: Iterator[str], characters: int = 4_000_000) -> Iterator[list[str]]:
    batch, size = [], 0
    for text in texts:
        batch.append(text)
        size += len(text)
        if size >= characters:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def build(folder: Path, source: Source, profile: Profile) -> dict[str, Any]:
    """Write a whole corpus into an empty folder; returns its description."""
    files = find_files(source)
    tokenizer = train_tokenizer(files, profile)
    tokenizer.save(str(folder / "tokenizer.json"))
    # In a byte-level vocabulary each character of a token stands for one byte.
    sizes = [len(tokenizer.id_to_token(i)) if i != BOS else 0 for i in range(profile.vocabulary)]
    np.save(folder / "token_bytes.npy", np.array(sizes, dtype=np.int64))
    ends: dict[str, list[int]] = {"train": [0], "val": [0]}
    raw = {name: (folder / f"{name}.raw").open("wb") for name in ends}
    for batch in batches(documents(files)):
        for text, encoding in zip(batch, tokenizer.encode_batch_fast(batch, add_special_tokens=False), strict=True):
            name = "val" if is_val(text) else "train"
            raw[name].write(np.array(encoding.ids, dtype=np.uint16).tobytes())
            ends[name].append(ends[name][-1] + len(encoding.ids))
    for name, file in raw.items():
        file.close()
        count, needed = ends[name][-1], {"train": 64, "val": 8}[name] * (profile.seq_len + 1)
        if count < needed:
            fail(f"The corpus is too small: {count} tokens for {name}, and at least {needed} are needed.")
        np.save(folder / f"{name}.npy", np.memmap(folder / f"{name}.raw", dtype=np.uint16, mode="r"))
        np.save(folder / f"{name}.offsets.npy", np.array(ends[name], dtype=np.int64))
        (folder / f"{name}.raw").unlink()
    hashes = {path.name: sha256_of(path) for path in sorted(folder.iterdir())}
    documents_of = {f"{name}_documents": len(at) - 1 for name, at in ends.items()}
    tokens_of = {f"{name}_tokens": at[-1] for name, at in ends.items()}
    meta = {"digest": digest_of(hashes), "source": source, "files": hashes, **documents_of, **tokens_of}
    (folder / "meta.json").write_text(json.dumps(meta, indent=1))
    return meta


def folder_name(source: Source, profile: Profile) -> str:
    """Depends on everything that decides the content, as far as it can be told without reading the files."""
    facts: list[object] = [FORMAT, profile.name, profile.seq_len, profile.vocabulary, profile.sample_bytes, VAL_SHARE]
    if source["kind"] == "folder":
        facts += [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in find_files(source)]
    key = hashlib.sha256(json.dumps([source, facts], sort_keys=True).encode()).hexdigest()[:12]
    return f"{profile.name}-{key}"


def install(built: Path, final: Path) -> None:
    """Rename a finished folder into place. Another process may have been faster: then a sound folder stays."""
    while True:
        try:
            built.rename(final)
            return
        except OSError:
            if not final.exists():
                raise
        try:
            verify(final)
            shutil.rmtree(built)
            return
        except Damaged:
            shutil.rmtree(final, ignore_errors=True)


def prepare(wanted: Source | None, profile: Profile) -> None:
    """Make the wanted corpus (None: the one in force, else the standard library's) ready and put it in force."""
    root = data_root()
    started = time.perf_counter()
    pointer = read_pointer(root, profile)
    if pointer and not wanted:
        source, name = pointer["source"], pointer["folder"]  # kept, even if its source has changed since
    else:
        source = wanted or STDLIB
        name = folder_name(source, profile)
    try:
        meta, verb = verify(root / name), "is ready"
    except Damaged:
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".building-", dir=root, ignore_cleanup_errors=True) as scratch:
            (built := Path(scratch) / name).mkdir()
            meta, verb = build(built, source, profile), "was built"
            install(built, root / name)
    scratch_pointer = root / f".{profile.name}.{os.getpid()}"
    scratch_pointer.write_text(json.dumps({"folder": name, "source": source}))
    scratch_pointer.replace(root / f"{profile.name}.json")
    origin = " ".join(source.values())
    print(f"The {profile.name} corpus from {origin} {verb} in {time.perf_counter() - started:.1f} s: {root / name}")
    for split in ("train", "val"):
        print(f"{split}: {meta[f'{split}_documents']:,} documents, {meta[f'{split}_tokens']:,} tokens")
    print(f"corpus: {meta['digest']}")


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Prepare the corpus once; without options, keep the one in force.")
    origin = parser.add_mutually_exclusive_group()
    origin.add_argument("--data", metavar="FOLDER", type=Path, help="a folder of .txt, .md, .py or .parquet files")
    origin.add_argument("--hf", metavar="REPO", help="a Hugging Face data set with a column named text")
    origin.add_argument("--stdlib", action="store_true", help="the source text of Python's standard library (default)")
    parser.add_argument("--shards", type=int, default=10, help="how many shards of --hf to take (default 10)")
    parser.add_argument("--device", choices=("cpu", "cuda"), default=DEVICE, help="whose profile to prepare for")
    options = parser.parse_args(arguments)
    source: Source | None = None
    if options.data:
        source = {"kind": "folder", "path": str(options.data.expanduser().resolve())}
    elif options.hf:
        source = {"kind": "hf", "repo": options.hf, "shards": str(max(1, options.shards))}
    elif options.stdlib:
        source = STDLIB
    try:
        prepare(source, PROFILES["gpu" if options.device == "cuda" else "cpu"])
    except OSError as error:
        fail(f"Cannot prepare the corpus: {error}.")
