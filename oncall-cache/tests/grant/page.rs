//! docs/grants.md, typed in as it is printed.

use crate::desk::{Desk, stdout};

const PAGE: &str = include_str!("../../../docs/grants.md");

/// The boxes of the page below a heading.
fn boxes(heading: &str) -> Vec<String> {
    let section = PAGE.split_once(&format!("\n## {heading}\n")).expect("the heading").1;
    let section = section.split_once("\n## ").map_or(section, |(section, _)| section);
    let mut boxes = vec![String::new()];
    for line in section.lines() {
        match line.strip_prefix("    ") {
            Some(line) => *boxes.last_mut().expect("one") += &format!("{line}\n"),
            None if boxes.last().is_some_and(|one| !one.is_empty()) => boxes.push(String::new()),
            None => {}
        }
    }
    boxes.retain(|one| !one.is_empty());
    boxes
}

/// A desk at which alice, bob and carol each have their key where ssh looks for it, and without a text.
fn desk() -> Desk {
    let desk = Desk::new();
    type_in(
        &desk,
        "bob",
        "rm text; for name in alice bob carol; do mkdir -p home/$name/.ssh
        cp $name home/$name/.ssh/id_ed25519; cp $name.pub home/$name/.ssh/id_ed25519.pub; done",
    );
    let signers = desk.signers(&["alice", "carol"]);
    std::fs::rename(signers, desk.path("grant-signers")).expect("renamed");
    desk
}

/// Types in a box as somebody; what was printed.
fn type_in(desk: &Desk, who: &str, commands: &str) -> String {
    let said = desk.run("sh", &["-ec", &format!("export HOME=$PWD/home/{who}\n{commands}")], b"");
    assert!(said.status.success(), "{commands}: {said:?}");
    stdout(&said)
}

#[test]
fn what_the_page_says_to_type_asks_signs_and_verifies_with_ssh_keygen_alone() {
    let desk = desk();
    let [ask, sign, together, verify, signer] = &boxes("With ssh-keygen alone")[..] else { panic!("five") };
    type_in(&desk, "bob", ask);
    let words = type_in(&desk, "bob", "oncall-cache grant show text");
    assert!(words.starts_with("bob would get root on db7 for 1h\n"), "{words}");
    type_in(&desk, "alice", sign);
    type_in(&desk, "carol", &sign.replace("alice", "carol"));
    type_in(&desk, "bob", together);
    assert!(type_in(&desk, "bob", verify).starts_with("Good \"grant@authkeys\" signature for alice "));
    let [_, _, _, show] = &boxes("With oncall-cache")[..] else { panic!("four") };
    let words = type_in(&desk, "bob", show);
    assert!(
        words.contains("\n  signed by   alice, SHA256:") && words.contains("\n              carol, "),
        "{words}"
    );

    // Messages as a chat gives them to a bot.
    let [_, bot] = &boxes("By a bot")[..] else { panic!("two") };
    for (number, file) in (1..).zip(["text", "alice.sig", "carol.sig"]) {
        let message = desk.read(file).trim_end().replace('\n', "\r\n");
        desk.write(&format!("message-{number}"), format!("```\r\n{message}\r\n```"));
    }
    let grant = desk.read("grant");
    desk.write("grant", "");
    type_in(&desk, "bob", bot);
    assert_eq!(desk.read("grant"), grant);

    desk.write("page-signers", signer);
    let said = desk.grant(&["show", "--signers", "page-signers", "text"], b"");
    assert!(said.stderr.is_empty(), "the line is understood: {said:?}");
}

#[test]
fn what_the_page_says_to_type_asks_and_signs_with_oncall_cache() {
    let desk = desk();
    let [ask, _, sign, _] = &boxes("With oncall-cache")[..] else { panic!("four") };
    type_in(&desk, "bob", ask);
    type_in(&desk, "alice", sign);
    let by_hand = &boxes("With ssh-keygen alone")[1];
    type_in(&desk, "alice", by_hand);
    assert_eq!(desk.read("by-alice"), desk.read("text") + &desk.read("alice.sig"));
}

/// With the signatures that are in it, at the time that is in it.
#[test]
fn the_exchange_on_the_page_fits_a_window_and_is_a_grant() {
    let desk = Desk::new();
    let [chat] = &boxes("In a chat")[..] else { panic!("one box") };
    assert!(chat.lines().count() <= 25 && chat.lines().all(|line| line.len() <= 80), "{chat}");
    let posted: Vec<&str> = chat.lines().filter_map(|line| line.get(7..)).collect();
    let (_, posted) = posted.split_last().expect("lines");
    let mut grant = String::new();
    for line in posted {
        // A line that is as wide as the window goes on in the next one.
        grant += line;
        grant += if line.len() == 73 { "" } else { "\n" };
    }
    let preload = type_in(&desk, "bob", "echo /usr/lib/*/faketime/libfaketime.so.1").trim().to_string();
    let clock = [&format!("LD_PRELOAD={preload}"), "FAKETIME=2026-11-29 03:12:00", "TZ=UTC"];
    let show = [env!("CARGO_BIN_EXE_oncall-cache"), "grant", "show"];
    let said = desk.run("env", &[&clock[..], &show].concat(), grant.as_bytes());
    assert_eq!(said.status.code(), Some(0), "{said:?}");
    let words = stdout(&said);
    let (words, signed) = words.split_once("  signed by   ").expect("signatures");
    assert_eq!(signed.matches("SHA256:").count(), 2, "{signed}");
    let shown = words.lines().map(|line| format!("    {line}\n")).collect::<String>();
    assert!(PAGE.contains(&shown), "{shown}");
}

#[test]
fn what_the_page_says_to_type_signs_for_oneself_and_reviews_it() {
    let desk = desk();
    let [own, review] = &boxes("When nobody can sign")[..] else { panic!("two") };
    // Whoever runs the tests is not bob.
    let own = own.replace("--key", "--person bob --key");
    let typed =
        |own: &str| own.lines().take(2).collect::<Vec<_>>().join("\n").replace("sign --", "sign --yes --");
    type_in(&desk, "bob", &typed(&own));
    let grant = desk.read("grant");
    assert_eq!(grant.matches("BEGIN SSH SIGNATURE").count(), 1, "{grant}");
    // Nobody signs for themselves otherwise, nor for longer, nor reviews themselves.
    let run =
        |who: &str, words: &str| desk.run("sh", &["-ec", &format!("HOME=$PWD/home/{who}; {words}")], b"");
    let refused = |who: &str, words: &str, expected: &str| {
        let said = run(who, words);
        assert_eq!(said.status.code(), Some(1), "{said:?}");
        assert!(String::from_utf8_lossy(&said.stderr).contains(expected), "{said:?}");
    };
    refused(
        "bob",
        "oncall-cache grant sign --yes -i bob < text",
        "for yourself, where nobody can sign: --break-glass",
    );
    type_in(
        &desk,
        "bob",
        &own.lines().next().expect("a line").replace("1h", "2h").replace("> text", "> long"),
    );
    refused("bob", "oncall-cache grant sign --yes --break-glass -i bob < long", "the longest is 1h");
    let reviewing = review.lines().nth(1).expect("what signs").trim().trim_end_matches('|').trim();
    let reviewing = format!("{} < grant", reviewing.replace("--finding", "--yes --finding"));
    refused("bob", &reviewing, "nobody reviews themselves");
    let written = type_in(&desk, "alice", &reviewing);
    assert!(written.starts_with("form: review 1\ngrant: "), "{written}");
    assert!(written.contains("\nperson: bob\nfinding: freed the disk, nothing else\n"), "{written}");
    let (text, signature) = written.split_once("-----BEGIN").expect("a signature");
    desk.write("review", text);
    desk.write("review.sig", format!("-----BEGIN{signature}"));
    desk.write("reviewers", desk.read("grant-signers").replace("grant@authkeys", "review@authkeys"));
    let verify = "ssh-keygen -Y verify -n review@authkeys -f reviewers -I alice -s review.sig < review";
    assert!(type_in(&desk, "bob", verify).starts_with("Good \"review@authkeys\" signature for alice "));
}
