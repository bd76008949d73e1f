"""Encoded: what was tokenised once comes back as it was, or not at all."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buke import encoded, hub, intake, prompt, words
from buke.config import make
from buke.encoded import Lessons
from buke.intake import FileInfo
from buke.prompt import Prompt
from buke.records import Example, Finding, Record, Severity, Turn
from buke.train import begin as jobs
from tiny import tiny_folder, write_lessons

KEY = "ab" * 32
names = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)


def made(name: str, ids: list[int], first: int) -> Example:
    learn = tuple(i >= first for i in range(len(ids)))
    return Example(name, f"{name}:1", tuple(ids), learn, (first, first, len(ids) - 1, len(ids)))


EXAMPLES = [made("a", [1, 2, 151648, 4], 2), made("b", [2**31 - 1, 0], 0), made("患者", [7], 1)]
RECORDS = [Record.make("q", "t", "a", "患者:1", "s", (Turn("x", "", "y"),))]
FILES = [FileInfo("f", 12, "00", "jsonl", "utf-8", mapping={"question": "q"})]
FINDINGS = [Finding("f:3", "overlong", "too long", "shorten it"), Finding("f:4", "odd", "见", "", Severity.WARNING)]


LESSONS = Lessons(EXAMPLES[:2], EXAMPLES[2:], RECORDS, FINDINGS, FILES, 5)


def plain(lessons: Lessons | None) -> Lessons | None:
    def own(examples: list[Example]) -> list[Example]:
        return [replace(e, ids=tuple(e.ids), learn=tuple(e.learn)) for e in examples]

    return lessons and replace(lessons, train=own(lessons.train), held_out=own(lessons.held_out))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_folder(tmp_path_factory.mktemp("encoded") / "model", kind="qwen2")


@pytest.fixture(scope="module")
def spoken(model: Path) -> Prompt:
    return prompt.load(model)


@given(
    st.lists(
        st.tuples(names, st.lists(st.integers(0, 2**31 - 1), min_size=1, max_size=9), st.integers(0, 9)), min_size=1
    ),
    st.lists(st.tuples(names, names, names, names, st.sampled_from(Severity)), max_size=3),
)
def test_what_was_kept_comes_back_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, parts: list[tuple[str, list[int], int]], more: list[Any]
) -> None:
    folder = tmp_path_factory.mktemp("kept")
    examples, findings = [made(*part) for part in parts], [Finding(*each) for each in more]
    lessons = Lessons(examples[1:], examples[:1], RECORDS, findings, FILES, len(parts))
    encoded.save(folder, KEY, lessons)
    found = encoded.load(folder, KEY)
    assert found is not None
    assert plain(found) == lessons
    back = [*found.held_out, *found.train]
    assert [e.learned for e in back] == [sum(e.learn) for e in examples]
    assert all(type(i) is int for e in back for i in e.ids)
    assert all(type(flag) is bool for e in back for flag in e.learn)
    assert [path.name for path in folder.iterdir()] == [KEY]


def damages() -> dict[str, Callable[[Path], object]]:
    def cut(path: Path) -> None:
        path.write_bytes(path.read_bytes()[:-3])

    def change(path: Path) -> None:
        data = bytearray(path.read_bytes())
        data[5] ^= 1
        path.write_bytes(data)

    def edit(**changes: object) -> Callable[[Path], object]:
        def write(folder: Path) -> None:
            entry = json.loads((folder / encoded.ENTRY).read_text(encoding="utf-8"))
            (folder / encoded.ENTRY).write_text(json.dumps(entry | changes), encoding="utf-8")

        return write

    return {
        "no tokens": lambda folder: (folder / encoded.TOKENS).unlink(),
        "tokens cut": lambda folder: cut(folder / encoded.TOKENS),
        "tokens empty": lambda folder: (folder / encoded.TOKENS).write_bytes(b""),
        "a byte of the tokens": lambda folder: change(folder / encoded.TOKENS),
        "no entry": lambda folder: (folder / encoded.ENTRY).unlink(),
        "entry cut": lambda folder: cut(folder / encoded.ENTRY),
        "entry not UTF-8": lambda folder: (folder / encoded.ENTRY).write_bytes(b"\xff"),
        "entry of another kind": lambda folder: (folder / encoded.ENTRY).write_text("[]", encoding="utf-8"),
        "deep entry": lambda folder: (folder / encoded.ENTRY).write_text("[" * 100_000, encoding="utf-8"),
        "another key": edit(key="cd" * 32),
        "fewer examples": edit(train=[]),
        "examples of another shape": edit(train=[["a", "f:1"]]),
        "examples with bounds of another kind": edit(train=[["a", "f:1", [0, 1, 2, "3"]]]),
        "records of another shape": edit(records=[{"question": "q"}]),
        "files of another shape": edit(files=[1]),
        "findings of another shape": edit(findings=[{"place": 1}]),
        "a folder in its place": lambda folder: [(folder / encoded.TOKENS).unlink(), (folder / encoded.TOKENS).mkdir()],
    }


@pytest.mark.parametrize("damage", list(damages()))
def test_a_damaged_entry_is_none_and_is_written_anew(tmp_path: Path, damage: str) -> None:
    encoded.save(tmp_path, KEY, LESSONS)
    assert encoded.load(tmp_path, KEY) is not None
    damages()[damage](tmp_path / KEY)
    assert encoded.load(tmp_path, KEY) is None
    encoded.save(tmp_path, KEY, LESSONS)
    assert plain(encoded.load(tmp_path, KEY)) == LESSONS


def test_nothing_kept_is_none(tmp_path: Path) -> None:
    assert encoded.load(tmp_path / "nowhere", KEY) is None


def test_a_place_that_cannot_be_written_keeps_nothing_and_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x", encoding="utf-8")
    encoded.save(tmp_path / "file", KEY, LESSONS)
    assert encoded.load(tmp_path / "file", KEY) is None


def test_a_full_disk_keeps_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, value: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(encoded.runfolder, "write_json", full)
    encoded.save(tmp_path, KEY, LESSONS)
    assert list(tmp_path.iterdir()) == []


def test_the_entries_used_last_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def kept() -> set[str]:
        return {path.name for path in tmp_path.iterdir()}

    for n in range(encoded.KEPT):
        encoded.save(tmp_path, f"{n}", LESSONS)
        os.utime(tmp_path / f"{n}", (n, n))
    assert len(kept()) == encoded.KEPT
    assert encoded.load(tmp_path, "0") is not None  # used again, so that 1 is the oldest
    encoded.save(tmp_path, "new", LESSONS)
    assert kept() == {"0", "new", *(f"{n}" for n in range(2, encoded.KEPT))}

    size = sum(file.stat().st_size for file in (tmp_path / "new").iterdir())
    monkeypatch.setattr(encoded, "KEPT_BYTES", 2 * size + 100)
    os.utime(tmp_path / "new", (10**10 - 5, 10**10 - 5))
    encoded.save(tmp_path, "last", LESSONS)
    os.utime(tmp_path / "last", (10**10, 10**10))
    assert kept() == {"last", "new"}
    monkeypatch.setattr(encoded, "KEPT_BYTES", 1)
    encoded.save(tmp_path, "larger than all", LESSONS)
    assert len(kept()) == 1


def test_the_key_follows_whatever_decides_lessons(spoken: Prompt, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [("f", "00"), ("g", "11")]

    def key(own: Prompt = spoken, files: list[tuple[str, str]] = files, **given: Any) -> str:
        return encoded.key(own, make({"data": ["f", "g"]} | given)[0], files)

    others = [
        key(prompt.load(model, system="Be brief.")), key(length=98), key(overlong="shorten"), key(limit=9),
        key(held_out=0.1), key(held_out_file="h"), key(turns="last"), key(map={"question": "q"}),
        key(recipe="tutorial"),
        key(without_thought="mix"), key(files=files[::-1]), key(files=files[:1]), key(files=[("f", "01"), files[1]]),
    ]  # fmt: skip
    try:
        words.set_language("zh")
        others.append(key())  # findings are in the reader's language
    finally:
        words.set_language("en")
    monkeypatch.setattr(encoded, "_code", lambda: "another program")
    others.append(key())
    monkeypatch.undo()
    assert len({key(), *others}) == len(others) + 1
    assert key() == key(rank=4, learning_rate=1e-3, epochs=9)


# in a run


@pytest.mark.slow
def test_a_second_start_tokenises_nothing_and_trains_the_same(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BUKE_CACHE", str(tmp_path / "cache"))
    words.set_language("en")
    data = write_lessons(tmp_path / "data.jsonl", 30)
    with data.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"Question": "long?", "Complex_CoT": "x y " * 900, "Response": "a"}) + "\n")

    def train(name: str, **given: Any) -> tuple[bytes, list[Any]]:
        values = {"data": [str(data)], "model": str(model), "name": name, "device": "cpu", "epochs": 0.5, "seed": 3}
        job = jobs.prepare(*make(values | given), tmp_path / "runs", lambda line: None)
        list(job.events())
        notes = json.loads((job.run / "data.json").read_text(encoding="utf-8"))
        return (job.run / "adapter" / "adapter_model.safetensors").read_bytes(), [notes["dropped"], notes["tokens"]]

    first = train("first")
    assert [finding["kind"] for finding in first[1][0]] == ["overlong"]
    done: list[str] = []
    read, build = intake.read, prompt.build
    monkeypatch.setattr(intake, "read", lambda *given, **more: done.append("read") or read(*given, **more))
    monkeypatch.setattr(prompt, "build", lambda *given: done.append("build") or build(*given))
    assert train("second") == first
    assert done == []
    train("shorter", length=300)
    assert done == ["read", "build"]
    shutil.rmtree(hub.cache_folder() / "encoded")
    assert train("third") == first
    assert done == ["read", "build"] * 2
    with data.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"Question": "new?", "Complex_CoT": "x", "Response": "a"}) + "\n")
    assert train("more") != first
    assert done == ["read", "build"] * 3


def test_a_file_written_to_while_it_is_read_is_not_kept(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BUKE_CACHE", str(tmp_path / "cache"))
    data, read = write_lessons(tmp_path / "data.jsonl", 30), intake.read

    def late(*given: Any, **more: Any) -> Any:
        with data.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"Question": "new?", "Complex_CoT": "x", "Response": "a"}) + "\n")
        return read(*given, **more)

    monkeypatch.setattr(intake, "read", late)
    settings, reasons = make({"data": [str(data)], "model": str(model), "device": "cpu"})
    jobs.prepare(settings, reasons, tmp_path / "runs", lambda line: None)
    assert not (hub.cache_folder() / "encoded").exists()
