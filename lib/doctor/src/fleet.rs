//! What a host that follows a fleet needs around it: signers, something that pulls, a head that is young; and no secret
//! that is left from before.

use std::path::Path;

use host::Config;
use host::config::references::{Kind, references};
use host::config::{Directory, Fleet};
use mirror::read_signers;
use policy::Timestamp;
use signed::{Purpose, Signers};
use status::FleetStatus;

use super::accounts::Accounts;
use super::files;
use super::finding::{Finding, Place, quoted};
use super::machine::{self, Stat};
use super::timers::Systemd;

/// What is asked of this host beside its configuration.
pub struct Around<'a> {
    pub accounts: &'a Accounts,
    pub systemd: &'a Systemd<'a>,
    /// The files beside the configuration.
    pub files: &'a [(String, Stat)],
    pub now: Timestamp,
}

/// Everything; nothing on a host of no fleet.
pub fn check(config: &Config, around: &Around<'_>) -> Vec<Finding> {
    let Some(fleet) = config.fleet.as_deref() else { return Vec::new() };
    let mut findings = signers(fleet, around);
    findings.extend(head(fleet, around.now));
    if matches!(config.directory, Some(Directory::Fleet(_))) {
        findings.extend(path_unit(around.systemd, "authkeys-fleet.path", WHY_PEOPLE));
        let has_rota = !config.oncall.sources.is_empty();
        let rota = has_rota.then(|| path_unit(around.systemd, "oncall-cache-people.path", WHY_ELIGIBLE));
        findings.extend(rota.flatten());
    }
    findings.extend(left_over(config, around));
    findings
}

/// Whose signatures count.
fn signers(fleet: &Fleet, around: &Around<'_>) -> Vec<Finding> {
    let place = || Place::file(fleet.signers.display());
    let why = "what is not signed by enough signers is not taken over: in the end the copies are too old, and people on call are refused";
    let advice = "put the line there that `oncall-collector key new` printed at the collector; the file is root's, mode 0644";
    let (signers, dead) = match read_signers(&fleet.signers) {
        Ok(read) => read,
        Err(refusal) => {
            let found = Finding::lock_out("fleet-signers", &refusal).at(place()).why(why);
            return vec![if refusal.is_missing() {
                found.advise(advice)
            } else {
                made_roots(found, &fleet.signers)
            }];
        }
    };
    // Root reads it here, and it is the syncs that have to.
    let wanted = files::signers(&fleet.signers);
    let mut findings = files::check(&[wanted], around.accounts, &machine::stat);
    let count = names(&signers, around.now);
    if count < fleet.signatures {
        let (has, wants) = (signers_of(count), fleet.signatures);
        let what = format!("{has} may sign what the fleet publishes, and `signatures` asks for {wants}");
        findings.push(Finding::lock_out("fleet-signers", what).at(place()).why(why).advise(advice));
    }
    findings.extend(dead.iter().map(|dead| {
        let what = format!("a line lets nobody sign: {}", dead.problem);
        let found =
            Finding::warning("fleet-signers", what).at(Place::line(fleet.signers.display(), dead.line));
        found.why("a key that was meant to count does not").advise("correct the line, or remove it")
    }));
    findings
}

/// How many people or collectors may sign a head now.
fn names(signers: &Signers, now: Timestamp) -> usize {
    let current = signers.iter().filter(|signer| signer.signs(Purpose::Head));
    let current = current.filter(|signer| signer.ends().is_none_or(|end| now < end));
    let mut names: Vec<&str> = current.map(|signer| signer.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    names.len()
}

fn signers_of(count: usize) -> String {
    match count {
        0 => "nobody".to_string(),
        1 => "one signer".to_string(),
        many => format!("{many} signers"),
    }
}

fn made_roots(found: Finding, path: &Path) -> Finding {
    let path = quoted(&path.display().to_string());
    found.run(format!("chown root:root {path} && chmod 644 {path}"))
}

/// The head that this host holds.
fn head(fleet: &Fleet, now: Timestamp) -> Option<Finding> {
    let path = FleetStatus::path(fleet);
    let trouble = match FleetStatus::read(&path, fleet) {
        Ok(report) => report.trouble(fleet.freshness, now)?,
        Err(error) => error.to_string(),
    };
    let found = Finding::warning("fleet-head", trouble).at(Place::file(path.display()));
    let why = "late changes of the rota, of keys and of who is revoked do not reach this host";
    let advice =
        "as root, run `oncall-cache pull`, and read what it says; if all hosts say so, look at the collector";
    Some(found.why(why).advise(advice))
}

/// What `authkeys-fleet.path` is for: it starts authkeys-sync.
const WHY_PEOPLE: &str =
    "people and keys that a pull has brought wait for the next run of authkeys-sync by its timer";

/// What `oncall-cache-people.path` is for: it starts a sync of the rota.
const WHY_ELIGIBLE: &str = "who may become root by what authkeys-sync has brought, and who no longer may, waits for the next sync of the rota";

/// What starts a sync when a file has changed, and why somebody would want that.
fn path_unit(systemd: &Systemd<'_>, unit: &str, why: &'static str) -> Option<Finding> {
    let (what, fix) = systemd.trouble(unit)?;
    let found = Finding::warning("timer", what).at(Place::file(format!("/usr/lib/systemd/system/{unit}")));
    Some(Finding { fix, ..found.why(why) })
}

/// Files beside the configuration that only a sync may read, as secrets are kept, and that the configuration does not
/// name any more.
fn left_over(config: &Config, around: &Around<'_>) -> Vec<Finding> {
    let groups = ["oncall-cache", "authkeys-sync", "authkeys"].map(|group| around.accounts.gid(group));
    let beside = config.path.parent().unwrap_or(Path::new("/"));
    let named: Vec<_> = references(&config.text)
        .into_iter()
        .filter(|one| matches!(one.kind, Kind::File | Kind::Secret))
        .map(|one| beside.join(one.name))
        .collect();
    let is_secret = |stat: &Stat| {
        !stat.is_directory
            && stat.mode & 0o007 == 0
            && stat.mode & 0o040 != 0
            && groups.contains(&Some(stat.gid))
    };
    let left = around
        .files
        .iter()
        .filter(|(file, stat)| is_secret(stat) && !named.iter().any(|one| one == Path::new(file)));
    left.map(|(file, _)| {
        let what = "kept as a secret of a sync, and the configuration names it nowhere";
        let found = Finding::warning("fleet-secret", what).at(Place::file(file));
        let why = "a host of a fleet needs neither the provider's token nor the directory's password, and with the host they would be lost";
        found.why(why).advise(format!("revoke it where it was issued, and remove it: `shred -u {}`", quoted(file)))
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_that_nothing_names_is_left_over() {
        let text = "[fleet]\nid = 'x'\nurls = ['https://h']\nheader_file = 'header'\n";
        let config = Config::parse(Path::new("/etc/authkeys/config.toml"), text.as_bytes()).unwrap();
        let accounts = Accounts::parse(String::new(), "oncall-cache:x:990:\n".to_string(), "");
        let file = |name: &str, gid, mode| {
            (format!("/etc/authkeys/{name}"), Stat { uid: 0, gid, mode, is_directory: false })
        };
        let files = [
            file("token", 990, 0o640),
            file("header", 990, 0o640),
            file("config.toml", 0, 0o644),
            file("rota.toml", 990, 0o644),
            file("private", 0, 0o600),
            file("other", 991, 0o640),
        ];
        let systemd = Systemd { runs: false, says: &|_, _| None };
        let around =
            Around { accounts: &accounts, systemd: &systemd, files: &files, now: Timestamp::from_unix(0) };
        let found = left_over(&config, &around);
        let told: Vec<_> =
            found.iter().map(|one| (one.id, one.place.as_ref().unwrap().file.as_str())).collect();
        assert_eq!(told, [("fleet-secret", "/etc/authkeys/token")]);
    }

    #[test]
    fn what_starts_a_sync_after_a_pull_has_to_be_enabled() {
        let rota = "[[oncall.source]]\nname = 'pd'\nprovider = 'fleet'\nschedules = ['P1']\n";
        let accounts = Accounts::parse(String::new(), String::new(), "");
        let told = |enabled: &'static str, rota: &str| {
            let text = format!("[fleet]\nid = 'x'\nurls = ['https://h']\n[directory]\nfleet = true\n{rota}");
            let config = Config::parse(Path::new("/nonexistent/config.toml"), text.as_bytes()).unwrap();
            let systemd = Systemd { runs: false, says: &|_, _| Some(enabled.to_string()) };
            let around =
                Around { accounts: &accounts, systemd: &systemd, files: &[], now: Timestamp::from_unix(0) };
            let found = check(&config, &around).into_iter().filter(|found| found.id == "timer");
            found.map(|found| found.what).collect::<Vec<_>>()
        };
        assert_eq!(told("enabled", rota), [""; 0]);
        let disabled = |unit: &str| format!("{unit} is disabled: the next boot does not start it");
        let (people, eligible) = (disabled("authkeys-fleet.path"), disabled("oncall-cache-people.path"));
        assert_eq!(told("disabled", rota), [people.clone(), eligible]);
        assert_eq!(told("disabled", ""), [people], "without a rota there is nothing to sync it with");
    }

    #[test]
    fn two_keys_of_one_name_are_one_signer_and_those_that_ended_are_none() {
        let keys: Vec<String> = (0..4).map(made_keys::numbered).collect();
        let line = |name: &str, more: &str, key: usize| {
            format!("{name} namespaces=\"head@authkeys\"{more} {}\n", keys[key])
        };
        let grants = format!("dave namespaces=\"grant@authkeys\" {}\n", keys[3]);
        let text =
            [line("c1", "", 0), line("c1", "", 1), line("c2", ",valid-before=\"20260101Z\"", 2), grants]
                .concat();
        let (signers, dead) = Signers::parse(text.as_bytes());
        assert_eq!(dead, []);
        let at = |text| Timestamp::parse(text).unwrap();
        assert_eq!(names(&signers, at("2025-12-31T23:59:59Z")), 2);
        assert_eq!(names(&signers, at("2026-01-01T00:00:00Z")), 1);
        assert_eq!(names(&Signers::default(), at("2026-01-01T00:00:00Z")), 0);
    }
}
