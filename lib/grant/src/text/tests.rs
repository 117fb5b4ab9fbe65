use std::format;
use std::vec;

use super::*;

fn at(time: &str) -> Timestamp {
    Timestamp::parse(&format!("2026-11-20T{time}Z")).unwrap()
}

/// An hour for bob, with a key.
pub(crate) fn grant() -> Grant {
    Grant {
        id: GrantId::new([0x5a; 16]),
        site: "example".into(),
        hosts: vec!["db7".into(), "db8.example.com".into()],
        account: Account::new("root").unwrap(),
        person: Principal::new("bob").unwrap(),
        key: Some(PublicKey::parse(made_keys::numbered(1).as_bytes()).unwrap()),
        window: Window::new(at("03:02:00"), at("04:02:00")).unwrap(),
        issued: at("03:02:00"),
        reason: "INC-42: disk full (100%)".into(),
    }
}

#[test]
fn a_grant_is_read_as_it_was_written() {
    let whole = grant();
    let text = whole.write().unwrap();
    assert_eq!(
        text,
        format!(
            "form: 1\ngrant: 5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a\nfleet: example\nhosts: db7 db8.example.com\n\
             account: root\nperson: bob\nkey: {}\nnot-before: 2026-11-20T03:02:00Z\n\
             not-after: 2026-11-20T04:02:00Z\nissued: 2026-11-20T03:02:00Z\nreason: INC-42: disk full (100%)\n",
            made_keys::numbered(1)
        )
    );
    assert_eq!(Grant::parse(text.as_bytes()), Ok(whole));
    for key in made_keys::good() {
        let key = Some(PublicKey::parse(key.as_bytes()).unwrap());
        let grant = Grant { key, ..grant() };
        assert_eq!(Grant::parse(grant.write().unwrap().as_bytes()), Ok(grant));
    }
    let bare = Grant { key: None, ..grant() };
    assert!(bare.write().unwrap().contains("\nkey: none\n"));
    assert_eq!(Grant::parse(bare.write().unwrap().as_bytes()), Ok(bare));
}

/// What a grant may say, and the error of what it may not: whether it is read or written.
#[test]
fn what_may_not_be_in_a_grant_is_neither_written_nor_read() {
    let many = |count: usize| (0..count).map(|number| format!("h{number}")).collect::<Vec<_>>();
    let with_hosts = |hosts: Vec<String>| Grant { hosts, ..grant() };
    let with_reason = |reason: &str| Grant { reason: reason.into(), ..grant() };
    let with_site = |site: &str| Grant { site: site.into(), ..grant() };
    for good in [
        with_hosts(many(16)),
        with_hosts(vec!["DB_7-a.b".into()]),
        with_hosts(vec!["h".repeat(253)]),
        with_reason("a"),
        with_reason(&"x".repeat(120)),
        with_reason("why, so: a/b; 1+1=2? (yes!) #4 _x_-y."),
        with_site(&"s".repeat(64)),
        Grant { person: Principal::new("deploy").unwrap(), ..grant() },
        // Not for a text to say: the judge does.
        Grant { window: Window::new(at("03:00:00"), at("23:00:00")).unwrap(), ..grant() },
        Grant { issued: at("23:00:00"), ..grant() },
    ] {
        assert_eq!(Grant::parse(good.write().unwrap().as_bytes()), Ok(good));
    }
    let window = |start, end| Grant { window: Window::new(start, end).unwrap(), ..grant() };
    let long: Vec<String> = many(16).into_iter().map(|name| name + &"h".repeat(249)).collect();
    let mut cases = vec![
        (with_hosts(vec![]), HOSTS),
        (with_hosts(many(17)), HOSTS),
        (with_hosts(vec!["db7".into(), "db7".into()]), HOSTS),
        (with_hosts(long), GrantError::TooLong),
        (Grant { person: Principal::new("root").unwrap(), ..grant() }, PERSON),
        (window(Timestamp::MIN, at("03:00:00")), instant("not-before")),
        (window(at("03:00:00"), Timestamp::MAX), instant("not-after")),
        (Grant { issued: Timestamp::MAX, ..grant() }, instant("issued")),
    ];
    for host in ["", "*", "db?", "d b", "db7,db8", "d\u{e9}", "db7/1", &"h".repeat(254)] {
        cases.push((with_hosts(vec![host.into()]), HOSTS));
    }
    for reason in [
        "",
        " a",
        "a ",
        "a  b",
        "a\nb",
        "a\tb",
        "it's",
        "`id`",
        "*now*",
        "<b>",
        "@here",
        "a&b",
        "a|b",
        "$x",
        "~",
        "\\",
        "\"",
        "[x]",
        "{x}",
        "caf\u{e9}",
        "a\u{a0}b",
        "\u{202e}x",
        &"x".repeat(121),
    ] {
        cases.push((with_reason(reason), REASON));
    }
    for site in ["", "a b", "a/b", "\u{430}", &"s".repeat(65)] {
        cases.push((with_site(site), SITE));
    }
    for (wrong, error) in cases {
        assert_eq!(wrong.write(), Err(error), "{wrong:?}");
    }
}

#[test]
fn a_text_that_is_none_says_which_line_is_wrong() {
    let text = grant().write().unwrap();
    let key = made_keys::numbered(1);
    let line = |number| GrantError::Text(TextError::Line(number));
    let missing = |name| GrantError::Text(TextError::Missing(name));
    let unexpected = |name: &str| GrantError::Text(TextError::Unexpected(name.into()));
    for (from, to, error) in [
        ("form: 1\n", "", missing("form")),
        ("form: 1", "form: 2", GrantError::Form("2".into())),
        ("form: 1", "form: 01", GrantError::Form("01".into())),
        ("form: 1", "\u{feff}form: 1", line(1)),
        ("form: 1", "> form: 1", line(1)),
        ("form: 1\n", "\nform: 1\n", line(1)),
        ("form: 1\n", "form: 1\r\n", line(1)),
        ("grant: 5a", "grant: 5A", GRANT),
        ("grant: 5a", "grant: a", GRANT),
        ("db7 db8", "db7  db8", HOSTS),
        ("db7 db8.example.com", "db7, db8", HOSTS),
        ("db7 db8.example.com", "db7 db8 db7", HOSTS),
        ("example\n", "example \n", line(3)),
        ("account: root", "account: r\u{43e}ot", line(5)),
        ("account: root", "account: Root", ACCOUNT),
        ("account: root", "account: root bin", ACCOUNT),
        (
            "account: root\n",
            "account: root\naccount: root\n",
            GrantError::Text(TextError::Repeated("account".into())),
        ),
        ("account: root\nperson: bob\n", "person: bob\naccount: root\n", missing("account")),
        ("account: root\n", "account:\n root\n", line(5)),
        ("person: bob", "person: bob,eve", PERSON),
        ("person: bob", "person: root", PERSON),
        (&key, "None", KEY),
        (&key, "ssh-ed25519", KEY),
        (&key, "ssh-ed25519 AAAA", GrantError::Key(KeyProblem::Malformed)),
        (&key, &format!("{key} bob"), GrantError::Key(KeyProblem::Malformed)),
        (&key, &format!("from=\"*\" {key}"), GrantError::Key(KeyProblem::NoKeyType)),
        ("03:02:00Z\nnot-after", "03:02:00+00:00\nnot-after", instant("not-before")),
        ("not-after: 2026-11-20T04:02:00Z", "not-after: 2026-11-20T03:02:00Z", WINDOW),
        ("not-after: 2026-11-20T04", "not-after: 2026-11-20 04", instant("not-after")),
        ("issued: 2026-11-20", "issued: 2026-11-31", instant("issued")),
        ("disk full", "disk  full", REASON),
        ("(100%)\n", "(100%)", line(11)),
        ("(100%)\n", "(100%) \n", line(11)),
        ("(100%)\n", "(100%)\n\n", line(12)),
        ("(100%)\n", "(100%)\nsudo: yes\n", unexpected("sudo")),
    ] {
        assert!(text.contains(from), "{from}");
        assert_eq!(Grant::parse(text.replacen(from, to, 1).as_bytes()), Err(error), "{from} -> {to}");
    }
    assert_eq!(Grant::parse(&[b'a'; LARGEST_TEXT + 1]), Err(GrantError::TooLong));
    for weak in made_keys::weak() {
        let other = Grant::parse(text.replace(&key, &weak.line).as_bytes());
        assert!(matches!(other, Err(GrantError::Key(_) | GrantError::TooLong)), "{other:?}");
    }
}

#[test]
fn mistaken_grants_are_refused_or_written_the_same() {
    let text = grant().write().unwrap();
    let bare = Grant { key: None, hosts: vec!["db7".into()], ..grant() }.write().unwrap();
    let words = ["form: 1\n", ": ", " ", "none", "root", "\n", "\r\n", "0", "not-after: ", "\u{feff}"];
    mutate::each(&[text.as_bytes(), bare.as_bytes()], &words, 5_000, |bytes| {
        if let Ok(grant) = Grant::parse(bytes) {
            assert_eq!(grant.write().unwrap().as_bytes(), bytes);
        }
    });
}
