"""Training logs: progress, results, causes of failure and clean text, from whatever bytes come in."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.transcript import Progress, Reader, clean

HEAD = """\
/venv/lib/python3.11/site-packages/torch/_inductor/compile_fx.py:2772: UserWarning: not supported natively, skipping
  warnings.warn(
Vocab size: 8,192
Model config: {'sequence_len': 2048, 'n_layer': 8, 'n_embd': 512}
Time budget: 300s
"""
STEP = (
    "\rstep {0:05d} ({1:.1f}%) | loss: {2:.6f} | lrm: 1.00 | dt: 283ms | tok/sec: 1,852,000 | "
    "mfu: 39.8% | epoch: 1 | remaining: {3}s    "
)
PROGRESS = "".join(STEP.format(i, i / 10, 9 - i / 1000, 300 - i) for i in range(30))
BLOCK = """
---
val_bpb:          0.997900
training_seconds: 300.1
total_seconds:    325.9
peak_vram_mb:     45060.2
mfu_percent:      39.80
total_tokens_M:   499.6
num_steps:        953
num_params_M:     50.3
depth:            8
"""
LOG = HEAD + PROGRESS + BLOCK
TRACEBACK = """Traceback (most recent call last):
  File "train.py", line 12, in <module>
    model(x)
RuntimeError: shape mismatch
"""


def raising(line: str) -> str:
    return TRACEBACK.replace("RuntimeError: shape mismatch", line)


def read(log: str | bytes) -> Reader:
    reader = Reader()
    reader.feed(log.encode() if isinstance(log, str) else log)
    return reader


def bpb(log: str | bytes) -> float | None:
    summary = read(log).summary()
    return summary.val_bpb if summary else None


def answers(reader: Reader) -> tuple[object, ...]:
    seen = (reader.progress, reader.summary(), reader.failure(), reader.fingerprint, reader.corpus)
    return (*seen, reader.tail(), reader.tail(100))


def test_upstreams_log_is_read() -> None:
    reader = read(LOG)
    assert reader.progress == Progress(
        step=29,
        fraction=0.029,
        loss=8.971,
        tokens_per_s=1_852_000,
        dt_ms=283,
        mfu_percent=39.8,
        epoch=1,
        remaining_s=271,
        lrm=1,
    )
    summary = reader.summary()
    assert summary is not None
    assert (summary.val_bpb, summary.training_s, summary.total_s, summary.peak_vram_mb) == (
        0.9979,
        300.1,
        325.9,
        45060.2,
    )
    assert (summary.mfu_percent, summary.total_tokens_M, summary.num_params_M) == (39.8, 499.6, 50.3)
    assert (summary.num_steps, summary.depth, summary.extra) == (953, 8, {})
    assert reader.fingerprint == "{'sequence_len': 2048, 'n_layer': 8, 'n_embd': 512}"
    assert reader.failure() == ""


def test_nothing_read_says_nothing() -> None:
    assert answers(Reader()) == (None, None, "", "", "", "", "")


@pytest.mark.parametrize(
    "data",
    [
        LOG.encode("utf-8-sig"),
        LOG.encode("utf-16"),
        b"\xfe\xff" + LOG.encode("utf-16-be"),
        LOG.replace("\n", "\r\n").encode(),
        LOG.replace("\n", "\n[rank0]: ").replace("\rstep", "\r[rank0]: step").encode(),
        LOG.replace("\n", "\n[0] ").encode(),
        LOG.replace("\n", "\nrank 0 | ").encode(),
        LOG.replace("\n", "\n\x1b[1m").replace("step", "\x1b[2K\x1b[32mstep").replace("|", "\x1b[0m|").encode(),
        LOG.replace("\rstep", "step").encode(),
        b"\xff\x00\x80" + LOG.encode() + b"\xe2\x82",
    ],
)
def test_encodings_prefixes_colours_and_lost_carriage_returns_change_nothing(data: bytes) -> None:
    reader = read(data)
    assert reader.summary() == read(LOG).summary()
    assert reader.progress == read(LOG).progress
    assert reader.fingerprint == read(LOG).fingerprint


def test_the_latest_step_is_found_in_a_huge_line_that_lost_its_carriage_returns() -> None:
    log = "".join(STEP.format(i, 1, 5, 9).lstrip() for i in range(2000))
    for reader in (read(log), read(log + "\n")):
        assert reader.progress is not None
        assert reader.progress.step == 1999


@pytest.mark.parametrize("cut", ["---", "---\n", "---\nval_bpb:", "---\nval_bpb:   0.99", "---\nval_bpb:   0.997900"])
def test_a_result_cut_off_is_no_result(cut: str) -> None:
    assert bpb(PROGRESS + "\n" + cut) is None


def test_a_result_counts_when_its_line_has_ended() -> None:
    assert bpb("---\nval_bpb:   0.9979\n") == 0.9979
    summary = read("---\nval_bpb:   0.9979\nnum_steps: 95").summary()
    assert summary is not None
    assert summary.num_steps is None  # the beginning of 953?


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "0.000000", "-1.0", "1e999", "0,9979", "99.7 %x", "None"])
def test_what_cannot_be_bits_per_byte_is_no_result(value: str) -> None:
    log = f"---\nval_bpb: 0.5\n---\nval_bpb: {value}\n"
    assert bpb(log) is None
    assert read(log).failure() == f"val_bpb is {value}"


def test_the_last_complete_block_counts() -> None:
    assert bpb("---\nval_bpb: 1.5\n---\nval_bpb: 1.25\n---\nsomething: else\n---\nval_bpb: 1.") == 1.25


def test_a_val_bpb_outside_a_block_is_no_result() -> None:
    assert bpb("val_bpb: 0.9\n") is None
    assert bpb("-----\nval_bpb: 0.9\n") is None
    assert bpb("---\n" + "chatter\n" * 100 + "val_bpb: 0.9\n") is None


def test_unknown_fields_are_kept_and_warnings_between_are_passed_over() -> None:
    summary = read(
        "---\narchitecture: hybrid\nval_bpb: 0.9\n/x.py:3: UserWarning: hm\n"
        "heads:  1,024\nshare: 12.5%\nmfu_percent: nan\nnum_steps: 7\n"
    ).summary()
    assert summary is not None
    assert summary.extra == {"architecture": "hybrid", "heads": 1024.0, "share": 12.5}
    assert (summary.mfu_percent, summary.num_steps) == (None, 7)


def test_a_traceback_before_success_is_no_failure() -> None:
    assert read(TRACEBACK + LOG).failure() == ""


@pytest.mark.parametrize(
    ("log", "cause"),
    [
        (LOG[:400], ""),
        (TRACEBACK, "RuntimeError: shape mismatch"),
        (PROGRESS + TRACEBACK, "RuntimeError: shape mismatch"),
        ("[rank1]: " + TRACEBACK.replace("\n", "\n[rank1]: "), "RuntimeError: shape mismatch"),
        (TRACEBACK + "\nDuring handling …\n\n" + raising("ValueError: other"), "ValueError: other"),
        (raising("torch._dynamo.exc.Unsupported: call"), "torch._dynamo.exc.Unsupported: call"),
        (raising("socket.gaierror: [Errno -2]"), "socket.gaierror: [Errno -2]"),
        (raising("AssertionError"), "AssertionError"),
        ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 GiB.\n", "CUDA out of memory"),
        (TRACEBACK + raising("torch.errors.ChildFailedError: "), "RuntimeError: shape mismatch"),
        (PROGRESS + "FAIL\n", "loss not finite or exploding"),
        ("FAIL: the loss is nan at step 3\n", "the loss is nan at step 3"),
        ("FAIL at step 3\n" + TRACEBACK, "loss not finite or exploding"),
        ("FAILED to load a plugin\n", ""),
        ("train.sh: line 3: 4711 Killed   python train.py\n", "Killed   python train.py"),
        ("Segmentation fault (core dumped)\n", "Segmentation fault (core dumped)"),
        ("---\nval_bpb: nan\n" + TRACEBACK, "val_bpb is nan"),
        (raising("\x1b[31mValueError\x1b[0m: \x1b]0;evil\x07a\u202eb"), "ValueError: ab"),
    ],
)
def test_the_cause_of_a_failure_is_one_line(log: str, cause: str) -> None:
    assert read(log).failure() == cause


def test_a_line_being_written_never_hides_what_the_one_before_said() -> None:
    reader = read(STEP.format(1, 1, 5, 9) + "\rstep 00002 (2.0%) | loss: 4.5")
    assert reader.progress is not None
    assert (reader.progress.step, reader.progress.loss) == (1, 5.0)
    reader.feed(STEP.format(2, 2, 4.5, 8)[len("\rstep 00002 (2.0%) | loss: 4.5") :].encode())
    assert reader.progress is not None
    assert (reader.progress.step, reader.progress.loss) == (2, 4.5)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("step 7 | loss: nan | mfu: n/a | extra: 3 | dt: 1.5s", Progress(7, dt_ms=1500)),
        ("step:100/400 train_loss:3.25 dt:90ms", Progress(100, fraction=0.25, loss=3.25, dt_ms=90)),
        ("step 3 (120.0%) | kl_loss: 2 | loss: 1 | tok/sec: 1.5M", Progress(3, fraction=1, loss=1, tokens_per_s=1.5e6)),
        ("one step 5 of the setup", None),
        ("timestep 5 | loss: 3", None),
        ("step size: 4", None),
    ],
)
def test_other_progress_lines_are_read_as_far_as_they_go(line: str, expected: Progress | None) -> None:
    assert read(line + "\n").progress == expected


def test_the_fingerprint_line_beats_the_model_config_and_the_last_one_counts() -> None:
    reader = read("fingerprint: abc\nModel config: x\ncorpus: tiny-shakespeare\nfingerprint:  d\x1b[0mef \n")
    assert (reader.fingerprint, reader.corpus) == ("def", "tiny-shakespeare")


def test_the_tail_shows_the_last_version_of_a_rewritten_line() -> None:
    assert read("a\n10%\r20%\r30%\nb\r\n\x1b[31mc\td").tail() == "a\n30%\nb\nc    d"
    assert read("a\nb\nc\n").tail(2) == "b\nc"
    assert read("a\r").tail() == "a"
    assert read("a").tail(0) == ""


odd = [
    "\r",
    "\n",
    "\r\n",
    "FAIL",
    "\x1b[3",
    "1m",
    "\x1b]0;",
    "x" * 9000,
    "é",
    "\u202e",
    "[rank0]: ",
    TRACEBACK,
    "y" * 5000,
]
whole = ["---\nval_bpb: nan\n", "corpus: ü\n", "step 00004 (1.0%) | loss: 3.", STEP.format(3, 1, 2, 3)]
pieces = st.sampled_from([*LOG.splitlines(keepends=True), *odd, *whole])
logs = st.lists(pieces, max_size=25).map("".join)
encodings = st.sampled_from(["utf-8", "utf-8-sig", "utf-16"])


@given(
    st.one_of(st.tuples(logs, encodings).map(lambda pair: pair[0].encode(pair[1])), st.binary(max_size=80)), st.data()
)
def test_any_chunking_gives_the_same_answers(log: bytes, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(log)), max_size=8)))
    reader = Reader()
    for start, end in zip([0, *cuts], [*cuts, len(log)], strict=True):
        reader.feed(log[start:end])
        answers(reader)  # asking changes nothing
    assert answers(reader) == answers(read(log))


@given(st.sampled_from([LOG.encode(), LOG.encode("utf-16"), LOG.encode("utf-8-sig")]), st.integers(0, 40_000))
def test_a_log_cut_anywhere_gives_the_result_or_none(log: bytes, cut: int) -> None:
    assert bpb(log[:cut]) in (None, 0.9979)


@given(st.binary(max_size=400), st.sampled_from([b"", b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf"]))
def test_any_bytes_are_read_and_come_out_clean(data: bytes, mark: bytes) -> None:
    for answer in answers(read(mark + data)):
        if isinstance(answer, str):
            assert answer == clean(answer)


def test_one_byte_at_a_time_is_enough() -> None:
    reader = Reader()
    for byte in LOG.encode("utf-16"):
        reader.feed(bytes([byte]))
    assert answers(reader) == answers(read(LOG))


@pytest.mark.parametrize(
    "flood",
    [
        b"x",
        b"\n",
        b"a\n",
        b"\x1b]",
        "é\n".encode(),
        "\U0001f600".encode(),
        b"step 1 | loss: 3 ",
        b"---\nval_bpb: 1\nkey: ",
    ],
)
def test_memory_is_bounded_whatever_comes_in(flood: bytes) -> None:
    reader = Reader()
    chunk = flood * (150_000 // len(flood))
    reader.feed(chunk)
    answers(reader)
    tracemalloc.start()
    fresh = Reader()
    for _ in range(3):
        fresh.feed(chunk)
    held, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 256_000
    assert peak < 3_000_000


def test_many_fields_in_a_block_are_bounded() -> None:
    summary = read("---\nval_bpb: 1\n" + "".join(f"k{i}: {'9' * 999}\n" for i in range(60)) + "depth: 3\n").summary()
    assert summary is not None
    assert summary.depth == 3
    assert len(summary.extra) < 60


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("a\x1b[31;1mb\x1b[0mc", "abc"),
        ("a\x1b]8;;http://x\x1b\\b\x1b]0;t\x07c", "abc"),
        ("a\x1bPdcs\x1b\\b\x90x\x9cc", "abc"),
        ("a\x1b]0;never ended\nb", "a\nb"),
        ("a\x1b[12", "a"),
        ("a\x1b", "a"),
        ("a\x9b2Jb", "ab"),
        ("a\x00\x07\x08\x7fb", "ab"),
        ("a\u202eb\u2066c\u200bd\ufeffe\u00adf\U000e0041", "abcdef"),
        ("a\tb\u00a0c\u2028d\x0be", "a    b c d e"),
        ("a\r\nb\rc", "a\nb\nc"),
        ("żółć 漢字 ✓ é", "żółć 漢字 ✓ é"),
        ("\ud800x\ue000", "x"),
    ],
)
def test_clean_text_holds_nothing_that_moves_a_terminal(text: str, shown: str) -> None:
    assert clean(text) == shown


@given(st.text(st.characters()) | st.text("\x1b[]m0;\x07\\P\x9b\n\r\tab"), st.integers(1, 50))
def test_cleaning_twice_changes_nothing_and_keeps_the_limit(text: str, limit: int) -> None:
    once = clean(text, limit)
    assert clean(once, limit) == once
    assert len(once) <= limit
    assert all(character == "\n" or character.isprintable() for character in once)


def test_a_fingerprint_line_is_exact_and_a_model_configuration_tells_the_parameters() -> None:
    reader = Reader()
    assert (reader.is_exact, reader.params_m) == (False, None)
    reader.feed(b'Model config: {"depth": 8, "num_params": 50332176}\n')
    assert (reader.is_exact, reader.params_m) == (False, 50.332176)
    reader.feed(b"fingerprint: abc\n")
    assert reader.is_exact
    other = Reader()
    other.feed(b"Model config: {'num_params_of_x': 5}\n")
    assert other.params_m is None
