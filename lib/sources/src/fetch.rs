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
        Kind::Calendar(settings) => Calendar::new(settings, wanted, now).fetch(window),
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
    fn clocks_agree_within_the_time_the_answer_took() {
        let at = Timestamp::from_unix;
        let skew = |clock| super::skew(at(clock), at(1000), Duration::from_secs(5)).as_seconds();
        assert_eq!([skew(1000), skew(1005), skew(990), skew(1105)], [0, 0, 10, 100]);
    }
}
