# Each target makes what it needs, a virtual environment included, from nothing.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CORE := $(wildcard src/core/*.cpp src/core/*.hpp) CMakeLists.txt pyproject.toml
CORE_SOURCES := $(wildcard src/core/*.cpp src/core/*.hpp)

.PHONY: demo test test-slow lint format bench bench-large sanitize docs clean

$(VENV)/installed: $(CORE)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[test,lint]'
	touch $@

demo: $(VENV)/installed
	$(BIN)/mixedmodels demo --output demo/output

test: $(VENV)/installed
	$(BIN)/python -m pytest -n 2 -m 'not slow' --cov --cov-report=term-missing:skip-covered --cov-fail-under=95

test-slow: $(VENV)/installed
	$(BIN)/python -m pytest -m slow

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/clang-format --dry-run --Werror $(CORE_SOURCES)

format: $(VENV)/installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/clang-format -i $(CORE_SOURCES)

benchmarks/.venv/installed: $(CORE) $(wildcard src/mixedmodels/*.py src/mixedmodels/*/*.py) \
    benchmarks/requirements.txt
	test -x benchmarks/.venv/bin/python || $(PYTHON) -m venv benchmarks/.venv
	benchmarks/.venv/bin/python -m pip install --quiet --upgrade pip
	benchmarks/.venv/bin/python -m pip install --quiet -r benchmarks/requirements.txt
	benchmarks/.venv/bin/python -m pip install --quiet --force-reinstall --no-deps . \
	    --config-settings=build-dir=build/bench
	touch $@

bench: benchmarks/.venv/installed
	benchmarks/.venv/bin/python -m benchmarks
	benchmarks/.venv/bin/python -m benchmarks.inference

# Takes hours: the rivals have minutes for each model. `--limit SECONDS` in LARGE makes them fewer.
bench-large: benchmarks/.venv/installed
	benchmarks/.venv/bin/python -m benchmarks.large $(LARGE)
	benchmarks/.venv/bin/python -m benchmarks.large.growth

# The tests of the numbers, on a core built with the address and undefined-behaviour sanitisers.
.venv-sanitize/installed: $(CORE)
	test -x .venv-sanitize/bin/python || $(PYTHON) -m venv .venv-sanitize
	.venv-sanitize/bin/python -m pip install --quiet --upgrade pip
	.venv-sanitize/bin/python -m pip install --quiet '.[test]' \
	    --config-settings=cmake.define.MIXEDMODELS_SANITIZE=ON \
	    --config-settings=build-dir=build/sanitize
	touch $@

sanitize: .venv-sanitize/installed
	LD_PRELOAD="$$($(CXX) -print-file-name=libasan.so) $$($(CXX) -print-file-name=libubsan.so)" \
	ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 OMP_NUM_THREADS=2 \
	    .venv-sanitize/bin/python -m pytest -m 'not slow' -p no:cacheprovider \
	    tests/test_core.py tests/test_known_answers.py tests/test_boundary.py tests/test_iterative.py \
	    tests/test_supernodal.py tests/test_files.py tests/test_bootstrap.py tests/test_profile.py \
	    tests/test_influence.py tests/test_prediction_intervals.py

docs: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --editable '.[docs]'
	$(BIN)/mkdocs build --strict

clean:
	rm -rf build dist site $(VENV) .venv-sanitize benchmarks/.venv
