//! A review of break-glass with its signatures: a text is one review or none, and none but the one that an approver signed
//! closes anything.

#![no_main]

use std::collections::BTreeSet;
use std::sync::LazyLock;

use grant::{Document, Holders, Known, ReviewDocument, judge_review};
use libfuzzer_sys::fuzz_target;
use policy::{Account, GrantRule, Host, HostSelector, Principal, Quorum, Revoked, Span, Timestamp};
use signed::{Purpose, Signers, split};

/// What is reviewed: an hour of root on db7 for bob.
const USED: &[u8] = include_bytes!("../../seeds/grant/asked");

/// What alice and carol have signed of it in the seeds, and bob himself.
const TEXT: &[u8] = include_bytes!("../../seeds/review/asked");

/// 2026-11-20T09:10:00Z
const NOW: Timestamp = Timestamp::from_unix(1_795_165_800);

static SIGNERS: LazyLock<Signers> =
    LazyLock::new(|| fuzz::signers(&[("alice", 1), ("carol", 2), ("bob", 3)], Purpose::Review));

fn people(names: &[&str]) -> BTreeSet<Principal> {
    names.iter().filter_map(|name| Principal::new(name).ok()).collect()
}

fuzz_target!(|bytes: &[u8]| {
    let Ok(document) = ReviewDocument::read(bytes) else { return };
    // Each byte belongs to the text or to an armour, there is one text for each review, and none of them is a grant.
    let (text, armours) = split(bytes).expect("it was taken apart");
    assert_eq!(text, document.signed);
    assert_eq!([text, &armours.concat()].concat(), bytes);
    assert_eq!(document.review.write().as_deref().map(str::as_bytes), Ok(text));
    assert!(ReviewDocument::is_meant(bytes) && Document::read(bytes).is_err());
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
    let rules = [GrantRule {
        name: "glass".into(),
        hosts: vec![HostSelector::parse("*")],
        accounts: Account::new("root").into_iter().collect(),
        approvers: people(&["alice", "bob", "carol"]),
        quorum: Quorum::BreakGlass,
        people: people(&["bob"]),
        always: false,
        max: Span::hours(1),
    }];
    let used = Document::read(USED).expect("a seed");
    let signatures = document.signatures(&SIGNERS, NOW);
    let Ok(approvals) = judge_review(&document.review, &used, &known, &rules, signatures, NOW) else {
        return;
    };
    assert_eq!(text, TEXT);
    let reviewers: BTreeSet<_> = approvals.into_iter().map(|approval| approval.person).collect();
    assert!(!reviewers.is_empty() && reviewers.is_subset(&people(&["alice", "carol"])));
});
