//! Who the human being behind a login is, as far as one call of libpam's can tell: by the account, by the caller's uid, or
//! by the key that opened the session.

use std::path::Path;

use host::{Config, accounts};
use nix::unistd::{Uid, getppid};
use policy::{Actor, Automation, Facts, Principal, Revocation, Rules, Timestamp};
use store::PublicKey;
use store::keys::{KeyCopy, KeyOwner};

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

/// The keys in sshd's account of how the user authenticated: lines of `publickey TYPE BASE64`, among lines
/// for other methods. None at all if one of them is not a plain key: beside a certificate, a key is not the
/// whole truth. sshd ends each line, and pam_env cannot: where that comes before us and reads ~/.pam_environment
/// (Debian's does), no user can say whose key it was.
pub fn offered_keys(authentication: &str) -> Vec<PublicKey> {
    let key = |line: &str| {
        let mut words = line.split(' ').skip(1);
        let (kind, body, None) = (words.next()?, words.next()?, words.next()) else { return None };
        PublicKey::parse_words(kind, body).ok()
    };
    let whole = if authentication.ends_with('\n') { authentication } else { "" };
    let lines = whole.lines().filter(|line| line.split(' ').next() == Some("publickey"));
    lines.map(key).collect::<Option<Vec<_>>>().unwrap_or_default()
}

/// The program whose keys these are, if one of them is any program's: it is no person's then, no matter who else lists
/// it, and beside another's it is nobody's.
pub fn program(rules: &Rules, account: &str, keys: &[PublicKey]) -> Option<Human> {
    let entries = keys.iter().map(|key| rules.program(&key.sha256(), account));
    let entries: Vec<Option<&Automation>> = entries.collect();
    let first = entries.iter().find_map(|entry| *entry)?;
    let is_one = entries.iter().all(|entry| entry.is_some_and(|entry| entry.number == first.number));
    Some(if is_one { Human::Program(Box::new(first.clone())) } else { Human::Other(Actor::Unknown) })
}

/// The one person who owns every key that opened the session.
pub fn key_owner(config: &Config, keys: &[PublicKey], now: Timestamp) -> Human {
    let Some(directory) = &config.directory else { return Human::Other(Actor::Unknown) };
    if keys.is_empty() {
        return Human::Other(Actor::Unknown);
    }
    let owners = || -> Result<Vec<KeyOwner>, store::StoreError> {
        let copy =
            KeyCopy::open(&config.paths.keys, &config.copy_scope(directory), config.keys.max_age, now)?;
        keys.iter().map(|key| copy.owner_of(key)).collect()
    };
    match owners() {
        Err(error) => Human::Other(Actor::CannotTell(error.fault())),
        Ok(owners) => one_human(owners),
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
            let keys: Vec<PublicKey> = keys.iter().map(|&key| key.clone()).collect();
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
