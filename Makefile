# make demo: the whole way on the embedded demo; make test: the tests that need nothing else. Both create .venv first.
# make test-slurm: those that need SLURM; its daemons are installed where apt-get can, and run for the tests alone.
# make test-backends: the tests of the backends that need an environment of their own (6 GB).
# make test-gpu: those that need a GPU; without one they are skipped.
# make coverage: which lines the tests run; make docs: the pages of docs/ as a site, in site/.
# make lock: the pinned versions of all environments (requirements*.txt) from the bounds in pyproject.toml.

PYTHON ?= python3
BIN := .venv/bin
BACKENDS := .venv-backends/bin
DOCS := .venv-docs/bin
LOCK := .venv-lock/bin
MMPOSE := workflow/envs/mmpose.post-deploy.sh
PIP_INSTALL := -m pip --disable-pip-version-check install --quiet --no-compile
PIP := $(BIN)/python $(PIP_INSTALL) --constraint requirements.txt
# the package with the server for the tests of S3 storage
S3_SERVER := moto[server]

# Some containers set it. Every process would compile its modules again: three seconds of a training are torch's.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test test-slurm test-backends test-gpu test-s3 coverage lint format schema lock docs clean

demo: .venv/run
	@$(BIN)/snakemake --cores all eval_demo
	@$(BIN)/cocon summary --show results/demo/summary.json
	@echo "report: $(CURDIR)/results/demo/report.html"

# Test files run in parallel, with one thread each.
test: .venv/dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

test-slurm: .venv/slurm
	@sh tests/slurm/install.sh
	$(BIN)/python -m pytest -m slurm

test-backends: .venv-backends/ready
	$(BACKENDS)/python -m pytest -m backends

test-gpu: .venv/dev
	$(BIN)/python -m pytest -m gpu

# Shards on S3-compatible storage, against a local server.
test-s3: .venv/s3
	$(BIN)/python -m pytest -m s3

# Of the tests of some folders: make coverage TESTS="tests/shards tests/losses"
coverage: .venv/dev
	@rm -rf .coverage
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder $(TESTS) --cov

lint: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/snakemake --lint

format: .venv/dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/snakefmt Snakefile workflow

schema: .venv/run
	$(BIN)/cocon schema --output workflow/schemas/config.schema.json --defaults config/config.default.yaml \
		--manual docs/configuration.md

# Keeps every pin that still fits; newer versions: make lock UPGRADE=--upgrade, or UPGRADE='--upgrade-package av'.
# The same versions on every system, Python and GPU; torchvision alone needs another torch, with its own CUDA.
COMPILE = $(LOCK)/uv pip compile --quiet --universal --python $(LOCK)/python --no-annotate --no-emit-index-url \
	--no-emit-package setuptools --custom-compile-command 'make lock' $(UPGRADE)
SHARED := .venv-lock/shared.txt

lock: .venv-lock/ready
	$(COMPILE) pyproject.toml --extra all --extra dev --extra slurm --output-file requirements.txt
	@grep -vE '^(torch|triton|nvidia-|cuda-)' requirements.txt > $(SHARED)
	$(COMPILE) pyproject.toml --extra all --extra torchvision --extra dev --extra slurm --constraint $(SHARED) \
		--output-file requirements-backends.txt
	$(COMPILE) pyproject.toml --extra docs --constraint $(SHARED) --output-file requirements-docs.txt
	@echo '$(S3_SERVER)' > .venv-lock/server.in
	$(COMPILE) pyproject.toml .venv-lock/server.in --extra s3 --constraint $(SHARED) --output-file requirements-s3.txt

# Fails on a link that leads nowhere, also to a heading. (With --quiet it would not: warnings are not counted then.)
docs: .venv-docs/ready
	$(DOCS)/mkdocs build --strict
	@echo "$(CURDIR)/site/index.html"

# What a run needs. The versions are pinned in requirements.txt.
.venv/run: .venv/bin/python pyproject.toml requirements.txt
	@echo "installing into .venv ..."
	@$(PIP) --editable '.[all]'
	@touch $@

# What developing needs on top.
.venv/dev: .venv/bin/python pyproject.toml requirements.txt
	@echo "installing into .venv, tools for developers included ..."
	@$(PIP) --editable '.[all,dev]'
	@touch $@ .venv/run

# The same, to send jobs to SLURM.
.venv/slurm: .venv/dev
	@echo "installing into .venv, Snakemake's executor for SLURM ..."
	@$(PIP) --editable '.[all,dev,slurm]'
	@touch $@

.venv/s3: .venv/dev requirements-s3.txt
	@$(PIP) --constraint requirements-s3.txt --editable '.[all,dev,s3]' '$(S3_SERVER)'
	@touch $@

# The environments of the optional backends, next to each other: torchvision needs another torch than .venv
# has.
.venv-backends/ready: .venv-backends/bin/python pyproject.toml requirements-backends.txt $(MMPOSE)
	@echo "installing into .venv-backends, 6 GB ..."
	@$(BACKENDS)/python $(PIP_INSTALL) --constraint requirements-backends.txt \
		--editable '.[all,torchvision,dev]'
	@PATH="$(CURDIR)/$(BACKENDS):$$PATH" sh $(MMPOSE)
	@touch $@

# mkdocs reads the sources of the project; it need not be installed.
.venv-docs/ready: .venv-docs/bin/python requirements-docs.txt
	@$(DOCS)/python $(PIP_INSTALL) --constraint requirements-docs.txt mkdocs-material 'mkdocstrings[python]' ruff
	@touch $@

.venv-lock/ready: .venv-lock/bin/python
	@$(LOCK)/python $(PIP_INSTALL) uv==0.13.9
	@touch $@

.venv/bin/python .venv-backends/bin/python .venv-docs/bin/python .venv-lock/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or newer is needed; try: make $(MAKECMDGOALS) PYTHON=python3.11"; exit 1; }
	@$(PYTHON) -m venv $(firstword $(subst /, ,$@))

clean:
	rm -rf results data/demo data/demo_large
