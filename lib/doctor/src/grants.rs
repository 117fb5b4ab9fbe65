//! What a host that takes grants needs: approvers with keys, a list of revoked grants that can be read, and a socket.

use std::collections::BTreeSet;

use host::config::Grants;
use host::{Config, revoked_grants};
use policy::{GrantRule, Timestamp};
use signed::{Purpose, Signers};
use trust::Owner;

use super::finding::{Finding, Place, quoted};
use super::timers::Systemd;

/// Where a grant cannot be brought, nobody is let in by one.
const WHY: &str = "in the night in which somebody is needed who is not on call, no grant lets them in";

/// Everything; nothing on a host that takes no grants.
pub fn check(config: &Config, systemd: &Systemd<'_>, now: Timestamp) -> Vec<Finding> {
    let Some(grants) = config.grants.as_ref().filter(|_| config.rules.takes_grants()) else {
        return Vec::new();
    };
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
    let unit = "oncall-grant-accept.socket";
    findings.extend(systemd.trouble(unit).map(|(what, fix)| {
        let found =
            Finding::warning("grant-socket", what).at(Place::file(format!("/usr/lib/systemd/system/{unit}")));
        Finding { fix, ..found.why(WHY) }
    }));
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
    for rule in rules {
        // Approvers of a rule by which people let themselves in review that.
        let purpose = if rule.is_break_glass() { Purpose::Review } else { Purpose::Grant };
        let named: BTreeSet<&str> =
            signers.current(purpose, now).map(|signer| signer.name.as_str()).collect();
        let count = rule.approvers.iter().filter(|person| named.contains(person.as_str())).count();
        let wants = rule.quorum.people();
        if count < wants {
            let name = &rule.name;
            let what =
                format!("{count} of the approvers of [[policy.grant]] {name} may sign, and it takes {wants}");
            let found = Finding::warning("grant-signers", what).at(Place::file(grants.signers.display()));
            findings.push(
                found
                    .why(WHY)
                    .advise("write a line for each approver's key there, with the name that `approvers` has"),
            );
        }
    }
    findings
}
