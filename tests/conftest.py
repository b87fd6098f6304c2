"""Shared by all tests: how hypothesis runs."""

from hypothesis import HealthCheck, settings

# No deadline: speed is measured in benchmarks, and a busy machine must not fail a test.
settings.register_profile(
    "memrouter", deadline=None, max_examples=80, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("memrouter")
