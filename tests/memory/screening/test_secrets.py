"""Keys, tokens, private keys and passwords. The strings are random; none of them opens anything."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memrouter.evaluation.fake_secrets import FAKES
from memrouter.memory.screening.secrets import SecretFinder, entropy
from memrouter.memory.screening.spans import apart, masked

FINDER = SecretFinder()
TOKENS = [
    "openai_key", "anthropic_key", "github_token", "gitlab_token", "slack_token", "stripe_key", "aws_key", "google_key",
    "npm_token", "pypi_token", "hf_token", "jwt",
]  # fmt: skip


def cleaned(text: str) -> str:
    return masked(text, apart(FINDER.find(text)))


@pytest.mark.parametrize("name", TOKENS)
@pytest.mark.parametrize("frame", ["{}", "use {}, please", "TOKEN={}\n", "<{}>", "https://x.example/?k={}&b=1"])
def test_a_token_of_known_form_is_found_in_any_surroundings(name: str, frame: str) -> None:
    for seed in range(5):
        token = FAKES[name].make(Random(seed))
        assert token not in cleaned(frame.format(token))


def test_a_key_of_the_router_itself_is_found() -> None:
    key = f"mr_{'k3f7x2m4q6aa'}_{'0123456789abcdef' * 4}"
    for frame in ("my key: {}", '{{"value": "{}"}}', "**{}**", "`{}`"):
        assert key not in cleaned(frame.format(key))


@pytest.mark.parametrize("name", ["github_token", "aws_key", "openai_key", "npm_token"])
@pytest.mark.parametrize("seam", ["\n", "\\\n  ", "\n> ", '" + "', "' +\n  '", "\u200b"])
def test_a_token_that_is_divided_is_found(name: str, seam: str) -> None:
    token = next(
        token
        for token in (FAKES[name].make(Random(seed)) for seed in range(50))
        if any(map(str.isdigit, token[len(token) // 2 :][:8]))
    )
    half = len(token) // 2
    left = cleaned(f"use {token[:half]}{seam}{token[half:]} please")
    assert token[:half] not in left
    assert token[half:] not in left
    assert left.endswith(" please")


def test_what_stands_in_the_next_line_of_a_token_stays() -> None:
    token = FAKES["github_token"].make(Random(1))
    assert cleaned(f"use {token}\nRemember the milk").endswith("\nRemember the milk")


def test_a_token_far_inside_an_unbroken_run_is_found() -> None:
    token = FAKES["github_token"].make(Random(1))
    for filler in (500, 900, 1020, 3000):
        assert token not in cleaned("a1" * filler + "/" + token + "/" + "b2" * filler)


@pytest.mark.parametrize("frame", ["api_key = '{}'", "client_secret: {}", "x-api-key of ours is {}", "Bearer {}"])
def test_a_random_value_behind_the_name_of_a_key_is_found(frame: str) -> None:
    for seed in range(5):
        value = FAKES["random_key"].make(Random(seed))
        assert value not in cleaned(frame.format(value))


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("postgres://ann:s3cret@db/x", "s3cret"),
        ("postgres:\u200b//ann:s3cret@db/x", "s3cret"),
        ("postgres://ann:hunt\ner22@db.example/x", "hunt"),
        ("redis://:pa#ss1@cache", "pa#ss1"),
        ("ssh ann:hunter22@host.example", "hunter22"),
        ("my password is hunter2!", "hunter2!"),
        ("The password is swordfish.", "swordfish"),
        ('password: "open sesame"', "open"),
        ("Mein Passwort lautet Igel-77-Haus", "Igel-77-Haus"),
        ("mot de passe : Tulipe99", "Tulipe99"),
        ("密码是abc12345", "abc12345"),
        ("пароль: Ёж2024", "Ёж2024"),
        ("seed phrase: able baker candy delta eagle fable", "candy delta"),
    ],
)
def test_a_password_is_found(text: str, secret: str) -> None:
    assert secret not in cleaned(text)


@pytest.mark.parametrize(
    "text",
    [
        "The password was too weak.",
        "my password is not working",
        "password: required",
        "password=${PASSWORD}",
        "postgres://ann:<password>@db",
        "The key is under the mat, and the token economy is dead.",
        "token = get_token(user)",
        "session 550e8400-e29b-41d4-a716-446655440000",
        "commit 9f8e7d6c5b4a39281706f5e4d3c2b1a0ffeeddcc",
        "http://host.example:8080/path/a@b",
        "write to ann:jonas at example",
        "mailto:jonas.berg7@mail.example",
        "Das Passwort ist falsch.",
        "data:image/png;base64," + "iVBORw0KGgoAAAANSUhEUgAAAAUA" * 9,
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert cleaned(text) == text


@pytest.mark.parametrize("name", ["pem", "pem_cut"])
def test_a_private_key_goes_as_a_whole_also_without_its_end(name: str) -> None:
    key = FAKES[name].make(Random(3))
    assert cleaned(f"before\n{key}\nafter it all") in (
        "before\n[private_key removed]\nafter it all",
        "before\n[private_key removed]after it all",
    )


def test_each_of_two_private_keys_goes_and_what_stands_between_stays() -> None:
    one, other = (FAKES["pem"].make(Random(seed)) for seed in (1, 2))
    assert cleaned(f"{one}\nand then\n{other}") == "[private_key removed]\nand then\n[private_key removed]"


def test_entropy_is_in_bits_a_character() -> None:
    assert entropy("") == 0
    assert entropy("aaaa") == 0
    assert entropy("abcd") == 2


@given(st.text(alphabet=st.sampled_from("sk-eyJ.:/@=_aA1 \npasword'\"")))
def test_any_text_can_be_searched_and_spans_lie_within(text: str) -> None:
    assert all(0 <= span.start < span.end <= len(text) for span in FINDER.find(text))
