# The things people type. Everything is built by cargo; CARGO_TARGET_DIR is honoured.
TARGET := $(or $(CARGO_TARGET_DIR),target)

.PHONY: build demo test check install

build:
	cargo build --workspace --locked

# The main job on a private machine made over this one; see tests/demo.sh.
demo: build
	sh tests/demo.sh $(TARGET)/debug

# Unit tests, and end-to-end tests on a real sshd, slapd, sudo and libpam. Needs root; installs what is missing.
test:
	sh tests/prerequisites.sh
	cargo build --workspace --locked
	cargo test --workspace --locked

# What a change must pass before it is tested.
check:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	sh .ci/boundaries

# Programs, PAM module, users and directories; changes no login.
install:
	cargo build --workspace --release --locked
	sh packaging/install.sh $(TARGET)/release
