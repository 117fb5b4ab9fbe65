use super::*;
use crate::{
    Account, AgeLimit, Claim, Claimed, Guard, Host, HostSelector, Rule, Schedule, ScheduleRef, Shared, Shift,
    SourceAges, Span, Who, Window,
};
use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec;

const NINE: i64 = 1_795_165_200; // 2026-11-20T09:00:00Z

fn at(hour: i64, minute: i64, second: i64) -> Timestamp {
    Timestamp::from_unix(NINE + (hour - 9) * 3600 + minute * 60 + second)
}

fn name(text: &str) -> Principal {
    Principal::new(text).unwrap()
}

fn reference(id: &str) -> ScheduleRef {
    ScheduleRef { source: "pd".to_string(), id: id.to_string() }
}

fn shift(person: &str, level: u8, from: Timestamp, to: Timestamp) -> Shift {
    Shift { schedule: 0, principal: name(person), level, window: Window::new(from, to).unwrap() }
}

fn add(roster: &mut Roster, shift: Shift) {
    roster.shifts = roster.shifts.iter().cloned().chain([shift]).collect();
}

/// alice 09–18, bob 18–21; alice, bob and carol are eligible, dave is not.
fn roster() -> Roster {
    Roster {
        published: at(9, 0, 0),
        floor: at(9, 0, 0),
        late: Vec::new(),
        incidents: Default::default(),
        schedules: vec![Schedule {
            reference: reference("P1"),
            provider_id: "P1".to_string(),
            name: "primary".into(),
            synced: at(9, 0, 0),
            horizon: at(81, 0, 0),
        }],
        shifts: vec![
            shift("alice", 1, at(9, 0, 0), at(18, 0, 0)),
            shift("bob", 1, at(18, 0, 0), at(21, 0, 0)),
            shift("carol", 2, at(9, 0, 0), at(21, 0, 0)),
            shift("dave", 1, at(9, 0, 0), at(21, 0, 0)),
        ]
        .into(),
        eligible: BTreeMap::from([
            (name("alice"), true),
            (name("bob"), true),
            (name("carol"), true),
            (name("dave"), false),
        ]),
    }
}

fn rules() -> Rules {
    Rules {
        host: Host { name: "db1".to_string(), labels: vec![] },
        rules: vec![Rule {
            name: "db".to_string(),
            hosts: vec![HostSelector::parse("db*")],
            schedules: vec![reference("P1")],
            max_escalation_level: 1,
            claim: false,
            incident: None,
        }],
        ..Rules::compiled()
    }
}

fn root() -> Facts {
    Facts { uid: Some(0), root_groups: vec![] }
}
static NOBODY: Revoked = Revoked::nobody();
fn evidence(roster: Result<&Roster, Fault>) -> Evidence<'_> {
    Evidence { roster, revoked: Ok(&NOBODY), grants: &[], claims: Claims::NotAsked }
}

fn decision(person: &str, roster: &Roster, rules: &Rules, now: Timestamp) -> Decision {
    let (principal, facts) = (name(person), root());
    let login = Login {
        service: "sshd",
        account: "root",
        facts: &facts,
        person: Actor::Known(&principal),
        tty: "",
        place: "",
    };
    decide(&login, &evidence(Ok(roster)), rules, now)
}

fn outcome(person: &str, now: Timestamp) -> (Verdict, Reason) {
    let decision = decision(person, &roster(), &rules(), now);
    (decision.verdict, decision.reason)
}

#[test]
fn the_shift_ends_at_its_second_and_the_next_begins() {
    assert_eq!(outcome("alice", at(8, 59, 59)), (Verdict::Refuse, Reason::NotOnCall));
    assert_eq!(outcome("alice", at(9, 0, 0)), (Verdict::Allow, Reason::OnCall));
    assert_eq!(outcome("alice", at(17, 59, 59)), (Verdict::Allow, Reason::OnCall));
    assert_eq!(outcome("alice", at(18, 0, 0)), (Verdict::Refuse, Reason::NotOnCall));
    assert_eq!(outcome("bob", at(17, 59, 59)), (Verdict::Refuse, Reason::NotOnCall));
    assert_eq!(outcome("bob", at(18, 0, 0)), (Verdict::Allow, Reason::OnCall));
}

#[test]
fn on_call_without_eligibility_admits_nobody() {
    assert_eq!(outcome("dave", at(10, 0, 0)), (Verdict::Refuse, Reason::NotEligible));
    assert_eq!(outcome("mallory", at(10, 0, 0)), (Verdict::Refuse, Reason::NotEligible));
}

#[test]
fn a_deeper_level_than_the_rule_counts_admits_nobody() {
    assert_eq!(outcome("carol", at(10, 0, 0)), (Verdict::Refuse, Reason::NotOnCall));
    let mut deeper = rules();
    deeper.rules[0].max_escalation_level = 2;
    assert!(decision("carol", &roster(), &deeper, at(10, 0, 0)).allows());
}

#[test]
fn a_rule_for_other_hosts_admits_nobody_here() {
    let mut elsewhere = rules();
    elsewhere.host.name = "web1".to_string();
    let decision = decision("alice", &roster(), &elsewhere, at(10, 0, 0));
    assert_eq!((decision.verdict, decision.reason), (Verdict::Refuse, Reason::NoRule));
}

#[test]
fn old_news_cannot_tell_even_for_the_person_on_call() {
    let mut roster = roster();
    let long = Window::new(at(9, 0, 0), at(200, 0, 0)).unwrap();
    let stays = |shift: &&Shift| shift.principal != name("alice");
    let others = roster.shifts.iter().filter(stays).cloned();
    let alices = Shift { window: long, ..roster.shifts[0].clone() };
    roster.shifts = others.chain([alices]).collect();
    let reason = |now| {
        let decision = decision("alice", &roster, &rules(), now);
        (decision.verdict, decision.reason)
    };
    assert_eq!(reason(at(32, 59, 59)), (Verdict::Allow, Reason::OnCall));
    assert_eq!(reason(at(33, 0, 0)), (Verdict::CannotTell, Reason::CacheStale));
    roster.schedules[0].horizon = at(20, 0, 0);
    let decision = decision("alice", &roster, &rules(), at(20, 0, 0));
    assert_eq!((decision.verdict, decision.reason), (Verdict::CannotTell, Reason::BeyondHorizon));
}

#[test]
fn a_clock_behind_the_publication_cannot_tell() {
    assert_eq!(outcome("alice", at(8, 57, 59)), (Verdict::CannotTell, Reason::ClockRollback));
    assert_eq!(outcome("alice", at(8, 58, 0)), (Verdict::Refuse, Reason::NotOnCall));
}

#[test]
fn a_schedule_named_like_anothers_id_does_not_stand_in_for_it() {
    let mut roster = roster();
    let renamed = Schedule { reference: reference("P9"), name: "P1".into(), ..roster.schedules[0].clone() };
    roster.schedules.push(renamed);
    add(&mut roster, Shift { schedule: 1, ..shift("bob", 1, at(9, 0, 0), at(18, 0, 0)) });
    assert_eq!(decision("bob", &roster, &rules(), at(10, 0, 0)).reason, Reason::NotOnCall);
    assert!(decision("alice", &roster, &rules(), at(10, 0, 0)).allows());
    // The editor of the rota chooses these names.
    let mut by_name = rules();
    by_name.rules[0].schedules = vec![reference("primary")];
    assert_eq!(decision("alice", &roster, &by_name, at(10, 0, 0)).reason, Reason::SourceIncomplete);
}

#[test]
fn a_caller_of_sudo_who_is_not_identified_is_not_exempt() {
    let (facts, breakglass) = (Facts::default(), name("breakglass"));
    let rules = Rules { exempt_accounts: vec![Account::new("breakglass").unwrap()], ..rules() };
    let ask = |person| {
        let login =
            Login { service: "sudo", account: "breakglass", facts: &facts, person, tty: "", place: "" };
        decide(&login, &evidence(Err(Fault::Missing)), &rules, at(10, 0, 0)).reason
    };
    assert_eq!(ask(Actor::Unknown), Reason::UnknownPerson);
    assert_eq!(ask(Actor::Known(&breakglass)), Reason::Exempt);
}

#[test]
fn a_schedule_that_the_roster_lacks_cannot_tell() {
    let mut rules = rules();
    rules.rules[0].schedules = vec![reference("P2")];
    let decision = decision("alice", &roster(), &rules, at(10, 0, 0));
    assert_eq!((decision.verdict, decision.reason), (Verdict::CannotTell, Reason::SourceIncomplete));
}

#[test]
fn one_schedule_that_is_too_old_takes_nothing_from_another() {
    let mut roster = roster();
    let second = Schedule { reference: reference("P2"), ..roster.schedules[0].clone() };
    roster.schedules.push(second);
    roster.shifts = vec![
        shift("alice", 1, at(9, 0, 0), at(18, 0, 0)),
        Shift { schedule: 1, ..shift("bob", 1, at(9, 0, 0), at(18, 0, 0)) },
    ]
    .into();
    let limit = |hours| AgeLimit { warn_age: Span::minutes(30), max_age: Span::hours(hours) };
    let own = SourceAges { all: limit(24), schedules: BTreeMap::from([("P2".to_string(), limit(1))]) };
    let mut rules = rules();
    rules.rules[0].schedules.push(reference("P2"));
    rules.ages.sources.insert("pd".to_string(), own);
    let reason = |person, now| decision(person, &roster, &rules, now).reason;
    assert_eq!(reason("bob", at(9, 59, 59)), Reason::OnCall);
    // P2 is too old from ten on: a person whom only it could admit is not known to be off call either.
    assert_eq!(reason("bob", at(10, 0, 0)), Reason::CacheStale);
    assert_eq!(reason("carol", at(10, 0, 0)), Reason::CacheStale);
    assert_eq!(reason("alice", at(10, 0, 0)), Reason::OnCall);
    assert_eq!(decision("bob", &roster, &rules, at(9, 0, 0)).until, Some(at(10, 0, 0)));
    let facts = root();
    let people = admitted("sshd", "root", &facts, &evidence(Ok(&roster)), &rules, at(10, 0, 0)).unwrap();
    assert_eq!(people, [&name("alice")]);
}

#[test]
fn a_revocation_wins_over_all_but_scope_and_being_root_already() {
    let (alice, roster, facts, plain) = (name("alice"), roster(), root(), Facts::default());
    let since = at(8, 0, 0);
    let revocation = Revocation::by_root(since, "root".to_string(), String::new());
    let revoked: Revoked = [(alice.clone(), revocation)].into_iter().collect();
    let exempt = vec![Account::new("alice").unwrap(), Account::new("toor").unwrap()];
    let rules = Rules { exempt_accounts: exempt, ..rules() };
    let ask = |service, account, facts, person, revoked| {
        let login = Login { service, account, facts, person, tty: "tty1", place: "" };
        decide(
            &login,
            &Evidence { roster: Ok(&roster), revoked, grants: &[], claims: Claims::NotAsked },
            &rules,
            at(10, 0, 0),
        )
        .reason
    };
    let known = Actor::Known(&alice);
    for (service, account, facts) in [
        ("sshd", "root", &facts),
        ("sshd", "toor", &facts),
        ("sshd", "alice", &plain),
        ("login", "alice", &plain),
        ("sudo", "alice", &plain),
        ("su", "dave", &plain),
    ] {
        assert_eq!(ask(service, account, facts, known, Ok(&revoked)), Reason::Revoked, "{service} {account}");
    }
    assert_eq!(ask("cron", "alice", &plain, known, Ok(&revoked)), Reason::OutOfScope);
    assert_eq!(ask("su", "root", &facts, Actor::Superuser, Ok(&revoked)), Reason::AlreadyRoot);
    // A list that cannot be read: what is exempt, the console and whatever is not guarded go on.
    let unreadable = Err(Fault::Corrupt);
    assert_eq!(ask("sshd", "root", &facts, known, unreadable), Reason::RevokedUnreadable);
    assert_eq!(ask("sshd", "toor", &facts, known, unreadable), Reason::Exempt);
    assert_eq!(ask("login", "root", &facts, Actor::Unknown, unreadable), Reason::Exempt);
    assert_eq!(ask("sshd", "alice", &plain, known, unreadable), Reason::NotGuarded);
}

/// Opens `account` until noon.
fn robot(account: &str, services: &[&str]) -> Automation {
    Automation {
        number: 3,
        account: Account::new(account).unwrap(),
        digests: vec![[7; 32]],
        keys: vec![],
        from: vec![crate::FromPattern::new("10.0.0.0/8").unwrap()],
        services: services.iter().map(ToString::to_string).collect(),
        owner: "platform team".to_string(),
        reason: "ansible".to_string(),
        until: at(12, 0, 0),
    }
}

#[test]
fn a_programs_key_opens_its_account_from_its_places_until_its_day_without_a_roster() {
    let admin = Facts { uid: Some(1000), root_groups: vec!["sudo".to_string()] };
    let entry = robot("deploy", &["sshd"]);
    let ask = |service, account, place, now| {
        let person = Actor::Program(&entry);
        let login = Login { service, account, facts: &admin, person, tty: "", place };
        decide(&login, &evidence(Err(Fault::Missing)), &rules(), now)
    };
    let open = ask("sshd", "deploy", "10.1.2.3", at(11, 59, 59));
    assert_eq!((open.verdict, open.reason), (Verdict::Allow, Reason::Automation));
    assert_eq!((open.until, open.guard), (Some(at(12, 0, 0)), Some(Guard::Group("sudo".to_string()))));
    assert!(matches!(open.ground, Ground::Program(program) if program.number == 3));
    let over = ask("sshd", "deploy", "10.1.2.3", at(12, 0, 0));
    assert_eq!((over.verdict, over.reason), (Verdict::Refuse, Reason::AutomationExpired));
    for (service, account, place) in [
        ("sshd", "root", "10.1.2.3"),
        ("login", "deploy", "10.1.2.3"),
        ("sshd", "deploy", "192.0.2.1"),
        ("sshd", "deploy", "ci.example.com"),
        ("sshd", "deploy", ""),
    ] {
        let reason = ask(service, account, place, at(10, 0, 0)).reason;
        assert_eq!(reason, Reason::AutomationOutOfScope, "{service} {account} {place}");
    }
}

#[test]
fn sudo_shows_a_program_by_its_account_alone() {
    let (deploy, plain) = (name("deploy"), Facts::default());
    let ask = |service, services: &[&str], now| {
        let rules = Rules { automation: vec![robot("deploy", services)], ..rules() };
        let person = Actor::Known(&deploy);
        let login = Login { service, account: "deploy", facts: &plain, person, tty: "", place: "" };
        decide(&login, &evidence(Err(Fault::Missing)), &rules, now).reason
    };
    assert_eq!(ask("sudo", &["sshd", "sudo"], at(11, 59, 59)), Reason::Automation);
    assert_eq!(ask("sudo", &["sshd", "sudo"], at(12, 0, 0)), Reason::CacheMissing);
    assert_eq!(ask("sudo", &["sshd"], at(10, 0, 0)), Reason::CacheMissing);
    assert_eq!(ask("sudo-i", &["sudo"], at(10, 0, 0)), Reason::CacheMissing);
}

#[test]
fn a_revocation_reaches_an_account_whose_name_means_something_else_here() {
    let since = at(8, 0, 0);
    let revocation = Revocation::by_root(since, "root".to_string(), String::new());
    let revoked: Revoked = [(name("breakglass"), revocation)].into_iter().collect();
    let (breakglass, plain, admin) = (name("breakglass"), Facts::default(), root());
    let ask = |facts, revoked| {
        let person = Actor::Taken(&breakglass);
        let account = "EXAMPLE\\breakglass";
        let login = Login { service: "sshd", account, facts, person, tty: "", place: "" };
        decide(
            &login,
            &Evidence { roster: Err(Fault::Missing), revoked, grants: &[], claims: Claims::NotAsked },
            &rules(),
            at(10, 0, 0),
        )
        .reason
    };
    assert_eq!(ask(&plain, Ok(&NOBODY)), Reason::NotGuarded);
    assert_eq!(ask(&plain, Ok(&revoked)), Reason::Revoked);
    assert_eq!(ask(&admin, Ok(&NOBODY)), Reason::BadUser);
    assert_eq!(ask(&admin, Ok(&revoked)), Reason::Revoked);
}

#[test]
fn a_revoked_account_is_closed_to_its_programs_too() {
    let since = at(8, 0, 0);
    let revocation = Revocation::by_root(since, "root".to_string(), String::new());
    let revoked: Revoked = [(name("deploy"), revocation)].into_iter().collect();
    let (deploy, roster, facts, plain) = (name("deploy"), roster(), root(), Facts::default());
    let entry = robot("deploy", &["sshd", "sudo"]);
    let rules = Rules { automation: vec![entry.clone()], ..rules() };
    let ask = |service, person, facts, revoked| {
        let login = Login { service, account: "deploy", facts, person, tty: "", place: "10.0.0.1" };
        decide(
            &login,
            &Evidence { roster: Ok(&roster), revoked, grants: &[], claims: Claims::NotAsked },
            &rules,
            at(10, 0, 0),
        )
        .reason
    };
    for (service, person) in [("sshd", Actor::Program(&entry)), ("sudo", Actor::Known(&deploy))] {
        assert_eq!(ask(service, person, &facts, Ok(&revoked)), Reason::Revoked, "{service}");
        assert_eq!(ask(service, person, &facts, Ok(&NOBODY)), Reason::Automation, "{service}");
        let unreadable = ask(service, person, &facts, Err(Fault::Corrupt));
        assert_eq!(unreadable, Reason::RevokedUnreadable, "{service}");
    }
    assert_eq!(ask("sshd", Actor::Program(&entry), &plain, Ok(&revoked)), Reason::Revoked);
}

#[test]
fn a_revoked_key_opens_nothing_and_needs_no_list_to_be_read_again() {
    let (roster, facts, plain) = (roster(), root(), Facts::default());
    let until = Some(at(11, 0, 0));
    let by_root = Revocation::by_root(at(8, 0, 0), "eve".to_string(), String::new());
    let revocation = Revocation { until, ..by_root };
    for (account, facts, revoked) in
        [("root", &facts, Ok(&NOBODY)), ("alice", &plain, Ok(&NOBODY)), ("root", &facts, Err(Fault::Corrupt))]
    {
        let person = Actor::RevokedKey(&revocation);
        let login = Login { service: "sshd", account, facts, person, tty: "", place: "" };
        let decision = decide(
            &login,
            &Evidence { roster: Ok(&roster), revoked, grants: &[], claims: Claims::NotAsked },
            &rules(),
            at(10, 0, 0),
        );
        assert_eq!((decision.verdict, decision.reason), (Verdict::Refuse, Reason::Revoked), "{account}");
        assert_eq!((decision.until, decision.can_wait()), (until, false));
    }
}

#[test]
fn a_list_of_the_fleet_that_is_too_old_refuses_the_guarded_and_still_names_who_is_on_it() {
    let text = "revocations 1 2026-11-20T09:00:00Z\nperson bob 1 revoked 2026-11-20T08:00:00Z - eve\n";
    let list = crate::revocations::Revocations::parse(text).unwrap();
    let revoked = Revoked::nobody().with_fleet(list, Some(Span::minutes(30)));
    let (roster, facts, plain) = (roster(), root(), Facts::default());
    let rules = Rules { exempt_accounts: vec![Account::new("toor").unwrap()], ..rules() };
    let evidence =
        Evidence { roster: Ok(&roster), revoked: Ok(&revoked), grants: &[], claims: Claims::NotAsked };
    let ask = |account, facts, person: &Principal, now| {
        let person = Actor::Known(person);
        let login = Login { service: "sshd", account, facts, person, tty: "", place: "" };
        decide(&login, &evidence, &rules, now).reason
    };
    let (alice, bob, old) = (name("alice"), name("bob"), at(9, 30, 1));
    assert_eq!(ask("root", &facts, &alice, at(9, 30, 0)), Reason::OnCall);
    assert_eq!(ask("root", &facts, &alice, old), Reason::RevokedStale);
    assert_eq!(ask("toor", &facts, &alice, old), Reason::Exempt);
    assert_eq!(ask("alice", &plain, &alice, old), Reason::NotGuarded);
    assert_eq!(
        (ask("root", &facts, &bob, old), ask("bob", &plain, &bob, old)),
        (Reason::Revoked, Reason::Revoked)
    );
    let nobody = admitted("sshd", "root", &facts, &evidence, &rules, old).unwrap_err();
    assert_eq!(nobody.reason, Reason::RevokedStale);
    assert_eq!(Judge::new(&evidence, &rules).cannot_tell(old).unwrap().reason, Reason::RevokedStale);
    assert!(Judge::new(&evidence, &rules).cannot_tell(at(9, 30, 0)).is_none());
}

#[test]
fn an_account_that_programs_enter_waits_for_the_key_if_somebody_could_be_admitted() {
    let (alice, bob, roster) = (name("alice"), name("bob"), roster());
    let admin = Facts { uid: Some(1000), root_groups: vec!["sudo".to_string()] };
    let automation = vec![robot("alice", &["sshd"]), robot("bob", &["sshd"]), robot("root", &["sshd"])];
    let rules = Rules { automation, ..rules() };
    let ask = |account, facts, person, place, roster, now| {
        let login = Login { service: "sshd", account, facts, person, tty: "", place };
        anyone(&login, &evidence(roster), &rules, now).reason
    };
    let (shared, here, away) = (root(), "10.1.2.3", "192.0.2.1");
    let (theirs, his) = (Actor::Known(&alice), Actor::Known(&bob));
    let (good, none) = (Ok(&roster), Err(Fault::Missing));
    assert_eq!(rules.subject("sshd", "bob", &admin), crate::Subject::OwnerOrProgram);
    assert_eq!(rules.subject("sshd", "bob", &Facts::default()), crate::Subject::Owner);
    // alice is on call: her own key admits her, from wherever.
    assert_eq!(ask("alice", &admin, theirs, away, good, at(10, 0, 0)), Reason::AwaitsKey);
    assert_eq!(ask("bob", &admin, his, here, good, at(10, 0, 0)), Reason::AwaitsKey);
    assert_eq!(ask("bob", &admin, his, away, good, at(10, 0, 0)), Reason::NotOnCall);
    assert_eq!(ask("bob", &admin, his, here, good, at(12, 0, 0)), Reason::NotOnCall);
    assert_eq!(ask("bob", &admin, his, here, none, at(10, 0, 0)), Reason::AwaitsKey);
    assert_eq!(ask("bob", &admin, his, away, none, at(10, 0, 0)), Reason::CacheMissing);
    assert_eq!(ask("root", &shared, Actor::Unknown, here, none, at(10, 0, 0)), Reason::AwaitsKey);
    assert_eq!(ask("root", &shared, Actor::Unknown, away, none, at(10, 0, 0)), Reason::CacheMissing);
    assert_eq!(ask("root", &shared, Actor::Unknown, here, good, at(22, 0, 0)), Reason::NotOnCall);
}

#[test]
fn su_is_for_whoever_calls_it_and_exempt_by_the_caller() {
    let (roster, facts, plain) = (roster(), root(), Facts::default());
    let rules = Rules { exempt_accounts: vec![Account::new("nagios").unwrap()], ..rules() };
    let ask = |caller: &str, account, facts| {
        let caller = name(caller);
        let login =
            Login { service: "su", account, facts, person: Actor::Known(&caller), tty: "tty1", place: "" };
        decide(&login, &evidence(Ok(&roster)), &rules, at(10, 0, 0)).reason
    };
    assert_eq!(ask("alice", "root", &facts), Reason::OnCall);
    assert_eq!(ask("bob", "root", &facts), Reason::NotOnCall, "tty1 is a console for login alone");
    assert_eq!(ask("bob", "dave", &plain), Reason::NotGuarded);
    assert_eq!(ask("nagios", "root", &facts), Reason::Exempt);
    assert_eq!(ask("bob", "nagios", &facts), Reason::NotOnCall, "the caller is not who is exempt");
    let admin = Facts { uid: Some(1000), root_groups: vec!["sudo".to_string()] };
    assert_eq!(ask("bob", "alice", &admin), Reason::NotOnCall);
}

#[test]
fn touching_shifts_are_one_cover() {
    let mut roster = roster();
    add(&mut roster, shift("alice", 1, at(18, 0, 0), at(19, 0, 0)));
    add(&mut roster, shift("alice", 1, at(19, 30, 0), at(20, 0, 0)));
    assert_eq!(decision("alice", &roster, &rules(), at(10, 0, 0)).until, Some(at(19, 0, 0)));
    assert_eq!(decision("alice", &roster, &rules(), at(19, 0, 0)).until, Some(at(19, 30, 0)));
}

#[test]
fn faults_refuse_the_guarded_and_touch_nobody_else() {
    let (alice, plain, facts) = (name("alice"), Facts::default(), root());
    let evidence = evidence(Err(Fault::Config));
    let ask = |service, account, facts| {
        let login = Login { service, account, facts, person: Actor::Known(&alice), tty: "", place: "" };
        let decision = decide(&login, &evidence, &Rules::compiled(), at(10, 0, 0));
        (decision.verdict, decision.reason)
    };
    assert_eq!(ask("sshd", "root", &facts), (Verdict::CannotTell, Reason::ConfigInvalid));
    assert_eq!(ask("sudo", "alice", &plain), (Verdict::CannotTell, Reason::ConfigInvalid));
    assert_eq!(ask("sshd", "dave", &plain), (Verdict::NotOurs, Reason::NotGuarded));
    assert_eq!(ask("cron", "root", &facts), (Verdict::NotOurs, Reason::OutOfScope));
}

#[test]
fn a44_root_by_uid_or_group_is_guarded_whatever_its_name() {
    let guard = |account: &str, facts: &Facts| rules().guard("sshd", account, facts);
    assert_eq!(guard("toor", &root()), Some(Guard::UidZero));
    let admin = Facts { uid: Some(1000), root_groups: vec!["sudo".to_string()] };
    assert_eq!(guard("eve", &admin), Some(Guard::Group("sudo".to_string())));
    assert_eq!(guard("eve", &Facts { uid: Some(1000), root_groups: vec![] }), None);
    assert_eq!(guard("root", &Facts::default()), Some(Guard::Named));
}

#[test]
fn nobody_without_a_name_enters_a_guarded_account() {
    let facts = root();
    for (person, verdict, reason) in [
        (Actor::Unknown, Verdict::Refuse, Reason::UnknownPerson),
        (Actor::Ambiguous, Verdict::Refuse, Reason::AmbiguousPerson),
        (Actor::CannotTell(Fault::Missing), Verdict::CannotTell, Reason::CacheMissing),
        (Actor::Unusable, Verdict::BadName, Reason::BadUser),
        (Actor::Superuser, Verdict::NotOurs, Reason::AlreadyRoot),
    ] {
        let login = Login { service: "sshd", account: "root", facts: &facts, person, tty: "", place: "" };
        let decision = decide(&login, &evidence(Ok(&roster())), &rules(), at(10, 0, 0));
        assert_eq!((decision.verdict, decision.reason), (verdict, reason));
    }
}

#[test]
fn an_exempt_account_needs_no_evidence() {
    let facts = root();
    let rules = Rules { exempt_accounts: vec![Account::new("root").unwrap()], ..rules() };
    let login =
        Login { service: "sshd", account: "root", facts: &facts, person: Actor::Unknown, tty: "", place: "" };
    let decision = decide(&login, &evidence(Err(Fault::Missing)), &rules, at(10, 0, 0));
    assert_eq!((decision.verdict, decision.reason), (Verdict::Allow, Reason::Exempt));
    assert_eq!(anyone(&login, &evidence(Err(Fault::Missing)), &rules, at(10, 0, 0)).reason, Reason::Exempt);
}

#[test]
fn a_shared_account_with_a_list_admits_only_those_on_it() {
    let mut rules = rules();
    let only = Who::Only(vec![name("bob")]);
    rules.shared =
        vec![Shared { account: Account::new("root").unwrap(), people: only, explain_refusals: false }];
    let decision = decision("alice", &roster(), &rules, at(10, 0, 0));
    assert_eq!((decision.verdict, decision.reason), (Verdict::Refuse, Reason::NotEligible));
}

#[test]
fn admitted_lists_exactly_those_whom_decide_admits() {
    let (roster, facts) = (roster(), root());
    let people = |now| {
        admitted("sshd", "root", &facts, &evidence(Ok(&roster)), &rules(), now)
            .map(|people| people.iter().map(ToString::to_string).collect::<Vec<_>>())
            .map_err(|decision| decision.reason)
    };
    assert_eq!(people(at(10, 0, 0)), Ok(vec!["alice".to_string()]));
    assert_eq!(people(at(18, 0, 0)), Ok(vec!["bob".to_string()]));
    assert_eq!(people(at(22, 0, 0)), Ok(vec![]));
    assert_eq!(people(at(40, 0, 0)), Err(Reason::CacheStale));
}

#[test]
fn a_shared_account_waits_for_the_key_only_if_somebody_is_admitted() {
    let (roster, facts) = (roster(), root());
    let login =
        Login { service: "sshd", account: "root", facts: &facts, person: Actor::Unknown, tty: "", place: "" };
    let ask = |now| {
        let decision = anyone(&login, &evidence(Ok(&roster)), &rules(), now);
        (decision.verdict, decision.reason)
    };
    assert_eq!(ask(at(10, 0, 0)), (Verdict::Allow, Reason::AwaitsKey));
    assert_eq!(ask(at(22, 0, 0)), (Verdict::Refuse, Reason::NotOnCall));
    assert_eq!(ask(at(40, 0, 0)), (Verdict::CannotTell, Reason::CacheStale));
}

/// Read at nine; it is old a second after ten.
#[test]
fn a87_a_rule_that_asks_why_admits_to_the_end_of_the_shift_in_which_it_was_said() {
    let (mut rules, roster, alice) = (rules(), roster(), name("alice"));
    rules.rules[0].claim = true;
    let said = |at| Claimed { at, reason: "INC-42".to_string() };
    let (before, inside) = (said(at(8, 59, 59)), said(at(9, 15, 0)));
    let own = Facts { uid: Some(1000), root_groups: vec!["sudo".to_string()] };
    let ask = |rules: &Rules, (service, account, facts), claims, now| {
        let login = Login { service, account, facts, person: Actor::Known(&alice), tty: "", place: "" };
        let decision = decide(&login, &Evidence { claims, ..evidence(Ok(&roster)) }, rules, now);
        let Ground::OnCall(ground) = decision.ground else { panic!("{:?}", decision.ground) };
        (decision.reason, ground.claim, decision.until.unwrap())
    };
    let (root, end, old) = (("sshd", "root", &root()), at(18, 0, 0), at(10, 0, 1));
    let needed = (Reason::ClaimNeeded, Claim::Needed, old);
    for (claims, now, expected) in [
        (Claims::NotAsked, at(9, 30, 0), (Reason::OnCall, Claim::NotAsked, end)),
        (Claims::Stated(None), at(9, 30, 0), needed.clone()),
        (Claims::Stated(Some(&before)), at(9, 30, 0), needed.clone()),
        (Claims::Stated(Some(&inside)), at(9, 30, 0), (Reason::OnCall, Claim::Stated("INC-42".into()), end)),
        (Claims::Closed, at(9, 30, 0), (Reason::OnCall, Claim::Unclaimed, end)),
        (Claims::Stated(None), old, (Reason::OnCall, Claim::Unclaimed, end)),
    ] {
        assert_eq!(ask(&rules, root, claims, now), expected, "{claims:?} at {now}");
    }
    let unsaid = |rules: &Rules, door| ask(rules, door, Claims::Stated(None), at(9, 30, 0));
    for door in [("sudo", "alice", &own), ("su", "root", root.2), ("polkit-1", "alice", &own)] {
        assert_eq!(unsaid(&rules, door), needed, "{door:?}");
    }
    let free = (Reason::OnCall, Claim::NotNeeded, end);
    assert_eq!(unsaid(&rules, ("sshd", "alice", &own)), free, "her own account, where she says it");
    // Any rule admits.
    rules.rules.push(Rule { claim: false, name: "other".to_string(), ..rules.rules[0].clone() });
    assert_eq!(unsaid(&rules, root), free);
}
