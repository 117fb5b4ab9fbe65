//! sshd as it would start now: which command gives it keys, who is asked by PAM, how root may come in.
//!
//! `sshd -T` says what holds, the files say which line made it so. A Match block that depends on an address is
//! judged by its lines, since no question asks for all addresses.

mod access;
mod certificates;
mod command;
mod known;
mod lines;
mod lists;
mod settings;

use super::finding::Finding;
pub use known::Sshd;
pub use lines::{Line, Reader, asks_as_another, lines};
pub use lists::{fits, listed_out, local_keys};
pub use settings::{CONNECTION, Settings, settings};

/// Judges what holds.
pub fn check(sshd: &Sshd<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let Some((_, settings)) = sshd.settings.first() else { return findings };
    findings.extend(sshd.pam(settings));
    for (account, settings) in sshd.settings {
        findings.extend(sshd.service(account, settings));
        findings.extend(sshd.command(settings));
        findings.extend(sshd.commands_before(settings));
        findings.extend(sshd.shut_out(account, settings));
        findings.extend(sshd.key_files(account, settings));
        findings.extend(sshd.tunnels(account, settings));
        findings.extend(sshd.forced_command(account, settings));
    }
    findings.extend(sshd.root(settings));
    findings.extend(sshd.certificates(settings));
    findings.extend(sshd.revoked_keys(settings));
    findings.extend(sshd.sessions(settings));
    findings.extend(sshd.penalties(settings));
    findings.extend(sshd.matches());
    findings
}

#[cfg(test)]
mod tests;
