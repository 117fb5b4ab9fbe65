//! Threat Stack's `authkeys.json`: one flat JSON object, read by Go's encoding/json.
//!
//! Go compares names without regard to case and takes the last of two. The program always used
//! StartTLS, bound only with both name and password, and printed whatever the attribute held.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::directory::{Attribute, ImportedDirectory};
use super::setting::{Problem, Setting, few_enough};

/// Every name, as Go's program spells it.
const NAMES: [&str; 9] = [
    "BaseDN",
    "BindDN",
    "BindPW",
    "DialTimeout",
    "KeyAttribute",
    "LDAPPort",
    "LDAPServer",
    "RootCAFile",
    "UserAttribute",
];

/// Is `text` an object with a name of ours?
pub fn resembles(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let named = |name: &str| lower.contains(&format!("\"{}\"", name.to_ascii_lowercase()));
    text.trim_start().starts_with('{') && NAMES.iter().any(|name| named(name))
}

/// Understands `text`.
pub fn read(text: &str) -> Result<ImportedDirectory, Problem> {
    let settings = settings(text)?;
    let mut draft = ImportedDirectory::default();
    for setting in &settings {
        take(&mut draft, setting)?;
    }
    take_server(&mut draft, &settings);
    let keys = draft.attribute_of(Attribute::Keys).to_string();
    draft.filter(0, &format!("({keys}=*)"))?;
    draft.note(
        0,
        format!(
            "the Go authkeys asked for one person at a time; authkeys-sync copies everybody whom `filter` \
             selects, here all who have {keys}"
        ),
    );
    draft.note(0, "the Go authkeys printed every value of the attribute; this one prints only valid keys");
    Ok(draft)
}

fn take(draft: &mut ImportedDirectory, setting: &Setting) -> Result<(), Problem> {
    match setting.name.as_str() {
        "BaseDN" => draft.base(setting),
        "BindDN" => draft.bind_dn(setting),
        "BindPW" => draft.password(setting),
        "RootCAFile" => draft.ca_file(setting),
        "KeyAttribute" => draft.attribute(Attribute::Keys, setting)?,
        "UserAttribute" => draft.attribute(Attribute::User, setting)?,
        "LDAPServer" | "LDAPPort" => {}
        "DialTimeout" => draft.has_none(
            setting,
            "it limited the connection at each login; here `timeout` limits a whole sync (60s)",
        ),
        _ => draft.unknown(setting),
    }
    Ok(())
}

fn take_server(draft: &mut ImportedDirectory, settings: &[Setting]) {
    let named = |name: &str| settings.iter().find(|s| s.name == name).filter(|s| s.text().is_some());
    let Some(server) = named("LDAPServer") else { return };
    let port = named("LDAPPort").map(|port| port.value.as_str()).filter(|port| *port != "0");
    if port.is_none() {
        draft.note(server.line, "there is no LDAPPort; 389 is used");
    }
    draft.server(server.line, &format!("ldap://{}:{}", server.value.trim(), port.unwrap_or("389")));
}

fn settings(text: &str) -> Result<Vec<Setting>, Problem> {
    let object: Object = serde_json::from_str(text).map_err(|error| {
        let message = error.to_string();
        // "… at line 3 column 5"; a wrong type would quote the value.
        let what = match error.classify() {
            serde_json::error::Category::Data => "not a JSON object",
            _ => message.split(" at line ").next().unwrap_or("not JSON"),
        };
        Problem::new(error.line(), format!("{what}; fix it (`jq . FILE` shows where) and import again"))
    })?;
    let mut settings: Vec<Setting> = Vec::new();
    let (mut offset, mut line) = (0, 1);
    for (name, raw) in object.0 {
        let here = offset_of(text, raw);
        line += lines_between(text, offset, here);
        offset = here;
        few_enough(settings.len(), line)?;
        let known = NAMES.iter().find(|known| known.eq_ignore_ascii_case(&name));
        let name = known.map_or_else(|| name.clone(), ToString::to_string);
        if let Some(first) = settings.iter().find(|setting| known.is_some() && setting.name == name) {
            return Err(Problem::new(
                line,
                format!("{name} is also in line {}; Go uses the last one, so delete the other", first.line),
            ));
        }
        settings.push(Setting { value: value(&name, raw, known.is_some(), line)?, name, line });
    }
    Ok(settings)
}

fn value(name: &str, raw: &RawValue, known: bool, line: usize) -> Result<String, Problem> {
    match serde_json::from_str(raw.get()) {
        Ok(serde_json::Value::String(text)) => Ok(text),
        Ok(serde_json::Value::Number(number)) => Ok(number.to_string()),
        Ok(serde_json::Value::Null) => Ok(String::new()),
        _ if known => Err(Problem::new(line, format!("{name} is a text or a number; write one"))),
        _ => Ok(String::new()),
    }
}

/// Where a value that was borrowed from `text` begins in it.
fn offset_of(text: &str, raw: &RawValue) -> usize {
    (raw.get().as_ptr() as usize).saturating_sub(text.as_ptr() as usize)
}

fn lines_between(text: &str, from: usize, to: usize) -> usize {
    text.as_bytes().get(from..to).map_or(0, |part| part.iter().filter(|&&byte| byte == b'\n').count())
}

/// Every member in the file's order, also the second of one name.
struct Object<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Object<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Object<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some((name, raw)) = map.next_entry::<String, &'de RawValue>()? {
                    members.push((name, raw));
                }
                Ok(Object(members))
            }
        }
        deserializer.deserialize_map(Members)
    }
}
