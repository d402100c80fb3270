# The commands of daily work. The build itself is CMake (CMakePresets.json).
SHELL := /bin/bash
JOBS ?= $(shell nproc)
FUZZ_SECONDS ?= 60
SECONDS_OF_SOAK := $(or $(SECONDS),3600)
PREFIX ?= /usr/local
DESTDIR ?=
PG_CONFIG ?= pg_config
ARGS ?=
export JOBS
.PHONY: help setup build up test check format install install-guard fuzz soak mutations crash-matrix object-stores clean

help: ## what you can do here
	@echo "make TARGET"; grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## /\1\t/' | \
	  while IFS=$$'\t' read -r name text; do printf '  %-13s %s\n' "$$name" "$$text"; done

setup: ## install the Debian packages (quick when nothing is missing)
	@tools/setup

build: setup ## build/release/rowhouse
	@cmake --preset release >/dev/null
	@cmake --build --preset release -j $(JOBS)

up: setup ## build and start the whole system with demo tenants, in the foreground (ARGS="--listen …")
	@cmake --preset release >/dev/null
	@cmake --build --preset release -j $(JOBS) --target rowhouse
	@exec ./build/release/rowhouse up --demo $(ARGS)

test: setup ## all tests, in release and under address and undefined-behaviour sanitizers
	@tools/run_tests release asan

check: setup ## format, layers, docs, tidy
	@tools/check

format: ## lay out the C++ sources
	@tools/format

install: ## install the release build: PREFIX=/usr/local, DESTDIR=
	@test -x build/release/rowhouse || { echo "make build comes first"; exit 1; }
	@DESTDIR="$(DESTDIR)" cmake --install build/release --prefix "$(PREFIX)"

install-guard: ## install the module of signed contexts into the PostgreSQL of this machine (PG_CONFIG=pg_config)
	@test -f build/release/guard/rowhouse_guard.so || { echo "make build comes first"; exit 1; }
	@install -v -D -m 644 build/release/guard/rowhouse_guard.so "$(DESTDIR)$$($(PG_CONFIG) --pkglibdir)/rowhouse_guard.so"

fuzz: setup ## run every fuzz target FUZZ_SECONDS=60 long
	@tools/fuzz $(FUZZ_SECONDS)

soak: build ## attack tenants with each other's ids at random for SECONDS=3600, with faults in between
	@tools/soak $(SECONDS_OF_SOAK)

mutations: build ## break an installation in one way at a time; lint or verify must notice each (ARGS="--thorough")
	@cmake --build --preset release -j $(JOBS) --target mutants
	@status=0; for suite in database code; do tests/mutations/run.py $$suite $(ARGS) || status=1; done; exit $$status

crash-matrix: build ## kill the server around every effect of every operation, with SEEDS=100 (ARGS="-j 4 --from 40")
	@tools/crash_matrix --seeds $(or $(SEEDS),100) $(ARGS)

object-stores: build ## FILES=10000 files and one of 5 GiB through /v1/objects into every kind of store, against the real services
	@ROWHOUSE_FILES=$(or $(FILES),10000) ROWHOUSE_BIG=1 /usr/bin/python3 -m pytest -q -s -p no:cacheprovider --tb=short tests/test_all_stores.py

clean: ## remove everything that was built
	rm -rf build
