//! The decision behind both hooks: who is the human being, and does the policy admit them.
//!
//! Account management decides for every login but two kinds, both over sshd. An account that several
//! people share, or that programs enter too: there the key says who it is, and sshd tells the key only
//! when the session opens (measured: during account management `SSH_AUTH_INFO_0` is set and empty). So
//! account management passes it on if its stack line promises `shared=session`, and session management
//! decides. And whoever would be refused: sshd 9.8 and later count a refusal by account management
//! against the address (`PerSourcePenalties`: `EXIT_AUTH_ATTEMPTED` in sshd.c), and shut out everybody
//! behind it; one when the session opens counts against nobody. So these are refused there, with
//! the same words, where a session line is shown to decide first ([`crate::stack`]).

use std::path::Path;
use std::slice;

use host::audit::Line;
use host::{Config, accounts, config, revoked, switch};
use nix::unistd::{Uid, getppid, getuid};
use policy::{
    Automation, Decision, Effect, Evidence, Facts, Fault, Ground, Login, Mode, Person, Principal, Reason,
    Refusal,
};
use policy::{ModeSource, Revoked, Roster, Rules, Subject, Switch, Timestamp};
use policy::{anyone, decide, mode_in_force, names_its_caller};
use store::PublicKey;
use store::keys::{KeyCopy, KeyOwner};
use store::roster::{self, Part};

use crate::pam::Request;
use crate::record::{Decided, Entry, Kept};
use crate::stack;

/// The word by which an account line promises that a session line of ours stands as well.
const SESSION_DECIDES: &str = "shared=session";

/// What follows for the user and the log.
#[derive(Debug)]
pub struct Answer {
    /// What is done about the decision.
    pub effect: Effect,
    /// One line for the user: why they are refused, or that they are admitted on old news.
    pub tell: Option<String>,
    /// The audit line, if this was a decision of ours.
    pub log: Option<Line>,
    /// The same for programs.
    pub record: Option<Box<Entry>>,
    /// Is it a refusal that may wait until the session opens?
    pub can_wait: bool,
}

impl Answer {
    /// Not ours, and nothing to say.
    pub const NONE: Self =
        Self { effect: Effect::Ignore, tell: None, log: None, record: None, can_wait: false };

    /// Account management says why, and the session refuses.
    fn left_to_the_session(tell: Option<String>) -> Self {
        Self { effect: Effect::Allow, tell, ..Self::NONE }
    }
}

/// What holds where the configuration cannot be read, and why it cannot.
pub struct Unconfigured {
    rules: Rules,
    problem: String,
}

/// What this host knows at the moment of one decision.
pub struct World {
    pub config: Result<Config, Unconfigured>,
    revoked: Result<Revoked, revoked::Unreadable>,
    switch: Result<Switch, switch::Unreadable>,
    roster: Result<Roster, Fault>,
}

impl World {
    /// Reads the configuration, and no more: what else is needed is read once that is clear.
    fn load(request: &Request) -> Self {
        let config = configuration(&request.arguments);
        let config = config.map_err(|problem| Unconfigured { rules: Rules::compiled(), problem });
        let (revoked, switch) = (Ok(Revoked::nobody()), Ok(Switch::untouched()));
        Self { config, revoked, switch, roster: Err(Fault::Config) }
    }

    /// What is decided by.
    pub fn rules(&self) -> &Rules {
        match &self.config {
            Ok(config) => &config.rules,
            Err(unconfigured) => &unconfigured.rules,
        }
    }

    /// Reads who is revoked, and whether root has switched the mode: of every login in scope.
    fn read_orders(&mut self, request: &Request) {
        let path = config_path(&request.arguments);
        self.revoked = revoked::read(&Config::revoked_beside(path));
        self.switch = switch::read(&switch::beside(path));
    }

    /// What follows from decisions now: as the configuration says, or root since then.
    fn mode(&self, now: Timestamp) -> (Mode, ModeSource<'_>) {
        mode_in_force(self.rules().mode, self.switch.as_ref().ok(), now)
    }

    /// Reads what the roster says of one person; or who is on call, where it is not known who asks. Only of logins that
    /// are guarded, and of people who are revoked.
    fn read_roster(&mut self, human: &Human, now: Timestamp) {
        self.roster = match human {
            Human::Named(person) => self.part(slice::from_ref(person), None, now),
            _ => self.part(&[], Some(now), now),
        };
    }

    /// What the roster says of some people, and of whoever is on call at an instant.
    fn part(
        &self,
        people: &[Principal],
        on_call: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Roster, Fault> {
        let config = self.config.as_ref().map_err(|_| Fault::Config)?;
        let schedules = &config.rules.schedules();
        let part = Part { schedules, people, on_call };
        roster::read_part(&config.paths.roster, part, now).map_err(|error| error.fault())
    }

    fn evidence(&self) -> Evidence<'_> {
        self.evidence_of(self.roster.as_ref())
    }

    fn evidence_of<'r>(&'r self, roster: Result<&'r Roster, &Fault>) -> Evidence<'r> {
        Evidence {
            roster: roster.map_err(|fault| *fault),
            revoked: self.revoked.as_ref().map_err(revoked::Unreadable::fault),
        }
    }

    /// What a person reads who is refused: who is on call is read for that alone.
    fn refusal(&self, login: &Login<'_>, decision: &Decision, now: Timestamp) -> String {
        let known = if let Person::Known(person) = login.person { slice::from_ref(person) } else { &[] };
        let roster = self.part(known, Some(now), now);
        let evidence = self.evidence_of(roster.as_ref());
        Refusal::new(login, decision, &evidence, self.rules(), now).to_string()
    }

    /// What is wrong with the files that root wrote, for the log.
    pub fn problem(&self) -> String {
        let (config, revoked) = (self.config.as_ref().err(), self.revoked.as_ref().err());
        let switch = || self.switch.as_ref().err().map(ToString::to_string);
        config
            .map(|one| one.problem.clone())
            .or_else(|| revoked.map(ToString::to_string))
            .or_else(switch)
            .unwrap_or_default()
    }
}

/// The configuration file that the stack line names.
pub fn config_path(arguments: &[String]) -> &Path {
    let named = arguments.iter().rev().find_map(|argument| argument.strip_prefix("config="));
    Path::new(named.unwrap_or(config::DEFAULT_PATH))
}

/// Is this a word that a stack line of ours may have?
pub fn is_known_word(word: &str) -> bool {
    word.starts_with("config=") || word == SESSION_DECIDES
}

/// What stands in that file. A word that we do not know is a fault of the line: it may have been meant to name
/// another configuration.
fn configuration(arguments: &[String]) -> Result<Config, String> {
    let is_known = |word: &&String| is_known_word(word);
    if let Some(unknown) = arguments.iter().find(|word| !is_known(word)) {
        return Err(format!("unknown word `{unknown}` in the stack line of pam_oncall.so"));
    }
    Config::load(config_path(arguments)).map_err(|error| error.to_string())
}

/// The human being, as far as this call can tell.
enum Human {
    Named(Principal),
    /// The keys are these people's.
    Several(Vec<Principal>),
    /// The keys are a program's.
    Program(Box<Automation>),
    /// Nobody, by whose name the configuration means something else.
    Taken(Principal),
    Other(Person<'static>),
}

impl Human {
    fn of_account(name: &str, rules: &Rules) -> Self {
        match (rules.person_of(name), rules.taken_from(name)) {
            (Ok(person), _) => Self::Named(person),
            (Err(_), Some(person)) => Self::Taken(person),
            (Err(_), None) => Self::Other(Person::Unusable),
        }
    }

    fn person(&self) -> Person<'_> {
        match self {
            Self::Named(principal) => Person::Known(principal),
            Self::Several(_) => Person::Ambiguous,
            Self::Program(entry) => Person::Program(entry),
            Self::Taken(principal) => Person::Taken(principal),
            Self::Other(person) => *person,
        }
    }

    /// Who it may be, for those who read the log.
    fn names(&self) -> String {
        match self {
            Self::Several(people) => people.iter().map(Principal::as_str).collect::<Vec<_>>().join(","),
            Self::Named(_) | Self::Program(_) | Self::Taken(_) | Self::Other(_) => String::new(),
        }
    }
}

/// Can any account have this name? Longer or stranger ones are turned away before anything is looked up.
fn is_usable(name: &str) -> bool {
    !name.is_empty() && name.len() <= 256 && !name.chars().any(|c| c.is_control() || c == '\u{fffd}')
}

/// Account management.
pub fn account(request: &Request, caller: Uid, now: Timestamp) -> Answer {
    let promised = is_promised(request);
    let answer = judge(request, caller, promised, now);
    // For a password that is over sshd runs passwd(1) before it looks at what the session said.
    let can_wait = promised && answer.can_wait && accounts::password_is_current(&request.user, now);
    if can_wait && stack::session_line_is_first(&request.arguments) {
        return Answer::left_to_the_session(answer.tell);
    }
    answer
}

/// Does the stack line promise that the session hook is asked too, and will sshd tell it the key?
fn is_promised(request: &Request) -> bool {
    let is_written = request.arguments.iter().any(|argument| argument == SESSION_DECIDES);
    request.service == "sshd" && is_written && request.authentication.is_some()
}

/// Whom it is asked about, and what follows. Where the session hook is promised, only whether anybody could be admitted
/// to an account at which the key tells.
fn judge(request: &Request, caller: Uid, promised: bool, now: Timestamp) -> Answer {
    let mut world = World::load(request);
    if !world.rules().covers_service(&request.service) {
        return Answer::NONE;
    }
    world.read_orders(request);
    // sudo and doas ask about the user who called them; that user's name is in PAM_RUSER.
    let names_caller = names_its_caller(&request.service);
    let account = if names_caller && !request.asker.is_empty() { &request.asker } else { &request.user };
    if !is_usable(&request.user) || !is_usable(account) {
        let (facts, human) = (Facts::default(), Human::Other(Person::Unusable));
        let login = login(request, account, &facts, &human);
        return finish(request, &world, &login, &Decision::unusable_name(), now, None);
    }
    let (account, facts) = accounts::look_up(account, &world.rules().groups);
    let account = account.as_str();
    let subject = world.rules().subject(&request.service, account, &facts);
    let human = match subject {
        _ if is_asked_by_systemd(request, caller, world.rules()) => Human::Other(Person::Superuser),
        Subject::Caller if names_caller => named_caller(request, caller, &facts, world.rules()),
        Subject::Caller => su_caller(caller, world.rules()),
        Subject::Owner | Subject::OwnerOrProgram => Human::of_account(account, world.rules()),
        Subject::KeyOwner | Subject::Nobody => Human::Other(Person::Unknown),
    };
    let is_revoked = |revoked: &Revoked| matches!(human.person(), Person::Known(who) | Person::Taken(who) if revoked.names(who));
    if world.rules().guard(&request.service, account, &facts).is_some()
        || world.revoked.as_ref().is_ok_and(is_revoked)
    {
        world.read_roster(&human, now);
    }
    let login = login(request, account, &facts, &human);
    if promised && subject.goes_by_key() {
        let decision = anyone(&login, &world.evidence(), world.rules(), now);
        let answer = finish(request, &world, &login, &decision, now, None);
        // Whom the session decides about is on record there, with the key, and only once.
        return if answer.effect.refuses() { answer } else { Answer { log: None, record: None, ..answer } };
    }
    let decision = decide(&login, &world.evidence(), world.rules(), now);
    finish(request, &world, &login, &decision, now, None)
}

/// Session management, when a session opens: decides over sshd where the key tells, and what account management has
/// not decided in this process. That is what it left to the session, and everything after keyboard-interactive: sshd
/// asks it in a child then, which takes its decision with it.
pub fn open_session(request: &Request, earlier: Option<&Kept>, now: Timestamp) -> Answer {
    let mut answer = session(request, earlier, now);
    if answer.record.is_none() && earlier.is_some_and(|kept| kept.was_left) {
        // It was guarded a moment ago: configuration or name services are being changed.
        answer = undecided(request, now);
    }
    // Account management has said why, where ssh shows it on standard error.
    let was_told = answer.effect.refuses() && earlier.is_some_and(|kept| kept.was_told);
    if was_told { Answer { tell: None, ..answer } } else { answer }
}

fn session(request: &Request, earlier: Option<&Kept>, now: Timestamp) -> Answer {
    if request.service != "sshd" || !is_usable(&request.user) {
        return Answer::NONE;
    }
    let mut world = World::load(request);
    if !world.rules().covers_service("sshd") {
        return Answer::NONE;
    }
    let (account, facts) = accounts::look_up(&request.user, &world.rules().groups);
    let subject = world.rules().subject("sshd", &account, &facts);
    if !subject.goes_by_key() {
        let guarded = world.rules().guard("sshd", &account, &facts).is_some();
        let was_decided = earlier.is_some_and(|kept| kept.was_decided);
        return if guarded && !was_decided { judge(request, getuid(), false, now) } else { Answer::NONE };
    }
    world.read_orders(request);
    let keys = offered_keys(request.authentication.as_deref().unwrap_or_default());
    let human = match (&world.config, program(world.rules(), &account, &keys)) {
        (Err(_), _) => Human::Other(Person::CannotTell(Fault::Config)),
        (Ok(_), Some(program)) => program,
        (Ok(config), None) if subject == Subject::KeyOwner => key_owner(config, &keys, now),
        (Ok(_), None) => Human::of_account(&account, world.rules()),
    };
    world.read_roster(&human, now);
    let login = login(request, &account, &facts, &human);
    let decision = decide(&login, &world.evidence(), world.rules(), now);
    let answer = finish(request, &world, &login, &decision, now, keys.first());
    let (log, record) = (answer.log, answer.record);
    Answer {
        log: log.map(|line| line.field("owners", &human.names())),
        record: record.map(|entry| Box::new(entry.with_owners(human.names()))),
        ..answer
    }
}

/// Refuses what two answers about one login contradict each other on.
fn undecided(request: &Request, now: Timestamp) -> Answer {
    let mut world = World::load(request);
    world.read_orders(request);
    let (facts, human) = (Facts::default(), Human::Other(Person::CannotTell(Fault::Config)));
    let login = login(request, &request.user, &facts, &human);
    finish(request, &world, &login, &Decision::undecided(), now, None)
}

fn login<'a>(request: &'a Request, account: &'a str, facts: &'a Facts, human: &'a Human) -> Login<'a> {
    let (service, tty, place) = (&request.service, &request.tty, &request.remote_host);
    Login { service, account, facts, person: human.person(), tty, place }
}

/// The user who called su: su shows its real uid, and no more that can be believed.
fn su_caller(caller: Uid, rules: &Rules) -> Human {
    if caller.is_root() {
        return Human::Other(Person::Superuser);
    }
    accounts::name_of(caller).map_or(Human::Other(Person::Unknown), |name| Human::of_account(&name, rules))
}

/// Does systemd ask, for a unit that logs somebody in, as `machinectl shell` has it start one? Whoever makes it do so is
/// root, or polkit has let them: where `polkit-1` is decided here, by asking us, unless a rule of the site's says yes
/// without asking (which doctor names). It asks in a child of process 1: by its own program up to release 254, and by a
/// helper since then.
fn is_asked_by_systemd(request: &Request, caller: Uid, rules: &Rules) -> bool {
    const PROGRAMS: [&str; 4] = [
        "/usr/lib/systemd/systemd-executor",
        "/lib/systemd/systemd-executor",
        "/usr/lib/systemd/systemd",
        "/lib/systemd/systemd",
    ];
    let is_init = || {
        let program = std::fs::read_link("/proc/self/exe");
        getppid().as_raw() == 1
            && program.is_ok_and(|program| PROGRAMS.iter().any(|it| program == Path::new(it)))
    };
    let is_login = request.service == "login" && request.remote_host.is_empty() && caller.is_root();
    is_login && rules.covers_service("polkit-1") && is_init()
}

/// The user who called sudo or doas. A real uid that is not root's proves the name; a caller who is root by both
/// is root already.
fn named_caller(request: &Request, caller: Uid, facts: &Facts, rules: &Rules) -> Human {
    if request.asker.is_empty() {
        return Human::Other(Person::Unknown);
    }
    if caller.is_root() {
        let root_asks = facts.uid == Some(0);
        let person = Human::of_account(&request.asker, rules);
        return if root_asks { Human::Other(Person::Superuser) } else { person };
    }
    match accounts::name_of(caller) {
        Some(name) if name == request.asker => Human::of_account(&name, rules),
        _ => Human::Other(Person::Unknown),
    }
}

/// The keys in sshd's account of how the user authenticated: lines of `publickey TYPE BASE64`, among lines
/// for other methods. None at all if one of them is not a plain key: beside a certificate, a key is not the
/// whole truth. sshd ends each line, and pam_env cannot: where that stands before us and reads ~/.pam_environment
/// (Debian's does), no user can say whose key it was.
fn offered_keys(authentication: &str) -> Vec<PublicKey> {
    let key = |line: &str| {
        let mut words = line.split(' ').skip(1);
        let (kind, body, None) = (words.next()?, words.next()?, words.next()) else { return None };
        PublicKey::parse_words(kind, body).ok()
    };
    let whole = if authentication.ends_with('\n') { authentication } else { "" };
    let lines = whole.lines().filter(|line| line.split(' ').next() == Some("publickey"));
    lines.map(key).collect::<Option<Vec<_>>>().unwrap_or_default()
}

/// The program whose keys these are, if one of them is any program's: it is no person's then, whoever else lists
/// it, and beside another's it is nobody's.
fn program(rules: &Rules, account: &str, keys: &[PublicKey]) -> Option<Human> {
    let entries = keys.iter().map(|key| rules.program(&key.sha256(), account));
    let entries: Vec<Option<&Automation>> = entries.collect();
    let first = entries.iter().find_map(|entry| *entry)?;
    let is_one = entries.iter().all(|entry| entry.is_some_and(|entry| entry.number == first.number));
    Some(if is_one { Human::Program(Box::new(first.clone())) } else { Human::Other(Person::Unknown) })
}

/// The one person who owns every key that opened the session.
fn key_owner(config: &Config, keys: &[PublicKey], now: Timestamp) -> Human {
    let Some(directory) = &config.directory else { return Human::Other(Person::Unknown) };
    if keys.is_empty() {
        return Human::Other(Person::Unknown);
    }
    let owners = || -> Result<Vec<KeyOwner>, store::StoreError> {
        let copy =
            KeyCopy::open(&config.paths.keys, &config.copy_scope(directory), config.keys.stale_for, now)?;
        keys.iter().map(|key| copy.owner_of(key)).collect()
    };
    match owners() {
        Err(error) => Human::Other(Person::CannotTell(error.fault())),
        Ok(owners) => one_human(owners),
    }
}

/// The one of whom all these say that the key is theirs.
fn one_human(owners: Vec<KeyOwner>) -> Human {
    match owners.split_first() {
        Some((KeyOwner::Nobody, _)) | None => Human::Other(Person::Unknown),
        Some((KeyOwner::One(first), rest))
            if rest.iter().all(|owner| *owner == KeyOwner::One(first.clone())) =>
        {
            Human::Named(first.clone())
        }
        Some(_) => {
            let names = owners.into_iter().flat_map(|owner| match owner {
                KeyOwner::Nobody => Vec::new(),
                KeyOwner::One(one) => vec![one],
                KeyOwner::Several(several) => several,
            });
            Human::Several(names.collect())
        }
    }
}

/// The mode, for the log, where it is not simply to enforce.
fn mode_word(mode: Mode, source: ModeSource<'_>) -> &'static str {
    match source.word() {
        "" if mode == Mode::Observe => "observe",
        word => word,
    }
}

fn finish(
    request: &Request,
    world: &World,
    login: &Login<'_>,
    decision: &Decision,
    now: Timestamp,
    key: Option<&PublicKey>,
) -> Answer {
    let (mode, source) = world.mode(now);
    let effect = decision.effect(mode);
    let tell = match &decision.ground {
        _ if effect.refuses() => Some(world.refusal(login, decision, now)),
        Ground::OnCall(ground) if ground.is_old => Some(format!("on call: {}", ground.old_news())),
        _ => None,
    };
    let ours = decision.reason != Reason::OutOfScope;
    let log = ours.then(|| {
        let person = match login.person {
            Person::Known(principal) | Person::Taken(principal) => principal.as_str(),
            _ => "-",
        };
        Line::of(person, decision)
            .field("mode", mode_word(mode, source))
            .field("service", &request.service)
            .field("account", &request.user)
            .field("asker", &request.asker)
            .field("rhost", &request.remote_host)
            .field("tty", &request.tty)
            .field("fingerprint", &key.map(PublicKey::fingerprint).unwrap_or_default())
            .field("problem", &world.problem())
    });
    let entry = || Box::new(Entry::new(request, world, &Decided { login, decision, mode, key }));
    let can_wait = effect.refuses() && decision.can_wait();
    Answer { effect, tell, log, record: ours.then(entry), can_wait }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let line = answer.log.as_ref().map(|line| line.as_str().to_string()).unwrap_or_default();
        line.split(' ').find_map(|field| field.strip_prefix("reason=")).unwrap_or("none").to_string()
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
        let open = |service: &str, user: &str| open_session(&request(service, user), None, NOW).effect;
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
        assert!(answer.log.is_some_and(|line| line.as_str().contains("unknown\\x20word")));
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

    #[test]
    fn a_programs_key_beside_any_other_is_nobodys() {
        let key = |body: &str| {
            PublicKey::parse_words("ssh-ed25519", &format!("AAAAC3NzaC1lZDI1NTE5AAAAI{body}")).unwrap()
        };
        let deploys = key("K/OeWvFcMsjGk2gjZ0vGchZrrb/gHMSUZZ3rHYb/3X6");
        let backups = key("JqnFMGpZIBdoJ51sSTzbGF+TPdJsyKHXxmErQvWJy5o");
        let persons = PublicKey::parse(made_keys::numbered(1).as_bytes()).unwrap();
        let entry = |number, key: &PublicKey| Automation {
            number,
            account: policy::Account::new("root").unwrap(),
            digests: vec![key.sha256()],
            keys: Vec::new(),
            from: Vec::new(),
            services: vec!["sshd".to_string()],
            owner: String::new(),
            reason: String::new(),
            until: NOW,
        };
        let automation = vec![entry(1, &deploys), entry(2, &backups)];
        let rules = Rules { automation, ..Rules::compiled() };
        let number = |keys: &[&PublicKey]| {
            let keys: Vec<PublicKey> = keys.iter().map(|&key| key.clone()).collect();
            program(&rules, "root", &keys).map(|human| match human.person() {
                Person::Program(entry) => Some(entry.number),
                _ => None,
            })
        };
        assert_eq!(number(&[&deploys, &deploys]), Some(Some(1)));
        for pair in [[&deploys, &persons], [&persons, &deploys], [&deploys, &backups]] {
            assert_eq!(number(&pair), Some(None));
        }
        assert_eq!(number(&[&persons]), None, "a person's");
    }

    #[test]
    fn keys_are_one_persons_if_every_one_of_them_is() {
        let owner = |name: &str| KeyOwner::One(Principal::new(name).unwrap());
        let told = |owners: &[KeyOwner]| {
            let human = one_human(owners.to_vec());
            let name = if let Human::Named(person) = &human { person.as_str() } else { "" };
            (name.to_string(), human.names())
        };
        let words = |name: &str, names: &str| (name.to_string(), names.to_string());
        assert_eq!(told(&[owner("alice"), owner("alice")]), words("alice", ""));
        for others in [vec![owner("bob"), owner("alice")], vec![owner("alice"), owner("bob")]] {
            let (_, names) = told(&[vec![owner("alice")], others].concat());
            assert!(names.contains("alice") && names.contains("bob"), "{names}");
        }
        assert_eq!(told(&[owner("alice"), KeyOwner::Nobody]), words("", "alice"));
        assert_eq!(told(&[KeyOwner::Nobody, owner("alice")]), words("", ""));
        assert_eq!(told(&[]), words("", ""));
    }

    #[test]
    fn only_whole_publickey_lines_are_keys() {
        let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIK/OeWvFcMsjGk2gjZ0vGchZrrb/gHMSUZZ3rHYb/3X6";
        assert_eq!(offered_keys(&format!("publickey {key}\n")).len(), 1);
        assert_eq!(offered_keys(&format!("password\npublickey {key}\n")).len(), 1);
        for other in [
            "",
            "password\n",
            "publickey\n",
            "publickey ssh-ed25519 SHA256:abc\n",
            &format!("hostbased {key}\n"),
            // Beside what is no plain key, a key is not the whole truth.
            &format!("publickey {key}\npublickey ssh-ed25519-cert-v01@openssh.com AAAA\n"),
            &format!("publickey\npublickey {key}\n"),
            // As pam_env could make it.
            &format!("publickey {key}"),
            &format!("publickey {key} publickey {key}\n"),
            &format!("publickey {key}\npublickey {key}"),
        ] {
            assert_eq!(offered_keys(other).len(), 0, "{other}");
        }
    }
}
