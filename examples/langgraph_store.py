"""A LangGraph agent whose long-term memory is a memrouter file.

OPENAI_BASE_URL=http://127.0.0.1:8000/v1 OPENAI_API_KEY=none python examples/langgraph_store.py
"""

import asyncio
import os
import uuid

from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableConfig
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.store.base import BaseStore
from openai import AsyncOpenAI

from memrouter.integrations.langgraph import open_store


async def answer(state: MessagesState, config: RunnableConfig, *, store: BaseStore) -> dict[str, list[AIMessage]]:
    """Answer with what was said before in mind, and keep what is said now."""
    namespace = ("memories", config["configurable"]["user_id"])
    said = str(state["messages"][-1].content)
    found = await store.asearch(namespace, query=said, limit=3)
    known = "\n".join(item.value["text"] for item in found)
    async with AsyncOpenAI() as model:
        prompt = f"What the user said before:\n{known}\n\nThe user says now: {said}"
        reply = await model.chat.completions.create(model="qwen3", messages=[{"role": "user", "content": prompt}])
    await store.aput(namespace, str(uuid.uuid4()), {"text": said})
    return {"messages": [AIMessage(reply.choices[0].message.content or "")]}


async def main() -> None:
    """Ask the graph twice; the second answer knows the first question."""
    # The second label of a namespace names the user, whose memories the items become.
    async with open_store(os.environ.get("MEMORY_FILE", "memrouter.db"), user="app", user_label=1) as store:
        builder = StateGraph(MessagesState)
        builder.add_node("answer", answer)
        builder.add_edge(START, "answer")
        builder.add_edge("answer", END)
        graph = builder.compile(store=store)
        config: RunnableConfig = {"configurable": {"user_id": "alice"}}
        for question in ("My dog is called Rex.", "What is my dog called?"):
            state = await graph.ainvoke({"messages": [("user", question)]}, config)
            print(state["messages"][-1].content)


asyncio.run(main())
