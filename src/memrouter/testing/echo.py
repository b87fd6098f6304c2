"""A model that says back everything that it was sent, as the Go router's test model does, for ``ScriptedUpstream``."""

from memrouter.testing.upstream import Answer, Received, completion_chunks


def echo_all(received: Received) -> Answer:
    """Return an answer, streamed if that was asked for, that holds every message as ``[role]: content``."""
    body = received.json()
    said = "\n".join(f"[{message['role']}]: {message.get('content') or ''}" for message in body["messages"])
    return Answer.stream(*completion_chunks(said)) if body.get("stream") else Answer.completion(said)
