"""Where a Milvus is: a server's URI, or the folder of a local one."""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from memrouter.config.addresses import bad_endpoint
from memrouter.config.memory import MilvusSettings
from memrouter.errors import ConfigError, ConfigProblem

SECTION = "global.stores.memory.milvus"

_SCHEMES = ("http", "https", "tcp", "unix")
_ALLOWED = "host:port, a URI such as https://milvus.example:443, or the path of a local file that ends in .db"


@dataclass(frozen=True, slots=True)
class MilvusAddress:
    """What the client is given.

    Attributes:
        uri: For the client.
        place: For messages: without user, password and database.
        local: Whether Milvus Lite serves it inside this process.
        tls: Whether the connection is encrypted.
        host: Name or address of the server; empty for a socket file and a local one.
        port: Its TCP port; 0 for a socket file and a local one.
    """

    uri: str
    place: str
    local: bool = False
    tls: bool = False
    host: str = ""
    port: int = 0


def milvus_address(settings: MilvusSettings) -> MilvusAddress:
    """Return where the configured Milvus is.

    Raises:
        ConfigError: ``address`` is none of the forms.
    """
    text = settings.address.strip()
    if "://" not in text and not text.startswith("unix:"):
        return _plain(text, settings)
    try:
        parts = urlsplit(text)
        scheme, host, port = parts.scheme.lower(), parts.hostname or "", parts.port
    except ValueError:
        raise _bad(settings) from None
    if scheme not in _SCHEMES or (scheme != "unix" and not host):
        raise _bad(settings)
    if scheme == "unix":
        return MilvusAddress(uri=text, place=text)
    port = port or (443 if scheme == "https" else 19530)
    tls = settings.tls_enabled or scheme == "https"
    return MilvusAddress(uri=text, place=_place(host, port), tls=tls, host=host, port=port)


def _plain(text: str, settings: MilvusSettings) -> MilvusAddress:
    if text.endswith(".db"):
        path = str(Path(text).expanduser())
        return MilvusAddress(uri=path, place=path, local=True)
    if bad_endpoint(text):
        raise _bad(settings)
    host, _, port = text.rpartition(":")
    scheme = "https" if settings.tls_enabled else "http"
    host = host.removeprefix("[").removesuffix("]")
    return MilvusAddress(uri=f"{scheme}://{text}", place=text, tls=settings.tls_enabled, host=host, port=int(port))


def _place(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _bad(settings: MilvusSettings) -> ConfigError:
    shown = settings.address.rpartition("@")[2]  # what stands before may be a password
    return ConfigError([ConfigProblem("<configuration>", None, f"{SECTION}.address", repr(shown), _ALLOWED)])
