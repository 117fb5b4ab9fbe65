//! What the suite itself knows and does: its configuration, its copies and their age, and the clock.

use std::collections::BTreeMap;
use std::path::Path;

use ::state::{HostState, StateError};
use host::config::Directory;
use host::orders::OrdersError;
use host::program::Output;
use host::switch;
use host::{Config, FileError};
use policy::{IncidentFeed, Mode, ModeSource, OnUnknown, Order, Timestamp};
use status::{Health, InnerGroups, Status, SyncStatus, SyncStatusError, UpcomingRefusal, mode};
use store::keys::{self, KeyCopy, Refused};
use store::{KeyProblem, StoreError};
use trust::{Owner, Refusal, Why};

use super::finding::{Finding, Place, Severity, edit, quoted};
use super::machine;
use host::switch::PROBE;

/// A configuration that cannot be read.
pub fn config_unreadable(config: &Path, error: &StateError) -> Finding {
    let path = config.display();
    let place = match error {
        StateError::Config(FileError::Content { line, .. }) => Place::line(config.display(), *line),
        _ => Place::file(config.display()),
    };
    let found = Finding::lock_out("config", error).at(place);
    let why = "every guarded login is refused, even of exempt accounts; only the console is open";
    found.why(why).advise(format_args!("fix it; `oncall-cache config check {path}` says whether it is right"))
}

/// What the configuration says that is allowed, and not what somebody would want for ever.
pub fn config(config: &Config, known: &HostState, now: Timestamp) -> Vec<Finding> {
    let place = || Place::file(config.path.display());
    let rules = &config.rules;
    let mut findings = Vec::new();
    if known.mode(now) == (Mode::Observe, ModeSource::Config) {
        let found = Finding::warning("observe", "policy.mode is \"observe\": PAM refuses nobody").at(place());
        findings.push(
            found.why("people off call are let in, and logged").advise("in [policy]: mode = \"enforce\""),
        );
    }
    if let Some(uncovered) = rules.uncovered() {
        let found = Finding::lock_out("no-rule", uncovered);
        let advice = "add a [[policy.rule]] with its schedules; `hosts` has to match [host] name or labels, or be left out";
        findings.push(found.at(place()).why("nobody can ever be admitted here").advise(advice));
    }
    if rules.exempts("root") {
        let found = Finding::open("root-exempt", "root is in policy.exempt_accounts").at(place());
        let why = "every key in root's own files, and root's password, opens root, on call or not; authkeys prints none";
        findings.push(
            found.why(why).advise("remove root from exempt_accounts; name an account made for emergencies"),
        );
    }
    if rules.privileged_groups.is_empty() {
        let found = Finding::note(
            "groups",
            "policy.privileged_groups is empty: only sudo, doas, polkit, uid 0 and the listed accounts are guarded",
        )
        .at(place());
        findings.push(
            found
                .why("members of sudo and wheel can log in off call; sudo refuses them")
                .advise("nothing, if that is intended"),
        );
    }
    findings.extend(config.remarks(now).into_iter().map(|remark| {
        let found = Finding::note("config-remark", remark).at(place());
        found.why("a setting that has no effect").advise("remove it, or renew it")
    }));
    findings
}

/// Looks up the names in the text of a configuration: the line of each name that does not exist, from 1, and what is wrong
/// with it.
type Names<'a> = &'a dyn Fn(&Config, &[u8]) -> Vec<(usize, String)>;

/// What the doctor is told: the code that knows a source's schedules may link the network, and the doctor does not; nor does
/// it link what understands Rego.
pub struct Told<'a> {
    /// The names in a configuration that do not exist.
    pub names: Names<'a>,
    /// Is each file of `[[policy.rego]]` that this host asks understood? Of the first that is not: which, its line, and why.
    pub rego: &'a dyn Fn(&Config) -> Result<(), String>,
}

/// Names in the configuration that do not exist here. (Exempt accounts are judged by what they are good for, a fleet's signers
/// with what is in them.)
pub fn names(config: &Config, names: Names<'_>) -> Vec<Finding> {
    let text = machine::bytes(&config.path).unwrap_or_default();
    let elsewhere = ["policy.exempt_accounts", "[fleet] signers"];
    let is_told_here = |told: &str| !elsewhere.iter().any(|setting| told.starts_with(setting));
    let told = names(config, &text).into_iter().filter(|(_, told)| is_told_here(told));
    let why = "the line has no effect, and nothing else reports that";
    let found = |(line, told): (usize, String)| {
        let found = Finding::warning("config-name", told).at(Place::line(config.path.display(), line));
        found.why(why).advise("correct the name, create what it names, or remove the line")
    };
    told.map(found).collect()
}

/// The list of those who are blocked.
pub fn revocations(known: &HostState) -> Option<Finding> {
    let error = of_orders(known.revoked().err()?)?;
    let place = match error {
        OrdersError::Line { path, line, .. } => Place::line(path.display(), *line),
        OrdersError::File(refusal) => Place::file(refusal.path.display()),
    };
    let found = Finding::lock_out("revoked", error).at(place);
    let why =
        "guarded logins are refused and no keys are printed: either could be for somebody who is revoked";
    let found = found.why(why);
    let fleet = known.config().ok().and_then(|config| config.fleet.as_deref());
    if fleet.is_some_and(|fleet| error.path() == fleet.revoked) {
        return Some(found.advise("as root, run `oncall-cache pull`, which writes it anew"));
    }
    Some(found.advise("fix the line or the file; without the file nobody is revoked"))
}

/// What is wrong with a file of root's orders, if it is that.
fn of_orders(error: &StateError) -> Option<&OrdersError> {
    if let StateError::Orders(error) = error { Some(error) } else { None }
}

/// Both syncs, and what comes before them.
fn syncs(config: &Config) -> String {
    let first = config.first_step().map(|step| format!("{step} --now && "));
    first.unwrap_or_default() + "authkeys-sync && oncall-cache sync"
}

/// The sync of the rota, and what comes before it.
fn sync(config: &Config) -> String {
    if config.first_step().is_some() { syncs(config) } else { "oncall-cache sync".to_string() }
}

/// Places a finding at what others could have written, and says how to shut it; otherwise a sync fixes it.
fn fixed(found: Finding, error: &StoreError, (path, config): (&Path, &Config)) -> Finding {
    let StoreError::Untrusted(refusal) = error else {
        return found.at(Place::file(path.display())).run(syncs(config));
    };
    shut(found, refusal).unwrap_or_else(|found| {
        found.advise("find out who changed it, then fix owner and mode; a sync rewrites the file")
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

/// The switch beside the configuration: what root said about enforcing, and what is left of that.
pub fn switch(known: &HostState, now: Timestamp) -> Vec<Finding> {
    let (path, written) = (switch::FILE.beside(known.path()), known.rules().mode);
    let switch = match known.switch() {
        Ok(switch) => switch,
        Err(error) => return of_orders(error).map(switch_unreadable).into_iter().collect(),
    };
    let source = known.mode(now).1;
    let told = mode::told(source, None, now).unwrap_or_default();
    let mut findings = Vec::new();
    match source {
        ModeSource::Paused(_) => {
            let found = Finding::warning("switch", told).at(line_of(&path, "pause"));
            let why = "until then everybody is let in, and logged; even revoked people";
            findings.push(found.why(why).run("oncall-cache pause --end"));
        }
        ModeSource::Trial(_) => {
            let found = Finding::warning("switch", told).at(line_of(&path, "enforce"));
            let why = "unless somebody confirms it, this host goes back to observing then";
            let advice = "from a new login, `oncall-cache enforce --confirm`; to go back now, `oncall-cache enforce --end`";
            findings.push(found.why(why).advise(advice));
        }
        ModeSource::Confirmed(_) => {
            let found = Finding::note("switch", told).at(line_of(&path, "enforce"));
            let why = "a host that is rebuilt from config.toml would refuse nobody";
            let advice = "in [policy]: mode = \"enforce\"; then `oncall-cache enforce --end`";
            findings.push(found.why(why).advise(advice));
        }
        ModeSource::Config | ModeSource::Unreadable => {}
    }
    let orders = [("pause", &switch.pause), ("enforce", &switch.enforcement)];
    let left = orders.into_iter().filter_map(|(verb, order)| Some((verb, order.as_ref()?)));
    findings.extend(left.filter_map(|(verb, order)| leftover(&path, written, now, verb, order)));
    findings
}

fn switch_unreadable(unreadable: &OrdersError) -> Finding {
    let found = Finding::warning("switch", unreadable);
    let why =
        "it may have said that this host enforces, so the host does, whatever config.toml or a pause says";
    let found = found.why(why);
    match unreadable {
        OrdersError::Line { path, line, .. } => {
            let fix = edit(&path.display().to_string(), &[format!("{line}d")]);
            found.at(Place::line(path.display(), *line)).run(fix)
        }
        OrdersError::File(refusal) => shut(found, refusal).unwrap_or_else(|found| {
            let path = quoted(&refusal.path.display().to_string());
            found.advise(format_args!(
                "find out who changed it; then `rm {path}`, and set the mode again: `oncall-cache pause --for 4h --reason TEXT`, or `oncall-cache enforce`"
            ))
        }),
    }
}

/// An order by which nothing is decided any more.
fn leftover(path: &Path, written: Mode, now: Timestamp, verb: &str, order: &Order) -> Option<Finding> {
    let end = order.until.map_or_else(|| "no end".to_string(), |until| until.to_string());
    let (what, why) = match (order.holds(now), verb, written) {
        (false, ..) => {
            (format!("`{verb}` until {end}, by {}, is not in effect", order.by), "it has no effect any more")
        }
        (true, "enforce", Mode::Enforce) => (
            format!("`enforce`, by {}, beside a config.toml that enforces", order.by),
            "if config.toml is set to observe one day, this host will still enforce",
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
    let why = "`oncall-cache enforce` tests the stacks with it, and without it enforces nothing";
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
        let advice = "set in [directory] where people are: urls of LDAP servers, or file = \"people.toml\"";
        let found = found.at(Place::file(config.path.display()));
        return vec![found.why("nobody has a key, and nobody is eligible").advise(advice)];
    };
    match KeyCopy::open(&config.paths.keys, &config.copy_scope(directory), config.keys.max_age, now) {
        Err(error) => {
            let error = error.after(config.first_step());
            let found = fixed(Finding::lock_out("keys", &error), &error, (&config.paths.keys, config));
            vec![
                found.why(
                    "no keys are printed, and the owner of a key that opens a shared account is unknown",
                ),
            ]
        }
        Ok(copy) => {
            let age = now.since(copy.synced());
            let is_local = matches!(directory, Directory::File(_));
            let is_old = age.as_seconds() > config.keys.cache_ttl.as_seconds().max(3_600);
            let found = Finding::warning("keys", format_args!("the copy of the directory is {age} old"));
            let found = found.at(place.clone());
            let why = if is_local {
                "changes in people.toml have not taken effect yet"
            } else {
                "every login asks the directory live, and keys that were removed still open accounts"
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
    let why = "they are not copied; and a live lookup, which is asked where the copy is old or source is \"live\", is no answer for anybody";
    let advice = "in [directory], a narrower `base`, or referrals = \"ignore\" if nobody there needs a key here; then `authkeys-sync`";
    Some(found.why(why).advise(advice))
}

/// Groups in the eligible group that are not followed, or show no member.
fn groups_in_the_group(config: &Config) -> Option<Finding> {
    let why = "people on call who are eligible only by such a group are refused";
    let (id, what, advice) = match InnerGroups::noted(config)? {
        InnerGroups::Unfollowed(what) => (
            "nested-groups",
            what,
            "nested_groups = true in [directory], then authkeys-sync and oncall-cache sync",
        ),
        InnerGroups::Empty(what) => (
            "empty-group",
            what,
            "let the bind DN read its members, or take the group out of the eligible group; then authkeys-sync and oncall-cache sync",
        ),
    };
    Some(Finding::warning(id, what).at(Place::file(config.path.display())).why(why).advise(advice))
}

/// The most of the refused keys of one kind that are named.
const MOST_NAMED: usize = 5;

/// What the copy says is refused of people's keys, by reason.
fn refused_keys(copy: &KeyCopy, place: &Place) -> Vec<Finding> {
    let refused = match copy.refused() {
        Ok(refused) => refused,
        Err(error) => {
            let found = Finding::warning("keys", error).at(place.clone());
            let why = "its owner has no keys in an outage, and cannot use a shared account";
            return vec![found.why(why).run("authkeys-sync")];
        }
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
        let why =
            "it opens nothing here; other software that accepts it may let in people who have no private key";
        return found.why(why).advise("remove it from the directory, and find out who wrote it there");
    }
    let found = Finding::note("refused-key", what).why("it opens nothing here");
    found.advise("`authkeys --explain NAME` lists those of one person; they should replace it with a key that is accepted, or remove it")
}

/// Why people on call are refused, for a roster or schedule that does not count.
const WHY_REFUSED: &str = "its shifts do not count: people on call are refused";

/// A roster that is not there, or not valid.
fn roster_unreadable(config: &Config, error: &StateError) -> Finding {
    let found = Finding::lock_out("roster", error);
    let found = match error {
        StateError::Roster(error) => fixed(found, error, (&config.paths.roster, config)),
        _ => found.at(Place::file(config.paths.roster.display())),
    };
    found.why(WHY_REFUSED)
}

/// The roster: is it trusted, how old is it, who will not be admitted soon.
pub fn roster(
    config: &Config,
    known: &HostState,
    report: &Result<SyncStatus, SyncStatusError>,
    now: Timestamp,
) -> Vec<Finding> {
    let place = || Place::file(config.paths.roster.display());
    let roster = match known.roster() {
        Ok(roster) => roster,
        Err(error) => return vec![roster_unreadable(config, error)],
    };
    if !roster.clock_holds(now) {
        let found = Finding::lock_out(
            "clock",
            format_args!(
                "this host's clock is behind: by its last sync, and the time since, it is {}",
                roster.floor
            ),
        );
        let advice = "set the clock, then `oncall-cache sync`";
        return vec![
            found
                .at(place())
                .why("with a clock that was set back no age can be known: every guarded login is refused")
                .advise(advice),
        ];
    }
    let status = Status::new(known, config, report, now);
    let mut findings: Vec<Finding> = (status.rows.iter())
        .filter_map(|row| {
            let trouble = row.trouble()?;
            let severity = if row.counts && !row.believed() { Severity::LockOut } else { Severity::Warning };
            let why = if severity == Severity::LockOut {
                WHY_REFUSED
            } else {
                "it is valid until it is too old; then its people are refused"
            };
            Some(Finding::new(severity, "schedule", trouble).at(place()).why(why).run(sync(config)))
        })
        .collect();
    findings.extend(status.unknown_incidents().map(|feed| incidents(feed, (&place(), config), now)));
    if let Ok(report) = report {
        let is_unsaid = findings.is_empty() && status.health() != Health::Well;
        findings.extend(is_unsaid.then(|| sync_failed(report, &place())).flatten());
        findings.extend(report.ahead.iter().map(|ahead| upcoming(ahead, now)));
    }
    findings
}

/// A source of which rules that wait for an incident do not know which are open.
fn incidents(feed: &IncidentFeed<'_>, (place, config): (&Place, &Config), now: Timestamp) -> Finding {
    let (severity, why) = match feed.on_unknown {
        OnUnknown::Refuse => (Severity::LockOut, "people on call are refused, incident or not"),
        OnUnknown::OnCall => (Severity::Warning, "people on call get in, incident or not"),
    };
    let found = Finding::new(severity, "incidents", status::unknown_incidents(feed, now));
    found.at(place.clone()).why(why).run(sync(config))
}

/// That the last sync failed, and why.
fn sync_failed(report: &SyncStatus, place: &Place) -> Option<Finding> {
    // A file in Rego that stopped it has a finding of its own.
    let problem = report.problem.as_ref().filter(|_| !report.rego_refused)?;
    let found = Finding::warning("schedule", format_args!("the last sync failed: {problem}"));
    let why = "what is known is valid until it is too old";
    Some(found.at(place.clone()).why(why).run("oncall-cache sync"))
}

/// Somebody on call soon who will not be admitted.
fn upcoming(refusal: &UpcomingRefusal, now: Timestamp) -> Finding {
    let found = Finding::warning("ahead", refusal.line(now));
    let advice = "fix it in the directory or the rota, then authkeys-sync and oncall-cache sync";
    found.why("in that shift they are refused").advise(advice)
}

/// Does something keep the clock right? `timedatectl`'s answer.
pub fn clock(said: Option<Output>) -> Option<Finding> {
    let is_no = said.is_some_and(|said| said.succeeded && said.out.trim() == "no");
    let found = Finding::warning("clock-sync", "nothing synchronises this host's clock (NTPSynchronized=no)");
    let why = "shifts begin and end by this clock; if it is two minutes off, syncs publish nothing";
    is_no.then(|| found.why(why).run("timedatectl set-ntp true"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_nothing_keeps_right_is_told() {
        let said =
            |out: &str| Some(Output { out: out.to_string(), complaint: String::new(), succeeded: true });
        assert!(clock(said("no\n")).is_some() && clock(said("yes\n")).is_none() && clock(None).is_none());
    }
}
