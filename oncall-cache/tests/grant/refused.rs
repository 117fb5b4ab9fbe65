//! What is not exactly one grant, and what no host could take: refused with the one reason that applies, nothing signed.

use crate::desk::{Desk, refused, stderr, stdout};

/// Each verb that reads a text refuses this one.
fn both_refuse(desk: &Desk, document: &[u8], status: i32, words: &str) {
    for verb in [&["sign", "--yes", "-i", "alice"][..], &["show"]] {
        let said = desk.grant(verb, document);
        let line = refused(&said, status, words);
        assert!(line.contains("; ") || line.contains("not a grant: "), "what to do next: {line}");
    }
}

#[test]
fn what_chats_and_editors_make_of_a_text_is_no_grant_and_says_what_was_done_to_it() {
    let desk = Desk::new();
    let text = desk.read("text");
    let signed = stdout(&desk.grant(&["sign", "--yes", "-i", "alice", "text"], b""));
    for document in [&text, &signed] {
        for (wrong, words) in [
            (document.replace('\n', "\r\n"), "carriage returns, as on Windows (tr -d '\\r' takes them out)"),
            (format!("\u{feff}{document}"), "there is a byte order mark before it"),
            (document.replacen("root", "r\u{43e}ot", 1), "letters that are not ASCII"),
            (document.replacen("bob", "b\u{3bf}b", 1), "letters that are not ASCII"),
            (document.replacen(' ', "\u{a0}", 1), "letters that are not ASCII"),
            (document.replacen(' ', "\t", 1), "letters that are not ASCII"),
            (document.replacen('-', "\u{2011}", 1), "letters that are not ASCII"),
            (document.replacen("example\n", "example \n", 1), "a line ends with a blank"),
            (document.replace('\n', " \n"), "a line ends with a blank"),
            (format!("{document}\n"), "there is an empty line below it"),
            (format!("```\n{document}```\n"), "the marks of a quotation"),
            (format!("> {}", document.replace('\n', "\n> ")), "a line ends with a blank"),
            (document.trim_end().to_string(), "the last line has no end, or is not whole"),
            (format!("\n{document}"), "line 1 of the text is not `name: value` in ASCII"),
            (document.replacen("form: 1", "form: 1\nform: 1", 1), "`form` comes twice in the text"),
            (document.replacen("account: ", "accounts: ", 1), "`account` is missing in the text"),
            (document.replacen("form: 1\n", "", 1), "`form` is missing in the text"),
            (document.replacen("reason: ", "sudo: yes\nreason: ", 1), "`reason` is missing"),
            (document.replacen("person: bob", "person: root", 1), "`person` in the grant is not"),
            (document.replacen("INC-42 disk", "INC-42  disk", 1), "`reason` in the grant is not"),
            (document.replacen("hosts: db7", "hosts: db*", 1), "`hosts` in the grant is not"),
        ] {
            both_refuse(&desk, wrong.as_bytes(), 2, words);
        }
    }
    for (wrong, words) in [
        (String::new(), "there is no text; give it on standard input, or name its file"),
        ("x".repeat(200 * 1024), "a grant has at most 4096 bytes, and with its signatures 8192"),
        (text.clone() + &"x: y\n".repeat(800), "a grant has at most 4096 bytes"),
        (text.repeat(2), "comes twice"),
        (text.clone() + &signed, "comes twice"),
        (signed.clone() + &text, "something follows a signature's footer"),
        (signed[text.len()..].to_string(), "line 1 of the text is not"),
        (signed.clone() + &signed[text.len()..].repeat(4), "more than 4 signatures"),
        (
            text.replacen("form: 1", "form: 2", 1),
            "the grant has form \"2\", and this release reads form 1; update it",
        ),
    ] {
        both_refuse(&desk, wrong.as_bytes(), 2, words);
    }
    refused(&desk.grant(&["show", "nothing"], b""), 2, "nothing: No such file or directory");
    refused(&desk.grant(&["sign", "."], b""), 2, ".: Is a directory");
}

/// Written by hand, with instants that `request` would not write.
#[test]
fn what_no_host_could_take_is_shown_as_that_and_not_signed() {
    let desk = Desk::new();
    let text = desk.read("text");
    let lines: Vec<&str> = text.lines().collect();
    let with = |from: i64, until: i64, issued: i64| {
        let instant = |seconds: i64| {
            let said =
                desk.run("date", &["-u", "-d", &format!("{seconds} seconds"), "+%Y-%m-%dT%H:%M:%SZ"], b"");
            stdout(&said).trim().to_string()
        };
        let line = |line: &&str| match line.split_once(": ").unwrap().0 {
            "not-before" => format!("not-before: {}\n", instant(from)),
            "not-after" => format!("not-after: {}\n", instant(until)),
            "issued" => format!("issued: {}\n", instant(issued)),
            _ => format!("{line}\n"),
        };
        lines.iter().map(line).collect::<String>()
    };
    const HOUR: i64 = 3_600;
    for (wrong, words) in [
        (with(-2 * HOUR, -HOUR, -2 * HOUR), "the grant ended at"),
        (with(0, 13 * HOUR, 0), "and the longest is 12h; ask for less"),
        (with(-HOUR, HOUR, -25 * HOUR), "the grant was issued at"),
        (with(0, HOUR, HOUR), "which has not come; compare the clocks"),
        (with(26 * HOUR, 27 * HOUR, 0), "the grant begins at"),
    ] {
        refused(&desk.grant(&["sign", "--yes", "-i", "alice"], wrong.as_bytes()), 1, words);
        let said = desk.grant(&["show"], wrong.as_bytes());
        let row = format!("\n  NOT VALID   {words}");
        let words = stdout(&said);
        let has_it =
            words.contains("\n  NOT VALID   ") && words.contains(row.split("NOT VALID   ").nth(1).unwrap());
        assert!(said.status.code() == Some(1) && has_it, "{row}: {words}");
    }
    // Signed today for tomorrow morning, which a person should see.
    let later = with(10 * HOUR, 11 * HOUR, 0);
    assert!(desk.grant(&["sign", "--yes", "-i", "alice"], later.as_bytes()).status.success());
    assert!(stdout(&desk.grant(&["show"], later.as_bytes())).contains("\n  NOT YET     "));
}

/// Signed once, so that nothing but what alice read can be signed below her signature.
#[test]
fn a83_each_byte_of_a_text_and_its_armour_changed_is_refused_by_the_verbs_and_nothing_is_signed() {
    let desk = Desk::new();
    let document = desk.grant(&["sign", "--yes", "-i", "alice", "text"], b"").stdout;
    assert!(desk.grant(&["sign", "--yes", "-i", "carol"], &document).status.success());
    let is_refused = |wrong: &[u8]| {
        let said = desk.grant(&["sign", "--yes", "-i", "carol"], wrong);
        let what = wrong.escape_ascii();
        assert!(matches!(said.status.code(), Some(1 | 2)) && said.stdout.is_empty(), "{what}: {said:?}");
        let line = stderr(&said);
        let is_plain = line.chars().all(|c| c == '\n' || c == '\u{fffd}' || c == ' ' || c.is_ascii_graphic());
        assert!(line.lines().count() == 1 && is_plain, "{what}: {line}");
    };
    for place in 0..document.len() {
        let mut other = document.clone();
        other[place] ^= 1 << (place % 8);
        is_refused(&other);
    }
    let text = String::from_utf8(document).unwrap();
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    for place in 0..lines.len() {
        let mut other = lines.clone();
        other.insert(place, lines[place]);
        is_refused(other.concat().as_bytes());
        other = lines.clone();
        other.remove(place);
        is_refused(other.concat().as_bytes());
        other = lines.clone();
        other.swap(place, (place + 1) % lines.len());
        is_refused(other.concat().as_bytes());
        let folded = lines[place].replacen(' ', "\n ", 1);
        other = lines.clone();
        other[place] = &folded;
        if folded != lines[place] {
            is_refused(other.concat().as_bytes());
        }
    }
}

#[test]
fn what_cannot_be_asked_for_is_said_with_the_option_it_was_typed_behind() {
    let desk = Desk::new();
    let long = "x".repeat(121);
    let hosts: Vec<String> = (0..17).map(|number| format!("--host=h{number}")).collect();
    let many: Vec<&str> = hosts.iter().map(String::as_str).collect();
    for (place, value, words) in [
        (2, "db*", "--host is not 1 to 16 different names of hosts"),
        (2, "db7 db8", "--host is not 1 to 16"),
        (4, "root", "root is not the name of a person; name who is to enter: --person NAME"),
        (4, "Bob B", "Bob B is not the name of a person"),
        (6, "bob", "bob is a private key; name the public one: --key bob.pub"),
        (6, "text", "text is no public key"),
        (8, "13h", "the longest is 12h; ask for less"),
        (10, "it's on fire", "--reason is not 1 to 120 letters"),
        (10, &long, "--reason is not 1 to 120 letters"),
        (12, "a b", "--site is not 1 to 64 letters"),
    ] {
        let mut request = Desk::REQUEST;
        request[place] = value;
        refused(&desk.grant(&request, b""), 64, words);
    }
    let mut request = Desk::REQUEST;
    request[6] = "nothing.pub";
    refused(&desk.grant(&request, b""), 2, "nothing.pub: No such file or directory");
    for (more, words) in [
        (&many[..], "--host is not 1 to 16"),
        (&["--account", "Root"], "--account Root: "),
        (&["--from", "tomorrow"], "`tomorrow` is not a valid time"),
        (&["--from", "2020-01-01T00:00:00Z"], "the grant ended at"),
        (&["--from", "2900-01-01T00:00:00Z"], "ask for it later"),
    ] {
        refused(&desk.grant(&[&Desk::REQUEST, more].concat(), b""), 64, words);
    }
    // On a machine that is no host of a fleet.
    refused(
        &desk.grant(&Desk::REQUEST[..11], b""),
        64,
        "name the fleet whose hosts these are, --site NAME; ",
    );
    // And nobody can be asked for whom the machine does not know.
    for (name, arguments) in [
        ("--for", [&Desk::REQUEST[..7], &Desk::REQUEST[9..]]),
        ("--key", [&Desk::REQUEST[..5], &Desk::REQUEST[7..]]),
    ] {
        let said = desk.grant(&arguments.concat(), b"");
        assert!(said.status.code() == Some(64) && stderr(&said).contains(name), "{said:?}");
    }
}
