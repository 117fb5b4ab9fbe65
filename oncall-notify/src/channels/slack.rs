//! Slack's Web API: a message to a person, found by their mail, or to a channel. Methods and fields as
//! docs.slack.dev has them: users.lookupByEmail, conversations.open, chat.postMessage.

use std::time::Duration;

use http::{Client, Reply};
use serde_json::{Value, json};

use super::{Failure, Message, client, judge, secret};
use crate::config::{Recipient, Slack};

/// What Slack answers about one message, which it will answer again.
const OF_THE_MESSAGE: [&str; 4] =
    ["msg_too_long", "no_text", "metadata_too_large", "metadata_must_be_sent_from_app"];

/// What it answers about one person, which it will answer again.
const OF_THE_PERSON: [&str; 10] = [
    "users_not_found",
    "user_not_found",
    "user_not_visible",
    "user_disabled",
    "users_list_not_supplied",
    "invalid_user_combination",
    "cannot_dm_bot",
    "channel_not_found",
    "is_archived",
    "not_in_channel",
];

/// What it answers about this program or about itself, whomever it is asked about.
const OF_ALL: [&str; 14] = [
    "not_authed",
    "invalid_auth",
    "token_expired",
    "token_revoked",
    "account_inactive",
    "missing_scope",
    "no_permission",
    "access_denied",
    "not_allowed_token_type",
    "team_access_not_granted",
    "ratelimited",
    "fatal_error",
    "internal_error",
    "service_unavailable",
];

/// Sends it.
pub fn deliver(slack: &Slack, message: &Message<'_>) -> Result<(), Failure> {
    let mut client = client(&slack.api, &slack.ca_file, slack.proxy.as_ref())?;
    client.authorize(&format!("Bearer {}", secret(&slack.token_file)?.expose()))?;
    let channel = match &slack.to {
        Recipient::Channel(channel) => channel.clone(),
        Recipient::Person => conversation(&client, message.reader.as_deref().unwrap_or_default())?,
    };
    let body = json!({
        "channel": channel,
        "text": message.text,
        // Nothing in it is markup, a mention or a link, whatever it looks like.
        "mrkdwn": false,
        "parse": "none",
        "link_names": false,
        "unfurl_links": false,
        "unfurl_media": false,
        // Slack shows it to programs alone: by it a second delivery shows.
        "metadata": { "event_type": "authkeys_notice", "event_payload": { "notice": message.notice.id() } },
    });
    post(&client, "/chat.postMessage", &body, slack.to == Recipient::Person).map(drop)
}

/// The conversation with whoever has this mail address.
fn conversation(client: &Client, mail: &str) -> Result<String, Failure> {
    let found = answer(&client.get("/users.lookupByEmail", &[("email", mail)])?, true)?;
    let user = text(&found, "/user/id")?;
    let opened = post(client, "/conversations.open", &json!({ "users": user }), true)?;
    text(&opened, "/channel/id")
}

fn post(client: &Client, path: &str, body: &Value, is_to_person: bool) -> Result<Value, Failure> {
    answer(&client.tell(path, &[], body.to_string().into_bytes())?, is_to_person)
}

/// Slack answers 200 to almost everything, and says in the body what that means. `is_to_person`: it may be about that person
/// alone; of a channel it is about all that goes there, until somebody mends it.
fn answer(reply: &Reply, is_to_person: bool) -> Result<Value, Failure> {
    judge(reply)?;
    let body: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    if body.get("ok") == Some(&json!(true)) {
        return Ok(body);
    }
    let error = body.get("error").and_then(Value::as_str).unwrap_or("no answer that is understood");
    let why = format!("Slack says {}", crate::notice::inert(error));
    let is_said = |list: &[&str]| list.contains(&error);
    if is_said(&OF_THE_MESSAGE) || (is_to_person && is_said(&OF_THE_PERSON)) {
        return Err(Failure::Never(why));
    }
    let is_known = body.get("error").is_some() && !is_said(&OF_ALL);
    if is_to_person && is_known {
        return Err(Failure::Apart(why));
    }
    Err(Failure::Later(why, (error == "ratelimited").then_some(Duration::from_secs(30))))
}

fn text(body: &Value, pointer: &str) -> Result<String, Failure> {
    let id = body.pointer(pointer).and_then(Value::as_str).filter(|id| !id.is_empty() && id.len() < 64);
    id.map(str::to_string).ok_or_else(|| Failure::later("Slack's answer has no id"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_slack_says_of_one_person_holds_up_no_other() {
        let reply = |body: &str, is_to_person| {
            answer(&Reply { status: 200, body: body.into(), ..Reply::default() }, is_to_person)
        };
        let error = |error: &str, is_to_person| {
            reply(&format!("{{\"ok\":false,\"error\":\"{error}\"}}"), is_to_person).unwrap_err()
        };
        assert!(reply("{\"ok\":true}", true).is_ok());
        for of_one in ["users_not_found", "user_not_found", "user_not_visible", "invalid_user_combination"] {
            assert!(matches!(error(of_one, true), Failure::Never(_)), "{of_one}");
        }
        assert!(matches!(error("channel_not_found", true), Failure::Never(_)));
        assert!(matches!(error("channel_not_found", false), Failure::Later(_, None)), "somebody invites it");
        assert!(matches!(error("what_is_this", true), Failure::Apart(_)));
        assert!(matches!(error("what_is_this", false), Failure::Later(_, None)));
        for is_to_person in [true, false] {
            assert!(matches!(error("msg_too_long", is_to_person), Failure::Never(_)));
            assert!(matches!(error("invalid_auth", is_to_person), Failure::Later(_, None)));
            assert!(matches!(error("ratelimited", is_to_person), Failure::Later(_, Some(_))));
            assert!(matches!(reply("<html>", is_to_person), Err(Failure::Later(_, None))));
        }
    }
}
