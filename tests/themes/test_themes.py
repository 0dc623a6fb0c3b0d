"""The themes: complete, legible, distinct, and a broken one is a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from themes.loader import GRAPHICS, ROLES, SURFACES, TEXTS, Theme, ThemeError, available, built_in, load

RGB = [theme for theme in built_in().values() if not theme.ansi]
VERDICTS = ("run-running", "kept", "crashed", "retest", "best")
LEDGER = ("run-running", *(role for role in TEXTS if role.startswith("ledger-")))
FAINT = ("muted", "syntax-comment", "gpu-free", "ledger-idle")


def luminance(colour: str) -> float:
    """Relative luminance, WCAG 2.2."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def least(role: str) -> float:
    return 3.0 if role in FAINT else 4.5


@pytest.mark.parametrize("theme", built_in().values(), ids=lambda theme: theme.name)
def test_every_theme_has_a_colour_for_every_role(theme: Theme) -> None:
    assert set(theme.colours) == set(ROLES)


@pytest.mark.parametrize("theme", RGB, ids=lambda theme: theme.name)
@pytest.mark.parametrize("surface", ["background", "surface", "panel"])
def test_text_is_legible_on_every_pane(theme: Theme, surface: str) -> None:
    low = {role: contrast(theme.colours[role], theme.colours[surface]) for role in TEXTS}
    need = (
        1.0 if surface == "background" else 0.85
    )  # panels are a little lighter; the header and the footer stand there
    assert {role: round(found, 2) for role, found in low.items() if found < least(role) * need} == {}


@pytest.mark.parametrize("theme", RGB, ids=lambda theme: theme.name)
def test_text_is_legible_on_the_selection_and_on_changed_lines(theme: Theme) -> None:
    found = {
        (role, surface): round(contrast(theme.colours[role], theme.colours[surface]), 2)
        for surface in SURFACES[3:]
        for role in TEXTS
        if (role.startswith("syntax") and surface != "selection") or (role == "foreground")
    }
    assert {
        pair: value for pair, value in found.items() if value < (3.0 if "word" in pair[1] else least(pair[0]))
    } == {}


@pytest.mark.parametrize("theme", RGB, ids=lambda theme: theme.name)
def test_lines_and_areas_are_seen_and_do_not_shout(theme: Theme) -> None:
    for role in GRAPHICS:
        assert 1.4 <= contrast(theme.colours[role], theme.colours["background"]) <= 8


@pytest.mark.parametrize("theme", built_in().values(), ids=lambda theme: theme.name)
@pytest.mark.parametrize("roles", [VERDICTS, LEDGER], ids=["verdicts", "ledger"])
def test_what_stands_side_by_side_has_different_colours(theme: Theme, roles: tuple[str, ...]) -> None:
    assert len({theme.colours[role] for role in roles}) == len(roles)


def test_colours_tell_dark_themes_from_light_ones() -> None:
    for theme in RGB:
        assert (luminance(theme.colours["background"]) < luminance(theme.colours["foreground"])) == theme.dark
    assert {theme.dark for theme in RGB} == {True, False}


def test_a_theme_of_the_user_builds_on_one_of_ours_and_wins_over_its_name(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('base = "day"\ntitle = "Mine"\n[colours]\nkept = "#006000"\n')
    (tmp_path / "night.toml").write_text('base = "night"\n[colours]\nbest = "#ffffff"\n')
    found, broken = available(tmp_path)
    assert broken == []
    assert (found["mine"].title, found["mine"].dark, found["mine"].colours["kept"]) == ("Mine", False, "#006000")
    assert found["night"].colours["best"] == "#ffffff"
    assert next(iter(found)) == "night"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("not toml [", "is no TOML"),
        ('base = "dusk"', "base must be one of night, day"),
        ('colour = "x"', "colour is no key of a theme"),
        ('base = "night"\n[colours]\nkep = "#000000"', "kep is no role"),
        ('base = "night"\n[colours]\nkept = "green"', 'colours.kept must be a colour like "#8fbf8f"'),
        ('base = "night"\n[colours]\nkept = 3', "colours.kept must be a colour"),
        ('base = "terminal"\n[colours]\nkept = "#ffffff"', 'like "ansi_red"'),
        ("[colours]", "colours.background is missing"),
        ('base = "night"\ndark = "yes"', "dark must be true or false"),
        ('base = "night"\ncolours = 3', "colours must be a table"),
        ('base = "night"\nname = "My Theme"', "name must be of small letters"),
    ],
)
def test_a_broken_theme_is_one_sentence_with_its_file(tmp_path: Path, content: str, said: str) -> None:
    file = tmp_path / "broken.toml"
    file.write_text(content)
    with pytest.raises(ThemeError, match=r"broken\.toml") as caught:
        load(file)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert available(tmp_path) == (built_in(), [str(caught.value)])


def test_a_file_that_is_not_there_and_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ThemeError, match="cannot be read"):
        load(tmp_path / "none.toml")
    assert available(tmp_path / "none") == (built_in(), [])
