"""The metrics of several processes as one text in Prometheus' form. Pure."""

import re
from collections.abc import Iterator, Mapping

_META = re.compile(r"# (?:HELP|TYPE) (?P<family>[A-Za-z_:][A-Za-z0-9_:]*)")
_SAMPLE = re.compile(r"(?P<name>[A-Za-z_:][A-Za-z0-9_:]*)(?:\{(?P<labels>.*)\})? (?P<value>[^ ]+(?: -?[0-9]+)?)\Z")


def joined(texts: Mapping[str, str]) -> str:
    """Return every sample of every text, each with the label ``worker``; those of one family stand together.

    Args:
        texts: By name of the worker: letters, digits, hyphens. As ``prometheus_client`` writes them.
    """
    headers: dict[str, list[str]] = {}
    samples: dict[str, list[str]] = {}
    for worker, text in texts.items():
        for family, line in _lines(text):
            known = headers.setdefault(family, [])
            if not line.startswith("#"):
                samples.setdefault(family, []).append(_labelled(line, worker))
            elif line not in known:
                known.append(line)
    families = (("\n".join((*lines, *samples.get(family, ())))) for family, lines in headers.items())
    return "".join(f"{family}\n" for family in families if family)


def _lines(text: str) -> Iterator[tuple[str, str]]:
    """Yield each line with the family that it belongs to."""
    family = ""
    for line in text.split("\n"):  # a label may hold what else ends lines
        meta = _META.match(line)
        if meta is not None:
            family = meta["family"]
        if line:
            yield family, line


def _labelled(line: str, worker: str) -> str:
    sample = _SAMPLE.match(line)
    if sample is None:
        return line
    labels = f'worker="{worker}"' + (f",{sample['labels']}" if sample["labels"] else "")
    return f"{sample['name']}{{{labels}}} {sample['value']}"
