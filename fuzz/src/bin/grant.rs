//! A grant with its signatures: a text is one grant or none, and none but the grant that two colleagues signed is accepted.

#![no_main]

use std::collections::BTreeSet;
use std::sync::LazyLock;

use grant::{Document, Holders, Known, judge};
use libfuzzer_sys::fuzz_target;
use policy::{Account, GrantRule, Host, HostSelector, Principal, Quorum, Revoked, Span, Timestamp};
use signed::{Purpose, Signers};

/// What alice and carol have signed in the seeds: an hour of root on db7 for bob.
const TEXT: &[u8] = include_bytes!("../../seeds/grant/asked");

/// 2026-11-20T03:10:00Z
const NOW: Timestamp = Timestamp::from_unix(1_795_144_200);

static SIGNERS: LazyLock<Signers> =
    LazyLock::new(|| fuzz::signers(&[("alice", 1), ("carol", 2)], Purpose::Grant));

fuzz_target!(|bytes: &[u8]| {
    let Ok(document) = Document::read(bytes) else { return };
    // Each byte belongs to the text or to an armour, and there is one text for each grant.
    assert_eq!([document.text, &document.armours.concat()].concat(), bytes);
    assert_eq!(document.grant.write().as_deref().map(str::as_bytes), Ok(document.text));
    let host = Host { name: "db7".into(), labels: Vec::new() };
    let (revoked, revoked_grants) = (Revoked::nobody(), BTreeSet::new());
    let known = Known {
        site: "example",
        host: &host,
        holders: &Holders::of(&SIGNERS),
        revoked: &revoked,
        revoked_grants: &revoked_grants,
        memory: Timestamp::MIN,
    };
    let rule = GrantRule {
        name: "night".into(),
        hosts: vec![HostSelector::parse("*")],
        accounts: Account::new("root").into_iter().collect(),
        approvers: ["alice", "carol"].into_iter().filter_map(|name| Principal::new(name).ok()).collect(),
        quorum: Quorum::Two,
        people: BTreeSet::new(),
        always: false,
        max: Span::hours(12),
    };
    let Ok(accepted) = judge(&document.grant, &known, &rule, document.signatures(&SIGNERS, NOW), NOW) else {
        return;
    };
    assert_eq!(document.text, TEXT);
    assert_eq!(accepted.grant, document.grant);
    // Keys that no list names are these, too.
    let keys: BTreeSet<_> = document.keys().flatten().map(|key| key.sha256()).collect();
    assert!(accepted.approvals.iter().all(|approval| keys.contains(&approval.key)));
});
