"""English words whose forms no stemmer brings together: ``went`` and ``go``, ``children`` and ``child``."""

from collections.abc import Mapping
from types import MappingProxyType

_FORMS = """
become became / begin began begun / bend bent / bind bound / bite bit bitten / bleed bled / blow blew blown / break
broke broken / breed bred / bring brought / build built / burn burnt / buy bought / catch caught / choose chose
chosen / come came / cost costs / deal dealt / dig dug / draw drew drawn / dream dreamt / drink drank drunk / drive
drove driven / eat ate eaten / fall fell fallen / feed fed / feel felt / fight fought / find found / flee fled / fly
flew flown / forbid forbade forbidden / forget forgot forgotten / forgive forgave forgiven / freeze froze frozen /
get got gotten / give gave given / go went gone / grow grew grown / hang hung / hear heard / hide hid hidden / hold
held / keep kept / kneel knelt / know knew known / lay laid / lead led / lean leant / learn learnt / leave left /
lend lent / lie lain / light lit / lose lost / make made / mean meant / meet met / pay paid / prove proven / ride
rode ridden / ring rang rung / rise rose risen / run ran / say said / see saw seen / seek sought / sell sold / send
sent / sew sewn / shake shook shaken / shine shone / shoot shot / show shown / shrink shrank shrunk / sing sang sung
/ sink sank sunk / sit sat / sleep slept / slide slid / speak spoke spoken / spell spelt / spend spent / spin spun /
spoil spoilt / spring sprang sprung / stand stood / steal stole stolen / stick stuck / sting stung / strike struck
stricken / strive strove striven / swear swore sworn / sweep swept / swim swam swum / swing swung / take took taken
/ teach taught / tear tore torn / tell told / think thought / throw threw thrown / understand understood / wake woke
woken / wear wore worn / weave wove woven / weep wept / win won / wind wound / withdraw withdrew withdrawn / write
wrote written / child children / foot feet / goose geese / man men / mouse mice / person people / tooth teeth / wife
wives / woman women / knife knives / leaf leaves / life lives / loaf loaves / shelf shelves / wolf wolves / half
halves / calf calves / good better best / bad worse worst / far further furthest
"""
IRREGULAR: Mapping[str, str] = MappingProxyType(
    {form: base for base, *forms in map(str.split, _FORMS.split("/")) for form in forms}
)
"""Base form by irregular form, in lower case."""
