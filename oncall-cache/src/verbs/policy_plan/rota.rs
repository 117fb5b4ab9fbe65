//! Who is on call, from what people have at a desk: rotas in files, a copy of a host's roster, or a fleet's publication.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use host::Config;
use host::config::{Provider, Source};
use plan::Rota;
use policy::{Principal, Roster, Schedule, ScheduleRef, Shift, Window};
use sources::document::{self, Wanted};
use sources::{Answer, ProviderShift, fetch};

/// How a database begins (SQLite's file format, section 1.3).
const DATABASE: &[u8] = b"SQLite format 3\0";

/// What `given` say, for the sources of `configs`, of which the first one runs and the last one is to run; nothing where
/// none is given.
///
/// # Errors
/// A line that says which does not tell, and why: nobody on call is never assumed.
pub fn read(given: &[PathBuf], configs: &[&Config], window: Window) -> Result<Option<Rota>, String> {
    let mut files = Files::new(configs, window);
    for one in given {
        if one.as_os_str() == "fleet" {
            files.take_fleet()?;
            continue;
        }
        let (source, path) = split(one, configs);
        let text = super::read(path)?;
        if !text.starts_with(DATABASE) {
            files.take(source, path, &text)?;
            continue;
        }
        if given.len() > 1 {
            return Err(format!(
                "{}: a copy of roster.db tells all that a host knows; give it alone",
                path.display()
            ));
        }
        let roster = store::roster::snapshot(path).map_err(|error| error.to_string())?;
        return Ok(Some(Rota { roster, after: None, users: None, tells_eligible: true, is_of_both: true }));
    }
    if given.is_empty() { Ok(None) } else { Ok(Some(files.finish())) }
}

/// `SOURCE=FILE`, where there is a source of that name.
fn split<'p>(given: &'p Path, configs: &[&Config]) -> (Option<&'p str>, &'p Path) {
    let bytes = given.as_os_str().as_bytes();
    let named = bytes.iter().position(|byte| *byte == b'=').and_then(|at| {
        let (name, path) = (bytes.get(..at)?, bytes.get(at + 1..)?);
        let name = std::str::from_utf8(name).ok()?;
        let is_known =
            configs.iter().flat_map(|config| &config.oncall.sources).any(|source| source.name == name);
        is_known.then_some((Some(name), Path::new(OsStr::from_bytes(path))))
    });
    named.unwrap_or((None, given))
}

/// A roster, of what files say.
struct Files<'a> {
    /// By name: each as the last configuration has it.
    sources: BTreeMap<&'a str, &'a Source>,
    /// The same as the first one has it.
    before: BTreeMap<&'a str, &'a Source>,
    /// What rules count.
    counted: BTreeSet<&'a ScheduleRef>,
    window: Window,
    schedules: Vec<Schedule>,
    /// Each by whom the sources have for its user now, and by whom they had before.
    shifts: Vec<Shift>,
    before_shifts: Vec<Shift>,
    /// Users with a shift, with their sources.
    users: BTreeSet<(String, String)>,
}

impl<'a> Files<'a> {
    fn new(configs: &[&'a Config], window: Window) -> Self {
        let named = |configs: &[&'a Config]| {
            let sources = configs.iter().flat_map(|config| &config.oncall.sources);
            sources.map(|source| (source.name.as_str(), source)).collect::<BTreeMap<_, _>>()
        };
        let mut before = named(configs);
        before.extend(named(configs.get(..1).unwrap_or_default()));
        let rules = configs.iter().flat_map(|config| &config.rules.rules);
        Self {
            sources: named(configs),
            before,
            counted: rules.flat_map(|rule| &rule.schedules).collect(),
            window,
            schedules: Vec::new(),
            shifts: Vec::new(),
            before_shifts: Vec::new(),
            users: BTreeSet::new(),
        }
    }

    /// Takes a rota.toml or a document in JSON. Without a source its schedules are those of that id, whichever source rules
    /// name with it.
    fn take(&mut self, source: Option<&str>, path: &Path, text: &[u8]) -> Result<(), String> {
        let is_json = text.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{');
        let answer = if is_json {
            let wanted = Wanted { schedules: &[], max_escalation_level: u8::MAX, window: self.window };
            document::parse(text, &path.display().to_string(), wanted).map_err(|error| error.to_string())?
        } else {
            let rota = sources::rota::Rota::new(path, &[], u8::MAX);
            rota.parse(text, self.window).map_err(|error| error.to_string())?
        };
        if let Some((schedule, error)) = answer.failed().first() {
            return Err(format!("{}: {schedule}: {error}", path.display()));
        }
        match source {
            Some(source) => self.add(source, &answer, path),
            None => {
                let named = self.named_by(&answer);
                match named.iter().collect::<Vec<_>>().as_slice() {
                    [source] => self.add(source, &answer, path),
                    [] => Err(format!(
                        "{}: no rule counts a schedule that it has; write --rota SOURCE=FILE if that is right",
                        path.display()
                    )),
                    [one, other, ..] => Err(format!(
                        "{}: sources `{one}` and `{other}` have schedules of its ids; write --rota SOURCE=FILE, for each that it is of",
                        path.display()
                    )),
                }
            }
        }
    }

    /// The sources of which rules count a schedule that `answer` has.
    fn named_by(&self, answer: &Answer) -> BTreeSet<String> {
        let ids: BTreeSet<&str> = answer.schedules().iter().map(|schedule| schedule.id.as_str()).collect();
        let counted = self.counted.iter().filter(|counted| ids.contains(counted.id.as_str()));
        counted.map(|counted| counted.source.clone()).collect()
    }

    /// What this host's copy of its fleet's publication says.
    fn take_fleet(&mut self) -> Result<(), String> {
        let is_fleet = |source: &&&Source| matches!(source.provider, Provider::Fleet(_));
        let sources: Vec<Source> =
            self.sources.values().filter(is_fleet).map(|source| (*source).clone()).collect();
        if sources.is_empty() {
            return Err("--rota fleet: no [[oncall.source]] has provider = \"fleet\"".to_string());
        }
        let now = host::clock::now();
        for fetched in fetch::all(&sources, self.window, now, &|_| ()) {
            let name = fetched.source.name.clone();
            let answer = fetched.answer.map_err(|error| format!("source `{name}`: {error}"))?;
            if let Some((schedule, error)) = answer.failed().first() {
                return Err(format!("source `{name}`: {schedule}: {error}"));
            }
            self.add(&name, &answer, Path::new("fleet"))?;
        }
        Ok(())
    }

    fn add(&mut self, source: &str, answer: &Answer, path: &Path) -> Result<(), String> {
        for told in answer.schedules() {
            let reference = ScheduleRef { source: source.to_string(), id: told.wanted.clone() };
            if self.schedules.iter().any(|known| known.reference == reference) {
                return Err(format!("{}: the rota has {reference} twice", path.display()));
            }
            let number = self.schedules.len();
            self.schedules.push(Schedule {
                reference,
                provider_id: told.id.clone(),
                name: told.name.clone(),
                synced: told.reading.map_or(self.window.start(), |reading| reading.at),
                horizon: told.reading.map_or(self.window.end(), |reading| reading.horizon),
            });
            for shift in &told.shifts {
                let (before, after) =
                    self.person(source, shift).map_err(|why| format!("{}: {why}", path.display()))?;
                let of = |principal| Shift {
                    schedule: number,
                    principal,
                    level: shift.level,
                    window: shift.window,
                };
                self.before_shifts.push(of(before));
                self.shifts.push(of(after));
                self.users.insert((source.to_string(), shift.user.id.clone()));
            }
        }
        Ok(())
    }

    /// Who a user is, before and after: by the source's table, or by the name that the directory has, as a sync finds it.
    /// Somebody whom the new table alone knows is taken for the same person before: the directory knew them by mail.
    fn person(&self, source: &str, shift: &ProviderShift) -> Result<(Principal, Principal), String> {
        let user = &shift.user;
        let by_table = |sources: &BTreeMap<&str, &Source>| sources.get(source)?.people.get(&user.id).cloned();
        let named = user
            .principal
            .as_ref()
            .map(|name| Principal::new(name).map_err(|error| format!("`{name}`: {error}")));
        let named = named.transpose()?;
        let after = by_table(&self.sources).or_else(|| named.clone()).ok_or_else(|| {
            format!(
                "who {} is in the directory is not known without it; name them in [oncall.source.people], or give a copy of roster.db",
                user.shown()
            )
        })?;
        Ok((by_table(&self.before).or(named).unwrap_or_else(|| after.clone()), after))
    }

    fn finish(self) -> Rota {
        let all = self.before_shifts.iter().chain(&self.shifts);
        let eligible = all.map(|shift| (shift.principal.clone(), true)).collect();
        let published = self.window.start();
        let is_renamed = self.before_shifts != self.shifts;
        let roster = Roster {
            published,
            floor: published,
            schedules: self.schedules,
            shifts: self.before_shifts.into(),
            late: Vec::new(),
            incidents: Default::default(),
            eligible,
        };
        let after = is_renamed.then(|| Roster { shifts: self.shifts.into(), ..roster.clone() });
        Rota { roster, after, users: Some(self.users), tells_eligible: false, is_of_both: true }
    }
}
