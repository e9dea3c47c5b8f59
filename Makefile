# The verbs of the book. Each does its own set-up in .venv; a second run skips what is installed.
PYTHON ?= python3
SEEDS ?= 5
PORT ?= 8000
PY := .venv/bin/python
VERSION := import sys; print("%d.%d.%d in %s" % (*sys.version_info[:3], sys.base_prefix))

# The products are small: two threads gain a little on an idle machine, and lose many times that on a busy one.
export OMP_NUM_THREADS ?= 1
# Matplotlib's list of fonts: home may be read-only, and the user's own settings must not change a figure.
export MPLCONFIGDIR := $(CURDIR)/.venv/matplotlib
# A module is compiled once, and not by each of hundreds of processes. Only an empty value lets Python store it.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help book test integration coverage lottery mutants lab run reprove drift bench offline pdf audit coursework-demo serve clean interpreter
.DEFAULT_GOAL := help

help: ## list the verbs
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-15s %s\n", $$1, $$2}' Makefile

book: .venv/.reading ## build the site from the stored outputs; every warning fails
	$(PY) -m tools.site

test: .venv/.testing ## run the checks: tests, doctests, guards, notebooks' outputs, lint, types, planted faults
	$(PY) -m tools.system_parts install sandbox
	$(PY) -m tools.check

integration: .venv/.testing ## build the site and run the tests of its pages in a browser, and of JupyterLab, nbgrader, pip
	$(PY) -m tools.system_parts install
	$(PY) -m tools.check site integration

coverage: .venv/.testing ## run the tests and say which lines of the packages none reaches: 95 % at least; slow
	$(PY) -m pytest -p tools -p no:logging tests initnotes --doctest-modules -n auto --dist worksteal \
	--cov=initnotes --cov=initgrade --cov-report=term-missing

mutants: .venv/.testing ## plant faults in the packages, and demand that a test fails for each
	$(PY) -m tools.mutants

lab: .venv/.reading ## open JupyterLab on the chapters; your own copies belong in book/my
	@mkdir -p book/my
	$(PY) -m jupyterlab $(if $(filter 0,$(shell id -u)),--allow-root) --LabApp.extra_labextensions_path="$(CURDIR)/tools/jupyterlab" book

run: .venv/.frameworks ## execute the chapters and store their outputs; CHAPTER=01_symmetry runs one
	$(PY) -m tools.run $(CHAPTER)

reprove: .venv/.frameworks ## check the claims with fresh seeds; SEEDS=5, CHAPTER=..., ENTROPY=... repeats a run
	$(PY) -m tools.reprove --seeds "$(SEEDS)" $(if $(CHAPTER),--chapter $(CHAPTER)) $(if $(ENTROPY),--entropy $(ENTROPY))

drift: .venv/.testing ## compare the stored outputs under settings that change floating-point bits
	$(PY) -m tools.drift

bench: .venv/.testing ## measure ratios and times that the book promises
	@missed=0; for bench in import_time training probe sampling lab train_lab train_rates marking audit; do \
	echo "benchmarks.$$bench"; env -u OMP_NUM_THREADS $(PY) -m benchmarks.$$bench || missed=1; done; exit $$missed

offline: .venv/.reading ## pack the site into _build/before-the-first-step.zip, which reads without a network
	$(PY) -m tools.offline

pdf: .venv/.testing ## print the whole book into _build/before-the-first-step.pdf; needs a Chromium
	$(PY) -m tools.system_parts install
	$(PY) -m tools.pdf

audit: .venv/.testing ## score the pages with Lighthouse in Chromium; needs npm
	$(PY) -m tools.system_parts install
	$(PY) -m tools.audit

lottery: .venv/.testing ## mark each assignment's solutions 500 times: each loses the same every time
	$(PY) -m coursework.lottery

coursework-demo: .venv/.testing ## mark three made-up submissions, from the release to the pages they get
	$(PY) -m tools.system_parts install
	$(PY) -m coursework.demo

serve: book ## serve the built site on this machine; PORT=8000
	$(PY) -m http.server --bind 127.0.0.1 --directory _build/html $(PORT)

clean: ## remove what was built; .venv stays
	rm -rf _build .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage
	find book initnotes initgrade coursework tests tools benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/.made:
	@"$(PYTHON)" -c 'import sys; v = sys.version_info; sys.exit(v < (3, 11) and "Python 3.11 or newer is needed; $(PYTHON) is %d.%d. Name another: make PYTHON=python3.12" % v[:2])'
	"$(PYTHON)" -m venv .venv
	@touch .venv/.made

# A PYTHON that was asked for is not ignored silently where .venv is another's.
interpreter: .venv/.made
ifneq ($(origin PYTHON),file)
	@has=$$($(PY) -c '$(VERSION)'); asked=$$("$(PYTHON)" -c '$(VERSION)'); [ "$$asked" = "$$has" ] || \
	echo "Note: .venv was made by Python $$has and stays; PYTHON=$(PYTHON) is $${asked:-not there}. To change it: rm -rf .venv"
endif

# Matplotlib lists the fonts once and says so on stderr: let that happen here and not in a notebook.
.venv/.reading: requirements.txt pyproject.toml .venv/.made | interpreter
	$(PY) -m pip install --disable-pip-version-check -r requirements.txt
	$(PY) -c "import matplotlib.font_manager"
	@touch .venv/.reading

# Chapter 20 compares torch with JAX and Keras; who reads, or works in the other chapters, needs neither.
.venv/.frameworks: requirements-frameworks.txt .venv/.reading
	$(PY) -m pip install --disable-pip-version-check -r requirements-frameworks.txt
	@touch .venv/.frameworks

.venv/.testing: requirements-dev.txt .venv/.frameworks
	$(PY) -m pip install --disable-pip-version-check -r requirements-dev.txt
	@touch .venv/.testing
