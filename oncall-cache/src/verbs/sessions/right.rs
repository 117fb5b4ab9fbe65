//! By what right somebody is in a session, and whether they still have it.

use std::collections::BTreeMap;

use host::{accounts, clock, revoked_grants};
use policy::ending::{GrantNow, Moment, Now, Opened, Opening, Outcome, Remembered, judge};
use policy::{Actor, Decision, LeftOut, Login, Principal, Reason, Timestamp, Verdict, Window, is_fresh};
use record::{Record, Token};
use state::HostState;

use super::ending::human;
use super::processes::Process;
use crate::when::When;

/// What is decided now for whoever opened a session, by the same door.
#[derive(Debug)]
pub struct Right {
    /// Nothing, where it opened by no right that ends with a shift or a grant and its person is not revoked.
    pub decision: Option<Decision>,
    /// What is decided when that ends.
    then: Option<Decision>,
    /// Is it an account that several people enter with their own keys?
    is_shared: bool,
}

impl Right {
    /// That of the session that `record` is the opening of.
    pub fn of(record: &Record, state: &HostState, now: Timestamp) -> Self {
        // sudo and its kind ask PAM about the account of whoever called them.
        let own = if record.asker.is_empty() { &record.person } else { &record.asker };
        let account = if policy::names_its_caller(&record.service) { own } else { &record.account };
        let facts = accounts::facts(account, &state.rules().privileged_groups);
        let is_shared = state.rules().is_shared(account, &facts);
        let decide = |person: &Principal, at| {
            let (service, person) = (record.service.as_str(), Actor::Known(person));
            let login =
                Login { service, account, facts: &facts, person, tty: &record.tty, place: &record.rhost };
            state.decide(&login, at, now)
        };
        let Ok(person) = Principal::new(&record.person) else {
            return Self { decision: None, then: None, is_shared };
        };
        let decision = decide(&person, now);
        let until = decision.until.filter(|_| decision.allows());
        let then = until.map(|until| decide(&person, until));
        let is_bound = opened_by_shift_or_grant(record) || decision.reason == Reason::Revoked;
        Self { decision: Some(decision).filter(|_| is_bound), then, is_shared }
    }

    /// Has it ended?
    pub fn is_over(&self) -> bool {
        self.decision.as_ref().is_some_and(|decision| decision.verdict == Verdict::Refuse)
    }

    /// Is it not known whether it has?
    pub fn cannot_be_told(&self) -> bool {
        let unknown =
            |decision: &Decision| matches!(decision.verdict, Verdict::CannotTell | Verdict::BadName);
        self.decision.as_ref().is_some_and(unknown)
    }

    /// Until when it lasts, as far as is known.
    pub fn until(&self) -> Option<Timestamp> {
        self.decision.as_ref().filter(|decision| decision.allows())?.until
    }

    /// The same in words.
    pub fn told(&self, record: &Record, now: Timestamp) -> String {
        match (&self.decision, self.until()) {
            (None, _) => record.reason.as_ref().map(ToString::to_string).unwrap_or_default(),
            (Some(decision), Some(until)) => format!("{} until {}", decision.reason, When(until, now)),
            (Some(decision), None) if self.is_over() => format!("ended: {}", decision.reason),
            (Some(decision), None) if self.cannot_be_told() => format!("cannot tell: {}", decision.reason),
            (Some(decision), None) => decision.reason.to_string(),
        }
    }
}

fn opened_by_shift_or_grant(record: &Record) -> bool {
    !record.schedule.is_empty() || !record.grant.is_empty()
}

/// What a host knows by which sessions are judged, at one moment.
#[derive(Debug)]
pub struct Court<'a> {
    /// All that decisions are made from.
    pub state: &'a HostState,
    /// The openings of all that are open.
    pub records: &'a [Record],
    /// All processes.
    pub processes: &'a BTreeMap<u32, Process>,
    /// What of the rota files of the site's leave out.
    left: Vec<LeftOut>,
    /// When.
    pub moment: Moment,
    /// Since when the action of the configuration is in force.
    pub since: Timestamp,
}

impl<'a> Court<'a> {
    /// The one that sits at a clock that shows `now`.
    pub fn new(
        state: &'a HostState,
        (records, processes): (&'a [Record], &'a BTreeMap<u32, Process>),
        since: Timestamp,
        now: Timestamp,
    ) -> Self {
        let moment = Moment { at: now, uptime: clock::uptime() };
        let left = match (state.config(), state.roster()) {
            (Ok(config), Ok(roster)) => store::roster::left_out(&config.paths.roster, roster),
            _ => Vec::new(),
        };
        Self { state, records, processes, left, moment, since }
    }

    /// What follows for the session that `record` is the opening of, and what is to be remembered of it.
    pub fn judge(&self, record: &Record, right: &Right, before: &Remembered) -> (Outcome, Remembered) {
        let (state, at) = (self.state, self.moment.at);
        let left_out = self.left_out(record);
        let now = Now {
            moment: self.moment,
            decision: right.decision.as_ref(),
            then: right.then.as_ref(),
            is_fresh: is_fresh(&state.evidence(), state.rules(), at),
            left_out: &left_out,
            knows_grants: state.grants_problem().is_none(),
            mode: state.mode(at),
            end: state.config().map(|config| config.end).unwrap_or_default(),
            since: self.since,
        };
        judge(&self.opening(record, right), &now, before)
    }

    /// What is left out of the shifts of the person and schedule by which the session was opened.
    fn left_out(&self, record: &Record) -> Vec<Window> {
        let is_own = |one: &&LeftOut| {
            one.principal.as_str() == record.person && one.schedule.to_string() == record.schedule
        };
        self.left.iter().filter(is_own).filter_map(LeftOut::part).collect()
    }

    fn opening(&self, record: &Record, right: &Right) -> Opening {
        Opening {
            at: record.time,
            began: record.began(),
            right: match () {
                () if !record.grant.is_empty() => Opened::ByGrant(self.grant_now(record)),
                () if !record.schedule.is_empty() => Opened::ByShift,
                () => Opened::Otherwise,
            },
            promised: record.until.max(record.end),
            was_enforced: record.mode == Some(Token::Known(policy::Mode::Enforce)),
            is_shared_connection: record.service == "sshd" && right.is_shared,
            is_own_login: self.is_own_login(record, right),
            is_first: human(record, self.records, self.processes).person == record.person,
        }
    }

    /// Is somebody there as themselves, over ssh or at a console?
    fn is_own_login(&self, record: &Record, right: &Right) -> bool {
        let person = self.state.rules().person_of(&record.account);
        let is_login = matches!(record.service.as_str(), "sshd" | "login") && !right.is_shared;
        is_login && person.is_ok_and(|person| person.as_str() == record.person)
    }

    /// What is known of the grant that opened a session. That its file is gone says nothing: somebody may have removed it.
    fn grant_now(&self, record: &Record) -> GrantNow {
        let (state, now) = (self.state, self.moment.at);
        let grants = state.config().ok().and_then(|config| config.grants.as_ref());
        let here = grants.and_then(|grants| revoked_grants::read(&grants.revoked).ok());
        let is_revoked = here.is_some_and(|revoked| revoked.contains(&record.grant))
            || state.revoked().is_ok_and(|revoked| revoked.names_grant(&record.grant, now));
        let mut signers = record.approvers.split(',').filter_map(|name| Principal::new(name).ok());
        match () {
            () if state.grants().iter().any(|grant| grant.id == record.grant) => GrantNow::Unknown,
            () if is_revoked || signers.any(|signer| state.revokes(&signer, now)) => GrantNow::Revoked,
            () if record.end.is_some_and(|end| end <= now) => GrantNow::Over,
            () => GrantNow::Unknown,
        }
    }
}
