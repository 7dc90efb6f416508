"""For all layers."""

from hypothesis import settings

# Hypothesis' default limits the time of one example; a busy machine would fail it.
settings.register_profile("prorl", deadline=None)
settings.load_profile("prorl")
