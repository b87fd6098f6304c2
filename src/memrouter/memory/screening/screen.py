"""What becomes of a text before it is stored: refused, cleaned, kept apart."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from memrouter.config.keeping import QuarantineSettings, RedactionSettings
from memrouter.memory.screening.junk import is_boilerplate, is_document, is_recalled, is_system_prompt, is_tool_output
from memrouter.memory.screening.personal_data import FINDERS
from memrouter.memory.screening.quarantine import Quarantine
from memrouter.memory.screening.redaction import Redactor
from memrouter.memory.screening.refusals import is_refusal
from memrouter.memory.turns.small_talk import is_small_talk
from memrouter.models.memory import Trust, cut_to_bytes

_TURN = "turn"


@dataclass(frozen=True, slots=True)
class Screened:
    """A text that may be stored.

    Attributes:
        content: What to store: 1 to 16,384 bytes of UTF-8, without what must not be kept.
        quarantine: Name of the rule for which it must be kept apart; None if it may be recalled.
        redacted: How often each kind was masked.
    """

    content: str
    quarantine: str | None = None
    redacted: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Rejected:
    """A text that must not be stored.

    Attributes:
        reason: ``system_prompt``, ``recalled_memories``, ``no_words``, ``small_talk``, ``refusal``, ``boilerplate``,
            ``tool_output``, ``document``, ``personal_data``, ``redaction_pattern`` or ``only_redacted``.
    """

    reason: str


class Screen:
    """Judges texts before they are stored. Compiled once; it keeps nothing of what it sees.

    Args:
        redaction: What is masked, and for what a text is dropped.
        quarantine: Whether and by which further patterns texts are kept apart.
    """

    def __init__(self, redaction: RedactionSettings, quarantine: QuarantineSettings) -> None:
        self._redactor = Redactor(redaction)
        self._quarantine = Quarantine(quarantine)

    def screen(
        self, content: str, *, trust: Trust, role: str | None, explicit: bool, own_words: str | None = None
    ) -> Screened | Rejected:
        """Return what may be stored of a text, or why nothing may.

        Time grows with the length of the text and no faster; patterns of the configuration are bounded by 10 ms each.

        Args:
            content: 1 to 16,384 bytes of UTF-8.
            trust: Who its words come from. Whatever is not the user's own is held to stricter rules, and text of tools
                or documents, which a route asked to keep, is not refused for being that.
            role: Whose words it holds; ``turn`` for question and answer, which the turn gate has judged before.
            explicit: Whether somebody asked for exactly this text to be remembered; then only system prompts, recalled
                memories and what redaction drops are refused.
            own_words: The question in a turn; the rest is the model's, which may not instruct either. None where
                nothing stands apart.
        """
        reason = None if role == _TURN else _junk(content, trust=trust, explicit=explicit)
        if reason is not None:
            return Rejected(reason)
        clean = self._redactor.redact(content)
        if clean.dropped is not None:
            return Rejected("personal_data" if clean.dropped in FINDERS else "redaction_pattern")
        if clean.counts and not _says_anything(clean.content, clean.counts):
            return Rejected("only_redacted")
        # Masks may be longer than what they stand for.
        kept = cut_to_bytes(clean.content).rstrip() if clean.counts else content
        return Screened(kept, self._quarantine.rule(content, trust=trust, own_words=own_words), clean.counts)


def _says_anything(masked: str, kinds: Mapping[str, int]) -> bool:
    for kind in kinds:
        masked = masked.replace(f"[{kind} removed]", "")
    return any(map(str.isalnum, masked))


def _junk(text: str, *, trust: Trust, explicit: bool) -> str | None:
    if is_recalled(text):
        return "recalled_memories"
    if is_system_prompt(text):
        return "system_prompt"
    if explicit:
        return None
    if not any(map(str.isalnum, text)):
        return "no_words"
    if is_small_talk(text, acknowledgements=True):
        return "small_talk"
    if is_refusal(text):
        return "refusal"
    if is_boilerplate(text):
        return "boilerplate"
    if trust in (Trust.TOOL, Trust.DOCUMENT):
        return None
    if is_tool_output(text):
        return "tool_output"
    return "document" if is_document(text) else None
