//! What was found, as people and programs read it.

use std::fmt::Write as _;
use std::path::PathBuf;

use host::output::counted;
use policy::{OneLine, Timestamp};
use serde_json::{Value, json};

use super::collected::{Collected, Host};
use super::inventory::Inventory;
use super::judge::Finding;
use crate::table::aligned;

/// How much of a digest people are shown.
const SHORT: usize = 12;

/// All that was found.
#[derive(Debug)]
pub struct Fleet {
    pub directory: PathBuf,
    pub collected: Collected,
    /// `None`: none was given.
    pub inventory: Option<Inventory>,
    pub findings: Vec<Finding>,
}

impl Fleet {
    /// For people.
    pub fn table(&self) -> String {
        let Collected { since, until, hosts, .. } = &self.collected;
        let mut text = format!("records below {}, {since} to {until}\n", self.directory.display());
        match &self.inventory {
            None => text.push_str(
                "population unknown: without --inventory nobody can tell which hosts are missing\n",
            ),
            Some(inventory) => {
                let (all, heard) = (counted(inventory.hosts.len(), "host"), self.heard(inventory));
                let _ =
                    writeln!(text, "population: {all} in the inventory; records of {heard} of them are here");
            }
        }
        text.push('\n');
        let mut rows =
            vec![["  HOST", "RECORDS", "TWICE", "BOOTS", "LAST HEARTBEAT", "POLICY"].map(str::to_string)];
        rows.extend(hosts.iter().map(|(name, host)| {
            [
                format!("  {name}"),
                host.records.to_string(),
                host.duplicates.to_string(),
                host.boots.len().to_string(),
                host.last_beat.map_or_else(|| "-".to_string(), |beat| beat.to_string()),
                policy(host),
            ]
        }));
        text.push_str(&aligned(&rows));
        if self.findings.is_empty() {
            text.push_str("\nnothing is missing of what can be told: docs/audit.md says what cannot\n");
        } else {
            text.push_str("\nwhat is missing, or is not as it should be\n");
        }
        for Finding { host, kind, text: what } in &self.findings {
            let colon = if host.is_empty() { "" } else { ": " };
            let line = format!("{host}{colon}{what} [{kind}]");
            let _ = writeln!(text, "  {}", OneLine::new(&line));
        }
        text.trim_end().to_string()
    }

    /// For programs.
    pub fn json(&self) -> String {
        let Collected { since, until, hosts, .. } = &self.collected;
        let findings = self.findings.iter().map(|Finding { host, kind, text }| {
            json!({ "host": (!host.is_empty()).then_some(host), "kind": kind, "text": text })
        });
        let document = json!({
            "version": 1,
            "since": since.to_string(),
            "until": until.to_string(),
            "population": self.inventory.as_ref().map(|inventory| inventory.hosts.len()),
            "hosts": hosts.iter().map(|(name, host)| self.row(name, host)).collect::<Vec<_>>(),
            "findings": findings.collect::<Vec<_>>(),
        });
        format!("{document:#}")
    }

    fn row(&self, name: &str, host: &Host) -> Value {
        let instant = |at: Option<Timestamp>| at.map(|at| at.to_string());
        json!({
            "host": name,
            "listed": self.inventory.as_ref().map(|inventory| inventory.hosts.contains_key(name)),
            "records": host.records,
            "duplicates": host.duplicates,
            "boots": host.boots.len(),
            "first": instant(host.boots.values().map(|boot| boot.first).min()),
            "last": instant(host.boots.values().map(|boot| boot.last).max()),
            "last_heartbeat": instant(host.last_beat),
            "policy": (!host.policy.is_empty()).then_some(&host.policy),
            "policy_signed": match host.signed.word.as_str() { "signed" => Some(true), "unsigned" => Some(false), _ => None },
            "policy_number": host.signed.number,
            "policy_digest": (!host.signed.digest.is_empty()).then_some(&host.signed.digest),
        })
    }

    fn heard(&self, inventory: &Inventory) -> usize {
        inventory.hosts.keys().filter(|name| self.collected.hosts.contains_key(*name)).count()
    }
}

/// The configuration that runs there, and how its policy is signed.
fn policy(host: &Host) -> String {
    let short: String = host.policy.chars().take(SHORT).collect();
    match (host.signed.word.as_str(), host.signed.number) {
        ("signed", Some(number)) => format!("{short} signed, number {number}"),
        ("unsigned", _) => format!("{short} NOT AS SIGNED"),
        _ => short,
    }
}
