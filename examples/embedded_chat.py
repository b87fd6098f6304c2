"""A chat with memory in one file: any OpenAI-compatible model, and no router.

OPENAI_BASE_URL=http://127.0.0.1:8000/v1 OPENAI_API_KEY=none python examples/embedded_chat.py
"""

import asyncio
import os

from openai import AsyncOpenAI

import memrouter


async def main() -> None:
    """Hold two conversations; the second one knows what was said in the first."""
    async with (
        memrouter.open(os.environ.get("MEMORY_FILE", "memrouter.db"), user="alice") as memory,
        AsyncOpenAI() as model,
    ):
        for question in ("I am allergic to walnuts and mangoes.", "What am I allergic to?"):
            context = await memory.chat_context([{"role": "user", "content": question}], conversation=question)
            reply = await model.chat.completions.create(model="qwen3", messages=context.messages)
            answer = reply.choices[0].message.content or ""
            await memory.store_turn(question, answer, conversation=question)
            print(f"{question}\n  {context.status}: {len(context.memory_ids)} memories\n  {answer}")


asyncio.run(main())
