"""What counts as an attempt to instruct a model, by name of the rule.

Every pattern has words that must stand in a text before it is tried, and bounded repetition, so that its time grows
with the length of the text and no faster. Patterns are matched against the folded form: lower case, hidden characters
removed.
"""

import re
from dataclasses import dataclass
from typing import Final

IGNORE_INSTRUCTIONS: Final = "ignore_instructions"
ROLE_MARKERS: Final = "role_markers"
TOOL_CALL_SYNTAX: Final = "tool_call_syntax"
CLOSES_MEMORY_BLOCK: Final = "closes_memory_block"
ALWAYS_DO: Final = "always_do"
EXFILTRATION: Final = "exfiltration"
HIDDEN_TEXT: Final = "hidden_text"
CONFIGURED_PATTERN: Final = "configured_pattern"

RULES: Final = (
    HIDDEN_TEXT,
    CLOSES_MEMORY_BLOCK,
    ROLE_MARKERS,
    TOOL_CALL_SYNTAX,
    EXFILTRATION,
    IGNORE_INSTRUCTIONS,
    ALWAYS_DO,
    CONFIGURED_PATTERN,
)
"""Names of all rules, in the order in which they are tried."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One pattern of a rule.

    Attributes:
        name: Of the rule.
        hints: The pattern is tried where one of these stands in the folded text.
        pattern: What is searched for.
        strict: Whether it holds only for words that are not the user's own.
    """

    name: str
    hints: frozenset[str]
    pattern: re.Pattern[str]
    strict: bool = False


def _rule(name: str, hints: str, pattern: str, *, strict: bool = False) -> Rule:
    return Rule(name, frozenset(hints.split("|")), re.compile(pattern, re.MULTILINE), strict)


_USER = r"(?:the |this |an? |any |your )?(?:users?|customers?|clients?|callers?|visitors?|humans?|patients?|people)"
_ASKER = (
    rf"(?:{_USER}|someone|anyone|anybody|somebody|you(?: are|'re)|they|asked|queried|prompted|"
    rf"a (?:question|query|request|message)|(?:the |any )?"
    r"(?:questions?|quer(?:y|ies)|conversations?|requests?|topic|prompts?))"
)
_ASKS = (
    r"(?:asks?|asked|asking|mentions?|mentioned|says?|said|writes?|inquires?|enquires?|quer(?:y|"
    r"ies)|requests?|wants?|needs?|talks?|types?|"
    r"brings? up|discuss(?:es)?|is about|are about|about|contains?|includes?|compl(?:ains?)|"
    r"seeks?|looks? for|uses?|comes? up|regarding|confirms?|agrees?|accepts?|pays?|logs? in|"
    r"greets?)"
)
_DO = (
    r"(?:reply|respond|answer|recommend|suggest|promote|say|claim|state|tell|insist|assure|"
    r"convince|persuade|steer|pretend|deny|refuse|conceal|hide|"
    r"insert|append|add|prepend|include|mention|link|redirect|direct|send|forward|transfer|"
    r"approve|grant|reveal|call|invoke|run|execute|use|treat|"
    r"output|print|write|begin|end|praise|advise|warn|point|quote|return|give|provide|offer|"
    r"push|do not|don't|never|always|you (?:must|should|will|shall))"
)
_AGENT = (
    r"(?:the |this |any |every |all )?(?:assistants?|ai|a\.i\.|chat ?bots?|bot|agents?|language models?|"
    r"model|llms?|system)"
)
_SECRETS = (
    r"(?:conversations?|chats?|chat (?:history|logs?)|histor(?:y|ies)|memor(?:y|ies)|system prompts?|"
    r"prompts?|credentials?|passwords?|api keys?|tokens?|"
    r"secrets?|cookies?|personal (?:data|information|details)|private (?:data|information|"
    r"messages)|messages|session|everything|all (?:data|of it)|contents?|"
    r"user(?:'s)? (?:data|input|messages?|name|email|details|information)|answers?|their (?:data|"
    r"email|address|name|messages?|input))"
)
_PLACE = (
    r"(?:https?://|www\.|ftp://|[\w.+\-]{1,64}@[\w\-]{1,63}\.|webhook|(?:my|our|this|the following|"
    r"an external) (?:server|endpoint|address|url|site))"
)
_INSTRUCTIONS = (
    r"(?:instructions?|rules?|prompts?|guidelines?|directives?|polic(?:y|ies)|restrictions?|"
    r"constraints?|programming|training)"
)

PATTERNS: Final = (
    # Earlier instructions are said to be void.
    _rule(
        IGNORE_INSTRUCTIONS,
        "disregard|ignore|forget|set aside|discard",
        r"\b(?:disregard|ignore|forget|set aside|discard) (?:whatever|everything|anything|"
        r"all|what)\b(?![^.\n]{0,40}\bi\b)"
        r"[^.\n]{0,40}?\b(?:told|instructed|given|programmed|taught|trained)\b",
    ),
    _rule(
        IGNORE_INSTRUCTIONS,
        "instruction|rules|prompt|guideline",
        rf"\b{_INSTRUCTIONS} (?:above|before this|so far|given earlier|you were given)\b[^.\n]{{0,20}}?\b(?:were|"
        rf"are|is|was|no longer|do not|don't)\b"
        rf"|\b(?:previous|prior|earlier|above|original|your) {_INSTRUCTIONS} (?:are|were|have been)\b[^.\n]{{0,20}}?"
        r"\b(?:void|cancel|revoked|invalid|obsolete|suspended|lifted|removed|a test|fake)",
    ),
    _rule(
        IGNORE_INSTRUCTIONS,
        "nicht mehr|ne compte|ya no|non val|作废|無効",
        r"(?:vorher|oben|anweisungen|vorgaben)\b[^.\n]{0,40}?\b(?:gilt|gelten|zahlt|zahlen) nicht mehr|"
        r"(?:regles|consignes|instructions)\b[^.\n]{0,40}?ne (?:compte|comptent|"
        r"s'appliquent|valent) plus|(?:instrucciones|reglas)\b[^.\n]{0,40}?ya no (?:valen|"
        r"aplican|cuentan)|(?:以上|之前|上面)[^。\n]{0,10}作废",
    ),
    _rule(ROLE_MARKERS, "{{", r"\{\{\s?[#/~](?:system|assistant|user)\b"),
    _rule(ROLE_MARKERS, "system", r"^(?:[qa]: )?\s{0,4}system\s{0,2}(?:>>|->|=>)"),
    _rule(
        TOOL_CALL_SYNTAX,
        "<tool|tool_code|recipient_name",
        r"<tool(?:\s[^<>\n]{1,200})>|```tool_code|\"recipient_name\"\s?:\s?\"functions\.",
    ),
    _rule(
        CLOSES_MEMORY_BLOCK,
        "end of |ends here|end here",
        r"[>\])]\s{0,3}end of (?:the )?(?:recalled |user |stored )?(?:memor|background|context|data\b)"
        r"|\b(?:memor(?:y|ies)|background|context|data)(?: block| section| information)? ends? here\b",
    ),
    _rule(
        ALWAYS_DO,
        "the word|the term|the name|the topic|the phrase",
        r"\b(?:when(?:ever)?|if|every time|each time|any ?time|as soon as|once) the (?:word|"
        r"term|name|topic|phrase)\b[^\n]{0,60}?\b(?:appears?|occurs?|comes? up|is (?:mentioned|"
        r"used|said))\b"
        rf"[^\n]{{0,40}}?\b{_DO}\b",
    ),
    _rule(
        ALWAYS_DO,
        "your ",
        r"\byour (?:future |next |later )?(?:answers|replies|responses|recommendations|suggestions)\b[^.\n]{0,60}?\b(?"
        r":should|must|will|shall)\b[^.\n]{0,20}?"
        r"\b(?:favou?r|recommend|promote|praise|steer|endorse|advertise|link|insert)\b",
    ),
    _rule(
        ALWAYS_DO,
        "treat |answer for|answer about",
        r"\btreat (?:any|every|all|each) (?:mentions?|questions?|requests?|references?|quer(?:y|"
        r"ies))\b|\banswer (?:for|about) [^.\n]{1,40}? with (?:the )?(?:data|records?|charts?|"
        r"files?|values?|details)\b",
    ),
    _rule(
        EXFILTRATION,
        "put |insert|place |include|encode|get http|mail",
        r"\b(?:put|insert|place|include|encode|write|add)\b[^.\n]{0,20}?\b(?:what|whatever|"
        r"everything|anything|all) (?:that )?(?:the user|they|he|she|users?)\b[^\n]{0,60}?(?:https?://|"
        r"url|address|link)"
        r"|\b(?:get|post|fetch|open|load|visit|call)\b[^\n]{0,10}?https?://[^\s<{\[]{0,200}[=/](?:<|\{|\[)"
        rf"|\b(?:mail|send|forward|e-?mail) (?:a |the |every |each )?(?:transcript|log|copy|"
        rf"summary) of (?:this|the|every|each|our)\b[^.\n]{{0,40}}?\bto\b[^\n]{{0,20}}?{_PLACE}",
    ),
    # Our own block, in whatever spelling, its items, and the frames of other memory layers.
    _rule(CLOSES_MEMORY_BLOCK, "memrouter", r"<\s{0,3}/?\s{0,3}memrouter[\s_\-]{0,3}memor|/memrouter[\s_\-]{0,3}memor"),
    _rule(
        CLOSES_MEMORY_BLOCK,
        "memor|context|background|recall",
        r"<\s{0,2}/?\s{0,2}(?:[a-z]{1,12}[\-_ ])?(?:memor(?:y|ies)|recalled|retrieved_context|"
        r"context|background)(?:[\-_ ][a-z]{1,12})?"
        r"(?:\s[^<>\n]{0,60})?\s{0,2}>",
    ),
    _rule(
        CLOSES_MEMORY_BLOCK,
        "end of",
        r"(?:[\-=#*\[<(_]{2,12}|\[)\s{0,3}end of (?:the )?(?:recalled |user |stored |"
        r"retrieved )?(?:memor|background|context|data\b|document|block)",
    ),
    _rule(
        CLOSES_MEMORY_BLOCK,
        "semantic]|episodic]|procedural]",
        r"^(?:[qa]: )?\s{0,4}[\-*] ?\[\d{4}-\d\d-\d\d(?:, last seen \d{4}-\d\d-\d\d)?, (?:semantic|"
        r"episodic|procedural)\]",
    ),
    # Special tokens and headings of chat templates.
    _rule(ROLE_MARKERS, "<", r"<\|[a-z_\u2581][a-z0-9_\u2581 \-]{0,38}[a-z0-9_\u2581]\|>"),
    _rule(ROLE_MARKERS, "inst]|<<sys|<</sys|system_prompt]", r"\[/?inst\]|<</?sys>>|\[/?system_prompt\]"),
    _rule(
        ROLE_MARKERS,
        "_turn>|_header_id|system|developer|assistant",
        r"<(?:start|end)_of_turn>|</?(?:system|developer|assistant)(?:[_\-](?:prompt|message|"
        r"reminder|instructions?|note))?>"
        r"|\[/?(?:system|developer)(?: (?:message|prompt|note|override|instruction))?\]",
    ),
    _rule(
        ROLE_MARKERS,
        "system|assistant|instruction|human|developer",
        r"^(?:[qa]: )?\s{0,4}#{1,6} {0,2}(?:system|assistant|human|developer)(?: (?:prompt|"
        r"message|override|instructions?|note))? {0,2}:"
        r"|^(?:[qa]: )?\s{0,4}#{2,6} {0,2}instruction:",
    ),
    _rule(
        ROLE_MARKERS,
        "system|developer|admin",
        r"^(?:[qa]: )?[ \t>*\"'(\[]{0,6}(?:new |updated? )?(?:system|developer|admin(?:istrator)?)(?: (?:prompt|"
        r"message|note|override|update|instructions?|notice|alert))?"
        r"[*\])]{0,3}\s{0,2}:[*]{0,2}\s{0,3}"
        r"(?:you\b|your\b|ignore|from now|from this|must|always|never|do not|don't|new |"
        r"override|the assistant|the user|all |disregard|respond|reply|"
        r"answer|act |enter|enable|forget|as of|effective|please|when|whenever|if |priority|assistant)",
    ),
    _rule(
        ROLE_MARKERS,
        "system|assistant|human|developer",
        r"^(?:[qa]: )?\s{0,4}(?:system|assistant|human|developer) {0,2}:",
        strict=True,
    ),
    # Calls of tools in the forms that models are trained on.
    _rule(
        TOOL_CALL_SYNTAX,
        "tool|function|invoke|antml",
        r"</?(?:antml:)?(?:tool_calls?|tool_use|tool_code|tool_response|tool_result|function_calls?|"
        r"function_response|functioncall|invoke|tools)"
        r"(?:\s[^<>\n]{0,200})?/?>|<(?:function|parameter|tool)=[\w.\-]{1,64}>",
    ),
    _rule(
        TOOL_CALL_SYNTAX,
        "[tool_|available_tools]|assistant to=|to=functions",
        r"\[/?(?:tool_calls|tool_results|available_tools)\]|\bto=functions\.\w",
    ),
    _rule(
        TOOL_CALL_SYNTAX,
        'arguments|parameters|tool_calls|tool_input|function_call|"args|action_input',
        r"\"name\"\s{0,4}:\s{0,4}\"[\w.\-/]{1,64}\"\s{0,4},\s{0,8}\"(?:arguments|parameters|"
        r"tool_input|input)\"\s{0,4}:"
        r"|\"(?:tool_calls|function_call)\"\s{0,4}:\s{0,4}[\[{]"
        r"|\"(?:tool|action|tool_name)\"\s{0,4}:\s{0,4}\"[\w.\-/ ]{1,64}\"\s{0,4},\s{0,8}\"(?:tool_input|"
        r"action_input|arguments|args|parameters)\"\s{0,4}:",
    ),
    _rule(TOOL_CALL_SYNTAX, "action input", r"^(?:[qa]: )?\s{0,4}action: ?[^\n]{1,80}\n\s{0,4}action input:"),
    # Data on its way out.
    _rule(
        EXFILTRATION,
        "send|post |forward|upload|mail|transmit|leak|exfiltrat|submit|copy|deliver|append|encode|embed|share|report",
        rf"\b(?:send|post|forward|upload|e-?mail|transmit|leak|exfiltrate|submit|copy|deliver|"
        rf"append|share|report)\b[^.\n]{{0,50}}?\b{_SECRETS}\b"
        rf"[^\n]{{0,70}}?\b(?:to|at|via|using|through|in|as)\b[^\n]{{0,30}}?{_PLACE}",
    ),
    _rule(
        EXFILTRATION,
        "](http",
        r"!\[[^\]\n]{0,200}\]\(\s{0,3}https?://[^)\s]{0,300}?(?:=|/)(?:[{<\[$]|%7b|%3c|%5b|"
        r"data\b|secret|history|conversation|memor|"
        r"password|prompt|base64|user_?(?:data|input|info))",
    ),
    _rule(EXFILTRATION, "](http", r"!\[[^\]\n]{0,200}\]\(\s{0,3}https?://[^)\s]{1,300}?\?", strict=True),
    _rule(
        EXFILTRATION,
        "image|pixel|url|link|query",
        rf"(?:render|display|show|include|add|insert|embed|output|load|fetch|request|open|"
        rf"visit)\b[^.\n]{{0,60}}?\b(?:image|picture|pixel|url|link|iframe)\b[^\n]{{0,80}}?"
        rf"(?:with|containing|carrying|append|encod|contain|in the query|in its)[^\n]{{0,60}}?\b{_SECRETS}\b",
    ),
    # What comes before does not count, who the model is, where new instructions are.
    _rule(
        IGNORE_INSTRUCTIONS,
        "follow|obey|adhere|comply|listen|bound|attention|aside",
        rf"\b(?:do not|don't|never|stop|no longer|cease to|need not|refuse to)\s(?:have to |"
        rf"need to |longer )?(?:follow(?:ing)?|obey(?:ing)?|adher(?:e|ing) to|"
        rf"comply(?:ing)? with|listen(?:ing)? to|bound by|pay attention to)[^.\n]{{0,20}}?\b(?:previous|"
        rf"prior|above|earlier|preceding|your|system|original|initial|"
        rf"safety)\b[^.\n]{{0,30}}?\b{_INSTRUCTIONS}\b"
        rf"|\b(?:pay no attention to|set aside|put aside|no longer bound by|free(?:d)? (?:of|"
        rf"from)|not bound by)\s[^.\n]{{0,20}}?(?:previous|prior|above|earlier|your|"
        rf"system|original|any|all)\b[^.\n]{{0,30}}?\b{_INSTRUCTIONS}\b",
    ),
    _rule(
        IGNORE_INSTRUCTIONS,
        "follow|obey|execut|comply|carry out|perform",
        r"\b(?:follow|obey|execute|comply with|carry out|perform) (?:the|all|any|every|"
        r"its|these)? ?(?:hidden |new |secret |following )?(?:instructions|commands|orders|"
        r"steps)"
        r" (?:(?:that are |you (?:find|see) )?(?:at|on|in|from|found|inside|contained|written|"
        r"embedded))\b[^.\n]{0,40}?(?:https?://|page|website|site|url|link|"
        r"comment|file|memory|document|e-?mail)",
    ),
    _rule(
        IGNORE_INSTRUCTIONS,
        "developer mode|dan mode|jailbr|unrestricted|do anything now|god mode|sudo mode|"
        "no restrictions|without restrictions|no rules|no limits",
        r"\b(?:you are (?:now )?|enter |enable |activate |switch (?:in)?to |act as |acting as |"
        r"in |pretend (?:that )?(?:you are |to be )?)[^.\n]{0,30}?"
        r"(?:developer mode|dan\b|dan mode|jailbr[eo]ak\w{0,4}|unrestricted|do anything now|"
        r"god mode|sudo mode|debug mode)"
        r"|\b(?:you|ai|assistant|model) (?:now )?(?:has|have|with|without)\b[^.\n]{0,20}?\b(?:no|"
        r"any|without) (?:\w{1,15} )?(?:restrictions|rules|limits|filters|guidelines)",
    ),
    _rule(
        IGNORE_INSTRUCTIONS,
        "system prompt|system message|your instructions|your rules|hidden prompt|initial prompt",
        r"\b(?:reveal|print|repeat|show|output|display|disclose|leak|dump|recite|expose|"
        r"tell me|give me|write out)\b[^.\n]{0,30}?\b(?:your|the|its|this)\b[^.\n]{0,20}?"
        r"(?:system prompt|system message|hidden prompt|initial prompt|(?:original|initial|"
        r"hidden|secret|system) instructions|instructions verbatim)",
    ),
    _rule(
        IGNORE_INSTRUCTIONS,
        "instruction|directive|supersede|replace|your new|your real|your true|your only|your updated|your actual",
        r"\b(?:(?:these|the following|this|my) (?:new )?(?:instructions?|rules?|directives?|"
        r"message) (?:supersedes?|overrides?|replaces?|takes? (?:precedence|priority))"
        r"|your (?:new|real|true|only|updated|actual) (?:instructions?|rules?|directives?|"
        r"task|goal|purpose|objective|role|system prompt) (?:is|are|now)"
        r"|(?:new|updated|important|hidden|secret|urgent|special|additional) (?:system )?(?:instructions?|"
        r"directives?)(?: for (?:the |all )?(?:ai|assistants?|models?|agents?|llms?|chatbots?))? ?:)",
    ),
    _rule(
        IGNORE_INSTRUCTIONS,
        "from now on|from this point|henceforth|going forward",
        r"\b(?:from now on|from this point(?: on| forward| onward)?|henceforth|"
        r"going forward),? (?:you|the assistant|the model|the ai|always|"
        r"never)\b",
        strict=True,
    ),
    _rule(
        IGNORE_INSTRUCTIONS,
        "you are now|you're now|pretend|act as|roleplay|role-play",
        r"\b(?:you are now|you're now|pretend (?:to be|that you|you)|act as (?:if|"
        r"an?|the)|role-?play as)\b",
        strict=True,
    ),
    # Sleepers: on some cue, do something to somebody.
    _rule(
        ALWAYS_DO,
        "when|if |every time|each time|any time|anytime|as soon as|once |next time|on any|for any|"
        "for every|for all|should |upon",
        rf"\b(?:when(?:ever)?|if|every time|each time|any ?time|as soon as|once|the next time|"
        rf"on any|for any|for every|for all|should|upon) {_ASKER}\b[^.\n]{{0,40}}?\b{_ASKS}\b"
        rf"[^\n]{{0,120}}?(?:[,:;.]|\bthen|\bto|\balways|\bplease|\byou must|\bmust|\bshould) {{0,2}}(?:then |"
        rf"please |to |instead |also |just |simply |first |you |must |should |always |"
        rf"only |secretly |silently |quietly ){{0,4}}{_DO}\b",
    ),
    _rule(
        ALWAYS_DO,
        "when|if |every time|each time|any time|anytime|as soon as|once |next time",
        rf"\b(?:always |never |secretly |silently )?{_DO} (?:[^.\n]{{1,120}}? )?(?:when(?:ever)?|"
        rf"if|every time|each time|any ?time|as soon as|once|the next time) "
        rf"(?:{_USER}|someone|anyone|anybody|somebody|you(?: are|'re) asked)\b[^.\n]{{0,40}}?\b{_ASKS}\b(?![^.\n]"
        rf"{{0,80}}\?)",
    ),
    _rule(
        ALWAYS_DO,
        "assistant|ai |a.i.|chatbot|chat bot|bot |agent|model|llm|system",
        rf"\b{_AGENT} (?:must|should|shall|will|has to|is to|needs to|is required to|are to|"
        rf"ought to)(?: now| also| then)? (?:always |never |secretly |silently |not |only |"
        rf"immediately |automatically ){{0,2}}"
        r"(?:recommend|suggest|promote|say|claim|tell|insist|assure|deny|refuse|conceal|"
        r"hide|insert|append|prepend|link|redirect|send|forward|transfer|approve|grant|"
        r"reveal|call|invoke|execute|run|praise|mention|warn|disclose|inform|ignore|treat|trust|obey|follow)\b",
    ),
    _rule(
        ALWAYS_DO,
        "user|instruction|this rule|this memory|this note|this message|reveal",
        r"\b(?:do not|don't|never|without|must not|should not|not to|avoid)\s(?:ever )?(?:tell(?:ing)?|"
        r"inform(?:ing)?|mention(?:ing)?|reveal(?:ing)?|disclos(?:e|ing)|warn(?:ing)?|"
        r"let(?:ting)?|alert(?:ing)?|notify(?:ing)?|ask(?:ing)?|show(?:ing)?|acknowledg(?:e|"
        r"ing)|admit(?:ting)?)\b[^.\n]{0,20}?"
        r"\b(?:the users?|users|this (?:instruction|rule|memory|note|directive|message|"
        r"to the user)|these instructions|that you (?:were|have been|are) (?:told|instructed|"
        r"asked))\b",
    ),
    _rule(
        ALWAYS_DO,
        "must|always|never|remember to|make sure",
        r"\b(?:you must|you should|you will|you shall|always|never|make sure to|be sure to|"
        r"remember to) (?:always |never |not |now )?(?:answer|respond|reply|recommend|suggest|"
        r"promote|say|"
        r"tell|mention|include|append|prepend|insert|ignore|refuse|treat|"
        r"approve|transfer|forward|send|redirect|link|execute|claim|deny|"
        r"trust|obey)\b",
        strict=True,
    ),
    _rule(
        ALWAYS_DO,
        "tell (?|whenever|when|if ",
        r"\b(?:when(?:ever)?|if|every time|each time|any ?time|as soon as) (?:i|we|asked)\b[^.\n]{0,80}?,? (?:then |"
        r"please |always ){0,2}"
        r"(?:reply|respond|answer|recommend|promote|say|claim|tell|insist|"
        r"pretend|deny|refuse|insert|append|redirect|send|forward|transfer|"
        r"approve)\b",
        strict=True,
    ),
    # Bridges from one thing to another, as in attacks on the memory of agents.
    _rule(
        ALWAYS_DO,
        "refer|use |look up|query|retrieve|treat|substitute|replace|swap|redirect|instead|actually|saved|stored|moved",
        r"\b(?:data|records?|information|knowledge|details|entries|entry|file|profile|account|"
        r"answers?|results?|value)\b[^.\n]{0,40}?\b(?:is|are|was|were|has been|have been|"
        r"can be)\b"
        r"[^.\n]{0,20}?\b(?:saved|stored|moved|transferred|relocated|kept|filed|found|merged|"
        r"recorded|migrated|remapped)\b[^.\n]{0,10}?\b(?:under|in|as|at|to|with|into)\b"
        r"[^\n]{0,80}?(?:\b(?:so|therefore|thus|hence|please|always|must|should|when|whenever|"
        r"if|for any|to answer)\b[^\n]{0,60}?)?"
        r"\b(?:refer|use|look up|query|retrieve|replace|substitute|redirect|swap|answer with|"
        r"return)\b[^\n]{0,60}?\b(?:instead|to|with|for|under|of)\b",
    ),
    _rule(
        ALWAYS_DO,
        "quer|question|request|mention|reference|task|lookup|search|orders",
        r"\b(?:(?:any|every|all|each) (?:questions?|quer(?:y|ies)|requests?|mentions?|references?|"
        r"tasks?|lookups?|searches|orders?)(?: (?:about|for|to|of|on|regarding|concerning))?\b[^.\n]{0,50}?"
        r"\b(?:should|must|shall|needs? to|has to|have to|are to|is to|will|can) (?:be|"
        r"use|refer|go|return|always|query)\b)",
    ),
)
HINTS: Final = frozenset().union(*(rule.hints for rule in PATTERNS))
"""All hints of all patterns."""
