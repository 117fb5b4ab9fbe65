//! `provider`: what shifts can come from, by the one table that there is of it; and what one source says now.

mod calendar;
mod record;
mod test;

use host::config::kinds::{Kind, kinds};
use serde_json::{Value, json};

use crate::said::Said;
use crate::table::aligned;

pub use test::run as test;

/// The table of all kinds of sources.
pub fn list(json: bool) -> Said {
    if json {
        let all: Vec<Value> = kinds().map(told).collect();
        return Said::text(format!("{:#}", json!({"version": 1, "providers": all})));
    }
    let mut rows = vec![["PROVIDER", "SERVICE", "NEEDS", "CAN", "VERIFIED"].map(String::from)];
    rows.extend(kinds().map(|kind| {
        [
            kind.word.to_string(),
            kind.label.to_string(),
            needs(kind).join(", "),
            abilities(kind).join(", "),
            if kind.verified { "yes" } else { "no" }.to_string(),
        ]
    }));
    Said::text(aligned(&rows).trim_end())
}

/// The settings without which nothing can be asked.
fn needs(kind: &Kind) -> Vec<&'static str> {
    let mut needs: Vec<&str> =
        kind.settings().filter(|setting| setting.needed).map(|setting| setting.name).collect();
    if !kind.module.is_empty() && kind.api.is_empty() {
        needs.insert(0, "api");
    }
    // One of two is enough.
    match kind.word {
        "pagerduty" => needs.push("token_file or oauth"),
        "icalendar" => needs.push("url_file or file"),
        _ => {}
    }
    if !kind.lists {
        needs.push("schedules");
    }
    needs
}

fn abilities(kind: &Kind) -> Vec<&'static str> {
    let Kind { look_ahead, overrides, levels, teams, lists, .. } = kind;
    let all = [
        ("look-ahead", look_ahead),
        ("overrides", overrides),
        ("levels", levels),
        ("teams", teams),
        ("all schedules", lists),
    ];
    all.into_iter().filter(|(_, can)| **can).map(|(what, _)| what).collect()
}

fn told(kind: &Kind) -> Value {
    let Kind { word, label, look_ahead, overrides, levels, teams, lists, verified, .. } = kind;
    let settings: Vec<&str> = kind.settings().map(|setting| setting.name).collect();
    json!({
        "provider": word, "service": label, "needs": needs(kind), "settings": settings, "look_ahead": look_ahead,
        "overrides": overrides, "levels": levels, "teams": teams, "lists": lists, "verified": verified,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// docs/providers.md has the table as it is.
    #[test]
    fn the_page_has_a_row_for_each_provider_and_says_what_the_table_says() {
        let page = include_str!("../../../docs/providers.md");
        let yes = |is| if is { "yes" } else { "no" };
        for kind in kinds() {
            let needs = needs(kind).into_iter().map(|one| {
                one.split(" or ").map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" or ")
            });
            let row = format!(
                "| `{}` | {} | {} | {} | {} | {} | {} | {} | {} |",
                kind.word,
                kind.label,
                needs.collect::<Vec<_>>().join(", "),
                yes(kind.look_ahead),
                yes(kind.overrides),
                yes(kind.levels),
                yes(kind.teams),
                yes(kind.lists),
                yes(kind.verified)
            );
            assert!(page.contains(&row), "docs/providers.md lacks {row}");
        }
        let rows = page.lines().filter(|line| line.starts_with("| `") && line.matches(" | ").count() == 8);
        // With the head, whose first word is written as they are.
        assert_eq!(rows.count(), kinds().count() + 1);
    }
}
