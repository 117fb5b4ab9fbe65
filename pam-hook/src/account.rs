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
    Actor, Decision, Effect, Facts, Fault, Ground, Login, Mode, ModeSource, Reason, Refusal, Subject,
    Timestamp, anyone, decide, names_its_caller,
};
use state::{Asked, HostState, Others};
use store::PublicKey;

use crate::human::{Human, is_asked_by_systemd, key_owner, named_caller, offered_keys, program, su_caller};
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
            owners: String::new(),
            host: state.rules().host.name.clone(),
            problem: state.problem().map(ToString::to_string).unwrap_or_default(),
            audit: state.config().map_or_else(|_| DEFAULT_AUDIT.into(), |config| config.paths.audit.clone()),
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
    }
    let login = login(request, account, &facts, &human);
    if promised && subject.goes_by_key() {
        let decision = anyone(&login, &state.evidence(), state.rules(), now);
        let answer = finish(&mut state, &login, &decision, now);
        // Whom the session decides about is on record there, with the key, and only once.
        return if answer.effect.refuses() { answer } else { Answer { decided: None, ..answer } };
    }
    let decision = decide(&login, &state.evidence(), state.rules(), now);
    finish(&mut state, &login, &decision, now)
}

/// What of the roster decides about them; where it is not known who asks, about one whom `account` admits.
fn about<'a>(human: &'a Human, account: &'a str) -> Asked<'a> {
    match human {
        Human::Named(person) => Asked::About(slice::from_ref(person), Others::Nobody),
        _ => Asked::About(&[], Others::One(account)),
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
    let keys = offered_keys(request.authentication.as_deref().unwrap_or_default());
    if let Some(human) = revoked_key(&state, &keys, now) {
        return by_key(state, request, (&account, &facts), &human, keys, now);
    }
    let subject = state.rules().subject("sshd", &account, &facts);
    if !subject.goes_by_key() {
        let guarded = state.rules().guard("sshd", &account, &facts).is_some();
        let is_open = !guarded || earlier.was_decided;
        return if is_open { Answer::NONE } else { judge(state, request, getuid(), false, now) };
    }
    let human = match (state.config(), program(state.rules(), &account, &keys)) {
        (Err(_), _) => Human::Other(Actor::CannotTell(Fault::Config)),
        (Ok(_), Some(program)) => program,
        (Ok(config), None) if subject == Subject::KeyOwner => key_owner(config, &keys, now),
        (Ok(_), None) => Human::of_account(&account, state.rules()),
    };
    by_key(state, request, (&account, &facts), &human, keys, now)
}

/// Is one of the keys revoked? It opens no account then, guarded or not, wherever sshd had it from. Only a fleet revokes
/// keys: without one nothing is read for this.
fn revoked_key(state: &HostState, keys: &[PublicKey], now: Timestamp) -> Option<Human> {
    state.config().ok()?.fleet.as_ref()?;
    let revocation = state.revoked().ok()?.any_key(keys.iter().map(PublicKey::sha256), now)?;
    Some(Human::Revoked(Box::new(revocation)))
}

/// What follows for the human being whose key opened the session.
fn by_key(
    mut state: HostState,
    request: &Request,
    (account, facts): (&str, &Facts),
    human: &Human,
    keys: Vec<PublicKey>,
    now: Timestamp,
) -> Answer {
    state.read_roster(about(human, account), now, now);
    let login = login(request, account, facts, human);
    let decision = decide(&login, &state.evidence(), state.rules(), now);
    let mut answer = finish(&mut state, &login, &decision, now);
    if let Some(decided) = &mut answer.decided {
        decided.key = keys.into_iter().next();
        decided.owners = human.names();
    }
    answer
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
        _ => None,
    };
    let decided = || Box::new(Decided::new(state, login, decision, now));
    let decided = (decision.reason != Reason::OutOfScope).then(decided);
    Answer { effect, tell, decided, can_wait: effect.refuses() && decision.can_wait() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    use host::Config;
    use policy::{
        Principal, Revocation, Revoked, Roster, Schedule, ScheduleRef, Shift, Span, Switch, Window,
    };
    use state::StateError;

    const NOW: Timestamp = Timestamp::from_unix(1_795_165_200);
    const NO_CONFIG: &str = "config=/nonexistent/config.toml";

    fn request(service: &str, user: &str) -> Request {
        Request {
            service: service.to_string(),
            user: user.to_string(),
            arguments: vec![NO_CONFIG.to_string(), "shared=session".to_string()],
            authentication: Some(String::new()),
            ..Request::default()
        }
    }

    fn reason(answer: &Answer) -> String {
        answer.decided.as_ref().map_or("none", |decided| decided.decision.reason.token()).to_string()
    }

    #[test]
    fn without_a_configuration_only_guarded_logins_are_refused() {
        let caller = Uid::from_raw(0);
        let root = account(&request("sshd", "root"), caller, NOW);
        assert_eq!((root.effect, reason(&root).as_str()), (Effect::CannotTell, "config-invalid"));
        let nobody = account(&request("sshd", "nobody"), caller, NOW);
        assert_eq!((nobody.effect, reason(&nobody).as_str()), (Effect::Ignore, "not-guarded"));
        let cron = account(&request("cron", "root"), caller, NOW);
        assert_eq!((cron.effect, reason(&cron).as_str()), (Effect::Ignore, "none"));
        let open =
            |service: &str, user: &str| open_session(&request(service, user), Earlier::default(), NOW).effect;
        assert_eq!(open("sshd", "root"), Effect::CannotTell);
        assert_eq!(open("sshd", "nobody"), Effect::Ignore);
        assert_eq!(open("sudo", "root"), Effect::Ignore);
    }

    #[test]
    fn a_word_that_is_not_known_is_a_fault_of_the_stack_line() {
        let mut request = request("sshd", "root");
        request.arguments.push("conf=/etc/authkeys/strict.toml".to_string());
        let answer = account(&request, Uid::from_raw(0), NOW);
        assert_eq!((answer.effect, reason(&answer).as_str()), (Effect::CannotTell, "config-invalid"));
        assert!(answer.decided.is_some_and(|decided| decided.problem.contains("unknown word")));
    }

    #[test]
    fn a45_names_that_no_account_has_are_unknown_users() {
        for name in ["", "a\nb", "a\x1b", &"x".repeat(65_536), "\u{fffd}"] {
            let answer = account(&request("sshd", name), Uid::from_raw(0), NOW);
            assert_eq!(
                (answer.effect, reason(&answer).as_str()),
                (Effect::BadName, "bad-user"),
                "{name:.9?}"
            );
        }
    }

    #[test]
    fn a_root_that_calls_sudo_is_root_already() {
        let mut by_root = request("sudo", "root");
        by_root.asker = "root".to_string();
        assert_eq!(account(&by_root, Uid::from_raw(0), NOW).effect, Effect::Ignore);
        // Under sudo's name, with a real uid that is somebody else's: the name proves nothing.
        let forged = account(&by_root, Uid::from_raw(65_534), NOW);
        assert_eq!((forged.effect, reason(&forged).as_str()), (Effect::Refuse, "unknown-person"));
        by_root.asker = String::new();
        assert_eq!(account(&by_root, Uid::from_raw(0), NOW).effect, Effect::Refuse);
    }

    #[test]
    fn su_asks_about_its_real_uid_and_login_about_the_account() {
        let by = |service: &str, user: &str, uid: u32| {
            let answer = account(&request(service, user), Uid::from_raw(uid), NOW);
            (answer.effect, reason(&answer))
        };
        let answer = |effect, reason: &str| (effect, reason.to_string());
        for su in ["su", "su-l"] {
            assert_eq!(by(su, "root", 0), answer(Effect::Ignore, "already-root"));
            assert_eq!(by(su, "root", 65_534), answer(Effect::CannotTell, "config-invalid"));
            assert_eq!(by(su, "root", 4_000_000_000), answer(Effect::Refuse, "unknown-person"));
            assert_eq!(by(su, "nobody", 65_534), answer(Effect::Ignore, "not-guarded"));
        }
        for door in ["login", "polkit-1"] {
            assert_eq!(by(door, "root", 0), answer(Effect::Refuse, "unknown-person"), "{door}");
        }
        assert_eq!(by("login", "nobody", 0), answer(Effect::Ignore, "not-guarded"));
        assert_eq!(by("polkit-1", "nobody", 0), answer(Effect::CannotTell, "config-invalid"));
    }

    #[test]
    fn the_console_stays_open_to_login_alone() {
        let at = |service: &str, tty: &str| {
            let request = Request { tty: tty.to_string(), ..request(service, "root") };
            reason(&account(&request, Uid::from_raw(0), NOW))
        };
        for console in ["tty1", "/dev/tty1", "/dev/ttyS0"] {
            assert_eq!(at("login", console), "exempt", "{console}");
            assert_eq!(at("sshd", console), "config-invalid", "{console}");
        }
        for other in ["", "tty2", "/dev/pts/0", "/dev//dev/tty1", "tty10"] {
            assert_eq!(at("login", other), "unknown-person", "{other}");
        }
    }

    #[test]
    fn a_shared_account_without_the_promise_of_a_session_line_is_refused() {
        let mut bare = request("sshd", "root");
        bare.arguments.truncate(1);
        assert_eq!(reason(&account(&bare, Uid::from_raw(0), NOW)), "unknown-person");
        let mut unset = request("sshd", "root");
        unset.authentication = None;
        assert_eq!(reason(&account(&unset, Uid::from_raw(0), NOW)), "unknown-person");
    }

    const CONFIG: &str = "[host]\nname = 'db1'\n[[oncall.source]]\nname = 'rota'\nprovider = 'rota'\n\
        file = 'rota.toml'\n[policy]\nguarded_accounts = ['root', 'daemon', 'nobody']\n\
        [[policy.rule]]\nname = 'db'\nschedules = ['rota/primary']\n";

    fn name(text: &str) -> Principal {
        Principal::new(text).unwrap()
    }

    /// db1, where daemon is on call for an hour more, and nobody, who is eligible, is not. Both have accounts on any host.
    fn roster() -> Roster {
        let window = Window::new(NOW.minus(Span::hours(1)), NOW.plus(Span::hours(1))).unwrap();
        Roster {
            published: NOW,
            floor: NOW,
            schedules: vec![Schedule {
                reference: ScheduleRef { source: "rota".to_string(), id: "primary".to_string() },
                provider_id: "primary".to_string(),
                name: "Primary".into(),
                synced: NOW,
                horizon: NOW.plus(Span::hours(72)),
            }],
            shifts: vec![Shift { schedule: 0, principal: name("daemon"), level: 1, window }].into(),
            eligible: ["daemon", "nobody"].map(|person| (name(person), true)).into(),
        }
    }

    fn host_of(config: &str, revoked: Result<Revoked, StateError>, roster: Roster) -> HostState {
        let config = Config::parse(Path::new("/nonexistent/config.toml"), config.as_bytes()).unwrap();
        HostState::of(config, revoked, Ok(Switch::untouched()), Ok(roster))
    }

    fn host() -> HostState {
        host_of(CONFIG, Ok(Revoked::nobody()), roster())
    }

    fn revoked(person: &str) -> Result<Revoked, StateError> {
        let revocation = Revocation::by_root(NOW, "root".to_string(), String::new());
        Ok([(name(person), revocation)].into_iter().collect())
    }

    fn unreadable() -> Result<Revoked, StateError> {
        let path = Path::new("/nonexistent/revoked");
        Err(StateError::Orders(host::revoked::parse(path, b"x").unwrap_err()))
    }

    /// What follows where `user` is asked about, and `who` is the caller by name and uid.
    fn by(state: HostState, service: &str, user: &str, who: &str) -> Answer {
        let request = Request { asker: who.to_string(), ..request(service, user) };
        let caller = nix::unistd::User::from_name(who).unwrap().unwrap().uid;
        judge(state, &request, caller, false, NOW)
    }

    fn told(answer: &Answer) -> (Effect, String) {
        (answer.effect, reason(answer))
    }

    fn admitted() -> (Effect, String) {
        (Effect::Allow, "oncall".to_string())
    }

    fn refused(reason: &str) -> (Effect, String) {
        (Effect::Refuse, reason.to_string())
    }

    #[test]
    fn whoever_is_on_call_is_admitted_by_each_door_and_nobody_else() {
        for (service, user) in
            [("sudo", None), ("sudo-i", None), ("doas", None), ("su", Some("root")), ("login", None)]
        {
            let answer = |who| by(host(), service, user.unwrap_or(who), who);
            assert_eq!(told(&answer("daemon")), admitted(), "{service}");
            let off_call = answer("nobody");
            assert_eq!(told(&off_call), refused("not-oncall"), "{service}");
            let line = off_call.tell.unwrap();
            assert!(line.contains("nobody is not (daemon is, until "), "{service}: {line}");
            assert!(off_call.can_wait && off_call.decided.is_some(), "{service}");
        }
        // Asked by another name than the caller's.
        let request = Request { asker: "daemon".to_string(), ..request("sudo", "daemon") };
        let nobody = nix::unistd::User::from_name("nobody").unwrap().unwrap().uid;
        assert_eq!(told(&judge(host(), &request, nobody, false, NOW)), refused("unknown-person"));
    }

    #[test]
    fn a_shared_account_awaits_the_key_while_somebody_is_on_call() {
        let root = Uid::from_raw(0);
        let asked = |state| judge(state, &request("sshd", "root"), root, true, NOW);
        let answer = asked(host());
        assert!(answer.effect == Effect::Allow && answer.decided.is_none());
        let off_call = Roster { shifts: Vec::new().into(), ..roster() };
        assert_eq!(told(&asked(host_of(CONFIG, Ok(Revoked::nobody()), off_call))), refused("not-oncall"));
        assert_eq!(told(&asked(host_of(CONFIG, revoked("daemon"), roster()))), refused("not-oncall"));
    }

    #[test]
    fn the_owner_of_the_key_is_judged_when_the_session_opens() {
        let facts = Facts { uid: Some(0), root_groups: Vec::new() };
        let key = PublicKey::parse(made_keys::numbered(1).as_bytes()).unwrap();
        let by_key = |state, human: &Human| {
            super::by_key(state, &request("sshd", "root"), ("root", &facts), human, vec![key.clone()], NOW)
        };
        let daemon = by_key(host(), &Human::Named(name("daemon")));
        assert_eq!((told(&daemon), daemon.tell.as_deref()), (admitted(), None));
        assert_eq!(daemon.decided.unwrap().key.as_ref(), Some(&key));
        assert_eq!(told(&by_key(host(), &Human::Named(name("nobody")))), refused("not-oncall"));
        assert_eq!(told(&by_key(host(), &Human::Other(Actor::Unknown))), refused("unknown-person"));
        let several = by_key(host(), &Human::Several(vec![name("daemon"), name("nobody")]));
        assert_eq!(told(&several), refused("ambiguous-person"));
        assert_eq!(several.decided.unwrap().owners, "daemon,nobody");
        // Read two hours ago: trusted, and that is said.
        let mut old = roster();
        old.schedules[0].synced = NOW.minus(Span::hours(2));
        let answer = by_key(host_of(CONFIG, Ok(Revoked::nobody()), old), &Human::Named(name("daemon")));
        assert_eq!(told(&answer), admitted());
        assert!(answer.tell.unwrap().contains("last synced 2h ago"));
    }

    #[test]
    fn a_revocation_wins_and_one_that_cannot_be_read_refuses_all_but_the_exempt() {
        let shut_out = || host_of(CONFIG, revoked("daemon"), roster());
        assert_eq!(told(&by(shut_out(), "sudo", "daemon", "daemon")), refused("revoked"));
        let exempt = CONFIG.replace("[policy]", "[policy]\nexempt_accounts = ['daemon']");
        let state = || host_of(&exempt, unreadable(), roster());
        assert_eq!(told(&by(state(), "login", "daemon", "daemon")), (Effect::Allow, "exempt".to_string()));
        let other = by(state(), "login", "nobody", "nobody");
        assert_eq!(told(&other), (Effect::CannotTell, "revoked-unreadable".to_string()));
        assert!(other.decided.unwrap().problem.starts_with("/nonexistent/revoked:1:"));
        // Not guarded, and still revoked.
        let open = CONFIG.replace("['root', 'daemon', 'nobody']", "['root']");
        assert_eq!(
            told(&by(host_of(&open, revoked("daemon"), roster()), "login", "daemon", "daemon")),
            refused("revoked")
        );
        let nobody = by(host_of(&open, unreadable(), roster()), "login", "nobody", "nobody");
        assert_eq!(told(&nobody), (Effect::Ignore, "not-guarded".to_string()));
    }

    #[test]
    fn a_key_that_the_fleet_has_revoked_is_nobodys() {
        let keys = [PublicKey::parse(made_keys::numbered(1).as_bytes()).unwrap()];
        let print = keys[0].fingerprint();
        let text = format!("revocations 1\nkey {print} 1 revoked 2026-11-20T08:00:00Z - eve lost\n");
        let list = policy::revocations::Revocations::parse(&text).unwrap();
        let state =
            |config: &str| host_of(config, Ok(Revoked::nobody().with_fleet(list.clone(), None)), roster());
        let fleet = format!("[fleet]\nid = 'x'\nurls = ['https://h']\n{CONFIG}");
        assert!(revoked_key(&state(CONFIG), &keys, NOW).is_none(), "without a fleet nobody looks");
        assert!(revoked_key(&state(&fleet), &[], NOW).is_none());
        let human = revoked_key(&state(&fleet), &keys, NOW).unwrap();
        for (account, facts) in
            [("root", Facts { uid: Some(0), root_groups: Vec::new() }), ("eve", Facts::default())]
        {
            let request = request("sshd", account);
            let answer =
                super::by_key(state(&fleet), &request, (account, &facts), &human, keys.to_vec(), NOW);
            assert_eq!(told(&answer), refused("revoked"), "{account}");
            let line = answer.tell.unwrap();
            assert!(
                line.contains("the key that opened this session is revoked in the whole fleet since"),
                "{line}"
            );
        }
    }

    #[test]
    fn where_nothing_is_enforced_nobody_is_refused_and_the_log_says_who_would_be() {
        let observing = CONFIG.replace("[policy]", "[policy]\nmode = 'observe'");
        let answer = by(host_of(&observing, Ok(Revoked::nobody()), roster()), "sudo", "nobody", "nobody");
        assert_eq!((told(&answer), answer.tell), ((Effect::Ignore, "not-oncall".to_string()), None));
        assert_eq!(answer.decided.unwrap().mode_word, "observe");
    }
}
