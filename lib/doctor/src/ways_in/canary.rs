//! Canaries: is what PAM's module says now what the policy says? It is asked, as libpam asks it, by a stack of the suite's own
//! that has its line alone, about somebody whom the policy admits, and about a name that is nobody's.
//!
//! The site's own stacks, with all that their modules do, are asked after a package has changed (packaging/self-test).

use std::collections::BTreeSet;
use std::path::Path;

use ::state::HostState;
use host::accounts;
use host::config::DEFAULT_PATH;
use host::probe::{SUCCESS, SUDO, ask_by};
use policy::{Actor, Login, Mode, Principal, Reason, Timestamp};
use trust::Owner;

use super::super::finding::{Finding, Place};

/// Where the stack is: a file for the service that it stands for, and libpam's for all others, without which libpam writes a
/// line to the log for each question (pam_handlers.c: "no default config").
const STACKS: &str = "/usr/share/authkeys/canary";
const OTHER: &str = "other";

/// A name that is nobody's, and never will be.
const NOBODYS: &str = "authkeys-canary";

/// The answer of libpam about one of them, with a line for people: its code, or why there is none.
type Answer = Result<(i32, String), String>;

/// Asks, and judges what is said. Another configuration than the one that logins go by is nothing that the module knows.
pub fn check(known: &HostState, now: Timestamp) -> Vec<Finding> {
    if known.path() != Path::new(DEFAULT_PATH) {
        return Vec::new();
    }
    // libpam loads the modules of both, as root.
    for stack in [SUDO, OTHER].map(|service| format!("{STACKS}/{service}")) {
        if let Err(refusal) = trust::open(Path::new(&stack), Owner::Root) {
            let why = "the module is not asked whether it decides as the policy does";
            return vec![Finding::warning("canary", refusal).at(Place::file(stack)).why(why).advise(INSTALL)];
        }
    }
    let asked = |name: &str| ask_by(SUDO, name, &[&format!("ruser={name}"), &format!("confdir={STACKS}")]);
    let admitted = admitted(known, now).and_then(|person| refused(&person, asked(&person)));
    let is_enforcing = known.mode(now).0 == Mode::Enforce;
    let nobodys = is_enforcing.then(|| let_in(asked(NOBODYS))).flatten();
    admitted.into_iter().chain(nobodys).collect()
}

const INSTALL: &str = "install the suite again (packaging/install.sh, or the package libpam-oncall)";

/// Somebody who is on call, has an account here and need not say why first.
fn admitted(known: &HostState, now: Timestamp) -> Option<String> {
    let shifts = known.roster().ok()?.shifts.iter().filter(|shift| shift.window.contains(now));
    let people: BTreeSet<&Principal> = shifts.map(|shift| &shift.principal).collect();
    let is_admitted = |person: &&Principal| {
        let facts = accounts::facts(person.as_str(), &known.rules().privileged_groups);
        let actor = Actor::Known(person);
        let login = Login {
            service: SUDO,
            account: person.as_str(),
            facts: &facts,
            person: actor,
            tty: "",
            place: "",
        };
        facts.uid.is_some_and(|uid| uid != 0) && known.decide(&login, now, now).reason == Reason::OnCall
    };
    people.into_iter().find(is_admitted).map(ToString::to_string)
}

fn refused(person: &str, answer: Answer) -> Option<Finding> {
    let said = match answer {
        Ok((SUCCESS, _)) => return None,
        Ok((code, words)) => {
            format!("pam_oncall.so refuses {person}, whom the policy admits now: {words} ({code})")
        }
        Err(problem) => {
            format!("pam_oncall.so was not asked about {person}, whom the policy admits now: {problem}")
        }
    };
    let why = "nobody on call becomes root here if it answers a sudo in the same way";
    let advice = "the log has its reason (`journalctl -n 20`); if there is none, libpam cannot load it: install the suite again";
    Some(
        Finding::lock_out("canary", said)
            .at(Place::file(format_args!("{STACKS}/{SUDO}")))
            .why(why)
            .advise(advice),
    )
}

fn let_in(answer: Answer) -> Option<Finding> {
    matches!(answer, Ok((SUCCESS, _))).then(|| {
        let said =
            format!("pam_oncall.so lets in {NOBODYS}, a name that is nobody's, while this host enforces");
        let why = "it admits whom the policy does not know";
        let advice = "find out who changed pam_oncall.so or config.toml, then install the suite again";
        Finding::open("canary", said).at(Place::file(format_args!("{STACKS}/{SUDO}"))).why(why).advise(advice)
    })
}

#[cfg(test)]
mod tests {
    use super::super::super::finding::Severity;
    use super::*;

    #[test]
    fn what_the_module_says_is_what_the_policy_says_or_it_is_told() {
        let said = |code: i32| Ok((code, "words".to_string()));
        assert_eq!((refused("alice", said(0)), let_in(said(6)), let_in(said(10))), (None, None, None));
        // Whether it would let them in is not known, and they get in nowhere by it.
        assert_eq!(let_in(Err("no answer".into())), None);
        for answer in [said(6), said(28), Err("no answer".into())] {
            let found = refused("alice", answer).unwrap();
            assert_eq!((found.id, found.severity), ("canary", Severity::LockOut));
        }
        assert_eq!(let_in(said(0)).unwrap().severity, Severity::Open);
    }
}
