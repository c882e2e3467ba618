# One environment for everything: .venv, with the project and every plugin under plugins/ installed editable.
#   make demo   train and judge a text-to-image fusion, offline, into runs/demo
#   make test   the tests (PYTEST_ARGS="-m slow" for the slow ones)
#   make bench  the measurements, into runs/bench.json (BENCH="startup" for one of them)
#   make lint   formatting, lint and types
#   make clean  remove the environment and caches; runs/ stays

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
PROJECTS := pyproject.toml $(wildcard plugins/*/pyproject.toml)
PLUGINS := $(patsubst %/pyproject.toml,%,$(wildcard plugins/*/pyproject.toml))
SOURCES := core/dragoman registry/dragoman_registry $(wildcard plugins/*/dragoman_*) benchmarks

.PHONY: demo test bench lint clean
.DELETE_ON_ERROR:

demo: $(VENV)/installed
	$(VENV)/bin/dragoman demo --out runs/demo

test: $(VENV)/installed-dev
	$(RUN) -m pytest $(PYTEST_ARGS)

bench: $(VENV)/installed-dev
	$(RUN) -m benchmarks --out runs/bench.json $(BENCH)

lint: $(VENV)/installed-dev
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy $(SOURCES)

clean:
	rm -rf $(VENV) dist .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Stamps: an installation is repeated only when a pyproject.toml or a pin changes. Plugins go into the command that
# installs the root, since pip would look for `dragoman` on the index otherwise; pip reads groups since 25.1.
$(VENV)/installed: $(PROJECTS) constraints.txt
	test -x $(RUN) || $(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --upgrade "pip>=25.1"
	$(RUN) -m pip install --constraint constraints.txt --editable . $(addprefix --editable ,$(PLUGINS))
	touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(RUN) -m pip install --constraint constraints.txt --group dev
	touch $@
