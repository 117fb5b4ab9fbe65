//! The reason that somebody on call states once a shift, as a host keeps it: one line, in a file named by the person.
//!
//! ```text
//! claim 1 0f0e…-0d0c:1234.56 INC-42 disk full
//! ```
//!
//! Nothing is opened by it: it is asked of people who are on call, and it is no more than what they say.

use alloc::format;
use alloc::string::{String, ToString};

use policy::{Claimed, Principal, Span, Timestamp, Uptime};

/// The form that is written and read.
const FORM: &str = "claim 1";

/// The longest file that is read, in bytes.
pub const LARGEST_CLAIM: usize = 512;

/// The end of the name of such a file, which no grant's has: that ends with 32 digits.
const ENDING: &str = ".claim";

/// What the file of a person is called.
pub fn claim_name(person: &Principal) -> String {
    format!("{person}{ENDING}")
}

/// Is it the name of such a file?
pub fn is_claim_name(name: &str) -> bool {
    name.strip_suffix(ENDING).is_some_and(|person| Principal::new(person).is_ok())
}

/// The content of the file.
pub fn write_claim(uptime: &Uptime, reason: &str) -> String {
    format!("{FORM} {uptime} {reason}\n")
}

/// When it was stated, by the clock that nobody can set, and what, if it is such a file.
pub fn read_claim(text: &[u8]) -> Option<(Uptime, String)> {
    let line = core::str::from_utf8(text).ok()?.strip_suffix('\n')?;
    let (uptime, reason) = line.strip_prefix(FORM)?.strip_prefix(' ')?.split_once(' ')?;
    crate::is_reason(reason).then_some(())?;
    Some((Uptime::parse(uptime)?, reason.to_string()))
}

/// The same for a decision at a moment, if it was stated in the same boot.
pub fn claimed(text: &[u8], now: Timestamp, uptime: &Uptime) -> Option<Claimed> {
    let (stated, reason) = read_claim(text)?;
    let seconds = i64::try_from(uptime.after(&stated)?.as_secs()).ok()?;
    Some(Claimed { at: now.minus(Span::seconds(seconds)), reason })
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::time::Duration;

    fn up(boot: u128, seconds: u64) -> Uptime {
        Uptime::new(Some(boot), Duration::from_secs(seconds))
    }

    #[test]
    fn a_reason_is_kept_with_the_time_since_the_boot() {
        let written = write_claim(&up(7, 1000), "INC-42 disk full");
        assert!(written.len() < LARGEST_CLAIM);
        let now = Timestamp::from_unix(1_795_165_200);
        let read = |text: &str, uptime| claimed(text.as_bytes(), now, &uptime);
        let known = read(&written, up(7, 1060)).unwrap();
        assert_eq!((known.at, known.reason.as_str()), (now.minus(Span::seconds(60)), "INC-42 disk full"));
        // Of another boot nothing is known, nor of what was stated later than now.
        assert_eq!((read(&written, up(8, 1060)), read(&written, up(7, 999))), (None, None));
        for wrong in
            ["", "claim 1\n", "claim 2 7:1.00 x\n", "claim 1 x x\n", &written[1..], written.trim_end()]
        {
            assert_eq!(read(wrong, up(7, 1060)), None, "{wrong:?}");
        }
        assert_eq!(read(&written.replace("full", "f\u{fc}ll"), up(7, 1060)), None);
    }

    #[test]
    fn its_file_is_no_grants() {
        let name = claim_name(&Principal::new("alice").unwrap());
        assert!(name == "alice.claim" && is_claim_name(&name));
        assert_eq!((crate::stored_id(&name), crate::stored_person(&name)), (None, None));
        let grant = "root@bob.00112233445566778899aabbccddeeff";
        assert!(!is_claim_name(grant) && !is_claim_name(".memory") && !is_claim_name(".claim"));
    }
}
