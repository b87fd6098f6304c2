import json
import logging

import pytest

from memrouter.memory.storing.audit import MAX_IDS, audit
from memrouter.models.history import Actor
from memrouter.models.memory import owner_key
from memrouter.observability.logs import JsonFormatter

USER, CONVERSATION = "anna\n@example.org", "a chat about money"


def test_a_line_names_owner_and_conversation_by_digest_only(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="memrouter.audit"):
        audit("deleted", USER, {"m2", "m1"}, actor=Actor.OWNER, rule="conversation", conversation_id=CONVERSATION)
    line = JsonFormatter().format(caplog.records[0])
    told = json.loads(line)
    assert (told["logger"], told["event"], told["ids"], told["count"]) == ("memrouter.audit", "deleted", "m1 m2", 2)
    assert (told["owner"], told["actor"], told["rule"]) == (owner_key(USER), "owner", "conversation")
    assert "anna" not in line
    assert "money" not in line


def test_a_line_stays_short_whatever_is_deleted(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="memrouter.audit"):
        audit("deleted", USER, {f"m{number:063}" for number in range(5000)}, actor=Actor.OWNER)
        audit("deleted_all", USER, (), actor=Actor.OPERATOR, count=7)
    many, none = (vars(record) for record in caplog.records)
    assert (len(many["ids"].split()), many["count"]) == (MAX_IDS, 5000)
    assert (none["ids"], none["count"]) == ("", 7)
