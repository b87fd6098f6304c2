"""An agent of the OpenAI Agents SDK that remembers over sessions, by itself and with tools.

OPENAI_BASE_URL=http://127.0.0.1:8000/v1 OPENAI_API_KEY=none python examples/openai_agents_session.py
"""

import asyncio
import os

from agents import Agent, OpenAIChatCompletionsModel, RunConfig, Runner
from openai import AsyncOpenAI

import memrouter
from memrouter.integrations.openai_agents import MemrouterSession, memory_tools


async def main() -> None:
    """Run the agent in two sessions; the second one knows what was said in the first."""
    async with (
        memrouter.open(os.environ.get("MEMORY_FILE", "memrouter.db"), user="alice") as memory,
        AsyncOpenAI() as client,
    ):
        model = OpenAIChatCompletionsModel("qwen3", openai_client=client)
        agent = Agent(name="assistant", model=model, tools=list(memory_tools(memory)))
        for day, said in (("monday", "I am allergic to walnuts and mangoes."), ("friday", "What am I allergic to?")):
            session = MemrouterSession(memory, day)
            config = RunConfig(call_model_input_filter=session.recalling, tracing_disabled=True)
            result = await Runner.run(agent, said, session=session, run_config=config)
            print(result.final_output)


asyncio.run(main())
