//! `test-access`: the same decision that PAM takes, in a line; `why` prints it with its evidence.

use std::collections::BTreeSet;
use std::path::Path;
use std::slice;

use host::{Config, accounts};
use policy::{
    Actor, Authority, Decision, Digest, Ground, LeftOut, Login, Mode, Principal, Reason, Refusal, Rules,
    Subject, Timestamp, Verdict, Window, decide, stretches, told_on_call,
};
use record::Escaped;
use serde_json::{Value, json};
use state::{Asked, HostState, Others, Which};
use status::{mode, unshown};

use crate::cli::TestAccessArguments;
use crate::mappings::Mappings;
use crate::narrow::left_json;
use crate::said::Said;
use crate::when::{self, When};

/// One line: yes or no, and the most useful reason.
pub fn run(config: &Path, arguments: &TestAccessArguments, now: Timestamp) -> Said {
    answer(config, arguments, Others::Named, Answer::line, now)
}

/// Asks, and says what `print` makes of the answer, which is about `others` too.
pub fn answer(
    config: &Path,
    arguments: &TestAccessArguments,
    others: Others<'_>,
    print: impl FnOnce(&Answer) -> String,
    now: Timestamp,
) -> Said {
    let at = match when::asked(arguments.at.at.as_deref(), now) {
        Ok(at) => at,
        Err(problem) => return Said::usage(problem),
    };
    let mut state = HostState::load(config);
    let principal = match state.rules().person_of(&arguments.person) {
        Ok(principal) => principal,
        Err(error) => {
            let name = Escaped(&arguments.person);
            let problem = format!("{name}: not a person's name: {error} (bad-user)");
            let json = || json!({ "version": 1, "at": at.to_string(), "error": problem });
            return Said::failure_as(arguments.at.json.then(json), format_args!("cannot tell: {problem}"));
        }
    };
    state.read_roster(Asked::About(slice::from_ref(&principal), others), at, now);
    state.read_grants(Which::All, now);
    let mappings = state.config().map(|config| Mappings::read(config, &principal)).unwrap_or_default();
    let answer = match ask(&state, &mappings, arguments, &principal, (at, now)) {
        Ok(answer) => answer,
        Err(problem) => return Said::usage(problem),
    };
    let said = if arguments.at.json { Said::json(&answer.json()) } else { Said::text(print(&answer)) };
    // One that nobody sees here may say otherwise.
    let unread = answer.unread_grants.as_ref().filter(|_| answer.decision.verdict != Verdict::Allow);
    let said = said.notes(unread.map(|problem| format!("grants: {problem}")));
    said.exit(answer.exit_code())
}

/// A question with its answer.
#[derive(Debug)]
pub struct Answer {
    pub(super) person: String,
    pub(super) account: String,
    pub(super) service: String,
    pub(super) host: String,
    pub(super) mode: Mode,
    /// Where the mode comes from, if not from the configuration alone.
    pub(super) mode_by: Option<String>,
    pub(super) at: Timestamp,
    pub(super) decision: Decision,
    /// Who is on call and until when, if that is known.
    pub(super) on_call: Option<Vec<(String, Timestamp)>>,
    /// Whom the roster shows for now, trusted or not.
    pub(super) last_known: Vec<(String, Timestamp)>,
    pub(super) eligible: Option<bool>,
    pub(super) revoked: Option<bool>,
    pub(super) mappings: Vec<String>,
    /// What of their shifts files of `[[policy.rego]]` leave out, unless it is over.
    pub(super) left_out: Vec<LeftOut>,
    pub(super) refusal: String,
    /// That no rule covers this host, if so.
    pub(super) uncovered: Option<String>,
    /// What the answer is at the instant at which it next changes.
    pub(super) then: Option<(Verdict, Reason)>,
    /// Why the roster, or the list of those who are revoked, is not trusted, for those who may read file names.
    pub(super) fault: Option<String>,
    /// Why grants are not looked at, if they are not: one may say otherwise.
    pub(super) unread_grants: Option<String>,
    /// The command that comes before every sync, if one does.
    pub(super) first_step: Option<&'static str>,
}

/// Eligible people with a shift at `at`, whatever its age: for the eye, never for a decision.
fn last_known(state: &HostState, at: Timestamp) -> Vec<(String, Timestamp)> {
    let Ok(roster) = state.roster() else { return Vec::new() };
    let shifts = roster.shifts.iter().filter(|shift| shift.window.contains(at));
    let people: BTreeSet<&Principal> = shifts
        .map(|shift| &shift.principal)
        .filter(|person| roster.is_eligible(person) && !state.revokes(person, at))
        .collect();
    let until = |person: &&Principal| {
        let own = roster.shifts.iter().filter(|shift| shift.principal == **person);
        let all = stretches(own.map(|shift| shift.window));
        all.into_iter().find(|stretch| stretch.contains(at)).map(Window::end)
    };
    people.iter().filter_map(|person| Some((person.to_string(), until(person)?))).collect()
}

/// What of the shifts of `person` does not count although the rota has it, and is not over at `at`.
fn left_out(state: &HostState, person: &Principal, at: Timestamp) -> Vec<LeftOut> {
    let (Ok(config), Ok(roster)) = (state.config(), state.roster()) else { return Vec::new() };
    let mut left = store::roster::left_out(&config.paths.roster, roster);
    left.retain(|one| one.principal == *person && one.shift.end() > at);
    left.sort_by_key(|one| one.shift);
    left
}

/// Asks what PAM would ask.
///
/// # Errors
/// The question is about a key that is no program's here.
fn ask(
    state: &HostState,
    mappings: &Mappings,
    arguments: &TestAccessArguments,
    principal: &Principal,
    (at, now): (Timestamp, Timestamp),
) -> Result<Answer, String> {
    let (rules, service) = (state.rules(), arguments.service.as_str());
    let key = arguments.key.as_ref().map(|key| digest(key)).transpose()?;
    let revoked_key = key.and_then(|key| state.revoked().ok()?.key(&key, at));
    let program = match (&revoked_key, &key) {
        (Some(revocation), _) => Some(Actor::RevokedKey(revocation)),
        (None, Some(key)) => Some(program(rules, key, principal.as_str())?),
        (None, None) => None,
    };
    // Under sudo and doas PAM is asked about the invoking user, whatever the target.
    let own = arguments.person.as_str();
    let account = match &arguments.account {
        _ if policy::names_its_caller(service) || program.is_some() => own,
        Some(account) => account,
        None => "root",
    };
    let facts = accounts::facts(account, &rules.privileged_groups);
    let asked = match rules.subject(service, account, &facts) {
        Subject::Caller if accounts::facts(own, &[]).uid == Some(0) => Actor::Superuser,
        Subject::Caller | Subject::KeyOwner => Actor::Known(principal),
        // A personal account is entered as its owner; nobody else has a key to it.
        Subject::Owner | Subject::OwnerOrProgram if rules.person_of(account).as_ref() == Ok(principal) => {
            Actor::Known(principal)
        }
        Subject::Owner | Subject::OwnerOrProgram | Subject::Nobody => Actor::Unknown,
    };
    let person = program.unwrap_or(asked);
    let (tty, place) = (arguments.tty.as_deref(), arguments.from.as_deref());
    let (tty, place) = (tty.unwrap_or_default(), place.unwrap_or_default());
    let login = Login { service, account, facts: &facts, person, tty, place };
    let decision = state.decide(&login, at, now);
    Ok(Answer::new((state, mappings), &login, principal, decision, at))
}

/// The key of which `fingerprint` is the text.
fn digest(fingerprint: &str) -> Result<Digest, String> {
    let wrong = || {
        let text = Escaped(fingerprint);
        format!("`{text}` is not a fingerprint; write what `ssh-keygen -l` prints, SHA256:…")
    };
    store::parse_fingerprint(fingerprint).ok_or_else(wrong)
}

/// The program by whose entry a key is judged when it opens `account`.
fn program<'r>(rules: &'r Rules, key: &Digest, account: &str) -> Result<Actor<'r>, String> {
    let unlisted = || {
        let key = store::fingerprint(*key);
        format!("no [[policy.automation]] lists {key}; if a person owns it, ask about them without --key")
    };
    rules.program(key, account).map(Actor::Program).ok_or_else(unlisted)
}

impl Answer {
    /// The answer to `login`, asked about `principal`: `decision`, with what it rests on.
    pub fn new(
        (state, mappings): (&HostState, &Mappings),
        login: &Login<'_>,
        principal: &Principal,
        decision: Decision,
        at: Timestamp,
    ) -> Self {
        let (rules, evidence) = (state.rules(), state.evidence());
        let named = |(person, until): (&Principal, Timestamp)| (person.to_string(), until);
        Self {
            person: principal.to_string(),
            account: login.account.to_string(),
            service: login.service.to_string(),
            host: rules.host.name.clone(),
            mode: state.mode(at).0,
            mode_by: mode::of(state, at),
            at,
            on_call: told_on_call(&evidence, rules, at).map(|people| people.into_iter().map(named).collect()),
            last_known: last_known(state, at),
            refusal: Refusal::new(login, &decision, &evidence, rules, at).to_string(),
            // Of a program nobody asks that.
            eligible: match decision.ground {
                Ground::Program(_) => None,
                _ => state.roster().ok().map(|roster| roster.is_eligible(principal)),
            },
            revoked: state.revoked().ok().map(|revoked| revoked.names(principal, at)),
            mappings: mappings.of(principal),
            left_out: left_out(state, principal, at),
            uncovered: rules.uncovered().map(|uncovered| uncovered.to_string()),
            fault: state.cause(decision.reason).map(ToString::to_string),
            unread_grants: unshown(state),
            first_step: state.config().ok().and_then(Config::first_step),
            then: decision.until.map(|until| {
                let then = decide(login, &evidence, rules, until);
                (then.verdict, then.reason)
            }),
            decision,
        }
    }

    /// The message to a refused person; `None` for those who are not.
    #[cfg(test)]
    pub fn refusal(&self) -> Option<&str> {
        self.decision.effect(Mode::Enforce).refuses().then_some(self.refusal.as_str())
    }

    /// 0 yes, 1 no, 2 cannot tell, 3 nothing is guarded there.
    fn exit_code(&self) -> u8 {
        match self.decision.verdict {
            Verdict::Allow => 0,
            // What is not shown may say otherwise.
            Verdict::Refuse if self.unread_grants.is_some() => 2,
            Verdict::Refuse => 1,
            Verdict::CannotTell | Verdict::BadName => 2,
            Verdict::NotOurs => 3,
        }
    }

    /// One line: yes or no, and the most useful reason.
    pub fn line(&self) -> String {
        let person = &self.person;
        match (&self.decision.ground, self.decision.reason) {
            (Ground::OnCall(ground), Reason::OnCall) => {
                let until = When(self.decision.until.unwrap_or(ground.stretch.end()), self.at);
                let old = if ground.is_old { format!(" ({})", ground.old_news()) } else { String::new() };
                format!("yes: {person} is on call for {} until {until}{old}", ground.schedule_name)
            }
            (Ground::Program(program), Reason::Automation) => {
                let policy::Program { number, owner, reason, .. } = program;
                let until = When(self.decision.until.unwrap_or(program.until), self.at);
                let account = &self.account;
                format!(
                    "yes: [[policy.automation]] {number} admits a program to {account} until {until} ({owner}: {reason})"
                )
            }
            (Ground::Grant(grant), Reason::BreakGlass) => {
                let until = When(self.decision.until.unwrap_or(grant.window.end()), self.at);
                format!(
                    "yes, by break-glass: {person} has let themselves in until {until} (grant {})",
                    grant.id
                )
            }
            (Ground::Grant(grant), _) => {
                let until = When(self.decision.until.unwrap_or(grant.window.end()), self.at);
                let names = Principal::list(&grant.approvers, " and ");
                format!("yes: {names} let {person} in until {until} (grant {})", grant.id)
            }
            (_, Reason::Exempt) => {
                format!("yes: {} by {} is exempt from the on-call check", self.account, self.service)
            }
            (_, Reason::AwaitsKey) => {
                format!(
                    "yes, with the key of somebody who is admitted: for {}, the key says who you are",
                    self.account
                )
            }
            (_, Reason::NotGuarded) => {
                format!("not guarded: {} by {} does not lead to root here", self.account, self.service)
            }
            (_, Reason::OutOfScope) => {
                format!("not guarded: service {} is not in policy.pam_services", self.service)
            }
            (_, Reason::AlreadyRoot) => {
                format!("not guarded: the caller of {} is already root", self.service)
            }
            _ if self.decision.verdict == Verdict::Refuse => {
                let unless = if self.unread_grants.is_some() {
                    ", unless a grant lets them in, which root alone is shown"
                } else {
                    ""
                };
                format!("no{unless}{}: {}", self.observed(), self.refusal)
            }
            (_, reason) => match &self.fault {
                Some(fault) => format!("cannot tell ({reason}){}: {fault}", self.observed()),
                None => format!("cannot tell{}: {}", self.observed(), self.refusal),
            },
        }
    }

    /// What becomes of a refusal where nothing is enforced.
    fn observed(&self) -> &'static str {
        let refused = self.decision.effect(Mode::Enforce).refuses();
        let lets_in = refused && !self.decision.effect(self.mode).refuses();
        match &self.mode_by {
            _ if !lets_in => "",
            None => " (would be refused, but this host observes)",
            Some(_) => " (would be refused, but enforcing is paused)",
        }
    }

    /// The same for programs. `version` changes when a field changes its meaning or goes.
    fn json(&self) -> Value {
        let ground = ground_json(&self.decision);
        json!({
            "version": 1,
            "person": self.person,
            "account": self.account,
            "service": self.service,
            "host": self.host,
            "at": self.at.to_string(),
            "verdict": self.decision.verdict.to_string(),
            "reason": self.decision.reason.token(),
            "guarded": self.decision.guard.as_ref().map(ToString::to_string),
            "eligible": self.eligible,
            "known_as": self.mappings,
            "left_out": self.left_out.iter().map(left_json).collect::<Vec<_>>(),
            "revoked": self.revoked,
            "mode": if self.mode == Mode::Observe { "observe" } else { "enforce" },
            "mode_by": self.mode_by,
            "ground": ground,
            "until": self.decision.until.map(|until| until.to_string()),
            "grants_problem": self.unread_grants,
            "message": self.line(),
        })
    }
}

/// What the decision rests on, for programs.
fn ground_json(decision: &Decision) -> Value {
    match &decision.ground {
        Ground::OnCall(ground) => json!({
            "rule": ground.rule,
            "schedule": ground.schedule.to_string(),
            "schedule_name": ground.schedule_name.as_str(),
            "level": ground.level,
            "start": ground.window.start().to_string(),
            "end": ground.window.end().to_string(),
            "stretch_start": ground.stretch.start().to_string(),
            "stretch_end": ground.stretch.end().to_string(),
            "age_seconds": ground.age.as_seconds(),
            "old": ground.is_old,
            "late": ground.late.map(|seen| seen.to_string()),
            "incident": ground.incident.word(),
            "claim": ground.claim.word(),
            "why": ground.claim.reason(),
        }),
        Ground::Unbelieved(schedule, age, limit) => json!({
            "schedule": schedule.to_string(),
            "age_seconds": age.as_seconds(),
            "limit_seconds": limit.as_seconds(),
        }),
        Ground::Program(policy::Program { number, owner, reason, until }) => json!({
            "automation": number,
            "owner": owner,
            "why": reason,
            "until": until.to_string(),
        }),
        Ground::Revoked(revocation) => json!({
            "since": revocation.since.to_string(),
            "until": revocation.until.map(|until| until.to_string()),
            "by": revocation.by,
            "authority": match revocation.authority {
                Authority::Host => "host",
                Authority::Fleet => "fleet",
            },
            "why": revocation.reason,
        }),
        Ground::Grant(grant) => json!({
            "grant": grant.id,
            "rule": grant.rule,
            "approvers": grant.approvers.iter().map(Principal::as_str).collect::<Vec<_>>(),
            "start": grant.window.start().to_string(),
            "end": grant.window.end().to_string(),
            "why": grant.reason,
        }),
        Ground::None => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use clap::FromArgMatches;

    use super::*;
    use crate::cli::{Arguments, Verb};
    use crate::said::Part;

    fn ask(verb: &str, person: &str) -> Said {
        let words = ["oncall-cache", verb, "--json", person];
        let matches = Arguments::definition().try_get_matches_from(words).unwrap();
        let (Verb::TestAccess(asked) | Verb::Why(asked)) =
            Arguments::from_arg_matches(&matches).unwrap().verb
        else {
            panic!("{verb}")
        };
        run(Path::new("/nonexistent/config.toml"), &asked, Timestamp::from_unix(0))
    }

    #[test]
    fn each_field_is_in_the_operations_guide() {
        let guide = include_str!("../../../docs/operations.md");
        let row = guide.split("| `test-access`, `why` | ").nth(1).and_then(|rest| rest.split(" |").next());
        let written: BTreeSet<&str> = row.unwrap().split('`').skip(1).step_by(2).collect();
        let said = ask("test-access", "alice");
        let [Part::Answer(answer)] = said.parts.as_slice() else { panic!("{said:?}") };
        let told: Value = serde_json::from_str(answer).unwrap();
        let fields = told.as_object().unwrap().keys().map(String::as_str);
        assert_eq!(written, fields.filter(|field| *field != "version").collect());
    }

    #[test]
    fn a_name_that_nobody_can_have_is_an_error_in_json_too() {
        for verb in ["test-access", "why"] {
            let said = ask(verb, "Not A Name");
            assert_eq!(said.code, 2);
            let [Part::Answer(answer), Part::Note(note)] = said.parts.as_slice() else { panic!("{said:?}") };
            let told: Value = serde_json::from_str(answer).unwrap();
            assert_eq!(told["version"], 1);
            let error = told["error"].as_str().unwrap();
            assert!(error.ends_with("(bad-user)") && note == &format!("cannot tell: {error}"), "{note}");
        }
    }
}
