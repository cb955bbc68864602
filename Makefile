# gantry: everything a newcomer, a developer and CI need. Each target works alone, from a fresh clone.
CARGO_TARGET_DIR ?= target
export CARGO_TARGET_DIR
GANTRY = $(CARGO_TARGET_DIR)/release/gantry

.PHONY: demo demo-down demo-image build test unit lint e2e sim kill-loop fuzz conformance bench setup setup-test clean

demo: build demo-image ## a cluster with a real Deployment on this machine
	scripts/demo $(GANTRY)

demo-down: ## stop it; leaves nothing behind
	if [ -x $(GANTRY) ]; then $(GANTRY) down --wipe; fi
	rm -rf target/demo

demo-image: setup ## the demo's image, as target/demo/web.tar
	scripts/demo-image target/demo/web.tar

build: setup ## the release binary
	cargo build --release --locked -p gantry

setup:
	scripts/setup

setup-test: ## what the tests need beyond that: a real etcd
	scripts/setup etcd-server etcd-client

test: setup-test lint unit e2e ## all tests

lint:
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	cargo clippy --locked -p gantry --features failpoints --all-targets -- -D warnings

# Property tests draw the same cases in every run; another PROPTEST_RNG_SEED draws others.
unit: export PROPTEST_RNG_SEED ?= 1
unit: setup-test
	cargo test --locked --workspace --exclude gantry-testkit
	cargo test --locked -p gantry-store --features failpoints --test failpoints

e2e: build setup-test ## the real binary with real containers; needs root
	cargo test --locked -p gantry-testkit -- --nocapture --test-threads=1

# make sim SEED=7 reproduces one seed with all that happens in it; make sim SEEDS=0..10000 runs many.
SEEDS ?= 0..1000
sim: ## whole clusters with faults, simulated from seeds
	cargo run --release --locked -p gantry-sim -- $(if $(SEED),--seed $(SEED) --trace,--seeds $(SEEDS))

# make kill-loop KILLS=1000 kills the server at its points of writing, over all of them in turn.
KILLS ?= 1000
kill-loop: ## kill -9 at every point of writing, and the history checked
	GANTRY_KILLS=$(KILLS) cargo test --locked -p gantry-testkit --test failpoints -- --nocapture

# make fuzz TARGET=cel SECONDS=60 SEED=7 tries inputs on one reader; TARGET=all on one after the other.
TARGET ?= all
SECONDS ?= 60
fuzz: ## seeded inputs for everything that reads what clients send
	cargo run --release --locked -p gantry-fuzz -- $(TARGET) --seconds $(SECONDS) --seed $(or $(SEED),1)

# make conformance FOCUS='Watchers|Discovery' runs those tests; UPSTREAM names the folder with upstream's suite.
conformance: export FOCUS ?= \[Conformance\]
conformance: export SKIP ?=
conformance: export UPSTREAM ?= ../shared/upstream
conformance: build ## upstream's conformance suite against a fresh cluster
	scripts/conformance $(GANTRY)

# make bench ROW=recovery runs one row; --help of gantry-bench names them.
ROW ?= start
bench: build demo-image ## measurements; never timed tests
	cargo run --release --locked -p gantry-bench -- --gantry $(GANTRY) $(ROW)

clean:
	cargo clean
