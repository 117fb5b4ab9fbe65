//! Objects that are not what the head names.

use super::*;
use harness::store::Lie;

const CHUNKED: &str = "Transfer-Encoding: chunked\r\n\r\n";

/// 200 with this behind it, and the end of the connection.
fn raw(rest: &str) -> Lie {
    Lie::Raw(format!("HTTP/1.1 200 OK\r\n{rest}").into_bytes())
}

#[test]
fn a70_an_object_that_is_not_the_one_named_is_refused_and_the_old_state_stays() {
    let site = Site::start();
    let first = Publication::new();
    let known = site.publish(&first);
    site.pull();
    let next = first.later(10).on_call(&[("bob", -60, 3600)]);
    let objects = site.publish(&next);
    let new: Vec<&String> =
        objects.keys().filter(|path| !known.contains_key(*path) && *path != "/head").collect();
    assert_eq!(new.len(), 2, "the index and the schedule");
    for &path in &new {
        let bytes = &objects[path];
        let changed = |at: usize| {
            let mut bytes = bytes.clone();
            bytes[at] ^= 1;
            bytes
        };
        let header = |name: &'static str, value: &str| vec![(name, value.to_string())];
        for (lie, rule) in [
            (Lie::bytes(changed(0)), "object-digest"),
            (Lie::bytes(changed(bytes.len() - 1)), "object-digest"),
            (Lie::bytes(&bytes[1..]), "object-size"),
            (Lie::bytes([bytes.as_slice(), b"x"].concat()), "object-size"),
            (Lie::bytes(""), "object-size"),
            (Lie::bytes("<html>".as_bytes().repeat(1000)), "object-size"),
            (Lie::bytes("<html>Sign in</html>"), "object-size"),
            (Lie::status(404), "object-missing"),
            (Lie::status(403), "object-missing"),
            (Lie::status(500), "object-missing"),
            (Lie::Answer(206, header("Content-Range", "bytes 0-9/90"), bytes.clone()), "object-missing"),
            (Lie::Answer(302, header("Location", "http://127.0.0.1/"), Vec::new()), "object-missing"),
            (
                Lie::Answer(307, header("Location", "https://elsewhere.example.com/"), Vec::new()),
                "object-missing",
            ),
            (Lie::Answer(200, header("Content-Encoding", "gzip"), bytes.clone()), "object-missing"),
            (Lie::Answer(304, Vec::new(), Vec::new()), "object-missing"),
            (Lie::Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 900000000000\r\n\r\n".to_vec()), "object-size"),
            (Lie::Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab".to_vec()), "object-missing"),
            (raw("Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef"), "object-missing"),
            (raw(&"X-A: b\r\n".repeat(100_000)), "object-missing"),
            (raw(&format!("X-A: {}", "b".repeat(4 << 20))), "object-missing"),
            (raw(&format!("{CHUNKED}5;{}", "b".repeat(4 << 20))), "object-missing"),
            (raw(&format!("{CHUNKED}0\r\n{}", "X-A: b\r\n".repeat(500_000))), "object-missing"),
            (raw(&format!("{CHUNKED}ffffffffffffffff\r\nx")), "object-missing"),
            (Lie::Raw(b"HTTP/1.1 100 Continue\r\n\r\n".repeat(100_000)), "object-missing"),
            (Lie::Raw(b"SSH-2.0-OpenSSH_9.2\r\n".to_vec()), "object-missing"),
            (Lie::Flood, "object-size"),
        ] {
            site.store.lie(path, Some(lie.clone()));
            // What came before is right, and stays.
            for path in &new {
                site.suite.host.must(&format!("rm -f /var/lib/oncall-cache/fleet{path}"));
            }
            let _ = site.store.requests();
            site.refuses(rule);
            let asked = site.store.requests().len();
            assert!(asked <= 6, "{lie:?}: {asked} requests");
        }
        site.store.lie(path, None);
    }
    site.pull();
    assert_eq!(site.may("bob", 0), Some(true));
}

#[test]
fn a70_what_the_next_url_has_is_taken_from_there() {
    let site = Site::start();
    let other = HostileStore::start(&site.suite.host, PORT + 1);
    let authorities = format!("{}{}", site.store.ca_pem(), other.ca_pem());
    site.suite.host.write("/etc/authkeys/store-ca.pem", authorities, 0o644);
    site.configure(&[&site.store.url(), &other.url()], "");
    let objects = site.publish(&Publication::new());
    for path in objects.keys().filter(|path| *path != "/head") {
        site.store.lie(path, Some(Lie::bytes("not that")));
    }
    other.set(objects);
    let said = site.pull();
    assert!(said.contains("taken over; 3 objects"), "{said}");
}

#[test]
fn a70_an_object_that_decodes_to_more_than_it_says_or_to_nonsense_is_refused() {
    let site = Site::start();
    let first = Publication::new();
    site.publish(&first);
    site.pull();
    let next = first.later(10).on_call(&[("bob", -60, 3600)]);
    let (head, objects) = next.objects();
    let index = head.rota.expect("a rota");
    // Everything is as the signed head says, and the head says what is not so.
    let signs = |rota: fleet::Part, stored: Vec<u8>| {
        let mut objects = objects.clone();
        objects.insert(publication::path_of(&rota.object), stored);
        let text = fleet::Head { rota: Some(rota), ..head.clone() }.write();
        let armour = site.signer.sign(signed::Purpose::Head, &text);
        objects.insert("/head".to_string(), (text + &armour).into_bytes());
        site.store.set(objects);
    };
    let (bomb, stored) = mirror::fresh(&vec![b' '; 8 << 20], None).expect("an object");
    let stored = stored.expect("it is new");
    let named = |raw| fleet::ObjectRef::new(bomb.object.digest, bomb.object.size, raw).expect("a size");
    for (object, rule) in
        [(named(1000), "object-form"), (named(64 << 20), "object-size"), (bomb.object, "object-form")]
    {
        signs(fleet::Part { object, ..bomb }, stored.clone());
        site.refuses(rule);
    }
    // What is in it is JSON, and other content than the head says.
    signs(
        fleet::Part { content: bomb.content, ..index },
        objects[&publication::path_of(&index.object)].clone(),
    );
    site.refuses("object-form");
    site.publish(&next);
    site.pull();
}

#[test]
fn a70_a_store_that_drips_ends_at_the_limit_of_a_pull_and_after_failures_is_left_alone() {
    let site = Site::start();
    let first = Publication::new();
    site.publish(&first);
    site.pull();
    site.publish(&first.later(10));
    site.store.lie("/head", Some(Lie::status(503)));
    for failures in 1..4 {
        site.refuses("store-unreachable");
        let waits = site.suite.run_as("oncall-cache", "oncall-cache pull");
        let said = text(&waits);
        assert_eq!(waits.status.code(), Some(2), "{said}");
        let told = if failures == 1 {
            "the last pull failed, ".to_string()
        } else {
            format!("the last {failures} pulls failed, ")
        };
        assert!(said.contains(&told), "{said}");
        assert_eq!(
            site.store.requests().iter().filter(|request| request.path == "/fleet/head").count(),
            1 + usize::from(failures == 1)
        );
    }
    site.store.lie("/head", None);
    site.pull();
    site.suite.must_as("oncall-cache", "oncall-cache pull");
    site.publish(&first.later(20));
    site.store.lie("/head", Some(Lie::Drip(b"HTTP/1.1 200 OK\r\nContent-Length: 4000\r\n\r\n".to_vec())));
    let output = site.suite.run_as("oncall-cache", "oncall-cache pull");
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    assert!(
        text(&output).contains("no complete answer in its share of the 120 seconds of a pull"),
        "{}",
        text(&output)
    );
}
