//! Accounts that somebody is to enter, and what keeps everybody out of one: the same look for those that are shared,
//! those that are exempt, and those of the people on call now.

use std::path::Path;

use policy::Timestamp;

use super::accounts::{Accounts, User};
use super::finding::quoted;
use super::machine::Stat;
use super::obstacle::{Obstacle, Role};
use super::sshd::{self, Line, Settings};

/// What is looked at.
pub struct Entry<'a> {
    pub accounts: &'a Accounts,
    pub now: Timestamp,
    /// What holds in sshd for an account; nothing, if there is no sshd here.
    pub settings: &'a dyn Fn(&str) -> Option<Settings>,
    /// Every line that sshd reads.
    pub lines: &'a [Line],
    pub stat: &'a dyn Fn(&Path) -> Option<Stat>,
}

impl Entry<'_> {
    /// What keeps everybody out of the account of `user`.
    pub fn obstacle(&self, user: &User, role: Role) -> Option<Obstacle> {
        let settings = (self.settings)(&user.name).unwrap_or_default();
        self.aged(user).or_else(|| self.without_a_shell(user, role, &settings)).or_else(|| {
            // sshd's own check of a shared account is told with the rest of sshd.
            (role != Role::Shared).then(|| self.listed_out(user, role, &settings)).flatten()
        })
    }

    /// pam_unix refuses an account whose day is over, and one whose password is to be changed first.
    fn aged(&self, user: &User) -> Option<Obstacle> {
        let name = quoted(&user.name);
        if self.accounts.is_expired(&user.name, self.now) {
            return Some(Obstacle::ended_by(format!("chage -E -1 {name}"), "is expired", "/etc/shadow"));
        }
        let what = "must change its password first, even when it logs in with a key";
        let renew = format!("chage -d \"$(date +%F)\" {name}");
        let has_to = self.accounts.has_to_change_password(&user.name, self.now);
        has_to.then(|| Obstacle::ended_by(renew, what, "/etc/shadow"))
    }

    fn without_a_shell(&self, user: &User, role: Role, settings: &Settings) -> Option<Obstacle> {
        let path = if user.shell.is_empty() { "/bin/sh" } else { &user.shell };
        let runs = |stat: Stat| !stat.is_directory && stat.mode & 0o111 != 0;
        let is_there = (self.stat)(Path::new(path)).is_some_and(runs);
        // A command of sshd's own, such as internal-sftp, needs no shell.
        let needs_none = role == Role::Shared && settings.forces_command();
        if is_there && (needs_none || !user.has_no_shell()) {
            return None;
        }
        let what = match is_there {
            true => format!("has no shell ({path})"),
            false => format!("has a shell that does not exist ({path})"),
        };
        let fix = format!("usermod -s /bin/sh {}", quoted(&user.name));
        Some(Obstacle::ended_by(fix, what, "/etc/passwd"))
    }

    fn listed_out(&self, user: &User, role: Role, settings: &Settings) -> Option<Obstacle> {
        let mut groups = self.accounts.groups_of(&user.name);
        if role == Role::OnCall {
            // A group that only a directory has may have them in it.
            let is_here =
                |pattern: &str| self.accounts.groups.iter().any(|one| sshd::fits(pattern, &one.name));
            groups.extend(settings.allowed_groups().filter(|pattern| !is_here(pattern)));
        }
        sshd::listed_out(&user.name, &groups, settings, self.lines)
    }
}
