//! `report`: who could become root in a time, who did, who was refused, and what of that is not known.
//!
//! It reads what the PAM module and the syncs wrote, current and rotated files, as a stream: a line that is not
//! understood is counted and said, and ends nothing. What is kept in memory is bounded.

mod could;
mod lines;
mod logins;
mod numbers;
mod show;
mod unwritten;

use std::collections::BTreeSet;
use std::time::Duration;

use host::config::{Directory, KeysMode};
use host::{Config, accounts, audit, child};
use policy::{Span, Timestamp};

use crate::{sync, when};
use could::Could;
use lines::{Files, Keeper};
use logins::Logins;
use numbers::Counted;
pub use show::Form;

/// What is asked about.
#[derive(Debug, Clone, Copy)]
pub struct Period {
    /// From this instant.
    pub since: Timestamp,
    /// Up to, not including, this one.
    pub until: Timestamp,
}

impl Period {
    /// Reads `--since` and `--until`: an instant, or how long before `now`.
    ///
    /// # Errors
    /// Text that says what cannot be read.
    pub fn parse(since: &str, until: Option<&str>, now: Timestamp) -> Result<Self, String> {
        let read = |text: &str| match ago(text) {
            Some(ago) => Ok(now.minus(ago)),
            None => when::parse(text).map_err(|_| {
                format!("`{text}` is no time; write 30d, 12h or 90m ago, or 2026-11-20T18:00:00Z")
            }),
        };
        // What is recorded in this very second is in it.
        let until = until.map_or(Ok(now.plus(Span::seconds(1))), read)?;
        let since = read(since)?;
        if since < until {
            Ok(Self { since, until })
        } else {
            Err(format!("nothing lies between {since} and {until}"))
        }
    }

    fn contains(&self, at: Timestamp) -> bool {
        self.since <= at && at < self.until
    }
}

/// `30d`, `12h`, `90m`.
fn ago(text: &str) -> Option<Span> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let length = match unit {
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        "w" => 604_800,
        _ => return None,
    };
    let is_number = number.len() <= 5 && number.bytes().all(|byte| byte.is_ascii_digit());
    let count: i64 = number.parse().ok().filter(|_| is_number)?;
    Some(Span::seconds(count * length))
}

/// All that is known of a period.
#[derive(Debug)]
pub struct Usage {
    host: String,
    period: Period,
    could: Could,
    logins: Logins,
    /// What is not known, a line each.
    gaps: Vec<String>,
}

impl Usage {
    /// Reads every file.
    ///
    /// # Errors
    /// Text that says why nothing can be read.
    pub fn read(config: &Config, period: Period, now: Timestamp) -> Result<Self, String> {
        if !accounts::is_root() {
            return Err("only root may read who was root; run it with sudo".to_string());
        }
        let mut gaps = Vec::new();
        let names = Names::read(config, now);
        let (logins, told) = read_logins(config, period, &names, period.contains(now));
        gaps.extend(told);
        gaps.extend(unwritten::read(period));
        let history = sync::history_path(config);
        let could = Could::read(Files::of(&history, Keeper::Service, &mut gaps), period, &mut gaps);
        Ok(Self { host: config.rules.host.name.clone(), period, could, logins, gaps })
    }

    /// 0: nothing is missing; 1: something is, and what.
    pub fn exit_code(&self) -> u8 {
        u8::from(!self.gaps.is_empty())
    }

    /// For `--would-refuse`. 0: nobody would be refused; 1: somebody would; 2: that cannot be told.
    pub fn exit_code_of_refusals(&self) -> u8 {
        match (self.logins.would_refuse.is_empty(), self.gaps.is_empty()) {
            (false, _) => 1,
            (true, true) => 0,
            (true, false) => crate::CANNOT_TELL,
        }
    }
}

/// How often the records are read while some that were numbered are not there yet, and the time in between.
const ATTEMPTS: usize = 4;
const PAUSE: Duration = Duration::from_millis(250);

/// The most records that may be on their way into the file.
const ON_THEIR_WAY: u64 = 16;

/// All records, and what is not known of them; of the last ones too if the period reaches until now.
fn read_logins(config: &Config, period: Period, names: &Names, until_now: bool) -> (Logins, Vec<String>) {
    let mut attempt = 1;
    loop {
        let before = audit::counted();
        let mut gaps = Vec::new();
        let decisions = Files::of(&config.paths.audit, Keeper::Root, &mut gaps);
        let logins = Logins::read(decisions, period, names, &mut gaps);
        let counted = before.zip(audit::counted()).filter(|_| until_now);
        let behind = counted.and_then(|(before, after)| logins.missing_behind(&Counted { before, after }));
        match behind {
            // A record is numbered just before it is written, and whoever writes it may be stopped in between.
            Some(behind) if attempt < ATTEMPTS && behind.missing <= ON_THEIR_WAY => child::pause(PAUSE),
            behind => {
                gaps.extend(behind.map(|behind| behind.text));
                return (logins, gaps);
            }
        }
        attempt += 1;
    }
}

/// Who is a person: whoever the directory knows. Any other name is a program's account.
struct Names {
    known: BTreeSet<String>,
    /// Is everybody in the directory among those?
    is_whole: bool,
}

impl Names {
    fn read(config: &Config, now: Timestamp) -> Self {
        let known = sync::read_names(config, now);
        let copies_all = matches!(config.directory, Some(Directory::File(_)))
            || matches!(config.keys.mode, KeysMode::Replica);
        Self { is_whole: known.is_some() && copies_all, known: known.unwrap_or_default() }
    }

    /// Where the copy of the directory does not tell, accounts of the system are programs'.
    fn is_person(&self, name: &str) -> bool {
        let is_users = || accounts::facts(name, &[]).uid.is_some_and(|uid| uid >= 1_000);
        self.known.contains(name) || (!self.is_whole && is_users())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_is_two_instants_or_how_long_ago_they_were() {
        let now = Timestamp::from_unix(1_795_165_200);
        let period =
            |since, until| Period::parse(since, until, now).map(|p| (p.since.unix(), p.until.unix()));
        assert_eq!(period("30d", None), Ok((now.unix() - 30 * 86_400, now.unix() + 1)));
        assert_eq!(
            period("2026-11-20T08:00:00Z", Some("90m")),
            Err("nothing lies between 2026-11-20T08:00:00Z and 2026-11-20T07:30:00Z".to_string())
        );
        for bad in ["", "d", "-1d", "1y", "é", "999999d", "yesterday"] {
            assert!(period(bad, None).is_err(), "{bad}");
        }
    }
}
