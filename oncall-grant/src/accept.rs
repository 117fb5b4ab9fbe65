//! One grant that somebody brings: judged by what this host knows now, kept if it counts.

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

use grant::{Accepted, Document, Grant, GrantError, GrantId, Holders, Refusal, Stored};
use grant::{judge, stored_name, write_stored};
use host::config::Grants;
use host::{Config, clock, revoked, revoked_grants};
use policy::{GrantRule, Principal, Revoked, Timestamp, Uptime};
use signed::{SignatureError, Signers};
use store::keys::KeyCopy;
use store::lookups::Known;
use trust::Owner;

use crate::hold::Hold;

/// What became of a grant.
#[derive(Debug)]
pub enum Outcome {
    /// It counts from now on.
    Accepted(Accepted, String),
    /// It counted already.
    InForce(Grant),
}

/// Why it does not count.
#[derive(Debug)]
pub enum Problem {
    /// It is no grant.
    Form(GrantError),
    /// It is one, and this speaks against it.
    Refused(Box<Grant>, Refusal),
    /// The directory has shut the person out.
    Disabled(Principal),
    /// The directory does not know the person.
    Stranger(Principal),
    /// The directory does not have the key for the person.
    NotTheirKey(Principal),
    /// A grant of the same name was accepted, and it says something else.
    Other,
    /// No rule takes grants on this host.
    NoRules(String),
    /// This host cannot tell; why.
    CannotTell(String),
}

impl Problem {
    /// The word for the log.
    pub fn token(&self) -> &'static str {
        match self {
            Self::Form(_) => "form",
            Self::Refused(_, refusal) => refusal.reason().token(),
            Self::Disabled(_) => "account-disabled",
            Self::Stranger(_) | Self::NotTheirKey(_) => "person",
            Self::Other => "same-id",
            Self::NoRules(_) => "no-rule",
            Self::CannotTell(_) => "cannot-tell",
        }
    }

    /// 1 it does not count, 2 that cannot be told.
    pub fn exit_code(&self) -> u8 {
        if matches!(self, Self::CannotTell(_)) { 2 } else { 1 }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Form(error) => write!(f, "refused: this is no grant: {error}"),
            Self::Refused(_, refusal) => write!(f, "refused ({}): {refusal}", refusal.reason()),
            Self::Disabled(person) => write!(f, "refused: the directory has disabled {person}"),
            Self::Stranger(person) => {
                write!(f, "refused (person): the directory has nobody of the name {person}")
            }
            Self::NotTheirKey(person) => write!(
                f,
                "refused (person): the directory does not have the key in the grant for {person}; ask for one with a key that it has, or with \
                 `key: none` for sudo"
            ),
            Self::Other => f.write_str("refused: another grant has the same name; ask for a new one"),
            Self::NoRules(host) => write!(f, "refused: no [[policy.grant]] covers this host ({host})"),
            Self::CannotTell(why) => write!(f, "cannot tell: {why}"),
        }
    }
}

/// What is known at one moment.
pub struct Moment {
    /// By the clock that can be set.
    pub now: Timestamp,
    /// By the one that cannot.
    pub uptime: Uptime,
}

/// Judges `text`, and keeps it if it counts.
///
/// # Errors
/// It does not; why.
pub fn accept(path: &Path, hold: &Hold, text: &[u8], moment: &Moment) -> Result<Outcome, Problem> {
    let document = Document::read(text).map_err(Problem::Form)?;
    let mut site = Site::read(path, moment)?;
    let memory = hold.since(site.now, &moment.uptime);
    if let Some(kept) = hold.get(document.grant.id) {
        let earlier = Stored::read(&kept).ok().filter(|earlier| earlier.document.text == document.text);
        let earlier = earlier.ok_or(Problem::Other)?;
        if site.stands(&earlier, moment) {
            return Ok(Outcome::InForce(document.grant));
        }
        // By a clock that was set back it is not accepted once more.
        site.now = earlier.instant(site.now, &moment.uptime).unwrap_or(site.now);
    }
    let known = site.known(memory);
    let signatures = OnceCell::new();
    let (rule, accepted) = site.judge(&document, &known, &signatures)?;
    let content = write_stored(&rule.name, site.now, &moment.uptime, text);
    let cannot = |error: std::io::Error| {
        Problem::CannotTell(format!("{}: {error}; nothing was accepted", site.config.paths.grants.display()))
    };
    hold.keep(&stored_name(&document.grant), &content, &moment.uptime).map_err(cannot)?;
    Ok(Outcome::Accepted(accepted, rule.name.clone()))
}

/// What this host knows.
struct Site {
    config: Config,
    grants: Grants,
    revoked: Revoked,
    revoked_grants: BTreeSet<GrantId>,
    signers: Signers,
    now: Timestamp,
}

/// The signatures of a document, each looked at once.
type Looked = OnceCell<Vec<Result<policy::Digest, SignatureError>>>;

impl Site {
    fn read(path: &Path, moment: &Moment) -> Result<Self, Problem> {
        let cannot = |why: &dyn fmt::Display| Problem::CannotTell(why.to_string());
        let config = Config::load(path).map_err(|error| cannot(&error))?;
        let now = clock::known([&config.paths.roster, &config.paths.keys], moment.now);
        let Some(grants) = config.grants.clone().filter(|_| config.rules.takes_grants()) else {
            return Err(Problem::NoRules(config.rules.host.name));
        };
        let revoked = revoked::all(&config).map_err(|error| cannot(&error))?;
        if revoked.is_stale(now) {
            return Err(cannot(&"what the fleet has revoked is too old; run oncall-cache pull"));
        }
        let ids = revoked_grants::read(&grants.revoked).map_err(|error| cannot(&error))?;
        let signers = trust::read(&grants.signers, Owner::Root, Signers::LARGEST as u64);
        let (signers, _) = Signers::parse(&signers.map_err(|error| cannot(&error))?);
        let revoked_grants = ids.iter().filter_map(|id| id.parse().ok()).collect();
        Ok(Self { config, grants, revoked, revoked_grants, signers, now })
    }

    fn known(&self, memory: Timestamp) -> KnownSite<'_> {
        KnownSite { site: self, holders: Holders::of(&self.signers), memory }
    }

    /// Does a grant stand that was accepted earlier, as any login would see it?
    fn stands(&self, earlier: &Stored<'_>, moment: &Moment) -> bool {
        let (at, known) = ((moment.now, &moment.uptime), self.known(Timestamp::MIN));
        earlier.stands(&self.config.rules.grants, &known.of_grants(), &self.signers, at).is_ok()
    }

    /// By the first rule that takes it; where none does, the first one's reason that is about this grant.
    fn judge(
        &self,
        document: &Document<'_>,
        known: &KnownSite<'_>,
        looked: &Looked,
    ) -> Result<(&GrantRule, Accepted), Problem> {
        let grant = &document.grant;
        let holders = self.holders(document, &known.holders)?;
        let known = grant::Known { holders: &holders, ..known.of_grants() };
        let signatures = || {
            let look = || document.signatures(&self.signers, self.now).collect();
            looked.get_or_init(look).iter().cloned()
        };
        let mut refusals = Vec::new();
        for rule in &self.config.rules.grants {
            let lazily = std::iter::once_with(signatures).flatten();
            match judge(grant, &known, rule, lazily, self.now) {
                Ok(accepted) => return Ok((rule, accepted)),
                Err(refusal) => refusals.push(refusal),
            }
        }
        let is_about = |refusal: &Refusal| !matches!(refusal, Refusal::NoRule(_) | Refusal::Account(_));
        let position = refusals.iter().position(is_about).unwrap_or(0);
        let none = Refusal::NoRule(self.config.rules.host.name.clone());
        let refusal = refusals.into_iter().nth(position).unwrap_or(none);
        Err(Problem::Refused(Box::new(grant.clone()), refusal))
    }

    /// Who has the keys of this document, by the signers and by the last whole copy of the directory.
    fn holders(&self, document: &Document<'_>, signers: &Holders) -> Result<Holders, Problem> {
        let mut holders = signers.clone();
        let Some(directory) = &self.config.directory else { return Ok(holders) };
        let cannot = |error: store::StoreError| Problem::CannotTell(error.to_string());
        let scope = self.config.copy_scope(directory);
        let copy = KeyCopy::open(&self.config.paths.keys, &scope, self.grants.copy_age, self.now);
        let copy = copy.map_err(cannot)?;
        let person = &document.grant.person;
        let own = match copy.known(person).map_err(cannot)? {
            Known::Keys(keys) => keys,
            Known::Disabled => return Err(Problem::Disabled(person.clone())),
            Known::Absent => return Err(Problem::Stranger(person.clone())),
        };
        // One approver alone would let himself in under another's name by a key that nobody is known to have.
        if document.grant.key.as_ref().is_some_and(|key| !own.contains(key)) {
            return Err(Problem::NotTheirKey(person.clone()));
        }
        // Whose a signature is says root's list alone: who lists an approver's key in their own entry changes nothing. But
        // for the person themselves, who has it then.
        holders.extend(own.iter().map(|key| (person.clone(), key.sha256())));
        if let Some(key) = &document.grant.key {
            let people = copy.people_with(key).map_err(cannot)?;
            holders.extend(people.into_iter().map(|person| (person, key.sha256())));
        }
        Ok(holders)
    }
}

/// The same as a judge wants it.
struct KnownSite<'a> {
    site: &'a Site,
    holders: Holders,
    memory: Timestamp,
}

impl KnownSite<'_> {
    fn of_grants(&self) -> grant::Known<'_> {
        grant::Known {
            site: &self.site.grants.site,
            host: &self.site.config.rules.host,
            holders: &self.holders,
            revoked: &self.site.revoked,
            revoked_grants: &self.site.revoked_grants,
            memory: self.memory,
        }
    }
}
