# Everything a developer does here. `make help` lists it.

PYTHON_IN_VENV := .venv/bin/python
HELPER := pytest_pods/_native/nsenter_helper
NATIVE_SOURCES := $(wildcard native/*.c native/*.h native/CMakeLists.txt)
# Two at a time also on a large machine: each worker runs containers of its own.
WORKERS ?= 2
PYTEST_ARGS ?=

.PHONY: help demo test bench check native wheel setup clean
.DEFAULT_GOAL := help

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-7s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: setup ## make images of Redis and PostgreSQL, pull them from a registry, test a web service with them
	$(PYTHON_IN_VENV) -m examples.demo

test: setup ## run the test suite (PYTEST_ARGS="-k pull", WORKERS=4)
	$(PYTHON_IN_VENV) -m pytest -n $(WORKERS) $(PYTEST_ARGS)

bench: setup ## measure against podman and Testcontainers, and write a table to benchmarks/results/
	@scripts/setup system bench
	@$(PYTHON_IN_VENV) -m pip install --quiet --disable-pip-version-check 'testcontainers>=4.10'
	$(PYTHON_IN_VENV) -m benchmarks

check: setup ## static checks: ruff and mypy --strict
	$(PYTHON_IN_VENV) -m ruff check .
	$(PYTHON_IN_VENV) -m mypy

native: $(HELPER) ## compile the sandbox helper into the checkout

wheel: setup ## build a wheel into dist/, install it in a fresh environment and try it there
	scripts/try-wheel

setup: ## install what is missing: Debian packages, and .venv with the project in it
	@scripts/setup system
	@scripts/setup python
	@$(MAKE) --no-print-directory --silent native

$(HELPER): $(NATIVE_SOURCES)
	@echo "native: compiling $(HELPER)"
	@cmake -S native -B build/native -DCMAKE_BUILD_TYPE=Release >/dev/null
	@cmake --build build/native --target nsenter_helper >/dev/null
	@cmake --install build/native --prefix . >/dev/null
	@touch $@

clean: ## remove what builds and tests made in the checkout, and .venv
	rm -rf build dist .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .cache .coverage* $(HELPER)
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
