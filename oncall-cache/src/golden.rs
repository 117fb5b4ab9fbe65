//! For every reason there is, what `why` prints and what a refused person reads, as files in tests/golden.
//!
//! A text that changes is a change that somebody looks at: `REWRITE_GOLDEN=1 cargo test -p oncall-cache golden`
//! writes them anew. What must hold of each of them is asked as well.

use std::path::Path;

use jiff::tz::TimeZone;
use policy::{
    Account, Actor, Automation, CertificateFault, Claims, Decision, Evidence, Facts, FromPattern, Granted,
    Host, HostSelector, IncidentRule, Login, OnUnknown, Principal, Reason, Revocation, Revoked, Roster, Rule,
    Rules, Schedule, ScheduleRef, Shift, Span, Switch, Timestamp, Window, anyone, decide,
};

use policy::revocations::Revocations;

use host::orders::OrdersError;
use host::{Config, revoked};
use state::{HostState, StateError};
use store::StoreError;
use store::roster::Mapping;

use crate::mappings::Mappings;
use crate::verbs::test_access::Answer;

const HELP: &str = "https://wiki.example.com/break-glass";

fn at(hour: i64) -> Timestamp {
    Timestamp::parse("2026-11-20T00:00:00Z").unwrap().plus(Span::hours(hour))
}

fn name(text: &str) -> Principal {
    Principal::new(text).unwrap()
}

fn reference(id: &str) -> ScheduleRef {
    ScheduleRef { source: "pd".to_string(), id: id.to_string() }
}

/// What a host knows, before it is put together.
struct World {
    rules: Rules,
    roster: Result<Roster, StateError>,
    revoked: Result<Revoked, StateError>,
    mappings: Mappings,
    grants: Vec<Granted>,
    /// Why it has no configuration, if it has none.
    config_problem: Option<&'static str>,
}

impl World {
    fn known(self) -> (HostState, Mappings) {
        if let Some(problem) = self.config_problem {
            return (
                HostState::misnamed(Path::new("/nonexistent/config.toml"), problem.to_string()),
                self.mappings,
            );
        }
        let config = Config::parse(Path::new("/etc/authkeys/config.toml"), b"").unwrap();
        let config = Config { rules: self.rules, ..config };
        let state = HostState::of(config, self.revoked, Ok(Switch::untouched()), self.roster);
        (state.with_grants(self.grants), self.mappings)
    }
}

/// Ten o'clock: alice is on call until 18:00, bob after her; carol is revoked, and dave is not eligible.
fn world() -> World {
    let shift = |person: &str, from, to| Shift {
        schedule: 0,
        principal: name(person),
        level: 1,
        window: Window::new(at(from), at(to)).unwrap(),
    };
    let synced = at(10).minus(Span::minutes(5));
    let revocation = Revocation::by_root(at(9), "root".to_string(), "laptop stolen".to_string());
    let mapping = Mapping {
        source: "pd".to_string(),
        principal: name("alice"),
        user: "PUALICE".to_string(),
        ground: "mail".to_string(),
    };
    World {
        config_problem: None,
        grants: Vec::new(),
        rules: Rules {
            host: Host { name: "db1".to_string(), labels: Vec::new() },
            exempt_accounts: vec![Account::new("breakglass").unwrap()],
            rules: vec![Rule {
                name: "db".to_string(),
                hosts: vec![HostSelector::parse("db*")],
                schedules: vec![reference("PDB0001")],
                max_escalation_level: 1,
                claim: false,
                incident: None,
            }],
            automation: vec![robot()],
            help: Some(HELP.to_string()),
            ..Rules::compiled()
        },
        roster: Ok(Roster {
            late: Vec::new(),
            incidents: Default::default(),
            published: synced,
            floor: synced,
            schedules: vec![Schedule {
                reference: reference("PDB0001"),
                provider_id: "PDB0001".to_string(),
                name: "db-primary".into(),
                synced,
                horizon: at(82),
            }],
            shifts: vec![shift("alice", 9, 18), shift("bob", 18, 21), shift("carol", 9, 21)].into(),
            eligible: ["alice", "bob", "carol"].map(|person| (name(person), true)).into(),
        }),
        revoked: Ok([(name("carol"), revocation)].into_iter().collect::<Revoked>()),
        mappings: Mappings { found: [mapping].into(), providers: [("pd".to_string(), "PagerDuty")].into() },
    }
}

/// What opens root for a program from 10.0.0.0/8, until noon.
fn robot() -> Automation {
    Automation {
        number: 1,
        account: Account::new("root").unwrap(),
        digests: vec![[7; 32]],
        keys: Vec::new(),
        from: vec![FromPattern::new("10.0.0.0/8").unwrap()],
        services: vec!["sshd".to_string()],
        owner: "platform team".to_string(),
        reason: "ansible".to_string(),
        until: at(12),
    }
}

/// alice and eve let bob into root for an hour.
fn granted() -> Granted {
    Granted {
        id: "00112233445566778899aabbccddeeff".to_string(),
        rule: "night".to_string(),
        person: name("bob"),
        account: Account::new("root").unwrap(),
        key: Some("ssh-ed25519 AAAA".to_string()),
        window: Window::new(at(10), at(11)).unwrap(),
        approvers: vec![name("alice"), name("eve")],
        reason: "INC-42 disk full".to_string(),
        is_break_glass: false,
    }
}

/// A login to be judged, and by whom.
struct Scene {
    world: World,
    service: &'static str,
    account: &'static str,
    facts: Facts,
    asks: &'static str,
    person: Option<Actor<'static>>,
    /// The program whose key it is, and from where it comes.
    program: Option<(Automation, &'static str)>,
    decide: fn(&Login<'_>, &HostState) -> Decision,
}

/// alice enters root by sshd.
fn plain() -> Scene {
    Scene {
        world: world(),
        service: "sshd",
        account: "root",
        facts: Facts { uid: Some(0), root_groups: Vec::new() },
        asks: "alice",
        person: None,
        program: None,
        decide: |login, state| decide(login, &state.evidence(), state.rules(), at(10)),
    }
}

/// Somebody enters root with a certificate that counts for nobody.
fn by_certificate(fault: CertificateFault) -> Scene {
    Scene { person: Some(Actor::Certificate(fault)), ..plain() }
}

fn admin() -> Facts {
    Facts { uid: Some(1000), root_groups: vec!["sudo".to_string()] }
}

const ROSTER: &str = "/var/lib/oncall-cache/roster.db";

/// The roster cannot be read.
fn without_roster(error: StoreError) -> Scene {
    let roster = Err(StateError::Roster(error.written_by("oncall-cache sync")));
    Scene { world: World { roster, ..world() }, ..plain() }
}

/// The roster as `change` leaves it.
fn with_roster(change: impl FnOnce(&mut Roster)) -> Scene {
    let mut scene = plain();
    change(scene.world.roster.as_mut().unwrap());
    scene
}

/// A scene for each reason: one that is added to the enumeration does not compile without its text.
fn scene(reason: Reason) -> Scene {
    match reason {
        Reason::OnCall => plain(),
        Reason::Grant => {
            Scene { asks: "bob", world: World { grants: vec![granted()], ..world() }, ..plain() }
        }
        Reason::BreakGlass => {
            let broken = Granted {
                rule: "glass".to_string(),
                approvers: vec![name("bob")],
                is_break_glass: true,
                ..granted()
            };
            let mut scene = without_roster(StoreError::Missing(Path::new(ROSTER).into()));
            scene.world.grants = vec![broken];
            Scene { asks: "bob", ..scene }
        }
        Reason::Automation => Scene { program: Some((robot(), "10.1.2.3")), asks: "root", ..plain() },
        Reason::AutomationExpired => {
            let over = Automation { until: at(9), ..robot() };
            Scene { program: Some((over, "10.1.2.3")), asks: "root", ..plain() }
        }
        Reason::AutomationOutOfScope => {
            Scene { program: Some((robot(), "192.0.2.1")), asks: "root", ..plain() }
        }
        Reason::CertificateAuthority => by_certificate(CertificateFault::Authority),
        Reason::CertificatePeriod => by_certificate(CertificateFault::Period),
        Reason::CertificateUnusable => by_certificate(CertificateFault::Unusable),
        Reason::Exempt => Scene { account: "breakglass", facts: admin(), asks: "breakglass", ..plain() },
        Reason::AwaitsKey => Scene {
            person: Some(Actor::Unknown),
            decide: |login, state| anyone(login, &state.evidence(), state.rules(), at(10)),
            ..plain()
        },
        Reason::OutOfScope => Scene { service: "cron", ..plain() },
        Reason::NotGuarded => Scene { account: "dave", facts: Facts::default(), asks: "dave", ..plain() },
        Reason::AlreadyRoot => {
            Scene { service: "sudo", asks: "root", person: Some(Actor::Superuser), ..plain() }
        }
        Reason::Revoked => Scene { asks: "carol", ..plain() },
        Reason::RevokedUnreadable => {
            let (path, advice) = ("/etc/authkeys/revoked".into(), revoked::FILE.advice);
            let error = StateError::Orders(OrdersError::Line { path, line: 2, advice });
            Scene { world: World { revoked: Err(error), ..world() }, ..plain() }
        }
        Reason::RevokedStale => with_fleet("revocations 1 2026-11-20T09:00:00Z\n", Some(Span::minutes(10))),
        Reason::NoRule => {
            let mut scene = plain();
            scene.world.rules.host.name = "db1.example.com".to_string();
            scene.world.rules.rules[0].hosts = vec![HostSelector::parse("db1")];
            scene
        }
        Reason::NotOnCall => Scene { asks: "bob", ..plain() },
        Reason::ClaimNeeded => {
            let mut scene = plain();
            scene.world.rules.rules[0].claim = true;
            let decide: fn(&Login<'_>, &HostState) -> Decision = |login, state| {
                let evidence = Evidence { claims: Claims::Stated(None), ..state.evidence() };
                decide(login, &evidence, state.rules(), at(10))
            };
            Scene { decide, ..scene }
        }
        Reason::NoIncident => {
            let mut scene = plain();
            scene.world.rules.rules[0].incident = Some(IncidentRule {
                source: "pd".to_string(),
                services: vec!["PSVC1".to_string()],
                linger: Span::minutes(30),
                max_open: Span::hours(24),
                known_for: Span::minutes(15),
                on_unknown: OnUnknown::OnCall,
            });
            let roster = scene.world.roster.as_mut().unwrap();
            let read = at(10).minus(Span::minutes(5));
            roster.incidents.tell(("pd", &["PSVC1".to_string()]), Vec::new(), read, read);
            scene
        }
        Reason::NotEligible => Scene { asks: "dave", ..plain() },
        Reason::UnknownPerson => Scene { service: "login", person: Some(Actor::Unknown), ..plain() },
        Reason::AmbiguousPerson => Scene { person: Some(Actor::Ambiguous), ..plain() },
        Reason::BadUser => Scene { account: "Eve", facts: admin(), person: Some(Actor::Unusable), ..plain() },
        Reason::CacheMissing => without_roster(StoreError::Missing(Path::new(ROSTER).into())),
        Reason::CacheCorrupt => without_roster(StoreError::Corrupt(
            Path::new(ROSTER).into(),
            "file is not a database".to_string(),
        )),
        Reason::CacheUnreadable => without_roster(StoreError::Unreadable(
            ROSTER.into(),
            "Input/output error (os error 5)".to_string(),
        )),
        Reason::CacheVersion => without_roster(StoreError::Version(Path::new(ROSTER).into(), 99)),
        Reason::FileUntrusted => without_roster(StoreError::Untrusted(trust::Refusal {
            path: ROSTER.into(),
            why: trust::Why::Untrusted(ROSTER.into(), "others can write it; chmod go-w it"),
        })),
        Reason::ConfigInvalid => Scene {
            world: World {
                config_problem: Some(
                    "/etc/authkeys/config.toml: no such file; the packages have an example below /usr/share/doc",
                ),
                ..world()
            },
            ..plain()
        },
        Reason::CacheStale => with_roster(|roster| roster.schedules[0].synced = at(-15)),
        Reason::BeyondHorizon => with_roster(|roster| roster.schedules[0].horizon = at(10)),
        Reason::ClockRollback => with_roster(|roster| roster.floor = at(34)),
        Reason::SourceIncomplete => {
            let mut scene = Scene { asks: "bob", ..plain() };
            scene.world.rules.rules[0].schedules.push(reference("PDB0002"));
            scene
        }
    }
}

/// The fleet says this as well.
fn with_fleet(text: &str, limit: Option<Span>) -> Scene {
    let mut scene = plain();
    let list = Revocations::parse(text).unwrap();
    scene.world.revoked = scene.world.revoked.map(|revoked| revoked.with_fleet(list, limit));
    scene
}

fn answer(scene: Scene) -> (Reason, Answer) {
    let principal = name(scene.asks);
    let (person, place) = match &scene.program {
        Some((entry, place)) => (Actor::Program(entry), *place),
        None => (scene.person.unwrap_or(Actor::Known(&principal)), ""),
    };
    let Scene { world, service, account, facts, .. } = scene;
    let (state, mappings) = world.known();
    let login = Login { service, account, facts: &facts, person, tty: "", place };
    let decision = (scene.decide)(&login, &state);
    (decision.reason, Answer::new((&state, &mappings), &login, &principal, decision, at(10)))
}

/// Compares with the file, or writes it.
#[allow(clippy::disallowed_methods, reason = "the person who runs the test asks it to write its files anew")]
fn compare(file: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden").join(file);
    if std::env::var_os("REWRITE_GOLDEN").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, expected, "{} says otherwise; see this file's first lines", path.display());
}

#[test]
fn for_each_reason_why_and_the_refusal_say_who_is_on_call_and_what_to_do() {
    for &reason in Reason::ALL {
        let scene = scene(reason);
        let (given, answer) = answer(scene);
        assert_eq!(given, reason);
        let why = answer.chain(&TimeZone::UTC);
        let told = answer.refusal().unwrap_or("(is not refused)");
        compare(&format!("{reason}.txt"), &format!("$ why\n{why}\n\n$ refused\n{told}\n"));

        let believed = !matches!(
            reason,
            Reason::BreakGlass
                | Reason::CacheMissing
                | Reason::CacheCorrupt
                | Reason::CacheUnreadable
                | Reason::CacheVersion
                | Reason::CacheStale
                | Reason::FileUntrusted
                | Reason::ConfigInvalid
                | Reason::ClockRollback
                | Reason::BeyondHorizon
                | Reason::NoRule
        );
        if believed {
            assert!(why.contains("alice until 18:00 UTC"), "{reason}: {why}");
        }
        assert!(why.contains("\n  next step   "), "{reason}: {why}");
        let Some(line) = answer.refusal() else { continue };
        if believed {
            assert!(
                line.contains("alice until 18:00 UTC") || line.contains("alice is, until 18:00 UTC"),
                "{reason}: {line}"
            );
        }
        let (before, help) = line.split_once("; help: ").unwrap_or((line, HELP));
        assert_eq!(help, HELP, "{reason}: {line}");
        assert!(before.contains("; more: oncall-cache w"), "{reason}: {line}");
        assert!(!before.contains(['/', '\n']), "{reason} names a file: {line}");
    }
}

#[test]
fn old_news_count_and_that_is_said() {
    let scene = with_roster(|roster| roster.schedules[0].synced = at(7));
    let (reason, answer) = answer(scene);
    assert_eq!(reason, Reason::OnCall);
    assert!(answer.line().contains("(still valid, but last synced 3h ago; run `oncall-cache refresh`)"));
    compare("oncall-old-news.txt", &format!("$ why\n{}\n", answer.chain(&TimeZone::UTC)));
}

#[test]
fn what_the_fleet_has_revoked_is_said_to_be_the_fleets() {
    let scene = with_fleet(
        "revocations 1\nperson alice 1 revoked 2026-11-20T09:00:00Z 2026-11-20T15:00:00Z eve laptop stolen\n",
        None,
    );
    let (reason, answer) = answer(scene);
    assert_eq!(reason, Reason::Revoked);
    let refused = answer.refusal().unwrap();
    assert!(refused.contains("alice is revoked in the whole fleet since 09:00 UTC"), "{refused}");
    let why = answer.chain(&TimeZone::UTC);
    assert!(
        why.contains("15:00:00 UTC, then allow (oncall)") && !why.contains("oncall-cache unrevoke"),
        "{why}"
    );
    compare("revoked-fleet.txt", &format!("$ why\n{why}\n\n$ refused\n{refused}\n"));
}

#[test]
fn every_reason_has_a_heading_in_the_operations_guide() {
    let guide = include_str!("../../docs/operations.md");
    let headings: Vec<&str> = guide
        .lines()
        .filter_map(|line| line.strip_prefix("### "))
        .flat_map(|line| line.split(", "))
        .collect();
    for reason in Reason::ALL {
        assert!(headings.contains(&reason.token()), "{reason} has no heading");
    }
}
