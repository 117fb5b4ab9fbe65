//! `grant list` and `grant revoke`: what counts on this host, and what no longer does.

use std::path::Path;

use host::orders::{LONGEST_REASON, is_reason};
use host::{Config, accounts, revoked_grants};
use policy::{Principal, Timestamp};
use record::Line;
use state::{HostState, Unreviewed, Used, Which, unreviewed};
use status::unshown;

use crate::held::{HeldOrders, Matter, open_sessions};
use crate::said::{CANNOT_TELL, Live, Said};
use crate::when::When;

/// Each grant that counts now, a line.
pub fn list(config: &Path, now: Timestamp) -> Said {
    let mut state = HostState::load(config);
    let known = match state.config() {
        Ok(config) => config,
        Err(problem) => return Said::failure(CANNOT_TELL, problem),
    };
    let mut lines = not_reviewed(known, now);
    if !known.rules.takes_grants() {
        let host = &known.rules.host.name;
        let problem = format!("no [[policy.grant]] covers this host ({host})");
        return Said::failure(1, problem).then(lines.join("\n"));
    }
    state.read_grants(Which::All, now);
    // Why somebody asked is not for everybody to read.
    if let Some(problem) = unshown(&state) {
        return Said::failure(CANNOT_TELL, format_args!("grants: {problem}"));
    }
    let grants = state.grants();
    let line = |grant: &policy::Granted| {
        format!(
            "{} enters {} until {}, by {}: {} ({})",
            grant.person,
            grant.account,
            When(grant.window.end(), now),
            if grant.is_break_glass {
                "break-glass".to_string()
            } else {
                Principal::list(&grant.approvers, " and ")
            },
            grant.reason,
            grant.id
        )
    };
    lines.splice(0..0, grants.iter().map(line));
    if lines.is_empty() {
        Said::default().note("no grant counts on this host now")
    } else {
        Said::text(lines.join("\n"))
    }
}

/// A line for each use of break-glass that nobody has reviewed, the earliest first.
fn not_reviewed(config: &Config, now: Timestamp) -> Vec<String> {
    let line = |one: Unreviewed| match one.used {
        Ok(Used { person, account, reason, id }) => format!(
            "not reviewed: {person} let themselves into {account} {}: {reason} ({id}); an approver reads and signs: oncall-cache grant review --finding TEXT {}",
            When(one.at, now),
            one.path.display()
        ),
        Err(why) => format!("not reviewed, and it cannot be told who let themselves in: {why}"),
    };
    unreviewed(config, now).into_iter().map(line).collect()
}

const MATTER: Matter = Matter { what: "revoke grants", verbs: "grant revoke" };

/// Ends the grant `id` on this host, also before it is brought here; nothing takes that back.
pub fn revoke(config: &Path, id: &str, reason: &str, live: Live<'_>, now: Timestamp) -> Said {
    let reason = reason.trim();
    if !revoked_grants::is_id(id) {
        return Said::usage("a grant's name is 32 of the digits 0-9 and a-f: the text's line `grant`");
    }
    if !is_reason(reason) {
        return Said::usage(format_args!("a reason is one line of at most {LONGEST_REASON} bytes"));
    }
    let held = match HeldOrders::take(&revoked_grants::FILE, config, MATTER, live) {
        Ok(held) => held,
        Err(problem) => return Said::failure(CANNOT_TELL, problem),
    };
    let by = accounts::operator();
    let text = revoked_grants::with(&held.text, id, now, &by, reason);
    match held.put(&text, revoked_grants::read) {
        Ok(ids) if ids.contains(id) => {
            Line::new("", "revoke", "grant")
                .field("grant", id)
                .field("by", &by)
                .field("why", reason)
                .send("oncall-cache");
            Said::text(format!(
                "the grant {id} counts no more on this host (by {by}); {}",
                open_sessions(config)
            ))
        }
        Ok(_) => Said::failure(CANNOT_TELL, "the list does not have it; nothing counts as revoked"),
        Err(problem) => Said::failure(CANNOT_TELL, problem),
    }
}
