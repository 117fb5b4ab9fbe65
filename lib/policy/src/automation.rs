//! Keys of programs: deploy tools, backup, scanners.
//!
//! Such a key is nobody's. It opens one account, from the places that are listed, until a day; no matter who else's
//! it may be by the directory, it opens nothing for them. `authkeys` prints by this, and for accounts that are
//! guarded [`decide`](crate::decide) admits by it.

use alloc::string::String;
use alloc::vec::Vec;

use crate::{Account, FromPattern, Rules, Timestamp};

/// The SHA-256 of a public key.
pub type Digest = [u8; 32];

/// `[[policy.automation]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Automation {
    /// Its place in the file, from 1.
    pub number: usize,
    /// The account that the keys open.
    pub account: Account,
    /// Every key: those that are named by their fingerprint, and those that are given whole.
    pub digests: Vec<Digest>,
    /// Those that are given whole, `TYPE BASE64`.
    pub keys: Vec<String>,
    /// From where they are taken; empty only where there is no key.
    pub from: Vec<FromPattern>,
    /// The PAM services by which they are taken.
    pub services: Vec<String>,
    /// Who answers for them.
    pub owner: String,
    /// What they are for.
    pub reason: String,
    /// The first instant at which they open nothing any more.
    pub until: Timestamp,
}

impl Automation {
    /// Does it list this key?
    pub fn lists(&self, key: &Digest) -> bool {
        self.digests.contains(key)
    }

    /// Is its time over?
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.until <= now
    }

    /// Is it for logins by `service`?
    pub fn covers_service(&self, service: &str) -> bool {
        self.services.iter().any(|own| own == service)
    }
}

impl Rules {
    /// The first entry that lists this key, for whatever account and whether its time is over or not: a key that
    /// was a program's does not become a person's.
    pub fn automation(&self, key: &Digest) -> Option<&Automation> {
        self.automation.iter().find(|automation| automation.lists(key))
    }

    /// The entry by which `account` is judged when this key opens it: its own, or else any that lists the key.
    pub fn program(&self, key: &Digest, account: &str) -> Option<&Automation> {
        let own = self.automation.iter().find(|one| one.account.as_str() == account && one.lists(key));
        own.or_else(|| self.automation(key))
    }

    /// The entries of `account` for `service`, whether their time is over or not.
    pub fn programs<'r>(&'r self, service: &str, account: &str) -> impl Iterator<Item = &'r Automation> {
        self.automation
            .iter()
            .filter(move |one| one.account.as_str() == account && one.covers_service(service))
    }
}
