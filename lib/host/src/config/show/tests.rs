use super::super::kinds;
use super::super::references::{Kind, references};
use super::*;
use std::collections::BTreeSet;
use std::path::PathBuf;

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
[fleet]
id = "example"
urls = ["https://store.example.com/authkeys", "file:///srv/fleet"]
signers = "signers"
signatures = 2
freshness = "90s"
epoch = 3
ca_file = "store.pem"
header_file = "store-header"
revoked_age = "10m"
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
disabling_locks = "any"
timeout = "61s"
full_refresh = "90m"
max_removed = "7%"
[keys]
source = "live"
cache_ttl = "999999d"
max_age = "999999d"
timeout = "10s"
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
timeout = "4s"
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
escalation_policies = ["E1"]
teams = ["T1"]
max_escalation_level = 3
people = { PUALICE = "alice", "x@y.z" = "bob" }
ca_file = "pd.pem"
timeout = "59s"
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
incident_services = ["PSVC1"]
oauth = { client_id = "id", client_secret_file = "s", subdomain = "acme-x", identity = "https://id.example.com" }
[[oncall.source]]
name = "rota"
provider = "rota"
file = "rota.toml"
unverified = true
[[oncall.source]]
name = "exec"
provider = "exec"
command = ["/opt/rota", "--json"]
timeout = "5s"
[[oncall.source]]
name = "json"
provider = "file"
file = "/srv/rota.json"
[[oncall.source]]
name = "cal"
provider = "icalendar"
url_file = "calendar-url"
time_zone = "Europe/Berlin"
person = "On call: {}"
late = "flag"
ca_file = "cal.pem"
timeout = "7s"
[[oncall.source]]
name = "cal2"
provider = "icalendar"
file = "/srv/rota.ics"
schedules = ["second"]
[[oncall.source]]
name = "group"
provider = "ldap-group"
group = "cn=oncall,dc=x"
bind_dn = "cn=reader"
bind_password_file = "group-secret"
urls = ["ldaps://other.example.com"]
ca_file = "group-ca.pem"
timeout = "8s"
[[oncall.source]]
name = "central"
provider = "fleet"
schedules = ["P9"]
max_oncall = 4
[oncall.source.schedule.P9]
max_oncall = 3
[policy]
mode = "observe"
help = "https://wiki.example.com/root"
exempt_ttys = ["ttyS1"]
guarded_accounts = ["root", "toor"]
privileged_groups = []
pam_services = ["sudo"]
exempt_accounts = ["breakglass"]
certificate_authorities = ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOOWMfc6yUzuisJIfOnh+Oz1OzGva7v3yae0CiYmGIVR ca"]
[policy.end]
action = "list"
warn = "20m"
grace = "6m"
[[policy.rule]]
name = "db"
hosts = ["db*", "label:role=db"]
schedules = ["pd/SRE primary", "rota/anything"]
max_escalation_level = 2
claim = true
incident = { source = "pd", services = ["PSVC1", "PSVC2"], linger = "20m", max_open = "12h", known_for = "20m", on_unknown = "refuse" }
[[policy.rule]]
name = "all"
schedules = ["exec/x"]
[[policy.shared_account]]
account = "root"
people = ["alice", "bob"]
explain_refusals = false
[[policy.shared_account]]
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
[grant]
copy_age = "5d"
[[policy.rego]]
file = "narrow.rego"
query = "data.authkeys.keep"
hosts = ["db*", "label:role=db"]
on_error = "drop"
sha256 = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
[[policy.grant]]
name = "db-night"
hosts = ["db*", "label:role=db"]
accounts = ["root", "postgres"]
approvers = ["alice", "carol"]
quorum = 2
max = "3h"
[[policy.grant]]
name = "glass"
hosts = ["db*"]
accounts = ["root"]
approvers = ["alice", "carol"]
quorum = 0
people = ["bob", "carol"]
always = true
max = "50m"
[[nss.group]]
name = "oncall"
gid = 9100
rules = ["db", "*"]
[[nss.group]]
name = "granted"
gid = 9101
grants = true
[paths]
keys = "/srv/keys.db"
roster = "state/roster.db"
lookups = "/srv/lookups.db"
audit = "/srv/decisions.jsonl"
"#;

const GRANT: &str =
    "[[policy.grant]]\nname = 'x'\naccounts = ['root']\napprovers = ['eve']\nquorum = 1\nmax = '1h'\n";

#[test]
fn what_is_shown_is_the_same_configuration() {
    let example = include_str!("../../../../../packaging/examples/config.toml");
    let commented = example
        .replace("file = \"people.toml\"", "")
        .lines()
        .map(|line| {
            line.strip_prefix("# ").filter(|rest| rest.contains('=') || rest.starts_with('[')).unwrap_or(line)
        })
        .collect::<Vec<_>>()
        .join("\n");
    for text in ["", example, &commented, EVERYTHING] {
        stays_the_same(text);
    }
    stays_the_same("[oncall]\nmax_age = '30m'\n[[oncall.source]]\nname = 'r'\nprovider = 'rota'\nfile = 'r'");
    stays_the_same(
        "[fleet]\nid = 'e'\nurls = ['https://h']\n[directory]\nfleet = true\n[keys]\nmax_age = '2h'",
    );
    stays_the_same(&format!("[grant]\nid = 'acme'\n{GRANT}"));
    stays_the_same("[keys]\nmax_age = '90s'\n[directory]\nfile = 'people.toml'\nmax_removed = '0%'");
}

#[test]
fn everything_is_shown() {
    let keys = |text: &str| -> BTreeSet<String> {
        let key = |line: &str| line.split_once(" = ").map(|(key, _)| key.trim_matches('"').to_string());
        text.lines().filter_map(key).collect()
    };
    let (config, _) = twice(EVERYTHING);
    // Tables that EVERYTHING writes on one line have separate sections.
    let mut shown = keys(&toml::to_string(&config.effective()).unwrap());
    shown.extend(["attributes", "disabled", "people", "oauth", "incident"].map(String::from));
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

/// A setting that names a file, and that `config check` and the doctor would not look up, is forgotten here.
#[test]
fn every_file_that_a_setting_names_is_looked_up() {
    let (config, _) = twice(EVERYTHING);
    let beside = |name: &str| Path::new(PATH).with_file_name(name);
    let looked_up: BTreeSet<PathBuf> = references(EVERYTHING.as_bytes())
        .into_iter()
        .filter(|one| matches!(one.kind, Kind::File | Kind::Secret))
        .map(|one| beside(&one.name))
        .filter(|path| path.starts_with("/etc/authkeys"))
        .collect();
    // What the programs write themselves.
    let Paths { keys, roster, lookups, revoked, audit, grants: _, broken: _ } = &config.paths;
    // What root writes beside it.
    let Grants { signers, revoked: grants, .. } = config.grants.as_ref().unwrap();
    let tokens = beside("state/oauth-app.json");
    let calendars = [beside("state/calendar-cal.json"), beside("state/calendar-cal2.json")];
    let fleet = config.fleet.as_deref().unwrap();
    let fleets = [&fleet.mirror, &fleet.mark, &fleet.revoked];
    let own: Vec<_> = [&config.path, keys, roster, lookups, revoked, audit, &tokens, signers, grants]
        .into_iter()
        .chain(fleets)
        .chain(&calendars)
        .collect();
    let shown = format!("{config:?}");
    let named = shown.split("\"/etc/authkeys/").skip(1).filter_map(|rest| rest.split('"').next()).map(beside);
    let named: BTreeSet<PathBuf> = named.filter(|path| !own.contains(&path)).collect();
    assert!(named.len() > 5, "{named:?}");
    assert_eq!(named, looked_up);
}

/// The settings below `section` of what is shown, each as `SECTION KEY`.
fn settings(section: &str, value: &Value, found: &mut BTreeSet<String>) {
    let entries = value.as_table().into_iter().flatten();
    for (key, value) in entries {
        let inner = if section.is_empty() { key.clone() } else { format!("{section}.{key}") };
        let own = match value {
            // Their keys are the site's own: ids of users, attributes, ids of schedules.
            Value::Table(_) if inner == "oncall.source.people" => format!("{section} {key}"),
            Value::Table(_) if inner == "directory.disabled" => format!("{inner} ATTRIBUTE"),
            Value::Table(ids) if inner == "oncall.source.schedule" => {
                ids.values().for_each(|limits| settings(&inner, limits, found));
                continue;
            }
            Value::Table(_) => {
                settings(&inner, value, found);
                continue;
            }
            Value::Array(items) if items.iter().any(Value::is_table) => {
                items.iter().for_each(|item| settings(&inner, item, found));
                continue;
            }
            _ => format!("{section} {key}"),
        };
        found.insert(own);
    }
}

/// The rows of the tables in docs/configuration.md, in the same form. The first cell of a table's head is the sections that
/// it is about, in backquotes. Those of collector.toml come last, and are its own to compare.
fn documented() -> BTreeSet<String> {
    let (mut sections, mut found) = (Vec::new(), BTreeSet::new());
    let page = include_str!("../../../../../docs/configuration.md");
    let (page, _) = page.split_once("\n## collector.toml\n").expect("the collector's settings come last");
    for line in page.lines().filter(|line| !line.starts_with("|---")) {
        let Some(cell) = line.strip_prefix("| `").and_then(|rest| rest.split("` | ").next()) else {
            sections.clear();
            continue;
        };
        if line.ends_with(" | default | meaning |") {
            sections = cell.split("`, `").map(|it| it.trim_matches(['[', ']']).replace(".ID", "")).collect();
        }
        let is_row = !cell.starts_with('[');
        found.extend(sections.iter().filter(|_| is_row).map(|section| format!("{section} {cell}")));
    }
    found
}

#[test]
fn each_setting_has_a_row_in_the_page_and_each_row_a_setting() {
    let mut known = BTreeSet::new();
    let fleet = "[fleet]\nid = 'e'\nurls = ['https://h']\n[directory]\nfleet = true\n[keys]\nmax_age = '2h'";
    settings("", &twice(EVERYTHING).0.effective(), &mut known);
    for text in ["[directory]\nfile = 'people.toml'", fleet] {
        settings("directory", &twice(text).0.effective()["directory"], &mut known);
    }
    let site = format!("[grant]\nid = 'acme'\n{GRANT}");
    settings("grant", &twice(&site).0.effective()["grant"], &mut known);
    known.insert("oncall.source oauth".to_string());
    known.insert("policy.rule incident".to_string());
    let of_services = kinds::SERVICES.iter().flat_map(|kind| kind.settings);
    known.extend(of_services.map(|setting| format!("oncall.source {}", setting.name)));
    let rows = documented();
    assert_eq!(
        known.difference(&rows).collect::<Vec<_>>(),
        [""; 0],
        "without a row in docs/configuration.md"
    );
    assert_eq!(rows.difference(&known).collect::<Vec<_>>(), [""; 0], "no setting that `config show` knows");
}
