from __future__ import annotations

import contextlib
import re
import sys
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import SettingsError
from core.settings import FILE, SETTINGS, Settings, duration, load, template
from core.verdict import Rules


def wrong(workspace: Path, toml: str = "", environ: dict[str, str] | None = None, **flags: object) -> str:
    """The message of the SettingsError that loading raises."""
    (workspace / FILE).write_text(toml, encoding="utf-8")
    with pytest.raises(SettingsError) as caught:
        load(workspace, environ or {}, flags)
    return str(caught.value)


@pytest.mark.parametrize("line", ['theme = "day"', '[keys]\nveto = "V"'])
def test_what_a_person_prefers_is_sent_to_their_own_file(tmp_path: Path, line: str) -> None:
    (tmp_path / FILE).write_text(line)
    with pytest.raises(SettingsError, match=r"is a preference, not a setting of a workspace; it belongs in your own"):
        load(tmp_path, {}, {})


def test_without_file_variables_and_flags_the_defaults_hold(tmp_path: Path) -> None:
    loaded = load(tmp_path, {}, {})
    assert loaded.settings == Settings()
    assert set(loaded.origins.values()) == {"default"}
    assert loaded.warnings == ()


def test_a_flag_beats_the_environment_beats_the_file_and_each_value_tells_its_origin(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("slots = 1\nseed = 1\nmax_hours = 1\n")
    loaded = load(tmp_path, {"AUTORESEARCH_SLOTS": "2", "AUTORESEARCH_SEED": "2"}, {"slots": 3, "for": None})
    assert (loaded.settings.slots, loaded.settings.seed, loaded.settings.max_hours) == (3, 2, 1.0)
    assert loaded.origins["slots"] == "flag --slots"
    assert loaded.origins["seed"] == "environment AUTORESEARCH_SEED"
    assert loaded.origins["max_hours"] == "autoresearch.toml"
    assert loaded.origins["for"] == "default"


def test_flags_are_named_as_on_the_command_line_or_in_python(tmp_path: Path) -> None:
    assert load(tmp_path, {}, {"max-hours": "1.5"}).settings.max_hours == 1.5
    assert load(tmp_path, {}, {"for_": "90m"}).settings.for_ == 5400.0
    assert load(tmp_path, {}, {"for": "90m"}).origins["for"] == "flag --for"


def test_every_kind_of_setting_can_be_given_as_a_variable(tmp_path: Path) -> None:
    texts = {
        "FOR": "1h",
        "SLOTS": "4",
        "WARM": "off",
        "LINKS": "data, cache/tokens",
        "ENV": "OMP_NUM_THREADS=4,MODE=a=b",
        "ON_EXIT": "leave",
        "GPU_USD_HOUR": "H100=2.5, cpu=0",
        "WORTH": "1.5",
        "TIME_BUDGET": "30",
    }
    settings = load(tmp_path, {f"AUTORESEARCH_{name}": text for name, text in texts.items()}, {}).settings
    assert settings == Settings(
        for_=3600.0,
        slots=4,
        warm=False,
        links=("data", "cache/tokens"),
        env={"OMP_NUM_THREADS": "4", "MODE": "a=b"},
        on_exit="leave",
        gpu_usd_hour={"H100": 2.5, "cpu": 0.0},
        worth=1.5,
        time_budget=30.0,
    )


@pytest.mark.parametrize("prices", ['{ H100 = "2.5" }', "{ H100 = -1 }", '{ "the best!" = 2.5 }', "2.5", '"H100=2.5"'])
def test_prices_in_the_file_are_numbers_by_gpu_type(tmp_path: Path, prices: str) -> None:
    assert "gpu_usd_hour must be GPU types with dollars per hour" in wrong(tmp_path, f"gpu_usd_hour = {prices}")
    (tmp_path / FILE).write_text("gpu_usd_hour = { H100 = 2, H200 = 3.9 }\n")
    assert load(tmp_path, {}, {}).settings.gpu_usd_hour == {"H100": 2.0, "H200": 3.9}


@pytest.mark.parametrize("given", ["H100:13,H200:3", "H100=13, H200 : 3"])
def test_limits_of_gpus_are_written_as_fleets_are(tmp_path: Path, given: str) -> None:
    limits = {"H100": 13, "H200": 3}
    assert load(tmp_path, {}, {"max_gpus": given}).settings.max_gpus == limits
    assert load(tmp_path, {"AUTORESEARCH_MAX_GPUS": given}, {}).settings.max_gpus == limits
    (tmp_path / FILE).write_text("max_gpus = { H100 = 13, H200 = 3 }\n")
    assert load(tmp_path, {}, {}).settings.max_gpus == limits
    assert load(tmp_path, {}, {"max_gpus": "none"}).settings.max_gpus is None


@pytest.mark.parametrize("text", ["H100", "13", "H100:-1", "H100:many", "H100:1.5", ":3", "the best!:3"])
def test_limits_of_gpus_that_are_none_get_one_sentence(tmp_path: Path, text: str) -> None:
    said = wrong(tmp_path, max_gpus=text)
    assert said.startswith('flag --max-gpus: max_gpus must be GPU types with how many at most, like "H100:13,H200:3"')


def test_an_empty_variable_and_an_empty_repeated_flag_are_not_set(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text('slots = 1\nlinks = ["data"]\n')
    loaded = load(tmp_path, {"AUTORESEARCH_SLOTS": ""}, {"links": ()})
    assert (loaded.settings.slots, loaded.settings.links) == (1, ("data",))


def test_none_lifts_a_limit_that_the_file_sets(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("max_hours = 8\n")
    loaded = load(tmp_path, {}, {"max_hours": "none"})
    assert loaded.settings.max_hours is None
    assert loaded.origins["max_hours"] == "flag --max-hours"


def test_the_trainers_own_variables_are_fine_and_unknown_ones_are_reported(tmp_path: Path) -> None:
    environ = {
        "AUTORESEARCH_DATA": "/data",
        "AUTORESEARCH_MAX_STEPS": "3",
        "AUTORESEARCH_TIME_BUDGET": "5",
        "AUTORESEARCH_SLOT": "2",
        "HOME": "/",
    }
    loaded = load(tmp_path, environ, {})
    assert loaded.settings.time_budget == 5.0
    assert loaded.warnings == (
        "The environment variable AUTORESEARCH_SLOT is not a setting and is ignored; did you mean AUTORESEARCH_SLOTS?",
    )


def test_an_unknown_setting_names_its_line_and_the_nearest_one(tmp_path: Path) -> None:
    message = wrong(tmp_path, "# mine\nseed = 1\nmax_hour = 3\n")
    assert message == f"{tmp_path / FILE} line 3: there is no setting 'max_hour'; did you mean max_hours?"
    assert "the settings are executor, researcher" in wrong(tmp_path, "zzz = 1")


@pytest.mark.parametrize(
    ("toml", "sentence"),
    [
        ('slots = "four"', "line 1: slots must be a whole number, 1 or more, or \"none\", not 'four'."),
        ('\nslots = "4"', "line 2: slots must be a whole number"),
        ("slots = true", 'slots must be a whole number, 1 or more, or "none", not true.'),
        ("slots = 0", "slots must be a whole number, 1 or more"),
        ("max_hours = 0", "max_hours must be a number above 0"),
        ("max_hours = nan", "max_hours must be a number above 0"),
        ("max_hours = inf", "max_hours must be a number above 0"),
        ("startup_s = -1", 'startup_s must be seconds or a duration such as "90m", 0 or more, not -1.'),
        ('for = "soon"', "for must be seconds or a duration"),
        ("for = 0", "for must be seconds or a duration"),
        ("seed = 99999999999999999999999", "seed must be a whole number from 0 to"),
        ('warm = "yes"', "warm must be true or false, not 'yes'."),
        ('on_exit = "explode"', 'on_exit must be "stop" or "leave", not \'explode\'.'),
        ('executor = ""', "executor must be a name"),
        ('executor = "none"\nslots = []', "line 2: slots must be"),
        ('links = "data"', "links must be a list of folders inside the workspace"),
        ('links = ["/data"]', "links must be a list of folders inside the workspace"),
        ('links = ["a/../../b"]', "links must be a list of folders inside the workspace"),
        ('factors = ["MATRIX-LR"]', "factors must be a list of constants"),
        ("[env]\nOMP_NUM_THREADS = 4", 'line 1: env must be names with texts, like { OMP_NUM_THREADS = "4" }'),
        ("slots = = 4", "is not valid TOML: Invalid value (at line 1, column 9). Correct that line."),
    ],
)
def test_a_wrong_file_is_explained_with_its_line(tmp_path: Path, toml: str, sentence: str) -> None:
    message = wrong(tmp_path, toml)
    assert message.startswith(str(tmp_path / FILE))
    assert sentence in message


def test_a_wrong_variable_or_flag_is_named(tmp_path: Path) -> None:
    assert wrong(tmp_path, environ={"AUTORESEARCH_SLOTS": "x"}).startswith("environment AUTORESEARCH_SLOTS: slots must")
    assert wrong(tmp_path, max_retests="-1").startswith("flag --max-retests: max_retests must be a whole number from 0")
    assert wrong(tmp_path, env=("A",)).startswith("flag --env: env must be names with texts")
    assert wrong(tmp_path, slot=1) == "flags: there is no setting 'slot'; did you mean slots?"


def test_a_file_that_is_not_text_is_explained(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SettingsError, match=r"cannot be read: .* UTF-8"):
        load(tmp_path, {}, {})


def test_a_byte_order_mark_and_crlf_are_read_over(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"\xef\xbb\xbfslots = 2\r\nfor = 90\r\n")
    settings = load(tmp_path, {}, {}).settings
    assert (settings.slots, settings.for_) == (2, 90.0)


def test_the_template_loads_to_the_defaults_as_it_is_and_with_every_line_uncommented(tmp_path: Path) -> None:
    uncommented = re.sub(r"^# ", "", template(), flags=re.MULTILINE)
    assert set(tomllib.loads(uncommented)) == {setting.name for setting in SETTINGS}
    for text in (template(), uncommented):
        (tmp_path / FILE).write_text(text, encoding="utf-8")
        assert load(tmp_path, {}, {}).settings == Settings()
    assert set(load(tmp_path, {}, {}).origins.values()) == {"autoresearch.toml"}


def test_the_template_fits_a_terminal_and_comments_every_setting() -> None:
    assert all(len(line) <= 120 for line in template().splitlines())
    assert all(setting.comment and setting.expects for setting in SETTINGS)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("45s", 45),
        ("90m", 5400),
        ("1h", 3600),
        ("1h30m", 5400),
        ("1.5h", 5400),
        ("2d", 172800),
        (" 90 ", 90),
        (".5", 0.5),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["", "h", "1w", "1h30", "-5m", "1e3", "nan", "inf", "1 2", "٣"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="is not a duration; write it like 1h"):
        duration(text)


ANYTHING = st.text("0123456789.,=dhmsnaif-/_ ٣A\0", max_size=12) | st.integers() | st.floats()


@given(st.dictionaries(st.sampled_from([setting.name for setting in SETTINGS]), ANYTHING))
def test_whatever_is_given_nothing_but_a_settings_error_is_raised(flags: dict[str, object]) -> None:
    with contextlib.suppress(SettingsError):
        assert isinstance(load(Path("/nowhere"), {}, flags).settings, Settings)


def test_a_run_is_killed_after_twice_its_budget_and_the_startup_allowance() -> None:
    assert Settings(startup_s=100).timeout_s(300) == 700


def test_runs_use_the_workspaces_own_interpreter_if_there_is_one(tmp_path: Path) -> None:
    own = tmp_path / ".venv" / "bin" / "python"
    assert Settings().interpreter(tmp_path) == sys.executable
    own.parent.mkdir(parents=True)
    own.touch()
    assert Settings().interpreter(tmp_path) == str(own)
    assert Settings(python="python3.12").interpreter(tmp_path) == "python3.12"
    assert Settings(python="env/bin/python").interpreter(tmp_path) == str(tmp_path / "env" / "bin" / "python")
    assert Settings(python="/opt/python").interpreter(tmp_path) == "/opt/python"


@pytest.mark.parametrize("text", ["", "H100", "H100:0", "x:1e9", "H100:-1", "H100:3,", "H100 3"])
def test_a_wrong_fleet_gets_one_sentence(tmp_path: Path, text: str) -> None:
    said = wrong(tmp_path, fleet=text)
    assert said == (f'flag --fleet: fleet must be GPU types and how many of each, like "H100:13,H200:3", not {text!r}.')


@pytest.mark.parametrize("text", ["0", "-1", "fast", "inf", "nan", "1e3"])
def test_a_wrong_speed_gets_one_sentence(tmp_path: Path, text: str) -> None:
    assert wrong(tmp_path, speed=text).startswith('flag --speed: speed must be "1", "60" or "max"')


def test_a_fleet_may_have_spaces_and_a_speed_decimals(tmp_path: Path) -> None:
    settings = load(tmp_path, {}, {"fleet": "H100: 13, H200:3", "speed": "0.5"}).settings
    assert (settings.fleet, float(settings.speed)) == ("H100: 13, H200:3", 0.5)


def test_settings_of_the_verdicts_have_the_defaults_of_the_rules() -> None:
    rules, chosen = Rules(), Settings()
    shared = [name for name in Rules.__struct_fields__ if hasattr(chosen, name)]
    assert len(shared) > 5
    assert {name: getattr(chosen, name) for name in shared} == {name: getattr(rules, name) for name in shared}
