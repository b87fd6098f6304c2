"""The sockets that listeners answer on."""

import logging
import socket

from memrouter.config.settings import Listener
from memrouter.errors import ConfigError, ConfigProblem

logger = logging.getLogger(__name__)


def bind(listener: Listener) -> socket.socket:
    """Return a listening socket.

    Raises:
        ConfigError: The address cannot be had; the message names the way out.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(
            listener.address, listener.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, socket.SOCK_STREAM)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
        bound.listen(2048)
    except OSError as error:
        raise ConfigError(
            [
                ConfigProblem(
                    file="<this machine>",
                    line=None,
                    key=f"listeners.{listener.name}",
                    found=f"{listener.address}:{listener.port} ({error.strerror or error})",
                    allowed="an address of this machine and a free port",
                    hint="Stop what listens there, or choose another port: memrouter serve --port 8889",
                )
            ]
        ) from error
    bound.setblocking(False)
    logger.info("listening on http://%s:%d", *bound.getsockname()[:2])
    return bound
