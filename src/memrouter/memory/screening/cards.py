"""Finds numbers of payment cards."""

import re
import string
from collections.abc import Iterator
from typing import Final

from stdnum import luhn

from memrouter.memory.screening.seams import joined
from memrouter.memory.screening.spans import Span

CARD_NUMBER: Final = "card_number"

# Bounded: at most 19 digits with one blank, dot or dash, or an end of line, between two of them.
_DIGITS = re.compile(r"(?<![\w.+\-])(?:[0-9](?: ?\n ?|[ .\-])?){13,18}[0-9](?![\w\-]|\.[0-9])")
# Stands in whatever ``_DIGITS`` finds; without a look behind it is found quicker.
_MANY = re.compile(r"[0-9](?:(?: ?\n ?|[ .\-])?[0-9]){13}")
_FEWEST = 14
_SEPARATOR = re.compile(r" ?\n ?|[ .\-]")
_GROUPS = frozenset({(16,), (15,), (14,), (19,), (4, 4, 4, 4), (4, 6, 5), (4, 6, 4), (4, 4, 4, 4, 3), (6, 13), (8, 8)})
_ISSUERS = re.compile(
    r"4(?:[0-9]{15}|[0-9]{18})"  # Visa
    r"|(?:5[1-5][0-9]{2}|222[1-9]|22[3-9][0-9]|2[3-6][0-9]{2}|27[01][0-9]|2720)[0-9]{12}"  # Mastercard
    r"|3[47][0-9]{13}"  # American Express
    r"|(?:30[0-59]|3[689])[0-9]{11,16}"  # Diners Club
    r"|(?:6011|64[4-9]|65)[0-9]{12,15}"  # Discover
    r"|35(?:2[89]|[3-8][0-9])[0-9]{12,15}"  # JCB
    r"|(?:62|81)[0-9]{14,17}"  # UnionPay
    r"|(?:50|5[6-9]|6[0379])[0-9]{12,17}"  # Maestro, RuPay
    r"|220[0-4][0-9]{12,15}"  # Mir
)
_BEFORE = 40
_ORDER = re.compile(
    r"order|track|invoice|parcel|shipment|reference|\bref\b|ticket|serial|imei|isbn|bestell|"
    r"rechnung|sendung|commande|facture|pedido|"
    r"factura|ordine|fattura|注文|订单|訂單|주문|заказ",
    re.IGNORECASE,
)
_CARD = re.compile(
    r"card|visa|karte|carte|tarjeta|carta|cartão|カード|卡|카드|карт|amex|mastercard|debit|credit", re.IGNORECASE
)


def card_numbers(text: str) -> Iterator[Span]:
    """Yield card numbers in a levelled text, divided ones too.

    The check digit, the issuer's range, the length and the grouping must all be right, and nothing just before may call
    it the number of an order, a parcel or a device.
    """
    yield from _undivided(text)
    whole = joined(text, lines=False)
    if whole is not None:
        yield from map(whole.original, _undivided(whole.text))


def _undivided(text: str) -> Iterator[Span]:
    if sum(map(text.count, string.digits)) < _FEWEST or _MANY.search(text) is None:
        return
    for match in _DIGITS.finditer(text):
        if _is_card(match[0]) and not _is_order(text[max(0, match.start() - _BEFORE) : match.start()]):
            yield Span(*match.span(), CARD_NUMBER)


def _is_card(found: str) -> bool:
    groups = _SEPARATOR.split(found)
    digits = "".join(groups)
    if found.count("\n") > 1 or tuple(map(len, groups)) not in _GROUPS or not _ISSUERS.fullmatch(digits):
        return False
    return len(set(digits)) > 1 and luhn.is_valid(digits)


def _is_order(before: str) -> bool:
    return _ORDER.search(before) is not None and _CARD.search(before) is None
