//! `explain`: what a person reads whose key is known and who is not admitted now.
//!
//! sshd runs it in place of whatever was asked for, as the account that the person wanted (`[[policy.shared]]`,
//! `explain = true`). It cannot know who they are or what they wanted: the environment is no evidence, and
//! nothing of it is read. So it says what holds for everybody who is told.

use policy::{Decision, Facts, Login, Person, Reason, Refusal, Timestamp, Verdict, anyone};

use crate::check::World;

/// What to do about it.
const ADVICE: &str = "Ask whoever is; or take the shift over where the rota is kept, and log in again after \
                      this host's next sync.";

/// What is said, and whether the host could tell.
pub fn explain(world: &World, now: Timestamp) -> (String, bool) {
    let facts = Facts { uid: Some(0), ..Facts::default() };
    let (person, tty) = (Person::Unknown, "");
    let login = Login { service: "sshd", account: "this account", facts: &facts, person, tty, place: "" };
    let evidence = world.evidence();
    let decision = match anyone(&login, &evidence, &world.rules, now) {
        somebody @ Decision { reason: Reason::AwaitsKey, .. } => {
            Decision { verdict: Verdict::Refuse, reason: Reason::NotOnCall, ..somebody }
        }
        decision => decision,
    };
    let refusal = Refusal::new(&login, &decision, &evidence, &world.rules, now);
    (format!("{refusal}\n{ADVICE}"), decision.verdict != Verdict::CannotTell)
}

#[cfg(test)]
mod tests {
    use super::*;
    use policy::{Fault, Revoked, Rules};

    #[test]
    fn a_host_that_cannot_tell_says_so() {
        let mut rules = Rules::compiled();
        rules.host.name = "db1".to_string();
        let world = World {
            config_problem: None,
            rules,
            roster: Err((Fault::Missing, String::new())),
            revoked: Ok(Revoked::nobody()),
            switch: Ok(Default::default()),
            mappings: Default::default(),
        };
        let (text, told) = explain(&world, Timestamp::from_unix(1_795_165_200));
        assert!(!told);
        let first = "this account on db1 is for people on call: this host cannot tell who is (cache-missing)";
        assert!(text.starts_with(first), "{text}");
    }
}
