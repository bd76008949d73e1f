"""Prompt: what is learned is exactly thought, answer and end token; what is asked is what the tokenizer says itself."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import jinja2
import pytest
import tokenizers
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from buke import prompt as room
from buke.cli.check import _Covered
from buke.prompt import CLOSE, OPEN, QUESTION, REPLY, SYSTEM, Prompt, TutorialPrompt, build, lengths, prove
from buke.prompt.tokens import GOLDEN, ROUND_TRIP, Tokens
from buke.records import Example, Record
from buke.words import Refusal
from tiny import ENDS, R1_2025_01, R1_2025_02, TEMPLATES, tiny_folder

SHARED = Path(__file__).resolve().parents[2] / "shared"
R1 = SHARED / "tokenizers" / "deepseek-r1-distill-qwen"
MEDICAL = SHARED / "data" / "medical-o1-zh" / "train.jsonl"

LOOK_ALIKES = (
    "<|im_end|>", "<|im_start|>", "<|end|>", "<|begin|>", "<|user|>", "<|assistant|>", "<｜end▁of▁sentence｜>",
    "<｜User｜>", OPEN, CLOSE, "<think>\n", "\n</think>\n\n", "{{ bos_token }}", "{% raw %}", QUESTION, SYSTEM, REPLY,
)  # fmt: skip
ODDITIES = (
    "患者头痛三天", "👩🏽‍⚕️", "🇨🇳", "e\u0301", "\u0301", "\r\n", "\r", "\n\n", "\t", "\u00a0", "\u3000", "\ufeff",
    "\u200b", "\x00", "\u2028", "ﬁ", "가", "𠮷",
)  # fmt: skip
characters = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
pieces = st.one_of(characters, st.sampled_from(ODDITIES), st.sampled_from(LOOK_ALIKES))
texts = st.lists(pieces, max_size=6).map("".join)


def record(question: str = "几天?", thought: str = "想。", answer: str = "三天。", system: str = "") -> Record:
    return Record.make(question, thought, answer, "f.jsonl:1", system)


@cache
def compiled(template: str) -> jinja2.Template:
    return jinja2.Environment(trim_blocks=True, lstrip_blocks=True).from_string(template)


def golden(spoken: Prompt, question: str, system: str = "") -> list[int]:
    """The rendered template as the model's whole tokenizer encodes it."""
    messages = [{"role": "system", "content": system}] * bool(system) + [{"role": "user", "content": question.strip()}]
    names = {name: spoken.tokens.named(name) for name in ("bos_token", "eos_token")}
    text = compiled(spoken.template).render(messages=messages, add_generation_prompt=True, **names)
    return list(spoken.tokens.full.encode(text, add_special_tokens=False).ids)


def learned(spoken: Prompt, made: Example) -> str:
    return spoken.tokens.decode([i for i, flag in zip(made.ids, made.learn, strict=True) if flag])


def completion(spoken: Prompt, thought: str, answer: str) -> str:
    """What has to be learned, said here a second time."""
    opening = "" if spoken.opened else "<think>\n"
    return f"{opening}{thought}\n</think>\n\n{answer}{spoken.tokens.named('eos_token')}"


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("spoken")
    return {name: tiny_folder(root / name, template=name) for name in TEMPLATES}


@pytest.fixture(scope="session")
def spoken(folders: dict[str, Path]) -> dict[str, Prompt]:
    return {name: room.load(folder) for name, folder in folders.items()}


@pytest.fixture
def copy(folders: dict[str, Path], tmp_path: Path) -> Callable[..., Path]:
    """A tokenizer's folder to be changed: tokenizer.json and tokenizer_config.json, with keys replaced."""

    def make(name: str = "chatml", tokenizer: dict[str, object] | None = None, **config: object) -> Path:
        for file, changes in (("tokenizer.json", tokenizer or {}), ("tokenizer_config.json", config)):
            parts = json.loads((folders[name] / file).read_text(encoding="utf-8")) | changes
            (tmp_path / file).write_text(json.dumps(parts), encoding="utf-8")
        return tmp_path

    return make


each_template = pytest.mark.parametrize("name", list(TEMPLATES))


# any record


@each_template
@given(question=texts, thought=texts, answer=texts)
@example(question="<|im_end|>\n<|im_start|>assistant\n", thought="<|end|></think>", answer="<|begin|>👩🏽‍⚕️\r\ne\u0301")
@example(question=QUESTION + SYSTEM, thought=QUESTION, answer=REPLY)
@settings(max_examples=60, deadline=None)
def test_exactly_thought_answer_and_end_are_learned(
    spoken: dict[str, Prompt], name: str, question: str, thought: str, answer: str
) -> None:
    own = spoken[name]
    made = own.example(record(question, thought, answer))
    assert learned(own, made) == completion(own, thought, answer)
    b0, b1, b2, b3 = made.bounds
    assert made.learn == (False,) * b0 + (True,) * (b3 - b0)
    assert (b3, b2, made.ids[-1]) == (len(made), len(made) - 1, own.end)
    before_answer = completion(own, thought, "").removesuffix("\n\n" + own.tokens.decode([own.end]))
    assert own.tokens.decode(made.ids[b0:b1]) == before_answer
    assert own.tokens.decode(made.ids[b1:b2]) == f"\n\n{answer}"
    assert own.tokens.decode(made.ids[:b0]).count(question.strip()) >= 1
    prove(own, record(question, thought, answer), made)


@each_template
@given(question=texts, thought=texts, answer=texts)
@settings(max_examples=60, deadline=None)
def test_text_never_becomes_a_control_token(
    spoken: dict[str, Prompt], name: str, question: str, thought: str, answer: str
) -> None:
    own = spoken[name]
    control = set(own.tokens.control.values())

    def controls(made: Example) -> list[int]:
        return [i for i in made.ids if i in control]

    assert controls(own.example(record(question, thought, answer))) == controls(own.example(record("a", "b", "c")))


@each_template
@given(question=texts)
@settings(max_examples=60, deadline=None)
def test_prompt_is_the_tokenizers_own_encoding(spoken: dict[str, Prompt], name: str, question: str) -> None:
    own = spoken[name]
    assume(not any(text in question for text in own.tokens.control))
    assert own.prompt_ids(question) == golden(own, question)
    system = "你是医生。Answer briefly."
    if name in ("chatml", "qwen3"):
        assert own.prompt_ids(question, system) == golden(own, question, system)


@each_template
@given(parts=st.lists(st.tuples(texts, texts, texts), max_size=5))
@settings(max_examples=40, deadline=None)
def test_many_at_once_become_what_each_becomes_alone(
    spoken: dict[str, Prompt], name: str, parts: list[tuple[str, str, str]]
) -> None:
    own, records = spoken[name], [record(*part) for part in parts]
    assert own.tokens.encode_all([part[0] for part in parts]) == [own.tokens.encode(part[0]) for part in parts]
    assert own.examples(records) == [own.example(each) for each in records] == build(own, records, 10**6)[0]


@each_template
def test_tags_stand_once_and_where_they_belong(spoken: dict[str, Prompt], name: str) -> None:
    own = spoken[name]
    made = own.example(record())
    asked, taught = own.tokens.decode(made.ids[: made.bounds[0]]), learned(own, made)
    assert own.opened == (name == "r1-02")
    assert (asked.count("<think>\n"), taught.count("<think>\n")) == ((1, 0) if own.opened else (0, 1))
    assert (asked.count(CLOSE), taught.count(CLOSE)) == (0, 1)
    if name not in ("chatml", "llama3"):  # where the tags are tokens of their own, they are used as such
        assert made.ids.count(own.tokens.control[OPEN]) == made.ids.count(own.tokens.control[CLOSE]) == 1


@each_template
def test_end_and_stops(spoken: dict[str, Prompt], name: str) -> None:
    own = spoken[name]
    assert own.tokens.decode([own.end]) == ENDS.get(name, "<|end|>")
    assert own.stops == {own.end}


def test_stops_of_the_generation_config(copy: Callable[..., Path]) -> None:
    folder = copy(eos_token="<|end|>")
    for eos, more in (([1, 7], {1, 7}), (9, {9})):
        (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": eos}), encoding="utf-8")
        own = room.load(folder)
        assert own.end == own.tokens.control["<|im_end|>"]
        assert own.stops == {own.end, own.tokens.control["<|end|>"], *more}


def test_a_template_that_deletes_thoughts_deletes_none(spoken: dict[str, Prompt]) -> None:
    own = spoken["r1-01"]
    assert ".split('</think>')[-1]" in own.template
    assert learned(own, own.example(record(thought="先想一想"))).startswith("<think>\n先想一想\n</think>")


def test_a_template_that_ends_on_an_open_tag_gets_its_line_break(copy: Callable[..., Path]) -> None:
    own = room.load(copy("r1-02", chat_template=R1_2025_02.replace("<think>\\n", "<think>")))
    made = own.example(record(thought="想"))
    assert own.opened
    assert learned(own, made).startswith("\n想\n</think>")
    prove(own, record(thought="想"), made)


# the system message


def test_system_message_of_settings_and_of_a_record(folders: dict[str, Path]) -> None:
    own = room.load(folders["chatml"], system="Be brief.")
    assert own.prompt_ids("q") == golden(own, "q", "Be brief.")
    assert own.prompt_ids("q", "另一个") == golden(own, "q", "另一个")
    made = own.example(record("q", system="<|im_end|>另一个"))
    assert own.tokens.decode(made.ids).count("<|im_end|>另一个") == 1
    assert made.ids.count(own.end) == 3  # system, user and the learned one
    assert room.load(folders["chatml"]).prompt_ids("q") == golden(own, "q")


def test_a_template_without_a_place_for_the_system_message(copy: Callable[..., Path]) -> None:
    no_system = R1_2025_01.replace("{{ message['content'] }}{% elif", "{% elif")
    folder = copy("r1-01", chat_template=no_system)
    own = room.load(folder)
    own.prompt_ids("q")
    with pytest.raises(Refusal):
        own.prompt_ids("q", "Be brief.")
    with pytest.raises(Refusal):
        room.load(folder, system="Be brief.")


# what is refused


def test_a_tokenizer_that_loses_chinese_is_refused(copy: Callable[..., Path]) -> None:
    deletes = {"type": "Replace", "pattern": {"Regex": "\\p{Han}"}, "content": ""}
    with pytest.raises(Refusal, match="患者头痛") as caught:
        room.load(copy(tokenizer={"normalizer": deletes}))
    assert f"(tokenizers {tokenizers.__version__})" in caught.value.message
    assert tokenizers.__version__ in caught.value.hint


def test_a_known_tokenizer_that_gives_other_ids_is_refused(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its round trip is whole, yet the library splits the text otherwise than its makers did."""
    text = (folders["chatml"] / "tokenizer.json").read_bytes()
    ids = tuple(room.load(folders["chatml"]).tokens.encode("患者头痛 3 天"))
    known = hashlib.sha256(text).hexdigest()
    monkeypatch.setitem(GOLDEN, known, {"患者头痛 3 天": ids})
    room.load(folders["chatml"])
    monkeypatch.setitem(GOLDEN, known, {"患者头痛 3 天": (*ids[:-1], ids[-1] + 1)})
    with pytest.raises(Refusal, match="wrong ids: '患者头痛 3 天'") as caught:
        room.load(folders["chatml"])
    assert f"(tokenizers {tokenizers.__version__})" in caught.value.message


def test_a_tokenizer_that_makes_control_tokens_of_letters_is_refused(tmp_path: Path) -> None:
    letters = sorted(set("".join(ROUND_TRIP) + "<|end|>"))
    vocabulary = [("<unk>", 0.0), ("<|end|>", -1.0), *((letter, -5.0) for letter in letters)]
    tokenizer = tokenizers.Tokenizer(tokenizers.models.Unigram(vocabulary, 0, False))  # type: ignore[call-arg]
    tokenizer.add_special_tokens(["<|end|>"])
    tokenizer.decoder = tokenizers.decoders.Fuse()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    template = "{% for m in messages %}{{ m.content }}{% endfor %}<|end|>"
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"eos_token": "<|end|>", "chat_template": template}))
    with pytest.raises(Refusal, match=re.escape("control token '<|end|>'")):
        room.load(tmp_path)


def test_a_tokenizer_that_loses_spaces_is_refused(copy: Callable[..., Path]) -> None:
    with pytest.raises(Refusal):
        room.load(copy(tokenizer={"normalizer": {"type": "Replace", "pattern": {"String": "\n"}, "content": " "}}))


def test_a_normalizer_to_nfc_is_no_loss(copy: Callable[..., Path]) -> None:
    own = room.load(copy(tokenizer={"normalizer": {"type": "NFC"}}))
    found, findings = build(own, [record("cafe\u0301", "cafe\u0301", "e\u0301")], 400)
    assert (len(found), findings) == (1, [])
    assert learned(own, found[0]) == completion(own, "caf\u00e9", "\u00e9")


@pytest.mark.parametrize(
    "template",
    [
        "",
        "{{ messages[0]['content'] ",
        "no question at all",
        "{{ messages[0]['content'] }}{{ messages[0]['content'] }}",
        "{{ messages[0]['content'] }}{% if false %}{% endif %}",  # never writes the reply
        "{{ raise_exception('only tools') }}",
        "{{ ''.__class__.__mro__[1].__subclasses__() }}{{ messages[0]['content'] }}",
    ],
)
def test_templates_that_cannot_be_used(copy: Callable[..., Path], template: str) -> None:
    with pytest.raises(Refusal):
        room.load(copy(chat_template=template))


def test_no_template_and_no_end_are_refused(copy: Callable[..., Path]) -> None:
    with pytest.raises(Refusal, match="chat template"):
        room.load(copy(chat_template=None))
    bare = "{% for m in messages %}{{ m['content'] }}{% endfor %}"
    with pytest.raises(Refusal):
        room.load(copy(chat_template=bare, eos_token=None))
    assert room.load(copy(chat_template=bare)).end == 5  # what the tokenizer itself calls its end


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("tokenizer.json", b"{", "cannot be read"),
        ("tokenizer.json", b"\xff", "cannot be read"),
        ("tokenizer.json", b"[]", "not a JSON object"),
        ("tokenizer.json", b'{"model": {}}', "not a tokenizer"),
        ("tokenizer.json", b"", "cannot be read"),
        ("tokenizer_config.json", b"{", "cannot be read"),
        ("tokenizer_config.json", b"\xff", "cannot be read"),
        ("tokenizer_config.json", b"null", "not a JSON object"),
        ("generation_config.json", b"{", "cannot be read"),
        ("generation_config.json", b"[2]", "not a JSON object"),
        ("generation_config.json", b'{"eos_token_id": "end"}', "eos_token_id is 'end'"),
        ("generation_config.json", b'{"eos_token_id": [2, null]}', "eos_token_id is"),
    ],
)
def test_a_damaged_file_of_the_model_is_refused_by_name(
    copy: Callable[..., Path], name: str, content: bytes, said: str
) -> None:
    folder = copy()
    room.load(folder)
    (folder / name).write_bytes(content)
    with pytest.raises(Refusal, match=f"{re.escape(str(folder / name))}: .*{said}") as caught:
        room.load(folder)
    assert caught.value.hint


def test_a_missing_tokenizer_is_refused_by_name(copy: Callable[..., Path]) -> None:
    folder = copy()
    (folder / "tokenizer.json").unlink()
    with pytest.raises(Refusal, match=r"tokenizer\.json: cannot be read"):
        room.load(folder)


@pytest.mark.parametrize("eos", [None, "<|nowhere|>"])
def test_the_tutorials_text_needs_an_end_token(copy: Callable[..., Path], eos: str | None) -> None:
    with pytest.raises(Refusal, match=r"tokenizer_config\.json: the tokenizer has no end token") as caught:
        room.load(copy(eos_token=eos), tutorial=100)
    assert "eos_token" in caught.value.hint


def test_where_the_template_comes_from(copy: Callable[..., Path]) -> None:
    folder = copy(
        "r1-01", chat_template=[{"name": "tool_use", "template": "-"}, {"name": "default", "template": R1_2025_01}]
    )
    assert room.load(folder).template == R1_2025_01
    (folder / "chat_template.jinja").write_text(R1_2025_02, encoding="utf-8")
    assert room.load(folder).template == R1_2025_02
    chosen = folder / "own.jinja"
    chosen.write_text(TEMPLATES["chatml"], encoding="utf-8")
    assert room.load(folder, chat_template=str(chosen)).template == TEMPLATES["chatml"]
    for damaged in (None, b"\xff\xfe\xff"):
        chosen.unlink() if damaged is None else chosen.write_bytes(damaged)
        with pytest.raises(Refusal, match=r"own\.jinja"):
            room.load(folder, chat_template=str(chosen))


# the proof


@each_template
def test_proof_refuses_any_changed_flag_or_id(spoken: dict[str, Prompt], name: str) -> None:
    own, lesson = spoken[name], record("Q 问", "T 思", "A 答")
    made = own.example(lesson)
    prove(own, lesson, made)
    size = own.tokens.full.get_vocab_size()
    for place in range(len(made)):
        learn = tuple(flag != (i == place) for i, flag in enumerate(made.learn))
        ids = tuple((old + 1) % size if i == place else old for i, old in enumerate(made.ids))
        for changed in (replace(made, learn=learn), replace(made, ids=ids)):
            with pytest.raises(Refusal, match=r"f\.jsonl:1"):
                prove(own, lesson, changed)


def test_proof_refuses_a_control_token_in_place_of_text(spoken: dict[str, Prompt]) -> None:
    own, lesson = spoken["chatml"], record(thought="x<|im_end|>y")
    good = own.example(lesson)
    thought = own.tokens.full.encode("<think>\nx<|im_end|>y\n</think>", add_special_tokens=False).ids
    b0, b1, b2, b3 = good.bounds
    ids = good.ids[:b0] + tuple(thought) + good.ids[b1:]
    b = b0 + len(thought)
    bad = Example(
        good.id, good.source, ids, (False,) * b0 + (True,) * (len(ids) - b0), (b0, b, b + b2 - b1, b + b3 - b1)
    )
    assert own.tokens.decode(bad.ids) == own.tokens.decode(good.ids)
    prove(own, lesson, good)
    with pytest.raises(Refusal):
        prove(own, lesson, bad)


# from records to examples


def test_lone_surrogates_are_findings(spoken: dict[str, Prompt]) -> None:
    broken = [record(question="\ud800"), record(thought="a\udfffb"), record(answer="\ud83d"), record(system="\udc00")]
    found, findings = build(spoken["r1-01"], [*broken, record()], 400)
    assert [f.kind for f in findings] == ["surrogate"] * 4
    assert [f.source for f in findings] == ["f.jsonl:1"] * 4
    assert len(found) == 1


@each_template
def test_overlong_is_dropped_or_shortened_in_its_thought(spoken: dict[str, Prompt], name: str) -> None:
    own = spoken[name]
    long = record("How much?", "The dose is 12 mg per kg. 患者头痛。\n" * 40, "Exactly 48 mg.")
    short = record("How much?")
    found, findings = build(own, [long, short], 150)
    assert [e.id for e in found] == [short.id]
    assert [f.kind for f in findings] == ["overlong"]
    assert "150" in findings[0].message

    found, findings = build(own, [long, short], 150, shorten=True)
    assert findings == []
    assert [e.id for e in found] == [long.id, short.id]
    whole, cut = own.example(long), found[0]
    assert 100 < len(cut) <= 150
    assert cut.ids[: cut.bounds[0]] == whole.ids[: whole.bounds[0]]
    assert cut.ids[cut.bounds[1] :] == whole.ids[whole.bounds[1] :]
    text = learned(own, cut)
    opening = "" if own.opened else "<think>\n"
    assert text.startswith(opening + "The dose is")
    assert text.endswith("患者头痛。\n" + f"\n</think>\n\nExactly 48 mg.{own.tokens.decode([own.end])}")
    assert text.count("\n…\n") == 1
    assert found[1] == own.example(short)


def test_what_cannot_be_shortened_is_dropped(spoken: dict[str, Prompt]) -> None:
    long_answer = record(answer="Exactly 48 mg. " * 40)
    found, findings = build(spoken["r1-01"], [long_answer], 100, shorten=True)
    assert (found, [f.kind for f in findings]) == ([], ["overlong"])


def test_fingerprint_follows_whatever_decides_the_ids(folders: dict[str, Path], copy: Callable[..., Path]) -> None:
    prints = {room.load(folder).fingerprint for folder in folders.values()}
    prints |= {
        room.load(folders["chatml"], system="s").fingerprint,
        room.load(folders["chatml"], tutorial=64).fingerprint,
    }
    prints.add(room.load(copy(tokenizer={"normalizer": {"type": "NFC"}})).fingerprint)
    assert len(prints) == len(TEMPLATES) + 3
    assert room.load(folders["chatml"]).fingerprint in prints


# the tutorial's text


def tutorial_text(lesson: Record) -> str:
    return f"诊断问题:{lesson.question}\n详细分析:{lesson.thought}\n### 答案:\n{lesson.answer}<|endoftext|>"


@given(question=characters, thought=characters, answer=characters)
@settings(max_examples=60, deadline=None)
def test_tutorial_text_cut_padded_and_all_learned(
    folders: dict[str, Path], spoken: dict[str, Prompt], question: str, thought: str, answer: str
) -> None:
    base = spoken["chatml"]
    own = TutorialPrompt(base.tokens, base.template, length=90)
    lesson = record(question, thought, answer)
    made = own.example(lesson)
    whole = own.tokens.full.encode(tutorial_text(lesson), add_special_tokens=False).ids
    assert (len(made), made.learned) == (90, 90)
    assert list(made.ids) == (whole + [own.end] * 90)[:90]
    assert made.bounds[0] <= made.bounds[1] <= made.bounds[2] <= made.bounds[3] == 90

    scored = own.scored(lesson)
    assert list(scored.ids) == whole
    assert scored.learn == (False,) * scored.bounds[0] + (True,) * (len(whole) - scored.bounds[0])


def test_tutorial_parts(folders: dict[str, Path]) -> None:
    own = room.load(folders["chatml"], tutorial=200)
    assert isinstance(own, TutorialPrompt)
    lesson = record("头痛 3 天?", "The dose is 12 mg.", "偏头痛")
    scored = own.scored(lesson)
    b0, b1, b2, _ = scored.bounds
    assert own.tokens.decode(scored.ids[:b0]) == "诊断问题:头痛 3 天?\n详细分析:"
    assert own.tokens.decode(scored.ids[b0:b1]) == "The dose is 12 mg.\n### 答案:\n"
    assert own.tokens.decode(scored.ids[b1:b2]) == "偏头痛"
    assert learned(own, scored) == "The dose is 12 mg.\n### 答案:\n偏头痛<|endoftext|>"
    assert own.prompt_ids("头痛 3 天?") == list(scored.ids[:b0])
    found, findings = build(own, [lesson], 200)
    assert (found, findings) == ([own.example(lesson)], [])


def test_tutorial_with_bos(copy: Callable[..., Path]) -> None:
    own = room.load(copy("r1-01", add_bos_token=True), tutorial=100)
    made, scored = own.example(record()), own.scored(record())
    begin = own.tokens.control["<|begin|>"]
    assert made.ids[0] == scored.ids[0] == own.prompt_ids("几天?")[0] == begin
    assert not scored.learn[0]
    assert list(scored.ids[: scored.bounds[0]]) == own.prompt_ids("几天?")


# the real R1 tokenizer and its records


@pytest.fixture(scope="session")
def real(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Prompt]:
    if not R1.is_dir() or not MEDICAL.is_file():
        pytest.skip("the shared tokenizers and records are not here")
    folder = tmp_path_factory.mktemp("r1")
    for file in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(R1 / file, folder)
    first = room.load(folder, chat_template=str(R1 / "chat_template_2025-01.jinja"))
    second = (R1 / "chat_template_2025-02.jinja").read_text(encoding="utf-8")
    return {"01": first, "02": Prompt(first.tokens, second)}


@pytest.mark.slow
@pytest.mark.parametrize("version", ["01", "02"])
def test_r1_learns_every_medical_record_whole(real: dict[str, Prompt], version: str) -> None:
    own = real[version]
    assert own.opened == (version == "02")
    lines = [json.loads(line) for line in MEDICAL.read_text(encoding="utf-8").splitlines()]
    lessons = [
        Record.make(line["Question"], line["Complex_CoT"], line["Response"], f"train.jsonl:{i}")
        for i, line in enumerate(lines, 1)
    ]
    found, findings = build(own, lessons, 10**6)
    assert (len(lessons), len(found), findings) == (600, 600, [])
    opening, closing = own.tokens.control[OPEN], own.tokens.control[CLOSE]
    for lesson, made in zip(lessons, found, strict=True):
        assert learned(own, made) == completion(own, lesson.thought, lesson.answer)
        b0, b1, b2, _ = made.bounds
        inside = own.tokens.encode(f"{lesson.thought}\n" if own.opened else f"\n{lesson.thought}\n")
        assert list(made.ids[b0:b1]) == [opening] * (not own.opened) + inside + [closing]
        assert list(made.ids[b1:b2]) == own.tokens.encode(f"\n\n{lesson.answer}")
        assert list(made.ids[:b0]) == golden(own, lesson.question)
        assert (made.ids.count(opening), made.ids.count(closing), made.ids.count(own.end)) == (1, 1, 1)
        assert (opening in made.ids[:b0]) == own.opened
        assert closing in made.ids[b0:]


def test_r1_ids_by_hand(real: dict[str, Prompt]) -> None:
    question = [101924, 109180, 220, 18, 40666, 102]
    begin, user, assistant, think = 151646, 151644, 151645, 151648
    assert real["01"].prompt_ids("患者头痛 3 天") == [begin, user, *question, assistant]
    assert real["02"].prompt_ids("患者头痛 3 天") == [begin, user, *question, assistant, think, 198]
    made = real["01"].example(record("患者头痛 3 天", "3", "天"))
    assert made.ids[made.bounds[0] :] == (think, 198, 18, 198, 151649, 271, 35727, 151643)


def merged(word: str, ranks: dict[tuple[str, str], int]) -> list[str]:
    """Byte-pair encoding said a second time: the pair of lowest rank is joined until none is left."""
    parts = list(word)
    while pairs := [(ranks[pair], i) for i, pair in enumerate(itertools.pairwise(parts)) if pair in ranks]:
        _, i = min(pairs)
        parts[i : i + 2] = [parts[i] + parts[i + 1]]
    return parts


def test_r1_golden_ids_are_those_of_its_own_merges(real: dict[str, Prompt]) -> None:
    """The golden ids follow from vocabulary and merges alone; only the splitting into words is the library's."""
    text = (R1 / "tokenizer.json").read_text(encoding="utf-8")
    model = json.loads(text)["model"]
    pairs = (tuple(pair.split(" ")) if isinstance(pair, str) else tuple(pair) for pair in model["merges"])
    ranks = {pair: rank for rank, pair in enumerate(pairs)}
    known = GOLDEN[hashlib.sha256(text.encode()).hexdigest()]
    split = real["01"].tokens.plain.pre_tokenizer
    assert split is not None
    for sentence, ids in known.items():
        words = [word for word, _ in split.pre_tokenize_str(sentence)]
        assert [model["vocab"][part] for word in words for part in merged(word, ranks)] == list(ids)
    assert len(known) == 4


@pytest.mark.parametrize("name", TEMPLATES)
def test_bytes_for_a_token_are_of_text_alone(spoken: dict[str, Prompt], name: str) -> None:
    """Tags, end token and what a template writes are no text, and a short text tells nothing."""
    known, strange = "The dose is 12 mg per kg. " * 5, "zqxj vwky " * 12
    records = [
        Record.make(known + "?", "", known, "f:1"), Record.make("1 + 1?", "", "2", "f:2"),
        Record.make(strange, strange, "x", "f:3"), Record.make(strange, known, known, "f:4", "a system message"),
    ]  # fmt: skip
    if name in ("r1-01", "r1-02"):
        records.pop()  # its words for the system message differ
    covered = _Covered(next(lengths(spoken[name], [Record.make("", "", "", "")])))
    for one, tokens in zip(records, lengths(spoken[name], records), strict=True):
        covered.add(one, tokens)
    counted = [
        records[0].question,
        records[0].answer,
        *[strange, strange, "x"],
        *[known, known][: 2 * len(records[3:])],
    ]
    exact = sum(len(spoken[name].tokens.encode(text.strip())) for text in counted)
    assert covered.sums["en"][1] == pytest.approx(exact, rel=0.05)
    assert (covered.poor, covered.places) == (1, ["f:3"])


def test_a_tokenizer_is_read_once_and_not_kept_beside_the_next(tmp_path: Path) -> None:
    folder = tiny_folder(tmp_path / "model")
    first, again = Tokens(folder), Tokens(folder)
    assert again.full is first.full  # each one read would leave its words behind in memory
    path = folder / "tokenizer.json"
    path.write_text(path.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    assert Tokens(folder).full is not first.full
    assert Tokens(folder).encode("a b") == first.encode("a b")
