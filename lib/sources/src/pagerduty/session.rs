//! One sync's conversation with PagerDuty: who asks, what is asked, and what a refusal means.

use host::clock::now;
use host::config::Access;
use host::secret::Secret;
use http::{ACCEPT, CONTENT_TYPE, Client, Reply, Route};
use policy::{Timestamp, Window};

use super::api::{self, Entry, Named, Policy};
use super::incidents;
use super::oauth::{self, App};
use super::source;
use crate::ProviderError;
use crate::gather::Description;
use crate::pages::{Asked, Page, Whole};
use crate::session::{Ask, Conversation, Tap, Trouble, bearer, refusal, route, segment};

/// The requests of one fetch.
pub struct Session<'a> {
    settings: &'a host::config::PagerDuty,
    conversation: Conversation<'a>,
    /// The app that can ask for another token, once, and the way to it.
    renewal: Option<(App<'a>, Route<'a>)>,
}

impl<'a> Session<'a> {
    /// Finds out who asks; no more is sent than what a token takes. `tap` hears what follows.
    pub fn open(settings: &'a host::config::PagerDuty, tap: Option<Tap<'a>>) -> Result<Self, ProviderError> {
        let route = route(&settings.ca_file, settings.proxy.as_deref(), settings.timeout);
        let (authorization, renewal) = match &settings.access {
            Access::Key(file) => {
                let key = Secret::read(file).map_err(|error| source(&format!("token_file: {error}")))?;
                (format!("Token token={}", key.expose()), None)
            }
            Access::OAuth(app) => {
                let app = App::new(settings, app);
                match app.kept(now()) {
                    Some(token) => (bearer(&token), Some(app)),
                    // One that was asked for just now is not asked for again.
                    None => (bearer(&app.ask(route, now())?), None),
                }
            }
        };
        let headers = [
            (ACCEPT, "application/vnd.pagerduty+json;version=2"),
            // Required for GET as well, says the API's schema.
            (CONTENT_TYPE, "application/json"),
        ];
        let mut client = Client::new(&settings.api, route, &headers)?;
        client.authorize(&authorization)?;
        let renewal = renewal.map(|app| (app, route));
        Ok(Self { settings, conversation: Conversation::new(Box::new(client), tap), renewal })
    }

    /// A conversation by `client`, which says by itself who asks.
    pub fn with(settings: &'a host::config::PagerDuty, client: Box<dyn Ask + 'a>) -> Self {
        Self { settings, conversation: Conversation::new(client, None), renewal: None }
    }

    /// The service's clock, once it has answered.
    pub fn clock(&self) -> Option<Timestamp> {
        self.conversation.clock()
    }

    /// A page of the schedules made of layers.
    pub fn schedules(&mut self, asked: Asked) -> Result<Page<Named>, ProviderError> {
        api::schedules(&self.page("/schedules", asked)?)
    }

    /// A page of the shift-based schedules, which the other list does not show. An account that has none may
    /// not have the list either; but one that has begun goes on.
    pub fn shift_based_schedules(&mut self, asked: Asked) -> Result<Page<Named>, ProviderError> {
        let (path, (limit, offset)) = ("/v3/schedules", texts(asked));
        let reply = self.reply(path, &[("limit", &limit), ("offset", &offset)])?;
        match reply.status {
            200 => api::schedules(&reply.body),
            400 | 402..=404 if asked.offset == 0 => Ok(nothing(asked)),
            _ => Err(source(&self.refusal(path, &reply))),
        }
    }

    /// A page of the escalation policies.
    pub fn policies(&mut self, asked: Asked) -> Result<Page<Policy>, ProviderError> {
        api::policies(&self.page("/escalation_policies", asked)?)
    }

    /// A page of the teams.
    pub fn teams(&mut self, asked: Asked) -> Result<Page<Named>, ProviderError> {
        api::teams(&self.page("/teams", asked)?)
    }

    /// A page of the account's users.
    pub fn users(&mut self, asked: Asked) -> Result<Page<Description>, ProviderError> {
        api::users(&self.page("/users", asked)?)
    }

    /// One user, unless there is none any more.
    pub fn user(&mut self, id: &str) -> Result<Option<Description>, ProviderError> {
        let path = format!("/users/{}", segment(id)?);
        let reply = self.reply(&path, &[])?;
        match reply.status {
            200 => api::user(id, &reply.body).map(Some),
            404 => Ok(None),
            _ => Err(source(&self.refusal(&path, &reply))),
        }
    }

    /// A page of the shifts that `filter`, a parameter and ids for it, lets through. The same window on every
    /// page, or the pages would not be of one list.
    pub fn oncalls(
        &mut self,
        window: Window,
        (parameter, ids): (&str, &[&str]),
        asked: Asked,
    ) -> Result<Page<Entry>, ProviderError> {
        let (since, until) = (window.start().to_string(), window.end().to_string());
        let (limit, offset) = texts(asked);
        let mut query = vec![("since", &*since), ("until", &*until), ("time_zone", "UTC")];
        query.extend([("limit", &*limit), ("offset", &*offset), ("include[]", "users")]);
        query.extend(ids.iter().map(|id| (parameter, *id)));
        api::oncalls(&self.body("/oncalls", &query)?)
    }

    /// A page of the open incidents of `services`, each with the log entry that opened it. Without `date_range` the service
    /// shows those of the last month alone.
    pub fn incidents(
        &mut self,
        services: &[String],
        asked: Asked,
    ) -> Result<Page<incidents::Row>, ProviderError> {
        let (limit, offset) = texts(asked);
        let mut query =
            vec![("date_range", "all"), ("statuses[]", "triggered"), ("statuses[]", "acknowledged")];
        query.extend([("include[]", "first_trigger_log_entries"), ("limit", &*limit), ("offset", &*offset)]);
        query.extend(services.iter().map(|id| ("service_ids[]", id.as_str())));
        incidents::page(&self.body("/incidents", &query)?)
    }

    /// The shifts of one schedule by itself. The two kinds of schedules have an address each, an id may move
    /// from one to the other, and the wrong address answers 400.
    pub fn rendered(&mut self, id: &str, shift_based: bool, window: Window) -> Result<Whole<Entry>, Trouble> {
        let (since, until) = (window.start().to_string(), window.end().to_string());
        let common = [("since", &*since), ("until", &*until), ("time_zone", "UTC"), ("overflow", "true")];
        let mut refusal = None;
        for shift_based in [shift_based, !shift_based] {
            let (path, query, read): (_, _, fn(&str, &[u8]) -> _) = if shift_based {
                let query = [&common[..], &[("include[]", "final_schedule")]].concat();
                (
                    format!("/v3/schedules/{}", segment(id).map_err(Trouble::Schedule)?),
                    query,
                    api::shift_based,
                )
            } else {
                (
                    format!("/schedules/{}", segment(id).map_err(Trouble::Schedule)?),
                    common.to_vec(),
                    api::layered,
                )
            };
            let reply = self.reply(&path, &query)?;
            let said = |this: &Self| this.refusal(&path, &reply);
            match reply.status {
                200 => return read(id, &reply.body).map_err(Trouble::Schedule),
                400 => refusal = refusal.or(Some(said(self))),
                // These are about the key, whatever is asked for.
                401 | 429 => return Err(Trouble::Source(source(&said(self)))),
                403 | 404 => return Err(Trouble::Schedule(ProviderError::incomplete(&said(self)))),
                _ => return Err(Trouble::Schedule(source(&said(self)))),
            }
        }
        Err(Trouble::Schedule(ProviderError::incomplete(&refusal.unwrap_or_default())))
    }

    fn page(&mut self, path: &str, asked: Asked) -> Result<Vec<u8>, ProviderError> {
        let (limit, offset) = texts(asked);
        self.body(path, &[("limit", &limit), ("offset", &offset)])
    }

    /// The body of an answer with status 200.
    fn body(&mut self, path: &str, query: &[(&str, &str)]) -> Result<Vec<u8>, ProviderError> {
        let reply = self.reply(path, query)?;
        if reply.status != 200 {
            return Err(source(&self.refusal(path, &reply)));
        }
        Ok(reply.body)
    }

    /// The answer, whatever its status. A token that is not taken any more is renewed once.
    fn reply(&mut self, path: &str, query: &[(&str, &str)]) -> Result<Reply, Trouble> {
        let reply = self.conversation.get(path, query)?;
        if reply.status == 401
            && let Some((app, route)) = self.renewal.take()
        {
            let token = app.ask(route, now()).map_err(Trouble::Source)?;
            self.conversation.authorize(&bearer(&token)).map_err(Trouble::Source)?;
            return self.conversation.get(path, query);
        }
        Ok(reply)
    }

    /// What a status other than 200 means, and what to check.
    fn refusal(&self, path: &str, reply: &Reply) -> String {
        let needed = || oauth::permissions(self.settings).join(", ");
        let own = |status| {
            Some(match (status, &self.settings.access) {
                (400, _) => "the request was not understood; is `lookahead` longer than 90 days?".to_string(),
                (401, Access::Key(file)) => format!(
                    "the key is not known; check that {} holds a valid API key of an account in this `region`",
                    file.display()
                ),
                (401, Access::OAuth(app)) => format!(
                    "the token from {} is not accepted here; check `region` and `subdomain`",
                    app.identity
                ),
                (403, Access::Key(file)) => {
                    format!("the key in {} may not read this; it needs {}", file.display(), needed())
                }
                (403, Access::OAuth(app)) => {
                    format!("app {} may not read this; it needs {}", app.client_id, needed())
                }
                (404, _) => "not found; check `api`, and that the account is in that region".to_string(),
                _ => return None,
            })
        };
        refusal((&self.settings.api, path), reply, Some("status.pagerduty.com"), own)
    }
}

/// `limit` and `offset` as they are written.
fn texts(Asked { offset, limit }: Asked) -> (String, String) {
    (limit.to_string(), offset.to_string())
}

/// The page of a list that is not there.
fn nothing<T>(Asked { offset, limit }: Asked) -> Page<T> {
    let (offset, limit) = (Some(offset as u64), Some(limit as u64));
    Page { entries: Vec::new(), more: false, offset, limit, total: None }
}
