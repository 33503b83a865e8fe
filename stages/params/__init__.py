"""params.yaml as typed, strictly checked values."""

from stages.params.study import Study, load, parse

__all__ = ["Study", "load", "parse"]
