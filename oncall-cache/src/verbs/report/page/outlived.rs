//! Sessions that were open after the right by which they were opened had ended.

use std::collections::BTreeMap;

use policy::{Span, Timestamp, Window, stretches};

use super::super::contents::Report;
use super::super::login::{Class, Login};
use super::super::until::Until;

/// Shorter than this is nobody's fault.
const GRACE: Span = Span::minutes(1);

/// One of them.
#[derive(Debug)]
pub struct Outlived<'r> {
    pub login: &'r Login,
    /// When the right ended, with all that the same person had without a gap behind it.
    pub since: Timestamp,
}

impl Outlived<'_> {
    /// Is it known that the session was open then? One without a recorded end may have been over.
    pub fn is_certain(&self) -> bool {
        !Until::of(self.login).is_unrecorded()
    }
}

/// All of them, as far as is known at `now`.
pub fn outlived(report: &Report, now: Timestamp) -> Vec<Outlived<'_>> {
    let mut rights: BTreeMap<&str, Vec<Window>> = BTreeMap::new();
    for right in report.could.rights.iter().filter(|right| report.takes(right)) {
        rights.entry(&right.person).or_default().extend(Window::new(right.from, right.to));
    }
    for windows in rights.values_mut() {
        *windows = stretches(std::mem::take(windows));
    }
    let end = report.period.until.min(now);
    let judge = |login: &'_ Login| {
        let ends = login.right_ends.filter(|_| is_of_time(login) && login.opened.is_some())?;
        let windows: &[Window] = rights.get(login.person.as_str()).map_or(&[], Vec::as_slice);
        // A shift may have been cut short since; and another right may go on where this one ends.
        let shift =
            windows.iter().find(|shift| login.class == Class::OnCall && shift.contains(login.decided));
        let next = || windows.iter().find(|next| next.contains(ends));
        let since = shift.or_else(next).map_or(ends, |window| window.end());
        let until = Until::of(login).latest(end).unwrap_or(end);
        // What ends behind the period is not of it.
        (since.plus(GRACE) < until && since < report.period.until).then_some(since)
    };
    let logins = report.logins.logins.iter();
    logins.filter_map(|login| Some(Outlived { login, since: judge(login)? })).collect()
}

/// Does what let somebody in end with time?
fn is_of_time(login: &Login) -> bool {
    matches!(login.class, Class::OnCall | Class::Grant | Class::BreakGlass)
}

#[cfg(test)]
mod tests {
    use super::super::super::could::{Could, Right};
    use super::super::super::logins::Logins;
    use super::super::super::names::Names;
    use super::super::super::period::Period;
    use super::*;
    use record::{Phase, Record, Token};

    fn at(hour: i64) -> Timestamp {
        Timestamp::from_unix(1_795_132_800 + hour * 3_600)
    }

    fn right(person: &str, from: i64, to: i64) -> Right {
        let (person, schedule) = (person.to_string(), "rota/a".to_string());
        Right { from: at(from), to: at(to), person, schedule, level: 1 }
    }

    /// A session of `class` from `opened` on, by a right that was to end at `ends`.
    fn session(class: Class, opened: i64, ends: i64, closed: Option<i64>) -> Login {
        let record = Record {
            person: "alice".to_string(),
            phase: Some(Token::Known(Phase::Session)),
            end: Some(at(ends)),
            ..Record::at(at(opened))
        };
        Login { class, closed: closed.map(at), ..Login::begun(record, 1) }
    }

    /// Since when each of `sessions` is there without a right, of those that are: hours.
    fn since(rights: Vec<Right>, sessions: Vec<Login>) -> Vec<i64> {
        since_but(&[], rights, sessions)
    }

    /// The same where no rule takes the shifts of `untaken`.
    fn since_but(untaken: &[&str], rights: Vec<Right>, sessions: Vec<Login>) -> Vec<i64> {
        let untaken = untaken.iter().map(|schedule| (schedule.to_string(), 1)).collect();
        let names = Names { known: std::collections::BTreeSet::new(), is_whole: true };
        let period = Period { since: at(0), until: at(100) };
        let could = Could { rights, ..Could::default() };
        let logins = Logins { logins: sessions, ..Logins::default() };
        let (host, waiting, gaps) = (String::new(), Vec::new(), Vec::new());
        let report = Report { host, period, could, untaken, waiting, logins, names, gaps };
        let hours = |it: &Outlived| it.since.since(at(0)).as_seconds() / 3_600;
        outlived(&report, at(20)).iter().map(hours).collect()
    }

    #[test]
    fn a_session_outlives_its_right_when_no_other_right_goes_on() {
        let alone = || vec![right("alice", 8, 12)];
        let oncall = |closed| vec![session(Class::OnCall, 9, 12, closed)];
        assert_eq!(since(alone(), oncall(Some(12))), [0; 0]);
        assert_eq!(since(alone(), oncall(Some(13))), [12]);
        assert_eq!(since(alone(), oncall(None)), [12], "open, or cut off");
        // The next shift of the same person goes on at once; that of somebody else, and a later one, do not.
        assert_eq!(since(vec![right("alice", 8, 12), right("alice", 12, 16)], oncall(Some(13))), [0; 0]);
        assert_eq!(since(vec![right("alice", 8, 12), right("bob", 12, 16)], oncall(Some(13))), [12]);
        assert_eq!(since(vec![right("alice", 8, 12), right("alice", 14, 16)], oncall(Some(13))), [12]);
        // The shift was cut short, or made longer, behind the login.
        assert_eq!(since(vec![right("alice", 8, 10)], oncall(Some(11))), [10]);
        assert_eq!(since(vec![right("alice", 8, 15)], oncall(Some(14))), [0; 0]);
    }

    #[test]
    fn a_grant_ends_at_its_end_and_what_never_ends_outlives_nothing() {
        let grant = |closed| vec![session(Class::Grant, 9, 10, Some(closed))];
        assert_eq!(since(Vec::new(), grant(11)), [10]);
        assert_eq!(since(vec![right("alice", 10, 16)], grant(11)), [0; 0], "on call by then");
        let elsewhere = since_but(&["rota/a"], vec![right("alice", 10, 16)], grant(11));
        assert_eq!(elsewhere, [10], "a shift that no rule of this host takes");
        let exempt = vec![session(Class::Exempt, 9, 10, None), session(Class::Automation, 9, 10, None)];
        assert_eq!(since(Vec::new(), exempt), [0; 0]);
    }
}
