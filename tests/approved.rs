//! Signed policies on a host, with the real ssh-keygen: what is not as signed is told, by the doctor, by metrics and by the
//! heartbeat, and nobody is locked out for it.

use harness::suite::{HOUR, Suite};
use harness::text;
use serde_json::Value;

const CONFIG: &str = "/etc/authkeys/config.toml";
const RULES: &str = include_str!("../packaging/monitoring/authkeys.rules.yml");

/// A host with labels and a list of signers; alice is on call, bob is not.
fn suite() -> Suite {
    let suite = Suite::start();
    suite.write_rota(&[("alice", -HOUR, HOUR), ("bob", HOUR, 2 * HOUR)]);
    suite.host.must(&format!("sed -i 's/^name = \"testhost\"/&\\nlabels = [\"role=web\"]/' {CONFIG}"));
    suite.host.must(
        "mkdir /run/metrics && ssh-keygen -q -t ed25519 -N '' -f /root/carol && \
         echo \"carol namespaces=\\\"policy@authkeys\\\" $(cat /root/carol.pub)\" >/etc/authkeys/policy-signers",
    );
    suite.sync();
    suite
}

/// What is said of the policy: the doctor's words, the metrics, and whether the heartbeat says that it is signed.
struct Told {
    doctor: Vec<(String, String)>,
    as_signed: Option<String>,
    number: Option<String>,
    heartbeat: String,
}

fn told(suite: &Suite) -> Told {
    suite.host.must("/usr/libexec/authkeys/write-metrics /run/metrics && oncall-cache heartbeat");
    let doctor: Value =
        serde_json::from_slice(&suite.host.sh("oncall-cache doctor --json").stdout).expect("JSON");
    let doctor = doctor["findings"].as_array().expect("a list").iter().filter_map(|finding| {
        let id = finding["id"].as_str()?;
        let said = format!("{}: {}", finding["severity"].as_str()?, finding["what"].as_str()?);
        id.starts_with("policy-sign").then(|| (id.to_string(), said))
    });
    let metrics = suite.host.read("/run/metrics/oncall-cache.prom");
    let metric =
        |name: &str| metrics.lines().find_map(|line| line.strip_prefix(&format!("oncall_cache_{name} ")));
    // The doctor's canaries write records after it.
    let last =
        suite.host.must("grep '\"phase\":\"heartbeat\"' /var/log/authkeys/decisions.jsonl | tail -n 1");
    let last: Value = serde_json::from_str(&last).expect("a record");
    Told {
        doctor: doctor.collect(),
        as_signed: metric("policy_as_signed").map(String::from),
        number: metric("policy_number").map(String::from),
        heartbeat: format!("{}{}", last["approval"].as_str().unwrap_or_default(), last["policy_number"]),
    }
}

/// It is as it was signed with this number.
fn is_signed(suite: &Suite, number: u64) {
    let told = told(suite);
    assert_eq!(told.doctor, [], "{:?}", told.doctor);
    assert_eq!((told.as_signed.as_deref(), told.number), (Some("1"), Some(number.to_string())));
    assert_eq!(told.heartbeat, format!("signed{number}"));
    nobody_is_locked_out(suite);
}

/// It is not, and all who look say why, with these words; and it makes no difference to who gets in.
fn is_amiss(suite: &Suite, words: &str) {
    let told = told(suite);
    let [(id, said)] = told.doctor.as_slice() else { panic!("{words}: {:?}", told.doctor) };
    assert!(id == "policy-signed" && said.starts_with("open: ") && said.contains(words), "{words}: {said}");
    assert_eq!((told.as_signed.as_deref(), told.number.as_deref()), (Some("0"), Some("0")), "{words}");
    assert_eq!(told.heartbeat, "unsignednull", "{words}");
    assert!(RULES.contains("expr: oncall_cache_policy_as_signed == 0\n"), "the alert is on this metric");
    let shown = suite.run_as("nobody", "oncall-cache policy show");
    assert!(matches!(shown.status.code(), Some(0 | 1)), "{}", text(&shown));
    nobody_is_locked_out(suite);
}

fn nobody_is_locked_out(suite: &Suite) {
    suite.must_as("alice", "sudo -n true");
    let entered = suite.ssh("alice", "root", "id -un");
    assert_eq!(String::from_utf8_lossy(&entered.stdout), "root\n", "{}", text(&entered));
    let refused = suite.run_as("bob", "sudo -n true");
    assert!(!refused.status.success(), "off call, and let in: {}", text(&refused));
}

/// Signs what runs, as an approver does at a desk, by ssh-keygen alone.
fn sign(suite: &Suite, number: u64) {
    suite.host.must(&format!(
        "cp {CONFIG} /root/config.toml && cd /root && \
         oncall-cache policy show --config config.toml --number {number} >policy && \
         ssh-keygen -q -Y sign -n policy@authkeys -f carol <policy >armour && \
         cat policy armour >/etc/authkeys/policy.sig"
    ));
}

#[test]
fn a109_a_policy_that_is_not_as_signed_is_told_and_nobody_is_locked_out() {
    let suite = suite();
    is_amiss(&suite, "the policy is not signed: /etc/authkeys/policy.sig: no such file");

    sign(&suite, 6);
    suite.host.must("oncall-cache watch --again-after 1");
    is_signed(&suite, 6);
    suite.host.must("cp /etc/authkeys/policy.sig /root/6.sig");

    // By our own verb, and a newer number.
    suite.host.must(&format!(
        "oncall-cache policy sign --config {CONFIG} --number 7 -i /root/carol --yes >/root/7.sig && \
         cp /root/7.sig /etc/authkeys/policy.sig && oncall-cache watch --again-after 1"
    ));
    is_signed(&suite, 7);
    let seen =
        suite.host.must("stat -c %U:%a /var/log/authkeys/policy-seen && cat /var/log/authkeys/policy-seen");
    assert!(seen.starts_with("root:600\n7 "), "{seen}");

    // An older one that is brought back.
    suite.host.must("cp /root/6.sig /etc/authkeys/policy.sig");
    is_amiss(&suite, "the policy is number 6, and number 7 was in force here before");
    suite.host.must("oncall-cache watch --again-after 1");
    is_amiss(&suite, "the policy is number 6, and number 7 was in force here before");
    suite.host.must("cp /root/7.sig /etc/authkeys/policy.sig");
    is_signed(&suite, 7);

    // Its line of the signers is removed.
    suite.host.must(
        "cp /etc/authkeys/policy-signers /root/signers && echo '# nobody' >/etc/authkeys/policy-signers",
    );
    is_amiss(&suite, "which no line of the signers lists");
    suite.host.must("cp /root/signers /etc/authkeys/policy-signers");
    is_signed(&suite, 7);

    // A link, which a command would follow, is to be removed.
    suite.host.must("cd /etc/authkeys && rm policy.sig && ln -s /root/7.sig policy.sig");
    let linked = text(&suite.host.sh("oncall-cache doctor"));
    assert!(
        linked.contains("remove it and bring the right file again")
            && !linked.contains("# chown root:root /etc/authkeys/policy.sig"),
        "{linked}"
    );
    suite.host.must("cd /etc/authkeys && rm policy.sig && cp /root/7.sig policy.sig");
    // Whoever is not root does not know what was in force; a mark that is broken is told, and stays.
    let shown = text(&suite.run_as("nobody", "oncall-cache policy show"));
    assert!(
        shown.contains("# signed: number 7 of ") && shown.contains("as far as this user may know"),
        "{shown}"
    );
    let seen = "/var/log/authkeys/policy-seen";
    suite
        .host
        .must(&format!("cp {seen} /root/seen && echo nine >{seen} && oncall-cache watch --again-after 1"));
    assert_eq!(suite.host.must(&format!("cat {seen}")), "nine\n");
    let broken = told(&suite);
    assert!(
        broken.doctor.len() == 1 && broken.doctor[0].1.starts_with("warning: it cannot be told"),
        "{:?}",
        broken.doctor
    );
    suite.host.must(&format!("cp /root/seen {seen}"));
    is_signed(&suite, 7);

    // A name that decides which rules there are, a label, and a setting, that nobody signed.
    suite.host.must(&format!("sed -i 's/\"testhost\"/\"web1\"/' {CONFIG}"));
    is_amiss(&suite, "web1 is the name that config.toml gives this host");
    suite.host.must(&format!("cp /root/config.toml {CONFIG}"));
    suite.host.must(&format!("sed -i 's/role=web/role=db/' {CONFIG}"));
    is_amiss(&suite, "gives itself the labels role=db, and it was signed with the labels role=web");
    suite.host.must(&format!(
        "sed -i 's/role=db/role=web/' {CONFIG} && sed -i 's/exempt_accounts = \\[/&\"mallory\", /' {CONFIG}"
    ));
    is_amiss(&suite, "+ policy.exempt_accounts = [\"mallory\"");
    suite.host.must(&format!("cp /root/config.toml {CONFIG}"));
    is_signed(&suite, 7);
}

#[test]
fn a109_files_that_are_none_are_told_and_crash_nothing() {
    let suite = suite();
    sign(&suite, 1);
    is_signed(&suite, 1);
    let signature = "/etc/authkeys/policy.sig";
    for (breaks, words) in [
        ("head -c 4096 /dev/urandom", "no signature after the text"),
        ("head -c 2000000 /dev/zero", "larger than 1048576 bytes"),
        ("sed '/BEGIN/,$d' /root/policy", "no signature after the text"),
        ("sed 's/^number = 1$/number = 9/' /root/whole", "not a signature of this text by the key of carol"),
        ("cat /root/whole; echo more", "something follows a signature's footer"),
    ] {
        suite.host.must(&format!(
            "cp {signature} /root/whole; {{ {breaks}; }} >/root/broken; cp /root/broken {signature}"
        ));
        is_amiss(&suite, words);
        suite.host.must(&format!("cp /root/whole {signature}"));
    }
    suite.host.must(&format!("chmod 666 {signature}"));
    let broken = told(&suite).doctor;
    assert!(broken.len() == 1 && broken[0].1.contains(signature), "{broken:?}");
    let fix = suite.host.sh("oncall-cache doctor");
    assert!(
        text(&fix).contains(&format!("# chown root:root {signature} && chmod 644 {signature}")),
        "{}",
        text(&fix)
    );
    suite.host.must(&format!("chown root:root {signature} && chmod 644 {signature}"));
    is_signed(&suite, 1);

    // A line that counts for nobody; and no list at all, where there was one.
    suite.host.must(
        "echo 'dave ssh-ed25519 AAAA' >>/etc/authkeys/policy-signers && oncall-cache watch --again-after 1",
    );
    let told_of_line = told(&suite);
    assert_eq!(told_of_line.doctor.len(), 1, "{:?}", told_of_line.doctor);
    assert!(
        told_of_line.doctor[0].0 == "policy-signers" && told_of_line.doctor[0].1.starts_with("warning: ")
    );
    assert_eq!(told_of_line.as_signed.as_deref(), Some("1"));
    suite.host.must("rm /etc/authkeys/policy-signers");
    let told_of_none = told(&suite);
    assert_eq!(told_of_none.doctor.len(), 1, "{:?}", told_of_none.doctor);
    assert!(told_of_none.doctor[0].1.starts_with("warning: policies were signed here, up to number 1,"));
    assert_eq!((told_of_none.as_signed, told_of_none.number), (None, None));
    nobody_is_locked_out(&suite);
}

#[test]
fn what_is_shown_is_what_is_signed_and_is_the_same_however_it_is_written() {
    let suite = suite();
    let json = |words: &str| -> Value {
        let output = suite.host.sh(&format!("oncall-cache policy show --json {words}"));
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", text(&output)))
    };
    let shown = json("");
    assert_eq!((&shown["as_signed"], &shown["number"]), (&false.into(), &Value::Null), "{shown}");
    let text_of_7 = suite.host.must("oncall-cache policy show --number 7 --issued 2026-11-30T12:00:00Z");
    let head = "form = 1\nnumber = 7\nissued = \"2026-11-30T12:00:00Z\"\nhost.testhost = [\"role=web\"]\n\n";
    let lines: Vec<&str> =
        shown["lines"].as_array().expect("lines").iter().filter_map(Value::as_str).collect();
    assert_eq!(text_of_7, format!("{head}{}\n", lines.join("\n")));
    let digest = suite.host.must("oncall-cache policy show --number 7 | sed '1,/^$/d' | sha256sum");
    assert_eq!(shown["digest"], digest.split(' ').next().expect("a digest"));
    // Comments, the order of sections, help and labels are not the policy.
    suite.host.must(&format!("sed -i 's/role=web/role=db/; s/^\\[policy\\]/&\\nhelp = \"x\" # y/' {CONFIG}"));
    assert_eq!(json("")["digest"], shown["digest"]);
    // An inventory: its hosts are in the head, as they are written there.
    suite.host.write(
        "/root/hosts.toml",
        "[[host]]\nname = 'web*'\nlabels = ['b', 'a']\n[[host]]\nname = 'db1'\n",
        0o644,
    );
    let text_of_8 = suite.host.must("oncall-cache policy show --number 8 --inventory /root/hosts.toml");
    assert!(text_of_8.contains("\nhost.db1 = []\nhost.\"web*\" = [\"a\", \"b\"]\n\n"), "{text_of_8}");
    for (words, code) in [
        ("--number 0", 64),
        ("--number 7 --issued yesterday", 64),
        ("--number 7 --inventory /nowhere", 2),
        ("--config /nowhere", 2),
    ] {
        let output = suite.host.sh(&format!("oncall-cache policy show {words}"));
        assert_eq!(output.status.code(), Some(code), "{words}: {}", text(&output));
    }
}
