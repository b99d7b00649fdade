# Everything that a person or a CI machine needs; `make help` lists it.
# The only things that must be on the machine are Rust (rustup reads rust-toolchain.toml) and a C compiler.

CARGO ?= cargo
ARGS  ?=

.DEFAULT_GOAL := help
.PHONY: help build test lint demo up bench clean postgres

help: ## Show this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## Build all binaries for development
	$(CARGO) build --workspace --locked

demo: ## Create, upgrade and delete a cluster in one process and show every hop (ARGS="--fail dns" for a failure)
	$(CARGO) run --locked --package hyperfleet --bin hyperfleet -- demo $(ARGS)

up: ## Run all parts until Ctrl-C, data in ./hyperfleet-data
	$(CARGO) run --locked --package hyperfleet --bin hyperfleet -- up $(ARGS)

test: postgres ## Run every test; finds or installs PostgreSQL first
	$(CARGO) build --locked --workspace --bins
	$(CARGO) test --locked --workspace $(ARGS)

lint: ## Formatting, clippy, documentation, forbidden dependencies
	$(CARGO) fmt --all -- --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	scripts/forbidden-crates

bench: ## Build the load generators and what they measure in release mode (docs/measuring.md)
	$(CARGO) build --locked --release --package maestro --package maestro-load --package adapter-load --package hyperfleet

postgres:
	@scripts/ensure-postgres

clean: ## Remove what was built
	$(CARGO) clean
	rm -rf report hyperfleet-data
