use super::*;
use std::path::Path;

use host::Config;
use policy::{Principal, Revocation, Revoked, Roster, Schedule, ScheduleRef, Shift, Span, Switch, Window};
use state::StateError;

const NOW: Timestamp = Timestamp::from_unix(1_795_165_200);
const NO_CONFIG: &str = "config=/nonexistent/config.toml";

fn request(service: &str, user: &str) -> Request {
    Request {
        service: service.to_string(),
        user: user.to_string(),
        arguments: vec![NO_CONFIG.to_string(), "shared=session".to_string()],
        authentication: Some(String::new()),
        ..Request::default()
    }
}

fn reason(answer: &Answer) -> String {
    answer.decided.as_ref().map_or("none", |decided| decided.decision.reason.token()).to_string()
}

#[test]
fn without_a_configuration_only_guarded_logins_are_refused() {
    let caller = Uid::from_raw(0);
    let root = account(&request("sshd", "root"), caller, NOW);
    assert_eq!((root.effect, reason(&root).as_str()), (Effect::CannotTell, "config-invalid"));
    let nobody = account(&request("sshd", "nobody"), caller, NOW);
    assert_eq!((nobody.effect, reason(&nobody).as_str()), (Effect::Ignore, "not-guarded"));
    let cron = account(&request("cron", "root"), caller, NOW);
    assert_eq!((cron.effect, reason(&cron).as_str()), (Effect::Ignore, "none"));
    let open =
        |service: &str, user: &str| open_session(&request(service, user), Earlier::default(), NOW).effect;
    assert_eq!(open("sshd", "root"), Effect::CannotTell);
    assert_eq!(open("sshd", "nobody"), Effect::Ignore);
    assert_eq!(open("sudo", "root"), Effect::Ignore);
}

#[test]
fn a_word_that_is_not_known_is_a_fault_of_the_stack_line() {
    let mut request = request("sshd", "root");
    request.arguments.push("conf=/etc/authkeys/strict.toml".to_string());
    let answer = account(&request, Uid::from_raw(0), NOW);
    assert_eq!((answer.effect, reason(&answer).as_str()), (Effect::CannotTell, "config-invalid"));
    assert!(answer.decided.is_some_and(|decided| decided.problem.contains("unknown word")));
}

#[test]
fn a45_names_that_no_account_has_are_unknown_users() {
    for name in ["", "a\nb", "a\x1b", &"x".repeat(65_536), "\u{fffd}"] {
        let answer = account(&request("sshd", name), Uid::from_raw(0), NOW);
        assert_eq!((answer.effect, reason(&answer).as_str()), (Effect::BadName, "bad-user"), "{name:.9?}");
    }
}

#[test]
fn a_root_that_calls_sudo_is_root_already() {
    let mut by_root = request("sudo", "root");
    by_root.asker = "root".to_string();
    assert_eq!(account(&by_root, Uid::from_raw(0), NOW).effect, Effect::Ignore);
    // Under sudo's name, with a real uid that is somebody else's: the name proves nothing.
    let forged = account(&by_root, Uid::from_raw(65_534), NOW);
    assert_eq!((forged.effect, reason(&forged).as_str()), (Effect::Refuse, "unknown-person"));
    by_root.asker = String::new();
    assert_eq!(account(&by_root, Uid::from_raw(0), NOW).effect, Effect::Refuse);
}

#[test]
fn su_asks_about_its_real_uid_and_login_about_the_account() {
    let by = |service: &str, user: &str, uid: u32| {
        let answer = account(&request(service, user), Uid::from_raw(uid), NOW);
        (answer.effect, reason(&answer))
    };
    let answer = |effect, reason: &str| (effect, reason.to_string());
    for su in ["su", "su-l"] {
        assert_eq!(by(su, "root", 0), answer(Effect::Ignore, "already-root"));
        assert_eq!(by(su, "root", 65_534), answer(Effect::CannotTell, "config-invalid"));
        assert_eq!(by(su, "root", 4_000_000_000), answer(Effect::Refuse, "unknown-person"));
        assert_eq!(by(su, "nobody", 65_534), answer(Effect::Ignore, "not-guarded"));
    }
    for door in ["login", "polkit-1"] {
        assert_eq!(by(door, "root", 0), answer(Effect::Refuse, "unknown-person"), "{door}");
    }
    assert_eq!(by("login", "nobody", 0), answer(Effect::Ignore, "not-guarded"));
    assert_eq!(by("polkit-1", "nobody", 0), answer(Effect::CannotTell, "config-invalid"));
}

#[test]
fn the_console_stays_open_to_login_alone() {
    let at = |service: &str, tty: &str| {
        let request = Request { tty: tty.to_string(), ..request(service, "root") };
        reason(&account(&request, Uid::from_raw(0), NOW))
    };
    for console in ["tty1", "/dev/tty1", "/dev/ttyS0"] {
        assert_eq!(at("login", console), "exempt", "{console}");
        assert_eq!(at("sshd", console), "config-invalid", "{console}");
    }
    for other in ["", "tty2", "/dev/pts/0", "/dev//dev/tty1", "tty10"] {
        assert_eq!(at("login", other), "unknown-person", "{other}");
    }
}

#[test]
fn a_shared_account_without_the_promise_of_a_session_line_is_refused() {
    let mut bare = request("sshd", "root");
    bare.arguments.truncate(1);
    assert_eq!(reason(&account(&bare, Uid::from_raw(0), NOW)), "unknown-person");
    let mut unset = request("sshd", "root");
    unset.authentication = None;
    assert_eq!(reason(&account(&unset, Uid::from_raw(0), NOW)), "unknown-person");
}

const CONFIG: &str = "[host]\nname = 'db1'\n[[oncall.source]]\nname = 'rota'\nprovider = 'rota'\n\
    file = 'rota.toml'\n[policy]\nguarded_accounts = ['root', 'daemon', 'nobody']\n\
    [[policy.rule]]\nname = 'db'\nschedules = ['rota/primary']\n";

fn name(text: &str) -> Principal {
    Principal::new(text).unwrap()
}

/// db1, where daemon is on call for an hour more, and nobody, who is eligible, is not. Both have accounts on any host.
fn roster() -> Roster {
    let window = Window::new(NOW.minus(Span::hours(1)), NOW.plus(Span::hours(1))).unwrap();
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
        shifts: vec![Shift { schedule: 0, principal: name("daemon"), level: 1, window }].into(),
        eligible: ["daemon", "nobody"].map(|person| (name(person), true)).into(),
    }
}

fn host_of(config: &str, revoked: Result<Revoked, StateError>, roster: Roster) -> HostState {
    let config = Config::parse(Path::new("/nonexistent/config.toml"), config.as_bytes()).unwrap();
    HostState::of(config, revoked, Ok(Switch::untouched()), Ok(roster))
}

fn host() -> HostState {
    host_of(CONFIG, Ok(Revoked::nobody()), roster())
}

fn revoked(person: &str) -> Result<Revoked, StateError> {
    let revocation = Revocation::by_root(NOW, "root".to_string(), String::new());
    Ok([(name(person), revocation)].into_iter().collect())
}

fn unreadable() -> Result<Revoked, StateError> {
    let path = Path::new("/nonexistent/revoked");
    Err(StateError::Orders(host::revoked::parse(path, b"x").unwrap_err()))
}

/// What follows where `user` is asked about, and `who` is the caller by name and uid.
fn by(state: HostState, service: &str, user: &str, who: &str) -> Answer {
    let request = Request { asker: who.to_string(), ..request(service, user) };
    let caller = nix::unistd::User::from_name(who).unwrap().unwrap().uid;
    judge(state, &request, caller, false, NOW)
}

fn told(answer: &Answer) -> (Effect, String) {
    (answer.effect, reason(answer))
}

fn admitted() -> (Effect, String) {
    (Effect::Allow, "oncall".to_string())
}

fn refused(reason: &str) -> (Effect, String) {
    (Effect::Refuse, reason.to_string())
}

#[test]
fn whoever_is_on_call_is_admitted_by_each_door_and_nobody_else() {
    for (service, user) in
        [("sudo", None), ("sudo-i", None), ("doas", None), ("su", Some("root")), ("login", None)]
    {
        let answer = |who| by(host(), service, user.unwrap_or(who), who);
        assert_eq!(told(&answer("daemon")), admitted(), "{service}");
        let off_call = answer("nobody");
        assert_eq!(told(&off_call), refused("not-oncall"), "{service}");
        let line = off_call.tell.unwrap();
        assert!(line.contains("nobody is not (daemon is, until "), "{service}: {line}");
        assert!(off_call.can_wait && off_call.decided.is_some(), "{service}");
    }
    // Asked by another name than the caller's.
    let request = Request { asker: "daemon".to_string(), ..request("sudo", "daemon") };
    let nobody = nix::unistd::User::from_name("nobody").unwrap().unwrap().uid;
    assert_eq!(told(&judge(host(), &request, nobody, false, NOW)), refused("unknown-person"));
}

#[test]
fn a_shared_account_awaits_the_key_while_somebody_is_on_call() {
    let root = Uid::from_raw(0);
    let asked = |state| judge(state, &request("sshd", "root"), root, true, NOW);
    let answer = asked(host());
    assert!(answer.effect == Effect::Allow && answer.decided.is_none());
    let off_call = Roster { shifts: Vec::new().into(), ..roster() };
    assert_eq!(told(&asked(host_of(CONFIG, Ok(Revoked::nobody()), off_call))), refused("not-oncall"));
    assert_eq!(told(&asked(host_of(CONFIG, revoked("daemon"), roster()))), refused("not-oncall"));
}

#[test]
fn the_owner_of_the_key_is_judged_when_the_session_opens() {
    let facts = Facts { uid: Some(0), root_groups: Vec::new() };
    let key = PublicKey::parse(made_keys::numbered(1).as_bytes()).unwrap();
    let by_key = |state, human: &Human| {
        super::by_key(
            state,
            &request("sshd", "root"),
            ("root", &facts),
            human,
            &[Credential::Key(key.clone())],
            NOW,
        )
    };
    let daemon = by_key(host(), &Human::Named(name("daemon")));
    assert_eq!((told(&daemon), daemon.tell.as_deref()), (admitted(), None));
    assert_eq!(daemon.decided.unwrap().key.as_ref(), Some(&key));
    assert_eq!(told(&by_key(host(), &Human::Named(name("nobody")))), refused("not-oncall"));
    assert_eq!(told(&by_key(host(), &Human::Other(Actor::Unknown))), refused("unknown-person"));
    let several = by_key(host(), &Human::Several(vec![name("daemon"), name("nobody")]));
    assert_eq!(told(&several), refused("ambiguous-person"));
    assert_eq!(several.decided.unwrap().owners, "daemon,nobody");
    // Read two hours ago: trusted, and that is said.
    let mut old = roster();
    old.schedules[0].synced = NOW.minus(Span::hours(2));
    let answer = by_key(host_of(CONFIG, Ok(Revoked::nobody()), old), &Human::Named(name("daemon")));
    assert_eq!(told(&answer), admitted());
    assert!(answer.tell.unwrap().contains("last synced 2h ago"));
}

#[test]
fn a_revocation_wins_and_one_that_cannot_be_read_refuses_all_but_the_exempt() {
    let shut_out = || host_of(CONFIG, revoked("daemon"), roster());
    assert_eq!(told(&by(shut_out(), "sudo", "daemon", "daemon")), refused("revoked"));
    let exempt = CONFIG.replace("[policy]", "[policy]\nexempt_accounts = ['daemon']");
    let state = || host_of(&exempt, unreadable(), roster());
    assert_eq!(told(&by(state(), "login", "daemon", "daemon")), (Effect::Allow, "exempt".to_string()));
    let other = by(state(), "login", "nobody", "nobody");
    assert_eq!(told(&other), (Effect::CannotTell, "revoked-unreadable".to_string()));
    assert!(other.decided.unwrap().problem.starts_with("/nonexistent/revoked:1:"));
    // Not guarded, and still revoked.
    let open = CONFIG.replace("['root', 'daemon', 'nobody']", "['root']");
    assert_eq!(
        told(&by(host_of(&open, revoked("daemon"), roster()), "login", "daemon", "daemon")),
        refused("revoked")
    );
    let nobody = by(host_of(&open, unreadable(), roster()), "login", "nobody", "nobody");
    assert_eq!(told(&nobody), (Effect::Ignore, "not-guarded".to_string()));
}

#[test]
fn a_key_that_the_fleet_has_revoked_is_nobodys() {
    let key = PublicKey::parse(made_keys::numbered(1).as_bytes()).unwrap();
    let (print, keys) = (key.fingerprint(), [Credential::Key(key)]);
    let text = format!("revocations 1\nkey {print} 1 revoked 2026-11-20T08:00:00Z - eve lost\n");
    let list = policy::revocations::Revocations::parse(&text).unwrap();
    let state =
        |config: &str| host_of(config, Ok(Revoked::nobody().with_fleet(list.clone(), None)), roster());
    let fleet = format!("[fleet]\nid = 'x'\nurls = ['https://h']\n{CONFIG}");
    assert!(revoked_key(&state(CONFIG), &keys, NOW).is_none(), "without a fleet nobody looks");
    assert!(revoked_key(&state(&fleet), &[], NOW).is_none());
    let human = revoked_key(&state(&fleet), &keys, NOW).unwrap();
    for (account, facts) in
        [("root", Facts { uid: Some(0), root_groups: Vec::new() }), ("eve", Facts::default())]
    {
        let request = request("sshd", account);
        let answer = super::by_key(state(&fleet), &request, (account, &facts), &human, &keys, NOW);
        assert_eq!(told(&answer), refused("revoked"), "{account}");
        let line = answer.tell.unwrap();
        assert!(
            line.contains("the key that opened this session is revoked in the whole fleet since"),
            "{line}"
        );
    }
}

#[test]
fn where_nothing_is_enforced_nobody_is_refused_and_the_log_says_who_would_be() {
    let observing = CONFIG.replace("[policy]", "[policy]\nmode = 'observe'");
    let answer = by(host_of(&observing, Ok(Revoked::nobody()), roster()), "sudo", "nobody", "nobody");
    assert_eq!((told(&answer), answer.tell), ((Effect::Ignore, "not-oncall".to_string()), None));
    assert_eq!(answer.decided.unwrap().mode_word, "observe");
}

/// carol and dave let `who` into `account` for an hour, with the key of this number.
fn granted(who: &str, account: &str, key: Option<u32>) -> Granted {
    let key = key.map(|number| PublicKey::parse(made_keys::numbered(number).as_bytes()).unwrap().line());
    Granted {
        id: "5a".repeat(16),
        rule: "night".to_string(),
        person: name(who),
        account: policy::Account::new(account).unwrap(),
        key,
        window: Window::new(NOW, NOW.plus(Span::hours(1))).unwrap(),
        approvers: vec![name("carol"), name("dave")],
        reason: "disk full".to_string(),
        is_break_glass: false,
    }
}

fn by_grant() -> (Effect, String) {
    (Effect::Allow, "grant".to_string())
}

#[test]
fn a_grant_for_root_opens_sudo_and_one_for_an_account_that_account() {
    let with = |grant: Granted| host().with_grants(vec![grant]);
    for service in ["sudo", "sudo-i", "doas"] {
        let answer = |grant| told(&by(with(grant), service, "nobody", "nobody"));
        assert_eq!(answer(granted("nobody", "root", None)), by_grant(), "{service}");
        assert_eq!(answer(granted("nobody", "nobody", None)), refused("not-oncall"), "{service}");
        assert_eq!(answer(granted("daemon", "root", None)), refused("not-oncall"), "{service}");
    }
    let su = |grant| told(&by(with(grant), "su", "root", "nobody"));
    assert_eq!(su(granted("nobody", "root", None)), by_grant());
    let login = |grant| told(&by(with(grant), "login", "nobody", "nobody"));
    assert_eq!(login(granted("nobody", "nobody", None)), by_grant());
    assert_eq!(login(granted("nobody", "root", None)), refused("not-oncall"));
    // Whoever is on call is that, and a revocation wins.
    assert_eq!(told(&by(with(granted("daemon", "root", None)), "sudo", "daemon", "daemon")), admitted());
    let shut_out = host_of(CONFIG, revoked("nobody"), roster());
    let shut_out = shut_out.with_grants(vec![granted("nobody", "root", None)]);
    assert_eq!(told(&by(shut_out, "sudo", "nobody", "nobody")), refused("revoked"));
}

#[test]
fn the_key_in_a_grant_says_who_it_is_where_nobody_else_is_known_to_have_it() {
    let facts = Facts { uid: Some(0), root_groups: Vec::new() };
    let key = |number| PublicKey::parse(made_keys::numbered(number).as_bytes()).unwrap();
    let by_key = |human: Human, keys: &[PublicKey], grant: Granted| {
        let state = host().with_grants(vec![grant]);
        let request = request("sshd", "root");
        let keys: Vec<Credential> = keys.iter().cloned().map(Credential::Key).collect();
        told(&super::by_key(state, &request, ("root", &facts), &human, &keys, NOW))
    };
    let grant = || granted("nobody", "root", Some(1));
    let unknown = || Human::Other(Actor::Unknown);
    let lost = || Human::Other(Actor::CannotTell(Fault::Missing));
    assert_eq!(by_key(unknown(), &[key(1)], grant()), by_grant());
    assert_eq!(by_key(lost(), &[key(1), key(1)], grant()), by_grant());
    assert_eq!(by_key(Human::Named(name("nobody")), &[key(2)], grant()), by_grant(), "by the directory");
    let both = || Human::Several(vec![name("eve"), name("nobody")]);
    assert_eq!(by_key(both(), &[key(1)], grant()), by_grant());
    // Another key, two different ones, none, another account, no key in the grant.
    for (human, keys) in [(unknown(), vec![key(2)]), (unknown(), vec![key(1), key(2)]), (unknown(), vec![])] {
        assert_eq!(by_key(human, &keys, grant()), refused("unknown-person"));
    }
    assert_eq!(by_key(unknown(), &[key(1)], granted("nobody", "daemon", Some(1))), refused("unknown-person"));
    assert_eq!(by_key(unknown(), &[key(1)], granted("nobody", "root", None)), refused("unknown-person"));
    // Somebody else's, several others', a revoked one.
    assert_eq!(by_key(Human::Named(name("eve")), &[key(1)], grant()), refused("not-eligible"));
    let others = Human::Several(vec![name("eve"), name("mallory")]);
    assert_eq!(by_key(others, &[key(1)], grant()), refused("ambiguous-person"));
    let lost = Revocation::by_root(NOW, "root".to_string(), String::new());
    assert_eq!(by_key(Human::Revoked(Box::new(lost)), &[key(1)], grant()), refused("revoked"));
    // The person on call is who they are, whatever a grant says of their key.
    assert_eq!(by_key(Human::Named(name("daemon")), &[key(1)], grant()), admitted());
}

#[test]
fn a_shared_account_awaits_the_key_of_somebody_who_was_granted_it() {
    let asked = |grant: Granted| {
        let off_call = Roster { shifts: Vec::new().into(), ..roster() };
        let state = host_of(CONFIG, Ok(Revoked::nobody()), off_call).with_grants(vec![grant]);
        judge(state, &request("sshd", "root"), Uid::from_raw(0), true, NOW)
    };
    let answer = asked(granted("nobody", "root", Some(1)));
    assert!(answer.effect == Effect::Allow && answer.decided.is_none());
    assert_eq!(told(&asked(granted("nobody", "root", None))), refused("not-oncall"));
    assert_eq!(told(&asked(granted("nobody", "daemon", Some(1)))), refused("not-oncall"));
}

/// The session of somebody who came by a certificate of the key 2 for the key 1.
fn certificate(options: &[(&str, &str)]) -> Vec<Credential> {
    let made = made_keys::Certificate {
        key: &made_keys::numbered(1),
        authority: &made_keys::numbered(2),
        kind: 1,
        serial: 7,
        id: b"INC-42",
        principals: &["daemon"],
        period: (0, u64::MAX),
        options,
    };
    let (kind, blob) = made.words();
    Credential::all(&format!("publickey {kind} {blob}\n"))
}

#[test]
fn a108_a_certificate_counts_by_an_authority_that_is_listed_and_by_none_that_is_revoked() {
    let authority = PublicKey::parse(made_keys::numbered(2).as_bytes()).unwrap();
    let fleet = format!("[fleet]\nid = 'x'\nurls = ['https://h']\n{CONFIG}");
    let text =
        format!("revocations 1\nkey {} 1 revoked 2026-11-20T08:00:00Z - eve lost\n", authority.fingerprint());
    let list = policy::revocations::Revocations::parse(&text).unwrap();
    let state = host_of(&fleet, Ok(Revoked::nobody().with_fleet(list, None)), roster());
    assert!(revoked_key(&state, &certificate(&[]), NOW).is_some(), "the authority's key is");

    let directory = format!("[directory]\nfile = 'people.toml'\n{CONFIG}");
    let listed = directory
        .replace("[policy]", &format!("[policy]\ncertificate_authorities = ['{}']", authority.line()));
    let reason = |config: &str, credentials: &[Credential]| {
        let state = host_of(config, Ok(Revoked::nobody()), roster());
        let human = owner(&state, credentials, NOW);
        let facts = Facts { uid: Some(0), root_groups: Vec::new() };
        let answer =
            super::by_key(state, &request("sshd", "root"), ("root", &facts), &human, credentials, NOW);
        let decided = answer.decided.unwrap();
        (decided.decision.reason.token(), decided.certificate.map(|one| one.serial()), decided.problem)
    };
    let none = String::new;
    assert_eq!(reason(&directory, &certificate(&[])), ("certificate-authority", Some(7), none()));
    assert_eq!(reason(&listed, &certificate(&[("x", "")])), ("certificate-unusable", Some(7), none()));
    // Whom it names is looked for in the copy of the directory, which is not there.
    assert_eq!(reason(&listed, &certificate(&[])), ("cache-missing", Some(7), none()));
    let cut = Credential::all("publickey ssh-ed25519-cert-v01@openssh.com AAAA\n");
    let problem = "certificate: not a certificate of the type that it names".to_string();
    assert_eq!(reason(&listed, &cut), ("certificate-unusable", None, problem));
}
