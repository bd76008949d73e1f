"""Room `grade`, measures: repetition and tone."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buke.grade import Tone, looped

PROSE = (
    "The boy weighs eighteen kilograms, and the leaflet gives ten milligrams for each kilogram as the first dose. "
    "We multiply, look up the ceiling, and take the smaller figure; the nurse then draws up the syringe. Since the "
    "child vomited within a quarter of an hour, the physician decides whether the dose is given again. A second "
    "opinion is worth having where the kidneys are weak, because the drug leaves the body through them, and the "
    "interval has to grow with falling clearance. Parents are told what to watch for at home and whom to call."
)
NOT_LOOPS = [
    "",
    "84",
    "10 * 7 + 2 * 7 = 70 + 14 = 84",
    PROSE,
    "\n".join(f"{i}. {word} the {thing}." for i, (word, thing) in enumerate(
        [("Wash", "hands"), ("Weigh", "child"), ("Check", "label"), ("Draw", "dose"), ("Write", "time down")], 1)),
    "\n".join(f"{i} x 7 = {i * 7}" for i in range(1, 40)),
    "\n".join(f"{i}. The dose for child {i} of {i + 9} kg is {(i + 9) * 4} mg." for i in range(1, 30)),
    "yes yes yes yes",
    "A title\n" + "-" * 80,
    "患者男，四十五岁，三天前开始发热，体温最高三十九度，伴有咳嗽、咳痰，痰为黄色。既往体健，无药物过敏史。查体右下肺可闻及湿啰音，"
    "血常规提示白细胞升高。考虑社区获得性肺炎，建议先完善胸片及痰培养，再根据经验选用抗生素，同时注意补液与休息，两天后复诊。",
    PROSE + " In short: " + PROSE,
]  # fmt: skip
LOOPS = [
    "So the dose is " + "the " * 40,
    "I think " + "the the the " * 30 + "th",
    "Start. " + "We multiply ten by seven. " * 6,
    "Start.\n" + "Let me check again\n" * 5,
    "所以需要复查。" + "请注意休息并按时服药。" * 8,
    "0." + "3" * 100,
    "哈" * 80,
    PROSE + " wait, " * 12,
    " ".join(f"Step {i}: we multiply the weight of the child by the dose and round the result." for i in range(40)),
    " ".join(f"w{i * i}" for i in range(2_000))
    + " ".join(f" {i}: multiply the weight of the child by the dose" for i in range(60)),
    "-" * 400,
]


@pytest.mark.parametrize("text", NOT_LOOPS)
def test_not_looped(text: str) -> None:
    assert not looped(text)


@pytest.mark.parametrize("text", LOOPS)
def test_looped(text: str) -> None:
    assert looped(text)


@given(st.text("abc 的了。1", min_size=4, max_size=40), st.integers(0, 30))
@settings(deadline=None)
def test_any_block_repeated_is_a_loop(block: str, cut: int) -> None:
    if any(character.isalnum() for character in block) and block.strip(" 。") == block:
        text = "An introduction. " + (block + " ") * (4 + 60 // len(block)) + block[:cut]
        assert looped(text)


def test_looped_takes_time_in_proportion() -> None:
    texts = ["ab" * 50_000 + "c", " ".join(str(i * i) for i in range(16_000)), "a" * 99_999 + "b" + "a" * 20]
    began = time.perf_counter()
    for text in texts:
        looped(text)
    assert time.perf_counter() - began < 5, "three texts of 100,000 characters; quadratic time would need hours"


def test_tone_by_hand() -> None:
    # " ab " has the trigrams " ab", "ab "; " abc " has " ab", "abc", "bc ": one shared, 1 / sqrt(2 * 3).
    assert Tone(["abc"]).likeness("ab") == pytest.approx(1 / 6**0.5)
    assert Tone(["abc"]).likeness("abc") == pytest.approx(1)
    assert Tone(["abc"]).likeness("xyz") == 0
    assert Tone(["abc"]).likeness("") == 0
    assert Tone([]).likeness("abc") == 0


def test_tone_leaves_the_same_question_out() -> None:
    tone = Tone(["Dear patient, take 48 mg.", "Dear patient, rest for a week."])
    copied = "Dear patient, take 48 mg."
    assert tone.likeness(copied, copied) < tone.likeness(copied)
    assert tone.likeness(copied, copied) == pytest.approx(Tone(["Dear patient, rest for a week."]).likeness(copied))
    assert Tone([copied]).likeness(copied, copied) == 0
    assert Tone([copied, copied]).likeness(copied, copied) == pytest.approx(1)
    assert tone.likeness(copied, "not one of them") == tone.likeness(copied)


def test_tone_tells_a_manner_from_another() -> None:
    mine = ["您好，建议您多休息，多喝水，祝您早日康复！", "您好，建议您先做血常规检查，祝您早日康复！"]
    tone = Tone(mine)
    assert tone.likeness("您好，建议您复查肝功能，祝您早日康复！") > 2 * tone.likeness("诊断为肝功能异常。需要复查。")


@given(st.lists(st.text(max_size=20), max_size=5), st.text(max_size=20))
@settings(deadline=None)
def test_tone_is_a_share(references: list[str], text: str) -> None:
    for leave_out in [None, *references]:
        rest = list(references)
        if leave_out is not None:
            rest.remove(leave_out)
        likeness = Tone(references).likeness(text, leave_out)
        assert 0 <= likeness <= 1
        assert likeness == pytest.approx(Tone(rest).likeness(text))
