"""Room `grade`, numbers: which number a text gives as its answer, as an exact rational.

Read: signs, thousands separators, decimals, percent signs, fractions, mixed fractions, powers of ten, full-width
forms, 万 and 亿, LaTeX and Markdown around a number, units behind it. Not read: decimal commas, and numerals in words
or Chinese characters.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from fractions import Fraction

DIGITS = 400  # a longer numeral is a loop, not a number
TOLERANCE = Fraction(1, 1_000_000)  # relative, where either side is a decimal


@dataclass(frozen=True, slots=True)
class Number:
    """A number read from text. value: a percentage as written, so 50 for 50 %. unit: in lower case, "" if unknown."""

    value: Fraction
    decimal: bool  # written with a decimal point, a power of ten or a percent sign: compared with TOLERANCE
    percent: bool
    unit: str

    def equals(self, other: Number) -> bool:
        """Equal exactly, or within TOLERANCE where either is a decimal. 50 % equals 50 as well as 0.5."""
        if self._near(other, Fraction(1)):
            return True
        if self.percent == other.percent:
            return False
        return self._near(other, Fraction(100) if self.percent else Fraction(1, 100))

    def _near(self, other: Number, scale: Fraction) -> bool:
        ours, theirs = self.value, other.value * scale
        inexact = self.decimal or other.decimal
        return abs(ours - theirs) <= (TOLERANCE * max(abs(ours), abs(theirs)) if inexact else 0)


def final_number(text: str, unit: str = "") -> Number | None:
    """The number a text ends on, or None where it has none.

    In this order: the last ``\\boxed{}``; the last line ``#### n``; what follows the last "answer is", "answer:",
    答案是, 答案为, 答案:; the last number. List numbering and ordinals count only where there is nothing else; digits
    inside names (B12, IL-6, H2O) never do.
    unit: of the reference, where it has a known one. Numbers with another known unit are then passed over if one
    without remains: in "48 mg for 3 days" the answer to "48 mg" is 48.
    """
    plain = plainly(text)
    marked = marked_number(plain, unit)
    if marked is not None:
        return marked
    found = _of_unit(numbers(plain), unit)
    return found[-1] if found else None


ANSWER = (
    r"(?i:\banswer\s*(?:is\b|should\s+be\b|would\s+be\b|=|:)(?!\s*(?:not|isn)\b))\s*:?"
    r"|答案\s*(?:应该是|应为|是|为|:|=)(?!\s*不)\s*:?"
)
_ANSWER = re.compile(ANSWER)
_HASHES = re.compile(
    r"^[ \t]*####[ \t]*(?!\d{1,3}[.)]\s)(?P<rest>[-+$¥€£]{0,2}\.?\d\S*(?:[ \t]+\S+)?)[ \t]*$", re.MULTILINE
)
_SENTENCE = re.compile(r"[.!?;](?=\s|$)|[。!?;\n]")


def marked_number(plain: str, unit: str = "") -> Number | None:
    """The number the text itself marks as its answer, or None where it marks none."""
    passages = [boxed(plain), *[match["rest"] for match in _HASHES.finditer(plain)][-1:]]
    marks = list(_ANSWER.finditer(plain))
    if marks:
        # The first sentence with a number in it: the line right after the mark may be empty.
        passages += next(([part] for part in _SENTENCE.split(plain[marks[-1].end() :]) if numbers(part)), [])
    for passage in passages:
        found = _of_unit(numbers(_result(passage)), unit)
        if found:
            return found[0]
    return None


def _result(passage: str) -> str:
    """The part of a passage that states its result: before a bracketed remark, and after the last equals sign."""
    bracket = passage.find("(")
    if bracket > 0 and numbers(passage[:bracket]):
        passage = passage[:bracket]
    after = re.split(r"[=≈]", passage)[-1]
    return after if numbers(after) else passage


def boxed(plain: str) -> str:
    """What stands inside the last ``\\boxed{}``, with nested braces; "" where there is none."""
    starts = list(re.finditer(r"\\boxed\s*\{", plain))
    if not starts:
        return ""
    depth, begin = 1, starts[-1].end()
    for index in range(begin, len(plain)):
        depth += {"{": 1, "}": -1}.get(plain[index], 0)
        if depth == 0:
            return plain[begin:index]
    return plain[begin:]


_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺", "0123456789-+")
_DASHES = str.maketrans("\u2044\u2212\u2013", "/--")  # fraction slash, minus sign, en dash
_REWRITES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\\(?:text|mathrm|mathbf|textbf)\s*\{([^{}]*)\}"), r"\1"),
    (re.compile(r"(?<=\d)\s*(?=\\[dt]?frac\b)"), " "),
    (re.compile(r"\\[dt]?frac\s*\{([^{}]*)\}\s*\{([^{}]*)\}"), r"\1/\2"),
    (re.compile(r"\\(?:times|cdot)\b"), "×"),
    (re.compile(r"(?<=\d)(?:\\[,!]|\{,\})(?=\d{3})"), ","),
    (re.compile(r"\\([%$])"), r"\1"),
    (re.compile(r"(?<!\d)\*\*|\*\*(?!\d)|__|`"), ""),
)
_MIXED = re.compile(r"(?<![\d.,/])(\d{1,6}) (\d{1,4})/(\d{1,4})(?![\d/])")


def plainly(text: str) -> str:
    """The text with one way of writing each thing: full-width forms, LaTeX, emphasis, powers, mixed fractions."""
    text = re.sub(r"[\u2460-\u24ff\u2776-\u2793]", " ", text)  # NFKC would make digits of circled list numbers
    text = re.sub(r"[⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺]+", lambda match: "^" + match[0].translate(_SUPERSCRIPTS), text)
    text = re.sub(r"(?<=\d)(?=[¼-¾⅐-⅞])", " ", text)
    text = re.sub(r"(?<![\uff10-\uff19])\uff0c|\uff0c(?![\uff10-\uff19])", "; ", text)  # 3，4 are two numbers
    text = re.sub(r"(?<=\d)[\u2009\u202f\u00a0](?=\d{3}(?!\d))", "", text)
    text = unicodedata.normalize("NFKC", text).translate(_DASHES)
    for pattern, replacement in _REWRITES:
        text = pattern.sub(replacement, text)
    return _MIXED.sub(_improper, text)


def _improper(match: re.Match[str]) -> str:
    """2 1/2 as 5/2; left alone where the fraction is not smaller than one."""
    whole, top, bottom = (int(part) for part in match.groups())
    return f"{whole * bottom + top}/{bottom}" if 0 < top < bottom else match[0]


_NUMERAL = re.compile(
    r"(?P<sign>[-+](?=[\d.$¥€£])|负\s?|\b(?:minus|negative)\s)?(?P<of_hundred>百分之\s?)?[$¥€£]?"
    r"(?P<digits>(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?|(?<![A-Za-z\d.])\.\d+)"
    r"(?:\s?/\s?(?P<bottom>\d+(?:\.\d+)?)(?![\d/]))?"
    r"(?:[eE](?P<power>[-+]?\d{1,3})(?!\d)|\s?[×xX*]\s?10\s?\^\{?(?P<ten>[-+]?\d{1,3})(?!\d)\}?)?"
    r"(?:\s?(?P<percent>%|percent\b|per cent\b)|\s?(?P<big>万亿|万|亿|thousand\b|million\b|billion\b))?"
    r"(?:\s?(?P<unit>°?[A-Za-zμ]+(?:/[A-Za-zμ]+)?|[\u4e00-\u9fff]{1,3}))?",
    re.ASCII,
)
_BIG = {"万": 4, "亿": 8, "万亿": 12, "thousand": 3, "million": 6, "billion": 9}
_SAME_UNIT = {
    "毫克": "mg", "克": "g", "千克": "kg", "公斤": "kg", "微克": "μg", "mcg": "μg", "ug": "μg", "毫升": "ml", "升": "l",
    "秒": "s", "sec": "s", "second": "s", "分钟": "min", "minute": "min", "小时": "h", "hr": "h", "hour": "h",
    "天": "day", "日": "day", "周": "week", "月": "month", "年": "year", "岁": "year", "片": "tablet", "粒": "capsule",
    "次": "time", "米": "m", "厘米": "cm", "公里": "km", "元": "yuan",
}  # fmt: skip
_UNITS = frozenset(_SAME_UNIT.values()) | {
    "mmol", "mol", "mm", "mmhg", "kpa", "iu", "dose", "drop", "°c", "°f", "dollar", "people",
}  # fmt: skip
_LIST = re.compile(r"^[ \t]*(?:[-*•][ \t]+)?\(?\d{1,3}(?:[.)](?:[ \t]+(?=\S)|(?=[^\s\d.,]))|、(?=\S))", re.MULTILINE)
_ORDINAL = re.compile(r"第\s*\d+|\b\d+(?:st|nd|rd|th)\b", re.ASCII)


def numbers(plain: str) -> list[Number]:
    """Every number of a text that ``plainly`` has seen, without list numbering and ordinals unless all are such."""
    if not re.search(r"[0-9]", plain):
        return []
    return _scan(_ORDINAL.sub(" ", _LIST.sub(" ", plain))) or _scan(plain)


def _scan(plain: str) -> list[Number]:
    """Every number of the text that is not part of a name, an index or a power."""
    found = (_read(match, plain[max(0, match.start() - 2) : match.start()]) for match in _NUMERAL.finditer(plain))
    return [number for number in found if number is not None]


def _read(match: re.Match[str], before: str) -> Number | None:
    """A match as a number; None where the two characters before it show that it is something else."""
    sign, digits, bottom = (match["sign"] or "").strip(), match["digits"].replace(",", ""), match["bottom"] or "1"
    if re.search(r"[A-Za-z_^]$|[_^]\{$|\d\.$", before):
        return None
    if len(digits) > DIGITS or len(bottom) > DIGITS or Fraction(bottom) == 0:
        return None
    power = int(match["power"] or match["ten"] or 0) + _BIG.get(match["big"] or "", 0)
    value = Fraction(digits) / Fraction(bottom) * Fraction(10) ** power
    # After a digit or a bracket a sign is an operator or a range: 3-5 ends on 5.
    if sign not in ("", "+") and not re.search(r"[\d)%]\s?$", before):
        value = -value
    percent = bool(match["percent"] or match["of_hundred"])
    decimal = percent or "." in digits + bottom or bool(match["power"] or match["ten"])
    return Number(value, decimal, percent, "%" if percent else _unit(match["unit"] or ""))


def _unit(word: str) -> str:
    """The word after a number as a known unit in one spelling; "" where it is none."""
    if word and not word.isascii() and "μ" not in word and "°" not in word:
        word = word.removeprefix("个")
        # No space ends a unit in Chinese: of 毫克每 the longest beginning that is a unit is taken.
        return next((_SAME_UNIT[word[:size]] for size in (3, 2, 1) if word[:size] in _SAME_UNIT), "")
    parts = []
    for part in word.lower().split("/"):
        forms = (part, part.removesuffix("s"))
        known = next((_SAME_UNIT.get(form, form) for form in forms if form in _UNITS or form in _SAME_UNIT), "")
        parts.append(known)
    return "/".join(parts) if all(parts) else ""


def _of_unit(found: list[Number], unit: str) -> list[Number]:
    """The numbers that may carry this unit; all of them where none may, or where no unit is asked for."""
    return [number for number in found if number.unit in ("", unit)] or found if unit else found
