"""Settings of the inspector that would shut out nobody."""

import pytest

from memrouter.config.check import check_settings
from memrouter.config.settings import Settings


def findings(**sections: object) -> list[str]:
    settings = Settings.model_validate({"global": sections})
    return [f"{finding.path[-1]}" for finding in check_settings(settings) if "inspector" in finding.path]


@pytest.mark.parametrize(("trusted", "refused"), [("0.0.0.0/0", True), ("::/0", True), ("10.0.0.0/8", False)])
def test_signing_in_by_name_from_everywhere_is_refused(trusted: str, refused: bool) -> None:
    found = findings(auth={"trusted_proxies": [trusted]}, inspector={"sign_in_by_name": "trusted"})
    assert (found == ["sign_in_by_name"]) is refused
