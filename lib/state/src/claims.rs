//! The reason that a person on call has stated on this host; and whether one can be stated now.

use std::path::Path;
use std::time::Duration;

use grant::{LARGEST_CLAIM, claim_name, claimed};
use host::{Config, acceptor, clock};
use policy::{Claimed, Principal, Timestamp};
use trust::Owner;

/// How long a login waits for whoever keeps reasons.
const PATIENCE: Duration = Duration::from_secs(5);

/// What `person` has stated last, by the clock that shows `now`. `None`: who asks may not read that, so that it is for PAM
/// to say.
pub(crate) fn stated(config: &Config, person: &Principal, now: Timestamp) -> Option<Option<Claimed>> {
    let directory = &config.paths.grants;
    match trust::read(&directory.join(claim_name(person)), Owner::Service, LARGEST_CLAIM as u64) {
        Ok(text) => Some(claimed(&text, now, &clock::uptime())),
        // Nobody but root and whoever decides may look in there: why somebody enters is not for everybody to read.
        Err(_) if std::fs::read_dir(directory).is_err_and(|error| is_denied(&error)) => None,
        Err(_) => Some(None),
    }
}

fn is_denied(error: &std::io::Error) -> bool {
    error.kind() == std::io::ErrorKind::PermissionDenied
}

/// Can somebody state one now? It is asked of whoever keeps them: that it answers, and could write.
pub(crate) fn are_taken() -> bool {
    let asked = acceptor::ask(Path::new(acceptor::SOCKET), acceptor::MAY_CLAIM, PATIENCE);
    matches!(asked, Ok((0, _)))
}
