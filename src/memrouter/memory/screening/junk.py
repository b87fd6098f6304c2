"""Texts that are not worth remembering: system prompts, recalled memories, tool output, documents, boilerplate."""

import re
from itertools import islice
from typing import Final

import msgspec

JUDGED_CHARS: Final = 16_384
"""Characters of a text, from its beginning, that are looked at."""

_WORD = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)?")

_PERSONA = re.compile(
    r"\W{0,12}(?:#{0,4} ?(?:instructions?|role|task)\W{1,4}|#{1,4} |(?:system|role|persona|"
    r"identity)(?: prompt| message)?\W{1,4})?"
    r"(?P<whose>you are|you're|you will be|you will act as|act as|your role is|your name is|i want you to act as|"
    r"du bist|sie sind|tu es|vous êtes|eres|usted es|sei|você é|je bent|jesteś|ты|вы|sen|"
    r"あなたは|你是|您是|당신은|너는)"
    r"(?P<rest>[^.!?\n。]{0,160})",
    re.IGNORECASE,
)
_ROLE = re.compile(
    r"\b(?:assistants?|assistent\w{0,2}|asistente|assistente|asystent\w{0,3}|ai|chat ?bot|"
    r"bot|agent|language model|llm|model|copilot|chatgpt|claude|gpt-?\d?|gemini|"
    r"expert|experte|experto|tutor|translator|reviewer|engineer|developer|specialist|writer|"
    r"analyst|moderator|classifier|generator|summari[sz]er|"
    r"editor|coach|consultant|planner|extractor|system|ki|ia|nlp)\b|助手|助理|专家|專家|アシスタント|専門家|"
    r"어시스턴트|비서|전문가|ассистент|помощник|эксперт|yard\u0131mc\u0131",
    re.IGNORECASE,
)
_HELPFUL = re.compile(
    r"\s(?:an? |the |ein\w{0,2} |un[ae]? |um[a]? )?(?:\w+,? (?:and |und |et |y |e )?){0,3}(?:helpful|"
    r"behulpzame|pomocnym|hjälpsam|"
    r"hilfreich\w{0,2}|utile|útil|harmless|knowledgeable|professional|friendly|polite|expert|"
    r"powerful|"
    r"advanced|virtual|intelligent)(?:,? [\w\-]+){0,4} (?:assistants?|assistent|asistente|"
    r"assistente|agent|chatbot|bot|ai)\b"
    r"|\s\w{1,4} (?:assistant|asistente|assistente)(?: \w+){0,2} (?:utile|útil|serviable|"
    r"servicial|prestativo|poli|amable|gentile)\b"
    r"|[^。.]{0,20}(?:乐于助人|有帮助|有用|专业|親切|役に立つ|도움이 되는|полезн)[^。.]{0,10}"
    r"(?:助手|助理|アシスタント|어시스턴트|ассистент|помощник)",
    re.IGNORECASE,
)
_DIRECTIVE = re.compile(
    r"(?:^|[.!?:;\n。]\s{0,3})(?:[\-*•\u2013]\s{0,2}|\d{1,2}[.)]\s{0,2}|#{1,4} )?(?:please )?"
    r"(?:always|never|do not|don't|you (?:must|should|will|can|may|have access|are (?:to|"
    r"not|only|expected|allowed))|your (?:task|job|goal|role|output|answers?|responses?|"
    r"replies|purpose|responsibilit)|respond|reply|answer|use (?:the|only|a|markdown|bullet|"
    r"short)|follow|if (?:the user|you|asked|a user|users)|when (?:the user|you|a user|asked)|"
    r"output|return|format|provide|ensure|be (?:concise|brief|polite|helpful|friendly|honest|"
    r"professional)|keep |translate|summari[sz]e|classify|extract|make sure|include|avoid|"
    r"only|stay|refuse|cite|rules?\b|guidelines?|"
    r"instructions?|constraints?|tone|limit|write in|think step|knowledge cutoff|current date|tools?:|the user|"
    r"antworte|beantworte|verwende|deine aufgabe|nutze|vermeide|immer|niemals|réponds|répondez|"
    r"ne (?:réponds|jamais|\w+ jamais)|utilise|toujours|ta tâche|responde|siempre|nunca|usa |"
    r"tu tarea|"
    r"rispondi|non |sempre|sua tarefa|sempre|отвечай|никогда|всегда|твоя задача|не |请|不要|"
    r"必须|始终|你的任务|回答|常に|決して|必ず|回答|使用|항상|절대|답변)",
    re.IGNORECASE | re.MULTILINE,
)
_MOST_OF_A_WISH = 4
_SENTENCE_END = re.compile(r"[.!。](?:\s|\Z)|\n")

_RECALLED = re.compile(
    r"^\W{0,6}(?!(?:my|our)\b)(?:[a-z\-]{1,15} ){0,3}memor(?:y|ies)\b[^\n:]{0,40}:\s{0,6}(?:[\-*•]|\d{1,2}[.)])|"
    r"^\W{0,6}(?:[a-z\-]{1,15} ){0,3}(?:facts|profile|know|knowledge)\b[^\n:]{0,30}\buser\b[^\n:]{0,30}:\s{0,6}(?:[\-*"
    r"•]|\d{1,2}[.)])|"
    r"^\W{0,6}user (?:profile|facts|context)\b[^\n:]{0,40}:\s{0,6}(?:[\-*•]|\d{1,2}[.)])|"
    r"<(?:user[_\- ])?(?:memor(?:y|ies)|recalled[_\- ]memor(?:y|ies)|long[_\- ]term[_\- ]memory|"
    r"retrieved[_\- ](?:memor(?:y|ies)|context)|memory[_\- ]context)(?:\s[^<>\n]{0,80})?>"
    r"|^\W{0,6}(?:here are (?:some |the )?)?(?:relevant |recalled |retrieved |stored |saved |"
    r"long-term |user )(?:user )?memor(?:y|ies)(?: (?:of|about|for|from)[^:\n]{0,40})?\W{0,4}:?\W{0,4}\n\s{0,4}(?:[\-*"
    r"•]|\d{1,2}[.)])"
    r"|^\W{0,6}(?:memories|facts|context|background) (?:about|from|of) (?:the user|previous conversations|"
    r"earlier conversations|past conversations|user)[^\n]{0,40}:\s{0,4}\n"
    r"|^\W{0,6}(?:the following|these) (?:are|is|memories)[^\n]{0,30}memor(?:y|ies)[^\n]{0,60}:\s{0,4}\n",
    re.IGNORECASE | re.MULTILINE,
)

_FENCE = re.compile(r"^(`{3,}|~{3,})[^\n]*\n.*?(?:^\1[ \t]*$|\Z)", re.MULTILINE | re.DOTALL)
_MACHINE_LINE = re.compile(
    r"\s*(?:"
    r"\[?\d{4}[\-/]\d\d[\-/]\d\d[T ,]\d\d:\d\d|\[?\d\d:\d\d:\d\d|[A-Z][a-z]{2} {1,2}\d{1,2} \d\d:\d\d:\d\d|"
    r"\d{1,3}(?:\.\d{1,3}){3} - "
    r"|\[?(?:INFO|DEBUG|WARN(?:ING)?|ERROR|TRACE|FATAL|CRITICAL|NOTICE|PASS|FAIL(?:ED)?|PASSED|OK|SKIPPED)\b[\]:\s]"
    r"|Traceback \(most recent|File \"|at [\w.$<>/]+\s?\(|Caused by:|\.{3} \d+ more|\w*(?:Error|"
    r"Exception)(?::|$)|panic:|goroutine \d|Exit code|exit status|Process exited"
    r"|[$#>%] ?\S|>>> |\.\.\. |[drwx\-]{10}\s|total \d+$|diff --git|index [0-9a-f]{6}|(?:---|"
    r"\+\+\+) [ab/]|@@ |commit [0-9a-f]{7}|"
    r"[+\-](?=[^\s\d\-])|={4,}|-{4,}|\*{4,}|~{2,}|\^+$|\|[^\n]*\||\+-{2,}"
    r"|[{}\[\]();,]+$|[\"']?[\w.\-]{1,60}[\"']?\s?[:=]\s?(?:[\"'{\[(\d]|true\b|false\b|null\b|"
    r"None\b|$)|</?[\w!?][^<>\n]{0,200}>"
    r"|(?:import|from|def|class|return|const|let|var|public|private|protected|static|function|"
    r"func|fn|package|using|namespace|#include|#define|SELECT|INSERT|UPDATE|DELETE|"
    r"CREATE|ALTER|DROP|FROM|WHERE|JOIN|GROUP BY|ORDER BY|async|await|elif|else|try|except|"
    r"finally|with|for|while|if|switch|case|export|struct|enum|impl|interface|print|echo|"
    r"sudo|pip|npm|docker|kubectl|git|curl|cd|mkdir|apt|FROM|RUN|COPY|CMD|ENV)\b[^.?!]*[;{}():=\[\]<>\"'\-/]"
    r"|[\w.\[\]\"']+\s?(?:=|\+=|:=|->|=>)\s?\S|[\w.]+\([^\n]*\)\s*[;{]?\s*(?:#.*|//.*)?$|"
    r"(?:#|//|/\*|\*|--)\s|[^\n]*[;{}]\s*$"
    r"|https?://\S+\s*$|/[\w./\-]+(?::\d+)?(?:\s|:|$)|[0-9a-f]{8,}\s|\d+\s{2,}\S|(?:[^,\n]{1,40},(?! )){2,}[^,\n]{0,40"
    r"}$|\S+(?: {2,}\S+){2,}|[.FEsx]{4,}(?:\s|$)|E {2,}|={3,}|_{3,}|\d+ (?:passed|failed|"
    r"errors?)\b|(?:GET|POST|PUT|PATCH|DELETE|HEAD) /\S* HTTP|HTTP/\d|(?:import|from) [\w.]+(?: import [\w., *]+)?(?: "
    r"as \w+)?$|(?:SELECT|FROM|WHERE|ORDER BY|GROUP BY|JOIN|SET|VALUES) \S|(?:return|break|"
    r"continue|pass|raise|yield)\b|"
    r"[^\n]*?\w=\S+(?:\s+\w+=\S+)+|\s+[\w.\-]+: \S{1,60}$|- [\"'][^\"'\n]+[\"']$|PING \S|"
    r"(?:Author|Host|Accept|User-Agent|Content-\w+|X-[\w\-]+|Date|Server|Cache-Control|Connection|"
    r"ETag|Location|Set-Cookie|Authorization)(?:-\w+)*: \S|(?:[^\t\n]{0,60}\t){2,}"
    r")"
)
_PROSE = re.compile(r"(?:[^\W\d_]+(?:['\u2019\-][^\W\d_]+)?[,;]? ){3,}[^\W\d_]+")
_MOST_LINES = 200
_MACHINE_SHARE = 0.8

_DOCUMENT_CHARS = 1_500
_DOCUMENT_CHARS_WIDE = 500
_PREAMBLE = 200
_FIRST_PERSON_SHARE = 0.004
_FIRST_PERSON = frozenset(
    """
    i i'm i've i'd i'll me my mine myself we we're we've our ours us ich mir mich mein meine meinen meiner meinem
    wir uns unser unsere je j'ai me moi mon ma mes nous notre nos yo mi mis mí me nosotros nuestro nuestra io mio
    mia miei mie noi nostro eu meu minha meus minhas nós nosso ik mij mijn wij we ons onze ja mnie mój moja moje my
    nam nasz jag mig min mitt mina vi vår jeg meg mitt min vores minä minun mina já můj moje ben benim bana biz я
    мне меня мой моя моё мои мы нас наш мені мій أنا لي نحن אני שלי אנחנו मैं मेरा मेरी मेरे हम
    """.split()  # noqa: SIM905 -- a list of words reads better as prose
)
_WIDE_FIRST_PERSON = re.compile("[我俺私僕]|自分|나는|내가|제가|저는|우리")
_WIDE = re.compile("[\u3040-\u30ff\u4e00-\u9fff\uac00-\ud7af]")
_LEAST_WORDS = 150

_BOILERPLATE_CHARS = 1_500
_BOILERPLATE = re.compile(
    # Pages and bodies of errors
    r"\W{0,8}(?:error\W{1,3}|http(?:/\d(?:\.\d)?)?\W{1,3}|status\W{1,3}|fehler\W{1,3}|erreur\W{1,3})?(?:code\W{1,3})?["
    r"45]\d\d\b\W{0,4}(?:-|error)?\W{0,3}"
    r"(?:not found|forbidden|bad (?:gateway|request)|internal server error|service (?:temporarily )?unavailable|"
    r"gateway time-?out|unauthorized|too many requests|request timeout|method not allowed|"
    r"gone|conflict|payload too large|page not found|nicht gefunden|seite nicht gefunden|"
    r"page introuvable|página no encontrada|pagina non trovata)"
    r"|\W{0,8}(?:internal server error|bad gateway|service unavailable|gateway time-?out|"
    r"upstream connect error|upstream request timeout|this site can.t be reached|connection (?:refused|"
    r"timed out|reset)\b|"
    r"rate limit(?: exceeded| reached)|too many requests|access (?:denied|to this (?:page|"
    r"resource) (?:has been|is) (?:denied|forbidden))|an? (?:unexpected |internal |unknown )?error (?:has )?occurred|"
    r"(?:oops|whoops)\W|your session has (?:expired|timed out)|something went wrong|the (?:page|"
    r"resource|file|url|site)[^.\n]{0,50}(?:could not be found|"
    r"cannot be found|can.t be found|was not found|is (?:currently |temporarily )?(?:unavailable|"
    r"down))|page not found|"
    r"request (?:failed|timed out)|server error|timeout(?: error)?\W|network error|err_[a-z_]+|"
    r"error: (?:request|connection|network|rate|timeout|upstream|failed)|"
    r"es ist ein (?:\w+ )?fehler aufgetreten|une erreur (?:\w+ )?(?:est survenue|s'est produite)|"
    r"se (?:ha )?produ[cj]\w+ un error|si è verificato un errore|ocorreu um erro|"
    r"произошла ошибка|страница не найдена|发生错误|页面不存在|找不到页面|"
    r"エラーが発生しました|ページが見つかりません|오류가 발생했습니다|페이지를 찾을 수 없습니다)"
    # Guards before pages
    r"|\W{0,8}(?:please )?(?:verify(?:ing)? (?:that )?you are (?:a )?human|checking (?:your browser|"
    r"if the site connection)|enable javascript|just a moment\W|please (?:enable|turn on) (?:javascript|"
    r"cookies)|"
    r"you need to enable javascript|javascript (?:is (?:required|disabled)|must be enabled)|"
    r"complete the (?:captcha|security check)|attention required)"
    # Models about themselves
    r"|\W{0,4}(?:as an? (?:ai|artificial intelligence|large language|language)(?: language)?(?: model|"
    r" assistant)?\b|als (?:ki|künstliche intelligenz)\b|en tant qu'(?:ia|intelligence)|como (?:una )?(?:ia|"
    r"inteligencia artificial)\b|"
    r"as a large language model|i am an ai (?:language model|assistant)|i'm (?:just )?an ai\b|"
    r"作为(?:一个|一名)?(?:ai|人工智能)|私は(?:ai|人工知能))"
    # Automatic mail
    r"|\W{0,4}(?:automatic(?:ally generated)? (?:reply|response|message|email)|auto-?(?:reply|"
    r"response)|out of (?:the )?office\W{1,3}(?:re|auto|notice|reply|message)?|abwesenheitsnotiz|"
    r"automatische (?:antwort|abwesenheit)|"
    r"réponse automatique|message d'absence|respuesta automática|risposta automatica|resposta automática|"
    r"this is an? (?:automated|auto-?generated|automatic) (?:message|email|reply|response|"
    r"notification)|"
    r"(?:please )?do not reply to this (?:e-?mail|message)|dies ist eine automatisch|ceci est un message automatique|"
    r"este es un mensaje automático|自动回复|自動返信|자동 회신|автоответ|delivery status notification|"
    r"undeliverable:|mail delivery (?:failed|subsystem))",
    re.IGNORECASE,
)
_TOPICS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"cookies?\b|クッキー",
        (
            r"accept(?: all)?\b|akzeptieren|zustimmen|accepter|aceptar|accetta|aceitar|"
            r"accepteren|принять|同意|接受|許可|동의"
        ),
        (
            r"privacy (?:policy|notice|settings)|preferences|manage|reject|consent|necessary|"
            r"essential|personali[sz]e|datenschutz|einstellungen|politique|confidentialité|paramètres|"
            r"privacidad|"
            r"rechazar|configurar|preferenze|rifiuta|privacidade|rejeitar|voorkeuren|"
            r"настройки|设置|拒绝|偏好|設定|拒否|쿠키|거부"
        ),
    )
)
_MAIL_MARKERS = re.compile(
    r"away from my desk|will (?:answer|respond|reply)(?: to)? (?:to )?(?:your|you)|if it is urgent|"
    r"sie erhalten diese e-?mail|"
    r"abmelden|newsletter|limited access to (?:my )?e-?mail|(?:respond|reply|get back) (?:to (?:you|"
    r"your \w+) )?(?:as soon as|"
    r"upon|when|on) (?:possible|my return|i return|i am back)|for urgent (?:matters|requests|"
    r"issues)|in urgent cases|"
    r"currently out of (?:the )?office|thank you for your (?:e-?mail|message)|on (?:annual )?(?:leave|"
    r"vacation) (?:until|from)|nicht im (?:büro|haus)|in dringenden fällen|absent du bureau|"
    r"en cas d'urgence|fuera de la oficina|"
    r"unsubscribe|view (?:this (?:e-?mail )?|it )?in (?:your )?browser|all rights reserved|"
    r"this e-?mail (?:and any attachments )?(?:is|are) (?:confidential|intended)|"
    r"you (?:are receiving|received) this (?:e-?mail|message) because|no longer wish to receive|"
    r"terms (?:of (?:service|use)|and conditions)|sent from my \w+|update your preferences",
    re.IGNORECASE,
)
# Of each marker that ASCII can spell, words that stand in it.
_MAIL_HINTS = (
    "from my desk", "will answer", "will respond", "will reply", "urgent", "sie erhalten", "abmelden", "newsletter",
    "limited access", "respond ", "reply ", "get back", "office", "for your e", "for your message", "on leave",
    "on vacation", "on annual ", "nicht im haus", "in dringenden", "absent du bureau", "d'urgence",
    "fuera de la oficina", "unsubscribe", "browser", "all rights reserved", "confidential", "intended", "because",
    "longer wish to receive", "terms ", "sent from my", "your preferences",
)  # fmt: skip


def is_system_prompt(text: str) -> bool:
    """Return whether a text sets up an assistant: who it is, and how it has to behave.

    A user's wish ("You are my French tutor. Never switch to English.") is none, unless it goes on and on.
    """
    persona = _PERSONA.match(text)
    judged = text[:JUDGED_CHARS]
    if persona is None and "the user" not in judged.lower():
        return False
    directives = sum(1 for _ in islice(_DIRECTIVE.finditer(judged), 12))
    if persona is None:
        return directives >= 6 and not _first_person(judged)
    rest = persona["rest"]
    if re.match(r"\W{0,2}(?:my|our|mein|unser|mon|ma|mi|mio|mia|meu|minha|мой|моя|我的|私の)\b", rest, re.IGNORECASE):
        return directives > _MOST_OF_A_WISH and len(text) > 300
    if _HELPFUL.match(rest) and not _first_person(judged) and "?" not in judged:
        return True
    if _ROLE.search(rest) is None:
        return False
    return directives >= 2 or (
        len(_SENTENCE_END.findall(judged)) >= 3 and "?" not in judged and not _first_person(judged)
    )


def is_recalled(text: str) -> bool:
    """Return whether a text holds what a memory layer recalled; stored again it would be remembered for ever."""
    return _RECALLED.search(text, 0, JUDGED_CHARS) is not None


def is_tool_output(text: str) -> bool:
    """Return whether a text is nothing but what programs write and read: JSON, markup, logs, traces, tables, code."""
    judged = text[:JUDGED_CHARS].strip()
    if _is_json(judged):
        return True
    prose = _FENCE.sub("\n", judged)
    lines = [line for line in prose.splitlines() if line.strip()]
    if prose != judged and len(_WORD.findall(prose)) <= 3:
        return True
    if len(lines) < 2:
        return bool(lines) and _is_markup(lines[0])
    shown = lines[:_MOST_LINES]
    machine = [_MACHINE_LINE.match(line) is not None for line in shown]
    talk = sum(1 for line, known in zip(shown, machine, strict=True) if not known and _PROSE.search(line))
    return not talk and sum(machine) >= _MACHINE_SHARE * len(shown) and not _numbered_talk(shown)


def _numbered_talk(lines: list[str]) -> bool:
    """Return whether lines that look like a program's are sentences with first-person words after all."""
    return any(not _FIRST_PERSON.isdisjoint(_WORD.findall(line.casefold())) for line in lines if _PROSE.search(line))


def _is_json(text: str) -> bool:
    if text[:1] not in "{[" or text[-1:] not in "}]" or len(text) < 12:
        return False
    try:
        msgspec.json.decode(text.encode(errors="replace"))
    except (msgspec.DecodeError, RecursionError):
        return text.count('":') >= 3 and len(_WORD.findall(text[:200])) < 60
    return True


def _is_markup(line: str) -> bool:
    return re.match(r"<(?:!doctype|html|\?xml|svg|table|div|rss|feed)\b", line, re.IGNORECASE) is not None


def is_document(text: str) -> bool:
    """Return whether a text is a long one in which nobody speaks of himself, such as a pasted article."""
    judged = text[:JUDGED_CHARS]
    wide = len(_WIDE.findall(judged))
    if wide > _DOCUMENT_CHARS_WIDE:
        return len(_WIDE_FIRST_PERSON.findall(judged[_PREAMBLE // 3 :])) <= wide * _FIRST_PERSON_SHARE / 2
    if len(judged) < _DOCUMENT_CHARS:
        return False
    words = _WORD.findall(judged[_PREAMBLE:].casefold().replace("\u2019", "'"))
    spoken = sum(word in _FIRST_PERSON for word in words)
    return len(words) >= _LEAST_WORDS and spoken <= len(words) * _FIRST_PERSON_SHARE


def is_boilerplate(text: str) -> bool:
    """Return whether a text is standard wording: a page of an error, a cookie banner, an automatic reply."""
    if len(text) > _BOILERPLATE_CHARS:
        return False
    if _BOILERPLATE.match(text) and not _first_person_early(text):
        return True
    if _may_be_of_cookies(text) and all(topic.search(text) for topic in _TOPICS) and not _personal(text):
        return True
    return _may_be_mail(text) and len({found[0].casefold() for found in _MAIL_MARKERS.finditer(text)}) >= 2


def _may_be_of_cookies(text: str) -> bool:
    """Return whether the first topic may stand in a text; beyond ASCII, letters have too many forms to tell."""
    return not text.isascii() or "cookie" in text.lower()


def _may_be_mail(text: str) -> bool:
    """Return whether a marker of mail may stand in a text; likewise."""
    if not text.isascii():
        return True
    lowered = text.lower()
    return any(hint in lowered for hint in _MAIL_HINTS)


def _first_person(text: str) -> bool:
    return not _FIRST_PERSON.isdisjoint(_WORD.findall(text.casefold().replace("\u2019", "'")))


def _first_person_early(text: str) -> bool:
    """Return whether someone speaks of himself right behind a phrase that pages of errors begin with, too."""
    return (
        re.search(r"\b(?:my|mein\w{0,2}|mon|mi|i (?:get|got|keep|see|saw|was|am getting))\b", text[:200], re.IGNORECASE)
        is not None
    )


def _personal(text: str) -> bool:
    return re.search(r"\b(?:i|my|ich|mein\w{0,2}|je|mon|yo|mi)\b", text, re.IGNORECASE) is not None
