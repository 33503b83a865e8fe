PYTHON ?= python3

# Set up and run the study; what did not change since the last time is not run again.
reproduce: .venv/ready
	PATH="$(CURDIR)/.venv/bin:$$PATH" dvc repro

# Set up and run the tests.
test: .venv/ready
	PATH="$(CURDIR)/.venv/bin:$$PATH" python -m pytest

# Put the study's table into the README and the data card.
readme: .venv/ready
	.venv/bin/python -m tests.test_readme

.venv/ready: requirements.lock
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --requirement requirements.lock
	touch $@

.PHONY: reproduce test readme
