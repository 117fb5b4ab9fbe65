//! Who still gets in: an exempt account or the console when everything else fails, and somebody on call now.

use std::path::Path;

use policy::{Evidence, Principal, Revoked, Roster, Rules, Timestamp, told_on_call};

use super::accounts::{Accounts, User};
use super::finding::{Finding, Place, Severity, quoted};
use super::machine::Stat;
use super::sudo::Sudoers;

/// What is looked at.
pub struct WaysIn<'a> {
    pub rules: &'a Rules,
    pub config: &'a str,
    pub accounts: &'a Accounts,
    pub sudoers: &'a Sudoers,
    pub revoked: &'a Revoked,
    pub now: Timestamp,
    /// The files that sshd looks for an account's keys in.
    pub key_files: &'a dyn Fn(&User) -> Vec<String>,
    pub text: &'a dyn Fn(&str) -> Option<String>,
    pub stat: &'a dyn Fn(&Path) -> Option<Stat>,
}

/// What keeps an exempt account from being of use, and what mends it.
struct Trouble {
    what: String,
    place: Place,
    mend: String,
}

const WHY_EXEMPT: &str = "it is there for the day on which nothing else lets anybody in";

/// Judges the exempt accounts and the console.
pub fn when_everything_fails(ways: &WaysIn<'_>) -> Vec<Finding> {
    let names = || ways.rules.exempt_accounts.iter().map(|account| account.as_str());
    let troubles: Vec<Trouble> = names().filter_map(|name| ways.trouble(name)).collect();
    let some_enters = names().any(|name| ways.trouble(name).is_none());
    // Programs are exempt too, and have neither keys nor passwords: then one account that people enter is enough.
    let severity = if some_enters { Severity::Note } else { Severity::Warning };
    let mut findings: Vec<Finding> = troubles
        .into_iter()
        .map(|Trouble { what, place, mend }| {
            let found = Finding::new(severity, "exempt-account", what).at(place).why(WHY_EXEMPT);
            if mend.is_empty() {
                found.advise("take it out of policy.exempt_accounts, or make it again")
            } else {
                found.run(mend)
            }
        })
        .collect();
    if !some_enters && !ways.console_opens() {
        findings.push(ways.no_way_in());
    }
    findings
}

impl WaysIn<'_> {
    fn no_way_in(&self) -> Finding {
        let what = "when no roster is believed nobody gets in: no exempt account that works, and no console with a password";
        let found = Finding::lock_out("no-way-in", what).at(Place::file(self.config));
        let why =
            "a directory or provider that is down for longer than max_age then takes a rescue disk to mend";
        let advice = "make an account for that day (`useradd -m -G sudo breakglass`), give it a key of its own in ~/.ssh/authorized_keys, and list it in policy.exempt_accounts";
        found.why(why).advise(advice)
    }

    /// Can somebody log in as root on the console?
    fn console_opens(&self) -> bool {
        let has_password = |user: &User| {
            (user.uid == 0 || self.rules.exempts(&user.name)) && self.accounts.has_password(&user.name)
        };
        !self.rules.exempt_ttys.is_empty() && self.accounts.users.iter().any(has_password)
    }

    /// Why `name` is no way in, if it is none.
    fn trouble(&self, name: &str) -> Option<Trouble> {
        let trouble =
            |what: String, file: &str, mend: String| Some(Trouble { what, place: Place::file(file), mend });
        let Some(user) = self.accounts.user(name) else {
            let what = format!("{name} is exempt, and is no account of /etc/passwd");
            return trouble(what, self.config, String::new());
        };
        if Principal::new(name).is_ok_and(|name| self.revoked.names(&name)) {
            let mend = format!("oncall-cache unrevoke {name}");
            return trouble(
                format!("{name} is exempt, and revoked on this host: that wins"),
                self.config,
                mend,
            );
        }
        if self.accounts.is_expired(name, self.now) {
            let mend = format!("chage -E -1 {}", quoted(name));
            return trouble(format!("{name} is exempt, and its time is over"), "/etc/shadow", mend);
        }
        if user.has_no_shell() {
            let mend = format!("usermod -s /bin/sh {}", quoted(name));
            return trouble(
                format!("{name} is exempt, and has no shell ({})", user.shell),
                "/etc/passwd",
                mend,
            );
        }
        self.without_a_proof(user).or_else(|| self.without_root(user))
    }

    /// No key and no password by which somebody could enter.
    fn without_a_proof(&self, user: &User) -> Option<Trouble> {
        let files = (self.key_files)(user);
        let holds_key = |file: &&String| {
            let text = (self.text)(file).unwrap_or_default();
            text.lines().any(|line| !line.trim().is_empty() && !line.trim().starts_with('#'))
        };
        let Some(file) = files.iter().find(holds_key) else {
            if self.accounts.has_password(&user.name) {
                return None;
            }
            let file = files.first().cloned().unwrap_or_else(|| user.home.clone());
            let what = format!("{} is exempt, and has neither a key nor a password", user.name);
            return Some(Trouble { what, place: Place::file(file), mend: String::new() });
        };
        // sshd's StrictModes: the file, and all directories up to the home, are the user's or root's alone.
        let strict = |path: &&Path| {
            (self.stat)(path)
                .is_some_and(|stat| stat.mode & 0o022 != 0 || (stat.uid != 0 && stat.uid != user.uid))
        };
        let above = Path::new(file).ancestors().take_while(|path| path.starts_with(&user.home));
        let path = above.into_iter().find(strict)?.display().to_string();
        let what = format!(
            "{} is exempt, and sshd does not read its keys: {path} could be written by others",
            user.name
        );
        let mend = format!("chown {} {} && chmod go-w {}", quoted(&user.name), quoted(&path), quoted(&path));
        Some(Trouble { what, place: Place::file(path), mend })
    }

    /// It gets in, and does not become root.
    fn without_root(&self, user: &User) -> Option<Trouble> {
        let of_groups = self.accounts.groups.iter().map(|group| group.name.as_str());
        let groups: Vec<&str> =
            of_groups.filter(|group| self.accounts.members(group).contains(user.name.as_str())).collect();
        let rule = self.sudoers.gives_root(&user.name, &groups);
        let file = super::sudo::FILE;
        let mend = format!(
            "printf '{} ALL=(ALL:ALL) NOPASSWD: ALL\\n' >/etc/sudoers.d/{0} && chmod 440 /etc/sudoers.d/{0}",
            user.name
        );
        let what = match rule {
            _ if user.uid == 0 => return None,
            Some(rule) if rule.asks_nothing || self.accounts.has_password(&user.name) => return None,
            Some(_) => {
                format!("{} is exempt, and sudo asks it for a password that it does not have", user.name)
            }
            None => format!("{} is exempt, and sudo does not make it root", user.name),
        };
        Some(Trouble { what, place: Place::file(file), mend })
    }
}

/// Is anybody on call whom the policy admits, and does an account let them in?
pub fn now(ways: &WaysIn<'_>, roster: Option<&Roster>, root_by_ssh: bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(roster) = roster {
        let evidence = Evidence { roster: Ok(roster), revoked: Ok(ways.revoked) };
        if told_on_call(&evidence, ways.rules, ways.now).is_some_and(|people| people.is_empty()) {
            let found = Finding::warning("nobody-on-call", "nobody who may become root is on call here now")
                .at(Place::file(ways.config));
            let why = "until the next shift only exempt accounts and the console get in";
            let advice = "`oncall-cache who` shows shifts; a gap that is not meant is mended in the rota, somebody who is not eligible in the directory";
            findings.push(found.why(why).advise(advice));
        }
    }
    if ways.rules.shared("root").is_none() && root_by_ssh {
        let found = Finding::warning("no-shared-root", "root is guarded, and in no [[policy.shared]]")
            .at(Place::file(ways.config));
        let why = "authkeys prints nobody's key for root: people on call become root by their own account and sudo alone";
        let advice = "`[[policy.shared]]` with account = \"root\"; or `PermitRootLogin no` in sshd_config, if that is meant";
        findings.push(found.why(why).advise(advice));
    }
    findings
}

#[cfg(test)]
mod tests {
    use policy::Account;

    use super::super::sudo::Reader;
    use super::*;

    struct World {
        passwd: &'static str,
        shadow: &'static str,
        sudoers: &'static str,
        keys: Option<&'static str>,
        mode: u32,
        ttys: bool,
    }

    const GOOD: World = World {
        passwd: "root:x:0:0::/root:/bin/sh\nbreak:x:1000:100::/home/break:/bin/sh\n",
        shadow: "root:*:::::::\nbreak:!:::::::\n",
        sudoers: "break ALL=(ALL) NOPASSWD: ALL\n",
        keys: Some("# x\nssh-ed25519 AAAA\n"),
        mode: 0o700,
        ttys: true,
    };

    fn found(world: &World) -> Vec<String> {
        let exempt_accounts = vec![Account::new("break").unwrap()];
        let compiled = Rules::compiled();
        let exempt_ttys = if world.ttys { compiled.exempt_ttys.clone() } else { vec![] };
        let rules = Rules { exempt_accounts, exempt_ttys, ..compiled };
        let accounts = Accounts::parse(world.passwd.to_string(), "sudo:x:27:\n".to_string(), world.shadow);
        let sudoers =
            Sudoers::read(&Reader { text: &|_| Some(world.sudoers.to_string()), names: &|_| vec![] });
        let ways = WaysIn {
            rules: &rules,
            config: "/c",
            accounts: &accounts,
            sudoers: &sudoers,
            revoked: &Revoked::nobody(),
            now: Timestamp::from_unix(1_795_165_200),
            key_files: &|user| vec![format!("{}/.ssh/authorized_keys", user.home)],
            text: &|_| world.keys.map(String::from),
            stat: &|_| Some(Stat { uid: 1000, gid: 100, mode: world.mode, is_directory: true }),
        };
        when_everything_fails(&ways)
            .into_iter()
            .map(|finding| format!("{} {}", finding.severity, finding.what))
            .collect()
    }

    #[test]
    fn an_exempt_account_has_to_get_in_and_to_become_root() {
        assert_eq!(found(&GOOD), [""; 0]);
        let without_way = "lock-out when no roster is believed nobody gets in: no exempt account that works, and no console with a password";
        for (world, expected) in [
            (
                World { passwd: "root:x:0:0::/root:/bin/sh\n", ..GOOD },
                "break is exempt, and is no account of /etc/passwd",
            ),
            (
                World { shadow: "root:*:::::::\nbreak:!::::::10:\n", ..GOOD },
                "break is exempt, and its time is over",
            ),
            (
                World { passwd: "break:x:1000:100::/home/break:/usr/sbin/nologin\n", ..GOOD },
                "break is exempt, and has no shell (/usr/sbin/nologin)",
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
}
