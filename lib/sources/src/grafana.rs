//! Grafana Cloud IRM, and Grafana OnCall, whose API it keeps: final shifts of schedules.
//!
//! Shifts are cut to the days that are asked for, so a day more is asked for on either side, and one that ends with the last
//! of them goes on as far as anybody knows. A gap has no row; several people at once have a row each.

use host::config;
use http::HeaderName;
use policy::{OneLine, Span, Timestamp, Window};
use serde::Deserialize;

use crate::answer::{all, identifier, instant, read};
use crate::gather::{Bound, Description, Named, Row};
use crate::pages::{Leaf, Whole};
use crate::service::{Access, Authorization, Service, Session, Trouble};
use crate::session::{bearer, segment};
use crate::{ProviderError, User};

/// Grafana.
pub struct Grafana;

/// The code that asks it.
pub static SERVICE: Grafana = Grafana;

impl Service for Grafana {
    fn access<'a>(&self, settings: &'a config::Service, secret: &str) -> Result<Access<'a>, ProviderError> {
        let authorization = match settings.text("scheme").unwrap_or("bearer") {
            "bare" => secret.to_string(),
            // The configuration has no other word.
            _ => bearer(secret),
        };
        let stack = settings.text("stack").map(|url| (HeaderName::from_static("x-grafana-url"), url));
        let authorization = Authorization::Always(authorization);
        Ok(Access { authorization, headers: stack.into_iter().collect() })
    }

    fn list(&self, session: &mut Session<'_>, _wanted: &[String]) -> Result<Whole<Named>, Trouble> {
        numbered("schedules", |page| Ok(schedules(&session.get("/api/v1/schedules/", page)?)?))
    }

    fn shifts(
        &self,
        session: &mut Session<'_>,
        schedule: &mut Named,
        window: Window,
    ) -> Result<Whole<Row>, Trouble> {
        let (start, end) = days(window);
        let (first, last) = (date(start), date(end));
        let path = format!("/api/v1/schedules/{}/final_shifts", segment(&schedule.id)?);
        numbered("final_shifts", |page| {
            let query = [&[("start_date", &*first), ("end_date", &*last)], page].concat();
            Ok(shifts(end, &session.get(&path, &query)?)?)
        })
    }
}

/// The days that are asked for: from the day before `window` to the start of one that comes after it.
fn days(window: Window) -> (Timestamp, Timestamp) {
    let day = |at: Timestamp| Timestamp::from_unix(at.unix().div_euclid(DAY) * DAY);
    (day(window.start()).minus(Span::hours(24)), day(window.end()).plus(Span::hours(48)))
}

const DAY: i64 = 86_400;

/// `2026-11-20`, in UTC.
fn date(at: Timestamp) -> String {
    at.to_string().split('T').next().unwrap_or_default().to_string()
}

#[derive(Deserialize)]
struct ListBody<T> {
    count: u64,
    results: Vec<T>,
    next: Option<String>,
}

#[derive(Deserialize)]
struct ScheduleBody {
    id: String,
    name: String,
}

#[derive(Deserialize)]
struct ShiftBody {
    user_pk: String,
    user_email: Option<String>,
    user_username: Option<String>,
    shift_start: String,
    shift_end: String,
}

/// Pages are asked for by number, from 1; there are more while `next` is an address, which is not followed itself.
fn numbered<T>(
    list: &str,
    mut page: impl FnMut(&[(&str, &str)]) -> Result<ListBody<T>, Trouble>,
) -> Result<Whole<T>, Trouble> {
    let mut number = 1_u32;
    Whole::follow(list, |asked| {
        let ListBody { count, results, next } =
            page(&asked.map(|text| ("page", text)).into_iter().collect::<Vec<_>>())?;
        number += 1;
        Ok(Leaf { entries: results, next: next.map(|_| number.to_string()), total: Some(count) })
    })
}

fn schedules(body: &[u8]) -> Result<ListBody<Named>, ProviderError> {
    let ListBody { count, results, next } = read("/schedules", body)?;
    let results = all(results, |ScheduleBody { id, name }| {
        let id = identifier(id, "a schedule")?;
        Ok(Named { wanted: id.clone(), id, name })
    })?;
    Ok(ListBody { count, results, next })
}

/// Reads a page of `GET /schedules/{id}/final_shifts` that was asked for until `end`.
fn shifts(end: Timestamp, body: &[u8]) -> Result<ListBody<Row>, ProviderError> {
    let ListBody { count, results, next } = read("/final_shifts", body)?;
    let results = all(results, |shift: ShiftBody| {
        let mail = shift.user_email.filter(|mail| !mail.is_empty());
        let label = shift.user_username.filter(|name| !name.is_empty()).map(OneLine::from);
        let id = identifier(shift.user_pk, "a user")?;
        let user = User { id, mail, principal: None, label, disputed: None };
        let (start, until) = (instant(&shift.shift_start)?, instant(&shift.shift_end)?);
        let until = Bound::cut(until, end);
        Ok(Row { person: Description { user, whole: true }, level: 1, start: Bound::At(start), end: until })
    })?;
    Ok(ListBody { count, results, next })
}
