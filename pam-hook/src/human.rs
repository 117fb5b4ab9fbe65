//! Who the human being behind a login is, as far as one call of libpam's can tell: by the account, by the caller's uid, or
//! by the key that opened the session.

use std::path::Path;

use host::accounts;
use nix::unistd::{Uid, getppid};
use policy::{Actor, Automation, CertificateFault, Facts, Fault, Principal, Revocation, Rules, Timestamp};
use state::{HostState, certificates};
use store::keys::{KeyCopy, KeyOwner};

use crate::credential::Credential;
use crate::pam::Request;

/// The human being, as far as this call can tell.
pub enum Human {
    /// This person.
    Named(Principal),
    /// The keys are these people's.
    Several(Vec<Principal>),
    /// The keys are a program's.
    Program(Box<Automation>),
    /// One of the keys is revoked: they are nobody's.
    Revoked(Box<Revocation>),
    /// Nobody, by whose name the configuration means something else.
    Taken(Principal),
    /// Nobody that is known, for one of the reasons that a decision knows.
    Other(Actor<'static>),
}

impl Human {
    /// Whose account `name` is.
    pub fn of_account(name: &str, rules: &Rules) -> Self {
        match (rules.person_of(name), rules.taken_from(name)) {
            (Ok(person), _) => Self::Named(person),
            (Err(_), Some(person)) => Self::Taken(person),
            (Err(_), None) => Self::Other(Actor::Unusable),
        }
    }

    /// The same for a decision.
    pub fn person(&self) -> Actor<'_> {
        match self {
            Self::Named(principal) => Actor::Known(principal),
            Self::Several(_) => Actor::Ambiguous,
            Self::Program(entry) => Actor::Program(entry),
            Self::Revoked(revocation) => Actor::RevokedKey(revocation),
            Self::Taken(principal) => Actor::Taken(principal),
            Self::Other(person) => *person,
        }
    }

    /// Who it may be, for those who read the log.
    pub fn names(&self) -> String {
        match self {
            Self::Several(people) => Principal::list(people, ","),
            Self::Named(_) | Self::Program(_) | Self::Revoked(_) | Self::Taken(_) | Self::Other(_) => {
                String::new()
            }
        }
    }
}

/// The user who called su: su shows its real uid, and no more that can be trusted.
pub fn su_caller(caller: Uid, rules: &Rules) -> Human {
    if caller.is_root() {
        return Human::Other(Actor::Superuser);
    }
    accounts::name_of(caller).map_or(Human::Other(Actor::Unknown), |name| Human::of_account(&name, rules))
}

/// Does systemd ask, for a unit that logs somebody in, as `machinectl shell` has it start one? The person who makes it do so is
/// root, or polkit has let them: where `polkit-1` is decided here, by asking us, unless a rule of the site's says yes
/// without asking (which doctor names). It asks in a child of process 1: by its own program up to release 254, and by a
/// helper since then.
pub fn is_asked_by_systemd(request: &Request, caller: Uid, rules: &Rules) -> bool {
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
pub fn named_caller(request: &Request, caller: Uid, facts: &Facts, rules: &Rules) -> Human {
    if request.asker.is_empty() {
        return Human::Other(Actor::Unknown);
    }
    if caller.is_root() {
        let root_asks = facts.uid == Some(0);
        let person = Human::of_account(&request.asker, rules);
        return if root_asks { Human::Other(Actor::Superuser) } else { person };
    }
    match accounts::name_of(caller) {
        Some(name) if name == request.asker => Human::of_account(&name, rules),
        _ => Human::Other(Actor::Unknown),
    }
}

/// The program whose keys these are, if one of them is any program's: it is no person's then, no matter who else lists
/// it, and beside another's, or with a certificate, it is nobody's.
pub fn program(rules: &Rules, account: &str, credentials: &[Credential]) -> Option<Human> {
    let entry = |one: &Credential| one.digests().find_map(|digest| rules.program(&digest, account));
    let entries: Vec<Option<&Automation>> = credentials.iter().map(entry).collect();
    let first = entries.iter().find_map(|entry| *entry)?;
    let is_one = entries.iter().all(|entry| entry.is_some_and(|entry| entry.number == first.number))
        && credentials.iter().all(|one| one.plain_key().is_some());
    Some(if is_one { Human::Program(Box::new(first.clone())) } else { Human::Other(Actor::Unknown) })
}

/// The one person who owns everything that opened the session, by the configuration of `state`.
pub fn owner(state: &HostState, credentials: &[Credential], now: Timestamp) -> Human {
    let Ok(config) = state.config() else { return Human::Other(Actor::CannotTell(Fault::Config)) };
    let Some(directory) = &config.directory else { return Human::Other(Actor::Unknown) };
    if credentials.is_empty() {
        return Human::Other(Actor::Unknown);
    }
    if let Some(fault) = credentials.iter().find_map(|one| certificate_fault(state, one, now)) {
        return Human::Other(Actor::Certificate(fault));
    }
    let owners = || -> Result<Vec<KeyOwner>, store::StoreError> {
        let copy =
            KeyCopy::open(&config.paths.keys, &config.copy_scope(directory), config.keys.max_age, now)?;
        let owner = |one: &Credential| match one {
            Credential::Key(key) => copy.owner_of(key),
            Credential::Certificate(certificate) => certificates::holder(&config.rules, &copy, certificate),
            Credential::NoCertificate(_) => Ok(KeyOwner::Nobody),
        };
        credentials.iter().map(owner).collect()
    };
    match owners() {
        Err(error) => Human::Other(Actor::CannotTell(error.fault())),
        Ok(owners) => one_human(owners),
    }
}

/// Why this counts for nobody, if it is a certificate that does not.
fn certificate_fault(state: &HostState, credential: &Credential, now: Timestamp) -> Option<CertificateFault> {
    match credential {
        Credential::Key(_) => None,
        Credential::NoCertificate(_) => Some(CertificateFault::Unusable),
        Credential::Certificate(certificate) => state.certificate_fault(certificate, now).ok()?,
    }
}

/// The one of whom all these say that the key is theirs.
fn one_human(owners: Vec<KeyOwner>) -> Human {
    match owners.split_first() {
        Some((KeyOwner::Nobody, _)) | None => Human::Other(Actor::Unknown),
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

#[cfg(test)]
mod tests {
    use super::*;
    use store::PublicKey;

    const NOW: Timestamp = Timestamp::from_unix(1_795_165_200);

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
            let keys: Vec<Credential> = keys.iter().map(|&key| Credential::Key(key.clone())).collect();
            program(&rules, "root", &keys).map(|human| match human.person() {
                Actor::Program(entry) => Some(entry.number),
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
}
