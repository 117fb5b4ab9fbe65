//! What the suite itself knows and does: its configuration, its copies and their age, the clock, and what starts the
//! syncs.

use std::path::Path;

use host::config::Directory;
use host::{Config, FileError, revoked};
use policy::{Mode, Roster, Rules, Timestamp};
use store::StoreError;
use store::keys::KeyCopy;
use trust::{Refusal, Why};

use super::finding::{Finding, Place, Severity, quoted};
use super::machine::{self, Said};
use crate::report::Report;
use crate::status::{Health, Status};

/// A configuration that cannot be read.
pub fn config_unreadable(error: &FileError) -> Finding {
    let (place, path) = match error {
        FileError::Content { path, line, .. } => {
            (Place::line(path.display(), *line), path.display().to_string())
        }
        FileError::File(refusal) => (Place::file(refusal.path.display()), refusal.path.display().to_string()),
    };
    let found = Finding::lock_out("config", error).at(place);
    let why = "every guarded login is refused, exempt accounts too: only the console asks nobody";
    found
        .why(why)
        .advise(format_args!("mend it; `oncall-cache config check {path}` says whether it is right"))
}

/// What the configuration says that is allowed, and not what somebody would want for ever.
pub fn config(config: &Config, now: Timestamp) -> Vec<Finding> {
    let place = || Place::file(config.path.display());
    let rules = &config.rules;
    let mut findings = Vec::new();
    if rules.mode == Mode::Observe {
        let found = Finding::warning("observe", "policy.mode is \"observe\": PAM refuses nobody").at(place());
        findings.push(
            found.why("whoever is off call is let in, and logged").advise("in [policy]: mode = \"enforce\""),
        );
    }
    if rules.here().next().is_none() {
        let found = Finding::lock_out(
            "no-rule",
            format_args!("no [[policy.rule]] covers this host ({})", rules.host.name),
        );
        let advice = "add a [[policy.rule]] with its schedules; `hosts` has to match [host] name or labels, or be left out";
        findings.push(found.at(place()).why("nobody is ever admitted here").advise(advice));
    }
    if rules.exempts("root") {
        let found = Finding::open("root-exempt", "root is in policy.exempt_accounts").at(place());
        let why = "every key in root's own files, and its password, enters root on call or not; authkeys prints none";
        findings.push(
            found.why(why).advise("take root out of exempt_accounts; name an account made for emergencies"),
        );
    }
    if rules.groups.is_empty() {
        let found = Finding::note(
            "groups",
            "policy.groups is empty: sudo, uid 0 and the accounts listed are guarded, and no other login",
        )
        .at(place());
        findings.push(
            found
                .why("members of sudo and wheel log in off call, and sudo refuses them")
                .advise("nothing, if that is meant"),
        );
    }
    findings.extend(config.remarks(now).into_iter().map(|remark| {
        let found = Finding::note("config-remark", remark).at(place());
        found.why("a setting that has no effect").advise("take it out, or renew it")
    }));
    findings
}

/// The list of those who are shut out.
pub fn revocations(config: &Config) -> Option<Finding> {
    let error = revoked::read(&config.paths.revoked).err()?;
    let place = match &error {
        revoked::Unreadable::Line(path, line) => Place::line(path.display(), *line),
        revoked::Unreadable::File(refusal) => Place::file(refusal.path.display()),
    };
    let found = Finding::lock_out("revoked", &error).at(place);
    let why =
        "guarded logins are refused and no keys are printed: either could be for somebody who is shut out";
    Some(found.why(why).advise("mend the line or the file; no file at all revokes nobody"))
}

const SYNC: &str = "authkeys-sync && oncall-cache sync";

/// Places a finding at what others could have written, and says how to shut it; otherwise a sync mends it.
fn mended(found: Finding, error: &StoreError, path: &Path) -> Finding {
    let StoreError::Untrusted(Refusal { why: Why::Untrusted(at, _), .. }) = error else {
        return found.at(Place::file(path.display())).run(SYNC);
    };
    let found = found.at(Place::file(at.display()));
    let at_name = quoted(&at.display().to_string());
    match machine::stat(at) {
        Some(stat) if stat.mode & 0o022 != 0 => found.run(format_args!("chmod go-w {at_name}")),
        Some(stat) if stat.uid != 0 && stat.is_directory => found.run(format_args!("chown root {at_name}")),
        _ => found.advise("find out who changed it, then mend owner and mode; a sync writes the file anew"),
    }
}

/// The copy of the directory.
pub fn keys(config: &Config, now: Timestamp) -> Option<Finding> {
    let place = Place::file(config.paths.keys.display());
    let Some(directory) = &config.directory else {
        let found = Finding::lock_out("keys", "the configuration names no [directory]");
        let advice = "say in [directory] where people are: urls of LDAP servers, or file = \"people.toml\"";
        return Some(
            found
                .at(Place::file(config.path.display()))
                .why("nobody has a key, and nobody is eligible")
                .advise(advice),
        );
    };
    match KeyCopy::open(&config.paths.keys, &config.copy_scope(directory), config.keys.stale_for, now) {
        Err(error) => {
            let found = mended(Finding::lock_out("keys", &error), &error, &config.paths.keys);
            Some(found.why("no keys are printed, and whose key opened a shared account cannot be told"))
        }
        Ok(copy) => {
            let age = now.since(copy.synced());
            let is_local = matches!(directory, Directory::File(_));
            let is_old = age.as_seconds() > config.keys.fresh_for.as_seconds().max(3_600);
            let found =
                Finding::warning("keys", format_args!("the copy of the directory is {age} old")).at(place);
            let why = if is_local {
                "changes of people.toml do not count yet"
            } else {
                "every login asks the directory live, and keys that were taken away open accounts still"
            };
            is_old.then(|| found.why(why).run("authkeys-sync"))
        }
    }
}

/// The roster: is it believed, how old is it, who will not be admitted soon.
pub fn roster(
    config: &Config,
    roster: &Result<Roster, StoreError>,
    report: &Result<Report, String>,
    now: Timestamp,
) -> Vec<Finding> {
    let place = || Place::file(config.paths.roster.display());
    let why_refused = "the shifts it would tell of count for nobody: people on call are refused";
    let roster = match roster {
        Ok(roster) => roster,
        Err(error) => {
            let found = mended(Finding::lock_out("roster", error), error, &config.paths.roster);
            return vec![found.why(why_refused)];
        }
    };
    if now.plus(Rules::SKEW) < roster.published {
        let found = Finding::lock_out(
            "clock",
            format_args!("this host's clock is before its own last sync ({})", roster.published),
        );
        let advice = "set the clock, then `oncall-cache sync`";
        return vec![
            found
                .at(place())
                .why("a clock that went back proves no age: every guarded login is refused")
                .advise(advice),
        ];
    }
    let switch = crate::switch::read(&config.path);
    let status = Status::new(config, Ok(roster), report, &switch, now);
    let mut findings: Vec<Finding> = (status.rows.iter())
        .filter_map(|row| {
            let trouble = row.trouble()?;
            let severity = if row.counts && !row.believed() { Severity::LockOut } else { Severity::Warning };
            let why = if severity == Severity::LockOut {
                why_refused
            } else {
                "it is believed until its age ends; then its people are refused"
            };
            Some(Finding::new(severity, "schedule", trouble).at(place()).why(why).run("oncall-cache sync"))
        })
        .collect();
    if let Ok(report) = report {
        let failed =
            report.problem.as_ref().filter(|_| findings.is_empty() && status.health() != Health::Well);
        findings.extend(failed.map(|problem| {
            let found =
                Finding::warning("schedule", format_args!("the last sync failed: {problem}")).at(place());
            found.why("what is known is believed until its age ends").run("oncall-cache sync")
        }));
        findings.extend(report.ahead.iter().map(|ahead| {
            let found = Finding::warning("ahead", ahead.line(now));
            let advice = "mend it in the directory or the rota, then authkeys-sync and oncall-cache sync";
            found.why("when the shift begins, nobody of that schedule can become root").advise(advice)
        }));
    }
    findings
}

/// Does something keep the clock right? `timedatectl`'s answer.
pub fn clock(said: Option<Said>) -> Option<Finding> {
    let is_no = said.is_some_and(|said| said.succeeded && said.out.trim() == "no");
    let found = Finding::warning("clock-sync", "nothing keeps this host's clock right (NTPSynchronized=no)");
    let why = "shifts begin and end by this clock; two minutes off, and a sync publishes nothing";
    is_no.then(|| found.why(why).run("timedatectl set-ntp true"))
}

/// A place where something could be started from: a crontab, or a unit.
#[derive(Debug)]
pub struct Starter {
    pub file: String,
    pub text: String,
}

impl Starter {
    /// Does it start `command`?
    fn starts(&self, command: &str) -> bool {
        let is_unit = self.file.ends_with(".service");
        self.text.lines().map(str::trim).any(|line| {
            let counts = if is_unit { line.starts_with("ExecStart=") } else { !line.starts_with('#') };
            // In /etc/cron.d the user's name, which is the command's as well, stands before it.
            let ends = |rest: &str| rest.is_empty() || rest.starts_with([' ', ';', '&', '|', '>']);
            let found = line
                .match_indices(command)
                .filter(|(at, _)| line.get(at + command.len()..).is_some_and(ends));
            counts
                && found.count()
                    > usize::from(
                        !is_unit && command == "authkeys-sync" && self.file.starts_with("/etc/cron"),
                    )
        })
    }

    /// The timer of a unit.
    fn timer(&self) -> Option<String> {
        let name = self.file.rsplit('/').next()?.strip_suffix(".service")?;
        Some(format!("{name}.timer"))
    }
}

const CRON: &str = "printf '*/2 * * * * authkeys-sync /usr/bin/authkeys-sync\\n*/5 * * * * oncall-cache /usr/bin/oncall-cache sync\\n' >/etc/cron.d/authkeys";

/// Is each sync started some way? `is_active` asks systemd about a timer.
pub fn timers(starters: &[Starter], is_active: &dyn Fn(&str) -> bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    for command in ["authkeys-sync", "oncall-cache sync"] {
        let why = "without it the copy ages, people on call are refused in the end, and hand-overs made late are not known";
        let mut starting = starters.iter().filter(|starter| starter.starts(command)).peekable();
        if starting.peek().is_none() {
            let found =
                Finding::warning("timer", format_args!("nothing starts `{command}`: no crontab, no unit"));
            findings.push(found.at(Place::file("/etc/cron.d/authkeys")).why(why).run(CRON));
            continue;
        }
        let timers: Vec<Option<String>> = starting.map(Starter::timer).collect();
        let runs = |timer: &Option<String>| timer.as_ref().is_none_or(|timer| is_active(timer));
        if let (false, Some(Some(timer))) = (timers.iter().any(runs), timers.first()) {
            let found = Finding::warning("timer", format_args!("{timer} is not active"));
            findings.push(found.why(why).run(format_args!("systemctl enable --now {timer}")));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn starter(file: &str, text: &str) -> Starter {
        Starter { file: file.to_string(), text: text.to_string() }
    }

    fn told(starters: &[Starter], active: bool) -> Vec<String> {
        timers(starters, &|_| active).into_iter().map(|finding| finding.what).collect()
    }

    #[test]
    fn each_sync_has_to_be_started_by_something() {
        let cron = starter(
            "/etc/cron.d/authkeys",
            "# oncall-cache sync\n*/2 * * * * authkeys-sync /usr/bin/authkeys-sync\n*/5 * * * * oncall-cache oncall-cache sync >/dev/null\n",
        );
        assert_eq!(told(&[cron], false), [""; 0]);
        let half = starter(
            "/etc/cron.d/authkeys",
            "*/2 * * * * authkeys-sync true\n*/5 * * * * oncall-cache oncall-cache synchronise\n",
        );
        assert_eq!(told(&[half], false).len(), 2);
        let units = [
            starter(
                "/etc/systemd/system/authkeys-sync.service",
                "[Service]\nExecStart=/usr/bin/authkeys-sync\n",
            ),
            starter(
                "/usr/lib/systemd/system/oncall-cache-sync.service",
                "ExecStart=/usr/bin/oncall-cache sync\n",
            ),
        ];
        assert_eq!(told(&units, true), [""; 0]);
        assert_eq!(
            told(&units, false),
            ["authkeys-sync.timer is not active", "oncall-cache-sync.timer is not active"]
        );
        assert_eq!(told(&[], true).len(), 2);
    }

    #[test]
    fn a_clock_that_nothing_keeps_right_is_told() {
        let said = |out: &str| Some(Said { out: out.to_string(), complaint: String::new(), succeeded: true });
        assert!(clock(said("no\n")).is_some() && clock(said("yes\n")).is_none() && clock(None).is_none());
    }
}
