"""Room `grade`: tables of English and Chinese answers, hostile texts, and the ways a grader refuses."""

from __future__ import annotations

import time
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buke.grade import GRADERS, Tone, final_choice, final_number, grader, looped
from buke.records import Answer, Ending, Record, Verdict
from buke.words import Refusal, set_language

RIGHT, WRONG, NO_ANSWER, UNSCORED = Verdict.RIGHT, Verdict.WRONG, Verdict.NO_ANSWER, Verdict.UNSCORED


def record(answer: str, question: str = "q") -> Record:
    return Record.make(question, "thought", answer, "lessons.jsonl:7")


def judge(name: str, reference: str, text: str, **more: str) -> Verdict:
    lesson = record(reference)
    return grader(name, [lesson], **more).text(lesson, text)


NUMBERS = [
    ("72", "72", RIGHT),
    ("72", "She sold 48 / 2 = 24 in May, so 48 + 24 = 72 altogether.", RIGHT),
    ("72", "She sold 27.", WRONG),
    ("72", "I cannot tell.", NO_ANSWER),
    ("Natalia sold 48+24 = 72 clips.\n#### 72", "#### 72", RIGHT),
    ("72", "48/2=24\n#### 72\n\nI hope these 2 lines help.", RIGHT),
    ("72", "#### 1. Conclusion\nIt is 72", RIGHT),
    ("72", "#### 3 key points\nIt is 72", RIGHT),
    ("Give 48 mg.", "Give **48** mg.", RIGHT),
    ("Give 48 mg.", "Give 48mg for 3 days.", RIGHT),
    ("Give 48 mg.", "Give 48 mg every 8 hours.", RIGHT),
    ("Give 144 mg.", "48 mg x 3 = 144", RIGHT),
    ("Give 48 mg.", "10 * 7 + 2 * 7 = 70 + 14 = 84", WRONG),
    ("84 mL", "The rate is 84 mL/h", RIGHT),
    ("Take it for 3 days.", "Take 48 mg for 3 days.", RIGHT),
    ("1234", "It comes to 1,234.", RIGHT),
    ("1,234,567.5", "1234567.5", RIGHT),
    ("1234", "1{,}234", RIGHT),
    ("1234", "1 2 34", WRONG),
    ("4", "3, 4", RIGHT),
    ("4", "分别是3，4", RIGHT),
    ("12000", "12\u202f000", RIGHT),
    ("-5", "The temperature is −5 °C.", RIGHT),
    ("-5", "5", WRONG),
    ("5", "3-5", RIGHT),
    ("5", "3–5", RIGHT),
    ("-5", "x = -5", RIGHT),
    ("-5", "负5", RIGHT),
    ("-5", "minus 5", RIGHT),
    ("-5", "-$5", RIGHT),
    ("5", "10 minus 5", RIGHT),
    ("0.5", "1/2", RIGHT),
    ("0.5", ".5", RIGHT),
    ("0.5", "\\boxed{\\frac{1}{2}}", RIGHT),
    ("2.5", "2 1/2 tablets", RIGHT),
    ("2.5", "2\\frac{1}{2}", RIGHT),
    ("2.5", "2½", RIGHT),
    ("1/3", "0.333", WRONG),
    ("1/3", "0.33333333", RIGHT),
    ("3", "3.000001", RIGHT),
    ("3", "3.00001", WRONG),
    ("1000001", "1000000", WRONG),
    ("50%", "50", RIGHT),
    ("50", "50 %", RIGHT),
    ("0.5", "50\\%", RIGHT),
    ("50%", "0.5%", WRONG),
    ("50%", "百分之50", RIGHT),
    ("48", "\\boxed{48\\text{ mg}} is what the 2 of us found", RIGHT),
    ("48", "\\boxed{47}, no, \\boxed{48}", RIGHT),
    ("48", "The answer is 48. That is 2 tablets of 24.", RIGHT),
    ("48", "Answer: 6 * 8 = 48 (check: 48 / 8 = 6)", RIGHT),
    ("48", "The answer is not 47. It is 48", RIGHT),
    ("48", "The answer is:\n\n48", RIGHT),
    ("48", "So it is 48.\n\n1. I multiplied.\n2. I rounded.", RIGHT),
    ("48", "1. 48", RIGHT),
    ("48", "48.", RIGHT),
    ("48", "① 先乘 ② 得48", RIGHT),
    ("48", "Give vitamin B12 and IL-6, in H2O.", NO_ANSWER),
    ("48", "48 for COVID-19, with SpO₂ stable", RIGHT),
    ("25", "5² = 5^2 = 25", RIGHT),
    ("30", "an area of 30 cm²", RIGHT),
    ("300000", "3 × 10^5", RIGHT),
    ("300000", "$3 \\times 10^{5}$", RIGHT),
    ("0.003", "3e-3", RIGHT),
    ("3000000", "3 million", RIGHT),
    ("48", "答案是４８", RIGHT),
    ("48", "答案：48。共服3天", RIGHT),
    ("48", "答案为：48 毫克", RIGHT),
    ("给药48毫克。", "每次给48毫克，连用3天。", RIGHT),
    ("给药48毫克。", "每次48 mg，每8小时一次", RIGHT),
    ("给药48毫克。", "每次给84毫克。", WRONG),
    ("给药48毫克。", "请遵医嘱。", NO_ANSWER),
    ("12000", "共1.2万元", RIGHT),
    ("3天", "在第3天", RIGHT),
    ("1，234", "1，234", RIGHT),
    ("１，２３４", "1234", RIGHT),
    ("no number", "48", UNSCORED),
    ("48", "9" * 5000, NO_ANSWER),
    ("48", "1/0", NO_ANSWER),
]


@pytest.mark.parametrize(("reference", "text", "verdict"), NUMBERS)
def test_number(reference: str, text: str, verdict: Verdict) -> None:
    assert judge("number", reference, text) is verdict


CHOICES = [
    ("B", "B", RIGHT),
    ("B", "(B)", RIGHT),
    ("B", "b", RIGHT),
    ("B", "B. Amoxicillin", RIGHT),
    ("B", "A", WRONG),
    ("(B)", "The answer is B.", RIGHT),
    ("B", "The answer is (B) because A is wrong.", RIGHT),
    ("B", "The correct answer is **B**.", RIGHT),
    ("B", "answer: b)", RIGHT),
    ("B", "Answer: option B", RIGHT),
    ("B", "\\boxed{\\text{B}}", RIGHT),
    ("B", "\\boxed{B. Aspirin}", RIGHT),
    ("B", "The answer is not A. So B.", RIGHT),
    ("B", "A is tempting, but I choose B", RIGHT),
    ("B", "The answer is B, A is wrong", RIGHT),
    ("B", "We rule out option A and end with (B)", RIGHT),
    ("B", "A: no fever\nB: fever\nC: cough", NO_ANSWER),
    ("B", "The answer is B-cell lymphoma", NO_ANSWER),
    ("B", "A patient with hepatitis B and low vitamin C", NO_ANSWER),
    ("A", "The answer is a fracture of the arm", NO_ANSWER),
    ("A", "The answer is A1c", NO_ANSWER),
    ("B", "答案：B", RIGHT),
    ("B", "答案：Ｂ。", RIGHT),
    ("答案：B", "选B", RIGHT),
    ("B", "综上所述，故选 B。", RIGHT),
    ("B", "不选A，选B", RIGHT),
    ("B", "选B，A错误", RIGHT),
    ("B", "选B，不选A", RIGHT),
    ("B", "I choose B and do not choose A", RIGHT),
    ("B", "正确选项为（B）", RIGHT),
    ("B", "B选项正确", RIGHT),
    ("B", "本题选择题，应当考虑C选项", WRONG),
    ("B", "维生素缺乏", NO_ANSWER),
    ("B", "答案不是A，所以B", RIGHT),
    ("ACD", "答案：A、C、D", RIGHT),
    ("ACD", "The answer is A, C and D.", RIGHT),
    ("ACD", "答案：A，C，D", RIGHT),
    ("ACD", "答案：A", WRONG),
    ("A", "答案：A、C", WRONG),
    ("no letter", "B", UNSCORED),
]


@pytest.mark.parametrize(("reference", "text", "verdict"), CHOICES)
def test_choice(reference: str, text: str, verdict: Verdict) -> None:
    assert judge("choice", reference, text) is verdict


EXACT = [
    ("Amoxicillin", " amoxicillin. ", RIGHT),
    ("阿莫西林", "“阿莫西林”。", RIGHT),
    ("3 天", "３天", RIGHT),
    ("Amoxicillin", "Amoxicillin 500", WRONG),
    ("5", "-5", WRONG),
    ("5", "5%", WRONG),
    ("...", "anything", UNSCORED),
]


@pytest.mark.parametrize(("reference", "text", "verdict"), EXACT)
def test_exact(reference: str, text: str, verdict: Verdict) -> None:
    assert judge("exact", reference, text) is verdict


AUTO = [
    (["72", "5"], "number"),
    (["Give 48 mg.", "给药48毫克。"], "number"),
    (["She sold 48 in April and half in May. " * 5 + "\n#### 72"], "number"),
    (["\\boxed{\\frac{1}{2}}"], "number"),
    (["答案为 48 毫克，每日两次"], "number"),
    (["72", "It depends."], "none"),
    (["Take 48 mg for 3 days."], "none"),
    (["The patient should rest, drink, and return after 3 days if the fever has not gone. " * 2], "none"),
    (["B", "(A)"], "choice"),
    (["The answer is B.", "D. 48 mg"], "choice"),
    (["答案：B", "选C", "ACD"], "choice"),
    (["A patient with a fever should rest."], "none"),
    (["B", "72"], "none"),
    ([""], "none"),
    ([], "none"),
]


@pytest.mark.parametrize(("references", "name"), AUTO)
def test_auto(references: list[str], name: str) -> None:
    assert grader("auto", [record(reference) for reference in references]).name == name


def test_regex() -> None:
    assert judge("regex", "dose: 48", "My dose: 48 ", pattern=r"dose: (\d+)") is RIGHT
    assert judge("regex", "dose: 48", "dose: 4", pattern=r"dose: (\d+)") is WRONG
    assert judge("regex", "dose: 48", "none", pattern=r"dose: (\d+)") is NO_ANSWER
    assert judge("regex", "none", "dose: 48", pattern=r"dose: (\d+)") is UNSCORED
    assert judge("regex", "yes", "oh yes", pattern=r"yes|no") is RIGHT
    assert judge("regex", "b", "b", pattern=r"(a)|b") is UNSCORED


@pytest.mark.parametrize("name", [name for name in GRADERS if name not in ("auto", "none")])
def test_nothing_said_is_no_answer(name: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("def grade(question, reference, answer):\n    return True\n", encoding="utf-8")
    lesson = record("B 48")
    chosen = grader(name, [lesson], pattern=r"(\d+)", file=file)
    assert chosen.text(lesson, " \n") is NO_ANSWER
    assert chosen.text(lesson, "B 48", Ending.CUT_THOUGHT) is NO_ANSWER
    cut = Answer(lesson.id, "t", "B 48", Ending.CUT_THOUGHT, False, False, 1, 2, 0.1)
    assert chosen(lesson, cut) is NO_ANSWER
    forced = Answer(lesson.id, "t", "B 48", Ending.STOPPED, False, True, 1, 2, 0.1)
    assert chosen(lesson, forced) is chosen.text(lesson, "B 48", Ending.CUT_ANSWER) is not NO_ANSWER


def test_none_judges_nothing() -> None:
    assert judge("none", "72", "72") is UNSCORED
    assert judge("none", "72", "") is UNSCORED


def test_python(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    source = """
        from __future__ import annotations
        from dataclasses import dataclass

        @dataclass
        class Seen:
            text: str

        def grade(question, reference, answer):
            if question == "?":
                return None
            if question == "boom":
                raise KeyError("lost")
            if question == "word":
                return "yes"
            return Seen(answer).text == reference
        """
    file.write_text("\n".join(line[8:] for line in source.split("\n")), encoding="utf-8")
    chosen = grader("python", [], file=str(file))
    assert chosen.text(record("x"), "x") is RIGHT
    assert chosen.text(record("x"), "y") is WRONG
    assert chosen.text(record("x", "?"), "x") is UNSCORED
    with pytest.raises(Refusal, match=r"mine\.py:13: .*lessons\.jsonl:7.*KeyError: 'lost'"):
        chosen.text(record("x", "boom"), "x")
    with pytest.raises(Refusal, match="'yes'"):
        chosen.text(record("x", "word"), "x")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.py"], "nothing is written beside the user's file"


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (None, "cannot be read"),
        ("x = 1\n", "does not define grade"),
        ("grade = 3\n", "does not define grade"),
        ("x = 1\nraise ValueError('bad day')\n", r"mine\.py:2: .*ValueError: bad day"),
        ("def grade(:\n", r"mine\.py:1: .*SyntaxError"),
        ("import sys\nsys.exit(3)\n", r"mine\.py:2: .*SystemExit: 3"),
    ],
)
def test_python_file_that_cannot_be_used(source: str | None, says: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    if source is not None:
        file.write_text(source, encoding="utf-8")
    with pytest.raises(Refusal, match=says):
        grader("python", [], file=file)


def test_auto_never_runs_a_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("raise ValueError\n", encoding="utf-8")
    assert grader("auto", [record("72")], file=file).name == "number"


@pytest.mark.parametrize(("name", "pattern"), [("regex", "("), ("regex", None), ("python", None), ("guess", None)])
@pytest.mark.parametrize("language", ["en", "zh"])
def test_refusals(name: str, pattern: str | None, language: str) -> None:
    set_language(language)
    try:
        with pytest.raises(Refusal) as refusal:
            grader(name, [], pattern=pattern)
    finally:
        set_language("en")
    assert refusal.value.message
    assert refusal.value.hint
    assert (language == "zh") == any("\u4e00" <= character <= "\u9fff" for character in refusal.value.message)


FORMS = ["{}", "{:,}", "The answer is {}.", "\\boxed{{{}}}", "#### {}", "答案：{}。"]


@given(st.integers(-(10**12), 10**12), st.sampled_from(FORMS))
@settings(deadline=None)
def test_every_integer_is_read_back(value: int, form: str) -> None:
    number = final_number(form.format(value))
    assert number is not None
    assert number.value == value


@given(st.decimals(-(10**9), 10**9, places=4, allow_nan=False))
@settings(deadline=None)
def test_every_decimal_is_read_back(value: object) -> None:
    number = final_number(f"It is {value} mg.")
    assert number is not None
    assert number.value == Fraction(str(value))
    assert number.unit == "mg"


@given(st.text(max_size=200) | st.text("0123456789.,/-+%eE^×10 \\boxed{}#()答案是ABCDanswer:\n", max_size=80))
@settings(max_examples=300, deadline=None)
def test_any_text_is_judged(text: str) -> None:
    final_choice(text)
    number = final_number(text)
    assert number is None or number.equals(number)
    assert judge("exact", "x" + text, "x" + text) is RIGHT
    looped(text)
    assert 0.0 <= Tone(["user's words", text]).likeness(text, None) <= 1.0


HOSTILE = [
    "Answer:" + " \n" * 50_000 + "x",
    "答案：" + "(" * 100_000,
    "9/" * 50_000,
    "9" * 100_000 + "/",
    "1,234" * 20_000,
    "选A、" * 25_000,
    "#### 1" + " 1" * 50_000,
    "\\boxed{" * 12_000,
    "\\frac{1" * 12_000,
    "Answer: " + "A, " * 30_000,
    "1. " * 33_000,
    "\n1. a" * 20_000,
    "." * 100_000 + "x",
    "** " * 33_000,
    "answer is " * 10_000 + "3",
    "1e9" * 30_000,
    "-" * 100_000,
    "ABCDEFGH" * 12_000,
    "Answer: " + "AB" * 50_000,
    "第 " * 50_000,
    "1 1/2 " * 16_000,
]


@pytest.mark.slow
@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_no_text_takes_long(text: str) -> None:
    text = text[:40_000]
    began = time.perf_counter()
    final_number(text)
    final_choice(text)
    looped(text)
    Tone([text]).likeness(text, text)
    assert time.perf_counter() - began < 5, "forty thousand characters; quadratic time would need far longer"
