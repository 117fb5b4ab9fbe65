//! What all services that are asked over HTTPS have in common, so that each is a request and a parse and nothing else:
//! who asks and by what, which schedules are wanted, what a refusal costs, and how an answer is made.

use std::collections::BTreeSet;

use host::config;
use host::secret::Secret;
use http::{ACCEPT, Client, HeaderName, Reply};
use policy::{Timestamp, Window};

use crate::gather::{Gather, Named, Row};
use crate::pages::Whole;
pub use crate::session::Trouble;
use crate::session::{Ask, Conversation, Tap, refusal, route};
use crate::{Answer, Provider, ProviderError, choose};

/// One kind of service.
pub trait Service: Sync {
    /// How it is known who asks, by the secret in `token_file`.
    ///
    /// # Errors
    /// A setting that cannot be.
    fn access<'a>(&self, settings: &'a config::Service, secret: &str) -> Result<Access<'a>, ProviderError>;

    /// Every schedule that there is; for a service that cannot say, those that are `wanted`.
    ///
    /// # Errors
    /// What was not answered: nothing of the source is known then.
    fn list(&self, session: &mut Session<'_>, wanted: &[String]) -> Result<Whole<Named>, Trouble>;

    /// The shifts of `schedule` that touch `window`, with overrides applied; its name, where the list had none.
    ///
    /// # Errors
    /// What was not answered, of this schedule or of all.
    fn shifts(
        &self,
        session: &mut Session<'_>,
        schedule: &mut Named,
        window: Window,
    ) -> Result<Whole<Row>, Trouble>;

    /// What of the settings led nowhere, once every schedule was read whole: a line each.
    fn remarks(&self, _session: &Session<'_>) -> Vec<String> {
        Vec::new()
    }

    /// Tells `gather` of these users, whom shifts only named.
    ///
    /// # Errors
    /// What was not answered: nothing of the source is known then.
    fn people(
        &self,
        _session: &mut Session<'_>,
        _users: &BTreeSet<String>,
        _gather: &mut Gather,
    ) -> Result<(), Trouble> {
        Ok(())
    }
}

/// How it is known who asks.
pub struct Access<'a> {
    /// `Authorization`.
    pub authorization: Authorization<'a>,
    /// What else each request has in its head.
    pub headers: Vec<(HeaderName, &'a str)>,
}

/// `Authorization`, as it is made.
pub enum Authorization<'a> {
    /// The same for each request.
    Always(String),
    /// Of a request: its method, its path, its query as it is written, and its body.
    Signed(Box<Sign<'a>>),
}

/// What signs a request.
pub type Sign<'a> = dyn Fn(&str, &str, &str, &str) -> String + 'a;

/// The requests of one fetch.
pub struct Session<'a> {
    /// How the service is reached, and its own settings.
    pub settings: &'a config::Service,
    /// What of the settings was met in the answers so far, where the service keeps account of it.
    pub met: BTreeSet<String>,
    conversation: Conversation<'a>,
    sign: Option<Box<Sign<'a>>>,
}

impl<'a> Session<'a> {
    fn open(
        settings: &'a config::Service,
        service: &dyn Service,
        tap: Option<Tap<'a>>,
    ) -> Result<Self, ProviderError> {
        let route = route(&settings.ca_file, settings.proxy.as_deref(), settings.timeout);
        let file = settings.secret(TOKEN).ok_or_else(|| ProviderError::source("`token_file` is not set"))?;
        let secret =
            Secret::read(file).map_err(|error| ProviderError::source(&format!("{TOKEN}: {error}")))?;
        let Access { authorization, mut headers } = service.access(settings, secret.expose())?;
        headers.push((ACCEPT, "application/json"));
        let client = Client::new(&settings.api, route, &headers)?;
        Self::with(settings, Box::new(client), authorization, tap)
    }

    /// A conversation by `client`, which `tap` hears.
    ///
    /// # Errors
    /// `authorization` cannot be sent.
    pub fn with(
        settings: &'a config::Service,
        client: Box<dyn Ask + 'a>,
        authorization: Authorization<'a>,
        tap: Option<Tap<'a>>,
    ) -> Result<Self, ProviderError> {
        let mut conversation = Conversation::new(client, tap);
        let sign = match authorization {
            Authorization::Always(value) => {
                conversation.authorize(&value)?;
                None
            }
            Authorization::Signed(sign) => Some(sign),
        };
        Ok(Self { settings, met: BTreeSet::new(), conversation, sign })
    }

    /// The JSON at `path`.
    ///
    /// # Errors
    /// There is none.
    pub fn get(&mut self, path: &str, query: &[(&str, &str)]) -> Result<Vec<u8>, Trouble> {
        self.sign("GET", path, &http::written(query), "")?;
        let reply = self.conversation.get(path, query)?;
        self.body(path, reply)
    }

    /// What is answered to `json` at `path`.
    ///
    /// # Errors
    /// Nothing is.
    pub fn post(&mut self, path: &str, json: &str) -> Result<Vec<u8>, Trouble> {
        self.sign("POST", path, "", json)?;
        let reply = self.conversation.post(path, json)?;
        self.body(path, reply)
    }

    fn sign(&mut self, method: &str, path: &str, query: &str, body: &str) -> Result<(), Trouble> {
        let Some(sign) = &self.sign else { return Ok(()) };
        let value = sign(method, path, query, body);
        self.conversation.authorize(&value).map_err(Trouble::Source)
    }

    /// 401 and 429 are about who asks, whatever is asked for.
    fn body(&self, path: &str, reply: Reply) -> Result<Vec<u8>, Trouble> {
        let said = || refusal((&self.settings.api, path), &reply, None, |status| self.words(status));
        match reply.status {
            200 => Ok(reply.body),
            401 | 429 => Err(Trouble::Source(ProviderError::source(&said()))),
            400 | 403 | 404 => Err(Trouble::Schedule(ProviderError::incomplete(&said()))),
            _ => Err(Trouble::Schedule(ProviderError::source(&said()))),
        }
    }

    fn words(&self, status: u16) -> Option<String> {
        let label = self.settings.kind.label;
        let secret = self.settings.secret(TOKEN).map(|file| file.display().to_string()).unwrap_or_default();
        Some(match status {
            400 => format!("{label} did not understand the request; is `lookahead` longer than it allows?"),
            401 => format!("{label} does not know who asks; check `api` and what {secret} holds"),
            403 => {
                format!("whoever asks by {secret} may not read this; see docs/providers.md for what it needs")
            }
            404 => "not found; check `api`, and that whoever asks may see it".to_string(),
            _ => return None,
        })
    }
}

const TOKEN: &str = "token_file";

/// A service, and what is wanted of it.
pub struct Asked<'a> {
    /// Which one.
    pub service: &'static dyn Service,
    /// How it is reached.
    pub settings: &'a config::Service,
    /// Ids or exact names of schedules; none: all.
    pub wanted: &'a [String],
    /// The deepest level.
    pub max_escalation_level: u8,
    /// What hears each exchange, if anything does.
    pub tap: Option<Tap<'a>>,
}

impl Asked<'_> {
    /// As [`Provider::fetch`], in a conversation that has begun.
    ///
    /// # Errors
    /// What was not answered, or not as it was asked: nothing of the service is known then.
    pub fn fetch_by(&self, mut session: Session<'_>, window: Window) -> Result<Answer, ProviderError> {
        let mut gather = Gather::new(window, self.max_escalation_level);
        let known = self.service.list(&mut session, self.wanted)?;
        for (text, place) in choose(known.entries(), self.wanted, &self.settings.kind.label) {
            let named = place.map(|place| known.entries().get(place).cloned());
            match named {
                Ok(Some(named)) => {
                    let mut named = Named { wanted: text, ..named };
                    match self.service.shifts(&mut session, &mut named, window) {
                        Ok(rows) => gather.take(named, rows),
                        Err(Trouble::Schedule(error)) => gather.fail(named.wanted, error),
                        Err(Trouble::Source(error)) => return Err(error),
                    }
                }
                Ok(None) => {}
                Err(error) => gather.fail(text, error),
            }
        }
        let open = gather.references();
        if !open.is_empty() {
            self.service.people(&mut session, &open, &mut gather)?;
        }
        // What was not read may have it.
        if !gather.has_failed() {
            self.service.remarks(&session).into_iter().for_each(|remark| gather.note(remark));
        }
        let mut answer = gather.finish();
        answer.clock = session.clock();
        Ok(answer)
    }
}

impl Session<'_> {
    /// The service's clock, once it has answered.
    fn clock(&self) -> Option<Timestamp> {
        self.conversation.clock()
    }
}

impl Provider for Asked<'_> {
    fn fetch(&self, window: Window) -> Result<Answer, ProviderError> {
        self.fetch_by(Session::open(self.settings, self.service, self.tap)?, window)
    }
}
