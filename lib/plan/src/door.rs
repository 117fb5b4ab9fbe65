//! The ways into accounts that are guarded, and what `policy` says about somebody who takes one.

use policy::{
    Actor, Facts, Ground, Host, Judge, Login, Principal, Reason, Rules, Subject, Timestamp, Verdict,
    asks_the_caller, is_su,
};

/// A way into an account: root by sudo, `deploy` by sshd.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Door {
    /// The account that is entered, or whose rights are taken on.
    pub account: String,
    /// The PAM service.
    pub service: &'static str,
}

/// By what somebody is admitted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum By {
    /// The rule of this name, which counts their shift.
    Rule(String),
    /// An account that is never refused.
    Exempt,
    /// The entry of a program; its number in the file, and who answers for it.
    Program(usize, String),
}

/// What is decided about somebody at an instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Admitted.
    In(By),
    /// Refused.
    Out(Reason),
    /// Nothing is decided there: nobody is refused.
    Open(Reason),
    /// What is known does not tell.
    Unknown(Reason),
}

impl Door {
    /// All the ways that these rules, before and after, know.
    pub fn all(old: &Rules, new: &Rules) -> Vec<Self> {
        let accounts = |rules: &Rules| {
            let shared = rules.shared.iter().map(|shared| shared.account.to_string());
            let guarded = rules.guarded_accounts.iter().map(ToString::to_string);
            shared.chain(guarded).collect::<Vec<_>>()
        };
        let mut others = [accounts(old), accounts(new)].concat();
        others.retain(|account| account != ROOT);
        others.sort();
        others.dedup();
        let is_asked = |service: &&str| old.covers_service(service) || new.covers_service(service);
        let services: Vec<&'static str> = Rules::SERVICES.into_iter().filter(is_asked).collect();
        let of = |account: &str, service| Self { account: account.to_string(), service };
        let root = services.iter().map(|service| of(ROOT, service));
        let elsewhere = services.iter().filter(|service| !leads_to_root(service));
        let others = others.iter().flat_map(|account| elsewhere.clone().map(|service| of(account, service)));
        root.chain(others).collect()
    }

    /// Is a decision taken there? It is the same on every host.
    pub fn is_decided(&self, rules: &Rules) -> bool {
        rules.covers_service(self.service)
            && rules.guard(self.service, &self.account, &self.facts(self.service)).is_some()
    }

    /// Is anybody refused there? Not where nothing is decided, nor where the account that is entered by name is exempt.
    pub fn refuses(&self, rules: &Rules) -> bool {
        let is_named = !leads_to_root(self.service) && !is_su(self.service);
        self.is_decided(rules) && !(is_named && rules.exempts(&self.account))
    }

    /// What is known of the account: root's uid. Which others have it too, and which groups accounts are in, hosts know.
    fn facts(&self, service: &str) -> Facts {
        let is_root = self.account == ROOT && !leads_to_root(service);
        Facts { uid: is_root.then_some(0), root_groups: Vec::new() }
    }

    /// What follows if `person` takes this way at `now`. Nothing where it is none for them: a personal account of somebody
    /// else, or a shared one by a door that does not tell people apart.
    pub fn standing(
        &self,
        judge: &Judge<'_>,
        rules: &Rules,
        person: &Principal,
        now: Timestamp,
    ) -> Option<Standing> {
        // sudo, doas and polkit are asked about the account of whoever calls them.
        let account = if leads_to_root(self.service) { person.as_str() } else { &self.account };
        let facts = self.facts(self.service);
        let actor = match rules.subject(self.service, account, &facts) {
            Subject::Caller | Subject::KeyOwner => Actor::Known(person),
            Subject::Owner | Subject::OwnerOrProgram if rules.person_of(account).as_ref() == Ok(person) => {
                Actor::Known(person)
            }
            Subject::Owner | Subject::OwnerOrProgram | Subject::Nobody => return None,
        };
        let login =
            Login { service: self.service, account, facts: &facts, person: actor, tty: "", place: "" };
        let decision = judge.decide(&login, now);
        Some(match (decision.verdict, decision.ground) {
            (Verdict::Allow, Ground::OnCall(ground)) => Standing::In(By::Rule(ground.rule)),
            (Verdict::Allow, Ground::Program(program)) => {
                Standing::In(By::Program(program.number, program.owner))
            }
            (Verdict::Allow, _) => Standing::In(By::Exempt),
            (Verdict::NotOurs, _) => Standing::Open(decision.reason),
            (Verdict::CannotTell, _) => Standing::Unknown(decision.reason),
            (Verdict::Refuse | Verdict::BadName, _) => Standing::Out(decision.reason),
        })
    }
}

/// The account that it is mostly about.
pub(crate) const ROOT: &str = "root";

/// Does whoever passes `service` become root, by an account of their own?
fn leads_to_root(service: &str) -> bool {
    asks_the_caller(service) && !is_su(service) || service == "polkit-1"
}

/// Which rules cover `host`, by their place in the file; nothing where there is no such host.
pub(crate) fn covering(rules: &Rules, host: Option<&Host>) -> Option<Vec<usize>> {
    let numbered = rules.rules.iter().enumerate();
    host.map(|host| numbered.filter(|(_, rule)| rule.covers(host)).map(|(number, _)| number).collect())
}
