"""Checks of the patterns that say what is redacted and what is quarantined."""

from collections.abc import Iterator

import regex

from memrouter.config.findings import Finding
from memrouter.config.keeping import PersonalDataSettings
from memrouter.config.paths import KeyPath
from memrouter.config.settings import Settings

_MEMORY: KeyPath = ("global", "stores", "memory")
_REDACTION: KeyPath = (*_MEMORY, "redaction", "patterns")


def check_keeping(settings: Settings) -> Iterator[Finding]:
    """Yield what is wrong."""
    taken = set(PersonalDataSettings.model_fields)
    for index, rule in enumerate(settings.memory.redaction.patterns):
        yield from _bad_pattern((*_REDACTION, index, "pattern"), rule.pattern)
        if rule.name in taken:
            hint = "It would be counted together with the other one."
            yield Finding((*_REDACTION, index, "name"), "a name that nothing else has", hint=hint)
        taken.add(rule.name)
    for index, pattern in enumerate(settings.memory.quarantine.patterns):
        yield from _bad_pattern((*_MEMORY, "quarantine", "patterns", index), pattern)


def _bad_pattern(path: KeyPath, pattern: str) -> Iterator[Finding]:
    try:
        compiled = regex.compile(pattern)
    except regex.error as error:
        yield Finding(path, "a regular expression", hint=f"Not understood: {error.msg}.")
    except (RecursionError, OverflowError, MemoryError):
        yield Finding(path, "a smaller regular expression")
    else:
        if compiled.search("") is not None:
            yield Finding(
                path, "a regular expression that does not match the empty text", hint="It would match everything."
            )
