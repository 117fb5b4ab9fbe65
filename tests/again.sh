#!/bin/sh
# Runs all of `make test` so many times over on a busy machine: a test that waits for time, and not for what it asserts,
# shows here. Four loops that do nothing take the processors; they end with this script, however it ends.
#
#   tests/again.sh [RUNS [TEST...]]    10 runs by default; of end-to-end tests with these words in their names alone
#                                      (`keys:: a15`), if there are any
#
# LOADS=8 is busier. A line for each run: its number, whether all passed, how long it took, how many passed and failed, the
# names of what failed; and at the end each of these, with how often it failed. All that a run said is in
# target/again/NUMBER.log. Ends with 1 if anything failed in any run.
set -eu

runs=${1:-10}
case $runs in '' | *[!0-9]* | 0) echo 'again: how many runs? tests/again.sh 10' >&2; exit 64 ;; esac
[ $# = 0 ] || shift
# What fails stops no other program.
test=--no-fail-fast
[ $# = 0 ] || test="$test --test all -- $*"
cd "$(dirname "$0")/.."
logs=${CARGO_TARGET_DIR:-target}/again
mkdir -p "$logs"
: >"$logs/failed"

children=
trap '[ -z "$children" ] || kill $children 2>/dev/null || :' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
for _ in $(seq "${LOADS:-4}"); do
    # A killed script runs no trap: a loop looks now and then whether it is still there.
    sh -c 'while kill -0 "$1" 2>/dev/null; do n=0; while [ $n -lt 1000000 ]; do n=$((n + 1)); done; done' \
        load $$ </dev/null >/dev/null 2>&1 &
    children="$children $!"
done
loads=$children

failed=0
for run in $(seq "$runs"); do
    log=$logs/$run.log
    began=$(date +%s)
    # In the background, so that a signal ends the script at once, and this with it.
    make test CARGO_TEST="$test" >"$log" 2>&1 </dev/null &
    children="$loads $!"
    if wait $!; then result=ok; else result=FAILED failed=1; fi
    children=$loads
    sums=$(awk '/^test result: / { passed += $4; failed += $6 } END { printf "%d passed, %d failed", passed, failed }' "$log")
    # cargo says which program runs, and that which of its tests failed.
    names=$(awk '/^ *Running / { program = $NF; sub(/.*\//, "", program); sub(/-[0-9a-f]*\)$/, "", program) }
        /^test .* \.\.\. FAILED$/ { print program "::" $2 }' "$log")
    # What does not build, or is killed, fails without a name.
    [ "$result" = ok ] || [ -n "$names" ] || names="see $log: $(tail -n 1 "$log")"
    [ -z "$names" ] || echo "$names" >>"$logs/failed"
    echo "$run of $runs: $result, $(($(date +%s) - began)) s, $sums${names:+: $(echo "$names" | tr '\n' ' ')}"
done
sort "$logs/failed" | uniq -c
exit $failed
