"""Settings: each said in full, under all its names, refused in one go, and the same after a trip through TOML."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from buke import config, words
from buke.cli.common import common
from buke.cli.flags import settings_from
from buke.config import GROUPS, TUTORIAL, Settings, aliases_of, choices, group_of, make, meaning, read_toml, to_toml
from buke.words import Refusal

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

NAMES = tuple(Settings.model_fields)
USUAL = {  # what people already write, as PEFT, the Hugging Face trainer and other tools call it
    "r": ("rank", 4), "lora_r": ("rank", 4), "lora_alpha": ("alpha", 8.0), "lora_dropout": ("dropout", 0.25),
    "target_modules": ("targets", "q_proj"), "learning_rate": ("learning_rate", 1e-4),
    "per_device_train_batch_size": ("batch", 3), "gradient_accumulation_steps": ("accumulation", 2),
    "num_train_epochs": ("epochs", 1.5), "lr_scheduler_type": ("schedule", "linear"), "warmup_ratio": ("warmup", 0.1),
    "max_grad_norm": ("clip", 0.5), "logging_steps": ("log_every", 7), "eval_steps": ("eval_every", 5),
    "save_steps": ("save_every", 6), "save_total_limit": ("keep", 3), "max_length": ("length", 128),
    "max_seq_length": ("length", 128), "cutoff_len": ("length", 128), "max_samples": ("limit", 9),
    "gradient_checkpointing": ("recompute", True), "model_name_or_path": ("model", "folder"),
}  # fmt: skip


def refused(values: dict[str, Any], where: dict[str, str] | None = None) -> Refusal:
    with pytest.raises(Refusal) as caught:
        make(values, where)
    return caught.value


# --- each setting


@pytest.mark.parametrize("name", NAMES)
def test_a_setting_is_said_in_full(name: str) -> None:
    assert group_of(name) in GROUPS
    words.set_language("en")
    english = meaning(name)
    words.set_language("zh")
    chinese = meaning(name)
    assert len(english) > 5
    assert not re.search(r"[\u4e00-\u9fff]", english)
    assert re.search(r"[\u4e00-\u9fff]", chinese)


def test_no_name_means_two_settings() -> None:
    names = [name for field in NAMES for name in (field, *aliases_of(field))]
    assert len(names) == len(set(names))
    assert all(re.fullmatch(r"[a-z][a-z_]*", name) for name in names)
    assert {group_of(name) for name in NAMES} == set(GROUPS)


def test_the_defaults_hold_and_say_so() -> None:
    made, sources = make({})
    assert made == Settings()
    assert set(sources) == set(NAMES)
    assert set(sources.values()) == {"default"}


def test_choices_are_listed_and_other_settings_have_none() -> None:
    assert choices(Settings.model_fields["bias"]) == ("none", "lora_only", "all")
    assert choices(Settings.model_fields["rank"]) == ()
    assert choices(Settings.model_fields["length"]) == ()


# --- other usual names


@pytest.mark.parametrize("alias", USUAL)
def test_a_usual_name_works_in_toml(alias: str, tmp_path: Path) -> None:
    name, value = USUAL[alias]
    path = tmp_path / "buke.toml"
    path.write_text(f"[{group_of(name)}]\n{alias} = {config._toml_value(value)}\n", encoding="utf-8")
    made, sources = settings_from({}, {}, path)
    assert getattr(made, name) == value
    assert sources[name] == str(path)


def test_a_flag_goes_before_the_file_whatever_the_two_call_it(tmp_path: Path) -> None:
    path = tmp_path / "buke.toml"
    path.write_text("rank = 4\nlora_alpha = 5\nseed = 6\n", encoding="utf-8")
    made, sources = settings_from({"lora_r": "7", "alpha": "8", "seed": None}, {"data": ["x.jsonl"]}, path)
    assert (made.rank, made.alpha, made.seed, made.data) == (7, 8, 6, ["x.jsonl"])
    assert (sources["rank"], sources["alpha"], sources["seed"]) == ("--lora-r", "--alpha", str(path))
    assert (sources["data"], sources["batch"]) == ("command line", "default")


@pytest.mark.parametrize("flag", ["--learning-rate", "--learning_rate", "--learning_rate=2e-4", "--learning-rate=2e-4"])
def test_underlines_in_a_flag_are_hyphens(flag: str) -> None:
    rest, _ = common([flag])
    assert rest == [flag.replace("_", "-")]
    assert common(["data_1.jsonl", "--name=a_b", "-c", "my_file.toml"])[0] == [
        "data_1.jsonl", "--name=a_b", "-c", "my_file.toml",
    ]  # fmt: skip


# --- what does not hold


def test_every_problem_is_told_in_one_go_with_its_place() -> None:
    values = {
        "rank": 0, "lora_dropout": 1, "bias": "some", "epochs": "many", "batch": 2.5, "learning_rate": "nan",
        "rnak": 3, "use_dora": True, "recompute": "perhaps", "top_p": 2, "data": "x", "system": 5, "layers": "top",
    }  # fmt: skip
    refusal = refused(values, {"rank": "--rank", "lora_dropout": "buke.toml"})
    assert refusal.message == "some settings are not valid"
    assert len(refusal.details) == len(values)
    text = "\n".join(refusal.details)
    for line in (
        "--rank: 0 is not valid: it has to be at least 1",
        "buke.toml: dropout: 1 is not valid: it has to be less than 1",
        "bias: 'some' is not valid: choose none, lora_only, all",
        "epochs: 'many' is not valid: it has to be a number",
        "batch: 2.5 is not valid: it has to be a whole number",
        "learning_rate: 'nan' is not valid: it has to be",
        "use_dora: use_dora is not available: buke does not do DoRA; take the line out",
        "rnak: there is no setting called rnak; did you mean rank?",
        "recompute: 'perhaps' is not valid: it has to be true or false",
        "top_p: 2 is not valid: it has to be at most 1",
        "data: 'x' is not valid: it has to be a list",
        "system: 5 is not valid: it has to be text",
        "layers: 'top' is not valid: write all, upper, or a range such as 12-27",
    ):
        assert line in text


def test_the_problems_are_told_in_chinese() -> None:
    words.set_language("zh")
    values = {"rank": 0, "bias": "some", "epochs": "many", "rnak": 3, "alpha": 0, "top_p": 2, "dropout": 1}
    refusal = refused(values)
    assert refusal.message == "有些设置不合要求"
    text = "\n".join(refusal.details)
    for part in (
        "必须不小于 1",
        "可选",
        "必须是数字",
        "没有名为 rnak 的设置；是不是 rank？",
        "必须大于 0",
        "必须不大于 1",
        "必须小于 1",
    ):
        assert part in text
    assert " or " not in text


@given(name=st.sampled_from(NAMES), value=st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text()))
def test_any_value_is_taken_or_refused_with_the_name_of_the_setting(name: str, value: Any) -> None:
    try:
        made, _ = make({name: value}, {name: "HERE"})
    except Refusal as refusal:
        (detail,) = refusal.details
        told = detail.startswith("HERE: ") and "\n" not in detail
    else:
        told = getattr(made, name) is None or isinstance(getattr(made, name), (bool, int, float, str, list))
    assert told


# --- TOML


def test_a_toml_file_may_have_tables_or_not_and_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text('\ufeffmodel = "m"\n[lora]\nr = 8\n[training]\nepochs = 2\n', encoding="utf-8")
    assert read_toml(path) == {"model": "m", "r": 8, "epochs": 2}


def test_toml_that_is_not_utf_8_is_refused_in_our_own_words(tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    path.write_bytes("# 学习率".encode("gbk"))
    with pytest.raises(Refusal, match=r"bad\.toml: the text is not UTF-8$"):
        read_toml(path)


@pytest.mark.parametrize("content", [b"rank = ", b"rank 3", b"a = 1\na = 2", b'system = "a\nb"'])
def test_bad_toml_is_refused_with_the_file(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    path.write_bytes(content)
    with pytest.raises(Refusal, match=r"bad\.toml: is not valid TOML: \S"):
        read_toml(path)


def test_a_missing_toml_file_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none.toml", tmp_path):
        with pytest.raises(Refusal, match="cannot be read: "):
            read_toml(path)


NUMBERS = {
    "rank": st.integers(1, 1024), "alpha": st.floats(1e-6, 1e6), "dropout": st.floats(0, 0.99),
    "learning_rate": st.none() | st.floats(1e-9, 1e-2), "epochs": st.floats(0.01, 100),
    "length": st.none() | st.integers(16, 10**6),
    "recompute": st.none() | st.booleans(), "seed": st.integers(0, 2**31 - 1), "bias": st.sampled_from(["none", "all"]),
}  # fmt: skip
TEXTS = {
    "data": st.lists(st.text(), max_size=3), "model": st.text(), "system": st.text(),
    "chat_template": st.none() | st.text(),
    "grader_pattern": st.none() | st.text(), "name": st.none() | st.text(), "targets": st.text(),
}  # fmt: skip
REASONS = st.dictionaries(st.sampled_from(NAMES), st.text(), max_size=4)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(values=st.fixed_dictionaries({}, optional=NUMBERS | TEXTS), reasons=REASONS)
def test_settings_come_back_from_toml_as_they_went(
    values: dict[str, Any], reasons: dict[str, str], tmp_path: Path
) -> None:
    went, _ = make(values)
    path = tmp_path / "run.toml"
    path.write_bytes(to_toml(went, reasons).encode("utf-8"))
    back, _ = make(read_toml(path))
    assert back == went


def test_run_toml_shows_every_setting_in_its_group_with_its_source() -> None:
    text = to_toml(*make({"rank": 4, "length": None}, {"rank": "--rank"}))
    tables = tomllib.loads(text)
    assert list(tables) == list(GROUPS)
    assert "rank = 4  # --rank\n" in text
    assert "# length =  # length\n" in text  # given as None, under its own name
    assert "# limit =  # default\n" in text
    shown = set(re.findall(r"^(?:# )?(\w+) =", text, re.M))
    assert shown == set(NAMES)
    assert all(group_of(name) == group for group, table in tables.items() for name in table)


# --- the tutorial's recipe


def test_the_tutorial_recipe_sets_the_tutorials_figures() -> None:
    made, sources = make({"recipe": "tutorial"})
    assert {name: getattr(made, name) for name in TUTORIAL} == TUTORIAL
    assert (made.rank, made.alpha, made.dropout, made.targets) == (16, 32, 0.05, "q_proj,v_proj")
    assert (made.batch, made.accumulation, made.epochs, made.learning_rate) == (2, 4, 3, 3e-4)
    assert {sources[name] for name in TUTORIAL} == {"recipe tutorial"}


def test_what_the_user_sets_goes_before_the_tutorial_under_any_name() -> None:
    made, sources = make({"recipe": "tutorial", "lora_r": 4, "num_train_epochs": 1}, {"lora_r": "--lora-r"})
    assert (made.rank, made.epochs, made.alpha) == (4, 1, 32)
    assert (sources["rank"], sources["alpha"]) == ("--lora-r", "recipe tutorial")
    assert make({})[0].targets != TUTORIAL["targets"]
