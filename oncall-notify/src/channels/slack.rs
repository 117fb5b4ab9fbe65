//! Slack's Web API: a message to a person, found by their mail, or to a channel. Methods and fields as
//! docs.slack.dev has them: users.lookupByEmail, conversations.open, chat.postMessage.

use std::time::Duration;

use http::{Client, Reply};
use serde_json::{Value, json};

use super::{Failure, Message, client, judge, secret};
use crate::config::{Recipient, Slack};

/// What Slack answers about one message or one person, which it will answer again.
const FOR_EVER: [&str; 5] = ["users_not_found", "msg_too_long", "no_text", "user_disabled", "cannot_dm_bot"];

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
    post(&client, "/chat.postMessage", &body).map(drop)
}

/// The conversation with whoever has this mail address.
fn conversation(client: &Client, mail: &str) -> Result<String, Failure> {
    let found = answer(&client.get("/users.lookupByEmail", &[("email", mail)])?)?;
    let user = text(&found, "/user/id")?;
    let opened = post(client, "/conversations.open", &json!({ "users": user }))?;
    text(&opened, "/channel/id")
}

fn post(client: &Client, path: &str, body: &Value) -> Result<Value, Failure> {
    answer(&client.tell(path, &[], body.to_string().into_bytes())?)
}

/// Slack answers 200 to almost everything, and says in the body what that means.
fn answer(reply: &Reply) -> Result<Value, Failure> {
    judge(reply)?;
    let body: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    if body.get("ok") == Some(&json!(true)) {
        return Ok(body);
    }
    let error = body.get("error").and_then(Value::as_str).unwrap_or("no answer that is understood");
    let why = format!("Slack says {}", crate::notice::inert(error));
    if FOR_EVER.contains(&error) {
        return Err(Failure::Never(why));
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
        let reply = |body: &str| answer(&Reply { status: 200, body: body.into(), ..Reply::default() });
        assert!(reply("{\"ok\":true}").is_ok());
        assert!(matches!(reply("{\"ok\":false,\"error\":\"users_not_found\"}"), Err(Failure::Never(_))));
        assert!(matches!(reply("{\"ok\":false,\"error\":\"invalid_auth\"}"), Err(Failure::Later(_, None))));
        assert!(matches!(reply("{\"ok\":false,\"error\":\"ratelimited\"}"), Err(Failure::Later(_, Some(_)))));
        assert!(matches!(reply("<html>"), Err(Failure::Later(_, None))));
    }
}
