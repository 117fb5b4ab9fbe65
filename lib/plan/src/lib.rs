//! What a change of the configuration means, before it is installed: which settings it loosens, and who gains or loses
//! root and other guarded accounts, on which hosts, and when.
//!
//! Nothing is read here and no clock: two configurations, a rota and an inventory of hosts come in, sentences go out.
//! Whether somebody is admitted is decided by `policy` alone, which is asked at each instant at which its answer can
//! change, for hosts that all rules take alike once.

#![forbid(unsafe_code)]

mod changes;
mod context;
mod door;
mod expectations;
mod incidents;
mod inventory;
mod keys;
mod moves;
mod narrowing;
mod others;
mod question;
mod rights;
mod settings;
mod sources;
mod unknown;
mod words;

pub use changes::{Change, Effect, changes};
pub use door::{By, Door, Standing};
pub use expectations::{Expectation, Expectations, Judged, Narrow, Outcome, Wanted};
pub use inventory::Inventory;
pub use moves::{Counts, Move, When};
pub use narrowing::{Asked, Files, Narrowing};
pub use question::{Plan, Question, Rota, is_empty};
pub use rights::{Admitted, Rights, Times, read_in_time};
