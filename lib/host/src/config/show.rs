//! The configuration as it holds, every default filled in, for `oncall-cache config show`.
//!
//! It is a configuration again, and the same one. Each part of the model is taken apart by its fields' names, so
//! that a new setting which is not written here does not compile. Secrets are the names of their files.

use std::path::Path;

use key::{PublicKey, fingerprint};
use policy::{
    AgeLimit, Ages, Automation, Digest, GroupRule, Host, Mode, Names, Rule, Rules, Shared, Span, Who,
};
use toml::{Table, Value};

use super::{
    Access, Attributes, Chained, Config, Directory, Exec, Guards, KeyAccounts, KeyRule, Keys, KeysMode, Ldap,
    Mark, OAuth, OnCall, PagerDuty, Paths, Piece, Provider, Source,
};

/// A table of what has a value.
fn table<'k>(entries: impl IntoIterator<Item = (&'k str, Option<Value>)>) -> Option<Value> {
    let set = entries.into_iter().filter_map(|(key, value)| Some((key.to_string(), value?)));
    Some(Value::Table(set.collect::<Table>()))
}

fn list<T>(items: impl IntoIterator<Item = T>, show: impl Fn(T) -> Option<Value>) -> Option<Value> {
    Some(Value::Array(items.into_iter().filter_map(show).collect()))
}

fn text(text: impl ToString) -> Option<Value> {
    Some(Value::String(text.to_string()))
}

fn file(path: &Path) -> Option<Value> {
    text(path.display())
}

fn number<N: TryInto<i64>>(number: N) -> Option<Value> {
    number.try_into().ok().map(Value::Integer)
}

fn flag(flag: bool) -> Option<Value> {
    Some(Value::Boolean(flag))
}

fn share(percent: u8) -> Option<Value> {
    text(format_args!("{percent}%"))
}

/// A whole number of the largest unit that leaves no rest.
fn span(span: Span) -> Option<Value> {
    let seconds = span.as_seconds();
    let (length, unit) = [(86_400, 'd'), (3_600, 'h'), (60, 'm')]
        .into_iter()
        .find(|(length, _)| seconds % length == 0)
        .unwrap_or((1, 's'));
    text(format_args!("{}{unit}", seconds / length))
}

fn show_names(names: &Names) -> Option<Value> {
    let Names { strip, fold_case } = names;
    table([("strip", list(strip, |affix| text(affix.as_str()))), ("fold_case", flag(*fold_case))])
}

impl Config {
    /// Every setting with its value, as config.toml writes them.
    pub fn effective(&self) -> Value {
        let Self { path: _, text: _, directory, max_shrink, keys, oncall, rules, groups, paths } = self;
        let Paths { keys: copy, roster, lookups, revoked: _, audit } = paths;
        let Host { name, labels } = &rules.host;
        let show_paths = table([
            ("keys", file(copy)),
            ("roster", file(roster)),
            ("lookups", file(lookups)),
            ("audit", file(audit)),
        ]);
        let sections = table([
            ("host", table([("name", text(name)), ("labels", list(labels, text))])),
            ("directory", directory.as_ref().and_then(|directory| show_directory(directory, *max_shrink))),
            ("keys", show_keys(keys)),
            ("oncall", show_oncall(oncall)),
            ("policy", show_policy(rules)),
            ("names", show_names(&rules.names)),
            ("nss", table([("group", list(groups, show_group))])),
            ("paths", show_paths),
        ]);
        sections.unwrap_or(Value::Table(Table::new()))
    }
}

fn show_directory(directory: &Directory, max_shrink: u8) -> Option<Value> {
    let ldap = match directory {
        Directory::File(path) => return table([("file", file(path)), ("max_shrink", share(max_shrink))]),
        Directory::Ldap(ldap) => ldap.as_ref(),
    };
    let Ldap {
        urls,
        srv_hosts,
        base,
        bind,
        bind_dn,
        bind_password_file,
        client,
        ca_file,
        filter,
        eligible_group,
        membership,
        nested_groups,
        referrals,
        attributes,
        disabled,
        lockout,
        deadline,
        full_refresh,
        fold_case: _,
    } = ldap;
    let Attributes { user, keys, mail } = attributes;
    let mark = |Mark { attribute, values }: &Mark| (attribute.clone(), list(values, text));
    let marks: Vec<(String, Option<Value>)> = disabled.iter().map(mark).collect();
    table([
        ("urls", list(urls, text)),
        // May only be written where a URL asks DNS.
        ("srv_hosts", (!srv_hosts.is_empty()).then(|| list(srv_hosts, text)).flatten()),
        ("base", text(base)),
        ("bind", text(bind)),
        ("bind_dn", bind_dn.as_ref().and_then(text)),
        ("bind_password_file", bind_password_file.as_deref().and_then(file)),
        ("client_cert_file", client.as_ref().and_then(|client| file(&client.certificate))),
        ("client_key_file", client.as_ref().and_then(|client| file(&client.key))),
        ("ca_file", file(ca_file)),
        ("filter", text(filter)),
        ("eligible_group", eligible_group.as_ref().and_then(text)),
        ("eligible_group_by", text(membership)),
        ("nested_groups", Some(Value::Boolean(*nested_groups))),
        ("referrals", text(referrals)),
        ("attributes", table([("user", text(user)), ("keys", text(keys)), ("mail", text(mail))])),
        ("lockout", text(lockout)),
        ("disabled", table(marks.iter().map(|(name, values)| (name.as_str(), values.clone())))),
        ("deadline", span(*deadline)),
        ("full_refresh", span(*full_refresh)),
        ("max_shrink", share(max_shrink)),
    ])
}

fn show_keys(keys: &Keys) -> Option<Value> {
    let Keys { mode, fresh_for, stale_for, deadline, rules, chain } = keys;
    let mode = match mode {
        KeysMode::Replica => "replica",
        KeysMode::Lookup => "lookup",
    };
    table([
        ("mode", text(mode)),
        ("fresh_for", span(*fresh_for)),
        ("stale_for", span(*stale_for)),
        ("deadline", span(*deadline)),
        ("rule", list(rules, show_key_rule)),
        ("chain", list(chain, show_chained)),
    ])
}

fn show_key_rule(rule: &KeyRule) -> Option<Value> {
    let KeyRule {
        number: _,
        accounts,
        restrict,
        allow,
        from,
        expiry,
        verify_required,
        sk_only,
        types,
        min_rsa_bits,
    } = rule;
    let KeyAccounts { all, shared, names } = accounts;
    let names = names.iter().map(|name| name.as_str()).chain(all.then_some("*"));
    table([
        ("accounts", list(names, text)),
        ("shared", flag(*shared)),
        ("restrict", flag(*restrict)),
        // These two may only be written where they say something.
        ("allow", restrict.then(|| list(allow, |word| text(word.word()))).flatten()),
        ("from", (!from.is_empty()).then(|| list(from, |pattern| text(pattern.as_str()))).flatten()),
        ("expiry", expiry.and_then(span)),
        ("verify_required", flag(*verify_required)),
        ("sk_only", flag(*sk_only)),
        ("types", types.as_ref().and_then(|types| list(types, text))),
        ("min_rsa_bits", min_rsa_bits.and_then(number)),
    ])
}

fn show_chained(chained: &Chained) -> Option<Value> {
    let Chained { name, program, arguments, accounts, deadline } = chained;
    let written = |pieces: &Vec<Piece>| pieces.iter().map(show_piece).collect::<String>();
    let command = std::iter::once(program.display().to_string()).chain(arguments.iter().map(written));
    table([
        ("name", text(name)),
        ("command", list(command, text)),
        ("accounts", list(accounts, text)),
        ("deadline", span(*deadline)),
    ])
}

fn show_piece(piece: &Piece) -> String {
    match piece {
        Piece::Text(text) => text.replace('%', "%%"),
        Piece::Account => "%u".to_string(),
        Piece::KeyType => "%t".to_string(),
        Piece::KeyBase64 => "%k".to_string(),
        Piece::Fingerprint => "%f".to_string(),
    }
}

fn show_oncall(oncall: &OnCall) -> Option<Value> {
    let OnCall { lookahead, ages: Ages { all, sources: _ }, proxy, sources } = oncall;
    let AgeLimit { warn_age, max_age } = *all;
    table([
        ("warn_age", span(warn_age)),
        ("max_age", span(max_age)),
        ("lookahead", span(*lookahead)),
        ("proxy", proxy.as_ref().and_then(text)),
        ("source", list(sources, |source| show_source(source, oncall))),
    ])
}

fn show_source(source: &Source, oncall: &OnCall) -> Option<Value> {
    let Source { name, provider, schedules, max_level, people, guards, guards_of } = source;
    let ages = oncall.ages.sources.get(name);
    let all = ages.map_or(oncall.ages.all, |ages| ages.all);
    let of = |id: &str| ages.and_then(|ages| ages.schedules.get(id)).copied().unwrap_or(all);
    let own = guards_of.iter().map(|(id, guards)| (id.as_str(), table(show_limits(guards, of(id)))));
    let mut entries = vec![
        ("name", text(name)),
        ("schedules", list(schedules, text)),
        ("max_level", number(*max_level)),
        ("people", table(people.iter().map(|(user, person)| (user.as_str(), text(person.as_str()))))),
        ("schedule", table(own)),
    ];
    entries.extend(show_limits(guards, all));
    entries.extend(show_provider(provider));
    table(entries)
}

fn show_limits(guards: &Guards, ages: AgeLimit) -> [(&'static str, Option<Value>); 5] {
    let Guards { allow_empty, max_oncall, max_change } = guards;
    let AgeLimit { warn_age, max_age } = ages;
    [
        ("allow_empty", flag(*allow_empty)),
        ("max_oncall", number(*max_oncall)),
        ("max_change", share(*max_change)),
        ("warn_age", span(warn_age)),
        ("max_age", span(max_age)),
    ]
}

fn show_provider(provider: &Provider) -> Vec<(&'static str, Option<Value>)> {
    let mut entries = match provider {
        Provider::Rota(path) | Provider::File(path) => vec![("file", file(path))],
        Provider::Exec(Exec { command, deadline }) => {
            vec![("command", list(command, text)), ("deadline", span(*deadline))]
        }
        Provider::PagerDuty(settings) => show_pagerduty(settings),
    };
    entries.push(("provider", text(provider.word())));
    entries
}

fn show_pagerduty(settings: &PagerDuty) -> Vec<(&'static str, Option<Value>)> {
    // The proxy is [oncall]'s.
    let PagerDuty { api, access, policies, teams, ca_file, deadline, proxy: _ } = settings;
    let mut entries = vec![
        ("api", text(api)),
        ("policies", list(policies, text)),
        ("teams", list(teams, text)),
        ("ca_file", file(ca_file)),
        ("deadline", span(*deadline)),
    ];
    match access {
        Access::Key(path) => entries.push(("token_file", file(path))),
        Access::OAuth(app) => {
            let OAuth { identity, client_id, client_secret_file, account, kept_in: _ } = app.as_ref();
            let account = account.strip_prefix("as_account-").unwrap_or(account);
            let (region, subdomain) = account.split_once('.').unwrap_or(("us", account));
            entries.push(("region", text(region)));
            entries.push((
                "oauth",
                table([
                    ("identity", text(identity)),
                    ("client_id", text(client_id)),
                    ("client_secret_file", file(client_secret_file)),
                    ("subdomain", text(subdomain)),
                ]),
            ));
        }
    }
    entries
}

fn show_policy(rules: &Rules) -> Option<Value> {
    let Rules {
        host: _,
        accounts,
        groups,
        services,
        exempt_accounts,
        exempt_ttys,
        rules,
        shared,
        automation,
        mode,
        help,
        ages: _,
        names: _,
    } = rules;
    let mode = match mode {
        Mode::Enforce => "enforce",
        Mode::Observe => "observe",
    };
    table([
        ("mode", text(mode)),
        ("help", help.as_ref().and_then(text)),
        ("exempt_ttys", list(exempt_ttys, text)),
        ("accounts", list(accounts, |account| text(account.as_str()))),
        ("groups", list(groups, text)),
        ("services", list(services, text)),
        ("exempt_accounts", list(exempt_accounts, |account| text(account.as_str()))),
        ("rule", list(rules, show_rule)),
        ("shared", list(shared, show_shared)),
        ("automation", list(automation, show_automation)),
    ])
}

fn show_rule(rule: &Rule) -> Option<Value> {
    let Rule { name, hosts, schedules, max_level } = rule;
    table([
        ("name", text(name)),
        ("hosts", list(hosts, text)),
        ("schedules", list(schedules, text)),
        ("max_level", number(*max_level)),
    ])
}

fn show_shared(shared: &Shared) -> Option<Value> {
    let Shared { account, principals, explain } = shared;
    let principals = match principals {
        Who::Everyone => text("on-call"),
        Who::Only(people) => list(people, |person| text(person.as_str())),
    };
    table([("account", text(account.as_str())), ("principals", principals), ("explain", flag(*explain))])
}

fn show_group(group: &GroupRule) -> Option<Value> {
    let GroupRule { name, gid, rules } = group;
    table([("name", text(name)), ("gid", number(gid.get())), ("rules", list(rules, text))])
}

fn show_automation(automation: &Automation) -> Option<Value> {
    let Automation { number: _, account, digests, keys, from, services, owner, reason, until } = automation;
    let given: Vec<Digest> = keys
        .iter()
        .filter_map(|line| PublicKey::parse(line.as_bytes()).ok())
        .map(|key| key.sha256())
        .collect();
    let named = digests.iter().filter(|digest| !given.contains(digest));
    table([
        ("account", text(account.as_str())),
        ("fingerprints", list(named, |digest| text(fingerprint(*digest)))),
        ("keys", list(keys, text)),
        // An entry without a key has none, and an empty list is one that lets nobody in.
        ("from", if from.is_empty() { None } else { list(from, |pattern| text(pattern.as_str())) }),
        ("services", list(services, text)),
        ("owner", text(owner)),
        ("reason", text(reason)),
        ("until", until.to_string().parse().ok().map(Value::Datetime)),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    const PATH: &str = "/etc/authkeys/config.toml";

    /// `text` as it holds, and as it holds once it has been shown.
    fn twice(text: &str) -> (Config, Config) {
        let parse = |text: &str| {
            let config = Config::parse(Path::new(PATH), text.as_bytes());
            let config = config.unwrap_or_else(|error| panic!("{error}\n{text}"));
            // How it was written is none of what it says.
            Config { text: Vec::new(), ..config }
        };
        let first = parse(text);
        let shown = toml::to_string(&first.effective()).unwrap();
        let second = parse(&shown);
        (first, second)
    }

    fn stays_the_same(text: &str) {
        let (first, second) = twice(text);
        assert_eq!(format!("{first:#?}"), format!("{second:#?}"));
    }

    /// Every setting, none with its default.
    const EVERYTHING: &str = r#"
[host]
name = "db1"
labels = ["role=db", "a\"b"]
[directory]
urls = ["ldap://[::1]:3890", "ldaps://ldap.example.com", "ldapi://%2Frun%2Fslapd%2Fldapi", "srv://example.com"]
srv_hosts = ["ldap*.example.com"]
base = "dc=x"
bind = "simple"
client_cert_file = "cert.pem"
client_key_file = "key.pem"
bind_dn = "cn=x"
bind_password_file = "secret"
ca_file = "ca.pem"
filter = "(uid=*)"
eligible_group = "cn=g"
eligible_group_by = "memberOf"
nested_groups = true
referrals = "ignore"
attributes = { user = "sAMAccountName", keys = "altSecurityIdentities", mail = "proxyAddresses" }
disabled = { employeeType = ["former", "*"], title = ["x"] }
lockout = "any"
deadline = "61s"
full_refresh = "90m"
max_shrink = "7%"
[keys]
mode = "lookup"
fresh_for = "999999d"
stale_for = "999999d"
deadline = "10s"
[[keys.rule]]
accounts = ["*", "alice"]
shared = true
restrict = true
allow = ["pty", "X11-forwarding"]
from = ["10.0.0.0/8", "2001:db8::1", "*.example.com"]
expiry = "25h"
verify_required = true
sk_only = true
types = ["ssh-rsa"]
min_rsa_bits = 3072
[[keys.chain]]
name = "eic"
command = ["/opt/eic", "%u", "a%%b:%t %k/%f", ""]
accounts = ["ec2-*"]
deadline = "4s"
[oncall]
warn_age = "2h"
max_age = "20h"
lookahead = "96h"
proxy = "http://proxy:3128"
[[oncall.source]]
name = "pd"
provider = "pagerduty"
region = "eu"
token_file = "t"
schedules = ["P1", "SRE primary"]
policies = ["E1"]
teams = ["T1"]
max_level = 3
people = { PUALICE = "alice", "x@y.z" = "bob" }
ca_file = "pd.pem"
deadline = "59s"
allow_empty = true
max_oncall = 7
max_change = "33%"
warn_age = "3h"
max_age = "21h"
[oncall.source.schedule.P1]
allow_empty = false
max_oncall = 2
max_change = "9%"
warn_age = "4h"
max_age = "22h"
[oncall.source.schedule."SRE primary"]
max_age = "1h"
[[oncall.source]]
name = "app"
provider = "pagerduty"
api = "https://pd.example.com"
region = "eu"
schedules = ["P1"]
oauth = { client_id = "id", client_secret_file = "s", subdomain = "acme-x", identity = "https://id.example.com" }
[[oncall.source]]
name = "rota"
provider = "rota"
file = "rota.toml"
[[oncall.source]]
name = "exec"
provider = "exec"
command = ["/opt/rota", "--json"]
deadline = "5s"
[[oncall.source]]
name = "json"
provider = "file"
file = "/srv/rota.json"
[policy]
mode = "observe"
help = "https://wiki.example.com/root"
exempt_ttys = ["ttyS1"]
accounts = ["root", "toor"]
groups = []
services = ["sudo"]
exempt_accounts = ["breakglass"]
[[policy.rule]]
name = "db"
hosts = ["db*", "label:role=db"]
schedules = ["pd/SRE primary", "rota/anything"]
max_level = 2
[[policy.rule]]
name = "all"
schedules = ["exec/x"]
[[policy.shared]]
account = "root"
principals = ["alice", "bob"]
explain = false
[[policy.shared]]
account = "deploy"
[[policy.automation]]
account = "backup"
fingerprints = ["SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"]
keys = ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIK/OeWvFcMsjGk2gjZ0vGchZrrb/gHMSUZZ3rHYb/3X6"]
from = ["10.0.0.0/8"]
services = ["sshd", "sudo"]
owner = "platform team"
reason = "backups"
until = 2027-06-30
[[nss.group]]
name = "oncall"
gid = 9100
rules = ["db", "*"]
[paths]
keys = "/srv/keys.db"
roster = "roster.db"
lookups = "/srv/lookups.db"
audit = "/srv/decisions.jsonl"
"#;

    #[test]
    fn what_is_shown_is_the_same_configuration() {
        let example = include_str!("../../../../packaging/examples/config.toml");
        let commented = example
            .replace("file = \"people.toml\"", "")
            .lines()
            .map(|line| {
                line.strip_prefix("# ")
                    .filter(|rest| rest.contains('=') || rest.starts_with('['))
                    .unwrap_or(line)
            })
            .collect::<Vec<_>>()
            .join("\n");
        for text in ["", example, &commented, EVERYTHING] {
            stays_the_same(text);
        }
        stays_the_same(
            "[oncall]\nmax_age = '30m'\n[[oncall.source]]\nname = 'r'\nprovider = 'rota'\nfile = 'r'",
        );
        stays_the_same("[keys]\nstale_for = '90s'\n[directory]\nfile = 'people.toml'\nmax_shrink = '0%'");
    }

    #[test]
    fn everything_is_shown() {
        let keys = |text: &str| -> BTreeSet<String> {
            let key = |line: &str| line.split_once(" = ").map(|(key, _)| key.trim_matches('"').to_string());
            text.lines().filter_map(key).collect()
        };
        let (config, _) = twice(EVERYTHING);
        // Tables that EVERYTHING writes on one line have sections of their own.
        let mut shown = keys(&toml::to_string(&config.effective()).unwrap());
        shown.extend(["attributes", "disabled", "people", "oauth"].map(String::from));
        let missing: Vec<String> = keys(EVERYTHING).difference(&shown).cloned().collect();
        assert_eq!(missing, [""; 0]);
    }

    #[test]
    fn secrets_are_the_names_of_their_files() {
        let (config, _) = twice(EVERYTHING);
        let shown = toml::to_string(&config.effective()).unwrap();
        assert!(shown.contains("bind_password_file = \"/etc/authkeys/secret\""), "{shown}");
        assert!(shown.contains("token_file = \"/etc/authkeys/t\""), "{shown}");
    }
}
