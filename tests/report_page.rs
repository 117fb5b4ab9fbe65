//! `report --html`: a record becomes a page that a browser shows without a script, and in which nothing that anybody wrote is
//! more than a text.

use std::fmt::Write as _;

use harness::grants::{GLASS, Grants, Text, said, sudo};
use harness::page::boxes_of;
use harness::records::{AUDIT, admitted, alone, records, word};
use harness::suite::{Suite, instant};
use harness::{text, wait_until};
use serde_json::Value;

/// Where the page is.
const PAGE: &str = "/root/night.html";

/// The example night of README: 28 November, seen from the morning after.
const NIGHT: &str = "--since 2026-11-28T18:00:00Z --until 2026-11-29T08:00:00Z";

/// `oncall-cache report --html PAGE`, its exit status and the page.
fn page(suite: &Suite, words: &str) -> (Option<i32>, String) {
    let output = suite.host.sh(&format!("oncall-cache report --html {PAGE} {words}"));
    assert!(output.stderr.is_empty(), "{}", text(&output));
    (output.status.code(), suite.host.read(PAGE))
}

/// A host whose record is that of the example night, and whose rule takes the shifts of pd/primary alone.
fn night() -> Suite {
    let suite = Suite::start();
    suite.sync_keys();
    suite.host.must(&format!(
        "sed -i 's/testhost/db1/; s/name = \"rota\"/name = \"pd\"/; s,rota/primary,pd/primary,' /etc/authkeys/config.toml && cd /run/suite/source/tests/fixtures/night && mkdir -p /var/log/authkeys && \
         cp decisions.jsonl {AUDIT} && cp history.jsonl /var/lib/oncall-cache/history.jsonl && chown root: /var/log/authkeys {AUDIT} && \
         chmod 640 {AUDIT} && chown oncall-cache: /var/lib/oncall-cache/history.jsonl"
    ));
    suite
}

/// Each of these is somewhere in `page`, in this order.
fn in_order(page: &str, parts: &[&str]) {
    let mut rest = page;
    for part in parts {
        let Some((_, behind)) = rest.split_once(part) else {
            panic!("{part}: not behind the one before: {page}")
        };
        rest = behind;
    }
}

#[test]
fn the_night_of_an_incident_can_be_read_from_top_to_bottom() {
    let suite = night();
    let (code, page) = page(&suite, NIGHT);
    assert_eq!(code, Some(1), "a record is missing");
    in_order(
        &page,
        &[
            "Who was root on db1",
            "What is not known",
            "1 record is missing between number 484 (2026-11-29 04:45:00) and number 486 (2026-11-29 05:00:11)",
            // carol's shift is of a schedule that no rule here takes.
            "<b>2 people</b>could be root",
            "<b>3 tries</b>refused (those by revoked people: next)",
            "<b>1 try</b>by revoked people: all refused",
            "<b>1 shift</b>new to this host when about to begin, or later",
            "<b>3 sessions</b>open after the right had ended, or without a recorded end",
            "Look at these first",
            ", last at 22:09:13",
            "signed by bob and carol; grant until 23:31:00",
            "; session ended at 23:52:30",
            "2026-11-29 01:42:19",
            "carol",
            "became root by sudo",
            "signed by nobody else; break-glass until 02:41:50",
            "INC-4711: rota and directory out of reach",
            "got a shift in pd/primary that was new to this host: level 1, 02:06:00 to 06:00:00",
            "first seen at 02:06:00, when it had begun; the rota was changed then, or a sync came late",
            "is revoked, and tried root by sshd: refused",
            // Of her last session no end is recorded: nobody can say that it stayed open, but for the host's own look.
            "no longer had the right; session as root may have stayed open",
            "its end may be in the missing records; this host saw such a session open at 06:05:02",
            "Who could be root, and who was",
            "as this host knew the rota at that time",
            ">18:00<",
            ">08:00<",
            ">2026-11-29 00:00<",
            "pd/backup",
            "class=\"untaken\"",
            "records are missing: 2026-11-29 04:45:00 to 05:00:11",
            "pd/primary",
            "class=\"could\"",
            "let in otherwise than by a shift, or refused",
            "×3",
            ">⊗<",
            "all listed programs",
            "a shift that lets nobody in here: no rule of this host counts it",
            "a listed program was in",
            "still open after the right had ended",
            "the same, if it was open: no end recorded",
            "no end recorded: open to here at most",
            "records are missing",
            "What happened, in order",
            "became root by sudo, 4 times",
            "during incident Q2ZK4M0DB1; because: INC-4711 disk full on db1",
            "with certificate 2183 signed by SHA256:Uc3d8nPq1VwK5tYbR0eX (bob night of the 28th)",
            "no end recorded",
            "Programs",
            "storage team",
            // What is told together above is here one by one, with where from and by which key.
            "All logins of people, one by one",
            "2026-11-28 21:15:03",
            "21:15:20",
            "2026-11-28 21:17:44",
            "10.0.4.22",
            "SHA256:k1Zq3T9uYwVb2LsA7cRd",
            "pd/backup (lets nobody in here: no rule of this host counts it)",
            "Where this is from",
            "/var/lib/oncall-cache/history.jsonl",
            AUDIT,
        ],
    );
    // Robots are one row, and whom the doctor tries is none.
    assert!(page.matches("storage team").count() == 1 && !page.contains("canary"), "{page}");
    // It is of the same model as the table: whoever is in that is here.
    let told = suite.host.sh(&format!("oncall-cache report --json {NIGHT}"));
    let told: Value = serde_json::from_slice(&told.stdout).expect("JSON");
    for login in told["logins"].as_array().expect("a list") {
        assert!(page.contains(word(login, "person")), "{login}");
    }
    for gap in told["gaps"].as_array().expect("a list") {
        // All times on the page have one form.
        let gap = gap
            .as_str()
            .expect("a text")
            .replace("T04:45:00Z", " 04:45:00")
            .replace("T05:00:11Z", " 05:00:11");
        assert!(page.contains(&gap), "{gap}");
    }
    // carol's shift makes nobody root here, and no other form says so either.
    let people = |name: &str| -> Vec<&str> {
        told[name].as_array().expect("a list").iter().map(|right| word(right, "person")).collect()
    };
    assert_eq!((people("untaken"), people("late")), (vec!["carol"], vec!["alice"]));
    assert!(people("could").contains(&"bob") && !people("could").contains(&"carol"), "{told:#}");
    let table = text(&suite.host.sh(&format!("oncall-cache report {NIGHT}")));
    in_order(
        &table,
        &["who could become root", "  bob ", "on call, but no rule of this host takes", "  carol "],
    );
    let csv = text(&suite.host.sh(&format!("oncall-cache report --csv {NIGHT}")));
    assert!(csv.contains("\nuntaken,carol,") && !csv.contains("\ncould,carol,"), "{csv}");
    // The digests are those of the files.
    for file in [AUDIT, "/var/lib/oncall-cache/history.jsonl"] {
        let sum = suite.host.must(&format!("sha256sum <{file}"));
        assert!(page.contains(sum.split(' ').next().expect("a digest")), "{file}: {page}");
    }
    // With another configuration in that night it is not known what its rule took.
    let changed =
        r#"{"version":1,"change":"policy","seen":"2026-11-29T03:00:00Z","host":"db1","policy":"0"}"#;
    suite.host.must(&format!("echo '{changed}' >>/var/lib/oncall-cache/history.jsonl"));
    let (_, page) = self::page(&suite, NIGHT);
    in_order(&page, &["<b>3 people</b>could be root", "every shift is drawn as if a rule took it"]);
    assert!(!page.contains("class=\"untaken\"") && !page.contains("no rule of this host"), "{page}");
    let told = suite.host.sh(&format!("oncall-cache report --json {NIGHT}"));
    let told: Value = serde_json::from_slice(&told.stdout).expect("JSON");
    assert!(told["untaken"].is_null() && told["could"].to_string().contains("carol"), "{told:#}");
}

#[test]
fn docs_report_is_typed_in_as_it_is_printed() {
    const DOCS: &str = include_str!("../docs/report.md");
    let suite = night();
    let type_in = |command: &str| suite.host.sh(&format!("cd /root; {command}"));
    let [make] = &boxes_of(DOCS, "Make it")[..] else { panic!("one") };
    let (command, answer) = make.strip_prefix("$ ").expect("a prompt").split_once('\n').expect("an answer");
    let said = type_in(command);
    assert_eq!(said.status.code(), Some(1), "{}", text(&said));
    // But for how long it is, and its digest, it is what the page shows.
    let shape = |line: &str| -> String {
        let digits = |word: &str| word.bytes().all(|byte| byte.is_ascii_hexdigit());
        line.split([' ', ';'])
            .map(|word| if digits(word) && word.len() > 2 { "N" } else { word })
            .collect::<Vec<_>>()
            .join(" ")
    };
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    assert_eq!(shape(said.trim_end()), shape(answer.trim_end()));
    let file = "/root/night.html";
    let measured = suite.host.must(&format!("stat -c %s {file}; sha256sum {file} | cut -d' ' -f1"));
    assert!(measured.lines().all(|part| said.contains(part)), "{said}{measured}");
    is_readable_at(&suite, file);

    let [for_auditors, check, compare] = &boxes_of(DOCS, "To hand it to an auditor")[..] else {
        panic!("three")
    };
    let mut digests = Vec::new();
    for command in for_auditors.lines() {
        let said = type_in(command);
        assert_eq!(said.status.code(), Some(1), "{command}: {}", text(&said));
        digests.push(String::from_utf8_lossy(&said.stdout).into_owned());
    }
    let printed = |command: &str| String::from_utf8_lossy(&type_in(command).stdout).into_owned();
    let sum = printed(check);
    let (sum, path) = sum.trim_end().split_once("  ").expect("a digest and a file");
    assert!(
        digests[0].starts_with(&format!("{path}: ")) && digests[0].contains(&format!("SHA-256 {sum};")),
        "{digests:?}"
    );
    let page = suite.host.read(path);
    let numbered = suite.host.read("/root/2026-11-numbers.html");
    assert!(
        page.contains("alice") && !numbered.contains("alice") && numbered.contains("person 1"),
        "{numbered}"
    );
    // What the page says of the record, typed in.
    let (_, row) = page.rsplit_once(AUDIT).expect("the record");
    let (_, bytes) = row.split_once("data-label=\"bytes\">").expect("how many bytes");
    let (bytes, _) = bytes.split_once('<').expect("a number");
    let sum = printed(&compare.replace("BYTES", bytes));
    assert!(page.contains(sum.split(' ').next().expect("a digest")), "{bytes}: {sum}");
}

/// A record of `id`'s login at `second` of the night: `phase`, and what else is in it.
fn line(second: i64, id: &str, phase: &str, more: &str) -> String {
    let at = instant(1_795_885_200 + second);
    format!(
        "{{\"version\":1,\"time\":\"{at}\",\"host\":\"db1\",\"id\":\"{id}\",\"phase\":\"{phase}\",{more}}}\n"
    )
}

/// Of somebody who was let in, on call.
fn admitted_by(schedule: &str, who: &str, boot: &str) -> String {
    format!(
        "\"boot_id\":\"{boot}\",\"person\":\"{who}\",\"account\":\"root\",\"service\":\"sshd\",\"verdict\":\"allow\",\
         \"reason\":\"oncall\",\"effect\":\"pass\",\"mode\":\"enforce\",\"guard\":\"uid-0\",\"schedule\":\"{schedule}\""
    )
}

#[test]
fn clocks_boots_and_the_ends_of_the_time_are_told_and_drawn() {
    let suite = night();
    let of = |number: i64, who: &str, boot: &str| {
        format!("\"seq\":{number},{}", admitted_by("pd/primary", who, boot))
    };
    let lines = [
        // Before the night, and open until the host booted in it.
        line(-9_000, "a", "session", &of(1, "erin", "x")),
        // By a clock that was set back by ten minutes.
        line(7_200, "b", "session", &of(2, "alice", "x")),
        line(6_600, "b", "close", "\"seq\":3,\"boot_id\":\"x\""),
        line(10_800, "c", "session", &of(1, "bob", "y")),
        // Behind the night.
        line(60_000, "c", "close", "\"seq\":2,\"boot_id\":\"y\""),
    ];
    suite.host.write(AUDIT, lines.concat(), 0o640);
    let (_, page) = page(&suite, NIGHT);
    in_order(
        &page,
        &[
            "What happened, in order",
            "<b>erin</b>",
            "no end recorded; the host had booted by 20:00:00",
            "<b>alice</b>",
            "18:50:00 (the clock was set back)",
            "<b>bob</b>",
            "2026-11-29 09:40:00",
        ],
    );
    assert!(!page.contains("=\"-") && !page.contains(".-"), "nothing is drawn backwards: {page}");
    is_readable(&suite);
    // One second, in which nothing was but what was open.
    let (_, page) =
        self::page(&suite, "--since 2026-11-28T18:00:00Z --until 2026-11-28T18:00:01Z --pseudonyms");
    in_order(&page, &["What happened, in order", "became root by sshd", "no end recorded"]);
    suite.host.must(&format!(": >{AUDIT}"));
    let (_, page) = self::page(&suite, "--since 2026-11-20T07:00:00Z --until 2026-11-20T07:00:01Z");
    in_order(
        &page,
        &[
            "<b>0 people</b>could be root",
            "Nothing is known to have happened.",
            "Nobody, as far as this host knew.",
        ],
    );
    is_readable(&suite);
}

#[test]
fn however_much_there_is_the_page_is_bounded_and_shows_what_is_not_usual() {
    let suite = night();
    let (mut lines, mut shifts) = (String::new(), String::new());
    for number in 0..6_000_i64 {
        let (who, schedule) = (format!("p{}", number % 1_500), format!("pd/s{}", number % 300));
        let id = format!("{number:016x}");
        lines += &line(number * 8, &id, "session", &admitted_by(&schedule, &who, "x"));
        lines += &line(number * 8 + 3, &id, "close", "\"boot_id\":\"x\"");
        let _ = writeln!(
            shifts,
            "{{\"version\":1,\"change\":\"gained\",\"seen\":\"{}\",\"schedule\":\"{schedule}\",\"person\":\"{who}\",\"level\":1,\
             \"start\":\"{}\",\"end\":\"{}\",\"eligible\":true}}",
            instant(1_795_885_200 + number / 4),
            instant(1_795_885_200 + number * 8),
            instant(1_795_885_200 + number * 8 + 5)
        );
    }
    for number in 0..1_200 {
        let refused = format!(
            "\"boot_id\":\"x\",\"person\":\"q{number}\",\"account\":\"root\",\"service\":\"sudo\",\"verdict\":\"refuse\",\
             \"reason\":\"not-oncall\",\"effect\":\"refuse\",\"mode\":\"enforce\",\"guard\":\"sudo\""
        );
        lines += &line(48_000 + number % 60, &format!("r{number}"), "account", &refused);
    }
    // The last of all is the one to look at.
    let glass = admitted_by("", "zoe", "x").replace("oncall", "break-glass");
    lines += &line(
        48_100,
        "glass",
        "session",
        &format!("{glass},\"grant\":\"51d0e7aa90c24c11\",\"approvers\":\"zoe\",\"why\":\"dark\""),
    );
    suite.host.write(AUDIT, lines, 0o640);
    suite.host.write("/var/lib/oncall-cache/history.jsonl", shifts, 0o644);
    suite.host.must("chown oncall-cache: /var/lib/oncall-cache/history.jsonl");
    for words in ["", "--pseudonyms"] {
        let (_, page) = page(&suite, &format!("{NIGHT} {words}"));
        println!("{} bytes {words}", page.len());
        assert!(page.len() < 3_000_000, "{} bytes", page.len());
        let who = if words.is_empty() { "<b>zoe</b>" } else { "<b>person " };
        in_order(
            &page,
            &[
                "Look at these first",
                who,
                "became root by sshd",
                "more schedules",
                "text class=\"glass\"",
                "more people",
                "signed by nobody else",
                "more rows (",
            ],
        );
    }
    is_readable(&suite);
}

#[test]
fn with_pseudonyms_no_name_and_no_word_of_anybodys_own_is_in_the_page() {
    let suite = night();
    let (_, page) = page(&suite, &format!("{NIGHT} --pseudonyms"));
    let small = page.to_lowercase();
    let own =
        ["alice", "bob", "carol", "dave", "erin", "inc-4711", "storage", "10.0.4.", "198.51.100.", "sha256:"];
    assert_eq!(own.into_iter().filter(|word| small.contains(word)).collect::<Vec<_>>(), [""; 0], "{page}");
    for words in [
        "signed by person ",
        "a reason, left out here",
        "with a certificate, left out here",
        "during incident",
        "person 1",
        "is revoked, and tried root by sshd",
    ] {
        assert!(page.contains(words), "{words}: {page}");
    }
    // The same person has the same number, and another one another.
    let again = self::page(&suite, &format!("{NIGHT} --pseudonyms")).1;
    let body = |page: &str| page.split("Made by").next().unwrap_or_default().to_string();
    assert_eq!(body(&page), body(&again));
}

#[test]
fn what_others_wrote_is_text_and_a_real_record_is_told() {
    let host = Grants::start_with(GLASS);
    let suite = &host.suite;
    admitted(&suite.run_as("alice", "sudo -n id -u"));
    assert!(!sudo(suite, "bob").status.success());
    let grant = Text::new(&suite.public_key("bob"));
    said(&host.bring(&grant.sign(suite, &["alice", "carol"])), 0, "accepted");
    admitted(&sudo(suite, "bob"));
    // PAM_RHOST is whatever the program says: markup, quotes, and letters that turn the line round.
    let hostile = "<script>x</script>\"'><img src=//evil.example/>\u{202e}gnp\u{2066}\u{7}";
    suite.host.write("/run/rhost", hostile, 0o644);
    alone(suite, "sshd");
    let key = suite.public_key("alice");
    let key: Vec<&str> = key.split(' ').take(2).collect();
    suite.host.must(&format!(
        "pamtester -I rhost=\"$(cat /run/rhost)\" -E 'SSH_AUTH_INFO_0=publickey {}\n' sshd root open_session",
        key.join(" ")
    ));
    wait_until("it is recorded", || {
        records(suite).iter().any(|record| word(record, "rhost").contains("evil.example"))
    });

    let (code, told) = page(suite, "--since 1h");
    assert_eq!(code, suite.host.sh("oncall-cache report --since 1h").status.code());
    let small = told.to_lowercase();
    for markup in ["<script", "<img", " style=", "\u{202e}", "\u{2066}", "\u{7}"] {
        assert!(!small.contains(markup), "{markup}: {told}");
    }
    for words in
        ["&lt;script&gt;x&lt;/script&gt;", "evil.example", "signed by alice and carol", "was refused by sudo"]
    {
        assert!(told.contains(words), "{words}: {told}");
    }
    let policy = "content=\"default-src 'none'; style-src 'sha256-";
    assert!(told.contains(policy) && !told.contains("unsafe"), "{told}");
    assert_eq!(suite.host.must(&format!("stat -c '%a %U' {PAGE}")), "600 root\n");
    is_readable(suite);
}

#[test]
fn what_cannot_be_written_leaves_the_old_page_as_it_was() {
    let suite = night();
    suite.host.must(&format!("echo old >{PAGE} && ln -s {PAGE} /home/dave/link && chown -h dave: /home/dave/link && mkdir /run/small && mount -t tmpfs -o size=16k none /run/small && cp {PAGE} /run/small/night.html"));
    let fails = |words: &str, code: i32| {
        let output = suite.host.sh(&format!("oncall-cache report {NIGHT} {words}"));
        assert_eq!(output.status.code(), Some(code), "{words}: {}", text(&output));
        text(&output)
    };
    assert!(fails("--html /home/dave/link", 2).contains("it is there, and no file"));
    assert!(fails("--html /run/small/night.html", 2).contains("No space left"));
    assert!(fails("--html /nowhere/night.html", 2).contains("/nowhere"));
    fails(&format!("--html {PAGE} --json"), 64);
    let many = fails(&format!("--html {PAGE} --fleet /var/log/authkeys"), 64);
    assert!(many.contains("--html makes the page of one host") && many.contains("on each host"), "{many}");
    fails("--pseudonyms", 64);
    assert!(!suite.run_as("dave", "oncall-cache report --html /tmp/page.html").status.success());
    assert_eq!(
        suite.host.must(&format!(
            "cat {PAGE} /run/small/night.html; ls -A /run/small; ls /tmp/page.html 2>&1 | grep -c 'No such'"
        )),
        "old\nold\nnight.html\n1\n"
    );
    // Over a page that others could read comes one that they cannot.
    assert_eq!(page(&suite, NIGHT).0, Some(1));
    assert_eq!(suite.host.must(&format!("stat -c %a {PAGE}; ls -A /root | grep -c night.html")), "600\n1\n");
}

/// Chromium shows the page at both widths, in light and dark, and prints it.
fn is_readable(suite: &Suite) {
    is_readable_at(suite, PAGE);
}

/// The same of the page at `path`.
fn is_readable_at(suite: &Suite, path: &str) {
    let output = suite.host.sh(&format!("python3 /run/suite/source/tests/harness/chromium.py {path}"));
    let seen: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", text(&output)));
    let views = seen["views"].as_array().expect("a list");
    assert_eq!(views.len(), 4);
    let mut papers = Vec::new();
    for view in views {
        let number = |name: &str| view[name].as_f64().unwrap_or_else(|| panic!("{name}: {view:#}"));
        assert_eq!(view["said"], serde_json::json!([]), "the console");
        assert_eq!(
            view["asked"],
            serde_json::json!([format!("file://{path}")]),
            "nothing but itself is loaded"
        );
        assert_eq!(number("scripts"), 0.0);
        assert!(number("page") <= number("at") && number("widest") <= number("at"), "too wide: {view:#}");
        assert!(
            number("smallest") >= 12.0 && number("contrast") >= 4.5 && number("letters") > 500.0,
            "{view:#}"
        );
        papers.push(word(view, "paper"));
    }
    assert!(papers[0] != papers[1] && papers[0] == papers[2] && papers[1] == papers[3], "{papers:?}");
    let pdf = &seen["pdf"];
    assert!(
        pdf["begins"] == "%PDF-" && pdf["bytes"].as_i64() > Some(10_000) && pdf["pages"].as_i64() > Some(0),
        "{pdf}"
    );
    // What it started has ended with it.
    wait_until("Chromium has ended", || suite.host.sh("pgrep -x chromium").status.code() == Some(1));
}

#[test]
fn a_browser_shows_the_page_small_and_wide_light_and_dark_and_prints_it() {
    let suite = night();
    for words in ["", "--pseudonyms"] {
        page(&suite, &format!("{NIGHT} {words}"));
        is_readable(&suite);
    }
}

#[test]
fn a_year_of_logins_is_a_page_that_a_browser_opens() {
    let suite = night();
    let first = 1_764_374_400;
    let mut lines = String::new();
    for number in 0..20_000_i64 {
        let at = harness::suite::instant(first + number * 1_500);
        let (person, reason, verdict) = match number % 50 {
            0 => ("dave", "not-oncall", "refuse"),
            _ if number % 2 == 0 => ("alice", "oncall", "allow"),
            _ => ("bob", "oncall", "allow"),
        };
        let effect = if verdict == "allow" { "pass" } else { "refuse" };
        let whose = format!("\"person\":\"{person}\",\"account\":\"root\",\"service\":\"sshd\"");
        let record = |seq: i64, phase: &str, more: &str| {
            format!(
                "{{\"version\":1,\"seq\":{seq},\"time\":\"{at}\",\"host\":\"db1\",\"id\":\"{number:016x}\",\"phase\":\"{phase}\",{whose}{more}}}\n"
            )
        };
        let decided = format!(
            ",\"verdict\":\"{verdict}\",\"reason\":\"{reason}\",\"effect\":\"{effect}\",\"mode\":\"enforce\",\"guard\":\"uid-0\",\
             \"rule\":\"everywhere\",\"schedule\":\"rota/primary\""
        );
        lines += &record(number * 2 + 1, "session", &decided);
        lines += &record(number * 2 + 2, "close", "");
    }
    suite.host.write(AUDIT, lines, 0o640);
    let command = format!(
        "/usr/bin/time -f %M -o /run/rss oncall-cache report --html {PAGE} --since 2025-11-28T00:00:00Z --until 2026-11-29T00:00:00Z"
    );
    let output = suite.host.sh(&command);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    let peak: u64 = suite
        .host
        .read("/run/rss")
        .trim()
        .lines()
        .last()
        .and_then(|line| line.parse().ok())
        .expect("a number");
    let page = suite.host.read(PAGE);
    println!("{} bytes, {peak} KiB", page.len());
    assert!(page.len() < 3_000_000 && peak < 128 * 1_024, "{} bytes, {peak} KiB", page.len());
    assert!(page.contains("What is usual is told together"), "what is left out is said");
    is_readable(&suite);
}
