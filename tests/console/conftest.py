"""Settings for the tests of the console analysis."""

from hypothesis import settings

# How long an example takes says more of the machine's load than of the scanner; ci/fuzz watches times.
settings.register_profile("lab", deadline=None)
settings.load_profile("lab")
