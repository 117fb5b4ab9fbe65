//! Who is let in by grants on this host, as `who` and `status` show it.

use policy::{Granted, Principal, Timestamp};
use serde_json::{Value, json};
use status::Standing;

use crate::table::aligned;
use crate::when::When;

/// A table for people; nothing where there are none.
pub fn table(grants: &[&Granted], at: Timestamp) -> String {
    let mut table = vec![["BY A GRANT", "ACCOUNT", "UNTIL", "SIGNED BY", "GRANT"].map(String::from)];
    table.extend(grants.iter().map(|grant| {
        [
            grant.person.to_string(),
            grant.account.to_string(),
            When(grant.window.end(), at).to_string(),
            Principal::list(&grant.approvers, ", "),
            grant.id.clone(),
        ]
    }));
    if grants.is_empty() { String::new() } else { aligned(&table) }
}

/// One of them in a line.
pub fn line(grant: &Granted, at: Timestamp) -> String {
    let (until, approvers) = (When(grant.window.end(), at), Principal::list(&grant.approvers, " and "));
    format!("{} enters {} until {until}, by {approvers} ({})", grant.person, grant.account, grant.id)
}

/// The same for programs; null where none are taken, or where it is not known.
pub fn json(grants: Option<&Standing<'_>>) -> Value {
    let one = |grant: &&Granted| {
        json!({
            "person": grant.person.as_str(),
            "account": grant.account.as_str(),
            "start": grant.window.start().to_string(),
            "end": grant.window.end().to_string(),
            "approvers": grant.approvers.iter().map(Principal::as_str).collect::<Vec<_>>(),
            "rule": grant.rule,
            "grant": grant.id,
        })
    };
    let all = grants.and_then(|grants| grants.as_ref().ok());
    all.map_or(Value::Null, |all| all.iter().map(one).collect())
}

/// Why they are not shown, or null.
pub fn problem(grants: Option<&Standing<'_>>) -> Value {
    json!(grants.and_then(|grants| grants.as_ref().err()))
}
