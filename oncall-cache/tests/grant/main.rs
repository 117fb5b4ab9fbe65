//! `grant request`, `show` and `sign` with the real ssh-keygen and ssh-agent, on a machine that is no host.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test stops at the first surprise"
)]

mod desk;
mod keys;
mod page;
mod refused;
mod terminal;

use desk::{Desk, stderr, stdout};

/// One signs by ssh-keygen alone, the other by the verb: what is carried to a host is the same.
#[test]
fn ssh_keygen_alone_and_the_verb_come_out_the_same() {
    let desk = Desk::new();
    let text = desk.read("text");
    let by_hand = |name: &str| {
        let said =
            desk.run("ssh-keygen", &["-Y", "sign", "-n", "grant@authkeys", "-f", name], text.as_bytes());
        assert!(said.status.success(), "{said:?}");
        stdout(&said)
    };
    let (alice, carol) = (by_hand("alice"), by_hand("carol"));
    let sign = |name: &str, document: &str| {
        let said = desk.grant(&["sign", "--yes", "-i", name], document.as_bytes());
        assert!(said.status.success(), "{said:?}");
        stdout(&said)
    };
    assert_eq!(sign("alice", &text), format!("{text}{alice}"));
    assert_eq!(sign("carol", &format!("{text}{alice}")), format!("{text}{alice}{carol}"));
    assert_eq!(sign("carol", &sign("alice", &text)), format!("{text}{alice}{carol}"));

    // And ssh-keygen believes what the verb signed.
    desk.signers(&["alice", "carol"]);
    desk.write("signature", sign("carol", &text).strip_prefix(&text).unwrap());
    let verify = ["-Y", "verify", "-n", "grant@authkeys", "-f", "signers", "-s", "signature", "-I"];
    for (name, is_theirs) in [("carol", true), ("alice", false)] {
        let said = desk.run("ssh-keygen", &[&verify[..], &[name]].concat(), text.as_bytes());
        assert_eq!(said.status.success(), is_theirs, "{said:?}");
    }
}

#[test]
fn a_text_says_what_was_asked_for_and_show_says_it_in_words() {
    let desk = Desk::new();
    let text = desk.request(&["--host", "db8", "--account", "deploy"]);
    let key = desk.read("bob.pub");
    let key = key.trim().strip_suffix(" a comment").unwrap();
    for line in [
        "form: 1",
        "fleet: example",
        "hosts: db7 db8",
        "account: deploy",
        "person: bob",
        &format!("key: {key}"),
        "reason: INC-42 disk full",
    ] {
        assert!(text.lines().any(|other| other == line), "{line}: {text}");
    }
    assert_ne!(text, desk.request(&["--host", "db8", "--account", "deploy"]), "each has an id of its own");

    let said = desk.grant(&["show"], text.as_bytes());
    let words = stdout(&said);
    assert_eq!(said.status.code(), Some(0), "{said:?}");
    assert!(words.starts_with("bob would get deploy on db7 and db8 for 1h\n  from        20"), "{words}");
    let key = desk.fingerprint("bob");
    let by = format!("\n  by          ssh with this key, or sudo\n  key         {key} (ssh-ed25519)\n");
    assert!(words.contains(&by), "{words}");
    assert!(words.contains("\n  because     INC-42 disk full\n  fleet       example\n"), "{words}");
    assert!(words.ends_with("\n  signed by   nobody yet\n"), "{words}");
    assert!(words.lines().all(|line| line.len() <= 80), "{words}");

    let mut without_key = Desk::REQUEST;
    without_key[6] = "none";
    let text = desk.grant(&without_key, b"").stdout;
    let words = stdout(&desk.grant(&["show"], &text));
    assert!(words.contains("\n  by          sudo alone\n  key         none\n"), "{words}");
}

#[test]
fn show_says_whose_the_signatures_are_and_which_do_not_count() {
    let desk = Desk::new();
    desk.make_key("bob2", &["ed25519"], "");
    let text = desk.read("text");
    let armour = |name: &str, namespace: &str| {
        stdout(&desk.run("ssh-keygen", &["-Y", "sign", "-n", namespace, "-f", name], text.as_bytes()))
    };
    let by = |name: &str| armour(name, "grant@authkeys");
    let show = |below: &[String], signers: &[&str]| {
        let mut arguments = vec!["show"];
        let file = (!signers.is_empty()).then(|| desk.signers(signers));
        if let Some(file) = &file {
            arguments.extend(["--signers", file.to_str().unwrap()]);
        }
        let said = desk.grant(&arguments, (text.clone() + &below.concat()).as_bytes());
        (said.status.code(), stdout(&said), stderr(&said))
    };
    let alice = desk.fingerprint("alice");
    let (status, words, note) = show(&[by("alice")], &[]);
    assert!(words.ends_with(&format!("\n  signed by   {alice}\n")), "{words}");
    assert_eq!(
        (status, note.as_str()),
        (Some(0), "oncall-cache: whose these keys are is told by --signers FILE\n")
    );

    let all = ["alice", "bob", "carol"];
    let (status, words, note) = show(&[by("alice"), by("carol")], &all);
    assert!(words.contains(&format!("\n  signed by   alice, {alice}\n              carol, ")), "{words}");
    assert_eq!((status, note.as_str()), (Some(0), ""));

    for (below, signers, why) in [
        (
            vec![by("alice"), by("bob")],
            &all[..],
            ", who is the person it is for: counts by break-glass alone",
        ),
        (vec![by("alice"), by("alice")], &all, " once more: does not count"),
        (vec![by("bob")], &[], ", who is the person it is for: counts by break-glass alone"),
        (vec![by("carol")], &["alice"], "which no line of the signers lists"),
        (vec![armour("alice", "head@authkeys")], &all, "nobody who counts: a signature for head@authkeys"),
        (vec![armour("alice", "file")], &[], "nobody who counts: a signature for file"),
    ] {
        let (status, words, _) = show(&below, signers);
        assert!(status == Some(1) && words.contains(why), "{why}: {words}");
    }
    // Signed before the text was another.
    let other = desk.request(&[]) + &by("alice");
    let said = desk.grant(&["show"], other.as_bytes());
    assert_eq!(said.status.code(), Some(1));
    assert!(stdout(&said).contains("not a signature of this text by the key of"), "{said:?}");

    desk.write("signers", "alice ssh-ed25519 AAAA\n");
    let said = desk.grant(&["show", "--signers", "signers"], text.as_bytes());
    assert!(stderr(&said).contains("signers:1: nobody signs by this line: no namespaces="), "{said:?}");
}
