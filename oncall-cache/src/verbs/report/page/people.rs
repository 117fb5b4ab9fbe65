//! By which names people are shown: their own, or numbers.
//!
//! With numbers no word of anybody's own making is shown either: reasons, owners, addresses and keys are left out.

use std::collections::BTreeMap;

use policy::OneLine;

use super::super::contents::{Gap, Report};
use super::super::login::{Certificate, Class, Kind, Login};
use super::story::with_moments;

/// The longest text that is shown, in bytes; what our modules write is shorter.
const LONGEST: usize = 300;

/// The names of a page.
#[derive(Debug, Default)]
pub struct People {
    /// What is shown for each name, where that is not the name.
    numbers: Option<Numbers>,
}

/// What is shown for each name.
#[derive(Debug)]
struct Numbers {
    by_name: BTreeMap<String, String>,
    /// The same for names in other letters: a schedule may be called after Alice.
    by_letters: BTreeMap<String, String>,
}

impl Numbers {
    fn new(by_name: BTreeMap<String, String>) -> Self {
        let letters = |(name, number): (&String, &String)| (name.to_ascii_lowercase(), number.clone());
        let by_letters = by_name.iter().map(letters).collect();
        Self { by_name, by_letters }
    }

    fn get(&self, name: &str) -> Option<&String> {
        self.by_name.get(name).or_else(|| self.by_letters.get(&name.to_ascii_lowercase()))
    }

    /// `text` with each name replaced that stands in it as a word, or as words: of two at one place the longer.
    fn replaced(&self, text: &str) -> String {
        let mut out = String::new();
        let (mut rest, mut is_begin) = (text, true);
        while let Some(letter) = rest.chars().next() {
            if is_begin && let Some((name, number)) = self.longest(rest) {
                out.push_str(number);
                rest = rest.get(name..).unwrap_or_default();
                is_begin = false;
                continue;
            }
            out.push(letter);
            rest = rest.get(letter.len_utf8()..).unwrap_or_default();
            is_begin = !letter.is_alphanumeric();
        }
        out
    }

    /// The longest name at the beginning of `text`: how long it is, and its number.
    fn longest(&self, text: &str) -> Option<(usize, &String)> {
        let ends = text.char_indices().map(|(at, _)| at).chain([text.len()]).rev();
        let words = ends
            .filter(|end| !text.get(*end..).is_some_and(|after| after.starts_with(char::is_alphanumeric)));
        words.filter(|end| *end > 0).find_map(|end| Some((end, self.get(text.get(..end)?)?)))
    }
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
        report.could.left_out.iter().for_each(|left| all.person(&left.person));
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
        Self { numbers: Some(Numbers::new(all.numbers)) }
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
        numbers.replaced(&shown(text))
    }

    /// What somebody wrote; `None` where it is left out.
    pub fn words(&self, text: &str) -> Option<String> {
        (!text.is_empty() && !self.are_numbered()).then(|| shown(text))
    }

    /// The certificate that somebody came with: what its authority calls it may be any text, and its number leads to a name.
    pub fn certificate(&self, certificate: &Certificate) -> String {
        let told = self.words(&certificate.told());
        told.map_or_else(|| "with a certificate, left out here".to_string(), |told| format!("with {told}"))
    }

    /// What is not known.
    pub fn gap(&self, gap: &Gap) -> String {
        let Gap { before, who, after } = gap;
        if who.is_empty() && !self.are_numbered() {
            return with_moments(&OneLine::new(before).to_string());
        }
        let who = if who.is_empty() { String::new() } else { self.name(who) };
        with_moments(&self.label(before)) + &who + &with_moments(&self.label(after))
    }
}

/// `text` on one line, with nothing in it that turns or hides what is beside it.
pub fn shown(text: &str) -> String {
    OneLine::cut(text, LONGEST).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_replaced_wherever_it_is_a_word() {
        let people = |names: &[(&str, &str)]| People {
            numbers: Some(Numbers::new(
                names.iter().map(|(name, shown)| (name.to_string(), shown.to_string())).collect(),
            )),
        };
        let people = people(&[("bob", "person 2"), ("bob.b", "person 1"), ("SHA256:x", "key 1")]);
        assert_eq!(people.label("rota/bob.b"), "rota/person 1");
        assert_eq!(people.label("bobby has bob's"), "bobby has person 2's");
        assert_eq!(people.label("Bob's rota, BOB.B"), "person 2's rota, person 1", "in other letters");
        assert_eq!(people.label("bob\u{e9} b\u{f6}b \u{1f600}bob"), "bob\u{e9} b\u{f6}b \u{1f600}person 2");
        // What has been replaced is not looked at again.
        let odd = super::People {
            numbers: Some(Numbers::new(
                [("person", "person 1"), ("1", "person 2")].map(|(a, b)| (a.into(), b.into())).into(),
            )),
        };
        assert_eq!(odd.label("person/1"), "person 1/person 2");
        assert_eq!(
            (people.name("SHA256:x"), people.names("bob,bob.b")),
            ("key 1".into(), "person 2 and person 1".into())
        );
        assert_eq!(people.words("INC-42: call bob"), None);
        assert_eq!(People::default().words("a\u{202e}b"), Some("a\u{fffd}b".to_string()));
    }
}
