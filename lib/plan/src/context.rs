//! What a change means where both configurations, the hosts and the rota tell more than the setting alone.

use host::Config;
use policy::{Facts, Guard, Host, HostSelector, Roster, Rule, Rules, Who};

use crate::changes::{Change, Effect};
use crate::door::ROOT;
use crate::moves::some_of;
use crate::question::Question;

/// What else is known than a setting.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Context<'a> {
    pub question: &'a Question<'a>,
    /// Each host as it is before and after.
    pub hosts: &'a [(Host, Host)],
    /// The rota as hosts will have it after the change.
    pub after: Option<&'a Roster>,
}

impl Context<'_> {
    /// Says of each change what it means here, and puts them in order again.
    pub fn explain(self, changes: &mut [Change]) {
        for change in &mut *changes {
            let (section, key) = (change.detail.section.clone(), change.key.clone());
            match (section.as_str(), key.as_str(), change.detail.is_added) {
                ("policy.shared_account", "", Some(false)) => self.no_longer_shared(change),
                ("policy", "guarded_accounts", Some(false)) => self.no_longer_named(change),
                ("policy", "mode", _) if change.effect == Effect::Loosens => self.observed(change),
                ("policy.rule", "hosts", Some(is_added)) => self.moved(change, is_added),
                ("policy.rule", "max_escalation_level", _) if change.effect == Effect::Loosens => {
                    self.deepened(change);
                }
                ("nss.group", "" | "rules" | "grants", _) if change.effect == Effect::Loosens => {
                    self.grouped(change);
                }
                ("oncall.source", "people", _) => self.renamed(change),
                _ => {}
            }
        }
        changes.sort();
    }

    fn rules(&self) -> (&Rules, &Rules) {
        (&self.question.old.rules, &self.question.new.rules)
    }

    /// A shared account that is none any more: what else guards it?
    fn no_longer_shared(&self, change: &mut Change) {
        let (old, new) = self.rules();
        let account = change.name().to_string();
        let was_limited = old.shared(&account).is_some_and(|shared| matches!(shared.people, Who::Only(_)));
        // A key of a program counts where an account is not shared.
        let has_programs = new.automation.iter().any(|entry| entry.account.as_str() == account);
        (change.effect, change.means) = match guard(new, &account) {
            None => (Effect::Loosens, unchecked(&account)),
            Some(Guard::UidZero) if was_limited => (
                Effect::Loosens,
                format!(
                    "more people may enter it when they are on call; {}",
                    checked(&account, "it has uid 0")
                ),
            ),
            Some(Guard::UidZero) => (Effect::Neutral, checked(&account, "it has uid 0")),
            Some(_) => {
                let effect = if has_programs { Effect::MayLoosen } else { Effect::Tightens };
                let why = checked(&account, "guarded_accounts names it");
                (effect, format!("the keys of the people on call do not open it any more; {why}"))
            }
        };
    }

    /// An account that is not in `guarded_accounts` any more.
    fn no_longer_named(&self, change: &mut Change) {
        let account = change.detail.items.concat();
        (change.effect, change.means) = match guard(self.rules().1, &account) {
            None => (Effect::Loosens, unchecked(&account)),
            Some(Guard::UidZero) => (Effect::Neutral, checked(&account, "it has uid 0")),
            Some(_) => (Effect::Neutral, checked(&account, "[[policy.shared_account]] names it")),
        };
    }

    fn observed(&self, change: &mut Change) {
        let on = match (self.question.inventory, self.hosts.len()) {
            (Some(_), count) if count > 1 => format!("all {count} hosts"),
            _ => "all hosts".to_string(),
        };
        change.means = format!(
            "on {on}, from the roll-out on, PAM refuses nobody: whoever has a key, a password or a line in sudoers gets in; logins are only recorded"
        );
    }

    /// Another entry, or one less, of the hosts of a rule.
    fn moved(&self, change: &mut Change, is_added: bool) {
        let (old, new) = self.rules();
        let (Some(old), Some(new)) = (named(old, change.name()), named(new, change.name())) else { return };
        let (these, those) = if is_added { (new, old) } else { (old, new) };
        let mut items = change.detail.items.iter().map(|item| HostSelector::parse(item));
        if items.all(|item| those.hosts.iter().any(|other| is_within(&item, other))) {
            change.effect = Effect::Neutral;
            let covers = if is_added { "covered it before" } else { "covers it all the same" };
            change.means = format!("the rule {covers}");
            return;
        }
        if self.question.inventory.is_none() {
            return;
        }
        let side = |rule: &Rule, (before, after): &(Host, Host)| {
            rule.covers(if std::ptr::eq(rule, new) { after } else { before })
        };
        let moved = self.hosts.iter().filter(|host| side(these, host) && !side(those, host));
        let moved: Vec<&str> = moved.map(|(_, host)| host.name.as_str()).collect();
        (change.effect, change.means) = match (is_added, moved.is_empty()) {
            (true, true) => (
                Effect::MayLoosen,
                "it covers no more hosts of the inventory; hosts that are not in it may be covered"
                    .to_string(),
            ),
            (true, false) => (
                Effect::Loosens,
                format!("people on call by it are admitted on more hosts ({})", some_of(&moved)),
            ),
            (false, true) => (Effect::Tightens, "it covers no fewer hosts of the inventory".to_string()),
            (false, false) => (
                Effect::Tightens,
                format!("people on call by it are no longer admitted on some hosts ({})", some_of(&moved)),
            ),
        };
    }

    fn deepened(&self, change: &mut Change) {
        let (old, new) = self.rules();
        let (Some(old), Some(new)) = (named(old, change.name()), named(new, change.name())) else { return };
        let (from, to) = (old.max_escalation_level.saturating_add(1), new.max_escalation_level);
        let levels = if from == to { format!("level {to}") } else { format!("levels {from} to {to}") };
        change.means = format!("people on {levels} are admitted too");
        let Some(roster) = self.after else { return };
        let counted: Vec<usize> = new.schedules.iter().filter_map(|wanted| roster.find(wanted)).collect();
        let window = self.question.window;
        let is_there = roster.shifts.iter().any(|shift| {
            (from..=to).contains(&shift.level)
                && counted.contains(&shift.schedule)
                && shift.window.start() < window.end()
                && window.start() < shift.window.end()
        });
        if !is_there {
            change.means += "; the rota has none in this time";
        }
    }

    fn grouped(&self, change: &mut Change) {
        let name = change.name();
        let Some(group) = self.question.new.groups.iter().find(|group| group.name.as_str() == name) else {
            return;
        };
        let who = match group.rules() {
            None => "has a grant".to_string(),
            Some(rules) if rules.iter().any(|rule| rule == "*") => "is on call by any rule".to_string(),
            Some(rules) => format!("is on call by `{}`", rules.join("`, `")),
        };
        change.means =
            format!("whoever {who} is in the group on that host; sudoers that name %{name} give rights");
    }

    /// Somebody of the provider who is somebody else.
    fn renamed(&self, change: &mut Change) {
        let user = change.detail.items.concat();
        let source = change.name().to_string();
        let person = |config: &Config| {
            let source = config.oncall.sources.iter().find(|known| known.name == source);
            source.and_then(|source| source.people.get(&user)).cloned()
        };
        change.means = match person(self.question.new) {
            Some(person) => format!("the rota's `{user}` is `{person}` from now on"),
            None => format!("the directory says who the rota's `{user}` is, by name or mail"),
        };
        let users = self.question.rota.and_then(|rota| rota.users.as_ref());
        if users.is_some_and(|users| !users.contains(&(source, user))) {
            change.means += "; the rota has no shift of theirs in this time";
        }
    }
}

/// What guards `account` with these rules, if something that they name does.
fn guard(rules: &Rules, account: &str) -> Option<Guard> {
    let facts = Facts { uid: (account == ROOT).then_some(0), root_groups: Vec::new() };
    rules.guard("sshd", account, &facts)
}

fn checked(account: &str, why: &str) -> String {
    format!("logins to `{account}` are checked as before, because {why}")
}

fn unchecked(account: &str) -> String {
    format!(
        "logins to `{account}` are no longer checked: whoever has its key or password gets in at any time"
    )
}

fn named<'r>(rules: &'r Rules, name: &str) -> Option<&'r Rule> {
    rules.rules.iter().find(|rule| rule.name == name)
}

/// Does `outer` cover every host that `inner` covers, whatever hosts there are? If in doubt it does not.
fn is_within(inner: &HostSelector, outer: &HostSelector) -> bool {
    match (inner, outer) {
        (_, HostSelector::Name(all)) if all == "*" => true,
        (HostSelector::Label(inner), HostSelector::Label(outer)) => inner == outer,
        // A `*` stands for what `*` and `?` stand for too; a `?` does not.
        (HostSelector::Name(name), HostSelector::Name(glob)) => {
            (!glob.contains('?') || !name.contains(['*', '?']))
                && outer.covers(&Host { name: name.clone(), labels: Vec::new() })
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_within_another_one_only_if_all_its_hosts_are() {
        for (inner, outer, within) in [
            ("web1", "web*", true),
            ("WEB1.", "web*", true),
            ("web1*", "web*", true),
            ("web*", "web1*", false),
            ("web*", "*", true),
            ("label:a", "*", true),
            ("label:a", "label:a", true),
            ("label:a", "label:ab", false),
            ("a", "label:a", false),
            ("web*", "web?", false),
            ("web?", "web?*", false),
            ("web1", "web?", true),
            ("web?", "web*", true),
        ] {
            let [one, other] = [inner, outer].map(HostSelector::parse);
            assert_eq!(is_within(&one, &other), within, "{inner} {outer}");
        }
    }
}
