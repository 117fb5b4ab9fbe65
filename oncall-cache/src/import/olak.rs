//! openssh-ldap-authkeys' `olak.yml`, read by PyYAML.
//!
//! Only plain YAML: no aliases, no tags, no second document, little depth. A key that occurs twice
//! is refused, because PyYAML silently takes the second and drops all that is below the first.

use saphyr_parser::{Event, Parser, ScalarStyle};

use super::directory::{Attribute, ImportedDirectory, attribute_name, filter_value};
use super::setting::{Problem, Setting, advice, few_enough};

/// The deepest nesting; the program's own settings need four.
const DEEPEST: usize = 16;

/// What is known and has no counterpart.
const ADVICE: &[(&str, &str)] = &[
    ("ldap.default_realm", "there is one `base` and no realm; a name with @REALM in authmap matches nobody"),
    (
        "ldap.srv_discovery_domain",
        "write `srv://DOMAIN` into `urls`, and into `srv_hosts` the servers that DNS may name",
    ),
    (
        "ldap.sasl_method",
        "only a bind by name and password or by client certificate (`bind = \"external\"`); no Kerberos",
    ),
    ("ldap.timeout", "it limited the connection; here `timeout` limits a whole sync (60s)"),
    ("ldap.filters.group", "groups are not searched; write the DN of the group into `eligible_group`"),
    ("ldap.group_membership", "not needed: members are known by memberUid, member and uniqueMember"),
    ("ldap.attributes.group_name", "not needed: `eligible_group` is a DN"),
    ("ldap.attributes.group_member", "not needed: members are known by memberUid, member and uniqueMember"),
    ("tls.ca_dir", "join its files into one (cat) and name that in `ca_file`"),
    (
        "tls.client_credentials.*",
        "set `client_cert_file` and `client_key_file`; with `bind = \"external\"` it is also the identity",
    ),
    ("cache.lifetime", "the timer that runs authkeys-sync determines how often the directory is asked"),
    ("cache.dir", "the copy is /var/lib/authkeys/keys.db, see `[paths] keys`"),
    ("cache.allow_stale_cache_on_failure", "the copy is used until it is older than `[keys] max_age` (24h)"),
    ("output.username_env_var", "sessions get no variable; the log shows who entered a shared account"),
    ("logging.*", "always the system's log; there is no setting"),
];

/// Does `text` have a mapping `ldap`?
pub fn resembles(text: &str) -> bool {
    text.lines().any(|line| {
        line.strip_prefix("ldap:")
            .is_some_and(|rest| rest.trim_start().is_empty() || rest.starts_with([' ', '\t']))
    })
}

/// Understands `text`.
pub fn read(text: &str) -> Result<ImportedDirectory, Problem> {
    let settings = settings(text)?;
    let mut draft = ImportedDirectory::default();
    for setting in settings.iter().filter(|setting| setting.text().is_some()) {
        take(&mut draft, setting)?;
    }
    let keys = draft.attribute_of(Attribute::Keys).to_string();
    if !settings.iter().any(|setting| setting.name == "ldap.filters.user") {
        draft.filter(0, "(&(objectClass=posixAccount)(sshPublicKey=*))")?;
    }
    if keys != Attribute::Keys.usual() {
        draft.filter(0, &format!("({keys}=*)"))?;
    }
    take_disabled(&mut draft, &settings)?;
    draft.note(
        0,
        "the authmap beside it is not read: make a line such as `root:&admins` a [[policy.shared_account]] with `account = \
         \"root\"`, and the group's DN `eligible_group`; `@all:~self` is what authkeys does by itself",
    );
    Ok(draft)
}

fn take(draft: &mut ImportedDirectory, setting: &Setting) -> Result<(), Problem> {
    match setting.name.as_str() {
        "ldap.basedn" => draft.base(setting),
        "ldap.server_uri" => draft.server(setting.line, &setting.value),
        "ldap.authdn" => draft.bind_dn(setting),
        "ldap.authpw" => draft.password(setting),
        "ldap.filters.user" => draft.filter(setting.line, &setting.value)?,
        "ldap.attributes.username" => draft.attribute(Attribute::User, setting)?,
        "ldap.attributes.ssh_key" => draft.attribute(Attribute::Keys, setting)?,
        "tls.ca_file" => draft.ca_file(setting),
        "tls.require" => take_tls(draft, setting),
        "ldap.use_dns_srv" if !setting.is_on() => {}
        "ldap.use_dns_srv" => {
            draft.has_none(
                setting,
                "write `srv://DOMAIN` into `urls`, and into `srv_hosts` the servers that DNS may name",
            );
        }
        name if name.starts_with("ldap.attributes.user_disabled.") => {}
        name => match advice(ADVICE, name) {
            Some(advice) => draft.has_none(setting, advice),
            None => draft.unknown(setting),
        },
    }
    Ok(())
}

fn take_tls(draft: &mut ImportedDirectory, setting: &Setting) {
    if setting.value != "require" {
        draft.has_none(setting, "TLS and a certificate by an authority in `ca_file` are always required");
    }
}

/// Disabled people are kept out by the filter.
fn take_disabled(draft: &mut ImportedDirectory, settings: &[Setting]) -> Result<(), Problem> {
    let part = |name: &str| {
        let name = format!("ldap.attributes.user_disabled.{name}");
        settings.iter().find(|setting| setting.name == name && setting.text().is_some())
    };
    let (attribute, op, value) = match (part("attribute"), part("op"), part("value")) {
        (Some(attribute), Some(op), Some(value)) => (attribute, op, value),
        (None, None, None) => return Ok(()),
        (attribute, op, value) => {
            for setting in [attribute, op, value].into_iter().flatten() {
                draft.has_none(setting, "user_disabled without attribute, op and value has no effect");
            }
            return Ok(());
        }
    };
    let name = attribute_name(attribute.line, attribute.value.trim())?;
    let wanted = filter_value(&value.value);
    let filter = match op.value.as_str() {
        "eq" | "=" | "==" => format!("(!({name}={wanted}))"),
        "ne" | "neq" | "!=" => format!("({name}={wanted})"),
        "bitmask" | "and" | "&" => format!("(!({name}:1.2.840.113556.1.4.803:={wanted}))"),
        _ => return Err(Problem::new(op.line, "user_disabled.op is eq, ne or bitmask; fix it")),
    };
    draft.filter(attribute.line, &filter)?;
    draft.note(attribute.line, "user_disabled became part of `filter`: disabled people are not copied");
    Ok(())
}

/// Every scalar, named by the path to it.
fn settings(text: &str) -> Result<Vec<Setting>, Problem> {
    let mut reader = Reader::default();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| {
            Problem::new(
                error.marker().line(),
                format!("not YAML: {}; fix it and import again", error.info()),
            )
        })?;
        reader.take(event, span.start.line())?;
    }
    Ok(reader.settings)
}

/// Where in the tree the next event belongs.
#[derive(Default)]
struct Reader {
    levels: Vec<Level>,
    documents: usize,
    settings: Vec<Setting>,
}

enum Level {
    /// A mapping: its path, the keys so far, and the one that waits for its value.
    Mapping { path: String, keys: Vec<String>, open: Option<String> },
    /// A sequence: its path.
    Sequence { path: String },
}

impl Reader {
    fn take(&mut self, event: Event<'_>, line: usize) -> Result<(), Problem> {
        match event {
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err(Problem::new(
                        line,
                        "a second document; olak.yml has only one, so delete the others",
                    ));
                }
            }
            Event::Alias(_) => {
                return Err(Problem::new(line, "a YAML alias (*name); write its value instead"));
            }
            Event::Scalar(value, style, _, tag) => {
                if tag.is_some() {
                    return Err(Problem::new(line, "a YAML tag (!name); write the value without it"));
                }
                let null = style == ScalarStyle::Plain && matches!(&*value, "~" | "null" | "Null" | "NULL");
                self.scalar(if null { "" } else { &value }, line)?;
            }
            Event::MappingStart(..) => {
                let path = self.enter(line)?;
                self.levels.push(Level::Mapping { path, keys: Vec::new(), open: None });
            }
            Event::SequenceStart(..) => {
                let path = self.enter(line)?;
                self.levels.push(Level::Sequence { path });
            }
            Event::MappingEnd | Event::SequenceEnd => {
                self.levels.pop();
            }
            _ => {}
        }
        Ok(())
    }

    /// The path of the value that begins.
    fn enter(&mut self, line: usize) -> Result<String, Problem> {
        if self.levels.len() >= DEEPEST {
            return Err(Problem::new(line, format!("nested more than {DEEPEST} deep; is it an olak.yml?")));
        }
        match self.levels.last_mut() {
            None => Ok(String::new()),
            Some(Level::Sequence { path }) => Ok(path.clone()),
            Some(Level::Mapping { path, open, .. }) => match open.take() {
                Some(key) if path.is_empty() => Ok(key),
                Some(key) => Ok(format!("{path}.{key}")),
                None => Err(Problem::new(line, "a mapping or a list as a key; keys are plain words")),
            },
        }
    }

    fn scalar(&mut self, value: &str, line: usize) -> Result<(), Problem> {
        if let Some(Level::Mapping { keys, open: open @ None, .. }) = self.levels.last_mut() {
            few_enough(keys.len(), line)?;
            if value.len() > 256 {
                return Err(Problem::new(line, "a key of more than 256 bytes; is it an olak.yml?"));
            }
            if keys.iter().any(|key| key == value) {
                return Err(Problem::new(
                    line,
                    "a key that is set twice; olak uses the last one, so delete the other",
                ));
            }
            keys.push(value.to_string());
            *open = Some(value.to_string());
            return Ok(());
        }
        if self.levels.is_empty() {
            return Err(Problem::new(line, "no mapping; olak.yml begins with a key such as `ldap:`"));
        }
        few_enough(self.settings.len(), line)?;
        let name = self.enter(line)?;
        self.settings.push(Setting { name, value: value.to_string(), line });
        Ok(())
    }
}
