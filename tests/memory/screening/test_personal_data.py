import pytest
from hypothesis import given
from hypothesis import strategies as st

from memrouter.memory.screening.personal_data import FINDERS


def found(kind: str, text: str) -> list[str]:
    return [text[span.start : span.end] for span in FINDERS[kind](text)]


@pytest.mark.parametrize(
    ("kind", "text", "wanted"),
    [
        ("email", "write to ann.lee+x@mail.example.org, ok", "ann.lee+x@mail.example.org"),
        ("email", "schreib an jörg@bücher.example", "jörg@bücher.example"),
        ("phone", "I am at +49 30 901820 today", "+49 30 901820"),
        ("phone", "my phone is 0171 2345678", "0171 2345678"),
        ("phone", "(415) 555-2671 works", "(415) 555-2671"),
        ("phone", "Telefon: 030/901820", "030/901820"),
        ("iban", "IBAN DE89 3704 0044 0532 0130 00 is mine", "DE89 3704 0044 0532 0130 00"),
        ("iban", "gb82west12345698765432", "gb82west12345698765432"),
        ("ip_address", "my server 198.51.100.7 is down", "198.51.100.7"),
        ("ip_address", "reach 2001:db8::8a2e:370:7334 now", "2001:db8::8a2e:370:7334"),
        ("national_id", "SSN 536-90-4399", "536-90-4399"),
        ("national_id", "DNI 54362315K", "54362315K"),
        ("national_id", "codice fiscale RCCMNL83S18D969H", "RCCMNL83S18D969H"),
        ("national_id", "my pesel is 44051401359", "44051401359"),
    ],
)
def test_personal_data_is_found(kind: str, text: str, wanted: str) -> None:
    assert found(kind, text) == [wanted]


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("email", "a @ b, @handle, x@y"),
        ("phone", "2024-05-03 12:00"),
        ("phone", "call me on 2024-05-03"),
        ("phone", "order 4711 0815 2223"),
        ("phone", "+1"),
        ("iban", "DE89 3704 0044 0532 0130 01"),
        ("ip_address", "version 10.0.0.1"),
        ("ip_address", "127.0.0.1 and 1.2.3.4.5 and 12:30:45"),
        ("ip_address", "std::vector and a::b"),
        ("national_id", "part 44051401359"),
        ("national_id", "000-00-0000"),
    ],
)
def test_what_only_looks_like_it_stays(kind: str, text: str) -> None:
    assert found(kind, text) == []


@pytest.mark.parametrize("kind", FINDERS)
@given(text=st.text(alphabet=st.sampled_from("0123456789 +-().:/@abcdefDEGBphone")))
def test_any_text_can_be_searched(kind: str, text: str) -> None:
    assert all(0 <= span.start < span.end <= len(text) for span in FINDERS[kind](text))
