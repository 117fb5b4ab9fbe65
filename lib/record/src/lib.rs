//! What is written down of decisions: a line in the log for people, a record for programs in a file, and which sessions
//! are open.
//!
//! Nothing here waits, and nothing here refuses anybody: what cannot be written costs a line, never a login.

#![forbid(unsafe_code)]

mod collected;
mod files;
mod json;
mod line;
mod process;
mod record;
mod sessions;
mod spool;
mod token;

pub use collected::collected;
pub use line::{Escaped, Line};
pub use process::{Origin, Stat, boot_id};
pub use record::{Counts, Record};
pub use sessions::Sessions;
pub use spool::{MOST, Spool, Ticket, counted, open};
pub use token::{Cause, Effect, Phase, Token, Word};
