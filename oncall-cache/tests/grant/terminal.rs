//! The question at the terminal: nothing but its answer signs.

use crate::desk::{Desk, refused, stdout};

const SIGN: &str = "grant sign -i alice < text > signed";

#[test]
fn it_says_in_words_what_is_signed_and_asks() {
    let desk = Desk::new();
    let there = desk.at_terminal("code", "", SIGN);
    assert_eq!(there.status, 0, "{there:?}");
    assert!(there.said.starts_with("bob would get root on db7 for 1h\r\n  from "), "{there:?}");
    assert!(there.said.contains("\r\n  because     INC-42 disk full\r\n"), "{there:?}");
    let by_hand = desk.grant(&["sign", "--yes", "-i", "alice", "text"], b"");
    assert_eq!(desk.read("signed"), stdout(&by_hand), "the same as without a question");
}

#[test]
fn another_answer_a_hangup_and_an_interruption_sign_nothing() {
    let desk = Desk::new();
    for (how, script, status) in [
        ("yes", SIGN, 1),
        ("", SIGN, 1),
        ("00000", SIGN, 1),
        ("ctrl-d", SIGN, 1),
        ("ctrl-c", SIGN, -2),
        ("hangup", SIGN, -1),
        ("hangup", "trap '' HUP; grant sign -i alice < text > signed", 1),
    ] {
        desk.write("signed", "");
        let there = desk.at_terminal(how, "", script);
        assert_eq!((there.status, desk.read("signed").as_str()), (status, ""), "{how}: {there:?}");
    }
}

#[test]
fn without_a_terminal_it_has_to_be_told_to_sign() {
    let desk = Desk::new();
    let said = desk.grant(&["sign", "-i", "alice", "text"], b"");
    refused(
        &said,
        2,
        "there is no terminal to ask at; read it by `oncall-cache grant show`, then give --yes",
    );
    assert!(desk.grant(&["sign", "-i", "alice", "--yes", "text"], b"").status.success());
}

/// A text may be pasted where the question is asked, and bring an end of input and an answer with it.
#[test]
fn what_is_pasted_behind_a_text_answers_no_question() {
    let desk = Desk::new();
    let text = desk.read("text");
    let sign = "grant sign -i alice > signed";
    for behind in ["yes\n", "\n", "y\nyes\ny\n", "\x04", "0000\n", "code\n"] {
        desk.write("signed", "");
        desk.write("pasted", format!("{text}\x04{behind}"));
        let there = desk.at_terminal(&format!("paste={}", desk.path("pasted").display()), "", sign);
        // One of 10,000 is the number.
        let is_it = there.said.contains("type 0000: ") && behind == "0000\n";
        assert_eq!((there.status, desk.read("signed").is_empty()), (i32::from(!is_it), !is_it), "{there:?}");
    }
}

#[test]
fn nothing_of_a_text_reaches_a_terminal_as_it_is() {
    let desk = Desk::new();
    let text = desk.read("text");
    let escape = "\x1b]0;owned\x07\x1b[2J\x1b[31m\u{202e}\r";
    let signed = stdout(&desk.grant(&["sign", "--yes", "-i", "alice", "text"], b""));
    for wrong in [
        text.replace("INC-42", &format!("INC-42{escape}")),
        text.replace("form: 1", &format!("form: {escape}")),
        text.replace("person: bob", &format!("person: {escape}")),
        text.replace("key: ", &format!("{escape}: ")),
        format!("{escape}{text}"),
        signed.replacen("U1NI", escape, 1),
        signed.replacen("-----END", escape, 1),
        format!("{signed}{escape}"),
        text.clone() + &signed[text.len()..].replace("U1NI", escape),
    ] {
        desk.write("wrong", wrong);
        for verb in ["sign -i alice", "sign -i alice --yes", "show"] {
            let there = desk.at_terminal("code", "", &format!("grant {verb} < wrong"));
            assert_ne!(there.status, 0, "{there:?}");
            let is_plain = |c: char| c.is_ascii_graphic() || " \r\n".contains(c);
            assert!(there.said.chars().all(is_plain), "{there:?}");
        }
    }
    // Nor of what is typed, where it comes back.
    let mut request = Desk::REQUEST;
    for place in [2, 4, 6, 8, 10, 12] {
        let old = std::mem::replace(&mut request[place], escape);
        let said = desk.grant(&request, b"");
        assert!(!said.status.success() && said.stdout.is_empty(), "{said:?}");
        assert!(!said.stderr.contains(&0x1b) && !said.stderr.contains(&b'\r'), "{said:?}");
        request[place] = old;
    }
}
