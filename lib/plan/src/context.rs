//! What a change means where both configurations, the hosts and the rota tell more than the setting alone.

use std::collections::BTreeSet;

use host::Config;
use policy::{
    Account, Automation, Facts, GrantRule, Guard, Host, HostSelector, Principal, Quorum, Roster, Rule, Rules,
    Shift, Who,
};

use crate::changes::{Change, Effect};
use crate::door::ROOT;
use crate::inventory::{HostSides, is_within};
use crate::moves::some_of;
use crate::question::Question;

/// What else is known than a setting.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Context<'a> {
    pub question: &'a Question<'a>,
    /// Each host as it is before and after.
    pub hosts: &'a [HostSides],
    /// The rota as hosts will have it after the change.
    pub after: Option<&'a Roster>,
}

impl Context<'_> {
    /// Says of each change what it means here, and puts them in order again.
    pub fn explain(self, changes: &mut Vec<Change>) {
        let apart: Vec<Change> = changes.iter_mut().filter_map(|change| self.told_apart(change)).collect();
        changes.extend(apart);
        for change in &mut *changes {
            let (section, key) = (change.detail.section.clone(), change.key.clone());
            match (section.as_str(), key.as_str(), change.detail.is_added) {
                ("policy.shared_account", "", Some(false)) => self.no_longer_shared(change),
                ("policy", "guarded_accounts", Some(false)) => self.no_longer_named(change),
                ("policy", "guarded_accounts", Some(true)) => self.newly_named(change),
                ("policy", "exempt_accounts", Some(true)) => self.exempted(change),
                ("policy", "pam_services", Some(false)) => {
                    change.means = format!("on {}, {}", self.all_hosts(), change.means)
                }
                ("policy", "mode", _) if change.effect == Effect::Loosens => self.observed(change),
                ("policy", "mode", _) => self.enforced(change),
                ("policy.automation", "", Some(true)) => self.new_program(change),
                ("policy.automation", "" | "keys" | "fingerprints", Some(false))
                    if change.effect == Effect::Tightens =>
                {
                    self.no_program(change);
                }
                ("policy.automation", "until", _) => self.program_until(change),
                ("policy.grant", "", Some(true)) => self.new_grant(change),
                ("policy.grant", "approvers", Some(is_added)) => self.reviewers(change, is_added),
                ("policy.rule" | "policy.grant", "hosts", Some(is_added)) => self.moved(change, is_added),
                ("policy.rule", "max_escalation_level", _) if change.effect == Effect::Loosens => {
                    self.deepened(change);
                }
                ("nss.group", "" | "rules" | "grants", _) if change.effect == Effect::Loosens => {
                    self.grouped(change);
                }
                ("oncall.source" | "oncall.source.schedule" | "oncall.source.oauth", ..) => {
                    self.of_source(change);
                }
                ("oncall", "lookahead", _) => self.known_ahead(change),
                ("policy.grant", "quorum", _) if change.effect == Effect::Loosens => self.unsigned(change),
                // Who is admitted without one is told as a move.
                ("policy.rule.incident", key, _) if !key.is_empty() && change.effect <= Effect::MayLoosen => {
                    self.by_incident(change)
                }
                _ => {}
            }
            let is_of_grant = section == "policy.grant" && !["", "hosts"].contains(&key.as_str());
            if is_of_grant && change.effect == Effect::Loosens {
                self.of_grant(change);
            }
            if ["policy.rule", "policy.rule.incident"].contains(&section.as_str()) {
                self.with_members(change);
            }
        }
        changes.sort();
    }

    /// What is another change than the rest of it.
    fn told_apart(self, change: &mut Change) -> Option<Change> {
        keys_of_exempt(change, self.rules().1)
            .or_else(|| self.uncounted(change))
            .or_else(|| self.newly_limited(change))
    }

    /// An account that was guarded before, and is shared from now on: whom does that keep out?
    fn newly_limited(self, change: &Change) -> Option<Change> {
        let (old, new) = self.rules();
        let is_new = change.detail.section == "policy.shared_account"
            && change.key.is_empty()
            && change.detail.is_added == Some(true);
        let account = change.name();
        let guard = guard(old, account).filter(|_| is_new)?;
        let means = match &new.shared(account)?.people {
            Who::Only(_) => "of those on call nobody but these `people` enters it by ssh and su any more",
            Who::Everyone if guard == Guard::Named => {
                "whose account it was enters it as one of them, by ssh and su, and not by login"
            }
            Who::Everyone => return None,
        };
        Some(Change { effect: Effect::Tightens, means: means.to_string(), ..change.clone() })
    }

    pub(crate) fn rules(&self) -> (&Rules, &Rules) {
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
            Some(Guard::UidZero) => {
                let on = self.all_hosts();
                // Of an exempt one what opens is told as a door.
                let others = if new.exempts(&account) { "" } else { ", nor does any other but a program's" };
                let means = format!(
                    "by ssh no key of the people on call opens it any more on {on}{others}; by sudo and su they are admitted as before (it has uid 0)"
                );
                (Effect::Tightens, means)
            }
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

    /// An account that is in `guarded_accounts` from now on, and may have been guarded before.
    fn newly_named(&self, change: &mut Change) {
        let account = change.detail.items.concat();
        let why = match guard(self.rules().0, &account) {
            None => return,
            Some(Guard::UidZero) => "it has uid 0",
            Some(_) => "[[policy.shared_account]] names it",
        };
        (change.effect, change.means) = (Effect::Neutral, checked(&account, why));
    }

    /// An account that is never refused: by ssh and at a terminal that is whoever enters it.
    fn exempted(&self, change: &mut Change) {
        let account = change.detail.items.concat();
        if guard(self.rules().1, &account).is_some() {
            change.means = format!(
                "whoever has a key or the password of `{account}` enters it at any time, unless it is revoked; and by sudo and su it is never refused"
            );
        }
    }

    /// `all 3 hosts`, where it is known how many there are.
    pub(crate) fn all_hosts(&self) -> String {
        match (self.question.inventory, self.hosts.len()) {
            (Some(_), count) if count > 1 => format!("all {count} hosts"),
            _ => "all hosts".to_string(),
        }
    }

    fn observed(&self, change: &mut Change) {
        change.means = format!(
            "on {}, from the roll-out on, PAM refuses nobody: whoever has a key, a password or a line in sudoers gets in; logins are only recorded",
            self.all_hosts()
        );
    }

    fn enforced(&self, change: &mut Change) {
        change.means = format!(
            "on {}, from the roll-out on, PAM refuses whoever is not admitted; until then it refuses nobody",
            self.all_hosts()
        );
        let rules = &self.rules().1.rules;
        let after = self.hosts.iter().filter_map(|host| host.after.as_ref());
        let bare = after.filter(|host| !rules.iter().any(|rule| rule.covers(host)));
        let bare: Vec<&str> = bare.map(|host| host.name.as_str()).collect();
        if !bare.is_empty() {
            change.means += &format!(
                "; no rule covers {}: nobody is admitted there but accounts that are never refused, and by grants",
                some_of(&bare)
            );
        }
    }

    /// The entry of a program that is over before the plan begins opens nothing.
    fn new_program(&self, change: &mut Change) {
        let is_over = |entry: &&Automation| entry.is_over(self.question.window.start());
        let own = |entry: &&Automation| entry.account.as_str() == account_of(change);
        let new = &self.rules().1.automation;
        if new.iter().filter(own).all(|entry| is_over(&entry)) {
            change.effect = Effect::Neutral;
            change.means = "its day is over already: it opens nothing".to_string();
        }
    }

    /// The last day of a program, before the plan begins on both sides: it opens nothing.
    fn program_until(&self, change: &mut Change) {
        let start = self.question.window.start();
        let (old, new) = self.rules();
        let own = |entry: &&Automation| entry.account.as_str() == account_of(change);
        let mut entries = old.automation.iter().chain(&new.automation).filter(own);
        if entries.all(|entry| entry.is_over(start)) {
            (change.effect, change.means) =
                (Effect::Neutral, "its day is over already: it opens nothing".to_string());
        }
    }

    /// A program, or a key of one, that is listed no longer: what is left of it?
    fn no_program(&self, change: &mut Change) {
        let account = account_of(change).to_string();
        let has_keys = !change.key.is_empty() || {
            let gone = self.rules().0.automation.iter().filter(|entry| entry.account.as_str() == account);
            gone.flat_map(|entry| &entry.services).any(|service| service == "sshd")
        };
        if !has_keys {
            return;
        }
        let what = if change.key.is_empty() { "a listed key" } else { "that key" };
        (change.effect, change.means) = match guard(self.rules().1, &account) {
            Some(_) => (
                Effect::Tightens,
                format!(
                    "the program is refused; {what} that the directory has too counts from then on as the key of whoever has it there"
                ),
            ),
            None => (
                Effect::MayLoosen,
                format!(
                    "nothing guards `{account}`: from then on {what} that the directory has too opens it without `from` and `until`; one that the directory has not opens nothing"
                ),
            ),
        };
    }

    /// How far ahead the rota is known. `max_age` is never longer, so it is a matter only where a share of that is limited.
    fn known_ahead(&self, change: &mut Change) {
        let has_limit = |config: &Config| {
            let guards = config.oncall.sources.iter();
            guards
                .flat_map(|source| std::iter::once(&source.guards).chain(source.guards_of.values()))
                .any(|guards| guards.max_change < 100)
        };
        if !has_limit(self.question.old) && !has_limit(self.question.new) {
            change.effect = Effect::Neutral;
            change.means = "while the provider is down, `max_age` says how long the rota counts".to_string();
        } else if change.effect == Effect::Loosens {
            change.effect = Effect::MayLoosen;
        }
    }

    /// A rule by which people let themselves in from now on.
    fn unsigned(&self, change: &mut Change) {
        let Some(rule) = self.rules().1.grants.iter().find(|rule| rule.name == change.name()) else { return };
        if rule.quorum == Quorum::BreakGlass && !rule.always {
            change.means =
                "those in `people` let themselves in, without anybody else's signature, while the host cannot tell who is on call"
                    .to_string();
        }
    }

    /// A rule that waits for incidents less than it did, or not at all: for whom?
    fn by_incident(&self, change: &mut Change) {
        let Some(rule) = named(self.rules().1, change.name()) else { return };
        let Some(roster) = self.after else { return };
        let counted: Vec<usize> = rule.schedules.iter().filter_map(|wanted| roster.find(wanted)).collect();
        let window = self.question.window;
        let counts = |shift: &&Shift| {
            counted.contains(&shift.schedule)
                && shift.level <= rule.max_escalation_level
                && shift.window.intersect(window).is_some()
                && roster.is_eligible(&shift.principal)
        };
        let people = roster.shifts.iter().filter(counts).map(|shift| shift.principal.as_str());
        let people: Vec<&str> = people.collect::<BTreeSet<_>>().into_iter().collect();
        let after = self.hosts.iter().filter_map(|host| host.after.as_ref());
        let hosts: Vec<&str> =
            after.filter(|host| rule.covers(host)).map(|host| host.name.as_str()).collect();
        change.means += &match (people.is_empty(), hosts.is_empty()) {
            (_, true) => return,
            (true, false) => "; the rota has nobody for it in this time".to_string(),
            (false, false) => format!("; in this time that is {}, on {}", people.join(", "), some_of(&hosts)),
        };
    }

    /// Groups whose members are those whom the rule admits.
    fn with_members(&self, change: &mut Change) {
        let keys = ["", "hosts", "schedules", "max_escalation_level", "on_unknown", "services", "linger"];
        if change.effect == Effect::Neutral || !keys.contains(&change.key.as_str()) {
            return;
        }
        let has = |rules: &[String]| rules.iter().any(|rule| rule == change.name() || rule == "*");
        let groups = [self.question.old, self.question.new].into_iter().flat_map(|config| &config.groups);
        let groups = groups.filter(|group| group.rules().is_some_and(has));
        let groups: BTreeSet<String> = groups.map(|group| format!("`{}`", group.name)).collect();
        if !groups.is_empty() {
            let groups = groups.into_iter().collect::<Vec<_>>().join(", ");
            change.detail.reaches_others = true;
            change.means += &match change.effect {
                Effect::Tightens => {
                    format!(
                        "; by it they are not in the group {groups} there any more, to which sudoers may give rights"
                    )
                }
                _ => format!(
                    "; by it they are in the group {groups} there, to which sudoers may give rights that are not known here"
                ),
            };
        }
    }

    /// Approvers of a rule by which people let themselves in: they review that.
    fn reviewers(&self, change: &mut Change, is_added: bool) {
        let (old, new) = self.rules();
        let rules = if is_added { new } else { old };
        let rule = rules.grants.iter().find(|rule| rule.name == change.name());
        if !rule.is_some_and(GrantRule::is_break_glass) {
            return;
        }
        let means = match is_added {
            true => {
                "nobody is let in by them; once one of them has reviewed it, whoever let themselves in may do so again without waiting for a day"
            }
            false => "they may not review any more who let themselves in",
        };
        let people: Vec<&str> = rule.iter().flat_map(|rule| &rule.people).map(Principal::as_str).collect();
        let people = if is_added { format!(" (that is for {})", people.join(", ")) } else { String::new() };
        change.means = format!("{means}{people}");
        change.detail.names_people = is_added;
    }

    /// A rule for grants: who lets whom in by it?
    fn new_grant(&self, change: &mut Change) {
        let Some(rule) = self.rules().1.grants.iter().find(|rule| rule.name == change.name()) else { return };
        let means = match (rule.quorum, rule.always) {
            (Quorum::BreakGlass, true) => "those in `people` let themselves in, on call or not",
            (Quorum::BreakGlass, false) => {
                "those in `people` let themselves in while the host cannot tell who is on call"
            }
            (Quorum::One, _) => "a single approver lets in anybody whom the directory has, on call or not",
            (Quorum::Two, _) => "two approvers let in anybody whom the directory has, on call or not",
        };
        change.means = means.to_string();
    }

    /// Another entry, or one less, of the hosts of a rule, or of one for grants.
    fn moved(&self, change: &mut Change, is_added: bool) {
        let (old, new) = self.rules();
        let hosts_of = |rules| hosts_of(rules, &change.detail.section, change.name());
        let (Some(old), Some(new)) = (hosts_of(old), hosts_of(new)) else { return };
        let those = if is_added { old } else { new };
        let mut items = change.detail.items.iter().map(|item| HostSelector::parse(item));
        if items.all(|item| those.iter().any(|other| is_within(&item, other))) {
            change.effect = Effect::Neutral;
            let covers = if is_added { "covered it before" } else { "covers it all the same" };
            change.means = format!("the rule {covers}");
            return;
        }
        if self.question.inventory.is_none() {
            return;
        }
        let covers = |selectors: &[HostSelector], host: &Option<Host>| {
            host.as_ref().is_some_and(|host| selectors.iter().any(|selector| selector.covers(host)))
        };
        let is_moved = |host: &&HostSides| {
            let (before, after) = (covers(old, &host.before), covers(new, &host.after));
            if is_added { after && !before } else { before && !after }
        };
        let moved: Vec<&str> = self.hosts.iter().filter(is_moved).map(HostSides::name).collect();
        let who = match change.detail.section.as_str() {
            "policy.grant" => "people with a grant by it",
            _ => "people on call by it",
        };
        (change.effect, change.means) = match (is_added, moved.is_empty()) {
            (true, true) if self.are_known(&change.detail.items) => {
                (Effect::Neutral, "the rule covered it before".to_string())
            }
            (true, true) => (
                Effect::MayLoosen,
                "it covers no more hosts of the inventory; hosts that are not in it may be covered"
                    .to_string(),
            ),
            (true, false) => {
                (Effect::Loosens, format!("{who} are admitted on more hosts ({})", some_of(&moved)))
            }
            (false, true) => (Effect::Tightens, "it covers no fewer hosts of the inventory".to_string()),
            (false, false) => (
                Effect::Tightens,
                format!("{who} are no longer admitted on some hosts ({})", some_of(&moved)),
            ),
        };
    }

    /// Is each of these the whole name of a host of the inventory? Then it covers no other.
    fn are_known(&self, items: &[String]) -> bool {
        let is_known = |item: &String| {
            let selector = HostSelector::parse(item);
            let is_name = matches!(&selector, HostSelector::Name(name) if !name.contains(['*', '?']));
            is_name && self.hosts.iter().any(|host| host.after.as_ref().is_some_and(|it| selector.covers(it)))
        };
        items.iter().all(is_known)
    }

    /// What a rule for grants is for, of which something is looser.
    fn of_grant(&self, change: &mut Change) {
        let Some(rule) = self.rules().1.grants.iter().find(|rule| rule.name == change.name()) else { return };
        let listed = |names: &mut dyn Iterator<Item = &str>| names.collect::<Vec<_>>().join(", ");
        let after = self.hosts.iter().filter_map(|host| host.after.as_ref());
        let hosts: Vec<&str> =
            after.filter(|host| rule.covers(host)).map(|host| host.name.as_str()).collect();
        match change.key.as_str() {
            "always" => {
                let people = listed(&mut rule.people.iter().map(Principal::as_str));
                let old = self.rules().0.grants.iter().find(|old| old.name == rule.name);
                let was_there = old.is_some_and(GrantRule::is_break_glass);
                let before = if was_there { "; before, only while it could not" } else { "" };
                change.means = format!(
                    "{people} may enter by their own signature alone, also while the host can tell who is on call{before}"
                );
            }
            "people" if !rule.always => {
                change.means += ", while the host cannot tell who is on call";
            }
            _ => {}
        }
        if !hosts.is_empty() {
            let accounts = listed(&mut rule.accounts.iter().map(Account::as_str));
            let is_all = hosts.len() > 1 && hosts.len() == self.hosts.len();
            let hosts = if is_all { self.all_hosts() } else { some_of(&hosts) };
            let longest = match change.key.as_str() {
                "max" => String::new(),
                _ => format!(", for {} at most", rule.longest()),
            };
            change.means += &format!("; the rule is for {accounts} on {hosts}{longest}");
        }
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
        let old = self.question.old.groups.iter().find(|group| group.name.as_str() == name);
        let who = match group.rules() {
            None => "has a grant".to_string(),
            Some(rules) if rules.iter().any(|rule| rule == "*") => "is on call by any rule".to_string(),
            Some(rules) => format!("is on call by `{}`", rules.join("`, `")),
        };
        change.means =
            format!("whoever {who} is in the group on that host; sudoers that name %{name} give rights");
        let has = |rules: Option<&[String]>, rule: &Rule| {
            rules.is_some_and(|rules| rules.iter().any(|name| *name == rule.name || name == "*"))
        };
        let is_new =
            |rule: &&Rule| has(group.rules(), rule) && !has(old.and_then(|group| group.rules()), rule);
        let new: Vec<&Rule> = self.rules().1.rules.iter().filter(is_new).collect();
        let after = self.hosts.iter().filter_map(|host| host.after.as_ref());
        let hosts = after.filter(|host| new.iter().any(|rule| rule.covers(host)));
        let hosts: Vec<&str> = hosts.map(|host| host.name.as_str()).collect();
        if change.key == "rules" && !hosts.is_empty() {
            change.means += &format!("; more of them on {}", some_of(&hosts));
        }
    }
}

/// What an account that is never refused loses by that, if it is not a shared one: the directory's keys. They open it again
/// when it is refused again.
fn keys_of_exempt(change: &Change, new: &Rules) -> Option<Change> {
    let is_it = change.detail.section == "policy" && change.key == "exempt_accounts";
    let account = change.detail.items.concat();
    if !is_it || new.shared(&account).is_some() {
        return None;
    }
    let (effect, means) = match (change.detail.is_added?, guard(new, &account)) {
        (true, _) => (
            Effect::Tightens,
            format!(
                "the keys that the directory has do not open the account `{account}` by ssh any more; what is on a host itself does (authorized_keys, a password)"
            ),
        ),
        (false, None) => (
            Effect::MayLoosen,
            format!(
                "if the directory has keys for a person named `{account}`, they open this account by ssh again, at any time; root and other guarded accounts it enters only on call"
            ),
        ),
        (false, Some(_)) => return None,
    };
    Some(Change { effect, means, ..change.clone() })
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

/// The account of a program's entry, of which there may be several.
fn account_of(change: &Change) -> &str {
    change.name().split_once(" (").map_or(change.name(), |(account, _)| account)
}

/// The hosts of a rule, or of one for grants.
fn hosts_of<'r>(rules: &'r Rules, section: &str, name: &str) -> Option<&'r [HostSelector]> {
    if section == "policy.grant" {
        return rules.grants.iter().find(|rule| rule.name == name).map(|rule| rule.hosts.as_slice());
    }
    named(rules, name).map(|rule| rule.hosts.as_slice())
}

fn named<'r>(rules: &'r Rules, name: &str) -> Option<&'r Rule> {
    rules.rules.iter().find(|rule| rule.name == name)
}
