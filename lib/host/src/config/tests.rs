use policy::{Account, End, EndAction, Principal, Span, Who};

use super::*;

fn parse(text: &str) -> Result<Config, String> {
    Config::parse(Path::new("/etc/authkeys/config.toml"), text.as_bytes()).map_err(|error| error.to_string())
}

fn complaint(text: &str) -> String {
    let error = parse(text).expect_err(text);
    error.strip_prefix("/etc/authkeys/config.toml:").unwrap_or(&error).to_string()
}

const SOURCE: &str =
    "[[oncall.source]]\nname = 'pd'\nprovider = 'pagerduty'\ntoken_file = 't'\nschedules = ['P1']\n";

#[test]
fn whatever_stands_in_the_file_is_a_configuration_or_a_line_that_is_wrong() {
    let example = include_str!("../../../../packaging/examples/config.toml");
    let uncommented = uncommented(example);
    let samples: [&[u8]; 4] =
        [example.as_bytes(), uncommented.as_bytes(), CHAIN.as_bytes(), SOURCE.as_bytes()];
    let mut words =
        vec!["[[policy.automation]]\n", "until = 2027-06-30\n", "[", "]]", "'''", "\"\"\"", "=", "\\u0000"];
    words.extend(["from = ['10.0.0.0/8']\n", "\\\"", "9223372036854775808", "'-1s'", "true", "0x", "\n"]);
    mutate::each(&samples, &words, 1_500, |text| match Config::parse(Path::new("/c"), text) {
        Ok(config) => {
            let automation = config.rules.automation.iter().flat_map(|one| &one.from);
            let rules = config.keys.rules.iter().flat_map(|rule| &rule.from);
            for pattern in automation.chain(rules) {
                assert!(
                    pattern.as_str().bytes().all(|b| b.is_ascii_alphanumeric() || b".:-_*?/".contains(&b))
                );
            }
            let remarks = config.remarks(Timestamp::MAX);
            assert!(remarks.iter().all(|remark| !remark.contains(char::is_control)), "{remarks:?}");
        }
        Err(error) => {
            let error = error.to_string();
            let line = error.strip_prefix("/c:").and_then(|rest| rest.split(':').next()?.parse().ok());
            let lines = 1 + text.iter().filter(|byte| **byte == b'\n').count();
            assert!(line.is_some_and(|line: usize| (1..=lines).contains(&line)), "{error}");
            assert!(!error.contains('\n'), "{error}");
        }
    });
}

#[test]
fn an_empty_file_guards_and_admits_nobody() {
    let config = parse("").unwrap();
    let compiled = Rules::compiled();
    assert_eq!(Rules { host: compiled.host.clone(), ..config.rules }, compiled);
    assert_eq!(config.paths.roster, Path::new("/var/lib/oncall-cache/roster.db"));
}

#[test]
fn names_are_beside_the_file_and_defaults_are_filled_in() {
    let text = format!(
        "[directory]\nfile = 'people.toml'\n{SOURCE}[[policy.rule]]\nname = 'db'\nschedules = ['pd/P1']\n"
    );
    let config = parse(&text).unwrap();
    assert!(
        matches!(&config.directory, Some(Directory::File(path)) if path == Path::new("/etc/authkeys/people.toml"))
    );
    let source = &config.oncall.sources[0];
    assert!(
        matches!(&source.provider, Provider::PagerDuty(PagerDuty { access: Access::Key(file), .. }) if file == Path::new("/etc/authkeys/t"))
    );
    let rule = &config.rules.rules[0];
    assert_eq!((rule.max_escalation_level, rule.hosts.len(), source.max_escalation_level), (1, 1, 1));
}

#[test]
fn an_app_keeps_its_token_beside_the_roster() {
    let text = "[oncall]\nproxy = 'http://proxy:3128'\n[[oncall.source]]\nname = 'eu'\nprovider = 'pagerduty'\n\
                    region = 'eu'\nteams = ['x']\n[oncall.source.oauth]\nclient_id = 'c'\nclient_secret_file = 's'\n\
                    subdomain = 'acme'\n[paths]\nroster = '/srv/roster.db'\n";
    let config = parse(text).unwrap();
    let Provider::PagerDuty(settings) = &config.oncall.sources[0].provider else { panic!("{config:?}") };
    let Access::OAuth(app) = &settings.access else { panic!("{settings:?}") };
    assert_eq!((&*settings.api, &*app.account), ("https://api.eu.pagerduty.com", "as_account-eu.acme"));
    assert_eq!(app.kept_in, Path::new("/srv/oauth-eu.json"));
    assert_eq!(settings.proxy.as_deref(), Some("http://proxy:3128"));
}

#[test]
fn mistakes_are_named_with_their_line() {
    for (text, expected) in [
        (
            "[policy]\n\nguarded_acounts = []",
            "3: unknown key `guarded_acounts`; did you mean `guarded_accounts`?",
        ),
        ("[polcy]", "1: unknown key `polcy`; did you mean `policy`?"),
        (
            "[policy]\nexempt_ttys = ['/dev/tty1']",
            "2: `/dev/tty1` is not a terminal; write tty1, without /dev/",
        ),
        (
            "[policy]\nhelp = \"call\\nus\"",
            "2: `help` is 1 to 200 bytes of printable ASCII, such as a page's address",
        ),
        ("[policy]\nmode = 'off'", "2: unknown variant `off`, expected `enforce` or `observe`"),
        (
            "[policy]\npam_services = ['sshd', 'cron']",
            "2: this release takes no decisions for service `cron`; it knows sshd, login, su, su-l, sudo, sudo-i, doas, polkit-1",
        ),
        (
            "[keys]\nmax_age = '1 day'",
            "2: `1 day` is not a duration; write a whole number and s, m, h or d: \"90s\", \"6h\"",
        ),
        ("[keys]\ncache_ttl = '2h'\nmax_age = '1h'", "2: cache_ttl (2h) is longer than max_age (1h)"),
        ("[keys]\ntimeout = '11s'", "2: timeout (11s) is longer than 10s: a login waits for it"),
        ("[directory]\nurls = []\nbase = 'dc=x'", "2: `urls` names no server"),
        ("[keys]\nmax_age = 5", "2: invalid type: integer `5`, expected a string"),
        (
            "[oncall]\nmax_age = '4d'",
            "2: max_age (4d) is longer than lookahead (3d); nothing is known beyond that",
        ),
        (
            "[policy]\nguarded_accounts = ['Root']",
            "2: `Root`: byte 1 (0x52) does not fit [a-z_][a-z0-9_.-]{0,31}",
        ),
        ("[[policy.rule]]\nname = 'x'\nschedules = ['pd/P1']", "3: no [[oncall.source]] is named `pd`"),
        (
            "[directory]\nurls = ['http://x']\nbase = 'dc=x'",
            "2: `http://x` is not an LDAP address; write ldaps://host or ldap://host, with :port if need be, ldapi://%2Fpath%2Fof%2Fsocket or srv://domain",
        ),
        (
            "[directory]\nbase = 'dc=x'",
            "1: [directory] needs `urls`, or `file = \"people.toml\"` for a directory in a file",
        ),
        (
            "[directory]\nurls = ['ldaps://a']\nbase = 'dc=x'\nbind_dn = 'cn=x'",
            "4: `bind_dn` without `bind_password_file`: servers treat that as an anonymous bind",
        ),
        (
            "[directory]\nurls = ['ldaps://a', 'srv://b.c']\nbase = 'dc=x'",
            "2: `srv://b.c` needs `srv_hosts`, the servers that DNS may name: [\"ldap*.example.com\"]",
        ),
        (
            "[directory]\nurls = ['srv://b.c']\nbase = 'dc=x'\nsrv_hosts = ['a.b.c', '*']",
            "4: `*` is not a host pattern; write a domain, with * or ? only before its first dot",
        ),
        (
            "[directory]\nurls = ['ldaps://a']\nbase = 'dc=x'\nsrv_hosts = ['a.b.c']",
            "4: `srv_hosts` only applies to srv://domain, which is not in `urls`",
        ),
        (
            "[directory]\nurls = ['ldapi://%2Fa', 'ldaps://a']\nbase = 'dc=x'\nbind = 'external'",
            "4: `bind = \"external\"` needs `client_cert_file` and `client_key_file`",
        ),
        (
            "[directory]\nurls = ['ldaps://a']\nbase = 'dc=x'\nbind = 'gssapi'",
            "4: unknown variant `gssapi`, expected `simple` or `external`",
        ),
        (
            "[directory]\nurls = ['ldaps://a']\nbase = 'dc=x'\nbind = 'external'",
            "4: `bind = \"external\"` needs `client_cert_file` and `client_key_file`",
        ),
        (
            "[directory]\nurls = ['ldaps://a']\nbase = 'dc=x'\nbind_dn = 'cn=x'\nbind = 'external'",
            "5: `bind = \"external\"` takes no name and password; remove those",
        ),
        (
            "[directory]\nurls = ['ldaps://a']\nbase = 'dc=x'\nclient_cert_file = 'c'",
            "4: `client_cert_file` without `client_key_file` proves nothing",
        ),
        (
            "[directory]\nurls = ['ldaps://a']\nbase = 'dc=x'\nclient_key_file = 'k'",
            "4: `client_key_file` without `client_cert_file`: the server cannot know whose key it is",
        ),
        (
            "[directory]\nfile = 'p'\nmax_removed = '20'",
            "3: `20` is not a share; write 0 to 100 and %: \"20%\"",
        ),
        (
            "[directory]\nurls = ['ldaps://a']\nbase = 'dc=x'\n[directory.attributes]\nuser = 'u)('",
            "5: `u)(` is not an attribute name: letters, digits and -, a letter first",
        ),
        (
            "[directory]\nurls = ['ldaps://a']\nbase = 'dc=x'\n[directory.disabled]\ntitle = []",
            "5: `title` lists no value, so it disables nobody; \"*\" is any",
        ),
        (
            "[directory]\nurls = ['ldaps://a']\nbase = 'dc=x'\neligible_group_by = 'uid'",
            "4: unknown variant `uid`, expected `member` or `memberOf`",
        ),
        ("a = ", "1: string values must be quoted, expected literal string"),
    ] {
        assert_eq!(complaint(text), expected, "{text}");
    }
    let rule = |schedule: &str| format!("{SOURCE}[[policy.rule]]\nname = 'x'\nschedules = ['{schedule}']");
    assert_eq!(
        complaint(&rule("pd/P2")),
        "8: source `pd` does not list `P2` in its `schedules`; did you mean `P1`?"
    );
    assert_eq!(complaint(&rule("P1")), "8: `P1` is not a schedule; write source/schedule");
    let unlisted = "[[oncall.source]]\nname = 'r'\nprovider = 'rota'\nfile = 'rota.toml'\n\
                        [[policy.rule]]\nname = 'x'\nschedules = ['r/*']";
    assert_eq!(
        complaint(unlisted),
        "7: source `r` lists no `schedules`, so `r/*` names none; list them there, or here one by one"
    );
}

#[test]
fn a_star_stands_for_every_schedule_that_the_source_lists() {
    let source = SOURCE.replace("['P1']", "['P1', 'web']\nescalation_policies = ['PEP1']\nteams = ['ops']");
    let named = |schedules: &str| {
        let text = format!("{source}[[policy.rule]]\nname = 'x'\nschedules = {schedules}");
        let config = Config::parse(Path::new("/etc/authkeys/config.toml"), text.as_bytes()).unwrap();
        config.rules.rules[0].schedules.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(named("['pd/*']"), ["pd/P1", "pd/web", "pd/PEP1", "pd/ops"]);
    assert_eq!(named("['pd/web', 'pd/*', 'pd/P1']"), ["pd/web", "pd/P1", "pd/PEP1", "pd/ops"]);
    assert_eq!(named("['pd/ops']"), ["pd/ops"]);
}

#[test]
fn sections_that_hide_or_contradict_each_other_are_refused() {
    for (text, expected) in [
        (format!("{SOURCE}{SOURCE}"), "7: a second [[oncall.source]] for `pd`; make one of them"),
        (
            "[[policy.shared_account]]\naccount = 'root'\n[[policy.shared_account]]\naccount = 'root'"
                .to_string(),
            "4: a second [[policy.shared_account]] for `root`; make one of them",
        ),
        (
            "[policy]\npam_services = []".to_string(),
            "2: `pam_services` is empty, so it has no effect; leave it out for the defaults",
        ),
        (
            "[directory]\nfile = 'people.toml'\nbind_dn = 'cn=x'".to_string(),
            "1: [directory] has `file` and settings of an LDAP server; set `urls`, or remove those",
        ),
        (format!("{SOURCE}file = 'x'"), "3: provider `pagerduty` has no setting `file`"),
        (format!("{SOURCE}timeout = '61s'"), "6: `timeout` of a source is at most 1m"),
        (
            format!(
                "{SOURCE}[oncall.source.oauth]\nclient_id = 'x'\nclient_secret_file = 's'\nsubdomain = 'acme'"
            ),
            "3: both `token_file` and [oncall.source.oauth]; keep one of them",
        ),
        (
            format!("{SOURCE}[[policy.rule]]\nname = 'x'\nhosts = []\nschedules = ['pd/P1']"),
            "9: `hosts` is empty, so the rule covers no host; leave it out for all",
        ),
    ] {
        assert_eq!(complaint(&text), expected, "{text}");
    }
}

const GLASS: &str = "[grant]\nid = 'acme'\n[[policy.grant]]\nname = 'x'\naccounts = ['root']\napprovers = ['carol']\nquorum = 0\n\
    people = ['bob']\nmax = '1h'\n";

#[test]
fn a_break_glass_rule_says_who_for_an_hour_and_who_reviews_it() {
    let rule = parse(GLASS).unwrap().rules.grants.remove(0);
    assert!(rule.is_break_glass() && !rule.always);
    assert!(parse(&format!("{GLASS}always = true")).unwrap().rules.grants[0].always);
    for (from, to, expected) in [
        ("'1h'", "'61m'", "9: `max` is at most 1h with `quorum = 0`"),
        (
            "people = ['bob']\n",
            "",
            "7: with `quorum = 0` nobody signs for another; name in `people` who may let themselves in",
        ),
        (
            "['bob']",
            "[]",
            "7: with `quorum = 0` nobody signs for another; name in `people` who may let themselves in",
        ),
        (
            "['bob']",
            "['bob', 'carol']",
            "6: nobody could review what carol does; name another approver in `approvers`, who reviews by this rule",
        ),
        ("quorum = 0", "quorum = 1", "8: `people` let themselves in, by a rule with `quorum = 0` alone"),
        (
            "quorum = 0\npeople = ['bob']",
            "quorum = 1\nalways = true",
            "8: `always` is for a rule with `quorum = 0`; leave it out",
        ),
        ("quorum = 0", "quorum = 3", "7: `quorum` is 1 or 2, or 0 for break-glass"),
    ] {
        assert_eq!(complaint(&GLASS.replace(from, to)), expected, "{to}");
    }
}

#[test]
fn what_is_open_when_a_right_ends_is_listed_unless_somebody_says_more() {
    let end = |text: &str| parse(&format!("[policy.end]\n{text}")).unwrap().end;
    assert_eq!(parse("").unwrap().end, End::default());
    let standard = End { action: EndAction::List, warn: Span::minutes(15), grace: Span::minutes(5) };
    assert_eq!(end("action = 'list'"), standard);
    assert_eq!(end("action = 'hangup'").action, EndAction::HangUp);
    assert_eq!(end("action = 'kill'").action, EndAction::Kill);
    let written = end("warn = '4h'\ngrace = '12h'");
    assert_eq!((written.warn, written.grace), (End::LONGEST_WARN, End::LONGEST_GRACE));
    for (text, expected) in [
        ("action = 'Kill'", "2: `Kill` is no action; write \"list\", \"hangup\" or \"kill\""),
        ("warn = '59s'", "2: `warn` is 1m to 4h: sessions are looked at every minute"),
        ("warn = '241m'", "2: `warn` is 1m to 4h: sessions are looked at every minute"),
        ("grace = '59s'", "2: `grace` is 1m to 12h: sessions are looked at every minute"),
        ("grace = '13h'", "2: `grace` is 1m to 12h: sessions are looked at every minute"),
        ("graze = '5m'", "2: unknown key `graze`; did you mean `grace`?"),
    ] {
        let told = complaint(&format!("[policy.end]\n{text}"));
        assert!(told.starts_with(expected), "{text}: {told}");
    }
}

/// With what it shows as comments.
fn uncommented(example: &str) -> String {
    let setting = |line: &&str| line.contains('=') || line.starts_with('[');
    let line = |line| str::strip_prefix(line, "# ").filter(setting).unwrap_or(line);
    example.replace("file = \"people.toml\"", "").lines().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_shipped_example_is_a_configuration() {
    let example = include_str!("../../../../packaging/examples/config.toml");
    let config = parse(example).unwrap();
    assert_eq!(config.rules.shared[0].people, Who::Everyone);
    // What it shows as comments holds as well.
    let other = uncommented(example);
    let config = parse(&other).unwrap();
    assert!(matches!(config.directory, Some(Directory::Ldap(_))));
    assert_eq!(config.oncall.sources.len(), 6);
    assert_eq!(config.keys.chain.len(), 2);
    assert_eq!(config.rules.automation[0].digests.len(), 2);
}

const CHAIN: &str =
    "[[keys.chain]]\nname = 'eic'\ncommand = ['/opt/eic', '%u', 'a%%b:%t %k/%f']\naccounts = ['ec2-*']\n";

#[test]
fn a_chained_command_is_read_into_pieces() {
    let chain = parse(CHAIN).unwrap().keys.chain;
    let text = |text: &str| Piece::Text(text.to_string());
    assert_eq!(
        chain[0].arguments,
        [
            vec![Piece::Account],
            vec![text("a%b:"), Piece::KeyType, text(" "), Piece::KeyBase64, text("/"), Piece::Fingerprint],
        ]
    );
    assert_eq!((chain[0].program.as_path(), chain[0].timeout), (Path::new("/opt/eic"), Span::seconds(2)));
    let covers = |name: &str| chain[0].covers(&Account::new(name).unwrap());
    assert!(covers("ec2-user") && !covers("ec2") && !covers("root") && !covers("xec2-user"));
    let empty = CHAIN.replace("'%u'", "''");
    assert_eq!(parse(&empty).unwrap().keys.chain[0].arguments[0], []);
}

#[test]
fn mistakes_in_a_chain_are_named_with_their_line() {
    let with = |old: &str, new: &str| complaint(&CHAIN.replace(old, new));
    assert_eq!(with("/opt/eic", "eic"), "3: `eic` is not an absolute path of a program");
    assert_eq!(with("/opt/eic", "/opt/%u"), "3: `/opt/%u` is not an absolute path of a program");
    for (token, said) in [("%h", "%h"), ("x%", "%"), ("%%%U", "%U")] {
        let expected = format!("3: `{said}` has no meaning here; %u, %t, %k, %f and %% do");
        assert_eq!(with("%u", token), expected);
    }
    assert_eq!(with("['ec2-*']", "[]"), "4: `accounts` is empty, so the command is never run");
    assert_eq!(with("ec2-*", "EC2"), "4: `EC2` is no account; a name, with * and ? if need be");
    assert_eq!(with("'eic'", "'e c'"), "2: a name has 1 to 32 letters, digits, - and _");
    assert_eq!(complaint(&CHAIN.repeat(2)), "6: a second [[keys.chain]] named `eic`");
    assert_eq!(
        complaint(&format!("{CHAIN}timeout = '6s'")),
        "5: timeout (6s) is longer than 5s: a login waits for it"
    );
    assert_eq!(with("['/opt/eic', '%u', 'a%%b:%t %k/%f']", "[]"), "3: chain `eic` names no command");
    assert_eq!(complaint(&CHAIN.replace("accounts = ['ec2-*']\n", "")), "1: missing field `accounts`");
    assert_eq!(
        complaint(&format!("{CHAIN}account = 'x'")),
        "5: unknown key `account`; did you mean `accounts`?"
    );
    assert_eq!(with("'%u'", "\"\\u0000\""), "3: an argument cannot contain a NUL");
}

#[test]
fn a_shared_account_names_everyone_on_call_or_a_list() {
    let shared = |people: &str| {
        let text = format!("[[policy.shared_account]]\naccount = 'root'\npeople = {people}");
        parse(&text).map(|config| config.rules.shared[0].people.clone())
    };
    assert_eq!(shared("'on-call'"), Ok(Who::Everyone));
    assert_eq!(shared("['alice']"), Ok(Who::Only(vec![Principal::new("alice").unwrap()])));
    for bad in ["'oncall'", "['Alice']", "7"] {
        assert!(shared(bad).is_err_and(|error| error.contains(":3: ")), "{bad}");
    }
}

#[test]
fn several_servers_keep_their_order_and_an_unwritten_cache_ttl_follows_max_age() {
    let config =
        parse("[directory]\nurls = ['ldaps://b', 'ldap://a']\nbase = 'dc=x'\n[keys]\nmax_age = '1m'")
            .unwrap();
    let Some(Directory::Ldap(ldap)) = &config.directory else { panic!("LDAP it is") };
    let urls: Vec<_> = ldap.urls.iter().map(ToString::to_string).collect();
    assert_eq!(urls, ["ldaps://b:636", "ldap://a:389"]);
    assert_eq!(config.keys.cache_ttl, Span::minutes(1));
}

#[test]
fn a_copy_of_eligible_people_is_not_one_of_everybody() {
    let scope = |source: &str| {
        let config =
            parse(&format!("[directory]\nfile = 'people.toml'\n[keys]\nsource = '{source}'")).unwrap();
        config.copy_scope(config.directory.as_ref().unwrap())
    };
    assert_ne!(scope("copy"), scope("live"));
}

#[test]
fn a_filter_is_one_and_a_base_is_somewhere() {
    let problem = |base: &str, filter: &str| {
        let text = format!("[directory]\nurls = ['ldaps://a']\nbase = '{base}'\nfilter = '{filter}'\n");
        parse(&text).err().map(|error| error.to_string()).unwrap_or_default()
    };
    for good in ["(a=b)", "(&(a=b)(|(c=d)(!(e=f))))", "(cn=a\\28b)"] {
        assert_eq!(problem("dc=x", good), "", "{good}");
    }
    for bad in ["(a=b)(c=d)", "(a=b", "((a=b)", "(a=b))", "()(", "(a=b))(c=d)"] {
        assert!(problem("dc=x", bad).contains(":4:"), "{bad}: {}", problem("dc=x", bad));
    }
    for bad in ["", " "] {
        assert!(problem(bad, "(a=b)").contains("`base` is empty"), "{bad:?}");
        let text = format!("[directory]\nurls = ['ldaps://a']\nbase = 'dc=x'\neligible_group = '{bad}'\n");
        let told = parse(&text).unwrap_err().to_string();
        assert!(
            told.contains(":4: `eligible_group` is empty; write the group's DN, or leave it out"),
            "{told}"
        );
    }
}

#[test]
fn what_a_copy_is_tied_to_names_everything_that_is_asked() {
    let ldap = "[directory]\nurls = ['ldaps://a']\nbase = 'dc=x'\n";
    let scope = |more: &str| {
        parse(&format!("{ldap}{more}")).unwrap().directory.map(|directory| directory.scope()).unwrap()
    };
    let plain = scope("");
    assert!(
        plain.ends_with("by=member user=uid keys=sshPublicKey mail=mail disabling_locks=permanent"),
        "{plain}"
    );
    for more in [
        "filter = '(a=b)'",
        "eligible_group = 'cn=x'",
        "eligible_group_by = 'memberOf'",
        "nested_groups = true",
        "[directory.attributes]\nuser = 'sAMAccountName'",
        "[directory.attributes]\nkeys = 'altSecurityIdentities'",
        "[directory.disabled]\nemployeeType = ['former']",
        "disabling_locks = 'any'",
    ] {
        assert_ne!(scope(more), plain, "{more}");
    }
    assert_eq!(scope("max_removed = '5%'\ntimeout = '9s'\nfull_refresh = '1h'"), plain);
    assert_eq!(parse("").unwrap().max_removed, 20);
    assert_eq!(parse(&format!("{ldap}max_removed = '5%'")).unwrap().max_removed, 5);
}

#[test]
fn no_rule_is_about_the_door_for_grants() {
    let grant = "[[policy.grant]]\nname = 'n'\napprovers = ['a']\nquorum = 1\nmax = '1h'\naccounts = ['oncall-grant']\n[grant]\nid = 's'\n";
    for (text, line) in [
        ("[policy]\nexempt_accounts = ['breakglass', 'oncall-grant']\n", 2),
        ("[policy]\nguarded_accounts = ['oncall-grant']\n", 2),
        ("[[policy.shared_account]]\naccount = 'oncall-grant'\n", 2),
        (
            "[[policy.automation]]\naccount = 'oncall-grant'\nservices = ['sudo']\nowner = 'x'\nreason = 'y'\nuntil = 2027-06-30\n",
            2,
        ),
        (grant, 6),
    ] {
        let told = complaint(text);
        assert!(
            told.starts_with(&format!("{line}: `oncall-grant` takes grants and does nothing else")),
            "{told}"
        );
        assert!(parse(&text.replace("oncall-grant", "other")).is_ok(), "{text}");
    }
}

#[test]
fn an_authority_is_one_whole_key_named_once() {
    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIK/OeWvFcMsjGk2gjZ0vGchZrrb/gHMSUZZ3rHYb/3X6";
    let written = |keys: &[&str]| format!("[policy]\ncertificate_authorities = {keys:?}\n");
    let authorities = parse(&written(&[&format!("{KEY} user-ca")])).unwrap().rules.certificate_authorities;
    let [authority] = authorities.as_slice() else { panic!("{authorities:?}") };
    assert_eq!(
        (authority.key.as_str(), key::fingerprint(authority.digest).as_str()),
        (KEY, "SHA256:qAKMBbrLVYSl931fLeiW+AWbMr1KAIV/YMJoTmeD174")
    );
    let certificate = KEY.replace("ssh-ed25519 ", "ssh-ed25519-cert-v01@openssh.com ");
    for bad in [
        "",
        "user-ca.pub",
        "SHA256:qAKMBbrLVYSl931fLeiW+AWbMr1KAIV/YMJoTmeD174",
        &certificate,
        &format!("cert-authority {KEY}"),
    ] {
        let told = complaint(&written(&[bad]));
        assert!(told.starts_with("2: not the key of a certificate authority: "), "{bad}: {told}");
    }
    assert!(complaint(&written(&[KEY, KEY])).contains("lists this key twice"));
}
