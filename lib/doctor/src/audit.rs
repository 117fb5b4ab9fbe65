//! The audit file: can the module write it, and can nobody else read or change it? By the rules that the module itself
//! goes by (lib/record/src/spool.rs).

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use host::program;

use super::accounts::Accounts;
use super::finding::{Finding, Place, quoted};
use super::machine;

const WHY_UNWRITTEN: &str = "logins continue, but who was root is not recorded: `unwritten=` in the log, a gap in `oncall-cache report`";
const WHY_READ: &str = "everybody on this host can read who was root when, and from where";

/// Judges the file, the directory it is in and those above.
pub fn check(file: &Path, accounts: &Accounts) -> Vec<Finding> {
    let Some(directory) = file.parent() else { return Vec::new() };
    let warning = |at: &Path, what: &dyn std::fmt::Display| {
        Finding::warning("audit", what).at(Place::file(at.display())).why(WHY_UNWRITTEN)
    };
    for above in directory.ancestors().skip(1) {
        let Ok(metadata) = std::fs::symlink_metadata(above) else { continue };
        if !metadata.is_dir() || metadata.uid() != 0 || metadata.mode() & 0o002 != 0 {
            let what = format!("the audit file is below {}, {}", above.display(), state(&metadata, accounts));
            let advice = "in [paths] of config.toml: audit = a file below directories that are root's alone";
            return vec![warning(above, &what).advise(advice)];
        }
    }
    let name = quoted(&directory.display().to_string());
    let Ok(metadata) = std::fs::symlink_metadata(directory) else {
        let fix = format!("install -d -m 750 -o root -g root {name}");
        return vec![warning(directory, &"there is no directory for the audit file").run(fix)];
    };
    if !metadata.is_dir() {
        let what = format!("{}, and no directory", state(&metadata, accounts));
        let fix = format!("mv {name} {name}.off && install -d -m 750 -o root -g root {name}");
        return vec![warning(directory, &what).run(fix)];
    }
    if metadata.uid() != 0 || metadata.mode() & 0o022 != 0 {
        let fix = format!("chown root {name} && chmod go-w {name}");
        return vec![warning(directory, &state(&metadata, accounts)).run(fix)];
    }
    let mut findings: Vec<Finding> = of_file(file, accounts).into_iter().collect();
    if findings.is_empty()
        && let (false, Some(error)) = (file.exists(), machine::make_fails(directory))
    {
        let advice =
            "find out why: is its file system mounted read-only, or has it an attribute (lsattr -d)?";
        findings.push(warning(directory, &format_args!("no file can be made in it: {error}")).advise(advice));
    }
    if metadata.mode() & 0o005 == 0o005 {
        let found = Finding::note("audit", state(&metadata, accounts)).at(Place::file(directory.display()));
        findings.push(
            found.why("everybody sees how often somebody is root").run(format_args!("chmod o= {name}")),
        );
    }
    findings
}

/// The unit in which polkit 128's helper asks PAM.
const HELPER: &str = "/usr/lib/systemd/system/polkit-agent-helper@.service";

/// What systemd says of that unit: `NAME=VALUE` lines. `None`: there is no such unit, or nothing that starts it.
pub fn helper() -> Option<String> {
    if !machine::exists(HELPER) || !machine::exists("/run/systemd/system") {
        return None;
    }
    let words = ["show", "--property=ProtectSystem,ReadWritePaths", "polkit-agent-helper@doctor.service"];
    program::run("/usr/bin/systemctl", &words).filter(|said| said.succeeded).map(|said| said.out)
}

/// May polkit's helper write the audit file, if systemd says `shown` of its unit?
pub fn helper_writes(file: &Path, shown: &str) -> bool {
    let of = |name: &str| shown.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    let may_write = |path: &str| file.starts_with(path.trim_start_matches(['-', '+']));
    of("ProtectSystem") != Some("strict")
        || of("ReadWritePaths").unwrap_or_default().split(' ').any(|path| !path.is_empty() && may_write(path))
}

/// Says of polkit's helper that it may not write the audit file.
pub fn unwritten_by_polkit(file: &Path) -> Option<Finding> {
    helper().filter(|shown| !helper_writes(file, shown))?;
    let what = format!("polkit's helper may not write {}", file.display());
    let directory = file.parent()?.display().to_string();
    let drop_in = "/etc/systemd/system/polkit-agent-helper@.service.d";
    let fix = format!(
        "mkdir -p {drop_in} && printf '[Service]\\nReadWritePaths=-%s -/run/authkeys\\n' {} >{drop_in}/authkeys.conf && systemctl daemon-reload",
        quoted(&directory)
    );
    let why = "who becomes root by pkexec, run0 and systemctl is recorded only in the log (`unwritten=`); `oncall-cache report` looks there";
    Some(Finding::warning("audit", what).at(Place::file(HELPER)).why(why).run(fix))
}

fn of_file(file: &Path, accounts: &Accounts) -> Option<Finding> {
    let metadata = std::fs::symlink_metadata(file).ok()?;
    let name = quoted(&file.display().to_string());
    let found = |what: &dyn std::fmt::Display| {
        Finding::warning("audit", what).at(Place::file(file.display())).why(WHY_UNWRITTEN)
    };
    if !metadata.is_file() || metadata.nlink() != 1 {
        let kind = match () {
            () if metadata.is_symlink() => "a symbolic link, which the module does not follow",
            () if metadata.is_file() => "a file with several hard links, which the module does not use",
            () => "no file",
        };
        // The module makes a new one at the next decision.
        return Some(found(&kind).run(format_args!("mv {name} {name}.off")));
    }
    if metadata.uid() != 0 || metadata.mode() & 0o022 != 0 {
        let fix = format!("chown root {name} && chmod go-w,o= {name}");
        return Some(found(&state(&metadata, accounts)).run(fix));
    }
    if let Some(error) = machine::append_fails(file) {
        let advice = "find out why: is its file system mounted read-only, or has it an attribute (lsattr)?";
        return Some(found(&format_args!("it cannot be written: {error}")).advise(advice));
    }
    let is_open = metadata.mode() & 0o004 != 0;
    is_open.then(|| found(&state(&metadata, accounts)).why(WHY_READ).run(format_args!("chmod o= {name}")))
}

/// `zoe's, mode 0664`.
fn state(metadata: &Metadata, accounts: &Accounts) -> String {
    format!("{}'s, mode {:04o}", accounts.user_name(metadata.uid()), metadata.mode() & 0o7777)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_helper_that_may_write_nowhere_is_told_unless_it_has_the_place() {
        let file = Path::new("/var/log/authkeys/decisions.jsonl");
        for (shown, writes) in [
            ("ProtectSystem=strict\nReadWritePaths=\n", false),
            ("ReadWritePaths=-/var/log/authkeys -/run/authkeys\nProtectSystem=strict\n", true),
            ("ReadWritePaths=/var/log\nProtectSystem=strict\n", true),
            ("ReadWritePaths=-/var/log/authkeys.old /srv\nProtectSystem=strict\n", false),
            ("ProtectSystem=full\nReadWritePaths=\n", true),
            ("", true),
        ] {
            assert_eq!(helper_writes(file, shown), writes, "{shown}");
        }
    }
}
