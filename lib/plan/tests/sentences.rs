//! What a plan says of each way to loosen a policy, as golden text: REWRITE_GOLDEN=1 writes it anew. Read it then as
//! somebody who was not there: who gains root, where, and until when?

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

mod site;

use std::fmt::Write;
use std::path::Path;

use plan::{Effect, Question};
use policy::{Span, Window};
use site::{INVENTORY, POLICY, config, fortnight, inventory, plan, rota};

/// A change: what it is, what it replaces, and by what.
const LOOSENINGS: &[(&str, &str, &str)] = &[
    ("the policy only observes", "mode = \"enforce\"", "mode = \"observe\""),
    (
        "sudo is not asked any more",
        "[policy.end]",
        "pam_services = [\"sshd\", \"login\", \"su\", \"su-l\"]\n[policy.end]",
    ),
    ("an account is guarded no longer", "[\"root\", \"oracle\"]", "[\"root\"]"),
    ("a group is guarded no longer", "[policy.end]", "privileged_groups = [\"sudo\"]\n[policy.end]"),
    (
        "one more authority of certificates",
        "exempt_accounts = [\"breakglass\"]",
        "exempt_accounts = [\"breakglass\"]\ncertificate_authorities = [\"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIK/OeWvFcMsjGk2gjZ0vGchZrrb/gHMSUZZ3rHYb/3X6 ca\"]",
    ),
    ("one more account is exempt", "[\"breakglass\"]", "[\"breakglass\", \"dora\"]"),
    (
        "one more console is exempt",
        "[policy.end]",
        "exempt_ttys = [\"tty1\", \"ttyS0\", \"tty2\"]\n[policy.end]",
    ),
    (
        "a program gets root by sudo",
        "[[policy.grant]]",
        "[[policy.automation]]\naccount = 'agent'\nservices = ['sudo']\nowner = 'platform'\nreason = 'x'\nuntil = 2026-11-10\n[[policy.grant]]",
    ),
    ("a program comes from more places", "from = [\"10.0.0.1\"]", "from = [\"10.0.0.0/8\"]"),
    ("a program stays for longer", "until = 2027-06-30", "until = 2028-06-30"),
    (
        "one more account is shared",
        "[[policy.automation]]",
        "[[policy.shared_account]]\naccount = \"postgres\"\n[[policy.automation]]",
    ),
    (
        "a shared account is none any more",
        "[[policy.shared_account]]\naccount = \"deploy\"\npeople = [\"anna\", \"bob\"]\n",
        "",
    ),
    (
        "a shared account is for more people",
        "people = [\"anna\", \"bob\"]",
        "people = [\"anna\", \"bob\", \"carla\"]",
    ),
    ("a shared account is for everybody on call", "people = [\"anna\", \"bob\"]", "people = \"on-call\""),
    (
        "another program prints keys",
        "[oncall]",
        "[[keys.chain]]\nname = 'x'\ncommand = ['/opt/x']\naccounts = ['*']\n[oncall]",
    ),
    ("another program prints more keys", "[\"ec2-user\"]", "[\"*\"]"),
    (
        "one more group of those on call",
        "rules = [\"db\"]\n",
        "rules = [\"db\"]\n[[nss.group]]\nname = 'web'\ngid = 9101\nrules = ['web']\n",
    ),
    ("a group has more members", "rules = [\"db\"]\n", "rules = [\"*\"]\n"),
    ("one more approver", "[\"anna\", \"carla\"]", "[\"anna\", \"carla\", \"dora\"]"),
    ("one approver is enough", "quorum = 2", "quorum = 1"),
    ("grants last longer", "max = \"2h\"", "max = \"3h\""),
    (
        "somebody may let themselves in",
        "[grant]",
        "[[policy.grant]]\nname = 'glass'\naccounts = ['root']\napprovers = ['anna']\nquorum = 0\npeople = ['dora']\nmax = '30m'\n[grant]",
    ),
    ("a grant by an older copy", "id = \"example\"", "id = \"example\"\ncopy_age = \"60d\""),
    (
        "a file takes no shifts away any more",
        "[[policy.rego]]\nfile = 'narrow.rego'\nquery = 'data.authkeys.keep'\nhosts = ['db*']\non_error = 'drop'\n",
        "",
    ),
    ("a file is asked on fewer hosts", "['db*']\non_error", "['db1']\non_error"),
    ("a file that fails takes nothing away", "on_error = 'drop'", "on_error = 'keep'"),
    ("another rule of a file is asked", "data.authkeys.keep", "data.authkeys.all"),
    ("another base", "ou=people,", "ou=all,"),
    ("another filter", "(objectClass=ldapPublicKey)", "(objectClass=*)"),
    ("another eligible group", "cn=root-eligible", "cn=everybody"),
    ("groups in the eligible group", "[keys]", "nested_groups = true\n[keys]"),
    ("people who left come back", "\"former\", \"gone\"", "\"former\""),
    ("a user of the provider is somebody else", "PUANNA = \"anna\"", "PUANNA = \"dora\""),
    ("deeper levels", "claim = true", "claim = true\nmax_escalation_level = 2"),
    ("nobody says why", "claim = true", "claim = false"),
    ("an old rota counts for longer", "max_age = \"20h\"", "max_age = \"48h\""),
    ("what is open stays open", "action = \"kill\"", "action = \"list\""),
    (
        "one more rule",
        "[[policy.shared_account]]\naccount = \"root\"",
        "[[policy.rule]]\nname = \"all\"\nschedules = [\"pd/WEB\"]\n[[policy.shared_account]]\naccount = \"root\"",
    ),
    ("a rule for more hosts", "hosts = [\"web*\"]", "hosts = [\"web*\", \"label:service=db\"]"),
    ("a rule counts more schedules", "schedules = [\"pd/WEB\"]", "schedules = [\"pd/*\"]"),
    ("a rule takes another schedule", "schedules = [\"pd/DB\"]", "schedules = [\"pd/WEB\"]"),
    ("a rule is gone", "[[policy.rule]]\nname = \"web\"\nhosts = [\"web*\"]\nschedules = [\"pd/WEB\"]\n", ""),
    (
        "a rule is moved to other hosts",
        "hosts = [\"label:service=db\"]\nschedules",
        "hosts = [\"web*\"]\nschedules",
    ),
    (
        "keys are not restricted",
        "[[keys.rule]]\nshared = true\ntypes = [\"ssh-ed25519\"]\nfrom = [\"10.0.0.0/8\"]\n",
        "",
    ),
    ("keys of any type", "types = [\"ssh-ed25519\"]\n", ""),
    ("keys from anywhere", "from = [\"10.0.0.0/8\"]\n", ""),
    ("accounts of another domain", "[[nss.group]]", "[names]\nstrip = [\"@example.com\"]\n[[nss.group]]"),
    ("one more schedule is read", "[\"DB\", \"WEB\"]", "[\"DB\", \"WEB\", \"EXTRA\"]"),
    (
        "everybody may be on call at once",
        "[oncall.source.people]",
        "max_oncall = 200\n[oncall.source.people]",
    ),
];

/// The directory of the policy.
const DIRECTORY: &str = "urls = [\"ldaps://ldap1.example.com\"]\nbase = \"ou=people,dc=example,dc=com\"\nfilter = \"(objectClass=ldapPublicKey)\"\neligible_group = \"cn=root-eligible,ou=groups,dc=example,dc=com\"\ndisabled = { employeeType = [\"former\", \"gone\"] }\n";

/// Its group.
const ELIGIBLE: &str = "eligible_group = \"cn=root-eligible,ou=groups,dc=example,dc=com\"\n";

/// Where settings of the rota are, and the first of a source.
const ONCALL: &str = "max_age = \"20h\"\n[[oncall.source]]";

/// A change of what the policy would be with another text in one place: what it is, that place, and the text before the
/// change and after it.
const TURNS: &[(&str, &str, &str, &str)] = &[
    (
        "nobody signs, then one approver",
        "[grant]",
        "[[policy.grant]]\nname = 'glass'\naccounts = ['root']\napprovers = ['anna', 'carla']\nquorum = 0\npeople = ['dora']\nmax = '30m'\n[grant]",
        "[[policy.grant]]\nname = 'glass'\naccounts = ['root']\napprovers = ['anna', 'carla']\nquorum = 1\nmax = '30m'\n[grant]",
    ),
    (
        "two approvers, then nobody signs",
        "[grant]",
        "[[policy.grant]]\nname = 'glass'\naccounts = ['root']\napprovers = ['anna', 'carla']\nquorum = 2\nmax = '30m'\n[grant]",
        "[[policy.grant]]\nname = 'glass'\naccounts = ['root']\napprovers = ['anna', 'carla']\nquorum = 0\npeople = ['dora']\nalways = true\nmax = '30m'\n[grant]",
    ),
    (
        "a schedule's own limits are gone",
        "[policy]\nmode",
        "[oncall.source.schedule.DB]\nmax_oncall = 2\nmax_change = '50%'\nmax_age = '4h'\n[policy]\nmode",
        "[policy]\nmode",
    ),
    (
        "a schedule has a limit of its own",
        "[policy]\nmode",
        "[policy]\nmode",
        "[oncall.source.schedule.DB]\nmax_oncall = 2\n[policy]\nmode",
    ),
    (
        "a schedule with a limit of its own is read no more",
        "schedules = [\"DB\", \"WEB\"]\nmax_escalation_level = 2\n[oncall.source.people]",
        "schedules = [\"DB\", \"WEB\", \"OLD\"]\nmax_escalation_level = 2\n[oncall.source.schedule.OLD]\nmax_oncall = 2\n[oncall.source.people]",
        "schedules = [\"DB\", \"WEB\"]\nmax_escalation_level = 2\n[oncall.source.people]",
    ),
    (
        "every schedule is read",
        "schedules = [\"DB\", \"WEB\"]",
        "schedules = [\"DB\", \"WEB\"]",
        "schedules = [\"*\"]",
    ),
    (
        "no longer every schedule is read",
        "schedules = [\"DB\", \"WEB\"]",
        "schedules = [\"*\"]",
        "schedules = [\"DB\", \"WEB\"]",
    ),
    ("the key of the source is another one", "pagerduty-token", "pagerduty-token", "another-token"),
    ("the policy enforces", "mode = \"enforce\"", "mode = \"observe\"", "mode = \"enforce\""),
    (
        "a program is listed no longer, and nothing guards its account",
        "[[policy.automation]]\naccount = \"backup\"\nfingerprints = [\"SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"]\nfrom = [\"10.0.0.1\"]\nowner = \"platform\"\nreason = \"backups\"\nuntil = 2027-06-30\n",
        "[[policy.automation]]\naccount = \"backup\"\nfingerprints = [\"SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"]\nfrom = [\"10.0.0.1\"]\nowner = \"platform\"\nreason = \"backups\"\nuntil = 2027-06-30\n",
        "",
    ),
    (
        "a program of a guarded account is listed no longer",
        "[[policy.grant]]",
        "[[policy.automation]]\naccount = 'oracle'\nfingerprints = ['SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA']\nfrom = ['10.0.0.1']\nowner = 'platform'\nreason = 'x'\nuntil = 2027-06-30\n[[policy.grant]]",
        "[[policy.grant]]",
    ),
    (
        "one of two programs of an account is listed no longer",
        "[[policy.grant]]",
        "[[policy.automation]]\naccount = 'agent'\nservices = ['sudo']\nowner = 'one'\nreason = 'x'\nuntil = 2027-06-30\n[[policy.automation]]\naccount = 'agent'\nservices = ['su']\nowner = 'two'\nreason = 'x'\nuntil = 2027-06-30\n[[policy.grant]]",
        "[[policy.automation]]\naccount = 'agent'\nservices = ['su']\nowner = 'two'\nreason = 'x'\nuntil = 2027-06-30\n[[policy.grant]]",
    ),
    (
        "a program whose day is over",
        "[[policy.grant]]",
        "[[policy.grant]]",
        "[[policy.automation]]\naccount = 'agent'\nservices = ['sudo']\nowner = 'platform'\nreason = 'x'\nuntil = 2026-10-10\n[[policy.grant]]",
    ),
    (
        "grants on every host",
        "hosts = [\"label:service=db\"]\naccounts",
        "hosts = [\"label:service=db\"]\naccounts",
        "hosts = [\"*\"]\naccounts",
    ),
    (
        "the first rule for grants",
        "[[policy.grant]]\nname = \"night\"\nhosts = [\"label:service=db\"]\naccounts = [\"root\"]\napprovers = [\"anna\", \"carla\"]\nquorum = 2\nmax = \"2h\"\n",
        "",
        "[[policy.grant]]\nname = \"night\"\nhosts = [\"label:service=db\"]\naccounts = [\"root\"]\napprovers = [\"anna\", \"carla\"]\nquorum = 2\nmax = \"2h\"\n",
    ),
    (
        "two approvers, then nobody signs, in an outage",
        "[grant]",
        "[[policy.grant]]\nname = 'glass'\naccounts = ['root']\napprovers = ['anna', 'carla']\nquorum = 2\nmax = '30m'\n[grant]",
        "[[policy.grant]]\nname = 'glass'\naccounts = ['root']\napprovers = ['anna', 'carla']\nquorum = 0\npeople = ['dora']\nmax = '30m'\n[grant]",
    ),
    (
        "a program of sudo, and the places that nobody asks about",
        "[[policy.grant]]",
        "[[policy.automation]]\naccount = 'agent'\nservices = ['sudo']\nfrom = ['10.0.0.5']\nowner = 'platform'\nreason = 'x'\nuntil = 2027-06-30\n[[policy.grant]]",
        "[[policy.automation]]\naccount = 'agent'\nservices = ['sudo']\nowner = 'platform'\nreason = 'x'\nuntil = 2027-06-30\n[[policy.grant]]",
    ),
    (
        "a program of sudo comes by ssh too",
        "[[policy.grant]]",
        "[[policy.automation]]\naccount = 'agent'\nservices = ['sudo']\nowner = 'platform'\nreason = 'x'\nuntil = 2027-06-30\n[[policy.grant]]",
        "[[policy.automation]]\naccount = 'agent'\nservices = ['sshd', 'sudo']\nfingerprints = ['SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA']\nfrom = ['10.0.0.5']\nowner = 'platform'\nreason = 'x'\nuntil = 2027-06-30\n[[policy.grant]]",
    ),
    ("the eligible group is gone", ELIGIBLE, ELIGIBLE, ""),
    ("there is an eligible group", ELIGIBLE, "", ELIGIBLE),
    (
        "shifts are known further ahead",
        ONCALL,
        ONCALL,
        "max_age = \"20h\"\nlookahead = \"7d\"\n[[oncall.source]]",
    ),
    (
        "shifts are known further ahead, and an edit has a limit",
        ONCALL,
        "max_age = \"20h\"\n[[oncall.source]]\nmax_change = '50%'",
        "max_age = \"20h\"\nlookahead = \"7d\"\n[[oncall.source]]\nmax_change = '50%'",
    ),
    (
        "shifts are known less far ahead, and an edit has a limit",
        ONCALL,
        "max_age = \"20h\"\n[[oncall.source]]\nmax_change = '50%'",
        "max_age = \"20h\"\nlookahead = \"1d\"\n[[oncall.source]]\nmax_change = '50%'",
    ),
    (
        "a rule waits for no incident any more",
        "schedules = [\"pd/WEB\"]",
        "schedules = [\"pd/WEB\"]\nincident = { source = \"pd\", services = [\"PSVC1\"] }",
        "schedules = [\"pd/WEB\"]",
    ),
    (
        "a rule waits for no incident while none is known",
        "schedules = [\"pd/DB\"]",
        "schedules = [\"pd/DB\"]\nincident = { source = \"pd\", services = [\"PSVC1\"], on_unknown = \"refuse\" }",
        "schedules = [\"pd/DB\"]\nincident = { source = \"pd\", services = [\"PSVC1\"] }",
    ),
    ("people come from a file", DIRECTORY, DIRECTORY, "file = \"people.toml\"\n"),
    ("root is never refused", "[\"breakglass\"]", "[\"breakglass\"]", "[\"breakglass\", \"root\"]"),
    (
        "names that would move a terminal's cursor",
        "name = \"web\"\nhosts",
        "name = \"web\"\nhosts",
        "name = \"we\\u001b[2Jb\\nloses root:\"\nhosts",
    ),
];

/// The plan without what no plan knows.
fn said(plan: &plan::Plan) -> String {
    let text = plan.to_string();
    text.split_once("not known:").unwrap().0.to_string()
}

fn mutated((name, from, to): &(&str, &str, &str)) -> String {
    assert!(POLICY.contains(from), "{name}: nothing to replace");
    POLICY.replacen(from, to, 1)
}

#[test]
fn a104_each_loosening_is_said_in_words() {
    let mut golden = String::new();
    for loosening in LOOSENINGS {
        let plan = plan(POLICY, &mutated(loosening));
        assert!(!plan.is_unchanged(), "{loosening:?}");
        writeln!(golden, "## {}\n{}", loosening.0, said(&plan)).unwrap();
        // Backwards it is a change as well, and never one to the same.
        let back = Question {
            old: &config(&mutated(loosening)),
            new: &config(POLICY),
            inventory: None,
            rota: None,
            window: fortnight(),
        };
        assert!(!back.answer().is_unchanged(), "{loosening:?}");
    }
    compare("loosenings.txt", &golden);
}

#[test]
fn a104_each_turn_is_said_rightly() {
    let mut golden = String::new();
    for (name, place, old, new) in TURNS {
        let [old, new] = [old, new].map(|text| mutated(&(name, place, text)));
        writeln!(golden, "## {name}\n{}", said(&plan(&old, &new))).unwrap();
    }
    compare("turns.txt", &golden);
    assert!(!golden.contains(['\u{1b}', '\r']), "{golden:?}");
}

/// Is `golden` what is kept?
fn compare(name: &str, golden: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    #[expect(clippy::disallowed_methods, reason = "of a test, not of a program")]
    if std::env::var_os("REWRITE_GOLDEN").is_some() {
        std::fs::write(&path, golden).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    for (one, other) in kept.split("## ").zip(golden.split("## ")) {
        assert_eq!(one, other, "REWRITE_GOLDEN=1 writes it anew");
    }
    assert_eq!(kept, golden);
}

#[test]
fn a104_each_loosening_is_called_one_or_gives_somebody_something() {
    let tightening = ["a rule is gone"];
    for loosening in LOOSENINGS.iter().filter(|(name, ..)| !tightening.contains(name)) {
        let plan = plan(POLICY, &mutated(loosening));
        assert!(plan.loosened() > 0, "{}: {plan}", loosening.0);
    }
}

#[test]
fn a104_the_unchanged_policy_says_only_what_it_does_not_know() {
    // With its defaults written down, and in another order, it is the same.
    let same = POLICY
        .replace("[\"root\", \"oracle\"]", "[\"oracle\", \"root\"]\nexempt_ttys = [\"tty1\", \"ttyS0\"]");
    for new in [POLICY, &same] {
        let plan = plan(POLICY, new);
        let said = "no setting that decides who is admitted differs\nnot known:\n  who is revoked";
        assert!(plan.to_string().starts_with(said), "{plan}");
        assert_eq!((plan.loosened(), plan.counts.gained, plan.cannot_tell.len()), (0, 0, 0), "{plan}");
    }
    let help = plan(POLICY, &POLICY.replace("[policy.end]", "help = \"ask\"\n[policy.end]"));
    assert!(help.is_unchanged() && help.to_string().starts_with("neutral [policy] help: "), "{help}");
}

#[test]
fn a104_what_a_change_means_is_decided_by_all_that_is_known() {
    for (from, to, says) in [
        (
            "[[policy.shared_account]]\naccount = \"root\"\n",
            "",
            "neutral [[policy.shared_account]] `root` is gone: logins to `root` are checked as before, because it has uid 0",
        ),
        (
            "[\"root\", \"oracle\"]",
            "[\"oracle\"]",
            "neutral [policy] guarded_accounts: removed `root`: logins to `root` are checked as before, because it has uid 0",
        ),
        (
            "hosts = [\"web*\"]",
            "hosts = [\"web*\", \"web1\"]",
            "neutral [[policy.rule]] `web` hosts: added `web1`: the rule covered it before",
        ),
        (
            "hosts = [\"web*\"]",
            "hosts = [\"we*\"]",
            "may loosen [[policy.rule]] `web` hosts: added `we*`: it covers no more hosts of the inventory; hosts that are not in it may be covered",
        ),
        (
            "hosts = [\"label:service=db\"]\nschedules",
            "hosts = [\"db1\"]\nschedules",
            "tightens [[policy.rule]] `db` hosts: removed `label:service=db`: people on call by it are no longer admitted on some hosts (db2)",
        ),
        (
            "schedules = [\"pd/WEB\"]",
            "schedules = [\"pd/WEB\"]\nmax_escalation_level = 2",
            "max_escalation_level: 1 → 2: people on level 2 are admitted too; the rota has none in this time",
        ),
        (
            "schedules = [\"pd/WEB\"]",
            "schedules = [\"pd/WEB\"]\nclaim = true",
            "tightens [[policy.rule]] `web` claim: false → true: people on call must say why before they enter",
        ),
        (
            "schedules = [\"pd/WEB\"]",
            "schedules = [\"pd/WEB\"]\nincident = { source = \"pd\", services = [\"PSVC1\"] }",
            "tightens [[policy.rule.incident]] `web` is new (known_for = \"15m\", linger = \"30m\", max_open = \"1d\", on_unknown = \"on-call\", services = [\"PSVC1\"], source = \"pd\"): people on call by the rule are admitted during an incident alone",
        ),
        (
            "max_age = \"20h\"",
            "max_age = \"20h\"\nlookahead = \"1d\"",
            "neutral [oncall] lookahead: 3d → 1d: while the provider is down, `max_age` says how long the rota counts",
        ),
        (
            "mode = \"enforce\"",
            "mode = \"observe\"",
            "on all 3 hosts, from the roll-out on, PAM refuses nobody",
        ),
    ] {
        let plan = plan(POLICY, &mutated(&("", from, to)));
        assert!(said(&plan).contains(says), "{says}\n{plan}");
    }
    // What opens when nothing else guards the account, and what is left where something does.
    let shared = "[[policy.shared_account]]\naccount = \"deploy\"\npeople = [\"anna\", \"bob\"]\n";
    let named = POLICY.replace("[\"root\", \"oracle\"]", "[\"root\", \"oracle\", \"deploy\"]");
    let guarded = plan(&named, &named.replace(shared, ""));
    assert!(said(&guarded).starts_with("tightens [[policy.shared_account]] `deploy` is gone: "), "{guarded}");
    assert!(said(&guarded).contains("because guarded_accounts names it"), "{guarded}");
    assert!(guarded.opened.is_empty(), "{guarded}");
}

#[test]
fn a104_whoever_is_on_call_loses_root_with_the_eligible_group_though_the_rota_names_nobody() {
    let mut empty = rota();
    empty.roster.shifts = Default::default();
    let (old, new) = (config(POLICY), config(&POLICY.replace(ELIGIBLE, "")));
    let (hosts, window) = (inventory(INVENTORY), fortnight());
    let question = Question { old: &old, new: &new, inventory: Some(&hosts), rota: Some(&empty), window };
    let plan = question.answer();
    assert_eq!(plan.endless_losses(), ["nobody is eligible any more (`eligible_group`)"]);
    assert!(plan.moves.is_empty() && !said(&plan).contains("take none away"), "{plan}");
}

#[test]
fn a107_what_a_rule_asks_of_incidents_is_said_in_words() {
    let waits = |incident: &str| {
        POLICY.replace("schedules = [\"pd/WEB\"]\n", &format!("schedules = [\"pd/WEB\"]\n{incident}\n"))
    };
    let of = |more: &str| waits(&format!("incident = {{ source = \"pd\", services = [\"PSVC1\"]{more} }}"));
    let usual = of("");
    for (new, says) in [
        (
            POLICY.to_string(),
            "loosens [[policy.rule.incident]] `web` is gone: people on call by the rule are admitted without an incident too",
        ),
        (
            of(", linger = \"1h\""),
            "loosens [[policy.rule.incident]] `web` linger: 30m → 1h: people on call are admitted for longer after an incident",
        ),
        (
            of(", max_open = \"2h\""),
            "tightens [[policy.rule.incident]] `web` max_open: 1d → 2h: an incident that nobody closes lets people in for less long",
        ),
        (
            of(", on_unknown = \"refuse\""),
            "tightens [[policy.rule.incident]] `web` on_unknown: on-call → refuse: people on call are refused while it is not known",
        ),
        (of(", known_for = \"1h\""), "may loosen [[policy.rule.incident]] `web` known_for: 15m → 1h"),
        (
            usual.replace("[\"PSVC1\"]", "[\"PSVC1\", \"PSVC2\"]"),
            "loosens [[policy.rule.incident]] `web` services: added `PSVC2`: incidents of more services",
        ),
    ] {
        let plan = plan(&usual, &new);
        assert!(said(&plan).contains(says), "{says}\n{plan}");
        // Whom a rule can admit is told as if there were one.
        assert!(plan.moves.is_empty() && plan.to_string().contains("which incidents will be open"), "{plan}");
    }
    let gone =
        plan(&usual, &usual.replace("[[policy.rule]]\nname = \"web\"", "[[policy.rule]]\nname = \"site\""));
    assert!(!said(&gone).contains("policy.rule.incident"), "it goes with its rule: {gone}");
}

#[test]
fn a104_what_is_not_known_is_never_no_change() {
    let (old, new) = (config(POLICY), config(&POLICY.replace("claim = true", "claim = false")));
    let (hosts, now) = (inventory(INVENTORY), rota());
    let ask = |inventory, rota, window| {
        Question { old: &old, new: &new, inventory, rota, window }.answer().cannot_tell.join("\n")
    };
    assert_eq!(ask(Some(&hosts), Some(&now), fortnight()), "");
    assert!(ask(None, Some(&now), fortnight()).contains("give an inventory"));
    assert!(ask(Some(&hosts), None, fortnight()).contains("no rota was given"));
    // The copy of the rota was read 20 hours before, and is too old by then.
    let start = fortnight().start().plus(Span::hours(20));
    let later = Window::new(start, start.plus(Span::hours(24))).unwrap();
    let told = ask(Some(&hosts), Some(&now), later);
    assert!(told.contains("who is on call by pd/DB: this copy of the rota is too old; it was read at 2026-11-02T00:00:00Z, and `max_age` is 20h"), "{told}");
    // It says nothing of the week before.
    let start = fortnight().start().minus(Span::hours(24 * 7));
    let before = Window::new(start, fortnight().end()).unwrap();
    assert!(ask(Some(&hosts), Some(&now), before).contains("does not tell what was before"));
    // The copy ends before the plan does: what follows is not known, and is not nobody.
    let mut short = rota();
    short.roster.schedules[0].horizon = fortnight().start().plus(Span::hours(72));
    let told = ask(Some(&hosts), Some(&short), fortnight());
    assert_eq!(
        told,
        "who is on call by pd/DB after Thu 5 Nov 00:00 UTC: what was given ends there; plan for less (--for), or give the rota as a file"
    );
    let three_days = Window::new(fortnight().start(), fortnight().start().plus(Span::hours(72))).unwrap();
    assert_eq!(ask(Some(&hosts), Some(&short), three_days), "");
    let question =
        Question { old: &old, new: &new, inventory: Some(&hosts), rota: Some(&short), window: fortnight() };
    assert!(!question.answer().to_string().contains("give nobody new access"));
    // What a copy says is of the source as it was read before.
    let moved = config(&POLICY.replace("pagerduty-token", "other-token"));
    let told =
        Question { old: &old, new: &moved, inventory: Some(&hosts), rota: Some(&now), window: fortnight() };
    let told = told.answer().cannot_tell.join("\n");
    assert!(
        told.contains("who is on call by pd from then on: it is read in another way (`token_file`)"),
        "{told}"
    );
    // A host that a rule names and nobody knows.
    let unknown = config(&POLICY.replace("[\"web*\"]", "[\"web*\", \"app7\"]"));
    let told =
        Question { old: &old, new: &unknown, inventory: Some(&hosts), rota: Some(&now), window: fortnight() };
    assert_eq!(
        told.answer().cannot_tell,
        [
            "whom rule `web` admits on `app7`: no host of the inventory is that; add it there, or take it out of the rule"
        ]
    );
    // A schedule that the copy has not.
    let other = config(
        &POLICY
            .replace("[\"DB\", \"WEB\"]", "[\"DB\", \"WEB\", \"NEW\"]")
            .replace("[\"pd/WEB\"]", "[\"pd/NEW\"]"),
    );
    let told =
        Question { old: &old, new: &other, inventory: Some(&hosts), rota: Some(&now), window: fortnight() };
    let told = told.answer().cannot_tell.join("\n");
    assert!(
        told.contains("who is on call by pd/NEW, which rule `web` counts: the rota has no such schedule"),
        "{told}"
    );
    // Other people for the users of a provider, of whom the copy knows nothing.
    let renamed = config(&POLICY.replace("PUANNA = \"anna\"", "PUANNA = \"dora\""));
    let told =
        Question { old: &old, new: &renamed, inventory: Some(&hosts), rota: Some(&now), window: fortnight() };
    assert!(told.answer().cannot_tell.join("\n").contains("whose the shifts of pd will be"));
    // Deeper levels than the copy was read with.
    let deeper = config(&POLICY.replace("max_escalation_level = 2", "max_escalation_level = 3"));
    let told =
        Question { old: &old, new: &deeper, inventory: Some(&hosts), rota: Some(&now), window: fortnight() };
    assert!(told.answer().cannot_tell.join("\n").contains("who is on call by pd on level 3"));
}

#[test]
fn the_json_says_what_the_sentences_say() {
    let plan = plan(POLICY, &POLICY.replace("claim = true", "max_escalation_level = 2"));
    let json = plan.json();
    assert_eq!(json["moves"][0]["people"][0]["person"], "carla");
    assert_eq!(json["moves"][0]["hosts"], serde_json::json!(["db1", "db2"]));
    assert_eq!(json["moves"][0]["by"]["rule"], "db");
    let effects: Vec<&str> =
        json["changes"].as_array().unwrap().iter().map(|one| one["effect"].as_str().unwrap()).collect();
    assert_eq!(effects, ["loosens", "loosens"]);
    assert_eq!((json["gained"].as_u64(), json["loosened"].as_u64()), (Some(1), Some(2)));
    assert!(plan.changes.iter().all(|change| change.effect == Effect::Loosens));
}
