"""The algebra of two-level fractions: generators, defining words, resolution, and which effects share a column.

A word is a set of factors as the bits of an integer (A is 1, B is 2, AB is 3); multiplying words is XOR. It knows
factors by number only, neither their levels nor any result. Source: Box, Hunter and Hunter, Statistics for
Experimenters, 2nd edition, chapter 6; NIST/SEMATECH e-Handbook of Statistical Methods, section 5.3.3.4.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from functools import lru_cache

from core.errors import DesignError

LETTERS = "ABCDEFGHJKLMNOPQRSTUVWXYZ"  # I is the identity, so it names no factor
MOST_SEARCHED = 20_000  # sets of generators that are all looked at; of more, one generator is chosen at a time
MOST_GREEDY = 8  # generators chosen so; with more, each look costs too much, and any odd words give resolution IV
CLEAR = 5  # resolution from which main effects and two-factor interactions are aliased with none of their kind


def parsed(generators: Iterable[str], count: int) -> dict[int, tuple[int, int]]:
    """Generated factor -> (word of basic factors, sign) from texts such as "D=ABC" or "E=-AB", for `count` factors.

    Raises DesignError for what is no generator of these factors.
    """
    known = LETTERS[:count]
    found: dict[int, tuple[int, int]] = {}
    for text in generators:
        left, equals, right = text.replace(" ", "").replace("−", "-").upper().partition("=")
        sign, letters = (-1 if right.startswith("-") else 1), right.lstrip("+-")
        if not (equals and len(left) == 1 and left in known and letters and set(letters) <= set(known)):
            raise DesignError(f"The generator {text!r} is not one of factors {known}; write it as D=ABC.")
        if known.index(left) in found or len(set(letters)) != len(letters):
            raise DesignError(f"The generator {text!r} has a factor twice; give each generated factor once.")
        found[known.index(left)] = (sum(1 << known.index(letter) for letter in letters), sign)
    generated = sum(1 << factor for factor in found)
    for factor, (word, _) in found.items():
        if word & generated or word.bit_count() < 2:
            name = known[factor]
            raise DesignError(f"The generator of {name} must multiply two or more factors that are not generated.")
    return found


def defining(generated: dict[int, tuple[int, int]]) -> tuple[int, ...]:
    """Every word that is constant over the runs, without the identity: all products of the generators' words."""
    words = [0]
    for factor, (word, _) in generated.items():
        words += [known ^ word ^ (1 << factor) for known in words]
    return tuple(words[1:])


def shortest(words: Iterable[int]) -> int | None:
    """Letters of the shortest defining word, which is the resolution; None if nothing is aliased."""
    return min((word.bit_count() for word in words), default=None)


def groups(count: int, generated: dict[int, tuple[int, int]]) -> tuple[tuple[int, ...], ...]:
    """Main effects and two-factor interactions that share a column, up to sign: groups of two or more, as words."""
    columns = [generated[i][0] if i in generated else 1 << i for i in range(count)]  # in basic factors
    found: dict[int, list[int]] = {}
    for i in range(count):
        found.setdefault(columns[i], []).append(1 << i)
    for i, j in itertools.combinations(range(count), 2):
        found.setdefault(columns[i] ^ columns[j], []).append(1 << i | 1 << j)
    return tuple(tuple(group) for group in found.values() if len(group) > 1)


@lru_cache(maxsize=256)
def generators(count: int, basic: int) -> tuple[str, ...]:
    """The best for `count` factors in 2**basic runs: highest resolution, then fewest short words (least aberration).

    Exact where the choices are few enough to look at all of them. Raises DesignError if the runs are too few for so
    many factors.
    """
    if count <= basic:
        return ()
    if count > min(2**basic - 1, len(LETTERS)):
        raise DesignError(f"{count} factors do not fit into {2**basic} runs; take fewer factors or more runs.")
    even = count <= 2 ** (basic - 1)  # then no defining word needs to be shorter than four letters
    choices = [word for word in range(1, 2**basic) if word.bit_count() >= (3 if even else 2)]
    choices.sort(key=lambda word: (word.bit_count(), word))
    extra = count - basic
    if math.comb(len(choices), extra) <= MOST_SEARCHED:
        chosen = min(itertools.combinations(choices, extra), key=lambda words: _aberration(words, basic))
    else:
        odd = [word for word in choices if word.bit_count() % 2 or not even]  # all defining words get even lengths
        chosen = tuple(odd[:extra]) if extra > MOST_GREEDY else _greedy(odd, extra, basic)
    return tuple(f"{LETTERS[basic + i]}={spelled(word)}" for i, word in enumerate(chosen))


def _greedy(choices: list[int], extra: int, basic: int) -> tuple[int, ...]:
    chosen: tuple[int, ...] = ()
    for _ in range(extra):
        rest = [word for word in choices if word not in chosen]
        chosen = min(((*chosen, word) for word in rest), key=lambda words: _aberration(words, basic))
    return chosen


def _aberration(chosen: tuple[int, ...], basic: int) -> tuple[int, ...]:
    """How many defining words have 3, 4, 5, … letters: the smaller in dictionary order, the better."""
    words = defining({basic + i: (word, 1) for i, word in enumerate(chosen)})
    lengths = [0] * (basic + len(chosen) + 1)
    for word in words:
        lengths[word.bit_count()] += 1
    return tuple(lengths[3:])


def spelled(word: int) -> str:
    return "".join(letter for i, letter in enumerate(LETTERS) if word >> i & 1)
