//! What a plan says of each way to loosen a policy, as golden text: REWRITE_GOLDEN=1 writes it anew. Read it then as
//! somebody who was not there: who gains root, where, and until when?

use std::fmt::Write;
use std::path::Path;

use plan::{Effect, Question, When};
use policy::{Span, Window};

use crate::cases::{Case, ELIGIBLE, LOOSENINGS, TURNS};
use crate::site::{INVENTORY, POLICY, config, fortnight, inventory, plan, rota};

/// The plan without what no plan knows.
pub fn said(plan: &plan::Plan) -> String {
    let text = plan.to_string();
    text.split_once("not known:").unwrap().0.to_string()
}

/// The policy with another text in that place.
pub fn mutated(place: &str, text: &str) -> String {
    assert!(POLICY.contains(place), "nothing to replace: {place}");
    POLICY.replacen(place, text, 1)
}

/// The policy before the change, and after it.
fn sides(case: &Case) -> [String; 2] {
    case.texts.map(|text| mutated(case.place, text))
}

#[test]
fn a104_each_change_is_said_in_words() {
    for (name, cases) in [("loosenings.txt", LOOSENINGS), ("turns.txt", TURNS)] {
        let mut golden = String::new();
        for case in cases {
            let [old, new] = sides(case);
            writeln!(golden, "## {}\n{}", case.name, said(&plan(&old, &new))).unwrap();
        }
        compare(name, &golden);
        assert!(!golden.contains(['\u{1b}', '\r']), "{golden:?}");
    }
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
    for case in LOOSENINGS.iter().filter(|case| case.name != "a rule is gone") {
        let [old, new] = sides(case);
        let there = plan(&old, &new);
        assert!(there.loosened() > 0 && !there.is_unchanged(), "{}: {there}", case.name);
        // Backwards it is a change as well, and never one to the same.
        let (old, new, window) = (&config(&new), &config(&old), fortnight());
        let back = Question { old, new, inventory: None, rota: None, window }.answer();
        assert!(!back.is_unchanged(), "{}: {back}", case.name);
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
            "tightens [[policy.shared_account]] `root` is gone: by ssh no key of the people on call opens it any more on all 3 hosts, nor does any other but a program's; by sudo and su they are admitted as before (it has uid 0)",
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
            "hosts = [\"label:service=db\"]\nschedules",
            "hosts = [\"db1\"]\nschedules",
            "neutral [[policy.rule]] `db` hosts: added `db1`: the rule covered it before\n",
        ),
        (
            "[policy.end]",
            "pam_services = [\"sshd\", \"login\", \"sudo\", \"sudo-i\", \"doas\", \"polkit-1\"]\n[policy.end]",
            "opens root by su, su-l on all 3 hosts to whoever has its password: nobody is refused there any more\n",
        ),
        (
            "quorum = 2",
            "quorum = 1",
            "fewer people together let somebody in, who is none of them; the rule is for root on db1, db2, for 2h at most\n",
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
            "tightens [[policy.rule.incident]] `web` is new (incidents of `PSVC1`, as the source `pd` tells them; one counts while it is open, for 1d at most (max_open), and for 30m after it is closed (linger); which are open is known for 15m after it was read (known_for); while it is not known, to be on call is enough (on_unknown)): people on call by the rule are admitted only during an incident",
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
        let plan = plan(POLICY, &mutated(from, to));
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
    assert!(plan.moves.is_empty() && !said(&plan).contains("the same people"), "{plan}");
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
            "loosens [[policy.rule.incident]] `web` is gone (the rule `web` stays): people on call by the rule are admitted without an incident too",
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
        (
            of(", known_for = \"1h\""),
            "may loosen [[policy.rule.incident]] `web` known_for: 15m → 1h: this is how long it counts which incidents were open when they were last read; after that `on_unknown` says who is admitted",
        ),
        (
            usual.replace("[\"PSVC1\"]", "[\"PSVC1\", \"PSVC2\"]"),
            "loosens [[policy.rule.incident]] `web` services: added `PSVC2`: incidents of more services",
        ),
    ] {
        let plan = plan(&usual, &new);
        assert!(said(&plan).contains(says), "{says}\n{plan}");
        // Who is admitted while one is open is the same.
        let is_calm = |when| when == When::Without;
        assert!(plan.moves.iter().all(|(moved, _)| is_calm(moved.when)), "{plan}");
        assert_eq!(plan.moves.is_empty(), new != POLICY, "{plan}");
        assert!(plan.to_string().contains("which incidents will be open"), "{plan}");
    }
    // A rule that is new as a whole says it as well, and the other answer to what is not known.
    let strict = POLICY.replace(
        "[[policy.shared_account]]\naccount = \"root\"",
        "[[policy.rule]]\nname = \"more\"\nschedules = [\"pd/WEB\"]\nincident = { source = \"pd\", services = [\"A\", \"B\"], on_unknown = \"refuse\" }\n[[policy.shared_account]]\naccount = \"root\"",
    );
    let new = said(&plan(POLICY, &strict));
    assert!(
        new.contains(
            "incident: incidents of `A`, `B`, as the source `pd` tells them; one counts while it is open"
        ) && new.contains("while it is not known, the rule admits nobody (on_unknown)")
            && !new.contains("known_for = "),
        "{new}"
    );
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
    assert!(!question.answer().to_string().contains("admit the same people"));
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
    assert!(!plan.narrowed.is_empty() && json["narrowed"] == serde_json::json!(plan.narrowed), "{json:#}");
    let effects: Vec<&str> =
        json["changes"].as_array().unwrap().iter().map(|one| one["effect"].as_str().unwrap()).collect();
    assert_eq!(effects, ["loosens", "loosens"]);
    assert_eq!((json["gained"].as_u64(), json["loosened"].as_u64()), (Some(1), Some(2)));
    assert!(plan.changes.iter().all(|change| change.effect == Effect::Loosens));
    assert_eq!(
        (&json["lets_in_others"], &json["moves"][0]["incident"]),
        // Sudoers may give the rule's group what nobody knows here.
        (&true.into(), &serde_json::Value::Null)
    );
    // What is said where nobody can be counted.
    let observes = plan_of(&mutated("mode = \"enforce\"", "mode = \"observe\""));
    assert_eq!(observes["uncounted_gains"], serde_json::json!(["PAM refuses nobody any more (`mode`)"]));
    let ungrouped = plan_of(&mutated(ELIGIBLE, ""));
    assert_eq!(
        ungrouped["uncounted_losses"],
        serde_json::json!(["nobody is eligible any more (`eligible_group`)"])
    );
    assert_eq!(plan_of(&mutated("quorum = 2", "quorum = 1"))["lets_in_others"], true);
    let waits = mutated(
        "schedules = [\"pd/WEB\"]",
        "schedules = [\"pd/WEB\"]\nincident = { source = \"pd\", services = [\"S\"] }",
    );
    assert_eq!(crate::site::plan(&waits, POLICY).json()["moves"][0]["incident"], "none");
}

/// The plan of a change to `new`, for programs.
fn plan_of(new: &str) -> serde_json::Value {
    plan(POLICY, new).json()
}

/// The policy with a second source, which no rule counts; and no files in Rego, which are asked with all who are on call.
fn with_spare() -> String {
    let rego = "[[policy.rego]]\nfile = 'narrow.rego'\nquery = 'data.authkeys.keep'\nhosts = ['db*']\non_error = 'drop'\n";
    let spare = "[[oncall.source]]\nname = 'spare'\nprovider = 'rota'\nfile = 'spare.toml'\nschedules = ['a']\n[policy]\nmode";
    mutated(rego, "").replace("[policy]\nmode", spare)
}

#[test]
fn a104_what_no_rule_counts_lets_nobody_in_and_keeps_nobody_out() {
    let policy = with_spare();
    for (from, to, says) in [
        (
            "schedules = [\"DB\", \"WEB\"]",
            "schedules = [\"DB\", \"WEB\", \"OPS\"]",
            "neutral [[oncall.source]] `pd` schedules: added `OPS`: no rule counts it\n",
        ),
        (
            "schedules = [\"DB\", \"WEB\"]",
            "schedules = [\"*\"]",
            "neutral [[oncall.source]] `pd` schedules: `DB`, `WEB` → every one that there is: no rule counts one of the others\n",
        ),
        (
            "schedules = ['a']",
            "schedules = ['a', 'b']",
            "neutral [[oncall.source]] `spare` schedules: added `b`: no rule counts",
        ),
        (
            "spare.toml",
            "other.toml",
            "spare.toml → /etc/authkeys/other.toml: no rule counts a schedule of this source\n",
        ),
        (
            "name = 'spare'",
            "name = 'extra'",
            "neutral [[oncall.source]] `spare` is gone: no rule counts a schedule of this source\n",
        ),
        (
            "max_escalation_level = 2",
            "max_escalation_level = 3",
            "neutral [[oncall.source]] `pd` max_escalation_level: 2 → 3: no rule counts deeper levels of this source\n",
        ),
    ] {
        let turned = policy.replacen(from, to, 1);
        for (old, new) in [(&policy, &turned), (&turned, &policy)] {
            let plan = plan(old, new);
            let is_neutral = plan.changes.iter().all(|change| change.effect == Effect::Neutral);
            assert!(is_neutral && plan.is_unchanged() && plan.cannot_tell.is_empty(), "{to}\n{plan}");
        }
        let plan = plan(&policy, &turned);
        assert!(said(&plan).contains(says), "{says}\n{plan}");
    }
    // Limits of one schedule's own.
    let spare = policy.replacen("[\"DB\", \"WEB\"]", "[\"DB\", \"WEB\", \"OPS\"]", 1);
    let own = "[oncall.source.schedule.OPS]\nmax_age = \"4h\"\n[[oncall.source]]\nname = 'spare'";
    let plan_of_own = plan(&spare, &spare.replace("[[oncall.source]]\nname = 'spare'", own));
    assert!(
        said(&plan_of_own).starts_with("neutral [[oncall.source]] `pd` schedule `OPS` max_age: "),
        "{plan_of_own}"
    );
    // Where a rule counts a part of it, that is told apart.
    let more = policy
        .replace("[\"DB\", \"WEB\"]", "[\"DB\", \"WEB\", \"OPS\", \"NEW\"]")
        .replace("[\"pd/WEB\"]", "[\"pd/WEB\", \"pd/NEW\"]");
    let text = said(&plan(&policy, &more));
    for says in [
        "loosens [[oncall.source]] `pd` schedules: added `NEW`: more schedules are read",
        "neutral [[oncall.source]] `pd` schedules: added `OPS`: no rule counts it\n",
        "loosens [[policy.rule]] `web` schedules: added `pd/NEW`",
    ] {
        assert!(text.contains(says), "{says}\n{text}");
    }
    let gone = said(&plan(&more, &policy));
    assert!(
        gone.contains("tightens [[oncall.source]] `pd` schedules: removed `NEW`: its shifts are read"),
        "{gone}"
    );
    // A file in Rego may look at it.
    let seen = plan(POLICY, &mutated("[\"DB\", \"WEB\"]", "[\"DB\", \"WEB\", \"OPS\"]"));
    assert!(
        said(&seen).starts_with(
            "may loosen [[oncall.source]] `pd` schedules: added `OPS`: no rule counts it; but files"
        ),
        "{seen}"
    );
}

/// What a collector reads, hosts count by rules that are in other files.
#[test]
fn what_a_collector_reads_may_let_in_whom_rules_elsewhere_count() {
    let source = "[[oncall.source]]\nname = 'pd'\nprovider = 'pagerduty'\ntoken_file = '/etc/authkeys/pagerduty-token'\nschedules = ['DB']\n";
    let incidents = "incident_services = ['P1']\n";
    let rule = "[[policy.rule]]\nname = 'own'\nschedules = ['pd/DB']\n";
    let people = "[oncall.source.people]\n'PXYZ123' = 'mallory'\n";
    for (old, new, effect) in [
        (source.to_string(), format!("{source}{people}"), "may loosen"),
        (source.to_string(), source.replace("['DB']", "['DB', 'OPS']"), "may loosen"),
        (source.to_string(), format!("{source}{incidents}"), "may loosen"),
        // It has rules for itself.
        (
            format!("{source}{incidents}{rule}"),
            format!("{source}{incidents}{rule}").replace("['DB']", "['DB', 'OPS']"),
            "may loosen",
        ),
        (format!("{source}{rule}"), format!("{source}{rule}").replace("['DB']", "['DB', 'OPS']"), "neutral"),
    ] {
        let plan = plan(&old, &new);
        let said = said(&plan);
        assert!(said.starts_with(&format!("{effect} [[oncall.source]] ")), "{new}\n{plan}");
        assert_eq!(plan.is_unchanged(), effect == "neutral", "{new}\n{plan}");
    }
}

#[test]
fn a104_a_key_of_a_program_that_only_sudo_asks_about_lets_nothing_in() {
    let entry = |keys: &str| {
        let of = format!(
            "[[policy.automation]]\naccount = 'agent'\nservices = ['sudo']\n{keys}from = ['10.0.0.5']\nowner = 'o'\nreason = 'x'\nuntil = 2027-06-30\n[[policy.grant]]"
        );
        mutated("[[policy.grant]]", &of)
    };
    let one = "fingerprints = ['SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE']\n";
    let (without, with) = (entry(""), entry(one));
    let added = plan(&without, &with);
    assert!(
        said(&added).starts_with("tightens [[policy.automation]] `agent` fingerprints: added"),
        "{added}"
    );
    assert!(said(&added).contains("only ssh looks at keys") && added.loosened() == 0, "{added}");
    let removed = plan(&with, &without);
    assert!(
        said(&removed).starts_with("may loosen [[policy.automation]] `agent` fingerprints: removed"),
        "{removed}"
    );
    assert!(
        said(&removed).contains("the program enters as before; a key that the directory has"),
        "{removed}"
    );
    assert!(added.moves.is_empty() && removed.moves.is_empty(), "{removed}");
}

#[test]
fn a104_what_is_guarded_exempt_or_over_before_is_told_by_what_is_left() {
    let over = "[[policy.automation]]\naccount = 'agent'\nservices = ['sudo']\nowner = 'o'\nreason = 'x'\nuntil = 2026-10-01\n[[policy.grant]]";
    let with_glass = mutated(
        "[grant]",
        "[[policy.grant]]\nname = 'glass'\naccounts = ['root']\napprovers = ['anna']\nquorum = 0\npeople = ['dora']\nmax = '30m'\n[grant]",
    );
    for (old, new, says) in [
        (
            POLICY.to_string(),
            mutated("[\"root\", \"oracle\"]", "[\"root\", \"oracle\", \"deploy\"]"),
            "neutral [policy] guarded_accounts: added `deploy`: logins to `deploy` are checked as before, because [[policy.shared_account]] names it\n",
        ),
        (
            mutated("[[policy.grant]]", over),
            mutated("[[policy.grant]]", &over.replace("2026-10-01", "2026-10-30")),
            "neutral [[policy.automation]] `agent` until: 2026-10-01T00:00:00Z → 2026-10-30T00:00:00Z: its day is over already",
        ),
        (
            POLICY.to_string(),
            mutated("[\"breakglass\"]", "[]"),
            "may loosen [policy] exempt_accounts: removed `breakglass`: if the directory has keys for a person named `breakglass`, they open this account by ssh again, at any time; root and other guarded accounts it enters only on call\n",
        ),
        (
            with_glass.clone(),
            with_glass.replace("['dora']", "['dora']\nalways = true"),
            "dora may enter by their own signature alone, also while the host can tell who is on call; before, only while it could not; the rule is for root on all 3 hosts, for 30m at most\n",
        ),
        (
            with_glass.clone(),
            with_glass.replace("['dora']", "['dora', 'eve']"),
            "added `eve`: more people may let themselves in, while the host cannot tell who is on call; the rule is for root on",
        ),
        (
            with_glass.clone(),
            with_glass.replace("approvers = ['anna']", "approvers = ['anna', 'bob']"),
            "loosens [[policy.grant]] `glass` approvers: added `bob`: nobody is let in by them; once one of them has reviewed it, whoever let themselves in may do so again without waiting for a day (that is for dora); the rule is for root on all 3 hosts",
        ),
        (
            with_glass.replace("approvers = ['anna']", "approvers = ['anna', 'bob']"),
            with_glass.clone(),
            "tightens [[policy.grant]] `glass` approvers: removed `bob`: they may not review any more",
        ),
    ] {
        let plan = plan(&old, &new);
        assert!(said(&plan).contains(says), "{says}\n{plan}");
    }
}

#[test]
fn a104_a_host_that_asks_a_file_no_longer_is_told() {
    let policy = mutated("hosts = ['db*']", "hosts = ['label:narrow']");
    let labelled = INVENTORY.replace("labels = [\"service=db\"]", "labels = [\"service=db\", \"narrow\"]");
    let (config, rota, window) = (config(&policy), rota(), fortnight());
    let told = |before: &str, after: &str| {
        let hosts = inventory(after).since(inventory(before));
        let (old, new) = (&config, &config);
        Question { old, new, inventory: Some(&hosts), rota: Some(&rota), window }.answer().to_string()
    };
    let fewer = told(&labelled, INVENTORY);
    assert!(fewer.starts_with("loosens [[host]] `db1` labels: [\"service=db\", \"narrow\"] → [\"service=db\"]: narrow.rego is not asked there any more"), "{fewer}");
    let more = told(INVENTORY, &labelled);
    assert!(more.starts_with("tightens [[host]] `db1` labels: ") && !more.contains("loosens"), "{more}");
}

#[test]
fn a104_whoever_gains_by_a_rule_that_asks_why_is_told_to_be_asked() {
    let plan = plan(
        POLICY,
        &mutated("name = \"web\"\nhosts = [\"web*\"]", "name = \"web\"\nhosts = [\"*\"]\nclaim = true"),
    );
    let line = "whoever gains by the rule `web` says why first, once a shift (claim)";
    assert!(said(&plan).contains(line), "{plan}");
    assert_eq!(plan.json()["asked"], serde_json::json!([line]));
}

#[test]
fn a104_a_rule_that_has_another_name_is_the_same_one() {
    let renamed = POLICY
        .replace("name = \"db\"\nhosts", "name = \"databases\"\nhosts")
        .replace("rules = [\"db\"]", "rules = [\"databases\"]")
        .replace("name = \"night\"", "name = \"late\"");
    let same = plan(POLICY, &renamed);
    for says in [
        "neutral [[policy.rule]] `db` name: db → databases\n",
        "neutral [[policy.grant]] `night` name: night → late\n",
    ] {
        assert!(said(&same).contains(says), "{same}");
    }
    assert!(same.is_unchanged() && same.loosened() == 0, "{same}");
    // With another right it is another one; and a group that follows another rule has other members.
    let other = plan(
        POLICY,
        &renamed.replace("hosts = [\"label:service=db\"]\nschedules", "hosts = [\"*\"]\nschedules"),
    );
    assert!(said(&other).contains("loosens [[policy.rule]] `databases` is new"), "{other}");
    let group = plan(POLICY, &POLICY.replace("rules = [\"db\"]", "rules = [\"web\"]"));
    assert!(said(&group).starts_with("loosens [[nss.group]] `oncall` rules: added `web`"), "{group}");
}
