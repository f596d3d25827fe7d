"""The small study, its repository and its commands."""

from small_study import environment, repository, run, small_study

__all__ = ["environment", "repository", "run", "small_study"]
