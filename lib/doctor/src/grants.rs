//! What a host that takes grants needs: approvers with keys, a list of revoked grants that can be read, and a socket; and
//! the same socket where a rule asks people on call why.

use std::collections::BTreeSet;

use ::state::{Unreviewed, unreviewed};
use host::config::Grants;
use host::{Config, revoked_grants};
use policy::{GrantRule, Principal, Timestamp};
use signed::{Purpose, Signers};
use trust::Owner;

use super::finding::{Finding, Place, quoted};
use super::timers::Systemd;

/// Where a grant cannot be brought, nobody is let in by one.
const WHY: &str = "in the night in which somebody is needed who is not on call, no grant lets them in";

/// Where no reason can be kept, none is asked for.
const UNCLAIMED: &str =
    "no reason can be kept: people on call are admitted without one, and the record says `unclaimed`";

/// Where neither can be brought.
const BOTH: &str = "no grant lets anybody in who is not on call, and people on call are admitted without the reason that a rule \
                    asks for (`unclaimed`)";

/// What is brought to the socket, by systemd's name.
const SOCKET: &str = "oncall-grant-accept.socket";

/// Everything; nothing on a host that takes no grants and asks nobody why.
pub fn check(config: &Config, systemd: &Systemd<'_>, now: Timestamp) -> Vec<Finding> {
    let grants = config.grants.as_ref().filter(|_| config.rules.takes_grants());
    let mut findings = grants.map(|grants| taken(config, grants, now)).unwrap_or_default();
    findings.extend(unreviewed(config, now).iter().map(not_reviewed));
    let why = match (grants.is_some(), config.rules.asks_claims()) {
        (true, true) => BOTH,
        (true, false) => WHY,
        (false, true) => UNCLAIMED,
        (false, false) => return findings,
    };
    findings.extend(systemd.trouble(SOCKET).map(|(what, fix)| {
        let place = Place::file(format_args!("/usr/lib/systemd/system/{SOCKET}"));
        Finding { fix, ..Finding::warning("grant-socket", what).at(place).why(why) }
    }));
    findings
}

/// That somebody has let themselves in, and no approver has looked at it.
fn not_reviewed(one: &Unreviewed) -> Finding {
    let what = match &one.used {
        Ok(used) => format!(
            "{} let themselves into {} at {} ({}), and no approver has reviewed it",
            used.person, used.account, one.at, used.reason
        ),
        Err(why) => format!("somebody let themselves in, and it cannot be told who: {why}"),
    };
    let found = Finding::warning("break-glass-review", what).at(Place::file(one.path.display()));
    found
        .why("nobody has looked at what was done there; and for 24 hours nobody else can let themselves in")
        .advise(
            "an approver reads the text and signs a review: `oncall-cache grant review --finding TEXT FILE`",
        )
}

/// What grants need beside the socket.
fn taken(config: &Config, grants: &Grants, now: Timestamp) -> Vec<Finding> {
    let rules = config.rules.grants.iter().filter(|rule| rule.covers(&config.rules.host));
    let mut findings = signers(grants, &rules.collect::<Vec<_>>(), now);
    if let Err(error) = revoked_grants::read(&grants.revoked) {
        let found = Finding::warning("grant-revoked", &error).at(Place::file(error.path().display()));
        findings.push(
            found
                .why("no grant counts while it cannot be told which are revoked")
                .advise("correct the line that it names, or the file's owner and mode: root's, 0644"),
        );
    }
    findings
}

/// Whose signatures count.
fn signers(grants: &Grants, rules: &[&GrantRule], now: Timestamp) -> Vec<Finding> {
    let path = grants.signers.display();
    let text = match trust::read(&grants.signers, Owner::Root, Signers::LARGEST as u64) {
        Ok(text) => text,
        Err(refusal) => {
            let found = Finding::warning("grant-signers", &refusal).at(Place::file(path)).why(WHY);
            let path = quoted(&grants.signers.display().to_string());
            return vec![if refusal.is_missing() {
                found.advise("write a line for each approver's key there: NAME namespaces=\"grant@authkeys\" TYPE BASE64")
            } else {
                found.run(format!("chown root:root {path} && chmod 644 {path}"))
            }];
        }
    };
    let (signers, dead) = Signers::parse(&text);
    let mut findings: Vec<Finding> = dead
        .iter()
        .map(|dead| {
            let what = format!("a line lets nobody sign: {}", dead.problem);
            let found =
                Finding::warning("grant-signers", what).at(Place::line(grants.signers.display(), dead.line));
            found.why("a key that was meant to count does not").advise("correct the line, or remove it")
        })
        .collect();
    let place = || Place::file(grants.signers.display());
    findings
        .extend(rules.iter().flat_map(|rule| mute(rule, rules, &signers, now)).map(|one| one.at(place())));
    findings
}

/// Why nobody is let in by `rule`, or nobody reviews that they were, as far as these signers go; `rules` are all of this host.
fn mute(rule: &GrantRule, rules: &[&GrantRule], signers: &Signers, now: Timestamp) -> Vec<Finding> {
    let named = |purpose| -> BTreeSet<&str> {
        signers.current(purpose, now).map(|signer| signer.name.as_str()).collect()
    };
    let (sign, review, name) = (named(Purpose::Grant), named(Purpose::Review), &rule.name);
    let found = |what: String| Finding::warning("grant-signers", what);
    if !rule.is_break_glass() {
        let count = rule.approvers.iter().filter(|person| sign.contains(person.as_str())).count();
        let wants = rule.quorum.people();
        let what =
            format!("{count} of the approvers of [[policy.grant]] {name} may sign, and it takes {wants}");
        let advice = "write a line for each approver's key there, with the name that `approvers` has";
        return (count < wants).then(|| found(what).why(WHY).advise(advice)).into_iter().collect();
    }
    // An approver of whichever rule reviews, and nobody themselves.
    let reviewers =
        || rules.iter().flat_map(|rule| &rule.approvers).filter(|one| review.contains(one.as_str()));
    let unsigned = rule.people.iter().filter(|person| !sign.contains(person.as_str()));
    let unreviewed = rule.people.iter().filter(|person| reviewers().all(|reviewer| reviewer == *person));
    let list = |people: Vec<&Principal>| (!people.is_empty()).then(|| Principal::list(people, " and "));
    let unsigned = list(unsigned.collect()).map(|people| {
        found(format!("no key counts by which {people} would let themselves in ([[policy.grant]] {name})"))
            .why("in the night in which nobody else can sign, they do not get in")
            .advise("write a line for their own key there: NAME namespaces=\"grant@authkeys\" TYPE BASE64")
    });
    let unreviewed = list(unreviewed.collect()).map(|people| {
        found(format!("nobody may review that {people} let themselves in ([[policy.grant]] {name})"))
            .why("what nobody reviews stays open, and stands in the way of the next for a day")
            .advise("let an approver do it: NAME namespaces=\"grant@authkeys,review@authkeys\" TYPE BASE64")
    });
    unsigned.into_iter().chain(unreviewed).collect()
}
