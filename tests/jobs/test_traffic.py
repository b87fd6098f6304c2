"""Requests in work."""

import pytest

from memrouter.jobs.traffic import Traffic


def test_it_is_busy_until_the_last_request_has_ended_however_it_does() -> None:
    traffic = Traffic()
    with traffic.request():
        with pytest.raises(ValueError, match="broken"), traffic.request():
            raise ValueError("broken")
        assert traffic.busy
    assert not traffic.busy
