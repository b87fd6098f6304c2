"""Messages that say nothing: greetings, thanks, farewells, acknowledgements, in whole-message form."""

import re
import unicodedata

# One phrase between bars, in the form that phrase_words gives. English, German, French, Spanish, Italian, Portuguese,
# Chinese, Japanese, then Dutch, the Nordic languages, Polish and others.
_GREETINGS_AND_THANKS = """
hi | hiya | hello | helo | hallo | hey | heya | yo | howdy | greetings | good morning | good afternoon
good evening | good day | good night | goodnight | morning | evening | gm | sup | whats up | wassup | how are you
how are you doing | how are you today | hows it going | how is it going | how do you do | nice to meet you
pleased to meet you | long time no see | thanks | thank you | thank u | thankyou | thx | tnx | ty | tysm | cheers
many thanks | thanks a lot | thanks a bunch | thanks a million | much appreciated | appreciated | appreciate it
i appreciate it | i appreciate your help | youre welcome | you are welcome | bye | goodbye | good bye | bye bye
see you | see ya | see you later | see you soon | see you tomorrow | cya | later | take care | farewell
have a nice day | have a good day | have a great day | have a good one | talk to you later | talk to you soon | ttyl
catch you later | until next time | thats all | that is all
hallihallo | servus | moin | gruss gott | gruss dich | guten morgen | guten tag | guten abend | gute nacht
wie gehts | wie gehts dir | wie geht es dir | wie geht es ihnen | danke | danke dir | danke schon | dankeschon
danke sehr | vielen dank | herzlichen dank | besten dank | tausend dank | tschuss | tschuess | auf wiedersehen
bis bald | bis spater | bis dann | bis morgen | machs gut | schonen tag | schonen tag noch | schonen abend
bonjour | bonsoir | salut | coucou | bonne nuit | bonne journee | bonne soiree | ca va | comment ca va
comment vas tu | comment allez vous | merci | merci beaucoup | merci bien | mille mercis | un grand merci
au revoir | a bientot | a plus | a plus tard | a demain | adieu
hola | buenas | buenos dias | buenas tardes | buenas noches | que tal | como estas | como esta usted | gracias
muchas gracias | mil gracias | muchisimas gracias | adios | hasta luego | hasta manana | hasta pronto
hasta la vista | nos vemos | chao | chau | saludos
ciao | salve | buongiorno | buon giorno | buonasera | buona sera | buonanotte | buona notte | buona giornata
buona serata | come stai | come sta | come va | grazie | grazie mille | mille grazie | molte grazie | tante grazie
arrivederci
a presto | a domani | a dopo | addio
ola | oi | bom dia | boa tarde | boa noite | tudo bem | tudo bom | como vai | obrigado | obrigada | muito obrigado
muito obrigada | valeu | tchau | adeus | ate logo | ate mais | ate amanha | ate breve
你好 | 您好 | 你好吗 | 你好啊 | 哈喽 | 嗨 | 大家好 | 早 | 早上好 | 早安 | 下午好 | 晚上好 | 晚安 | 谢谢 | 谢谢你
谢谢您 | 多谢 | 感谢 | 非常感谢 | 十分感谢 | 再见
拜拜 | 明天见 | 回头见 | 你好嗎 | 謝謝 | 謝謝你 | 謝謝您 | 多謝 | 感謝 | 非常感謝 | 再見
こんにちは | こんばんは | おはよう | おはようございます | はじめまして | もしもし | やあ | おやすみ | おやすみなさい
元気 | 元気ですか | お元気ですか | ありがとう | ありがとうございます
ありがとうございました | どうも | どうもありがとう | どうもありがとうございます | さようなら | さよなら | またね
じゃあね | じゃね | また明日 | バイバイ
hoi | goedemorgen | goedemiddag | goedenavond | goedenacht | dag | dank je | dank je wel | dank u | dank u wel
bedankt | tot ziens | hej | hejsan | god morgon | god kvall | tack | tack sa mycket | tusen tack | hej da | hei
god morgen | takk | tusen takk | mange tak | tak | ha det | kiitos | paljon kiitoksia | moi | moikka
hyvaa huomenta | nakemiin | czesc | dzien dobry | dobry wieczor | dobranoc | dzieki | dziekuje | dziekuje bardzo
do widzenia | ahoj | dobry den | dekuji | diky | na shledanou | szia | jo napot | koszonom | viszlat | buna
multumesc | la revedere | merhaba | selam | gunaydin | iyi aksamlar | iyi geceler | tesekkurler | tesekkur ederim
sagol | hosca kal | привет | здравствуите | здравствуи | доброе утро | добрыи день | добрыи вечер | спокоинои ночи
спасибо | спасибо большое | большое спасибо | пока | до свидания | привіт | доброго ранку | дякую | дуже дякую
до побачення | γεια | γεια \u03c3\u03bf\u03c5 | καλημερα | καλησπερα | ευχαριστω | ευχαριστω πολυ | 안녕
안녕하세요 | 감사합니다 | 고마워 | 고마워요 | 고맙습니다 | 안녕히 계세요 | 안녕히 가세요 | 잘 자 | 안녕히 주무세요
مرحبا | السلام عليكم | صباح الخير | مساء الخير | شكرا | شكرا جزيلا | مع السلامة | תודה | תודה רבה | שלום | בוקר טוב
להתראות
"""
_ACKNOWLEDGEMENTS = """
ok | okay | okey | k | kk | sure | yes | yeah | yep | yup | no | nope | nah | right | alright | all right | fine
great | good | very good | cool | nice | perfect | awesome | excellent | wonderful | got it | i see | i understand
understood | makes sense | that makes sense | sounds good | of course | absolutely | exactly | indeed | true | noted
no problem | no worries | never mind | nevermind | please | yes please | wow | lol | ha | haha | hm | mhm | oh
ah | well | well done | good job | go on | go ahead | continue | please continue | next | ja | nein | jo | genau
gut | sehr gut | super | prima | toll | alles klar | klar | verstanden | stimmt | bitte | in ordnung | perfekt
weiter | oui | non | daccord | d accord | bien | tres bien | parfait | genial | compris | entendu | bien sur
sil te plait | sil vous plait | si | vale | claro | de acuerdo | entendido | muy bien | perfecto | por favor
va bene | daccordo | certo | capito | perfetto | bene | molto bene | prego | per favore | sim | nao | entendi
ta bom | esta bem | perfeito | muito bem | beleza | de acordo | 好 | 好的 | 好吧 | 行 | 可以 | 是 | 是的 | 对 | 不
不是 | 嗯 | 嗯嗯
明白 | 明白了 | 知道了 | 了解 | 没问题 | 当然 | 收到 | 继续 | 對 | 沒問題 | 當然 | 繼續 | はい | いいえ | うん
ううん | わかりました | 分かりました | わかった | 了解です
了解しました | なるほど | そうです | そうですね | いいね | 大丈夫 | 大丈夫です | もちろん | お願いします | オッケー
哈 | 哈哈
"""
_FILLERS = """
there | everyone | everybody | all | again | assistant | bot | friend | my friend | buddy | mate | man | dear
folks | team | guys | und | et | y | e | and | then | too | for your help | for the help
for all your help | for now | for today
for that | for everything | so much | very much | a lot
"""
_LONGEST_PHRASE = 4
_LONGEST_MESSAGE = 120


def _phrases(text: str) -> frozenset[str]:
    return frozenset(phrase.strip() for line in text.strip().splitlines() for phrase in line.split("|"))


GREETINGS_AND_THANKS = _phrases(_GREETINGS_AND_THANKS)
ACKNOWLEDGEMENTS = _phrases(_ACKNOWLEDGEMENTS)
FILLERS = _phrases(_FILLERS)
_OPENINGS = frozenset(phrase.split()[0] for phrase in GREETINGS_AND_THANKS | ACKNOWLEDGEMENTS | FILLERS)

_ACCENTS = re.compile("[\u0300-\u036f]")
_APOSTROPHES = re.compile("['`\u00b4\u02bc\u2018\u2019]")
_STRETCHED = re.compile(r"(.{1,2}?)\1{2,}")
_STRETCHING = re.compile(r"(.)\1\1|(..)\2\2")
"""Stands in whatever ``_STRETCHED`` finds, and is found quicker."""
_WORD = re.compile(r"[^\W_]+")


def phrase_words(text: str) -> list[str]:
    """Return the words of a short text: folded, without accents, apostrophes, punctuation and stretched letters."""
    bare = text.casefold()
    if bare.isascii():
        bare = bare.replace("'", "").replace("`", "")
    else:
        plain = _APOSTROPHES.sub("", _ACCENTS.sub("", unicodedata.normalize("NFKD", bare)))
        bare = unicodedata.normalize("NFKC", plain)
    return _WORD.findall(_STRETCHED.sub(r"\1", bare) if _STRETCHING.search(bare) else bare)


def is_small_talk(text: str, *, acknowledgements: bool) -> bool:
    """Return whether the whole message is made of stock phrases.

    Args:
        text: The message; one over 120 characters is never small talk.
        acknowledgements: Whether a bare "ok" or "yes" counts too, beside greetings, thanks and farewells.
    """
    if len(text) > _LONGEST_MESSAGE:
        return False
    words = phrase_words(text)
    found = False
    while words:
        length, phrase = _phrase_at_start(words, acknowledgements=acknowledgements)
        if not length:
            return False
        found = found or phrase in GREETINGS_AND_THANKS or (acknowledgements and phrase in ACKNOWLEDGEMENTS)
        words = words[length:]
    return found


def _phrase_at_start(words: list[str], *, acknowledgements: bool) -> tuple[int, str]:
    if words[0] not in _OPENINGS:
        return 0, ""
    for length in range(min(_LONGEST_PHRASE, len(words)), 0, -1):
        phrase = " ".join(words[:length])
        if phrase in GREETINGS_AND_THANKS or phrase in FILLERS or (acknowledgements and phrase in ACKNOWLEDGEMENTS):
            return length, phrase
    return 0, ""
