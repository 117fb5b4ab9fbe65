//! Grants: who may let people in who are not on call, and the grants that stand on this host.
//!
//! Whose signatures there are, and whether they are enough, is not asked here: `grant` judges that, and what comes
//! out of it is a [`Granted`].

use alloc::string::String;
use alloc::vec::Vec;

use crate::{Account, Host, HostSelector, Principal, Span, Window, asks_the_caller, is_su};

/// `[[policy.grant]]`: these people may let somebody into these accounts of these hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantRule {
    /// What logs and `why` call it: 1 to 64 letters, digits, `.`, `_` and `-`.
    pub name: String,
    /// Which hosts it covers; any one entry is enough.
    pub hosts: Vec<HostSelector>,
    /// The accounts that may be entered.
    pub accounts: Vec<Account>,
    /// Whose signatures count.
    pub approvers: Vec<Principal>,
    /// How many of them it takes: 1 or 2.
    pub quorum: usize,
    /// The longest right.
    pub max: Span,
}

impl GrantRule {
    /// Does the rule say anything about `host`?
    pub fn covers(&self, host: &Host) -> bool {
        self.hosts.iter().any(|selector| selector.covers(host))
    }
}

/// A grant that stands: signed, accepted on this host, and nothing of it revoked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Granted {
    /// Its name: 32 digits `0-9a-f`.
    pub id: String,
    /// The rule by which it was accepted.
    pub rule: String,
    /// Who is let in.
    pub person: Principal,
    /// The account that they enter. Under sudo it is root.
    pub account: Account,
    /// The key in it, as `TYPE BASE64`, which opens the account by ssh. `None`: only where they are logged in already.
    pub key: Option<String>,
    /// From when until when.
    pub window: Window,
    /// Who let them in.
    pub approvers: Vec<Principal>,
    /// Why, in the words of who asked.
    pub reason: String,
}

impl Granted {
    /// Is it about this account, by this door? One without a key opens nothing by ssh.
    pub fn opens(&self, service: &str, account: &str) -> bool {
        self.account.as_str() == entered(service, account) && (service != "sshd" || self.key.is_some())
    }
}

/// The account that is entered by `service`, where PAM is asked about `account`: sudo, doas and polkit ask about the account
/// of whoever called them, and lead to root.
pub fn entered<'a>(service: &str, account: &'a str) -> &'a str {
    let leads_to_root = (asks_the_caller(service) && !is_su(service)) || service == "polkit-1";
    if leads_to_root { "root" } else { account }
}
