"""A training log, read while it grows: how far the run is, its result, why it failed.

A result is a `---` line and, within 64 lines, a `val_bpb:` line with a finite number above zero. A field counts once
its line has ended: the 0.99 of a log cut off at `val_bpb: 0.99` may be the beginning of 0.9979. The last `---` block
with a val_bpb line decides, so a nan there is no result even after a good block. The log is untrusted: memory is
bounded whatever comes in, and every text handed out went through `clean`. Knows nothing of processes and exit codes.
"""

from __future__ import annotations

import codecs
import math
import re
from collections import deque

import msgspec

SLICE = 1 << 14  # bytes decoded at once, so that one huge chunk is never held twice
HEAD, TAIL = 4096, 8192  # characters kept of a line longer than both together
LINES, WIDTH = 64, 400  # what tail() can show
BLOCK = 64  # lines after `---` that may belong to the result
FIELDS = 40  # kept of one block
COUNTS = 20  # lines after `Parameter counts:` that may belong to it
TEXT = 2000  # characters kept of a fingerprint or a corpus

_ESCAPE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"  # CSI: colours, cursor
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c\r\n]*(?:\x07|\x1b\\|\x9c)?"  # OSC, DCS, SOS, PM, APC
    r"|\x1b[ -/]*[0-~]?"
)
_UNUSUAL = re.compile(r"[^\n\x20-\x7e]")
_END = re.compile(r"([\r\n])")
_RANK = re.compile(r"\s*(?:\[[a-z]*\s?\d{1,5}\]:?[ \t]?|rank\s?\d{1,5}\s?[:|][ \t]?|\d{1,4}:[ \t])", re.ASCII)
_STEP = re.compile(r"step(?<![\w/]step)[ :=]{1,4}(\d{1,15})(?:/(\d{1,15}))?(?= *[(|,]| +\w*loss)", re.ASCII)
_PERCENT = re.compile(r"\s*\(\s*(\d+(?:\.\d*)?)\s*%\)", re.ASCII)
_PAIR = re.compile(r"([A-Za-z][\w/]*)\s*[:=]\s*([^\s|]+)", re.ASCII)
_FIELD = re.compile(r"([a-z]\w{0,39}):\s+(\S.*)", re.ASCII)
_NUMBER = re.compile(r"[-+]?(?:(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?", re.ASCII)
_NOTABLE = re.compile(
    r"---|FAIL|fingerprint:|corpus:|Model config:|Parameter counts:|Traceback \(most|Error|Exception|KeyboardInterrupt"
    r"|Killed|Segmentation fault|Aborted|Bus error|terminate called"
)
_PARAMETERS = re.compile(r"\bnum_params\W{1,4}(\d{1,15})\b", re.ASCII)
_TOTAL = re.compile(r"total\s*:\s*(\d{1,3}(?:,\d{3})+|\d{1,15})", re.ASCII)  # of upstream's `Parameter counts:`
_RAISED = re.compile(r"(?:[A-Za-z_]\w*\.)*((?<=\.)[a-z_]\w*|[A-Z]\w*)(?:: .*)?$")  # the last line of a traceback
_ERROR = re.compile(r"(?:[A-Za-z_]\w*\.)*(\w*(?:Error|Exception|KeyboardInterrupt))(?:: .*)?$")  # … without one
_FAIL = re.compile(r"(?:^|\s{2})FAIL\b(?:: *(\S.*))?")  # may be printed right behind a progress line
_SIGNAL = re.compile(r"(?:.*line \d+:\s*\d*\s*)?((?:Killed|Segmentation fault|Aborted|Bus error|terminate called).*)")
_MEMORY = re.compile(r"\b(?:CUDA|HIP|XPU|MPS backend) out of memory")
_LAUNCHERS = ("ChildFailedError", "CalledProcessError")  # say that another process failed, not why

_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_MILLISECONDS = {"": 1.0, "ms": 1.0, "s": 1000.0}
_RATE = {"": 1.0, "k": 1e3, "m": 1e6}
_PERCENTS = {"": 1.0, "%": 1.0}
_SECONDS = {"": 1.0, "s": 1.0, "m": 60.0, "min": 60.0}


class Progress(msgspec.Struct, frozen=True):
    """One progress line; what the line does not have, or has as nan, is None."""

    step: int
    fraction: float | None = None  # of the training budget, 0 to 1
    loss: float | None = None  # nats per token, smoothed by the trainer
    tokens_per_s: float | None = None
    dt_ms: float | None = None
    mfu_percent: float | None = None
    epoch: int | None = None
    remaining_s: float | None = None
    lrm: float | None = None  # learning-rate multiplier


class Summary(msgspec.Struct, frozen=True):
    """The closing block of a run that finished."""

    val_bpb: float
    training_s: float | None = None
    total_s: float | None = None
    peak_vram_mb: float | None = None
    mfu_percent: float | None = None
    total_tokens_M: float | None = None  # noqa: N815  the trainer's own name
    num_steps: int | None = None
    num_params_M: float | None = None  # noqa: N815
    depth: int | None = None
    extra: dict[str, float | str] = {}


class Reader:
    """Reads a log as it comes, in chunks of any size; the same bytes give the same answers however they are cut."""

    def __init__(self) -> None:
        self.corpus = ""  # the `corpus:` line: what was trained on
        self._start = b""  # as long as it may be part of a byte-order mark
        self._decoder: codecs.IncrementalDecoder | None = None
        self._pending = ""  # since the last CR or LF
        self._line = ""  # the current line as last rewritten
        self._lines: deque[str] = deque(maxlen=LINES)
        self._step = ""  # the latest progress, unparsed
        self._first: Progress | None = None
        self._counts = 0  # how many more lines may belong to the parameter counts
        self._parameters = ""
        self._block = 0  # how many more lines may belong to the block
        self._fields: dict[str, str] = {}  # of the latest block
        self._result: dict[str, str] = {}  # of the latest block with a val_bpb
        self._in_traceback = False
        self._cause = ""
        self._gave_up = False  # the trainer said FAIL: whatever comes after is a consequence
        self._fingerprint = ""
        self._config = ""

    def feed(self, data: bytes) -> None:
        """Takes the next bytes of the log."""
        if self._decoder is None:
            data, self._start = self._start + data, b""
            if any(mark.startswith(data) and mark != data for mark, _ in _MARKS):
                self._start = data
                return
            mark, encoding = next(((mark, name) for mark, name in _MARKS if data.startswith(mark)), (b"", "utf-8"))
            self._decoder = codecs.getincrementaldecoder(encoding)("replace")
            data = data[len(mark) :]
        for start in range(0, len(data), SLICE):
            self._take(self._decoder.decode(data[start : start + SLICE]))

    @property
    def fingerprint(self) -> str:
        """What identifies the model: the `fingerprint:` line, or upstream's `Model config:`; "" before either."""
        return self._fingerprint or self._config

    @property
    def is_exact(self) -> bool:
        """Whether the fingerprint covers all that decides the result, and not the model alone."""
        return bool(self._fingerprint)

    @property
    def is_identified(self) -> bool:
        """Whether all has been said that tells what is computed.

        `Model config:` counts only when training has begun: a `fingerprint:` line, the number of parameters and the
        first loss follow behind it.
        """
        return self.is_exact or bool(self._config and (self._step or self.first))

    @property
    def params_m(self) -> float | None:
        """Millions of parameters, as `Model config:` or upstream's `Parameter counts:` have them; None without."""
        match = _PARAMETERS.search(self._config)
        text = match[1] if match else self._parameters.replace(",", "")
        return int(text) / 1e6 if text else None

    @property
    def first(self) -> Progress | None:
        """The first progress line with a loss: that of the model as it was made, where it is the first step's."""
        return self._first or _first_loss(_ESCAPE.sub("", self._whole()))

    @property
    def progress(self) -> Progress | None:
        """The latest progress line. A line still being written counts once it says all that the one before said."""
        last = _progress(self._step)
        written = _progress(_last_step(_ESCAPE.sub("", self._whole())))
        return last if written is None or (last and _known(last) - _known(written)) else written

    def _whole(self) -> str:
        """The words of the line still being written that nothing can be added to."""
        return self._pending[: max(self._pending.rfind(" "), self._pending.rfind("|")) + 1]

    def summary(self) -> Summary | None:
        """The result; None as long as there is none."""
        return _summary(self._result)

    def failure(self) -> str:
        """One line that says why a run without a result failed, as far as its log tells; "" otherwise."""
        if self.summary():
            return ""
        if self._result:
            return f"val_bpb is {clean(self._result['val_bpb'], 40)}"
        return clean(self._cause, 300)

    def tail(self, lines: int = 20) -> str:
        """The last lines, at most 64, as a terminal shows them: of a line rewritten with CR, the last version."""
        shown = [*self._lines, self._pending if self._pending.strip() else self._line]
        texts = [clean(line[: 2 * WIDTH], WIDTH).rstrip() for line in shown]
        while texts and not texts[-1]:
            texts.pop()
        return "\n".join(texts[-lines:]) if lines > 0 else ""

    def _take(self, text: str) -> None:
        pieces = _END.split(text)  # stretch, end, stretch, end, …, stretch
        pieces[0] = self._pending + pieces[0]
        self._pending = _clipped(pieces.pop())
        for index in range(0, len(pieces), 2):
            if stretch := pieces[index]:
                self._read(_clipped(stretch))
            if pieces[index + 1] == "\n":
                self._lines.append(self._line)
                self._line = ""

    def _read(self, text: str) -> None:
        if "\x1b" in text or "\x9b" in text:
            text = _ESCAPE.sub("", text)
        if text and not text.isspace():
            self._line = text[: 2 * WIDTH]
        if "step" in text:
            self._step = _last_step(text) or self._step
            self._first = self._first or _first_loss(text)
        if self._block or self._counts or self._in_traceback or _NOTABLE.search(text):
            self._note(text)

    def _note(self, text: str) -> None:
        rank = _RANK.match(text)
        line = (text[rank.end() :] if rank else text).rstrip()
        self._note_result(line.strip())
        self._note_cause(line)
        self._note_counts(line.strip())
        name, _, value = line.partition(":")
        match name:
            case "fingerprint":
                self._fingerprint = clean(value.strip(), TEXT)
            case "Model config":
                self._config = clean(value.strip(), TEXT)
            case "corpus":
                self.corpus = clean(value.strip(), TEXT)

    def _note_result(self, line: str) -> None:
        if line == "---":
            self._block, self._fields = BLOCK, {}
        elif self._block and line:
            self._block -= 1
            match = _FIELD.match(line)
            if match and (match[1] in _SUMMARY or len(self._fields) < FIELDS):
                self._fields[match[1]] = match[2][:200]
            if match and match[1] == "val_bpb":
                self._result = self._fields

    def _note_counts(self, line: str) -> None:
        if line == "Parameter counts:":
            self._counts = COUNTS
        elif self._counts:
            total = _TOTAL.fullmatch(line)
            self._parameters = total[1] if total else self._parameters
            self._counts = 0 if total or ":" not in line else self._counts - 1

    def _note_cause(self, line: str) -> None:
        if "Traceback (most recent call last)" in line:
            self._in_traceback = True
        elif fail := _FAIL.search(line):
            self._cause, self._gave_up = (fail[1] or "loss not finite or exploding")[:TEXT], True
        elif raised := (_RAISED if self._in_traceback else _ERROR).match(line):
            self._in_traceback = False
            if not (self._gave_up or (self._cause and raised[1] in _LAUNCHERS)):
                memory = _MEMORY.search(line)
                self._cause = memory[0] if memory else line[:TEXT]
        elif (signal := _SIGNAL.match(line)) and not self._gave_up:
            self._cause = signal[1][:TEXT]


def clean(text: str, limit: int = 20_000) -> str:
    """Untrusted text, fit for a screen: no escapes, no control or format characters, no bidi overrides; cut at `limit`.

    Newlines stay (CR becomes one), a tab becomes four spaces, other white space one. An unterminated escape sequence
    ends with its line. Cleaning twice changes nothing more.
    """
    if not text.isprintable():
        text = _ESCAPE.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
        text = _UNUSUAL.sub(_visible, text)
    return text if len(text) <= limit else text[: max(0, limit - 1)] + "…"


def _visible(match: re.Match[str]) -> str:
    character = match[0]
    if character.isprintable():
        return character
    if character == "\t":
        return "    "
    return " " if character.isspace() else ""


def _clipped(text: str) -> str:
    """Head and tail of an over-long text; clipping a clipped text with more behind it gives the same as at once."""
    return text if len(text) <= HEAD + TAIL else text[:HEAD] + text[-TAIL:]


def _number(text: str, units: dict[str, float]) -> float | None:
    """The finite number at the start of a text, times what its unit stands for; None if there is anything else."""
    match = _NUMBER.match(text)
    scale = units.get(text[match.end() :].strip().lower()) if match else None
    if match is None or scale is None:
        return None
    value = float(match[0].replace(",", "")) * scale
    return value if math.isfinite(value) else None


# -- progress --------------------------------------------------------------------------------------------------------


def _last_step(text: str) -> str:
    start = -1
    for match in _STEP.finditer(text):
        start = match.start()
    return text[start : start + 400] if start >= 0 else ""


def _first_loss(text: str) -> Progress | None:
    read = (_progress(text[match.start() : match.start() + 400]) for match in _STEP.finditer(text))
    return next((progress for progress in read if progress is not None and progress.loss is not None), None)


def _progress(text: str) -> Progress | None:
    match = _STEP.match(text)
    if match is None:
        return None
    said = dict(reversed(_PAIR.findall(text, match.end())))  # the first of two counts: what follows may be jammed in
    epoch = _number(said.get("epoch", ""), {"": 1.0})
    return Progress(
        step=int(match[1]),
        fraction=_fraction(match, text),
        loss=_number(said.get("loss") or said.get("train_loss", ""), {"": 1.0}),
        tokens_per_s=_number(said.get("tok/sec") or said.get("tok/s") or said.get("tokens/s", ""), _RATE),
        dt_ms=_number(said.get("dt", ""), _MILLISECONDS),
        mfu_percent=_number(said.get("mfu", ""), _PERCENTS),
        epoch=None if epoch is None else int(epoch),
        remaining_s=_number(said.get("remaining", ""), _SECONDS),
        lrm=_number(said.get("lrm", ""), {"": 1.0}),
    )


def _fraction(step: re.Match[str], text: str) -> float | None:
    if percent := _PERCENT.match(text, step.end()):
        return min(1.0, round(float(percent[1]) / 100, 6))
    total = int(step[2] or 0)
    return min(1.0, int(step[1]) / total) if total else None


def _known(progress: Progress) -> set[str]:
    return {name for name in progress.__struct_fields__ if getattr(progress, name) is not None}


# -- result ----------------------------------------------------------------------------------------------------------

_SUMMARY = frozenset(
    {"val_bpb", "training_seconds", "total_seconds", "peak_vram_mb", "mfu_percent"}
    | {"total_tokens_M", "num_steps", "num_params_M", "depth"}
)


def _summary(fields: dict[str, str]) -> Summary | None:
    text = fields.get("val_bpb", "")
    val_bpb = None if "," in text else _number(text, {"": 1.0})
    if val_bpb is None or not 0 < val_bpb < 1e6:
        return None
    numbers = {name: _number(value, _PERCENTS) for name, value in fields.items()}

    def whole(name: str) -> int | None:
        number = numbers.get(name)
        return None if number is None else int(number)

    return Summary(
        val_bpb=val_bpb,
        training_s=numbers.get("training_seconds"),
        total_s=numbers.get("total_seconds"),
        peak_vram_mb=numbers.get("peak_vram_mb"),
        mfu_percent=numbers.get("mfu_percent"),
        total_tokens_M=numbers.get("total_tokens_M"),
        num_steps=whole("num_steps"),
        num_params_M=numbers.get("num_params_M"),
        depth=whole("depth"),
        extra={name: _extra(numbers[name], value) for name, value in fields.items() if name not in _SUMMARY},
    )


def _extra(number: float | None, text: str) -> float | str:
    return clean(text, 200) if number is None else number
