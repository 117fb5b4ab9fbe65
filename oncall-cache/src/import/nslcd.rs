//! `nslcd.conf` of nss-pam-ldapd: a keyword and its arguments on each line.
//!
//! nslcd serves accounts and no SSH keys, so what is imported is the way to the directory and who
//! the people are. `uri` and `base` may occur several times, and all of them count.

use super::directory::{Attribute, ImportedDirectory, last_wins};
use super::setting::{Problem, Setting, advice, few_enough};

const OWN: &str = "is about accounts (NSS, PAM), which nslcd still serves";

/// What is known and has no counterpart.
const ADVICE: &[(&str, &str)] = &[
    ("threads", "nslcd's own"),
    ("uid", "the user of nslcd; authkeys-sync runs as authkeys-sync"),
    ("gid", "the group of nslcd; authkeys-sync runs as authkeys-sync"),
    ("log", "always the system's log; there is no setting"),
    ("ldap_version", "version 3, always"),
    ("deref", "aliases are not followed"),
    ("referrals", "referrals are not followed; name the server that has the people in `urls`"),
    ("bind_timelimit", "it limited the connection; here `timeout` limits a whole sync (60s)"),
    ("timelimit", "it limited one search; here `timeout` limits a whole sync (60s)"),
    ("idle_timelimit", "authkeys-sync keeps no connection open"),
    ("reconnect_*", "a failed sync is repeated by its timer; the copy is used until then"),
    ("tls_cacertdir", "join its files into one (cat) and name that in `ca_file`"),
    ("tls_randfile", "not needed"),
    ("tls_ciphers", "not needed: TLS 1.2 and 1.3 with strong ciphers only"),
    (
        "tls_cert",
        "set `client_cert_file` and `client_key_file`; with `bind = \"external\"` it is also the identity",
    ),
    (
        "tls_key",
        "set `client_cert_file` and `client_key_file`; with `bind = \"external\"` it is also the identity",
    ),
    ("tls_crlcheck", "revocation lists are not read; use short-lived certificates for the directory"),
    ("tls_crlfile", "revocation lists are not read; use short-lived certificates for the directory"),
    (
        "sasl_*",
        "only a bind by name and password or by client certificate (`bind = \"external\"`); no Kerberos",
    ),
    (
        "krb5_ccname",
        "only a bind by name and password or by client certificate (`bind = \"external\"`); no Kerberos",
    ),
    (
        "use_sasl",
        "only a bind by name and password or by client certificate (`bind = \"external\"`); no Kerberos",
    ),
    ("pagesize", "500, always"),
    ("cache", "the copy is used until it is older than `[keys] max_age` (24h)"),
    (
        "pam_authz_search",
        "a condition that pam_ldap checks at login: keep its account line; put what also applies to keys into `filter`",
    ),
    ("pam_*", OWN),
    ("nss_*", OWN),
    ("rootpwmoddn", OWN),
    ("validnames", "names are always [a-z_][a-z0-9_.-]{0,31}"),
    ("ignorecase", "names are always compared exactly"),
    ("scope", "searches always cover the whole subtree; narrow `base`"),
];

/// Does `text` name a server the way nslcd does, and a base or nothing but keywords?
pub fn resembles(text: &str) -> bool {
    let keyword = |word: &str| {
        text.lines().any(|line| {
            let mut words = line.split_ascii_whitespace();
            words.next().is_some_and(|first| first.eq_ignore_ascii_case(word))
                && words.next().is_some_and(|second| second != "=" && second != ":")
        })
    };
    keyword("uri") && !text.lines().any(|line| line.trim_start().starts_with('['))
}

/// Understands `text`.
pub fn read(text: &str) -> Result<ImportedDirectory, Problem> {
    let mut draft = ImportedDirectory::default();
    let settings = last_wins(settings(text)?, &["uri", "base", "pam_authz_search", "scope"], &mut draft);
    for setting in &settings {
        take(&mut draft, setting)?;
    }
    take_base(&mut draft, &settings);
    if !settings.iter().any(|setting| setting.name == "filter passwd") {
        draft.filter(0, "(objectClass=posixAccount)")?;
    }
    let said = settings.iter().any(|s| s.name == "ssl" && (s.is_on() || s.value == "start_tls"));
    if draft.begins_without_tls() && !said {
        draft.note(
            0,
            "nslcd used no TLS with ldap://; here ldap:// always means StartTLS, so the server needs a certificate",
        );
    }
    draft.note(
        0,
        "nslcd serves no SSH keys: authkeys replaces what AuthorizedKeysCommand in sshd_config runs now",
    );
    Ok(draft)
}

fn take(draft: &mut ImportedDirectory, setting: &Setting) -> Result<(), Problem> {
    match setting.name.as_str() {
        "uri" => setting.value.split_ascii_whitespace().for_each(|url| draft.server(setting.line, url)),
        "base" | "base passwd" => {}
        "binddn" => draft.bind_dn(setting),
        "bindpw" => draft.password(setting),
        "rootpwmodpw" => {
            draft.note(setting.line, "`rootpwmodpw` is only for nslcd, and its value is not shown")
        }
        "tls_cacertfile" => draft.ca_file(setting),
        "ssl" => take_ssl(draft, setting),
        "tls_reqcert" if matches!(setting.value.as_str(), "demand" | "hard") => {}
        "tls_reqcert" | "tls_checkpeer" => {
            draft.has_none(setting, "the server's certificate is always checked, by `ca_file`");
        }
        "filter passwd" => draft.filter(setting.line, &setting.value)?,
        "map passwd uid" => draft.attribute(Attribute::User, setting)?,
        name if ["filter ", "map ", "base ", "scope "].iter().any(|word| name.starts_with(word)) => {
            draft.has_none(setting, OWN);
        }
        name => match advice(ADVICE, name) {
            Some(advice) => draft.has_none(setting, advice),
            None => draft.unknown(setting),
        },
    }
    Ok(())
}

fn take_ssl(draft: &mut ImportedDirectory, setting: &Setting) {
    if setting.value.eq_ignore_ascii_case("start_tls") {
        return;
    }
    let advice = if setting.is_on() {
        "for TLS from the first byte write ldaps:// in `urls`; ldap:// means StartTLS"
    } else {
        "TLS cannot be switched off: ldap:// means StartTLS, so the server needs a certificate"
    };
    draft.has_none(setting, advice);
}

/// The bases of people, else those of everything; there can be one only.
fn take_base(draft: &mut ImportedDirectory, settings: &[Setting]) {
    let named = |name: &str| settings.iter().filter(|s| s.name == name).collect::<Vec<_>>();
    let (own, general) = (named("base passwd"), named("base"));
    let (used, unused) = if own.is_empty() { (general, own) } else { (own, general) };
    for setting in unused {
        draft.has_none(setting, "not used: there is another base for people");
    }
    match used.as_slice() {
        [one] if one.value.eq_ignore_ascii_case("domain") => {
            draft.has_none(one, "not derived from the host's domain; write the DN into `base`");
        }
        [one] => draft.base(one),
        several => {
            for setting in several {
                draft.has_none(setting, "one of several bases; write a DN above all of them into `base`");
            }
        }
    }
}

fn settings(text: &str) -> Result<Vec<Setting>, Problem> {
    let mut settings = Vec::new();
    for (line, content) in (1..).zip(text.lines()) {
        let content = content.trim();
        if content.is_empty() || content.starts_with('#') {
            continue;
        }
        few_enough(settings.len(), line)?;
        let (keyword, rest) = word(content);
        if rest.is_empty() || !is_keyword(keyword) {
            return Err(Problem::new(line, "not a keyword with an argument; see nslcd.conf(5)"));
        }
        settings.push(setting(&keyword.to_ascii_lowercase(), rest, line));
    }
    Ok(settings)
}

/// Names what concerns one map, or one attribute of it, in full: `map passwd uid`.
fn setting(keyword: &str, rest: &str, line: usize) -> Setting {
    let (map, after) = word(rest);
    let (attribute, mapped) = word(after);
    let (name, value) = match keyword {
        "filter" => (format!("filter {map}"), after),
        "map" => (format!("map {map} {attribute}"), mapped),
        "base" | "scope" if !after.is_empty() && is_keyword(map) => (format!("{keyword} {map}"), after),
        _ => (keyword.to_string(), rest),
    };
    Setting { name, value: value.to_string(), line }
}

fn word(text: &str) -> (&str, &str) {
    let (first, rest) = text.split_once([' ', '\t']).unwrap_or((text, ""));
    (first, rest.trim_start())
}

fn is_keyword(text: &str) -> bool {
    text.len() <= 32 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}
