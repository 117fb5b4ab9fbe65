//! What our programs say on standard error: for people at a terminal, and, when a timer starts them, for the log.
//!
//! Each call is a line. It may contain names from a rota or a directory, and the people who typed them may not
//! begin a line of the log: so nothing else in the suite writes there (clippy.toml).

use std::fmt;
use std::io::{self, IsTerminal, Write};

use policy::{OneLine, plain};

/// Says `text` as `program`, on one line. A reader that went away is no failure.
pub fn complain(program: &str, text: impl fmt::Display) {
    let line = OneLine::from(format_args!("{program}: {text}"));
    #[allow(clippy::disallowed_methods, reason = "this is the one place that writes there")]
    let _ = writeln!(io::stderr(), "{line}");
}

/// Says what comes of a command line instead of an answer: help, or that it is not understood and which words of it are not.
/// Those may be anybody's, where a program passes them on.
pub fn page(text: &impl fmt::Display, is_error: bool) {
    let text = plain(&text.to_string());
    #[allow(clippy::disallowed_methods, reason = "this is the one place that writes there")]
    let _ = if is_error { write!(io::stderr(), "{text}") } else { write!(io::stdout(), "{text}") };
}

/// So many of what one is called `one`: `1 schedule`, `2 schedules`.
pub fn counted(count: usize, one: &str) -> String {
    format!("{count} {one}{}", if count == 1 { "" } else { "s" })
}

/// So many, in the words for one or for more: `1 record is missing`, `2 records are missing`.
pub fn agreed(count: u64, one: &str, more: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { more })
}

/// Is somebody looking on?
pub fn is_watched() -> bool {
    #[allow(clippy::disallowed_methods, reason = "nothing is written")]
    io::stderr().is_terminal()
}
