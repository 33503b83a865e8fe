PYTHON ?= python3
WITH = PATH="$(CURDIR)/.venv/bin:$$PATH"

# Set up and run the study, JOBS stages at once; what did not change since the last time is not run again. RAY=auto
# computes on a Ray cluster as well.
reproduce: .venv/ready
	@$(WITH) python -m stages.reproduce $(if $(JOBS),--jobs "$(JOBS)") $(if $(RAY),--ray "$(RAY)")

# A study of your own: plan it for the folder COLLECTION, write params.yaml, and run it, JOBS and RAY as above.
study: .venv/ready
	@$(WITH) python -m stages.plan --collection "$(COLLECTION)" $(if $(BASE),--base "$(BASE)") \
		$(if $(HOURS),--hours "$(HOURS)") $(if $(filter 1,$(FORCE)),--force)
	@$(WITH) python -m stages.reproduce $(if $(JOBS),--jobs "$(JOBS)") $(if $(RAY),--ray "$(RAY)")

# What `make reproduce` would run, for how long and how large.
preview: .venv/ready
	@$(WITH) python -m stages.reproduce --dry $(if $(JOBS),--jobs "$(JOBS)")

# Set up and run the tests, after lint and format and beside the types.
test: .venv/ready
	$(WITH) ruff check .
	$(WITH) ruff format --check .
	$(WITH) sh -c 'mypy & python -m pytest; tests=$$?; wait $$! && exit $$tests'

# Put the study's figures into README, docs and the data card.
readme: .venv/ready
	.venv/bin/python -m docs.fill

.venv/ready: requirements.lock
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --requirement requirements.lock
	touch $@

.PHONY: reproduce study preview test readme
