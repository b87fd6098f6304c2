"""What the doctor says about who is believed."""

import json
from pathlib import Path
from typing import Any

from memrouter.config.settings import Settings
from memrouter.doctor.findings import Finding, Level
from memrouter.doctor.identity import identity_findings
from memrouter.testing.clock import ManualClock

JWT = {"issuer": "https://i.example", "audience": ["memrouter"]}


async def findings(address: str = "127.0.0.1", **auth: Any) -> list[Finding]:
    listeners = [{"name": "one", "address": address}, {"name": "one", "address": address, "port": 1}]
    settings = Settings.model_validate({"listeners": listeners, "global": {"auth": auth}})
    return await identity_findings(settings, clock=ManualClock())


async def test_the_defaults_are_well() -> None:
    (found,) = await findings()
    assert (found.level, found.seen) == (Level.OK, "auth.mode is trusted_header")


async def test_what_the_log_advises_is_a_warning_once() -> None:
    (found,) = await findings("10.0.0.5")
    assert (found.level, "trusted_proxies" in found.fix) == (Level.WARNING, True)
    (found,) = await findings(trust_body_user=True)
    assert found.seen.startswith("UNSAFE")


async def test_a_key_file_is_looked_at(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    keys: dict[str, Any] = {"mode": "api_key", "api_keys": {"file": str(path)}}
    (missing,) = await findings(**keys)
    assert (missing.level, "memrouter keys create" in missing.fix) == (Level.BROKEN, True)
    path.write_text('{"keys": []}')
    path.chmod(0o644)
    (readable,) = await findings(**keys)
    assert (readable.level, "chmod 600" in readable.fix) == (Level.BROKEN, True)
    path.chmod(0o600)
    (empty,) = await findings(**keys)
    assert (empty.level, empty.why) == (Level.WARNING, "nobody can come in")
    key = {"id": "abcdefgh2345", "sha256": "0" * 64, "created": "2020-01-01T00:00:00Z", "user": "alice"}
    path.write_bytes(json.dumps({"keys": [key]}).encode())
    (good,) = await findings(**keys)
    assert (good.level, "holds 1 keys, 0 of them expired" in good.seen) == (Level.OK, True)


async def test_an_issuer_that_cannot_be_asked_is_broken(tmp_path: Path) -> None:
    (found,) = await findings(mode="jwt", jwt={**JWT, "jwks_url": "http://127.0.0.1:9/jwks"})
    assert (found.level, "cannot be asked" in found.seen) == (Level.BROKEN, True)
    (found,) = await findings(mode="jwt", jwt={**JWT, "key_file": str(tmp_path / "none.pem")})
    assert (found.level, "key_file" in found.seen) == (Level.BROKEN, True)


async def test_a_shared_secret_needs_nothing_else() -> None:
    (found,) = await findings(mode="jwt", jwt={**JWT, "secret": "s" * 32, "algorithms": ["HS256"]})
    assert found.level is Level.OK
    assert "s" * 32 not in found.seen
