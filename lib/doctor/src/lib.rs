//! The doctor: does everything round the suite let in whom the policy admits, and nobody else?
//!
//! Each check is a function of what was read, and this file reads it. Nothing is changed, but for when a
//! way in was last proven (`host::proof`): a finding says what would fix it. What only some connections or some moments would show (an address in a Match block, a sync that fails
//! tomorrow) is judged by what is written down.

#![forbid(unsafe_code)]

mod accounts;
mod approved;
mod audit;
mod doors;
mod dpkg;
mod dropbear;
mod ending;
mod entry;
mod files;
mod finding;
mod fleet;
mod grants;
mod keys_before;
mod machine;
mod names;
mod nss;
mod obstacle;
mod once;
mod other_sshd;
pub mod packages;
mod pam;
mod polkit;
mod rego;
mod sshd;
mod state;
mod sudo;
mod sudo_conf;
mod sudo_in_force;
mod timers;
mod ways_in;

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use ::state::{Asked, HostState};
use host::config::DEFAULT_AUDIT;
use host::proof::Proofs;
use host::{Config, FileError, accounts as users, probe, program};
use policy::{Roster, Rules, Span, Timestamp};
use status::SyncStatus;

pub use self::state::Told;
use accounts::Accounts;
use entry::Entry;
use finding::Finding;
pub use finding::{Findings, Severity};
use keys_before::Commands;
use machine::Stat;
use once::Once;
use other_sshd::Started;
use sshd::Settings;
use sudo::Sudoers;
use timers::{Kind, Starter};
use ways_in::{Tries, WaysIn};

/// Everything that most checks look at.
struct Host<'a> {
    path: &'a str,
    known: &'a HostState,
    config: Option<&'a Config>,
    rules: &'a Rules,
    accounts: Accounts,
    sudoers: Sudoers,
    now: Timestamp,
    texts: Once<Option<String>>,
    sshd_settings: Once<Result<Settings, Option<Finding>>>,
    starters: OnceCell<Vec<Starter>>,
}

pub use doors::table as doors_table;

/// The caller of [`examine`] is not root.
#[derive(Debug, Clone, Copy)]
pub struct NotRootError;

impl fmt::Display for NotRootError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("doctor reads what only root may read: run it as root")
    }
}

impl std::error::Error for NotRootError {}

/// Files that `config` names and that those who have to read them cannot, or others can: what is wrong with owner and mode.
pub fn unreadable(config: &Config) -> BTreeMap<PathBuf, String> {
    files::unreadable(config, &Accounts::read())
}

/// For pam-oncall-enable: a line for each service that it could put lines in, `SERVICE here|absent decided|undecided`.
///
/// # Errors
/// The configuration cannot be read.
pub fn pam_doors(path: &Path) -> Result<String, FileError> {
    let config = Config::load(path)?;
    Ok(doors::told(&config.rules, &machine::exists))
}

/// Examines this host, by the configuration at `path`, as it is at `now`, with what the doctor is `told`.
///
/// # Errors
/// The caller is not root.
pub fn examine(path: &Path, now: Timestamp, told: &Told<'_>) -> Result<(String, Findings), NotRootError> {
    if !users::is_root() {
        return Err(NotRootError);
    }
    let text = path.display().to_string();
    let mut known = HostState::load(path);
    known.read_roster(Asked::Everything, now, now);
    let host = Host::read(&text, &known, now);
    let mut findings: Vec<Finding> =
        known.config().err().map(|error| state::config_unreadable(path, error)).into_iter().collect();
    findings.extend(host.pam());
    findings.extend(host.sshd());
    findings.extend(host.sudo());
    findings.extend(host.files());
    findings.extend(host.state(told));
    findings.extend(host.other_doors());
    findings.extend(host.ways_in());
    Ok((host.rules.host.name.clone(), Findings::new(findings, Proofs::read(host.rules))))
}

/// What `pam-oncall-enable` does to the stack of each service, a line each: `SERVICE insert INSTRUCTION` (for sed, in the
/// file that the service has), `SERVICE counts` or `SERVICE left WHY`.
pub fn pam_lines(services: &[String]) -> String {
    let lines = sshd::lines(&sshd::Reader { text: &machine::text, names: &names_in });
    let another = sshd::asks_as_another(&lines);
    let told = |service: &String| match (pam::plan(service, &machine::text), another) {
        (_, Some(line)) if service == "sshd" => {
            format!("{service} left sshd asks PAM as {} ({}), not by this stack", line.value, line.place())
        }
        (pam::Plan::Counts, _) => format!("{service} counts"),
        (pam::Plan::Leave(left), _) => format!("{service} left {left}"),
        (pam::Plan::Insert(insertions), _) => {
            let lines = insertions.iter().map(|one| format!("{service} insert {}", one.for_sed()));
            lines.collect::<Vec<_>>().join("\n")
        }
    };
    services.iter().map(told).collect::<Vec<_>>().join("\n")
}

fn names_in(directory: &str) -> Vec<String> {
    machine::names(directory)
}

impl<'a> Host<'a> {
    fn read(path: &'a str, known: &'a HostState, now: Timestamp) -> Self {
        let reader = sudo::Reader { text: &machine::text, names: &names_in };
        Self {
            path,
            known,
            config: known.config().ok(),
            rules: known.rules(),
            accounts: Accounts::read(),
            sudoers: Sudoers::read(&reader, &machine::exists),
            now,
            texts: Once::default(),
            sshd_settings: Once::default(),
            starters: OnceCell::new(),
        }
    }

    fn text(&self, path: &str) -> Option<String> {
        self.texts.get(path, machine::text)
    }

    /// What holds in sshd for `account`; `None` as an error if there is no sshd here.
    fn sshd_settings_of(&self, account: &str) -> Result<Settings, Option<Finding>> {
        self.sshd_settings.get(account, sshd_settings)
    }

    /// Every crontab and unit of this host.
    fn starters(&self) -> &[Starter] {
        self.starters.get_or_init(starters)
    }

    fn roster(&self) -> Option<&Roster> {
        self.known.roster().ok()
    }

    /// Accounts that several people enter with their own keys.
    fn shared(&self) -> Vec<&str> {
        self.rules.shared.iter().map(|shared| shared.account.as_str()).collect()
    }

    /// Guarded accounts that programs enter over sshd: there the key tells, when the session opens.
    fn robots(&self) -> Vec<&str> {
        let entries =
            self.rules.automation.iter().filter(|one| one.covers_service("sshd") && !one.is_over(self.now));
        let goes_by_key = |account: &&str| {
            let facts = self.accounts.facts(account, self.rules);
            !self.rules.exempts(account) && self.rules.subject("sshd", account, &facts).goes_by_key()
        };
        entries.map(|one| one.account.as_str()).filter(goes_by_key).collect()
    }

    fn pam(&self) -> Vec<Finding> {
        let (module, places) = (pam::Module::read(), pam::Places::read());
        let guarded = self.accounts.guarded(self.rules);
        let packages = program::run("/usr/bin/dpkg-query", &dpkg::QUERY).map(|said| said.out);
        let left_over = dpkg::left_over(&packages.unwrap_or_default());
        let pam = pam::Pam {
            read: &|path| self.text(path),
            has: &machine::exists,
            is_left_over: &|file| left_over.contains(file),
            has_module: &|name| places.have(name),
            services: &self.rules.pam_services,
            config: self.path,
            has_shared: !self.rules.shared.is_empty(),
            robots: self.robots(),
            is_ready: module.is_there() && self.config.is_some(),
            with_password: guarded.iter().copied().filter(|name| self.accounts.has_password(name)).collect(),
            guarded,
            administrators: self.administrators(),
        };
        let mut findings = pam::check(&pam);
        findings.extend(pam::module(&pam, &module));
        let services: BTreeSet<String> =
            pam::DIRECTORIES.iter().flat_map(|directory| machine::names(directory)).collect();
        findings.extend(pam::doors(&pam, &services.into_iter().collect::<Vec<_>>()));
        findings
    }

    /// Whom polkit takes for administrators, where a password could prove it; as far as this host's files tell.
    fn administrators(&self) -> Vec<&str> {
        let named = polkit_files(&polkit::ADMINISTRATORS)
            .into_iter()
            .flat_map(|(_, text)| polkit::administrators(&text));
        let identities: Vec<polkit::Identity> = named.map(|(_, identity)| identity).collect();
        let is_one = |name: &str| {
            identities.iter().any(|identity| match identity {
                polkit::Identity::Group(group) => self.accounts.members(group).contains(name),
                polkit::Identity::User(user) => user == name,
            })
        };
        let names = self.accounts.users.iter().map(|user| user.name.as_str());
        names
            .filter(|name| is_one(name) && self.accounts.has_password(name) && !self.rules.exempts(name))
            .collect()
    }

    fn sshd(&self) -> Vec<Finding> {
        let lines = sshd::lines(&sshd::Reader { text: &|path| self.text(path), names: &names_in });
        let settings = match self.all_sshd_settings() {
            Ok(settings) => settings,
            Err(finding) => return finding.into_iter().collect(),
        };
        let keys = self.config.and_then(|config| machine::stat(&config.paths.keys));
        let stat = |path: &Path| machine::stat(path);
        let sshd = sshd::Sshd {
            settings: &settings,
            lines: &lines,
            accounts: &self.accounts,
            stat: &stat,
            real: &|path| machine::real(path),
            config: self.path,
            shared: self.shared(),
            rules: self.rules,
            text: &machine::text,
            keys,
            chain: self.config.map_or(&[], |config| &config.keys.chain),
        };
        let mut findings = sshd::check(&sshd);
        findings.extend(sshd::local_keys(&settings, &self.shared_or_root(), &self.accounts, &machine::text));
        findings
    }

    fn shared_or_root(&self) -> Vec<&str> {
        let others = self.shared().into_iter().filter(|name| *name != "root");
        ["root"].into_iter().chain(others).collect()
    }

    /// What holds in sshd for root and each shared account; nothing, if there is no sshd here.
    fn all_sshd_settings(&self) -> Result<Vec<(String, Settings)>, Option<Finding>> {
        let mut all = Vec::new();
        for account in self.shared_or_root() {
            all.push((account.to_string(), self.sshd_settings_of(account)?));
        }
        Ok(all)
    }

    fn sudo(&self) -> Vec<Finding> {
        let is_foreseen = |name: &str| {
            let person = self.rules.person_of(name);
            let eligible = |roster: &Roster| person.as_ref().is_ok_and(|name| roster.is_eligible(name));
            let is_program = self.rules.automation.iter().any(|entry| {
                entry.account.as_str() == name && entry.covers_service("sudo") && !entry.is_over(self.now)
            });
            // Without a roster nobody's eligibility is known, and that is told elsewhere.
            self.rules.exempts(name) || is_program || self.roster().is_none_or(eligible)
        };
        let in_a_year = self.now.plus(Span::hours(365 * 24)).to_string();
        let policy = sudo::Policy {
            pam_services: &self.rules.pam_services,
            privileged_groups: &self.rules.privileged_groups,
            is_served: &|group| self.serves(group),
            is_foreseen: &is_foreseen,
            members: &|group| self.accounts.members(group).into_iter().map(String::from).collect(),
            name_of: &|uid| self.accounts.user_name(uid),
            in_a_year: in_a_year.split('T').next().unwrap_or_default(),
        };
        let mut findings = sudo::check(&self.sudoers, &policy);
        if findings.iter().all(|finding| finding.id != "sudo-pam") {
            let said = program::run(sudo::PROGRAM, &["-V"]).filter(|said| said.succeeded);
            findings.extend(said.and_then(|said| sudo_in_force::check(&said.out, &self.rules.pam_services)));
        }
        findings.extend(sudo_in_force::elsewhere(&machine::text(nss::FILE).unwrap_or_default()));
        findings.extend(sudo::program(machine::stat(Path::new(sudo::PROGRAM))));
        findings.extend(self.sudo_conf());
        let checked = program::run_heard("/usr/sbin/visudo", "-c");
        findings.extend(checked.iter().flat_map(|said| sudo::broken(said, &|path| machine::stat(path))));
        findings
    }

    /// Where the program of that name is sudo, and not a link to sudo-rs.
    fn sudo_conf(&self) -> Option<Finding> {
        let program = machine::real(Path::new(sudo::PROGRAM));
        let is_sudo =
            program.exists() && doors::SUDO_RS.iter().all(|other| machine::real(Path::new(other)) != program);
        let config = self.config.filter(|config| is_sudo && config.rules.takes_grants())?;
        let text = machine::text(sudo_conf::FILE);
        let file = text.as_deref().zip(machine::stat(Path::new(sudo_conf::FILE)));
        sudo_conf::check(&config.groups, file)
    }

    fn files(&self) -> Vec<Finding> {
        let wanted = self.config.map_or_else(|| files::of_config(Path::new(self.path)), files::wanted);
        let stat = |path: &Path| machine::stat(path);
        let mut findings = files::check(&wanted, &self.accounts, &stat);
        let uid_of = |name: &str| host::accounts::facts(name, &[]).uid;
        findings.extend(names::check(self.rules, &self.accounts, self.path, &uid_of));
        findings.extend(files::users(&self.accounts));
        findings.extend(files::root_groups(&self.accounts));
        // The module writes there without a readable configuration too.
        let file = self.config.map_or(Path::new(DEFAULT_AUDIT), |config| &config.paths.audit);
        findings.extend(audit::check(file, &self.accounts));
        findings.extend(audit::unwritten_by_polkit(file));
        findings.extend(state::probe());
        findings
    }

    fn state(&self, told: &Told<'_>) -> Vec<Finding> {
        let mut findings = state::switch(self.known, self.now);
        findings.extend(state::revocations(self.known));
        let Some(config) = self.config else { return findings };
        findings.extend(state::config(config, self.known, self.now));
        findings.extend(approved::check(config, self.now));
        findings.extend(ending::check(config, self.now));
        findings.extend(state::names(config, told.names));
        findings.extend(state::keys(config, self.now));
        let report = SyncStatus::read(&status::path(config));
        findings.extend(state::roster(config, self.known, &report, self.now));
        findings.extend(rego::check(config, told, report.as_ref().ok(), (self.roster(), self.now)));
        let systemd_runs = machine::exists("/run/systemd/system");
        let says = |verb: &str, timer: &str| {
            let said = program::run("/usr/bin/systemctl", &[verb, timer])?.out;
            Some(said.trim().to_string()).filter(|word| !word.is_empty())
        };
        let is_cronie = machine::exists("/usr/sbin/crond");
        let named = timers::Named {
            has: &machine::exists,
            is_user: &|name| self.accounts.user(name).is_some(),
            reads: &|name| timers::cron_reads(name, is_cronie),
        };
        let systemd = timers::Systemd { runs: systemd_runs, says: &says };
        findings.extend(timers::timers(self.starters(), &named, &systemd, config.fleet.is_some()));
        let files = beside(&config.path);
        let around =
            fleet::Around { accounts: &self.accounts, systemd: &systemd, files: &files, now: self.now };
        findings.extend(fleet::check(config, &around));
        findings.extend(grants::check(config, &systemd, self.now));
        let asked =
            || program::run("/usr/bin/timedatectl", &["show", "--property=NTPSynchronized", "--value"]);
        // A container's clock is its host's.
        let has_clock = systemd_runs && !machine::exists("/run/systemd/container");
        findings.extend(state::clock(has_clock.then(asked).flatten()));
        let words = ["list-units", "--failed", "--plain", "--no-legend", "--full", "authkeys-*", "oncall-*"];
        let failed = systemd_runs.then(|| program::run("/usr/bin/systemctl", &words)).flatten();
        findings.extend(failed.map(|said| timers::failed(&said.out, &findings)).unwrap_or_default());
        findings
    }

    fn other_doors(&self) -> Vec<Finding> {
        let mut findings = self.polkit();
        findings.extend(second_sshd());
        findings.extend(self.other_sshds());
        let below = polkit::AUTHORITY.iter().flat_map(|directory| {
            machine::names(directory).into_iter().map(move |name| format!("{directory}/{name}"))
        });
        let directories: Vec<String> = polkit::RULES.iter().map(ToString::to_string).chain(below).collect();
        let files = polkit_files(&directories);
        findings.extend(files.iter().flat_map(|(file, text)| polkit::check(file, text)));
        findings.extend(self.nss());
        findings
    }

    fn other_sshds(&self) -> Vec<Finding> {
        let Some(program) = SSHD.into_iter().find(|path| machine::exists(path)) else { return Vec::new() };
        let usual = self.sshd_settings_of("root").ok();
        let commands = Commands {
            chain: self.config.map_or(&[], |config| &config.keys.chain),
            config: self.path,
            stat: &machine::stat,
        };
        let ask = |words: &[&str]| program::run(program, words);
        started_sshds(program, self.starters())
            .iter()
            .flat_map(|one| one.check(usual.as_ref(), &commands, &ask))
            .collect()
    }

    /// Administrators of polkit's whom nothing else guards.
    fn polkit(&self) -> Vec<Finding> {
        if !doors::asks_here("polkit-1", &machine::exists) {
            return Vec::new();
        }
        let guarded = self.accounts.guarded(self.rules);
        let policy = polkit::Policy {
            privileged_groups: &self.rules.privileged_groups,
            is_served: &|group| self.serves(group),
            members: &|group| self.accounts.members(group).into_iter().map(String::from).collect(),
            is_guarded: &|name| guarded.contains(&name) || self.rules.exempts(name),
        };
        let files = polkit_files(&polkit::ADMINISTRATORS);
        files.iter().flat_map(|(file, text)| polkit::unguarded(file, text, &policy)).collect()
    }

    /// Is this the name of an `[[nss.group]]`?
    fn serves(&self, group: &str) -> bool {
        self.config.is_some_and(|config| config.groups.iter().any(|served| served.name.as_str() == group))
    }

    fn nss(&self) -> Vec<Finding> {
        let Some(config) = self.config else { return Vec::new() };
        let libraries =
            machine::names("/usr/lib").into_iter().map(|name| format!("/usr/lib/{name}/libnss_oncall.so.2"));
        let has_library = libraries
            .chain(["/usr/lib64/libnss_oncall.so.2".to_string(), "/usr/lib/libnss_oncall.so.2".to_string()])
            .any(|path| machine::exists(&path));
        let text = |path: &str| machine::text(path).unwrap_or_default();
        let nscd = machine::exists("/run/nscd/socket").then(|| text(nss::NSCD));
        nss::check(&nss::Nss {
            config,
            roster: self.roster(),
            nsswitch: &text(nss::FILE),
            group: &text("/etc/group"),
            nscd: nscd.as_deref(),
            has_library,
            now: self.now,
        })
    }

    fn ways_in(&self) -> Vec<Finding> {
        if self.config.is_none() {
            return Vec::new();
        }
        let lines = sshd::lines(&sshd::Reader { text: &|path| self.text(path), names: &names_in });
        let entry = Entry {
            accounts: &self.accounts,
            now: self.now,
            settings: &|account| self.sshd_settings_of(account).ok(),
            lines: &lines,
            stat: &|path| machine::stat(path),
        };
        let ways = WaysIn {
            rules: self.rules,
            config: self.path,
            accounts: &self.accounts,
            sudoers: &self.sudoers,
            roster: self.roster(),
            revoked: self.known.revoked().ok(),
            now: self.now,
            entry: &entry,
            text: &|path| self.text(path),
        };
        let root_by_ssh = self.sshd_settings_of("root").is_ok_and(|settings| settings.lets_root_in());
        let mut findings = ways_in::when_everything_fails(&ways);
        if state::probe().is_none() {
            let tries =
                Tries { console: &|| probe::console(self.rules), exempt: &|name| probe::exempt(name) };
            let tried = ways_in::tried(&ways, &tries);
            Proofs::keep(self.rules, &tried, self.now);
            findings.extend(ways_in::when_tried(tried));
            findings.extend(ways_in::canary::check(self.known, self.now));
        }
        findings.extend(ways_in::when_on_call(&ways));
        findings.extend(ways_in::now(&ways, root_by_ssh));
        findings
    }
}

/// The files in the directory of the configuration.
fn beside(config: &Path) -> Vec<(String, Stat)> {
    let directory = config.parent().unwrap_or(Path::new("/")).display().to_string();
    let files = names_in(&directory).into_iter().map(|name| format!("{directory}/{name}"));
    files.filter_map(|file| machine::stat(Path::new(&file)).map(|stat| (file, stat))).collect()
}

/// The files of rules, or of local authority, in these directories, with their text.
fn polkit_files(directories: &[impl AsRef<str>]) -> Vec<(String, String)> {
    let is_one = |name: &String| [".rules", ".pkla", ".conf"].iter().any(|end| name.ends_with(end));
    let below = |directory: &str| -> Vec<String> {
        names_in(directory).into_iter().filter(is_one).map(|name| format!("{directory}/{name}")).collect()
    };
    let files = directories.iter().flat_map(|directory| below(directory.as_ref()));
    files
        .map(|file| {
            let text = machine::text(&file).unwrap_or_default();
            (file, text)
        })
        .collect()
}

/// An ssh server beside sshd, if there is one.
fn second_sshd() -> Option<Finding> {
    let program = doors::DROPBEAR.iter().copied().find(|path| machine::exists(path))?;
    let systemd = |verb: &str| {
        program::run("/usr/bin/systemctl", &[verb, "dropbear.service"]).is_some_and(|said| said.succeeded)
    };
    let dropbear = dropbear::Dropbear {
        program,
        running: machine::processes(program),
        by_systemd: systemd("is-enabled") || systemd("is-active"),
    };
    Some(dropbear::check(&dropbear))
}

/// OpenSSH's servers, `program`, that systemd starts or that run, with other options or another configuration.
fn started_sshds(program: &str, starters: &[Starter]) -> Vec<Started> {
    let starts = |unit: &str| {
        ["is-enabled", "is-active"]
            .into_iter()
            .any(|verb| program::run("/usr/bin/systemctl", &[verb, unit]).is_some_and(|said| said.succeeded))
    };
    let mut all = Vec::new();
    for Starter { file, text, .. } in starters.iter().filter(|one| one.kind == Kind::Unit) {
        let of_unit = Started::by_unit(file, text);
        let name = file.rsplit('/').next().unwrap_or_default().replace("@.service", ".socket");
        if !of_unit.is_empty() && starts(&name) {
            all.extend(of_unit);
        }
    }
    for process in machine::processes(program) {
        let cmdline = std::fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
        all.extend(Started::by_process(process, &String::from_utf8_lossy(&cmdline)));
    }
    // A unit and its process are one server.
    let mut told: Vec<Started> = Vec::new();
    for one in all {
        if !told.iter().any(|other| other.is_started_as(&one)) {
            told.push(one);
        }
    }
    told
}

const SSHD: [&str; 2] = ["/usr/sbin/sshd", "/usr/bin/sshd"];

/// What holds in sshd for `account`; `None` as an error if there is no sshd here.
fn sshd_settings(account: &str) -> Result<Settings, Option<Finding>> {
    let program = SSHD.into_iter().find(|path| machine::exists(path)).ok_or(None)?;
    let ask = |words: &[&str]| program::run(program, words);
    sshd::settings(account, &ask).ok_or(None)?.map_err(Some)
}

/// Every crontab and unit of this host.
fn starters() -> Vec<Starter> {
    let mut files = vec![("/etc/crontab".to_string(), Kind::SystemCrontab)];
    let mut seen = BTreeSet::new();
    let all = [
        ("/etc/cron.d", Kind::SystemCrontab),
        ("/var/spool/cron", Kind::UserCrontab),
        ("/var/spool/cron/crontabs", Kind::UserCrontab),
        ("/etc/systemd/system", Kind::Unit),
        ("/run/systemd/system", Kind::Unit),
        ("/usr/lib/systemd/system", Kind::Unit),
        ("/lib/systemd/system", Kind::Unit),
    ];
    // Two of these are one on most hosts.
    let is_new = |(directory, _): &(&str, Kind)| seen.insert(machine::real(Path::new(directory)));
    for (directory, kind) in all.into_iter().filter(is_new) {
        let named =
            names_in(directory).into_iter().filter(|name| kind != Kind::Unit || name.ends_with(".service"));
        files.extend(named.map(|name| (format!("{directory}/{name}"), kind)));
    }
    let read = |(file, kind): (String, Kind)| {
        let stat = machine::stat(Path::new(&file))?;
        Some(Starter { text: machine::text(&file)?, file, kind, stat })
    };
    files.into_iter().filter_map(read).collect()
}
