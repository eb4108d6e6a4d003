"""For all tests: a hypothesis test is judged by what it finds, not by how busy the machine is."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile("loreweave", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("loreweave")
