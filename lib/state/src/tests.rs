use std::collections::BTreeSet;
use std::fs;

use grant::{Grant, GrantId, stored_name, write_stored};
use host::clock;
use policy::{Account, Fault, ScheduleRef, Shift, Span, Window};
use signed::{Purpose, Signer, SigningKey};
use tempfile::TempDir;

use super::*;

const NOW: Timestamp = Timestamp::from_unix(1_795_165_200);

const CONFIG: &str = "[host]\nname = 'db1'\n[[oncall.source]]\nname = 'rota'\nprovider = 'rota'\nfile = 'rota.toml'\n\
                      [[policy.rule]]\nname = 'r'\nschedules = ['rota/primary']\n[paths]\nroster = 'roster.db'\n";

/// A directory that nobody else can write: those below /tmp are refused.
fn host(files: &[(&str, &str)]) -> TempDir {
    let directory = tempfile::tempdir_in("/run").expect("these tests write to /run and need root");
    for (name, text) in files {
        fs::write(directory.path().join(name), text).unwrap();
    }
    directory
}

fn load(host: &TempDir) -> HostState {
    HostState::load(&host.path().join("config.toml"))
}

fn name(text: &str) -> Principal {
    Principal::new(text).unwrap()
}

/// alice and bob are on call from an hour ago until in an hour, carol next.
fn roster() -> Roster {
    let hours = |from, to| Window::new(NOW.plus(Span::hours(from)), NOW.plus(Span::hours(to))).unwrap();
    let shift = |person: &str, window| Shift { schedule: 0, principal: name(person), level: 1, window };
    Roster {
        late: Vec::new(),
        incidents: Default::default(),
        published: NOW,
        floor: NOW,
        schedules: vec![Schedule {
            reference: ScheduleRef { source: "rota".to_string(), id: "primary".to_string() },
            provider_id: "primary".to_string(),
            name: "Primary".into(),
            synced: NOW,
            horizon: NOW.plus(Span::hours(72)),
        }],
        shifts: vec![shift("alice", hours(-1, 1)), shift("bob", hours(-1, 1)), shift("carol", hours(1, 2))]
            .into(),
        eligible: ["alice", "bob", "carol"].map(|person| (name(person), true)).into(),
    }
}

fn people(state: &HostState) -> Vec<&str> {
    state.roster().unwrap().eligible.keys().map(Principal::as_str).collect()
}

#[test]
fn without_a_configuration_the_compiled_rules_and_roots_orders_count() {
    let host = host(&[("revoked", "alice 2026-11-20T09:00:00Z root left\n"), ("switch", "nonsense\n")]);
    let mut state = load(&host);
    state.read_roster(Asked::Everything, NOW, NOW);
    assert_eq!(state.rules().guarded_accounts, Rules::compiled().guarded_accounts);
    assert!(state.revokes(&name("alice"), NOW) && !state.revokes(&name("bob"), NOW));
    assert_eq!(state.mode(NOW), (Mode::Enforce, ModeSource::Unreadable));
    assert_eq!(state.evidence().roster.err(), Some(Fault::Config));
    let problem = state.problem().unwrap().to_string();
    assert!(problem.contains("config.toml: no such file; the packages have an example"), "{problem}");
    assert_eq!(state.cause(Reason::ConfigInvalid).unwrap().to_string(), problem);
}

#[test]
fn a_configuration_in_words_that_are_not_understood_is_none() {
    let host = host(&[("config.toml", CONFIG), ("revoked", "alice 2026-11-20T09:00:00Z root left\n")]);
    let state = HostState::misnamed(&host.path().join("config.toml"), "unknown word `x`".to_string());
    assert_eq!(state.evidence().roster.err(), Some(Fault::Config));
    assert_eq!((state.rules().rules.len(), state.revokes(&name("alice"), NOW)), (0, true));
    assert_eq!(state.problem().unwrap().to_string(), "unknown word `x`");
}

#[test]
fn orders_are_read_when_they_are_asked_for_and_once() {
    let host = host(&[("config.toml", CONFIG)]);
    let state = load(&host);
    let write = |text: &str| fs::write(host.path().join("revoked"), text).unwrap();
    write("alice 2026-11-20T09:00:00Z root left\n");
    assert!(state.revokes(&name("alice"), NOW));
    write("");
    assert!(state.revokes(&name("alice"), NOW) && !load(&host).revokes(&name("alice"), NOW));
}

#[test]
fn a_list_of_revoked_people_that_is_not_understood_is_not_an_empty_one() {
    let host = host(&[("config.toml", CONFIG), ("revoked", "alice\n")]);
    let state = load(&host);
    assert_eq!(state.evidence().revoked.err(), Some(Fault::Corrupt));
    let cause = state.cause(Reason::RevokedUnreadable).unwrap().to_string();
    assert!(cause.contains("revoked:1: not a revocation"), "{cause}");
    assert_eq!(state.problem().unwrap().to_string(), cause);
    assert!(matches!(load(&host).revoked(), Err(error) if matches!(**error, StateError::Orders(_))));
}

#[test]
fn of_the_roster_as_much_is_read_as_is_asked() {
    let host = host(&[("config.toml", CONFIG), ("revoked", "alice 2026-11-20T09:00:00Z root left\n")]);
    let mut state = load(&host);
    assert!(matches!(state.roster(), Err(error) if matches!(**error, StateError::NotAsked)));
    state.read_roster(Asked::Everything, NOW, NOW);
    assert_eq!(state.evidence().roster.err(), Some(Fault::Missing));

    roster::publish(&host.path().join("roster.db"), &roster(), &BTreeSet::new()).unwrap();
    state.read_roster(Asked::Everything, NOW, NOW);
    assert_eq!(state.evidence().roster.err(), Some(Fault::Missing), "that is known now");
    let mut state = load(&host);
    let carol = [name("carol")];
    for (asked, expected) in [
        (Asked::About(&carol, Others::Nobody), vec!["carol"]),
        (Asked::About(&carol, Others::All), vec!["alice", "bob", "carol"]),
        // alice is revoked.
        (Asked::About(&carol, Others::Named), vec!["bob", "carol"]),
        (Asked::About(&[], Others::One("root")), vec!["bob"]),
        (Asked::Everything, vec!["alice", "bob", "carol"]),
        // What is here is not read again.
        (Asked::About(&carol, Others::Nobody), vec!["alice", "bob", "carol"]),
    ] {
        state.read_roster(asked, NOW, NOW);
        assert_eq!(people(&state), expected, "{asked:?}");
    }
}

#[test]
fn what_is_asked_next_is_of_the_same_publication() {
    let host = host(&[("config.toml", CONFIG)]);
    let path = host.path().join("roster.db");
    roster::publish(&path, &roster(), &BTreeSet::new()).unwrap();
    let mut state = load(&host);
    state.read_roster(Asked::About(&[], Others::Nobody), NOW, NOW);
    let next = Roster { shifts: Vec::new().into(), eligible: [(name("dave"), true)].into(), ..roster() };
    roster::publish(&path, &next, &BTreeSet::new()).unwrap();
    state.read_roster(Asked::About(&[], Others::All), NOW, NOW);
    assert_eq!(people(&state), ["alice", "bob"]);
    state.read_roster(Asked::Everything, NOW, NOW);
    assert_eq!(people(&state), ["dave"]);
}

#[test]
fn a_reader_pages_through_one_publication_and_has_the_faults_of_its_host() {
    let host = host(&[("config.toml", CONFIG)]);
    let path = host.path().join("roster.db");
    let missing = load(&host).roster_reader(NOW).unwrap_err();
    assert_eq!(missing.fault(), Fault::Missing);
    roster::publish(&path, &roster(), &BTreeSet::new()).unwrap();
    let state = load(&host);
    let mut reader = state.roster_reader(NOW).unwrap();
    roster::publish(&path, &Roster { eligible: [].into(), ..roster() }, &BTreeSet::new()).unwrap();
    fs::write(host.path().join("revoked"), "alice\n").unwrap();
    reader.read(&[], Others::All).unwrap();
    assert_eq!(reader.roster().eligible.len(), 2, "alice and bob are on call");
    assert_eq!(reader.evidence().revoked.err(), Some(Fault::Corrupt));
    let first = reader.eligible(None, 2).unwrap();
    assert_eq!(first, [name("alice"), name("bob")]);
    let rest = reader.eligible(first.last(), 2).unwrap();
    reader.read(&rest, Others::Nobody).unwrap();
    assert_eq!(reader.evidence().roster.unwrap().eligible.keys().collect::<Vec<_>>(), [&name("carol")]);
    assert_eq!(state.evidence().roster.err(), Some(Fault::Missing), "a reader leaves nothing behind");
}

#[test]
fn what_is_asked_about_the_past_is_not_the_clocks_to_judge() {
    let host = host(&[("config.toml", CONFIG)]);
    roster::publish(&host.path().join("roster.db"), &roster(), &BTreeSet::new()).unwrap();
    let mut state = load(&host);
    let holds = |state: &HostState, at| state.roster().unwrap().clock_holds(at);
    let behind = NOW.minus(Span::hours(1));
    state.read_roster(Asked::About(&[], Others::Nobody), behind, behind);
    assert!(!holds(&state, behind), "a clock that is behind");
    let later = NOW.plus(Span::hours(5));
    state.read_roster(Asked::About(&[], Others::Nobody), NOW, later);
    assert!(holds(&state, NOW));
}

#[test]
fn of_one_that_is_given_nothing_is_read() {
    let config = Config::parse(Path::new("/nonexistent/config.toml"), CONFIG.as_bytes()).unwrap();
    let mut state = HostState::of(config, Ok(Revoked::nobody()), Ok(Switch::untouched()), Ok(roster()));
    state.read_roster(Asked::About(&[], Others::Nobody), NOW, NOW);
    assert_eq!(people(&state), ["alice", "bob", "carol"]);
    assert_eq!((state.path(), state.problem().is_none()), (Path::new("/nonexistent/config.toml"), true));
}

#[test]
fn where_grants_cannot_be_told_none_counts_and_it_is_said_why() {
    let rule = "[grant]\nid = 'acme'\n[[policy.grant]]\nname = 'night'\naccounts = ['root']\napprovers = ['alice']\nquorum = 1\nmax = '1h'\n";
    let host = host(&[("config.toml", rule), ("revoked", "nonsense\n")]);
    let mut state = load(&host);
    state.read_grants(Which::All, NOW);
    assert!(state.grants().is_empty() && matches!(state.grants_problem(), Some(StateError::Orders(_))));
    let host = self::host(&[("config.toml", ""), ("revoked", "nonsense\n")]);
    let mut state = load(&host);
    state.read_grants(Which::All, NOW);
    assert!(state.grants_problem().is_none(), "nothing is asked where no rule takes any");
}

#[test]
fn a_clock_that_was_set_back_shuts_nobody_out_where_no_sync_of_this_boot_proves_that_it_was() {
    let rule = "[host]\nname = 'db1'\n[grant]\nid = 'acme'\n[[policy.grant]]\nname = 'night'\naccounts = ['root']\napprovers = ['alice']\nquorum = 1\nmax = '1h'\n";
    let key = SigningKey::generate(&[1; 32], "").unwrap().0;
    let signer = Signer::new("alice", &[Purpose::Grant], key.public().clone()).unwrap();
    let host = host(&[("config.toml", rule), ("grant-signers", &format!("{signer}\n"))]);
    let minutes = |minutes: i64| NOW.plus(Span::seconds(60 * minutes));
    let text = Grant {
        id: GrantId::new([7; 16]),
        site: "acme".into(),
        hosts: vec!["db1".into()],
        account: Account::new("root").unwrap(),
        person: name("bob"),
        key: None,
        window: Window::new(minutes(-10), minutes(50)).unwrap(),
        issued: minutes(-10),
        reason: "disk full".into(),
    };
    let signed = text.write().unwrap();
    let signed = format!("{signed}{}", key.sign(Purpose::Grant, signed.as_bytes()).unwrap());
    let kept = write_stored("night", NOW, &clock::uptime(), signed.as_bytes());
    fs::create_dir(host.path().join("grants")).unwrap();
    fs::write(host.path().join("grants").join(stored_name(&text)), kept).unwrap();
    let windows = |now| {
        let mut config = Config::load(&host.path().join("config.toml")).unwrap();
        config.paths.grants = host.path().join("grants");
        let mut state = HostState::of(config, Ok(Revoked::nobody()), Ok(Switch::untouched()), Ok(roster()));
        state.read_grants(Which::All, now);
        state.grants().iter().map(|grant| grant.window).collect::<Vec<_>>()
    };
    for now in [NOW, minutes(-1), minutes(-120), minutes(-60 * 24 * 365)] {
        let windows = windows(now);
        assert!(matches!(windows.as_slice(), [one] if one.contains(now)), "{now}: {windows:?}");
        assert!(windows[0].end().since(now) <= text.window.end().since(NOW), "{now}: it is no longer");
    }
    assert_eq!(windows(minutes(50)), []);
}
