//! What each service of the table is asked and answers, as its folder of fixtures says: `case.toml`, and the replies that it
//! names. docs/providers.md says what to write there.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use host::config::kinds::{Kind, SERVICES};
use serde::Deserialize;
use serde_json::Value;

/// Every service of the table, in its order.
pub static CASES: LazyLock<Vec<Case>> = LazyLock::new(|| SERVICES.iter().map(Case::read).collect());

/// The file in each folder.
pub const CASE: &str = "case.toml";

/// A value that may be any.
const ANY: &str = "*";

/// A service, its settings, the schedule of the story, and what it answers.
#[derive(Clone)]
pub struct Case {
    pub word: &'static str,
    pub settings: String,
    pub schedule: String,
    /// Whom its users are mapped to, where it tells no mail address.
    pub people: BTreeMap<String, String>,
    pub answers: Vec<Says>,
    /// A list that can be made endless.
    pub endless: Option<Endless>,
}

/// What is answered to one kind of request.
#[derive(Clone)]
pub struct Says {
    asked: Answer,
    /// The body that is asked with, if it is a POST.
    post: Option<Value>,
    pub body: Value,
}

/// A list whose every page says that another one follows.
#[derive(Clone)]
pub struct Endless {
    pub path: String,
    place: String,
    next: String,
    first: usize,
    page: Value,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    settings: String,
    schedule: String,
    #[serde(default)]
    people: BTreeMap<String, String>,
    answer: Vec<Answer>,
    endless: Option<EndlessSection>,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    path: String,
    /// Its query has these names and no others.
    #[serde(default)]
    query: BTreeMap<String, String>,
    /// And, if it likes, these.
    #[serde(default)]
    may: Vec<String>,
    post: Option<String>,
    file: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EndlessSection {
    path: String,
    file: String,
    /// Where in the page the next one is named (RFC 6901).
    place: String,
    /// How; `{}` is a number that counts up from `first`.
    next: String,
    #[serde(default)]
    first: usize,
}

/// Where the folders of fixtures are: cargo runs the tests of a crate in its folder. Read when they run, so that one that is
/// missing is told of by its name.
pub const FIXTURES: &str = "src/fixtures";

impl Case {
    fn read(kind: &'static Kind) -> Self {
        let folder = Path::new(FIXTURES).join(kind.module);
        let text = |name: &str| {
            let path = folder.join(name);
            fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        };
        let json = |name: &String| -> Value {
            serde_json::from_str(&text(name))
                .unwrap_or_else(|error| panic!("{}/{name}: {error}", kind.module))
        };
        let file: File =
            toml::from_str(&text(CASE)).unwrap_or_else(|error| panic!("{}/{CASE}: {error}", kind.module));
        let says =
            |asked: Answer| Says { post: asked.post.as_ref().map(json), body: json(&asked.file), asked };
        let endless = |section: EndlessSection| {
            let EndlessSection { path, file, place, next, first } = section;
            Endless { path, place, next, first, page: json(&file) }
        };
        Self {
            word: kind.word,
            settings: file.settings,
            schedule: file.schedule,
            people: file.people,
            answers: file.answer.into_iter().map(says).collect(),
            endless: file.endless.map(endless),
        }
    }

    /// What it answers; `None`: it knows no such request.
    pub fn answer(&self, path: &str, query: &BTreeMap<String, String>, body: &str) -> Option<Value> {
        let found = self.answers.iter().find(|says| says.is_asked_by(path, query, body));
        found.map(|says| says.body.clone())
    }
}

impl Says {
    pub fn path(&self) -> &str {
        &self.asked.path
    }

    /// As strict as a service that refuses what it does not know.
    fn is_asked_by(&self, path: &str, query: &BTreeMap<String, String>, body: &str) -> bool {
        let Answer { query: needed, may, .. } = &self.asked;
        let is_body = match &self.post {
            Some(expected) => serde_json::from_str(body).is_ok_and(|body| matches(expected, &body)),
            None => body.is_empty(),
        };
        is_body
            && path == self.asked.path
            && needed
                .iter()
                .all(|(name, value)| query.get(name).is_some_and(|it| value == ANY || it == value))
            && query.keys().all(|name| needed.contains_key(name) || may.contains(name))
    }
}

/// The same, but for texts that may be any.
fn matches(expected: &Value, found: &Value) -> bool {
    match (expected, found) {
        (Value::Object(expected), Value::Object(found)) => {
            expected.len() == found.len()
                && expected.iter().all(|(key, value)| found.get(key).is_some_and(|it| matches(value, it)))
        }
        (Value::String(any), Value::String(_)) if any == ANY => true,
        _ => expected == found,
    }
}

impl Endless {
    /// The page that so many came before.
    pub fn page(&self, before: usize) -> Value {
        let next = self.next.replace("{}", &(self.first + before).to_string());
        let mut page = self.page.clone();
        let mut place = &mut page;
        for name in self.place.split('/').skip(1) {
            place = &mut place[name];
        }
        *place = Value::String(next);
        page
    }
}
