//! By which key is signed: in a file, with a passphrase, in an agent, in a security key.

use crate::desk::{Desk, refused, security_key, stderr, stdout};

/// Who has signed what `document` is, by the words of `show`.
fn signed_by(desk: &Desk, document: &str) -> String {
    let said = desk.grant(&["show"], document.as_bytes());
    assert_eq!(said.status.code(), Some(0), "{said:?}");
    let words = stdout(&said);
    words.split_once("signed by   ").expect("signatures").1.trim().to_string()
}

fn signs(desk: &Desk, arguments: &[&str], key: &str) {
    let said = desk.grant(&[&["sign", "--yes"], arguments, &["text"]].concat(), b"");
    assert!(said.status.success(), "{arguments:?}: {said:?}");
    assert_eq!(signed_by(desk, &stdout(&said)), desk.fingerprint(key), "{arguments:?}");
    assert!(stderr(&said).starts_with("oncall-cache: bob would get root on db7 for 1h\n"), "{said:?}");
}

fn does_not(desk: &Desk, arguments: &[&str], status: i32, words: &str) {
    let said = desk.grant(&[&["sign", "--yes"], arguments, &["text"]].concat(), b"");
    assert!(said.status.code() == Some(status) && said.stdout.is_empty(), "{arguments:?}: {said:?}");
    assert!(stderr(&said).lines().last().unwrap_or_default().contains(words), "{arguments:?}: {said:?}");
}

#[test]
fn a_key_in_a_file_signs_and_one_that_counts_nowhere_does_not() {
    let desk = Desk::new();
    for (name, kind) in [("p256", &["ecdsa", "-b", "256"]), ("p521", &["ecdsa", "-b", "521"])] {
        desk.make_key(name, kind, "");
        signs(&desk, &["-i", name], name);
    }
    signs(&desk, &["-i", "alice"], "alice");
    desk.make_key("rsa", &["rsa", "-b", "2048"], "");
    does_not(&desk, &["-i", "rsa"], 1, "RSA keys do not sign here");
    does_not(&desk, &["-i", "bob"], 1, "this is the key of the person it is for");
    does_not(&desk, &["-i", "nothing"], 2, "not signed: ssh-keygen says why");
    does_not(&desk, &["-i", "text"], 2, "not signed: ssh-keygen says why");
}

#[test]
fn a_key_with_a_passphrase_signs_once_it_is_typed() {
    let desk = Desk::new();
    desk.make_key("locked", &["ed25519"], "correct horse");
    does_not(&desk, &["-i", "locked"], 2, "not signed: ssh-keygen says why");
    let sign = "grant sign -i locked < text > signed";
    let wrong = desk.at_terminal("code", "wrong", sign);
    assert!(wrong.status == 2 && desk.read("signed").is_empty(), "{wrong:?}");
    let right = desk.at_terminal("code", "correct horse", sign);
    assert_eq!(right.status, 0, "{right:?}");
    assert_eq!(signed_by(&desk, &desk.read("signed")), desk.fingerprint("locked"));
}

#[test]
fn an_agents_key_signs_by_its_file_its_fingerprint_or_alone() {
    let mut desk = Desk::new();
    does_not(&desk, &[], 2, "no agent with a key that signs here; name a key file: -i FILE");
    desk.start_agent(&[]);
    does_not(&desk, &[], 2, "no agent with a key that signs here");
    desk.make_key("rsa", &["rsa", "-b", "2048"], "");
    desk.start_agent(&["alice", "rsa"]);
    // What is in the agent need be nowhere else.
    std::fs::rename(desk.path("alice"), desk.path("elsewhere")).unwrap();
    signs(&desk, &[], "alice");
    signs(&desk, &["-i", "alice.pub"], "alice");
    let fingerprint = desk.fingerprint("alice");
    signs(&desk, &["-i", &fingerprint], "alice");
    does_not(&desk, &["-i", &desk.fingerprint("carol")], 2, "the agent has no such key (ssh-add -l)");
    does_not(&desk, &["-i", &desk.fingerprint("rsa")], 1, "RSA keys do not sign here");
    assert!(desk.run("ssh-add", &["-q", "carol"], b"").status.success());
    does_not(&desk, &[], 2, "the agent has several keys (ssh-add -l); name one: -i SHA256:...");
    signs(&desk, &["-i", &fingerprint], "alice");
    // An agent that asks, where nobody answers.
    desk.start_agent(&[]);
    assert!(desk.run("ssh-add", &["-q", "-c", "carol"], b"").status.success());
    does_not(&desk, &[], 2, "not signed: ssh-keygen says why");
}

#[test]
fn a_security_key_signs_if_it_was_touched() {
    let mut desk = Desk::new();
    let library = security_key(desk.path("text").parent().unwrap());
    desk.environment.push(("SSH_SK_PROVIDER", library.to_str().unwrap().to_string()));
    desk.make_key("sk", &["ed25519-sk"], "");
    signs(&desk, &["-i", "sk"], "sk");
    desk.environment.push(("TOUCHED", "0".into()));
    does_not(&desk, &["-i", "sk"], 1, "was not touched");
    // Whoever signs by ssh-keygen is told by show.
    let text = desk.read("text");
    let armour = desk.run("ssh-keygen", &["-Y", "sign", "-n", "grant@authkeys", "-f", "sk"], text.as_bytes());
    let said = desk.grant(&["show"], (text + &stdout(&armour)).as_bytes());
    assert_eq!(said.status.code(), Some(1));
    assert!(stdout(&said).contains("was not touched"), "{said:?}");
}

#[test]
fn what_is_signed_already_is_not_signed_again_nor_a_fifth_time() {
    let desk = Desk::new();
    let names = ["k1", "k2", "k3", "k4", "k5"];
    let mut document = desk.read("text");
    for (name, at) in names.iter().zip(0..) {
        desk.make_key(name, &["ed25519"], "");
        let said = desk.grant(&["sign", "--yes", "-i", name], document.as_bytes());
        if at == 4 {
            refused(&said, 1, "it has 4 signatures already, the most there can be");
            break;
        }
        assert!(said.status.success(), "{said:?}");
        document = stdout(&said);
        let again = desk.grant(&["sign", "--yes", "-i", name], document.as_bytes());
        assert!(again.status.code() == Some(1) && again.stdout.is_empty(), "{again:?}");
    }
}
