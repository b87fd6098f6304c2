"""Memory inside a Python program, without HTTP: the same store, gate and policies as a router has."""

from memrouter.embedded.chat import ChatContext, Message
from memrouter.embedded.opening import open_memory
from memrouter.embedded.user_memory import UserMemory

__all__ = ["ChatContext", "Message", "UserMemory", "open_memory"]
