import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from memrouter.cli.eval import eval_app

QUICK = ("--conversations", "2", "--limit", "4")


def run(*args: str) -> Result:
    return CliRunner().invoke(eval_app, list(args), env={"MEMROUTER_EMBEDDING_MODEL": None})


def test_locomo_runs_without_a_file_and_shows_every_arm() -> None:
    result = run("locomo", *QUICK)
    assert result.exit_code == 0
    assert "sample: 2 conversations" in result.stdout
    assert "8 questions; wordllama-l2-supercat-256 on sqlite, seed 0" in result.stdout
    for text in ("default", "off", "vector", "recall@10", "p99 ms", "difference to the default arm", "single fact"):
        assert text in result.stdout
    assert result.stderr == ""


def test_locomo_as_json_has_figures_with_intervals_by_arm_and_category() -> None:
    result = run("locomo", *QUICK, "--json", "--k", "3,1", "--arms", "off", "--seed", "4")
    assert result.exit_code == 0
    report = json.loads(result.stdout)
    assert report["about"] == {
        "data": "sample",
        "conversations": 2,
        "memories": report["about"]["memories"],
        "questions": 8,
        "left_out": {"category": 3, "without_evidence": 0, "unknown_ids": 0},
        "embedding_model": "wordllama-l2-supercat-256",
        "store": "sqlite",
        "seed": 4,
        "reranker": None,
        "not_reranked": 0,
    }
    default, off = report["arms"]
    assert (default["name"], off["name"]) == ("default", "off")
    assert list(default["overall"]["recall"]) == ["1", "3"]
    interval = default["overall"]["recall"]["3"]
    assert 0 <= interval["low"] <= interval["mean"] <= interval["high"] <= 1
    assert sum(quality["questions"] for quality in default["categories"].values()) == 8
    assert off["latency"] is None
    assert off["against_default"]["3"]["mean"] == pytest.approx(-interval["mean"])
    assert set(default["latency"]) == {"p50", "p95", "p99", "first", "embedding"}


def test_the_mode_of_the_default_arm_can_be_chosen() -> None:
    names = [arm["name"] for arm in json.loads(run("locomo", *QUICK, "--json", "--mode", "rrf").stdout)["arms"]]
    assert "rerank" in names
    assert "rrf" not in names


def test_noise_shows_both_sides() -> None:
    result = run("noise", *QUICK, "--sizes", "10")
    assert result.exit_code == 0
    assert "off topic, threshold" in result.stdout
    assert "on topic: recall@10" in result.stdout
    report = json.loads(run("noise", *QUICK, "--sizes", "10", "--json").stdout)["noise"]
    assert [row["memories"] for row in report["off_topic"]] == [10, 10, None, None]


def test_calibrate_exits_with_1_where_no_threshold_fits_and_0_where_one_does() -> None:
    easy = run("calibrate", *QUICK, "--off-topic", "1", "--loss", "1", "--json")
    assert easy.exit_code == 0
    found = json.loads(easy.stdout)["calibration"]
    assert found["fits"] is True
    assert len(found["curve"]) == 201
    assert found["recommended"]["threshold"] == 0.0
    hard = run("calibrate", *QUICK, "--off-topic", "0", "--loss", "0")
    assert hard.exit_code == 1
    assert "does not fit" in hard.stdout
    assert "recommended" in hard.stdout
    assert "declared now" in hard.stdout


def test_isolation_prints_counts_and_exits_with_0_where_it_holds() -> None:
    result = run("isolation", "--users", "4")
    assert result.exit_code == 0
    assert "isolation holds" in result.stdout
    report = json.loads(run("isolation", "--users", "4", "--json").stdout)
    assert (report["store"], report["holds"], report["isolation"]["foreign"]) == ("sqlite", True, 0)


def test_gate_prints_precision_and_recall_by_kind_and_outcome() -> None:
    result = run("gate", "--each", "5", "--misses", "1")
    assert result.exit_code == 0
    for text in ("what became of each kind of turn", "system_prompt", "quarantined", "precision", "recall"):
        assert text in result.stdout
    report = json.loads(run("gate", "--each", "5", "--half", "tuning", "--json").stdout)
    assert (report["file"], report["half"]) == (None, "tuning")
    assert {row["outcome"] for row in report["gate"]["outcomes"]} == {"junk", "quarantined", "redacted", "kept"}
    assert all(row["cases"] >= 5 for row in report["gate"]["kinds"])


def test_gate_measures_the_configured_rules_on_a_file(tmp_path: Path) -> None:
    cases = tmp_path / "cases.json"
    cases.write_text(
        '[{"kind": "secret", "wanted": "quarantined", "text": "Bluebird is a project of ours, due in May."}]'
    )
    config = tmp_path / "router.yaml"
    config.write_text("global: {stores: {memory: {quarantine: {patterns: [Bluebird]}}}}\n")
    for args, right in (((), 0), (("--config", str(config)), 1)):
        report = json.loads(run("gate", str(cases), *args, "--json").stdout)
        assert (report["file"], report["gate"]["kinds"][0]["right"]) == ("cases.json", right)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("gate", "absent.json"), "absent.json: cannot be read"),
        (("locomo", "absent.json"), "absent.json: cannot be read (No such file or directory)"),
        (("locomo", "--k", "5,x"), "--k takes numbers from 1 to 1000"),
        (("locomo", "--k", "0"), "--k takes numbers from 1 to 1000"),
        (("locomo", "--k", ","), "--k names no place"),
        (("locomo", "--arms", "best"), "no arm is called 'best'; there are: default, off"),
        (("locomo", "--embedder", "nonsense"), "'nonsense'"),
        (("locomo", "--config", "absent.yaml"), "absent.yaml"),
        (("noise", "--conversations", "1"), "at least two are needed"),
        (("noise", "--sizes", "-1"), "--sizes takes numbers"),
        (("calibrate", "--conversations", "1"), "at least two are needed"),
    ],
)
def test_what_cannot_be_measured_is_one_message_and_exit_status_2(args: tuple[str, ...], message: str) -> None:
    result = run(*args)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stdout == ""
    assert "Traceback" not in result.output


def test_a_configured_store_is_used_and_left_empty(tmp_path: Path) -> None:
    path = tmp_path / "in-use.db"
    config = tmp_path / "router.yaml"
    config.write_text(f"global: {{stores: {{memory: {{sqlite: {{path: {path}}}}}}}}}\n")
    result = run("locomo", *QUICK, "--arms", "off", "--config", str(config), "--json")
    assert result.exit_code == 0, result.stderr
    assert path.exists()
    again = run("isolation", "--users", "2", "--config", str(config))
    assert again.exit_code == 0
    assert b"Figaro-" not in path.read_bytes()


def test_another_embedder_than_the_configured_one_wins_over_the_environment() -> None:
    args = ["locomo", *QUICK, "--arms", "off", "--json", "--embedder", "hash"]
    result = CliRunner().invoke(eval_app, args, env={"MEMROUTER_EMBEDDING_MODEL": "nonsense"})
    assert json.loads(result.stdout)["about"]["embedding_model"].startswith("hash")


def test_a_reranker_that_does_not_answer_is_told_of_beside_the_figures(tmp_path: Path) -> None:
    config = tmp_path / "router.yaml"
    reranker = "{kind: endpoint, base_url: 'http://127.0.0.1:9/v1', model: any}"
    config.write_text(
        f"global: {{stores: {{memory: {{sqlite: {{path: {tmp_path / 'm.db'}}}, reranker: {reranker}}}}}}}\n"
    )
    args = ("locomo", *QUICK, "--arms", "no-reranker", "--config", str(config))
    report = json.loads(run(*args, "--json").stdout)
    assert (report["about"]["reranker"], report["about"]["not_reranked"]) == ("endpoint", 8)
    default, without = report["arms"]
    assert without["name"] == "no-reranker"
    assert default["overall"] == without["overall"]
    assert "WARNING: 8 rankings kept their order" in run(*args).stdout
