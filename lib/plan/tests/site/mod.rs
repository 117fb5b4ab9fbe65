//! A policy, an inventory and a rota, for tests of plans.

use std::path::Path;

use host::Config;
use plan::{Inventory, Plan, Question, Rota};
use policy::{OneLine, Principal, Roster, Schedule, ScheduleRef, Shift, Span, Timestamp, Window};

/// The policy that runs.
pub const POLICY: &str = r#"
[directory]
urls = ["ldaps://ldap1.example.com"]
base = "ou=people,dc=example,dc=com"
filter = "(objectClass=ldapPublicKey)"
eligible_group = "cn=root-eligible,ou=groups,dc=example,dc=com"
disabled = { employeeType = ["former", "gone"] }
[keys]
[[keys.rule]]
shared = true
types = ["ssh-ed25519"]
from = ["10.0.0.0/8"]
[[keys.chain]]
name = "eic"
command = ["/opt/eic", "%u"]
accounts = ["ec2-user"]
[oncall]
max_age = "20h"
[[oncall.source]]
name = "pd"
provider = "pagerduty"
token_file = "pagerduty-token"
schedules = ["DB", "WEB"]
max_escalation_level = 2
[oncall.source.people]
PUANNA = "anna"
[policy]
mode = "enforce"
guarded_accounts = ["root", "oracle"]
exempt_accounts = ["breakglass"]
[policy.end]
action = "kill"
[[policy.rule]]
name = "db"
hosts = ["label:service=db"]
schedules = ["pd/DB"]
claim = true
[[policy.rule]]
name = "web"
hosts = ["web*"]
schedules = ["pd/WEB"]
[[policy.shared_account]]
account = "root"
[[policy.shared_account]]
account = "deploy"
people = ["anna", "bob"]
[[policy.automation]]
account = "backup"
fingerprints = ["SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"]
from = ["10.0.0.1"]
owner = "platform"
reason = "backups"
until = 2027-06-30
[[policy.rego]]
file = 'narrow.rego'
query = 'data.authkeys.keep'
hosts = ['db*']
on_error = 'drop'
[[policy.grant]]
name = "night"
hosts = ["label:service=db"]
accounts = ["root"]
approvers = ["anna", "carla"]
quorum = 2
max = "2h"
[grant]
id = "example"
[[nss.group]]
name = "oncall"
gid = 9100
rules = ["db"]
"#;

/// The hosts.
pub const INVENTORY: &str = r#"
[[host]]
name = "db1"
labels = ["service=db"]
[[host]]
name = "db2"
labels = ["service=db"]
[[host]]
name = "web1"
"#;

/// The configuration that `text` is.
pub fn config(text: &str) -> Config {
    let config = Config::parse(Path::new("/etc/authkeys/config.toml"), text.as_bytes());
    config.unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// The inventory that `text` is.
pub fn inventory(text: &str) -> Inventory {
    Inventory::parse(Path::new("hosts.toml"), text.as_bytes()).unwrap_or_else(|error| panic!("{error}"))
}

/// An instant.
pub fn at(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap_or_else(|| panic!("{text}"))
}

/// A fortnight from Monday, 2 November 2026, on.
pub fn fortnight() -> Window {
    let start = at("2026-11-02T00:00:00Z");
    Window::new(start, start.plus(Span::hours(24 * 14))).unwrap()
}

/// Who is on call then, and who is eligible: anna, bob and carla, and not dora.
pub fn rota() -> Rota {
    let synced = fortnight().start();
    let schedule = |id: &str| Schedule {
        reference: ScheduleRef { source: "pd".to_string(), id: id.to_string() },
        provider_id: id.to_string(),
        name: OneLine::new(id),
        synced,
        horizon: fortnight().end(),
    };
    let shifts = [
        (0, "anna", 1, "2026-11-02T08:00:00Z", "2026-11-03T08:00:00Z"),
        (0, "bob", 1, "2026-11-03T08:00:00Z", "2026-11-04T08:00:00Z"),
        (0, "dora", 1, "2026-11-04T08:00:00Z", "2026-11-05T08:00:00Z"),
        (0, "carla", 2, "2026-11-02T08:00:00Z", "2026-11-16T08:00:00Z"),
        (1, "bob", 1, "2026-11-01T08:00:00Z", "2026-11-03T08:00:00Z"),
        (1, "carla", 1, "2026-11-05T08:00:00Z", "2026-11-06T08:00:00Z"),
    ];
    let person = |name: &str| Principal::new(name).unwrap();
    let shift = |(schedule, name, level, start, end): (usize, &str, u8, &str, &str)| Shift {
        schedule,
        principal: person(name),
        level,
        window: Window::new(at(start), at(end)).unwrap(),
    };
    let roster = Roster {
        published: synced,
        floor: synced,
        schedules: vec![schedule("DB"), schedule("WEB")],
        shifts: shifts.into_iter().map(shift).collect(),
        late: Vec::new(),
        incidents: Default::default(),
        eligible: ["anna", "bob", "carla", "dora"].map(|name| (person(name), name != "dora")).into(),
    };
    Rota { roster, after: None, users: None, tells_eligible: true, is_of_both: true }
}

/// What the change from one text to another means there.
pub fn plan(old: &str, new: &str) -> Plan {
    let (inventory, rota) = (inventory(INVENTORY), rota());
    let (inventory, rota) = (Some(&inventory), Some(&rota));
    Question { old: &config(old), new: &config(new), inventory, rota, window: fortnight() }.answer()
}
