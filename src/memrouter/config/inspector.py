"""``global.inspector``: pages for people and operators, under ``/ui``."""

from typing import Literal

from memrouter.config.base import Section


class InspectorSettings(Section):
    """The inspector: a web page on one's own memories, and one on the router for operators."""

    enabled: bool | None = None
    """Whether listeners answer at ``/ui``; omitted = those that only this machine can reach."""
    sign_in_by_name: Literal["off", "loopback", "trusted"] = "loopback"
    """With ``mode: trusted_header``, where a browser may say whose memories it shows, as the user header would:
    ``loopback`` = on this machine and without a proxy between; ``trusted`` = from all ``trusted_proxies``."""
    operators_may_read: bool = False
    """Whether operators may look at memories of others, each look being written to the audit log with a reason."""
