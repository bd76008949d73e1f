"""Whatever is wrong with what the user gives: exit code 2, one sentence, a hint, nothing left behind."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from buke import runfolder, words
from buke.cli import run
from tiny import lessons, write_lessons

LANGUAGES = {"en": ("error: ", "hint: "), "zh": ("错误：", "提示：")}


@pytest.fixture(autouse=True)
def language_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("LC_ALL", "LC_MESSAGES", "BUKE_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    yield
    words.set_language("en")


class Place:
    """A folder with a good model and good data, and a place for runs."""

    def __init__(self, folder: Path, base: Path) -> None:
        self.folder, self.base, self.runs = folder, base, folder / "runs"
        self.data = write_lessons(folder / "lessons.jsonl", 30)

    def train(self, *more: str, data: Path | str | None = None, model: Path | str | None = None) -> list[str]:
        line = [
            "train",
            str(data or self.data),
            "--model",
            str(model or self.base),
            "--questions",
            "0",
            "--name",
            "run",
        ]
        return [*line, *more]

    def file(self, name: str, content: str | bytes) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
        return path

    def model(self) -> Path:
        """A copy of the model to damage."""
        return Path(shutil.copytree(self.base, self.folder / "model"))


@pytest.fixture
def place(tmp_path: Path, base: Path) -> Place:
    return Place(tmp_path, base)


Case = Callable[[Place], list[str]]
CASES: dict[str, tuple[Case, str]] = {}


def case(wanted: str) -> Callable[[Case], Case]:
    """A bad command line. wanted: what its English sentence or details say."""

    def add(make: Case) -> Case:
        CASES[make.__name__] = make, wanted
        return make

    return add


# --- data


@case(r"missing\.jsonl")
def missing_file(place: Place) -> list[str]:
    return place.train(data=place.folder / "missing.jsonl")


@case(r"empty\.jsonl")
def empty_file(place: Place) -> list[str]:
    return place.train(data=place.file("empty.jsonl", ""))


@case(r"wrong\.jsonl:1")
def wrong_fields(place: Place) -> list[str]:
    return place.train(data=place.file("wrong.jsonl", '{"colour": "red", "size": 3}\n' * 20))


@case(r"broken\.jsonl:")
def broken_json(place: Place) -> list[str]:
    return place.train(data=place.file("broken.jsonl", '{"Question": "a", "Complex_CoT": "b", "Respon\n' * 3))


@case("no field|has no|Frage")
def unknown_field(place: Place) -> list[str]:
    return place.train("--question-field", "Frage")


@case(r"3 records to learn from are fewer than the 4 of one step")
def fewer_records_than_a_batch(place: Place) -> list[str]:
    return place.train(data=write_lessons(place.folder / "few.jsonl", 3))


@case(r"no record is left to learn from(.|\n)*lessons\.jsonl:1: \d+ tokens, more than the 24 allowed")
def every_record_too_long(place: Place) -> list[str]:
    return place.train("--length", "24")


@case(r"missing\.jsonl")
def missing_held_out_file(place: Place) -> list[str]:
    return place.train("--held-out-file", str(place.folder / "missing.jsonl"))


@case("no data was named")
def no_data(place: Place) -> list[str]:
    return ["train", "--model", str(place.base)]


# --- model


@case("no base model was named")
def no_model(place: Place) -> list[str]:
    return ["train", str(place.data)]


@case("there is no such folder here")
def no_model_folder(place: Place) -> list[str]:
    return place.train(model=place.folder / "nowhere")


@case("GGUF")
def gguf_as_base(place: Place) -> list[str]:
    return place.train(model=place.file("model.gguf", b"GGUF" + b"\0" * 64))


@case("this is an adapter, not a base model")
def adapter_as_base(place: Place) -> list[str]:
    adapter = place.file("adapter/adapter_config.json", json.dumps({"base_model_name_or_path": str(place.base)}))
    place.file("adapter/adapter_model.safetensors", b"\2\0\0\0\0\0\0\0{}")
    return place.train(model=adapter.parent)


@case("does not give back what it is given")
def tokenizer_that_loses_text(place: Place) -> list[str]:
    model = place.model()
    parts = json.loads((model / "tokenizer.json").read_text(encoding="utf-8"))
    parts["normalizer"] = {"type": "Lowercase"}
    (model / "tokenizer.json").write_text(json.dumps(parts), encoding="utf-8")
    return place.train(model=model)


@case(r"model\.safetensors: cut off")
def weights_cut_off(place: Place) -> list[str]:
    model = place.model()
    weights = model / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    return place.train(model=model)


@case("has no hidden_size")
def config_without_a_width(place: Place) -> list[str]:
    model = place.model()
    config = json.loads((model / "config.json").read_text(encoding="utf-8"))
    del config["hidden_size"]
    (model / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return place.train(model=model)


@case("no chat template")
def model_without_a_chat_template(place: Place) -> list[str]:
    model = place.model()
    (model / "chat_template.jinja").unlink(missing_ok=True)
    (model / "tokenizer_config.json").write_text('{"eos_token": "<|im_end|>"}', encoding="utf-8")
    return place.train(model=model)


@case("the chat template cannot be rendered")
def broken_chat_template(place: Place) -> list[str]:
    return place.train("--chat-template", str(place.file("t.jinja", "{% for %}")))


@case("no linear layer called nose_proj")
def unknown_targets(place: Place) -> list[str]:
    return place.train("--targets", "q_proj,nose_proj")


@case("layers 5-9: the model has layers 0 to 1")
def layers_beyond_the_model(place: Place) -> list[str]:
    return place.train("--layers", "5-9")


@case("more than the 512 places of the model")
def longer_than_the_model(place: Place) -> list[str]:
    return place.train("--length", "4096")


@case("fp16 cannot be trained on the CPU")
def half_precision_on_the_cpu(place: Place) -> list[str]:
    return place.train("--device", "cpu", "--precision", "fp16")


# --- settings


@case(r"(?s)--rank: '0'.*--bias: 'some'.*--epochs: 'many'")
def several_bad_values(place: Place) -> list[str]:
    return place.train("--rank", "0", "--epochs", "many", "--bias", "some")


@case("is not valid TOML")
def bad_toml(place: Place) -> list[str]:
    return place.train("--config", str(place.file("bad.toml", "rank = = 3")))


@case("cannot be read")
def missing_toml(place: Place) -> list[str]:
    return place.train("--config", str(place.folder / "none.toml"))


@case("there is no setting called rnak; did you mean rank")
def misspelt_setting_in_toml(place: Place) -> list[str]:
    return place.train("--config", str(place.file("my.toml", "rnak = 3\n")))


@case("pattern")
def grader_without_its_pattern(place: Place) -> list[str]:
    return place.train("--grader", "regex")


@case(r"grade\.py")
def grader_that_is_not_there(place: Place) -> list[str]:
    return place.train("--grader", "python", "--grader-file", str(place.folder / "grade.py"))


# --- runs


@case("cannot be the name of a run")
def bad_run_name(place: Place) -> list[str]:
    return place.train("--name", "../out")


@case("the run folder cannot be made")
def file_in_place_of_the_runs(place: Place) -> list[str]:
    place.file("runs", "")
    return place.train()


@case("there is no such run")
def resume_of_an_unknown_run(place: Place) -> list[str]:
    place.file("runs/other/run.toml", "")
    return ["train", "--resume", "run"]


@case("takes no data")
def resume_with_other_data(place: Place) -> list[str]:
    return ["train", "--resume", "run", str(place.data)]


@case("there is no such run")
def compare_of_an_unknown_run(place: Place) -> list[str]:
    place.file("runs/other/run.toml", "")
    return ["compare", "run"]


@case("there is no such run")
def report_of_an_unknown_run(place: Place) -> list[str]:
    place.file("runs/other/run.toml", "")
    return ["report", "run"]


@case("no base model was named")
def show_without_a_model(place: Place) -> list[str]:
    return ["show", str(place.data)]


@case("no language of buke")
def lang_that_is_none(place: Place) -> list[str]:
    return ["runs", "--lang", "fr"]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", CASES)
def test_bad_input(
    name: str, language: str, place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LANG", {"en": "en_US.UTF-8", "zh": "zh_CN.UTF-8"}[language])
    make, wanted = CASES[name]
    arguments = make(place)
    before = sorted(place.folder.rglob("*"))
    code = run(["--runs", str(place.runs), *arguments])
    out, err = capsys.readouterr()
    assert code == 2, err
    assert out == ""
    assert "Traceback" not in err
    error, hint = LANGUAGES[language]
    lines = err.splitlines()
    assert sum(line.startswith(error) for line in lines) == 1
    assert lines[-1].startswith(hint)
    assert sorted(place.folder.rglob("*")) == before, "something was left behind"
    told = err[err.index(error) :]
    if language == "en":
        assert re.search(wanted, told), told
        assert not re.search(r"[\u4e00-\u9fff]", told)
    else:
        assert re.search(r"[\u4e00-\u9fff]", told.removeprefix(error))


def test_an_unknown_flag_is_a_usage_error(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*place.train("--no-such-flag"), "--runs", str(place.runs)]) == 2
    err = capsys.readouterr().err
    assert "--no-such-flag" in err
    assert "Traceback" not in err
    assert not place.runs.exists()


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_hub_name_without_network(
    language: str, place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{probe.getsockname()[1]}")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("BUKE_CACHE", str(place.folder / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(place.folder / "hf"))
    monkeypatch.setattr("huggingface_hub.file_download.constants.HF_HUB_CACHE", str(place.folder / "hf"))
    assert run([*place.train(model="nobody/nothing"), "--runs", str(place.runs), "--lang", language]) == 2
    err = capsys.readouterr().err
    error, hint = LANGUAGES[language]
    assert f"\n{error}nobody/nothing" in err
    assert f"\n{hint}" in err
    assert "HF_ENDPOINT" in err
    assert "Traceback" not in err
    assert not place.runs.exists()


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_taken_name_and_a_finished_run(language: str, place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    line = ["--runs", str(place.runs), "--lang", language]
    assert run([*place.train("--epochs", "0.3"), *line]) == 0
    files = {path: path.read_bytes() for path in place.runs.rglob("*") if path.is_file()}
    capsys.readouterr()
    error, hint = LANGUAGES[language]
    for arguments in (place.train(), ["train", "--resume", "run"]):
        assert run([*arguments, *line]) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert [line.startswith(error) for line in err.splitlines()].count(True) == 1
        assert err.splitlines()[-1].startswith(hint)
        assert "Traceback" not in err
    assert {path: path.read_bytes() for path in place.runs.rglob("*") if path.is_file()} == files
    assert [path.name for path in place.runs.iterdir()] == ["run"]


@pytest.mark.skipif(os.name != "posix", reason="rights of folders as POSIX has them")
@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may write anywhere")
def test_a_runs_folder_without_the_right_to_write(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    place.runs.mkdir(mode=0o500)
    assert run([*place.train(), "--runs", str(place.runs), "--lang", "en"]) == 2
    assert "cannot be made" in capsys.readouterr().err


def test_a_record_that_cannot_be_learned_is_told_and_the_others_are(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    long = {"Question": "q", "Complex_CoT": "x " * 600, "Response": "y"}
    mixed: list[Any] = [*lessons(20), long, {"Question": "no answer"}]
    data = place.file("mixed.jsonl", "\n".join(map(json.dumps, mixed)))
    line = [*place.train("--epochs", "0.4", data=data), "--runs", str(place.runs), "--lang", "en"]
    assert run(line) == 0
    err = capsys.readouterr().err
    assert "mixed.jsonl:21:" in err
    assert "mixed.jsonl:22:" in err
    read = runfolder.read_json(place.runs / "run" / runfolder.DATA)
    assert (read["read"], read["kept"]) == (22, 20)


def test_records_on_standard_input_are_refused_by_train(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["train", "-", "--model", "embedded"]) == 2
    assert "standard input" in capsys.readouterr().err
