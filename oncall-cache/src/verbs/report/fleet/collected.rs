//! What the records of many hosts say together: state by host and boot, and none by record.

use std::collections::BTreeMap;

use policy::{Span, Timestamp};
use record::{Phase, Record};

use super::input::Line;
use super::inventory::Inventory;
use super::runs::{Beats, Numbers, Taken};
use crate::verbs::report::numbers::Numbered;

/// The most hosts, boots and runs that are kept, and pairs of a sender and a host that is not its own.
const MOST_HOSTS: usize = 50_000;
const MOST_BOOTS: usize = 150_000;
const MOST_RUNS: usize = 1_000_000;
const MOST_FORGED: usize = 1_000;

/// The most boots before it that a boot is believed to know.
const MOST_PREVIOUS: usize = 8;

/// The longest name of a host or boot that is kept, in bytes: longer than any.
const LONGEST: usize = 256;

/// One boot of a host.
#[derive(Debug)]
pub struct Boot {
    pub numbers: Numbers,
    pub beats: Beats,
    /// When its first and its last record were written, by the host's clock.
    pub first: Timestamp,
    pub last: Timestamp,
    /// The boots that its heartbeats know, each with its last number.
    pub previous: Vec<(Box<str>, u64)>,
}

/// One host.
#[derive(Debug, Default)]
pub struct Host {
    pub boots: BTreeMap<Box<str>, Boot>,
    /// Records, each counted once.
    pub records: u64,
    /// Such as came once more.
    pub duplicates: u64,
    /// Records of the period without a number or a boot.
    pub unnumbered: u64,
    /// Records of the period that were left out on the host, since one person had too many in a minute.
    pub dropped: u64,
    pub last_beat: Option<Timestamp>,
    /// The digest of its configuration, by its last heartbeat.
    pub policy: String,
    /// And the signed policy that runs there.
    pub signed: Approval,
    /// Has any heartbeat said whether the policy is signed?
    pub was_asked: bool,
}

/// What a host says of the signature of its policy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Approval {
    /// `signed` or `unsigned`; empty where nobody asks for a signature, or an earlier release says nothing of it.
    pub word: String,
    pub number: Option<u64>,
    pub digest: String,
}

/// How often a sender spoke for a host that is not its own.
#[derive(Debug, Clone, Copy)]
pub struct Forged {
    pub count: u64,
    pub first: Timestamp,
    pub last: Timestamp,
}

/// All that was collected.
#[derive(Debug)]
pub struct Collected {
    /// The time that is asked about.
    pub since: Timestamp,
    pub until: Timestamp,
    /// The longest that a host may be without a heartbeat.
    pub silent: Span,
    pub hosts: BTreeMap<String, Host>,
    /// By sender and host.
    pub forged: BTreeMap<(String, String), Forged>,
    /// Lines that are no record.
    pub unread: u64,
    /// Records of which nobody knows who sent them, and such as do not say of which host they are.
    pub senderless: u64,
    pub hostless: u64,
    /// What there was no room for.
    pub lost: u64,
    /// How many boots are kept, and how many more runs may be.
    boots: usize,
    room: usize,
}

impl Collected {
    pub fn new(since: Timestamp, until: Timestamp, silent: Span) -> Self {
        Self {
            since,
            until,
            silent,
            hosts: BTreeMap::new(),
            forged: BTreeMap::new(),
            unread: 0,
            senderless: 0,
            hostless: 0,
            lost: 0,
            boots: 0,
            room: MOST_RUNS,
        }
    }

    /// One line. Whoever sent it has spoken for `inventory`'s host, or for another.
    pub fn take(&mut self, line: &Line<'_>, inventory: &Inventory) {
        let Some(record) = line.text.and_then(Record::read) else {
            self.unread += 1;
            return;
        };
        let host = match (record.host.as_str(), line.sender) {
            // Its configuration cannot be read, and it does not know its name.
            ("", Some(sender)) => inventory.host_of(sender).to_string(),
            ("", None) => {
                self.hostless += 1;
                return;
            }
            (host, _) => host.to_string(),
        };
        match line.sender {
            Some(sender) if !inventory.sends(sender, &host) && !record.host.is_empty() => {
                self.take_forged(sender, host, record.time);
                return;
            }
            Some(_) => {}
            None => self.senderless += 1,
        }
        self.take_record(host, record);
    }

    /// What somebody says of another host says nothing of that.
    fn take_forged(&mut self, sender: &str, host: String, at: Timestamp) {
        let is_full = self.forged.len() == MOST_FORGED;
        let pair = (sender.chars().take(LONGEST).collect(), host);
        if is_full && !self.forged.contains_key(&pair) {
            self.lost += 1;
            return;
        }
        let forged = self.forged.entry(pair).or_insert(Forged { count: 0, first: at, last: at });
        forged.count += 1;
        forged.first = forged.first.min(at);
        forged.last = forged.last.max(at);
    }

    fn take_record(&mut self, name: String, record: Record) {
        let at = record.time;
        let is_known = self.hosts.contains_key(&name);
        if !is_known && (self.hosts.len() == MOST_HOSTS || name.len() > LONGEST) {
            self.lost += 1;
            return;
        }
        let is_asked = self.since <= at && at < self.until;
        let host = self.hosts.entry(name).or_default();
        let Some(number) = record.seq.filter(|_| !record.boot_id.is_empty()) else {
            host.records += 1;
            host.unnumbered += u64::from(is_asked);
            return;
        };
        let boot = match host.boots.get_mut(record.boot_id.as_str()) {
            Some(boot) => boot,
            None if self.boots == MOST_BOOTS || record.boot_id.len() > LONGEST => {
                self.lost += 1;
                return;
            }
            None => {
                self.boots += 1;
                host.boots.entry(record.boot_id.as_str().into()).or_insert_with(|| Boot::at(at))
            }
        };
        match boot.numbers.take(Numbered { number, at }, &mut self.room) {
            Taken::New => host.records += 1,
            Taken::Twice => {
                host.duplicates += 1;
                return;
            }
            Taken::NoRoom => self.lost += 1,
        }
        boot.first = boot.first.min(at);
        boot.last = boot.last.max(at);
        if is_asked {
            host.dropped += record.dropped.0.iter().fold(0_u64, |sum, (_, count)| sum.saturating_add(*count));
        }
        if record.phase() == Some(Phase::Heartbeat) {
            boot.beats.take(at, self.silent, &mut self.room);
            boot.learn(&record.previous.0);
            host.was_asked |= !record.approval.is_empty();
            if host.last_beat.is_none_or(|last| last <= at) {
                host.last_beat = Some(at);
                host.policy = record.policy;
                host.signed = Approval {
                    word: record.approval,
                    number: record.policy_number,
                    digest: record.policy_digest,
                };
            }
        }
    }
}

impl Boot {
    fn at(at: Timestamp) -> Self {
        Self {
            numbers: Numbers::default(),
            beats: Beats::default(),
            first: at,
            last: at,
            previous: Vec::new(),
        }
    }

    /// What a heartbeat knows of boots before it.
    fn learn(&mut self, previous: &[(String, u64)]) {
        for (id, last) in previous.iter().filter(|(id, _)| id.len() <= LONGEST) {
            let has_room = self.previous.len() < MOST_PREVIOUS;
            match self.previous.iter_mut().find(|(known, _)| **known == **id) {
                Some((_, known)) => *known = (*known).max(*last),
                None if has_room => self.previous.push((id.as_str().into(), *last)),
                None => {}
            }
        }
    }
}
