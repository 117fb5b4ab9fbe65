//! Heads that do not count, and why.

use super::*;
use harness::store::Lie;
use signed::Purpose;

#[test]
fn a68_an_older_head_is_a_replay_whatever_else_was_lost() {
    let site = Site::start();
    let old = Publication::new();
    let new = old.later(30).on_call(&[("bob", -60, 3600)]);
    let old_objects = site.publish(&old);
    site.pull();
    site.publish(&new);
    site.pull();
    site.store.set(old_objects.clone());
    site.refuses("head-replay");
    // It stays shown since the first time.
    let since = site.fleet_status()["refused"]["since"].clone();
    site.refuses("head-replay");
    assert_eq!(site.fleet_status()["refused"]["since"], since);
    // The copies that it could bring back are gone, and the clock is set back to when it was new.
    site.suite.host.must("rm /var/lib/oncall-cache/roster.db /var/lib/oncall-cache/roster.clock");
    site.refuses("head-replay");
    let before = site.state();
    let output = site.suite.run_ahead("oncall-cache", -20, "oncall-cache pull --now");
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    assert!(text(&output).contains("head-replay"), "{}", text(&output));
    assert_eq!(site.state(), before);
    // Nor does it come back to a host that has lost its mirror with it.
    site.suite.host.must("rm -rf /var/lib/oncall-cache/fleet");
    site.refuses("head-replay");
    let output = site.suite.run_ahead("oncall-cache", -20, "oncall-cache pull --now");
    assert!(text(&output).contains("head-replay"), "{}", text(&output));
    // The good one heals what was lost.
    site.publish(&new);
    let said = site.pull();
    assert!(said.contains("nothing new; 3 objects"), "{said}");
    assert_eq!(site.may("bob", 0), Some(true));
    assert!(site.fleet_status()["refused"].is_null());
}

#[test]
fn a68_one_url_that_lags_is_no_trouble_and_all_of_them_are() {
    let site = Site::start();
    let other = HostileStore::start(&site.suite.host, PORT + 1);
    let authorities = format!("{}{}", site.store.ca_pem(), other.ca_pem());
    site.suite.host.write("/etc/authkeys/store-ca.pem", authorities, 0o644);
    site.configure(&[&site.store.url(), &other.url()], "");
    let old = Publication::new();
    let new = old.later(30).on_call(&[("bob", -60, 3600)]);
    let (old_objects, new_objects) = (old.signed(&[&site.signer]), new.signed(&[&site.signer]));
    other.set(new_objects);
    site.store.set(BTreeMap::new());
    let said = text(&site.try_pull());
    assert!(said.contains("taken over"), "a 404 alone is a mirror that lags: {said}");
    site.store.set(old_objects.clone());
    let output = site.try_pull();
    assert_eq!(
        (output.status.code(), text(&output).contains("replay")),
        (Some(0), false),
        "{}",
        text(&output)
    );
    assert!(site.fleet_status()["refused"].is_null());
    assert_eq!(site.may("bob", 0), Some(true));
    other.set(old_objects);
    site.refuses("head-replay");
}

#[test]
fn a_url_that_is_slow_keeps_no_host_from_what_the_next_one_has() {
    let site = Site::start();
    let other = HostileStore::start(&site.suite.host, PORT + 1);
    let authorities = format!("{}{}", site.store.ca_pem(), other.ca_pem());
    site.suite.host.write("/etc/authkeys/store-ca.pem", authorities, 0o644);
    site.configure(&[&site.store.url(), &other.url()], "");
    let new = Publication::new();
    site.store.lie("/head", Some(Lie::Drip(b"HTTP/1.1 200 OK\r\nContent-Length: 4000\r\n\r\n".to_vec())));
    // Half of a pull's time, which was the slow one's, is as long as the harness lets a command take. A head that is not
    // fresh is better, too, than to wait: the slow one is asked once.
    for publication in [new.later(-3600), new] {
        other.set(publication.signed(&[&site.signer]));
        assert!(site.pull().contains("taken over"));
        let asked = site.store.requests();
        assert_eq!(asked.iter().filter(|request| request.path == "/fleet/head").count(), 1, "{asked:?}");
    }
}

#[test]
fn a_first_pull_goes_by_the_url_whose_clock_is_this_hosts() {
    let site = Site::start();
    let other = HostileStore::start(&site.suite.host, PORT + 1);
    let authorities = format!("{}{}", site.store.ca_pem(), other.ca_pem());
    site.suite.host.write("/etc/authkeys/store-ca.pem", authorities, 0o644);
    site.configure(&[&site.store.url(), &other.url()], "");
    let objects = site.publish(&Publication::new());
    other.set(objects);
    site.store.set_clock(-3600);
    other.set_clock(3600);
    site.refuses("clock-skew");
    other.set_clock(0);
    assert!(site.pull().contains("taken over"), "one of two clocks is right");
}

#[test]
fn a_store_that_cannot_prove_its_name_is_asked_and_told_nothing() {
    let site = Site::start();
    site.publish(&Publication::new());
    let host = &site.suite.host;
    host.write("/etc/authkeys/store-header", "Fleet-Access: secret\n", 0o640);
    host.must(
        "chgrp oncall-cache /etc/authkeys/store-header && echo 127.0.0.1 store.example.com >>/etc/hosts",
    );
    let with_header = "header_file = \"store-header\"";
    // Somebody in between, with a good certificate of another host.
    site.configure(&[&format!("https://store.example.com:{PORT}/fleet")], with_header);
    site.refuses("store-unreachable");
    // And one with the right name, by an authority that root does not name.
    let other = HostileStore::start(host, PORT + 1);
    host.write("/etc/authkeys/store-ca.pem", other.ca_pem(), 0o644);
    site.configure(&[&site.store.url()], with_header);
    site.refuses("store-unreachable");
    assert_eq!(site.store.requests(), []);
    host.write("/etc/authkeys/store-ca.pem", site.store.ca_pem(), 0o644);
    assert!(site.pull().contains("taken over"));
    let asked = site.store.requests();
    assert!(asked[0].headers.contains(&"fleet-access: secret".to_string()), "{asked:?}");
}

#[test]
fn a68_a_head_far_ahead_is_refused_and_the_next_good_one_is_taken() {
    let site = Site::start();
    let first = Publication::new().later(-30);
    site.publish(&first);
    site.pull();
    site.publish(&Publication { sequence: first.sequence + 86_400_000, ..first.later(1) });
    site.refuses("head-future");
    site.publish(&Publication { sequence: u64::MAX, ..first.later(1) });
    site.refuses("head-future");
    site.publish(&first.later(2).on_call(&[("bob", -60, 3600)]));
    site.pull();
    assert_eq!(site.may("bob", 0), Some(true));
    // A store begun anew, whose collector knows no earlier sequence than its clock.
    site.publish(&Publication::new().later(60));
    site.pull();
    assert_eq!(site.may("alice", 0), Some(true));
    // One that was ahead of all clocks for a while goes on by root's word.
    site.publish(&first);
    site.refuses("head-replay");
    site.configure(&[&site.store.url()], "epoch = 1");
    let said = text(&site.try_pull());
    assert!(said.contains("taken over") && said.contains("which is before what this host has"), "{said}");
    site.suite.must_as("oncall-cache", "oncall-cache sync --accept pd/P1");
    assert_eq!(site.may("alice", 0), Some(true));
}

#[test]
fn a69_every_head_that_does_not_count_is_refused_for_its_own_reason() {
    let site = Site::start();
    let good = Publication::new();
    site.publish(&good);
    site.pull();
    let next = good.later(10).on_call(&[("bob", -60, 3600)]);
    let refuses = |what: Publication, rule: &str| {
        site.publish(&what);
        site.refuses(rule);
    };
    refuses(Publication { fleet: "another", ..next.clone() }, "head-fleet");
    refuses(
        Publication { valid: harness::suite::now() - 1, issued: good.issued - 7200, ..next.clone() },
        "head-expired",
    );
    refuses(next.later(3600), "head-future");
    refuses(Publication { issued: next.issued + 3600, ..next.clone() }, "head-future");
    refuses(Publication { read: next.read + 3600, ..next.clone() }, "head-future");
    refuses(good.on_call(&[("bob", -60, 3600)]), "head-fork");
    for page in ["<!DOCTYPE html><title>Sign in</title>", "", "form: 1\nfleet: example\n"] {
        site.store.lie("/head", Some(Lie::bytes(page)));
        site.refuses("head-form");
    }
    site.store.lie("/head", Some(Lie::bytes(vec![b'x'; 5000])));
    site.refuses("head-form");
    site.store.lie("/head", None);
    site.publish(&next);
    site.pull();
    assert_eq!(site.may("bob", 0), Some(true));
}

#[test]
fn a69_only_those_sign_whom_root_lists_for_heads_now() {
    let site = Site::start();
    let first = Publication::new();
    site.publish(&first);
    site.pull();
    let own = &site.signer;
    let stranger = Signer::new("stranger", 2);
    let next = first.later(10).on_call(&[("bob", -60, 3600)]);
    let refuses = |what: &str, document: Vec<u8>| {
        let mut objects = next.signed(&[own]);
        objects.insert("/head".to_string(), document);
        site.store.set(objects);
        let before = site.state();
        site.refuses("head-signature");
        assert_eq!(site.state(), before, "{what}");
    };
    let text = next.objects().0.write();
    let head = |armour: String| (text.clone() + &armour).into_bytes();
    refuses("unlisted", head(stranger.sign(Purpose::Head, &text)));
    for purpose in [Purpose::Grant, Purpose::Review, Purpose::Policy] {
        refuses("wrong namespace", head(own.sign(purpose, &text)));
    }
    refuses("other text", head(own.sign(Purpose::Head, &text.replace("example", "exampl3"))));
    let signed = next.signed(&[own]);
    site.trust(&own.line(" valid-before=\"20200101Z\""));
    refuses("ended", signed["/head"].clone());
    site.trust(&own.line(" valid-after=\"20990101Z\""));
    refuses("not yet begun", signed["/head"].clone());
    site.trust(
        &own.line("").replace("namespaces=\"head@authkeys\"", "cert-authority,namespaces=\"head@authkeys\""),
    );
    refuses("a certificate authority", signed["/head"].clone());
    site.trust("");
    refuses("nobody is listed", signed["/head"].clone());
    // Two are asked.
    let (second, again) = (Signer::new("second", 3), Signer::new("collector", 4));
    site.trust(&(own.line("") + &second.line("") + &again.line("")));
    site.configure(&[&site.store.url()], "signatures = 2");
    refuses("one signature", signed["/head"].clone());
    refuses("one signature twice", next.signed(&[own, own])["/head"].clone());
    refuses("two keys of one name", next.signed(&[own, &again])["/head"].clone());
    site.store.set(next.signed(&[own, &second]));
    site.pull();
    assert_eq!(site.may("bob", 0), Some(true));
}
