//! Moving in from Deputize: its configuration, as its function is invoked with it, written down as sinks.toml.
//!
//! What has a counterpart becomes a setting, all else a comment with what to do instead. Its secrets are elsewhere, in AWS
//! Secrets Manager; should one be here all the same, it is not repeated, for no value of an unknown setting is.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Map, Value};

use super::SinksConfig;

/// What became of it.
#[derive(Debug)]
pub struct Imported {
    /// sinks.toml.
    pub text: String,
    /// What has to be completed before it is one.
    pub problem: Option<String>,
}

/// Reads `text`, Deputize's JSON.
///
/// # Errors
/// It is something else.
pub fn import(text: &[u8]) -> Result<Imported, String> {
    let json: Value =
        serde_json::from_slice(text).map_err(|error| format!("line {}: not JSON", error.line()))?;
    let Some(sinks) = section(&json, "Sinks").filter(|sinks| sinks.is_object()) else {
        return Err("no `Sinks` in it; is it what Deputize is invoked with?".into());
    };
    let source = section(&json, "Source").and_then(|source| section(source, "PagerDuty"));
    let names = strings(source.and_then(|source| section(source, "OnCallSchedules")));
    let mut out = "# From Deputize's configuration. Its secrets are in AWS Secrets Manager: write each into the file that is\n\
                   # named here, root:oncall-sink, mode 0640.\n\
                   # Deputize names schedules by their names, which anybody who edits a rota can change. Put their ids, as P1ABCDE,\n\
                   # in their place, here and in [[oncall.source]] of config.toml, whose source is called `pd` here.\n"
        .to_string();
    let schedules = |names: &[String]| {
        let all: Vec<Value> = names.iter().map(|name| format!("pd/{name}").into()).collect();
        format!("schedules = {}\n", Value::from(all))
    };
    if let Some(ldap) = enabled(sinks, "LDAP", &mut out) {
        group(ldap, &schedules(&names), &mut out);
    }
    if let Some(slack) = enabled(sinks, "Slack", &mut out) {
        topics(slack, &schedules(&names), &mut out);
    }
    if let Some(gitlab) = enabled(sinks, "Gitlab", &mut out) {
        let approver = strings(section(gitlab, "ApproverSchedule"));
        let server = string(gitlab, "Server").unwrap_or_default();
        let _ = write!(
            out,
            "\n[[sink]]\nname = \"approvers\"\n{}[sink.gitlab_group]\nurl = {}\ngroup = {}\ntoken_file = \"gitlab-token\" # GitlabAuthToken\n\
             # added_by = [\"NAME\"] # the user of that token: whom Deputize has added is removed after the shift then\n",
            schedules(if approver.is_empty() { &names } else { &approver }),
            toml(server.trim_end_matches('/')),
            toml(&string(gitlab, "Group").unwrap_or_default()),
        );
        unknown(gitlab, &["ApproverSchedule", "Enabled", "Group", "Server"], &mut out);
    }
    let parsed = SinksConfig::parse(Path::new("sinks.toml"), out.as_bytes());
    Ok(Imported { text: out, problem: parsed.err().map(|error| error.to_string()) })
}

fn group(ldap: &Value, schedules: &str, out: &mut String) {
    let base = string(ldap, "BaseDN").unwrap_or_default();
    let name = string(ldap, "OnCallGroup").unwrap_or_default();
    let server = string(ldap, "Server").unwrap_or_default();
    let port = section(ldap, "Port").and_then(Value::as_u64).unwrap_or(389);
    let attribute = string(ldap, "MemberAttribute").unwrap_or_else(|| "memberOf".into());
    let attribute = ["member", "uniqueMember", "memberUid"]
        .into_iter()
        .find(|known| known.eq_ignore_ascii_case(&attribute))
        .unwrap_or("memberUid");
    let _ = write!(
        out,
        "\n[[sink]]\nname = \"oncall-group\"\n{schedules}[sink.ldap_group]\n\
         # Deputize looks for it anywhere below the base: write its whole DN.\ngroup = {}\nattribute = {}\nbind_dn = {}\n\
         bind_password_file = \"sink-bind-password\" # LDAPModUserPassword\nurls = [{}]\n",
        toml(&format!("{name},{base}")),
        toml(attribute),
        toml(&string(ldap, "ModUserDN").unwrap_or_default()),
        toml(&format!("ldap://{server}:{port}")),
    );
    if string(ldap, "RootCAFile").is_some() {
        out.push_str("ca_file = \"ldap-ca.pem\" # RootCAFile\n");
    }
    if section(ldap, "InsecureSkipVerify") == Some(&Value::Bool(true)) {
        out.push_str(
            "# InsecureSkipVerify: certificates are always verified here; ca_file has who may sign them.\n",
        );
    }
    out.push_str("# MailAttribute, UserAttribute: people are found as [directory] of config.toml says.\n");
    let known = [
        "Enabled",
        "BaseDN",
        "RootCAFile",
        "Server",
        "Port",
        "MailAttribute",
        "MemberAttribute",
        "ModUserDN",
        "OnCallGroup",
        "UserAttribute",
        "InsecureSkipVerify",
    ];
    unknown(ldap, &known, out);
}

fn topics(slack: &Value, schedules: &str, out: &mut String) {
    let posts = section(slack, "PostMessage") == Some(&Value::Bool(true));
    for (number, channel) in strings(section(slack, "Channels")).iter().enumerate() {
        let settings =
            format!("channel = {}\ntoken_file = \"slack-token\" # SlackAuthToken\n", toml(channel));
        let number = number + 1;
        let _ = write!(
            out,
            "\n[[sink]]\nname = \"topic-{number}\"\n{schedules}[sink.slack_topic]\n{settings}prefix = \"On-Call: \"\n# ids = {{ alice = \"U0123456789\" }} mentions people, as Deputize does.\n"
        );
        if posts {
            let _ = write!(
                out,
                "\n[[sink]]\nname = \"message-{number}\"\n{schedules}[sink.slack_message]\n{settings}prefix = \"On-Call: \"\n"
            );
        }
    }
    unknown(slack, &["Channels", "Enabled", "PostMessage"], out);
}

/// Go reads names of fields in any case.
fn section<'v>(value: &'v Value, name: &str) -> Option<&'v Value> {
    let fields: &Map<String, Value> = value.as_object()?;
    fields.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

fn string(value: &Value, name: &str) -> Option<String> {
    section(value, name).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_string)
}

fn strings(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::String(one)) if !one.is_empty() => vec![one.clone()],
        Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).map(str::to_string).collect(),
        _ => Vec::new(),
    }
}

/// A sink that Deputize writes; of one that it does not there is a line.
fn enabled<'v>(sinks: &'v Value, name: &str, out: &mut String) -> Option<&'v Value> {
    let sink = section(sinks, name)?;
    if section(sink, "Enabled") == Some(&Value::Bool(true)) {
        return Some(sink);
    }
    let _ = writeln!(out, "\n# {name}: not enabled there.");
    None
}

fn unknown(sink: &Value, known: &[&str], out: &mut String) {
    for key in sink.as_object().into_iter().flat_map(Map::keys) {
        if !known.iter().any(|one| one.eq_ignore_ascii_case(key)) {
            let _ = writeln!(out, "# {}: not known; left out.", key.escape_debug());
        }
    }
}

/// A text as TOML writes it: JSON's escapes are among TOML's.
fn toml(text: &str) -> String {
    Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_deputize_is_invoked_with_becomes_sinks() {
        let json = r#"{
            "SecretPath": "deputize/env", "SecretRegion": "us-east-1",
            "Source": {"PagerDuty": {"Enabled": true, "OnCallSchedules": ["Ops", "Ops \"2nd\""]}},
            "Sinks": {
                "gitlab": {"Enabled": true, "Server": "https://gitlab.example.com/", "Group": "a/approvers", "ApproverSchedule": "Ops 2"},
                "LDAP": {"Enabled": true, "BaseDN": "dc=example,dc=com", "RootCAFile": "truststore.pem", "Server": "ldap.example.com",
                    "Port": 389, "MailAttribute": "mail", "MemberAttribute": "memberUid", "ModUserDN": "cn=deputize,dc=example,dc=com",
                    "OnCallGroup": "cn=oncall", "UserAttribute": "uid", "InsecureSkipVerify": true, "Password": "geheim"},
                "Slack": {"Enabled": true, "Channels": ["C0123"], "PostMessage": true}
            }
        }"#;
        let imported = import(json.as_bytes()).unwrap();
        assert_eq!(imported.problem, None, "{}", imported.text);
        assert!(!imported.text.contains("geheim"));
        for line in [
            "schedules = [\"pd/Ops\",\"pd/Ops \\\"2nd\\\"\"]",
            "schedules = [\"pd/Ops 2\"]",
            "group = \"cn=oncall,dc=example,dc=com\"",
            "attribute = \"memberUid\"",
            "bind_dn = \"cn=deputize,dc=example,dc=com\"",
            "urls = [\"ldap://ldap.example.com:389\"]",
            "channel = \"C0123\"",
            "[sink.slack_message]",
            "url = \"https://gitlab.example.com\"",
            "# Password: not known; left out.",
        ] {
            assert!(imported.text.lines().any(|found| found == line), "{line}: {}", imported.text);
        }
        let config = SinksConfig::parse(Path::new("/x/sinks.toml"), imported.text.as_bytes()).unwrap();
        assert_eq!(config.sinks.len(), 4);
    }

    #[test]
    fn what_is_incomplete_says_what_is_missing() {
        let json =
            br##"{"Sinks": {"Slack": {"Enabled": true, "Channels": ["#ops"]}, "LDAP": {"Enabled": false}}}"##;
        let imported = import(json).unwrap();
        assert!(imported.text.contains("# LDAP: not enabled there."));
        assert!(imported.problem.unwrap().contains("`channel` is a channel's id"));
        for wrong in ["", "[]", "{}", "{\"Sinks\": 1}"] {
            assert!(import(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }
}
