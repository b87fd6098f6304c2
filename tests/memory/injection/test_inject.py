from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from memrouter.memory.injection.inject import inject
from memrouter.memory.policy import InjectionPolicy
from memrouter.models.chat import ChatDraft, ChatRequest

BLOCK = '<memrouter-memories oldest="2026-01-01">\n- "Luna"\n</memrouter-memories>'
SYSTEM = {"role": "system", "content": "Be brief."}
DEVELOPER = {"role": "developer", "content": "Be kind."}
ASKED = {"role": "user", "content": "Hello"}
SAID = {"role": "assistant", "content": "Hi."}
QUESTION = {"role": "user", "content": "What is my cat called?"}
ADDED = {"role": "user", "content": BLOCK}

parts = st.fixed_dictionaries({"type": st.just("text"), "text": st.text(max_size=9)})
messages = st.fixed_dictionaries(
    {
        "role": st.sampled_from(["system", "developer", "user", "assistant", "tool"]),
        "content": st.none() | st.text(max_size=9) | st.lists(parts, max_size=2),
    },
    optional={"name": st.text(max_size=5), "x": st.integers() | st.lists(st.booleans(), max_size=2)},
)
bodies = st.fixed_dictionaries(
    {"model": st.just("m"), "messages": st.lists(messages, min_size=1, max_size=5)},
    optional={
        "seed": st.integers(-9, 9),
        "user": st.text(max_size=9),
        "metadata": st.dictionaries(st.text(), st.text()),
    },
)
policies = st.builds(
    InjectionPolicy,
    st.sampled_from(["before_last_user", "after_system"]),
    st.sampled_from(["message", "merge_into_user"]),
)


def injected(body: bytes, policy: InjectionPolicy) -> bytes:
    draft = ChatDraft(ChatRequest.parse(body))
    inject(draft, BLOCK, policy)
    return draft.render()


def sent(messages: list[Any], policy: InjectionPolicy) -> list[Any]:
    body = msgspec.json.encode({"model": "m", "messages": messages})
    result: list[Any] = msgspec.json.decode(injected(body, policy))["messages"]
    return result


def test_block_goes_in_front_of_the_last_user_message() -> None:
    history = [SYSTEM, ASKED, SAID, QUESTION]
    assert sent(history, InjectionPolicy()) == [SYSTEM, ASKED, SAID, ADDED, QUESTION]


def test_block_goes_behind_the_leading_system_messages() -> None:
    policy = InjectionPolicy(position="after_system")
    assert sent([SYSTEM, DEVELOPER, ASKED, SYSTEM, QUESTION], policy) == [
        SYSTEM,
        DEVELOPER,
        ADDED,
        ASKED,
        SYSTEM,
        QUESTION,
    ]
    assert sent([QUESTION], policy) == [ADDED, QUESTION]


def test_merged_block_stands_in_front_of_the_users_words_at_either_position() -> None:
    merged = {"role": "user", "content": f"{BLOCK}\n\n{QUESTION['content']}"}
    for policy in (InjectionPolicy(style="merge_into_user"), InjectionPolicy("after_system", "merge_into_user")):
        assert sent([SYSTEM, ASKED, SAID, QUESTION], policy) == [SYSTEM, ASKED, SAID, merged]


def test_merged_block_becomes_the_first_part_of_a_message_with_parts() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:,"}}
    (message,) = sent([{"role": "user", "content": [image]}], InjectionPolicy(style="merge_into_user"))
    assert message["content"] == [{"type": "text", "text": f"{BLOCK}\n\n"}, image]


@given(policies)
def test_without_a_user_message_the_block_goes_behind_the_system_messages(policy: InjectionPolicy) -> None:
    assert sent([SYSTEM, SAID], policy) == [SYSTEM, ADDED, SAID]
    assert sent([SYSTEM], policy) == [SYSTEM, ADDED]


@given(bodies, policies, st.sampled_from([0, 2]))
def test_every_other_byte_stays_as_the_client_sent_it(
    body: dict[str, Any], policy: InjectionPolicy, indent: int
) -> None:
    raw = msgspec.json.format(msgspec.json.encode(body), indent=indent)
    result = injected(raw, policy)
    start = next((i for i, (old, new) in enumerate(zip(raw, result, strict=False)) if old != new), len(raw))
    added = len(result) - len(raw)
    # One run of new bytes, or new bytes in the place of a null content; all else is the old body.
    lost = 4 if raw[start : start + 4] == b"null" else 0
    assert raw[:start] + result[start : start + added + lost] + raw[start + lost :] == result
    after = msgspec.json.decode(result)
    assert {key: value for key, value in after.items() if key != "messages"} == {
        key: value for key, value in body.items() if key != "messages"
    }
    kept = [message for message in after["messages"] if message != ADDED]
    if policy.style == "message":
        assert kept == body["messages"]


@given(bodies, policies)
def test_the_block_arrives_exactly_once_and_in_a_users_message(body: dict[str, Any], policy: InjectionPolicy) -> None:
    request = ChatRequest.parse(injected(msgspec.json.encode(body), policy))
    assert [message.role for message in request.messages if BLOCK in message.text] == ["user"]
