"""Finds personal data: e-mail addresses, phone numbers, IBANs, IP addresses, national identity numbers."""

import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final

import phonenumbers
from stdnum import exceptions, iban
from stdnum.br import cpf
from stdnum.ch import ssn as ahv
from stdnum.cn import ric
from stdnum.de import idnr
from stdnum.dk import cpr
from stdnum.es import dni, nie
from stdnum.fi import hetu
from stdnum.fr import nir
from stdnum.in_ import aadhaar
from stdnum.it import codicefiscale
from stdnum.kr import rrn
from stdnum.mx import curp
from stdnum.nl import bsn
from stdnum.pl import pesel
from stdnum.se import personnummer
from stdnum.us import ssn
from stdnum.za import idnr as south_african

from memrouter.memory.screening.spans import Span

_BEFORE = 40

_EMAIL = re.compile(r"(?<![\w.+\-])[\w.+\-]{1,64}+@[A-Za-z0-9\-]{1,63}(?:\.[A-Za-z0-9\-]{2,63}){1,6}")
_EMAIL_WIDE = re.compile(r"(?<![\w.+\-])[\w.+\-]{1,64}+@[\w\-]{1,63}(?:\.[\w\-]{2,63}){1,6}")
_IBAN = re.compile(r"(?<![A-Za-z0-9])[A-Za-z]{2}[0-9]{2}(?:[ \-]?[A-Za-z0-9]){11,32}")
_IBAN_LENGTHS = range(34, 14, -1)
_IPV4 = re.compile(r"(?<![\w.])[0-9]{1,3}(?:\.[0-9]{1,3}){3}(?![\w]|\.[0-9])")
_IPV6 = re.compile(r"(?<![\w:])(?=[0-9A-Fa-f]{0,4}:)[0-9A-Fa-f:.]{4,45}(?![\w:])")
_VERSION = re.compile(r"(?:version|release|\bv|ver\.|build)\s{0,2}\Z", re.IGNORECASE)

_PHONE = re.compile(r"(?<![\w.,\-])(?:\+|00)?\(?[0-9](?:[ ()./\-]{0,2}[0-9]){6,16}(?!\w)")
_PHONE_WORD = re.compile(
    r"phone|\btel\b|\btel[.:]|\bcall|mobile|\bcell\b|whatsapp|\btext (?:me|him|her|them|us)\b|"
    r"\bfax\b|telefon|handy|mobil|rufnummer|"
    r"téléphone|portable|appelle|teléfono|móvil|celular|llámame|telefono|cellulare|telefone|telefoon|puhelin|телефон|"
    r"电话|電話|手机|携帯|전화|휴대폰|هاتف",
    re.IGNORECASE,
)
_NORTH_AMERICAN = re.compile(r"(?:\([2-9][0-9]{2}\) ?|[2-9][0-9]{2}-)[2-9][0-9]{2}-[0-9]{4}")
_ISO_DATE = re.compile(r"(?:19|20)[0-9]{2}[./\-][0-9]{1,2}[./\-][0-9]{1,2}")
_PHONE_DIGITS = range(7, 16)

_ID_WORD = re.compile(
    r"\bssn\b|social security|national (?:id|insurance)|\bid\b|identity|identit|passport|"
    r"personnummer|personal(?:ausweis)?|steuer|tax|"
    r"\bbsn\b|burgerservice|\bcpf\b|pesel|aadhaar|aadhar|\bcpr\b|\bdni\b|\bnie\b|cédula|sécurité sociale|身份证|身分證",
    re.IGNORECASE,
)
_NATIONAL_IDS: tuple[tuple[re.Pattern[str], Callable[[str], bool], bool], ...] = tuple(
    (re.compile(rf"(?<![\w\-]){pattern}(?![\w\-])"), valid, named)
    for pattern, valid, named in (
        (r"[0-9]{3}-[0-9]{2}-[0-9]{4}", ssn.is_valid, False),
        (r"[0-9]{9}", ssn.is_valid, True),
        (r"[0-9]{8}-?[A-Za-z]", dni.is_valid, False),
        (r"[XYZxyz]-?[0-9]{7}-?[A-Za-z]", nie.is_valid, False),
        (
            r"[A-Za-z]{6}[0-9A-Za-z]{2}[A-Za-z][0-9A-Za-z]{2}[A-Za-z][0-9A-Za-z]{3}[A-Za-z]",
            codicefiscale.is_valid,
            False,
        ),
        (r"[12] ?[0-9]{2} ?[0-9]{2} ?[0-9][0-9AB] ?[0-9]{3} ?[0-9]{3} ?[0-9]{2}", nir.is_valid, False),
        (r"[0-9]{9}", bsn.is_valid, True),
        (r"[0-9]{3}\.[0-9]{3}\.[0-9]{3}-[0-9]{2}", cpf.is_valid, False),
        (r"[0-9]{11}", cpf.is_valid, True),
        (r"[0-9]{11}", pesel.is_valid, True),
        (r"[0-9]{11}", idnr.is_valid, True),
        (r"[0-9]{2} ?[0-9]{3} ?[0-9]{3} ?[0-9]{3}", idnr.is_valid, True),
        (r"(?:[0-9]{2})?[0-9]{6}[\-+][0-9]{4}", personnummer.is_valid, False),
        (r"[0-9]{6}-?[0-9]{4}", cpr.is_valid, True),
        (r"[0-9]{6}[+\-A-FU-Y][0-9]{3}[0-9A-Z]", hetu.is_valid, False),
        (r"756\.?[0-9]{4}\.?[0-9]{4}\.?[0-9]{2}", ahv.is_valid, False),
        (r"[0-9]{17}[0-9Xx]", ric.is_valid, False),
        (r"[0-9]{6}-[0-9]{7}", rrn.is_valid, False),
        (r"[0-9]{4} ?[0-9]{4} ?[0-9]{4}", aadhaar.is_valid, True),
        (r"[A-Za-z]{4}[0-9]{6}[A-Za-z]{6}[0-9A-Za-z][0-9]", curp.is_valid, False),
        (r"[0-9]{13}", south_african.is_valid, True),
    )
)
_DIGIT = re.compile(r"[0-9]")


def emails(text: str) -> Iterator[Span]:
    """Yield e-mail addresses."""
    if "@" in text:
        pattern = _EMAIL if text.isascii() else _EMAIL_WIDE
        yield from (Span(*match.span(), "email") for match in pattern.finditer(text))


def phones(text: str) -> Iterator[Span]:
    """Yield phone numbers: with a country code, in North American form, or just behind a word such as "phone"."""
    for match in _PHONE.finditer(text):
        digits = sum(map(str.isdigit, match[0]))
        if digits not in _PHONE_DIGITS or _ISO_DATE.match(match[0].removeprefix("(")):
            continue
        before = text[max(0, match.start() - _BEFORE) : match.start()]
        if _is_phone(match[0], before):
            yield Span(*match.span(), "phone")


def _is_phone(found: str, before: str) -> bool:
    if found.startswith(("+", "00")):
        number = "+" + found.lstrip("+0")
        try:
            return phonenumbers.is_possible_number(phonenumbers.parse(number, None))
        except phonenumbers.NumberParseException:
            return False
    return _NORTH_AMERICAN.fullmatch(found) is not None or _PHONE_WORD.search(before) is not None


def ibans(text: str) -> Iterator[Span]:
    """Yield bank account numbers whose check digits and length are right."""
    for match in _IBAN.finditer(text):
        places = [match.start() + place for place, char in enumerate(match[0]) if char.isalnum()]
        compact = "".join(text[place] for place in places).upper()
        length = next((n for n in _IBAN_LENGTHS if n <= len(compact) and _is_iban(compact[:n])), 0)
        if length:
            yield Span(match.start(), places[length - 1] + 1, "iban")


def _is_iban(compact: str) -> bool:
    try:
        return bool(iban.validate(compact, check_country=False))
    except exceptions.ValidationError:
        return False


def ip_addresses(text: str) -> Iterator[Span]:
    """Yield IP addresses other than those of the machine itself."""
    for match in _IPV4.finditer(text):
        if _is_address(match[0]) and _VERSION.search(text[max(0, match.start() - 12) : match.start()]) is None:
            yield Span(*match.span(), "ip_address")
    if text.count(":") > 1:
        for match in _IPV6.finditer(text):
            found = match[0].rstrip(".")
            if found.count(":") > 1 and _DIGIT.search(found) and _is_address(found):
                yield Span(match.start(), match.start() + len(found), "ip_address")


def _is_address(text: str) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return not (address.is_loopback or address.is_unspecified)


def national_ids(text: str) -> Iterator[Span]:
    """Yield identity numbers of nineteen countries; those without a form of their own only behind words like "ID"."""
    if _DIGIT.search(text) is None:
        return
    for pattern, valid, named in _NATIONAL_IDS:
        for match in pattern.finditer(text):
            before = text[max(0, match.start() - _BEFORE) : match.start()]
            if valid(match[0]) and (not named or _ID_WORD.search(before)):
                yield Span(*match.span(), "national_id")


FINDERS: Final[Mapping[str, Callable[[str], Iterator[Span]]]] = {
    "email": emails,
    "iban": ibans,
    "national_id": national_ids,
    "phone": phones,
    "ip_address": ip_addresses,
}
"""For each kind, what finds it in a levelled text; kinds with a check digit come before phone numbers."""
