import random
import subprocess
import sys
from pathlib import Path

from memrouter.api.app import create_app
from memrouter.cli.listening import _uvicorn_config
from memrouter.config.load import load_settings
from memrouter.runtime import Runtime
from memrouter.testing.clock import ManualClock

LONGEST_IDLE = 60  # seconds for which proxies and clients commonly keep an idle connection


async def test_idle_connections_outlive_those_of_proxies(tmp_path: Path) -> None:
    backend = [{"endpoint": "127.0.0.1:9"}]
    settings = load_settings(
        None,
        env={},
        overrides={
            "providers": {"models": [{"name": "m", "backend_refs": backend}]},
            "global": {"stores": {"memory": {"sqlite": {"path": str(tmp_path / "m.db")}}}},
        },
    ).settings
    runtime = await Runtime.open(settings, env={}, clock=ManualClock(), rng=random.Random(1))
    try:
        app = create_app(runtime, settings.listeners[0])
        assert _uvicorn_config(runtime, app).timeout_keep_alive > LONGEST_IDLE
    finally:
        await runtime.aclose()


def test_a_router_loads_no_http_client_that_only_some_settings_need() -> None:
    program = (
        "import sys; import memrouter.cli.listening, memrouter.inspector.mount; "
        "held = {'aiohttp', 'requests'} & set(sys.modules); assert not held, held"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
