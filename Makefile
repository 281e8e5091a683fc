# The whole project from a fresh clone: `make demo` and `make test`, in either order, nothing before them.
#
# The environment lies in .venv and is built in steps; each finished step leaves a stamp, so an interrupted set-up goes
# on where it stopped, a finished one is not repeated, and a change of the dependencies repeats just what it must.

.DELETE_ON_ERROR:
.PHONY: setup demo test paper music sampling bench bench-gpu docs check format clean help
SHELL := /bin/bash

# The first Python on the path from 3.10 to 3.13; override with `make PYTHON=/path/to/python3.11 …`.
FITS := import sys, venv; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python3.10; do \
	$$p -c '$(FITS)' >/dev/null 2>&1 && echo $$p && break; done)
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install
# Unmodified heareval loads checkpoints that hold classes, which torch >= 2.6 refuses unless told otherwise.
export TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD := 1

# glibc gives freed activations back to the system and takes them again page by page, up to a third of all time; keep
# up to 1 GiB of them. Not needed for correctness, and nothing outside this file depends on it.
export MALLOC_MMAP_THRESHOLD_ := 33554432
export MALLOC_TRIM_THRESHOLD_ := 1073741824

# Threads of OpenMP that wait for each other sleep instead of spinning: beside another busy process, spinning ones take
# turns at waiting, and everything is 20 times slower.
export OMP_WAIT_POLICY := PASSIVE

# What is said where pip fails, after its own words in the log $(1).
NO_PIP = { cat $(1); echo; echo "error: set-up stopped, pip's own words are above; it takes 9 GB of disk, $$(df -Ph . | \
	awk 'NR == 2 { print $$4 }') are free here; the next make goes on where this one stopped"; exit 1; }

help:
	@echo "make demo    the main job on generated data, end to end: synthesize, pretrain, heareval, score table, report page"
	@echo "make test    the whole test suite"
	@echo "make paper   every table and figure of the paper; small, on generated data, or DATA=… [SEEDS=5] [SCALE=small|full] [OUT=…]"
	@echo "make music   the sibling system, disentangled music sounds, on generated data: [SCALE=full] [OUT=…]"
	@echo "make sampling  the sibling system, contrast at clip, frame and pitch level: [SCALE=full] [SEEDS=n] [DATA=folder of recordings] [OUT=…]"
	@echo "make bench   speed and memory beside the stock library, into docs/performance.md; make bench-gpu the GPU rows"
	@echo "make docs    docs/commands.md from the parsers, and the documentation site in site/"
	@echo "make check   lint, format and types        make format  apply the formatter"
	@echo "make setup   only the environment          make clean   remove the environment and everything generated"

setup: .venv/.installed

.venv/.created:
	@test -n "$(PYTHON)" || { echo "error: no Python from 3.10 to 3.13 found; install one, or say make PYTHON=/path/to/python3.11"; exit 1; }
	@echo "set-up 1/4: a virtual environment in .venv, from $$($(PYTHON) --version)"
	@rm -rf .venv && $(PYTHON) -m venv .venv && touch $@

.venv/.packages: .venv/.created setup.cfg
	@echo "set-up 2/4: this project and its dependencies; torch is the large one (0.8 GB to fetch on Linux, more with its GPU libraries)"
	@$(PIP) --quiet --progress-bar on -e ".[eval,train,dev,hub]" 2>.venv/packages.log \
		|| $(call NO_PIP,.venv/packages.log)
	@touch $@

.venv/.hear: .venv/.packages
	@echo "set-up 3/4: hear-eval-kit and hearvalidator, unmodified, without their 2021 pins (setup.cfg has what they need)"
	@$(PIP) --quiet --no-deps heareval==2021.1.3 hearvalidator==2021.0.2 && touch $@

# TensorFlow comes last and alone: audiotools asks for protobuf < 3.20, TensorFlow for a newer one, both run with the
# newer one, and no single pip command can say so. pip reports that conflict, here and in step 2 of a later set-up:
# what it says is shown only where it fails.
.venv/.installed: .venv/.hear
	@echo "set-up 4/4: TensorFlow, which heareval and hearvalidator import"
	@$(PIP) --quiet --progress-bar on "tensorflow-cpu>=2.16,<3; sys_platform == 'linux' and platform_machine == 'x86_64'" \
		"tensorflow>=2.16,<3; sys_platform != 'linux' or platform_machine != 'x86_64'" 2>.venv/tensorflow.log \
		|| $(call NO_PIP,.venv/tensorflow.log)
	@touch $@

demo: setup
	@$(BIN)/python -m training demo

test: setup
	@$(BIN)/python -m pytest

# With DATA (a folder in the layout of SONYC-UST-V2) the paper's own size, without it a small one on generated data.
# More options: python -m training paper --help. LAUNCH="--multi_gpu --num_processes 2": by so many processes.
OUT ?= paper
SEEDS ?= $(if $(DATA),5,3)
paper: setup
	@$(BIN)/$(if $(LAUNCH),accelerate launch $(LAUNCH),python) -m training paper --out "$(OUT)" --seeds $(SEEDS) $(if $(DATA),--data "$(DATA)") $(if $(SCALE),--scale $(SCALE))

# Small by default; SCALE=full has the paper's 32,000 sounds and several seeds.
music: setup
	@$(BIN)/python -m training music $(if $(SCALE),--scale $(SCALE)) $(if $(filter-out paper,$(OUT)),--out "$(OUT)")

# Small by default, on generated streets; DATA is any folder of recordings, no labels needed. SEEDS alone is of `paper`.
sampling: setup
	@$(BIN)/python -m training sampling $(if $(SCALE),--scale $(SCALE)) $(if $(filter command environment,$(origin SEEDS)),--seeds $(SEEDS)) $(if $(DATA),--data "$(DATA)") $(if $(filter-out paper,$(OUT)),--out "$(OUT)")

bench: setup
	@$(BIN)/python -m training bench --out docs/performance.md

bench-gpu: setup
	@$(BIN)/python -m training bench --gpu --out docs/performance.md

# The documentation site in site/: the commands' page anew, then every page; a broken link is an error.
.venv/.docs: .venv/.installed
	@$(PIP) --quiet -e ".[docs]" && touch $@

docs: .venv/.docs
	@$(BIN)/python docs/tools/commands_page.py
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet && echo site/index.html

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv build dist *.egg-info demo paper music sampling site .pytest_cache .mypy_cache .ruff_cache logs
