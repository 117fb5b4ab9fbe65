//! `[[keys.rule]]`: requirements for keys, and options before them, account by account.
//!
//! What comes out of here is printed into lines that sshd obeys, so every value is checked to be a word of ours
//! or an address, no matter who wrote the file.

use key::KEY_TYPES;
use policy::{Account, FromPattern, Shared, Span};
use serde::Deserialize;
use toml::Spanned;

use super::values::{Duration, Problem, named, problem};

/// RSA lengths that can be asked for: shorter keys are never accepted, longer ones sshd cannot use.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=16_384;

/// `[[keys.rule]]`.
#[derive(Debug, Clone)]
pub struct KeyRule {
    /// Its place in the file, from 1.
    pub number: usize,
    /// The accounts that it is for.
    pub accounts: KeyAccounts,
    /// `restrict`: no terminal, no forwarding, no rc file.
    pub restrict: bool,
    /// What `restrict` gives back.
    pub allow: Vec<Allowance>,
    /// From where the key is taken; empty: from anywhere.
    pub from: Vec<FromPattern>,
    /// How long after it was printed sshd takes the key.
    pub expiry: Option<Span>,
    /// Only keys whose security key asks for a PIN or a finger each time.
    pub verify_required: bool,
    /// Only security keys.
    pub sk_only: bool,
    /// Only these types.
    pub types: Option<Vec<String>>,
    /// Only RSA keys of so many bits.
    pub min_rsa_bits: Option<usize>,
}

/// The accounts that a rule is for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyAccounts {
    /// Every account.
    pub all: bool,
    /// Every account in `[[policy.shared_account]]`.
    pub shared: bool,
    /// These accounts.
    pub names: Vec<Account>,
}

impl KeyAccounts {
    /// Is the rule for `account`, which is in `[[policy.shared_account]]` or not?
    pub fn covers(&self, account: &Account, is_shared: bool) -> bool {
        self.all || (self.shared && is_shared) || self.names.contains(account)
    }

    /// Could both be for one account?
    fn meets(&self, other: &Self, shared: &[Shared]) -> bool {
        let covers = |account: &Account| {
            let is_shared = shared.iter().any(|one| one.account == *account);
            self.covers(account, is_shared) && other.covers(account, is_shared)
        };
        let anybody = |one: &Self, another: &Self| one.all && (another.all || !another.names.is_empty());
        anybody(self, other)
            || anybody(other, self)
            || shared.iter().any(|one| covers(&one.account))
            || self.names.iter().any(covers)
    }
}

/// A word that may follow `restrict`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum Allowance {
    /// A terminal.
    #[serde(rename = "pty")]
    Pty,
    /// The agent at the far end.
    #[serde(rename = "agent-forwarding")]
    AgentForwarding,
    /// TCP and Unix sockets.
    #[serde(rename = "port-forwarding")]
    PortForwarding,
    /// X11.
    #[serde(rename = "X11-forwarding")]
    X11Forwarding,
    /// ~/.ssh/rc.
    #[serde(rename = "user-rc")]
    UserRc,
}

impl Allowance {
    /// The word, as sshd and the configuration write it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pty => "pty",
            Self::AgentForwarding => "agent-forwarding",
            Self::PortForwarding => "port-forwarding",
            Self::X11Forwarding => "X11-forwarding",
            Self::UserRc => "user-rc",
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeyRuleSection {
    #[serde(default)]
    accounts: Vec<Spanned<String>>,
    #[serde(default)]
    shared: bool,
    #[serde(default)]
    restrict: bool,
    allow: Option<Spanned<Vec<Allowance>>>,
    from: Option<Spanned<Vec<Spanned<String>>>>,
    expiry: Option<Duration>,
    #[serde(default)]
    verify_required: bool,
    #[serde(default)]
    sk_only: bool,
    types: Option<Spanned<Vec<Spanned<String>>>>,
    min_rsa_bits: Option<Spanned<usize>>,
}

/// Every rule, checked by itself and against the others.
pub(super) fn check(
    sections: Vec<Spanned<KeyRuleSection>>,
    shared: &[Shared],
) -> Result<Vec<KeyRule>, Problem> {
    let mut rules: Vec<KeyRule> = Vec::with_capacity(sections.len());
    for (number, section) in (1..).zip(sections) {
        let at = section.span().start;
        let rule = section.into_inner().check(number, at)?;
        let differs = |other: &&KeyRule| {
            !rule.from.is_empty()
                && !other.from.is_empty()
                && rule.from != other.from
                && rule.accounts.meets(&other.accounts, shared)
        };
        if let Some(other) = rules.iter().find(differs) {
            let text = format!(
                "`from` differs from that of [[keys.rule]] {}, and one account has both",
                other.number
            );
            return Err(Problem { at, text });
        }
        rules.push(rule);
    }
    Ok(rules)
}

impl KeyRuleSection {
    fn check(self, number: usize, at: usize) -> Result<KeyRule, Problem> {
        let accounts = accounts(&self.accounts, self.shared)?;
        if accounts == KeyAccounts::default() {
            let text = "the rule is for no account; write `shared = true`, or `accounts = [\"root\"]`";
            return Err(Problem { at, text: text.to_string() });
        }
        if let Some(allow) = self.allow.as_ref().filter(|_| !self.restrict) {
            return Err(problem(allow, "`allow` only makes exceptions from `restrict = true`; set that too"));
        }
        let rule = KeyRule {
            number,
            accounts,
            restrict: self.restrict,
            allow: self.allow.map(Spanned::into_inner).unwrap_or_default(),
            from: self.from.as_ref().map(patterns).transpose()?.unwrap_or_default(),
            expiry: self.expiry.map(|expiry| expiry.0),
            verify_required: self.verify_required,
            sk_only: self.sk_only,
            types: self.types.as_ref().map(types).transpose()?,
            min_rsa_bits: self.min_rsa_bits.as_ref().map(rsa_bits).transpose()?,
        };
        if rule.does_nothing() {
            return Err(Problem { at, text: "the rule sets no requirement".to_string() });
        }
        Ok(rule)
    }
}

impl KeyRule {
    fn does_nothing(&self) -> bool {
        let flags = self.restrict || self.verify_required || self.sk_only;
        let values = self.expiry.is_some() || self.types.is_some() || self.min_rsa_bits.is_some();
        !flags && !values && self.from.is_empty()
    }
}

fn accounts(written: &[Spanned<String>], shared: bool) -> Result<KeyAccounts, Problem> {
    let mut accounts = KeyAccounts { shared, ..KeyAccounts::default() };
    for account in written {
        match account.get_ref().as_str() {
            "*" => accounts.all = true,
            _ => accounts.names.push(named(account, Account::new)?),
        }
    }
    Ok(accounts)
}

fn patterns(written: &Spanned<Vec<Spanned<String>>>) -> Result<Vec<FromPattern>, Problem> {
    if written.get_ref().is_empty() {
        return Err(problem(written, "`from` is empty, so nobody gets in"));
    }
    let pattern = |text: &Spanned<String>| {
        let wrong = |why| problem(text, format!("`{}` {why}", text.get_ref().escape_default()));
        FromPattern::new(text.get_ref()).map_err(wrong)
    };
    written.get_ref().iter().map(pattern).collect()
}

fn types(written: &Spanned<Vec<Spanned<String>>>) -> Result<Vec<String>, Problem> {
    if written.get_ref().is_empty() {
        return Err(problem(written, "`types` is empty, so nobody gets in"));
    }
    let known = |kind: &Spanned<String>| match KEY_TYPES.contains(&kind.get_ref().as_str()) {
        true => Ok(kind.get_ref().clone()),
        false => Err(problem(
            kind,
            format!("`{}` is not a key type; use {}", kind.get_ref(), KEY_TYPES.join(", ")),
        )),
    };
    written.get_ref().iter().map(known).collect()
}

fn rsa_bits(written: &Spanned<usize>) -> Result<usize, Problem> {
    let bits = *written.get_ref();
    let (least, most) = (RSA_BITS.start(), RSA_BITS.end());
    match RSA_BITS.contains(&bits) {
        true => Ok(bits),
        false => Err(problem(written, format!("`min_rsa_bits` is from {least} to {most}"))),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::Config;

    fn complaint(text: &str) -> String {
        match Config::parse(Path::new("/c"), text.as_bytes()) {
            Ok(_) => String::new(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_rule_that_cannot_hold_is_named_with_its_line() {
        for (rule, expected) in [
            ("restrict = true", "the rule is for no account"),
            ("shared = true", "the rule sets no requirement"),
            ("accounts = ['Root']\nrestrict = true", "`Root`: "),
            ("shared = true\nallow = ['pty']", "`allow` only makes exceptions"),
            ("shared = true\nrestrict = true\nallow = ['command']", "unknown variant `command`"),
            ("shared = true\nfrom = []", "`from` is empty"),
            ("shared = true\nfrom = ['a\",command=\"id']", "is not an address, network or host pattern"),
            ("shared = true\ntypes = ['ssh-dss']", "`ssh-dss` is not a key type"),
            ("shared = true\ntypes = []", "`types` is empty"),
            ("shared = true\nmin_rsa_bits = 1024", "`min_rsa_bits` is from 2048 to 16384"),
            ("shared = true\nexpiry = '0s'", "is not a duration"),
            ("shared = true\ncommand = 'id'", "unknown key `command`"),
        ] {
            let text = format!("[[keys.rule]]\n{rule}");
            assert!(complaint(&text).contains(expected), "{text}: {}", complaint(&text));
        }
    }

    #[test]
    fn two_lists_of_addresses_for_one_account_are_refused() {
        let rules = |first: &str, second: &str| {
            complaint(&format!(
                "[[keys.rule]]\n{first}\nfrom = ['10.0.0.1']\n[[keys.rule]]\n{second}\nfrom = ['10.0.0.2']\n\
                 [[policy.shared_account]]\naccount = 'root'"
            ))
        };
        for (first, second) in [
            ("accounts = ['*']", "accounts = ['alice']"),
            ("accounts = ['*']", "shared = true"),
            ("accounts = ['alice']", "accounts = ['alice', 'bob']"),
            ("shared = true", "accounts = ['root']"),
        ] {
            assert!(
                rules(first, second).contains("4: `from` differs from that of [[keys.rule]] 1"),
                "{first} {second}"
            );
            assert!(rules(second, first).contains("4: `from` differs"), "{first} {second}");
        }
        assert_eq!(rules("accounts = ['alice']", "accounts = ['bob']"), "");
        assert_eq!(rules("accounts = ['alice']", "shared = true"), "");
    }
}
