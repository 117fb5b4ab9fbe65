//! What starts the syncs: crontabs, as cron itself would read them, and timers of systemd.

use super::finding::{Finding, Fix, Place, quoted};
use super::machine::Stat;

/// What keeps a sync from being started, and what fixes it.
pub type Trouble = (String, Fix);

/// A place where something could be started from.
#[derive(Debug, Clone)]
pub struct Starter {
    pub file: String,
    pub text: String,
    pub kind: Kind,
    /// Owner and mode.
    pub stat: Stat,
}

/// What sort of place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A service of systemd.
    Unit,
    /// /etc/crontab, or a file of /etc/cron.d: the user is the sixth field.
    SystemCrontab,
    /// Somebody's own.
    UserCrontab,
}

/// What is asked about whatever a starter names.
pub struct Named<'a> {
    /// Is there such a program?
    pub has: &'a dyn Fn(&str) -> bool,
    /// Is there such a user?
    pub is_user: &'a dyn Fn(&str) -> bool,
    /// Does this host's cron read a file of this name?
    pub reads: &'a dyn Fn(&str) -> bool,
}

/// Which files of /etc/cron.d are read: Debian's cron wants these letters alone, cronie leaves out what editors and
/// packages leave behind.
pub fn cron_reads(name: &str, is_cronie: bool) -> bool {
    if is_cronie {
        let left = ["~", ".rpmsave", ".rpmorig", ".rpmnew", ".cfsaved"];
        return !name.starts_with(['.', '#']) && !left.iter().any(|end| name.ends_with(end));
    }
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

impl Starter {
    /// Does it start `command`? What keeps it from that, and what fixes it, where something does.
    fn starts(&self, command: &str, named: &Named<'_>) -> Option<Result<(), Trouble>> {
        let jobs: Vec<Job<'_>> =
            self.text.lines().filter_map(|line| Job::read(line.trim(), self.kind)).collect();
        let of_command = jobs.iter().filter_map(|job| Some((job, program(job.command, command)?)));
        let troubles: Vec<_> = of_command.map(|(job, program)| self.trouble(job, program, named)).collect();
        let trouble = troubles.first()?.clone();
        Some(if troubles.contains(&None) { Ok(()) } else { trouble.map_or(Ok(()), Err) })
    }

    fn trouble(&self, job: &Job<'_>, program: &str, named: &Named<'_>) -> Option<Trouble> {
        let file = &self.file;
        let is_system = self.kind == Kind::SystemCrontab;
        let name = file.rsplit('/').next().unwrap_or_default();
        if is_system && !(named.reads)(name) {
            return Some((format!("cron ignores {file}, because of its name"), crontab()));
        }
        if is_system && (self.stat.uid != 0 || self.stat.mode & 0o022 != 0) {
            let what = format!("cron ignores {file}: it does not belong to root, or others can write it");
            return Some((what, Fix::Command(format!("chown root {0} && chmod go-w {0}", quoted(file)))));
        }
        if let Some(user) = job.user.filter(|user| !(named.is_user)(user)) {
            return Some((
                format!("{file} starts `{program}` as {user}, but there is no such user"),
                crontab(),
            ));
        }
        let is_gone = program.starts_with('/') && !(named.has)(program);
        is_gone.then(|| (format!("{file} starts {program}, but there is no such program"), crontab()))
    }

    /// The timer of a unit; none of a crontab.
    fn timer(&self) -> Option<String> {
        let name = self.file.rsplit('/').next()?.strip_suffix(".service")?;
        Some(format!("{name}.timer"))
    }
}

/// One line that starts something.
struct Job<'a> {
    user: Option<&'a str>,
    command: &'a str,
}

impl<'a> Job<'a> {
    fn read(line: &'a str, kind: Kind) -> Option<Self> {
        if kind == Kind::Unit {
            return Some(Self { user: None, command: line.strip_prefix("ExecStart=")? });
        }
        if !line.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '*' | '@' | '-')) {
            return None;
        }
        let times = if line.starts_with('@') { 1 } else { 5 };
        let command = (0..times).try_fold(line, |rest, _| after_word(rest))?;
        match kind {
            Kind::SystemCrontab => {
                let user = command.split_whitespace().next()?;
                // Without one cron takes the command for it.
                Some(Self { user: Some(user), command: after_word(command).unwrap_or(command) })
            }
            _ => Some(Self { user: None, command }),
        }
    }
}

fn after_word(text: &str) -> Option<&str> {
    text.split_once(char::is_whitespace).map(|(_, rest)| rest.trim_start())
}

/// The program that `line` runs `command` by, as it is written there.
fn program<'a>(line: &'a str, command: &str) -> Option<&'a str> {
    let ends = |rest: &str| rest.is_empty() || rest.starts_with([' ', '\'', '"', ';', '&', '|', '>', ')']);
    let found = line.match_indices(command).map(|(at, _)| at);
    let at = found.filter(|at| line.get(at + command.len()..).is_some_and(ends)).last()?;
    let start = line.get(..at)?.rfind([' ', '\t', '\'', '"', ';', '&', '|', '(', '=']).map_or(0, |at| at + 1);
    let word = line.get(start..)?.split_whitespace().next()?;
    // systemd's marks before the path.
    Some(
        word.trim_start_matches(['-', '@', ':', '+', '!'])
            .trim_end_matches(['\'', '"', ';', '&', '|', '>', ')']),
    )
}

const CRON: &str = "printf '*/2 * * * * authkeys-sync /usr/bin/authkeys-sync\\n*/5 * * * * oncall-cache /usr/bin/oncall-cache sync\\n' >/etc/cron.d/authkeys";

fn crontab() -> Fix {
    Fix::Command(CRON.to_string())
}

/// What systemd says of timers. It tells whether they are enabled also where it does not run.
pub struct Systemd<'a> {
    pub runs: bool,
    /// The word that `systemctl VERB TIMER` answers; none where it does not tell.
    pub says: &'a dyn Fn(&str, &str) -> Option<String>,
}

impl Systemd<'_> {
    /// What keeps a timer from starting anything, now or after the next boot, and what fixes it.
    pub fn trouble(&self, timer: &str) -> Option<Trouble> {
        let (enabled, active) = ((self.says)("is-enabled", timer), (self.says)("is-active", timer));
        let now = if self.runs { " --now" } else { "" };
        let enable = format!("systemctl enable{now} {timer}");
        match (enabled.as_deref(), active.as_deref()) {
            (Some(word @ ("masked" | "masked-runtime")), _) => Some((
                format!("{timer} is {word}"),
                Fix::Command(format!("systemctl unmask {timer} && {enable}")),
            )),
            // Its file is gone, or this systemd does not know it.
            (None | Some("not-found"), _) => Some((
                format!("systemctl does not say whether {timer} is enabled"),
                Fix::Advice(format!("install the package authkeys again, then `{enable}`")),
            )),
            (_, Some(word)) if self.runs && word != "active" => {
                let restart = format!("systemctl reset-failed {timer}; {enable}");
                let fix = if word == "failed" { restart } else { enable };
                Some((format!("{timer} is {word}"), Fix::Command(fix)))
            }
            (Some("enabled" | "static" | "generated" | "alias"), _) => None,
            (Some(word), _) => {
                Some((format!("{timer} is {word}: the next boot does not start it"), Fix::Command(enable)))
            }
        }
    }
}

/// Is each sync started some way; and what pulls, on a host that follows a fleet?
pub fn timers(
    starters: &[Starter],
    named: &Named<'_>,
    systemd: &Systemd<'_>,
    follows_fleet: bool,
) -> Vec<Finding> {
    let pull = follows_fleet.then_some("oncall-cache pull");
    ["authkeys-sync", "oncall-cache sync"]
        .into_iter()
        .chain(pull)
        .filter_map(|command| unstarted(command, starters, named, systemd))
        .collect()
}

/// What keeps `command` from being started: one crontab that is right, or one timer that runs, is enough.
fn unstarted(
    command: &str,
    starters: &[Starter],
    named: &Named<'_>,
    systemd: &Systemd<'_>,
) -> Option<Finding> {
    let why = "without it the copy gets too old, in the end people on call are refused, and late changes of the rota are missed";
    let mut troubles = Vec::new();
    for starter in starters {
        let timer = starter.timer();
        let place =
            timer.as_ref().map_or(starter.file.clone(), |_| starter.file.replace(".service", ".timer"));
        let trouble = match (starter.starts(command, named), timer) {
            (None, _) => continue,
            (Some(Err(trouble)), _) => Some(trouble),
            (Some(Ok(())), timer) => timer.and_then(|timer| systemd.trouble(&timer)),
        };
        troubles.push((place, trouble?));
    }
    let nothing = || {
        let what = format!("nothing starts `{command}`: no crontab, no unit");
        ("/etc/cron.d/authkeys".to_string(), (what, crontab()))
    };
    let (file, (what, fix)) = troubles.into_iter().next().unwrap_or_else(nothing);
    let found = Finding::warning("timer", what).at(Place::file(file)).why(why);
    Some(Finding { fix, ..found })
}

/// Units of the suite that have failed and start nothing since: by a change, a connection, or a time that has come. systemd
/// tells nobody of them; of a service that fails, it does (`OnFailure=`). `listed` is what `systemctl list-units` prints of
/// those that failed; those that a finding of `known` is about already are left out. It keeps nobody from enforcing: what
/// decides who gets in is copied by timers, and these have findings of their own.
pub fn failed(listed: &str, known: &[Finding]) -> Vec<Finding> {
    let units = listed.lines().filter_map(|line| line.split_ascii_whitespace().next());
    let starts = |unit: &&str| [".path", ".socket", ".timer"].iter().any(|kind| unit.ends_with(kind));
    let is_new = |unit: &&str| !known.iter().any(|finding| finding.what.contains(unit));
    let one = |unit: &str| {
        let why =
            "it starts nothing until somebody starts it again; after a change, hosts wait for the next timer";
        let found = Finding::note("unit", format!("{unit} is failed"))
            .at(Place::file(format!("/usr/lib/systemd/system/{unit}")));
        let fix = format!("systemctl status {unit}; systemctl reset-failed {unit} && systemctl start {unit}");
        Finding { fix: Fix::Command(fix), ..found.why(why) }
    };
    units.filter(starts).filter(is_new).map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_failed_and_starts_others_is_told_once() {
        let listed = "authkeys-changed.path loaded failed failed When files change\n\
            oncall-cache-sync.service loaded failed failed Copy who is on call\n\
            oncall-grant-accept.socket loaded failed failed Where anybody brings a grant\n";
        let known = [Finding::warning("grant-socket", "oncall-grant-accept.socket is failed".to_string())];
        let told = failed(listed, &known);
        let [one] = &told[..] else { panic!("{told:?}") };
        assert_eq!((one.id, one.what.as_str()), ("unit", "authkeys-changed.path is failed"));
        assert_eq!(failed(listed, &[]).len(), 2);
        assert_eq!(failed("", &[]), []);
    }

    fn starter(file: &str, text: &str) -> Starter {
        let kind = if file.ends_with(".service") { Kind::Unit } else { Kind::SystemCrontab };
        let stat = Stat { uid: 0, gid: 0, mode: 0o644, is_directory: false };
        Starter { file: file.to_string(), text: text.to_string(), kind, stat }
    }

    const NAMED: Named<'static> = Named {
        has: &|path| path.starts_with("/usr/bin/"),
        is_user: &|name| ["authkeys-sync", "oncall-cache", "root"].contains(&name),
        reads: &|name| cron_reads(name, false),
    };

    fn told(starters: &[Starter], runs: bool, enabled: &str, active: &str) -> Vec<String> {
        let word = |text: &str| Some(text.to_string()).filter(|text| !text.is_empty());
        let says = |verb: &str, _: &str| word(if verb == "is-enabled" { enabled } else { active });
        timers(starters, &NAMED, &Systemd { runs, says: &says }, false)
            .into_iter()
            .map(|finding| finding.what)
            .collect()
    }

    #[test]
    fn each_sync_has_to_be_started_by_something() {
        let cron = starter(
            "/etc/cron.d/authkeys",
            "# oncall-cache sync\n*/2 * * * * authkeys-sync /usr/bin/authkeys-sync\n*/5 * * * * oncall-cache oncall-cache sync >/dev/null\n",
        );
        assert_eq!(told(std::slice::from_ref(&cron), true, "disabled", "inactive"), [""; 0]);
        let half = starter(
            "/etc/cron.d/authkeys",
            "*/2 * * * * authkeys-sync true\n*/5 * * * * oncall-cache oncall-cache synchronise\n",
        );
        assert_eq!(told(&[half], true, "enabled", "active").len(), 2);
        let units = [
            starter(
                "/etc/systemd/system/authkeys-sync.service",
                "[Service]\nExecStart=/usr/bin/authkeys-sync\n",
            ),
            starter(
                "/usr/lib/systemd/system/oncall-cache-sync.service",
                "ExecStart=/usr/bin/oncall-cache sync\n",
            ),
        ];
        for (runs, enabled, active, expected) in [
            (true, "enabled", "active", None),
            (true, "static", "active", None),
            (true, "enabled", "inactive", Some("authkeys-sync.timer is inactive")),
            (true, "enabled", "failed", Some("authkeys-sync.timer is failed")),
            (
                true,
                "disabled",
                "active",
                Some("authkeys-sync.timer is disabled: the next boot does not start it"),
            ),
            (true, "masked", "inactive", Some("authkeys-sync.timer is masked")),
            (false, "enabled", "", None),
            (false, "disabled", "", Some("authkeys-sync.timer is disabled: the next boot does not start it")),
            (false, "", "", Some("systemctl does not say whether authkeys-sync.timer is enabled")),
        ] {
            let all = told(&units, runs, enabled, active);
            assert_eq!(all.first().map(String::as_str), expected, "{runs} {enabled} {active}");
            assert_eq!(all.len(), if expected.is_some() { 2 } else { 0 });
        }
        let both = [units.as_slice(), &[cron]].concat();
        assert_eq!(told(&both, true, "disabled", "inactive"), [""; 0], "a crontab is enough");
        assert_eq!(told(&[], true, "enabled", "active").len(), 2);
    }

    #[test]
    fn a_crontab_that_starts_nothing_is_told_with_what_keeps_it_from_that() {
        let right = "MAILTO=ops\n*/2 * * * *\tauthkeys-sync  /usr/bin/authkeys-sync\n@hourly root sh -c 'oncall-cache sync; true'\n";
        let cron = |file: &str, text: &str| starter(&format!("/etc/cron.d/{file}"), text);
        let ask = |starter: Starter| told(&[starter], false, "", "");
        assert_eq!(ask(cron("authkeys", right)), [""; 0]);
        for name in ["authkeys.cron", "authkeys~", ".authkeys"] {
            let name_told = format!("cron ignores /etc/cron.d/{name}, because of its name");
            assert_eq!(ask(cron(name, right)), [name_told.clone(), name_told]);
        }
        for (old, new, expected) in [
            (
                " /usr/bin/",
                " /usr/local/bin/",
                "/etc/cron.d/x starts /usr/local/bin/authkeys-sync, but there is no such program",
            ),
            (
                "authkeys-sync  /",
                "authkeyssync /",
                "/etc/cron.d/x starts `/usr/bin/authkeys-sync` as authkeyssync, but there is no such user",
            ),
            (
                "authkeys-sync  /",
                "/",
                "/etc/cron.d/x starts `/usr/bin/authkeys-sync` as /usr/bin/authkeys-sync, but there is no such user",
            ),
            ("*/2 *", "# */2 *", "nothing starts `authkeys-sync`: no crontab, no unit"),
            (
                "authkeys-sync\n",
                "authkeys-synchronise\n",
                "nothing starts `authkeys-sync`: no crontab, no unit",
            ),
        ] {
            assert_eq!(ask(cron("x", &right.replace(old, new))), [expected]);
        }
        for (uid, mode) in [(0, 0o666), (1000, 0o644)] {
            let stat = Stat { uid, mode, gid: 0, is_directory: false };
            let all = ask(Starter { stat, ..cron("authkeys", right) });
            assert!(all.iter().all(|what| what.contains("others can write it")) && all.len() == 2, "{all:?}");
        }
        let own = Starter { kind: Kind::UserCrontab, ..cron("root", "*/2 * * * * /usr/bin/authkeys-sync\n") };
        assert_eq!(ask(own), ["nothing starts `oncall-cache sync`: no crontab, no unit"]);
        let both = [cron("gone", &right.replace("/usr/bin", "/opt")), cron("authkeys", right)];
        assert_eq!(told(&both, false, "", ""), [""; 0], "one that is right is enough");
    }

    #[test]
    fn cronie_reads_names_that_debians_cron_does_not() {
        assert!(cron_reads("authkeys.cron", true) && !cron_reads("authkeys.cron", false));
        assert!(!cron_reads("authkeys.rpmsave", true) && !cron_reads("authkeys~", true));
    }
}
