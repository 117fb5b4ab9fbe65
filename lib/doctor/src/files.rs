//! Owners and modes of the suite's own files, its users and their groups: docs/architecture.md's tables.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use host::Config;
use host::config::{CalendarPlace, Directory, Fleet, Provider};

use status::FleetStatus;

use super::accounts::Accounts;
use super::finding::{Finding, Place, Severity, listed, quoted};
use super::machine::{self, Stat};

/// How a file should be.
#[derive(Debug)]
pub struct Wanted {
    path: PathBuf,
    owner: &'static str,
    group: &'static str,
    /// No other bits than these.
    mode: u32,
    /// These users have to read it.
    readers: &'static [&'static str],
    /// And everybody else.
    everybody: bool,
    severity: Severity,
    why: &'static str,
}

const WHY_CONFIG: &str = "a file that cannot be read, or that others could have written, is not trusted: guarded logins are refused";
const WHY_SECRET: &str =
    "a sync uses no secret that others can read or that it cannot read itself: its copies get too old";
const WHY_COPY: &str = "a copy that others could have written, or that its readers cannot read, is not used";
const WHY_OWNER: &str = "its proper owner cannot write it: syncs fail, the copy gets too old, and in the end people on call are refused";
const WHY_PROGRAM: &str = "anybody who can write it decides who is root";
const WHY_CLOCK: &str =
    "a clock file that others could have written is ignored: a clock that is set back is noticed only later";
const WHY_SIGNERS: &str = "a sync that cannot read whose signatures count takes nothing over: in the end the copies are too old, and people on call are refused";
const WHY_MARK: &str = "who can write it can lead this host back to people and shifts of before; and where its program cannot read it, nothing new is taken over";
const WHY_MIRROR: &str =
    "what its readers cannot read of the fleet does not reach this host: in the end the copies are too old";
const WHY_REREAD: &str = "a later reading of the rota that others could have written is ignored: shifts count as older than they are";
const WHY_RECORD: &str = "what is only a record of others is no part of a decision";

impl Wanted {
    fn root(path: impl Into<PathBuf>, mode: u32, why: &'static str) -> Self {
        Self {
            path: path.into(),
            owner: "root",
            group: "root",
            mode,
            readers: &[],
            everybody: mode & 0o4 != 0,
            severity: Severity::LockOut,
            why,
        }
    }

    fn secret(path: &Path, group: &'static str, readers: &'static [&'static str]) -> Self {
        let (severity, why) = (Severity::Warning, WHY_SECRET);
        Self {
            path: path.to_path_buf(),
            owner: "root",
            group,
            mode: 0o640,
            readers,
            everybody: false,
            severity,
            why,
        }
    }

    fn copy(
        path: impl Into<PathBuf>,
        owner: &'static str,
        group: &'static str,
        mode: u32,
        readers: &'static [&'static str],
    ) -> Self {
        let (severity, why) = (Severity::LockOut, WHY_COPY);
        Self { path: path.into(), owner, group, mode, readers, everybody: mode & 0o4 != 0, severity, why }
    }

    fn severity(self, severity: Severity, why: &'static str) -> Self {
        Self { severity, why, ..self }
    }

    /// What is wrong with the file, if it is there.
    fn judge(&self, accounts: &Accounts, stat: Stat) -> Option<Finding> {
        let (owner, group) = (accounts.user_name(stat.uid), accounts.group_name(stat.gid));
        let is_owner = owner == self.owner;
        let more = stat.mode & 0o777 & !self.mode;
        let users = self.readers.iter().filter_map(|name| accounts.user(name));
        let blind: Vec<&str> =
            users.filter(|user| !accounts.can_read(user, stat)).map(|user| user.name.as_str()).collect();
        let all = if stat.is_directory { 0o5 } else { 0o4 };
        let hidden = self.everybody && stat.mode & all != all;
        if is_owner && more == 0 && blind.is_empty() && !hidden {
            return None;
        }
        let (path, Self { owner: wanted_owner, group: wanted_group, mode, .. }) =
            (self.path.display().to_string(), self);
        let cannot =
            if blind.is_empty() { String::new() } else { format!("; {} cannot read it", listed(&blind)) };
        let what = format!(
            "{owner}:{group} {:04o}, in place of {wanted_owner}:{wanted_group} {mode:04o}{cannot}",
            stat.mode
        );
        // Root's file is trusted as its own user's is, and that user cannot write it.
        let is_only_roots = stat.uid == 0 && !stat.is_directory && more == 0 && blind.is_empty() && !hidden;
        let (severity, why) = match self.why {
            // What others can read is out; what others can write is theirs.
            WHY_PROGRAM if more & 0o022 != 0 => (Severity::Open, WHY_PROGRAM),
            _ if is_only_roots => (Severity::Warning, WHY_OWNER),
            why => (self.severity, why),
        };
        let found = Finding::new(severity, "file-mode", what).at(Place::file(&path)).why(why);
        let path = quoted(&path);
        Some(found.run(format_args!("chown {wanted_owner}:{wanted_group} {path} && chmod {mode:o} {path}")))
    }
}

const SYNCS: &[&str] = &["authkeys-sync", "oncall-cache"];
const READERS: &[&str] = &["authkeys", "oncall-cache"];

/// The files that there are whatever the configuration says.
pub fn of_config(path: &Path) -> Vec<Wanted> {
    vec![
        Wanted::root(path.parent().unwrap_or(Path::new("/")), 0o755, WHY_CONFIG),
        Wanted::root(path, 0o644, WHY_CONFIG),
        Wanted::root(Config::revoked_beside(path), 0o644, WHY_CONFIG),
        Wanted::root("/usr/bin/authkeys-sync", 0o755, WHY_PROGRAM),
        Wanted::root("/usr/bin/oncall-cache", 0o755, WHY_PROGRAM),
    ]
}

/// The files that this configuration names, and that a sync has to read.
fn read_by_syncs(config: &Config) -> Vec<Wanted> {
    let mut wanted = Vec::new();
    let source = |path: &Path| Wanted {
        readers: SYNCS,
        everybody: false,
        ..Wanted::root(path, 0o644, WHY_SECRET).severity(Severity::Warning, WHY_SECRET)
    };
    match &config.directory {
        Some(Directory::File(path)) => wanted.push(source(path)),
        Some(Directory::Ldap(ldap)) => {
            let key = ldap.client.as_ref().map(|client| &client.key);
            let secrets = ldap.bind_password_file.iter().chain(key);
            wanted.extend(
                secrets.map(|path| Wanted::secret(path, "authkeys-sync", &["authkeys-sync", "authkeys"])),
            );
        }
        Some(Directory::Fleet(_)) | None => {}
    }
    for one in &config.oncall.sources {
        match &one.provider {
            provider @ (Provider::PagerDuty(_)
            | Provider::Service(_)
            | Provider::Calendar(_)
            | Provider::Group(_)) => {
                let secrets = provider.secrets().into_iter();
                wanted.extend(secrets.map(|path| Wanted::secret(path, "oncall-cache", &["oncall-cache"])));
                if let Provider::Calendar(settings) = provider
                    && let CalendarPlace::File(path) = &settings.place
                {
                    wanted.push(Wanted { readers: &["oncall-cache"], ..source(path) });
                }
            }
            Provider::Rota(path) | Provider::File(path) => {
                wanted.push(Wanted { readers: &["oncall-cache"], ..source(path) })
            }
            Provider::Exec(_) | Provider::Fleet(_) => {}
        }
    }
    let header = config.fleet.as_ref().and_then(|fleet| fleet.header_file.as_ref());
    wanted.extend(header.map(|path| Wanted::secret(path, "oncall-cache", &["oncall-cache"])));
    wanted
}

/// The file of a fleet's signers.
pub fn signers(path: &Path) -> Wanted {
    Wanted { readers: SYNCS, ..Wanted::root(path, 0o644, WHY_SIGNERS) }
}

/// What is wrong with files that this configuration names, by owner and mode.
pub fn unreadable(config: &Config, accounts: &Accounts) -> BTreeMap<PathBuf, String> {
    let signers = config.fleet.as_ref().map(|fleet| signers(&fleet.signers));
    let named = read_by_syncs(config).into_iter().chain(signers);
    let judged = named.filter_map(|one| {
        // A directory in its place is another matter.
        let stat = machine::stat(&one.path).filter(|stat| !stat.is_directory)?;
        let found = one.judge(accounts, stat)?;
        Some((one.path, found.what))
    });
    judged.collect()
}

/// Every file of the suite that this configuration has.
pub fn wanted(config: &Config) -> Vec<Wanted> {
    let mut wanted = of_config(&config.path);
    wanted.extend(read_by_syncs(config));
    wanted.extend(copies(config));
    if let Some(fleet) = &config.fleet {
        wanted.push(Wanted::copy(&fleet.revoked, "oncall-cache", "oncall-cache", 0o644, &[]));
        let report = Wanted::copy(FleetStatus::path(fleet), "oncall-cache", "oncall-cache", 0o644, &[]);
        wanted.push(report.severity(Severity::Warning, WHY_RECORD));
        wanted.extend(mirrored(config, fleet));
    }
    wanted
}

/// What a host of a fleet has of it: the mirror, and how far each of the two programs that verify it has come.
fn mirrored(config: &Config, fleet: &Fleet) -> [Wanted; 5] {
    let mark = |path: PathBuf, owner, group, readers| {
        Wanted::copy(path, owner, group, 0o640, readers).severity(Severity::LockOut, WHY_MARK)
    };
    let readers: &[_] =
        if matches!(config.directory, Some(Directory::Fleet(_))) { SYNCS } else { &["oncall-cache"] };
    let part = |path: PathBuf, mode| {
        Wanted::copy(path, "oncall-cache", "authkeys", mode, readers).severity(Severity::Warning, WHY_MIRROR)
    };
    let keys = config.paths.keys.with_extension("mark");
    [
        mark(fleet.mark.clone(), "oncall-cache", "oncall-cache", &["oncall-cache"]),
        mark(keys, "authkeys-sync", "authkeys", &["authkeys-sync"]),
        part(fleet.mirror.clone(), 0o750),
        part(fleet.mirror.join("o"), 0o750),
        part(fleet.mirror.join("head"), 0o640),
    ]
}

fn copies(config: &Config) -> Vec<Wanted> {
    let parent = |path: &Path| path.parent().unwrap_or(Path::new("/")).to_path_buf();
    let (keys, roster, lookups) = (&config.paths.keys, &config.paths.roster, &config.paths.lookups);
    let private = |path: PathBuf, mode| {
        Wanted::copy(path, "authkeys", "authkeys", mode, &["authkeys"])
            .severity(Severity::Warning, WHY_RECORD)
    };
    let records = parent(roster);
    let lock = |path: &Path, owner| {
        let path = path.with_extension("lock");
        Wanted::copy(path, owner, owner, 0o600, &[]).severity(Severity::Warning, WHY_OWNER)
    };
    vec![
        lock(keys, "authkeys-sync"),
        lock(roster, "oncall-cache"),
        Wanted::copy(parent(keys), "authkeys-sync", "authkeys", 0o755, READERS),
        Wanted::copy(keys, "authkeys-sync", "authkeys", 0o640, READERS),
        Wanted::copy(keys.with_extension("stamp"), "authkeys-sync", "authkeys", 0o640, READERS),
        Wanted::copy(keys.with_extension("clock"), "authkeys-sync", "authkeys", 0o640, READERS)
            .severity(Severity::Warning, WHY_CLOCK),
        private(parent(lookups), 0o700),
        private(lookups.clone(), 0o600),
        Wanted::copy(&records, "oncall-cache", "oncall-cache", 0o755, &[]),
        Wanted::copy(roster, "oncall-cache", "oncall-cache", 0o644, &[]),
        Wanted::copy(roster.with_extension("clock"), "oncall-cache", "oncall-cache", 0o644, &[])
            .severity(Severity::Warning, WHY_CLOCK),
        Wanted::copy(roster.with_extension("reread"), "oncall-cache", "oncall-cache", 0o644, &[])
            .severity(Severity::Warning, WHY_REREAD),
        Wanted::copy(records.join("group.clock"), "oncall-cache", "oncall-cache", 0o644, &[])
            .severity(Severity::Warning, WHY_CLOCK),
        Wanted::copy(records.join("group"), "oncall-cache", "oncall-cache", 0o644, &[])
            .severity(Severity::Warning, WHY_COPY),
        Wanted::copy(records.join("status.json"), "oncall-cache", "oncall-cache", 0o644, &[])
            .severity(Severity::Warning, WHY_RECORD),
        Wanted::copy(records.join("history.jsonl"), "oncall-cache", "oncall-cache", 0o640, &[])
            .severity(Severity::Warning, WHY_RECORD),
    ]
}

/// Judges those that are there; that others are not is told by what needs them.
pub fn check(wanted: &[Wanted], accounts: &Accounts, stat: &dyn Fn(&Path) -> Option<Stat>) -> Vec<Finding> {
    wanted.iter().filter_map(|one| one.judge(accounts, stat(&one.path)?)).collect()
}

/// Who is meant to be in a group of the suite, and what anybody else in it could do.
const INSIDERS: [(&str, &[&str], &str); 3] = [
    ("authkeys-sync", &["authkeys", "authkeys-sync"], "they can read the secrets for the directory"),
    (
        "authkeys",
        &["authkeys", "authkeys-sync", "oncall-cache", "oncall-collector", "oncall-grant-accept"],
        "they can read everybody's mail address and keys",
    ),
    ("oncall-cache", &["oncall-cache"], "they can read the tokens for the providers"),
];

/// The suite's users, and the groups that let them read what they have to.
pub fn users(accounts: &Accounts) -> Vec<Finding> {
    let mut findings = Vec::new();
    for name in ["authkeys", "authkeys-sync", "oncall-cache"] {
        if accounts.user(name).is_none() {
            let found = Finding::lock_out("user", format_args!("there is no user {name}"))
                .at(Place::file("/etc/passwd"));
            let fix = format!(
                "useradd --system --user-group --home-dir /nonexistent --no-create-home --shell /usr/sbin/nologin {name}"
            );
            findings.push(found.why("the program that should run as this user cannot run").run(fix));
        }
    }
    for (name, group, why) in [
        (
            "authkeys",
            "authkeys-sync",
            "authkeys asks the directory live by a child that reads the directory's secrets",
        ),
        ("authkeys-sync", "authkeys", "it hands the copy of the directory to this group, and cannot"),
        (
            "oncall-cache",
            "authkeys",
            "it looks people up in the copy of the directory: every sync fails, and the roster gets too old",
        ),
        (
            "oncall-grant-accept",
            "authkeys",
            "it asks the copy of the directory whose keys are whose: no grant is accepted",
        ),
    ] {
        if accounts.user(name).is_some() && !accounts.members(group).contains(name) {
            let found = Finding::warning("membership", format_args!("{name} is not in group {group}"));
            findings.push(
                found
                    .at(Place::file("/etc/group"))
                    .why(why)
                    .run(format_args!("usermod -a -G {group} {name}")),
            );
        }
    }
    for (group, ours, why) in INSIDERS {
        for member in accounts.members(group).into_iter().filter(|member| !ours.contains(member)) {
            let found = Finding::warning("membership", format_args!("{member} is in group {group}"));
            findings.push(
                found
                    .at(Place::file("/etc/group"))
                    .why(why)
                    .run(format_args!("gpasswd -d {} {group}", quoted(member))),
            );
        }
    }
    findings
}

/// Groups by which somebody becomes root without sudo, su or a login.
const ROOT_GROUPS: [(&str, &str); 9] = [
    ("docker", "anybody who may start a container may mount this host's / into it"),
    ("lxd", "anybody who may start a container may mount this host's / into it"),
    ("incus-admin", "anybody who may start a container may mount this host's / into it"),
    ("libvirt", "anybody who may define a virtual machine may give it this host's disks"),
    ("disk", "they can read and write every file, through its disk"),
    ("shadow", "they can read every password hash, root's too"),
    ("adm", "they can read the logs, which sometimes contain secrets"),
    ("kmem", "they can read the kernel's memory"),
    ("root", "they can read and write what is open to the group root"),
];

/// Root by another door (threat model, section 8).
pub fn root_groups(accounts: &Accounts) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (group, why) in ROOT_GROUPS {
        let is_person = |name: &&str| {
            accounts.user(name).is_none_or(|user| user.uid != 0 && (user.uid >= 1000 || !user.has_no_shell()))
        };
        let members: Vec<&str> =
            accounts.members(group).into_iter().filter(is_person).filter(|name| *name != "sync").collect();
        if !members.is_empty() {
            let found = Finding::warning(
                "root-group",
                format_args!("{} in group {group}: another way to root", listed(&members)),
            );
            let commands: Vec<String> =
                members.iter().map(|member| format!("gpasswd -d {} {group}", quoted(member))).collect();
            findings.push(found.at(Place::file("/etc/group")).why(why).run(commands.join(" && ")));
        }
    }
    let others = accounts.users.iter().filter(|user| user.uid == 0 && user.name != "root");
    findings.extend(others.map(|user| {
        let found = Finding::note("uid-0", format_args!("{} has uid 0 as well", user.name))
            .at(Place::file("/etc/passwd"));
        found.why("it is guarded as root is").advise("delete it, if nobody needs it")
    }));
    findings
}

#[cfg(test)]
mod tests {
    use super::super::finding::Fix;
    use super::*;

    fn accounts(group: &str) -> Accounts {
        let passwd = "root:x:0:0::/root:/bin/sh\nauthkeys:x:10:10::/:/usr/sbin/nologin\nauthkeys-sync:x:11:11::/:/usr/sbin/nologin\noncall-cache:x:12:12::/:/usr/sbin/nologin\nsync:x:4:65534::/:/bin/sync\nzoe:x:1000:100::/home/zoe:/bin/sh\n";
        Accounts::parse(passwd.to_string(), format!("root:x:0:\n{group}"), "")
    }

    const GROUPS: &str =
        "authkeys:x:10:authkeys-sync,oncall-cache\nauthkeys-sync:x:11:authkeys\noncall-cache:x:12:\n";

    fn ids(findings: Vec<Finding>) -> Vec<String> {
        findings.into_iter().map(|finding| format!("{} {}", finding.severity, finding.what)).collect()
    }

    #[test]
    fn users_and_groups_are_as_install_makes_them() {
        assert_eq!(ids(users(&accounts(GROUPS))), [""; 0]);
        let groups = GROUPS
            .replace("authkeys-sync,oncall-cache", "oncall-cache")
            .replace(":11:authkeys", ":11:authkeys,zoe");
        let expected =
            ["warning authkeys-sync is not in group authkeys", "warning zoe is in group authkeys-sync"];
        assert_eq!(ids(users(&accounts(&groups))), expected);
        assert_eq!(users(&Accounts::default()).len(), 3);
    }

    #[test]
    fn people_in_groups_that_are_as_good_as_root_are_told() {
        let groups = format!("{GROUPS}docker:x:20:zoe,sync\ndisk:x:21:\nadm:x:22:authkeys\n");
        assert_eq!(
            ids(root_groups(&accounts(&groups))),
            ["warning zoe in group docker: another way to root"]
        );
    }

    #[test]
    fn a_file_is_judged_by_who_can_write_and_who_has_to_read_it() {
        let accounts = accounts(GROUPS);
        let one = Wanted::copy("/v/keys.db", "authkeys-sync", "authkeys", 0o640, READERS);
        let judge = |uid, gid, mode| {
            let found = one.judge(&accounts, Stat { uid, gid, mode, is_directory: false })?;
            assert_eq!(
                found.fix,
                Fix::Command("chown authkeys-sync:authkeys /v/keys.db && chmod 640 /v/keys.db".to_string())
            );
            Some(found.what)
        };
        assert_eq!(judge(11, 10, 0o640), None);
        let roots = "root:authkeys 0440, in place of authkeys-sync:authkeys 0640";
        assert_eq!(judge(0, 10, 0o440).unwrap(), roots, "as a backup restored by root leaves it");
        let cannot = "authkeys-sync:authkeys-sync 0640, in place of authkeys-sync:authkeys 0640; oncall-cache cannot read it";
        assert_eq!(judge(11, 11, 0o640).unwrap(), cannot);
        assert_eq!(
            judge(11, 10, 0o660).unwrap(),
            "authkeys-sync:authkeys 0660, in place of authkeys-sync:authkeys 0640"
        );
        assert_eq!(
            judge(1000, 10, 0o640).unwrap(),
            "zoe:authkeys 0640, in place of authkeys-sync:authkeys 0640"
        );
    }
}
