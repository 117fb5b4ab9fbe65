//! The decision behind both hooks: who is the human being, and does the policy admit them.
//!
//! Account management decides for every login but one kind: an account that several people share,
//! entered over sshd. There the key says who it is, and sshd tells the key only when the session
//! opens (measured: during account management `SSH_AUTH_INFO_0` is set and empty). So account
//! management refuses what no person could be admitted to, passes the rest on if its stack line
//! promises `shared=session`, and session management decides.

use std::path::Path;

use host::audit::Line;
use host::{Config, accounts, config};
use nix::unistd::Uid;
use policy::{Decision, Evidence, Facts, Fault, Login, Person, Principal, Reason, Refusal, Roster, Rules};
use policy::{Timestamp, Verdict, anyone, decide, is_sudo};
use store::keys::{KeyCopy, KeyOwner};
use store::{PublicKey, roster};

use crate::pam::Request;

/// The word by which an account line promises that a session line of ours stands as well.
const SESSION_DECIDES: &str = "shared=session";

/// What follows for the user and the log.
#[derive(Debug)]
pub struct Answer {
    /// The verdict.
    pub verdict: Verdict,
    /// One line for the user, if they are refused.
    pub tell: Option<String>,
    /// The audit line, if this was a decision of ours.
    pub log: Option<Line>,
}

/// What this host knows at the moment of one decision.
struct World {
    config: Result<Config, String>,
    rules: Rules,
    roster: Result<Roster, Fault>,
}

impl World {
    /// Reads the configuration. The roster is read only once it is clear that the login is guarded.
    fn load(request: &Request) -> Self {
        let config = configuration(&request.arguments);
        let rules = config.as_ref().map_or_else(|_| Rules::compiled(), |config| config.rules.clone());
        Self { config, rules, roster: Err(Fault::Config) }
    }

    fn read_roster(&mut self) {
        if let Ok(config) = &self.config {
            self.roster = roster::read(&config.paths.roster).map_err(|error| error.fault());
        }
    }

    fn evidence(&self) -> Evidence<'_> {
        Evidence { roster: self.roster.as_ref().map_err(|fault| *fault) }
    }
}

/// The configuration that the stack line names. A word that we do not know is a fault of the line: it may
/// have been meant to name another configuration.
fn configuration(arguments: &[String]) -> Result<Config, String> {
    let mut path = config::DEFAULT_PATH;
    for argument in arguments {
        match argument.strip_prefix("config=") {
            Some(named) => path = named,
            None if argument == SESSION_DECIDES => {}
            None => return Err(format!("unknown word `{argument}` in the stack line of pam_oncall.so")),
        }
    }
    Config::load(Path::new(path)).map_err(|error| error.to_string())
}

/// The human being, as far as this call can tell.
enum Human {
    Named(Principal),
    /// The keys are these people's.
    Several(Vec<Principal>),
    Other(Person<'static>),
}

impl Human {
    fn of_account(name: &str) -> Self {
        Principal::new(name).map_or(Self::Other(Person::Unusable), Self::Named)
    }

    fn person(&self) -> Person<'_> {
        match self {
            Self::Named(principal) => Person::Known(principal),
            Self::Several(_) => Person::Ambiguous,
            Self::Other(person) => *person,
        }
    }

    /// Who it may be, for those who read the log.
    fn names(&self) -> String {
        match self {
            Self::Several(people) => people.iter().map(Principal::as_str).collect::<Vec<_>>().join(","),
            Self::Named(_) | Self::Other(_) => String::new(),
        }
    }
}

/// Can any account have this name? Longer or stranger ones are turned away before anything is looked up.
fn is_usable(name: &str) -> bool {
    !name.is_empty() && name.len() <= 256 && !name.chars().any(|c| c.is_control() || c == '\u{fffd}')
}

/// Account management.
pub fn account(request: &Request, caller: Uid, now: Timestamp) -> Answer {
    let mut world = World::load(request);
    if !world.rules.covers_service(&request.service) {
        return Answer { verdict: Verdict::NotOurs, tell: None, log: None };
    }
    // sudo asks about the user who called it; that user's name is in PAM_RUSER.
    let account =
        if is_sudo(&request.service) && !request.asker.is_empty() { &request.asker } else { &request.user };
    if !is_usable(&request.user) || !is_usable(account) {
        let facts = Facts::default();
        let login = Login { service: &request.service, account, facts: &facts, person: Person::Unusable };
        return finish(request, &world, &login, &Decision::unusable_name(), now, None);
    }
    let facts = accounts::facts(account, &world.rules.groups);
    if world.rules.guard(&request.service, account, &facts).is_some() {
        world.read_roster();
    }
    if is_sudo(&request.service) {
        let human = sudo_caller(request, caller, &facts);
        return answer(request, &world, account, &facts, human, now, None);
    }
    if world.rules.is_shared(account, &facts) {
        return shared_account(request, &world, &facts, now);
    }
    answer(request, &world, account, &facts, Human::of_account(account), now, None)
}

/// Session management, when a session opens: decides for shared accounts over sshd, lets all others be.
pub fn open_session(request: &Request, now: Timestamp) -> Answer {
    let mut world = World::load(request);
    let pass = Answer { verdict: Verdict::NotOurs, tell: None, log: None };
    if request.service != "sshd" || !world.rules.covers_service("sshd") || !is_usable(&request.user) {
        return pass;
    }
    let facts = accounts::facts(&request.user, &world.rules.groups);
    if !world.rules.is_shared(&request.user, &facts) {
        return pass;
    }
    world.read_roster();
    let keys = offered_keys(request.authentication.as_deref().unwrap_or_default());
    let human = match &world.config {
        Ok(config) => key_owner(config, &keys, now),
        Err(_) => Human::Other(Person::CannotTell(Fault::Config)),
    };
    answer(request, &world, &request.user, &facts, human, now, keys.first())
}

/// Account management of a shared account over sshd: could anybody be admitted, and will the session
/// hook be asked who it is?
fn shared_account(request: &Request, world: &World, facts: &Facts, now: Timestamp) -> Answer {
    let session_decides = request.arguments.iter().any(|argument| argument == SESSION_DECIDES);
    if !session_decides || request.authentication.is_none() {
        return answer(request, world, &request.user, facts, Human::Other(Person::Unknown), now, None);
    }
    let login = Login { service: &request.service, account: &request.user, facts, person: Person::Unknown };
    let decision = anyone(&login, &world.evidence(), &world.rules, now);
    finish(request, world, &login, &decision, now, None)
}

/// The user who called sudo. A real uid that is not root's proves the name; a caller who is root by both
/// is root already.
fn sudo_caller(request: &Request, caller: Uid, facts: &Facts) -> Human {
    if request.asker.is_empty() {
        return Human::Other(Person::Unknown);
    }
    if caller.is_root() {
        let root_asks = facts.uid == Some(0);
        return if root_asks { Human::Other(Person::Superuser) } else { Human::of_account(&request.asker) };
    }
    match accounts::name_of(caller) {
        Some(name) if name == request.asker => Human::of_account(&name),
        _ => Human::Other(Person::Unknown),
    }
}

/// The keys in sshd's account of how the user authenticated: lines of `publickey TYPE BASE64`, among lines
/// for other methods. None at all if one of them is not a plain key: beside a certificate, a key is not the
/// whole truth.
fn offered_keys(authentication: &str) -> Vec<PublicKey> {
    let key = |line: &str| {
        let mut words = line.split(' ').skip(1);
        PublicKey::parse_words(words.next()?, words.next()?).ok()
    };
    let lines = authentication.lines().filter(|line| line.split(' ').next() == Some("publickey"));
    lines.map(key).collect::<Option<Vec<_>>>().unwrap_or_default()
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
        // A program's key is no person's, whoever else lists it.
        let owner = |key: &PublicKey| match config.rules.automation(&key.sha256()) {
            Some(_) => Ok(KeyOwner::Nobody),
            None => copy.owner_of(key),
        };
        keys.iter().map(owner).collect()
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

fn answer(
    request: &Request,
    world: &World,
    account: &str,
    facts: &Facts,
    human: Human,
    now: Timestamp,
    key: Option<&PublicKey>,
) -> Answer {
    let login = Login { service: &request.service, account, facts, person: human.person() };
    let decision = decide(&login, &world.evidence(), &world.rules, now);
    let answer = finish(request, world, &login, &decision, now, key);
    Answer { log: answer.log.map(|line| line.field("owners", &human.names())), ..answer }
}

fn finish(
    request: &Request,
    world: &World,
    login: &Login<'_>,
    decision: &Decision,
    now: Timestamp,
    key: Option<&PublicKey>,
) -> Answer {
    let refused = !matches!(decision.verdict, Verdict::Allow | Verdict::NotOurs);
    let tell =
        refused.then(|| Refusal::new(login, decision, &world.evidence(), &world.rules, now).to_string());
    let ours = !matches!(decision.reason, Reason::OutOfScope | Reason::AwaitsKey);
    let log = ours.then(|| {
        let person = match login.person {
            Person::Known(principal) => principal.as_str(),
            _ => "-",
        };
        let fault = world.config.as_ref().err().map_or("", String::as_str);
        Line::of(person, decision)
            .field("service", &request.service)
            .field("account", &request.user)
            .field("asker", &request.asker)
            .field("rhost", &request.remote_host)
            .field("tty", &request.tty)
            .field("fingerprint", &key.map(PublicKey::fingerprint).unwrap_or_default())
            .field("problem", fault)
    });
    Answer { verdict: decision.verdict, tell, log }
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
        assert_eq!((root.verdict, reason(&root).as_str()), (Verdict::CannotTell, "config-invalid"));
        let nobody = account(&request("sshd", "nobody"), caller, NOW);
        assert_eq!((nobody.verdict, reason(&nobody).as_str()), (Verdict::NotOurs, "not-guarded"));
        let cron = account(&request("cron", "root"), caller, NOW);
        assert_eq!((cron.verdict, reason(&cron).as_str()), (Verdict::NotOurs, "none"));
        assert_eq!(open_session(&request("sshd", "root"), NOW).verdict, Verdict::CannotTell);
        assert_eq!(open_session(&request("sshd", "nobody"), NOW).verdict, Verdict::NotOurs);
        assert_eq!(open_session(&request("sudo", "root"), NOW).verdict, Verdict::NotOurs);
    }

    #[test]
    fn a_word_that_is_not_known_is_a_fault_of_the_stack_line() {
        let mut request = request("sshd", "root");
        request.arguments.push("conf=/etc/authkeys/strict.toml".to_string());
        let answer = account(&request, Uid::from_raw(0), NOW);
        assert_eq!((answer.verdict, reason(&answer).as_str()), (Verdict::CannotTell, "config-invalid"));
        assert!(answer.log.is_some_and(|line| line.as_str().contains("unknown\\x20word")));
    }

    #[test]
    fn a45_names_that_no_account_has_are_unknown_users() {
        for name in ["", "a\nb", "a\x1b", &"x".repeat(65_536), "\u{fffd}"] {
            let answer = account(&request("sshd", name), Uid::from_raw(0), NOW);
            assert_eq!(
                (answer.verdict, reason(&answer).as_str()),
                (Verdict::BadName, "bad-user"),
                "{name:.9?}"
            );
        }
    }

    #[test]
    fn a_root_that_calls_sudo_is_root_already() {
        let mut by_root = request("sudo", "root");
        by_root.asker = "root".to_string();
        assert_eq!(account(&by_root, Uid::from_raw(0), NOW).verdict, Verdict::NotOurs);
        // Under sudo's name, with a real uid that is somebody else's: the name proves nothing.
        let forged = account(&by_root, Uid::from_raw(65_534), NOW);
        assert_eq!((forged.verdict, reason(&forged).as_str()), (Verdict::Refuse, "unknown-person"));
        by_root.asker = String::new();
        assert_eq!(account(&by_root, Uid::from_raw(0), NOW).verdict, Verdict::Refuse);
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
        ] {
            assert_eq!(offered_keys(other).len(), 0, "{other}");
        }
    }
}
