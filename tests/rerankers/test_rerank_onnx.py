"""A cross-encoder from a folder, with a model that is made here."""

import asyncio
import sys
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from memrouter.errors import ConfigError, MissingExtra, RerankError
from memrouter.rerankers.onnx import BATCH, OnnxReranker, load_onnx

WORDS = ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "canary", "figaro", "bicycle", "my", "where"]
WORTH = [0.0, 0.0, 0.0, 0.0, 2.0, 3.0, -1.0, 0.5, 0.0]
TWO_WORTHS = [[-1.0 - worth, worth] for worth in WORTH]


def save_tokenizer(folder: Path) -> None:
    tokenizer = Tokenizer(models.WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 1), ("[SEP]", 2)],
    )
    tokenizer.save(str(folder / "tokenizer.json"))


def save_model(folder: Path, worths: list[list[float]], *, inputs: tuple[str, ...]) -> None:
    """Save a model whose score of a pair is the sum of the worths of the text's words, the question's left out."""
    import onnx  # here, so that without the package these tests fail and no others
    from onnx import TensorProto, helper, numpy_helper

    table = numpy_helper.from_array(np.array(worths, dtype=np.float32), "table")
    axes = numpy_helper.from_array(np.array([2], dtype=np.int64), "last")
    along = numpy_helper.from_array(np.array([1], dtype=np.int64), "along")
    weights = "token_type_ids" if "token_type_ids" in inputs else "attention_mask"
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["values"]),
        helper.make_node("Cast", [weights], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["mask", "last"], ["column"]),
        helper.make_node("Mul", ["values", "column"], ["masked"]),
        helper.make_node("ReduceSum", ["masked", "along"], ["logits"], keepdims=0),
    ]
    given = [helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "tokens"]) for name in inputs]
    out = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", len(worths[0])])
    graph = helper.make_graph(nodes, "tiny", given, [out], [table, axes, along])
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), str(folder / "model.onnx")
    )


ALL_INPUTS = ("input_ids", "attention_mask", "token_type_ids")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_tokenizer(tmp_path)
    save_model(tmp_path, [[worth] for worth in WORTH], inputs=ALL_INPUTS)
    return tmp_path


async def scores(reranker: OnnxReranker, query: str, *texts: str) -> list[float]:
    try:
        return await reranker.score(query, texts)
    finally:
        await reranker.aclose()


async def test_each_text_gets_the_model_s_score_in_order(folder: Path) -> None:
    found = await scores(load_onnx(str(folder)), "where figaro", "my canary figaro", "bicycle", "", "my figaro my")
    assert found == [5.5, -1.0, 0.0, 4.0]


async def test_a_model_without_token_types_is_not_given_any(tmp_path: Path) -> None:
    save_tokenizer(tmp_path)
    save_model(tmp_path, [[worth] for worth in WORTH], inputs=("input_ids", "attention_mask"))
    assert await scores(load_onnx(str(tmp_path)), "figaro", "canary") == [5.0]


async def test_of_two_classes_the_last_one_counts(tmp_path: Path) -> None:
    save_tokenizer(tmp_path)
    save_model(tmp_path, TWO_WORTHS, inputs=ALL_INPUTS)
    assert await scores(load_onnx(str(tmp_path)), "my", "canary", "bicycle") == [2.0, -1.0]


async def test_more_texts_than_a_batch_and_texts_of_any_kind_are_scored(folder: Path) -> None:
    texts = ["canary"] * (2 * BATCH + 1) + ["figaro " * 10_000, "half \ud83d", "\0"]
    found = await scores(load_onnx(str(folder)), "my " * 5000 + "\ud800", *texts)
    assert found[: 2 * BATCH + 1] == [2.0] * (2 * BATCH + 1)
    assert 0 < found[-3] <= 3 * 512
    assert found[-2:] == [0.0, 0.0]


async def test_calls_at_once_do_not_mix(folder: Path) -> None:
    reranker = load_onnx(str(folder))
    texts = [["canary"] * 20, ["figaro"] * 20, ["bicycle"] * 20]
    found = await asyncio.gather(*(reranker.score("my", each) for each in texts))
    assert found == [[2.0] * 20, [3.0] * 20, [-1.0] * 20]
    await reranker.aclose()


async def test_a_score_that_is_not_finite_is_an_error(tmp_path: Path) -> None:
    save_tokenizer(tmp_path)
    save_model(tmp_path, [[float("inf")] for _ in WORTH], inputs=ALL_INPUTS)
    with pytest.raises(RerankError, match=r"not finite|wrong shape"):
        await scores(load_onnx(str(tmp_path)), "my", "canary")


async def test_a_failing_model_is_an_error_without_the_text(folder: Path) -> None:
    save_model(folder, [[1.0]], inputs=ALL_INPUTS)  # a table of one row: every token is out of range
    with pytest.raises(RerankError, match="failed") as caught:
        await scores(load_onnx(str(folder)), "my", "canary")
    assert "canary" not in str(caught.value)


async def test_a_closed_one_says_so_and_can_be_closed_again(folder: Path) -> None:
    reranker = load_onnx(str(folder))
    await reranker.aclose()
    await reranker.aclose()
    with pytest.raises(RerankError, match="closed"):
        await reranker.score("my", ["canary"])


@pytest.mark.parametrize("missing", ["model.onnx", "tokenizer.json"])
def test_a_folder_without_a_file_is_refused_with_the_way_to_make_one(folder: Path, missing: str) -> None:
    (folder / missing).unlink()
    with pytest.raises(ConfigError, match="optimum-cli export onnx"):
        load_onnx(str(folder))


def test_a_file_that_is_no_model_is_refused(folder: Path) -> None:
    (folder / "model.onnx").write_bytes(b"not a model")
    with pytest.raises(ConfigError, match=r"reranker\.path"):
        load_onnx(str(folder))


def test_a_model_with_other_inputs_is_refused(folder: Path) -> None:
    save_model(folder, [[worth] for worth in WORTH], inputs=("input_ids", "attention_mask", "pixel_values"))
    with pytest.raises(ConfigError, match="pixel_values"):
        load_onnx(str(folder))


def test_without_the_package_the_command_that_brings_it_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingExtra, match=r"pip install 'memrouter\[rerank\]'"):
        load_onnx(str(folder))
