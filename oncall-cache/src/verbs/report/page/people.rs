//! By which names people are shown: their own, or numbers.
//!
//! With numbers no word of anybody's own making is shown either: reasons, owners, addresses and keys are left out.

use std::collections::BTreeMap;

use policy::OneLine;

use super::super::contents::{Gap, Report};
use super::super::login::{Class, Kind, Login};
use super::story::with_moments;

/// The longest text that is shown, in bytes; what our modules write is shorter.
const LONGEST: usize = 300;

/// The names of a page.
#[derive(Debug, Default)]
pub struct People {
    /// What is shown for each name, where that is not the name.
    numbers: Option<BTreeMap<String, String>>,
}

/// Numbers that are being given, in the order in which people appear.
struct Numbering<'r> {
    report: &'r Report,
    numbers: BTreeMap<String, String>,
    counts: BTreeMap<&'static str, u32>,
}

impl Numbering<'_> {
    /// Somebody who is a person, whatever the directory says today.
    fn person(&mut self, name: &str) {
        self.number(name, "person");
    }

    /// Whoever asked: a person, a program's account, a key, or what somebody typed.
    fn anybody(&mut self, name: &str) {
        let kind = match name {
            key if key.starts_with("SHA256:") => "key",
            name if self.report.names.is_person(name) => "person",
            _ => "name",
        };
        self.number(name, kind);
    }

    /// Many accounts are their person's own.
    fn account(&mut self, name: &str) {
        if self.report.names.is_person(name) {
            self.person(name);
        }
    }

    fn number(&mut self, name: &str, kind: &'static str) {
        if matches!(name, "" | "-" | "root") || self.numbers.contains_key(name) {
            return;
        }
        let count = self.counts.entry(kind).or_default();
        *count += 1;
        self.numbers.insert(name.to_string(), format!("{kind} {count}"));
    }

    fn login(&mut self, login: &Login) {
        match login.class {
            // These are accounts.
            Class::Exempt | Class::Automation => self.account(&login.person),
            Class::OnCall | Class::Grant | Class::BreakGlass => self.person(&login.person),
            Class::Observed => self.anybody(&login.person),
        }
        login.approvers.split(',').for_each(|name| self.person(name));
        self.account(&login.account);
    }

    fn kind(&mut self, kind: &Kind) {
        self.anybody(&kind.who);
        self.account(&kind.account);
    }
}

impl People {
    /// Numbers for everybody in `report`, in the order in which they appear: the same report gives the same ones.
    pub fn numbered(report: &Report) -> Self {
        let (numbers, counts) = (BTreeMap::new(), BTreeMap::new());
        let mut all = Numbering { report, numbers, counts };
        let late = report.could.late.iter().map(|late| &late.right);
        report.could.rights.iter().chain(late).for_each(|right| all.person(&right.person));
        let logins = &report.logins;
        logins.logins.iter().for_each(|login| all.login(login));
        for counts in [&logins.refused, &logins.revoked, &logins.would_refuse, &logins.would_end] {
            counts.keys().for_each(|kind| all.kind(kind));
        }
        for ended in &logins.ended {
            all.anybody(&ended.person);
            all.account(&ended.account);
            all.anybody(&ended.by);
        }
        report.gaps.iter().for_each(|gap| all.anybody(&gap.who));
        Self { numbers: Some(all.numbers) }
    }

    /// Are people shown by numbers?
    pub fn are_numbered(&self) -> bool {
        self.numbers.is_some()
    }

    /// A person or whoever asked.
    pub fn name(&self, name: &str) -> String {
        match (name, &self.numbers) {
            ("" | "-", _) => "somebody unknown".to_string(),
            (name, Some(numbers)) => numbers.get(name).cloned().unwrap_or_else(|| self.label(name)),
            (name, None) => shown(name),
        }
    }

    /// Names with commas between.
    pub fn names(&self, list: &str) -> String {
        let names: Vec<String> =
            list.split(',').filter(|name| !name.is_empty()).map(|name| self.name(name)).collect();
        names.join(" and ")
    }

    /// What somebody has called something: a schedule, a rule, an account. It may be called by a person's name.
    pub fn label(&self, text: &str) -> String {
        let Some(numbers) = &self.numbers else { return shown(text) };
        // The longest first: one name may be a part of another.
        let mut names: Vec<_> = numbers.iter().collect();
        names.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
        names.into_iter().fold(shown(text), |text, (name, number)| replaced(&text, name, number))
    }

    /// What somebody wrote; `None` where it is left out.
    pub fn words(&self, text: &str) -> Option<String> {
        (!text.is_empty() && !self.are_numbered()).then(|| shown(text))
    }

    /// What is not known.
    pub fn gap(&self, gap: &Gap) -> String {
        let Gap { before, who, after } = gap;
        if who.is_empty() && !self.are_numbered() {
            return with_moments(&OneLine::new(before).to_string());
        }
        let who = if who.is_empty() { String::new() } else { self.name(who) };
        with_moments(&self.label(before)) + &who + &self.label(after)
    }
}

/// `text` on one line, with nothing in it that turns or hides what is beside it.
pub fn shown(text: &str) -> String {
    OneLine::cut(text, LONGEST).to_string()
}

/// `text` with `name` replaced where it stands as a word.
fn replaced(text: &str, name: &str, by: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(name) {
        out.push_str(before);
        let is_word = !out.ends_with(char::is_alphanumeric) && !after.starts_with(char::is_alphanumeric);
        out.push_str(if is_word { by } else { name });
        rest = after;
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_replaced_wherever_it_is_a_word() {
        let people = |names: &[(&str, &str)]| People {
            numbers: Some(names.iter().map(|(name, shown)| (name.to_string(), shown.to_string())).collect()),
        };
        let people = people(&[("bob", "person 2"), ("bob.b", "person 1"), ("SHA256:x", "key 1")]);
        assert_eq!(people.label("rota/bob.b"), "rota/person 1");
        assert_eq!(people.label("bobby has bob's"), "bobby has person 2's");
        assert_eq!(
            (people.name("SHA256:x"), people.names("bob,bob.b")),
            ("key 1".into(), "person 2 and person 1".into())
        );
        assert_eq!(people.words("INC-42: call bob"), None);
        assert_eq!(People::default().words("a\u{202e}b"), Some("a\u{fffd}b".to_string()));
    }
}
