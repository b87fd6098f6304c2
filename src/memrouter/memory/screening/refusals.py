"""Answers that only decline, in many languages."""

import re

_LONGEST_REFUSAL = 240
_LONGEST_WIDE_REFUSAL = 90

_APOLOGY = re.compile(
    r"(?:i'?m |i am |we'?re |we are )?(?:so |very |really |truly |terribly )?sorry\W{0,3}(?:but\W{1,2})?"
    r"|(?:i|we) apologi[sz]e\W{0,3}(?:but\W{1,2})?"
    r"|unfortunately\W{0,3}"
)
_CANNOT = re.compile(r"(?:i|we) (?:can'?t|cannot|can not|won'?t|will not)\b")
_REFUSAL = re.compile(
    r"as an ai\b"
    r"|(?:that|this|it)(?:'?s| is) (?:not )?something (?:that )?(?:i|we)(?:'m| am)? (?:can'?t|"
    r"cannot|can|not able|unable)\b"
    r"|i(?:'d| would) rather not (?:answer|say|discuss|do|talk)\b"
    r"|(?:i'?m|i am|we'?re|we are) (?:unable|not able|not allowed|not permitted)\b"
    r"|(?:i|we) (?:can'?t|cannot|can not|won'?t|will not|must decline to|have to decline to|"
    r"am afraid i can'?t) (?:\w+ )?"
    r"(?:help|assist|answer|provide|do|comply|fulfill?|discuss|engage|support|share|continue|create|generate)\b"
    r"|(?:this|that|your) (?:request|question|content) (?:violates|goes against|is against|conflicts with)\b"
    r"|(?:i|we) (?:must|have to) (?:respectfully )?decline\b"
)
# An apology or the mention of being a model, then that it cannot be done, at the start of a short answer.
_OTHERS = re.compile(
    r"das (?:kann|darf|werde) ich (?:dir |ihnen )?(?:leider )?nicht\b|je ne suis pas en mesure de|"
    r"(?:eso|esto) no es algo (?:en|con) (?:lo )?que (?:pueda|puedo)|"
    r"(?:(?:es )?tut mir leid|entschuldigung|leider|als ki|verzeihung)\b[^.!?\n]{0,60}?\b(?:nicht|kein\w{0,2})\b"
    r"|(?:ich )?(?:kann|darf|werde) (?:dir |ihnen |das |dabei |dazu |diese \w+ |bei \w+ ){0,3}(?:leider )?nicht (?:hel"
    r"fen|weiterhelfen|beantworten|erfüllen|unterstützen|beistehen)"
    r"|(?:(?:je suis |je )?(?:vraiment )?(?:désolée?|regrette)|malheureusement|en tant qu'ia|"
    r"en tant que modèle)\b[^.!?\n]{0,60}?\b(?:ne (?:peux|puis|suis)|pas en mesure|impossible)\b"
    r"|je ne peux pas (?:vous |t'|te )?(?:aider|répondre|fournir|faire|traiter|donner)"
    r"|(?:lo siento|lo lamento|disculpa|perdón|lamentablemente|como (?:una )?(?:ia|modelo de))\b[^.!?\n]{0,60}?\bno (?"
    r":puedo|podemos|me es posible|estoy)\b"
    r"|no puedo (?:ayudar|responder|proporcionar|cumplir|asistir)"
    r"|(?:mi dispiace|purtroppo|scusa|come (?:ia|modello))\b[^.!?\n]{0,60}?\bnon (?:posso|"
    r"possiamo|sono in grado)\b|non posso (?:aiutar|rispondere|fornire|soddisfare)"
    r"|(?:desculpe|sinto muito|lamento|infelizmente|como (?:uma )?(?:ia|modelo))\b[^.!?\n]{0,60}?\bnão (?:posso|"
    r"consigo|sou capaz|podemos)\b|não posso (?:ajudar|responder|fornecer)"
    r"|(?:het spijt me|sorry|helaas)\b[^.!?\n]{0,60}?\b(?:niet|geen)\b[^.!?\n]{0,40}?\b(?:helpen|"
    r"beantwoorden|voldoen|geven|ondersteunen)"
    r"|(?:przykro mi|przepraszam|niestety)\b[^.!?\n]{0,60}?\bnie (?:mogę|jestem w stanie)\b"
    r"|(?:jag är ledsen|tyvärr|beklager|desværre|jeg beklager)\b[^.!?\n]{0,60}?\b(?:inte|"
    r"ikke)\b[^.!?\n]{0,20}?(?:hjälpa|hjelpe|hjælpe|svara|svare)?"
    r"|(?:omlouvám se|bohužel|je mi líto)\b[^.!?\n]{0,60}?\b(?:nemohu|nemůžu)\b"
    r"|(?:üzgünüm|maalesef|özür dilerim)\b[^.!?\n]{0,70}?(?:edemem|olamam|veremem|"
    r"yapamam|edemiyorum|yard\u0131mc\u0131 olam)"
    r"|(?:извините|простите|к сожалению|мне жаль|как ии|как языковая модель)[^.!?\n]{0,60}?(?:не могу|"
    r"не в состоянии|не можем)|я не могу (?:помочь|ответить|предоставить|выполнить)"
    r"|(?:вибачте|на жаль|перепрошую)[^.!?\n]{0,60}?не можу"
    r"|(?:عذرا|عذرًا|آسف|أعتذر|للأسف)[^.!?\n]{0,60}?(?:لا أستطيع|لا يمكنني|لا أقدر)"
    r"|(?:很?抱歉|对不起|對不起|不好意思|作为(?:一个|一名)?(?:ai|人工智能))[^。!?\n]{0,30}?(?:无法|無法|不能|不可以|没有办法)|"
    r"我(?:无法|無法|不能)(?:帮|幫|协助|提供|回答|满足)"
    r"|(?:申し訳(?:ありません|ございません|ない)|すみません|ごめんなさい|恐れ入りますが)[^。!?\n]{0,50}?(?:できません|できかねます|お答えできない|出来ません|いたしかねます)"
    r"|(?:죄송(?:합니다|하지만|해요)|미안하지만|유감(?:입니다|스럽게도))[^.!?\n]{0,50}?(?:수 없|어렵습니다|불가능)"
)


def is_refusal(text: str) -> bool:
    """Return whether an answer is a short one that begins by declining and does nothing else."""
    if len(text) > _LONGEST_REFUSAL:
        return False
    plain = " ".join(text.replace("\u2019", "'").casefold().split())
    apology = _APOLOGY.match(plain)
    if apology is not None and _CANNOT.match(plain, apology.end()):
        return True
    if _REFUSAL.match(plain, apology.end() if apology else 0):
        return True
    longest = _LONGEST_REFUSAL if plain[:1] < "\u3000" else _LONGEST_WIDE_REFUSAL
    return len(plain) <= longest and _OTHERS.match(plain) is not None
