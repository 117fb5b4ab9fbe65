//! `[[policy.automation]]`: keys of programs, and nobody else's.
//!
//! A key that the fleet has revoked is dropped here as well, whoever's it was.
//!
//! They open the account that lists them, from the places that it lists and until its day, and nothing otherwise:
//! every key that is about to be printed passes here, and one that is listed anywhere loses whatever it was good
//! for by the directory, for every account and also after that day.

use policy::{Account, Automation, Digest, Revoked, Rules, Timestamp};
use store::PublicKey;

use crate::offered::Offered;
use crate::rules::{Candidate, Dropped, Owner, Standing, Why};

/// The programs that may enter one account.
pub struct Programs<'a> {
    rules: &'a Rules,
    account: &'a Account,
    revoked: &'a Revoked,
    /// Is the account's own name revoked? Then it is closed to its programs too.
    is_revoked: bool,
    now: Timestamp,
}

impl<'a> Programs<'a> {
    /// Those of `account` at `now`, on a host where these people and keys are `revoked`.
    pub fn new(rules: &'a Rules, account: &'a Account, revoked: &'a Revoked, now: Timestamp) -> Self {
        Self { rules, account, revoked, is_revoked: revoked.names(&account.owner(), now), now }
    }

    /// The entries of this account over sshd. An exempt account has none: its keys are in its own files.
    fn entries(&self) -> impl Iterator<Item = &'a Automation> {
        let (rules, account) = (self.rules, self.account);
        let ours = move |one: &&Automation| one.account == *account && one.covers_service("sshd");
        rules.automation.iter().filter(ours).filter(move |_| !rules.exempts(account.as_str()))
    }

    fn in_force(&self) -> impl Iterator<Item = &'a Automation> {
        let (now, is_revoked) = (self.now, self.is_revoked);
        self.entries().filter(move |one| !is_revoked && !one.is_over(now))
    }

    /// Are there any, now or earlier?
    pub fn are_listed(&self) -> bool {
        self.entries().next().is_some()
    }

    /// Does the configuration alone tell what becomes of the offered key? It is given whole there, and a listed
    /// key is printed on no other ground.
    pub fn decide(&self, offered: Option<&Offered>) -> bool {
        let Some(key) = offered.and_then(Offered::key) else { return false };
        self.entries().any(|one| one.keys.contains(&key.line()))
    }

    /// The keys in force that are named by their fingerprints, and looked for in the directory.
    pub fn wanted(&self) -> Vec<Digest> {
        self.in_force().flat_map(|one| one.digests.iter().copied()).collect()
    }

    /// What `candidates` are good for beside what the configuration lists: keys of programs are theirs alone, and
    /// those that are given whole are added.
    pub fn sort(&self, candidates: Vec<Candidate>) -> (Vec<Candidate>, Vec<Dropped>) {
        let (mut kept, mut dropped) = (Vec::new(), Vec::new());
        let given = self.entries().flat_map(|one| &one.keys);
        let given = given.filter_map(|line| PublicKey::parse(line.as_bytes()).ok()).map(|key| self.own(key));
        for candidate in candidates.into_iter().chain(given) {
            match self.judge(candidate) {
                Ok(candidate) if is_program(&candidate) && has_key(&kept, &candidate.key) => {}
                Ok(candidate) => kept.push(candidate),
                Err(again) if dropped.iter().any(|one: &Dropped| one.candidate == again.candidate) => {}
                Err(new) => dropped.push(new),
            }
        }
        (kept, dropped)
    }

    /// A key that is listed here, if it is.
    pub fn own(&self, key: PublicKey) -> Candidate {
        let owner = Owner::Automation(self.account.clone());
        Candidate { key, owner, standing: Standing::Automation(Vec::new()) }
    }

    fn judge(&self, candidate: Candidate) -> Result<Candidate, Dropped> {
        let digest = candidate.key.sha256();
        if let Some(revocation) = self.revoked.key(&digest, self.now) {
            return Err(Dropped { candidate, why: Why::RevokedKey(Box::new(revocation)) });
        }
        if let Some(one) = self.in_force().find(|one| one.lists(&digest)) {
            let standing = Standing::Automation(one.from.clone());
            return Ok(Candidate { standing, ..self.own(candidate.key) });
        }
        let own = self.entries().find(|one| one.lists(&digest));
        let why = match own.or_else(|| self.rules.automation(&digest)) {
            None => return Ok(candidate),
            Some(one) if self.is_revoked && own.is_some() && !one.is_over(self.now) => {
                Why::Revoked(self.account.clone())
            }
            Some(one) => Why::Automation(Box::new(one.clone())),
        };
        Err(Dropped { candidate, why })
    }

    /// What people should know of the entries, when `printed` is all that opens the account: a line each.
    pub fn remarks(&self, printed: impl Fn(&Digest) -> bool) -> Vec<String> {
        let mut lines = Vec::new();
        for one in self.entries() {
            let Automation { number, owner, reason, until, .. } = one;
            let over = if one.is_over(self.now) { "ended" } else { "until" };
            lines.push(format!("[[policy.automation]] {number} ({owner}: {reason}): {over} {until}"));
            let absent = one.digests.iter().filter(|digest| !one.is_over(self.now) && !printed(digest));
            lines.extend(absent.map(|digest| {
                let key = store::fingerprint(*digest);
                format!(
                    "[[policy.automation]] {number}: {key} is not printed: not in the directory, or dropped"
                )
            }));
        }
        lines
    }
}

fn is_program(candidate: &Candidate) -> bool {
    matches!(candidate.owner, Owner::Automation(_))
}

fn has_key(candidates: &[Candidate], key: &PublicKey) -> bool {
    candidates.iter().any(|other| is_program(other) && other.key == *key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use policy::{Principal, Revocation};
    use std::path::Path;

    const LISTED: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIK/OeWvFcMsjGk2gjZ0vGchZrrb/gHMSUZZ3rHYb/3X6";
    const PRINT: &str = "SHA256:qAKMBbrLVYSl931fLeiW+AWbMr1KAIV/YMJoTmeD174";
    const OTHER: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJqnFMGpZIBdoJ51sSTzbGF+TPdJsyKHXxmErQvWJy5o";

    fn key(line: &str) -> PublicKey {
        PublicKey::parse(line.as_bytes()).unwrap()
    }

    fn entry(keys: &str) -> String {
        format!(
            "[[policy.automation]]\naccount = 'deploy'\n{keys}\nfrom = ['10.0.0.0/8']\nowner = 'o'\nreason = 'r'\n\
             until = 1970-01-02\n"
        )
    }

    /// What becomes of alice's two keys for `account` at `now`, and of what the configuration gives.
    fn sorted(config: &str, account: &str, now: i64) -> (Vec<String>, usize) {
        sorted_with(config, account, &Revoked::nobody(), now)
    }

    fn sorted_with(config: &str, account: &str, revoked: &Revoked, now: i64) -> (Vec<String>, usize) {
        let rules = host::Config::parse(Path::new("/c"), config.as_bytes()).unwrap().rules;
        let account = Account::new(account).unwrap();
        let programs = Programs::new(&rules, &account, revoked, Timestamp::from_unix(now));
        let owner = Owner::Person(Principal::new("alice").unwrap());
        let theirs = [LISTED, OTHER, LISTED].map(|line| Candidate {
            key: key(line),
            owner: owner.clone(),
            standing: Standing::Told,
        });
        let (kept, dropped) = programs.sort(theirs.into());
        let told = |one: &Candidate| format!("{} {:?}", one.owner, one.standing);
        (kept.iter().map(told).collect(), dropped.len())
    }

    #[test]
    fn a_listed_key_is_a_programs_for_its_account_and_nobodys_elsewhere() {
        let from = "automation deploy Automation([FromPattern(\"10.0.0.0/8\")])";
        for keys in [format!("keys = ['{LISTED}']"), format!("fingerprints = ['{PRINT}']")] {
            let config = entry(&keys);
            assert_eq!(sorted(&config, "deploy", 0), (vec![from.into(), "alice Told".into()], 0));
            assert_eq!(sorted(&config, "root", 0), (vec!["alice Told".into()], 1));
            // The day has come.
            assert_eq!(sorted(&config, "deploy", 86_400).0, ["alice Told"]);
            assert_eq!(sorted(&config, "root", 86_400), (vec!["alice Told".into()], 1));
            let exempt = format!("[policy]\nexempt_accounts = ['deploy']\n{config}");
            assert_eq!(sorted(&exempt, "deploy", 0), (vec!["alice Told".into()], 1));
            let by_sudo = config.replace("owner", "services = ['sudo']\nowner");
            assert_eq!(sorted(&by_sudo, "deploy", 0), (vec!["alice Told".into()], 1));
        }
        assert_eq!(sorted("", "deploy", 0).0.len(), 3);
    }

    #[test]
    fn an_account_whose_own_name_is_revoked_is_closed_to_its_programs_as_pam_has_it() {
        let config = entry(&format!("keys = ['{LISTED}']"));
        let revocation = Revocation::by_root(Timestamp::from_unix(0), "root".to_string(), String::new());
        let revoked =
            |name: &str| [(Principal::new(name).unwrap(), revocation.clone())].into_iter().collect();
        assert_eq!(sorted_with(&config, "deploy", &revoked("deploy"), 0), (vec!["alice Told".into()], 2));
        assert_eq!(sorted_with(&config, "deploy", &revoked("alice"), 0).0.len(), 2);
    }

    #[test]
    fn a_key_that_the_fleet_has_revoked_is_dropped_whoevers_it_is() {
        let text = format!(
            "revocations 1\nkey {PRINT} 1 revoked 1970-01-01T00:00:00Z 1970-01-01T00:01:00Z eve lost\n"
        );
        let list = policy::revocations::Revocations::parse(&text).unwrap();
        let revoked = Revoked::nobody().with_fleet(list, None);
        let (kept, dropped) = sorted_with("", "alice", &revoked, 0);
        assert_eq!(
            (kept, dropped),
            (vec!["alice Told".to_string()], 1),
            "the same key again is not counted twice"
        );
        // Nor does the configuration give it to a program.
        let config = entry(&format!("keys = ['{LISTED}']"));
        assert_eq!(sorted_with(&config, "deploy", &revoked, 0).0, ["alice Told"]);
        assert_eq!(sorted_with("", "alice", &revoked, 60).0.len(), 3, "its end has come");
    }

    #[test]
    fn an_offered_key_is_decided_without_a_directory_where_it_is_given_whole() {
        let decided = |keys: &str, offered: &str| {
            let rules = host::Config::parse(Path::new("/c"), entry(keys).as_bytes()).unwrap().rules;
            let account = Account::new("deploy").unwrap();
            let nobody = Revoked::nobody();
            let programs = Programs::new(&rules, &account, &nobody, Timestamp::from_unix(0));
            programs.decide(Some(&Offered::Key(key(offered))))
        };
        let whole = format!("keys = ['{LISTED}']");
        assert!(decided(&whole, LISTED) && !decided(&whole, OTHER));
        assert!(!decided(&format!("fingerprints = ['{PRINT}']"), LISTED));
    }
}
