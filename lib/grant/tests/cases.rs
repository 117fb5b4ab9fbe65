//! The cases of docs/threat-model.md that grants alone decide, on real signatures.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

mod broken;
mod site;
mod stored;

use grant::{Document, Grant, GrantId, Holders, Reason, Refusal, may_be_signed};
use policy::{Account, HostSelector, Principal, Quorum, Span, Timestamp, Window, is_site_name};
use signed::{Purpose, SignatureError};
use site::{Site, at, person, word};

/// What is done to a site between two questions.
type Change<'a> = &'a dyn Fn(&mut Site);

/// Names that one byte parts from `name`, of those that are names.
fn neighbours(name: &str) -> Vec<String> {
    let bytes = name.as_bytes();
    let mut others = Vec::new();
    for place in 0..bytes.len() {
        for byte in b'!'..=b'~' {
            let mut other = bytes.to_vec();
            other[place] = byte;
            others.push(other);
        }
        others.push([&bytes[..place], &bytes[place + 1..]].concat());
        others.push([&bytes[..place], b"a", &bytes[place..]].concat());
    }
    let mut others: Vec<String> =
        others.into_iter().filter_map(|name| String::from_utf8(name).ok()).collect();
    others.retain(|other| other != name);
    others
}

fn window(start: Timestamp, length: Span) -> Window {
    Window::new(start, start.plus(length)).unwrap()
}

#[test]
fn every_reason_has_a_token_of_its_own() {
    let tokens: Vec<&str> = Reason::ALL.iter().map(|reason| reason.token()).collect();
    let all = "grant-expired early host account person lifetime signature quorum self revoked review-open \
               on-call-known unknown";
    assert_eq!(tokens.join(" "), all);
}

#[test]
fn two_colleagues_let_one_person_in_until_the_end_that_they_read() {
    let site = Site::new();
    let document = site.sign(&site.grant(), &["alice", "carol"]);
    let accepted = site.judge(&document, at("03:10:00")).unwrap();
    assert_eq!(accepted.until(), at("04:02:00"));
    let who: Vec<&Principal> = accepted.approvals.iter().map(|approval| &approval.person).collect();
    assert_eq!(who, [&person("alice"), &person("carol")]);
    assert_eq!(site.admits(&accepted, "bob", "root", at("03:10:00")), Ok(at("04:02:00")));
    // As well from their login keys, where root says so.
    let directory = Site { holders: Holders::of(&site.signers("")), ..Site::new() };
    assert_eq!(directory.judge_by_directory(&document, at("03:10:00")), Ok(accepted));
}

/// Of every length that a rule may give, at each end of the window; hosts, accounts and people one letter apart.
#[test]
fn a59_a_grant_is_for_its_time_hosts_account_and_person_alone_and_no_longer_than_the_rule_says() {
    let site = Site::new();
    let second = Span::seconds(1);
    for length in [1, 2, 59, 3_600, 4 * 3_600 - 1, 4 * 3_600].map(Span::seconds) {
        let grant = Grant { window: window(at("03:02:00"), length), ..site.grant() };
        let document = site.sign(&grant, &["alice", "carol"]);
        let (start, end) = (grant.window.start(), grant.window.end());
        let accepted = site.judge(&document, start).unwrap();
        for (now, expected) in [
            (start.minus(second), "early"),
            (start, "accepted"),
            (end.minus(second), "accepted"),
            (end, "grant-expired"),
            (end.plus(second), "grant-expired"),
        ] {
            assert_eq!(word(&site.judge(&document, now)), expected, "{length} {now}");
            assert_eq!(word(&site.admits(&accepted, "bob", "root", now)), expected, "{length} {now}");
        }
    }
    for (length, max) in [(4 * 3_600 + 1, 4), (13 * 3_600, 4), (12 * 3_600 + 1, 13), (13 * 3_600, 24)] {
        let mut site = Site::new();
        site.rule.max = Span::hours(max);
        let grant = Grant { window: window(at("03:02:00"), Span::seconds(length)), ..site.grant() };
        let document = site.sign(&grant, &["alice", "carol"]);
        assert_eq!(word(&site.judge(&document, at("03:02:00"))), "lifetime", "{length}");
    }
    let document = site.sign(&site.grant(), &["alice", "carol"]);
    let accepted = site.judge(&document, at("03:10:00")).unwrap();
    for name in neighbours("db7").into_iter().filter(|name| name != "db8") {
        let mut other = Site::new();
        other.host.name = name.clone();
        other.rule.hosts = vec![HostSelector::parse("*")];
        assert_eq!(word(&other.judge(&document, at("03:10:00"))), "host", "{name}");
        assert_eq!(word(&other.admits(&accepted, "bob", "root", at("03:10:00"))), "host", "{name}");
    }
    for name in neighbours("bob").iter().filter(|name| Principal::new(name).is_ok()) {
        assert_eq!(word(&site.admits(&accepted, name, "root", at("03:10:00"))), "person", "{name}");
    }
    for name in neighbours("root").iter().filter(|name| Account::new(name).is_ok()) {
        assert_eq!(word(&site.admits(&accepted, "bob", name, at("03:10:00"))), "account", "{name}");
        let grant = Grant { account: Account::new(name).unwrap(), ..site.grant() };
        let document = site.sign(&grant, &["alice", "carol"]);
        assert_eq!(word(&site.judge(&document, at("03:10:00"))), "account", "{name}");
    }
    for name in neighbours("example").into_iter().filter(|name| is_site_name(name)) {
        let document = site.sign(&Grant { site: name.clone(), ..site.grant() }, &["alice", "carol"]);
        assert_eq!(word(&site.judge(&document, at("03:10:00"))), "host", "{name}");
    }
    let own = site.sign(&site.grant(), &["alice", "bob"]);
    assert_eq!(site.judge(&own, at("03:10:00")), Err(Refusal::Own(person("bob"))));
}

#[test]
fn a59_a_host_that_the_rule_does_not_cover_takes_no_grant_that_names_it() {
    let mut site = Site::new();
    let document = site.sign(&site.grant(), &["alice", "carol"]);
    for (hosts, expected) in [
        (vec!["web*"], "host"),
        (vec![], "host"),
        (vec!["label:role=web", "db8"], "host"),
        (vec!["label:role=db"], "accepted"),
        (vec!["web*", "db?"], "accepted"),
    ] {
        site.rule.hosts = hosts.iter().map(|text| HostSelector::parse(text)).collect();
        assert_eq!(word(&site.judge(&document, at("03:10:00"))), expected, "{hosts:?}");
    }
}

#[test]
fn nobody_keeps_a_stock_of_grants() {
    let site = Site::new();
    let day = Span::hours(24);
    let (issued, second) = (at("03:00:00"), Span::seconds(1));
    let judged = |start: Timestamp, now: Timestamp| {
        let grant = Grant { window: window(start, Span::hours(1)), issued, ..site.grant() };
        site.judge(&site.sign(&grant, &["alice", "carol"]), now)
    };
    let last = issued.plus(day);
    assert_eq!(word(&judged(last, last)), "accepted");
    assert_eq!(judged(last.minus(second), last.plus(second)), Err(Refusal::Stale(issued)));
    assert_eq!(judged(last.plus(second), last), Err(Refusal::Ahead(last.plus(second))));
    assert_eq!(judged(last.plus(second), last.plus(second)), Err(Refusal::Ahead(last.plus(second))));
    // Once it was accepted, it is in force to its end.
    let accepted = judged(last, last).unwrap();
    assert_eq!(site.admits(&accepted, "bob", "root", last.plus(Span::minutes(59))), Ok(accepted.until()));

    // Whoever asked may have a clock that is a little ahead, and none that is a day ahead.
    let from = |issued: Timestamp| Grant { issued, ..site.grant() };
    let judged = |grant: &Grant| site.judge(&site.sign(grant, &["alice", "carol"]), at("03:10:00"));
    assert_eq!(word(&judged(&from(at("03:12:00")))), "accepted");
    assert_eq!(judged(&from(at("03:12:01"))), Err(Refusal::Early(at("03:12:01"))));
}

#[test]
fn what_no_host_could_take_is_not_to_be_signed() {
    let grant = Site::new().grant();
    let word = |grant: &Grant, now: &str| word(&may_be_signed(grant, at(now)));
    assert_eq!(word(&grant, "03:00:00"), "accepted", "signed before it begins");
    assert_eq!(word(&grant, "02:59:59"), "early", "from a clock that is ahead");
    assert_eq!((word(&grant, "04:01:59"), word(&grant, "04:02:00")), ("accepted", "grant-expired"));
    let long = |seconds| Grant { window: window(at("03:02:00"), Span::seconds(seconds)), ..grant.clone() };
    assert_eq!(word(&long(12 * 3_600), "03:02:00"), "accepted");
    assert_eq!(word(&long(12 * 3_600 + 1), "03:02:00"), "lifetime");
    let later = |seconds| {
        let start = grant.issued.plus(Span::seconds(seconds));
        Grant { window: window(start, Span::hours(1)), ..grant.clone() }
    };
    assert_eq!(
        (word(&later(86_400), "03:02:00"), word(&later(86_401), "03:02:00")),
        ("accepted", "lifetime")
    );
}

#[test]
fn of_what_was_issued_before_its_memory_began_a_host_cannot_tell() {
    let mut site = Site::new();
    let document = site.sign(&site.grant(), &["alice", "carol"]);
    for (memory, expected) in [("03:02:00", "accepted"), ("03:02:01", "grant-expired")] {
        site.memory = at(memory);
        assert_eq!(word(&site.judge(&document, at("03:10:00"))), expected);
    }
}

#[test]
fn a60_a_signature_by_anybody_else_or_for_anything_else_does_not_count() {
    let site = Site::new();
    let (now, grant) = (at("03:10:00"), site.grant());
    for purpose in Purpose::ALL.into_iter().filter(|purpose| *purpose != Purpose::Grant) {
        let other = site.sign_for(purpose, &grant, &["alice", "carol"]);
        let expected = SignatureError::Namespace(purpose.namespace().into());
        assert_eq!(site.judge(&other, now), Err(Refusal::Signature(expected)));
    }
    // One byte changed: where nothing but the signatures speaks against it, they do.
    let document = site.sign(&grant, &["alice", "carol"]);
    let (text, mut wrong) = (grant.write().unwrap().len(), 0);
    for place in 0..text {
        let mut other = document.clone();
        other[place] ^= 1;
        if Document::read(&other).is_ok() {
            let judged = site.judge(&other, now);
            let is_wrong = judged == Err(Refusal::Signature(SignatureError::Wrong("alice".into())));
            assert!(is_wrong || judged.is_err(), "{place}");
            wrong += usize::from(is_wrong);
        }
    }
    // The id and the reason say nothing that is judged.
    assert!(wrong > 32, "{wrong}");
    // A key that is not listed, or no longer, or not yet.
    let unknown = |key: &str| Refusal::Signature(SignatureError::UnknownKey(site.key(key).fingerprint()));
    let document = site.sign(&grant, &["alice", "stranger"]);
    assert_eq!(site.judge(&document, now), Err(unknown("stranger")));
    let document = site.sign(&grant, &["alice", "carol"]);
    let mut removed = Site::new();
    removed.listed.remove("carol");
    assert_eq!(removed.judge(&document, now), Err(unknown("carol")));
    for (options, expected) in [
        ("valid-before=\"202611200310Z\",", "signature"),
        ("valid-before=\"20261120031001Z\",", "accepted"),
        ("valid-after=\"20261120031001Z\",", "signature"),
        ("valid-after=\"202611200310Z\",", "accepted"),
    ] {
        assert_eq!(word(&site.judge_by(&site.signers(options), &document, now)), expected, "{options}");
    }
    // Somebody who is listed and is no approver, and fewer than it takes.
    let too_few = |people| Err(Refusal::Quorum { people, wanted: 2 });
    assert_eq!(site.judge(&site.sign(&grant, &["alice", "dave"]), now), too_few(1));
    assert_eq!(site.judge(&site.sign(&grant, &["alice"]), now), too_few(1));
    assert_eq!(site.judge(&site.sign(&grant, &[]), now), too_few(0));
    let mut one = Site::new();
    one.rule.quorum = Quorum::One;
    assert_eq!(word(&one.judge(&site.sign(&grant, &["alice"]), now)), "accepted");
    // What does not count is passed over where others are enough.
    let more = site.sign(&grant, &["stranger", "dave", "alice", "carol"]);
    assert_eq!(word(&site.judge(&more, now)), "accepted");
}

#[test]
fn a_grant_that_is_revoked_stays_so_whatever_the_clock_says() {
    let document = |site: &Site, grant: &Grant| site.sign(grant, &["alice", "carol"]);
    let with_key = |site: &Site| Grant { key: Some(site.key("bob").clone()), ..site.grant() };
    let fingerprint = Site::new().key("bob").fingerprint();
    let orders: [Change<'_>; 5] = [
        &|site| site.revoke("grant", &GrantId::new([0x5a; 16]).to_string()),
        &|site| _ = site.revoked_grants.insert(GrantId::new([0x5a; 16])),
        &|site| site.revoke("person", "bob"),
        &|site| site.revoke_here("bob"),
        &|site| site.revoke("key", &fingerprint),
    ];
    for (number, order) in orders.into_iter().enumerate() {
        let mut site = Site::new();
        let document = document(&site, &with_key(&site));
        let accepted = site.judge(&document, at("03:10:00")).unwrap();
        order(&mut site);
        for now in ["03:02:00", "03:10:00", "04:01:59", "04:02:00", "02:00:00"].map(at) {
            assert_eq!(word(&site.judge(&document, now)), "revoked", "{number} {now}");
            assert_eq!(word(&site.admits(&accepted, "bob", "root", now)), "revoked", "{number} {now}");
        }
        // Another one of his, if it was that one alone.
        let other = Grant { id: GrantId::new([0x5b; 16]), key: None, ..site.grant() };
        let other = site.judge(&site.sign(&other, &["alice", "carol"]), at("03:10:00"));
        assert_eq!(word(&other), if matches!(number, 2 | 3) { "revoked" } else { "accepted" }, "{number}");
    }
}

/// Every set of up to three of the keys, on a host that goes by a signers file and on one that goes by login keys.
#[test]
fn a82_a_quorum_counts_people_and_never_the_beneficiary() {
    let mut site = Site::new();
    let names = ["alice", "alice-2", "bob", "carol", "dave"];
    site.holders = Holders::of(&site.signers(""));
    let (grant, now) = (site.grant(), at("03:10:00"));
    let mut sets: Vec<Vec<&str>> = vec![vec![]];
    for _ in 0..3 {
        let longer = sets.iter().flat_map(|set| names.map(|name| [&set[..], &[name]].concat()));
        sets = sets.iter().cloned().chain(longer).collect();
        sets.sort_unstable();
        sets.dedup();
    }
    assert_eq!(sets.len(), 1 + 5 + 25 + 125);
    for keys in sets {
        let document = site.sign(&grant, &keys);
        let both = keys.iter().any(|key| key.starts_with("alice")) && keys.contains(&"carol");
        let expected = match (both, keys.contains(&"bob")) {
            (true, _) => "accepted",
            (_, true) => "self",
            _ => "quorum",
        };
        assert_eq!(word(&site.judge(&document, now)), expected, "{keys:?}");
        assert_eq!(word(&site.judge_by_directory(&document, now)), expected, "{keys:?}");
    }
}

#[test]
fn a82_a_key_that_the_beneficiary_has_too_is_his_and_one_of_two_approvers_is_nobodys() {
    let site = Site::new();
    let (grant, now) = (site.grant(), at("03:10:00"));
    let document = site.sign(&grant, &["alice", "carol"]);
    let directory = |more: &[(&str, &str)]| {
        let mut site = Site { holders: Holders::of(&site.signers("")), ..Site::new() };
        let more = more.iter().map(|(name, key)| (person(name), site.key(key).sha256()));
        let more: Vec<_> = more.collect();
        site.holders.extend(more);
        site
    };
    let by_directory = |more: &[(&str, &str)]| word(&directory(more).judge_by_directory(&document, now));
    assert_eq!(by_directory(&[]), "accepted");
    // bob lists carol's key, in his own entry: her signature could be his.
    assert_eq!(by_directory(&[("bob", "carol")]), "self");
    assert_eq!(word(&directory(&[("bob", "carol")]).judge(&document, now)), "self");
    // Others who do change nothing.
    for other in ["dave", "mallory", "zoe"] {
        assert_eq!(by_directory(&[(other, "carol"), (other, "alice")]), "accepted", "{other}");
    }
    // Of two approvers, either could have signed.
    assert_eq!(by_directory(&[("alice", "carol")]), "quorum");
    assert_eq!(by_directory(&[("carol", "alice"), ("alice", "carol")]), "quorum");
    let many = site.sign(&grant, &["alice", "alice-2", "carol"]);
    assert_eq!(word(&directory(&[("carol", "alice")]).judge_by_directory(&many, now)), "accepted");
    // A key that the text itself calls bob's is his, whoever is known to have it: here nobody.
    let own = Grant { key: Some(site.key("stranger").clone()), ..site.grant() };
    let signed = site.sign(&own, &["alice", "stranger"]);
    assert_eq!(word(&directory(&[]).judge_by_directory(&signed, now)), "self");
    // In root's file, a key under two names is nobody's.
    let line = |name: &str| format!("{name} namespaces=\"grant@authkeys\" {}\n", site.key("carol").line());
    let alice = format!("alice namespaces=\"grant@authkeys\" {}\n", site.key("alice").line());
    for other in ["bob", "dave"] {
        let (signers, dead) = signed::Signers::parse(
            [&alice, &line("carol"), &line(other)].map(String::as_str).concat().as_bytes(),
        );
        assert_eq!(dead.len(), 2);
        assert_eq!(word(&site.judge_by(&signers, &document, now)), "signature");
    }
}

#[test]
fn a82_an_approver_does_not_let_himself_in_under_another_name() {
    let mut site = Site::new();
    site.rule.quorum = Quorum::One;
    let now = at("03:10:00");
    let with_key = |key: &str| Grant { key: Some(site.key(key).clone()), ..site.grant() };
    let judged = |key: &str, signer: &str| site.judge(&site.sign(&with_key(key), &[signer]), now);
    assert_eq!(word(&judged("bob", "alice")), "accepted");
    assert_eq!(word(&judged("stranger", "alice")), "accepted");
    for (key, signer, owner) in [
        ("alice", "alice", "alice"),
        ("alice-2", "alice", "alice"),
        ("carol", "alice", "carol"),
        ("dave", "alice", "dave"),
    ] {
        assert_eq!(judged(key, signer), Err(Refusal::KeyOf(person(owner))), "{key}");
    }
    // That dave lists bob's key as well takes nothing from bob; that alice does, who could use it, does.
    for (other, expected) in [("dave", "accepted"), ("alice", "person")] {
        let mut site = Site { rule: site.rule.clone(), ..Site::new() };
        site.holders = [(person(other), site.key("bob").sha256())].into_iter().collect();
        let document = site.sign(&with_key("bob"), &["carol"]);
        assert_eq!(word(&site.judge(&document, now)), expected, "{other}");
    }
}

#[test]
fn a82_an_approver_who_is_revoked_counts_no_more_before_and_after() {
    let now = at("03:10:00");
    let fingerprint = |key: &str| Site::new().key(key).fingerprint();
    let orders: [(&str, Change<'_>); 3] = [
        ("in the fleet", &|site| site.revoke("person", "carol")),
        ("here", &|site| site.revoke_here("carol")),
        ("her key", &|site| site.revoke("key", &fingerprint("carol"))),
    ];
    for (what, order) in orders {
        let mut site = Site::new();
        let two = site.sign(&site.grant(), &["alice", "carol"]);
        let before = site.judge(&two, now).unwrap();
        assert_eq!(word(&site.admits(&before, "bob", "root", now)), "accepted", "{what}");
        order(&mut site);
        assert_eq!(site.judge(&two, now), Err(Refusal::Quorum { people: 1, wanted: 2 }), "{what}");
        assert_eq!(word(&site.admits(&before, "bob", "root", now)), "revoked", "{what}");
    }
    // Three had signed, and two of them still stand; one of two keys of hers, and the other stands.
    for (keys, kind, id) in [
        (vec!["alice", "carol", "erin"], "person", "carol".to_string()),
        (vec!["alice", "alice-2", "carol"], "key", fingerprint("alice")),
    ] {
        let mut site = Site::new();
        site.rule.approvers.insert(person("erin"));
        site.listed.insert("stranger", "erin");
        let keys: Vec<&str> =
            keys.into_iter().map(|key| if key == "erin" { "stranger" } else { key }).collect();
        let document = site.sign(&site.grant(), &keys);
        let accepted = site.judge(&document, now).unwrap();
        site.revoke(kind, &id);
        assert_eq!(word(&site.judge(&document, now)), "accepted", "{id}");
        assert_eq!(word(&site.admits(&accepted, "bob", "root", now)), "accepted", "{id}");
    }
}

/// Each bit of each byte of text and armours; and what chats, editors and copying do to a text.
#[test]
fn a83_a_document_is_refused_or_exactly_the_grant_that_was_signed_whatever_is_changed() {
    let site = Site::new();
    let grant = Grant { key: Some(site.key("bob").clone()), ..site.grant() };
    let document = site.sign(&grant, &["alice", "carol"]);
    let (signers, holders) = (site.signers(""), Holders::of(&site.signers("")));
    let mut accepted = 0;
    let mut is_same = |other: &[u8]| {
        let Ok(read) = Document::read(other) else { return };
        let known = grant::Known {
            site: "example",
            host: &site.host,
            holders: &holders,
            revoked: &site.revoked,
            revoked_grants: &site.revoked_grants,
            memory: site.memory,
        };
        let now = at("03:10:00");
        let judged = grant::judge(&read.grant, &known, &site.rule, read.signatures(&signers, now), now);
        if let Ok(judged) = judged {
            assert_eq!(judged.grant, grant, "{}", other.escape_ascii());
            assert_eq!(read.text, grant.write().unwrap().as_bytes());
            accepted += 1;
        }
    };
    is_same(&document);
    for place in 0..document.len() {
        for bit in 0..8 {
            let mut other = document.clone();
            other[place] ^= 1 << bit;
            is_same(&other);
        }
        for byte in *b"\0\t\n\r -:/aA0z\x7f\xa0" {
            let mut other = document.clone();
            other[place] = byte;
            is_same(&other);
            other = document.clone();
            other.insert(place, byte);
            is_same(&other);
        }
        let mut other = document.clone();
        other.remove(place);
        is_same(&other);
        other.truncate(place);
        is_same(&other);
    }
    let text = String::from_utf8(document.clone()).unwrap();
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    for one in 0..lines.len() {
        for two in 0..lines.len() {
            let mut other = lines.clone();
            other.swap(one, two);
            is_same(other.concat().as_bytes());
            let mut other = lines.clone();
            other.insert(two, lines[one]);
            is_same(other.concat().as_bytes());
        }
        let folded = lines[one].replacen(' ', "\n ", 1);
        let mut other = lines.clone();
        other[one] = &folded;
        is_same(other.concat().as_bytes());
    }
    for (from, to) in [
        ("\n", "\r\n"),
        ("\n", " \n"),
        ("form", "\u{feff}form"),
        ("form", "> form"),
        ("root", "r\u{43e}ot"),
        ("bob", "b\u{3bf}b"),
        ("db7", "db\u{ff17}"),
        ("-", "\u{2011}"),
        (" ", "\u{a0}"),
        ("reason: ", "sudo: yes\nreason: "),
        ("-----END", "=AAAA\n-----END"),
    ] {
        assert!(text.contains(from));
        is_same(text.replace(from, to).as_bytes());
        is_same(text.replacen(from, to, 1).as_bytes());
    }
    for other in [
        format!("{text}\n"),
        format!("{text} "),
        format!("\n{text}"),
        text.repeat(2),
        format!("```\n{text}```\n"),
    ] {
        is_same(other.as_bytes());
    }
    let long = text.clone() + &"x".repeat(200 * 1024);
    assert!(Document::read(long.as_bytes()).is_err());
    // The armours in another order, and one of them twice.
    let read = Document::read(&document).unwrap();
    let [one, two] = [read.armours[0], read.armours[1]];
    for armours in [[two, one].concat(), [one, one, two].concat()] {
        is_same(&[read.text, &armours].concat());
    }
    assert!(accepted > 3, "{accepted}");
}
