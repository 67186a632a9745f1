"""How hard hypothesis tries. AGENTPLAT_HYPOTHESIS=long tries a hundred times as hard, and differently every time."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, Phase, settings

IS_LONG = os.environ.get("AGENTPLAT_HYPOTHESIS") == "long"

# The same examples for everyone, so that a failure is no one's bad luck.
settings.register_profile(
    "ci",
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=400,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.register_profile("long", settings.get_profile("ci"), derandomize=False, max_examples=20_000, print_blob=True)


def tried(share: float = 1.0) -> settings:
    """Settings with so much of what the profile would try."""
    profile = settings.get_profile("long" if IS_LONG else "ci")
    return settings(profile, max_examples=max(1, int(profile.max_examples * share)))


def searched(examples: int) -> settings:
    """Settings to look for a fault that is there: the first example that shows it will do."""
    profile = settings.get_profile("ci")
    return settings(profile, max_examples=examples, phases=(Phase.generate,), report_multiple_bugs=False)
