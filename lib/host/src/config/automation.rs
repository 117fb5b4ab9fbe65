//! `[[policy.automation]]`: keys of programs, which account they open, from where and how long.
//!
//! Everything in it is asked for: an exception that nobody answers for, or that never ends, is what outlives its
//! reason.

use key::{PublicKey, parse_fingerprint};
use policy::{Account, Automation, Digest, FromPattern, Rules, Timestamp};
use serde::Deserialize;
use toml::Spanned;
use toml::value::{Date, Datetime, Offset, Time};

use super::values::{Problem, account, problem, services};

/// The longest owner or reason, in bytes: both go into reports, a line each.
const LONGEST_TEXT: usize = 200;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AutomationSection {
    account: Spanned<String>,
    #[serde(default)]
    fingerprints: Vec<Spanned<String>>,
    #[serde(default)]
    keys: Vec<Spanned<String>>,
    from: Option<Spanned<Vec<Spanned<String>>>>,
    services: Option<Spanned<Vec<Spanned<String>>>>,
    owner: Spanned<String>,
    reason: Spanned<String>,
    until: Spanned<Datetime>,
}

/// Every section, checked by itself and against the others.
pub(super) fn check(sections: Vec<AutomationSection>) -> Result<Vec<Automation>, Problem> {
    let mut all: Vec<Automation> = Vec::with_capacity(sections.len());
    for (number, section) in (1..).zip(sections) {
        let account = account(&section.account)?;
        let services = match &section.services {
            None => vec!["sshd".to_string()],
            Some(written) => services(written, "services")?,
        };
        // sudo and su show neither a key nor a place: an agent that they admit needs none.
        let by_key = services.iter().any(|service| !policy::asks_the_caller(service));
        let (digests, keys) = section.keys(&account, &all)?;
        if by_key && digests.is_empty() {
            let text = "the entry lists no key; write `fingerprints` or `keys`, or `services = [\"sudo\"]`";
            return Err(problem(&section.account, text));
        }
        all.push(Automation {
            number,
            account,
            digests,
            keys,
            from: section.places(by_key || !section.keys.is_empty() || !section.fingerprints.is_empty())?,
            services,
            owner: text(&section.owner, "owner")?,
            reason: text(&section.reason, "reason")?,
            until: instant(&section.until)?,
        });
    }
    Ok(all)
}

impl AutomationSection {
    /// The digests of all keys, and the lines of those that are given whole.
    fn keys(&self, account: &Account, earlier: &[Automation]) -> Result<(Vec<Digest>, Vec<String>), Problem> {
        let (mut digests, mut lines) = (Vec::new(), Vec::new());
        let mut add = |written: &Spanned<String>, digest: Digest| {
            // A line for sshd holds one `from=`, and two lines for one key would be both lists.
            let other = earlier.iter().find(|other| other.account == *account && other.lists(&digest));
            if let Some(other) = other {
                let text =
                    format!("[[policy.automation]] {} also lists this key for `{account}`", other.number);
                return Err(problem(written, text));
            }
            digests.push(digest);
            Ok(())
        };
        for written in &self.fingerprints {
            let wrong = || {
                let text = written.get_ref().escape_default();
                problem(
                    written,
                    format!("`{text}` is not a fingerprint; write what `ssh-keygen -l` prints, SHA256:…"),
                )
            };
            add(written, parse_fingerprint(written.get_ref()).ok_or_else(wrong)?)?;
        }
        for written in &self.keys {
            let wrong = |why| problem(written, format!("not a key: {why}; write `ssh-ed25519 AAAA…`"));
            let key = PublicKey::parse(written.get_ref().as_bytes()).map_err(wrong)?;
            add(written, key.sha256())?;
            if !lines.contains(&key.line()) {
                lines.push(key.line());
            }
        }
        Ok((digests, lines))
    }

    /// From where the keys are taken.
    fn places(&self, has_keys: bool) -> Result<Vec<FromPattern>, Problem> {
        match &self.from {
            Some(written) => places(written),
            None if has_keys => {
                Err(problem(&self.account, "missing field `from`: the addresses that the keys may come from"))
            }
            None => Ok(Vec::new()),
        }
    }
}

fn places(written: &Spanned<Vec<Spanned<String>>>) -> Result<Vec<FromPattern>, Problem> {
    if written.get_ref().is_empty() {
        return Err(problem(written, "`from` is empty, so nobody gets in"));
    }
    let place = |text: &Spanned<String>| {
        let wrong = |why| problem(text, format!("`{}` {why}", text.get_ref().escape_default()));
        FromPattern::exact(text.get_ref()).map_err(wrong)
    };
    written.get_ref().iter().map(place).collect()
}

fn text(written: &Spanned<String>, name: &str) -> Result<String, Problem> {
    let text = written.get_ref().trim();
    if text.is_empty() || text.len() > LONGEST_TEXT || text.contains(char::is_control) {
        return Err(problem(written, format!("`{name}` is one line of 1 to {LONGEST_TEXT} bytes")));
    }
    Ok(text.to_string())
}

/// A date is its first second in UTC; a time says its zone, because nothing here knows one.
fn instant(written: &Spanned<Datetime>) -> Result<Timestamp, Problem> {
    let wrong = || {
        let text = "write a date, or date, time and zone: 2027-06-30, 2027-06-30T18:00:00Z";
        problem(written, format!("`{}` is not a valid time; {text}", written.get_ref()))
    };
    let Datetime { date: Some(Date { year, month, day }), time, offset } = *written.get_ref() else {
        return Err(wrong());
    };
    let (time, minutes) = match (time, offset) {
        (None, None) => ((0, 0, 0), 0),
        (Some(Time { hour, minute, second, .. }), Some(offset)) => {
            let minutes = if let Offset::Custom { minutes } = offset { minutes } else { 0 };
            ((hour.into(), minute.into(), second.unwrap_or(0).into()), minutes)
        }
        _ => return Err(wrong()),
    };
    let instant = Timestamp::from_civil((year.into(), month.into(), day.into()), time).ok_or_else(wrong)?;
    Ok(instant.minus(policy::Span::minutes(minutes.into())))
}

/// What an administrator should look at, although it is no mistake: a line each.
pub(super) fn remarks(rules: &Rules, now: Timestamp) -> Vec<String> {
    let remark = |one: &Automation| {
        let Automation { number, account, owner, reason, until, .. } = one;
        let about = format!("[[policy.automation]] {number} (account {account}; {owner}: {reason})");
        if one.is_over(now) {
            return Some(format!("{about} ended {until}: its keys open nothing; extend it or remove it"));
        }
        if rules.exempts(account.as_str()) {
            return Some(format!(
                "{about} prints nothing: {account} is in `exempt_accounts` and has its own authorized_keys"
            ));
        }
        let keyless = |service: &&String| service.as_str() != "sshd" && !policy::asks_the_caller(service);
        let keyless = one.services.iter().find(keyless)?;
        Some(format!("{about} has no effect for {keyless}, which shows neither a key nor the caller"))
    };
    rules.automation.iter().filter_map(remark).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::Config;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIK/OeWvFcMsjGk2gjZ0vGchZrrb/gHMSUZZ3rHYb/3X6";
    const PRINT: &str = "SHA256:qAKMBbrLVYSl931fLeiW+AWbMr1KAIV/YMJoTmeD174";

    fn entry() -> String {
        format!(
            "[[policy.automation]]\naccount = 'deploy'\nkeys = ['{KEY} a comment']\nfrom = ['10.0.0.0/8', '::1']\n\
             owner = 'platform team'\nreason = 'ansible'\nuntil = 2027-06-30\n"
        )
    }

    fn parse(text: &str) -> Result<Vec<Automation>, String> {
        let config = Config::parse(Path::new("/c"), text.as_bytes());
        config.map(|config| config.rules.automation).map_err(|error| error.to_string())
    }

    #[test]
    fn an_entry_lists_keys_whole_or_by_fingerprint() {
        let entry = entry();
        let whole = &parse(&entry).unwrap()[0];
        assert_eq!((whole.keys.as_slice(), whole.number), (&[KEY.to_string()][..], 1));
        assert_eq!(whole.digests, [parse_fingerprint(PRINT).unwrap()]);
        assert!(whole.covers_service("sshd") && !whole.covers_service("sudo"));
        let named = entry.replace("keys = ", "fingerprints = ").replace(&format!("{KEY} a comment"), PRINT);
        let named = &parse(&named).unwrap()[0];
        assert!(named.keys.is_empty() && named.digests == whole.digests);
    }

    #[test]
    fn an_agent_of_this_host_is_known_by_its_account_alone() {
        let agent = "[[policy.automation]]\naccount = 'agent'\nservices = ['sudo', 'su']\nowner = 'ops'\nreason = 'patches'\nuntil = 2027-06-30\n";
        let entry = &parse(agent).unwrap()[0];
        assert!(entry.digests.is_empty() && entry.from.is_empty() && entry.covers_service("sudo"));
        for (old, new, expected) in [
            ("'sudo', 'su'", "'sudo', 'sshd'", "2: the entry lists no key"),
            ("services = ['sudo', 'su']\n", "", "2: the entry lists no key"),
            ("owner", &format!("keys = ['{KEY}']\nowner"), "2: missing field `from`"),
        ] {
            let error = parse(&agent.replace(old, new)).unwrap_err();
            assert!(error.starts_with(&format!("/c:{expected}")), "{new}: {error}");
        }
    }

    #[test]
    fn until_is_an_instant_in_utc() {
        let until = |written: &str| {
            parse(&entry().replace("2027-06-30", written)).map(|all| all[0].until.to_string())
        };
        for (written, instant) in [
            ("2027-06-30", "2027-06-30T00:00:00Z"),
            ("2027-06-30T18:00:00Z", "2027-06-30T18:00:00Z"),
            ("2027-06-30 18:00:00.9+02:00", "2027-06-30T16:00:00Z"),
            ("2027-01-01T00:00:00-00:30", "2027-01-01T00:30:00Z"),
        ] {
            assert_eq!(until(written).unwrap(), instant);
        }
        for bad in ["2027-06-30T18:00:00", "18:00:00", "'2027-06-30'", "2027-02-29", "1"] {
            assert!(until(bad).unwrap_err().starts_with("/c:7: "), "{bad}: {:?}", until(bad));
        }
    }

    #[test]
    fn mistakes_are_named_with_their_line() {
        for (old, new, expected) in [
            ("'deploy'", "'Deploy'", "2: `Deploy`: "),
            (&format!("keys = ['{KEY} a comment']\n"), "", "2: the entry lists no key"),
            (
                "ssh-ed25519 AAAA",
                "command=\"id\" ssh-ed25519 AAAA",
                "3: not a key: does not start with a key type",
            ),
            ("ssh-ed25519 AAAA", "ssh-ed25519 BAAA", "3: not a key: not a key of the type it names"),
            ("keys", "fingerprints", "3: `ssh-ed25519 AAAA"),
            ("'10.0.0.0/8', '::1'", "", "4: `from` is empty"),
            ("10.0.0.0/8", "10.0.0.1/8", "4: `10.0.0.1/8` is an address inside the network"),
            ("10.0.0.0/8", "10.*", "4: `10.*` has a wildcard"),
            ("10.0.0.0/8", "a\\u0022", "4: `a"),
            ("from = ['10.0.0.0/8', '::1']\n", "", "2: missing field `from`"),
            ("owner = 'platform team'\n", "", "1: missing field `owner`"),
            ("'platform team'", "' '", "5: `owner` is one line of 1 to 200 bytes"),
            ("'ansible'", "\"a\\nb\"", "6: `reason` is one line"),
            ("until = 2027-06-30\n", "", "1: missing field `until`"),
            (
                "reason",
                "services = ['cron']\nreason",
                "6: this release takes no decisions for service `cron`",
            ),
            ("reason", "services = []\nreason", "6: `services` is empty"),
            ("reason", "host = 'db1'\nreason", "6: unknown key `host`"),
        ] {
            let error = parse(&entry().replace(old, new)).unwrap_err();
            assert!(error.starts_with(&format!("/c:{expected}")), "{new}: {error}");
        }
        for weak in made_keys::small_order() {
            let error = parse(&entry().replace(KEY, &weak.line)).unwrap_err();
            assert!(error.starts_with("/c:3: not a key: Ed25519 point of small order"), "{error}");
        }
        let twice = format!("{}{}", entry(), entry());
        assert!(
            parse(&twice)
                .unwrap_err()
                .contains(":10: [[policy.automation]] 1 also lists this key for `deploy`")
        );
        assert_eq!(
            parse(&format!("{}{}", entry(), entry().replace("'deploy'", "'backup'"))).unwrap().len(),
            2
        );
    }

    #[test]
    fn what_is_over_or_prints_nothing_is_remarked() {
        let remarks = |text: &str, now| {
            let config = Config::parse(Path::new("/c"), text.as_bytes()).unwrap();
            config.remarks(Timestamp::from_unix(now))
        };
        let end = parse(&entry()).unwrap()[0].until.unix();
        assert_eq!(remarks(&entry(), end - 1), [""; 0]);
        let over = remarks(&entry(), end);
        assert!(
            over[0].starts_with(
                "[[policy.automation]] 1 (account deploy; platform team: ansible) ended 2027-06-30T"
            ),
            "{over:?}"
        );
        let exempt = format!("[policy]\nexempt_accounts = ['deploy']\n{}", entry());
        assert!(remarks(&exempt, end - 1)[0].contains(") prints nothing: deploy is in `exempt_accounts`"));
    }
}
