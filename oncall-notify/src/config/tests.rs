use super::*;

const START: &str = "files = [\"/var/log/authkeys/decisions.jsonl\"]\n";

fn parse(text: &str) -> Result<Config, String> {
    let text = format!("{START}{text}");
    Config::parse(Path::new("/etc/authkeys/notify.toml"), text.as_bytes()).map_err(|error| error.to_string())
}

fn channel(rest: &str) -> Result<Channel, String> {
    let people = "[people]\nmail_domain = \"example.com\"\n";
    parse(&format!("{people}[[channel]]\nname = \"c\"\n{rest}")).map(|mut config| config.channels.remove(0))
}

#[test]
fn each_kind_is_read_with_what_is_usual_for_it() {
    let slack = channel("slack = { token_file = \"slack-token\", to = \"person\" }").unwrap();
    assert!(slack.kind.tells_people() && slack.filter == "event in ['opened', 'vpn']");
    assert_eq!(
        (slack.window.map(|w| w.as_seconds()), slack.digest_after.map(|w| w.as_seconds())),
        (Some(600), Some(3600))
    );
    assert_eq!(slack.kind.secrets(), [Path::new("/etc/authkeys/slack-token")]);
    let webhook =
        channel("webhook = { url = \"https://hooks.example.com:8443/a/b\", secret_file = \"s\" }").unwrap();
    let Kind::Webhook(to) = &webhook.kind else { panic!("a webhook") };
    assert_eq!((to.base.as_str(), to.path.as_str()), ("https://hooks.example.com:8443", "/a/b"));
    assert_eq!((webhook.window, webhook.digest_after, webhook.most), (None, None, 10_000));
    let mail = channel(
        "window = \"none\"\nmail = { from = \"a@example.com\", to = \"person\", server = \"[::1]:25\", tls = \"none\" }",
    );
    let Kind::Mail(Mail { way: MailWay::Smtp { host, port, .. }, .. }) = mail.unwrap().kind else {
        panic!("smtp")
    };
    assert_eq!((host.as_str(), port), ("::1", 25));
    for good in [
        "mail = { from = \"a@example.com\", to = [\"b@example.com\"], sendmail = \"/usr/sbin/sendmail\" }",
        "pagerduty = { routing_key_file = \"k\", dedup = \"host\" }",
        "gelf = { server = \"graylog.example.com\", transport = \"udp\" }",
        "syslog = { server = \"logs.example.com:6514\", transport = \"tls\" }",
    ] {
        assert!(channel(good).is_ok(), "{good}: {:?}", channel(good));
    }
}

#[test]
fn vpn_logins_are_heard_of_whom_root_names() {
    let whole = |text: &str| {
        let text =
            format!("{text}[[channel]]\nname = \"c\"\ngelf = {{ server = \"logs\", transport = \"tcp\" }}\n");
        Config::parse(Path::new("/etc/authkeys/notify.toml"), text.as_bytes())
            .map_err(|error| error.to_string())
    };
    let config = whole("[event]\nusers = [\"openvpn\", \"0\"]\n").unwrap();
    let events = config.events.unwrap();
    assert!(config.files.is_empty() && events.users == ["openvpn", "0"] && events.person == PERSON);
    assert_eq!((events.window.map(|window| window.as_seconds()), events.most_a_minute), (Some(600), 600));
    let own = whole("[event]\nusers = [\"0\"]\nwindow = \"none\"\nperson = \"common_name|upper\"\n").unwrap();
    assert_eq!(own.events.as_ref().map(|events| events.window), Some(None));
    assert_eq!(own.events.unwrap().uids(), ([(0, "0".to_string())].into(), vec![]));
    for (section, problem) in [
        ("users = []", ":2: `users` names nobody"),
        ("users = [\"nobody\"]", "give OpenVPN a user of its own"),
        ("users = [\"65534\"]", "give OpenVPN a user of its own"),
        ("users = [\"0\"]\nwindow = \"8d\"", ":3: `window` is 1s to 7d"),
        ("users = [\"0\"]\nmost_a_minute = 0", ":3: `most_a_minute` is 1 to 60000"),
        ("users = [\"0\"]\nperson = \"usrname\"", "did you mean `username`"),
        ("users = [\"0\"]\nusr = 1", "unknown key `usr`"),
        ("window = \"10m\"", "missing field `users`"),
    ] {
        let refused = whole(&format!("[event]\n{section}\n")).map(drop).unwrap_err();
        assert!(refused.contains(problem), "{section}: {refused}");
    }
    assert!(whole("").map(drop).unwrap_err().contains("`files` names none"));
}

#[test]
fn what_does_not_hold_is_refused_with_its_line() {
    for (text, problem) in [
        ("slack = { token = \"xoxb-1\", to = \"person\" }", "unknown key `token`"),
        ("slack = { to = \"person\" }", "missing field `token_file`"),
        ("slack = { token_file = \"t\", to = \"@alice\" }", "`to` is \"person\" or a channel's id"),
        ("slack = { token_file = \"t\", to = \"C1\", api = \"http://slack.com/api\" }", "`api` is https://"),
        ("webhook = { url = \"http://hooks.example.com\", secret_file = \"s\" }", "`url` is https://"),
        (
            "webhook = { url = \"https://me:pass@hooks.example.com\", secret_file = \"s\" }",
            "`url` is https://",
        ),
        ("webhook = { url = \"https://hooks.example.com\" }", "missing field `secret_file`"),
        (
            "mail = { from = \"a@b.c\", to = \"person\", server = \"mx\", user = \"u\" }",
            "`user` and `password_file` go together",
        ),
        (
            "mail = { from = \"a@b.c\", to = \"person\", server = \"127.0.0.1\", tls = \"none\", user = \"u\", password_file = \"p\" }",
            "without a password",
        ),
        (
            "mail = { from = \"a@b.c\", to = \"person\", server = \"mx.example.com\", tls = \"none\" }",
            "on this host",
        ),
        ("mail = { from = \"a b@c\", to = \"person\", server = \"mx\" }", "no mail address"),
        ("pagerduty = { routing_key_file = \"k\", severity = \"high\" }", "`severity` is critical"),
        ("pagerduty = { routing_key_file = \"k\", action = \"evnt\" }", "did you mean `event`?"),
        ("syslog = { server = \"logs\", transport = \"udp\" }", "what UDP loses nobody knows"),
        ("filter = \"person ==\"\ngelf = { server = \"g\", transport = \"tcp\" }", "`filter`: "),
        (
            "template = \"{{ pesron }}\"\ngelf = { server = \"g\", transport = \"tcp\" }",
            "did you mean `person`?",
        ),
        ("window = \"soon\"\ngelf = { server = \"g\", transport = \"tcp\" }", "`window`: "),
        ("filter = \"true\"", "write one of slack, mail, webhook"),
        (
            "gelf = { server = \"g\", transport = \"tcp\" }\nsyslog = { server = \"g\", transport = \"tcp\" }",
            "write one of slack, mail, webhook",
        ),
    ] {
        let said = channel(text).unwrap_err();
        assert!(said.starts_with("/etc/authkeys/notify.toml:") && said.contains(problem), "{text}: {said}");
    }
    assert!(parse("").unwrap_err().contains("[[channel]]"));
    let person = "[[channel]]\nname = \"c\"\nslack = { token_file = \"t\", to = \"person\" }\n";
    assert!(parse(person).unwrap_err().contains("mail_domain"));
    let gelf = "[[channel]]\nname = \"c\"\ngelf = { server = \"g\", transport = \"tcp\" }\n";
    assert!(parse(&gelf.repeat(2)).unwrap_err().contains("two channels are called `c`"));
    let relative = Config::parse(Path::new("/x"), format!("files = [\"a\"]\n{gelf}").as_bytes());
    assert!(relative.unwrap_err().to_string().contains("does not begin with /"));
}

#[test]
fn people_are_found_by_table_then_by_domain_and_by_no_odd_name() {
    let text = "[people]\nmail_domain = \"example.com\"\nmail = { bob = \"robert@example.org\" }\n\
                [[channel]]\nname = \"c\"\nslack = { token_file = \"t\", to = \"person\" }\n";
    let people = parse(text).unwrap().people;
    assert_eq!(people.address("alice").as_deref(), Some("alice@example.com"));
    assert_eq!(people.address("bob").as_deref(), Some("robert@example.org"));
    for odd in ["", "a b", "alice@example.net,x", "\u{e9}"] {
        assert_eq!(people.address(odd), None, "{odd}");
    }
}

#[test]
fn a_routing_key_has_32_letters_and_digits() {
    let kind = |text: &str| {
        let text = format!("[[channel]]\nname = \"c\"\n{text}\n");
        parse(&text).unwrap().channels.remove(0).kind
    };
    let pagerduty = kind("pagerduty = { routing_key_file = \"k\" }");
    let key = "0123456789abcdefghijklmnopqrstuv";
    assert_eq!(pagerduty.misfit(key), None);
    for wrong in [
        "",
        "R0UT1NG",
        &format!("{key}w"),
        "0123456789abcdefghijklmnopqrstu\n",
        "x-token-of-another-service-12345",
    ] {
        assert!(pagerduty.misfit(wrong).is_some(), "{wrong}");
    }
    assert_eq!(kind("webhook = { url = \"https://h\", secret_file = \"k\" }").misfit("short"), None);
}
