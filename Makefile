# The things people type. Everything is built by cargo; CARGO_TARGET_DIR is honoured.
TARGET := $(or $(CARGO_TARGET_DIR),target)

.DEFAULT_GOAL := build
.PHONY: needs build release pages package demo test test-hosts test-long check bench fuzz miri install

# Before anything takes minutes, each target says what this machine lacks for it, and which package has that.
NEED = sh packaging/needs.sh
needs:
	@$(NEED) $(or $(foreach goal,$(MAKECMDGOALS),$(WANTS_$(goal))),build)
WANTS_package = package $(FORMATS)
WANTS_install = install
WANTS_bench = bench

build:
	@$(NEED) build
	cargo build --workspace --locked

# Optimised, and authkeys static: sshd starts it twice or more for each login, and the dynamic linker costs a
# third of its time. Where there is no static C library it stays dynamic. (A static program can look up no user
# by NSS: where authkeys has to, it asks getent.)
HOST = $(shell rustc -vV | sed -n 's/^host: //p')
STATIC = cargo build -p authkeys --release --locked --target $(HOST)
release: needs
	cargo build --workspace --release --locked
	RUSTFLAGS='$(RUSTFLAGS) -C target-feature=+crt-static' $(STATIC) && \
		install -m 755 $(TARGET)/$(HOST)/release/authkeys $(TARGET)/release/authkeys || \
		echo 'make: authkeys stays dynamic, see above; a static one needs libc.a (libc6-dev, glibc-static)' >&2

# Man pages and completions, of the programs' own definitions of their arguments.
pages: needs
	cargo run -q --locked --target-dir $(TARGET) --manifest-path packaging/man/Cargo.toml -- $(BUILD)/share

# Five .deb, five .rpm, and what Ansible and Chef are given, in target/packages. FORMATS=deb makes those alone;
# BUILD=target/debug packages what is there and builds nothing.
BUILD := $(TARGET)/release
FORMATS := deb rpm tar
package: needs $(if $(filter file,$(origin BUILD)),release) pages
	sh packaging/package.sh $(BUILD) $(TARGET)/packages $(FORMATS)

# The main job on a private machine made over this one; see tests/demo.sh.
demo:
	@$(NEED) demo
	cargo build --workspace --locked
	sh tests/demo.sh $(TARGET)/debug

# Most tests wait for others' programs, for networks and for shifts: more of them at once than there are processors.
THREADS ?= $(shell expr 2 '*' $$(nproc))

# Unit tests, and end-to-end tests on a real sshd, slapd, sudo and libpam. Needs root; installs what is missing.
test:
	@$(NEED) test
	sh tests/prerequisites.sh
	cargo build --workspace --locked
	$(MAKE) pages BUILD=$(TARGET)/debug
	RUST_TEST_THREADS=$(THREADS) cargo test --workspace --locked $(CARGO_TEST)

# The packages on hosts that systemd boots, in networks of their own: their whole life there, from installing to
# purging. Needs root; the first run makes the roots that these hosts share, one for each release of Debian, below the
# target directory, in a minute or two each.
test-hosts:
	@$(NEED) test-hosts
	sh tests/prerequisites.sh hosts
	cargo build --workspace --locked
	$(MAKE) pages BUILD=$(TARGET)/debug
	RUST_TEST_THREADS=$(THREADS) cargo test --workspace --test booted --locked

# The tests that `make test` runs in a small size, whole: hosts by the fifty, moments of a kill by the hundred, an hour of two
# collectors. One at a time: each is as much as two processors do.
test-long:
	@$(NEED) test
	sh tests/prerequisites.sh
	cargo build --workspace --locked
	AUTHKEYS_TEST_SIZE=full cargo test --workspace --locked --test all -- --test-threads 1 a71 a72 a73 a78

# What a change must pass before it is tested.
check:
	@$(NEED) check
	cargo fmt --all --check
	rustfmt --check --edition 2024 lib/sources/src/*.rs # of services, which a macro names
	@# A crate's new dependency changes their lock files too.
	cargo metadata --locked --format-version 1 --manifest-path fuzz/Cargo.toml >/dev/null
	cargo metadata --locked --format-version 1 --manifest-path packaging/man/Cargo.toml >/dev/null
	cargo clippy --workspace --all-targets --locked -- -D warnings
	cargo clippy --workspace --test booted --locked -- -D warnings
	sh .ci/boundaries
	sh .ci/sizes

# What lookups, decisions, logins and syncs cost beside floors in C, and which targets that reaches. Needs
# root and gcc. BENCH=--large also syncs 100,000 people; BENCH=lookup measures that alone, and
# BENCH='live --go FILE' asks a slapd at each, beside a build of the Go authkeys; see tests/bench/main.rs.
bench: needs prerequisites release
	cargo bench --workspace --bench bench --locked -- $(BENCH)

.PHONY: prerequisites
prerequisites:
	sh tests/prerequisites.sh

# Every parser of foreign bytes on samples that libFuzzer makes, each for FUZZ_SECONDS (20); FUZZ=key that one alone.
# Stable Rust and a C++ compiler; see fuzz/README.md.
fuzz:
	@$(NEED) fuzz
	sh fuzz/run.sh $(FUZZ)

# nss-hook's raw pointers under Miri, which sees what no run on a processor shows. Nightly Rust. pam-hook's are libpam's,
# and lib/trust is system calls: Miri has neither.
miri:
	@$(NEED) miri
	cargo +nightly miri test -p nss-hook --locked buffer

# Programs, modules, units, users and directories, where there is no package; changes no login.
install: needs release pages
	sh packaging/install.sh $(TARGET)/release
