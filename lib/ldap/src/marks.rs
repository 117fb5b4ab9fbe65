//! What closes an account: marks of being disabled or locked, and the instants between which it may be used.
//!
//! Each directory has other names for that, and all of them are asked for and judged everywhere. A mark that cannot be
//! read is one that is set. Instants are kept as such: readers of the copy judge them by the clock.

use host::config::{DisablingLocks, Ldap};
use policy::Timestamp;

use crate::entry::Entry;

/// What the values of an attribute say about an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    /// The account begins or ends at an instant, in this form.
    Begins(Form),
    Ends(Form),
    /// It is closed unless the value is FALSE.
    Closed,
    /// It is closed if the bit for that is set; locked if that for a lock after wrong passwords is.
    Control,
    /// It is locked, if the value is not 0.
    Locked,
    /// It is locked: after wrong passwords since an instant, or, without one, until an administrator ends that.
    LockedSince,
    /// It is locked after wrong passwords until an instant; 1970 is until an administrator ends that.
    LockedUntil,
}

/// How an instant is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// Days since the epoch: shadow(5).
    Day,
    /// GeneralizedTime: RFC 4517, 3.3.13.
    Generalized,
    /// The same, and 1970 is never: what MIT's Kerberos writes for an end that was lifted (kdb5, ldap_principal2.c), and 389
    /// Directory Server for a lock without end.
    Kerberos,
    /// Tenths of a microsecond since 1601: [MS-ADTS] 2.3.1.
    FileTime,
}

use Form::{Day, FileTime, Generalized, Kerberos};

/// The attributes of shadow(5), OpenLDAP's password policy (draft-behera-ldap-password-policy-10), 389 Directory Server,
/// FreeIPA and Active Directory.
const MARKS: [(&str, Meaning); 11] = [
    ("shadowExpire", Meaning::Ends(Day)),
    ("pwdStartTime", Meaning::Begins(Generalized)),
    ("pwdEndTime", Meaning::Ends(Generalized)),
    ("pwdAccountLockedTime", Meaning::LockedSince),
    ("nsAccountLock", Meaning::Closed),
    // Of 389 Directory Server, which tells it by name alone (measured: 2.3.1).
    ("accountUnlockTime", Meaning::LockedUntil),
    ("krbPrincipalExpiration", Meaning::Ends(Kerberos)),
    ("userAccountControl", Meaning::Control),
    // Computed when it is read: the lock after wrong passwords is in no other bits (measured with Samba 4.17.12).
    ("msDS-User-Account-Control-Computed", Meaning::Control),
    ("accountExpires", Meaning::Ends(FileTime)),
    ("lockoutTime", Meaning::Locked),
];

/// The names of all of them.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    MARKS.iter().map(|(name, _)| *name)
}

/// Notes what the attribute `name` says of an account (P15).
pub(super) fn judge(ldap: &Ldap, name: &str, values: &[Vec<u8>], entry: &mut Entry) {
    if values.is_empty() {
        return;
    }
    let known = MARKS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
    if let Some((known, meaning)) = known
        && !meaning.take(values, ldap.disabling_locks, entry)
    {
        entry.disabled = Some((*known).to_string());
    }
    for mark in ldap.disabled.iter().filter(|mark| mark.attribute.eq_ignore_ascii_case(name)) {
        let hit = mark.values.iter().find(|wanted| {
            *wanted == "*" || values.iter().any(|value| value.eq_ignore_ascii_case(wanted.as_bytes()))
        });
        if let Some(hit) = hit {
            entry.disabled = Some(format!("{}={hit}", mark.attribute));
        }
    }
}

impl Meaning {
    /// Notes instants in `entry`; does the attribute leave the account open else?
    fn take(self, values: &[Vec<u8>], disabling_locks: DisablingLocks, entry: &mut Entry) -> bool {
        let any_lock = disabling_locks == DisablingLocks::Any;
        match self {
            Self::Begins(form) => match form.read_all(values) {
                Some(instants) => {
                    entry.begins = instants.into_iter().chain(entry.begins).max();
                    true
                }
                None => false,
            },
            Self::Ends(form) => match form.read_all(values) {
                Some(instants) => {
                    entry.expires = instants.into_iter().chain(entry.expires).min();
                    true
                }
                None => false,
            },
            Self::Closed => values.iter().all(|value| value.eq_ignore_ascii_case(b"FALSE")),
            Self::Control => {
                let closing = ACCOUNT_DISABLE | if any_lock { LOCKOUT } else { 0 };
                values.iter().all(|value| number(value).is_some_and(|bits| bits & closing == 0))
            }
            // A lock after wrong passwords says nothing about keys, and anybody can bring it about.
            Self::Locked => {
                values.iter().all(|value| number(value).is_some_and(|since| since == 0 || !any_lock))
            }
            Self::LockedSince => !any_lock && values.iter().all(|value| begins_at_an_instant(value)),
            Self::LockedUntil if !any_lock => true,
            // What cannot be read is a lock, and so is one without end.
            Self::LockedUntil => match Kerberos.read_all(values) {
                Some(instants) if instants.len() == values.len() => {
                    entry.begins = instants.into_iter().chain(entry.begins).max();
                    true
                }
                _ => false,
            },
        }
    }
}

/// Active Directory's bits of an account that is disabled, and of one that is locked ([MS-ADTS] 2.2.16).
const ACCOUNT_DISABLE: i64 = 0x2;
const LOCKOUT: i64 = 0x10;

impl Form {
    /// The instants of all values, without those that mean "never"; `None` if one cannot be read.
    fn read_all(self, values: &[Vec<u8>]) -> Option<Vec<Timestamp>> {
        let read: Option<Vec<_>> = values.iter().map(|value| self.read(value)).collect();
        Some(read?.into_iter().flatten().collect())
    }

    /// `Some(None)` is never.
    fn read(self, value: &[u8]) -> Option<Option<Timestamp>> {
        match (self, value) {
            (Day, _) => match number(value)? {
                -1 => Some(None),
                days => days.checked_mul(86_400).map(|seconds| Some(Timestamp::from_unix(seconds))),
            },
            (FileTime, _) => match number(value)? {
                // Both are never: [MS-ADA1] 2.2.
                0 | i64::MAX => Some(None),
                tenths if tenths > 0 => Some(Some(Timestamp::from_unix(tenths / 10_000_000 - SINCE_1601))),
                _ => None,
            },
            (Generalized, _) => generalized(value).map(Some),
            (Kerberos, _) => generalized(value).map(|instant| Some(instant).filter(|at| at.unix() != 0)),
        }
    }
}

/// The seconds between 1601 and 1970.
const SINCE_1601: i64 = 11_644_473_600;

fn number(value: &[u8]) -> Option<i64> {
    std::str::from_utf8(value).ok()?.trim().parse().ok()
}

/// A lock of the password policy that begins at an instant: generalizedTime (RFC 4517), in a year from 1.
/// `000001010000Z` is the lock without end.
fn begins_at_an_instant(value: &[u8]) -> bool {
    let digits = value.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (number, zone) = value.split_at(digits);
    let whole = matches!(zone, [b'Z'] | [b'.' | b',', .., b'Z']);
    whole && matches!(digits, 10 | 12 | 14) && !number.starts_with(b"0000")
}

/// GeneralizedTime: `20261120141953Z`, without seconds or minutes too, with a fraction (which is left out), and with
/// an offset in place of the Z.
pub(super) fn generalized(value: &[u8]) -> Option<Timestamp> {
    let text = std::str::from_utf8(value).ok()?;
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (instant, mut zone) = text.split_at(digits);
    if !matches!(digits, 10 | 12 | 14) {
        return None;
    }
    if let Some(fraction) = zone.strip_prefix(['.', ',']) {
        let end = fraction.find(|c: char| !c.is_ascii_digit()).filter(|end| *end > 0)?;
        zone = fraction.get(end..)?;
    }
    let part = |text: &str, from: usize, to: usize| match text.get(from..to) {
        Some(digits) => {
            digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse::<i64>().ok())?
        }
        None => Some(0),
    };
    let date = (part(instant, 0, 4)?, part(instant, 4, 6)?, part(instant, 6, 8)?);
    let time = (part(instant, 8, 10)?, part(instant, 10, 12)?, part(instant, 12, 14)?);
    let local = Timestamp::from_civil(date, time)?;
    let (sign, offset) = match zone.split_at_checked(1)? {
        ("Z", "") => return Some(local),
        ("+", offset) => (1, offset),
        ("-", offset) => (-1, offset),
        _ => return None,
    };
    let (hours, minutes) = (part(offset, 0, 2)?, part(offset, 2, 4)?);
    let fits = matches!(offset.len(), 2 | 4) && hours < 24 && minutes < 60;
    fits.then(|| Timestamp::from_unix(local.unix() - sign * (hours * 3600 + minutes * 60)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::example;

    fn judged(disabling_locks: DisablingLocks, name: &str, values: &[&str]) -> Entry {
        let mut entry = Entry::default();
        let values: Vec<Vec<u8>> = values.iter().map(|value| value.as_bytes().to_vec()).collect();
        judge(&Ldap { disabling_locks, ..example() }, name, &values, &mut entry);
        entry
    }

    fn one(name: &str, value: &str) -> (Option<String>, Option<i64>, Option<i64>) {
        let entry = judged(DisablingLocks::Permanent, name, &[value]);
        (entry.disabled, entry.begins.map(Timestamp::unix), entry.expires.map(Timestamp::unix))
    }

    #[test]
    fn a15_a_lock_after_wrong_passwords_disables_where_any_lock_does() {
        let disabled = |disabling_locks, name: &str, values: &[&str]| {
            judged(disabling_locks, name, values).disabled.is_some()
        };
        let locked = "pwdAccountLockedTime";
        for temporary in ["20261120141953Z", "20261120141953.123456Z", "202611201419Z"] {
            assert!(!disabled(DisablingLocks::Permanent, locked, &[temporary]), "{temporary}");
            assert!(disabled(DisablingLocks::Any, locked, &[temporary]), "{temporary}");
            assert!(
                disabled(DisablingLocks::Permanent, locked, &[temporary, "000001010000Z"]),
                "{temporary}"
            );
        }
        for lasting in ["000001010000Z", "00000101000000Z", "", "x", "Z", "2026", "20261120141953", "TRUE"] {
            assert!(disabled(DisablingLocks::Permanent, locked, &[lasting]), "{lasting}");
        }
        assert!(!disabled(DisablingLocks::Any, locked, &[]));
        for (name, value, any) in [
            ("lockoutTime", "0", false),
            ("lockoutTime", "134085000000000000", true),
            ("msDS-User-Account-Control-Computed", "0", false),
            ("msDS-User-Account-Control-Computed", "16", true),
            ("msDS-User-Account-Control-Computed", "8388608", false),
            ("userAccountControl", "528", true),
            ("accountUnlockTime", "19700101000000Z", true),
            ("accountUnlockTime", "x", true),
            ("accountUnlockTime", "20261120141953Z", false),
        ] {
            assert!(!disabled(DisablingLocks::Permanent, name, &[value]), "{name} {value}");
            assert_eq!(disabled(DisablingLocks::Any, name, &[value]), any, "{name} {value}");
        }
        let unlocked = |locks| judged(locks, "accountUnlockTime", &["19700101000001Z"]).begins;
        assert_eq!(unlocked(DisablingLocks::Permanent), None);
        assert_eq!(
            unlocked(DisablingLocks::Any),
            Some(Timestamp::from_unix(1)),
            "readers judge it by the clock"
        );
    }

    #[test]
    fn a15_each_mark_disables_and_a_mark_that_cannot_be_read_does_too() {
        for (name, value) in [
            ("nsAccountLock", "TRUE"),
            ("nsAccountLock", "true"),
            ("nsAccountLock", "?"),
            ("pwdAccountLockedTime", "000001010000Z"),
            ("userAccountControl", "514"),
            ("userAccountControl", "546"),
            ("userAccountControl", "x"),
            ("msDS-User-Account-Control-Computed", "2"),
            ("shadowExpire", "x"),
            ("shadowExpire", "9223372036854775807"),
            ("accountExpires", "x"),
            ("accountExpires", "-1"),
            ("pwdEndTime", "tomorrow"),
            ("pwdStartTime", "20261301000000Z"),
            ("krbPrincipalExpiration", ""),
            ("lockoutTime", "x"),
        ] {
            assert_eq!(one(name, value), (Some(name.to_string()), None, None), "{name} {value}");
        }
        for (name, value) in [
            ("nsAccountLock", "FALSE"),
            ("userAccountControl", "512"),
            ("userAccountControl", "66048"),
            ("shadowExpire", "-1"),
            ("accountExpires", "0"),
            ("accountExpires", "9223372036854775807"),
            ("krbPrincipalExpiration", "19700101000000Z"),
        ] {
            assert_eq!(one(name, value), (None, None, None), "{name} {value}");
        }
    }

    #[test]
    fn a15_instants_are_kept_and_the_narrowest_count() {
        for (name, value, begins, expires) in [
            ("shadowexpire", "20000", None, Some(1_728_000_000)),
            ("shadowExpire", "0", None, Some(0)),
            ("accountExpires", "116444736000000000", None, Some(0)),
            ("ACCOUNTEXPIRES", "134092944000000000", None, Some(1_764_820_800)),
            ("accountExpires", "1", None, Some(-11_644_473_600)),
            ("pwdEndTime", "19700101000001Z", None, Some(1)),
            ("pwdEndTime", "197001010100Z", None, Some(3600)),
            ("pwdEndTime", "1970010101+0100", None, Some(0)),
            ("pwdEndTime", "19700101000000.9-01", None, Some(3600)),
            ("krbPrincipalExpiration", "19700101000001Z", None, Some(1)),
            ("pwdStartTime", "19700102000000,5Z", Some(86_400), None),
        ] {
            assert_eq!(one(name, value), (None, begins, expires), "{name} {value}");
        }
        let mut entry = judged(DisablingLocks::Permanent, "accountExpires", &["0", "116444736010000000"]);
        assert_eq!(entry.expires, Some(Timestamp::from_unix(1)));
        judge(&example(), "shadowExpire", &[b"1".to_vec()], &mut entry);
        assert_eq!(entry.expires, Some(Timestamp::from_unix(1)), "the first end is the end");
    }

    #[test]
    fn generalized_time_is_read_or_refused() {
        for bad in [
            "",
            "Z",
            "2026Z",
            "20261120",
            "20261120141953",
            "20260230000000Z",
            "20261120141953.Z",
            "20261120141953z",
            "20261120141953+1",
            "20261120141953+2400",
            "20261120141953+0160",
            "202611201419533Z",
            "2026112014195\u{b2}Z",
            "20261120141953Z ",
            "20261120246000Z",
        ] {
            assert_eq!(generalized(bad.as_bytes()), None, "{bad}");
        }
    }
}
