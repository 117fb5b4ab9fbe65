//! Is what runs on this host the policy that somebody approved?
//!
//! A policy is signed as a text (`text`): config.toml without what may differ from host to host, a line for each setting
//! that is written there. The signature is beside config.toml, and who may sign is in a file of its own, so that nobody is
//! approved by what they sign. A host compares the signed text with the one that its own configuration makes.
//!
//! Nothing here is asked at a login, and nobody is refused for it: what is amiss is told to the doctor, to metrics and to
//! the centre.

#![forbid(unsafe_code)]

mod hosts;
mod seen;
mod standing;
mod text;

pub use hosts::{Hosts, Labels, hosts, inventory};
pub use seen::{Mark, Seen};
pub use standing::{Problem, SIGNATURE, SIGNERS, Signed, Standing, standing};
pub use text::{Approved, LARGEST, TextError, digest, lines};
