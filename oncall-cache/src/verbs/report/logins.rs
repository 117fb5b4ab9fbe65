//! Who became root, who was refused, and who would be: the records of the PAM module, put together by their ids.

use std::collections::{BTreeMap, BTreeSet};

use host::output::agreed;
use policy::{Reason, Timestamp, Verdict};
use record::{Effect, Phase, Record};

use super::boots::Boots;
use super::login::{Count, Ended, Kind, Login, reason};
use super::names::Names;
use super::numbers::{Behind, Numbered, Numbers, RecordCount};
use super::period::Period;
use crate::lines::{Files, Input};

/// The most people of whom records were dropped.
const MOST_DROPPED: usize = 1_000;

/// The most sessions of which it is told that they were ended.
const MOST_ENDED: usize = 1_000;

/// The most logins that are held open for their end.
const MOST_OPEN: usize = 20_000;

/// The most sessions without a recorded end that may reach from before the period into it: the newest.
const MOST_EARLIER: usize = 100;

/// The most bytes of logins and refusals that are kept, and of logins that are open: a line of somebody else's making may
/// be long, and what is kept is written out once more.
const MOST_BYTES: usize = 6 * 1024 * 1024;
const MOST_OPEN_BYTES: usize = 3 * 1024 * 1024;

/// All that the records tell of a period.
#[derive(Debug, Default)]
pub struct Logins {
    /// In order of their decisions.
    pub logins: Vec<Login>,
    pub refused: BTreeMap<Kind, Count>,
    /// Revoked people who tried to log in, admitted or not.
    pub revoked: BTreeMap<Kind, Count>,
    /// People who were admitted only because nothing was enforced.
    pub would_refuse: BTreeMap<Kind, Count>,
    /// People in sessions that would be ended, were any ended.
    pub would_end: BTreeMap<Kind, Count>,
    /// Decisions about logins that nothing guards, or by root itself.
    pub not_ours: u64,
    /// Sessions that were ended for those in them.
    pub ended: Vec<Ended>,
    /// What was read.
    pub inputs: Vec<Input>,
    /// People of whom records were dropped, and how many.
    pub dropped: BTreeMap<String, u64>,
    /// Between which instants records are missing, where that is known.
    pub missing: Vec<(Timestamp, Timestamp)>,
    /// The last record of all.
    pub(super) last: Option<Numbered>,
}

impl Logins {
    /// Reads all records.
    pub fn read(files: Files, period: Period, names: &Names, gaps: &mut Vec<String>) -> Self {
        let mut replay = Replay::new(period, names);
        let inputs = files.each(gaps, |line| replay.take(line));
        Self { inputs, ..replay.end(gaps) }
    }

    /// What is missing behind the last record, by what was counted before and after the reading.
    pub fn missing_behind(&self, counted: &RecordCount) -> Option<Behind> {
        counted.behind(self.last)
    }
}

/// What has been read so far.
struct Replay<'a> {
    period: Period,
    names: &'a Names,
    told: Logins,
    /// Logins whose session may still open or close, by id.
    open: BTreeMap<String, Login>,
    /// The same in order of their decisions, so that those which never close make room.
    ages: BTreeSet<(Timestamp, String)>,
    open_bytes: usize,
    kept_bytes: usize,
    boots: Boots,
    numbers: Numbers,
    /// Was there a record of the period?
    has_begun: bool,
    /// When the first record is of.
    oldest: Option<Timestamp>,
    begun: usize,
    unread: u64,
    unnumbered: u64,
    /// Records that were dropped of more people than are told one by one.
    dropped_of_others: u64,
    lost: u64,
    /// Sessions whose end was not looked for, because so many others were open.
    unfollowed: u64,
}

impl<'a> Replay<'a> {
    fn new(period: Period, names: &'a Names) -> Self {
        Self {
            period,
            names,
            told: Logins::default(),
            open: BTreeMap::new(),
            ages: BTreeSet::new(),
            open_bytes: 0,
            kept_bytes: 0,
            boots: Boots::default(),
            numbers: Numbers::default(),
            has_begun: false,
            oldest: None,
            begun: 0,
            unread: 0,
            unnumbered: 0,
            dropped_of_others: 0,
            lost: 0,
            unfollowed: 0,
        }
    }

    fn take(&mut self, line: Option<&str>) {
        let Some(record) = line.and_then(Record::read) else {
            self.unread += 1;
            return;
        };
        let at = record.time;
        self.oldest = Some(self.oldest.map_or(at, |oldest| oldest.min(at)));
        self.told.last = record.seq.map(|number| Numbered { number, at }).or(self.told.last);
        self.boots.count(record.seq);
        if at < self.period.until {
            self.count_gaps(&record, at);
            self.take_record(record, at);
        } else if record.phase() == Some(Phase::Close) {
            // What was open in the period has ended behind it.
            self.close(&record, at);
        }
    }

    /// What was lost before this record.
    fn count_gaps(&mut self, record: &Record, at: Timestamp) {
        self.has_begun |= self.period.contains(at);
        if !self.has_begun {
            // Numbers are counted from the last record before the period: before its first, not of a clock set back.
            self.numbers = Numbers::default();
        }
        match record.seq {
            Some(number) => self.numbers.take(Numbered { number, at }),
            None if self.period.contains(at) => self.unnumbered += 1,
            None => {}
        }
        if !self.period.contains(at) {
            return;
        }
        for (who, count) in &record.dropped.0 {
            // Any person, admitted or not; a name may end like that itself.
            let who = who.strip_suffix(['+', '-']).unwrap_or(who);
            let dropped = &mut self.told.dropped;
            if dropped.len() < MOST_DROPPED || dropped.contains_key(who) {
                let dropped = dropped.entry(who.to_string()).or_default();
                *dropped = dropped.saturating_add(*count);
            } else {
                self.dropped_of_others = self.dropped_of_others.saturating_add(*count);
            }
        }
    }

    fn take_record(&mut self, record: Record, at: Timestamp) {
        match record.phase() {
            // Nobody logged in.
            Some(Phase::Test | Phase::Heartbeat) => return,
            Some(Phase::WouldEnd) => return self.count(&record, at),
            Some(Phase::Close) => {
                // Beside it is the one that PAM wrote, before it or behind it.
                if let Some(cause) = &record.ended {
                    self.keep_ended(&record, cause.to_string(), at);
                }
                self.close(&record, at);
                return;
            }
            Some(Phase::Account | Phase::Session) | None => {}
        }
        let boot = self.boots.take(&record.boot_id, at);
        if let Some(login) = self.open.get_mut(&record.id).filter(|_| !record.id.is_empty()) {
            let before = login.bytes();
            login.open(record);
            self.open_bytes = (self.open_bytes + login.bytes()).saturating_sub(before);
            return;
        }
        let is_let_in = record.effect() == Some(Effect::Pass) && record.guard.is_some();
        let is_ours = record.verdict() != Some(Verdict::NotOurs);
        self.count(&record, at);
        if is_let_in && is_ours {
            self.begin(record, boot, at);
        }
    }

    /// The session of the same login is over.
    fn close(&mut self, record: &Record, at: Timestamp) {
        self.boots.take(&record.boot_id, at);
        if let Some(login) = self.open.remove(&record.id) {
            self.ages.remove(&(login.decided, record.id.clone()));
            self.open_bytes = self.open_bytes.saturating_sub(login.bytes());
            self.keep(Login { closed: Some(at), ..login });
        }
    }

    /// Counts a decision that admits nobody.
    fn count(&mut self, record: &Record, at: Timestamp) {
        if !self.period.contains(at) || record.verdict() == Some(Verdict::Allow) {
            return;
        }
        if record.verdict() == Some(Verdict::NotOurs) {
            self.told.not_ours += 1;
            return;
        }
        let first_of = |names: [&String; 3]| {
            names.into_iter().find(|name| !name.is_empty()).cloned().unwrap_or_else(|| "-".to_string())
        };
        let kind = Kind {
            is_person: !record.person.is_empty() && self.names.is_person(&record.person),
            who: first_of([&record.person, &record.fingerprint, &record.asker]),
            account: record.account.clone(),
            service: record.service.clone(),
            reason: reason(record),
        };
        let told = &mut self.told;
        let counts = match (record.reason(), record.effect()) {
            _ if record.phase() == Some(Phase::WouldEnd) => &mut told.would_end,
            (Some(Reason::Revoked), _) => &mut told.revoked,
            (_, Some(Effect::Pass)) => &mut told.would_refuse,
            _ => &mut told.refused,
        };
        if !counts.contains_key(&kind) {
            if self.kept_bytes + kind.bytes() > MOST_BYTES {
                self.lost += 1;
                return;
            }
            self.kept_bytes += kind.bytes();
        }
        let count = counts.entry(kind).or_insert(Count { count: 0, let_in: 0, first: at, last: at });
        count.count += 1;
        count.let_in += u64::from(record.effect() == Some(Effect::Pass));
        count.last = at;
    }

    fn begin(&mut self, record: Record, boot: Option<usize>, at: Timestamp) {
        self.begun += 1;
        let login = Login { boot, ..Login::begun(record, self.begun) };
        while (self.open.len() >= MOST_OPEN || self.open_bytes + login.bytes() > MOST_OPEN_BYTES)
            && let Some((_, oldest)) = self.ages.pop_first()
        {
            if let Some(login) = self.open.remove(&oldest) {
                self.unfollowed += 1;
                self.open_bytes = self.open_bytes.saturating_sub(login.bytes());
                self.keep(login);
            }
        }
        self.ages.insert((at, login.id.clone()));
        self.open_bytes += login.bytes();
        if let Some(other) = self.open.insert(login.id.clone(), login) {
            // Without ids they cannot be distinguished.
            self.open_bytes = self.open_bytes.saturating_sub(other.bytes());
        }
    }

    /// A login is over, or as good as: it belongs to the period if any of it does.
    fn keep(&mut self, login: Login) {
        // A clock may have been set back in between.
        let last = login.closed.max(login.opened).max(Some(login.decided));
        if last >= Some(self.period.since) {
            self.keep_login(login);
        }
    }

    fn keep_login(&mut self, login: Login) {
        if self.kept_bytes + login.bytes() > MOST_BYTES {
            self.lost += 1;
            return;
        }
        self.kept_bytes += login.bytes();
        self.told.logins.push(login);
    }

    fn keep_ended(&mut self, record: &Record, cause: String, at: Timestamp) {
        let Record { person, account, by, .. } = record.clone();
        if !self.period.contains(at) {
            return;
        }
        if self.told.ended.len() < MOST_ENDED {
            self.told.ended.push(Ended { at, person, account, cause, by });
        } else {
            self.lost += 1;
        }
    }

    /// Keeps what is open at the end. What opened before the period and has no end reached into it, unless the host booted
    /// before it began: the newest of those, and how many more there are.
    fn keep_open(&mut self) -> u64 {
        let mut earlier = Vec::new();
        for login in std::mem::take(&mut self.open).into_values() {
            let login = Login { booted: self.boots.over(login.boot), ..login };
            match login.opened.filter(|opened| *opened < self.period.since) {
                None => self.keep(login),
                Some(_) if login.booted.is_some_and(|booted| booted <= self.period.since) => {}
                Some(opened) => earlier.push((opened, login)),
            }
        }
        earlier.sort_by_key(|(opened, login)| std::cmp::Reverse((*opened, login.place)));
        let more = earlier.len().saturating_sub(MOST_EARLIER);
        for (_, login) in earlier.into_iter().take(MOST_EARLIER) {
            self.keep_login(login);
        }
        u64::try_from(more).unwrap_or(u64::MAX)
    }

    fn end(mut self, gaps: &mut Vec<String>) -> Logins {
        let earlier = self.keep_open();
        self.told.logins.sort_by_key(|login| (login.decided, login.place));
        gaps.extend(self.numbers.told());
        self.told.missing = self.numbers.between();
        let mut say = |count: u64, one: &str, more: &str, what: &str| {
            if count > 0 {
                gaps.push(format!("{} {what}", agreed(count, one, more)));
            }
        };
        say(self.unread, "line", "lines", "of the audit file could not be read");
        say(self.unnumbered, "record has", "records have", "no number: others may be missing too");
        say(earlier, "session", "sessions", "from before then without a recorded end, more than are shown");
        say(
            self.dropped_of_others,
            "record of others was",
            "records of others were",
            "dropped: too many in a minute",
        );
        let what = "told without the end: too many were open at once; ask for a shorter time";
        say(self.unfollowed, "session is", "sessions are", what);
        say(self.lost, "record is", "records are", "too many to show; ask for a shorter time");
        if let Some(oldest) = self.oldest.filter(|oldest| *oldest > self.period.since) {
            gaps.push(format!("the oldest record is from {oldest}; nothing is known from before"));
            self.told.missing.push((self.period.since, oldest));
        }
        self.told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NINE: i64 = 1_795_165_200;

    fn names() -> Names {
        Names { known: BTreeSet::from(["alice".to_string(), "bob".to_string()]), is_whole: true }
    }

    fn record(seq: u64, at: i64, id: &str, phase: &str, more: &str) -> String {
        let time = Timestamp::from_unix(NINE + at);
        format!(
            "{{\"version\":1,\"seq\":{seq},\"time\":\"{time}\",\"id\":\"{id}\",\"phase\":\"{phase}\"{more}}}"
        )
    }

    fn told(lines: &[String]) -> (Logins, Vec<String>) {
        let (names, mut gaps) = (names(), Vec::new());
        let since = Timestamp::from_unix(NINE);
        let mut replay = Replay::new(Period { since, until: Timestamp::from_unix(NINE + 1_000) }, &names);
        lines.iter().for_each(|line| replay.take(Some(line)));
        (replay.end(&mut gaps), gaps)
    }

    const ALICE: &str = r#","person":"alice","account":"alice","service":"sudo","verdict":"allow","reason":"oncall","effect":"pass","guard":"sudo","schedule":"pd/P1","rule":"db""#;

    #[test]
    fn the_records_of_a_login_become_one_with_its_beginning_and_end() {
        let root = ALICE.replace("\"account\":\"alice\"", "\"account\":\"root\"");
        let (logins, gaps) = told(&[
            record(1, -5, "a", "account", ALICE),
            record(2, 10, "b", "account", ALICE),
            record(3, 11, "b", "session", &root),
            record(4, 12, "c", "account", ALICE),
            record(5, 20, "b", "close", ""),
            record(6, 2_000, "c", "close", ""),
        ]);
        let list: Vec<_> = logins
            .logins
            .iter()
            .map(|it| {
                (it.id.as_str(), it.account.as_str(), it.opened.is_some(), it.closed.map(Timestamp::unix))
            })
            .collect();
        let after = Some(NINE + 2_000);
        assert_eq!(list, [("b", "root", true, Some(NINE + 20)), ("c", "alice", false, after)]);
        assert_eq!(logins.logins[0].ground(), "pd/P1 by rule db");
        assert_eq!(gaps, [""; 0]);
    }

    #[test]
    fn sessions_that_are_too_many_to_be_followed_are_counted() {
        let begin = |number: usize| record(number as u64, 1, &format!("{number}"), "session", ALICE);
        let all: Vec<String> = (1..=MOST_OPEN + 3).map(begin).collect();
        let (_, gaps) = told(&all);
        let said = |gap: &String| {
            let (count, what) = gap.split_once(' ')?;
            what.starts_with("sessions are told without the end: too many")
                .then(|| count.parse::<usize>().ok())?
        };
        let unfollowed: Vec<usize> = gaps.iter().filter_map(said).collect();
        assert!(matches!(unfollowed[..], [count] if count >= 3), "{gaps:?}");
        let (_, gaps) = told(&all[..9]);
        assert!(gaps.iter().all(|gap| said(gap).is_none()), "{gaps:?}");
    }

    /// Where nothing is enforced.
    #[test]
    fn of_whoever_is_revoked_it_is_counted_how_often_they_were_let_in() {
        let of = |person: &str, effect: &str| {
            format!(
                ",\"person\":\"{person}\",\"account\":\"root\",\"service\":\"sudo\",\"verdict\":\"refuse\",\"reason\":\"revoked\",\"effect\":\"{effect}\""
            )
        };
        let (logins, _) = told(&[
            record(1, 1, "a", "account", &of("bob", "refuse")),
            record(2, 2, "b", "account", &of("deploy", "pass")),
            record(3, 3, "c", "account", &of("deploy", "refuse")),
        ]);
        let revoked: Vec<_> =
            logins.revoked.iter().map(|(kind, count)| (&*kind.who, count.count, count.let_in)).collect();
        assert_eq!(revoked, [("deploy", 2, 1), ("bob", 1, 0)]);
    }

    #[test]
    fn refused_revoked_and_observed_logins_are_counted_apart_and_people_from_programs() {
        let other = |person: &str, verdict: &str, reason: &str, effect: &str| {
            format!(
                ",\"person\":\"{person}\",\"account\":\"root\",\"service\":\"sudo\",\"guard\":\"sudo\",\"verdict\":\"{verdict}\",\"reason\":\"{reason}\",\"effect\":\"{effect}\""
            )
        };
        let (logins, _) = told(&[
            record(1, 1, "a", "account", &other("bob", "refuse", "not-oncall", "refuse")),
            record(2, 2, "b", "account", &other("bob", "refuse", "not-oncall", "refuse")),
            record(3, 3, "c", "account", &other("bob", "refuse", "revoked", "refuse")),
            record(4, 4, "d", "account", &other("bob", "refuse", "not-oncall", "pass")),
            record(5, 5, "d", "session", &other("bob", "refuse", "not-oncall", "pass")),
            record(6, 6, "e", "account", &other("nagios", "refuse", "not-eligible", "pass")),
            record(7, 7, "f", "account", &other("", "not-ours", "already-root", "pass")),
            record(8, 8, "g", "account", &other("", "allow", "exempt", "pass")),
            record(9, 9, "h", "account", &other("deploy", "allow", "automation", "pass")),
        ]);
        let list = |counts: &BTreeMap<Kind, Count>| {
            let one = |(kind, count): (&Kind, &Count)| (kind.who.clone(), kind.is_person, count.count);
            counts.iter().map(one).collect::<Vec<_>>()
        };
        assert_eq!(list(&logins.refused), [("bob".to_string(), true, 2)]);
        assert_eq!(list(&logins.revoked), [("bob".to_string(), true, 1)]);
        assert_eq!(
            list(&logins.would_refuse),
            [("nagios".to_string(), false, 1), ("bob".to_string(), true, 1)]
        );
        assert_eq!(logins.not_ours, 1);
        let classes: Vec<&str> = logins.logins.iter().map(|login| login.class.token()).collect();
        assert_eq!(classes, ["observed", "observed", "exempt", "automation"]);
    }

    #[test]
    fn what_is_missing_is_said() {
        let (logins, gaps) = told(&[
            record(4, 5, "a", "account", ALICE),
            "{\"version\":1,\"seq\":5,\"time".to_string(),
            "[]".to_string(),
            record(8, 6, "b", "account", &format!("{ALICE},\"dropped\":\"bob-:9940,uid=7+:3,bob--:1\"")),
            // A clock that was set back hides nothing.
            record(9, -500, "c", "account", ALICE),
            "{\"version\":1,\"time\":\"2026-11-20T09:00:07Z\"}".to_string(),
        ]);
        assert_eq!(
            gaps,
            [
                "3 records are missing between number 4 (2026-11-20T09:00:05Z) and number 8 (2026-11-20T09:00:06Z): they could not be written, or were removed",
                "2 lines of the audit file could not be read",
                "1 record has no number: others may be missing too",
            ]
        );
        let dropped: Vec<_> = logins.dropped.iter().map(|(who, count)| (who.as_str(), *count)).collect();
        assert_eq!(dropped, [("bob", 9940), ("bob-", 1), ("uid=7", 3)]);
    }

    #[test]
    fn a_session_that_reaches_into_the_period_is_told_whatever_is_known_of_its_end() {
        let in_boot = |boot: &str| format!("{ALICE},\"boot_id\":\"{boot}\"");
        let open = |seq, at, id: &str, boot: &str| record(seq, at, id, "session", &in_boot(boot));
        let list = |lines: &[String]| -> Vec<(String, Option<i64>, Option<i64>)> {
            let one =
                |it: &Login| (it.id.clone(), it.closed.map(Timestamp::unix), it.booted.map(Timestamp::unix));
            told(lines).0.logins.iter().map(one).collect()
        };
        let one = |id: &str, closed: Option<i64>, booted: Option<i64>| {
            (id.to_string(), closed.map(|at| NINE + at), booted.map(|at| NINE + at))
        };
        // Opened before, and open for all of it; another one was open when the host booted before it began.
        assert_eq!(
            list(&[open(1, -900, "a", "x"), open(1, -800, "b", "y"), open(2, 10, "c", "y")]),
            [one("b", None, None), one("c", None, None)]
        );
        // It booted in the period, or behind it; and one ended behind it.
        assert_eq!(
            list(&[open(1, -9, "a", "x"), open(1, 30, "b", "y")]),
            [one("a", None, Some(30)), one("b", None, None)]
        );
        let close = record(2, 3_000, "a", "close", ",\"boot_id\":\"x\"");
        assert_eq!(list(&[open(1, 5, "a", "x"), close]), [one("a", Some(3_000), None)]);
        // Earlier releases do not say which boot it was; and what has no session line in its stack has no length.
        assert_eq!(list(&[record(1, -9, "a", "session", ALICE)]), [one("a", None, None)]);
        assert!(list(&[record(1, -9, "a", "account", ALICE)]).is_empty());
        // Of very many the newest, and how many more.
        let many: Vec<String> =
            (0..150).map(|number| open(1, number - 500, &format!("{number:03}"), "x")).collect();
        let (logins, gaps) = told(&many);
        assert_eq!((logins.logins.len(), logins.logins[0].id.as_str()), (MOST_EARLIER, "050"));
        assert!(gaps[0].starts_with("50 sessions from before then without a recorded end"), "{gaps:?}");
    }
}
