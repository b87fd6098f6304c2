"""Words that mean a time relative to the day they are said on, in ten languages. Pure data."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from memrouter.memory.retrieval.dates import MONTHS_BY_NAME, WEEKDAYS

Row = tuple[str, str, str, int]
"""Words of which a text must hold one (none: it is always looked for), pattern, unit, shift.

The pattern is one of Python's ``regex`` package in which ``{n}`` stands for a number, ``{u}`` for a unit, ``{w}`` for a
day of the week and ``{m}`` for a month. The unit is that of the time, empty where the pattern names it. The shift is
counted in units from the day on which it is said, times the number where there is one. Of days of the week and months
-1 means the latest before; 1 the day in the next week, or the next such month; 0 the day in this week if it is still to
come, or the month in this year.
"""


@dataclass(frozen=True, slots=True)
class DateWords:
    """How one language names relative times.

    Attributes:
        numbers: Words for one to ten, in this order; those that mean the same are parted by strokes.
        units: Words for each unit.
        weekdays: From Monday.
        rows: The ways.
        parted: Whether blanks part its words.
    """

    numbers: str
    units: Mapping[str, str]
    weekdays: str
    rows: tuple[Row, ...]
    parted: bool = True


FUTURE: Final = "(?P<future>)"
"""In a pattern: it only counts where its sentence speaks of what is to come, not "I read it in three days"."""
FRENCH: Final = "(?P<french>)"
"""In a pattern: it only counts in a French sentence; ``hier`` is German and Dutch too."""
BARE: Final = "(?P<bare>)"
"""In a pattern: it only counts without an article or the like in front, not "the last week of school"."""
EXACT: Final = "(?P<exact>)"
"""In a pattern: it only counts where nothing in front makes it vague, not "more than two years ago"."""

_S: Final = "(?:['\u2019]s)?"
_PART: Final = "(?: (?:morning|afternoon|evening|night)|['\u2019]s)?"
_MONTHS: Final = "|".join(
    f"(?-i:{name.title()})" if name in ("may", "march") else name for name in sorted(MONTHS_BY_NAME, key=len)[::-1]
)
"""Only as names: "at last may I" is about no month."""

_ENGLISH = DateWords(
    numbers="a/an/one two three four five six seven eight nine ten",
    units={"day": "day days", "week": "week weeks", "weekend": "weekend weekends", "month": "month months",
           "year": "year years"},
    weekdays=" ".join(WEEKDAYS),
    rows=(
        ("yesterday", "(?:the )?day before yesterday", "day", -2),
        ("tomorrow", "(?:the )?day after tomorrow", "day", 2),
        ("yesterday", f"yesterday{_PART}", "day", -1),
        ("today tonight", f"(?:today|tonight){_S}", "day", 0),
        ("tomorrow", f"tomorrow{_PART}", "day", 1),
        ("this", "this (?:morning|afternoon|evening)", "day", 0),
        ("last", "last night", "day", -1),
        ("last", "{w} (?:of )?last week|last week,?(?: on)? {w}", "week", -1),
        ("this", "{w} (?:of )?this week|this week,?(?: on)? {w}", "week", 0),
        ("next", "{w} (?:of )?next week|next week,?(?: on)? {w}", "week", 1),
        ("last", rf"last (?!days?\b){{u}}{_S}(?! of\b){BARE}", "", -1),
        ("this", rf"this (?!days?\b){{u}}{_S}(?! of\b)", "", 0),
        ("next", rf"next (?!days?\b){{u}}{_S}(?! of\b){BARE}", "", 1),
        ("before", r"the {u} before last", "", -2),
        ("after", r"the {u} after next", "", 2),
        ("last past", rf"(?:last|this past) {{w}}{_PART}{BARE}", "", -1),
        ("this", rf"this {{w}}{_PART}", "", 0),
        ("next", rf"next {{w}}{_PART}{BARE}", "", 1),
        ("coming", f"(?:this )?coming {{w}}{_PART}", "coming", 1),
        ("last", f"last (?P<month>{_MONTHS})", "", -1),
        ("this", f"this (?P<month>{_MONTHS})", "", 0),
        ("next", f"next (?P<month>{_MONTHS})", "", 1),
        ("ago", rf"{{n}} {{u}} ago{EXACT}|(?:a )?(?P<vague>couple|few)(?: of)? {{u}} ago", "", -1),
        ("from", rf"{{n}} {{u}} from (?:now|today){EXACT}", "", 1),
        ("in", rf"in {{n}} {{u}}(?:['\u2019] time)?(?! or\b){FUTURE}", "", 1),
    ),
)  # fmt: skip
_GERMAN = DateWords(
    numbers="einem/einer zwei drei vier fünf sechs sieben acht neun zehn",
    units={"day": "tag tagen", "week": "woche wochen", "month": "monat monaten", "year": "jahr jahren"},
    weekdays="montag dienstag mittwoch donnerstag freitag samstag sonntag",
    rows=(
        ("vorgestern", "vorgestern", "day", -2),
        ("gestern", "gestern(?: (?:morgen|früh|vormittag|mittag|nachmittag|abend|nacht))?", "day", -1),
        ("heute", "heute(?: (?:morgen|früh|vormittag|mittag|nachmittag|abend|nacht))?", "day", 0),
        ("übermorgen", "übermorgen", "day", 2),
        ("morgen", f"(?-i:morgen)(?: (?:früh|vormittag|mittag|nachmittag|abend))?{BARE}", "day", 1),
        ("woche", "(?:letzte|vorige|vergangene)[rn]? (?:woche)", "week", -1),
        ("woche", "(?:nächste|kommende)[rn]? (?:woche)", "week", 1),
        ("woche", "diese[r]? woche", "week", 0),
        ("wochenende", "(?:letzte[sn]|vorige[sn]|vergangene[sn]) wochenende", "weekend", -1),
        ("wochenende", "(?:nächste[sn]|kommende[sn]) wochenende", "weekend", 1),
        ("monat", "(?:letzten|vorigen|vergangenen) monat", "month", -1),
        ("monat", "(?:nächsten|kommenden) monat", "month", 1),
        ("monat", "diese[nm] monat", "month", 0),
        ("jahr", "(?:letzte|vorige|vergangene)[sn] jahr", "year", -1),
        ("jahr", "(?:nächste|kommende)[sn] jahr", "year", 1),
        ("jahr", "diese[sm] jahr", "year", 0),
        ("letzten vergangenen", "(?:letzten|vergangenen) {w}", "", -1),
        ("nächsten", "nächsten {w}", "", 1),
        ("vor", "vor {n} {u}", "", -1),
    ),
)  # fmt: skip
_FRENCH = DateWords(
    numbers="un/une deux trois quatre cinq six sept huit neuf dix",
    units={"day": "jour jours", "week": "semaine semaines", "month": "mois", "year": "an ans année années"},
    weekdays="lundi mardi mercredi jeudi vendredi samedi dimanche",
    rows=(
        ("hier", "avant-hier", "day", -2),
        ("hier", "hier (?:soir|matin|après-midi)", "day", -1),
        ("hier", f"hier{FRENCH}", "day", -1),
        ("aujourd", "aujourd['\u2019]hui", "day", 0),
        ("demain", "après-demain", "day", 2),
        ("demain", "demain(?: (?:soir|matin|après-midi))?", "day", 1),
        ("soir", "ce soir", "day", 0),
        ("semaine", "la semaine (?:dernière|passée)", "week", -1),
        ("semaine", "la semaine prochaine", "week", 1),
        ("semaine", "cette semaine", "week", 0),
        ("mois", "le mois (?:dernier|passé)", "month", -1),
        ("mois", "le mois prochain", "month", 1),
        ("mois", "ce mois-ci", "month", 0),
        ("année an", "l['\u2019](?:année dernière|année passée|an dernier|an passé)", "year", -1),
        ("année an", "l['\u2019](?:année prochaine|an prochain)", "year", 1),
        ("année", "cette année", "year", 0),
        ("dernier", "{w} dernier", "", -1),
        ("prochain", "{w} prochain", "", 1),
        ("il", "il y a {n} {u}(?! que\\b)", "", -1),
        ("dans", r"dans {n} {u}", "", 1),
    ),
)
_SPANISH = DateWords(
    numbers="un/una dos tres cuatro cinco seis siete ocho nueve diez",
    units={"day": "día días", "week": "semana semanas", "month": "mes meses", "year": "año años"},
    weekdays="lunes martes miércoles jueves viernes sábado domingo",
    rows=(
        ("anteayer antier", "anteayer|antier", "day", -2),
        ("ayer anoche", "ayer|anoche", "day", -1),
        ("hoy", "hoy", "day", 0),
        ("noche", "esta noche", "day", 0),
        ("mañana", "pasado mañana", "day", 2),
        ("mañana", f"mañana(?: por la (?:mañana|tarde|noche))?{BARE}", "day", 1),
        ("semana", "la semana pasada|la pasada semana", "week", -1),
        ("semana", "la próxima semana|la semana (?:próxima|que viene)", "week", 1),
        ("semana", "esta semana", "week", 0),
        ("mes", "el mes pasado|el pasado mes", "month", -1),
        ("mes", "el próximo mes|el mes (?:próximo|que viene)", "month", 1),
        ("mes", "este mes", "month", 0),
        ("año", "el año pasado|el pasado año", "year", -1),
        ("año", "el próximo año|el año (?:próximo|que viene)", "year", 1),
        ("año", "este año", "year", 0),
        ("pasado", "el {w} pasado|el pasado {w}", "", -1),
        ("próximo", "el próximo {w}", "", 1),
        ("hace", rf"hace {{n}} {{u}}(?! que\b){EXACT}", "", -1),
        ("dentro", "dentro de {n} {u}", "", 1),
    ),
)
_ITALIAN = DateWords(
    numbers="un/una due tre quattro cinque sei sette otto nove dieci",
    units={"day": "giorno giorni", "week": "settimana settimane", "month": "mese mesi", "year": "anno anni"},
    weekdays="lunedì martedì mercoledì giovedì venerdì sabato domenica",
    rows=(
        ("ieri", "l['\u2019]altro ieri", "day", -2),
        ("ieri", "(?<!altro )ieri(?: (?:sera|mattina|pomeriggio|notte))?", "day", -1),
        ("oggi stasera", "oggi|stasera", "day", 0),
        ("domani", "domani(?: (?:sera|mattina|pomeriggio|notte))?", "day", 1),
        ("dopodomani", "dopodomani", "day", 2),
        ("settimana", "la (?:settimana scorsa|scorsa settimana)", "week", -1),
        ("settimana", "la (?:settimana prossima|prossima settimana)", "week", 1),
        ("settimana", "questa settimana", "week", 0),
        ("mese", "(?:il mese scorso|lo scorso mese)", "month", -1),
        ("mese", "il (?:mese prossimo|prossimo mese)", "month", 1),
        ("mese", "questo mese", "month", 0),
        ("anno", "(?:l['\u2019]anno scorso|lo scorso anno)", "year", -1),
        ("anno", "(?:l['\u2019]anno prossimo|il prossimo anno)", "year", 1),
        ("anno", "quest['\u2019]anno", "year", 0),
        ("scorso scorsa", "{w} (?:scorso|scorsa)", "", -1),
        ("prossimo prossima", "{w} (?:prossimo|prossima)", "", 1),
        ("fa", "{n} {u} fa", "", -1),
        ("tra fra", "(?:tra|fra) {n} {u}", "", 1),
    ),
)
_PORTUGUESE = DateWords(
    numbers="um/uma dois/duas três quatro cinco seis sete oito nove dez",
    units={"day": "dia dias", "week": "semana semanas", "month": "mês meses", "year": "ano anos"},
    weekdays="segunda-feira terça-feira quarta-feira quinta-feira sexta-feira sábado domingo",
    rows=(
        ("anteontem", "anteontem", "day", -2),
        ("ontem", "ontem(?: (?:à noite|à tarde|de manhã))?", "day", -1),
        ("hoje", "hoje(?: (?:à noite|à tarde|de manhã))?", "day", 0),
        ("amanhã", "depois de amanhã", "day", 2),
        ("amanhã", "(?<!depois de )amanhã(?: (?:à noite|à tarde|de manhã))?", "day", 1),
        ("semana", "(?:n?a )?(?:semana passada|última semana)", "week", -1),
        ("semana", "(?:próxima semana|semana que vem)", "week", 1),
        ("semana", "esta semana", "week", 0),
        ("mês", "mês passado", "month", -1),
        ("mês", "(?:próximo mês|mês que vem)", "month", 1),
        ("mês", "este mês", "month", 0),
        ("ano", "ano passado", "year", -1),
        ("ano", "(?:próximo ano|ano que vem)", "year", 1),
        ("ano", "este ano", "year", 0),
        ("passado passada", "{w} (?:passado|passada)", "", -1),
        ("próximo próxima", "(?:próximo|próxima) {w}", "", 1),
        ("há", r"há {n} {u}(?! que\b)", "", -1),
        ("daqui", "daqui a {n} {u}", "", 1),
    ),
)
_DUTCH = DateWords(
    numbers="een/één twee drie vier vijf zes zeven acht negen tien",
    units={"day": "dag dagen", "week": "week weken", "month": "maand maanden", "year": "jaar"},
    weekdays="maandag dinsdag woensdag donderdag vrijdag zaterdag zondag",
    rows=(
        ("eergisteren", "eergisteren", "day", -2),
        ("gisteren gisteravond", "gisteren|gisteravond", "day", -1),
        ("vandaag vanavond vanochtend vanmiddag", "vandaag|vanavond|vanochtend|vanmiddag", "day", 0),
        ("morgenochtend morgenmiddag morgenavond", "morgenochtend|morgenmiddag|morgenavond", "day", 1),
        ("overmorgen", "overmorgen", "day", 2),
        ("week", "(?:vorige|afgelopen) week", "week", -1),
        ("week", "volgende week", "week", 1),
        ("week", "deze week", "week", 0),
        ("maand", "vorige maand", "month", -1),
        ("maand", "volgende maand", "month", 1),
        ("maand", "deze maand", "month", 0),
        ("jaar", "vorig jaar", "year", -1),
        ("jaar", "volgend jaar", "year", 1),
        ("jaar", "dit jaar", "year", 0),
        ("vorige afgelopen", "(?:vorige|afgelopen) {w}", "", -1),
        ("volgende", "volgende {w}", "", 1),
        ("geleden", "{n} {u} geleden", "", -1),
        ("over", "over {n} {u}", "", 1),
    ),
)
_RUSSIAN = DateWords(
    numbers="один/одну два/две три четыре пять шесть семь восемь девять десять",
    units={"day": "день дня дней", "week": "неделю недели недель", "month": "месяц месяца месяцев",
           "year": "год года лет"},
    weekdays="понедельник вторник среду четверг пятницу субботу воскресенье",
    rows=(
        ("позавчера", "позавчера", "day", -2),
        ("вчера", "вчера(?: (?:утром|вечером|днём|ночью))?", "day", -1),
        ("сегодня", "сегодня(?: (?:утром|вечером|днём|ночью))?", "day", 0),
        ("завтра", "завтра(?: (?:утром|вечером|днём|ночью))?", "day", 1),
        ("послезавтра", "послезавтра", "day", 2),
        ("неделе", "на прошлой неделе", "week", -1),
        ("неделе", "на следующей неделе", "week", 1),
        ("неделе", "на этой неделе", "week", 0),
        ("месяце", "в прошлом месяце", "month", -1),
        ("месяце", "в следующем месяце", "month", 1),
        ("месяце", "в этом месяце", "month", 0),
        ("году", "в прошлом году", "year", -1),
        ("году", "в следующем году", "year", 1),
        ("году", "в этом году", "year", 0),
        ("прошлый прошлую прошлое", "в (?:прошлый|прошлую|прошлое) {w}", "", -1),
        ("следующий следующую следующее", "в (?:следующий|следующую|следующее) {w}", "", 1),
        ("назад", "{n} {u} назад", "", -1),
        ("через", "через (?:{n} )?{u}", "", 1),
    ),
)  # fmt: skip
_HAN = DateWords(
    numbers="一 二/两/兩 三 四 五 六 七 八 九 十",
    units={"day": "天 日", "week": "个星期 個星期 星期 周 週 週間", "month": "个月 個月 か月 ヶ月 カ月", "year": "年"},
    weekdays="",
    rows=(
        ("", "一昨日|おととい|(?<![目以之从從提面日])前天(?![气氣天空才下线線])", "day", -2),
        ("", "昨[天日夜晩晚]", "day", -1),
        ("", "今[天夜晩晚]|今日(?![头頭])", "day", 0),
        ("", "明后天|(?<![发發说說证證聪聰文透])明天(?![线線])|明日(?![香葉])", "day", 1),
        ("", "明後日|あさって|(?<![以之今先然最明])[后後]天(?![气氣天空性])", "day", 2),
        ("", "(?<![马馬晚早])上[周週](?![末围圍边邊])|上个?星期(?![一二三四五六日天])", "week", -1),
        ("", "上個星期|先週(?!末)", "week", -1),
        ("", "(?<![一马馬晚楼樓地以乡鄉天])下[周週](?![末围圍边邊密到])|下个?星期(?![一二三四五六日天])", "week", 1),
        ("", "下個星期|来週(?!末)", "week", 1),
        ("", "这[个]?星期|這個星期|[这本這][周週](?!末)|今週(?!末)", "week", 0),
        ("", "上[个個]月|先月", "month", -1),
        ("", "下[个個]月|来月", "month", 1),
        ("", "[这這][个個]月|本月|今月", "month", 0),
        ("", "去年|昨年", "year", -1),
        ("", "(?<![发發说說证證])明年|来年", "year", 1),
        ("", "今年", "year", 0),
        ("", r"(?<![\d一二两兩三四五六七八九十]){n}{u}前", "", -1),
    ),
    parted=False,
)

DATE_WORDS: Final = (_ENGLISH, _GERMAN, _FRENCH, _SPANISH, _ITALIAN, _PORTUGUESE, _DUTCH, _RUSSIAN, _HAN)
"""English, German, French, Spanish, Italian, Portuguese, Dutch, Russian, and Chinese and Japanese together."""
