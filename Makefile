PYTHON ?= python3
WITH = PATH="$(CURDIR)/.venv/bin:$$PATH"

# Set up and run the study; what did not change since the last time is not run again.
reproduce: .venv/ready
	@if test -e dvc.lock && ! test -s dvc.lock; then \
	  echo "dvc.lock: is empty, a process was ended while it wrote it; git checkout dvc.lock brings it back, and DVC's cache what was computed since" >&2; \
	  exit 1; \
	fi
	$(WITH) dvc repro

# Set up and run the tests, after lint, format and types.
test: .venv/ready
	$(WITH) ruff check .
	$(WITH) ruff format --check .
	$(WITH) mypy
	$(WITH) python -m pytest

# Put the study's figures into README, docs and the data card.
readme: .venv/ready
	.venv/bin/python -m docs.fill

.venv/ready: requirements.lock
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --requirement requirements.lock
	touch $@

.PHONY: reproduce test readme
