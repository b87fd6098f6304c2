"""Whatever is sent to a router, it answers as its OpenAPI description says, in every way of knowing callers."""

import asyncio
import json
import os
import random
import re
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jwt
import pytest

from memrouter.api.identity.api_key import ApiKey, hash_secret, new_secret, write_key
from memrouter.api.identity.key_file import KeyFile
from memrouter.testing.echo import echo_all
from memrouter.testing.upstream import ScriptedUpstream

from ..flow.servers import Router, router_config, running_router

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)
SECRET = "0123456789abcdef" * 4


async def trusted_header(folder: Path) -> tuple[dict[str, Any], dict[str, str]]:
    return {"mode": "trusted_header"}, {"x-authz-user-id": "alice"}


async def api_key(folder: Path) -> tuple[dict[str, Any], dict[str, str]]:
    file = folder / "keys.yaml"
    key_id, secret = new_secret(random.Random(5))
    key = ApiKey(id=key_id, sha256=hash_secret(secret), created=datetime.now(UTC), user="alice")
    await KeyFile(file).add(key)
    return {"mode": "api_key", "api_keys": {"file": str(file)}}, bearer(write_key(key_id, secret))


async def jwt_token(folder: Path) -> tuple[dict[str, Any], dict[str, str]]:
    claims = {"iss": "https://issuer.example", "aud": "memrouter", "sub": "alice", "exp": int(time.time()) + 3600}
    expected = {"issuer": claims["iss"], "audience": [claims["aud"]], "secret": SECRET, "algorithms": ["HS256"]}
    return {"mode": "jwt", "jwt": expected}, bearer(jwt.encode(claims, SECRET, algorithm="HS256"))


def bearer(text: str) -> dict[str, str]:
    return {"authorization": f"Bearer {text}"}


async def something_there(router: Router, headers: dict[str, str]) -> dict[str, str]:
    """Make a memory and a response, and return their ids by the names that paths have for them."""
    asked = {"input": "What is my canary called?", "model": "scripted"}
    ids = []
    for path, body in (("/v1/memory", {"content": "My canary is called Figaro."}), ("/v1/responses", asked)):
        async with router.http.post(router.url + path, json=body, headers=headers) as answer:
            assert answer.ok, await answer.text()
            made = await answer.json()
        ids.append(made["memories"][0]["id"] if "memories" in made else made["id"])
    return {"memory_id": ids[0], "response_id": ids[1], "name": "scripted"}


async def schemathesis_run(router: Router, headers: dict[str, str], *, phases: str, folder: Path) -> str:
    """Return the report of a run without failures."""
    arguments = [
        *("--phases", phases, "--max-examples", "6", "--no-shrink", "--continue-on-failure"),
        *("--generation-deterministic", "--request-timeout", "20"),
        *("--checks", ",".join(CHECKS), "--warnings", "off", "--url", router.url),
        *(part for name, value in headers.items() for part in ("--header", f"{name}: {value}")),
    ]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "schemathesis.cli", "run", *arguments, f"{router.url}/openapi.json"),
        cwd=folder,
        env={
            **os.environ,
            "SCHEMATHESIS_HOOKS": str(Path(__file__).with_name("schemathesis_hooks.py")),
            "MEMROUTER_TEST_IDS": json.dumps(await something_there(router, headers)),
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        report = (await process.communicate())[0].decode()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, report
    return report


@pytest.mark.parametrize("mode", [trusted_header, api_key, jwt_token])
async def test_every_route_answers_as_described_whatever_it_is_sent(tmp_path: Path, mode: Any) -> None:
    auth, headers = await mode(tmp_path)
    async with ScriptedUpstream(echo_all) as model:
        config = router_config({"scripted": [model.endpoint]}, memory={"embedding_model": "hash"})
        config["global"]["auth"] = auth
        async with running_router(tmp_path, config, discreet=False) as router:
            async with router.http.get(f"{router.url}/openapi.json") as answer:
                described = {method + path for path, item in (await answer.json())["paths"].items() for method in item}
            phases = "examples,coverage,fuzzing" if mode is trusted_header else "examples,fuzzing"
            report = await schemathesis_run(router, headers, phases=phases, folder=tmp_path)
            assert "unexpectedly" not in router.log.read_text()
    tested = re.search(r"Tested: +(\d+)", report)
    generated = re.search(r"(\d+) generated", report)
    assert tested is not None, report
    assert generated is not None, report
    assert int(tested[1]) == len(described), report
    assert int(generated[1]) >= 3 * len(described)
