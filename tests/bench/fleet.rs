//! `make bench BENCH=fleet`: what a fleet costs its hosts and its store.

mod people;
mod pull;
mod pullers;

/// Measures all of it, the store with so many pulling hosts.
pub fn measure(rounds: usize, pullers: usize) {
    people::measure(rounds);
    pull::measure(rounds.div_ceil(4));
    pullers::measure(pullers);
}

/// Measures the store alone.
pub fn measure_store(pullers: usize) {
    pullers::measure(pullers);
}
