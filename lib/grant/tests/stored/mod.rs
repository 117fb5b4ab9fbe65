//! What a host keeps of an accepted grant, and what it believes of it at each login.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::site::{Site, at, person};
use grant::{Holders, Known, Refusal, Stored, stored_id, stored_name, write_stored};
use policy::{GrantRule, Granted, HostSelector, Span, Timestamp, Uptime};

/// So many seconds after the start of this boot.
fn up(seconds: u64) -> Uptime {
    Uptime::new(Some(7), Duration::from_secs(seconds))
}

fn rule(site: &Site) -> GrantRule {
    site.rule.clone()
}

/// Accepted at 03:10, a thousand seconds after the start.
fn kept(document: &[u8]) -> Vec<u8> {
    write_stored("night", at("03:10:00"), &up(1000), document)
}

fn stands(site: &Site, rules: &[GrantRule], file: &[u8], now: Timestamp, uptime: &Uptime) -> Option<Granted> {
    let signers = site.signers("");
    let holders = Holders::of(&signers);
    let known = Known {
        site: "example",
        host: &site.host,
        holders: &holders,
        revoked: &site.revoked,
        revoked_grants: &site.revoked_grants,
        memory: Timestamp::MIN,
    };
    let stored = Stored::read(file).ok()?;
    stored.stands(rules, &known, &signers, (now, uptime)).ok()
}

#[test]
fn what_is_kept_stands_to_its_end_and_says_who_signed() {
    let site = Site::new();
    let grant = site.grant();
    let file = kept(&site.sign(&grant, &["alice", "alice-2", "carol"]));
    let rules = [rule(&site)];
    let granted = stands(&site, &rules, &file, at("03:10:00"), &up(1000)).unwrap();
    assert_eq!((granted.person, granted.account.as_str()), (person("bob"), "root"));
    assert_eq!((granted.window, granted.rule.as_str()), (grant.window, "night"));
    assert_eq!(granted.approvers, ["alice", "carol"].map(person));
    assert_eq!(granted.id, grant.id.to_string());
    let name = stored_name(&grant);
    assert_eq!(name, format!("root@bob.{}", grant.id));
    assert_eq!((stored_id(&name), stored_id(".memory"), stored_id("x")), (Some(grant.id), None, None));
    let at_end = |now, uptime| stands(&site, &rules, &file, now, &up(uptime)).is_some();
    assert!(at_end(at("04:01:59"), 1000 + 3119) && !at_end(at("04:02:00"), 1000 + 3120));
}

#[test]
fn a_clock_that_is_set_makes_no_right_longer_and_ends_none_for_good() {
    let site = Site::new();
    let file = kept(&site.sign(&site.grant(), &["alice", "carol"]));
    let rules = [rule(&site)];
    let is_open = |now, uptime: &Uptime| stands(&site, &rules, &file, now, uptime).is_some();
    // Set back by two hours, and it goes on: the clock that nobody sets tells the end.
    assert!(is_open(at("01:10:00"), &up(1000)) && is_open(at("02:01:59"), &up(1000 + 3119)));
    assert!(!is_open(at("02:02:00"), &up(1000 + 3120)));
    // To another year and back.
    let far = Timestamp::parse("2036-11-20T03:20:00Z").unwrap();
    assert!(!is_open(far, &up(1600)) && is_open(at("03:20:00"), &up(1600)));
    // Of another boot, and of a host that does not know its boot, nothing is known.
    for other in [
        Uptime::new(Some(8), Duration::from_secs(1000)),
        Uptime::new(None, Duration::from_secs(1000)),
        up(999),
    ] {
        assert!(!is_open(at("03:20:00"), &other), "{other}");
    }
}

#[test]
fn the_rule_that_holds_now_bounds_what_was_accepted() {
    let mut site = Site::new();
    let file = kept(&site.sign(&site.grant(), &["alice", "carol"]));
    let is_open =
        |site: &Site, rule: GrantRule| stands(site, &[rule], &file, at("03:20:00"), &up(1600)).is_some();
    let good = rule(&site);
    assert!(is_open(&site, good.clone()));
    for other in [
        GrantRule { name: "day".into(), ..good.clone() },
        GrantRule { hosts: vec![HostSelector::parse("web*")], ..good.clone() },
        GrantRule { accounts: BTreeSet::new(), ..good.clone() },
        GrantRule { approvers: [person("alice")].into(), ..good.clone() },
        GrantRule { max: Span::minutes(59), ..good.clone() },
        GrantRule { approvers: [person("carol")].into(), ..good.clone() },
    ] {
        assert!(!is_open(&site, other.clone()), "{other:?}");
    }
    site.listed.remove("carol");
    assert!(!is_open(&site, good.clone()), "no signer any more");
    let mut site = Site::new();
    site.revoke_here("carol");
    assert!(!is_open(&site, good.clone()));
    let mut site = Site::new();
    site.revoked_grants.insert(site.grant().id);
    assert!(!is_open(&site, good));
}

#[test]
fn a83_whatever_somebody_writes_there_lets_in_nobody_but_whom_two_have_signed_for() {
    let site = Site::new();
    let grant = site.grant();
    let file = kept(&site.sign(&grant, &["alice", "carol"]));
    let rules = [rule(&site)];
    let mut stood = 0;
    for place in 0..file.len() {
        for byte in [b'0', b'9', b'A', b' ', b'\n', b'\r', 0, 0xff, file[place] ^ 1] {
            let mut other = file.clone();
            other[place] = byte;
            let now = (at("03:20:00"), up(1600));
            let Some(granted) = stands(&site, &rules, &other, now.0, &now.1) else { continue };
            stood += 1;
            let is_same = granted.person == grant.person
                && granted.account == grant.account
                && granted.window == grant.window
                && granted.id == grant.id.to_string();
            assert!(is_same && granted.approvers == ["alice", "carol"].map(person), "{place}: {granted:?}");
            // And for no longer than was signed.
            assert!(stands(&site, &rules, &other, grant.window.end(), &now.1).is_none(), "{place}");
        }
    }
    assert!(stood > 30, "the same byte again, and instants of acceptance that fit: {stood}");
    let text = grant.write().unwrap();
    for document in
        [text.as_bytes(), &site.sign(&grant, &["alice"]), &site.sign(&grant, &["bob", "carol"]), b""]
    {
        assert!(stands(&site, &rules, &kept(document), at("03:20:00"), &up(1600)).is_none());
    }
    let over = Stored::read(&file).unwrap().instant(at("03:20:00"), &up(1));
    assert_eq!(over, Err(Refusal::Forgotten(at("03:20:00"))));
}
