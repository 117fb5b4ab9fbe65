//! The table of all that shifts can come from: a line for each.
//!
//! `config.toml` is read by it, `oncall-cache provider list` shows it, and docs/providers.md has it as a table. The lines of
//! [`services!`](crate::services) are also what `sources` finds the code by that asks: a line names its module there. So to
//! add a service takes one line here, and one file there.

/// What a `provider` needs and can do.
#[derive(Debug, PartialEq, Eq)]
pub struct Kind {
    /// The module in `sources` that asks it; empty where that is none of [`SERVICES`].
    pub module: &'static str,
    /// The word in `provider`.
    pub word: &'static str,
    /// What people call it.
    pub label: &'static str,
    /// Its own settings, beside those that every source has.
    pub settings: &'static [Setting],
    /// Where it is, if that is the same for everybody.
    pub api: &'static str,
    /// Does it tell shifts that are still to come?
    pub look_ahead: bool,
    /// Are overrides in what it tells?
    pub overrides: bool,
    /// Does it tell who is paged first, second and so on?
    pub levels: bool,
    /// May teams or escalation policies be named in place of schedules?
    pub teams: bool,
    /// Can it say which schedules there are?
    pub lists: bool,
    /// Is somebody asked, a service or a command, by each sync? The others are files of this host.
    pub asked: bool,
    /// Was it tried with the real server, or checked by the service's own machine-readable description?
    pub verified: bool,
}

/// A setting of one kind of source.
#[derive(Debug, PartialEq, Eq)]
pub struct Setting {
    /// Its name.
    pub name: &'static str,
    /// What is written there.
    pub form: Form,
    /// Is there nothing without it?
    pub needed: bool,
}

/// What is written in a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A text.
    Text,
    /// A text that stands in a path: letters, digits, `-` and `_`.
    Segment,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A list of texts.
    Texts,
    /// The name of a file with a secret.
    Secret,
    /// A setting that several kinds have, each with its own meaning: its type is that of the field in `source.rs`.
    Common,
}

const fn needed(name: &'static str, form: Form) -> Setting {
    Setting { name, form, needed: true }
}

const fn optional(name: &'static str, form: Form) -> Setting {
    Setting { name, form, needed: false }
}

/// Every [`SERVICES`] has these beside its own.
const HTTPS: [Setting; 4] = [
    optional("api", Form::Common),
    needed("token_file", Form::Common),
    optional("ca_file", Form::Common),
    optional("timeout", Form::Common),
];

impl Kind {
    const fn new(word: &'static str, label: &'static str, settings: &'static [Setting]) -> Self {
        Self {
            module: "",
            word,
            label,
            settings,
            api: "",
            look_ahead: true,
            overrides: true,
            levels: true,
            teams: false,
            lists: true,
            asked: true,
            verified: true,
        }
    }

    /// Its settings, beside those that every source has.
    pub fn settings(&self) -> impl Iterator<Item = &'static Setting> {
        let https: &'static [Setting] = if self.module.is_empty() { &[] } else { &HTTPS };
        https.iter().chain(self.settings)
    }

    /// Its setting of that name.
    pub fn setting(&self, name: &str) -> Option<&'static Setting> {
        self.settings().find(|setting| setting.name == name)
    }
}

/// Hands the services to a macro, in lines of `module: what it needs and can do;`. A new one is the last.
#[macro_export]
macro_rules! services {
    ($each:ident) => {
        $each! {
            linkedin_oncall: Kind {
                ..Kind::new("linkedin-oncall", "LinkedIn Oncall", &[needed("app", Form::Text), optional("roles", Form::Texts)])
            };
            goalert: Kind {
                levels: false,
                lists: false,
                verified: false,
                ..Kind::new("goalert", "GoAlert", &[])
            };
            incident_io: Kind {
                api: "https://api.incident.io",
                verified: false,
                ..Kind::new("incident-io", "incident.io", &[optional("rotations", Form::Texts)])
            };
            grafana: Kind {
                levels: false,
                verified: false,
                ..Kind::new("grafana", "Grafana IRM", &[optional("stack", Form::Text), optional("scheme", Form::Word(&["bearer", "bare"]))])
            };
            jsm: Kind {
                api: "https://api.atlassian.com",
                levels: false,
                verified: false,
                ..Kind::new("jsm", "Jira Service Management", &[needed("cloud_id", Form::Segment), needed("account", Form::Text)])
            };
        }
    };
}

macro_rules! table {
    ($($module:ident: $kind:expr;)*) => {
        /// What is asked over HTTPS, each by a module of its own.
        pub static SERVICES: &[Kind] = &[$(Kind { module: stringify!($module), ..$kind }),*];
    };
}
services!(table);

/// PagerDuty, whose access and ways to be asked are its own.
pub static PAGERDUTY: Kind = Kind {
    teams: true,
    api: "https://api.pagerduty.com",
    verified: true,
    ..Kind::new(
        "pagerduty",
        "PagerDuty",
        &[
            optional("token_file", Form::Common),
            optional("oauth", Form::Common),
            optional("api", Form::Common),
            optional("region", Form::Common),
            optional("ca_file", Form::Common),
            optional("timeout", Form::Common),
            optional("escalation_policies", Form::Common),
            optional("teams", Form::Common),
            optional("incident_services", Form::Common),
        ],
    )
};

/// A `rota.toml`.
pub static ROTA: Kind =
    Kind { asked: false, ..Kind::new("rota", "rota.toml", &[needed("file", Form::Common)]) };

/// A command.
pub static EXEC: Kind = Kind::new(
    "exec",
    "exec",
    &[
        needed("command", Form::Common),
        optional("timeout", Form::Common),
        optional("incident_services", Form::Common),
    ],
);

/// A file with JSON.
pub static FILE: Kind = Kind {
    asked: false,
    ..Kind::new("file", "file", &[needed("file", Form::Common), optional("incident_services", Form::Common)])
};

/// A calendar.
pub static CALENDAR: Kind = Kind {
    levels: false,
    ..Kind::new(
        "icalendar",
        "iCalendar",
        &[
            optional("url_file", Form::Secret),
            optional("file", Form::Common),
            optional("time_zone", Form::Text),
            optional("person", Form::Text),
            optional("ca_file", Form::Common),
            optional("timeout", Form::Common),
        ],
    )
};

/// A group in the directory, whose members are on call as long as they are in it.
pub static GROUP: Kind = Kind {
    look_ahead: false,
    levels: false,
    ..Kind::new(
        "ldap-group",
        "LDAP group",
        &[
            needed("group", Form::Text),
            optional("bind_dn", Form::Text),
            optional("bind_password_file", Form::Secret),
            optional("urls", Form::Texts),
            optional("ca_file", Form::Common),
            optional("timeout", Form::Common),
        ],
    )
};

/// A collector's publication.
pub static FLEET: Kind = Kind { asked: false, lists: false, ..Kind::new("fleet", "fleet", &[]) };

/// Every kind of source, as `provider` names them.
pub fn kinds() -> impl Iterator<Item = &'static Kind> {
    [&PAGERDUTY, &ROTA, &EXEC, &FILE, &CALENDAR, &GROUP, &FLEET].into_iter().chain(SERVICES)
}
