"""Room `intake`, personal: numbers, addresses and keys in a text that point to a person or open a door.

Each rule asks for more than the look of a thing where there is more to ask: a check digit, a date of birth, a prefix
in use, or a word before it that says what it is. So for addresses of the Internet, for version numbers look the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date

_IDENTITY = re.compile(r"[1-9](?<![0-9].)[0-9]{16}[0-9Xx](?![0-9A-Za-z])")
_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CHECK = "10X98765432"
_SOCIAL_SECURITY = re.compile(r"[0-8](?<![0-9.-].)[0-9]{2}(?<!000|666)-(?!00)[0-9]{2}-(?!0000)[0-9]{4}(?![0-9-])")
_PHONES = tuple(
    re.compile(pattern)
    for pattern in (
        # Chinese: mobile, with or without 86 before it; landline
        r"1[3-9](?:(?<![0-9A-Za-z.+-]..)|(?<=(?<![0-9])86..)|(?<=(?<![0-9])86[ -]..))[0-9](?:[ -]?[0-9]{4}){2}"
        r"(?![0-9]|\.[0-9])",
        r"0(?<![0-9A-Za-z.-].)[1-9][0-9]{1,2}-[2-9][0-9]{6,7}(?![0-9-])",
        # North America
        r"[2-9][0-9]{2}(?:(?<=\(...)\) ?|(?<![0-9A-Za-z.(-]...)-)[2-9][0-9]{2}-[0-9]{4}(?![0-9-])",
        # anywhere: with + and the country, in groups or in one
        r"\+(?<![0-9A-Za-z.+)=-].)(?:[17][ -][0-9]{3}[ -][0-9]{3}[ -][0-9]{4}|[2-9][0-9]{1,2}(?:[ -][0-9]{1,4}){2,5}"
        r"|[1-9][0-9]{9,13})(?![0-9]|\.[0-9])",
    )
)
_PHONE_WORD = re.compile(
    r"(?:tele)?phone|\b(?:tel|cell|call|mobile|dial|contact|fax|whatsapp|wechat)\b|电话|電話|手机|手機|联系|聯系|致电|号码|微信",
    re.IGNORECASE,
)
# Before or after eleven digits: what makes a quantity of them.
_AMOUNT = re.compile(
    r"(?:[=≈~*×<>/$€£¥￥]|\b(?:total|sum|count|about|approximately|equals|estimated|population)"
    r"|[共计约达])\s?\Z",
    re.IGNORECASE,
)
_UNIT = re.compile(
    r"\s?(?:[/%×*^÷=]|[a-zA-Zµμ]{1,9}/|(?:cells?|copies|units?|people|persons?|dollars?|yuan|euros?|bytes?|bits?|years?"
    r"|times|molecules?|particles?|bacteria|platelets|per|cfu|iu|usd|rmb|m?m?ol|[kmµμn]?g|[mµμd]?[lL]|[kcmn]?m|hz)\b"
    r"|[亿万元块美个人次份例株拷单千毫微公米克升年倍])",
    re.IGNORECASE,
)
_MAIL = re.compile(r"(?<=[A-Za-z0-9_.+-])@((?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24})(?![A-Za-z0-9-])")
_MAIL_NAME = re.compile(r"[A-Za-z0-9_.+-]+\Z")
_NOBODY = re.compile(
    r"(?:\A|\.)(?:example(?:\.[a-z]+){0,2}|[a-z.]+\.(?:test|invalid))\Z"
)  # names kept free for examples
_CARD = re.compile(r"[2-6](?<![0-9.-].)[0-9]{3}(?:[ -]?[0-9]{4}){3}(?:[ -]?[0-9]{1,3})?(?![0-9])(?!\.[0-9])")
_ISSUERS = re.compile(r"(?:4|5[1-5]|2[2-7]|35|6011)[0-9]+\Z|62[0-9]+\Z")
# In other groups or shorter: 6 and 13 digits of UnionPay, 15 of American Express, 14 of Diners Club, 13 of old Visa.
# Bar codes and clocks have as many digits, so the shorter ones need a word that says card.
_OTHER_CARDS = re.compile(
    r"[346](?<![0-9.-].)(?:(?<=6)2[0-9]{4}[ -][0-9]{10}(?:[0-9]{3})?|(?<=3)[47][0-9]{2}[ -]?[0-9]{6}[ -]?[0-9]{5}"
    r"|(?<=3)[068][0-9]{2}[ -]?[0-9]{6}[ -]?[0-9]{4}|(?<=4)[0-9]{12})(?![0-9]|\.[0-9])"
)
_CARD_WORD = re.compile(r"银行卡|信用卡|卡号|\bcard\b|amex|visa|diners", re.IGNORECASE)
_PASSPORT = re.compile(
    r"护照(?:号码|号)?[为是]?[:：\s]{0,3}((?:[DEGPS][A-Z]?|[14])[0-9]{7,8})(?![0-9A-Za-z])", re.IGNORECASE
)
# The numbers by which a hospital finds a patient.
_RECORDS = tuple(
    re.compile(said + r"[:：#\s]{0,3}([A-Za-z]{0,4}-?[0-9][0-9-]{3,17}[0-9])(?![0-9])")
    for said in (
        r"号(?:(?<=病历号)|(?<=病案号)|(?<=住院号)|(?<=门诊号)|(?<=就诊号)|(?<=就诊卡号)|(?<=登记号)|(?<=医保卡号)|(?<=社保卡号))"
        r"码?[为是]?",
        r"MRN",
        r"ecord [Nn](?:(?<=edical [Rr]ecord .)|(?<=atient [Rr]ecord .))(?:umber|o\.?)(?: is)?",
    )
)
_PASSWORD = re.compile(
    r"(?:\b[Pp]assw(?:or)?d|密码)(?:\s?(?:is|为|是))?\s?[:：=]\s?[\"'“`]?"
    r"([!-~]{4,64})"
)
_INVENTED = re.compile(r"generated|random|example|sample|生成|随机|示例|例如", re.IGNORECASE)
_ADDRESS = re.compile(r"[0-9](?<![0-9.-].)[0-9]{0,2}(?:\.[0-9]{1,3}){3}(?![0-9]|\.[0-9])")
_ADDRESS_WORD = re.compile(
    r"\bIP(?:v4)?\b|\bip\b|\b(?:host|server|login|logged in|ping|ssh|connect(?:ed)?)\b|服务器|主机|登录|网址|://\Z|@\Z",
    re.IGNORECASE,
)
_PORT = re.compile(r":[0-9]{2,5}\b|/[0-9]{1,2}\b")
# Networks within a house, the machine itself, examples, and public name servers: they lead to nobody.
_NOWHERE = re.compile(
    r"(?:0|10|127|169\.254|172\.(?:1[6-9]|2[0-9]|3[01])|192\.168|192\.0\.2|198\.51\.100|203\.0\.113|2[2-5][0-9])\."
    r"|8\.8\.(?:8\.8|4\.4)|1\.[01]\.[01]\.1\Z|114\.114\.11[45]\."
)
_SECRET = re.compile(
    r"(?:sk-(?<![A-Za-z0-9].{3})[A-Za-z0-9][\w-]{19,200}|AKIA[0-9A-Z]{16}|AIza[\w-]{35}"
    r"|gh[opsur]_[A-Za-z0-9]{36}"
    r"|github_pat_\w{22,90}|glpat-[\w-]{20}|hf_[A-Za-z0-9]{30,40}|sk_live_[A-Za-z0-9]{20,99}|rk_live_[A-Za-z0-9]{20,99}"
    r"|xox[abprs]-[0-9]{6}[\w-]+|eyJ(?<!\w...)[\w-]{8,2000}\.eyJ[\w-]{4,4000}\.[\w-]{16,1000}"
    r"|-----BEGIN (?:[A-Z]+ ){0,3}PRIVATE KEY-----)",
    re.ASCII | re.DOTALL,
)


def _masked(text: str) -> str:
    """The first three characters, so that a person can find the place and a log gives nothing away."""
    return text[:3] + "…"


def identities(text: str) -> list[str]:
    """Chinese identity numbers, whose date and check digit have to hold, Chinese passports after that word, and
    American social security numbers."""
    numbers = [match[0] for match in _IDENTITY.finditer(text) if _is_identity(match[0])]
    numbers += _PASSPORT.findall(text)
    return [_masked(number) for number in numbers + _SOCIAL_SECURITY.findall(text)]


def _is_identity(number: str) -> bool:
    """Whether the date of birth exists and the last character is the check digit of ISO 7064 MOD 11-2."""
    try:
        date(int(number[6:10]), int(number[10:12]), int(number[12:14]))
    except ValueError:
        return False
    total = sum(weight * int(digit) for weight, digit in zip(_WEIGHTS, number, strict=False))
    return "1850" < number[6:10] < "2100" and _CHECK[total % 11] == number[17].upper()


def phones(text: str) -> list[str]:
    """Telephone numbers: Chinese, North American, and any with + and a country; 9 to 15 digits."""
    found = [match[0] for pattern in _PHONES for match in pattern.finditer(text) if not _is_amount(match)]
    return [_masked(number) for number in found if 9 <= sum(map(str.isdigit, number)) <= 15]


def _is_amount(match: re.Match[str]) -> bool:
    """Whether eleven digits in a row are a quantity: by the words at their sides, or six zeros at their end.

    A word that speaks of telephones before them outweighs these.
    """
    number, text = match[0], match.string
    if not number.isdigit() or len(number) != 11:
        return False
    before = text[max(0, match.start() - 24) : match.start()]
    if _PHONE_WORD.search(before):
        return False
    after = text[match.end() : match.end() + 12]
    return bool(_UNIT.match(after) or _AMOUNT.search(before)) or number.endswith("000000")


def mails(text: str) -> list[str]:
    """E-mail addresses, without those of example.com and its like."""
    found = []
    for match in _MAIL.finditer(text):
        # 64 characters is the longest name there may be; without a bound a long word would be read again and again
        name = _MAIL_NAME.search(text, max(0, match.start() - 64), match.start())
        if name and not _NOBODY.search(match[1].lower()):
            found.append(_masked(name[0] + match[0]))
    return found


def cards(text: str) -> list[str]:
    """Bank cards: 16 to 19 digits of an issuer in use, or 13 to 15 that are called a card; the Luhn sum has to hold."""
    found = [match[0] for match in _CARD.finditer(text) if _is_issued(_digits(match[0]))]
    for match in _OTHER_CARDS.finditer(text):
        if match[0][0] == "6" or _CARD_WORD.search(text, max(0, match.start() - 24), match.start()):
            found.append(match[0])
    return [_masked(number) for number in found if _is_card(_digits(number))]


def _digits(number: str) -> str:
    return re.sub("[ -]", "", number)


def _is_issued(digits: str) -> bool:
    """Whether 16 to 19 digits begin as those of an issuer do."""
    return bool(_ISSUERS.match(digits)) and (len(digits) == 16 or digits[:2] == "62")


def _is_card(digits: str) -> bool:
    """Whether the digits sum to a multiple of ten, are not all the same, and are no identity number."""
    if len(set(digits)) == 1:
        return False
    doubled = sum(sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2])
    luhn = (doubled + sum(map(int, digits[-1::-2]))) % 10 == 0
    return luhn and not (len(digits) == 18 and _is_identity(digits))


def records(text: str) -> list[str]:
    """Numbers of a patient in a hospital, after a word that says so."""
    return [_masked(number) for pattern in _RECORDS for number in pattern.findall(text)]


def addresses(text: str) -> list[str]:
    """Addresses of the Internet (IPv4) after a word that says so, or with a port or a net behind them."""
    found = []
    for match in _ADDRESS.finditer(text):
        before = text[max(0, match.start() - 24) : match.start()]
        named = _ADDRESS_WORD.search(before) or _PORT.match(text, match.end())
        if named and max(map(int, match[0].split("."))) < 256 and not _NOWHERE.match(match[0]):
            found.append(_masked(match[0]))
    return found


def passwords(text: str) -> list[str]:
    """What stands behind "password:" and has a digit, unless it is said to be invented. Nothing of it is shown."""
    found = []
    for match in _PASSWORD.finditer(text):
        word = match[1].rstrip(".,;\"'`)")
        invented = _INVENTED.search(text, max(0, match.start() - 40), match.start())
        if len(word) >= 4 and re.search("[0-9]", word) and not re.search(r"[(<{\[]", word) and not invented:
            found.append("…")
    return found


def secrets(text: str) -> list[str]:
    """Private keys, web tokens (JWT), and access keys of OpenAI, AWS, Google, GitHub, GitLab, Hugging Face, Stripe and
    Slack."""
    keys = (match[0] for match in _SECRET.finditer(text))
    return [_masked(key) for key in keys if key[:3] != "sk-" or re.search("[0-9]", key)]  # sk-xxxx… stands for a key


PERSONAL: dict[str, Callable[[str], list[str]]] = {
    "identity_number": identities,
    "phone": phones,
    "email": mails,
    "bank_card": cards,
    "record_number": records,
    "ip_address": addresses,
    "password": passwords,
    "secret": secrets,
}
