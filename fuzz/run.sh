#!/bin/sh
# Each target for a while, from its seeds and from what earlier runs on this machine found; as many at once as there are
# processors. An input that makes one stop is kept and named, and ends it with 1.
#
#   [FUZZ_SECONDS=20] fuzz/run.sh [TARGET...]
set -eu

cd "$(dirname "$0")/.."
seconds=${FUZZ_SECONDS:-20}
target=${CARGO_TARGET_DIR:-target}/fuzz
host=$(rustc -vV | sed -n 's/^host: //p')

run() { # target
    # What the packages show as an example is one.
    seeds=fuzz/seeds/$1
    [ -d "$seeds" ] || seeds=
    case $1 in config | people | rota) also=packaging/examples ;; *) also= ;; esac
    mkdir -p "$target/corpus/$1" "$target/found"
    if "$target/$host/release/$1" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 -print_final_stats=1 \
        -artifact_prefix="$target/found/$1-" "$target/corpus/$1" $seeds $also >"$target/$1.log" 2>&1; then
        echo "fuzz: $1: $(sed -n 's/^stat::number_of_executed_units: *//p' "$target/$1.log") inputs"
    else
        tail -n 40 "$target/$1.log" >&2
        echo "fuzz: $1 stopped; the input is the file that is named above, the whole text $target/$1.log" >&2
        return 1
    fi
}
if [ "${1:-}" = --one ]; then # what xargs calls
    run "$2"
    exit
fi

# Stable Rust: the counters that libFuzzer goes by are a pass of LLVM's. Without an address sanitizer, which takes nightly
# Rust: what is read here is safe code, and what is not has Miri (make miri).
RUSTFLAGS="${RUSTFLAGS:-} --cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares" \
    cargo build --release --locked --manifest-path fuzz/Cargo.toml --target "$host" --target-dir "$target"

all=$(for file in fuzz/src/bin/*.rs; do basename "$file" .rs; done)
for name in "$@"; do
    echo "$all" | grep -qx "$name" || { echo "fuzz: no target $name; there are" $all >&2; exit 64; }
done

echo "fuzz: each of" ${*:-$all} "for $seconds s"
# shellcheck disable=SC2086 # a list of words
printf '%s\n' ${*:-$all} | xargs -P "$(nproc)" -n 1 sh fuzz/run.sh --one
