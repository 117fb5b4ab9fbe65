//! A site with people, their keys and one rule, and a night on which bob asks for root on db7.

use std::collections::{BTreeMap, BTreeSet};

use grant::{Accepted, Document, Grant, GrantId, Holders, Known, Refusal, judge};
use key::PublicKey;
use policy::{
    Account, GrantRule, Host, HostSelector, Principal, Quorum, Revocation, Revoked, Span, Timestamp, Window,
    revocations,
};
use signed::{Purpose, Signer, Signers, SigningKey};

pub fn at(time: &str) -> Timestamp {
    Timestamp::parse(&format!("2026-11-20T{time}Z")).unwrap()
}

pub fn person(name: &str) -> Principal {
    Principal::new(name).unwrap()
}

/// Whose keys are whose: alice has two. Only hers, carol's and bob's count, who asks himself.
const KEYS: [(&str, &str); 6] = [
    ("alice", "alice"),
    ("alice-2", "alice"),
    ("bob", "bob"),
    ("carol", "carol"),
    ("dave", "dave"),
    ("stranger", ""),
];

pub struct Site {
    pub keys: BTreeMap<&'static str, SigningKey>,
    /// By name of the key, whose it is for grants.
    pub listed: BTreeMap<&'static str, &'static str>,
    /// Who has which key besides.
    pub holders: Holders,
    pub host: Host,
    pub rule: GrantRule,
    pub revoked: Revoked,
    pub revoked_grants: BTreeSet<GrantId>,
    pub memory: Timestamp,
}

impl Site {
    pub fn new() -> Self {
        let keys = KEYS
            .iter()
            .zip(1u8..)
            .map(|((key, _), seed)| (*key, SigningKey::generate(&[seed; 32], "").unwrap().0));
        Self {
            keys: keys.collect(),
            listed: KEYS.into_iter().filter(|(_, person)| !person.is_empty()).collect(),
            holders: Holders::default(),
            host: Host { name: "db7".into(), labels: vec!["role=db".into()] },
            rule: GrantRule {
                name: "night".into(),
                hosts: vec![HostSelector::parse("db*")],
                accounts: ["root", "postgres"].map(|name| Account::new(name).unwrap()).into(),
                approvers: ["alice", "bob", "carol"].map(person).into(),
                quorum: Quorum::Two,
                people: [].into(),
                always: false,
                max: Span::hours(4),
            },
            revoked: Revoked::nobody(),
            revoked_grants: BTreeSet::new(),
            memory: Timestamp::MIN,
        }
    }

    /// One hour of root on db7 and db8 for bob, from 03:02.
    pub fn grant(&self) -> Grant {
        Grant {
            id: GrantId::new([0x5a; 16]),
            site: "example".into(),
            hosts: vec!["db7".into(), "db8".into()],
            account: Account::new("root").unwrap(),
            person: person("bob"),
            key: None,
            window: Window::new(at("03:02:00"), at("04:02:00")).unwrap(),
            issued: at("03:02:00"),
            reason: "INC-42 disk full".into(),
        }
    }

    pub fn key(&self, name: &str) -> &PublicKey {
        self.keys[name].public()
    }

    /// The grant with signatures by these keys below it.
    pub fn sign(&self, grant: &Grant, keys: &[&str]) -> Vec<u8> {
        self.sign_for(Purpose::Grant, grant, keys)
    }

    pub fn sign_for(&self, purpose: Purpose, grant: &Grant, keys: &[&str]) -> Vec<u8> {
        let text = grant.write().unwrap();
        let armours = keys.iter().map(|key| self.keys[*key].sign(purpose, text.as_bytes()).unwrap());
        [text.clone()].into_iter().chain(armours).collect::<String>().into_bytes()
    }

    /// The signers file, each line with more options before its namespaces.
    pub fn signers(&self, options: &str) -> Signers {
        let line = |(key, person): (&&str, &&str)| {
            let line = Signer::new(person, &[Purpose::Grant, Purpose::Review], self.key(key).clone())
                .unwrap()
                .to_string();
            line.replacen(' ', &format!(" {options}"), 1) + "\n"
        };
        Signers::parse(self.listed.iter().map(line).collect::<String>().as_bytes()).0
    }

    fn known<'a>(&'a self, holders: &'a Holders) -> Known<'a> {
        Known {
            site: "example",
            host: &self.host,
            holders,
            revoked: &self.revoked,
            revoked_grants: &self.revoked_grants,
            memory: self.memory,
        }
    }

    fn holders(&self) -> Holders {
        let mut holders = Holders::of(&self.signers(""));
        let people = self.listed.values().map(|name| person(name));
        for one in people.collect::<BTreeSet<_>>() {
            let keys = self.keys.values().map(|key| key.public().sha256());
            let own: Vec<_> = keys.filter(|key| self.holders.has(&one, key)).collect();
            holders.extend(own.into_iter().map(|key| (one.clone(), key)));
        }
        holders
    }

    /// What a host says whose root lists who signs.
    pub fn judge(&self, document: &[u8], now: Timestamp) -> Result<Accepted, Refusal> {
        self.judge_by(&self.signers(""), document, now)
    }

    pub fn judge_by(&self, signers: &Signers, document: &[u8], now: Timestamp) -> Result<Accepted, Refusal> {
        let document = Document::read(document).unwrap();
        judge(
            &document.grant,
            &self.known(&self.holders()),
            &self.rule,
            document.signatures(signers, now),
            now,
        )
    }

    /// What a host says that goes by login keys, whoever has them: by those of `holders` alone.
    pub fn judge_by_directory(&self, document: &[u8], now: Timestamp) -> Result<Accepted, Refusal> {
        let document = Document::read(document).unwrap();
        let keys = document.keys().map(|key| key.map(|key| key.sha256()));
        judge(&document.grant, &self.known(&self.holders), &self.rule, keys, now)
    }

    pub fn admits(
        &self,
        accepted: &Accepted,
        who: &str,
        account: &str,
        now: Timestamp,
    ) -> Result<Timestamp, Refusal> {
        let account = Account::new(account).unwrap();
        accepted.admits(&person(who), &account, &self.known(&self.holders()), now)
    }

    /// Adds to what the fleet has revoked: `person alice`, `key SHA256:…`, `grant 5a…`.
    pub fn revoke(&mut self, kind: &str, id: &str) {
        let mut list = self.revoked.fleet().cloned().unwrap_or_default();
        let order = revocations::Order {
            serial: 1,
            lifted: false,
            since: at("03:00:00"),
            until: None,
            by: "eve".into(),
            reason: String::new(),
        };
        list.insert(revocations::Subject::parse(kind, id).unwrap(), order).unwrap();
        self.revoked = std::mem::take(&mut self.revoked).with_fleet(list, None);
    }

    /// Adds to whom root of this host has revoked.
    pub fn revoke_here(&mut self, name: &str) {
        let revocation = Revocation::by_root(at("03:00:00"), "root".into(), String::new());
        self.revoked = [(person(name), revocation)].into_iter().collect();
    }
}

/// The word for the outcome.
pub fn word<T>(outcome: &Result<T, Refusal>) -> &'static str {
    outcome.as_ref().map_or_else(|refusal| refusal.reason().token(), |_| "accepted")
}
