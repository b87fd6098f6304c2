"""Random strings in the form of secrets, and of numbers that are none. None of them opens anything."""

import base64
import string
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Final

from stdnum import luhn

_ALNUM = string.ascii_letters + string.digits
_WORDS = ("river", "Falcon", "maple", "Quartz", "ember", "Tundra", "violet", "Harbor")


@dataclass(frozen=True, slots=True)
class Fake:
    """A kind of string.

    Attributes:
        make: Gives one.
        secret: Whether it must not be stored.
    """

    make: Callable[[Random], str]
    secret: bool = True


def _some(rng: Random, count: int, alphabet: str = _ALNUM) -> str:
    """Return random characters, the last of them a digit, so that there is one."""
    return "".join(rng.choice(alphabet) for _ in range(count - 1)) + rng.choice(string.digits)


def _hex(rng: Random, count: int) -> str:
    return "".join(rng.choice("0123456789abcdef") for _ in range(count))


def _digits(rng: Random, count: int) -> str:
    return str(rng.randint(1, 9)) + "".join(rng.choice(string.digits) for _ in range(count - 1))


def _card(rng: Random, start: str, length: int) -> str:
    body = start + "".join(rng.choice(string.digits) for _ in range(length - len(start) - 1))
    return body + luhn.calc_check_digit(body)


def _card_of(rng: Random) -> str:
    return _card(rng, rng.choice(("4", "51", "53", "55", "2300", "6011", "3530")), 16)


def _grouped(number: str, mark: str) -> str:
    return mark.join(number[place : place + 4] for place in range(0, len(number), 4))


def _amex(rng: Random) -> str:
    number = _card(rng, rng.choice(("34", "37")), 15)
    return f"{number[:4]} {number[4:10]} {number[10:]}"


def _jwt(rng: Random) -> str:
    def part(text: str) -> str:
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    return ".".join(
        (part('{"alg":"HS256","typ":"JWT"}'), part(f'{{"sub":"{_digits(rng, 9)}","iat":1}}'), _some(rng, 43))
    )


def _password(rng: Random) -> str:
    return f"{rng.choice(_WORDS)}{rng.choice('-_!#+')}{rng.choice(_WORDS)}{_digits(rng, 3)}{rng.choice(('', '!', '$'))}"


def _pem(rng: Random, *, whole: bool = True) -> str:
    kind = rng.choice(("RSA ", "EC ", "OPENSSH ", ""))
    lines = [f"-----BEGIN {kind}PRIVATE KEY-----", *(_some(rng, 64) for _ in range(5))]
    return "\n".join([*lines, f"-----END {kind}PRIVATE KEY-----"] if whole else lines)


FAKES: Final[Mapping[str, Fake]] = {
    "openai_key": Fake(lambda rng: f"sk-{rng.choice(('', 'proj-'))}{_some(rng, 48)}"),
    "anthropic_key": Fake(lambda rng: f"sk-ant-api03-{_some(rng, 80)}"),
    "github_token": Fake(lambda rng: rng.choice((f"ghp_{_some(rng, 36)}", f"github_pat_{_some(rng, 60)}"))),
    "gitlab_token": Fake(lambda rng: f"glpat-{_some(rng, 20)}"),
    "slack_token": Fake(lambda rng: f"xoxb-{_digits(rng, 12)}-{_digits(rng, 12)}-{_some(rng, 24)}"),
    "stripe_key": Fake(lambda rng: f"{rng.choice(('sk', 'rk'))}_{rng.choice(('live', 'test'))}_{_some(rng, 24)}"),
    "aws_key": Fake(lambda rng: f"AKIA{_some(rng, 16, string.ascii_uppercase + string.digits)}"),
    "google_key": Fake(lambda rng: f"AIza{_some(rng, 35)}"),
    "npm_token": Fake(lambda rng: f"npm_{_some(rng, 36)}"),
    "pypi_token": Fake(lambda rng: f"pypi-AgEIcHlwaS5vcmc{_some(rng, 90)}"),
    "hf_token": Fake(lambda rng: f"hf_{_some(rng, 34)}"),
    "jwt": Fake(_jwt),
    "random_key": Fake(
        lambda rng: rng.choice((_some(rng, 32), _hex(rng, 40), str(uuid.UUID(int=rng.getrandbits(128)))))
    ),
    "password": Fake(_password),
    "card": Fake(_card_of),
    "card_spaces": Fake(lambda rng: _grouped(_card_of(rng), " ")),
    "card_dashes": Fake(lambda rng: _grouped(_card_of(rng), "-")),
    "amex": Fake(_amex),
    "pem": Fake(_pem),
    "pem_cut": Fake(lambda rng: _pem(rng, whole=False)),
    "uuid": Fake(lambda rng: str(uuid.UUID(int=rng.getrandbits(128), version=4)), secret=False),
    "sha": Fake(lambda rng: _hex(rng, 40), secret=False),
    "digits12": Fake(lambda rng: _digits(rng, 12), secret=False),
    "digits16": Fake(lambda rng: _digits(rng, 16), secret=False),
    "base64": Fake(lambda rng: base64.b64encode(rng.randbytes(300)).decode(), secret=False),
    "d": Fake(lambda rng: str(rng.randint(1, 9)), secret=False),
}
"""What may stand in a template, by the name of its slot."""
