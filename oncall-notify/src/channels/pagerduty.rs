//! PagerDuty's Events API, version 2: events trigger, acknowledge and resolve one alert by its key. Fields and lengths as
//! developer.pagerduty.com, "Send an Alert Event".

use http::Reply;
use serde_json::json;

use super::{Failure, Message, client, facts, judge, secret};
use crate::config::PagerDuty;
use crate::notice::{Notice, instant};
use crate::words::{self, cut};

/// The longest `dedup_key` and `summary`.
const LONGEST_KEY: usize = 255;
const LONGEST_SUMMARY: usize = 1_024;

/// Sends it; an action of nothing sends nothing.
pub fn deliver(pagerduty: &PagerDuty, message: &Message<'_>) -> Result<(), Failure> {
    let action = words::word(&pagerduty.action, message.notice).map_err(Failure::never)?;
    let dedup = words::word(&pagerduty.dedup, message.notice).map_err(Failure::never)?;
    let body = match action.as_str() {
        "" => return Ok(()),
        "trigger" | "acknowledge" | "resolve" => body(pagerduty, message, &action, &dedup),
        other => {
            return Err(Failure::never(format_args!(
                "`action` says `{other}`, not trigger, acknowledge, resolve or nothing"
            )));
        }
    };
    let mut body = body;
    if let Some(body) = body.as_object_mut() {
        body.insert("routing_key".into(), json!(secret(&pagerduty.routing_key_file)?.expose()));
    }
    let client = client(&pagerduty.api, &pagerduty.ca_file, pagerduty.proxy.as_ref())?;
    let reply = client.tell("/v2/enqueue", &[], body.to_string().into_bytes())?;
    judged(judge(&reply), &reply)
}

/// PagerDuty answers 400 also to a routing key that it does not know: that is no reason to drop an alert.
fn judged(judged: Result<(), Failure>, reply: &Reply) -> Result<(), Failure> {
    match judged {
        Err(Failure::Never(why)) if reply.status == 400 => Err(Failure::Apart(format!(
            "{why}, which it also answers to a routing key that it does not know"
        ))),
        other => other,
    }
}

fn body(pagerduty: &PagerDuty, message: &Message<'_>, action: &str, dedup: &str) -> serde_json::Value {
    let dedup = if dedup.trim().is_empty() { message.notice.id() } else { dedup };
    let mut body = json!({ "event_action": action, "dedup_key": cut(dedup, LONGEST_KEY) });
    if action != "trigger" {
        return body;
    }
    let host = match message.notice {
        Notice::One(one) if !one.get("host").is_empty() => one.get("host"),
        _ => "oncall-notify",
    };
    if let Some(body) = body.as_object_mut() {
        body.insert("client".into(), json!("oncall-notify"));
        body.insert(
            "payload".into(),
            json!({
                "summary": cut(&message.text, LONGEST_SUMMARY),
                "source": host,
                "severity": pagerduty.severity,
                "timestamp": instant(message.notice.at()),
                "component": "authkeys",
                "custom_details": facts(message.notice),
            }),
        );
    }
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alert_outlives_a_wrong_routing_key() {
        let said = |status: u16| {
            let reply = Reply { status, ..Reply::default() };
            judged(judge(&reply), &reply)
        };
        assert_eq!(said(202), Ok(()));
        assert!(matches!(said(400), Err(Failure::Apart(why)) if why.contains("routing key")));
        assert!(matches!(said(413), Err(Failure::Never(_))));
        assert!(matches!(said(500), Err(Failure::Later(..))));
    }
}
