//! AppArmor profiles and the SELinux module: their compilers take them, and real syncs touch nothing that the profiles do not
//! list. No kernel here enforces either, so that is all that can be shown.

use std::collections::BTreeSet;

use harness::Host;
use harness::fleet::Fleet;
use harness::oncalls::{oncall, schedule, user};
use harness::pagerduty::PagerDuty;
use harness::slapd::Slapd;
use harness::suite::{HOUR, Suite, TEAM, instant, now, text};

const TOKEN: &str = "u+tokenOfTheConfined";

/// People in LDAP; shifts in PagerDuty and in rota.toml.
fn configure(suite: &Suite, pagerduty: &PagerDuty) {
    pagerduty.set_schedules(vec![schedule("PDB0001", "db")]);
    pagerduty.set_users(vec![user("alice")]);
    let (start, end) = (now() - HOUR, now() + HOUR);
    pagerduty.set_oncalls(vec![oncall("alice", Some("PDB0001"), "PEP0001", 1, start, end)]);
    pagerduty.install(&suite.host, TOKEN);
    let config = Slapd::section(&["ldaps://ldap.example.com:6360"])
        + "[host]\nname = 'testhost'\n[[oncall.source]]\nname = 'pd'\nprovider = 'pagerduty'\napi = 'API'\n\
           ca_file = 'pagerduty-ca.pem'\ntoken_file = 'pagerduty-token'\nschedules = ['PDB0001']\n\
           [[oncall.source]]\nname = 'rota'\nprovider = 'rota'\nfile = 'rota.toml'\n\
           [[policy.rule]]\nname = 'db'\nschedules = ['pd/PDB0001', 'rota/primary']\n\
           [[nss.group]]\nname = 'oncall'\ngid = 9100\nrules = ['db']\n";
    suite.host.write("/etc/authkeys/config.toml", config.replace("API", PagerDuty::API), 0o644);
    let start = suite.write_rota(&[]);
    let rotation = format!(
        "[[schedule]]\nid = 'primary'\n[[schedule.rotation]]\npeople = ['alice']\ntime_zone = 'Europe/Berlin'\nstart = {}\nevery = '1w'\n",
        instant(start - HOUR).trim_end_matches('Z')
    );
    suite.host.write("/etc/authkeys/rota.toml", rotation, 0o644);
}

/// What a program wants of the kernel: `r /etc/hosts`, or `network inet stream`.
fn wants(suite: &Suite, user: &str, command: &str) -> BTreeSet<String> {
    let calls = "open,openat,rename,renameat,renameat2,unlink,unlinkat,mkdir,chmod,fchmod,chown,fchown,flock,fcntl,mmap,execve,socket,connect";
    let command_of = format!("setpriv --reuid {user} --regid {user} --init-groups {command}");
    let traced = suite.host.traced(calls, &command_of);
    assert!(traced.output.status.success(), "{command}: {}", text(&traced.output));
    // What came before is not the program yet.
    let started = format!("execve(\"/usr/bin/{}\"", command.split(' ').next().expect("a program"));
    let own = |thread: &String| -> Vec<String> {
        let lines: Vec<&str> = thread.lines().collect();
        let first = lines.iter().position(|line| line.starts_with(&started)).map_or(0, |at| at + 1);
        let done = lines[first..].iter().filter(|line| !line.contains(" = -1 E") && !line.contains("O_PATH"));
        done.flat_map(|line| wanted(line)).collect()
    };
    traced.threads.iter().flat_map(own).collect()
}

/// Ends of paths that are directories, of those that are opened as a file is: to sync what was renamed in them.
const DIRECTORIES: [&str; 6] =
    ["/var/lib/authkeys", "/oncall-cache", "/oncall-collector", "/authkeys-fleet", "/fleet", "/o"];

fn wanted(line: &str) -> Vec<String> {
    let has = |word: &str| line.contains(word);
    let named = || line.split('"').nth(1).expect("a name").to_string();
    // `3</etc/hosts>`, as an argument or as the answer.
    let open_file =
        || line.rsplit_once('<').and_then(|(_, rest)| rest.split_once('>')).map(|(path, _)| path.to_string());
    let file = |rights: &str, path: String| vec![format!("{rights} {path}")];
    match line.split_once('(').map_or(line, |(name, _)| name) {
        "open" | "openat" => {
            let rights = if has("O_RDWR") {
                "rw"
            } else if has("O_WRONLY") {
                "w"
            } else {
                "r"
            };
            let mut path = open_file().expect("a file that was opened");
            if has("O_DIRECTORY") || DIRECTORIES.iter().any(|directory| path.ends_with(directory)) {
                path += "/";
            }
            file(rights, path)
        }
        "rename" | "renameat" | "renameat2" => {
            let to = line.split('"').nth(3).expect("a name").to_string();
            [file("rw", named()), file("w", to)].concat()
        }
        "unlink" | "unlinkat" | "mkdir" | "chmod" | "chown" => file("w", named()),
        "fchmod" | "fchown" => file("w", open_file().expect("an open file")),
        "flock" => file("k", open_file().expect("an open file")),
        "fcntl" if has("F_SETLK") => file("k", open_file().expect("an open file")),
        "mmap" if has("PROT_EXEC") => open_file().map_or(Vec::new(), |path| file("m", path)),
        "execve" => file("x", named()),
        "connect" if has("AF_UNIX") => file("rw", named()),
        "socket" if has("AF_UNIX") => Vec::new(),
        "socket" => {
            let family = if has("AF_INET6") {
                "inet6"
            } else if has("AF_INET,") {
                "inet"
            } else {
                line
            };
            vec![format!("network {family} {}", if has("SOCK_STREAM") { "stream" } else { "dgram" })]
        }
        _ => Vec::new(),
    }
}

/// The rules in a profile, without what it includes.
struct Profile<'a> {
    files: Vec<(Vec<String>, &'a str)>,
    others: Vec<&'a str>,
}

impl<'a> Profile<'a> {
    fn parse(text: &'a str) -> Self {
        let rules = || text.lines().filter_map(|line| line.trim().strip_suffix(','));
        let file = |rule: &'a str| rule.starts_with('/').then(|| rule.rsplit_once(' ')).flatten();
        Self {
            files: rules().filter_map(file).map(|(path, rights)| (alternatives(path), rights)).collect(),
            others: rules().filter(|rule| !rule.starts_with('/')).collect(),
        }
    }

    fn allows(&self, wish: &str) -> bool {
        let Some((rights, path)) = wish.split_once(' ').filter(|(_, path)| path.starts_with('/')) else {
            return self.others.contains(&wish);
        };
        let granted: String = self
            .files
            .iter()
            .filter(|(patterns, _)| {
                patterns.iter().any(|pattern| covers(pattern.as_bytes(), path.as_bytes()))
            })
            .map(|(_, rights)| *rights)
            .collect();
        rights.chars().all(|right| granted.contains(right))
    }
}

/// A pattern without braces for each of its choices.
fn alternatives(pattern: &str) -> Vec<String> {
    let Some((before, (choices, after))) =
        pattern.split_once('{').and_then(|(before, rest)| Some((before, rest.split_once('}')?)))
    else {
        return vec![pattern.to_string()];
    };
    choices.split(',').flat_map(|choice| alternatives(&format!("{before}{choice}{after}"))).collect()
}

/// apparmor.d(5): `*` is anything but a slash, `**` anything; of the sets only `[0-9]` is used.
fn covers(pattern: &[u8], path: &[u8]) -> bool {
    let ends = |most: usize, rest: &[u8]| (0..=most).any(|end| covers(rest, &path[end..]));
    match pattern {
        [] => path.is_empty(),
        [b'*', b'*', rest @ ..] => ends(path.len(), rest),
        [b'*', rest @ ..] => ends(path.iter().position(|byte| *byte == b'/').unwrap_or(path.len()), rest),
        [b'[', b'0', b'-', b'9', b']', rest @ ..] => {
            path.first().is_some_and(u8::is_ascii_digit) && covers(rest, &path[1..])
        }
        [byte, rest @ ..] => path.first() == Some(byte) && covers(rest, &path[1..]),
    }
}

#[test]
fn real_syncs_touch_only_what_their_profiles_list() {
    let suite = Suite::start();
    let slapd = Slapd::start_with_changes(&suite.host);
    slapd.furnish(&suite, |name| format!("{name}@example.com"));
    let pagerduty = PagerDuty::start(&suite.host, TOKEN);
    configure(&suite, &pagerduty);
    for (user, command, profile) in [
        ("authkeys-sync", "authkeys-sync", include_str!("../packaging/apparmor/authkeys-sync")),
        ("oncall-cache", "oncall-cache sync", include_str!("../packaging/apparmor/oncall-cache-sync")),
    ] {
        let profile = Profile::parse(profile);
        // The first makes everything, the next ones replace it.
        let mut all = BTreeSet::new();
        for change in ["true", "true", "touch /etc/authkeys/rota.toml"] {
            suite.host.must(change);
            slapd.set_eligible(if change == "true" { &["alice"] } else { &["alice", "bob"] });
            all.extend(wants(&suite, user, command));
        }
        let published = if user == "oncall-cache" {
            "rw /var/lib/oncall-cache/roster.new"
        } else {
            "rw /var/lib/authkeys/keys.new"
        };
        assert!(all.contains(published) && all.contains("network inet stream"), "{all:#?}");
        let denied: Vec<&String> = all.iter().filter(|wish| !profile.allows(wish)).collect();
        assert!(denied.is_empty(), "{command}: {denied:#?}");
        for wish in [
            "r /etc/shadow",
            "w /etc/authkeys/config.toml",
            "r /root/.ssh/id_ed25519",
            "x /bin/sh",
            "w /etc/authkeys/revoked",
            "r /home/alice/x",
            "network inet raw",
        ] {
            assert!(!profile.allows(wish), "{command}: {wish}");
        }
        // systemd stops it; what it does to sockets of its own.
        for wish in ["signal (receive) peer=unconfined", "unix (create, getattr, getopt, setopt, shutdown)"] {
            assert!(profile.allows(wish), "{command}: {wish}");
        }
    }
}

/// What the profile of `command` does not allow, of what it does at first and after changes.
fn denied(suite: &Suite, user: &str, command: &str, profile: &str, change: &dyn Fn(usize)) -> Vec<String> {
    let profile = Profile::parse(profile);
    let mut all = BTreeSet::new();
    for round in 0..2 {
        change(round);
        all.extend(wants(suite, user, command));
    }
    assert!(
        all.iter().any(|wish| wish.starts_with("rw /var/lib/") || wish.starts_with("w /var/lib/")),
        "{all:#?}"
    );
    all.into_iter().filter(|wish| !profile.allows(wish)).collect()
}

#[test]
fn what_a_fleet_runs_touches_only_what_its_profiles_list() {
    let fleet = Fleet::start(1);
    let host = &fleet.hosts[0];
    let on_call = |round: usize| {
        fleet.on_call(&[(["alice", "bob"][round], now() - HOUR, now() + HOUR)]);
        fleet.collector.sync();
    };
    let publisher = include_str!("../packaging/apparmor/oncall-collector-publish");
    let publish = "oncall-collector publish";
    assert_eq!(denied(&fleet.collector, "oncall-collector", publish, publisher, &on_call), [""; 0]);
    host.pull();
    let changed = |round| {
        on_call(1 - round);
        fleet.publish();
    };
    let profile = include_str!("../packaging/apparmor/oncall-cache-sync");
    assert_eq!(denied(host, "oncall-cache", "oncall-cache pull", profile, &changed), [""; 0]);
    let profile = include_str!("../packaging/apparmor/authkeys-sync");
    let eligible = |round: usize| {
        fleet.collector.write_people(&TEAM[round..]);
        fleet.collector.must_as("authkeys-sync", "authkeys-sync --accept");
        fleet.publish();
        host.must_as("oncall-cache", "oncall-cache pull");
    };
    assert_eq!(denied(host, "authkeys-sync", "authkeys-sync", profile, &eligible), [""; 0]);
    for wish in ["r /etc/shadow", "w /etc/authkeys/fleet-signers", "w /var/lib/authkeys/keys.db", "r /root/x"]
    {
        assert!(!Profile::parse(publisher).allows(wish), "{wish}");
    }
}

#[test]
fn their_compilers_take_the_profiles_and_the_module() {
    let host = Host::start();
    let source = "/run/suite/source/packaging";
    host.must(&format!("apparmor_parser -Q -T -K {source}/apparmor/*"));
    host.must(&format!("checkmodule -M -m -o /run/authkeys.mod {source}/selinux/authkeys.te"));
    host.must(&format!(
        "semodule_package -o /run/authkeys.pp -m /run/authkeys.mod -f {source}/selinux/authkeys.fc"
    ));
    assert!(host.path("/run/authkeys.pp").exists());
}

/// A policy of nothing but what the module requires of one: enough to link it with.
fn base(module: &str) -> String {
    let (_, rest) = module.split_once("require {").expect("a block");
    let (required, _) = rest.split_once("\n}\n").expect("its end");
    let of = |kind: &str| -> Vec<&str> {
        required.lines().map(str::trim).filter(|line| line.split(' ').next() == Some(kind)).collect()
    };
    let (mut names, mut classes) = (String::new(), String::new());
    for class in of("class").into_iter().chain(["class security compute_av;"]) {
        let (name, permissions) = class["class ".len()..].split_once(' ').expect("permissions");
        names += &format!("class {name}\n");
        classes += &format!("class {name} {{ {} }}\n", permissions.trim_matches(['{', '}', ';', ' ']));
    }
    let others = [of("attribute"), of("type"), of("role")].concat().join("\n");
    format!(
        "{names}sid kernel\n{classes}sensitivity s0; dominance {{ s0 }} category c0; level s0:c0;\n\
         mlsconstrain file read ( h1 dom h2 );\n{others}\n\
         typeattribute sshd_t domain; role system_r types sshd_t; allow sshd_t etc_t:file read;\n\
         user system_u roles system_r level s0 range s0 - s0:c0;\nsid kernel system_u:system_r:sshd_t:s0\n"
    )
}

#[test]
fn the_module_allows_what_the_socket_the_chain_and_the_first_decision_after_a_boot_need() {
    let host = Host::start();
    let source = "/run/suite/source/packaging/selinux";
    host.write("/run/base.te", base(include_str!("../packaging/selinux/authkeys.te")), 0o644);
    host.must(&format!(
        "cd /run && checkmodule -M -o base.mod base.te && semodule_package -o base.pp -m base.mod && \
         checkmodule -M -m -o authkeys.mod {source}/authkeys.te && semodule_package -o authkeys.pp -m authkeys.mod && \
         semodule_link -o linked base.pp authkeys.pp && semodule_expand -c 33 linked policy"
    ));
    let allows = |from: &str, to: &str, class: &str, right: &str| {
        !host
            .must(&format!("sesearch -A -s {from} -t {to} -c {class} -p {right} /run/policy"))
            .trim()
            .is_empty()
    };
    for (from, to, class, right, allowed) in [
        ("init_t", "oncall_sync_t", "unix_stream_socket", "listen", true),
        ("oncall_sync_t", "oncall_sync_t", "unix_stream_socket", "accept", true),
        ("oncall_sync_t", "init_t", "unix_stream_socket", "accept", true),
        ("sshd_t", "authkeys_run_t", "dir", "create", true),
        ("sshd_t", "authkeys_run_t", "file", "rename", true),
        ("authkeys_t", "bin_t", "file", "execute_no_trans", true),
        ("authkeys_sync_t", "bin_t", "file", "execute", false),
        ("oncall_sync_t", "bin_t", "file", "execute", false),
        ("authkeys_sync_t", "init_t", "unix_stream_socket", "accept", false),
        ("oncall_sync_t", "authkeys_lib_t", "file", "write", false),
        ("authkeys_t", "oncall_lib_t", "file", "write", false),
        ("sshd_t", "authkeys_etc_t", "file", "write", false),
        ("oncall_sync_t", "oncall_lib_t", "dir", "create", true),
        ("authkeys_sync_t", "oncall_lib_t", "file", "read", true),
        ("authkeys_sync_t", "authkeys_run_t", "dir", "search", true),
        ("authkeys_sync_t", "authkeys_run_t", "file", "read", false),
        ("oncall_collector_t", "authkeys_store_t", "file", "rename", true),
        ("oncall_collector_t", "authkeys_lib_t", "file", "read", true),
        ("oncall_collector_t", "authkeys_lib_t", "file", "write", false),
        ("oncall_collector_t", "oncall_lib_t", "file", "write", false),
        ("oncall_sync_t", "authkeys_store_t", "file", "write", false),
    ] {
        assert_eq!(allows(from, to, class, right), allowed, "{from} {to}:{class} {right}");
    }
    let made = host.must("sesearch -T -s sshd_t -t var_run_t -c dir /run/policy");
    assert_eq!(made, "type_transition sshd_t var_run_t:dir authkeys_run_t authkeys;\n");
    // Distributions have /run and /var/run as each other's second name, either way.
    for run in ["/run", "/var/run"] {
        for (file, label) in [("audit", "authkeys_run_t"), ("granted/group", "oncall_lib_t")] {
            let look = format!("selabel_lookup -b file -f {source}/authkeys.fc -k {run}/authkeys/{file}");
            assert_eq!(host.must(&look), format!("Default context: system_u:object_r:{label}:s0\n"));
        }
    }
}
