//! What the administrator asks for: guarded accounts, who admits, how old evidence may be.
//!
//! `host` builds [`Rules`] from config.toml. [`Rules::compiled`] is what holds when that file
//! cannot be read: the same guards, and nobody admitted.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use alloc::{format, vec};

use crate::{
    Account, Actor, Automation, CertificateAuthority, GrantRule, Guard, IncidentRule, Login, Mode, Names,
    Principal, Schedule, ScheduleRef, Span, Timestamp, plain,
};

/// The machine a decision is for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Host {
    /// Its name as rules match it.
    pub name: String,
    /// Labels as the configuration lists them: `role=db`.
    pub labels: Vec<String>,
}

/// One entry of a rule's `hosts`: a name with `*` and `?`, or `label:role=db`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostSelector {
    /// A glob over the host's name.
    Name(String),
    /// A label, compared whole.
    Label(String),
}

impl HostSelector {
    /// Reads one entry as the configuration writes it.
    pub fn parse(text: &str) -> Self {
        match text.strip_prefix("label:") {
            Some(label) => Self::Label(label.to_string()),
            None => Self::Name(text.to_string()),
        }
    }

    /// Does it select `host`?
    pub fn covers(&self, host: &Host) -> bool {
        match self {
            Self::Name(glob) => matches_by(whole_name(glob), whole_name(&host.name), |one, other| {
                one.eq_ignore_ascii_case(&other)
            }),
            Self::Label(label) => host.labels.iter().any(|own| own == label),
        }
    }
}

/// A host's name without the dot that ends a whole one. DNS does not look at the case of letters either (RFC 4343).
fn whole_name(name: &str) -> &[u8] {
    name.strip_suffix('.').unwrap_or(name).as_bytes()
}

/// Is `name` as a whole what `glob` says? `*` is any run of bytes, `?` one byte; linear but for one
/// remembered `*`.
pub fn matches_glob(glob: &[u8], name: &[u8]) -> bool {
    matches_by(glob, name, |one, other| one == other)
}

/// The same, where `same` says which bytes are equal. Nothing is copied: a decision asks this of every rule.
fn matches_by(glob: &[u8], name: &[u8], same: impl Fn(u8, u8) -> bool) -> bool {
    let (mut g, mut n) = (0, 0);
    let mut star = None;
    while let Some(&byte) = name.get(n) {
        match glob.get(g) {
            Some(b'*') => {
                star = Some((g, n));
                g += 1;
            }
            Some(&wanted) if wanted == b'?' || same(wanted, byte) => {
                g += 1;
                n += 1;
            }
            _ => match star {
                Some((at, from)) => {
                    star = Some((at, from + 1));
                    g = at + 1;
                    n = from + 1;
                }
                None => return false,
            },
        }
    }
    glob.iter().skip(g).all(|&byte| byte == b'*')
}

/// `[[policy.rule]]`: people on call for one of these schedules are admitted on these hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// What logs and `why` call it.
    pub name: String,
    /// Which hosts it covers; any one entry is enough.
    pub hosts: Vec<HostSelector>,
    /// Whose shifts admit.
    pub schedules: Vec<ScheduleRef>,
    /// The deepest escalation level that admits; 1 is paged first.
    pub max_escalation_level: u8,
    /// Do those whom it admits state why, once a shift?
    pub claim: bool,
    /// Does it admit during incidents alone?
    pub incident: Option<IncidentRule>,
}

impl Rule {
    /// Does the rule say anything about `host`?
    pub fn covers(&self, host: &Host) -> bool {
        self.hosts.iter().any(|selector| selector.covers(host))
    }
}

/// Whose keys open a shared account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    /// `people = "on-call"`: everyone eligible.
    Everyone,
    /// A list; being on call and eligible is asked of these as well.
    Only(Vec<Principal>),
}

/// `[[policy.shared_account]]`: an account that several people enter with their own keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shared {
    /// The account.
    pub account: Account,
    /// Who is ever considered.
    pub people: Who,
    /// Are those who are not admitted now let as far as being told so?
    pub explain_refusals: bool,
}

/// What this host knows of an account: its effect, not its name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// The account's uid, where there is such an account.
    pub uid: Option<u32>,
    /// Those of [`Rules::privileged_groups`] that it belongs to, as primary or supplementary group.
    pub root_groups: Vec<String>,
}

/// Everything the administrator decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// Are decisions enforced?
    pub mode: Mode,
    /// The host that decides.
    pub host: Host,
    /// Accounts guarded whatever the service.
    pub guarded_accounts: Vec<Account>,
    /// Groups whose members are guarded.
    pub privileged_groups: Vec<String>,
    /// PAM services in scope.
    pub pam_services: Vec<String>,
    /// Accounts never refused: under sudo, doas and su the invoking user, elsewhere the account entered.
    pub exempt_accounts: Vec<Account>,
    /// Terminals on which `login` refuses nobody: the console.
    pub exempt_ttys: Vec<String>,
    /// Any matching rule admits; no rule, nobody.
    pub rules: Vec<Rule>,
    /// Shared accounts.
    pub shared: Vec<Shared>,
    /// Keys of programs.
    pub automation: Vec<Automation>,
    /// Whose certificates count.
    pub certificate_authorities: Vec<CertificateAuthority>,
    /// Who may let people in who are not on call.
    pub grants: Vec<GrantRule>,
    /// How old news may be.
    pub ages: Ages,
    /// Sources of whose late shifts a reason is asked, whatever the rule says.
    pub late_claims: BTreeSet<String>,
    /// The end of each refusal: where to find help.
    pub help: Option<String>,
    /// Which person an account is of.
    pub names: Names,
}

/// How old the news of a schedule may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AgeLimit {
    /// Older than this is said everywhere, and still trusted.
    pub warn_age: Span,
    /// Older than this is not trusted.
    pub max_age: Span,
}

/// The age limits of one source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceAges {
    /// For each of its schedules that is not named.
    pub all: AgeLimit,
    /// By the text that names a schedule in the configuration.
    pub schedules: BTreeMap<String, AgeLimit>,
}

/// The age limits of all schedules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ages {
    /// For sources that are not named.
    pub all: AgeLimit,
    /// By a source's name.
    pub sources: BTreeMap<String, SourceAges>,
}

impl Ages {
    /// What holds for `schedule`.
    pub fn of(&self, schedule: &Schedule) -> AgeLimit {
        let Some(source) = self.sources.get(&schedule.reference.source) else { return self.all };
        source.schedules.get(&schedule.reference.id).copied().unwrap_or(source.all)
    }
}

impl Rules {
    /// How far a clock may be behind the roster's publication before it is not trusted.
    pub const SKEW: Span = Span::seconds(120);

    /// Services that this release decides for.
    pub const SERVICES: [&'static str; 8] =
        ["sshd", "login", "su", "su-l", "sudo", "sudo-i", "doas", "polkit-1"];

    /// Where `login` refuses nobody, unless the configuration says otherwise.
    pub const CONSOLES: [&'static str; 2] = ["tty1", "ttyS0"];

    /// What holds without a readable configuration: everything guarded, nobody admitted.
    pub fn compiled() -> Self {
        Self {
            mode: Mode::Enforce,
            host: Host::default(),
            guarded_accounts: Account::new("root").into_iter().collect(),
            privileged_groups: vec!["sudo".to_string(), "wheel".to_string()],
            pam_services: Self::SERVICES.map(String::from).to_vec(),
            exempt_accounts: Vec::new(),
            exempt_ttys: Self::CONSOLES.map(String::from).to_vec(),
            rules: Vec::new(),
            shared: Vec::new(),
            automation: Vec::new(),
            certificate_authorities: Vec::new(),
            grants: Vec::new(),
            ages: Ages {
                all: AgeLimit { warn_age: Span::hours(1), max_age: Span::hours(24) },
                sources: BTreeMap::new(),
            },
            late_claims: BTreeSet::new(),
            help: None,
            names: Names::default(),
        }
    }

    /// Is `service` one whose logins are decided here?
    pub fn covers_service(&self, service: &str) -> bool {
        self.pam_services.iter().any(|own| own == service)
    }

    /// Is this an account that several people enter with their own keys? Any uid 0 is one (P21).
    pub fn is_shared(&self, account: &str, facts: &Facts) -> bool {
        facts.uid == Some(0) || self.shared.iter().any(|shared| shared.account.as_str() == account)
    }

    /// The `[[policy.shared_account]]` entry of `account`.
    pub fn shared(&self, account: &str) -> Option<&Shared> {
        self.shared.iter().find(|shared| shared.account.as_str() == account)
    }

    /// Is `account` never refused?
    pub fn exempts(&self, account: &str) -> bool {
        self.exempt_accounts.iter().any(|exempt| exempt.as_str() == account)
    }

    /// Is this login never refused but for a revocation? Under sudo, doas and su only a caller who has been identified
    /// is exempt: the rest is what he says of himself.
    pub fn exempts_login(&self, login: &Login<'_>) -> bool {
        if asks_the_caller(login.service) {
            return matches!(login.person, Actor::Known(caller) if self.exempts(caller.as_str()));
        }
        let tty = login.tty.strip_prefix("/dev/").unwrap_or(login.tty);
        let is_console = login.service == "login" && self.exempt_ttys.iter().any(|exempt| exempt == tty);
        is_console || self.exempts(login.account)
    }

    /// Is this a guarded account that keys of programs are listed for, over or not?
    fn admits_programs(&self, account: &str, facts: &Facts) -> bool {
        self.guard("sshd", account, facts).is_some() && self.programs("sshd", account).next().is_some()
    }

    /// Whom a login by `service` to `account` is judged by.
    pub fn subject(&self, service: &str, account: &str, facts: &Facts) -> Subject {
        match service {
            _ if asks_the_caller(service) => Subject::Caller,
            "sshd" if self.is_shared(account, facts) => Subject::KeyOwner,
            "sshd" if self.admits_programs(account, facts) => Subject::OwnerOrProgram,
            _ if !self.is_shared(account, facts) => Subject::Owner,
            _ => Subject::Nobody,
        }
    }

    /// Why entering `account` by `service` is guarded, if it is: by effect, then by name (P21).
    pub fn guard(&self, service: &str, account: &str, facts: &Facts) -> Option<Guard> {
        if let Some(guard) = leads_to_root(service) {
            return Some(guard);
        }
        if facts.uid == Some(0) {
            return Some(Guard::UidZero);
        }
        if let Some(group) = facts.root_groups.first() {
            return Some(Guard::Group(group.clone()));
        }
        if self.is_shared(account, facts) {
            return Some(Guard::Shared);
        }
        let plain = self.names.plain(account);
        let named =
            self.guarded_accounts.iter().any(|guarded| [account, &*plain].contains(&guarded.as_str()));
        named.then_some(Guard::Named)
    }

    /// The rules that say something about this host.
    pub fn here(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter().filter(|rule| rule.covers(&self.host))
    }

    /// The schedules that count on this host, as often as rules name them.
    pub fn schedules(&self) -> Vec<&ScheduleRef> {
        self.here().flat_map(|rule| &rule.schedules).collect()
    }

    /// Does any rule take grants here? Where none does, nothing is read for them.
    pub fn takes_grants(&self) -> bool {
        self.grants.iter().any(|rule| rule.covers(&self.host))
    }

    /// May anybody who is on call here be asked why?
    pub fn asks_claims(&self) -> bool {
        let asks_late = |wanted: &ScheduleRef| self.late_claims.contains(&wanted.source);
        self.here().any(|rule| rule.claim || rule.schedules.iter().any(asks_late))
    }

    /// Does any rule here wait for an incident?
    pub fn asks_incidents(&self) -> bool {
        self.here().any(|rule| rule.incident.is_some())
    }

    /// The services whose incidents rules here wait for, by source; each once.
    pub fn incident_services(&self) -> BTreeMap<String, Vec<String>> {
        let mut asked: BTreeMap<String, BTreeSet<&String>> = BTreeMap::new();
        for incident in self.here().filter_map(|rule| rule.incident.as_ref()) {
            asked.entry(incident.source.clone()).or_default().extend(&incident.services);
        }
        let listed = |services: BTreeSet<&String>| services.into_iter().cloned().collect();
        asked.into_iter().map(|(source, services)| (source, listed(services))).collect()
    }

    /// Is somebody on call asked why at this login? Not in their own account, guarded or not: there they have a shell to
    /// say it in, and what leads further asks them.
    pub fn asks_claim_of(&self, login: &Login<'_>) -> bool {
        leads_to_root(login.service).is_some()
            || asks_the_caller(login.service)
            || self.is_shared(login.account, login.facts)
    }

    /// Does `account` admit this person, if they are on call?
    pub fn lists(&self, account: &str, person: &Principal) -> bool {
        match self.shared(account).map(|shared| &shared.people) {
            Some(Who::Only(people)) => people.contains(person),
            Some(Who::Everyone) | None => true,
        }
    }

    /// Would a shift of this `level` in `schedule` admit `person` here, if it holds at `now` and the directory lets them
    /// become root? By `account`, where it is one account that is asked about. Readers of a roster choose by this
    /// whom of those on call they read; [`decide`](crate::decide) judges whom they chose.
    pub fn shift_admits(
        &self,
        account: Option<&str>,
        (schedule, level): (&Schedule, u8),
        person: &Principal,
        now: Timestamp,
    ) -> bool {
        let counts =
            |rule: &Rule| level <= rule.max_escalation_level && rule.schedules.contains(&schedule.reference);
        now < schedule.believed_until(self.ages.of(schedule).max_age)
            && account.is_none_or(|account| self.lists(account, person))
            && self.here().any(counts)
    }

    /// That no rule says anything about this host, where that is so.
    pub fn uncovered(&self) -> Option<Uncovered<'_>> {
        self.here().next().is_none().then_some(Uncovered(self))
    }
}

/// No rule covers this host; prints as that, with what the rules name instead.
#[derive(Debug, Clone, Copy)]
pub struct Uncovered<'a>(&'a Rules);

impl core::fmt::Display for Uncovered<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        /// The most that is named in one line.
        const MOST: usize = 5;
        write!(f, "no rule covers this host ({})", self.0.host.name)?;
        let mut named: Vec<String> = Vec::new();
        for selector in self.0.rules.iter().flat_map(|rule| &rule.hosts) {
            let name = plain(&selector.to_string()).replace('\n', " ");
            if !named.contains(&name) {
                named.push(name);
            }
        }
        let more = named.len().saturating_sub(MOST);
        named.truncate(MOST);
        match (named.is_empty(), more) {
            (true, _) => f.write_str("; there is no [[policy.rule]]"),
            (false, 0) => write!(f, "; rules name {}", named.join(", ")),
            (false, more) => write!(f, "; rules name {} and {more} more", named.join(", ")),
        }
    }
}

/// Who the human being behind a login is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// Who called the program: sudo, doas, su.
    Caller,
    /// Whose personal account it is.
    Owner,
    /// Whose key opened the session: an account that several people share, over sshd.
    KeyOwner,
    /// Whose personal account it is, unless the key that opened the session is a program's.
    OwnerOrProgram,
    /// An account that several people share, by a door that does not tell them apart.
    Nobody,
}

impl Subject {
    /// Does the key tell, which sshd shows only when the session opens?
    pub fn goes_by_key(self) -> bool {
        matches!(self, Self::KeyOwner | Self::OwnerOrProgram)
    }
}

/// Does a user who passes `service` become root, whatever account it asks about? polkit asks its administrators to prove
/// who they are, whichever group its rules say those are, and does not tell libpam that it does: so everybody it asks.
fn leads_to_root(service: &str) -> Option<Guard> {
    match service {
        "sudo" | "sudo-i" => Some(Guard::Sudo),
        "doas" => Some(Guard::Doas),
        "polkit-1" => Some(Guard::Polkit),
        _ => None,
    }
}

/// Does `service` ask about its caller? sudo, doas and su show nothing else that can be trusted.
pub fn asks_the_caller(service: &str) -> bool {
    names_its_caller(service) || is_su(service)
}

/// Is `service` one of those through which su asks? `su -` has a separate name.
pub fn is_su(service: &str) -> bool {
    matches!(service, "su" | "su-l")
}

/// Does `service` say who called it, in PAM_RUSER, and ask account management about them and the session about the
/// account that they enter? sudo, whose `sudo -i` has a separate name, sudo-rs and opendoas do (measured: sudo 1.9.13
/// and 1.9.16, sudo-rs 0.2.5, opendoas 6.8.2).
pub fn names_its_caller(service: &str) -> bool {
    matches!(service, "sudo" | "sudo-i" | "doas")
}

impl core::fmt::Display for HostSelector {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Name(glob) => f.write_str(glob),
            Self::Label(label) => f.write_str(&format!("label:{label}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_globs_match_whole_names() {
        for (glob, name, matches) in [
            ("db*", "db1", true),
            ("db*", "adb1", false),
            ("*", "", true),
            ("db?", "db12", false),
            ("*-db-*", "eu-db-1", true),
            ("*a*b", "xaab", true),
            ("", "db", false),
            ("db1", "db1", true),
        ] {
            assert_eq!(matches_glob(glob.as_bytes(), name.as_bytes()), matches, "{glob} {name}");
        }
    }

    #[test]
    fn what_leads_to_root_is_guarded_whatever_the_groups_are() {
        let rules = Rules { privileged_groups: vec![], ..Rules::compiled() };
        let guard = |service| rules.guard(service, "operator", &Facts::default());
        assert_eq!(
            ["sudo", "sudo-i", "doas", "polkit-1"].map(guard),
            [Guard::Sudo, Guard::Sudo, Guard::Doas, Guard::Polkit].map(Some)
        );
        assert_eq!(["sshd", "login", "su", "su-l"].map(guard), [const { None }; 4]);
    }

    #[test]
    fn names_of_hosts_are_compared_as_dns_compares_them() {
        for (rule, name, covers) in [
            ("DB1.Example.com", "db1.example.COM", true),
            ("db1.example.com.", "db1.example.com", true),
            ("db1.example.com", "db1.example.com.", true),
            ("DB*", "db1.", true),
            ("db1..", "db1", false),
            ("db1", "db1.example.com", false),
            ("dé", "DÉ", false),
        ] {
            let host = Host { name: name.into(), labels: vec![] };
            assert_eq!(HostSelector::parse(rule).covers(&host), covers, "{rule} {name}");
        }
    }

    #[test]
    fn what_rules_name_is_told_where_none_covers_the_host() {
        let told = |hosts: &[&str]| {
            let mut rules = Rules::compiled();
            rules.host.name = "db1.example.com".into();
            rules.rules = vec![Rule {
                name: "db".into(),
                hosts: hosts.iter().map(|one| HostSelector::parse(one)).collect(),
                schedules: Vec::new(),
                max_escalation_level: 1,
                claim: false,
                incident: None,
            }];
            rules.uncovered().map(|uncovered| uncovered.to_string())
        };
        let start = "no rule covers this host (db1.example.com); rules name";
        assert_eq!(told(&["db1", "label:role=db", "db1"]), Some(format!("{start} db1, label:role=db")));
        assert_eq!(
            told(&["a", "b", "c", "d", "e", "f", "g"]),
            Some(format!("{start} a, b, c, d, e and 2 more"))
        );
        assert_eq!(told(&["db1", "DB1.*"]), None);
        let mut none = Rules::compiled();
        none.host.name = "db1".into();
        let told = none.uncovered().unwrap().to_string();
        assert_eq!(told, "no rule covers this host (db1); there is no [[policy.rule]]");
    }

    #[test]
    fn labels_are_compared_whole() {
        let host = Host { name: "db1".into(), labels: vec!["role=db".into()] };
        assert!(HostSelector::parse("label:role=db").covers(&host));
        assert!(!HostSelector::parse("label:role=d*").covers(&host));
    }
}
