//! What the files of `[[policy.rego]]` say of the rota. Each is asked in a process of its own, this same program, with limits
//! on its time and memory: whatever a file does, this one goes on, and so do the other files.

use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use fleet::Digest;
use host::child::{Child, Ending, Trouble};
use host::config::{OnError, Rego};
use host::output::counted;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::resource::{Resource, setrlimit};
use policy::{Host, LeftBy, LeftOut, Roster, Shift, Shifts, Span, Taken};
use rego::{Asked, Job, Opening, Outcome};
use serde_json::{Value, json};
use trust::Owner;

/// What this program is called with to be the process that asks.
pub const VERB: &str = "ask-rego";

/// How much memory asking may take, in bytes: 512 MiB. Who is on call within each of 10,000 shifts takes some tens of them.
const MOST_SPACE: u64 = 512 * 1024 * 1024;

/// How much processor time it may take, in seconds: what a file may, and what the questions take to be made.
const MOST_SECONDS: u64 = 20;

/// How often one is started for a file: where it ends, the shift that it was asked about has failed, and not all behind it.
const STARTS: usize = 3;

/// How long is waited for all of them, on a machine that has other work.
const PATIENCE: Duration = Duration::from_secs(60);

/// The most that it may say, in bytes.
const MOST_SAID: u64 = 16 * 1024 * 1024;

/// All that it finds in its environment.
const ENVIRONMENT: [(&str, &str); 1] = [("LC_ALL", "C")];

/// The files that one host asks.
#[derive(Debug, Default)]
pub struct Files {
    files: Vec<Asked>,
    on_error: Vec<OnError>,
}

/// What they leave of a rota.
#[derive(Debug, Default)]
pub struct Narrowed {
    /// The shifts that count.
    pub shifts: Shifts,
    /// What does not.
    pub left: Vec<LeftOut>,
    /// What failed, and what became of those shifts, if something did: a line.
    pub problem: Option<String>,
}

impl Files {
    /// Reads those of `rego` that `host` asks, each root's alone to write.
    ///
    /// # Errors
    /// One cannot be read.
    pub fn read(rego: &[Rego], host: &Host) -> Result<Self, String> {
        let read = |path: &Path| {
            trust::read(path, Owner::Root, rego::LONGEST as u64).map_err(|refusal| refusal.to_string())
        };
        Self::read_by(rego, |one| one.covers(host), read)
    }

    /// The same of all of them, whoever could have written them: at a desk.
    ///
    /// # Errors
    /// One cannot be read.
    pub fn read_unjudged(rego: &[Rego]) -> Result<Self, String> {
        let read = |path: &Path| {
            let mut text = Vec::new();
            let file =
                File::open(path).and_then(|file| file.take(rego::LONGEST as u64 + 1).read_to_end(&mut text));
            file.map(|_| text).map_err(|error| format!("{}: {error}", path.display()))
        };
        Self::read_by(rego, |_| true, read)
    }

    fn read_by(
        rego: &[Rego],
        is_asked: impl Fn(&Rego) -> bool,
        read: impl Fn(&Path) -> Result<Vec<u8>, String>,
    ) -> Result<Self, String> {
        let mut files = Self::default();
        for one in rego.iter().filter(|one| is_asked(one)) {
            let name = one.file.display().to_string();
            let text = read(&one.file)?;
            let digest = Digest::of(&text).to_string();
            if let Some(wanted) = one.sha256.as_ref().filter(|wanted| **wanted != digest) {
                return Err(format!("{name}: its SHA-256 is {digest}, and config.toml wants {wanted}"));
            }
            let text = String::from_utf8(text).map_err(|_| format!("{name}: not UTF-8"))?;
            files.files.push(Asked { name, text, query: one.query.clone() });
            files.on_error.push(one.on_error);
        }
        Ok(files)
    }

    /// Whether each of them looks at the host that asks, in their order; one that is not understood may.
    pub fn look_at_host(&self) -> Vec<bool> {
        let looks = |file: &Asked| rego::looks_at_host(&file.name, &file.text, &file.query).unwrap_or(true);
        self.files.iter().map(looks).collect()
    }

    /// Are they understood? Nobody is asked about.
    ///
    /// # Errors
    /// One is not: the file, its line, and what is wrong.
    pub fn check(&self, host: &Host) -> Result<(), String> {
        let mut job = job(host, Vec::new());
        self.files.iter().try_for_each(|file| {
            job.file = file.clone();
            ask(&job, start).map(drop)
        })
    }

    /// What they leave of the shifts of `roster` on `host`.
    ///
    /// # Errors
    /// A file is not understood, or the process that asks could not be.
    pub fn narrow(&self, roster: &Roster, host: &Host) -> Result<Narrowed, String> {
        self.narrow_by(roster, job(host, asked(roster)), |job| ask(job, start))
    }

    /// The same, and every rule of each file is evaluated: one that no answer needs may fail as well.
    ///
    /// # Errors
    /// As for [`Files::narrow`].
    pub fn narrow_by_all(&self, roster: &Roster, host: &Host) -> Result<Narrowed, String> {
        let job = Job { every_rule: true, ..job(host, asked(roster)) };
        self.narrow_by(roster, job, |job| ask(job, start))
    }

    fn narrow_by(
        &self,
        roster: &Roster,
        mut job: Job,
        ask: impl Fn(&Job) -> Result<Vec<Outcome>, String>,
    ) -> Result<Narrowed, String> {
        if self.files.is_empty() {
            return Ok(Narrowed { shifts: roster.shifts.clone(), ..Narrowed::default() });
        }
        let mut said = Vec::with_capacity(self.files.len());
        for file in &self.files {
            job.file = file.clone();
            said.push(ask(&job)?.into_iter());
        }
        let mut faults = Faults::default();
        let (shifts, left) = policy::narrow(roster, |shift| {
            let taken = said.iter_mut().enumerate().filter_map(|(file, outcomes)| {
                let outcome = outcomes.next().unwrap_or_else(|| Outcome::Failed(NO_ANSWER.to_string()));
                self.taken(file, outcome, shift, &mut faults)
            });
            // The shortest; of two that are as short, the first file's.
            taken.min_by_key(|taken| taken.length)
        });
        Ok(Narrowed { shifts, left, problem: faults.told() })
    }

    fn taken(&self, file: usize, outcome: Outcome, shift: &Shift, faults: &mut Faults) -> Option<Taken> {
        let by = self.files.get(file)?.name.clone();
        let (length, why) = match outcome {
            Outcome::Keep => return None,
            Outcome::For(seconds) => (Span::seconds(seconds.into()), LeftBy::Length),
            Outcome::LeaveOut => (Span::seconds(0), LeftBy::Verdict),
            Outcome::Failed(what) => {
                let on_error = self.on_error.get(file).copied().unwrap_or_default();
                faults.add(&by, &what, shift, on_error);
                match on_error {
                    OnError::Keep => return None,
                    OnError::Drop => (Span::seconds(0), LeftBy::Fault),
                }
            }
        };
        Some(Taken { length, by, why })
    }
}

/// What failed.
#[derive(Debug, Default)]
struct Faults {
    count: usize,
    first: Option<String>,
}

impl Faults {
    fn add(&mut self, file: &str, what: &str, shift: &Shift, on_error: OnError) {
        self.count += 1;
        let becomes = match on_error {
            OnError::Keep => "stays as it is in the rota",
            OnError::Drop => "is left out",
        };
        let (person, start) = (&shift.principal, shift.window.start());
        self.first.get_or_insert_with(|| {
            format!("{file} failed, and the shift of {person} from {start} {becomes}: {what}")
        });
    }

    fn told(self) -> Option<String> {
        let first = self.first?;
        Some(match self.count - 1 {
            0 => first,
            more => format!("{first} (and {})", counted(more, "more shift")),
        })
    }
}

/// What is asked about the shifts on `host`, by a file that is not yet said.
fn job(host: &Host, shifts: Vec<rego::Shift>) -> Job {
    Job { host: host.name.clone(), labels: host.labels.clone(), shifts, ..Job::default() }
}

/// The shifts as files are asked about them.
fn asked(roster: &Roster) -> Vec<rego::Shift> {
    let one = |shift: &Shift| {
        let schedule = roster.schedules.get(shift.schedule);
        let named = |name: fn(&policy::Schedule) -> &str| schedule.map(name).unwrap_or_default().to_string();
        rego::Shift {
            start: shift.window.start().unix(),
            end: shift.window.end().unix(),
            person: shift.principal.to_string(),
            level: shift.level,
            source: named(|schedule| &schedule.reference.source),
            schedule: named(|schedule| &schedule.reference.id),
            schedule_name: named(|schedule| schedule.name.as_str()),
        }
    };
    roster.shifts.iter().map(one).collect()
}

/// What is said of a shift about which nothing was said.
const NO_ANSWER: &str = "no answer";

/// What a process said, and how it ended where that was not as it should.
type Answer = (Vec<u8>, Option<String>);

/// What the file of `job` says of each of its shifts, by processes that `start` starts. Where one ends, the shift that it was
/// asked about then has failed, and another one is asked about those behind it.
fn ask(job: &Job, start: impl Fn(&Job, Instant) -> Result<Answer, String>) -> Result<Vec<Outcome>, String> {
    let unasked = |what: String| format!("[[policy.rego]] {}: it cannot be asked: {what}", job.file.name);
    let now = Instant::now();
    let end = now.checked_add(PATIENCE).unwrap_or(now);
    let (mut outcomes, mut job) = (Vec::new(), job.clone());
    let mut why = String::new();
    for _ in 0..STARTS {
        job.first = outcomes.len();
        let (said, ended) = start(&job, end).map_err(&unasked)?;
        let mut lines = said.split(|byte| *byte == b'\n');
        match lines.next().and_then(|line| serde_json::from_slice(line).ok()) {
            Some(Opening::Loaded) => {}
            Some(Opening::Refused(why)) => return Err(why),
            None => return Err(unasked(ended.unwrap_or_else(|| "nothing was said".to_string()))),
        }
        outcomes.extend(lines.map_while(|line| serde_json::from_slice::<Outcome>(line).ok()));
        outcomes.truncate(job.shifts.len());
        if outcomes.len() == job.shifts.len() {
            return Ok(outcomes);
        }
        why = ended.unwrap_or_else(|| NO_ANSWER.to_string());
        outcomes.push(Outcome::Failed(why.clone()));
    }
    outcomes.resize(job.shifts.len(), Outcome::Failed(why));
    Ok(outcomes)
}

/// Starts this program to ask the file of `job`, and hears what it says until `end`.
fn start(job: &Job, end: Instant) -> Result<Answer, String> {
    let input = given(job).map_err(|error| error.to_string())?;
    let own = Path::new("/proc/self/exe");
    let mut child = Child::start_given(own, &[VERB], &ENVIRONMENT, input)
        .map_err(|error| format!("this program cannot be started again: {error}"))?;
    let said = child.listen(end, MOST_SAID).map_err(|trouble| match trouble {
        Trouble::Late => format!("not done after {} s", PATIENCE.as_secs()),
        Trouble::Endless => "its answers have no end".to_string(),
        Trouble::Pipe(error) => error.to_string(),
    })?;
    let ended = match child.ending(end) {
        Some(Ending::Exit(0)) => None,
        Some(Ending::Exit(code)) => Some(format!("it ended with exit status {code}")),
        Some(Ending::Signal(signal)) => Some(format!("it was ended by signal {signal}")),
        None => Some("it did not end".to_string()),
    };
    let ended = ended.map(|ended| match child.last_line() {
        Some(line) => format!("{ended}: {}", line.chars().take(200).collect::<String>()),
        None => ended,
    });
    Ok((said, ended))
}

/// `job` as a file without a name: nobody waits for anybody to read or write it.
fn given(job: &Job) -> io::Result<File> {
    let mut file = File::from(memfd_create(c"rego", MFdFlags::MFD_CLOEXEC)?);
    let mut writer = BufWriter::new(&mut file);
    serde_json::to_writer(&mut writer, job)?;
    writer.flush()?;
    drop(writer);
    file.rewind()?;
    Ok(file)
}

/// The process that asks: reads a job, and says what comes of it.
///
/// # Errors
/// There is no job, it cannot be bounded, or nobody listens.
pub fn answer() -> Result<(), String> {
    let bound =
        |resource, most| setrlimit(resource, most, most).map_err(|error| format!("setrlimit: {error}"));
    bound(Resource::RLIMIT_AS, MOST_SPACE)?;
    bound(Resource::RLIMIT_CPU, MOST_SECONDS)?;
    bound(Resource::RLIMIT_CORE, 0)?;
    let mut text = Vec::new();
    io::stdin().lock().read_to_end(&mut text).map_err(|error| error.to_string())?;
    let job: Job = serde_json::from_slice(&text).map_err(|error| error.to_string())?;
    drop(text);
    let mut out = BufWriter::new(io::stdout().lock());
    rego::judge(&job, &mut out).map_err(|error| error.to_string())
}

/// A shift that a file left out, of one person: `start` and `end` are those of the rota; from `from` on it does not count.
pub fn left_json(left: &LeftOut) -> Value {
    json!({
        "schedule": left.schedule.to_string(),
        "level": left.level,
        "start": left.shift.start().to_string(),
        "end": left.shift.end().to_string(),
        "from": left.from.to_string(),
        "by": left.by,
        "why": left.why.word(),
    })
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::collections::BTreeMap;

    use super::*;
    use policy::{Principal, Schedule, ScheduleRef, Timestamp, Window};

    fn at(hour: i64) -> Timestamp {
        Timestamp::from_unix(1_793_610_000 + hour * 3_600)
    }

    /// alice, bob on level 2, and carla, one after the other.
    fn roster() -> Roster {
        let shift = |person: &str, level, start, end| Shift {
            schedule: 0,
            principal: Principal::new(person).unwrap(),
            level,
            window: Window::new(at(start), at(end)).unwrap(),
        };
        Roster {
            late: Vec::new(),
            incidents: Default::default(),
            published: at(0),
            floor: at(0),
            schedules: vec![Schedule {
                reference: ScheduleRef { source: "pd".into(), id: "P1".into() },
                provider_id: "P1".into(),
                name: "db".into(),
                synced: at(0),
                horizon: at(72),
            }],
            shifts: vec![shift("alice", 1, 0, 12), shift("bob", 2, 12, 24), shift("carla", 1, 24, 36)].into(),
            eligible: BTreeMap::new(),
        }
    }

    fn files(on_error: &[OnError]) -> Files {
        let one = |number: usize| Asked {
            name: format!("{number}.rego"),
            text: String::new(),
            query: String::new(),
        };
        Files { files: (0..on_error.len()).map(one).collect(), on_error: on_error.to_vec() }
    }

    /// What files that say this of each shift leave: who is on call for how many hours, and what is told.
    fn left(
        on_error: &[OnError],
        said: &[Vec<Outcome>],
    ) -> (Vec<(String, i64)>, Vec<String>, Option<String>) {
        let of_file = |file: usize| said.iter().map(|answers| answers[file].clone()).collect();
        let number = |job: &Job| job.file.name.trim_end_matches(".rego").parse().unwrap();
        let ask = |job: &Job| Ok(of_file(number(job)));
        let narrowed = files(on_error).narrow_by(&roster(), Job::default(), ask).unwrap();
        let hours = |shift: &Shift| {
            (shift.principal.to_string(), shift.window.end().since(shift.window.start()).as_seconds() / 3_600)
        };
        let left = narrowed.left.iter().map(|one| format!("{} {} {}", one.principal, one.why.word(), one.by));
        (narrowed.shifts.iter().map(hours).collect(), left.collect(), narrowed.problem)
    }

    #[test]
    fn each_file_is_heard_and_the_shortest_answer_counts() {
        use Outcome::{For, Keep, LeaveOut};
        let keep = [OnError::Keep, OnError::Keep];
        let said = [vec![Keep, Keep], vec![For(7_200), For(3_600)], vec![For(3_600), LeaveOut]];
        let (on_call, left, problem) = left(&keep, &said);
        assert_eq!(on_call, [("alice".to_string(), 12), ("bob".to_string(), 1)]);
        assert_eq!((left, problem), (vec!["bob ttl 1.rego".into(), "carla verdict 1.rego".into()], None));
    }

    #[test]
    fn a106_a_failure_keeps_the_shift_or_drops_it_as_is_written() {
        let failed = || Outcome::Failed("divide by zero".to_string());
        let said = [vec![failed(), Outcome::Keep], vec![Outcome::Keep, failed()], vec![failed(), failed()]];
        let (on_call, left, problem) = left(&[OnError::Keep, OnError::Drop], &said);
        assert_eq!(on_call, [("alice".to_string(), 12)]);
        assert_eq!(left, ["bob error 1.rego", "carla error 1.rego"]);
        let expected = "0.rego failed, and the shift of alice from 2026-11-02T09:00:00Z stays as it is in the rota: \
                        divide by zero (and 3 more shifts)";
        assert_eq!(problem.as_deref(), Some(expected));
    }

    /// What comes of a file that says these words, one start after the other, each of which ends early.
    fn of_starts(said: &[&str]) -> (Result<Vec<Outcome>, String>, Vec<usize>) {
        let job =
            Job { file: files(&[OnError::Keep]).files.remove(0), shifts: asked(&roster()), ..Job::default() };
        let firsts = RefCell::new(Vec::new());
        let start = |job: &Job, _| {
            firsts.borrow_mut().push(job.first);
            let said = said[firsts.borrow().len() - 1];
            Ok((said.as_bytes().to_vec(), Some("it was ended by signal 9".to_string())))
        };
        (ask(&job, start), firsts.into_inner())
    }

    #[test]
    fn a106_only_the_shift_has_failed_at_which_a_process_ended() {
        let failed = || Outcome::Failed("it was ended by signal 9".to_string());
        use Outcome::{Keep, LeaveOut};
        let (said, firsts) = of_starts(&["\"loaded\"\n\"leave-out\"\n\"ke", "\"loaded\"\n\"keep\"\n"]);
        assert_eq!((said, firsts), (Ok(vec![LeaveOut, failed(), Keep]), vec![0, 2]));
        // Not for ever, and nothing that is not understood counts.
        let (said, firsts) = of_starts(&["\"loaded\"\n", "\"loaded\"\n\"allow\"\n", "\"loaded\"\n[]\n"]);
        assert_eq!((said, firsts), (Ok(vec![failed(), failed(), failed()]), vec![0, 1, 2]));
        // More than was asked for is not for anybody.
        let (said, _) = of_starts(&["\"loaded\"\n\"keep\"\n\"keep\"\n\"keep\"\n\"leave-out\"\n"]);
        assert_eq!(said, Ok(vec![Keep, Keep, Keep]));
    }

    #[test]
    fn a_file_that_is_refused_or_ends_its_process_before_an_answer_is_named() {
        let (refused, _) = of_starts(&["{\"refused\":\"db.rego:3: no\"}\n"]);
        assert_eq!(refused, Err("db.rego:3: no".to_string()));
        let (told, _) = of_starts(&[""]);
        let expected = "[[policy.rego]] 0.rego: it cannot be asked: it was ended by signal 9";
        assert_eq!(told, Err(expected.to_string()));
    }

    #[test]
    fn a_file_of_which_nothing_is_known_has_failed() {
        let ask = |_: &Job| Ok(vec![Outcome::Keep]);
        let narrowed = files(&[OnError::Drop]).narrow_by(&roster(), Job::default(), ask).unwrap();
        let kept: Vec<String> = narrowed.shifts.iter().map(|shift| shift.principal.to_string()).collect();
        assert_eq!(kept, ["alice"]);
        assert!(narrowed.problem.is_some_and(|problem| problem.contains("no answer (and 1 more shift)")));
    }
}
