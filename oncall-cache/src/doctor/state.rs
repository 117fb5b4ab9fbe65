//! What the suite itself knows and does: its configuration, its copies and their age, and the clock.

use std::collections::BTreeMap;
use std::path::Path;

use host::config::Directory;
use host::switch::{self, Unreadable};
use host::{Config, FileError, revoked};
use policy::{Mode, ModeSource, Order, Roster, Switch, Timestamp, mode_in_force};
use store::keys::{self, KeyCopy, Refused};
use store::{KeyProblem, StoreError};
use trust::{Owner, Refusal, Why};

use super::finding::{Finding, Place, Severity, edit, quoted};
use super::machine::{self, Said};
use crate::names;
use crate::report::Report;
use crate::status::{Health, Status};
use host::switch::PROBE;

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
pub fn config(config: &Config, switch: &Result<Switch, Unreadable>, now: Timestamp) -> Vec<Finding> {
    let place = || Place::file(config.path.display());
    let rules = &config.rules;
    let mut findings = Vec::new();
    if mode_in_force(rules.mode, switch.as_ref().ok(), now) == (Mode::Observe, ModeSource::Config) {
        let found = Finding::warning("observe", "policy.mode is \"observe\": PAM refuses nobody").at(place());
        findings.push(
            found.why("whoever is off call is let in, and logged").advise("in [policy]: mode = \"enforce\""),
        );
    }
    if let Some(uncovered) = rules.uncovered() {
        let found = Finding::lock_out("no-rule", uncovered);
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
            "policy.groups is empty: sudo, doas, polkit, uid 0 and the accounts listed are guarded, and no other login",
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

/// Names in the configuration that stand for nothing here. (Exempt accounts are judged by what they are good for.)
pub fn names(config: &Config, now: Timestamp) -> Vec<Finding> {
    let text = machine::bytes(&config.path).unwrap_or_default();
    let remarks = names::remarks(config, &text, now).into_iter();
    let told = remarks.filter(|remark| !remark.text.starts_with("policy.exempt_accounts"));
    let why = "what the line asks for does not happen, and nothing else says so";
    let found = |remark: names::Remark| {
        let found =
            Finding::warning("config-name", remark.text).at(Place::line(config.path.display(), remark.line));
        found.why(why).advise("write the name that is meant, make what it names, or take the line out")
    };
    told.map(found).collect()
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
    let StoreError::Untrusted(refusal) = error else {
        return found.at(Place::file(path.display())).run(SYNC);
    };
    shut(found, refusal).unwrap_or_else(|found| {
        found.advise("find out who changed it, then mend owner and mode; a sync writes the file anew")
    })
}

/// Places a finding at what others could have written, with the command that shuts it, if one does.
pub fn shut(found: Finding, refusal: &Refusal) -> Result<Finding, Finding> {
    let Why::Untrusted(at, _) = &refusal.why else {
        return Err(found.at(Place::file(refusal.path.display())));
    };
    let found = found.at(Place::file(at.display()));
    let name = quoted(&at.display().to_string());
    match machine::stat(at) {
        Some(stat) if stat.mode & 0o022 != 0 => Ok(found.run(format_args!("chmod go-w {name}"))),
        Some(stat) if stat.uid != 0 && stat.is_directory => Ok(found.run(format_args!("chown root {name}"))),
        _ => Err(found),
    }
}

/// The switch beside the configuration: what root said about enforcing, and what is left of that. `written` is the
/// mode by the configuration.
pub fn switch(
    config: &Path,
    written: Mode,
    switch: &Result<Switch, Unreadable>,
    now: Timestamp,
) -> Vec<Finding> {
    let path = switch::beside(config);
    let switch = match switch {
        Ok(switch) => switch,
        Err(unreadable) => return vec![switch_unreadable(unreadable)],
    };
    let source = mode_in_force(written, Some(switch), now).1;
    let told = crate::switch::told(source, None, now).unwrap_or_default();
    let mut findings = Vec::new();
    match source {
        ModeSource::Suspended(_) => {
            let found = Finding::warning("switch", told).at(line_of(&path, "suspend"));
            let why = "until then whoever is off call is let in, and logged; revoked people too";
            findings.push(found.why(why).run("oncall-cache suspend --end"));
        }
        ModeSource::Trial(_) => {
            let found = Finding::warning("switch", told).at(line_of(&path, "enforce"));
            let why = "unless somebody confirms it, this host goes back to observing at that instant";
            let advice = "from a new login `oncall-cache enforce --confirm`; to go back now `oncall-cache enforce --end`";
            findings.push(found.why(why).advise(advice));
        }
        ModeSource::Confirmed(_) => {
            let found = Finding::note("switch", told).at(line_of(&path, "enforce"));
            let why = "whoever sets this host up anew from config.toml gets one that refuses nobody";
            let advice = "in [policy]: mode = \"enforce\"; then `oncall-cache enforce --end`";
            findings.push(found.why(why).advise(advice));
        }
        ModeSource::Config | ModeSource::Unreadable => {}
    }
    let orders = [("suspend", &switch.suspension), ("enforce", &switch.enforcement)];
    let left = orders.into_iter().filter_map(|(verb, order)| Some((verb, order.as_ref()?)));
    findings.extend(left.filter_map(|(verb, order)| leftover(&path, written, now, verb, order)));
    findings
}

fn switch_unreadable(unreadable: &Unreadable) -> Finding {
    let found = Finding::warning("switch", unreadable);
    let why =
        "it may have said that this host enforces, so it does, whatever config.toml and a suspension say";
    let found = found.why(why);
    match unreadable {
        Unreadable::Line(path, line) => {
            let mend = edit(&path.display().to_string(), &[format!("{line}d")]);
            found.at(Place::line(path.display(), *line)).run(mend)
        }
        Unreadable::File(refusal) => shut(found, refusal).unwrap_or_else(|found| {
            let path = quoted(&refusal.path.display().to_string());
            found.advise(format_args!(
                "find out who changed it; then `rm {path}`, and say again what shall hold: oncall-cache suspend, or enforce"
            ))
        }),
    }
}

/// An order by which nothing is decided any more.
fn leftover(path: &Path, written: Mode, now: Timestamp, verb: &str, order: &Order) -> Option<Finding> {
    let end = order.until.map_or_else(|| "no end".to_string(), |until| until.to_string());
    let (what, why) = match (order.holds(now), verb, written) {
        (false, ..) => (
            format!("`{verb}` until {end}, by {}, does not hold", order.by),
            "nothing is decided by it any more",
        ),
        (true, "enforce", Mode::Enforce) => (
            format!("`enforce`, by {}, beside a config.toml that enforces", order.by),
            "should config.toml observe one day, this host would go on enforcing",
        ),
        _ => return None,
    };
    let found = Finding::note("switch", what).at(line_of(path, verb));
    Some(found.why(why).run(format_args!("oncall-cache {verb} --end")))
}

/// The line of a verb in the switch.
fn line_of(path: &Path, verb: &str) -> Place {
    let text = machine::text(&path.display().to_string()).unwrap_or_default();
    let is_it = |line: &str| line.split_whitespace().next() == Some(verb);
    match text.lines().position(is_it) {
        Some(at) => Place::line(path.display(), at + 1),
        None => Place::file(path.display()),
    }
}

/// The helper that `enforce` tries the stacks with.
pub fn probe() -> Option<Finding> {
    let path = Path::new(PROBE);
    let why = "`oncall-cache enforce` tries the stacks with it, and without it enforces nothing";
    let found = |what: &dyn std::fmt::Display| Finding::warning("pam-probe", what).why(why);
    match trust::open(path, Owner::Root) {
        Err(refusal) if refusal.is_missing() => {
            let advice = "install the suite again (packaging/install.sh, or the package libpam-oncall)";
            Some(found(&refusal).at(Place::file(PROBE)).advise(advice))
        }
        Err(refusal) => {
            Some(shut(found(&refusal), &refusal).unwrap_or_else(|found| {
                found.advise("find out who changed it, then install the suite again")
            }))
        }
        Ok(_) => {
            let stat = machine::stat(path).filter(|stat| stat.mode & 0o100 == 0)?;
            let found = found(&format_args!("mode {:04o}: root cannot run it", stat.mode));
            Some(found.at(Place::file(PROBE)).run(format_args!("chmod 755 {PROBE}")))
        }
    }
}

/// The copy of the directory.
pub fn keys(config: &Config, now: Timestamp) -> Vec<Finding> {
    let place = Place::file(config.paths.keys.display());
    let Some(directory) = &config.directory else {
        let found = Finding::lock_out("keys", "the configuration names no [directory]");
        let advice = "say in [directory] where people are: urls of LDAP servers, or file = \"people.toml\"";
        let found = found.at(Place::file(config.path.display()));
        return vec![found.why("nobody has a key, and nobody is eligible").advise(advice)];
    };
    match KeyCopy::open(&config.paths.keys, &config.copy_scope(directory), config.keys.stale_for, now) {
        Err(error) => {
            let found = mended(Finding::lock_out("keys", &error), &error, &config.paths.keys);
            vec![found.why("no keys are printed, and whose key opened a shared account cannot be told")]
        }
        Ok(copy) => {
            let age = now.since(copy.synced());
            let is_local = matches!(directory, Directory::File(_));
            let is_old = age.as_seconds() > config.keys.fresh_for.as_seconds().max(3_600);
            let found = Finding::warning("keys", format_args!("the copy of the directory is {age} old"));
            let found = found.at(place.clone());
            let why = if is_local {
                "changes of people.toml do not count yet"
            } else {
                "every login asks the directory live, and keys that were taken away open accounts still"
            };
            let old = is_old.then(|| found.why(why).run("authkeys-sync"));
            let more = elsewhere(config).into_iter().chain(groups_in_the_group(config));
            old.into_iter().chain(more).chain(refused_keys(&copy, &place)).collect()
        }
    }
}

/// That the directory has referred to another server, which is asked nothing.
fn elsewhere(config: &Config) -> Option<Finding> {
    let url = keys::elsewhere(&config.paths.keys)?;
    let what = format_args!("the directory refers to {url} for more people below `base`").to_string();
    let found = Finding::warning("referral", what).at(Place::file(config.path.display()));
    let why = "they are not copied; and a live lookup, which is asked where the copy is old or mode is \"lookup\", is no answer for anybody";
    let advice = "in [directory], then `authkeys-sync`: a narrower `base`, or referrals = \"ignore\" if nobody there needs a key here";
    Some(found.why(why).advise(advice))
}

/// Groups in the eligible group that are not followed.
fn groups_in_the_group(config: &Config) -> Option<Finding> {
    let what = names::unfollowed(config)?;
    let found = Finding::warning("nested-groups", what).at(Place::file(config.path.display()));
    let why = "who is on call and eligible by such a group alone is refused";
    Some(
        found
            .why(why)
            .advise("nested_groups = true in [directory], then authkeys-sync and oncall-cache sync"),
    )
}

/// The most of the refused keys of one kind that are named.
const MOST_NAMED: usize = 5;

/// What the copy says is refused of people's keys, by reason.
fn refused_keys(copy: &KeyCopy, place: &Place) -> Vec<Finding> {
    let refused = match copy.refused(None) {
        Ok(refused) => refused,
        Err(error) => return vec![Finding::warning("keys", error).at(place.clone()).run("authkeys-sync")],
    };
    let mut kinds: BTreeMap<KeyProblem, Vec<String>> = BTreeMap::new();
    for Refused { principal, which, problem } in refused {
        kinds.entry(problem).or_default().push(format!("{principal} {which}"));
    }
    kinds.into_iter().map(|(problem, named)| refused_kind(problem, &named).at(place.clone())).collect()
}

fn refused_kind(problem: KeyProblem, named: &[String]) -> Finding {
    let mut list = named.iter().take(MOST_NAMED).cloned().collect::<Vec<_>>().join(", ");
    if named.len() > MOST_NAMED {
        list += &format!(" and {} more", named.len() - MOST_NAMED);
    }
    let what = format!("{list}: {problem} ({})", problem.token());
    // A short RSA key is an old one; no program that makes keys makes any of the others.
    if problem.is_weakness() && problem != KeyProblem::WeakRsa {
        let found = Finding::warning("weak-key", what);
        let why = "it opens nothing here; whatever else takes it for a key may let in people who have no private key";
        return found.why(why).advise("take it out of the directory, and ask whoever wrote it there");
    }
    let found = Finding::note("refused-key", what).why("it opens nothing here");
    found.advise("`authkeys --explain NAME` tells all of one person; they write a key that is accepted, or take it out")
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
    if !roster.clock_holds(now) {
        let found = Finding::lock_out(
            "clock",
            format_args!(
                "this host's clock is behind: its last sync, and the time since, say {}",
                roster.floor
            ),
        );
        let advice = "set the clock, then `oncall-cache sync`";
        return vec![
            found
                .at(place())
                .why("a clock that went back proves no age: every guarded login is refused")
                .advise(advice),
        ];
    }
    // What is switched is told apart.
    let switch = Ok(Switch::untouched());
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_nothing_keeps_right_is_told() {
        let said = |out: &str| Some(Said { out: out.to_string(), complaint: String::new(), succeeded: true });
        assert!(clock(said("no\n")).is_some() && clock(said("yes\n")).is_none() && clock(None).is_none());
    }
}
