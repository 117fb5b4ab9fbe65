#!/bin/sh
# Runs all of `make test` so many times over on a busy machine: a test that waits for time, and not for what it asserts,
# shows here. Four loops that do nothing take the processors; they end with this script, however it ends.
#
#   tests/again.sh [RUNS]      10 by default; CARGO_TEST='--test names' runs those alone, LOADS=8 is busier
#
# A line for each run: its number, whether all passed, how long it took, how many passed and failed, the names of what
# failed. All that a run said is in target/again/NUMBER.log. Ends with 1 if anything failed in any run.
set -eu

runs=${1:-10}
case $runs in '' | *[!0-9]* | 0) echo 'again: how many runs? tests/again.sh 10' >&2; exit 64 ;; esac
cd "$(dirname "$0")/.."
logs=${CARGO_TARGET_DIR:-target}/again
mkdir -p "$logs"

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
    # What fails stops no other test program. In the background, so that a signal ends the script at once, and this with it.
    make test CARGO_TEST="--no-fail-fast ${CARGO_TEST:-}" >"$log" 2>&1 </dev/null &
    children="$loads $!"
    if wait $!; then result=ok; else result=FAILED failed=1; fi
    children=$loads
    sums=$(awk '/^test result: / { passed += $4; failed += $6 } END { printf "%d passed, %d failed", passed, failed }' "$log")
    names=$(sed -n 's/^test \(.*\) \.\.\. FAILED$/\1/p' "$log" | tr '\n' ' ')
    # What does not build, or is killed, fails without a name.
    [ "$result" = ok ] || [ -n "$names" ] || names="see $log: $(tail -n 1 "$log")"
    echo "$run of $runs: $result, $(($(date +%s) - began)) s, $sums${names:+: $names}"
done
exit $failed
