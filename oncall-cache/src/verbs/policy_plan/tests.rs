#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

use std::fs;

use crate::cli::{Arguments, Verb};
use crate::narrow::Files;
use crate::said::{Live, Part, Said, USAGE};

const OLD: &str = r#"
[oncall]
[[oncall.source]]
name = "rota"
provider = "rota"
file = "rota.toml"
schedules = ["db", "web"]
[policy]
[[policy.rule]]
name = "db"
hosts = ["label:service=db"]
schedules = ["rota/db"]
"#;

const HOSTS: &str = "[[host]]\nname = 'db1'\nlabels = ['service=db']\n[[host]]\nname = 'web1'\n";

const ROTA: &str = r#"
[[schedule]]
id = "db"
[[schedule.shift]]
person = "anna"
start = 2026-11-02T08:00:00Z
end = 2026-11-03T08:00:00Z
[[schedule]]
id = "web"
[[schedule.shift]]
person = "bob"
start = 2026-11-02T08:00:00Z
end = 2026-11-04T08:00:00Z
"#;

/// The rule for hosts that are not databases.
const WEB: &str = "[[policy.rule]]\nname = \"web\"\nhosts = [\"web*\"]\nschedules = [\"rota/web\"]\n";

/// What `words` answer in a directory with these files.
fn typed(files: &[(&str, &str)], words: &str) -> Said {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in [("old.toml", OLD), ("hosts.toml", HOSTS), ("rota.toml", ROTA)].iter().chain(files) {
        fs::write(directory.path().join(name), text).unwrap();
    }
    let place = |word: &str| match word.rsplit_once('=') {
        Some((source, file)) if file.contains(".toml") || file.contains(".json") => {
            format!("{source}={}", directory.path().join(file).display())
        }
        _ if word.contains(".toml") || word.contains(".json") || word.contains(".db") => {
            directory.path().join(word).display().to_string()
        }
        _ => word.to_string(),
    };
    let words = ["oncall-cache", "policy"].map(str::to_string).into_iter().chain(words.split(' ').map(place));
    let matches =
        Arguments::definition().try_get_matches_from(words).unwrap_or_else(|error| panic!("{error}"));
    let arguments = <Arguments as clap::FromArgMatches>::from_arg_matches(&matches).unwrap();
    let Verb::Policy { verb } = &arguments.verb else { panic!("{arguments:?}") };
    let now = policy::Timestamp::parse("2026-11-02T00:00:00Z").unwrap();
    let live = Live { note: &|_| (), progress: &|_| () };
    super::super::policy::run(&arguments.config, verb, live, now)
}

fn text(said: &Said) -> String {
    let part = |part: &Part| match part {
        Part::Answer(text) => text.clone(),
        Part::Note(text) => format!("note: {text}"),
    };
    said.parts.iter().map(part).collect::<Vec<_>>().join("\n")
}

const PLAN: &str = "plan old.toml new.toml --inventory hosts.toml --rota rota.toml";

#[test]
fn a104_a_new_rule_and_its_limits() {
    let new = format!("{OLD}{WEB}");
    let files = [("new.toml", new.as_str())];
    let said = typed(&files, PLAN);
    assert_eq!(said.code, 0, "{}", text(&said));
    let sentence =
        "gains root on web1: bob, from Mon 2 Nov 08:00 to Wed 4 Nov 08:00 UTC, by the rule `web`\n";
    assert!(text(&said).contains(sentence), "{}", text(&said));
    assert!(text(&said).contains("everybody in it is taken as eligible"), "{}", text(&said));
    for (limit, code) in [
        ("--max-gained 1", 0),
        ("--max-gained 0", 1),
        ("--max-loosened 0", 1),
        ("--max-lost 0", 0),
        ("--max-admitted 1", 0),
        ("--max-admitted 0", 1),
    ] {
        let said = typed(&files, &format!("{PLAN} {limit}"));
        assert_eq!(said.code, code, "{limit}: {}", text(&said));
        let name = limit.split(' ').next().unwrap();
        assert_eq!(
            text(&said).contains(&format!("note: limit exceeded: {name}")),
            code == 1,
            "{}",
            text(&said)
        );
    }
    let json = typed(&files, &format!("{PLAN} --json --max-gained 0"));
    let told: serde_json::Value = serde_json::from_str(&text(&json)).unwrap();
    assert_eq!((json.code, told["exceeded"].as_array().unwrap().len()), (1, 1));
    assert_eq!(told["moves"][0]["people"][0]["times"][0]["end"], "2026-11-04T08:00:00Z");
}

#[test]
fn a104_a_table_of_people_gives_shifts_to_others() {
    let table =
        |line: &str| OLD.replace("[policy]\n", &format!("[oncall.source.people]\n{line}\n[policy]\n"));
    let (other, nobody) = (table("anna = 'carla'"), table("dora = 'carla'"));
    let said = typed(&[("new.toml", &other)], PLAN);
    for sentence in [
        "may loosen [[oncall.source]] `rota` people: `anna`: not set → carla: the rota's `anna` is `carla` from now on\n",
        "gains root on db1: carla, from Mon 2 Nov 08:00 to Tue 3 Nov 08:00 UTC, by the rule `db`\n",
        "loses root on db1, which the rule `db` gave anna from Mon 2 Nov 08:00 to Tue 3 Nov 08:00 UTC\n",
    ] {
        assert!(text(&said).contains(sentence), "{}", text(&said));
    }
    // Back again, and of a user who has no shift.
    let back = typed(&[("new.toml", &other)], &PLAN.replace("old.toml new.toml", "new.toml old.toml"));
    assert!(text(&back).contains("gains root on db1: anna, from"), "{}", text(&back));
    assert!(text(&back).contains("the directory says who the rota's `anna` is"), "{}", text(&back));
    let said = typed(&[("new.toml", &nobody)], PLAN);
    assert!(text(&said).contains("`carla` from now on; the rota has no shift of theirs in this time\n"));
    assert!(
        text(&said).contains("shifts admit the same people as before, at the same times\nthis is not all: ")
    );
}

#[test]
fn a104_who_refuses_nobody_keeps_no_limit() {
    for new in [
        OLD.replace("[policy]", "[policy]\nmode = 'observe'"),
        OLD.replace("[policy]", "[policy]\npam_services = ['sshd']"),
    ] {
        let files = [("new.toml", new.as_str())];
        let said = typed(&files, &format!("{PLAN} --max-gained 1000 --max-admitted 1000"));
        assert_eq!(said.code, 1, "{}", text(&said));
        assert!(text(&said).contains("nobody can count them: "), "{}", text(&said));
    }
}

#[test]
fn a104_what_cannot_be_counted_keeps_no_limit() {
    let observe = OLD.replace("[policy]", "[policy]\nmode = 'observe'");
    let shared = OLD.replace("[policy]", "[policy]\npam_services = ['sshd']");
    let terminal = OLD.replace("[policy]", "[policy]\nexempt_ttys = ['tty1', 'ttyS0', 'tty9']");
    let group = OLD.replace("[policy]", "[policy]\nprivileged_groups = []");
    let root = OLD.replace("[policy]", "[policy]\nexempt_accounts = ['root']");
    let grouped =
        format!("[directory]\nurls = ['ldaps://a']\nbase = 'dc=x'\neligible_group = 'cn=sre'\n{OLD}");
    let groupless = grouped.replace("eligible_group = 'cn=sre'\n", "");
    for (old, new, limit, why) in [
        (OLD, observe.as_str(), "--max-gained 9", "PAM refuses nobody any more (`mode`)"),
        (OLD, &shared, "--max-admitted 9", "nobody is refused any more as root by "),
        (OLD, &terminal, "--max-gained 9", "nobody is refused any more at `tty9`"),
        (OLD, &group, "--max-gained 9", "members of `sudo`, `wheel` are not refused any more in their own"),
        (OLD, &root, "--max-admitted 9", "nobody is refused any more as root by ssh, login"),
        (&observe, OLD, "--max-lost 9", "PAM refuses from now on whoever is not admitted (`mode`)"),
        (&shared, OLD, "--max-lost 9", "whoever is not on call is refused from now on as root by "),
        (&grouped, &groupless, "--max-lost 9", "nobody is eligible any more (`eligible_group`)"),
    ] {
        let said = typed(&[("old.toml", old), ("new.toml", new)], &format!("{PLAN} {limit}"));
        let told = text(&said);
        assert!(said.code == 1 && told.contains("nobody can count them: ") && told.contains(why), "{told}");
    }
    // What nobody was refused by before counts by what is decided; and backwards nobody gains without end.
    let wider = format!("{observe}{WEB}");
    let said = typed(&[("old.toml", &observe), ("new.toml", &wider)], &format!("{PLAN} --max-gained 1"));
    assert_eq!(said.code, 0, "{}", text(&said));
    let said = typed(&[("old.toml", &terminal), ("new.toml", OLD)], &format!("{PLAN} --max-gained 0"));
    assert_eq!(said.code, 0, "{}", text(&said));
}

#[test]
fn a104_whoever_is_refused_from_now_on_is_told() {
    let observe = OLD.replace("[policy]", "[policy]\nmode = 'observe'");
    let said = typed(&[("old.toml", &observe), ("new.toml", OLD)], PLAN);
    for sentence in [
        "tightens [policy] mode: observe → enforce: on all 2 hosts, from the roll-out on, PAM refuses whoever is not admitted; until then it refuses nobody; no rule covers web1: nobody is admitted there but accounts that are never refused, and by grants\n",
        "UTC: at most 1 at once may be root on one host, accounts that are never refused included; all others are refused\n",
    ] {
        assert!(text(&said).contains(sentence), "{}", text(&said));
    }
    // With another change beside it: what was decided is not what was refused.
    let wider = format!("{OLD}{WEB}");
    let said = typed(&[("old.toml", &observe), ("new.toml", &wider)], PLAN);
    assert!(text(&said).contains("the old policy observes: what follows compares what was decided there and logged, and PAM refused nobody\ngains root on web1: bob"), "{}", text(&said));
}

#[test]
fn a104_each_side_reads_its_own_files() {
    let labelled = HOSTS.replace("name = 'web1'", "name = 'web1'\nlabels = ['service=db']");
    let more = format!("{HOSTS}[[host]]\nname = 'db9'\nlabels = ['service=db']\n");
    let later = ROTA.replace("end = 2026-11-03T08:00:00Z", "end = 2026-11-03T20:00:00Z");
    let files = [
        ("labelled.toml", labelled.as_str()),
        ("more.toml", &more),
        ("later.toml", &later),
        ("empty.toml", "# none"),
    ];
    let plan = |inventory: &str, rota: &str| {
        typed(&files, &format!("plan old.toml old.toml --inventory {inventory} --rota {rota}"))
    };
    let same = plan("hosts.toml", "rota.toml");
    assert!(
        text(&same).starts_with("no setting that decides who is admitted differs\nnot known:")
            && text(&same).contains("\n  whether the inventory or the rota changes too: one of each was given, and is taken for before and after (those of before go by --old-inventory, --old-rota)\n"),
        "{}",
        text(&same)
    );
    for (inventory, rota, sentences) in [
        (
            "labelled.toml --old-inventory hosts.toml",
            "rota.toml",
            [
                "loosens [[host]] `web1` labels: [] → [\"service=db\"]: covered from now on by `db`\n",
                "gains root on web1: anna, from Mon 2 Nov 08:00 to Tue 3 Nov 08:00 UTC, by the rule `db`\n",
            ],
        ),
        (
            "hosts.toml --old-inventory labelled.toml",
            "rota.toml",
            [
                "tightens [[host]] `web1` labels: [\"service=db\"] → []: no longer by `db`\n",
                "loses root on web1, which the rule `db` gave anna from Mon 2 Nov 08:00",
            ],
        ),
        (
            "more.toml --old-inventory hosts.toml",
            "rota.toml",
            [
                "loosens [[host]] `db9` is new (labels = [\"service=db\"]): covered by `db`\n",
                "gains root on db9: anna, from Mon 2 Nov 08:00",
            ],
        ),
        (
            "hosts.toml --old-inventory more.toml",
            "rota.toml",
            [
                "tightens [[host]] `db9` is gone: it is planned for as a host that is no more\n",
                "loses root on db9, which the rule `db` gave anna from Mon 2 Nov 08:00",
            ],
        ),
        (
            "hosts.toml",
            "later.toml --old-rota rota.toml",
            [
                "the rota has other shifts in this time: rota/db\n",
                "gains root on db1: anna, from Tue 3 Nov 08:00 to Tue 3 Nov 20:00 UTC, by the rule `db`\n",
            ],
        ),
        (
            "hosts.toml",
            "rota.toml --old-rota later.toml",
            [
                "the rota has other shifts in this time: rota/db\n",
                "loses root on db1, which the rule `db` gave anna from Tue 3 Nov 08:00 to Tue 3 Nov 20:00 UTC\n",
            ],
        ),
    ] {
        let said = plan(inventory, rota);
        assert_eq!(said.code, 0, "{}", text(&said));
        for sentence in sentences {
            assert!(text(&said).contains(sentence), "{sentence}\n{}", text(&said));
        }
        assert!(!text(&said).contains("no setting that decides"), "{}", text(&said));
    }
    // What cannot be read of the side before is no more empty than what is of the other.
    for (inventory, rota) in [
        ("hosts.toml --old-inventory none.toml", "rota.toml"),
        ("hosts.toml --old-inventory empty.toml", "rota.toml"),
        ("hosts.toml", "rota.toml --old-rota none.toml"),
        ("hosts.toml", "rota.toml --old-rota empty.toml"),
        ("hosts.toml", "rota.toml --old-rota rota=empty.toml"),
    ] {
        let said = plan(inventory, rota);
        assert_eq!(said.code, 2, "{inventory} {rota}: {}", text(&said));
    }
}

#[test]
fn a104_another_way_to_read_a_source_is_never_nobody_gains() {
    let moved = OLD.replace("file = \"rota.toml\"", "file = \"other.toml\"");
    let files = [("new.toml", moved.as_str())];
    let said = typed(&files, PLAN);
    assert_eq!(said.code, 0, "{}", text(&said));
    for sentence in [
        "may loosen [[oncall.source]] `rota` file: /etc/authkeys/rota.toml → /etc/authkeys/other.toml: others may be on call by this source\n",
        "UTC: apart from the lines above, shifts admit the same people as before, at the same times\nthis is not all: ",
        "\n  whether rota says the same when it is read in another way (`file`): the rota that was given is taken for before and after (that of before goes by --old-rota)",
    ] {
        assert!(text(&said).contains(sentence), "{}", text(&said));
    }
    let both = typed(&files, &format!("{PLAN} --old-rota rota.toml"));
    assert!(both.code == 0 && !text(&both).contains("in another way"), "{}", text(&both));
}

#[test]
fn a_plan_has_an_end() {
    let files = [("new.toml", OLD)];
    assert_eq!(typed(&files, &format!("{PLAN} --for 366d")).code, 0);
    let words = ["oncall-cache", "policy", "plan", "a", "b", "--for", "367d"];
    let error = Arguments::definition().try_get_matches_from(words).unwrap_err();
    assert!(error.to_string().contains("a plan is for 366d at most"), "{error}");
}

#[test]
fn a104_what_cannot_be_read_is_never_planned_as_empty() {
    let new = format!("{OLD}{WEB}");
    let whole = [("new.toml", new.as_str())];
    for (files, words, says) in [
        (&whole[..0], PLAN, "new.toml: No such file"),
        (
            &[("new.toml", "[policy]\nmoed = 'x'")],
            PLAN,
            "new.toml:2: unknown key `moed`; did you mean `mode`?",
        ),
        (&[("new.toml", "")], PLAN, "new.toml: nothing is written there, and that is no policy"),
        (&[("new.toml", "# none\n\n")], PLAN, "new.toml: nothing is written there, and that is no policy"),
        (
            &[("new.toml", "[policy]")],
            "plan old.toml new.toml --rota rota.toml",
            "cannot tell which hosts there are",
        ),
        (&[("new.toml", "\u{0}")], PLAN, "new.toml:1:"),
        (&whole, "plan old.toml new.toml --inventory none.toml --rota rota.toml", "none.toml: No such file"),
        (&whole, "plan old.toml new.toml --inventory new.toml --rota rota.toml", "new.toml:"),
        (
            &whole,
            "plan old.toml new.toml --inventory hosts.toml",
            "cannot tell who is on call: no rota was given",
        ),
        (
            &whole,
            "plan old.toml new.toml --inventory hosts.toml --rota hosts.toml",
            "hosts.toml:1: unknown key `host`",
        ),
        (
            &whole,
            "plan old.toml new.toml --inventory hosts.toml --rota fleet",
            "no [[oncall.source]] has provider",
        ),
    ] {
        let said = typed(files, words);
        assert_eq!(said.code, 2, "{words}: {}", text(&said));
        assert!(text(&said).contains(says), "{words}: {}", text(&said));
        assert!(!text(&said).contains("admit the same people"), "{words}: {}", text(&said));
    }
    let empty = typed(&[("old.toml", "\n"), ("new.toml", &new)], PLAN);
    assert!(
        empty.code == 2 && text(&empty).contains("old.toml: nothing is written there"),
        "{}",
        text(&empty)
    );
    let tested = "test expect.toml --config old.toml --inventory hosts.toml --rota rota.toml";
    let expected =
        "[[expect]]\nperson = 'anna'\nhost = 'db1'\nat = 2026-11-02T09:00:00Z\nexpect = 'refused'\n";
    let empty = typed(&[("old.toml", ""), ("expect.toml", expected)], tested);
    assert!(
        empty.code == 2 && text(&empty).contains("old.toml: nothing is written there"),
        "{}",
        text(&empty)
    );
    let wrong = typed(&whole, &format!("{PLAN} --from 2026-11-02T00:00:00"));
    assert_eq!(wrong.code, USAGE, "{}", text(&wrong));
    // One that does not change needs neither hosts nor a rota, and says so.
    let same = typed(&[], "plan old.toml old.toml");
    assert_eq!(same.code, 0, "{}", text(&same));
    assert!(
        text(&same).starts_with("no setting that decides who is admitted differs\nnot known:")
            && text(&same).contains("no rota was given"),
        "{}",
        text(&same)
    );
}

#[test]
fn a_rota_is_a_file_of_one_source_or_json_or_a_copy_of_the_roster() {
    let new = format!("{OLD}{WEB}");
    let json = r#"{"version": 1, "schedules": [{"id": "db", "shifts": []}, {"id": "web", "shifts": [
        {"user": {"id": "u", "username": "bob"}, "start": "2026-11-02T08:00:00Z", "end": "2026-11-04T08:00:00Z"}]}]}"#;
    let files = [("new.toml", new.as_str()), ("rota.json", json)];
    let sentence = "gains root on web1: bob, from Mon 2 Nov 08:00 to Wed 4 Nov 08:00 UTC";
    for rota in ["rota.json", "rota=rota.toml", "rota=rota.json"] {
        let said = typed(&files, &format!("plan old.toml new.toml --inventory hosts.toml --rota {rota}"));
        assert!(said.code == 0 && text(&said).contains(sentence), "{rota}: {}", text(&said));
    }
    // Two sources with schedules of one name: which of them is meant has to be said.
    let second =
        "[[oncall.source]]\nname = 'b'\nprovider = 'rota'\nfile = 'b.toml'\nschedules = ['web']\n[policy]\n";
    let two = new.replace("[policy]\n", second).replace("[\"rota/web\"]", "[\"rota/web\", \"b/web\"]");
    let said = typed(&[("new.toml", &two)], PLAN);
    assert_eq!(said.code, 2);
    assert!(
        text(&said).contains("sources `b` and `rota` have schedules of its ids; write --rota SOURCE=FILE"),
        "{}",
        text(&said)
    );
    // Whose mail address it is, the directory knows.
    let mail = ROTA.replace("bob", "bob@example.com");
    let said = typed(&[("new.toml", &new), ("rota.toml", &mail)], PLAN);
    assert_eq!(said.code, 2);
    assert!(text(&said).contains("who bob is in the directory is not known without it"), "{}", text(&said));
    assert!(!text(&said).contains("example.com"), "{}", text(&said));
}

#[test]
fn expectations_hold_or_fail_or_cannot_be_judged() {
    let case = |body: &str| format!("[[expect]]\n{body}\n");
    let anna = "person = 'anna'\nhost = 'db1'\nat = 2026-11-02T09:00:00+00:00\n";
    for (body, code, says) in [
        (format!("{anna}expect = 'admitted'\nreason = 'oncall'"), 0, "ok: anna enters root by sshd on db1"),
        (
            format!("{anna}expect = 'refused'"),
            1,
            "FAILED: anna enters root by sshd on db1 at 2026-11-02T09:00:00Z, expected refused: is admitted (oncall, by the rule `db`)",
        ),
        (format!("{anna}expect = 'admitted'\nservice = 'sudo'"), 0, "ok: anna enters root by sudo"),
        (format!("{anna}expect = 'not-guarded'\naccount = 'anna'"), 0, "ok: "),
        // An account of somebody else that nothing guards.
        (
            format!("{anna}expect = 'refused'\naccount = 'postgres'"),
            1,
            "FAILED: anna enters postgres by sshd on db1 at 2026-11-02T09:00:00Z, expected refused: is not guarded (not-guarded)",
        ),
        (
            format!("{anna}expect = 'not-guarded'\naccount = 'postgres'\nservice = 'login'"),
            0,
            "ok: anna enters postgres by login",
        ),
        (
            format!("{anna}expect = 'not-guarded'\naccount = \"x\\ny\\u001b[2J\""),
            0,
            "ok: anna enters x\\ny\\u{1b}[2J by sshd",
        ),
        (anna.replace("anna", "bob") + "expect = 'refused'\nreason = 'not-oncall'", 0, "ok: bob"),
        (anna.replace("db1", "web1") + "expect = 'refused'\nreason = 'no-rule'", 0, "ok: anna"),
        (
            anna.replace("anna", "ana") + "expect = 'refused'",
            2,
            "line 2: cannot tell: ana enters root by sshd on db1 at 2026-11-02T09:00:00Z, expected refused: neither the rota nor the configuration knows `ana`; did you mean `anna`?",
        ),
        (
            anna.replace("db1", "db2") + "expect = 'refused'",
            2,
            "the inventory has no host `db2`; did you mean `db1`?",
        ),
        (
            format!("{anna}expect = 'admitted'\nservice = 'sshdd'"),
            2,
            "expect.toml:6: there is no PAM service `sshdd` that is decided for; did you mean `sshd`?",
        ),
        (
            anna.replace("+00:00", "") + "expect = 'admitted'",
            2,
            "expect.toml:4: `2026-11-02T09:00:00` is not an instant; write date, time and zone",
        ),
        (format!("{anna}expect = 'let in'"), 2, "expect.toml:5: "),
        (
            format!("{anna}expect = 'refused'\nreason = 'not-on-call'"),
            2,
            "expect.toml:6: there is no reason `not-on-call`; did you mean `not-oncall`?",
        ),
    ] {
        let files = [("expect.toml", case(&body))];
        let files = files.each_ref().map(|(name, text)| (*name, text.as_str()));
        let words = "test expect.toml --config old.toml --inventory hosts.toml --rota rota.toml";
        let said = typed(&files, words);
        assert_eq!(said.code, code, "{body}: {}", text(&said));
        assert!(text(&said).contains(says), "{body}: {}", text(&said));
        let json = typed(&files, &format!("{words} --json"));
        assert_eq!(json.code, code, "{body}");
    }
    // Who observes lets everybody in, whatever is decided.
    let observe = OLD.replace("[policy]", "[policy]\nmode = 'observe'");
    let bob = case(&(anna.replace("anna", "bob") + "expect = 'refused'"));
    let said = typed(
        &[("old.toml", &observe), ("expect.toml", &bob)],
        "test expect.toml --config old.toml --inventory hosts.toml --rota rota.toml",
    );
    assert_eq!(said.code, 0, "{}", text(&said));
    for words in [
        "expected refused: decided and logged, and PAM lets them in: `mode` is \"observe\"",
        "note: mode = \"observe\": `admitted` and `refused` are what is decided and logged; PAM refuses nobody",
    ] {
        assert!(text(&said).contains(words), "{}", text(&said));
    }
    let said = typed(
        &[("expect.toml", "")],
        "test expect.toml --config old.toml --inventory hosts.toml --rota rota.toml",
    );
    assert!(said.code == 2 && text(&said).contains("nothing is expected"), "{}", text(&said));
}

#[test]
fn a104_an_emptied_policy_is_neither_shown_nor_signed() {
    let said = |text_of: &str, words: &str| typed(&[("old.toml", text_of)], words);
    for words in [
        "show --config old.toml",
        "show --config old.toml --json",
        "show --config old.toml --number 7",
        "sign --config old.toml --number 7 --yes -i key",
    ] {
        for emptied in ["", "# nothing\n\n"] {
            let told = said(emptied, words);
            assert_eq!(told.code, 2, "{words}: {}", text(&told));
            let says = "old.toml: nothing is written there, and that is no policy; one with every default is";
            assert!(text(&told).contains(says), "{words}: {}", text(&told));
        }
    }
    // An emptied file would be as signed.
    for words in ["show --config old.toml --number 7", "sign --config old.toml --number 7 --yes -i key"] {
        for unsigned in ["[policy]\n", "[host]\nname = 'db1'\n"] {
            let told = said(unsigned, words);
            assert_eq!(told.code, 2, "{words}: {}", text(&told));
            assert!(
                text(&told).contains("nothing is written that is signed: [host] is not"),
                "{}",
                text(&told)
            );
        }
    }
    let told = said("[policy]\nmode = 'enforce'\n", "show --config old.toml --number 7");
    assert!(told.code == 0 && text(&told).contains("policy.mode = \"enforce\""), "{}", text(&told));
}

#[test]
fn hosts_are_asked_for_apart_only_where_a_file_looks_at_them() {
    let directory = tempfile::tempdir().unwrap();
    let (config, file) = (directory.path().join("config.toml"), directory.path().join("keep.rego"));
    let rego = "[[policy.rego]]\nfile = 'keep.rego'\nquery = 'data.authkeys.keep'\n";
    fs::write(&config, format!("{OLD}{rego}")).unwrap();
    let is_apart = || {
        let (_, files) = super::config(&config).unwrap();
        let looked = super::looked_into(&files, &Files::read_unjudged(&files));
        let of = |name: &str| super::kind(&looked, &policy::Host { name: name.into(), labels: Vec::new() });
        of("db1") != of("db2")
    };
    assert!(is_apart(), "a file that cannot be read may look at it");
    for (text, expected) in [
        ("# the labels of a host\nkeep if input.schedule != \"input.host\"", false),
        ("keep if input.host == \"db1\"", true),
        ("keep if", true),
    ] {
        fs::write(&file, format!("package authkeys\nimport rego.v1\n{text}\n")).unwrap();
        assert_eq!(is_apart(), expected, "{text}");
    }
}
