"""Room `intake`, personal: numbers, addresses and keys in a text that point to a person or open a door.

Each rule asks for more than the look of a thing where there is more to ask: a check digit, a date of birth, a prefix
in use. Addresses of the Internet (1.2.3.4) are left alone: section and version numbers look the same.
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
_MAIL = re.compile(r"(?<=[A-Za-z0-9_.+-])@((?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24})(?![A-Za-z0-9-])")
_MAIL_NAME = re.compile(r"[A-Za-z0-9_.+-]+\Z")
_NOBODY = re.compile(
    r"(?:\A|\.)(?:example(?:\.[a-z]+){0,2}|[a-z.]+\.(?:test|invalid))\Z"
)  # names kept free for examples
_CARD = re.compile(r"[2-6](?<![0-9.-].)[0-9]{3}(?:[ -]?[0-9]{4}){3}(?:[ -]?[0-9]{1,3})?(?![0-9])(?!\.[0-9])")
_ISSUERS = re.compile(r"(?:4|5[1-5]|2[2-7]|35|6011)[0-9]+\Z|62[0-9]+\Z")
_SECRET = re.compile(
    r"(?:sk-(?<![A-Za-z0-9].{3})[A-Za-z0-9][\w-]{19,200}|AKIA[0-9A-Z]{16}|AIza[\w-]{35}"
    r"|gh[opsur]_[A-Za-z0-9]{36}"
    r"|github_pat_\w{22,90}|glpat-[\w-]{20}|hf_[A-Za-z0-9]{30,40}|sk_live_[A-Za-z0-9]{20,99}|rk_live_[A-Za-z0-9]{20,99}"
    r"|xox[abprs]-[0-9]{6}[\w-]+"
    r"|-----BEGIN (?:[A-Z]+ ){0,3}PRIVATE KEY-----)",
    re.ASCII | re.DOTALL,
)


def _masked(text: str) -> str:
    """The first three characters, so that a person can find the place and a log gives nothing away."""
    return text[:3] + "…"


def identities(text: str) -> list[str]:
    """Chinese identity numbers, whose date and check digit have to hold, and American social security numbers."""
    numbers = [match[0] for match in _IDENTITY.finditer(text) if _is_identity(match[0])]
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
    found = [match[0] for pattern in _PHONES for match in pattern.finditer(text)]
    return [_masked(number) for number in found if 9 <= sum(map(str.isdigit, number)) <= 15]


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
    """Bank cards: 16 to 19 digits of an issuer in use, whose Luhn sum holds."""
    found = (match[0] for match in _CARD.finditer(text))
    return [_masked(number) for number in found if _is_card(re.sub("[ -]", "", number))]


def _is_card(digits: str) -> bool:
    """Whether the digits are of an issuer, sum to a multiple of ten, and are no identity number."""
    if not _ISSUERS.match(digits) or (len(digits) > 16 and digits[:2] != "62") or len(set(digits)) < 3:
        return False
    doubled = sum(sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2])
    luhn = (doubled + sum(map(int, digits[-1::-2]))) % 10 == 0
    return luhn and not (len(digits) == 18 and _is_identity(digits))


def secrets(text: str) -> list[str]:
    """Private keys, and access keys of OpenAI, AWS, Google, GitHub, GitLab, Hugging Face, Stripe and Slack."""
    keys = (match[0] for match in _SECRET.finditer(text))
    return [_masked(key) for key in keys if key[:3] != "sk-" or re.search("[0-9]", key)]  # sk-xxxx… stands for a key


PERSONAL: dict[str, Callable[[str], list[str]]] = {
    "identity_number": identities,
    "phone": phones,
    "email": mails,
    "bank_card": cards,
    "secret": secrets,
}
