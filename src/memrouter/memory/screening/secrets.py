"""Finds keys, tokens, private keys and passwords.

Tokens are looked for in unbroken runs of the characters that tokens are made of, one window of bounded length after the
other, and every pattern is bounded: time grows with the length of the text and no faster.
"""

import re
from collections import deque
from collections.abc import Iterator, Sequence
from math import log2
from typing import Final

from memrouter.memory.screening.seams import joined
from memrouter.memory.screening.spans import Span

PRIVATE_KEY: Final = "private_key"
API_KEY: Final = "api_key"
PASSWORD: Final = "password"  # noqa: S105 -- the name of a kind, no password
SECRET_KINDS: Final = (PRIVATE_KEY, API_KEY, PASSWORD)

_WINDOW = 1024
_OVERLAP = 256
_RUN = re.compile(r"[A-Za-z0-9_+/=.:~%\-]{16,}+")
_DIGIT = re.compile(r"[0-9]")

# Shapes that detect-secrets has not, or only in a form whose time grows with the square of the text's length.
_TOKEN = re.compile(
    r"(?<![A-Za-z0-9_\-])(?:"
    r"sk-[A-Za-z0-9_\-]{20,200}|github_pat_[A-Za-z0-9_]{22,100}|gh[opusr]_[A-Za-z0-9]{36,255}"
    r"|gl(?:pat|dt|rt|cbt|ptt|ft|soat|oas)-[A-Za-z0-9_.\-]{20,300}|(?:sk|rk|pk)_(?:live|test)_[A-Za-z0-9]{16,200}"
    r"|whsec_[A-Za-z0-9]{24,100}|AIza[A-Za-z0-9_\-]{35}|GOCSPX-[A-Za-z0-9_\-]{20,40}|ya29\.[A-Za-z0-9_\-]{20,300}"
    r"|npm_[A-Za-z0-9]{36}|pypi-[A-Za-z0-9_\-]{50,300}|hf_[A-Za-z0-9]{30,50}|xapp-[A-Za-z0-9\-]{20,200}"
    r"|xox[a-z]-[A-Za-z0-9\-]{16,200}|dop_v1_[a-f0-9]{64}|shp(?:at|ss|ca|pa)_[a-fA-F0-9]{32}|gsk_[A-Za-z0-9]{40,60}"
    r"|r8_[A-Za-z0-9]{37}|xai-[A-Za-z0-9]{60,90}|pplx-[A-Za-z0-9]{40,60}|nvapi-[A-Za-z0-9_\-]{50,80}"
    r"|dckr_pat_[A-Za-z0-9_\-]{20,40}|lin_api_[A-Za-z0-9]{32,48}|ATATT3[A-Za-z0-9_\-=]{50,300}"
    r"|vercel_[A-Za-z0-9]{20,40}|(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}(?![A-Za-z0-9])|AGE-SECRET-KEY-1[A-Z0-9]{50,60}"
    r"|mr_[a-z2-7]{12}_[0-9a-f]{64}"
    r")"
)
_JWT = re.compile(r"(?<![A-Za-z0-9_\-])eyJ[A-Za-z0-9_\-]{8,}+\.eyJ[A-Za-z0-9_\-]{8,}+(?:\.[A-Za-z0-9_\-]*+)?")

_PEM_BEGIN = re.compile(r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----|PuTTY-User-Key-File-[23]:")
_PEM_OPENINGS = ("-----BEGIN ", "PuTTY-User-Key-File-")
_PEM_END = re.compile(r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----|Private-MAC: ?[0-9a-f]{16,128}")
_PEM_BODY = re.compile(r"(?:\s|\\n|[A-Za-z0-9+/=]{16,}+|[A-Z][A-Za-z\-]{2,20}: [^\n]{0,80}\n)*+")

_ASSIGNED = re.compile(
    r"(?P<name>key|token|secret|authorization|credentials?)(?:[_\-]?id)?(?:\s(?:of|for|to|"
    r"from|für|de)(?:\s[\w.&'\-]{1,30}){1,4}?)?"
    r"[\"'`]{0,2}\s{0,3}(?::=|=>|[:=]|\bis\b|\bist\b|\bes\b|\best\b|は|是)\s{0,3}"
    r"(?:(?:bearer|basic|token)\s{1,2})?[\"'`]?(?P<value>[A-Za-z0-9_+/=.~\-]{12,512})",
    re.IGNORECASE,
)
_OF_A_KEY = re.compile(
    r"(?:api|access|auth|secret|client|private|service|account|signing|encryption|master|"
    r"db|bot|subscription|license)[ _\-]?\Z",
    re.IGNORECASE,
)
_LONGEST_KEY_NAME = 16
_BEARER = re.compile(r"\b(?:bearer|basic)\s{1,3}(?P<value>[A-Za-z0-9_+/=.~\-]{16,2048})", re.IGNORECASE)
_ASSIGNED_HINTS = ("key", "token", "secret", "authorization", "bearer", "basic ", "credential")

_URL_PASSWORD = re.compile(r"://[^\s/?#:@]{0,128}:(?P<value>[^\s/]{1,128})@")
_PASSWORD_NAMES = (
    "password", "passwd", "passcode", "passphrase", "pwd", "passwort", "kennwort", "mot de passe", "contraseña",
    "contrasena", "clave secreta", "senha", "wachtwoord", "hasło", "haslo", "lösenord", "adgangskode", "passord",
    "salasana", "heslo", "jelszó", "şifre", "sifre", "parola d'ordine", "parolă", "пароль", "пароля", "κωδικός", "密码",
    "密碼", "パスワード", "비밀번호", "암호", "كلمة المرور", "كلمة السر", "סיסמה", "mật khẩu", "kata sandi", "pin code",
    "my pin", "seed phrase", "recovery phrase", "mnemonic", "wifi pass", "wi-fi pass", "login pass", "user pass",
)  # fmt: skip
_LOGIN = re.compile(
    r"(?<!\S)(?!(?:mailto|to|cc|bcc|from|e-?mail|mail|contact|sip|xmpp|acct):)[\w.\-]{1,32}:"
    r"(?P<value>[^\s/@:]{6,64})@[A-Za-z0-9.\-]{3,}",
    re.IGNORECASE,
)
_PASSWORD_PHRASE = re.compile(
    r"(?P<name>" + "|".join(map(re.escape, _PASSWORD_NAMES)) + r")"
    r"(?P<rest>[\"'`]{0,2}(?:\s{0,2}\([^()\n]{0,40}\))?(?:\s(?:for|to|of|für|de|del|para|"
    r"pour|di|per)(?:\s[\w.&'\-]{1,30}){1,5}?)?)"
    r"\s{0,3}(?P<sign>:=|=>|=|[:\uff1a]|(?:is|ist|lautet|es|est|è|é|to|jest|är|er|on|je|это|"
    r"είναι)\b|は|是|为|為|은|는|\u2014|-)"
    r"\s{0,3}(?P<quote>[\"'`\u201c\u300c]?)(?P<value>[^\s\"'`\u201c\u201d\u300c\u300d]{3,128})",
    re.IGNORECASE,
)
_WORDS_PHRASE = re.compile(r"(?:[a-z]{3,10}[ ,]{1,2}){3,23}[a-z]{3,10}")
_PLACEHOLDER = re.compile(
    r"[*•.xX#\-_]+|<[^>]*>?|\$\{?\w*\}?|\{\{?.*|\[.*|%\w*%?|(?:your|my|dein|mein)[_\-]?\w*|"
    r"none|null|true|false|undefined|string|str|text|required|optional|changeme|example|placeholder|redacted|removed",
    re.IGNORECASE,
)
# Words after "the password is" that say something about it instead of being it.
_ABOUT = frozenset(
    """
    a an the too very not no now also always never still already only just that this what where when how why which
    who it its in on at by for from with without same different new old weak strong wrong right correct incorrect
    invalid valid expired secret secure safe insecure hidden lost gone missing forgotten stored saved encrypted
    hashed needed required optional empty blank short long simple complicated easy hard hacked leaked compromised
    changed reset set shared known unknown protected written kept important being accepted rejected case working
    sent managed ready used reused rotated been about be my your his her their our zu nicht sehr falsch richtig
    sicher unsicher schwach stark neu alt weg noch schon immer abgelaufen vergessen geheim der die das mein trop pas
    très faible fort oublié expiré le la un une mi su muy demasiado débil segura seguro correcta incorrecta olvidada
    sbagliata sbagliato troppo non muito não fraca forte errada is are was must should can cannot has have will
    would may might i we you they he she
    """.split()  # noqa: SIM905 -- a list of words reads better as prose
)
_SHORTEST_PHRASE_VALUE = 4


class SecretFinder:
    """Finds secrets. Building one loads the detectors of the package detect-secrets, whose settings stay untouched."""

    def __init__(self) -> None:
        self._shapes = _vendor_shapes()

    def find(self, text: str) -> Iterator[Span]:
        """Yield secrets in a levelled text, divided ones too; the more certain kinds come first."""
        yield from self._undivided(text)
        whole = joined(text, lines=True)
        if whole is not None:
            yield from map(whole.original, self._undivided(whole.text))

    def _undivided(self, text: str) -> Iterator[Span]:
        yield from _private_keys(text)
        yield from self._tokens(text)
        lowered = text.lower()
        if any(hint in lowered for hint in _ASSIGNED_HINTS):
            yield from _assigned(text)
        if "://" in text:
            for match in _URL_PASSWORD.finditer(text):
                if not _PLACEHOLDER.fullmatch(match["value"]):
                    yield Span(*match.span("value"), PASSWORD)
        if "@" in text:
            for match in _LOGIN.finditer(text):
                if _DIGIT.search(match["value"]):
                    yield Span(*match.span("value"), PASSWORD)
        if any(name in lowered for name in _PASSWORD_NAMES):
            yield from _password_phrases(text)

    def _tokens(self, text: str) -> Iterator[Span]:
        for run in _RUN.finditer(text):
            if _DIGIT.search(text, run.start(), run.end()) is None:
                continue
            for match in _JWT.finditer(text, run.start(), run.end()):
                yield Span(*match.span(), API_KEY)
            for start in range(run.start(), run.end(), _WINDOW - _OVERLAP):
                yield from self._in_window(text, start, min(start + _WINDOW, run.end()))

    def _in_window(self, text: str, start: int, end: int) -> Iterator[Span]:
        for match in _TOKEN.finditer(text, start, end):
            if _DIGIT.search(match[0]):
                yield Span(*match.span(), API_KEY)
        # A slice, so that what detect-secrets looks at behind a match ends with the window.
        window = text[start:end]
        for shape in self._shapes:
            for match in shape.finditer(window):
                if not _inside_a_word(window, match.start(), match.end()):
                    yield Span(start + match.start(), start + match.end(), API_KEY)


def _vendor_shapes() -> Sequence[re.Pattern[str]]:
    # Imported here because the package brings an HTTP client, which only a router with redaction has to load.
    from detect_secrets.plugins.aws import AWSKeyDetector
    from detect_secrets.plugins.azure_storage_key import AzureStorageKeyDetector
    from detect_secrets.plugins.discord import DiscordBotTokenDetector
    from detect_secrets.plugins.github_token import GitHubTokenDetector
    from detect_secrets.plugins.gitlab_token import GitLabTokenDetector
    from detect_secrets.plugins.mailchimp import MailchimpDetector
    from detect_secrets.plugins.pypi_token import PypiTokenDetector
    from detect_secrets.plugins.sendgrid import SendGridDetector
    from detect_secrets.plugins.slack import SlackDetector
    from detect_secrets.plugins.square_oauth import SquareOAuthDetector
    from detect_secrets.plugins.stripe import StripeDetector
    from detect_secrets.plugins.telegram_token import TelegramBotTokenDetector
    from detect_secrets.plugins.twilio import TwilioKeyDetector

    detectors = (
        AWSKeyDetector, AzureStorageKeyDetector, DiscordBotTokenDetector, GitHubTokenDetector, GitLabTokenDetector,
        MailchimpDetector, PypiTokenDetector, SendGridDetector, SlackDetector, SquareOAuthDetector, StripeDetector,
        TelegramBotTokenDetector, TwilioKeyDetector,
    )  # fmt: skip
    return [shape for detector in detectors for shape in detector.denylist]


def _inside_a_word(text: str, start: int, end: int) -> bool:
    """Return whether a match is a piece of something longer, as in an image in base64."""
    return (start > 0 and text[start - 1].isalnum()) or (end < len(text) and text[end].isalnum())


def _private_keys(text: str) -> Iterator[Span]:
    if not any(opening in text for opening in _PEM_OPENINGS):
        return
    begins = list(_PEM_BEGIN.finditer(text))
    ends = deque(_PEM_END.finditer(text)) if begins else deque[re.Match[str]]()
    for begin, following in zip(begins, [*begins[1:], None], strict=False):
        while ends and ends[0].start() < begin.end():
            ends.popleft()
        if ends and (following is None or ends[0].start() < following.start()):
            yield Span(begin.start(), ends[0].end(), PRIVATE_KEY)
        else:
            body = _PEM_BODY.match(text, begin.end())
            yield Span(begin.start(), body.end() if body else begin.end(), PRIVATE_KEY)


def _assigned(text: str) -> Iterator[Span]:
    for match in _ASSIGNED.finditer(text):
        before = text[max(0, match.start() - _LONGEST_KEY_NAME) : match.start()]
        if (match["name"].lower() != "key" or _OF_A_KEY.search(before)) and _looks_random(match["value"]):
            yield Span(*match.span("value"), API_KEY)
    for match in _BEARER.finditer(text):
        if _looks_random(match["value"]):
            yield Span(*match.span("value"), API_KEY)


def _looks_random(value: str) -> bool:
    """Return whether a value has letters and digits and is not a word, a path or a number of a version."""
    core = value.strip("=.")
    if not (_DIGIT.search(core) and any(char.isalpha() for char in core)):
        return False
    if "/" in core and core.count("/") > len(core) / 12 and core == core.lower():
        return False
    return entropy(core) >= 3.0


def entropy(text: str) -> float:
    """Return Shannon's entropy of the characters of ``text``, in bits a character; 0 for an empty one."""
    size = len(text)
    return -sum(n / size * log2(n / size) for n in map(text.count, set(text)))


def _password_phrases(text: str) -> Iterator[Span]:
    for match in _PASSWORD_PHRASE.finditer(text):
        start, end = match.span("value")
        if match["name"].lower() in ("passphrase", "seed phrase", "recovery phrase", "mnemonic"):
            words = _WORDS_PHRASE.match(text, start)
            if words is not None:
                yield Span(*words.span(), PASSWORD)
                continue
        value = match["value"].rstrip(".,;:!?)]}。、")
        if _is_password(match, value, text[end : end + 2]):
            yield Span(start, start + len(value), PASSWORD)


def _is_password(match: re.Match[str], value: str, behind: str) -> bool:
    word = value.casefold()
    if len(value) < _SHORTEST_PHRASE_VALUE or _PLACEHOLDER.fullmatch(value) or word in _ABOUT or "(" in value:
        return False
    if match["quote"] or any(char.isdigit() or not char.isalnum() for char in value.strip("-_'\u2019")):
        return not word.startswith(("http://", "https://")) and "\u2019" not in value
    if match["sign"] in ("-", "\u2014", "=", "=>", ":="):
        return match["sign"] != "-" and not value.islower()
    # A plain word: it is the password where nothing follows it in its sentence.
    ends = not behind.strip() or behind[0] == "\n" or len(match["value"]) != len(value)
    return ends and (match["sign"] in (":", "\uff1a") or value.isascii())
