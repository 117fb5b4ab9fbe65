use std::collections::BTreeSet;

use super::*;

const CONFIG: &str = r#"
# Comments are not signed.
[host]
name = "db1"
labels = ["role=db"]
[policy]
help = "https://wiki.example.com"
mode = "enforce"
exempt_accounts = []
rule = [{ name = "db", hosts = ["label:role=db"], schedules = ["pd/P1"] }]
[[policy.automation]]
account = "backup"
until = 2027-06-30
owner = "größer"
[directory]
urls = ["ldaps://ldap.example.com"]
bind_dn = "cn=db1"
timeout = "10s"
[[oncall.source]]
name = "pd"
provider = "pagerduty"
token_file = "token"
timeout = "5s"
people = { "x@y.z" = "bob" }
[oncall.source.schedule."SRE primary"]
[fleet]
freshness = "90s"
"#;

const LINES: &str = r#"directory.urls = ["ldaps://ldap.example.com"]
oncall.source.1.name = "pd"
oncall.source.1.people."x@y.z" = "bob"
oncall.source.1.provider = "pagerduty"
oncall.source.1.schedule."SRE primary" = {}
oncall.source.1.token_file = "token"
policy.automation.1.account = "backup"
policy.automation.1.owner = "gr\u00F6\u00DFer"
policy.automation.1.until = 2027-06-30
policy.exempt_accounts = []
policy.mode = "enforce"
policy.rule.1.hosts = ["label:role=db"]
policy.rule.1.name = "db"
policy.rule.1.schedules = ["pd/P1"]"#;

fn approved() -> Approved {
    Approved {
        number: 7,
        issued: Timestamp::parse("2026-11-30T12:00:00Z").unwrap(),
        hosts: [("db*".into(), ["role=db".into()].into()), ("web".into(), BTreeSet::new())].into(),
        lines: lines(CONFIG.as_bytes()).unwrap(),
    }
}

#[test]
fn what_is_written_is_signed_but_for_what_differs_from_host_to_host() {
    assert_eq!(lines(CONFIG.as_bytes()).unwrap().join("\n"), LINES);
    // However it is written, it is the same policy.
    let other = CONFIG
        .replace("rule = [{ name = \"db\", hosts = [\"label:role=db\"], schedules = [\"pd/P1\"] }]", "");
    let other = format!(
        "{other}\n[[policy.rule]]\nschedules = ['pd/P1']\nname = 'db'\nhosts = [\n 'label:role=db',\n]\n"
    );
    assert_eq!(lines(other.as_bytes()), lines(CONFIG.as_bytes()));
    assert!(matches!(lines(b"[policy\n"), Err(TextError::Config(_))));
    assert!(matches!(lines(b"\xff"), Err(TextError::Config(_))));
}

/// Each setting that the shipped example has is in the text, or is left out here by name.
#[test]
fn nothing_is_left_out_but_what_is_named() {
    let example = include_str!("../../../../packaging/examples/config.toml");
    let all: String = (example.lines())
        .map(|line| {
            line.strip_prefix("# ")
                .filter(|rest| rest.contains(" = ") || rest.starts_with('['))
                .unwrap_or(line)
        })
        .map(|line| format!("{line}\n"))
        .collect();
    for path in LEFT_OUT.iter().filter(|path| **path != "host") {
        let (section, name) = path.rsplit_once('.').unwrap();
        let open =
            if section == "oncall.source" { "[[oncall.source]]".to_string() } else { format!("[{section}]") };
        let text = format!("{open}\n{name} = 'x'\nother = 'x'\n");
        let shown = lines(text.as_bytes()).unwrap();
        assert_eq!(shown.len(), 1, "{path}: {shown:?}");
        assert!(shown[0].ends_with("other = \"x\""), "{path}: {shown:?}");
        assert!(all.contains(&format!("{name} = ")), "{path} is no setting any more");
    }
}

#[test]
fn a_text_is_read_as_it_was_written_and_in_no_other_way() {
    let text = approved().text();
    assert!(text.starts_with("form = 1\nnumber = 7\nissued = \"2026-11-30T12:00:00Z\"\nhost.\"db*\" = [\"role=db\"]\nhost.web = []\n\ndirectory."));
    assert_eq!(Approved::parse(text.as_bytes()), Ok(approved()));
    for (from, to) in [
        ("number = 7", "number = 07"),
        ("number = 7", "number = 0"),
        ("number = 7", "number = -7"),
        ("number = 7", "number = 9007199254740992"),
        ("number = 7\n", "number = 7\nnumber = 8\n"),
        ("number = 7\n", ""),
        ("number = 7\n", "number = 7\nmore = 1\n"),
        ("number = 7\n", "number = 7 # eight\n"),
        ("form = 1\n", "\nform = 1\n"),
        ("T12:00:00Z", "T12:00:00+01:00"),
        ("issued = \"2026", "issued = \"yesterday 2026"),
        ("host.web = []\n\n", "host.web = []\n"),
        ("host.web = []\n", "host.web = [ ]\n"),
        ("host.\"db*\" = [\"role=db\"]\nhost.web = []\n", "host.web = []\nhost.\"db*\" = [\"role=db\"]\n"),
        ("owner", "\u{43e}wner"),
        ("\n\n", "\r\n\r\n"),
    ] {
        assert!(text.contains(from), "{from}");
        let other = text.replacen(from, to, 1);
        assert!(matches!(Approved::parse(other.as_bytes()), Err(TextError::Head(_))), "{to}: {other}");
    }
    let newer = text.replacen("form = 1", "form = 2\nquorum = 2", 1);
    assert_eq!(Approved::parse(newer.as_bytes()), Err(TextError::Form(2)));
    let long = format!("{text}{}", "x = 1\n".repeat(LARGEST / 6));
    assert_eq!(Approved::parse(long.as_bytes()), Err(TextError::TooLong));
    mutate::each(&[text.as_bytes()], &["\n\n", "form = 1", "host.", "\"", "[", "*"], 2_000, |other| {
        if let Ok(read) = Approved::parse(other) {
            assert_eq!(read.text().as_bytes(), other);
        }
    });
}

#[test]
fn a109_a_section_that_says_nothing_of_the_policy_is_as_none() {
    let digest = |text: &str| digest(&lines(text.as_bytes()).unwrap());
    let bare = digest("[policy]\nmode = 'enforce'\n");
    for section in [
        "[keys]",
        "[keys]\ntimeout = '5s'",
        "[directory]\nbind = 'x'",
        "[directory]",
        "[fleet]\nfreshness = '9s'",
        "[host]",
    ] {
        assert_eq!(digest(&format!("[policy]\nmode = 'enforce'\n{section}\n")), bare, "{section}");
    }
    // How long people stay whom the directory no longer has is the policy.
    for section in
        ["[directory]\nfull_refresh = '1h'", "[oncall.source.schedule.x]", "[directory.attributes]"]
    {
        assert_ne!(digest(&format!("[policy]\nmode = 'enforce'\n{section}\n")), bare, "{section}");
    }
}

#[test]
fn the_digest_is_of_the_policy_alone() {
    let lines = vec!["a = 1".to_string(), "b = 2".to_string()];
    // printf 'a = 1\nb = 2\n' | sha256sum
    assert_eq!(digest(&lines), "fe9c2dadb34bee2ae03fc8fe25e26c64ce2f572a53a127db5d6e73899b64fc11");
}
