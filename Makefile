# gantry: everything a newcomer, a developer and CI need. Each target works alone, from a fresh clone.
CARGO_TARGET_DIR ?= target
export CARGO_TARGET_DIR
GANTRY = $(CARGO_TARGET_DIR)/release/gantry

.PHONY: demo demo-down demo-image build test unit lint e2e bench setup clean

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

test: setup lint unit e2e ## all tests

lint:
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings

# Property tests draw the same cases in every run; another PROPTEST_RNG_SEED draws others.
unit: export PROPTEST_RNG_SEED ?= 1
unit:
	cargo test --locked --workspace --exclude gantry-testkit

e2e: build ## the real binary with real containers; needs root
	cargo test --locked -p gantry-testkit -- --nocapture --test-threads=1

bench: build demo-image ## measurements; never timed tests
	cargo run --release --locked -p gantry-bench -- --gantry $(GANTRY)

clean:
	cargo clean
