//! Answers of the on-call services that are asked over HTTPS: on the first line which one, then a line for each path that is
//! asked for, the path and after a space the JSON. Whoever is on call is written in an answer, with their address.

#![no_main]

use std::collections::BTreeMap;
use std::path::Path;

use host::config::{Config, Provider};
use http::{HttpError, Reply};
use libfuzzer_sys::fuzz_target;
use policy::{Timestamp, Window};
use sources::registered;
use sources::service::{Asked, Authorization, Session};
use sources::session::Ask;

/// A service that always gives this answer.
struct Played<'a>(&'a BTreeMap<&'a str, &'a str>);

impl Ask for Played<'_> {
    fn get(&self, path: &str, _query: &[(&str, &str)]) -> Result<Reply, HttpError> {
        let body = self.0.get(path).map(|body| body.as_bytes().to_vec());
        Ok(Reply {
            status: if body.is_some() { 200 } else { 404 },
            body: body.unwrap_or_default(),
            ..Reply::default()
        })
    }

    fn post(&self, path: &str, _json: &str) -> Result<Reply, HttpError> {
        self.get(path, &[])
    }

    fn authorize(&mut self, _value: &str) -> Result<(), HttpError> {
        Ok(())
    }
}

fuzz_target!(|text: &str| {
    let Some((word, rest)) = text.split_once('\n') else { return };
    let source = format!(
        "[policy]\nmode = 'observe'\n[[oncall.source]]\nname = 's'\nprovider = {word:?}\ntoken_file = 't'\n"
    );
    let own = match word {
        "linkedin-oncall" => "api = 'https://h'\napp = 'cache'\n",
        "goalert" => "api = 'https://h'\nschedules = ['S1']\n",
        "grafana" => "api = 'https://h'\n",
        "jsm" => "cloud_id = 'c'\naccount = 'a'\n",
        _ => "",
    };
    let Ok(config) = Config::parse(Path::new("/etc/c.toml"), (source + own).as_bytes()) else { return };
    let Some(Provider::Service(settings)) = config.oncall.sources.first().map(|source| &source.provider)
    else {
        return;
    };
    let Some(service) = registered(settings.kind) else { return };
    let Some(window) = Window::new(Timestamp::from_unix(1_795_172_400), Timestamp::from_unix(1_795_435_200))
    else {
        return;
    };
    let answers: BTreeMap<&str, &str> = rest.lines().filter_map(|line| line.split_once(' ')).collect();
    let wanted = config.oncall.sources.first().map(|source| source.schedules.clone()).unwrap_or_default();
    let session =
        Session::with(settings, Box::new(Played(&answers)), Authorization::Always("Bearer x".to_string()), None);
    let Ok(session) = session else { return };
    let asked = Asked { service, settings, wanted: &wanted, max_escalation_level: 2, tap: None };
    match asked.fetch_by(session, window) {
        Ok(answer) => {
            let written = |text: &str| {
                let quoted = serde_json::to_string(text).unwrap_or_default();
                // Written with escapes, it is not found so.
                answers.values().any(|body| body.contains(&quoted) || body.contains('\\'))
            };
            for shift in answer.schedules().iter().flat_map(|schedule| &schedule.shifts) {
                assert!((1..=2).contains(&shift.level), "{shift:?}");
                assert!(shift.window.intersect(window).is_some(), "{shift:?}");
                assert!(written(&shift.user.id), "nobody wrote {:?}", shift.user.id);
                assert!(shift.user.mail.iter().all(|mail| written(mail)), "nobody wrote {:?}", shift.user.mail);
            }
        }
        Err(error) => assert!(!error.to_string().contains('\n')),
    }
});
