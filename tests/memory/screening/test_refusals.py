import pytest

from memrouter.memory.screening.refusals import is_refusal


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't help with that.",
        "That is something I can't help with.",
        "Unfortunately I cannot provide this.",
        "Leider kann ich das nicht beantworten.",
        "Je suis désolé, je ne peux pas répondre.",
        "Lo siento, no puedo ayudar con eso.",
        "Mi dispiace, non posso aiutarti.",
        "Niestety nie mogę w tym pomóc.",
        "Извините, я не могу помочь.",
        "很抱歉我无法提供帮助。",
        "申し訳ありませんが、お答えできません。",
        "죄송하지만 도와드릴 수 없습니다.",
    ],
)
def test_a_short_refusal_is_one_in_many_languages(text: str) -> None:
    assert is_refusal(text)


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry to hear that.",
        "Leider regnet es morgen, nimm einen Schirm mit.",
        "Lo siento mucho por tu gato.",
        "对不起我刚才算错了。答案是五。",
        "I can't help you with the first part. " + "For the second, use flour. " * 12,
    ],
)
def test_an_answer_that_says_something_is_none(text: str) -> None:
    assert not is_refusal(text)
