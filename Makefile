# make gate · make test · make check · make test-vllm: each installs what it needs; a second call starts at once.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
GATE_ARGS ?=

.PHONY: gate test test-slow test-e2e test-vllm check bench bench-sampling zoo clean

$(READY): pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check -q -c constraints.txt torch
	$(BIN)/python -m pip install --disable-pip-version-check -q -c constraints.txt -e '.[dev]'
	@touch $@

gate: $(READY)
	@$(BIN)/posterngate models fetch
	$(BIN)/pytest safety_tests -n 8 $(GATE_ARGS)

test: $(READY)
	@$(BIN)/posterngate models fetch
	$(BIN)/pytest tests --ignore=tests/e2e -m "not slow" -n 2 --dist loadfile --cov --cov-report=term --cov-fail-under=90

# What takes too long for every run: many samples, further ways to be killed.
test-slow: $(READY)
	$(BIN)/pytest tests -m slow -p no:cacheprovider

# The report in a real browser, CI files by their hosts' own tools. Fails, with what is missing, without Chromium, node or network.
test-e2e: $(READY)
	@$(BIN)/python -m pip install --disable-pip-version-check -q -c constraints.txt -e '.[e2e]'
	@npm ci --prefix tests/e2e --no-audit --no-fund --silent || { echo "test-e2e can't run: npm ci failed (see above)"; exit 1; }
	POSTERNGATE_E2E=1 $(BIN)/pytest tests/e2e

# Real vLLM in an environment of its own; where that cannot be built, this says so and fails.
test-vllm: $(READY)
	@$(BIN)/posterngate models fetch
	@vllm=$$($(BIN)/python tests/vllm/environment.py) && \
	  POSTERNGATE_VLLM=$$vllm POSTERNGATE_VLLM_TESTS=1 $(BIN)/pytest tests/vllm -p no:cacheprovider

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python docs/check_docs.py

bench: $(READY)
	$(BIN)/python benchmarks/bench_host.py

# Beside `inspect eval`, from PyPI, in an environment of its own.
bench-sampling: $(READY)
	@test -x $(VENV)-inspect/bin/inspect || $(PYTHON) -m venv $(VENV)-inspect
	@$(VENV)-inspect/bin/pip install --disable-pip-version-check -q inspect-ai openai
	$(BIN)/python benchmarks/bench_sampling.py --inspect $(VENV)-inspect/bin/inspect

# Hours on two cores. Each organism is trained and measured once, by content: killed, it continues.
zoo: $(READY)
	@$(BIN)/posterngate models fetch
	$(BIN)/python benchmarks/zoo.py train
	$(BIN)/python benchmarks/zoo.py measure
	$(BIN)/python benchmarks/zoo_gate.py run
	$(BIN)/python benchmarks/zoo.py list

clean:
	rm -rf $(VENV) $(VENV)-inspect gate-report .posterngate
