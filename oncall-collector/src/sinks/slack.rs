//! Slack: a channel's topic, left of a mark, and a message when somebody comes or goes. Methods and fields as docs.slack.dev
//! has them: conversations.info, conversations.setTopic, chat.postMessage.

use std::collections::{BTreeMap, BTreeSet};

use http::{Client, Reply};
use policy::{Principal, Span};
use serde_json::{Value, json};

use super::config::{LONGEST_TOPIC, Message, Service, Topic};
use super::{Apply, Failure, Memory, Outcome, Work, client, judge, named, secret};

/// Writes the topic, if it does not say who is on call.
pub fn topic(
    topic: &Topic,
    work: &Work<'_>,
    memory: &mut Memory,
    outcome: &mut Outcome,
) -> Result<(), Failure> {
    let client = slack(&topic.service, &topic.token_file)?;
    let found = answer(&client.get("/conversations.info", &[("channel", &topic.channel)])?)?;
    let old = found.pointer("/channel/topic/value").and_then(Value::as_str);
    let old = old.ok_or_else(|| Failure::new("Slack shows no topic; see `channel`"))?;
    let (left, right) = match cut(old, &topic.mark) {
        Some((left, right)) => (Some(left.trim_end()), right.to_string()),
        // What was there before us stays, to the right.
        None if old.trim().is_empty() => (None, String::new()),
        None => (None, format!(" {}", old.trim_start())),
    };
    let new = fitting(topic, work.wanted, &right)?;
    let is_said = memory.written.as_ref() == Some(&new);
    if let Some(left) = left.filter(|left| *left == new || (is_said && is_ours(left, memory))) {
        memory.shown = Some(left.to_string());
        memory.written = Some(new);
        return Ok(());
    }
    let text = format!("{new} {}{right}", topic.mark);
    if work.apply == Apply::Look {
        outcome.changes.push(format!("would set the topic to: {text}"));
        return Ok(());
    }
    let body = json!({ "channel": topic.channel, "topic": text });
    answer(&client.tell("/conversations.setTopic", &[], body.to_string().into_bytes())?)?;
    let drift = if is_said { "drift: somebody had changed it; " } else { "" };
    (memory.written, memory.shown) = (Some(new), None);
    outcome.changes.push(format!("{drift}topic set: {text}"));
    Ok(())
}

/// Slack may show what we wrote in other words: whatever stood left of the mark after our own writing is ours. A topic without
/// the mark is somebody else's.
fn is_ours(left: &str, memory: &Memory) -> bool {
    memory.shown.as_deref().is_none_or(|shown| shown == left)
}

/// `topic` at its first mark that is text: what Slack shows as a link, `<address|words>`, is one thing, and any other `<` it
/// writes as `&lt;`.
fn cut<'t>(topic: &'t str, mark: &str) -> Option<(&'t str, &'t str)> {
    let mut rest = topic;
    while let Some(found) = rest.find(['<']).into_iter().chain(rest.find(mark)).min() {
        let here = rest.get(found..)?;
        if let Some(right) = here.strip_prefix(mark) {
            return Some((topic.get(..topic.len() - here.len())?, right));
        }
        // One that never ends is no link.
        let end = here.find('>').map_or(1, |end| end + 1);
        rest = here.get(end..)?;
    }
    None
}

/// What stands left of the mark: all names, or as many as there is room for beside what is right of it.
fn fitting(topic: &Topic, people: &BTreeSet<Principal>, right: &str) -> Result<String, Failure> {
    let names: Vec<String> = people.iter().map(|person| shown(person, &topic.ids)).collect();
    let taken = right.chars().count() + topic.mark.chars().count() + 1;
    for count in (0..=names.len()).rev() {
        let more = names.len() - count;
        let some = names.get(..count).unwrap_or_default().join(", ");
        let text = match (names.is_empty(), count, more) {
            (true, ..) => "nobody".to_string(),
            (_, _, 0) => some,
            (_, 0, more) => format!("{more} people"),
            (_, _, more) => format!("{some} +{more}"),
        };
        let text = format!("{}{text}", topic.prefix);
        if text.chars().count() + taken <= LONGEST_TOPIC {
            return Ok(text);
        }
    }
    Err(Failure::new(format_args!(
        "the topic has {} characters right of `{}`, which leaves no room for who is on call: Slack takes {LONGEST_TOPIC}",
        right.chars().count(),
        topic.mark
    )))
}

fn shown(person: &Principal, ids: &BTreeMap<Principal, String>) -> String {
    ids.get(person).map_or_else(|| person.as_str().to_string(), |id| format!("<@{id}>"))
}

/// Posts who is on call, if that is another than before.
pub fn message(message: &Message, work: &Work<'_>, outcome: &mut Outcome) -> Result<(), Failure> {
    if !work.is_change() {
        return Ok(());
    }
    let names: Vec<String> = work.wanted.iter().map(|person| shown(person, &message.ids)).collect();
    let names = if names.is_empty() { "nobody".to_string() } else { names.join(", ") };
    let before = named(work.before.iter().flatten());
    let text = format!("{}{names} (before: {before})", message.prefix);
    if work.apply == Apply::Look {
        outcome.changes.push(format!("would post: {text}"));
        return Ok(());
    }
    let client = slack(&message.service, &message.token_file)?;
    let body = json!({
        "channel": message.channel,
        "text": text,
        "link_names": false,
        "unfurl_links": false,
        "unfurl_media": false,
    });
    answer(&client.tell("/chat.postMessage", &[], body.to_string().into_bytes())?)?;
    outcome.changes.push(format!("posted: {text}"));
    Ok(())
}

fn slack(service: &Service, token_file: &std::path::Path) -> Result<Client, Failure> {
    let mut client = client(service, &[])?;
    client.authorize(&format!("Bearer {}", secret(token_file, "token_file")?.expose()))?;
    Ok(client)
}

/// Slack answers 200 to almost everything, and says in the body what that means.
fn answer(reply: &Reply) -> Result<Value, Failure> {
    judge(reply, "Slack", "`token_file`")?;
    let body: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    if body.get("ok") == Some(&json!(true)) {
        return Ok(body);
    }
    let error = body.get("error").and_then(Value::as_str).unwrap_or("nothing that is understood");
    let error: String = error.chars().filter(|letter| letter.is_ascii_graphic()).take(60).collect();
    let advice = match error.as_str() {
        "not_authed"
        | "invalid_auth"
        | "token_expired"
        | "token_revoked"
        | "account_inactive"
        | "not_allowed_token_type" => "; see `token_file`: it must hold a token of an app that is installed",
        "missing_scope" | "no_permission" => {
            "; give the app channels:read, channels:write.topic and chat:write, and install it anew"
        }
        "channel_not_found" | "not_in_channel" | "is_archived" => "; see `channel`, and invite the app to it",
        "ratelimited" => "; the next run tries again",
        _ => "",
    };
    let after = (error == "ratelimited").then(|| Span::minutes(1));
    Err(Failure { why: format!("Slack says {error}{advice}"), after })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn example() -> Topic {
        let service = Service { base: "https://slack.com/api".into(), ca_file: PathBuf::new(), proxy: None };
        Topic {
            service,
            token_file: PathBuf::new(),
            channel: "C0".into(),
            mark: "|".into(),
            prefix: "On call: ".into(),
            ids: [(Principal::new("alice").unwrap(), "U1".to_string())].into(),
        }
    }

    fn people(names: &[&str]) -> BTreeSet<Principal> {
        names.iter().map(|name| Principal::new(name).unwrap()).collect()
    }

    #[test]
    fn a_topic_has_as_many_names_as_there_is_room_for() {
        let topic = example();
        let said = |names: &[&str], right: usize| fitting(&topic, &people(names), &"x".repeat(right));
        assert_eq!(said(&["alice", "bob"], 0).unwrap(), "On call: <@U1>, bob");
        assert_eq!(said(&[], 10).unwrap(), "On call: nobody");
        // 250 characters are 19 of ours, a blank, the mark, and 229 of theirs.
        for (right, expected) in [
            (229, "On call: <@U1>, bob"),
            (230, "On call: <@U1> +1"),
            (231, "On call: <@U1> +1"),
            (232, "On call: 2 people"),
        ] {
            match said(&["alice", "bob"], right) {
                Ok(text) => {
                    assert!(text.chars().count() + 2 + right <= LONGEST_TOPIC);
                    assert_eq!(text, expected, "{right}");
                }
                Err(failure) => assert!(right > 231, "{right}: {failure:?}"),
            }
        }
        assert!(said(&["alice"], 245).unwrap_err().why.contains("leaves no room"));
    }

    #[test]
    fn a_mark_inside_a_link_is_no_mark() {
        for (topic, expected) in [
            ("On call: alice | runbooks", Some(("On call: alice ", " runbooks"))),
            (
                "On call: <@U1|alice>, bob | <https://a/b|c> | d",
                Some(("On call: <@U1|alice>, bob ", " <https://a/b|c> | d")),
            ),
            ("<https://wiki.example.com/ops|how we work>", None),
            ("see <https://a|b>| x", Some(("see <https://a|b>", " x"))),
            // Slack writes it in another way; a topic that is whole is cut all the same.
            ("a < b | c", Some(("a < b ", " c"))),
            ("a <b | c> d", None),
            ("", None),
        ] {
            assert_eq!(cut(topic, "|"), expected, "{topic}");
        }
        assert_eq!(cut("é <x·y> ·· z", "··"), Some(("é <x·y> ", " z")));
    }

    #[test]
    fn what_slack_refuses_names_the_setting() {
        let said = |error: &str| {
            let body = format!("{{\"ok\":false,\"error\":\"{error}\"}}").into_bytes();
            answer(&Reply { status: 200, body, ..Reply::default() }).unwrap_err()
        };
        assert!(said("token_revoked").why.contains("`token_file`"));
        assert!(said("channel_not_found").why.contains("`channel`"));
        assert!(said("ratelimited").after.is_some());
        assert!(!said("<b>\\u001b[0m").why.contains('\u{1b}'));
        let reply = Reply { status: 429, retry_after: Some("70".into()), ..Reply::default() };
        assert_eq!(answer(&reply).unwrap_err().after, Some(Span::seconds(70)));
    }
}
