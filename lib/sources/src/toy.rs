//! "Add a provider in an hour", as docs/providers.md has it: a toy service, which is all in this file but for the line in the
//! table; and that each service of the table has its one file, folder and section.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use host::config;
use host::config::kinds::{Form, Kind, SERVICES, Setting};
use http::{HttpError, Reply};
use policy::{Span, Timestamp, Window};
use serde::Deserialize;

use crate::ProviderError;
use crate::User;
use crate::answer::{all, identifier, instant, read};
use crate::gather::{Bound, Description, Named, Row};
use crate::pages::{Leaf, Whole};
use crate::service::{Access, Asked, Authorization, Service, Session, Trouble};
use crate::session::{Ask, bearer};

/// The line.
static KIND: Kind = Kind {
    module: "toy",
    word: "toy",
    label: "Toy",
    settings: &[Setting { name: "room", form: Form::Text, needed: true }],
    api: "https://toy.example.com",
    look_ahead: true,
    overrides: true,
    levels: false,
    teams: false,
    lists: true,
    asked: true,
    verified: false,
};

// The file.

struct Toy;

static SERVICE: Toy = Toy;

#[derive(Deserialize)]
struct List<T> {
    items: Vec<T>,
    next: Option<String>,
}

#[derive(Deserialize)]
struct Turn {
    who: String,
    start: String,
    end: String,
}

impl Service for Toy {
    fn access<'a>(&self, _settings: &'a config::Service, secret: &str) -> Result<Access<'a>, ProviderError> {
        Ok(Access { authorization: Authorization::Always(bearer(secret)), headers: Vec::new() })
    }

    fn list(&self, session: &mut Session<'_>, _wanted: &[String]) -> Result<Whole<Named>, Trouble> {
        Whole::follow("toys", |next| {
            let room = session.settings.text("room").unwrap_or_default();
            let query = [("room", room), ("after", next.unwrap_or("0"))];
            let List { items, next } = read::<List<String>>("/toys", &session.get("/toys", &query)?)?;
            let entries = all(items, |id| {
                let id = identifier(id, "a toy")?;
                Ok(Named { wanted: id.clone(), id: id.clone(), name: id })
            })?;
            Ok(Leaf { entries, next, total: None })
        })
    }

    fn shifts(
        &self,
        session: &mut Session<'_>,
        schedule: &mut Named,
        _window: Window,
    ) -> Result<Whole<Row>, Trouble> {
        let turns: Vec<Turn> = read("/turns", &session.get("/turns", &[("toy", &schedule.id)])?)?;
        let row = |turn: Turn| {
            let id = identifier(turn.who, "a child")?;
            let mail = Some(format!("{id}@example.com"));
            let user = User { id, mail, principal: None, label: None, disputed: None };
            let (start, end) = (Bound::At(instant(&turn.start)?), Bound::At(instant(&turn.end)?));
            Ok(Row { person: Description { user, whole: true }, level: 1, start, end })
        };
        Ok(Whole::at_once(all(turns, row)?))
    }
}

// And what it does not have to say: schedules by name, a missing one, refusals.

struct Double;

impl Ask for Double {
    fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Reply, HttpError> {
        let (status, body) = match (path, query) {
            ("/toys", [("room", "blue"), ("after", "0")]) => (200, r#"{"items": ["bear"], "next": "1"}"#),
            ("/toys", [("room", "blue"), ("after", "1")]) => (200, r#"{"items": ["duck", "lost"]}"#),
            ("/turns", [("toy", "bear" | "duck")]) => (
                200,
                r#"[{"who": "alice", "start": "2026-11-20T09:00:00Z", "end": "2026-11-20T18:00:00+01:00"}]"#,
            ),
            _ => (404, ""),
        };
        Ok(Reply { status, body: body.as_bytes().to_vec(), ..Reply::default() })
    }

    fn post(&self, _path: &str, _json: &str) -> Result<Reply, HttpError> {
        Ok(Reply::default())
    }

    fn authorize(&mut self, value: &str) -> Result<(), HttpError> {
        assert_eq!(value, "Bearer geheim");
        Ok(())
    }
}

#[test]
fn a_toy_is_a_provider() {
    let settings = config::Service {
        kind: &KIND,
        api: KIND.api.to_string(),
        texts: BTreeMap::from([("room", vec!["blue".to_string()])]),
        secrets: BTreeMap::new(),
        ca_file: PathBuf::new(),
        timeout: Span::seconds(5),
        proxy: None,
    };
    let window =
        Window::new(Timestamp::from_unix(1_795_172_400), Timestamp::from_unix(1_795_435_200)).unwrap();
    let ask = |wanted: &[&str]| {
        let access = SERVICE.access(&settings, "geheim").unwrap();
        let session = Session::with(&settings, Box::new(Double), access.authorization, None).unwrap();
        let wanted: Vec<String> = wanted.iter().map(ToString::to_string).collect();
        let asked = Asked {
            service: &SERVICE,
            settings: &settings,
            wanted: &wanted,
            max_escalation_level: 1,
            tap: None,
        };
        asked.fetch_by(session, window).unwrap()
    };
    let answer = ask(&[]);
    let read: Vec<&str> = answer.schedules().iter().map(|schedule| &*schedule.id).collect();
    assert_eq!(read, ["bear", "duck"]);
    let shift = &answer.schedules()[1].shifts[0];
    assert_eq!(
        (&*shift.user.id, shift.window.end().to_string()),
        ("alice", "2026-11-20T17:00:00Z".to_string())
    );
    let failed = answer.failed()[0].1.to_string();
    assert!(failed.starts_with("source-incomplete: https://toy.example.com/turns: status 404"), "{failed}");
    let failed = ask(&["bear", "beer"]).failed()[0].1.to_string();
    assert_eq!(failed, "source-incomplete: Toy has no schedule `beer`; check `schedules`");
}

#[test]
fn each_service_is_a_line_a_short_file_a_folder_and_a_section() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let page = include_str!("../../../docs/providers.md");
    for kind in SERVICES {
        assert!(crate::registered(kind).is_some(), "{}", kind.word);
        let file = std::fs::read_to_string(sources.join(format!("{}.rs", kind.module)));
        let lines = file.unwrap_or_else(|error| panic!("{}: {error}", kind.module)).lines().count();
        assert!(lines < 250, "{}.rs has {lines} lines", kind.module);
        let folder = std::fs::read_dir(sources.join("fixtures").join(kind.module));
        assert!(folder.is_ok_and(|mut folder| folder.next().is_some()), "{}", kind.module);
        assert!(
            page.contains(&format!("\n### {}\n", kind.label)),
            "docs/providers.md has no section {}",
            kind.label
        );
    }
}
