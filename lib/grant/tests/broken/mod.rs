//! Break-glass: who may let themselves in, what stands in the way, and whose word closes it.

use std::time::Duration;

use crate::site::{Site, at, person, word};
use grant::{
    AGAIN, Broken, Document, Grant, GrantId, Holders, Known, Refusal, Review, ReviewDocument, Stored,
    judge_review, may_break, write_stored,
};
use policy::{Account, GrantRule, HostSelector, Quorum, Span, Timestamp, Uptime, Window};
use signed::Purpose;

/// A site on which bob and dave may let themselves into root, for alice and carol to review.
fn site() -> Site {
    let mut site = Site::new();
    site.rule = GrantRule {
        name: "glass".into(),
        approvers: ["alice", "carol"].map(person).into(),
        people: ["bob", "dave"].map(person).into(),
        quorum: Quorum::BreakGlass,
        max: Span::hours(12),
        ..site.rule
    };
    site
}

fn up(boot: u128, seconds: u64) -> Uptime {
    Uptime::new(Some(boot), Duration::from_secs(seconds))
}

#[test]
fn a84_the_signature_of_the_one_who_is_let_in_counts_and_no_other() {
    let site = site();
    let by = |keys: &[&str]| site.judge(&site.sign(&site.grant(), keys), at("03:10:00"));
    let accepted = by(&["bob"]).unwrap();
    assert_eq!(
        (accepted.quorum, accepted.approvers().into_iter().collect::<Vec<_>>()),
        (Quorum::BreakGlass, vec![&person("bob")])
    );
    assert_eq!(site.admits(&accepted, "bob", "root", at("03:10:00")), Ok(at("04:02:00")));
    assert_eq!(word(&site.admits(&accepted, "bob", "root", at("04:02:00"))), "grant-expired");
    // Of others' none is enough, however many; beside one's own they change nothing.
    for keys in [&[][..], &["alice"], &["alice", "carol"], &["alice", "alice-2", "carol", "dave"]] {
        assert_eq!(by(keys), Err(Refusal::NotOwn(person("bob"))), "{keys:?}");
    }
    assert_eq!(word(&by(&["stranger"])), "signature");
    assert_eq!(word(&by(&["alice", "bob"])), "accepted");
    // Who is not named lets nobody in, himself neither.
    let carols = Grant { person: person("carol"), ..site.grant() };
    let carols = site.sign(&carols, &["carol"]);
    assert_eq!(site.judge(&carols, at("03:10:00")), Err(Refusal::NotListed(person("carol"))));
    // Revoked, it is over; so is the key.
    let mut revoked = self::site();
    revoked.revoke_here("bob");
    assert_eq!(word(&revoked.admits(&accepted, "bob", "root", at("03:10:00"))), "revoked");
    assert_eq!(word(&revoked.judge(&site.sign(&site.grant(), &["bob"]), at("03:10:00"))), "revoked");
}

#[test]
fn a84_it_is_for_an_hour_whatever_the_rule_says() {
    let site = site();
    for (seconds, expected) in
        [(1, "accepted"), (3_600, "accepted"), (3_601, "lifetime"), (4 * 3_600, "lifetime")]
    {
        let window = Window::new(at("03:02:00"), at("03:02:00").plus(Span::seconds(seconds))).unwrap();
        let document = site.sign(&Grant { window, ..site.grant() }, &["bob"]);
        assert_eq!(word(&site.judge(&document, at("03:02:00"))), expected, "{seconds}");
    }
    let mut short = self::site();
    short.rule.max = Span::minutes(59);
    assert_eq!(word(&short.judge(&site.sign(&site.grant(), &["bob"]), at("03:02:00"))), "lifetime");
}

#[test]
fn a84_it_waits_for_a_review_or_a_day_by_the_clock_that_nobody_sets() {
    let site = site();
    let document = site.sign(&site.grant(), &["bob"]);
    let kept = write_stored("glass", at("03:10:00"), &up(7, 1_000), &document);
    let stored = Stored::read(&kept).unwrap();
    let left = |now, uptime: &Uptime| Broken::of(&stored, now, uptime).left.as_seconds();
    let day = AGAIN.as_seconds();
    // In the same boot whatever the clock is set to; after that by the clock alone.
    let (before, after) = (at("03:10:00").minus(Span::hours(99)), at("03:10:00").plus(Span::hours(99)));
    for (now, uptime, expected) in [
        (at("03:10:00"), up(7, 1_000), day),
        (after, up(7, 1_600), day - 600),
        (before, up(7, 1_600), day - 600),
        (at("03:10:00"), up(7, 1_000 + 24 * 3_600), 0),
        (at("03:20:00"), up(8, 5), day - 600),
        (before, up(8, 5), day),
        (after, up(8, 5), day - 99 * 3_600),
        (at("03:20:00"), Uptime::new(None, Duration::from_secs(5)), day - 600),
    ] {
        assert_eq!(left(now, &uptime), expected, "{now} {uptime}");
    }
    let broken = |seconds| Broken { id: site.grant().id, left: Span::seconds(seconds) };
    let (always, rule) = (GrantRule { always: true, ..site.rule.clone() }, &site.rule);
    let open = |left| Err(Refusal::ReviewOpen(site.grant().id, Span::seconds(left)));
    assert_eq!(may_break(rule, false, []), Ok(()));
    assert_eq!(may_break(rule, true, []), Err(Refusal::OnCallKnown));
    assert_eq!(may_break(&always, true, []), Ok(()));
    assert_eq!(may_break(rule, false, [broken(0), broken(-5)]), Ok(()));
    assert_eq!(may_break(rule, false, [broken(1), broken(9), broken(0)]), open(9));
    assert_eq!(may_break(&always, false, [broken(1)]), open(1));
}

/// What a host says of a review with signatures by these keys.
fn reviewed(site: &Site, review: &Review, used: &[u8], keys: &[&str], purpose: Purpose) -> &'static str {
    let text = review.write().unwrap();
    let armours = keys.iter().map(|key| site.keys[*key].sign(purpose, text.as_bytes()).unwrap());
    let whole = [text.clone()].into_iter().chain(armours).collect::<String>();
    judged(site, whole.as_bytes(), used).unwrap_or("no review")
}

fn judged(site: &Site, review: &[u8], used: &[u8]) -> Option<&'static str> {
    let document = ReviewDocument::read(review).ok()?;
    let (signers, used) = (site.signers(""), Document::read(used).unwrap());
    let mut holders = Holders::of(&signers);
    let stolen = site.keys.values().map(|key| key.public().sha256());
    let stolen = stolen.filter(|key| site.holders.has(&person("bob"), key));
    holders.extend(stolen.map(|key| (person("bob"), key)));
    let known = Known {
        site: "example",
        host: &site.host,
        holders: &holders,
        revoked: &site.revoked,
        revoked_grants: &site.revoked_grants,
        memory: Timestamp::MIN,
    };
    let rules = [site.rule.clone()];
    let now = at("09:00:00");
    let outcome =
        judge_review(&document.review, &used, &known, &rules, document.signatures(&signers, now), now);
    Some(word(&outcome))
}

fn review(used: &[u8]) -> Review {
    Review::of(&Document::read(used).unwrap(), "as it should be".into(), at("09:00:00"))
}

#[test]
fn a84_an_approver_closes_it_and_never_whom_it_is_about() {
    let site = site();
    let used = site.sign(&site.grant(), &["bob"]);
    let said = |site: &Site, keys: &[&str]| reviewed(site, &review(&used), &used, keys, Purpose::Review);
    assert_eq!((said(&site, &["alice"]), said(&site, &["carol"])), ("accepted", "accepted"));
    assert_eq!((said(&site, &["bob"]), said(&site, &["dave"])), ("self", "quorum"));
    assert_eq!((said(&site, &["stranger"]), said(&site, &["bob", "alice"])), ("signature", "accepted"));
    // An approver who let himself in does not review that, nor does anybody by a key that he has too.
    let mut both = self::site();
    both.rule.approvers.insert(person("bob"));
    assert_eq!(said(&both, &["bob"]), "self");
    let mut stolen = self::site();
    stolen.holders.extend([(person("bob"), site.key("alice").sha256())]);
    assert_eq!((said(&stolen, &["alice"]), said(&stolen, &["alice-2"])), ("self", "accepted"));
    // For another purpose it is none, and for another host's rules neither.
    assert_eq!(reviewed(&site, &review(&used), &used, &["alice"], Purpose::Grant), "signature");
    let mut elsewhere = self::site();
    elsewhere.rule.hosts = vec![HostSelector::parse("web*")];
    assert_eq!(said(&elsewhere, &["alice"]), "quorum");
    let mut revoked = self::site();
    revoked.revoke_here("alice");
    assert_eq!((said(&revoked, &["alice"]), said(&revoked, &["carol"])), ("quorum", "accepted"));
}

#[test]
fn a84_a_review_is_of_one_text_and_not_of_the_name_that_its_author_chose() {
    let site = site();
    let used = site.sign(&site.grant(), &["bob"]);
    let good = review(&used);
    // Signed more than once the text is the same.
    assert_eq!(good, review(&site.grant().write().unwrap().into_bytes()));
    for other in [
        Grant { reason: "nothing".into(), ..site.grant() },
        Grant { account: Account::new("postgres").unwrap(), ..site.grant() },
        Grant { id: GrantId::new([1; 16]), ..site.grant() },
        Grant { person: person("dave"), ..site.grant() },
    ] {
        let other = review(&site.sign(&other, &["bob"]));
        assert_eq!(reviewed(&site, &other, &used, &["alice"], Purpose::Review), "unknown", "{other:?}");
    }
    let elsewhere = Review { site: "other".into(), ..good.clone() };
    assert_eq!(reviewed(&site, &elsewhere, &used, &["alice"], Purpose::Review), "host");
    // There is one text for each review, and each byte of it is signed.
    let text = good.write().unwrap();
    assert_eq!(Review::parse(text.as_bytes()), Ok(good.clone()));
    let armour = site.keys["alice"].sign(Purpose::Review, text.as_bytes()).unwrap();
    let whole = format!("{text}{armour}").into_bytes();
    assert_eq!(judged(&site, &whole, &used), Some("accepted"));
    for place in 0..whole.len() {
        for byte in [b'0', b'9', b'a', b'A', b' ', b'\n', b'\r', 0, 0xff, whole[place] ^ 1] {
            let mut other = whole.clone();
            other[place] = byte;
            if judged(&site, &other, &used) == Some("accepted") {
                assert_eq!(ReviewDocument::read(&other).unwrap().review, good, "{place}");
            }
        }
    }
    for finding in ["", " ", "a  b", "a\nb", "it's", &"x".repeat(121)] {
        assert!(Review { finding: finding.into(), ..good.clone() }.write().is_err(), "{finding:?}");
    }
    // A grant is no review, and a review no grant.
    assert!(Review::parse(site.grant().write().unwrap().as_bytes()).is_err());
    assert!(Document::read(text.as_bytes()).is_err());
    assert!(ReviewDocument::is_meant(&whole) && !ReviewDocument::is_meant(&used));
}
