//! What readers of plans took for something else once: who is let in, where, at what times, and whether that is all.

use plan::Question;

use crate::sentences::{mutated, said};
use crate::site::{INVENTORY, POLICY, config, fortnight, inventory, plan, rota};

#[test]
fn a104_what_opens_says_where_to_whom_and_that_it_is_not_all() {
    let asked =
        "pam_services = [\"sshd\", \"login\", \"sudo\", \"sudo-i\", \"doas\", \"polkit-1\"]\n[policy.end]";
    let told = said(&plan(POLICY, &mutated("[policy.end]", asked)));
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(
        lines[0],
        "loosens [policy] pam_services: removed `su`, `su-l`: on all 3 hosts, nobody is refused there any more, on call or not, revoked or not: whoever passes what the service itself asks gets in"
    );
    let opens = ["opens root by su, su-l on all 3 hosts to", "opens deploy by ", "opens oracle by "];
    for (line, start) in lines[1..].iter().zip(opens) {
        assert!(line.starts_with(start), "root comes first: {told}");
    }
    assert!(lines[4].starts_with("from Mon 2 Nov 00:00 to ") && lines[5].starts_with(NOT_ALL), "{told}");
}

/// What stands where people can get in whom no line names.
const NOT_ALL: &str = "this is not all: ";

#[test]
fn a104_this_is_not_all_stands_where_somebody_without_a_name_may_come_in() {
    let glass = mutated(
        "[grant]",
        "[[policy.grant]]\nname = 'glass'\naccounts = ['root']\napprovers = ['anna']\nquorum = 0\npeople = ['dora']\nmax = '30m'\n[grant]",
    );
    for (old, new, is_all) in [
        // The same people, for longer or without a reason, or people with a name.
        (POLICY.to_string(), mutated("max = \"2h\"", "max = \"3h\""), true),
        (POLICY.to_string(), mutated("claim = true", "claim = false"), true),
        (glass.clone(), glass.replace("['dora']", "['dora']\nalways = true"), true),
        (glass.clone(), glass.replace("approvers = ['anna']", "approvers = ['anna', 'bob']"), true),
        (POLICY.to_string(), mutated("[\"breakglass\"]", "[\"breakglass\", \"dora\"]"), true),
        (POLICY.to_string(), mutated("hosts = [\"web*\"]", "hosts = [\"*\"]"), true),
        // Approvers let in whom they like; sudoers give a group what they like; whoever has a password.
        (POLICY.to_string(), mutated("quorum = 2", "quorum = 1"), false),
        (POLICY.to_string(), mutated("claim = true", "max_escalation_level = 2"), false),
        (POLICY.to_string(), mutated("mode = \"enforce\"", "mode = \"observe\""), false),
    ] {
        let plan = plan(&old, &new);
        assert_eq!(!said(&plan).contains(NOT_ALL), is_all, "{plan}");
        assert_eq!(plan.json()["lets_in_others"], !is_all, "{plan}");
    }
}

#[test]
fn a104_a_host_that_a_rule_for_grants_takes_is_a_line_of_its_own() {
    let labelled = INVENTORY.replace("name = \"web1\"\n", "name = \"web1\"\nlabels = [\"service=db\"]\n");
    let (config, rota, window) = (config(POLICY), rota(), fortnight());
    let told = |before: &str, after: &str| {
        let hosts = inventory(after).since(inventory(before));
        let (old, new) = (&config, &config);
        said(&Question { old, new, inventory: Some(&hosts), rota: Some(&rota), window }.answer())
    };
    let more = told(INVENTORY, &labelled);
    for line in [
        "loosens [[host]] `web1` labels: [] → [\"service=db\"]: covered from now on by `db`\n",
        "loosens [[host]] `web1` labels: [] → [\"service=db\"]: whoever has a grant by the rule `night` may enter root there from now on\n",
        NOT_ALL,
    ] {
        assert!(more.contains(line), "{line}\n{more}");
    }
    let fewer = told(&labelled, INVENTORY);
    assert!(fewer.contains("whoever has a grant by the rule `night` may not enter root there any more\n"));
    assert!(!fewer.contains(NOT_ALL), "{fewer}");
}

#[test]
fn a104_how_many_are_root_at_once_names_the_host_and_stands_only_where_it_changes() {
    let web = mutated("hosts = [\"web*\"]", "hosts = [\"web*\", \"db2\"]");
    let told = said(&plan(POLICY, &web));
    assert!(told.contains("at most 3 at once may be root on one host (db2; 2 before on db1), acc"), "{told}");
    // One more on a quiet host is no \"as many as before\".
    let quiet = said(&plan(&web, &mutated("hosts = [\"web*\"]", "hosts = [\"db2\"]")));
    assert!(quiet.contains("nobody gains, 2 lose\n") && !quiet.contains("at once"), "{quiet}");
}

#[test]
fn a104_a_group_gets_members_by_what_loosens_and_loses_them_by_what_tightens() {
    let deeper = mutated("claim = true", "claim = true\nmax_escalation_level = 2");
    let gained = said(&plan(POLICY, &deeper));
    assert!(
        gained.contains("; by it they are in the group `oncall` there, to which sudoers may give"),
        "{gained}"
    );
    let lost = said(&plan(&deeper, POLICY));
    assert!(lost.contains("; by it they are not in the group `oncall` there any more"), "{lost}");
}

#[test]
fn a104_a_whole_plan_of_shifts_is_not_at_any_time() {
    let mut all = rota();
    all.roster.shifts = all
        .roster
        .shifts
        .iter()
        .cloned()
        .map(|shift| policy::Shift { window: fortnight(), ..shift })
        .collect();
    let (old, hosts) = (config(POLICY), inventory(INVENTORY));
    let told = |new: &str| {
        let new = config(new);
        let question =
            Question { old: &old, new: &new, inventory: Some(&hosts), rota: Some(&all), window: fortnight() };
        said(&question.answer())
    };
    let shifts = told(&mutated("claim = true", "claim = true\nmax_escalation_level = 2"));
    assert!(
        shifts.contains(": carla, from the beginning to the end of this plan, by the rule `db`\n"),
        "{shifts}"
    );
    let exempt = told(&mutated("[\"breakglass\"]", "[\"breakglass\", \"dora\"]"));
    assert!(exempt.contains(": dora, at any time, on call or not, because it is never refused"), "{exempt}");
}
