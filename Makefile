# Every target installs what it lacks. `make demo` shows it, `make test` proves it.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
export PATH := $(PATH):/usr/sbin:/sbin

ARCH := $(shell uname -m)
TRIPLE := $(ARCH)-unknown-linux-gnu
VENV := target/venv
PYTHON := $(VENV)/bin/python
PYTEST := $(PYTHON) -m pytest -c tests/pyproject.toml --rootdir tests
PROGRAM := dist/tapcopy
BENCH := dist/tapcopy-bench
STATIC := -C target-feature=+crt-static
PAGE := webui/dist/index.html
NPM := npm --prefix webui --no-fund --no-audit
PORT ?= 8080
RATE ?= 500
FUZZ_FOUND = target/fuzz/$(TARGET)
AS_ROOT := $(if $(filter 0,$(shell id -u)),,sudo)

.PHONY: demo test test-image build lint fuzz image deb setup cargo format

demo: build
	@exec $(AS_ROOT) env PYTHONPATH=tests PYTHONDONTWRITEBYTECODE=1 python3 -m lab.demo \
	    $(if $(SECONDS),--seconds $(SECONDS)) --rate $(RATE) --port $(PORT)

test: build bench-program $(VENV)/ready
	@images/packages
	cargo test --workspace --locked -j2
	$(PYTEST) tests

# All tests of the firmware: with the kernel of `make image` too, by UEFI, roll-back, power cuts.
test-image: build $(VENV)/ready
	@images/packages --uefi
	$(PYTEST) -m "long or not long" tests/test_image.py

# The libraries of libpcap are named here because its crate would otherwise look for the shared one. The static C library needs
# a target that is named, else it would be forced on procedural macros too.
build: setup $(PAGE)
	@libraries=$$(dpkg -L libpcap0.8-dev | sed -n 's|/libpcap\.a$$||p'); \
	version=$$(dpkg-query -W -f '$${Version}' libpcap0.8-dev | sed 's/-.*//'); \
	LIBPCAP_LIBDIR=$$libraries LIBPCAP_VER=$$version RUSTFLAGS="$(STATIC)" \
	    cargo build --release --locked -j2 --target $(TRIPLE) -p tapcopy-daemon
	@install -D -m 755 "$${CARGO_TARGET_DIR:-target}/$(TRIPLE)/release/tapcopy" $(PROGRAM)
	@ldd $(PROGRAM) 2>&1 | grep -qE 'statically linked|not a dynamic executable' || \
	    { echo "$(PROGRAM) is not statically linked:"; ldd $(PROGRAM); exit 1; }
	@$(PROGRAM) generate man > dist/tapcopy.1
	@mkdir -p dist/completions
	@for shell in bash zsh fish elvish powershell; do \
	    $(PROGRAM) generate $$shell > dist/completions/tapcopy.$$shell; done

.PHONY: bench bench-program
# With UPDATE=1 the ratios in the tree become those of this run; with LARGE=1 a million connections are held, too. ROUNDS=1 is a
# short look at the live part.
bench: bench-program build
	@$(BENCH) $(if $(LARGE),--large)
	@$(AS_ROOT) env PYTHONPATH=tests PYTHONDONTWRITEBYTECODE=1 python3 -m lab.live $(if $(ROUNDS),--rounds $(ROUNDS))

bench-program: setup
	@RUSTFLAGS="$(STATIC)" cargo build --release --locked -j2 --target $(TRIPLE) -p tapcopy-bench
	@install -D -m 755 "$${CARGO_TARGET_DIR:-target}/$(TRIPLE)/release/tapcopy-bench" $(BENCH)

lint: setup $(VENV)/ready webui/node_modules/.package-lock.json
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -j2 -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked -j2
	$(VENV)/bin/ruff format --check --config tests/pyproject.toml tests
	$(VENV)/bin/ruff check --config tests/pyproject.toml tests
	cd tests && ../$(VENV)/bin/mypy .
	@PATH="$(CURDIR)/$(VENV)/bin:$$PATH" tests/licences
	$(NPM) run --silent check

# What is found beyond the corpus in the tree goes to $(FUZZ_FOUND), and the input of a crash to appliance/fuzz/artifacts. No
# sanitizer: what the targets call is safe Rust, and without one they are faster.
fuzz: setup
	@cargo +nightly fuzz --version >/dev/null 2>&1 || { echo "cargo-fuzz is missing: install the nightly compiler with" \
	    "'rustup toolchain install nightly', then cargo-fuzz with 'cargo install cargo-fuzz', and try again." >&2; exit 1; }
	@test -f appliance/fuzz/fuzz_targets/$(TARGET).rs || { echo "TARGET is none of:" \
	    $(notdir $(basename $(wildcard appliance/fuzz/fuzz_targets/*.rs))) >&2; exit 1; }
	@mkdir -p $(FUZZ_FOUND)
	cargo +nightly fuzz run --fuzz-dir appliance/fuzz --sanitizer none $(TARGET) $(FUZZ_FOUND) appliance/fuzz/corpus/$(TARGET) -- \
	    -max_total_time=$(or $(SECONDS),300) -max_len=8192 -rss_limit_mb=2048 -timeout=20

# Debian's kernel is downloaded and unpacked, never installed; KERNEL=cloud-amd64 is smaller and knows virtual machines only.
# UPDATE_PUBLIC_KEY and UPDATE_SECRET_KEY are files of minisign (docs/firmware.md); without them a key of this checkout signs.
image: build
	@images/packages
	@version=$$(images/kernel target/image/kernel $(or $(KERNEL),amd64)); root=target/image/kernel/$$version/root; \
	    images/pack $(PROGRAM) $$root/boot/vmlinuz-$$version $$root $$version dist/images

deb: build
	@packaging/deb $(PROGRAM) dist

format: $(VENV)/ready webui/node_modules/.package-lock.json
	cargo fmt --all
	$(NPM) run --silent format
	$(VENV)/bin/ruff check --fix --config tests/pyproject.toml tests
	$(VENV)/bin/ruff format --config tests/pyproject.toml tests

setup: cargo
	@tests/packages

cargo:
	@command -v cargo >/dev/null || { echo "cargo is missing: install Rust 1.95 or later with rustup (see rustup.rs)," \
	    "or your distribution's package, and try again." >&2; exit 1; }

# npm writes the file that is named here when all packages are in place.
webui/node_modules/.package-lock.json: webui/package-lock.json | setup
	@$(NPM) ci --silent
	@touch $@

$(PAGE): webui/node_modules/.package-lock.json webui/index.html webui/api.html webui/interface.ts webui/openapi.yaml webui/vite.config.ts webui/tsconfig.json \
    $(shell find webui/src webui/public -type f -not -name schema.ts)
	@$(NPM) run --silent build
	@touch $@

$(VENV)/ready: tests/requirements.txt | setup
	@test -x $(PYTHON) || python3 -m venv $(VENV)
	@$(VENV)/bin/pip install --quiet --disable-pip-version-check -r $<
	@touch $@
