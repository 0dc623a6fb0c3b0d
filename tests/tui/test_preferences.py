"""A person's own settings: theme, keys and what is wrong with them."""

from __future__ import annotations

from pathlib import Path

import pytest
from pictures import strips
from rooms import Room
from tapes import crossed
from textual.binding import BindingsMap

from tui.actions import ACTIONS, BY_ID
from tui.glyphs import ASCII, UNICODE
from tui.keys import key_of, keymap, keys_of, rebind
from tui.preferences import FILE, Preferences, preferences, remember_theme

XTERM = {"TERM": "xterm-256color"}


def said(folder: Path, text: str, **environ: str) -> Preferences:
    (folder / FILE).write_text(text)
    return preferences({**XTERM, **environ}, folder=folder, encoding="utf-8")


def test_without_a_file_everything_is_as_shipped(tmp_path: Path) -> None:
    found = preferences(XTERM, folder=tmp_path / "none", encoding="utf-8")
    assert (found.theme, found.keys, found.complaints) == ("night", {}, ())
    assert found.looks["night"].glyphs is UNICODE


def test_where_nobody_chose_a_theme_it_fits_the_terminal(tmp_path: Path) -> None:
    assert said(tmp_path, "", TERM="linux").theme == "terminal"
    assert said(tmp_path, "", COLORFGBG="0;15").theme == "day"
    assert said(tmp_path, 'theme = "contrast"', TERM="linux").theme == "contrast"


def test_a_remapped_key_replaces_the_tables(tmp_path: Path) -> None:
    found = said(tmp_path, '[keys]\nveto = "V"\nhelp = ["f1", "?"]')
    assert found.complaints == ()
    assert keys_of(BY_ID["veto"], found.keys) == ("V",)
    assert keys_of(BY_ID["help"], found.keys) == ("f1", "question_mark")
    assert key_of(BY_ID["pause"], found.keys) == "space"


def test_an_action_that_loses_its_only_key_is_named() -> None:
    found = keymap({"veto": "r"})
    assert keys_of(BY_ID["rerun"], found.keys) == ()
    assert found.complaints == ("keys: r is veto now, so rerun has no key; give it one.",)
    assert key_of(BY_ID["rerun"], found.keys) == ""


def test_two_actions_that_swap_keys_are_no_conflict() -> None:
    assert keymap({"veto": "r", "rerun": "v"}).complaints == ()


def test_of_two_wishes_for_one_key_the_first_has_it() -> None:
    found = keymap({"veto": "V", "rerun": "V"})
    assert keys_of(BY_ID["veto"], found.keys) == ("V",)
    assert keys_of(BY_ID["rerun"], found.keys) == ("r",)
    assert found.complaints == ("keys: V is veto and rerun; veto keeps it.",)


def test_pause_and_play_share_a_key_because_they_are_never_in_one_window() -> None:
    assert keymap({"pause": "f5", "play": "f5"}).complaints == ()


@pytest.mark.parametrize("wish", ["contrl+v", "", "ctrl+", "hyper", 3, ["v", 4], "\x1b"])
def test_what_is_no_key_is_said(wish: object) -> None:
    (complaint,) = keymap({"veto": wish}).complaints
    assert complaint.startswith("keys:")
    assert "is no key for veto" in complaint


def test_an_unknown_action_names_the_nearest() -> None:
    assert keymap({"vetto": "V"}).complaints == ("keys: there is no action 'vetto'; did you mean veto?",)


def test_vim_frees_the_letters_that_move() -> None:
    found = keymap({}, vim=True)
    assert keys_of(BY_ID["stop_run"], found.keys) == ("ctrl+k",)
    assert keys_of(BY_ID["log"], found.keys) == ("ctrl+l",)
    assert found.complaints == ()
    bindings = BindingsMap()
    rebind(bindings, found.keys, vim=True)
    assert [each.action for each in bindings.key_to_bindings["k"]] == ["simulate_key('up')"]


def test_rebinding_keeps_what_shares_a_key_by_design() -> None:
    """Textual's own keymap would take space from play as well."""
    bindings = BindingsMap([("ctrl+q", "quit", "Quit")])
    rebind(bindings, {})
    rebind(bindings, keymap({"pause": "f5"}).keys)
    assert [each.id for each in bindings.key_to_bindings["space"]] == ["play"]
    assert [each.id for each in bindings.key_to_bindings["f5"]] == ["pause"]
    assert "ctrl+q" in bindings.key_to_bindings
    assert {each.id for found in bindings.key_to_bindings.values() for each in found} >= {each.id for each in ACTIONS}


@pytest.mark.parametrize(
    ("text", "expects"),
    [
        ("theme = 3", "theme must be the name of a theme"),
        ('theme = "nihgt"', "did you mean night?"),
        ("vmi = true", "did you mean vim?"),
        ("theme = ", "correct it"),
        ("keys = 3", "keys must be a table"),
    ],
)
def test_what_is_wrong_in_the_file_is_a_sentence_and_the_rest_holds(tmp_path: Path, text: str, expects: str) -> None:
    found = said(tmp_path, text)
    assert found.theme == "night"
    assert expects in " ".join(found.complaints)


def test_variables_win_over_the_file(tmp_path: Path) -> None:
    found = said(tmp_path, 'theme = "day"\nascii = false', AUTORESEARCH_THEME="contrast", AUTORESEARCH_ASCII="1")
    assert found.theme == "contrast"
    assert found.looks["contrast"].glyphs is ASCII


def test_no_color_takes_the_colours(tmp_path: Path) -> None:
    found = preferences({"NO_COLOR": "1"}, folder=tmp_path, encoding="utf-8")
    assert found.looks["night"].style("kept").color is None


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", 'theme = "day"\n'),
        (
            'vim = true\ntheme = "night"  # calm\n[keys]\nveto = "V"\n',
            'vim = true\ntheme = "day"\n[keys]\nveto = "V"\n',
        ),
        ('[keys]\ntheme = "t"\n', 'theme = "day"\n[keys]\ntheme = "t"\n'),
    ],
)
def test_a_theme_is_remembered_and_the_rest_of_the_file_stays(tmp_path: Path, before: str, after: str) -> None:
    (tmp_path / FILE).write_text(before)
    assert remember_theme("day", folder=tmp_path) == ""
    assert (tmp_path / FILE).read_text() == after


def test_a_theme_that_cannot_be_remembered_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "cannot be remembered" in remember_theme("day", folder=tmp_path / "file")


def test_the_windows_own_variables_are_no_strangers_to_the_settings(tmp_path: Path) -> None:
    from core import settings

    loaded = settings.load(tmp_path, {"AUTORESEARCH_THEME": "day", "AUTORESEARCH_ASCII": "1"}, {})
    assert loaded.warnings == ()


async def test_a_broken_theme_is_a_notification_and_the_rest_goes_on(tmp_path: Path) -> None:
    """On the screen, not only in a list: the file and what is wrong with it can be read there."""
    (tmp_path / "themes").mkdir()
    (tmp_path / "themes" / "mine.toml").write_text('dark = "perhaps"')
    (tmp_path / FILE).write_text('theme = "mine"')
    found = preferences({}, folder=tmp_path, encoding="utf-8")
    assert found.complaints
    room = Room(crossed(), theme=found.theme, complaints=found.complaints)
    async with room.run_test(size=(120, 40), notifications=True) as pilot:
        await pilot.pause(0.3)
        shown = [note.message for note in room._notifications]
        assert len(shown) == len(found.complaints)
        text = "\n".join(strip.text for strip in strips(room))
        assert "mine.toml" in text
        assert "Fleet" in text, "the dashboard is there"
        assert room.theme == found.theme != "mine"
