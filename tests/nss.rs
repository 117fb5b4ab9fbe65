//! Groups whose members are on call, as real programs see them through glibc: members at each second, faults, small
//! memory, threads, and what a membership is worth after the shift.

use harness::suite::{CONFIG, DAY, HOUR, Suite, now, soon};
use harness::{text, wait_until};

const GROUP: &str = "/var/lib/oncall-cache/group";

/// Two groups: `oncall`, by the one rule there is, and `web`, by another rule and schedule.
fn config() -> String {
    CONFIG.to_string()
        + "[[policy.rule]]\nname = 'web'\nschedules = ['rota/web']\n\
           [[nss.group]]\nname = 'oncall'\ngid = 9100\nrules = ['everywhere']\n\
           [[nss.group]]\nname = 'web'\ngid = 9101\nrules = ['web']\n"
}

/// alice and carol are on call for the next hour, bob after them; nobody but they is a member of a group with root.
fn suite() -> Suite {
    let suite = Suite::start();
    suite.host.write("/etc/authkeys/config.toml", config(), 0o644);
    suite.host.must("for name in alice bob carol; do gpasswd -d $name sudo; done");
    suite.host.must("cc -O2 -Wall -o /usr/bin/nss /run/suite/source/tests/nss.c -pthread");
    suite.host.must("sh /run/suite/source/packaging/nss/enable.sh");
    rota(&suite, &[("alice", -HOUR, HOUR), ("carol", -HOUR, HOUR), ("bob", HOUR, DAY)]);
    suite.sync();
    suite
}

/// The shifts of `primary`; in `web` it is dave, who is not eligible, and bob.
fn rota(suite: &Suite, shifts: &[(&str, i64, i64)]) -> i64 {
    let start = suite.write_rota(shifts);
    let instant = harness::suite::instant;
    let mut rota = suite.host.read("/etc/authkeys/rota.toml") + "[[schedule]]\nid = 'web'\n";
    for person in ["dave", "bob"] {
        rota += &format!(
            "[[schedule.shift]]\nperson = '{person}'\nstart = {}\nend = {}\n",
            instant(start - HOUR),
            instant(start + DAY)
        );
    }
    suite.host.write("/etc/authkeys/rota.toml", rota, 0o644);
    start
}

/// Writes the published file as if a sync had, `published` seconds from now.
fn publish(suite: &Suite, published: i64, lines: &[&str]) {
    let text = format!("oncall-groups 1 {} {}\n", now() + published, lines.len());
    let text = lines.iter().fold(text, |text, line| text + line + "\n");
    suite.host.write(&format!("{GROUP}.test"), text, 0o644);
    suite.host.must(&format!("chown oncall-cache {GROUP}.test && mv {GROUP}.test {GROUP}"));
}

/// The members of a group in each of the ways to ask for them; they must agree.
fn members(suite: &Suite, name: &str, gid: u32) -> Option<Vec<String>> {
    let line = |question: &str| {
        let output = suite.run_as("nobody", question);
        String::from_utf8_lossy(&output.stdout).trim().to_string()
    };
    let (by_name, by_gid) = (line(&format!("getent group {name}")), line(&format!("getent group {gid}")));
    let listed = line(&format!("getent group | grep '^{name}:'"));
    assert_eq!([&by_gid, &listed], [&by_name, &by_name], "by gid, and enumerated");
    let members = by_name.strip_prefix(&format!("{name}:*:{gid}:"));
    let mut members: Vec<String> = members?.split(',').map(String::from).collect();
    members.retain(|member| !member.is_empty());
    for person in ["alice", "bob", "carol", "dave"] {
        let has = line(&format!("id -G {person}")).split(' ').any(|own| own == gid.to_string());
        assert_eq!(has, members.iter().any(|member| member == person), "id {person}: {members:?}");
    }
    Some(members)
}

fn some<const N: usize>(names: [&str; N]) -> Option<Vec<String>> {
    Some(names.map(String::from).to_vec())
}

/// What the module itself answers about the group `oncall`, its gid and alice: status, errno, result.
fn ask(suite: &Suite) -> Vec<String> {
    suite.must_as("nobody", "nss ask oncall 9100 alice").lines().map(String::from).collect()
}

/// The same at one second, since the epoch.
fn ask_at(suite: &Suite, at: i64) -> Vec<String> {
    let output = suite.run_at("nobody", at, "nss ask oncall 9100 alice");
    String::from_utf8_lossy(&output.stdout).lines().map(String::from).collect()
}

const UNAVAILABLE: [&str; 4] = ["name -1 2", "gid -1 2", "next -1 2", "user -1 2"];
const NOT_FOUND: [&str; 4] = ["name 0 0", "gid 0 0", "next 0 0", "user 0 0"];

#[test]
fn a54_by_name_by_gid_enumerated_and_of_a_user_the_members_are_those_on_call() {
    let suite = suite();
    assert_eq!(members(&suite, "oncall", 9100), some(["alice", "carol"]));
    assert_eq!(members(&suite, "web", 9101), some(["bob"]), "dave is not eligible");
    let expected = [
        "name 1 0 oncall 9100 alice,carol",
        "gid 1 0 oncall 9100 alice,carol",
        "next 1 0 oncall 9100 alice,carol",
        "next 1 0 web 9101 bob",
        "next 0 0",
        "user 1 0 9100",
    ];
    assert_eq!(ask(&suite), expected);
    assert_eq!(suite.host.must("nss grow alice").split(' ').next_back(), Some("9100\n"));
    let file = suite.host.must(&format!("stat -c '%U %a' {GROUP}"));
    assert_eq!(file.trim(), "oncall-cache 644");
    assert!(suite.host.read(GROUP).starts_with("oncall-groups 1 "));
    // A line of its own for the groups of a login says when to go on.
    for (line, has) in
        [("files oncall", false), ("files [SUCCESS=continue] oncall", true), ("oncall files", true)]
    {
        suite.host.must(&format!(
            "usermod -a -G games alice; sed -i '/^initgroups/d; $a initgroups: {line}' /etc/nsswitch.conf"
        ));
        let groups = suite.host.must("id -G alice");
        assert_eq!(groups.trim().ends_with("9100"), has, "{line}: {groups}");
    }
    suite.host.must("sed -i /^initgroups/d /etc/nsswitch.conf");
    // What `check` says is what the groups say.
    for person in ["alice", "bob", "carol", "dave"] {
        let check = suite.run_as("nobody", &format!("oncall-cache test-access {person}"));
        let in_either = ["alice", "bob", "carol"].contains(&person);
        assert_eq!(check.status.code(), Some(i32::from(!in_either)), "{}", text(&check));
    }
}

#[test]
fn a54_members_change_at_the_second_of_the_hand_over() {
    let suite = suite();
    let start = rota(&suite, &[("alice", -HOUR, HOUR), ("bob", HOUR, DAY), ("carol", HOUR, 2 * HOUR)]);
    suite.sync();
    let published = suite.host.read(GROUP);
    for (second, names, gids) in [
        (HOUR - 1, "alice", " 9100"),
        (HOUR, "bob,carol", ""),
        (HOUR + 1, "bob,carol", ""),
        (2 * HOUR - 1, "bob,carol", ""),
        (2 * HOUR, "bob", ""),
    ] {
        let answer = ask_at(&suite, start + second);
        assert_eq!(answer[0], format!("name 1 0 oncall 9100 {names}"), "second {second}");
        let user = format!("user {} 0{gids}", i32::from(!gids.is_empty()));
        assert_eq!(answer.last(), Some(&user), "second {second}");
    }
    assert_eq!(suite.host.read(GROUP), published, "nobody had to write");
    // And by the machine's own clock.
    soon(5, |seconds| {
        let start = rota(&suite, &[("alice", -HOUR, seconds), ("bob", seconds, DAY)]);
        suite.sync();
        assert_eq!(ask(&suite)[0], "name 1 0 oncall 9100 alice");
        start + seconds
    });
    assert_eq!(members(&suite, "oncall", 9100), some(["bob"]));
}

#[test]
fn a55_what_the_host_has_itself_is_served_by_no_call() {
    let suite = suite();
    let check = |suite: &Suite, group: &str| {
        suite.host.write("/tmp/c.toml", config() + group, 0o644);
        text(&suite.host.sh("oncall-cache config check /tmp/c.toml"))
    };
    let line = config().lines().count() + 3;
    for gid in ["0", "27", "999", "61184", "65519", "65534", "65535", "4294967295"] {
        let said = check(&suite, &format!("[[nss.group]]\nname = 'x'\ngid = {gid}\nrules = ['*']\n"));
        assert!(
            said.contains(&format!("/tmp/c.toml:{line}: {gid} cannot be the gid of such a group")),
            "{said}"
        );
    }
    let sudo = "[[nss.group]]\nname = 'sudo'\ngid = 9102\nrules = ['*']\n\
                [[nss.group]]\nname = 'other'\ngid = 9103\nrules = ['*']\n";
    suite.host.must("groupadd -g 9103 local");
    suite.host.write("/etc/authkeys/config.toml", config() + sudo, 0o644);
    suite.sync();
    assert!(suite.host.read(GROUP).contains("sudo:9102:"));
    for switch in
        ["files oncall", "oncall files", "files [SUCCESS=merge] oncall", "oncall [SUCCESS=merge] files"]
    {
        suite.host.must(&format!("sed -i 's/^group:.*/group: {switch}/' /etc/nsswitch.conf"));
        assert_eq!(suite.host.must("getent group sudo 27").trim(), "sudo:x:27:\nsudo:x:27:", "{switch}");
        assert_eq!(
            suite.host.must("getent group local 9103").trim(),
            "local:x:9103:\nlocal:x:9103:",
            "{switch}"
        );
        let all = suite.host.must("getent group");
        assert_eq!([all.matches("sudo:").count(), all.matches(":9103:").count()], [1, 1], "{switch}: {all}");
        for absent in ["9102", "other"] {
            assert!(!suite.host.sh(&format!("getent group {absent}")).status.success(), "{switch}");
        }
        let groups = suite.host.must("id -G alice");
        assert!(["27", "9102", "9103"].iter().all(|gid| !groups.trim().split(' ').any(|own| own == *gid)));
        assert!(groups.contains("9100"), "{switch}: {groups}");
    }
    assert_eq!(
        suite.must_as("nobody", "nss ask sudo 9103 alice").lines().take(2).collect::<Vec<_>>(),
        ["name 0 0", "gid 0 0"]
    );
    // With the same action twice, what follows is merged as it was before.
    suite.host.must("usermod -a -G games dave");
    let games = |switch: &str| {
        suite
            .host
            .must(&format!("sed -i 's/^group:.*/group: {switch}/' /etc/nsswitch.conf; getent group games"))
    };
    let before = games("files [SUCCESS=merge] files");
    assert_eq!(games("files [SUCCESS=merge] oncall [SUCCESS=merge] files"), before);
    assert_ne!(
        games("files [SUCCESS=merge] oncall files"),
        before,
        "hence enable.sh leaves such lines alone"
    );
    // A file with such a number is none that we have written.
    for gid in [0, 27, 999, 65_534, u32::MAX] {
        let end = now() + HOUR;
        let line = format!("power:{gid}:{end}:alice@0..{end}");
        publish(&suite, 0, &[&line, &format!("oncall:9100:{end}:alice@0..{end}")]);
        assert_eq!(ask(&suite), UNAVAILABLE, "{line}");
    }
}

#[test]
fn a56_a_group_fits_the_memory_whole_or_there_is_too_little() {
    let suite = suite();
    let end = now() + HOUR;
    let many: Vec<String> = (0..40).map(|number| format!("p{number}@0..{end}")).collect();
    publish(&suite, 0, &[&format!("oncall:9100:{end}:{}", many.join(","))]);
    let sizes = suite.must_as("nobody", "nss buffers oncall 9100 4096");
    let sizes: Vec<usize> = sizes.lines().map(|line| line.parse().expect("a size")).collect();
    // 41 pointers, and the names with their ends; /etc/group is parsed in the same memory.
    let least = 41 * 8 + (0..40).map(|number| format!("p{number}").len() + 1).sum::<usize>() + 7 + 2;
    assert!(sizes.iter().all(|size| (least..least + 8).contains(size)), "{least}: {sizes:?}");
    // Without end: programs ask again with more until it fits.
    let members: Vec<String> = (0..5_000).map(|number| format!("person{number}@0..{end}")).collect();
    publish(&suite, 0, &[&format!("oncall:9100:{end}:{}", members.join(","))]);
    assert_eq!(suite.must_as("nobody", "getent group oncall").matches("person").count(), 5_000);
    assert!(suite.must_as("nobody", "getent group").contains("person4999\n"));
    let valgrind = "valgrind -q --leak-check=full --show-leak-kinds=definite --errors-for-leak-kinds=definite --error-exitcode=9";
    publish(&suite, 0, &[&format!("oncall:9100:{end}:alice@0..{end},bob@0..{end}")]);
    for question in ["buffers oncall 9100 100", "ask oncall 9100 alice", "grow alice", "closefrom oncall"] {
        let output = suite.host.sh(&format!("{valgrind} nss {question}"));
        assert!(output.status.success(), "{question}: {}", text(&output));
    }
}

#[test]
fn a57_with_a_fault_the_groups_are_unavailable_and_the_hosts_own_work_as_ever() {
    let suite = suite();
    let good = suite.host.read_bytes(GROUP);
    suite.host.must("usermod -a -G games dave; touch /tmp/file; chown dave:games /tmp/file");
    for spoil in [
        "rm GROUP",
        "chmod 600 GROUP",
        "chmod 666 GROUP",
        "chown dave GROUP",
        "truncate -s 0 GROUP",
        "truncate -s -1 GROUP",
        "truncate -s 2M GROUP",
        "printf '\\377' >>GROUP",
        "head -c 300 /dev/urandom >GROUP",
        "sed -i 's/^oncall-groups 1/oncall-groups 2/' GROUP",
        "rm GROUP; mkdir GROUP",
        "rm GROUP; mkfifo GROUP",
        "mv GROUP GROUP.real; ln -s GROUP.real GROUP",
        "chmod 777 /var/lib/oncall-cache",
        "mv /var/lib/oncall-cache /var/lib/elsewhere",
    ] {
        suite.host.must(&spoil.replace("GROUP", GROUP));
        assert_eq!(ask(&suite), UNAVAILABLE, "{spoil}");
        for (question, expected) in [
            ("id dave", "games"),
            ("ls -l /tmp/file", " dave games "),
            ("getent group games", "games:"),
            ("getent group", "games:"),
            ("getent group oncall; getent group 9100; echo status $?", "status 2"),
        ] {
            let said = suite.must_as("nobody", &format!("timeout 300 sh -c '{question}'"));
            assert!(said.contains(expected) && !said.contains("oncall:"), "{spoil}: {question}: {said}");
        }
        suite.host.must("rm -rf /var/lib/oncall-cache/group* && [ -d /var/lib/oncall-cache ] || mv /var/lib/elsewhere /var/lib/oncall-cache");
        suite.host.must("chmod 755 /var/lib/oncall-cache");
        suite.host.write(GROUP, &good, 0o644);
        suite.host.must(&format!("chown oncall-cache {GROUP}"));
        assert_eq!(ask(&suite)[0], "name 1 0 oncall 9100 alice,carol", "after {spoil}");
    }
    // Which groups the host has cannot be told.
    suite.host.must("mv /etc/group /etc/group.away");
    assert_eq!(ask(&suite), UNAVAILABLE);
    suite.host.must("mv /etc/group.away /etc/group");
    assert_eq!(members(&suite, "oncall", 9100), some(["alice", "carol"]));
}

#[test]
fn a57_a_clock_that_is_behind_and_a_group_too_old_are_unavailable_and_others_are_served() {
    let suite = suite();
    let (past, end) = (now() - 1, now() + HOUR);
    let alice = format!("oncall:9100:{end}:alice@0..{end}");
    publish(&suite, 125, &[&alice]);
    assert_eq!(ask(&suite), UNAVAILABLE);
    publish(&suite, 100, &[&alice]);
    assert_eq!(members(&suite, "oncall", 9100), some(["alice"]));
    let old = format!("web:9101:{past}:bob@0..{past}");
    publish(&suite, -DAY, &[&old, &alice]);
    assert_eq!(members(&suite, "oncall", 9100), some(["alice"]));
    assert_eq!(members(&suite, "web", 9101), None);
    let answer = suite.must_as("nobody", "nss ask web 9101 bob");
    let expected = ["name -1 2", "gid -1 2", "next 1 0 oncall 9100 alice", "next -1 2", "user -1 2"];
    assert_eq!(answer.lines().collect::<Vec<_>>(), expected);
    assert_eq!(ask(&suite)[4], "user 1 0 9100", "a group that is known counts");
    // By a real roster: nobody is known to be on call once the only schedule is too old.
    let config = config().replace("[policy]", "[oncall]\nwarn_age = '4m'\nmax_age = '5m'\n[policy]");
    suite.host.write("/etc/authkeys/config.toml", config, 0o644);
    let before = now();
    suite.sync();
    let after = now();
    assert_eq!(members(&suite, "oncall", 9100), some(["alice", "carol"]));
    assert_eq!(ask_at(&suite, before + 299)[0], "name 1 0 oncall 9100 alice,carol");
    assert_eq!(ask_at(&suite, after + 300), UNAVAILABLE);
}

#[test]
fn a58_threads_forks_and_programs_that_close_everything_get_right_answers_and_nothing_leaks() {
    let suite = suite();
    let storm = |threads: i64, calls: i64| {
        let output = suite
            .host
            .command("/usr/bin/timeout")
            .args(["3000", "nss", "storm"])
            .args([threads.to_string(), calls.to_string()])
            .output()
            .expect("nsenter runs");
        let said = text(&output);
        let right = format!("{} right, 100 children, 0 descriptors more, ", threads * calls);
        let grown = said.split_once(&right).and_then(|(_, rest)| rest.split(' ').next()?.parse::<i64>().ok());
        // Threads have stacks and arenas of their own; a byte for each call would be more.
        assert!(grown.is_some_and(|grown| grown < 2_048), "{said}");
    };
    storm(8, 10_000);
    let groups = suite.host.must("getent group | wc -l");
    assert_eq!(suite.host.must("nss closefrom oncall"), format!("{} groups, 1 found\n", groups.trim()));
    let output = suite.host.sh("valgrind -q --leak-check=full --show-leak-kinds=definite --errors-for-leak-kinds=definite --error-exitcode=9 nss storm 2 20");
    assert!(output.status.success(), "{}", text(&output));

    // nscd asks for them, and keeps what it heard.
    suite.host.must("mkdir -p /run/nscd /var/cache/nscd && ln -sfn /run /var/run");
    suite.host.daemon(&["/usr/sbin/nscd", "-F"], "/var/log/nscd.log");
    wait_until("nscd listens", || suite.host.path("/run/nscd/socket").exists());
    storm(8, 10_000);
    assert!(suite.host.must("nscd -g").contains("group cache:"));
    let open = suite.host.must("ls /proc/$(pgrep -x nscd)/fd -l");
    assert!(!open.contains("oncall"), "{open}");
}

#[test]
fn the_library_exports_what_glibc_asks_for_and_nothing_else() {
    let suite = suite();
    let library = suite
        .host
        .must("ls /usr/lib/*-linux-*/libnss_oncall.so.2 /usr/lib64/libnss_oncall.so.2 2>/dev/null | head -1");
    let symbols = suite.host.must(&format!("nm -D --defined-only {library}"));
    let mut names: Vec<&str> = symbols.lines().filter_map(|line| line.split(' ').next_back()).collect();
    names.sort_unstable();
    let expected = ["endgrent", "getgrent_r", "getgrgid_r", "getgrnam_r", "initgroups_dyn", "setgrent"];
    assert_eq!(names, expected.map(|name| format!("_nss_oncall_{name}")));
    let dynamic = suite.host.must(&format!("objdump -p {}", library.trim()));
    assert!(dynamic.contains("SONAME               libnss_oncall.so.2"), "{dynamic}");
}

#[test]
fn a_sync_publishes_what_follows_from_roster_directory_revocations_and_configuration() {
    let suite = suite();
    // Revoked: gone at the next sync, also while the rota cannot be read.
    suite.host.must("oncall-cache revoke alice && mv /etc/authkeys/rota.toml /etc/authkeys/away");
    assert_eq!(members(&suite, "oncall", 9100), some(["alice", "carol"]));
    let failed = suite.run_as("oncall-cache", "oncall-cache sync");
    assert_eq!(failed.status.code(), Some(2), "{}", text(&failed));
    assert_eq!(members(&suite, "oncall", 9100), some(["carol"]));
    // No longer eligible: the same.
    let team = harness::suite::TEAM.map(|member| harness::suite::Member {
        eligible: member.name != "carol" && member.eligible,
        ..member
    });
    suite.write_people(&team);
    suite.sync_keys();
    let failed = suite.run_as("oncall-cache", "oncall-cache sync");
    assert_eq!(failed.status.code(), Some(2), "{}", text(&failed));
    assert_eq!(members(&suite, "oncall", 9100), some([]));
    suite.host.must("mv /etc/authkeys/away /etc/authkeys/rota.toml; oncall-cache unrevoke alice");
    suite.sync();
    assert_eq!(members(&suite, "oncall", 9100), some(["alice"]));

    // Nobody can tell who is revoked: nobody can tell who is a member.
    suite.host.must("echo mallory >/etc/authkeys/revoked");
    suite.sync();
    assert_eq!(ask(&suite), UNAVAILABLE);
    suite.host.must("rm /etc/authkeys/revoked");

    // Observing opens nothing: who is on call is in the group, and nobody else.
    let observe = config().replace("[policy]", "[policy]\nmode = 'observe'");
    suite.host.write("/etc/authkeys/config.toml", observe, 0o644);
    suite.sync();
    assert_eq!(members(&suite, "oncall", 9100), some(["alice"]));

    // A dry run publishes nothing; without groups there are none; without a roster nothing is known.
    suite.host.write("/etc/authkeys/config.toml", CONFIG, 0o644);
    suite.must_as("oncall-cache", "oncall-cache sync --dry-run");
    assert_eq!(members(&suite, "oncall", 9100), some(["alice"]));
    suite.sync();
    assert_eq!(ask(&suite), NOT_FOUND);
    suite.host.must("rm -rf /var/lib/oncall-cache/roster.db /etc/authkeys/rota.toml");
    let failed = suite.run_as("oncall-cache", "oncall-cache sync");
    assert_eq!(failed.status.code(), Some(2), "{}", text(&failed));
    assert_eq!(ask(&suite), UNAVAILABLE);
}

#[test]
fn groups_that_cannot_be_written_are_said_and_hold_nothing_up() {
    let suite = suite();
    rota(&suite, &[("bob", -HOUR, HOUR)]);
    suite.host.must(&format!("mkdir {GROUP}.new"));
    let sync = suite.run_as("oncall-cache", "oncall-cache sync");
    assert_eq!(sync.status.code(), Some(1), "{}", text(&sync));
    assert!(text(&sync).contains("the groups of [[nss.group]] stay as they were: "), "{}", text(&sync));
    assert!(text(&sync).contains("bob until "), "{}", text(&sync));
    assert!(suite.run_as("bob", "oncall-cache test-access bob").status.success());
    assert_eq!(members(&suite, "oncall", 9100), some(["alice", "carol"]), "as it was");
    suite.host.must(&format!("rmdir {GROUP}.new"));
    suite.sync();
    assert_eq!(members(&suite, "oncall", 9100), some(["bob"]));
}

#[test]
fn the_word_is_put_into_nsswitch_once_and_taken_out_whole() {
    let suite = Suite::start();
    let enable =
        |words: &str| suite.host.sh(&format!("sh /run/suite/source/packaging/nss/enable.sh {words}"));
    let switch = || suite.host.read("/etc/nsswitch.conf");
    assert!(!switch().contains("oncall"), "installing changes no login");
    let original = switch();
    for (line, with) in [
        ("group:          files systemd", Some("group:          files oncall systemd")),
        ("group: files", Some("group: files oncall")),
        ("group:files # ours", Some("group:files oncall # ours")),
        ("group: files oncall-local # oncall", Some("group: files oncall oncall-local # oncall")),
        (" group:\tfiles sss [NOTFOUND=return] x", Some(" group:\tfiles oncall sss [NOTFOUND=return] x")),
        ("group: sss files", Some("group: sss files oncall")),
        ("group: files [SUCCESS=merge] sss", None),
        ("group: files[NOTFOUND=return] sss", None),
        ("group: compat", None),
        ("group: sss # files", None),
        ("# group: files", None),
    ] {
        let file = |line: &str| original.replace("group:          files systemd", line);
        assert!(file("x") != original, "another nsswitch.conf: {original}");
        suite.host.write("/etc/nsswitch.conf", file(line), 0o644);
        for round in 0..2 {
            let output = enable("");
            assert_eq!(output.status.success(), with.is_some(), "{line}: {}", text(&output));
            assert_eq!(switch(), file(with.unwrap_or(line)), "{line}, round {round}");
        }
        assert!(enable("--undo").status.success());
        assert_eq!(switch(), file(line), "taken out");
    }
    // What the administrator wrote stays, and is taken out with what belongs to it.
    let merged = original
        .replace("group:          files systemd", "group: files [SUCCESS=merge] oncall [SUCCESS=merge] sss");
    suite.host.write("/etc/nsswitch.conf", &merged, 0o644);
    assert!(enable("").status.success());
    assert_eq!(switch(), merged);
    assert!(enable("--undo").status.success());
    assert!(switch().contains("files [SUCCESS=merge] sss") && !switch().contains("oncall"), "{}", switch());
    suite.host.write("/etc/nsswitch.conf", original.clone() + "initgroups: files\n", 0o644);
    assert!(text(&enable("")).contains("has an initgroups: line"));
    // As docs/operations.md says to write it.
    let initgroups = original.clone() + "initgroups: files [SUCCESS=continue] oncall # ours\n";
    suite.host.write("/etc/nsswitch.conf", &initgroups, 0o644);
    assert!(text(&enable("--undo")).contains(": oncall removed from initgroups:"));
    assert_eq!(switch(), initgroups.replace(" oncall", ""));
    // Wherever glibc sees the word, it goes, and a line that names nobody else with it.
    for (with, without) in [
        ("group:oncall files", "group: files"),
        ("group: files [SUCCESS=merge]oncall[SUCCESS=merge] sss", "group: files [SUCCESS=merge] sss"),
        ("group: files x-oncall oncall oncall-x", "group: files x-oncall oncall-x"),
        ("group: files\n\tinitgroups: oncall # ours", "group: files"),
    ] {
        suite.host.write("/etc/nsswitch.conf", original.clone() + with + "\n", 0o644);
        assert!(enable("--undo").status.success(), "{with}");
        assert_eq!(switch(), original.clone() + without + "\n", "{with}");
    }
    // authselect writes its file anew, so it is left alone.
    let theirs = original.clone() + "initgroups: files oncall\n";
    suite.host.must("mkdir /etc/authselect && ln -sf authselect/nsswitch.conf /etc/nsswitch.conf");
    suite.host.write("/etc/authselect/nsswitch.conf", &theirs, 0o644);
    for words in ["", "--undo"] {
        assert_eq!(enable(words).status.code(), Some(1), "{words}");
        assert_eq!(switch(), theirs, "{words}");
    }
    suite.host.must("rm /etc/nsswitch.conf");
    suite.host.write("/etc/nsswitch.conf", original.clone() + "shadow: oncall files\n", 0o644);
    assert_eq!(enable("--undo").status.code(), Some(1), "what is none of ours");
    assert_eq!(enable("--und").status.code(), Some(64));
    suite.host.write("/etc/nsswitch.conf", &original, 0o644);
    suite.host.must("rm /usr/lib/*/libnss_oncall.so.2");
    assert_eq!(enable("").status.code(), Some(1));
    assert_eq!(switch(), original);
}

#[test]
fn a_program_that_is_setuid_believes_the_group() {
    let suite = suite();
    let sg = |person: &str| suite.run_as(person, "sg oncall -c 'id -gn' </dev/null");
    assert!(text(&sg("alice")).contains("\noncall\n"), "{}", text(&sg("alice")));
    for other in ["bob", "dave"] {
        let output = sg(other);
        assert!(!output.status.success() && !text(&output).contains("\noncall\n"), "{}", text(&output));
    }
}

/// A session of `name` that does one thing before a hand-over, which is told to the host only then, and another one after
/// it; what it said.
fn over_a_hand_over(suite: &Suite, name: &str, before: &str, after: &str) -> String {
    let wait = "touch /tmp/before; until [ -e /tmp/after ]; do sleep 0.05; done";
    let mut ssh = suite.ssh_command(name, &[], name, &format!("{before}; {wait}; {after}"));
    std::thread::scope(|scope| {
        let session = scope.spawn(move || ssh.output().expect("nsenter runs"));
        wait_until("the session is open", || suite.host.path("/tmp/before").exists());
        let begin = rota(suite, &[("alice", -HOUR, 3), ("bob", 3, DAY)]) + 3;
        suite.sync();
        wait_until("the shift of bob begins", || now() >= begin);
        suite.host.must("rm /tmp/before && touch /tmp/after");
        let said = text(&session.join().expect("it ends"));
        suite.host.must("rm /tmp/after");
        said
    })
}

/// The group is who may try; who may is asked again at each sudo.
#[test]
fn a_rule_of_sudoers_for_the_group_ends_with_the_shift_although_the_session_keeps_the_group() {
    let suite = suite();
    suite.host.must("rm /etc/sudoers.d/team; printf 'alice:secret\\nbob:secret\\n' | chpasswd");
    suite.host.write("/etc/sudoers.d/oncall", "%oncall ALL=(ALL) ALL\n", 0o440);
    rota(&suite, &[("alice", -HOUR, HOUR), ("bob", HOUR, DAY)]);
    suite.sync();
    let sudo = "printf 'secret\\n' | sudo -S -p '' id -u";
    let said = over_a_hand_over(
        &suite,
        "alice",
        &format!("id -Gn; {sudo} && echo in"),
        &format!("id -Gn; sudo -n id -u && echo in; {sudo} && echo in; true"),
    );
    assert_eq!(said.matches("\n0\nin\n").count(), 1, "{said}");
    assert_eq!(said.matches("alice oncall\n").count(), 2, "the session keeps its groups: {said}");
    assert_eq!(said.matches("alice is not (bob is, until ").count(), 2, "ticket or password: {said}");
    // A new session has no such group; bob's has.
    let said = text(&suite.ssh("alice", "alice", &format!("id -Gn; {sudo}")));
    assert!(said.contains("\nalice\n") && said.contains("alice is not (bob is, until "), "{said}");
    let said = text(&suite.ssh("bob", "bob", &format!("id -Gn; {sudo} && echo in")));
    assert!(said.contains("bob oncall") && said.contains("\n0\nin\n"), "{said}");
}

#[test]
fn a_session_older_than_the_shift_gets_the_group_where_sudo_asks_for_it() {
    let suite = suite();
    suite.host.write("/etc/sudoers.d/oncall", "%oncall ALL=(ALL) NOPASSWD: ALL\n", 0o440);
    suite.host.must("rm /etc/sudoers.d/team");
    let session = |group_source: &str| {
        suite.host.write("/etc/sudo.conf", group_source, 0o644);
        rota(&suite, &[("alice", -HOUR, DAY)]);
        suite.sync();
        let after = "sudo -n id -u && echo in; sg oncall -c 'sudo -n id -u'";
        over_a_hand_over(&suite, "bob", "id -Gn; sudo -n id -u", after)
    };
    let said = session("");
    assert!(!said.contains("\n0\nin\n"), "sudo goes by the session's groups: {said}");
    assert!(said.contains("\n0\n"), "sg takes the group up: {said}");
    let said = session("Set group_source dynamic\n");
    assert!(said.contains("\n0\nin\n"), "{said}");
}
