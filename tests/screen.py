"""The screen of a terminal, made of the bytes that a program writes: what a person would see, for tests.

It knows what our driver and a crashing program write: text with wide and combining characters, cursor moves, erasing,
scrolling, colours of the ground, the second screen, and sequences that show nothing. It answers nothing and has no
scroll regions, no tab stops but every eighth cell, and no character sets.
"""

from __future__ import annotations

import re
from codecs import getincrementaldecoder
from collections.abc import Iterator
from unicodedata import combining, east_asian_width

PARTS = re.compile(
    r"\x1b\[(?P<given>[0-?]*)[ -/]*(?P<act>[@-~])"
    r"|\x1b[PX\]^_][^\x07\x1b]*(?:\x07|\x1b\\)"  # titles, clipboards, answers to questions: nothing to see
    r"|\x1b(?P<single>[ -/]*[0-Z\\`-~])"
    r"|(?P<control>[\x00-\x1a\x1c-\x1f\x7f])"
    r"|(?P<text>[^\x00-\x1f\x7f]+)"
)
CUT_OFF = re.compile(r"\x1b(?:\[[0-?]*[ -/]*|[PX\]^_][^\x07\x1b]*\x1b?|[ -/]*)?\Z")
BLANK = (" ", "default")
Cell = tuple[str, str]  # a character with its marks ("" behind a wide one), and the colour of its ground


class Screen:
    """`ground` colours are "rrggbb", "default", or the number of a palette's colour."""

    def __init__(self, columns: int, lines: int) -> None:
        self.columns, self.lines = columns, lines
        self._decode = getincrementaldecoder("utf-8")("replace").decode
        self._rest = ""  # a sequence whose end has not come
        self._other: list[list[Cell]] | None = None  # the first screen, while the second is shown
        self._x = self._y = 0
        self._is_full = False  # the last column is written: the next character begins a line
        self._saved = (0, 0)
        self._ink, self._ground, self._is_reverse = "default", "default", False
        self._cells = self._blank()

    # --- what is seen ---

    def line(self, y: int) -> str:
        return "".join(text for text, _ in self._cells[y])

    def grounds(self, x: int) -> list[str]:
        """Of a column, from the top."""
        return [row[x][1] for row in self._cells]

    @property
    def text(self) -> str:
        """All lines without the blanks at their ends."""
        return "\n".join(self.line(y).rstrip() for y in range(self.lines)).rstrip("\n")

    @property
    def cursor(self) -> tuple[int, int]:
        return self._x, self._y

    # --- what comes ---

    def resize(self, columns: int, lines: int) -> None:
        """What is cut off at the right or below is lost; a program draws anew."""
        for row in self._cells:
            row[columns:] = [BLANK] * (columns - len(row))
        self._cells = self._cells[:lines] + [[BLANK] * columns for _ in range(lines - len(self._cells))]
        self.columns, self.lines = columns, lines
        self._go(self._x, self._y)

    def feed(self, data: bytes) -> None:
        """Any piece of what the program writes: sequences and characters may be cut anywhere."""
        told = self._rest + self._decode(data)
        cut = CUT_OFF.search(told)
        told, self._rest = (told[: cut.start()], cut[0]) if cut else (told, "")
        for part in PARTS.finditer(told):
            if text := part["text"]:
                self._write(text)
            elif act := part["act"]:
                self._sequence(part["given"], act)
            elif part["control"]:
                self._control(part["control"])
            elif part["single"]:
                self._single(part["single"])

    def _blank(self) -> list[list[Cell]]:
        return [[BLANK] * self.columns for _ in range(self.lines)]

    def _write(self, text: str) -> None:
        ground = self._ink if self._is_reverse else self._ground
        if text.isascii() and self._x + len(text) < self.columns and not self._is_full:  # nearly always
            self._put(self._x, [(character, ground) for character in text])
            self._x += len(text)
            return
        for character in text:
            self._character(character, ground)

    def _character(self, character: str, ground: str) -> None:
        if combining(character) or character in "\u200d\ufe0e\ufe0f":
            self._mark(character)
            return
        cells = 2 if east_asian_width(character) in "WF" else 1
        if self._is_full or self._x + cells > self.columns:
            self._x = 0
            self._feed_line()
        self._put(self._x, [(character, ground), ("", ground)][:cells])
        self._x += cells
        self._is_full = self._x >= self.columns
        self._x = min(self._x, self.columns - 1)

    def _put(self, x: int, cells: list[Cell]) -> None:
        """Half of a wide character that is written over leaves a blank."""
        row, end = self._cells[self._y], x + len(cells)
        if row[x][0] == "" and x:
            row[x - 1] = (" ", row[x - 1][1])
        if end < self.columns and row[end][0] == "":
            row[end] = (" ", row[end][1])
        row[x:end] = cells

    def _mark(self, character: str) -> None:
        """On the character before the cursor."""
        row, x = self._cells[self._y], self._x if self._is_full else self._x - 1
        while x > 0 and row[x][0] == "":
            x -= 1
        if x >= 0:
            row[x] = (row[x][0] + character, row[x][1])

    def _control(self, character: str) -> None:
        match character:
            case "\r":
                self._go(0, self._y)
            case "\n" | "\v" | "\f":
                self._feed_line()
            case "\b":
                self._go(self._x - 1, self._y)
            case "\t":
                self._go(self._x // 8 * 8 + 8, self._y)

    def _feed_line(self) -> None:
        self._is_full = False
        if self._y + 1 < self.lines:
            self._y += 1
        else:
            self._cells = [*self._cells[1:], [BLANK] * self.columns]

    def _single(self, code: str) -> None:
        match code:
            case "7":
                self._saved = (self._x, self._y)
            case "8":
                self._go(*self._saved)

    def _sequence(self, given: str, act: str) -> None:
        if given[:1] in ("<", "=", ">", "?"):
            if given in ("?1049", "?1047", "?47") and act in "hl":
                self._turn(is_second=act == "h")
            return
        numbers = [int(each) if each.isdecimal() else 0 for each in given.replace(":", ";").split(";")]
        by = numbers[0] or 1
        match act:
            case "m":
                self._colours(numbers)
            case "H" | "f":
                self._go((numbers[1] if len(numbers) > 1 and numbers[1] else 1) - 1, by - 1)
            case "A" | "B":
                self._go(self._x, self._y + (by if act == "B" else -by))
            case "C" | "D":
                self._go(self._x + (by if act == "C" else -by), self._y)
            case "E" | "F":
                self._go(0, self._y + (by if act == "E" else -by))
            case "G":
                self._go(by - 1, self._y)
            case "d":
                self._go(self._x, by - 1)
            case "J":
                self._erase_lines(numbers[0])
            case "K":
                self._erase(self._y, *self._span(numbers[0]))
            case "X":
                self._erase(self._y, self._x, min(self.columns, self._x + by))

    def _go(self, x: int, y: int) -> None:
        self._x, self._y = max(0, min(x, self.columns - 1)), max(0, min(y, self.lines - 1))
        self._is_full = False

    def _turn(self, *, is_second: bool) -> None:
        if is_second and self._other is None:
            self._other, self._cells, self._saved = self._cells, self._blank(), (self._x, self._y)
        elif not is_second and self._other is not None:
            self._cells, self._other = self._other, None
            self.resize(self.columns, self.lines)
            self._go(*self._saved)

    # --- erasing and colours ---

    def _span(self, which: int) -> tuple[int, int]:
        """Of the line of the cursor: behind it, before it, all."""
        return (0 if which else self._x), (self._x + 1 if which == 1 else self.columns)

    def _erase(self, y: int, first: int, end: int) -> None:
        self._cells[y][first:end] = [(" ", self._ground)] * (end - first)

    def _erase_lines(self, which: int) -> None:
        if which < 2:
            self._erase(self._y, *self._span(which))
        lines = range(self._y + 1, self.lines) if which == 0 else range(self._y if which == 1 else self.lines)
        for y in lines:
            self._erase(y, 0, self.columns)

    def _colours(self, numbers: list[int]) -> None:
        rest = iter(numbers)
        for number in rest:
            match number:
                case 0:
                    self._ink, self._ground, self._is_reverse = "default", "default", False
                case 7 | 27:
                    self._is_reverse = number == 7
                case 38:
                    self._ink = _colour(next(rest, 0), rest)
                case 48:
                    self._ground = _colour(next(rest, 0), rest)
                case 39:
                    self._ink = "default"
                case 49:
                    self._ground = "default"
                case _ if 30 <= number <= 37 or 90 <= number <= 97:
                    self._ink = str(number - 30 if number < 90 else number - 82)
                case _ if 40 <= number <= 47 or 100 <= number <= 107:
                    self._ground = str(number - 40 if number < 100 else number - 92)


def _colour(kind: int, rest: Iterator[int]) -> str:
    """Of what follows 38 or 48: "5;n" or "2;r;g;b"."""
    if kind == 5:
        return str(next(rest, 0))
    return "".join(f"{next(rest, 0):02x}" for _ in range(3)) if kind == 2 else "default"
