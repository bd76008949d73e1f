"""A run's manifest against what is there now; a run repeated; a run gone on with, and what it forgets."""

from __future__ import annotations

import json
import os
import platform
import shutil
from pathlib import Path
from typing import Any

import psutil
import pytest
from safetensors.torch import load_file, save_file

from buke import runfolder, words
from buke.cli import run
from buke.train import manifest
from buke.words import Refusal
from tiny import tiny_folder, write_lessons

pytestmark = pytest.mark.slow  # together they take longer than a first look may

WEIGHTS = "adapter_model.safetensors"
SMALL = ["--epochs", "2", "--questions", "0", "--rank", "4", "--learning-rate", "0.01", "--lang", "en"]
Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a base model, lessons, and a finished run of them, runs/a, with a checkpoint."""
    folder = tmp_path_factory.mktemp("verify")
    tiny_folder(folder / "base")
    write_lessons(folder / "old.jsonl", 48)
    words.set_language("en")
    line = ["train", "old.jsonl", "--model", "base", "--name", "a", "--save-every", "3"]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)  # so that what is verified elsewhere was named from here
        assert run([*line, *SMALL, "--runs", str(folder / "runs")]) == 0
    return folder


@pytest.fixture
def place(first: Path, tmp_path: Path) -> Path:
    """A copy of the run that may be spoiled."""
    shutil.copytree(first / "runs", tmp_path / "runs")
    return tmp_path


def verified(place: Path, capsys: Capture, name: str = "a") -> tuple[int, dict[str, dict[str, Any]]]:
    """Exit code of verify, and its parts that are not the same, by name."""
    capsys.readouterr()
    code = run(["verify", name, "--json", "--runs", str(place / "runs")])
    told = json.loads(capsys.readouterr().out)
    assert told["same"] == (code == 0)
    return code, {part["name"]: part for part in told["parts"] if part["state"] != "same"}


def rewrite(path: Path, change: Any) -> None:
    value = json.loads(path.read_text(encoding="utf-8"))
    change(value)
    path.write_text(json.dumps(value), encoding="utf-8")


# --- verify


def test_nothing_has_changed_and_every_part_has_its_line(place: Path, capsys: Capture) -> None:
    assert run(["verify", "a", "--runs", str(place / "runs")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "Everything is as it was."
    assert all(line.startswith("same  ") for line in lines[:-1])
    named = "\n".join(lines)
    for part in ("the data", "the prompt", "base weights", "tokenizer", "code of buke", "libraries", "machine",
                 "settings", "adapter_model.safetensors", "steps.jsonl", "checkpoint"):  # fmt: skip
        assert part in named
    assert run(["verify", "a", "--runs", str(place / "runs"), "--lang", "zh"]) == 0
    assert "一切如旧。" in capsys.readouterr().out


def test_each_file_of_the_run_that_changed_or_went_is_named(place: Path, capsys: Capture) -> None:
    a = place / "runs" / "a"
    with open(a / "adapter" / WEIGHTS, "r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x7f")
    (a / "steps.jsonl").unlink()
    checkpoint = next((a / "checkpoints").iterdir())
    (checkpoint / "optimizer.safetensors").write_bytes(b"")
    (a / "run.toml").write_text((a / "run.toml").read_text().replace("rank = 4", "rank = 8"), encoding="utf-8")
    code, odd = verified(place, capsys)
    states = {name.split("/")[-1]: part["state"] for name, part in odd.items()}
    assert code == 1
    assert states == {
        WEIGHTS: "changed", "steps.jsonl": "missing", checkpoint.name: "changed", "run.toml": "changed",
        "settings": "changed",
    }  # fmt: skip
    assert "rank 4 → 8" in odd["settings"]["what"]
    assert "optimizer.safetensors" in next(part["what"] for name, part in odd.items() if checkpoint.name in name)


def test_a_checkpoint_is_held_against_its_state_and_the_state_against_its_seal(place: Path, capsys: Capture) -> None:
    first, second = sorted((place / "runs" / "a" / "checkpoints").iterdir())
    rewrite(first / "state.json", lambda state: state["progress"].update(step=1))
    (second / "state.json").unlink()
    code, odd = verified(place, capsys)
    assert code == 1
    assert {name.split("/")[-1]: (part["state"], part["what"]) for name, part in odd.items()} == {
        first.name: ("changed", str(first / "state.json")), second.name: ("missing", str(second / "state.json")),
    }  # fmt: skip
    (first / "state.json").write_text("[]")
    assert {part["state"] for part in verified(place, capsys)[1].values()} == {"changed", "missing"}


def test_of_an_unfinished_run_nothing_is_missing(place: Path, capsys: Capture) -> None:
    rewrite(place / "runs" / "a" / "manifest.json", lambda notes: notes.update(files={}, finished=None))
    assert verified(place, capsys) == (0, {})


def test_lines_without_a_hash_are_whole_or_named(place: Path, capsys: Capture) -> None:
    """Of a run that is not finished, or that was when events had no hash."""
    a = place / "runs" / "a"
    rewrite(a / "manifest.json", lambda notes: notes.pop("files"))
    (a / "events.jsonl").write_text('{"step": 1}\n{"step": 2}\n{"st', encoding="utf-8")
    with open(a / "steps.jsonl", "a", encoding="utf-8") as file:
        file.write('{"step": 9{"step": 10}\n')
    odd = verified(place, capsys)[1]
    states = {name.split("/")[-1]: part["state"] for name, part in odd.items()}
    assert states == {"file of the run": "missing", "events.jsonl": "changed", "steps.jsonl": "changed"}
    told = {name.split("/")[-1]: part["what"] for name, part in odd.items()}
    assert told["events.jsonl"] == "line 3 is cut off"
    assert "steps.jsonl:" in told["steps.jsonl"]


def test_what_the_run_was_made_of(first: Path, place: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each ingredient is spoiled in a copy, and the manifest is told that it lies there."""
    shutil.copytree(first / "base", place / "base")
    shutil.copy(first / "old.jsonl", place / "old.jsonl")

    def moved(notes: dict[str, Any]) -> None:
        notes["model"] |= {"name": str(place / "base"), "folder": str(place / "base")}
        notes["data"][0]["path"] = str(place / "old.jsonl")

    rewrite(place / "runs" / "a" / "manifest.json", moved)
    assert verified(place, capsys) == (0, {})
    tensors = load_file(place / "base" / "model.safetensors")
    tensors["model.norm.weight"][0] += 1
    save_file(tensors, place / "base" / "model.safetensors", {"format": "pt"})
    rewrite(place / "base" / "tokenizer_config.json", lambda c: c.update(chat_template=c["chat_template"] + "{# #}"))
    with open(place / "old.jsonl", "a", encoding="utf-8") as file:
        file.write("\n")
    monkeypatch.setattr(manifest, "code", lambda: "0" * 64)
    monkeypatch.setattr(manifest, "packages", lambda four_bits: {"torch": "0.1"})
    monkeypatch.setattr(manifest, "machine", lambda device: {"cores": 1, "device": device})
    monkeypatch.setattr("torch.get_num_threads", lambda: 31)
    code, odd = verified(place, capsys)
    assert code == 1
    assert {name: part["state"] for name, part in odd.items()} == {
        f"the data {place / 'old.jsonl'}": "changed", "base weights": "changed", "tokenizer": "changed",
        "the prompt": "changed", "code of buke": "changed", "libraries": "changed", "machine": "changed",
        "threads": "changed",
    }  # fmt: skip
    assert "model.safetensors" in odd["base weights"]["what"]
    assert "→ 0.1" in odd["libraries"]["what"]
    assert odd["threads"]["what"] == "1 → 31"
    shutil.rmtree(place / "base")
    (place / "old.jsonl").unlink()
    odd = verified(place, capsys)[1]
    assert {odd[name]["state"] for name in ("base weights", "tokenizer", "base configuration", "the prompt")} == {
        "missing"
    }
    assert odd[f"the data {place / 'old.jsonl'}"]["state"] == "missing"


def test_a_manifest_that_is_missing_or_none(place: Path, capsys: Capture) -> None:
    path = place / "runs" / "a" / "manifest.json"
    for text in ("{", "[]", "{}", '{"data": 3}'):
        path.write_text(text)
        assert run(["verify", "a", "--runs", str(place / "runs")]) == 2
        err = capsys.readouterr().err
        assert "manifest.json" in err
        assert "wrong inside buke" not in err
    path.unlink()
    assert run(["verify", "a", "--runs", str(place / "runs")]) == 2
    assert run(["verify", "none", "--runs", str(place / "runs")]) == 2


def test_the_hash_of_the_code_knows_names_and_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "__init__.py").write_text("")
    (tmp_path / "a.py").write_text("x = 1")
    monkeypatch.setattr("buke.__file__", str(tmp_path / "__init__.py"))
    seen = {manifest.code()}
    (tmp_path / "a.py").write_text("x = 2")
    seen.add(manifest.code())
    (tmp_path / "a.py").rename(tmp_path / "b.py")
    seen.add(manifest.code())
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "b.pyc").write_bytes(b"x")
    seen.add(manifest.code())
    assert len(seen) == 3


# --- again


def test_a_run_repeated_gives_the_same_bytes(place: Path, capsys: Capture) -> None:
    capsys.readouterr()
    assert run(["train", "--again", "a", "--name", "b", "--json", "--runs", str(place / "runs")]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["again"] == {"run": str(place / "runs" / "a"), "same": True, "where": ""}
    a, b = (place / "runs" / name / "adapter" / WEIGHTS for name in "ab")
    assert a.read_bytes() == b.read_bytes()
    notes = [runfolder.read_json(place / "runs" / name / "manifest.json") for name in "ab"]
    assert notes[0]["settings"] | {"name": "b"} == notes[1]["settings"]
    assert {"cpu", "fp32", "number"} == {notes[0]["settings"][name] for name in ("device", "precision", "grader")}
    assert "auto" not in notes[0]["settings"].values()
    assert 'device = "auto"' in (place / "runs" / "a" / "run.toml").read_text(encoding="utf-8")  # as it was asked for


@pytest.mark.parametrize("by", ["--again", "--resume"])
def test_a_repetition_that_was_broken_off_is_gone_on_with_and_compared(by: str, place: Path, capsys: Capture) -> None:
    """Where the first run's adapter has another byte by then, the answer is no, as it is without a break."""
    from buke.train import begin as jobs

    a, runs = place / "runs" / "a", place / "runs"
    broken = jobs.again(a, "b", runs, lambda line: None)
    for _, _ in zip(range(4), broken.events(), strict=False):
        pass
    broken.save()
    broken.release()
    with open(a / "adapter" / WEIGHTS, "r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x7f")
    words_ = ["--again", "a"] if by == "--again" else ["--resume", "b"]
    capsys.readouterr()
    assert run(["train", *words_, "--json", "--runs", str(runs)]) == 1
    told, err = capsys.readouterr()
    assert json.loads(told)["again"]["same"] is False
    assert "Going on after step" in err
    assert sorted(path.name for path in runs.iterdir()) == ["a", "b"]


def test_a_run_is_not_repeated_on_another_device(place: Path, capsys: Capture) -> None:
    rewrite(place / "runs" / "a" / "manifest.json", lambda notes: notes["settings"].update(device="mps"))
    assert run(["train", "--again", "a", "--runs", str(place / "runs")]) == 2
    assert "--config" in capsys.readouterr().err


def test_where_a_repeated_run_parts_from_the_first(place: Path, capsys: Capture) -> None:
    """The first run's manifest is given another seed and other data hashes: what is repeated then is another run."""

    def change(notes: dict[str, Any]) -> None:
        notes["settings"]["seed"] = 7
        notes["data"][0]["sha256"] = "0" * 64

    rewrite(place / "runs" / "a" / "manifest.json", change)
    assert run(["train", "--again", "a", "--name", "b", "--runs", str(place / "runs")]) == 1
    out, err = capsys.readouterr()
    assert "Not as it was then: the data" in err
    assert "Not as it was then: settings: changed: seed 7 → 42" in err
    assert "They first part in steps.jsonl, step 1: loss_sum was" in out


def test_the_parting_is_found_in_every_file(place: Path) -> None:
    a, b = place / "runs" / "a", place / "runs" / "b"
    shutil.copytree(a, b)
    assert manifest.parting(a, b) == ""
    tensors = load_file(b / "adapter" / WEIGHTS)
    name = sorted(tensors)[-1]
    tensors[name][0, 0] += 0.5
    save_file(tensors, b / "adapter" / WEIGHTS, {"format": "pt"})
    assert manifest.parting(a, b) == f"in {name}: by 5.0e-01 at most"
    lines = runfolder.read_lines(b / "eval.jsonl")
    lines[1]["loss_sum"] += 1
    runfolder.write_lines(b / "eval.jsonl", lines)
    assert f"in eval.jsonl, step {lines[1]['step']}: loss_sum" in manifest.parting(a, b)
    runfolder.write_lines(b / "steps.jsonl", runfolder.read_lines(b / "steps.jsonl")[:2])
    assert manifest.parting(a, b) == "in steps.jsonl, step 3: only one of the two has it"


@pytest.mark.parametrize("more", [["--resume", "a"], ["x.jsonl"], ["--rank", "3"], ["--from", "a"]])
def test_again_stands_alone(more: list[str], place: Path, capsys: Capture) -> None:
    assert run(["train", "--again", "a", *more, "--runs", str(place / "runs")]) == 2
    err = capsys.readouterr().err
    assert "--again takes the data and settings of the run" in err or "it takes no data, no --config, --again" in err


# --- from


def new_lessons(first: Path, path: Path) -> Path:
    """Records the first run has not seen, and one that it held out."""
    lines = write_lessons(path, 90).read_text(encoding="utf-8").splitlines()[50:]
    held = runfolder.read_lines(first / "runs" / "a" / "held-out.jsonl")[0]
    same = {"Question": held["question"], "Complex_CoT": held["thought"], "Response": held["answer"]}
    path.write_text("\n".join([*lines, json.dumps(same)]) + "\n", encoding="utf-8")
    return path


def test_a_run_goes_on_from_another_and_shows_what_it_forgets(first: Path, place: Path, capsys: Capture) -> None:
    data, runs = new_lessons(first, place / "new.jsonl"), place / "runs"
    apart = place / "apart.jsonl"
    apart.write_text("\n".join(write_lessons(apart, 99).read_text().splitlines()[90:]) + "\n", encoding="utf-8")
    line = ["train", str(data), "--from", "a", "--name", "b", "--runs", str(runs), "--epochs", "2", "--lang", "en"]
    assert run([*line, "--held-out-file", str(apart), "--questions", "0", "--learning-rate", "0.02"]) == 0
    out, err = capsys.readouterr()
    scored = runfolder.read_lines(runs / "b" / "eval.jsonl")
    before = runfolder.read_lines(runs / "a" / "eval.jsonl")
    kept = [each for each in before if each["best"]][-1]
    assert scored[0]["earlier_tokens"] == kept["tokens"]
    assert scored[0]["earlier_loss_sum"] == pytest.approx(kept["loss_sum"], rel=1e-4)  # it starts where a ended
    assert scored[-1]["earlier_loss_sum"] != scored[0]["earlier_loss_sum"]
    assert all(each["earlier_tokens"] == kept["tokens"] for each in scored)
    assert "; on the earlier run's part" in err
    assert "On the earlier run's held-out part: " in out
    notes = runfolder.read_json(runs / "b" / "manifest.json")
    assert notes["from"]["run"] == str(runs / "a")
    assert notes["from"]["adapter_sha256"] == runfolder.sha256_of(runs / "a" / "adapter" / WEIGHTS)
    settings = (runs / "b" / "run.toml").read_text(encoding="utf-8")
    assert "rank = 4  # as in a, which this run goes on from" in settings
    dropped = runfolder.read_json(runs / "b" / "data.json")["dropped"]
    assert [each["kind"] for each in dropped] == ["leak"]
    page = (runs / "b" / "report.html").read_text(encoding="utf-8")
    assert "the earlier run" in page
    assert 'class="earlier"' in page
    assert verified(place, capsys, "b") == (0, {})
    held_out = runs / "a" / "held-out.jsonl"
    held_out.write_text(held_out.read_text() + "\n")
    found = {name: part["state"] for name, part in verified(place, capsys, "b")[1].items()}
    assert found == {f"the earlier run's held-out part {held_out}": "changed"}
    shutil.rmtree(runs / "a")
    assert [part["state"] for part in verified(place, capsys, "b")[1].values()] == ["missing", "missing"]


def test_only_the_earlier_held_out_part_is_scored_where_nothing_else_is_held_out(first: Path, place: Path) -> None:
    data, runs = new_lessons(first, place / "new.jsonl"), place / "runs"
    line = ["train", str(data), "--from", "a", "--name", "b", "--runs", str(runs), "--epochs", "2", "--held-out", "0"]
    line += ["--questions", "0", "--lang", "en"]
    assert run([*line, "--patience", "1"]) == 0
    scored = runfolder.read_lines(runs / "b" / "eval.jsonl")
    assert len(scored) > 3
    assert all(each["loss_sum"] is None and not each["best"] and each["earlier_loss_sum"] for each in scored)
    result = runfolder.read_json(runs / "b" / "manifest.json")["result"]
    assert result["best_step"] == result["steps"] == result["of"]  # the last adapter is kept, and nothing stops early
    assert "held out by the earlier run" in (runs / "b" / "report.html").read_text(encoding="utf-8")


def test_a_broken_off_run_that_went_on_from_another_is_taken_up(first: Path, place: Path) -> None:
    from buke.config import make
    from buke.train import begin as jobs

    given = {"data": [str(write_lessons(place / "n.jsonl", 60))], "from_run": "a", "epochs": 1.0, "questions": 0}
    runs, quiet = place / "runs", lambda line: None
    for name in ("whole", "broken"):
        job = jobs.prepare(*make(given | {"name": name}), runs, quiet)
        for number, _ in enumerate(job.events()):
            if name == "broken" and number == 3:
                job.save()
                break
    again = jobs.resume(runs / "broken", quiet)
    list(again.events())
    files = [runs / name / "adapter" / WEIGHTS for name in ("whole", "broken")]
    assert files[0].read_bytes() == files[1].read_bytes()
    lines = [
        [{k: v for k, v in line.items() if k != "seconds"} for line in runfolder.read_lines(runs / name / "eval.jsonl")]
        for name in ("whole", "broken")
    ]
    assert lines[0] == lines[1]


def test_the_earlier_run_is_known_by_its_adapter_wherever_it_lies(first: Path, place: Path, capsys: Capture) -> None:
    from buke.config import make
    from buke.train import begin as jobs

    given = {"data": [str(write_lessons(place / "n.jsonl", 60))], "from_run": "a", "epochs": 1.0, "questions": 0}
    runs, quiet = place / "runs", lambda line: None
    broken = jobs.prepare(*make(given | {"name": "b"}), runs, quiet)
    next(broken.events())
    broken.release()
    (runs / "a").rename(runs / "moved")
    again = jobs.resume(runs / "b", quiet)
    list(again.events())
    again.finish()
    again.release()
    assert run(["train", "--again", "b", "--name", "c", "--runs", str(runs), "--lang", "en"]) == 0
    assert "agrees with that of" in capsys.readouterr().out
    assert verified(place, capsys, "b") == (0, {})
    (runs / "moved").rename(place / "away")
    with pytest.raises(Refusal, match="is no longer there") as caught:
        jobs.again(runs / "b", "d", runs, quiet)
    assert str(runs) in caught.value.hint


def test_what_changed_of_the_earlier_run_is_named_and_so_is_what_it_lacks(
    first: Path, place: Path, capsys: Capture
) -> None:
    from buke.config import make
    from buke.train import begin as jobs

    given = {"data": [str(write_lessons(place / "n.jsonl", 60))], "from_run": "a", "epochs": 1.0, "questions": 0}
    runs, quiet = place / "runs", lambda line: None
    jobs.prepare(*make(given | {"name": "b"}), runs, quiet).release()
    held_out = runs / "a" / "held-out.jsonl"
    held_out.write_text("".join(held_out.read_text().splitlines(keepends=True)[1:]))
    with pytest.raises(Refusal, match=r"since the run was started: the earlier run's held-out part$"):
        jobs.resume(runs / "b", quiet)
    held_out.unlink()
    with pytest.raises(Refusal, match=r"held-out.jsonl: the file is damaged: No such file"):
        jobs.resume(runs / "b", quiet)
    rewrite(runs / "a" / "manifest.json", lambda notes: notes.pop("result"))  # killed before it was written down
    capsys.readouterr()
    for line in (["compare", "a"], ["train", given["data"][0], "--from", "a"], ["train", "--again", "a"]):
        assert run([*line, "--runs", str(runs)]) == 2
        err = capsys.readouterr().err
        assert ("the run has no adapter yet" in err, "--resume" in err) == (True, True)
    lock = {"pid": os.getppid(), "began": psutil.Process(os.getppid()).create_time(), "host": platform.node()}
    runfolder.write_json(runs / "a" / runfolder.LOCK, lock)
    assert run(["train", "--again", "a", "--runs", str(runs)]) == 2
    assert f"process {os.getppid()} is training it" in capsys.readouterr().err


def test_what_has_to_be_as_in_the_earlier_run_is_refused_by_name(first: Path, place: Path, capsys: Capture) -> None:
    data, runs = str(write_lessons(place / "n.jsonl", 60)), str(place / "runs")
    line = ["train", data, "--from", "a", "--runs", runs, "--lang", "en"]
    assert run([*line, "--rank", "8", "--targets", "q_proj", "--alpha", "32"]) == 2
    err = capsys.readouterr().err
    assert "--rank: rank is 4 there and 8 here" in err
    assert "--targets: targets is all-linear there and q_proj here" in err
    assert "alpha" not in err  # the same, so nothing is wrong with it
    other = tiny_folder(place / "other")
    tensors = load_file(other / "model.safetensors")
    tensors["model.norm.weight"][0] += 1
    save_file(tensors, other / "model.safetensors", {"format": "pt"})
    assert run([*line, "--model", str(other)]) == 2
    err = capsys.readouterr().err
    assert "was trained on another base model" in err
    assert "model.safetensors" in err
    assert str(first / "base") in err
    assert run(["train", data, "--from", "nobody", "--runs", runs]) == 2
    held_out = place / "runs" / "a" / "held-out.jsonl"
    text = held_out.read_text(encoding="utf-8")
    held_out.write_text(text + '{"question": 1}\n', encoding="utf-8")
    assert run(line) == 2
    assert "held-out.jsonl: the file is damaged" in capsys.readouterr().err
    held_out.write_text(text, encoding="utf-8")
    shutil.rmtree(place / "runs" / "a" / "adapter")
    assert run(line) == 2
    assert "the run has no adapter yet" in capsys.readouterr().err
    assert sorted(path.name for path in (place / "runs").iterdir()) == ["a"]
