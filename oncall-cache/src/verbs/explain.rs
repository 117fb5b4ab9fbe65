//! `explain`: what a person reads whose key is known and who is not admitted now.
//!
//! sshd runs it in place of whatever was asked for, as the account that the person wanted (`[[policy.shared_account]]`,
//! `explain_refusals = true`). It cannot know who they are or what they wanted: the environment is no evidence, and
//! nothing of it is read. So it says what holds for everybody who is told.

use std::path::Path;

use policy::{Actor, Decision, Facts, Login, Reason, Refusal, Timestamp, Verdict, anyone};
use state::{Asked, HostState, Others};

use crate::said::{CANNOT_TELL, Said};

/// What to do about it.
const ADVICE: &str = "Ask the person on call; or take over the shift in the rota, and log in again after this \
                      host's next sync.";

/// What is said to everybody who is refused there.
pub fn run(config: &Path, now: Timestamp) -> Said {
    let mut state = HostState::load(config);
    state.read_roster(Asked::About(&[], Others::Named), now, now);
    let (text, told) = explain(&state, now);
    Said::text(text).exit(if told { 1 } else { CANNOT_TELL })
}

/// The words, and whether the host could tell.
fn explain(state: &HostState, now: Timestamp) -> (String, bool) {
    let facts = Facts { uid: Some(0), ..Facts::default() };
    let (person, tty) = (Actor::Unknown, "");
    let login = Login { service: "sshd", account: "this account", facts: &facts, person, tty, place: "" };
    let evidence = state.evidence();
    let decision = match anyone(&login, &evidence, state.rules(), now) {
        somebody @ Decision { reason: Reason::AwaitsKey, .. } => {
            Decision { verdict: Verdict::Refuse, reason: Reason::NotOnCall, ..somebody }
        }
        decision => decision,
    };
    let refusal = Refusal::new(&login, &decision, &evidence, state.rules(), now);
    (format!("{refusal}\n{ADVICE}"), decision.verdict != Verdict::CannotTell)
}

#[cfg(test)]
mod tests {
    use super::*;
    use host::Config;
    use policy::{Revoked, Switch};
    use state::StateError;
    use store::StoreError;

    #[test]
    fn a_host_that_cannot_tell_says_so() {
        let config = Config::parse(Path::new("/nonexistent/config.toml"), b"[host]\nname = 'db1'").unwrap();
        let missing = StateError::Roster(StoreError::Missing(config.paths.roster.as_path().into()));
        let state = HostState::of(config, Ok(Revoked::nobody()), Ok(Switch::untouched()), Err(missing));
        let (text, told) = explain(&state, Timestamp::from_unix(1_795_165_200));
        assert!(!told);
        let first = "this account on db1 is for people on call: this host cannot tell who is (cache-missing)";
        assert!(text.starts_with(first), "{text}");
    }
}
