//! What runs, or ought to: the switch, groups, timers.

use harness::suite::{HOUR, Suite, instant, now};
use harness::text;
use serde_json::Value;

use super::After::{Advice, Fix};
use super::{After, Case, ask, case, each, each_on, keep, put_back, suite, suite_with_group, word};

#[test]
fn what_the_switch_says_and_what_is_left_of_it_is_told() {
    let hours = |hours: i64| instant(now() + hours * HOUR);
    let order = |words: &str| format!("printf '%s\\n' '{words}' >/etc/authkeys/switch");
    let observes = "sed -i 's/^exempt_accounts/mode = \"observe\"\\n&/' /etc/authkeys/config.toml";
    let (past, soon) = (format!("{} {}", hours(-2), hours(-1)), format!("{} {}", hours(0), hours(1)));
    let switch = "/etc/authkeys/switch";
    let cases: [(String, &str, &str, After); 9] = [
        (
            "oncall-cache pause --for 1h --reason 'no rota'".to_string(),
            "warning switch",
            "/etc/authkeys/switch#pause",
            Fix,
        ),
        (order(&format!("pause {past} x:1 root over")), "note switch", "/etc/authkeys/switch#pause", Fix),
        (order(&format!("enforce {past} x:1 root")), "note switch", "/etc/authkeys/switch#enforce", Fix),
        (
            order(&format!("enforce {} - x:1 root", hours(-2))),
            "note switch",
            "/etc/authkeys/switch#enforce",
            Fix,
        ),
        (
            format!("{observes} && {}", order(&format!("enforce {soon} x:1 root"))),
            "warning switch",
            "/etc/authkeys/switch#enforce",
            Advice("enforce --confirm", "true"),
        ),
        (
            format!("{observes} && {}", order(&format!("enforce {} - x:1 root", hours(-2)))),
            "note switch",
            "/etc/authkeys/switch#enforce",
            Advice("mode = \"enforce\"", "true"),
        ),
        (order("# by hand\npause for ever"), "warning switch", "/etc/authkeys/switch#pause", Fix),
        ("install -m 664 /dev/null /etc/authkeys/switch".to_string(), "warning switch", switch, Fix),
        (
            "install -o dave /dev/null /etc/authkeys/switch".to_string(),
            "warning switch",
            switch,
            Advice("rm /etc/authkeys/switch", "true"),
        ),
    ];
    let leak = |text: String| -> &'static str { text.leak() };
    let cases: Vec<Case> = cases
        .into_iter()
        .map(|(breaks, found, place, after)| case(leak(breaks), found, place, after))
        .collect();
    each(&cases);
}

#[test]
fn groups_that_are_not_served_as_configured_are_told() {
    let group = "/var/lib/oncall-cache/group";
    let suite = suite_with_group();
    each_on(
        &suite,
        &[
            case(
                "sed -i 's/ oncall//' /etc/nsswitch.conf",
                "warning nss-line",
                "/etc/nsswitch.conf#group:",
                Fix,
            ),
            case(
                "sed -i 's/^group:.*/group: files # local only/' /etc/nsswitch.conf",
                "warning nss-line",
                "/etc/nsswitch.conf#group:",
                Fix,
            ),
            case("rm /var/lib/oncall-cache/group", "warning nss-file", group, Fix),
            case("chmod 664 /var/lib/oncall-cache/group", "warning nss-file", group, Fix),
            case("echo >>/var/lib/oncall-cache/group", "warning nss-file", group, Fix),
            case(
                "sed -i 's/ [0-9]* 1$/ 1000 1/' /var/lib/oncall-cache/group",
                "warning nss-file",
                group,
                Fix,
            ),
            case(
                "sed -i 's/^oncall:9100:[0-9]*:.*/oncall:9100:1000:/' /var/lib/oncall-cache/group",
                "warning nss-file",
                group,
                Fix,
            ),
            case(
                "sed -i 's/^gid = 9100/gid = 9200/' /etc/authkeys/config.toml",
                "warning nss-file",
                group,
                Fix,
            ),
            case("sed -i '/nss.group/,$d' /etc/authkeys/config.toml", "warning nss-file", group, Fix),
            case(
                "printf '[paths]\\nroster = \"/var/lib/other/roster.db\"\\n' >>/etc/authkeys/config.toml",
                "warning nss-file",
                "/etc/authkeys/config.toml",
                Advice("[paths]", "true"),
            ),
            case(
                "echo oncall:x:4711: >>/etc/group",
                "warning nss-taken",
                "/etc/group#oncall:",
                Advice("groupdel oncall", "true"),
            ),
            case(
                "echo web:x:9100: >>/etc/group",
                "warning nss-taken",
                "/etc/group#web:",
                Advice("another `gid`", "true"),
            ),
            case(
                "sed -i 's/^.*enable-cache[[:space:]]*group.*/enable-cache group yes/' /etc/nscd.conf",
                "warning nscd",
                "/etc/nscd.conf#enable-cache group",
                Fix,
            ),
        ],
    );
    // Where nscd does not run it keeps nothing.
    suite.host.must(
        "sed -i 's/^.*enable-cache[[:space:]]*group.*/enable-cache group yes/' /etc/nscd.conf && rm /run/nscd/socket",
    );
    let told = ask(&suite);
    assert!(told.is_silent(), "{}", told.lines());
}

/// By the real systemctl, which tells what is enabled from the units themselves.
/// A file in Rego with this after its package, which this host asks.
macro_rules! rego {
    ($rules:literal) => {
        concat!(
            "printf '[[policy.rego]]\nfile = \"narrow.rego\"\nquery = \"data.authkeys.keep\"\n' >>/etc/authkeys/config.toml && ",
            rego!(@ $rules)
        )
    };
    (@ $rules:literal) => {
        concat!("printf 'package authkeys\n\nimport rego.v1\n\n%s\n' '", $rules, "' >/etc/authkeys/narrow.rego")
    };
}

/// What the timer runs, whatever becomes of it.
const SYNC: &str = "(runuser -u oncall-cache -- oncall-cache sync || :)";

#[test]
fn a106_a_file_in_rego_that_stops_the_sync_fails_or_leaves_nobody_is_told() {
    const CONFIG: &str = "/etc/authkeys/config.toml";
    let suite = suite();
    // One that is as it should be is nothing to speak of, also where it takes some away; nor one that another host asks.
    for rules in ["keep := true", "keep if input.person != \"bob\""] {
        suite.host.must(rego!("keep := true"));
        suite.host.must(&format!("sed -i '$c {rules}' /etc/authkeys/narrow.rego && {SYNC}"));
        let told = ask(&suite);
        assert!(told.is_silent(), "{rules}: {}", told.lines());
        put_back(&suite);
    }
    suite.host.must(rego!("nonsense"));
    suite.host.must(&format!("echo \"hosts = ['db1']\" >>{CONFIG}"));
    let told = ask(&suite);
    assert!(told.is_silent(), "{}", told.lines());
    put_back(&suite);
    each_on(
        &suite,
        &[
            case(rego!("nonsense"), "warning rego", CONFIG, Advice("mend the file", "true")),
            case(
                concat!(rego!("keep := true"), " && chmod 666 /etc/authkeys/narrow.rego"),
                "warning rego",
                CONFIG,
                Advice("mend the file", "rm /etc/authkeys/narrow.rego"),
            ),
            // Mended, and not yet asked again.
            case(
                concat!(
                    rego!("nonsense"),
                    " && (runuser -u oncall-cache -- oncall-cache sync || :) && ",
                    rego!(@ "keep := true")
                ),
                "warning rego",
                CONFIG,
                Fix,
            ),
            case(
                concat!(rego!("keep := 1"), " && (runuser -u oncall-cache -- oncall-cache sync || :)"),
                "warning rego",
                CONFIG,
                Advice("mend the file", "true"),
            ),
            case(
                concat!(rego!("keep := false"), " && (runuser -u oncall-cache -- oncall-cache sync || :)"),
                "warning rego",
                CONFIG,
                Advice("oncall-cache why PERSON", "true"),
            ),
        ],
    );
}

#[test]
fn timers_that_the_next_boot_would_not_start_are_told() {
    let suite = suite();
    let timers = "authkeys-sync.timer oncall-cache-sync.timer";
    suite.host.must(&format!("rm /etc/cron.d/authkeys && systemctl enable {timers}"));
    keep(&suite);
    each_on(
        &suite,
        &[
            case(
                "systemctl disable oncall-cache-sync.timer",
                "warning timer",
                "/usr/lib/systemd/system/oncall-cache-sync.timer",
                Fix,
            ),
            case(
                "systemctl mask authkeys-sync.timer",
                "warning timer",
                "/usr/lib/systemd/system/authkeys-sync.timer",
                Fix,
            ),
            case(
                "rm /usr/lib/systemd/system/authkeys-sync.timer /etc/systemd/system/timers.target.wants/authkeys-sync.timer",
                "warning timer",
                "/usr/lib/systemd/system/authkeys-sync.timer",
                Advice(
                    "systemctl enable authkeys-sync.timer",
                    "cp /run/suite/source/packaging/systemd/authkeys-sync.timer /usr/lib/systemd/system && systemctl enable authkeys-sync.timer",
                ),
            ),
        ],
    );
}

/// Runs `script` on this machine as the only unit of a real systemd, which ends with it.
fn under_systemd(suite: &Suite, script: &str) {
    let unit = "[Unit]\nDefaultDependencies=no\n[Service]\nType=oneshot\nExecStart=/bin/sh -e /root/script\nExecStopPost=/usr/bin/systemctl poweroff -ff\n";
    suite.host.write("/etc/systemd/system/ask.service", unit, 0o644);
    suite.host.write("/root/script", format!("{script}\ntouch /root/done\n"), 0o755);
    let boot = "mount -t proc proc /proc && mount -t sysfs sysfs /sys && mount -t cgroup2 cgroup2 /sys/fs/cgroup && \
                mount -t tmpfs -o mode=755 tmpfs /run && mkdir /run/sshd && \
                exec env container=test /lib/systemd/systemd --system --unit=ask.service";
    let output = suite.host.sh(&format!(
        "unshare --mount --pid --cgroup --fork --kill-child /bin/sh -c '{boot}'; test -e /root/done"
    ));
    assert!(output.status.success(), "{}", text(&output));
}

#[test]
fn timers_that_systemd_does_not_run_now_are_told_where_it_runs() {
    let suite = suite();
    suite.host.must("rm /etc/cron.d/authkeys");
    let fix = "systemctl enable --now authkeys-sync.timer";
    let unmask = format!("systemctl unmask authkeys-sync.timer && {fix}");
    // What is done, what the doctor says then, and what it says would fix it: that is done before the next.
    let states = [
        ("systemctl enable --now authkeys-sync.timer oncall-cache-sync.timer", "", ""),
        ("systemctl stop authkeys-sync.timer", "authkeys-sync.timer is inactive", fix),
        (
            "systemctl disable authkeys-sync.timer",
            "authkeys-sync.timer is disabled: the next boot does not start it",
            fix,
        ),
        ("systemctl mask --now authkeys-sync.timer", "authkeys-sync.timer is masked", &unmask),
        ("true", "", ""),
    ];
    let mut script = String::new();
    for (number, (change, _, fix)) in states.iter().enumerate() {
        let fix = if fix.is_empty() { "true" } else { fix };
        script += &format!("{change}\noncall-cache doctor --json >/root/{number} || true\n{fix}\n");
    }
    under_systemd(&suite, &script);
    for (number, (change, what, fix)) in states.into_iter().enumerate() {
        let told: Value = serde_json::from_str(&suite.host.read(&format!("/root/{number}"))).expect("JSON");
        let mut timers = told["findings"].as_array().expect("a list").clone();
        timers.retain(|finding| finding["id"] == "timer");
        let said: Vec<_> =
            timers.iter().map(|one| ["file", "what", "fix"].map(|field| word(one, field))).collect();
        let expected = ["/usr/lib/systemd/system/authkeys-sync.timer", what, fix];
        assert_eq!(said, if what.is_empty() { vec![] } else { vec![expected] }, "{change}");
    }
}
