"""Room `intake`, review: what in the texts of one record would be learned and should not be.

All of it is warned about and kept: only a person can say whether a tag or a number belongs there. The rules are made
for few false alarms; each says what it lets pass. Most records have nothing of the kind and there may be a million of
them, so ``_suspects`` rules out most kinds by looking for single signs before any pattern is tried.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from buke.intake.formats import find
from buke.intake.language import mixed
from buke.intake.personal import PERSONAL
from buke.records import Finding, Record, Severity
from buke.words import t

Texts = list[tuple[str, str]]  # (role, text): question, thought, answer, system, then three of each earlier exchange
SHOWN = 30  # characters of a place shown in a finding

# ---- what is looked for first, in one byte a character: every digit is 0, every control character \\0, every accented
# letter \\xc0, and everything beyond Latin-1 a question mark
_FOLD = b"\0" * 9 + b"\t\n" + b"\0\0" + b"\r" + b"\0" * 18
_FOLD += bytes(range(32, 127)).translate(bytes.maketrans(b"123456789", b"0" * 9))
_FOLD += (
    b"\0" * 6 + b"\x85" + b"\0" * 26 + bytes(range(160, 192)) + b"\xc0" * 23 + b"x" + b"\xc0" * 31 + b":" + b"\xc0" * 8
)
_LONG_NUMBER = re.compile(rb"0(?:[ -]?0){8}")
_TAG = re.compile(rb"<[/A-Za-z|?]|&[A-Za-z#?]")  # arithmetic has <<1+2=3>>
_ADDRESS = re.compile(rb"\.0{1,3}\.0{1,3}\.0")
_KEYS = tuple(  # each begins with the rarest letter of what it looks for
    re.compile(pattern)
    for pattern in (
        rb"A(?:KIA|Iza)",
        rb"-(?:(?<=sk-)[A-Za-z0]|(?<=xox[abprs]-)|(?<=glpat-)|(?<=PRIVATE KEY-))",
        rb"_(?:(?<=hf_)|(?<=gh[opsru]_)|(?<=github_pat_)|(?<=k_live_))",
    )
)

# ---- the patterns
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f]")  # \x85 is a line end
# JSON reads \frac, written with one backslash, as a form feed and "rac"; \beta, \right and \times fare no better, and
# \nabla cannot be told from a line that begins with "abla". A backspace before a letter is nothing else, nor is a form
# feed, but where a line begins and a page may end. Carriage return and tab have their own use, and are taken for it
# but before what is left of common commands (of \to: between two things, for "o" is also a list's dot).
ESCAPED = {"\b": r"\b", "\f": r"\f", "\r": r"\r", "\t": r"\t"}
COMMAND = re.compile(
    r"(?:\x08(?:ar|ecause|egin|eta|ig[lr]?|igcap|igcup|igg[lr]?|inom|m|mod|oldsymbol|ot|oxed|reve|ullet)"
    r"|\x0c(?:box|lat|orall|rac|rak|rown)"
    r"|\r(?:brace|ceil|floor|ho|ight|ightarrow|ightleftharpoons)"
    r"|\t(?:ext(?:|bf|it|rm)(?=\{)|frac(?=\{)|herefore|heta|ilde|imes|riangle|riangleq"
    r"|(?:(?<=\S\t)|(?<=\S \t))o(?= ?[\\0-9A-Z+∞-])))(?![A-Za-z])"
)
LATEX = re.compile(rf"({COMMAND.pattern}|\x08[A-Za-z]+|\x0c(?<=[^\n]\x0c)[A-Za-z]+)")
# Zero width, byte order mark, soft hyphen, marks of writing direction, and tag letters, which hide orders to a model.
# The joiners U+200C and U+200D are left alone: emoji and Persian are written with them.
INVISIBLE = re.compile(
    "[\xad\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff\U000e0000-\U000e007f]"
)
_AT_HOME = re.compile("[\u0590-\u08ff\U0001f3f4]")  # writing from right to left, and the flag that has tag letters
# UTF-8 read as Latin-1 or Windows-1252: a first byte of UTF-8 and as many following bytes as it asks for.
_NEXT = "[\x80-\xbf" + bytes(b for b in range(0x80, 0xA0) if b not in b"\x81\x8d\x8f\x90\x9d").decode("cp1252") + "]"
_SEQUENCE = f"(?:[Â-ÖØ-ß]{_NEXT}|[à-ï]{_NEXT}{{2}}|[ð-ô]{_NEXT}{{3}})"
LATIN_RUN = re.compile(f"{_SEQUENCE}+")
# Of these runs, those which no language writes: two in a row, or one of the commonest. "déjà…”" is none.
# UTF-8 read as GBK: what 的 ， 。 and quotes turn into, or bytes lost before. None is in daily use.
_GBK_SIGNS = "鐨锛銆鈥锟"
MOJIBAKE = re.compile(
    f"{_SEQUENCE}{{2}}|Ã{_NEXT}|Â[\xa0-\xbf]"
    f"|â[€\x80„\x84ˆ\x88†\x86]{_NEXT}|ã[€\x80-\x83‚ƒ]{_NEXT}|ï[¼½»¿]{_NEXT}|ðŸ{_NEXT}{{2}}"
    f"|锟斤拷|[{_GBK_SIGNS}][^{_GBK_SIGNS}]{{0,40}}[{_GBK_SIGNS}]"
)
HTML = re.compile(
    r"</?(?:p|br|div|span|strong|em|ul|ol|li|table|thead|tbody|tr|td|th|img|font|center|sup|sub|hr|h[1-6])"
    r"(?:\s[a-z-]{1,20}=[^<>]{0,500})?\s?/?>"
    r"|</(?:b|i|u|a)>|<a\s[a-z-]{1,20}=[^<>]{0,500}>"
    r"|&(?:nbsp|lt|gt|amp|quot|apos|ldquo|rdquo|lsquo|rsquo|mdash|ndash|hellip|middot|bull|deg|times"
    r"|#[0-9]{2,6}|#x[0-9a-f]{2,5});",
    re.IGNORECASE,
)
CODE = re.compile(r"(```.*?(?:```|\Z)|`[^`\n]*`)", re.DOTALL)
# What a converter of documents leaves where a picture was.
PICTURES = (
    re.compile(r"!\[[^\]\n]{0,200}\]\([^()\s]{1,2000}\)"),
    re.compile(r"\[(?:/?(?:img|IMG)\b[^\]\n]{0,500}|图片?[0-9]{0,3})\]"),
)
STRAY = r"thinking|thoughts?|reasoning|reflection|scratchpad|cot|answer|final_answer|response|output|solution"
_STRAY = re.compile(rf"</?(?:{STRAY})>|<\|[a-z_]{{3,24}}\|>|<｜[^｜<>\n]{{3,24}}｜>", re.IGNORECASE)
# A thought may say "the answer is 5"; it should not say that it was told so. Written from the word "answer" on, by
# which most texts are passed over at once.
_LEAK = re.compile(
    r"answer(?!\s(?:choice|option)|\ssheet)(?:"
    r"(?:(?<=eference answer)|(?<=rovided answer)|(?<=upplied answer)|(?<=round truth answer)|(?<=gold answer)"
    r"|(?<=fficial answer)|(?<=model answer)|(?<=ccording to the answer)|(?<=ccording to the given answer)"
    r"|(?<=ccording to the correct answer)|(?<=ccording to the final answer))(?!s?\s(?:choice|option))"
    r"|\skey\b|\s(?:I\swas|that\swas|was|is)\s(?:given|provided|shown)\s(?:to\sme|to\sus|as|in\sthe|above|below)\b"
    r"|(?<=iven answer)\s(?:is|says|states|was)\b|(?<=orrect answer)\s(?:says|states|given|provided)\b"
    r"|(?<=told that the answer)\sis\b|(?<=told the answer)\sis\b)"
)
_LEAK_CHINESE = re.compile(
    r"答案(?:"
    r"(?<=参考答案)|(?<=给出的答案)|(?<=提供的答案)|(?<=给定的答案)|(?<=已知的答案)|(?<=所给答案)|(?<=已知答案)"
    r"|(?<=根据答案)|(?<=按照答案)|(?<=对照答案)|(?<=根据正确答案)|(?<=根据标准答案)|(?<=给出的正确答案)"
    r"|(?<=提供的正确答案)"
    r"|(?<=标准答案)(?:是|为|说|给|写|里|中|上|指出|显示|认为)"
    r"|(?:已经|已)(?:给出|告诉|提供)|(?:里|中|上)?(?:说的?是|写的?是|提示|显示|告诉我))"
)
_INJECTION = re.compile(
    r"[DFIOdfio](?:gnore|isregard|orget|verride)\s(?:(?:all|any|every|the|of|my|these|those)\s){0,3}"
    r"(?:previous|prior|above|earlier|preceding|existing|original|system|your)\s"
    r"(?:\w+\s){0,2}?(?:instruction|prompt)s?\b"
    r"|\s(?:(?<=eveal\s)|(?<=rint\s)|(?<=epeat\s)|(?<=how\s)|(?<=utput\s)|(?<=how\sme\s))(?:your|the)\s"
    r"(?:hidden\s|initial\s|original\s)?system\sprompt\b"
)
_INJECTION_CHINESE = re.compile(
    r"(?:忽略|无视)(?:掉|你)?(?:之前|以上|上述|上面|前面|此前|先前|所有|全部|一切)"
    r"(?:的|所有|全部|一切|给你|你|收到){0,4}(?:系统)?(?:指令|指示|提示词?|命令|规则|设定|限制)"
)
_PATTERNS = {
    "control_character": (CONTROL,),
    "invisible_character": (INVISIBLE,),
    "replacement_character": (re.compile("\ufffd+"),),
    "line_ends": (re.compile(r"\r\n?"),),
    "mojibake": (MOJIBAKE,),
    "html": (HTML,),
    "stray_tag": (_STRAY,),
    "picture": PICTURES,
    "thought_leak": (_LEAK, _LEAK_CHINESE),  # apart, for each is quick where it begins with a letter of its own
    "prompt_injection": (_INJECTION, _INJECTION_CHINESE),
}
# What may be personal is not repeated in findings of other kinds either.
_PRIVATE = re.compile(r"\S{0,64}@\S{0,64}|[A-Za-z0-9_-]{16,}|[0-9](?:[ -]?[0-9]){6,}")

# ---- texts that break off
_OPEN_ENDS = tuple(",，、（([{“‘「《【")
_UNFINISHED = re.compile(
    r"(?<=[a-z,;] )(?:the|an|and|or|but|because|which|than|whose|although)\Z"
    r"|(?:因为|由于|但是|而且|以及|并且|如果|或者|比如|例如|虽然|不仅|关于)\Z"
)
_OPENING, _CLOSING = re.compile(r"(?<![:;=])[（(\[{“「《【]"), re.compile(r"[）)\]}”」》】]")

# ---- questions whose answer may be in another language
_ABOUT_LANGUAGE = re.compile(
    r"translat|\b(?:chinese|mandarin|english|pinyin|language|sentence|poem)|翻译|翻譯|译成|譯成|[中英]文|[英汉漢]语|汉字|语言|英語|[\"“‘「『'][a-z]",
    re.IGNORECASE,
)

# ---- answers that can be looked for
_NUMBER = re.compile(r"[$￥¥€£]?\s?(-?[0-9][0-9,]*(?:\.[0-9]+)?)\s?(?:%|％|[^\W\d_]{0,8})[.。]?")
_CHOICE = re.compile(r"[(（]?([A-H])[)）.。]?")
_CONCLUSION = 400  # characters at the end of a thought
_WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
_HAN_DIGITS = "零一二三四五六七八九十"


def texts_of(record: Record, seen: int = 0) -> Texts:
    """Every text of a record with its role; seen: earlier exchanges that are left out, and with them the system
    message."""
    texts = [
        ("question", record.question),
        ("thought", record.thought),
        ("answer", record.answer),
        ("system", "" if seen else record.system),
    ]
    for turn in record.history[seen:]:
        texts += [("question", turn.question), ("thought", turn.thought), ("answer", turn.answer)]
    return texts


def review_of(records: Iterable[Record]) -> Iterator[Finding]:
    """What ``review`` finds in the records of one row, in each text once: of a dialogue, an exchange that was reviewed
    as a record of its own is not looked at again in the history of the next."""
    seen = 0
    for record in records:
        yield from review(record, seen)
        seen = len(record.history) + 1


def review(record: Record, seen: int = 0) -> list[Finding]:
    """What stands in a record's texts that should not be learned: one warning for each kind and role.

    seen: earlier exchanges that were reviewed already. Personal data is shown by its first three characters alone.
    Raises nothing, whatever the texts hold.
    """
    texts = texts_of(record, seen)
    findings = [_warning(record, kind, role, found) for kind, role, found in places(texts, _suspects(texts))]
    for role, text in texts[1:3]:
        if end := _cut(text):
            findings.append(_warning(record, "cut", role, [end]))
    if record.thought:
        if not _concluded(record):
            findings.append(_warning(record, "not_concluded", "thought", [record.answer]))
        if shares := mixed(record.question, record.thought):
            question, thought = shares
            findings.append(find(record.source, "language_mix", Severity.WARNING, question=question, thought=thought))
            return findings
    unlike = record.question[-16:].isascii() != record.answer[-16:].isascii()  # a quick first look
    shares = mixed(record.question, record.answer) if unlike else None
    if shares and not _ABOUT_LANGUAGE.search(record.question):
        question, answer = shares
        findings.append(find(record.source, "answer_language", Severity.WARNING, question=question, answer=answer))
    return findings


def kinds_in(texts: Texts) -> set[str]:
    """The kinds of findings that single places in these texts give."""
    return {kind for kind, _, _ in places(texts, _suspects(texts))}


def places(texts: Texts, kinds: Iterable[str]) -> Iterator[tuple[str, str, list[str]]]:
    """(kind, role, what to show of each place) for every kind and text with at least one place."""
    for kind in kinds:
        for role, text in texts:
            if text and (found := shown_of(kind, role, text)):
                yield kind, role, found


def _suspects(texts: Texts) -> list[str]:
    """The kinds that these texts may have. A kind that is left out here is surely absent."""
    whole = "\n".join([text for _, text in texts])
    plain = whole.encode("latin-1", "replace").translate(_FOLD)
    words = plain if whole.isascii() else plain.translate(None, b"?")  # of a Chinese text little is left
    suspects = []
    if b"\0" in plain or b"\r" in plain or b"\t" in plain:
        suspects.append("latex_escape")
    if b"\0" in plain:
        suspects.append("control_character")
    if b"\r" in plain:
        suspects.append("line_ends")
    if not whole.isascii():
        if not whole.replace("\n", "").isprintable():
            suspects.append("invisible_character")
        if "\ufffd" in whole:
            suspects.append("replacement_character")
        if b"\xc0" in plain or "锛" in whole or "銆" in whole or "鐨" in whole or "鈥" in whole or "锟" in whole:
            suspects.append("mojibake")
    if (b"<" in plain or b"&" in plain) and _TAG.search(plain):
        suspects.append("stray_tag")
        if b"html" not in words.lower():  # who writes about HTML means it
            suspects.append("html")
    if b"[" in words and (b"![" in words or b"[img" in words.lower() or "[图" in whole):
        suspects.append("picture")
    if b"answer" in words or "答案" in whole:
        suspects.append("thought_leak")
    if b"instruction" in words or b"prompt" in words or ("忽" in whole and "忽略" in whole) or "无视" in whole:
        suspects.append("prompt_injection")
    if b"0000" in words or b"+00" in words:
        if b"000-0000" in plain or _LONG_NUMBER.search(plain):
            suspects += ["identity_number", "phone", "bank_card"]
        elif "护" in whole and "护照" in whole:
            suspects.append("identity_number")
        if "号" in whole or b"MRN" in words or b"ecord" in words:
            suspects.append("record_number")
    if _ADDRESS.search(words):
        suspects.append("ip_address")
    if b"assw" in words or ("密" in whole and "密码" in whole):
        suspects.append("password")
    if b"@" in plain:
        suspects.append("email")
    if (
        (b"J" in words and b"eyJ" in words)
        or _KEYS[0].search(words)
        or _KEYS[1].search(words)
        or _KEYS[2].search(words)
    ):
        suspects.append("secret")
    return suspects


def shown_of(kind: str, role: str, text: str) -> list[str]:
    """What to show of each place of a kind in one text."""
    if kind in PERSONAL:
        return PERSONAL[kind](text)
    if kind == "invisible_character" and _AT_HOME.search(text):
        return []
    if kind == "thought_leak" and role != "thought":
        return []
    if kind == "latex_escape":
        return [ESCAPED[match[0][0]] + match[0][1:] for match in LATEX.finditer(text)]
    if kind in ("control_character", "line_ends"):
        text = LATEX.sub("", text)
    if kind == "html":
        text = CODE.sub("", text)
    return [match[0] for pattern in _PATTERNS[kind] for match in pattern.finditer(text)]


def _warning(record: Record, kind: str, role: str, found: list[str]) -> Finding:
    """The finding for all places of a kind in one text: the first of them, and how many there are."""
    first = _PRIVATE.sub(lambda match: match[0][:3] + "…", found[0])
    shown = "".join(c if c.isprintable() else f"U+{ord(c):04X}" for c in first[:SHOWN])
    shown += "…" * (len(first) > SHOWN) + f" (×{len(found)})" * (len(found) > 1)
    return find(record.source, kind, Severity.WARNING, role=t(f"intake.{role}"), shown=shown)


def _cut(text: str) -> str:
    """The end of a text that breaks off, or "".

    That is: a comma, an opening bracket or quote at the end; a word at the end that needs another; a code block
    without an end; a bracket opened in the last 80 characters where the text ends without a full stop. A text that
    merely lacks its full stop is none, for many are written so.
    """
    end = text[-80:].rstrip()
    if end.endswith(_OPEN_ENDS) and not end.endswith((":(", ":-(")):
        return end[-SHOWN:]
    if len(text) >= 40 and end[-1:].isalnum():
        opened = [match.start() for match in _OPENING.finditer(end)]
        if _UNFINISHED.search(end) or (opened and not _CLOSING.search(end, opened[-1])):
            return end[-SHOWN:]
    return "```" if "`" in text and text.count("```") % 2 else ""


def _concluded(record: Record) -> bool:
    """Whether the end of the thought names the answer, where the answer is a number or a letter from A to H.

    True for any other answer. A number counts in digits or, to twelve, in words; a letter counts by itself or by the
    text that stands after it in the question.
    """
    answer, end = record.answer.strip(), record.thought[-_CONCLUSION:]
    if len(answer) > 24:
        return True
    at = end.rfind(answer)
    if at >= 0 and end[at - 1 : at] not in tuple("0123456789.,") and not end[at + len(answer) :][:1].isdigit():
        return True  # the usual case
    if choice := _CHOICE.fullmatch(answer):
        letter = choice[1]
        option = re.search(rf"(?<![A-Za-z]){letter}[)）.．、:：]\s*([^\n]{{1,60}})", record.question)
        said = option and option[1].strip(" .。;；") in record.thought
        return bool(said or re.search(rf"(?<![A-Za-z]){letter}(?![A-Za-z])", end))
    if not (number := _NUMBER.fullmatch(answer)):
        return True
    value = float(number[1].replace(",", ""))
    if value in range(13) and re.search(rf"\b{_WORDS[int(value)]}\b", end, re.IGNORECASE):
        return True
    if value in range(11) and _HAN_DIGITS[int(value)] in end:
        return True
    joined = re.sub(r"(?<=\d)[ \xa0](?=\d{3}(?!\d))", "", end)  # thousands may be set apart by spaces
    found = re.findall(r"\d[\d,]*(?:\.\d+)?", joined, re.ASCII)
    numbers = {float(other.replace(",", "")) for other in found}
    return not numbers.isdisjoint(abs(value) * scale for scale in (1, 0.01, 100))  # 25 cents and $0.25, 5 % and 0.05
