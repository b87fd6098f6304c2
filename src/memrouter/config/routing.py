"""``routing``: signals, and the decisions made from them."""

from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import BeforeValidator, Field, model_validator

from memrouter.config.base import Section
from memrouter.config.memory import MemoryPluginSettings

SIGNAL_TYPES = ("keyword", "embedding", "context", "conversation", "authz", "domain")
FOREIGN_PLUGINS = frozenset(
    {
        "response_cache",
        "semantic-cache",
        "semantic_cache",
        "context_compression",
        "tools",
        "tool_selection",
        "rag",
        "router_replay",
        "hallucination",
        "response_jailbreak",
        "image_gen",
        "fast_response",
        "request_params",
        "jailbreak",
        "pii",
    }
)


def parse_token_count(value: object) -> object:
    """Return a number of tokens for ``32K``, ``1.5M`` or a number; anything else unchanged for the type check."""
    if isinstance(value, str):
        text = value.strip().upper()
        factor = {"K": 1000, "M": 1_000_000}.get(text[-1:], 1)
        try:
            return int(float(text.rstrip("KM")) * factor)
        except (ValueError, OverflowError):
            msg = "a number of tokens such as 4096, 32K or 1M"
            raise ValueError(msg) from None
    return value


TokenCount = Annotated[int, Field(ge=0), BeforeValidator(parse_token_count)]
"""A number of tokens; in a file also ``32K`` or ``1M``."""


class SignalRule(Section):
    """What every signal rule has."""

    name: str = Field(min_length=1)
    description: str = ""


class KeywordRule(SignalRule):
    """Matches words or patterns in the last user message."""

    foreign_keys: ClassVar[frozenset[str]] = frozenset(
        {"fuzzy_match", "fuzzy_threshold", "bm25_threshold", "ngram_threshold", "ngram_arity"}
    )

    operator: Literal["AND", "OR", "NOR"] = "OR"
    keywords: tuple[str, ...] = Field(min_length=1)
    method: Literal["literal", "regex"] = "literal"
    """``literal``: the keyword with word borders around it; ``regex``: a regular expression."""
    case_sensitive: bool = False


class EmbeddingRule(SignalRule):
    """Matches where the last user message is close in meaning to the candidates."""

    foreign_keys: ClassVar[frozenset[str]] = frozenset({"query_modality"})

    threshold: float = Field(ge=-1, le=1)
    """Cosine from which it matches."""
    candidates: tuple[str, ...] = Field(min_length=1)
    aggregation_method: Literal["max", "mean", "any"] = "max"
    """``max`` and ``any``: the nearest candidate decides; ``mean``: the average over all."""


class ContextRule(SignalRule):
    """Matches where the prompt's token count lies in ``min_tokens`` to ``max_tokens``, both included."""

    min_tokens: TokenCount = 0
    max_tokens: TokenCount | None = None


class NumericPredicate(Section):
    """Bounds that must all hold."""

    gt: float | None = None
    gte: float | None = None
    lt: float | None = None
    lte: float | None = None


class ConversationSource(Section):
    """What is counted."""

    type: Literal["message", "turn", "tool_definition", "active_tool_loop", "image_content"] = "message"
    """``turn`` counts user messages."""
    role: Literal["user", "assistant", "system", "developer", "tool", "non_user"] | None = None
    """For ``message``: only those of this role."""


class ConversationFeature(Section):
    """How it is counted."""

    type: Literal["count", "exists"] = "count"
    source: ConversationSource = ConversationSource()


class ConversationRule(SignalRule):
    """Matches on the number of messages, turns, tools or images in the request."""

    feature: ConversationFeature = ConversationFeature()
    predicate: NumericPredicate | None = None
    """Bounds for ``count``; ``exists`` needs none."""


class DomainRule(SignalRule):
    """Matches every request where its categories hold ``other``, and none else: subjects are not classified here."""

    foreign_keys: ClassVar[frozenset[str]] = frozenset({"model_scores"})

    mmlu_categories: tuple[str, ...] = ()
    """Categories of MMLU-Pro; empty = the rule's name."""


class Subject(Section):
    """A user or a group."""

    kind: Literal["User", "Group"]
    name: str = Field(min_length=1)


class RoleBinding(SignalRule):
    """Matches where the caller is one of the subjects; a condition of type ``authz`` names it by name or role."""

    role: str = ""
    subjects: tuple[Subject, ...] = Field(min_length=1)


class SignalSettings(Section):
    """The signals that decisions can use."""

    foreign_keys: ClassVar[frozenset[str]] = frozenset(
        {
            "fact_check",
            "user_feedbacks",
            "reasks",
            "preferences",
            "language",
            "structure",
            "complexity",
            "modality",
            "jailbreak",
            "pii",
            "kb",
            "events",
            "metadata",
            "classifiers",
        }
    )

    keywords: tuple[KeywordRule, ...] = ()
    embeddings: tuple[EmbeddingRule, ...] = ()
    context: tuple[ContextRule, ...] = ()
    conversation: tuple[ConversationRule, ...] = ()
    role_bindings: tuple[RoleBinding, ...] = ()
    domains: tuple[DomainRule, ...] = ()

    def names(self, kind: str) -> tuple[str, ...]:
        """Return the names that a condition of type ``kind`` may use."""
        if kind == "authz":
            return tuple(name for rule in self.role_bindings for name in (rule.name, rule.role) if name)
        rules: dict[str, tuple[SignalRule, ...]] = {
            "keyword": self.keywords,
            "embedding": self.embeddings,
            "context": self.context,
            "conversation": self.conversation,
            "domain": self.domains,
        }
        return tuple(rule.name for rule in rules.get(kind, ()))


class RuleNode(Section):
    """A leaf (``type`` and ``name`` of a signal) or an operator over conditions.

    An empty AND, or no rule at all, always matches; an empty OR never does.
    """

    foreign_keys: ClassVar[frozenset[str]] = frozenset({"label", "predicate", "on_error"})

    type: str = ""
    name: str = ""
    operator: Literal["AND", "OR", "NOT"] | None = None
    conditions: tuple["RuleNode", ...] = ()

    @model_validator(mode="after")
    def _leaf_or_operator(self) -> "RuleNode":
        if self.type and (self.operator or self.conditions):
            msg = "either type and name, or operator and conditions"
            raise ValueError(msg)
        if self.type and not self.name:
            msg = "a name beside type"
            raise ValueError(msg)
        if self.name and not self.type:
            msg = "a type beside name"
            raise ValueError(msg)
        if self.operator == "NOT" and len(self.conditions) != 1:
            msg = "exactly one condition under NOT"
            raise ValueError(msg)
        return self


class ModelRef(Section):
    """A model that a decision may send to."""

    foreign_keys: ClassVar[frozenset[str]] = frozenset({"use_reasoning", "reasoning_description", "reasoning_effort"})

    model: str = Field(min_length=1)
    lora_name: str = ""
    """Adapter; sent to the backend in the model's place."""
    weight: float = Field(default=1.0, ge=0)


class SystemPromptSettings(Section):
    """Adds or replaces the system prompt."""

    enabled: bool = True
    system_prompt: str = ""
    mode: Literal["insert", "replace"] = "insert"
    """``insert``: in front of the client's own system message; ``replace``: instead of all of them."""


class HeaderPair(Section):
    """A header and its value."""

    name: str = Field(min_length=1, pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")
    value: str = Field(pattern=r"^[\t\x20-\x7e\x80-\uffff]*$")


class HeaderMutationSettings(Section):
    """Changes the headers of the upstream request."""

    set: tuple[HeaderPair, ...] = ()
    remove: tuple[str, ...] = ()
    add: tuple[HeaderPair, ...] = ()
    """The Go router's word for ``set`` where the header is absent."""
    update: tuple[HeaderPair, ...] = ()
    """The Go router's word for ``set``."""
    delete: tuple[str, ...] = ()
    """The Go router's word for ``remove``."""


class PluginSettings(Section):
    """A step around the upstream call."""

    type: str = Field(min_length=1)
    configuration: Any = None


class MemoryPlugin(PluginSettings):
    """The route's memory settings."""

    type: Literal["memory"]
    configuration: MemoryPluginSettings = MemoryPluginSettings()


class SystemPromptPlugin(PluginSettings):
    """The route's system prompt."""

    type: Literal["system_prompt"]
    configuration: SystemPromptSettings = SystemPromptSettings()


class HeaderMutationPlugin(PluginSettings):
    """The route's header changes."""

    type: Literal["header_mutation"]
    configuration: HeaderMutationSettings = HeaderMutationSettings()


P = TypeVar("P", bound=PluginSettings)
Plugin = Annotated[MemoryPlugin | SystemPromptPlugin | HeaderMutationPlugin, Field(discriminator="type")]


class DecisionSettings(Section):
    """A named rule over signals with a priority, model refs and plugins."""

    foreign_keys: ClassVar[frozenset[str]] = frozenset(
        {
            "tier",
            "output_contract",
            "output_contract_spec",
            "algorithm",
            "adaptations",
            "candidateIterations",
            "emits",
            "annotations",
        }
    )

    name: str = Field(min_length=1)
    description: str = ""
    priority: int = 0
    """The matching decision of the highest priority wins; among equals the first in the file."""
    rules: RuleNode = RuleNode()
    modelRefs: tuple[ModelRef, ...] = ()  # noqa: N815 - the name in the file format
    plugins: tuple[Plugin, ...] = ()

    def plugin(self, kind: type[P]) -> P | None:
        """Return the plugin of a kind, the last one if there are several; None without one."""
        return next((plugin for plugin in reversed(self.plugins) if isinstance(plugin, kind)), None)


class RoutingSettings(Section):
    """Signals and decisions."""

    foreign_keys: ClassVar[frozenset[str]] = frozenset({"modelCards", "projections", "strategy"})

    signals: SignalSettings = SignalSettings()
    decisions: tuple[DecisionSettings, ...] = ()
