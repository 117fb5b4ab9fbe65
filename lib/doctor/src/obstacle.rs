//! What keeps everybody out of an account that somebody is to enter.

use super::finding::{Finding, Fix, Place, Severity};

/// Why somebody is to enter an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Shared,
    Exempt,
    OnCall,
}

/// What keeps everybody out of an account, and what ends that.
#[derive(Debug)]
pub struct Obstacle {
    /// What the account is or has: `is expired`.
    pub what: String,
    pub place: Place,
    pub fix: Fix,
}

impl Obstacle {
    /// One that a command ends.
    pub fn ended_by(command: String, what: impl Into<String>, file: &str) -> Self {
        Self { what: what.into(), place: Place::file(file), fix: Fix::Command(command) }
    }

    /// The finding that it is for somebody who is to enter `account`.
    pub fn told(self, severity: Severity, account: &str, role: Role) -> Finding {
        let Self { what, place, fix } = self;
        let (id, is, why) = match role {
            Role::Shared => ("shared-account", "shared", "people on call may enter the account, but cannot"),
            Role::Exempt => {
                ("exempt-account", "exempt", "it is meant for the day when nothing else lets anybody in")
            }
            Role::OnCall => (
                "oncall-account",
                "on call",
                "the policy admits them, but their own account does not let them in",
            ),
        };
        let found = Finding::new(severity, id, format_args!("{account} is {is}, and {what}"));
        Finding { fix, ..found.at(place).why(why) }
    }
}
