"""What a route's configuration says of its plugins."""

from memrouter.config.routing import DecisionSettings, HeaderMutationPlugin, MemoryPlugin, SystemPromptPlugin


def test_of_several_plugins_of_a_kind_the_last_one_counts() -> None:
    first, last = (SystemPromptPlugin.model_validate({"type": "system_prompt"}) for _ in range(2))
    memory = MemoryPlugin.model_validate({"type": "memory"})
    decision = DecisionSettings(name="route", plugins=(first, memory, last))
    assert decision.plugin(SystemPromptPlugin) is last
    assert decision.plugin(MemoryPlugin) is memory
    assert decision.plugin(HeaderMutationPlugin) is None
