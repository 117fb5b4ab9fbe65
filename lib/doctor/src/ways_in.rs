//! Who still gets in: an exempt account or the console when everything else fails, and somebody on call now.

pub mod canary;

use std::path::Path;

use host::probe::Tried;
use policy::{Authority, Claims, Evidence, Principal, Revoked, Roster, Rules, Timestamp, told_on_call};

use super::accounts::{Accounts, User};
use super::entry::Entry;
use super::finding::{Finding, Fix, Place, Severity, quoted};
use super::obstacle::{Obstacle, Role};
use super::sudo::Sudoers;

/// What is looked at.
pub struct WaysIn<'a> {
    pub rules: &'a Rules,
    pub config: &'a str,
    pub accounts: &'a Accounts,
    pub sudoers: &'a Sudoers,
    pub roster: Option<&'a Roster>,
    /// `None`: that cannot be told, and nobody who is guarded is admitted.
    pub revoked: Option<&'a Revoked>,
    pub now: Timestamp,
    /// What keeps out of an account.
    pub entry: &'a Entry<'a>,
    pub text: &'a dyn Fn(&str) -> Option<String>,
}

/// Judges the exempt accounts and the console.
pub fn when_everything_fails(ways: &WaysIn<'_>) -> Vec<Finding> {
    let names = ways.rules.exempt_accounts.iter().map(|account| account.as_str());
    let obstacles: Vec<_> = names.map(|name| (name, ways.obstacle(name))).collect();
    let some_enters = obstacles.iter().any(|(_, obstacle)| obstacle.is_none());
    // Programs are exempt too, and have neither keys nor passwords: then one account that people enter is enough.
    let severity = if some_enters { Severity::Note } else { Severity::Warning };
    let told =
        |(name, obstacle): (&str, Option<Obstacle>)| Some(obstacle?.told(severity, name, Role::Exempt));
    let mut findings: Vec<Finding> = obstacles.into_iter().filter_map(told).collect();
    if !some_enters && !ways.console_opens() {
        findings.push(ways.no_way_in());
    }
    findings
}

/// What came of trying those ways in that nothing above speaks against, by real transactions.
pub fn tried(ways: &WaysIn<'_>, tries: &Tries<'_>) -> Vec<Tried> {
    let open = |name: &&str| ways.obstacle(name).is_none();
    let names = ways.rules.exempt_accounts.iter().map(|account| account.as_str()).filter(open);
    let console = ways.console_opens().then(|| (tries.console)()).flatten();
    console.into_iter().chain(names.filter_map(tries.exempt)).collect()
}

/// Judges that.
pub fn when_tried(tried: Vec<Tried>) -> Vec<Finding> {
    tried.into_iter().filter_map(|tried| Some(refused(tried.service, &tried.outcome.err()?))).collect()
}

/// How ways in are tried.
pub struct Tries<'a> {
    pub console: &'a dyn Fn() -> Option<Tried>,
    pub exempt: &'a dyn Fn(&str) -> Option<Tried>,
}

fn refused(service: &str, what: &str) -> Finding {
    let why = "it is there for the day on which nothing answers, and its stack, asked just now, would not let it in";
    let advice = "the log names the module that refused (`journalctl -n 20`); mend that file, and run `oncall-cache doctor` again";
    Finding::lock_out("way-in", what)
        .at(Place::file(format_args!("/etc/pam.d/{service}")))
        .why(why)
        .advise(advice)
}

/// Judges the shared accounts, and the own accounts of those who are on call now.
pub fn when_on_call(ways: &WaysIn<'_>) -> Vec<Finding> {
    let shared = ways.rules.shared.iter().map(|shared| (shared.account.as_str(), Role::Shared));
    let people = ways.on_call().unwrap_or_default();
    let people = people.into_iter().map(|person| (person.as_str(), Role::OnCall));
    // Whom only a directory knows is not judged.
    let told = |(name, role)| {
        let obstacle = ways.entry.obstacle(ways.accounts.user(name)?, role)?;
        let severity = if role == Role::Shared { Severity::LockOut } else { Severity::Warning };
        Some(obstacle.told(severity, name, role))
    };
    shared.chain(people).filter(|(name, _)| !ways.rules.exempts(name)).filter_map(told).collect()
}

impl WaysIn<'_> {
    fn no_way_in(&self) -> Finding {
        let what = "when no roster is valid nobody gets in: there is no working exempt account and no console with a password";
        let found = Finding::lock_out("no-way-in", what).at(Place::file(self.config));
        let why =
            "if the directory or the provider is down for longer than max_age, only a rescue disk then helps";
        let advice = "make an account for that day (`useradd -m breakglass`), give it a key in its own authorized_keys and a rule in sudoers that asks for no password (`echo 'breakglass ALL=(ALL:ALL) NOPASSWD: ALL' >/etc/sudoers.d/breakglass`), and list it in policy.exempt_accounts";
        found.why(why).advise(advice)
    }

    /// Can somebody log in as root on the console?
    fn console_opens(&self) -> bool {
        let has_password = |user: &User| {
            (user.uid == 0 || self.rules.exempts(&user.name)) && self.accounts.has_password(&user.name)
        };
        !self.rules.exempt_ttys.is_empty() && self.accounts.users.iter().any(has_password)
    }

    /// Those on call now whom the policy admits, where that is known.
    fn on_call(&self) -> Option<Vec<&Principal>> {
        let evidence = Evidence {
            roster: Ok(self.roster?),
            revoked: Ok(self.revoked?),
            grants: &[],
            claims: Claims::NotAsked,
        };
        let people = told_on_call(&evidence, self.rules, self.now)?;
        Some(people.into_iter().map(|(person, _)| person).collect())
    }

    /// Why `name` is no way in, if it is none.
    fn obstacle(&self, name: &str) -> Option<Obstacle> {
        let gone = Fix::Advice("remove it from policy.exempt_accounts, or create it again".to_string());
        let Some(user) = self.accounts.user(name) else {
            let (what, place) = ("is not in /etc/passwd".to_string(), Place::file(self.config));
            return Some(Obstacle { what, place, fix: gone });
        };
        let person = self.rules.person_of(name).ok();
        if let Some(revocation) = person.and_then(|person| self.revoked?.get(&person, self.now)) {
            return Some(self.revoked_obstacle(name, revocation.authority));
        }
        let entry = self.entry.obstacle(user, Role::Exempt);
        entry.or_else(|| self.without_a_proof(user, gone)).or_else(|| self.without_root(user))
    }

    fn revoked_obstacle(&self, name: &str, authority: Authority) -> Obstacle {
        let what = format!("is revoked {}, which takes precedence", authority.place());
        match authority {
            Authority::Host => Obstacle::ended_by(format!("oncall-cache unrevoke {name}"), what, self.config),
            Authority::Fleet => {
                let fix = Fix::Advice(format!("at a collector: `oncall-collector unrevoke {name}`"));
                Obstacle { what, place: Place::file(self.config), fix }
            }
        }
    }

    /// No key and no password by which somebody could enter.
    fn without_a_proof(&self, user: &User, gone: Fix) -> Option<Obstacle> {
        let settings = (self.entry.settings)(&user.name);
        let files = match &settings {
            Some(settings) => settings.key_files(&user.name, &user.home),
            None => vec![format!("{}/.ssh/authorized_keys", user.home)],
        };
        let settings = settings.unwrap_or_default();
        let opens = |file: &&String| self.keys(file).iter().any(|key| settings.accepts(key));
        let Some(file) = files.iter().find(opens) else {
            let has_password = self.accounts.has_password(&user.name);
            return (!has_password).then(|| self.no_key(user, &files, gone));
        };
        // sshd's StrictModes: the file, and all directories up to the home, are the user's or root's alone.
        let strict = |path: &&Path| {
            (self.entry.stat)(path)
                .is_some_and(|stat| stat.mode & 0o022 != 0 || (stat.uid != 0 && stat.uid != user.uid))
        };
        let above = Path::new(file).ancestors().take_while(|path| path.starts_with(&user.home));
        let path = above.into_iter().find(strict)?.display().to_string();
        let what = format!("sshd does not read its keys: {path} could be written by others");
        let fix = format!("chown {} {1} && chmod go-w {1}", quoted(&user.name), quoted(&path));
        Some(Obstacle::ended_by(fix, what, &path))
    }

    /// The lines of a file that are keys.
    fn keys(&self, file: &str) -> Vec<String> {
        let text = (self.text)(file).unwrap_or_default();
        let is_key = |line: &&str| !line.is_empty() && !line.starts_with('#');
        text.lines().map(str::trim).filter(is_key).map(String::from).collect()
    }

    /// None of `files` has a key that sshd accepts.
    fn no_key(&self, user: &User, files: &[String], gone: Fix) -> Obstacle {
        let Some(file) = files.iter().find(|file| !self.keys(file).is_empty()) else {
            let place = Place::file(files.first().unwrap_or(&user.home));
            return Obstacle { what: "has neither a key nor a password".to_string(), place, fix: gone };
        };
        let what = "sshd accepts none of its keys (PubkeyAcceptedAlgorithms)".to_string();
        let advice = "give it a key of a type that PubkeyAcceptedAlgorithms lists, or add that of its key there and reload sshd";
        Obstacle { what, place: Place::file(file), fix: Fix::Advice(advice.to_string()) }
    }

    /// It gets in, and does not become root.
    fn without_root(&self, user: &User) -> Option<Obstacle> {
        let rule = self.sudoers.gives_root(&user.name, &self.accounts.groups_of(&user.name));
        let what = match rule {
            _ if user.uid == 0 => return None,
            Some(rule) if rule.asks_nothing || self.accounts.has_password(&user.name) => return None,
            Some(_) => "sudo asks it for a password that it does not have",
            None => "sudo does not make it root",
        };
        let fix = format!(
            "printf '{} ALL=(ALL:ALL) NOPASSWD: ALL\\n' >/etc/sudoers.d/{0} && chmod 440 /etc/sudoers.d/{0}",
            user.name
        );
        Some(Obstacle::ended_by(fix, what, super::sudo::FILE))
    }
}

/// Is anybody on call whom the policy admits, and does an account let them in?
pub fn now(ways: &WaysIn<'_>, root_by_ssh: bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    if ways.on_call().is_some_and(|people| people.is_empty()) {
        let found = Finding::warning("nobody-on-call", "nobody who may become root is on call here now")
            .at(Place::file(ways.config));
        let why = "until the next shift only exempt accounts and the console get in";
        let advice = "`oncall-cache who` shows shifts; fix an unintended gap in the rota, and eligibility in the directory";
        findings.push(found.why(why).advise(advice));
    }
    if ways.rules.shared("root").is_none() && root_by_ssh {
        let found =
            Finding::warning("no-shared-root", "root is guarded, but no [[policy.shared_account]] names it")
                .at(Place::file(ways.config));
        let why = "authkeys prints no keys for root: people on call become root only through their own account and sudo";
        let advice = "`[[policy.shared_account]]` with account = \"root\"; or `PermitRootLogin no` in sshd_config, if that is intended";
        findings.push(found.why(why).advise(advice));
    }
    findings
}

#[cfg(test)]
mod tests {
    use policy::{Account, HostSelector, Rule, Schedule, ScheduleRef, Shift, Span, Window};

    use super::super::machine::Stat;
    use super::super::sshd::Settings;
    use super::super::sudo::Reader;
    use super::*;

    struct World {
        passwd: &'static str,
        shadow: &'static str,
        sudoers: &'static str,
        keys: Option<&'static str>,
        mode: u32,
        ttys: bool,
        /// What `sshd -T` says of it.
        sshd: &'static str,
    }

    const NOW: Timestamp = Timestamp::from_unix(1_795_165_200);

    const GOOD: World = World {
        passwd: "root:x:0:0::/root:/bin/sh\nbreak:x:1000:100::/home/break:/bin/sh\n",
        shadow: "root:*:::::::\nbreak:!:::::::\n",
        sudoers: "break ALL=(ALL) NOPASSWD: ALL\n",
        keys: Some("# x\nssh-ed25519 AAAA\n"),
        mode: 0o700,
        ttys: true,
        sshd: "denyusers alice\nallowgroups sudo\nallowgroups use*\n",
    };

    fn reference() -> ScheduleRef {
        ScheduleRef { source: "pd".to_string(), id: "P1".to_string() }
    }

    fn found(world: &World) -> Vec<String> {
        looked_at(world, None, Some(&Revoked::nobody()), |ways| {
            let findings = when_everything_fails(ways).into_iter();
            findings.map(|finding| format!("{} {}", finding.severity, finding.what)).collect()
        })
    }

    fn looked_at<T>(
        world: &World,
        roster: Option<&Roster>,
        revoked: Option<&Revoked>,
        look: impl FnOnce(&WaysIn<'_>) -> T,
    ) -> T {
        let exempt_accounts = vec![Account::new("break").unwrap()];
        let compiled = Rules::compiled();
        let exempt_ttys = if world.ttys { compiled.exempt_ttys.clone() } else { vec![] };
        let rule = Rule {
            name: "r".to_string(),
            hosts: vec![HostSelector::parse("*")],
            schedules: vec![reference()],
            max_escalation_level: 1,
            claim: false,
            incident: None,
        };
        let rules = Rules { exempt_accounts, exempt_ttys, rules: vec![rule], ..compiled };
        let accounts =
            Accounts::parse(world.passwd.to_string(), "sudo:x:27:\nusers:x:100:\n".to_string(), world.shadow);
        let sudoers = Sudoers::read(
            &Reader { text: &|_| Some(world.sudoers.to_string()), names: &|_| vec![] },
            &|_| false,
        );
        let entry = Entry {
            accounts: &accounts,
            now: NOW,
            settings: &|_| {
                Some(Settings::parse(&format!("authorizedkeysfile .ssh/authorized_keys\n{}", world.sshd)))
            },
            lines: &[],
            stat: &|path| {
                let is_home = path.starts_with("/home");
                let (uid, mode) = if is_home { (1000, world.mode) } else { (0, 0o755) };
                Some(Stat { uid, gid: 100, mode, is_directory: is_home })
            },
        };
        let ways = WaysIn {
            rules: &rules,
            config: "/c",
            accounts: &accounts,
            sudoers: &sudoers,
            roster,
            revoked,
            now: NOW,
            entry: &entry,
            text: &|_| world.keys.map(String::from),
        };
        look(&ways)
    }

    #[test]
    fn an_exempt_account_has_to_get_in_and_to_become_root() {
        assert_eq!(found(&GOOD), [""; 0]);
        let without_way = "lock-out when no roster is valid nobody gets in: there is no working exempt account and no console with a password";
        for (world, expected) in [
            (
                World { passwd: "root:x:0:0::/root:/bin/sh\n", ..GOOD },
                "break is exempt, and is not in /etc/passwd",
            ),
            (
                World { shadow: "root:*:::::::\nbreak:!::::::10:\n", ..GOOD },
                "break is exempt, and is expired",
            ),
            (
                World { passwd: "break:x:1000:100::/home/break:/usr/sbin/nologin\n", ..GOOD },
                "break is exempt, and has no shell (/usr/sbin/nologin)",
            ),
            (
                World { shadow: "root:*:::::::\nbreak:!:0::::::\n", ..GOOD },
                "break is exempt, and must change its password first, even when it logs in with a key",
            ),
            (
                World { sshd: "denygroups users\n", ..GOOD },
                "break is exempt, and is kept out by sshd's DenyGroups",
            ),
            (
                World { sshd: "allowgroups root\n", ..GOOD },
                "break is exempt, and is kept out by sshd's AllowGroups",
            ),
            (
                World { sshd: "allowusers alice\n", ..GOOD },
                "break is exempt, and is kept out by sshd's AllowUsers",
            ),
            (
                World { sshd: "pubkeyacceptedalgorithms rsa-sha2-512\n", ..GOOD },
                "break is exempt, and sshd accepts none of its keys (PubkeyAcceptedAlgorithms)",
            ),
            (
                World { keys: Some("# none\n"), ..GOOD },
                "break is exempt, and has neither a key nor a password",
            ),
            (
                World { mode: 0o770, ..GOOD },
                "break is exempt, and sshd does not read its keys: /home/break/.ssh/authorized_keys could be written by others",
            ),
            (
                World { sudoers: "break ALL=(ALL) ALL\n", ..GOOD },
                "break is exempt, and sudo asks it for a password that it does not have",
            ),
            (World { sudoers: "", ..GOOD }, "break is exempt, and sudo does not make it root"),
        ] {
            assert_eq!(found(&world), [&format!("warning {expected}"), without_way]);
        }
    }

    #[test]
    fn a_console_with_a_password_is_a_way_in() {
        let with_password = World { keys: None, shadow: "root:$y$x:::::::\nbreak:!:::::::\n", ..GOOD };
        assert_eq!(found(&with_password).len(), 1);
        assert_eq!(found(&World { ttys: false, ..with_password }).len(), 2);
    }

    #[test]
    fn while_it_cannot_be_told_who_is_revoked_nobody_is_taken_to_be_admitted() {
        let window = Window::new(NOW.minus(Span::hours(1)), NOW.plus(Span::hours(1))).unwrap();
        let alice = Principal::new("alice").unwrap();
        let roster = Roster {
            late: Vec::new(),
            incidents: Default::default(),
            published: NOW,
            floor: NOW,
            schedules: vec![Schedule {
                reference: reference(),
                provider_id: "P1".to_string(),
                name: "One".into(),
                synced: NOW,
                horizon: NOW.plus(Span::hours(72)),
            }],
            shifts: vec![Shift { schedule: 0, principal: alice.clone(), level: 1, window }].into(),
            eligible: [(alice, true)].into(),
        };
        let on_call = |revoked| {
            looked_at(&GOOD, Some(&roster), revoked, |ways| ways.on_call().map(|people| people.len()))
        };
        assert_eq!((on_call(Some(&Revoked::nobody())), on_call(None)), (Some(1), None));
    }
}
