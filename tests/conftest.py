"""What holds for every test: Hypothesis draws the same examples in every run, without a deadline, for the first call of
compiled code compiles it."""

from hypothesis import settings

settings.register_profile("densimeter", deadline=None, derandomize=True)
settings.load_profile("densimeter")
