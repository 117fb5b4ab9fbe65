//! `/etc/authkeys/revoked-grants`: the grants that count no more on this host, whatever was signed.
//!
//! One line for each, `#` before a comment: the grant's name, since when (UTC), who said so, and the rest of the line is
//! why. As with `revoked`, a file with a line that is not understood tells nothing at all: then no grant counts.

use std::collections::BTreeSet;
use std::path::Path;

use policy::Timestamp;

use crate::orders::{self, OrderFile, OrdersError};

/// The file.
pub const FILE: OrderFile = OrderFile {
    name: "revoked-grants",
    largest: 1024 * 1024,
    advice: "not a revoked grant; write `ID 2026-11-20T09:00:00Z who why` with one blank between words, `# ...` for a comment, or delete the line",
};

/// The names of the grants in the file at `path`, 32 digits `0-9a-f` each.
///
/// # Errors
/// Why it cannot be told which are revoked.
pub fn read(path: &Path) -> Result<BTreeSet<String>, OrdersError> {
    let mut ids = BTreeSet::new();
    FILE.parse(path, &FILE.text(path)?, |line| {
        let (id, rest) = line.split_once(' ')?;
        let (since, rest) = rest.split_once(' ')?;
        (is_id(id) && Timestamp::parse(since).is_some() && orders::said(rest).is_some()).then_some(())?;
        ids.insert(id.to_string());
        Some(())
    })?;
    Ok(ids)
}

/// Is it a grant's name, as it is written?
pub fn is_id(id: &str) -> bool {
    id.len() == 32 && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// `text` with one more grant in it, or with what is said of that one anew.
pub fn with(text: &[u8], id: &str, since: Timestamp, by: &str, reason: &str) -> Vec<u8> {
    orders::with(text, id, Some(&format!("{id} {since} {by} {reason}")))
}
