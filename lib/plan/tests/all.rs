//! What plans say, as text and against the decision.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test stops at the first surprise"
)]

mod agreement;
mod cases;
#[path = "../../policy/tests/agreement/dice.rs"]
mod dice;
mod directions;
mod readers;
mod sentences;
mod site;
