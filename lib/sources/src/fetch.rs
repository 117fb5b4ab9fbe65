//! Asking the sources: all at once, each within its own deadline, so that one that stalls costs no other its
//! turn.

use std::fmt;
use std::thread;
use std::time::{Duration, Instant};

use host::config::{Provider as Kind, Source};
use policy::{Rules, Span, Timestamp, Window};

use crate::calendar::Calendar;
use crate::exec::Exec;
use crate::file::File;
use crate::fleet::Fleet;
use crate::group::Group;
use crate::pagerduty::PagerDuty;
use crate::rota::Rota;
use crate::service::Asked;
use crate::session::Tap;
use crate::{Answer, Provider, ProviderError, registered};

/// How far a provider's clock may be from this host's: readers bear as much.
pub const SKEW: Span = Rules::SKEW;

/// What one source came to.
pub struct Fetched<'a> {
    /// The source.
    pub source: &'a Source,
    /// Its answer.
    pub answer: Result<Answer, ProviderError>,
    /// How far a service's clock and this host's are apart, where that is too far for either to be trusted.
    pub skew: Option<Span>,
    /// What is known of the time by it.
    pub told: Option<Told>,
}

/// What a source tells of the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// A service's clock showed this when it answered.
    Clock(Timestamp),
    /// A collector's clock has shown this: it is not earlier.
    AtLeast(Timestamp),
}

/// Asks every source for `window`; in the configuration's order. `now` is the time at which this is called; `progress`
/// hears what is done meanwhile.
pub fn all<'a>(
    sources: &'a [Source],
    window: Window,
    now: Timestamp,
    progress: &dyn Fn(fmt::Arguments<'_>),
) -> Vec<Fetched<'a>> {
    for source in sources {
        progress(format_args!("asking source `{}`", source.name));
    }
    let ask = |source| move || one(source, window, now, None);
    thread::scope(|scope| {
        let asked: Vec<_> = sources.iter().map(|source| (source, scope.spawn(ask(source)))).collect();
        asked
            .into_iter()
            .map(|(source, asking)| {
                let crashed = |_| Fetched {
                    source,
                    answer: Err(ProviderError::source("a bug in oncall-cache; please report it")),
                    skew: None,
                    told: None,
                };
                asking.join().unwrap_or_else(crashed)
            })
            .collect()
    })
}

/// What of `fetched` may be published. A service whose clock and this host's are too far apart tells neither shifts nor the
/// time; which of the two is wrong, another service may tell, and what others say of shifts stands.
pub fn judged(mut fetched: Vec<Fetched<'_>>) -> Vec<Fetched<'_>> {
    let agrees = |one: &&Fetched<'_>| one.skew.is_none() && matches!(one.told, Some(Told::Clock(_)));
    let witness = fetched.iter().find(agrees).map(|one| one.source.name.clone());
    for one in &mut fetched {
        let Some(apart) = one.skew else { continue };
        let next = match &witness {
            Some(other) => format!("source `{other}` agrees with this host, so its own clock is wrong"),
            None => "set the clock that is wrong".to_string(),
        };
        let text = format!("its clock and this host's are {apart} apart (clock-skew); {next}");
        (one.answer, one.told) = (Err(ProviderError::source(&text)), None);
    }
    fetched
}

/// Asks one source, here and now; `tap` hears what goes over the wire.
pub fn heard<'a>(source: &'a Source, window: Window, now: Timestamp, tap: Tap<'_>) -> Fetched<'a> {
    one(source, window, now, Some(tap))
}

fn one<'a>(source: &'a Source, window: Window, now: Timestamp, tap: Option<Tap<'_>>) -> Fetched<'a> {
    let started = Instant::now();
    let mut answer = fetch(source, window, now, tap);
    let clock = answer.as_ref().ok().and_then(|answer| answer.clock);
    let apart = clock.map(|clock| skew(clock, now, started.elapsed())).filter(|apart| *apart > SKEW);
    match (&source.provider, apart) {
        // The clock of a service that many ask is worth more than that of a script or of whoever writes a file.
        (Kind::PagerDuty(_) | Kind::Service(_), skew) => {
            Fetched { source, answer, skew, told: clock.map(Told::Clock) }
        }
        // What a collector signed is old by the time that a host reads it, and was judged by when it was issued.
        (Kind::Fleet(_), _) => Fetched { source, answer, skew: None, told: clock.map(Told::AtLeast) },
        (_, Some(apart)) => {
            let text = format!(
                "its `generated_at` and this host's clock are {apart} apart (clock-skew); set the clock that is wrong"
            );
            answer = Err(ProviderError::source(&text));
            Fetched { source, answer, skew: None, told: None }
        }
        (_, None) => Fetched { source, answer, skew: None, told: None },
    }
}

fn fetch(
    source: &Source,
    window: Window,
    now: Timestamp,
    tap: Option<Tap<'_>>,
) -> Result<Answer, ProviderError> {
    let (wanted, max_escalation_level) = (&source.schedules, source.max_escalation_level);
    match &source.provider {
        Kind::PagerDuty(settings) => {
            PagerDuty::new(settings, wanted, max_escalation_level).heard_by(tap).fetch(window)
        }
        Kind::Exec(settings) => Exec::new(settings, wanted, max_escalation_level).fetch(window),
        Kind::File(path) => File::new(path, wanted, max_escalation_level, now).fetch(window),
        Kind::Calendar(settings) => Calendar::new(settings, wanted, now).heard_by(tap).fetch(window),
        Kind::Group(settings) => Group::new(settings, wanted).fetch(window),
        Kind::Fleet(settings) => Fleet::new(settings, source, now).fetch(window),
        Kind::Service(settings) => {
            let unknown =
                || ProviderError::source("a bug in oncall-cache: no code asks this; please report it");
            let service = registered(settings.kind).ok_or_else(unknown)?;
            Asked { service, settings, wanted, max_escalation_level, tap }.fetch(window)
        }
        Kind::Rota(path) => Rota::new(path, wanted, max_escalation_level).fetch(window),
    }
}

/// How far the provider's clock is outside the time in which it can have answered.
fn skew(clock: Timestamp, asked: Timestamp, took: Duration) -> Span {
    let answered = asked.plus(Span::seconds(i64::try_from(took.as_secs()).unwrap_or(i64::MAX)));
    if clock < asked {
        asked.since(clock)
    } else if clock > answered {
        clock.since(answered)
    } else {
        Span::seconds(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_wrong_is_told_of_its_own_source_alone() {
        let text = b"[[oncall.source]]\nname = 'a'\nprovider = 'rota'\nfile = 'x'\n[[oncall.source]]\nname = 'b'\nprovider = 'rota'\nfile = 'x'\n";
        let config = host::Config::parse(std::path::Path::new("/c.toml"), text).unwrap();
        let [a, b] = config.oncall.sources.as_slice() else { panic!("{config:?}") };
        let window = Window::new(Timestamp::from_unix(0), Timestamp::from_unix(9)).unwrap();
        let came = |source, skew: Option<i64>| Fetched {
            source,
            answer: Ok(crate::gather::Gather::new(window, 1).finish()),
            skew: skew.map(Span::seconds),
            told: Some(Told::Clock(Timestamp::from_unix(5))),
        };
        let judged = |one, other| judged(vec![came(a, one), came(b, other)]);
        assert!(judged(None, None).iter().all(|one| one.answer.is_ok() && one.told.is_some()));
        let one = judged(Some(600), None);
        let error = one[0].answer.as_ref().unwrap_err().to_string();
        assert!(error.contains("10m apart (clock-skew); source `b` agrees with this host"), "{error}");
        assert!(one[0].told.is_none() && one[1].answer.is_ok());
        let both = judged(Some(600), Some(601));
        assert!(both.iter().all(|one| {
            one.answer.as_ref().is_err_and(|error| error.to_string().contains("set the clock that is wrong"))
        }));
    }

    #[test]
    fn clocks_agree_within_the_time_the_answer_took() {
        let at = Timestamp::from_unix;
        let skew = |clock| super::skew(at(clock), at(1000), Duration::from_secs(5)).as_seconds();
        assert_eq!([skew(1000), skew(1005), skew(990), skew(1105)], [0, 0, 10, 100]);
    }
}
