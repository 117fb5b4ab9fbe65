//! What a rule asks of incidents, in words.

use toml::{Table, Value};

/// Where that is written.
pub(crate) const SECTION: &str = "policy.rule.incident";

/// All of `table`, a `[policy.rule.incident]` with every default filled in; each setting with its key behind it.
pub(crate) fn in_words(table: &Table) -> String {
    let text = |key: &str| table.get(key).and_then(Value::as_str).unwrap_or("?");
    let services = table.get("services").and_then(Value::as_array).into_iter().flatten();
    let services: Vec<String> = services.filter_map(Value::as_str).map(|id| format!("`{id}`")).collect();
    let unknown = match text("on_unknown") {
        "refuse" => "the rule admits nobody",
        _ => "to be on call is enough",
    };
    format!(
        "incidents of {}, as the source `{}` tells them; one counts while it is open, for {} at most (max_open), and for {} after it is closed (linger); which are open is known for {} after it was read (known_for); while it is not known, {unknown} (on_unknown)",
        services.join(", "),
        text("source"),
        text("max_open"),
        text("linger"),
        text("known_for")
    )
}
