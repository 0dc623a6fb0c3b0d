"""What a log says in its beginning of what is computed: the model, its parameters and its first loss."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from core.transcript import Reader

UPSTREAMS_START = """\
Model config: {'sequence_len': 2048, 'n_layer': 8, 'n_embd': 512}
Parameter counts:
  wte                     : 4,194,304
  transformer_matrices    : 25,166,336
  total                   : 50,332,176
Estimated FLOPs per token: 2.4e+08
"""


def test_upstreams_parameter_counts_tell_the_parameters() -> None:
    reader = Reader()
    reader.feed(UPSTREAMS_START.encode())
    assert reader.params_m == 50.332176
    elsewhere = Reader()
    elsewhere.feed(b"Parameter counts:\nnone\n  total : 5\n")
    assert elsewhere.params_m is None


@given(st.lists(st.integers(0, 200)))
def test_the_first_loss_is_that_of_the_first_step_however_the_log_is_cut(cuts: list[int]) -> None:
    log = b"Model config: x\n\rstep 00000 (0.0%) | loss: 9.010913 | lrm: 1   \rstep 00001 (0.1%) | loss: 8.971000 | l\r"
    reader = Reader()
    places = sorted({0, *(cut for cut in cuts if cut < len(log)), len(log)})
    for start, end in pairwise(places):
        reader.feed(log[start:end])
        first = reader.first
        assert first is None or (first.step, first.loss) == (0, 9.010913)
    assert reader.first is not None


def test_a_model_is_identified_once_its_first_loss_is_known() -> None:
    reader = Reader()
    reader.feed(UPSTREAMS_START.encode())
    assert not reader.is_identified, "a fingerprint may follow"
    reader.feed(b"\rstep 00000 (0.0%) | lo")
    assert not reader.is_identified
    reader.feed(b"ss: 9.010913 | lrm: 1.00")
    assert reader.is_identified
    other = Reader()
    other.feed(UPSTREAMS_START.encode() + b"\rstep 00000 (0.0%)|\r")
    assert other.is_identified, "without a loss"
    assert other.first is None
