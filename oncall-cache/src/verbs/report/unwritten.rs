//! Decisions that could not be written down: the log has them, with why (`unwritten=`).
//!
//! polkit's helper may write nowhere but where its unit lets it; a disk is full. journald vouches for who wrote a line: of
//! root's alone is trusted what it says.

use std::collections::BTreeMap;

use host::program;
use policy::Timestamp;

use super::contents::Gap;
use super::period::Period;

/// The most lines that are asked for, the newest.
const MOST: &str = "20000";

/// The most that are told one by one.
const MOST_TOLD: usize = 20;

/// Whose decision it was, at which service, and what it was.
type What = (String, String, String);

/// What the log has of `period` that the audit file has not, a line each; nothing where there is no journal.
pub fn read(period: Period) -> Vec<Gap> {
    let (since, until) =
        (format!("--since=@{}", period.since.unix()), format!("--until=@{}", period.until.unix()));
    let words =
        ["-q", "-o", "short-unix", "-n", MOST, &since, &until, "_UID=0", "SYSLOG_IDENTIFIER=pam_oncall"];
    let said = program::run("/usr/bin/journalctl", &words).filter(|said| said.succeeded);
    told(&said.map(|said| said.out).unwrap_or_default())
}

/// The same of lines as `journalctl -o short-unix` prints them.
fn told(journal: &str) -> Vec<Gap> {
    let mut all: BTreeMap<What, (u64, Timestamp)> = BTreeMap::new();
    for (what, at) in journal.lines().filter_map(unwritten) {
        let (count, last) = all.entry(what).or_insert((0, at));
        *count += 1;
        *last = at;
    }
    let line = |((person, service, decision), (count, last)): (&What, &(u64, Timestamp))| Gap {
        before: "not recorded, in the log only: ".to_string(),
        who: person.clone(),
        after: format!(" by {service}, {decision}, {count} times, last {last}"),
    };
    let mut lines: Vec<Gap> = all.iter().take(MOST_TOLD).map(line).collect();
    if all.len() > MOST_TOLD {
        let more = all.len() - MOST_TOLD;
        lines.push(format!("and of {more} more: `journalctl -t pam_oncall -g unwritten=`").into());
    }
    lines
}

fn unwritten(line: &str) -> Option<(What, Timestamp)> {
    let (head, fields) = line.split_once("]: ")?;
    let seconds = head.split(['.', ' ']).next()?.parse().ok()?;
    // Values have no spaces in them: lib/policy/src/line.rs.
    let of = |name: &str| {
        let value = fields.split(' ').find_map(|field| field.strip_prefix(name)?.strip_prefix('='));
        value.unwrap_or("-").to_string()
    };
    let is_one = fields.split(' ').any(|field| field.starts_with("unwritten="));
    (is_one && of("phase") != "test")
        .then(|| ((of("person"), of("service"), of("decision")), Timestamp::from_unix(seconds)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_not_be_written_is_told_by_person_and_service() {
        let line = |second: u32, rest: &str| format!("179590851{second}.34 db1 pam_oncall[2438]: {rest}\n");
        let journal = [
            line(6, "person=olga decision=allow service=polkit-1 id=1 unwritten=Read-only\\x20file"),
            line(7, "person=olga decision=allow service=polkit-1 id=2 unwritten=Read-only\\x20file"),
            line(8, "person=olga decision=allow service=sudo id=3"),
            "-- Boot 1 --\n".to_string(),
            line(9, "phase=test person=root decision=refuse service=polkit-1 id=5 unwritten=x"),
            line(9, "person=oscar decision=refuse service=polkit-1 id=4 unwritten=x"),
        ];
        assert_eq!(
            told(&journal.concat()).iter().map(Gap::to_string).collect::<Vec<_>>(),
            [
                "not recorded, in the log only: olga by polkit-1, allow, 2 times, last 2026-11-28T23:28:37Z",
                "not recorded, in the log only: oscar by polkit-1, refuse, 1 times, last 2026-11-28T23:28:39Z",
            ]
        );
    }
}
