//! `[[keys.rule]]`: which keys of an answer are printed, and behind which options.
//!
//! Options are written from values that the configuration was checked to hold, never from what the directory
//! says. sshd reads them from the left, so the words that relax something come after `restrict`.

use std::fmt;

use host::config::{Allowance, KeyRule};
use policy::{Account, Automation, FromPattern, Principal, Revocation, Span, Timestamp};
use store::PublicKey;

/// What runs for a person who is known and not admitted now. Nothing foreign may ever be in it.
const EXPLAIN: &str = "/usr/bin/oncall-cache explain";

/// What runs for everybody at the door for grants; their name follows.
const BRING: &str = "/usr/bin/oncall-cache grant use --by";

/// A key that may open the account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The key.
    pub key: PublicKey,
    /// Whose it is.
    pub owner: Owner,
    /// What it is good for.
    pub standing: Standing,
}

/// Whose a key is; `Display` is the comment of its line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// A person's.
    Person(Principal),
    /// A program's that enters this account.
    Automation(Account),
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Person(person) => person.fmt(f),
            Self::Automation(account) => write!(f, "automation {account}"),
        }
    }
}

/// What a key is good for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It opens its owner's own account.
    Own,
    /// It opens a shared account, until then if that is known.
    Admitted(Option<Timestamp>),
    /// It lets a person who is not admitted be told so, and nothing else.
    Told,
    /// It lets a program in, from these places.
    Automation(Vec<FromPattern>),
}

/// A key as it is printed.
#[derive(Debug)]
pub struct Printed {
    /// The key, whose it is, and what it is good for.
    pub candidate: Candidate,
    /// The options before it.
    pub options: Options,
}

/// A key that is kept back.
#[derive(Debug)]
pub struct Dropped {
    /// The key.
    pub candidate: Candidate,
    /// Why.
    pub why: Why,
}

/// Why a key is kept back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// By the `[[keys.rule]]` in this place of the file, from 1.
    Rule(usize, Objection),
    /// This entry lists it, for another account or until a day that is over.
    Automation(Box<Automation>),
    /// The fleet has revoked it.
    RevokedKey(Box<Revocation>),
    /// It is a program's of this account, whose own name is revoked on this host.
    Revoked(Account),
    /// All of these have it, and more than one of them, or none, may become root.
    Owners(Vec<Principal>),
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rule(number, objection) => write!(f, "dropped by [[keys.rule]] {number}: {objection}"),
            Self::Automation(entry) => {
                let Automation { number, account, until, .. } = entry.as_ref();
                write!(
                    f,
                    "dropped: [[policy.automation]] {number} lists it, only for {account}, until {until}"
                )
            }
            Self::RevokedKey(revocation) => {
                let (place, since) = (revocation.authority.place(), revocation.since);
                write!(f, "dropped: revoked {place} since {since} by {} (revoked)", revocation.by)
            }
            Self::Revoked(account) => {
                write!(f, "dropped: {account} is revoked on this host, and closed to its programs (revoked)")
            }
            Self::Owners(people) => {
                write!(
                    f,
                    "dropped: several people have it: {} (ambiguous-person)",
                    Principal::list(people, ",")
                )
            }
        }
    }
}

/// Why a rule keeps a key back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Objection {
    /// `sk_only`, `verify_required`: it is in no security key.
    NoSecurityKey,
    /// `types` does not list its type.
    Type,
    /// `min_rsa_bits`: it is shorter than that.
    ShortRsa(usize),
}

impl fmt::Display for Objection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSecurityKey => f.write_str("not in a security key (sk-...)"),
            Self::Type => f.write_str("its type is not among `types`"),
            Self::ShortRsa(least) => write!(f, "RSA below {least} bits"),
        }
    }
}

/// The options of one line.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// `restrict`, and what is given back.
    restrict: Option<Vec<Allowance>>,
    /// `command`: ours and no other.
    told: bool,
    /// The same, at the door for grants: who is at it.
    brings: Option<Principal>,
    from: Vec<FromPattern>,
    expiry: Option<Timestamp>,
    verify_required: bool,
}

impl Options {
    /// Those of the door for grants, where `person` is at it.
    pub fn of_door(person: &Principal) -> Self {
        Self { restrict: Some(Vec::new()), brings: Some(person.clone()), ..Self::default() }
    }

    /// Are there none?
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Do they say from where?
    pub fn has_from(&self) -> bool {
        !self.from.is_empty()
    }

    fn add(&mut self, rule: &KeyRule, now: Timestamp) {
        if rule.restrict {
            let allowed = self.restrict.take().unwrap_or_else(|| rule.allow.clone());
            self.restrict = Some(allowed.into_iter().filter(|word| rule.allow.contains(word)).collect());
        }
        // The configuration was refused if two rules of one account list different ones; what is said of a program's
        // key is said of that key.
        if self.from.is_empty() {
            self.from.clone_from(&rule.from);
        }
        if let Some(span) = rule.expiry {
            self.end(now.plus(span));
        }
        self.verify_required |= rule.verify_required;
    }

    /// The key is good until `end` at most.
    fn end(&mut self, end: Timestamp) {
        self.expiry = Some(self.expiry.map_or(end, |earlier| earlier.min(end)));
    }
}

impl fmt::Display for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words = Vec::new();
        if let Some(allowed) = &self.restrict {
            words.push("restrict".to_string());
            words.extend(allowed.iter().map(|word| word.word().to_string()));
        }
        if self.told {
            words.push(format!("command=\"{EXPLAIN}\""));
        }
        // A person's name has no byte that means anything in options or to a shell.
        if let Some(person) = &self.brings {
            words.push(format!("command=\"{BRING} {person}\""));
        }
        if !self.from.is_empty() {
            let patterns: Vec<&str> = self.from.iter().map(FromPattern::as_str).collect();
            words.push(format!("from=\"{}\"", patterns.join(",")));
        }
        if let Some(end) = self.expiry {
            words.push(format!("expiry-time=\"{}\"", expiry_time(end)));
        }
        if self.verify_required {
            words.push("verify-required".to_string());
        }
        f.write_str(&words.join(","))
    }
}

/// The last second before `end`, as sshd reads it: it takes a key in that second still (auth.c).
fn expiry_time(end: Timestamp) -> String {
    let last = end.minus(Span::seconds(1)).to_string();
    let digits: String = last.chars().filter(char::is_ascii_digit).collect();
    // `never` and `always` have no digits; a key that can have no end in sshd's words has ended.
    if digits.len() == 14 { format!("{digits}Z") } else { "19700102000000Z".to_string() }
}

/// What `rules`, all of which cover the account, make of a key.
pub fn apply(rules: &[&KeyRule], candidate: Candidate, now: Timestamp) -> Result<Printed, Dropped> {
    let mut options = Options::default();
    if let Standing::Automation(from) = &candidate.standing {
        options.from.clone_from(from);
    }
    for rule in rules {
        if let Some(objection) = objection(rule, &candidate.key) {
            return Err(Dropped { candidate, why: Why::Rule(rule.number, objection) });
        }
        options.add(rule, now);
    }
    match candidate.standing {
        Standing::Admitted(Some(until)) if options.expiry.is_some() => options.end(until),
        Standing::Told => (options.restrict, options.told) = (Some(Vec::new()), true),
        Standing::Own | Standing::Admitted(_) | Standing::Automation(_) => {}
    }
    Ok(Printed { candidate, options })
}

fn objection(rule: &KeyRule, key: &PublicKey) -> Option<Objection> {
    if (rule.sk_only || rule.verify_required) && !key.is_security_key() {
        return Some(Objection::NoSecurityKey);
    }
    if rule.types.as_ref().is_some_and(|types| !types.iter().any(|kind| kind == key.kind())) {
        return Some(Objection::Type);
    }
    rule.min_rsa_bits.filter(|&least| key.is_rsa() && key.bits() < least).map(Objection::ShortRsa)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    const ED25519: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIK/OeWvFcMsjGk2gjZ0vGchZrrb/gHMSUZZ3rHYb/3X6";
    const NOW: Timestamp = Timestamp::from_unix(1_795_165_200);

    fn candidate(standing: Standing) -> Candidate {
        let key = PublicKey::parse(ED25519.as_bytes()).unwrap();
        Candidate { key, owner: Owner::Person(Principal::new("alice").unwrap()), standing }
    }

    fn rules(text: &str) -> Vec<KeyRule> {
        host::Config::parse(Path::new("/c"), text.as_bytes()).unwrap().keys.rules
    }

    fn printed(text: &str, standing: Standing) -> String {
        let rules = rules(text);
        let printed = apply(&rules.iter().collect::<Vec<_>>(), candidate(standing), NOW).unwrap();
        printed.options.to_string()
    }

    const ALL: &str = "[[keys.rule]]\naccounts = ['*']\n";

    #[test]
    fn all_rules_apply_and_the_narrower_wins() {
        let both = format!(
            "{ALL}restrict = true\nallow = ['pty', 'port-forwarding']\nexpiry = '2h'\n\
             {ALL}restrict = true\nallow = ['pty']\nfrom = ['10.0.0.0/8', '::1']\nexpiry = '1h'\n{ALL}types = ['ssh-ed25519']"
        );
        let expected = "restrict,pty,from=\"10.0.0.0/8,::1\",expiry-time=\"20261120095959Z\"";
        assert_eq!(
            expected,
            printed(&both, Standing::Own).replace(&expiry_time(NOW.plus(Span::hours(1))), "20261120095959Z")
        );
        assert_eq!(printed("", Standing::Own), "");
    }

    #[test]
    fn a_shift_ends_before_a_longer_expiry() {
        let rule = format!("{ALL}expiry = '2h'");
        let until = NOW.plus(Span::minutes(30));
        let expected = format!("expiry-time=\"{}\"", expiry_time(until));
        assert_eq!(printed(&rule, Standing::Admitted(Some(until))), expected);
        assert_eq!(printed("", Standing::Admitted(Some(until))), "", "no rule, no option");
        assert_eq!(expiry_time(Timestamp::from_unix(1)), "19700101000000Z");
    }

    #[test]
    fn who_is_only_told_gets_nothing_back() {
        let rule = format!("{ALL}restrict = true\nallow = ['pty']\nfrom = ['10.0.0.1']");
        let expected = "restrict,command=\"/usr/bin/oncall-cache explain\",from=\"10.0.0.1\"";
        assert_eq!(printed(&rule, Standing::Told), expected);
        assert_eq!(printed("", Standing::Told), "restrict,command=\"/usr/bin/oncall-cache explain\"");
    }

    #[test]
    fn a_rule_keeps_back_what_it_does_not_take() {
        for (text, why) in [
            ("sk_only = true", Objection::NoSecurityKey),
            ("verify_required = true", Objection::NoSecurityKey),
            ("types = ['ssh-rsa']", Objection::Type),
        ] {
            let rules = rules(&format!("{ALL}restrict = true\n{ALL}{text}"));
            let dropped =
                apply(&rules.iter().collect::<Vec<_>>(), candidate(Standing::Own), NOW).unwrap_err();
            assert_eq!(dropped.why, Why::Rule(2, why));
        }
    }

    #[test]
    fn a_programs_own_places_stand_in_place_of_the_rules() {
        let from = || Standing::Automation(vec![FromPattern::exact("10.0.0.0/8").unwrap()]);
        assert_eq!(printed("", from()), "from=\"10.0.0.0/8\"");
        let rule = format!("{ALL}from = ['192.0.2.1']\nrestrict = true");
        assert_eq!(printed(&rule, from()), "restrict,from=\"10.0.0.0/8\"");
    }
}
