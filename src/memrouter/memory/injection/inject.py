"""Putting a block of memories into a request. Pure; every other byte of the request stays as it is."""

from memrouter.memory.policy import InjectionPolicy
from memrouter.models.chat import SYSTEM_ROLES, ChatDraft, ChatRequest


def inject(draft: ChatDraft, block: str, policy: InjectionPolicy) -> None:
    """Add ``block`` to the outgoing request.

    Args:
        draft: The outgoing request.
        block: A rendered block of memories.
        policy: ``message`` adds one message with role ``user``: in front of the user's last message, or behind the
            leading system messages. ``merge_into_user`` puts the block and an empty line in front of the text of the
            user's last message, whatever the position. Without a user message, a message is added behind the leading
            system messages.
    """
    last_user = draft.request.last_user_index
    if last_user is None or (policy.style == "message" and policy.position == "after_system"):
        draft.insert_message(_after_system(draft.request), "user", block)
    elif policy.style == "merge_into_user":
        draft.prepend_text(last_user, f"{block}\n\n")
    else:
        draft.insert_message(last_user, "user", block)


def _after_system(request: ChatRequest) -> int:
    leading = (i for i, message in enumerate(request.messages) if message.role not in SYSTEM_ROLES)
    return next(leading, len(request.messages))
