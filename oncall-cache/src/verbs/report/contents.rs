//! All that is known of a period, and what is not.

use std::time::Duration;

use host::{Config, accounts, child};
use policy::Timestamp;

use super::could::Could;
use super::logins::Logins;
use super::names::Names;
use super::numbers::RecordCount;
use super::period::Period;
use super::unwritten;
use crate::lines::{Files, Keeper};
use crate::said::CANNOT_TELL;
use crate::sync;

/// All that is known of a period.
#[derive(Debug)]
pub struct Report {
    /// This host's name.
    pub host: String,
    /// The time that is asked about.
    pub period: Period,
    /// Who could become root.
    pub could: Could,
    /// Who did, and who was refused.
    pub logins: Logins,
    /// What is not known, a line each.
    pub gaps: Vec<String>,
}

impl Report {
    /// Reads every file.
    ///
    /// # Errors
    /// Text that says why nothing can be read.
    pub fn read(config: &Config, period: Period, now: Timestamp) -> Result<Self, String> {
        if !accounts::is_root() {
            return Err("only root may read who was root; use sudo".to_string());
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
            (true, false) => CANNOT_TELL,
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
        let before = record::counted();
        let mut gaps = Vec::new();
        let decisions = Files::of(&config.paths.audit, Keeper::Root, &mut gaps);
        let logins = Logins::read(decisions, period, names, &mut gaps);
        let counted = before.zip(record::counted()).filter(|_| until_now);
        let behind =
            counted.and_then(|(before, after)| logins.missing_behind(&RecordCount { before, after }));
        match behind {
            // A record is numbered just before it is written, and its writer may be stopped in between.
            Some(behind) if attempt < ATTEMPTS && behind.missing <= ON_THEIR_WAY => child::pause(PAUSE),
            behind => {
                gaps.extend(behind.map(|behind| behind.text));
                return (logins, gaps);
            }
        }
        attempt += 1;
    }
}
