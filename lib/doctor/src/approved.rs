//! Whether the policy that runs here was signed, on a host where somebody asks for that.

use std::fs;
use std::os::unix::fs::MetadataExt;

use approval::{Mark, Problem, SIGNATURE, SIGNERS, Standing, standing};
use host::Config;
use policy::{Span, Timestamp};
use trust::{Refusal, Why};

use super::finding::{Finding, Place, quoted};

const WHY: &str = "whom this host admits is not what somebody approved; nobody is locked out for it";

/// How long before a signature ends it is told.
const AHEAD: Span = Span::hours(14 * 24);

/// Everything; nothing on a host without a list of signers.
pub fn check(config: &Config, now: Timestamp) -> Vec<Finding> {
    let standing = standing(config, &Mark::path(), now);
    let path = |name: &str| config.path.with_file_name(name).display().to_string();
    if !standing.is_asked {
        return unasked(&standing.seen, path(SIGNERS)).into_iter().collect();
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
    let all = dead.chain(amiss).chain(ends(&standing, now, path(SIGNATURE))).chain(broken(&standing.seen));
    all.collect()
}

/// Whoever takes the list away takes the question away.
fn unasked(seen: &Mark, signers: String) -> Option<Finding> {
    let up_to = match seen {
        Mark::Nothing | Mark::Hidden => return None,
        Mark::Highest(seen) => format!(", up to number {}", seen.number),
        Mark::Broken(_) => String::new(),
    };
    let what = format!("policies were signed here{up_to}, and there is no list of signers");
    let found = Finding::warning("policy-signers", what).at(Place::file(signers));
    Some(found.why("nobody is told if another policy runs here").advise(format!(
        "put the list of signers there again; where policies are signed no more, remove {}",
        Mark::path().display()
    )))
}

/// The last signature that counts ends soon.
fn ends(standing: &Standing, now: Timestamp, signature: String) -> Option<Finding> {
    let signed = standing.signed.as_ref()?;
    let ends = signed.ends.filter(|ends| *ends < now.plus(AHEAD))?;
    let what = format!(
        "the last signature of the policy that counts, by {}, counts until {ends}",
        signed.by.join(" and ")
    );
    let found = Finding::warning("policy-signed", what).at(Place::file(signature));
    let found = found
        .why("from then on this host, and each with the same signature, runs a policy that nobody signed");
    Some(found.advise(
        "have the same text signed by a key that ends later, or give this key a later end in policy-signers",
    ))
}

/// What was in force is there, and cannot be believed.
fn broken(seen: &Mark) -> Option<Finding> {
    let Mark::Broken(problem) = seen else { return None };
    let what = format!("it cannot be told whether a newer policy was in force here: {problem}");
    let found = Finding::warning("policy-signed", what).at(Place::file(Mark::path().display()));
    let found = found.why("an older policy that comes back is not told");
    Some(found.advise(
        "ask the centre for the highest number of this host, look who changed the file, and remove it",
    ))
}

/// One problem; the signature and the configuration are at these places.
fn told(problem: &Problem, signature: &str, config: &str) -> Finding {
    let found = |place: &str| Finding::open("policy-signed", problem).at(Place::file(place)).why(WHY);
    match problem {
        Problem::Unreadable(refusal) if refusal.is_missing() => found(signature)
            .advise("bring the signature that belongs to this policy; `oncall-cache policy sign` makes it"),
        Problem::Unreadable(refusal) => {
            let found = found(&refusal.path.display().to_string());
            match remedy(refusal) {
                Some(command) => found.run(command),
                None => {
                    found.advise("remove it and bring the right file again, root's, in a directory of root's")
                }
            }
        }
        Problem::Signature(_) | Problem::Text(_) | Problem::Alone => found(signature)
            .advise("bring the signature again, or let somebody sign whom policy-signers lists"),
        // Not held against enforcing: that ends it. That the host observes is a finding of its own.
        Problem::Observes => Finding::note("policy-signed", problem)
            .at(Place::file(config))
            .why("fewer are refused than somebody approved")
            .advise("enforce, or have the configuration that observes signed with a higher number"),
        Problem::Differs(_) | Problem::Host(_) => found(config)
            .advise("bring the configuration that was signed, or have this one signed with a higher number"),
        Problem::Older { .. } | Problem::Twice(_) => found(signature)
            .advise("bring the newest one, or have this one signed again with a higher number"),
    }
}

/// The command that mends the owner or the mode of a file: of the file itself alone. What a link leads to, and what has a
/// second name elsewhere, is somebody else's.
fn remedy(refusal: &Refusal) -> Option<String> {
    let Why::Untrusted(at, _) = &refusal.why else { return None };
    let file = fs::symlink_metadata(at).ok().filter(|_| *at == refusal.path)?;
    let is_alone = file.is_file() && file.nlink() == 1;
    let is_others = file.uid() != 0 || file.mode() & 0o022 != 0;
    let path = quoted(&at.display().to_string());
    (is_alone && is_others).then(|| format!("chown root:root {path} && chmod 644 {path}"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn a109_a_command_is_for_the_owner_and_mode_of_the_file_itself_alone() {
        let directory = tempfile::tempdir_in("/run").expect("these tests write to /run and need root");
        let path = |name: &str| directory.path().join(name);
        let remedy = |name: &str| {
            remedy(&trust::read(&path(name), trust::Owner::Root, 99).expect_err("it is refused"))
        };
        fs::write(path("file"), "").expect("a file");
        fs::set_permissions(path("file"), fs::Permissions::from_mode(0o666)).expect("a mode");
        assert!(remedy("file").is_some_and(|command| command.starts_with("chown root:root ")));
        fs::hard_link(path("file"), path("second")).expect("a hard link");
        symlink(path("file"), path("link")).expect("a link");
        fs::create_dir(path("directory")).expect("a directory");
        for name in ["second", "link", "directory"] {
            assert_eq!(remedy(name), None, "{name}");
        }
    }

    #[test]
    fn a109_a_signature_that_ends_and_a_broken_mark_are_told_before_it_is_too_late() {
        let now = Timestamp::parse("2026-12-20T00:00:00Z").expect("an instant");
        let standing = |ends: &str| Standing {
            digest: String::new(),
            is_asked: true,
            signed: Some(approval::Signed {
                number: 7,
                issued: now,
                by: vec!["alice".into()],
                digest: String::new(),
                text_digest: String::new(),
                ends: Timestamp::parse(ends),
            }),
            problems: Vec::new(),
            dead: Vec::new(),
            seen: Mark::Nothing,
        };
        let soon = ends(&standing("2027-01-01T00:00:00Z"), now, "x".into()).expect("a finding");
        assert_eq!((soon.id, soon.severity), ("policy-signed", super::super::Severity::Warning));
        assert!(soon.what.contains("by alice, counts until 2027-01-01"), "{}", soon.what);
        assert_eq!(ends(&standing("2027-02-01T00:00:00Z"), now, "x".into()), None);
        assert_eq!(ends(&standing("never"), now, "x".into()), None);
        assert_eq!(
            broken(&Mark::Broken("x".into())).map(|found| found.severity),
            Some(super::super::Severity::Warning)
        );
        assert!(
            unasked(&Mark::Broken("x".into()), "x".into()).is_some()
                && unasked(&Mark::Nothing, "x".into()).is_none()
        );
    }
}
