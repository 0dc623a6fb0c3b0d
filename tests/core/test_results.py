"""results.tsv: written as upstream writes it, read as real files are."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import results
from core.results import Problem, Row

UPSTREAM = (
    "commit\tval_bpb\tmemory_gb\tstatus\tdescription\n"
    "a1b2c3d\t0.997900\t44.0\tkeep\tbaseline\n"
    "b2c3d4e\t0.993200\t44.2\tkeep\tincrease LR to 0.04\n"
    "c3d4e5f\t1.005000\t44.0\tdiscard\tswitch to GeLU activation\n"
    "d4e5f6g\t0.000000\t0.0\tcrash\tdouble model width (OOM)\n"
)
ROWS = (
    Row("a1b2c3d", 0.9979, 44.0, "keep", "baseline"),
    Row("b2c3d4e", 0.9932, 44.2, "keep", "increase LR to 0.04"),
    Row("c3d4e5f", 1.005, 44.0, "discard", "switch to GeLU activation"),
    Row("d4e5f6g", None, None, "crash", "double model width (OOM)"),
)
HEADER = UPSTREAM.partition("\n")[0] + "\n"


def one(line: str) -> Row:
    loaded = results.load((HEADER + line).encode())
    assert loaded.problems == ()
    assert len(loaded.rows) == 1
    return loaded.rows[0]


def test_upstreams_file_is_read_and_written() -> None:
    assert results.load(UPSTREAM.encode()) == results.Loaded(ROWS, ())
    assert results.dump(ROWS) == UPSTREAM


@pytest.mark.parametrize(
    "data",
    [
        UPSTREAM.rstrip("\n").encode(),
        UPSTREAM.replace("\n", "\r\n").encode(),
        UPSTREAM.replace("\n", "\r").encode(),
        UPSTREAM.replace("\n", "\n\n  \n").encode(),
        UPSTREAM.encode("utf-8-sig"),
        UPSTREAM.encode("utf-16"),
        b"\xfe\xff" + UPSTREAM.encode("utf-16-be"),
        UPSTREAM.replace("\t", ",").encode(),
        UPSTREAM.replace("\t", "  ").encode(),
        UPSTREAM.replace("\t", " ").encode(),
        UPSTREAM.removeprefix(HEADER).encode(),
        UPSTREAM.removeprefix(HEADER).replace("\t", ",").encode(),
        UPSTREAM.removeprefix(HEADER).replace("\t", "   ").encode(),
        (UPSTREAM + HEADER).encode(),
        UPSTREAM.replace("keep", " KEEP ").replace("discard", "Discarded").replace("crash", "💥 crash").encode(),
        UPSTREAM.replace("44.0", "44.0 GB").encode(),
    ],
)
def test_the_same_table_in_other_clothes_is_the_same(data: bytes) -> None:
    assert results.load(data) == results.Loaded(ROWS, ())


@pytest.mark.parametrize(
    ("line", "row"),
    [
        ("a1\t0.99\t44.0\tkeep", Row("a1", 0.99, 44.0, "keep", "")),
        ("a1\t0.99\t44.0\tkeep\tone\ttwo\t\tthree", Row("a1", 0.99, 44.0, "keep", "one two three")),
        ("a1\t0.99\tkeep\tno memory column", Row("a1", 0.99, None, "keep", "no memory column")),
        ("a1-dirty\t\t\tcrash\t", Row("a1-dirty", None, None, "crash", "")),
        ("none\tNaN\tn/a\tdiscard\tx", Row("none", None, None, "discard", "x")),
        ("\t0.99\t45%\tkept\tmemory as a share", Row("", 0.99, None, "keep", "memory as a share")),
        ("a1\t0,9979\t44\tbaseline\tżółć → β", Row("a1", 0.9979, 44.0, "keep", "żółć → β")),
        ("a1\t0.000000\t44\tkeep\tzero means none", Row("a1", None, 44.0, "keep", "zero means none")),
        ("a1\t0.98\t44\tfailed\ta crash has no result", Row("a1", None, 44.0, "crash", "a crash has no result")),
        ('"a, b",0.98,44,reverted,"x, y"', Row("a, b", 0.98, 44.0, "discard", "x, y")),
    ],
)
def test_odd_rows_are_read_as_meant(line: str, row: Row) -> None:
    header = HEADER.replace("\t", ",") if line.startswith('"') else HEADER
    assert results.load((header + line).encode()) == results.Loaded((row,), ())


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("a1\t0.99\t44.0\tpending\tx", "The status 'pending' is not keep, discard or crash."),
        ("a1\t0.99\t44.0", "The row has no status; it must be keep, discard or crash."),
        ("a1\t99.79%\t44.0\tkeep\tx", "The val_bpb '99.79%' is a percentage; bits per byte were expected."),
        ("a1\tgood\t44.0\tkeep\tx", "The val_bpb 'good' is not a number."),
        ("a1\t-0.99\t44.0\tkeep\tx", "The val_bpb '-0.99' is negative, which bits per byte cannot be."),
        ("# notes", "The row has no status; it must be keep, discard or crash."),
    ],
)
def test_a_row_that_cannot_be_read_is_reported_and_stops_nothing(line: str, reason: str) -> None:
    loaded = results.load((UPSTREAM + line + "\nz9\t0.5\t1.0\tkeep\tafter\n").encode())
    assert loaded.problems == (Problem(6, reason),)
    assert loaded.rows == (*ROWS, Row("z9", 0.5, 1.0, "keep", "after"))


@pytest.mark.parametrize(
    ("metric", "why"), [("accuracy", "better when higher"), ("val_loss", "another unit"), ("val_rmse", "another unit")]
)
def test_another_metric_is_reported_once_and_not_taken_as_bits_per_byte(metric: str, why: str) -> None:
    loaded = results.load(f"commit\t{metric}\tstatus\tdescription\na1\t0.91\tkeep\tx\nb2\t97%\tdiscard\ty\n".encode())
    assert loaded.problems == (
        Problem(1, f"The metric is '{metric}', not val_bpb ({why}), so its numbers are not taken."),
    )
    assert loaded.rows == (Row("a1", None, None, "keep", "x"), Row("b2", None, None, "discard", "y"))


def test_another_metric_is_not_taken_from_a_ragged_row_either() -> None:
    loaded = results.load(b"commit\taccuracy\tstatus\tdescription\na1\t0.91\t12.0\tkeep\tx\n")
    assert loaded.rows == (Row("a1", None, None, "keep", "x"),)


def test_columns_are_found_by_name_wherever_they_are() -> None:
    text = (
        "status\tcommit\tval_bpb\trobustness_gap\tworst_test\tpeak_vram_mb\tdescription\n"
        "keep\t5022ead\t2.013867\t1.549741\tadversarial_search\t20480\tbaseline — depth=4\n"
    )
    assert results.load(text.encode()) == results.Loaded(
        (Row("5022ead", 2.013867, 20.0, "keep", "baseline — depth=4"),), ()
    )


def test_a_file_in_a_legacy_encoding_is_read() -> None:
    assert (
        results.load(UPSTREAM.replace("GeLU", "GéLU").encode("cp1252")).rows[2].description
        == "switch to GéLU activation"
    )


def test_an_empty_file_has_no_rows_and_no_problems() -> None:
    assert results.load(b"") == results.load(b"\xff\xfe") == results.load(HEADER.encode()) == results.Loaded((), ())


def test_what_would_break_the_table_becomes_a_space() -> None:
    row = Row("a\tb", math.nan, math.inf, "keep", " one\ttwo\r\nthree\x00\u2028four\ud800 ")
    assert results.dump([row]).splitlines()[1:] == ["a b\t0.000000\t0.0\tkeep\tone two three four?"]


words = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zl", "Zp"])).map(str.strip)
kept = st.builds(
    Row,
    commit=words,
    val_bpb=st.none() | st.integers(1, 5_000_000).map(lambda micro: micro / 1e6),
    memory_gb=st.none() | st.integers(1, 9_999).map(lambda tenth: tenth / 10),
    status=st.sampled_from(["keep", "discard"]),
    description=words,
)
crashed = st.builds(Row, words, st.none(), st.none(), st.just("crash"), words)


@given(st.lists(kept | crashed))
def test_what_is_written_reads_back(rows: list[Row]) -> None:
    assert results.load(results.dump(rows).encode()) == results.Loaded(tuple(rows), ())


cells = st.sampled_from(
    [
        "a1b2c3d",
        "none",
        "",
        "0.99",
        "0.000000",
        "NaN",
        "44.0",
        "12%",
        "keep",
        "KEPT",
        "crash",
        "weird",
        "an idea",
        "a,b,c",
        '"',
    ]
)
separators = st.sampled_from(["\t", "\t\t", ",", "  ", " "])
lines = st.tuples(separators, st.lists(cells, max_size=8)).map(lambda pair: pair[0].join(pair[1])) | st.text(
    max_size=20
)
newlines = st.sampled_from(["\n", "\r\n", "\r"])
headers = st.sampled_from(["", HEADER, "commit\taccuracy\tstatus\n", "commit,val_bpb,status,description\n"])


@given(headers, st.lists(lines.filter(lambda line: "\n" not in line and "\r" not in line)), newlines)
def test_every_line_is_a_row_or_a_problem(header: str, body: list[str], newline: str) -> None:
    loaded = results.load((header + newline.join(body)).encode("utf-8", "replace"))
    first = 2 if header else 1
    about_lines = [problem for problem in loaded.problems if problem.line >= first]
    assert len({problem.line for problem in about_lines}) == len(about_lines)
    assert len(loaded.rows) + len(about_lines) == sum(bool(line.strip()) for line in body)


@given(st.binary(max_size=200))
def test_any_bytes_can_be_loaded(data: bytes) -> None:
    for problem in results.load(data).problems:
        assert problem.reason.endswith(".")
