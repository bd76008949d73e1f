"""Room `grade`, choices: which options A to H a text settles on."""

from __future__ import annotations

import re

from buke.grade.numbers import ANSWER, boxed, plainly

# A comma joins two options only where the second ends its clause: in "B, A is wrong" it begins the next one.
_LETTERS = (
    r"[A-H](?:(?:\s?(?:[、&]|and\b|和)\s?|\s?[,;/]\s?(?=[A-H]\s*(?:[.。!)\]},;/\n]|and\b|$)))?[A-H])*"
    r"(?![A-Za-z\d'’]|-[A-Za-z])"
)
_SMALL = r"[a-h](?=\s*(?:[).\]:,;、。\n]|$))"
_CHOOSE = re.compile(
    ANSWER
    + r"|(?<!不)(?<!勿)(?<!不要)(?<!不能)(?:故选|应选|选项\s*(?:是|为|:)|选择?)\s*:?"
    + r"|(?i:(?<!not )(?<!n't )\b(?:choose|select|(?:option|choice)\s*(?:is\b|:)))\s*:?"
)
_AFTER = re.compile(
    r"\s*[(\[{$]{0,2}\s*(?:(?i:option|choice)\s+|选项\s*)?[(\[]?\s*" + f"(?P<letters>{_LETTERS}|{_SMALL})"
)
_OPENING = re.compile(rf"^[ \t]*[(\[]?(?P<letters>{_LETTERS}|[a-h])[ \t]*(?:[)\].:,;、。]|$)", re.MULTILINE)
_LONE = re.compile(
    r"(?<!not )(?<!不是)(?:\(([A-H])\)|(?i:\b(?:option|choice))\s+([A-H])\b|选项\s*([A-H])(?![A-Za-z]))"
    r"|(?<![A-Za-z])([A-H])\s*选?项|^\s*([A-H])\s*[.。]?\s*$"
    r"|(?:(?i:\b(?:so|thus|therefore|hence|is|be))|故|所以|因此|即)\s*[,:;]?\s*([A-H])(?=\s*[.。!]?\s*\Z)",
    re.MULTILINE,
)


def final_choice(text: str) -> str | None:
    """The options a text settles on, as sorted capitals ("B", "ACD"), or None.

    In this order: the last ``\\boxed{}``; the letters after the last "answer is", 答案, 选 or "choose" that is not
    negated; letters that open the text ("B", "(B)", "B. …"), unless its lines open with different ones; the last
    letter in brackets, called an option, alone on its line, or closing the text after "so", "is", 故. A letter that
    merely occurs (vitamin C, hepatitis B) is none.
    """
    plain = _bare(text)
    letters = _marked(plain) or _opening(plain)
    if letters is None:
        lone = [group for match in _LONE.finditer(plain) for group in match.groups() if group]
        letters = lone[-1] if lone else None
    return letters


def stated_choice(text: str, short: int) -> str | None:
    """The options a reference plainly states: marked as the answer, or opening a text of at most `short` characters."""
    plain = _bare(text)
    return _marked(plain) or (_opening(plain) if len(plain) <= short else None)


def _bare(text: str) -> str:
    """The text in plain forms without asterisks, each run of white space as one space or one line end.

    The runs have to be short: the patterns above would need cubic time on a long one.
    """
    plain = re.sub(r"[^\S\n]+", " ", plainly(text).replace("*", ""))
    return re.sub(r"\n[ \n]+", "\n", plain).strip()


def _marked(plain: str) -> str | None:
    """The letters the text marks as its answer; None where it marks none."""
    marks = [_AFTER.match(plain, mark.end()) for mark in _CHOOSE.finditer(plain)]
    for match in (_AFTER.match(boxed(plain)), *reversed(marks)):
        if match and (letters := _sorted(match["letters"])):
            return letters
    return None


def _opening(plain: str) -> str | None:
    """The letters the text opens with; None where its lines go through several options."""
    match = _OPENING.match(plain)
    letters = {_sorted(other["letters"]) for other in _OPENING.finditer(plain)} if match else set()
    return _sorted(match["letters"]) if match and len(letters) == 1 else None


def _sorted(letters: str) -> str | None:
    """The options among letters and separators, once each; None for a word such as HEAD, whose letters do not rise."""
    found = re.sub(r"[^A-H]", "", letters.replace("and", "").upper())
    if found == letters and list(found) != sorted(set(found)):
        return None
    return "".join(sorted(set(found)))
