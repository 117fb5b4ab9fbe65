use approval::{Standing, standing};
use host::Config;
use policy::{Principal, Revocation, Revoked, Roster, Schedule, ScheduleRef, Shift, Span, Switch, Window};
use status::{FleetStatus, HeadStatus, RefusedHead, ScheduleState, ScheduleStatus, SyncStatusError};

use super::*;

const NOW: Timestamp = Timestamp::from_unix(1_795_165_200);

const CONFIG: &str = "[[oncall.source]]\nname = 'rota'\nprovider = 'rota'\nfile = 'rota.toml'\n\
                      [[policy.rule]]\nname = 'r'\nschedules = ['rota/primary']\n";

fn name(text: &str) -> Principal {
    Principal::new(text).unwrap()
}

/// A host where nobody asks for a signature.
fn unsigned() -> Standing {
    let config = Config::parse(Path::new("/nonexistent/config.toml"), CONFIG.as_bytes()).unwrap();
    standing(&config, Path::new("/nonexistent/seen"), NOW)
}

/// A host where alice and bob are on call, and alice is revoked.
fn host() -> HostState {
    host_of(CONFIG)
}

fn host_of(config: &str) -> HostState {
    let window = Window::new(NOW.minus(Span::hours(1)), NOW.plus(Span::hours(1))).unwrap();
    let shift = |person| Shift { schedule: 0, principal: name(person), level: 1, window };
    let roster = Roster {
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
        shifts: vec![shift("alice"), shift("bob")].into(),
        eligible: ["alice", "bob"].map(|person| (name(person), true)).into(),
    };
    let revocation = Revocation::by_root(NOW, "root".to_string(), String::new());
    let revoked: Revoked = [(name("alice"), revocation)].into_iter().collect();
    let config = Config::parse(Path::new("/nonexistent/config.toml"), config.as_bytes()).unwrap();
    HostState::of(config, Ok(revoked), Ok(Switch::untouched()), Ok(roster))
}

#[test]
fn whom_pam_refuses_as_revoked_is_not_shown_or_counted_as_somebody_who_gets_in() {
    let state = host();
    let report = Err(SyncStatusError::File("none yet".to_string()));
    let status = Status::new(&state, state.config().unwrap(), &report, NOW);
    let table = table::table(&status);
    assert!(table.contains("alice (revoked), bob"), "{table}");
    let nagios = nagios::nagios(&status);
    assert!(nagios.starts_with("OK - ") && nagios.contains("; on call: bob |"), "{nagios}");
    let prometheus = prometheus::prometheus(&status, &unsigned());
    let counted = "oncall_cache_schedule_on_call_people{schedule=\"rota/primary\",name=\"Primary\"} 1\n";
    assert!(prometheus.contains(counted), "{prometheus}");
    let json = json::json(&status);
    let revoked = |number: usize| json["schedules"][0]["on_call"][number]["revoked"].clone();
    assert_eq!((revoked(0), revoked(1)), (true.into(), false.into()));
}

#[test]
fn a_schedule_that_a_fleet_read_before_this_host_synced_is_read() {
    let mut state = host();
    let read = NOW.minus(Span::minutes(2));
    let Ok(roster) = state.roster() else { panic!("a roster") };
    let mut roster = roster.clone();
    roster.schedules[0].synced = read;
    state = HostState::of(
        state.config().unwrap().clone(),
        Ok(Revoked::default()),
        Ok(Switch::untouched()),
        Ok(roster),
    );
    let mut report = SyncStatus::new(state.config().unwrap(), NOW, None);
    let row = |state: ScheduleState| ScheduleStatus {
        schedule: "rota/primary".to_string(),
        name: "Primary".to_string(),
        state,
        reason: None,
        problem: None,
    };
    for (said, health) in
        [(ScheduleState::Read, status::Health::Well), (ScheduleState::Kept, status::Health::Failing)]
    {
        report.schedules = vec![row(said)];
        let report = Ok(report.clone());
        let status = Status::new(&state, state.config().unwrap(), &report, NOW);
        assert_eq!((status.rows[0].state, status.health()), (said, health));
    }
}

#[test]
fn what_was_pulled_and_what_was_refused_is_shown_everywhere() {
    let directory = tempfile::tempdir_in("/run").expect("these tests write to /run and need root");
    let roster = directory.path().join("roster.db");
    let fleet = "[fleet]\nid = 'example'\nurls = ['https://store.example.com/a']\n[paths]\nroster = '";
    let state = host_of(&format!("{CONFIG}{fleet}{}'\n", roster.display()));
    let report = Err(SyncStatusError::File("none yet".to_string()));
    let ask = || Status::new(&state, state.config().unwrap(), &report, NOW);
    let none = "fleet example: nothing was read of it yet; as root, run `oncall-cache pull`";
    assert_eq!((ask().fleet_trouble().as_deref(), ask().health()), (Some(none), status::Health::Failing));

    let at = |ago| NOW.unix() - ago;
    let head = HeadStatus {
        sequence: 1_795_165_170_000,
        issued: at(30),
        valid: at(-21_570),
        rota_read: Some(at(40)),
        people_read: None,
        revoked_read: at(31),
    };
    let mut pulled = FleetStatus::new("example");
    (pulled.checked, pulled.head) = (Some(at(5)), Some(head));
    pulled.write(&directory.path().join("fleet.json")).unwrap();
    let well = ask();
    assert_eq!((well.fleet_trouble(), well.health()), (None, status::Health::Well));
    let shown = "example: head 1795165170000 published 30s ago (08:59:30 UTC); last seen 5s ago; revocations as of 31s ago (08:59:29 UTC)";
    let table = table::table(&well);
    assert!(table.contains(shown), "{table}");
    let nagios = nagios::nagios(&well);
    assert!(nagios.contains(" fleet_lag=30s;;;0 fleet_seen=5s;;;0"), "{nagios}");

    let (reason, text, url) =
        ("head-fork".to_string(), "two heads".to_string(), "https://store.example.com/a".to_string());
    pulled.refused = Some(RefusedHead { reason, since: at(90), text, url });
    pulled.write(&directory.path().join("fleet.json")).unwrap();
    let failing = ask();
    let trouble =
        "fleet example: https://store.example.com/a: two heads (head-fork since 2026-11-20T08:58:30Z)";
    assert!(table::table(&failing).contains(trouble) && nagios::nagios(&failing).contains(trouble));
    let json = json::json(&failing);
    assert_eq!(json["fleet"]["refused"]["since"], "2026-11-20T08:58:30Z");
    assert_eq!((&json["fleet"]["lag_seconds"], &json["fleet"]["age_seconds"]), (&30.into(), &5.into()));
    assert_eq!(json["fleet_problem"], trouble);
    let prometheus = prometheus::prometheus(&failing, &unsigned());
    for line in [
        "oncall_cache_fleet_ok 0".to_string(),
        "oncall_cache_fleet_sequence 1795165170000".to_string(),
        format!("oncall_cache_fleet_refused_since_timestamp_seconds{{reason=\"head-fork\"}} {}", at(90)),
    ] {
        assert!(prometheus.lines().any(|one| one == line), "{line}\n{prometheus}");
    }
}
