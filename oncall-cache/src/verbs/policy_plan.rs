//! `policy plan` and `policy test`: files are read here, and nothing is decided.

mod rota;

use std::path::{Path, PathBuf};

use host::Config;
use host::config::{DEFAULT_PATH, Rego};
use plan::{Asked, Expectations, Inventory, Narrow, Narrowing, Outcome, Plan, Question};
use policy::{Host, Roster, Timestamp, Window};
use serde_json::json;

use crate::cli::policy::plan::{PlanArguments, TestArguments};
use crate::narrow::Files;
use crate::said::{CANNOT_TELL, Said};
use crate::when;

/// The largest file that is read, in bytes: 64 MiB, the largest roster.
const LARGEST: u64 = 64 * 1024 * 1024;

/// What a change means.
pub fn plan(arguments: &PlanArguments, now: Timestamp) -> Said {
    let from = match when::asked(arguments.from.as_deref(), now) {
        Ok(from) => from,
        Err(problem) => return Said::usage(problem),
    };
    let Some(window) = Window::new(from, from.plus(arguments.length)) else {
        return Said::usage("--for is longer than nothing");
    };
    match planned(arguments, window) {
        Ok(plan) => told(arguments, &plan),
        Err(problem) => {
            let json = || json!({ "version": 1, "error": problem });
            Said::failure_as(arguments.json.then(json), &problem)
        }
    }
}

fn planned(arguments: &PlanArguments, window: Window) -> Result<Plan, String> {
    let ((old, old_files), (new, new_files)) = (config(&arguments.old)?, config(&arguments.new)?);
    let hosts = |path: Option<&Path>| path.map(inventory).transpose();
    let on_call = |given: &[PathBuf]| rota::read(given, &[&old, &new], window);
    let inventory =
        match (hosts(arguments.known.inventory.as_deref())?, hosts(arguments.old_inventory.as_deref())?) {
            (Some(after), Some(before)) => Some(after.since(before)),
            (after, _) => after,
        };
    let rota = match (on_call(&arguments.known.rota)?, on_call(&arguments.old_rota)?) {
        (Some(after), Some(before)) if after.tells_eligible != before.tells_eligible => {
            return Err("of --rota and --old-rota one is a copy of roster.db, and the other is not: give two copies, or two rotas in files".into());
        }
        (Some(after), Some(before)) => Some(after.since(before)),
        (after, _) => after,
    };
    let (inventory, rota) = (inventory.as_ref(), rota.as_ref());
    // One that is not understood is told whatever hosts there are, and nothing is planned by it.
    let understood = |files: &[Rego], config: &Config| {
        Files::read_unjudged(files).and_then(|read| read.check(&config.rules.host).map(|()| read))
    };
    let (old_read, new_read) = (understood(&old_files, &old), understood(&new_files, &new));
    let question = Question { old: &old, new: &new, inventory, rota, window };
    let [leave_old, leave_new] = [&old_files, &new_files]
        .map(|files| move |host: &Host, roster: &Roster| narrowed(files, host, roster));
    let [old_looked, new_looked] =
        [(&old_files, &old_read), (&new_files, &new_read)].map(|(files, read)| looked_into(files, read));
    let [old_kind, new_kind] = [&old_looked, &new_looked].map(|looked| move |host: &Host| kind(looked, host));
    let asked = |is_understood: bool, asked| Narrowing(is_understood.then_some(asked));
    let files = plan::Files {
        old: asked(old_read.is_ok(), Asked { leave: &leave_old, kind: &old_kind }),
        new: asked(new_read.is_ok(), Asked { leave: &leave_new, kind: &new_kind }),
    };
    let mut plan = question.answer_by(&files);
    plan.cannot_tell.extend(old_read.err().into_iter().chain(new_read.err()));
    let is_narrowed = rota.is_some_and(|rota| rota.tells_eligible);
    if is_narrowed && (!old_files.is_empty() || !new_files.is_empty()) {
        let text =
            "what files of [[policy.rego]] had left out of this copy of the rota: it is as its host has it";
        plan.not_known.push(text.to_string());
    }
    Ok(plan)
}

fn told(arguments: &PlanArguments, plan: &Plan) -> Said {
    let exceeded = exceeded(arguments, plan);
    let code = match (plan.cannot_tell.is_empty(), exceeded.is_empty()) {
        (false, _) => CANNOT_TELL,
        (true, false) => 1,
        (true, true) => 0,
    };
    if !arguments.json {
        return Said::text(plan.to_string()).notes(exceeded).exit(code);
    }
    let mut json = plan.json();
    if let Some(fields) = json.as_object_mut() {
        fields.insert("exceeded".to_string(), json!(exceeded));
    }
    Said::json(&json).exit(code)
}

/// The limits that the change does not keep, a line each. What cannot be counted keeps none.
fn exceeded(arguments: &PlanArguments, plan: &Plan) -> Vec<String> {
    let (gains, losses) = (plan.endless_gains(), plan.endless_losses());
    let limits = [
        ("--max-admitted", arguments.max_admitted, plan.counts.most_admitted, gains.as_slice()),
        ("--max-gained", arguments.max_gained, plan.counts.gained, gains.as_slice()),
        ("--max-lost", arguments.max_lost, plan.counts.lost, losses.as_slice()),
        ("--max-loosened", arguments.max_loosened, plan.loosened(), [].as_slice()),
    ];
    let told = |(name, limit, count, endless): (&str, Option<usize>, usize, &[String])| match limit? {
        limit if !endless.is_empty() => {
            Some(format!("limit exceeded: {name} {limit}: nobody can count them: {}", endless.join("; ")))
        }
        limit if limit < count => Some(format!("limit exceeded: {name} {limit}: it would be {count}")),
        _ => None,
    };
    limits.into_iter().filter_map(told).collect()
}

/// Does the policy decide as it is expected to?
pub fn test(config: &Path, arguments: &TestArguments, now: Timestamp) -> Said {
    match judged(config, arguments, now) {
        Ok(said) => said,
        Err(problem) => {
            let json = || json!({ "version": 1, "error": problem });
            Said::failure_as(arguments.json.then(json), &problem)
        }
    }
}

fn judged(path: &Path, arguments: &TestArguments, now: Timestamp) -> Result<Said, String> {
    let expectations = Expectations::parse(&arguments.file, &read(&arguments.file)?);
    let expectations = expectations.map_err(|error| error.to_string())?;
    let (config, files) = config(path)?;
    let given = arguments.known.inventory.as_deref().map(inventory).transpose()?;
    let inventory = given.unwrap_or_else(|| Inventory::of(vec![config.rules.host.clone()]));
    let window = expectations.window().or_else(|| Window::new(now, now.plus(policy::Span::hours(1))));
    let window = window.ok_or("nothing is expected")?;
    let rota = rota::read(&arguments.known.rota, &[&config], window)?;
    let rota = rota.ok_or("who is on call is not known: give a rota by --rota")?;
    let narrow = |host: &Host, roster: &Roster| narrowed(&files, host, roster);
    let narrow: Option<&Narrow<'_>> = if files.is_empty() { None } else { Some(&narrow) };
    let judged = expectations.judge(&config, &inventory, &rota, narrow);
    let has = |is: fn(&Outcome) -> bool| judged.iter().any(|one| is(&one.outcome));
    let code = match () {
        () if has(|outcome| matches!(outcome, Outcome::CannotTell(_))) => CANNOT_TELL,
        () => u8::from(has(|outcome| matches!(outcome, Outcome::Fails(_)))),
    };
    let observes = config.rules.mode == policy::Mode::Observe;
    let note =
        "mode = \"observe\": `admitted` and `refused` are what is decided and logged; PAM refuses nobody";
    let said = if arguments.json {
        let all: Vec<_> = judged.iter().map(plan::Judged::json).collect();
        Said::json(&json!({ "version": 1, "observes": observes, "expectations": all }))
    } else {
        let file = arguments.file.display();
        let lines: Vec<String> = judged.iter().map(|one| format!("{file}, {one}")).collect();
        Said::text(lines.join("\n"))
    };
    Ok(said.notes(observes.then_some(note)).exit(code))
}

/// What `files` of a configuration leave of `roster` on `host`. Every rule of them is evaluated: one that fails here would
/// fail there.
fn narrowed(files: &[Rego], host: &Host, roster: &Roster) -> Result<Roster, String> {
    let asked: Vec<Rego> = files.iter().filter(|file| file.covers(host)).cloned().collect();
    let narrowed = Files::read_unjudged(&asked)?.narrow_by_all(roster, host)?;
    match narrowed.problem {
        Some(problem) => Err(problem),
        None => Ok(Roster { shifts: narrowed.shifts, ..roster.clone() }),
    }
}

/// A file, and whether it looks at the host that asks.
struct Looked<'f> {
    file: &'f Rego,
    at_host: bool,
}

/// Each of `files`, by what was `read` of them. One that is not understood may look at the host.
fn looked_into<'f>(files: &'f [Rego], read: &Result<Files, String>) -> Vec<Looked<'f>> {
    let looks = read.as_ref().map_or_else(|_| vec![true; files.len()], Files::look_at_host);
    files.iter().zip(looks).map(|(file, at_host)| Looked { file, at_host }).collect()
}

/// What the answer of files hangs on, on `host`: which are asked there, and the host itself, where one looks at it.
fn kind(files: &[Looked<'_>], host: &Host) -> Vec<String> {
    let asked = || files.iter().filter(|looked| looked.file.covers(host));
    let mut kind: Vec<String> = asked().map(|looked| looked.file.file.display().to_string()).collect();
    if asked().any(|looked| looked.at_host) {
        kind.extend([host.name.clone()].into_iter().chain(host.labels.iter().cloned()));
    }
    kind
}

/// The configuration at `path`, whatever its owner: in a checkout it is anybody's. The names of files in it are those that
/// they will be once it is installed, wherever it is now; but for those in Rego, which are read beside it.
fn config(path: &Path) -> Result<(Config, Vec<Rego>), String> {
    let text = read(path)?;
    // Errors name the file as it was given.
    let here = Config::parse(path, &text).map_err(|error| error.to_string())?;
    // What a command that failed was to write is never planned for.
    if plan::is_empty(&here) {
        return Err(super::policy::nothing_written(path));
    }
    let there = Config::parse(Path::new(DEFAULT_PATH), &text).map_err(|error| error.to_string())?;
    Ok((there, here.rego))
}

fn inventory(path: &Path) -> Result<Inventory, String> {
    Inventory::parse(path, &read(path)?).map_err(|error| error.to_string())
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    use std::io::Read;
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > LARGEST {
        return Err(format!("{}: it is longer than {LARGEST} bytes", path.display()));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests;
