"""Tells in many languages whether a text asks to ignore the instructions that stand above it.

Languages with blanks between words are matched word by word: a verb ("ignore"), a word for what came before
("previous") and one for instructions must stand close together in one sentence. Time grows with the number of words.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Final

from memrouter.memory.screening.folding import folded

_NEAR = 9
_WORD = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)?|[.!?;\n]")
_SENTENCE_ENDS = frozenset(".!?;\n")

# For each language: verbs | words for what came before or stands above | words for instructions. Folded on use.
_LANGUAGES: Final = (
    (  # English
        "ignore disregard forget override bypass neglect discard overrule unlearn violate disobey",
        "previous prior above earlier preceding foregoing initial original developer your",
        (
            "instruction instructions rule rules prompt prompts guideline guidelines directive directives "
            "directions command commands policy policies programming training constraints restrictions guardrails "
            "guidance safeguards"
        ),
    ),
    (  # German
        (
            "ignoriere ignorier ignorieren ignoriert vergiss vergesse vergessen missachte missachten ubergehe "
            "verwirf umgehe uberschreibe"
        ),
        (
            "vorherigen vorherige vorheriger vorigen bisherigen bisherige fruheren obigen obige vorangegangenen "
            "vorangehenden deine deiner ursprunglichen system alten vorstehenden"
        ),
        (
            "anweisungen anweisung instruktionen regeln vorgaben befehle systemprompt prompt prompts richtlinien "
            "direktiven vorschriften"
        ),
    ),
    (  # French
        (
            "ignore ignorez ignorer oublie oubliez oublier negliger neglige negligez contourne contournez "
            "outrepasse outrepassez"
        ),
        (
            "precedentes precedente precedents precedent anterieures anterieurs ci-dessus dessus tes vos systeme "
            "initiales initial"
        ),
        "instructions instruction consignes consigne regles regle directives ordres prompt",
    ),
    (  # Spanish
        "ignora ignore ignorar olvida olvide olvidate olvidar descarta descarte omite omita desobedece",
        "anteriores anterior previas previa previos previo arriba tus sus sistema iniciales originales",
        "instrucciones instruccion reglas regla ordenes directrices directivas indicaciones prompt",
    ),
    (  # Portuguese
        "ignore ignora ignorar esqueca esquece esquecer desconsidere desconsidera descarte",
        "anteriores anterior previas previa acima suas tuas sistema iniciais originais",
        "instrucoes instrucao regras regra ordens diretrizes comandos prompt",
    ),
    (  # Italian
        "ignora ignori ignorare ignorate dimentica dimentichi dimenticare trascura scarta disattendi",
        "precedenti precedente sopra tue tuoi sistema iniziali originali",
        "istruzioni istruzione regole regola ordini direttive indicazioni comandi prompt",
    ),
    (  # Dutch
        "negeer negeren vergeet vergeten omzeil",
        "vorige voorgaande eerdere bovenstaande je jouw uw systeem oorspronkelijke",
        "instructies instructie regels opdrachten richtlijnen aanwijzingen prompt",
    ),
    (  # Polish; ł has no accent to be taken off
        "zignoruj ignoruj zapomnij pomin odrzuc",
        "poprzednie poprzednich wczesniejsze wczesniejszych powyzsze powyzszych swoje swoich systemowe",
        "instrukcje instrukcji instrukcjach polecenia polecen poleceniach zasady zasad zasadach reguly prompt",
    ),
    (  # Czech, Slovak
        "ignoruj ignorujte zapomen zapomente zabudni",
        "predchozi predchadzajuce predesle vyse drivejsi systemove sve",
        "instrukce pokyny pokyn instrukcie pravidla prikazy",
    ),
    (  # Swedish, Danish, Norwegian
        "ignorera ignorer glom glem bortse",
        "tidigare foregaende tidligere foregaende forrige ovanstaende dina dine system forriga forudgaende",
        ("instruktioner instruktionerna instruksjoner instrukser instruktionerne regler reglerna reglerne anvisningar"),
    ),
    (  # Finnish
        "unohda ohita sivuuta jata",
        "aiemmat aikaisemmat edelliset edeltavat ylla",
        "ohjeet saannot kaskyt maaraykset ohjeesi",
    ),
    (  # Hungarian
        "felejtsd hagyd ignorald",
        "korabbi elozo fenti eddigi",
        "utasitasokat utasitast szabalyokat utasitasait iranyelveket",
    ),
    (  # Romanian
        "ignora ignorati uita uitati",
        "anterioare precedente tale sistem",
        "instructiunile instructiuni regulile comenzile",
    ),
    (  # Turkish; dotless i stays
        "unut unutun gormezden yok yoksay dikkate",
        "onceki yukar\u0131daki yukaridaki tum sistem",
        "talimatlar\u0131 talimatlari talimatlar kurallar\u0131 kurallari komutlar\u0131 komutlari yonergeleri",
    ),
    (  # Russian
        "игнорируи игнорируите проигнорируи проигнорируите забудь забудьте отбрось",
        "предыдущие предыдущих прежние прошлые вышеуказанные системные свои все",
        "инструкции инструкциях указания правила команды распоряжения промпт",
    ),
    (  # Ukrainian
        "ігноруи ігноруите проігноруи проігноруите забудь забудьте іґноруи ігноруи",
        "попередні минулі системні всі вищезазначені",
        "інструкції інструкціі вказівки правила команди",
    ),
    (  # Greek
        "αγνοησε αγνοηστε ξεχασε ξεχαστε παραβλεψε",
        "προηγουμενες προηγουμενων παραπανω προηγουμενους αρχικες",
        "οδηγιες οδηγιων κανονες εντολες",
    ),
    (  # Vietnamese, in folded form; Indonesian, Malay
        "abaikan lupakan bo quen",
        "sebelumnya tren truoc sistem",
        "instruksi perintah aturan arahan huong lenh",
    ),
    (  # Arabic, Persian; short vowels are not written
        "تجاهل تجاهلي انس اهمل ناديده",
        "السابقه السابقة اعلاه أعلاه السابقين السابق قبلی",
        "التعليمات تعليمات القواعد الاوامر الأوامر الارشادات تعليماتك دستورالعمل",
    ),
    (  # Hebrew
        "התעלם תתעלם שכח תשכח התעלמי",
        "הקודמות הקודמים הקודם לעיל",
        "ההוראות הוראות הכללים ההנחיות",
    ),
)
# Written without blanks: verbs, what came before, instructions; the verb may stand on either side.
_UNSPACED: Final = (
    (
        "忽略 无视 無視 忘记 忘記 忘掉 不要理会 不要理會 抛开",
        "之前 以前 先前 前面 上面 以上 上述 此前 所有 系统 系統",
        "指令 指示 规则 規則 提示 命令 要求 说明 設定",
    ),
    (
        "無視 忘れ 無効 破棄 従わない",
        "以前 これまで 今まで 前の 上記 先ほど 以上 すべて 全て システム",
        "指示 命令 ルール 規則 プロンプト 制約",
    ),
    (
        "무시 잊어 잊고 무효",
        "이전 앞의 지금까지 위의 모든 기존 시스템",
        "지시 지침 명령 규칙 프롬프트",
    ),
    (
        "अनदेखा भूल नज़रअंदाज़ अनसुना",
        "पिछले पहले पूर्व उपरोक्त सभी",
        "निर्देश नियम आदेश",
    ),
    (
        "เพิกเฉย ละเว้น ลืม ไม่ต้องสนใจ",
        "ก่อนหน้า ข้างต้น ทั้งหมด เดิม",
        "คำสั่ง กฎ คำแนะนำ",
    ),
)
_UNSPACED_NEAR = 24
_NON_LATIN = re.compile("[\u0900-\u097f\u0e00-\u0e7f\u3040-\u30ff\u4e00-\u9fff\uac00-\ud7af]")
_COMPACT = re.compile(
    r"(?<!never )(?<!not )(?<!n't )"
    r"(?:ignore|disregard|forget|override|bypass)[\W_]{0,3}(?:(?:all|any|of|the|every|these|"
    r"those|your|my)[\W_]{0,3}){0,4}"
    r"(?:previous|prior|above|earlier|preceding|your|system)[\W_]{0,3}(?:(?:system|and|or|"
    r"safety|given|prior|previous)[\W_]{0,3}){0,3}"
    r"(?:instruction|rule|prompt|guideline|directive|command)"
)
_COMPACT_VERBS = ("ignore", "disregard", "forget", "override", "bypass")
"""One of them stands in whatever ``_COMPACT`` finds, and is found quicker."""
_OWN = frozenset(
    """
    my me mine mein meine meinen mes mon mis mi meus minhas miei mie mijn mina mine moje moja мои мои
    """.split()  # noqa: SIM905 -- a list of words reads better as prose
)
_NOT = frozenset(("don't", "don\u2019t", "not", "never"))


class Overrides:
    """Knows the words. Built once."""

    def __init__(self) -> None:
        self._words: dict[str, tuple[int, int, int]] = {}
        for language, groups in enumerate(_LANGUAGES):
            for part, words in enumerate(groups):
                for word in folded(words).split():
                    masks = list(self._words.get(word, (0, 0, 0)))
                    masks[part] |= 1 << language
                    self._words[word] = (masks[0], masks[1], masks[2])
        self._objects = frozenset(word for word, (_, _, objects) in self._words.items() if objects)
        self._unspaced = [tuple(tuple(folded(part).split()) for part in groups) for groups in _UNSPACED]

    def found(self, text: str, *, own: bool) -> bool:
        """Return whether a folded text asks to ignore earlier instructions.

        Args:
            text: In folded form.
            own: Whether someone may take back instructions of his own ("ignore my previous instructions").
        """
        may_be = any(verb in text for verb in _COMPACT_VERBS)
        if may_be and _COMPACT.search(text) and not (own and re.search(r"\bmy\W", text)):
            return True
        return self._spaced(text, own=own) or (_NON_LATIN.search(text) is not None and self._without_blanks(text))

    def _spaced(self, text: str, *, own: bool) -> bool:
        words = _WORD.findall(text)
        if self._objects.isdisjoint(words):
            return False
        for sentence in _sentences(words):
            hits = [(place, self._words[word]) for place, word in enumerate(sentence) if word in self._words]
            if len(hits) > 1 and self._close(sentence, hits, own=own):
                return True
        return False

    def _close(self, sentence: list[str], hits: list[tuple[int, tuple[int, int, int]]], *, own: bool) -> bool:
        for index, (place, (_, _, objects)) in enumerate(hits):
            if not objects:
                continue
            verbs = befores = 0
            for near, (verb, before, _) in hits[max(0, index - _NEAR) : index + _NEAR + 1]:
                if near != place and abs(near - place) <= _NEAR:
                    verbs |= 0 if verb and not _NOT.isdisjoint(sentence[max(0, near - 2) : near]) else verb
                    befores |= before
            if objects & verbs & befores and not (own and self._taken_back(sentence, place)):
                return True
        return False

    @staticmethod
    def _taken_back(sentence: list[str], place: int) -> bool:
        around = sentence[max(0, place - 4) : place + 3]
        return not _OWN.isdisjoint(around)

    def _without_blanks(self, text: str) -> bool:
        for verbs, befores, objects in self._unspaced:
            for word in objects:
                for place in _places(text, word):
                    around = text[max(0, place - _UNSPACED_NEAR) : place + len(word) + _UNSPACED_NEAR]
                    if any(verb in around for verb in verbs) and any(before in around for before in befores):
                        return True
        return False


def _sentences(words: Iterable[str]) -> Iterator[list[str]]:
    sentence: list[str] = []
    for word in words:
        if word in _SENTENCE_ENDS:
            yield sentence
            sentence = []
        else:
            sentence.append(word)
    yield sentence


def _places(text: str, word: str) -> Iterator[int]:
    place = text.find(word)
    while place >= 0:
        yield place
        place = text.find(word, place + 1)
