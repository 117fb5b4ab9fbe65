use super::*;

const SECRET: &str = "s3cr3t-hunter2";

const JSON: &str = r#"{
  "BaseDN": "ou=people,dc=example,dc=com",
  "DialTimeout": 7,
  "KeyAttribute": "sshPublicKey",
  "LDAPServer": "ldap.example.com",
  "LDAPPort": 389,
  "RootCAFile": "/etc/ssl/certs/example-ca.pem",
  "UserAttribute": "uid",
  "BindDN": "uid=authkeys,ou=services,dc=example,dc=com",
  "BindPW": "s3cr3t-hunter2"
}
"#;

const OLAK: &str = r#"---
ldap:
  basedn: ou=people,dc=example,dc=com
  default_realm: EXAMPLE.COM
  use_dns_srv: yes
  server_uri: ldaps://ldap.example.com/
  authdn: "cn=openssh,ou=Service Accounts,dc=example,dc=com"
  authpw: s3cr3t-hunter2
  timeout: 15
  filters:
    user: (objectClass=posixAccount)
    group: (objectClass=posixGroup)
  group_membership: dn
  attributes:
    username: uid
    ssh_key: sshKey
    user_disabled: {attribute: userAccountControl, op: and, value: 2}
tls:
  require: allow
  ca_file: /etc/pki/example.pem
  ca_dir: /etc/pki/certs
cache:
  lifetime: 900
  allow_stale_cache_on_failure: true
output:
  username_env_var: OLAK_USER
logging:
  to_stderr: false
  colour: [a, b]
"#;

const SSSD: &str = "\
[sssd]
services = nss, pam, ssh
domains = example.com

[domain/example.com]
; the directory
id_provider = ldap
access_provider = ldap
ldap_uri = ldaps://ldap1.example.com, ldaps://ldap2.example.com
ldap_backup_uri = ldaps://far.example.com
ldap_search_base = dc=example,dc=com
ldap_user_search_base = ou=people,dc=example,dc=com?subtree?(active=TRUE)
ldap_default_bind_dn = cn=sssd,ou=services,dc=example,dc=com
ldap_default_authtok_type = password
ldap_default_authtok = s3cr3t-hunter2
ldap_tls_cacert = /etc/ssl/certs/example-ca.pem
ldap_tls_reqcert = allow
ldap_id_use_start_tls = true
ldap_user_name = uid
ldap_user_ssh_public_key = sshKey
ldap_user_email = mailbox
ldap_access_order = filter, expire
ldap_access_filter = memberOf=cn=ops,ou=groups,dc=example,dc=com
entry_cache_timeout = 600
cache_credentials = True
ldap_default_authtokk = s3cr3t-hunter2

[ssh]
ssh_hash_known_hosts = false
";

const NSLCD: &str = "\
# /etc/nslcd.conf
uid nslcd
gid nslcd
uri ldap://ldap1.example.com ldap://ldap2.example.com/
URI\tldap://ldap3.example.com
base dc=example,dc=com
base   passwd ou=people,dc=example,dc=com
base group ou=groups,dc=example,dc=com
binddn cn=nslcd,ou=services,dc=example,dc=com
bindpw s3cr3t-hunter2
rootpwmodpw s3cr3t-hunter2
ssl start_tls
tls_reqcert demand
tls_cacertfile /etc/ssl/certs/example-ca.pem
filter passwd (&(objectClass=posixAccount)(active=TRUE))
map passwd uid sAMAccountName
map group member uniqueMember
pam_authz_search (&(objectClass=posixAccount)(uid=$username)(host=db1))
bindpwd s3cr3t-hunter2
timelimit 30
";

const SAMPLES: [(&str, &str, Format); 4] = [
    ("authkeys.json", JSON, Format::AuthkeysJson),
    ("olak.yml", OLAK, Format::Olak),
    ("sssd.conf", SSSD, Format::Sssd),
    ("nslcd.conf", NSLCD, Format::Nslcd),
];

fn imported(text: &str) -> String {
    match translate("FILE", text.as_bytes(), None) {
        Ok(imported) => imported.text,
        Err(problem) => panic!("{}: {}", problem.line, problem.text),
    }
}

fn complaint(text: &str, format: Format) -> String {
    let problem = translate("FILE", text.as_bytes(), Some(format)).unwrap_err();
    format!("{}: {}", problem.line, problem.text)
}

fn ldap(text: &str) -> host::config::Ldap {
    match Config::parse(Path::new(DEFAULT_PATH), text.as_bytes()).unwrap().directory {
        Some(host::config::Directory::Ldap(ldap)) => *ldap,
        other => panic!("{other:?}"),
    }
}

/// Is `line` there, as a setting or as one that is still to come?
#[track_caller]
fn has(text: &str, line: &str) {
    let there = |have: &str| have.strip_prefix("# ").unwrap_or(have).ends_with(line);
    assert!(text.lines().any(there), "{line}\n--\n{text}");
}

#[track_caller]
fn has_note(text: &str, line: usize, part: &str) {
    let start = format!("# FILE:{line}: ");
    let there = |have: &str| have.starts_with(&start) && have.contains(part);
    assert!(text.lines().any(there), "{start}{part}\n--\n{text}");
}

#[test]
fn formats_are_told_by_their_content() {
    for (_, text, format) in SAMPLES {
        assert_eq!(detect(text).ok(), Some(format));
    }
    for (text, part) in [
        ("", "cannot tell"),
        ("hello world", "cannot tell"),
        ("{\"ldap\": 1}", "cannot tell"),
        ("ldap:\n  x: 1\nuri ldap://a\n", "could be olak or nslcd"),
        ("ldap:\n[domain/x]\n", "could be olak or sssd"),
    ] {
        let problem = detect(text).unwrap_err();
        assert!(problem.text.contains(part) && problem.text.contains("--format"), "{text}: {}", problem.text);
    }
}

#[test]
fn passwords_are_named_by_their_line_and_never_repeated() {
    for ((name, text, format), line) in SAMPLES.into_iter().zip([10, 8, 15, 10]) {
        let out = translate("FILE", text.as_bytes(), Some(format)).unwrap().text;
        assert!(!out.contains(SECRET), "{name}: {out}");
        has_note(&out, line, "the password is in this line and is not copied");
        has(&out, "bind_password_file = \"bind-password\"");
    }
    // Not even by a complaint, whatever is wrong with the line.
    for (text, format) in [
        (format!("\"{SECRET}\""), Format::AuthkeysJson),
        (format!("{{\"BindPW\": \"{SECRET}\" x"), Format::AuthkeysJson),
        (format!("{{\"BindPW\": [\"{SECRET}\"]}}"), Format::AuthkeysJson),
        (format!("ldap:\n  authpw: \"{SECRET}\n  x: y"), Format::Olak),
        (format!("ldap:\n  authpw: {SECRET}\n  authpw: {SECRET}2"), Format::Olak),
        (format!("ldap:\n  authpw: {SECRET}: x"), Format::Olak),
        (format!("[domain/x]\n{SECRET}\n"), Format::Sssd),
        (format!("bindpw\n{SECRET}\n"), Format::Nslcd),
    ] {
        let said = complaint(&text, format);
        assert!(!said.contains(SECRET), "{said}");
    }
}

#[test]
fn every_line_becomes_a_setting_or_a_comment() {
    // Lines that say nothing, or are taken as they are meant here anyway.
    let silent = [
        "{",
        "}",
        "---",
        "#",
        ";",
        "ldap:",
        "tls:",
        "cache:",
        "output:",
        "logging:",
        "  filters:",
        "  attributes:",
        "services",
        "domains",
        "ssh_hash",
        "id_provider = ldap",
        "access_provider = ldap",
        "ldap_id_use_start_tls",
        "ldap_default_authtok_type = password",
        "ssl start_tls",
        "tls_reqcert demand",
        "username: uid",
        "ldap_user_name = uid",
        "\"LDAPPort\"",
        "\"KeyAttribute\"",
        "\"UserAttribute\"",
    ];
    for (name, text, format) in SAMPLES {
        let out = translate("FILE", text.as_bytes(), Some(format)).unwrap().text;
        for (line, content) in (1..).zip(text.lines()) {
            let value =
                content.rsplit(['=', ':', ' ', '\t', '/']).find(|part| part.len() > 3).unwrap_or(content);
            let value = value.trim_matches(['"', ',', ')', '(', ' ']);
            let settles = silent.iter().any(|word| content.trim_start().starts_with(word.trim_start()));
            assert!(
                content.is_empty()
                    || settles
                    || out.contains(&format!("FILE:{line}:"))
                    || out.contains(value),
                "{name}:{line}: {content}\n--\n{out}"
            );
        }
    }
}

#[test]
fn the_go_program_s_json_becomes_a_directory() {
    let out = imported(JSON);
    let ldap = ldap(&out);
    assert_eq!(ldap.base, "ou=people,dc=example,dc=com");
    assert_eq!(ldap.bind_dn.as_deref(), Some("uid=authkeys,ou=services,dc=example,dc=com"));
    assert_eq!(ldap.ca_file, Path::new("/etc/ssl/certs/example-ca.pem"));
    assert_eq!(ldap.filter, "(sshPublicKey=*)");
    has(&out, "urls = [\"ldap://ldap.example.com:389\"]");
    has_note(&out, 3, "`DialTimeout = 7`");
    // Go does not look at the case of names; a key attribute of another name; no name to bind with.
    let other = imported(
        "{\"basedn\":\"dc=x\",\n\"LdapServer\":\"h\",\n\"KeyAttribute\":\"sshKey\",\n\"BindPW\":\"p\",\n\"New\":{\"a\":[]}}",
    );
    has(&other, "filter = \"(sshKey=*)\"");
    has(&other, "keys = \"sshKey\"");
    has_note(&other, 2, "no LDAPPort");
    has_note(&other, 4, "without a bind name");
    has_note(&other, 5, "`New` is an unknown setting");
}

#[test]
fn json_that_is_none_is_refused_with_its_line() {
    let json = |text: &str| complaint(text, Format::AuthkeysJson);
    assert!(json("{\n\"BaseDN\": \"\",\n}").starts_with("3: trailing comma; fix it"));
    assert!(json("[]").starts_with("1: not a JSON object"));
    assert!(json("{\"BaseDN\":\"a\",\n\"basedn\":\"b\"}").starts_with("2: BaseDN is also in line 1"));
    assert!(json("{\n\"LDAPPort\": [389]}").starts_with("2: LDAPPort is a text or a number"));
    assert!(json("{\"KeyAttribute\": \"a)(b\"}").starts_with("1: not the name of an LDAP attribute"));
    let deep = format!("{{\"BaseDN\": {}", "[".repeat(400_000));
    assert!(json(&deep).starts_with("1: "));
    let many: Vec<_> = (0..20_000).map(|i| format!("\"k{i}\":1")).collect();
    assert!(json(&format!("{{{}}}", many.join(","))).contains("more than 10000 settings"));
}

#[test]
fn olak_becomes_a_directory() {
    let out = imported(OLAK);
    let ldap = ldap(&out);
    assert_eq!(ldap.urls[0].to_string(), "ldaps://ldap.example.com:636");
    assert_eq!(
        ldap.filter,
        "(&(objectClass=posixAccount)(sshKey=*)(!(userAccountControl:1.2.840.113556.1.4.803:=2)))"
    );
    assert_eq!(ldap.bind_dn.as_deref(), Some("cn=openssh,ou=Service Accounts,dc=example,dc=com"));
    has(&out, "keys = \"sshKey\"");
    for (line, part) in [
        (4, "ldap.default_realm = EXAMPLE.COM"),
        (5, "srv://DOMAIN"),
        (12, "eligible_group"),
        (17, "disabled people are not copied"),
        (19, "always required"),
        (21, "cat"),
        (23, "timer"),
        (26, "OLAK_USER"),
    ] {
        has_note(&out, line, part);
    }
    assert!(out.contains("the authmap beside it is not read"));
    let bare = imported("ldap:\n  basedn: dc=x\n  server_uri: ldap://h\n  authdn: ~\n  authpw: null\n");
    has(&bare, "filter = \"(&(objectClass=posixAccount)(sshPublicKey=*))\"");
    assert!(!bare.contains("bind_dn"), "{bare}");
}

#[test]
fn yaml_beyond_a_plain_file_is_refused_with_its_line() {
    let yaml = |text: &str| complaint(text, Format::Olak);
    assert!(yaml("ldap:\n  a: 1\nldap:\n  b: 2").starts_with("3: a key that is set twice"));
    assert!(yaml("a: &x [1]\nldap: *x").starts_with("2: a YAML alias"));
    assert!(yaml("ldap: !!python/object x").starts_with("1: a YAML tag"));
    assert!(yaml("ldap: {}\n---\nldap: {}").contains("a second document"));
    assert!(yaml("ldap:\n\t- x: [").contains("not YAML"));
    assert!(yaml("just text").contains("no mapping"));
    assert!(yaml("? [a]\n: b").contains("keys are plain words"));
    for deep in [
        "[".repeat(500_000),
        "- ".repeat(500_000),
        "{a: ".repeat(200_000),
        format!("ldap: {}", "[".repeat(500)),
    ] {
        assert!(!yaml(&deep).is_empty());
    }
    assert!(yaml(&format!("ldap: [{}]", "1,".repeat(30_000))).contains("more than 10000 settings"));
    assert!(yaml("ldap:\n  filters:\n    user: (a=b").starts_with("3: not an LDAP filter"));
}

#[test]
fn a_domain_of_sssd_becomes_a_directory() {
    let out = imported(SSSD);
    let ldap = ldap(&out);
    assert_eq!(ldap.base, "ou=people,dc=example,dc=com");
    assert_eq!(
        ldap.filter,
        "(&(objectClass=posixAccount)(active=TRUE)(memberOf=cn=ops,ou=groups,dc=example,dc=com))"
    );
    has(
        &out,
        "urls = [\"ldaps://ldap1.example.com\", \"ldaps://ldap2.example.com\", \"ldaps://far.example.com\"]",
    );
    has(&out, "keys = \"sshKey\"");
    has(&out, "mail = \"mailbox\"");
    for (line, part) in [
        (1, "[sssd] is only for sssd"),
        (11, "there is another base for people"),
        (17, "always checked"),
        (22, "keep pam_sss"),
        (23, "became part of `filter`"),
        (24, "timer"),
        (26, "`ldap_default_authtokk` is an unknown setting"),
        (28, "[ssh]"),
    ] {
        has_note(&out, line, part);
    }
}

#[test]
fn sssd_is_read_as_sssd_reads_it() {
    let domain = "[domain/A]\nid_provider = ldap\nldap_uri = ldap://a\nldap_search_base = dc=x\n";
    let twice =
        imported(&format!("{domain}LDAP_URI=ldaps://b\nldap_uri =\n[domain/a]\nldap_user_name = cn\n"));
    has(&twice, "urls = [\"ldaps://b\"]");
    has(&twice, "user = \"cn\"");
    has_note(&twice, 3, "is set again in line 5");
    let plain = imported(domain);
    assert!(plain.contains("always means StartTLS"), "{plain}");
    let closed = imported(&format!("{domain}access_provider = ldap\n"));
    assert!(closed.contains("sssd lets nobody in"));
    let idle = imported(&format!("{domain}ldap_access_filter = (a=b)\nldap_default_authtok = x\n"));
    assert_eq!(ldap(&idle).filter, "(objectClass=posixAccount)");
    has_note(&idle, 5, "had no effect");
    let ad = imported(&format!("{domain}ldap_schema = AD\n"));
    has(&ad, "keys = \"altSecurityIdentities\"");
    has(&ad, "filter = \"(&(objectClass=user)(!(objectClass=computer)))\"");
    let sssd = |text: &str| complaint(text, Format::Sssd);
    assert!(sssd(&format!("{domain}[domain/b]\nx=1")).starts_with("1: several domains, in lines 1, 5"));
    assert!(!imported(&format!("{domain}[domain/b]\nenabled = false")).is_empty());
    assert!(sssd("[nss]\nx = 1").contains("no [domain/NAME]"));
    assert!(sssd("[domain/x").starts_with("1: a section without"));
    assert!(sssd("x = 1").starts_with("1: a setting before"));
    assert!(sssd("[domain/x]\n\nrubbish").starts_with("3: neither"));
}

#[test]
fn nslcd_becomes_a_directory() {
    let out = imported(NSLCD);
    let ldap = ldap(&out);
    assert_eq!(ldap.base, "ou=people,dc=example,dc=com");
    assert_eq!(ldap.filter, "(&(objectClass=posixAccount)(active=TRUE))");
    has(
        &out,
        "urls = [\"ldap://ldap1.example.com\", \"ldap://ldap2.example.com\", \"ldap://ldap3.example.com\"]",
    );
    has(&out, "user = \"sAMAccountName\"");
    for (line, part) in [
        (2, "authkeys-sync runs as authkeys-sync"),
        (6, "there is another base for people"),
        (8, "nslcd still serves"),
        (11, "not shown"),
        (17, "nslcd still serves"),
        (18, "pam_authz_search"),
        (19, "`bindpwd` is an unknown setting"),
        (20, "timeout"),
    ] {
        has_note(&out, line, part);
    }
    let two = imported("uri ldapi:///\nuri ldap://h\nbase dc=a\nbase dc=b\nssl off\n");
    has_note(&two, 1, "this address has no counterpart");
    has_note(&two, 4, "one of several");
    has_note(&two, 5, "TLS cannot be switched off");
    assert!(complaint("uri ldap://h\nbase", Format::Nslcd).starts_with("2: not a keyword"));
}

#[test]
fn a_directory_that_is_not_complete_is_commented_out() {
    for (text, missing) in [
        ("{\"LDAPServer\": \"h\", \"LDAPPort\": 389}", "base"),
        ("{\"BaseDN\": \"dc=x\"}", "urls"),
        ("[domain/x]\nid_provider = ad\nad_server = dc1.example.com\n", "urls and base"),
        ("uri DNS\nbase DOMAIN\n", "urls and base"),
    ] {
        let out = translate("FILE", text.as_bytes(), None).unwrap();
        assert_eq!(out.missing, Some(missing));
        assert!(
            out.text.contains(&format!("\n# Commented out until {missing} is filled in")),
            "{}",
            out.text
        );
        let is_setting = |line: &&str| !line.is_empty() && !line.starts_with('#');
        let settings: Vec<&str> = out.text.lines().filter(is_setting).collect();
        assert!(
            matches!(settings[..], ["[policy]", mode] if mode.starts_with("mode = \"observe\"")),
            "{}",
            out.text
        );
    }
}

#[test]
fn hostile_values_stay_inside_their_string_or_comment() {
    let evil = "dc=\\\"]\\n[policy]\\nguarded_accounts = []\\n#\\u202e\\u0000é😀";
    let json = format!(
        "{{\"BaseDN\":\"{evil}\",\"LDAPServer\":\"h\",\"LDAPPort\":1,\"x\\n[policy]\":1,\"BindDN\":\"a\\\"\\nb\"}}"
    );
    let out = translate("a\n[policy]", json.as_bytes(), None).unwrap().text;
    let is_setting = |line: &&str| line.starts_with("[policy]") || line.starts_with("accounts");
    assert_eq!(out.lines().filter(is_setting).collect::<Vec<_>>(), ["[policy]"], "{out}");
    assert_eq!(ldap(&out).base, "dc=\"]\n[policy]\nguarded_accounts = []\n#\u{202e}\u{0}é😀");
    let sssd = format!("[domain/x\"]\nldap_uri = ldap://h\nldap_search_base = {}\n", "o=é\"\\'".repeat(1000));
    assert_eq!(ldap(&imported(&sssd)).base, "o=é\"\\'".repeat(1000));
    let injected = "uri ldap://h\"]\nuri ldap://a b@c\nuri ldap://ok\nbase \"\"\"\nmystery\u{1b}[2J x\n";
    assert!(complaint(injected, Format::Nslcd).starts_with("5: "));
    let latin = translate("FILE", b"uri ldap://h\nbase o=\xe9\n", None).unwrap_err();
    assert_eq!((latin.line, latin.text.contains("iconv")), (2, true));
    let odd = imported("{\"BaseDN\":\"dc=x\",\"LDAPServer\":\"h\",\"BindDN\":\"cn=x\",\"BindPW\":\"pä\"}");
    has_note(&odd, 1, "other than printable ASCII");
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let missing = import(Path::new("/nonexistent/x.conf"), None).unwrap_err().to_string();
    assert!(missing.starts_with("/nonexistent/x.conf: "), "{missing}");
    let endless = import(Path::new("/dev/zero"), None).unwrap_err().to_string();
    assert!(endless.contains("larger than"), "{endless}");
}

#[test]
fn a_name_whose_beginning_is_known_stays_in_its_comment() {
    let key = r#""x\n[[policy.rule]]\nname = 'all'\nschedules = ['a/b']\n#": 1"#;
    let text = imported(&OLAK.replace("to_stderr: false", key));
    assert!(!text.contains("\n[[policy.rule]]"), "{text}");
    assert!(text.contains("`logging.x{U+000A}[[policy.rule]]{U+000A}name"), "{text}");
    let text = imported(&SSSD.replace("cache_credentials", "krb5_\u{7f}x"));
    assert!(text.contains("`krb5_{U+007F}x = True`"), "{text}");
}

#[test]
fn an_attribute_that_no_configuration_can_name_is_refused_with_its_line() {
    for name in ["sam_account", "1.2.840.113556.1.4.221", "uid;binary", "-uid"] {
        let error = complaint(&NSLCD.replace("sAMAccountName", name), Format::Nslcd);
        assert!(error.starts_with("16: `[directory.attributes]` takes a plain name"), "{name}: {error}");
    }
}

/// What is written is a configuration whatever was read, one comment or setting a line, and not endless.
fn is_sound(text: &[u8], format: Option<Format>) {
    match translate("FILE", text, format) {
        Ok(Imported { text: written, .. }) => {
            assert!(Config::parse(Path::new(DEFAULT_PATH), written.as_bytes()).is_ok(), "{written}");
            assert!(!written.contains(|c: char| c.is_control() && c != '\n'), "{written:?}");
            let lines = text.iter().filter(|byte| matches!(byte, b'\n' | b'\r' | b',')).count();
            assert!(written.len() <= 16 * text.len() + 1024 * (lines + 16), "{} bytes", written.len());
        }
        Err(problem) => {
            assert!(!problem.text.contains("fault of oncall-cache"), "{}", problem.text);
            assert!(!problem.text.contains('\n') && problem.text.len() < 1024, "{}", problem.text);
        }
    }
}

#[test]
fn whatever_is_read_comes_to_a_configuration_or_a_complaint() {
    let words = [
        "\n",
        "\r\n",
        "ldap://",
        "ldaps://[::1]:636",
        "(&(a=b)",
        ")",
        "\\",
        "{",
        "}",
        "[domain/x]\n",
        "- ",
        "&a ",
        "*a",
        "!!",
        "? ",
        "---\n",
        "null",
        "\u{2028}",
        "uri ",
        "\"BaseDN\":",
        "'",
        "#",
        "ldap_uri = ",
        "\u{feff}",
    ];
    for (_, sample, format) in SAMPLES {
        let others: Vec<&[u8]> = SAMPLES.iter().map(|(_, other, _)| other.as_bytes()).collect();
        mutate::each(&[sample.as_bytes()], &words, 1_500, |text| is_sound(text, Some(format)));
        mutate::each(&others, &words, 500, |text| is_sound(text, Some(format)));
    }
    let all: Vec<&[u8]> = SAMPLES.iter().map(|(_, sample, _)| sample.as_bytes()).collect();
    mutate::each(&all, &words, 1_000, |text| is_sound(text, None));
}

#[test]
fn large_files_of_one_thing_take_no_time() {
    let of = |piece: &str| piece.repeat(LARGEST as usize / piece.len()).into_bytes();
    let pieces = [
        "[",
        "{",
        "\"",
        "a: ",
        "- ",
        "a:\n ",
        "? ",
        "&a ",
        "{\"a\":",
        "[domain/x]\n",
        "a = b\n",
        "uri ldap://h\n",
        "ldap_uri = ldap://h,",
        "(",
        "\\",
        "#\n",
        "\n",
        "a",
        "{a: ",
    ];
    for (_, _, format) in SAMPLES {
        for piece in pieces {
            let text = of(piece);
            let begun = [&b"ldap:\n  basedn: "[..], &text].concat();
            mutate::each(&[&text, &begun], &[], 0, |text| is_sound(text, Some(format)));
        }
    }
}
