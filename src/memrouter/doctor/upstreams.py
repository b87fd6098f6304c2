"""Whether the model servers can be reached."""

from collections.abc import Mapping, Sequence

from memrouter.config.settings import Settings
from memrouter.doctor.findings import Finding, broken, ok, warning
from memrouter.errors import ConfigError, UpstreamUnreachable
from memrouter.upstream.backend import Backend, resolve_backends
from memrouter.upstream.probe import check_backends


async def upstream_findings(settings: Settings, *, env: Mapping[str, str]) -> list[Finding]:
    """Return one finding for each backend of each model; nothing is asked of them but a connection."""
    try:
        models = resolve_backends(settings, env=env)
    except ConfigError as error:
        return [
            broken(
                "upstream",
                str(problem),
                why="the router does not start",
                fix=problem.hint or f"correct {problem.key}",
            )
            for problem in error.problems
        ]
    if not models:
        return [
            warning(
                "upstream",
                "no model is configured",
                why="there is nothing to send chats to",
                fix="add providers.models with backend_refs, and give the file with --config",
            )
        ]
    patience = settings.global_.server.connect_timeout
    return [finding for name, backends in models.items() for finding in await _of_model(name, backends, patience)]


async def _of_model(name: str, backends: Sequence[Backend], patience: float) -> list[Finding]:
    reached = [(backend, await _connects(backend, patience)) for backend in backends]
    if all(connects for _, connects in reached):
        return [ok("upstream", f"{name}: {backend} takes connections") for backend in backends]
    others = any(connects for _, connects in reached)
    why = "chats go to the model's other backends" if others else f"chats with {name} fail"
    level = warning if others else broken
    return [
        ok("upstream", f"{name}: {backend} takes connections")
        if connects
        else level(
            "upstream",
            f"{name}: {backend} cannot be connected to",
            why=why,
            fix=f"start it, or correct its address in providers.models; check: nc -zv {backend.url.host} "
            f"{backend.url.port}",
        )
        for backend, connects in reached
    ]


async def _connects(backend: Backend, patience: float) -> bool:
    try:
        await check_backends({backend.name: [backend]}, patience=patience)
    except UpstreamUnreachable:
        return False
    return True
