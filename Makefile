# Everything a contributor runs. `make check` is the test command of the README and of CI.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := build
MAKEFLAGS += --no-print-directory

# Developer tools are pinned in a module of their own, so that none of them is ours.
TOOL := go tool -modfile=tools/go.mod

# PKG narrows lint, test, race, fuzz and bench: make race PKG=./internal/fault
PKG ?= ./...
# FUZZTIME is the time for each fuzz target, COUNT the number of benchmark runs,
# SIMFLAGS what the simulation is given on top.
FUZZTIME ?= 10s
COUNT ?= 6
BENCH ?= .
SIMFLAGS ?=

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 10

.PHONY: build
build: ## build the command into bin/
	go build -trimpath -o bin/ ./cmd/...

.PHONY: peers
peers: build ## build espial-bench into bin/ as well, which espial bench --peers runs
	cd bench && go build -trimpath -o ../bin/espial-bench .

.PHONY: demo
demo: ## a cluster of five nodes on this machine, narrated
	go run ./cmd/espial demo

.PHONY: fmt
fmt: ## format the source
	$(TOOL) golangci-lint fmt

.PHONY: lint
lint: ## format check, go vet and the linters
	go vet $(PKG)
	$(TOOL) golangci-lint run --allow-parallel-runners $(PKG)

.PHONY: test
test: ## tests, without the race detector
	go test $(PKG)

# The runner prints failures as they come, then every skipped test with its reason,
# and ends with a line of totals.
.PHONY: race
race: ## tests with the race detector, skips listed
	$(TOOL) gotestsum --format standard-quiet --raw-command -- scripts/test.sh $(PKG)

.PHONY: sim
sim: ## 1,000 seeds of the simulation at 5 and at 50 nodes, others with SIMFLAGS; and of overlay and gossip
	go test -count=1 -timeout 2h ./internal/sim -sim.seeds=1000 $(SIMFLAGS)
	go test -count=1 -timeout 2h ./internal/overlay -overlay.seeds=1000 -overlay.nodes=10000
	go test -count=1 -timeout 2h ./internal/gossip -gossip.seeds=1000 -gossip.large

# As root on Linux: elsewhere every test of it is skipped.
.PHONY: chaos
chaos: ## real nodes in network namespaces, longer and harder than in make test
	ESPIAL_CHAOS=1 go test -count=1 -v -timeout 30m ./test/ns

.PHONY: fuzz
fuzz: ## each fuzz target for FUZZTIME
	scripts/fuzz.sh $(FUZZTIME) $(PKG)

.PHONY: bench
bench: peers ## benchmarks in the form that benchstat reads, then what real processes do, beside others
	go test -run '^$$' -bench '$(BENCH)' -benchmem -count=$(COUNT) $(PKG)
	bin/espial bench --peers --runs 1 --duration 1s
	bin/espial-bench -scenario E -rounds 1

.PHONY: cross
cross: ## compile for every supported system
	scripts/cross.sh

.PHONY: check
check: ## all that has to pass before a commit is pushed
	scripts/deps.sh
	$(MAKE) lint PKG=./...
	$(MAKE) cross
	$(MAKE) race PKG=./...

.PHONY: clean
clean: ## remove what make built
	rm -rf bin dist
