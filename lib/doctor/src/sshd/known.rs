//! What is known of sshd, and how a finding about one of its settings is placed and fixed.

use std::path::{Path, PathBuf};

use host::config::Chained;
use policy::Rules;

use super::lines::{CONFIG, Line, same_value};
use super::settings::Settings;
use crate::accounts::Accounts;
use crate::finding::{Finding, Place, edit};
use crate::machine::Stat;

/// What is known of sshd.
pub struct Sshd<'a> {
    /// What holds for each account that was asked about; root first.
    pub settings: &'a [(String, Settings)],
    pub lines: &'a [Line],
    pub accounts: &'a Accounts,
    pub stat: &'a dyn Fn(&Path) -> Option<Stat>,
    /// A path without links.
    pub real: &'a dyn Fn(&Path) -> PathBuf,
    /// The configuration that everything else reads.
    pub config: &'a str,
    /// Accounts that several people enter with their own keys, root if it is one.
    pub shared: Vec<&'a str>,
    /// What decisions are made by.
    pub rules: &'a Rules,
    /// The text of a file.
    pub text: &'a dyn Fn(&str) -> Option<String>,
    /// The copy of the directory, which the command has to read.
    pub keys: Option<Stat>,
    /// The other commands that ours asks.
    pub chain: &'a [Chained],
}

/// Behind each fix of sshd's configuration.
pub const RELOAD: &str = "  # then reload sshd";

impl Sshd<'_> {
    /// The line that makes `keyword` what it is for `account`.
    pub fn line(&self, keyword: &str, value: &str) -> Option<&Line> {
        let of_keyword = || self.lines.iter().filter(|line| line.keyword == keyword);
        let same = |line: &&Line| same_value(&line.value, value);
        let everywhere = of_keyword().find(|line| line.criteria.is_none()).filter(same);
        everywhere.or_else(|| of_keyword().find(same))
    }

    /// Places a finding at the line that makes `keyword` so, and says how to make it `wanted`.
    pub fn fixed(&self, found: Finding, keyword: &str, value: &str, written: &str) -> Finding {
        match self.line(&keyword.to_ascii_lowercase(), value) {
            Some(line) => {
                let fix = edit(&line.file, &[format!("{}c {keyword} {written}", line.number)]);
                found.at(line.place()).run(fix + RELOAD)
            }
            // Before every other line, and before every Match.
            None => {
                let fix = edit(CONFIG, &[format!("1i {keyword} {written}")]);
                found.at(Place::file(CONFIG)).run(fix + RELOAD)
            }
        }
    }
}
