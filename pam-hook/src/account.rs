//! The decision behind both hooks: who is the human being, and does the policy admit them.
//!
//! Account management decides for every login but two kinds, both over sshd. An account that several
//! people share, or that programs enter too: there the key says who it is, and sshd tells the key only
//! when the session opens (measured: during account management `SSH_AUTH_INFO_0` is set and empty). So
//! account management passes it on if its stack line promises `shared=session`, and session management
//! decides. And people who would be refused: sshd 9.8 and later count a refusal by account management
//! against the address (`PerSourcePenalties`: `EXIT_AUTH_ATTEMPTED` in sshd.c), and block everybody
//! behind it; one when the session opens counts against nobody. So these are refused there, with
//! the same words, where a session line is shown to decide first ([`crate::stack`]).

use std::path::PathBuf;
use std::slice;

use host::accounts;
use host::config::DEFAULT_AUDIT;
use nix::unistd::{Uid, getuid};
use policy::{
    Actor, Decision, Effect, Facts, Fault, Granted, Ground, Login, Mode, ModeSource, Principal, Reason,
    Refusal, Subject, Timestamp, anyone, entered, names_its_caller,
};
use state::{Asked, HostState, Others, Which};
use store::{Certificate, PublicKey};

use crate::credential::Credential;
use crate::human::{Human, is_asked_by_systemd, named_caller, owner, program, su_caller};
use crate::pam::Request;
use crate::stack::{self, config_path, is_known_word, promises_session};

/// What follows for the user and the log.
#[derive(Debug)]
pub struct Answer {
    /// What is done about the decision.
    pub effect: Effect,
    /// One line for the user: why they are refused, or that they are admitted on old news.
    pub tell: Option<String>,
    /// What was decided, if it was ours to decide, and is written down now.
    pub decided: Option<Box<Decided>>,
    /// Is it a refusal that may wait until the session opens?
    pub can_wait: bool,
}

/// A decision, and all that is written down with it.
#[derive(Debug)]
pub struct Decided {
    /// What was decided.
    pub decision: Decision,
    /// The mode that was in force.
    pub mode: Mode,
    /// Where the mode comes from, as a word for the log; empty where the configuration says `enforce`.
    pub mode_word: &'static str,
    /// The human being, where one is known.
    pub person: String,
    /// By which name they came, where that is a person's: the same, or that of somebody who is meant otherwise.
    pub named: String,
    /// The key that opened the session.
    pub key: Option<PublicKey>,
    /// The certificate of that key, if it came with one.
    pub certificate: Option<Box<Certificate>>,
    /// The people whose key it is, where that is not one.
    pub owners: String,
    /// The host, as rules match it.
    pub host: String,
    /// What is wrong with the files that root wrote.
    pub problem: String,
    /// The file that records are in.
    pub audit: PathBuf,
}

impl Decided {
    fn new(state: &HostState, login: &Login<'_>, decision: &Decision, now: Timestamp) -> Self {
        let (mode, source) = state.mode(now);
        let (person, named) = match login.person {
            Actor::Known(principal) => (principal.as_str(), principal.as_str()),
            Actor::Taken(principal) => ("", principal.as_str()),
            _ => ("", ""),
        };
        Self {
            decision: decision.clone(),
            mode,
            mode_word: mode_word(mode, source),
            person: person.to_string(),
            named: named.to_string(),
            key: None,
            certificate: None,
            owners: String::new(),
            host: state.rules().host.name.clone(),
            problem: state.problem().map(ToString::to_string).unwrap_or_default(),
            audit: state.config().map_or_else(|_| DEFAULT_AUDIT.into(), |config| config.paths.audit.clone()),
        }
    }
}

impl Decided {
    /// The same of a session that these opened.
    fn opened_by(&mut self, credentials: &[Credential]) {
        self.key = credentials.first().and_then(Credential::key).cloned();
        self.certificate = credentials.iter().find_map(Credential::certificate).cloned().map(Box::new);
        let no_certificate = credentials.iter().find_map(Credential::problem);
        if let (Some(problem), true) = (no_certificate, self.problem.is_empty()) {
            self.problem = format!("certificate: {problem}");
        }
    }
}

/// What account management has done about a login whose session opens now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Earlier {
    /// Has somebody been let in? What was refused, or left to the session, is decided there.
    pub was_decided: bool,
    /// Has account management left it to the session?
    pub was_left: bool,
    /// Has account management said why the session will refuse?
    pub was_told: bool,
}

impl Answer {
    /// Not ours, and nothing to say.
    pub const NONE: Self = Self { effect: Effect::Ignore, tell: None, decided: None, can_wait: false };

    /// Account management says why, and the session refuses.
    fn left_to_the_session(tell: Option<String>) -> Self {
        Self { effect: Effect::Allow, tell, ..Self::NONE }
    }
}

/// What this host knows, by the configuration that the stack line names. A word that we do not know is a fault of the line: it may have
/// been meant to name another configuration.
fn known(request: &Request) -> HostState {
    let (arguments, path) = (&request.arguments, config_path(&request.arguments));
    match arguments.iter().find(|word| !is_known_word(word)) {
        Some(word) => {
            let problem = format!("unknown word `{word}` in the stack line of pam_oncall.so");
            HostState::misnamed(path, problem)
        }
        None => HostState::load(path),
    }
}

/// Can any account have this name? Longer or stranger ones are turned away before anything is looked up.
fn is_usable(name: &str) -> bool {
    !name.is_empty() && name.len() <= 256 && !name.chars().any(|c| c.is_control() || c == '\u{fffd}')
}

/// Account management.
pub fn account(request: &Request, caller: Uid, now: Timestamp) -> Answer {
    let promised = is_promised(request);
    let answer = judge(known(request), request, caller, promised, now);
    // For a password that is over sshd runs passwd(1) before it looks at what the session said.
    let can_wait = promised && answer.can_wait && accounts::password_is_current(&request.user, now);
    if can_wait && stack::session_line_is_first(&request.arguments) {
        return Answer::left_to_the_session(answer.tell);
    }
    answer
}

/// Does the stack line promise that the session hook is asked too, and will sshd tell it the key?
fn is_promised(request: &Request) -> bool {
    request.service == "sshd" && promises_session(&request.arguments) && request.authentication.is_some()
}

/// Whom it is asked about, and what follows. Where the session hook is promised, only whether anybody could be admitted
/// to an account at which the key tells.
fn judge(mut state: HostState, request: &Request, caller: Uid, promised: bool, now: Timestamp) -> Answer {
    if !state.rules().covers_service(&request.service) {
        return Answer::NONE;
    }
    // sudo and doas ask about the user who called them; that user's name is in PAM_RUSER.
    let names_caller = names_its_caller(&request.service);
    let account = if names_caller && !request.asker.is_empty() { &request.asker } else { &request.user };
    if !is_usable(&request.user) || !is_usable(account) {
        let (facts, human) = (Facts::default(), Human::Other(Actor::Unusable));
        let login = login(request, account, &facts, &human);
        return finish(&mut state, &login, &Decision::unusable_name(), now);
    }
    let (account, facts) = accounts::look_up(account, &state.rules().privileged_groups);
    let account = account.as_str();
    let subject = state.rules().subject(&request.service, account, &facts);
    let human = match subject {
        _ if is_asked_by_systemd(request, caller, state.rules()) => Human::Other(Actor::Superuser),
        Subject::Caller if names_caller => named_caller(request, caller, &facts, state.rules()),
        Subject::Caller => su_caller(caller, state.rules()),
        Subject::Owner | Subject::OwnerOrProgram => Human::of_account(account, state.rules()),
        Subject::KeyOwner | Subject::Nobody => Human::Other(Actor::Unknown),
    };
    let is_revoked =
        || matches!(human.person(), Actor::Known(who) | Actor::Taken(who) if state.revokes(who, now));
    if state.rules().guard(&request.service, account, &facts).is_some() || is_revoked() {
        state.read_roster(about(&human, account), now, now);
        state.read_grants(granted(&human, entered(&request.service, account)), now);
    }
    let login = login(request, account, &facts, &human);
    if promised && subject.goes_by_key() {
        let decision = anyone(&login, &state.evidence(), state.rules(), now);
        let answer = finish(&mut state, &login, &decision, now);
        // Whom the session decides about is on record there, with the key, and only once.
        return if answer.effect.refuses() { answer } else { Answer { decided: None, ..answer } };
    }
    let decision = state.decide(&login, now, now);
    finish(&mut state, &login, &decision, now)
}

/// What of the roster decides about them; where it is not known who asks, about one whom `account` admits.
fn about<'a>(human: &'a Human, account: &'a str) -> Asked<'a> {
    match human {
        Human::Named(person) => Asked::About(slice::from_ref(person), Others::Nobody),
        _ => Asked::About(&[], Others::One(account)),
    }
}

/// Which grants decide about them; where it is not known who asks, those for the account.
fn granted<'a>(human: &'a Human, account: &'a str) -> Which<'a> {
    match human {
        Human::Named(person) => Which::Of(account, person),
        _ => Which::Into(account),
    }
}

/// Session management, when a session opens: decides over sshd where the key tells, and what account management has
/// not decided in this process. That is what it left to the session, and everything after keyboard-interactive: sshd
/// asks it in a child then, which takes its decision with it.
pub fn open_session(request: &Request, earlier: Earlier, now: Timestamp) -> Answer {
    let mut answer = session(request, earlier, now);
    if answer.decided.is_none() && earlier.was_left {
        // It was guarded a moment ago: configuration or name services are being changed.
        answer = undecided(request, now);
    }
    // Account management has said why, where ssh shows it on standard error.
    let was_told = answer.effect.refuses() && earlier.was_told;
    if was_told { Answer { tell: None, ..answer } } else { answer }
}

fn session(request: &Request, earlier: Earlier, now: Timestamp) -> Answer {
    if request.service != "sshd" || !is_usable(&request.user) {
        return Answer::NONE;
    }
    let state = known(request);
    if !state.rules().covers_service("sshd") {
        return Answer::NONE;
    }
    let (account, facts) = accounts::look_up(&request.user, &state.rules().privileged_groups);
    let credentials = Credential::all(request.authentication.as_deref().unwrap_or_default());
    if let Some(human) = revoked_key(&state, &credentials, now) {
        return by_key(state, request, (&account, &facts), &human, &credentials, now);
    }
    let subject = state.rules().subject("sshd", &account, &facts);
    if !subject.goes_by_key() {
        let guarded = state.rules().guard("sshd", &account, &facts).is_some();
        let is_open = !guarded || earlier.was_decided;
        return if is_open { Answer::NONE } else { judge(state, request, getuid(), false, now) };
    }
    let human = match (state.config(), program(state.rules(), &account, &credentials)) {
        (Err(_), _) => Human::Other(Actor::CannotTell(Fault::Config)),
        (Ok(_), Some(program)) => program,
        (Ok(_), None) if subject == Subject::KeyOwner => owner(&state, &credentials, now),
        (Ok(_), None) => Human::of_account(&account, state.rules()),
    };
    by_key(state, request, (&account, &facts), &human, &credentials, now)
}

/// Is one of the keys revoked, or one that signed a certificate? It opens no account then, guarded or not, wherever sshd had
/// it from. Only a fleet revokes keys: without one nothing is read for this.
fn revoked_key(state: &HostState, credentials: &[Credential], now: Timestamp) -> Option<Human> {
    state.config().ok()?.fleet.as_ref()?;
    let revocation = state.revoked().ok()?.any_key(credentials.iter().flat_map(Credential::digests), now)?;
    Some(Human::Revoked(Box::new(revocation)))
}

/// What follows for the human being whose key opened the session.
fn by_key(
    mut state: HostState,
    request: &Request,
    (account, facts): (&str, &Facts),
    human: &Human,
    credentials: &[Credential],
    now: Timestamp,
) -> Answer {
    state.read_roster(about(human, account), now, now);
    state.read_grants(Which::Into(account), now);
    let plain = login(request, account, facts, human);
    let decision = state.decide(&plain, now, now);
    // Whose the key is, a grant says too, also where no copy of the directory does.
    let named = granted_key(&state, account, human, credentials).filter(|_| !decision.allows());
    let by_grant = named.as_ref().and_then(|named| {
        let login = login(request, account, facts, named);
        let decision = state.decide(&login, now, now);
        decision.allows().then_some((login, decision))
    });
    let (login, decision) = by_grant.unwrap_or((plain, decision));
    let mut answer = finish(&mut state, &login, &decision, now);
    if let Some(decided) = &mut answer.decided {
        decided.owners = human.names();
        decided.opened_by(credentials);
    }
    answer
}

/// The person whose grant for this account names the one key that opened the session, where nobody else is known to have
/// it. A program's or a revoked key is nobody's, whatever a grant says.
fn granted_key(state: &HostState, account: &str, human: &Human, credentials: &[Credential]) -> Option<Human> {
    let may_be = |person: &Principal| match human {
        Human::Other(Actor::Unknown | Actor::CannotTell(_)) => {
            program(state.rules(), account, credentials).is_none()
        }
        Human::Several(people) => people.contains(person),
        _ => false,
    };
    let (first, rest) = credentials.split_first()?;
    let key = first.plain_key()?;
    if rest.iter().any(|other| other.plain_key() != Some(key)) {
        return None;
    }
    let line = key.line();
    let names = |grant: &&Granted| grant.account.as_str() == account && grant.key.as_ref() == Some(&line);
    let found = state.grants().iter().filter(names).find(|grant| may_be(&grant.person));
    found.map(|grant| Human::Named(grant.person.clone()))
}

/// Refuses what two answers about one login contradict each other on.
fn undecided(request: &Request, now: Timestamp) -> Answer {
    let mut state = known(request);
    let (facts, human) = (Facts::default(), Human::Other(Actor::CannotTell(Fault::Config)));
    let login = login(request, &request.user, &facts, &human);
    finish(&mut state, &login, &Decision::undecided(), now)
}

fn login<'a>(request: &'a Request, account: &'a str, facts: &'a Facts, human: &'a Human) -> Login<'a> {
    let (service, tty, place) = (&request.service, &request.tty, &request.remote_host);
    Login { service, account, facts, person: human.person(), tty, place }
}

/// The mode, for the log, where it is not simply to enforce.
fn mode_word(mode: Mode, source: ModeSource<'_>) -> &'static str {
    match source.word() {
        "" if mode == Mode::Observe => "observe",
        word => word,
    }
}

/// What a person reads who is refused: of those on call as many are read as it names.
fn refusal(state: &mut HostState, login: &Login<'_>, decision: &Decision, now: Timestamp) -> String {
    let known = if let Actor::Known(person) = login.person { slice::from_ref(person) } else { &[] };
    state.read_roster(Asked::About(known, Others::Named), now, now);
    Refusal::new(login, decision, &state.evidence(), state.rules(), now).to_string()
}

fn finish(state: &mut HostState, login: &Login<'_>, decision: &Decision, now: Timestamp) -> Answer {
    let effect = decision.effect(state.mode(now).0);
    let tell = match &decision.ground {
        _ if effect.refuses() => Some(refusal(state, login, decision, now)),
        Ground::OnCall(ground) if ground.is_old => Some(format!("on call: {}", ground.old_news())),
        Ground::Grant(grant) => grant.warning(now),
        _ => None,
    };
    let decided = || Box::new(Decided::new(state, login, decision, now));
    let decided = (decision.reason != Reason::OutOfScope).then(decided);
    Answer { effect, tell, decided, can_wait: effect.refuses() && decision.can_wait() }
}

#[cfg(test)]
mod tests;
