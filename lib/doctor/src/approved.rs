//! Whether the policy that runs here was signed, on a host where somebody asks for that.

use approval::{Problem, SIGNATURE, SIGNERS, Seen, standing};
use host::Config;
use policy::Timestamp;
use trust::Why;

use super::finding::{Finding, Place, quoted};

const WHY: &str = "whom this host admits is not what somebody approved; nobody is locked out for it";

/// Everything; nothing on a host without a list of signers.
pub fn check(config: &Config, now: Timestamp) -> Vec<Finding> {
    let standing = standing(config, &Seen::path(), now);
    let path = |name: &str| config.path.with_file_name(name).display().to_string();
    if !standing.is_asked {
        // Whoever takes the list away takes the question away.
        let told = standing.seen.iter().map(|seen| {
            let what = format!(
                "policies were signed here, up to number {}, and there is no list of signers",
                seen.number
            );
            let found = Finding::note("policy-signers", what).at(Place::file(path(SIGNERS)));
            found
                .why("nobody is told if another policy runs here")
                .advise("put the list of signers there again")
        });
        return told.collect();
    }
    let dead = standing.dead.iter().map(|dead| {
        let what = format!("a line lets nobody sign: {}", dead.problem);
        let found = Finding::warning("policy-signers", what).at(Place::line(path(SIGNERS), dead.line));
        found.why("a key that was meant to count does not").advise("correct the line, or remove it")
    });
    let amiss = standing
        .problems
        .iter()
        .map(|problem| told(problem, &path(SIGNATURE), &config.path.display().to_string()));
    dead.chain(amiss).collect()
}

/// One problem; the signature and the configuration are at these places.
fn told(problem: &Problem, signature: &str, config: &str) -> Finding {
    let found = |place: &str| Finding::open("policy-signed", problem).at(Place::file(place)).why(WHY);
    match problem {
        Problem::Unreadable(refusal) if refusal.is_missing() => found(signature)
            .advise("bring the signature that belongs to this policy; `oncall-cache policy sign` makes it"),
        Problem::Unreadable(refusal) => {
            let place = refusal.path.display().to_string();
            match refusal.why {
                Why::Untrusted(..) => {
                    let path = quoted(&place);
                    found(&place).run(format!("chown root:root {path} && chmod 644 {path}"))
                }
                _ => found(&place).advise("bring the right file again"),
            }
        }
        Problem::Signature(_) | Problem::Text(_) => found(signature)
            .advise("bring the signature again, or let somebody sign whom policy-signers lists"),
        Problem::Differs(_) | Problem::Host(_) => found(config)
            .advise("bring the configuration that was signed, or have this one signed with a higher number"),
        Problem::Older { .. } | Problem::Twice(_) => found(signature)
            .advise("bring the newest one, or have this one signed again with a higher number"),
    }
}
