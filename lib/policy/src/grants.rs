//! Grants: who may let people in who are not on call, and the grants that stand on this host.
//!
//! Whose signatures there are, and whether they are enough, is not asked here: `grant` judges that, and what comes
//! out of it is a [`Granted`].

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::{Account, Host, HostSelector, Principal, Span, Timestamp, Window, asks_the_caller, is_su};

/// `[[policy.grant]]`: these people may let somebody into these accounts of these hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantRule {
    /// What logs and `why` call it: 1 to 64 letters, digits, `.`, `_` and `-`.
    pub name: String,
    /// Which hosts it covers; any one entry is enough.
    pub hosts: Vec<HostSelector>,
    /// The accounts that may be entered.
    pub accounts: BTreeSet<Account>,
    /// Whose signatures count; of a break-glass rule only below a review.
    pub approvers: BTreeSet<Principal>,
    /// How many of them it takes.
    pub quorum: Quorum,
    /// Who may let themselves in, by a break-glass rule; by any other nobody does.
    pub people: BTreeSet<Principal>,
    /// May the glass be broken also while the host can tell who is on call?
    pub always: bool,
    /// The longest right; what is above [`GrantRule::longest`] counts as that.
    pub max: Span,
}

/// How many different people must have signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quorum {
    /// None but the person who is let in: break-glass.
    BreakGlass,
    /// One.
    One,
    /// Two.
    Two,
}

impl Quorum {
    /// So many people must have signed: never none.
    pub const fn people(self) -> usize {
        match self {
            Self::BreakGlass | Self::One => 1,
            Self::Two => 2,
        }
    }

    /// So many of them are approvers: what the setting says.
    pub const fn approvers(self) -> usize {
        match self {
            Self::BreakGlass => 0,
            Self::One => 1,
            Self::Two => 2,
        }
    }

    /// A quorum of so many approvers, if there is one.
    pub const fn new(approvers: usize) -> Option<Self> {
        match approvers {
            0 => Some(Self::BreakGlass),
            1 => Some(Self::One),
            2 => Some(Self::Two),
            _ => None,
        }
    }
}

impl GrantRule {
    /// The longest right that any rule gives.
    pub const LONGEST: Span = Span::hours(12);

    /// The longest right that somebody gives to themselves.
    pub const LONGEST_BROKEN: Span = Span::hours(1);

    /// The longest right that a rule with this quorum gives, whatever its `max` says.
    pub const fn ceiling(quorum: Quorum) -> Span {
        match quorum {
            Quorum::BreakGlass => Self::LONGEST_BROKEN,
            Quorum::One | Quorum::Two => Self::LONGEST,
        }
    }

    /// The longest right that this rule gives.
    pub fn longest(&self) -> Span {
        self.max.min(Self::ceiling(self.quorum))
    }

    /// Do people let themselves in by it?
    pub fn is_break_glass(&self) -> bool {
        self.quorum == Quorum::BreakGlass
    }

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
    /// Who let them in: by break-glass themselves.
    pub approvers: Vec<Principal>,
    /// Why, in the words of who asked.
    pub reason: String,
    /// Have they let themselves in, by a break-glass rule?
    pub is_break_glass: bool,
}

impl Granted {
    /// What whoever has let themselves in reads each time, and whoever sits beside them.
    pub fn warning(&self, now: Timestamp) -> Option<String> {
        let Self { person, reason, window, id, .. } = self;
        let until = window.end().near(now);
        self.is_break_glass.then(|| {
            format!(
                "break-glass: {person} has let themselves in until {until}, for: {reason}; it is recorded, and open until an approver \
                 reviews it (grant {id})"
            )
        })
    }

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

/// Can this be the name of a fleet, of a site, or of a rule: 1 to 64 letters, digits, `.`, `_` and `-`?
pub fn is_site_name(name: &str) -> bool {
    is_plain_name(name, 64)
}

/// Is it letters, digits, `.`, `_` and `-`, at least one and at most `longest`?
pub fn is_plain_name(name: &str, longest: usize) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=longest).contains(&name.len()) && name.bytes().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn a_site_has_a_plain_name() {
        for good in ["example", "a.b_c-D9", &"x".repeat(64)] {
            assert!(is_site_name(good), "{good:?}");
        }
        for wrong in ["", "a b", "a/b", "\u{e9}", &"x".repeat(65)] {
            assert!(!is_site_name(wrong), "{wrong:?}");
        }
        let plain = (0..=255u8).map(char::from).filter(|letter| is_site_name(&letter.to_string()));
        assert_eq!(plain.count(), 26 + 26 + 10 + 3);
    }
}
