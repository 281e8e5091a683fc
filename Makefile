# The whole project from a fresh clone: run `make demo` or `make test`, in either order.
#
# The environment in .venv is built in steps. Each finished step leaves a stamp file, so an interrupted set-up resumes,
# a finished one is not repeated, and a change of the dependencies repeats only the steps that it affects.

.DELETE_ON_ERROR:
.PHONY: setup demo test faults paper music sampling separated bench bench-gpu docs check format clean help
.PHONY: fuzz load test-oldest test-newest test-adapters licences sbom
SHELL := /bin/bash

# The first Python on the path from 3.10 to 3.13; override with `make PYTHON=/path/to/python3.11 …`.
FITS := import sys, venv; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python3.10; do \
	$$p -c '$(FITS)' >/dev/null 2>&1 && echo $$p && break; done)
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install
# Unmodified heareval loads checkpoints with pickled classes, which torch >= 2.6 rejects unless this variable is set.
export TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD := 1

# By default, glibc returns freed activations to the system and gets them back page by page, which can take a third of
# the time. Keep up to 1 GiB of them. This affects only speed.
export MALLOC_MMAP_THRESHOLD_ := 33554432
export MALLOC_TRIM_THRESHOLD_ := 1073741824

# Let waiting OpenMP threads sleep instead of spin: next to another busy process, spinning makes everything 20 times
# slower.
export OMP_WAIT_POLICY := PASSIVE

# Explain a failure of pip, after its own messages in the log $(1).
NO_PIP = { cat $(1); echo; echo "error: pip failed, see its messages above; set-up needs 9 GB of disk, and $$(df -Ph . | \
	awk 'NR == 2 { print $$4 }') are free here; the next make resumes"; exit 1; }

help:
	@echo "make demo    the main workflow end to end, on generated data: synthesize, pretrain, heareval, score table, report page"
	@echo "make test    the whole test suite"
	@echo "make faults  kill every long command at random moments, and compare what it resumes to: [SEED=n]"
	@echo "make paper   every table and figure of the paper, small and on generated data, or DATA=… [SEEDS=5] [SCALE=small|full] [OUT=…]"
	@echo "make music   the music system, disentangled factors of generated sounds: [SCALE=full] [OUT=…]"
	@echo "make sampling  contrast at clip, frame and pitch level: [SCALE=full] [SEEDS=n] [DATA=folder of recordings] [OUT=…]"
	@echo "make separated  a mixture and its separated sources as views: [SCALE=full] [SEEDS=n] [OUT=…]"
	@echo "make bench   speed and memory compared with the stock library, into docs/performance.md; make bench-gpu for a GPU"
	@echo "make docs    generate docs/commands.md, and the documentation site in site/"
	@echo "make check   check lint, format and types  make format  apply the formatter"
	@echo "make fuzz    hundreds of spoilt sound files, and thousands of other spoilt files: [FILES=n] [SEED=n]"
	@echo "make load    20,000 clips and 1,000 calls: memory and time: [CLIPS=n] [CALLS=n]"
	@echo "make test-oldest, test-newest  the suite on the oldest and newest allowed packages, in environments of 7 GB: [ARGS=…]"
	@echo "make test-adapters  the tests of the X-ARES and MTEB adapters with these benchmarks, in an environment of 7 GB"
	@echo "make licences, sbom  the licences of all that is installed; a software bill of materials, sbom.json"
	@echo "make setup   build only the environment    make clean   remove the environment and everything generated"

setup: .venv/.installed

.venv/.created:
	@test -n "$(PYTHON)" || { echo "error: no Python from 3.10 to 3.13 found; install one, or run make PYTHON=/path/to/python3.11"; exit 1; }
	@echo "set-up 1/4: virtual environment in .venv, with $$($(PYTHON) --version)"
	@rm -rf .venv && $(PYTHON) -m venv .venv && touch $@

.venv/.packages: .venv/.created setup.cfg
	@echo "set-up 2/4: this project and its dependencies; torch is the largest (a download of 0.8 GB on Linux, more with its GPU libraries)"
	@$(PIP) --quiet --progress-bar on -e ".[eval,train,dev,hub,efficientnet,recordings]" 2>.venv/packages.log \
		|| $(call NO_PIP,.venv/packages.log)
	@touch $@

.venv/.hear: .venv/.packages
	@echo "set-up 3/4: unmodified hear-eval-kit and hearvalidator, without their 2021 pins (setup.cfg lists what they need)"
	@$(PIP) --quiet --no-deps heareval==2021.1.3 hearvalidator==2021.0.2 && touch $@

# TensorFlow is installed last and separately: audiotools requires protobuf < 3.20 and TensorFlow a newer one, both work
# with the newer one, and no single pip command can express that. pip reports the conflict here, and in step 2 of a later
# set-up, so its messages are shown only if it fails.
.venv/.installed: .venv/.hear
	@echo "set-up 4/4: TensorFlow, which heareval and hearvalidator import"
	@$(PIP) --quiet --progress-bar on "tensorflow-cpu>=2.16,<3; sys_platform == 'linux' and platform_machine == 'x86_64'" \
		"tensorflow>=2.16,<3; sys_platform != 'linux' or platform_machine != 'x86_64'" 2>.venv/tensorflow.log \
		|| $(call NO_PIP,.venv/tensorflow.log)
	@touch $@

demo: setup
	@$(BIN)/python -m training demo

test: setup
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile

# Kill, fill the disk of, and run twice at once every long command, at seeded-random moments: half an hour.
faults: setup
	@OMP_NUM_THREADS=1 $(BIN)/python -m tests.faults $(if $(SEED),--seed $(SEED))

# What docs/reliability.md promises, on many more inputs than `make test` tries: spoilt sound files and spoilt files of
# other kinds. Another SEED gives other files.
SEED ?= 0
fuzz: setup
	@OMP_NUM_THREADS=1 FUZZ_FILES=$(or $(FILES),400) FUZZ_SEED=$(SEED) FUZZ_EXAMPLES=1000 \
		$(BIN)/python -m pytest -q -s tests/trust/test_bad_audio.py tests/trust/test_bad_files.py

# 20,000 clips of 0.1 s through check, latents, one epoch and build, and 1,000 calls of the API.
load: setup
	@OMP_NUM_THREADS=1 LOAD_CLIPS=$(or $(CLIPS),20000) LOAD_CALLS=$(or $(CALLS),1000) \
		$(BIN)/python -m pytest -q -s tests/trust/test_load.py

# Tools that look at environments from outside, and uv, which can resolve to the oldest allowed versions.
.venv-tools/.installed: setup.cfg .venv/.created
	@rm -rf .venv-tools && $(BIN)/python -m venv .venv-tools
	@.venv-tools/bin/python -m pip --disable-pip-version-check install --quiet "uv>=0.5,<1" "pip-licenses>=5,<6" \
		"cyclonedx-bom>=7,<8" && touch $@

# uv looks for these on the path, and otherwise downloads them; give paths where neither helps.
OLDEST_PYTHON ?= 3.10
NEWEST_PYTHON ?= 3.13
ADAPTERS_PYTHON ?= 3.12

# $(call ENVIRONMENT,folder,Python,extras,options of uv): a new environment with this project in it.
UV := .venv-tools/bin/uv
ENVIRONMENT = $(UV) venv --quiet --clear --python $(2) $(1) && $(UV) pip install --quiet --python $(1) $(4) -e ".[$(3)]"
# As in the four steps of the set-up above.
HEAR = $(UV) pip install --quiet --python $(1) --no-deps heareval==2021.1.3 hearvalidator==2021.0.2 && \
	$(UV) pip install --quiet --python $(1) "tensorflow-cpu>=2.16,<3; sys_platform == 'linux' and platform_machine == 'x86_64'" \
	"tensorflow>=2.16,<3; sys_platform != 'linux' or platform_machine != 'x86_64'"
ALL := eval,train,dev,hub,efficientnet,recordings
ADAPTERS := xares,mteb,dev,hub

.venv-oldest/.installed: .venv-tools/.installed
	@$(call ENVIRONMENT,.venv-oldest,$(OLDEST_PYTHON),$(ALL),--resolution lowest-direct) && $(call HEAR,.venv-oldest) && touch $@

.venv-newest/.installed: .venv-tools/.installed
	@$(call ENVIRONMENT,.venv-newest,$(NEWEST_PYTHON),$(ALL),--upgrade) && $(call HEAR,.venv-newest) && touch $@

.venv-adapters/.installed: .venv-tools/.installed
	@$(call ENVIRONMENT,.venv-adapters,$(ADAPTERS_PYTHON),$(ADAPTERS)) && touch $@

# ARGS='-m "not slow"' leaves the slow tests out. An environment stays until setup.cfg changes, or `make clean`.
test-oldest test-newest: test-%: .venv-%/.installed
	@OMP_NUM_THREADS=1 .venv-$*/bin/python -m pytest -n auto --maxprocesses 4 --dist loadfile $(ARGS)

test-adapters: .venv-adapters/.installed
	@OMP_NUM_THREADS=1 .venv-adapters/bin/python -m pytest tests/hear_multiview/adapters $(ARGS)

# A licence of the GPL's family ends this with an error, but for two that bind nobody who uses this project: soxr is a
# library of its own, which the LGPL lets anyone call, and text-unidecode may be used under the Artistic License instead.
licences: setup .venv-tools/.installed
	@.venv-tools/bin/pip-licenses --python $(BIN)/python --order license --partial-match --fail-on GPL \
		--ignore-packages soxr text-unidecode

sbom: setup .venv-tools/.installed
	@.venv-tools/bin/cyclonedx-py environment --output-reproducible --output-file sbom.json $(BIN)/python && echo sbom.json

# With DATA (a folder in the layout of SONYC-UST-V2) at the paper's size, otherwise a small one on generated data. For
# more options, see python -m training paper --help. LAUNCH="--multi_gpu --num_processes 2" launches two processes.
OUT ?= paper
SEEDS ?= $(if $(DATA),5,3)
paper: setup
	@$(BIN)/$(if $(LAUNCH),accelerate launch $(LAUNCH),python) -m training paper --out "$(OUT)" --seeds $(SEEDS) $(if $(DATA),--data "$(DATA)") $(if $(SCALE),--scale $(SCALE))

# Small by default; SCALE=full uses the paper's 32,000 sounds and several seeds.
music: setup
	@$(BIN)/python -m training music $(if $(SCALE),--scale $(SCALE)) $(if $(filter-out paper,$(OUT)),--out "$(OUT)")

# Small by default, on generated streets; DATA is any folder of recordings, no labels needed. SEEDS alone is of `paper`.
sampling: setup
	@$(BIN)/python -m training sampling $(if $(SCALE),--scale $(SCALE)) $(if $(filter command environment,$(origin SEEDS)),--seeds $(SEEDS)) $(if $(DATA),--data "$(DATA)") $(if $(filter-out paper,$(OUT)),--out "$(OUT)")

# Small by default, on generated streets. SEEDS alone is of `paper`.
separated: setup
	@$(BIN)/python -m training separated $(if $(SCALE),--scale $(SCALE)) $(if $(filter command environment,$(origin SEEDS)),--seeds $(SEEDS)) $(if $(filter-out paper,$(OUT)),--out "$(OUT)")

bench: setup
	@$(BIN)/python -m training bench --out docs/performance.md

bench-gpu: setup
	@$(BIN)/python -m training bench --gpu --out docs/performance.md

# Regenerate the page of commands, then build the site in site/. A broken link is an error.
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
	rm -rf .venv .venv-* sbom.json build dist *.egg-info demo paper music sampling separated site .pytest_cache .mypy_cache .ruff_cache logs
