//! One grant that somebody brings: judged by what this host knows now, kept if it counts.

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

use grant::{Accepted, Approval, Document, Grant, GrantError, GrantId, Holders, Refusal};
use grant::{Review, ReviewDocument, Stored, judge, judge_review, may_break, stored_name, write_stored};
use host::config::Grants;
use host::{Config, clock, revoked, revoked_grants};
use policy::{
    Claims, Evidence, Fault, GrantRule, Granted, Principal, Revoked, Timestamp, Uptime, knows_who_is_on_call,
};
use signed::{SignatureError, Signers};
use store::keys::KeyCopy;
use store::lookups::Known;
use trust::Owner;

use crate::broken::Uses;
use crate::hold::Hold;

/// What became of a grant.
#[derive(Debug)]
pub enum Outcome {
    /// It counts from now on.
    Accepted(Accepted, String),
    /// It counted already.
    InForce(Grant),
    /// It was a review, by these, of a break-glass that is closed by it.
    Reviewed(Review, Vec<Approval>),
}

/// Why it does not count.
#[derive(Debug)]
pub enum Problem {
    /// It is no grant.
    Form(GrantError),
    /// It is one, and this speaks against it.
    Refused(Box<Grant>, Refusal),
    /// It is a review, and this speaks against it.
    NotReviewed(Review, Refusal),
    /// The directory has shut the person out.
    Disabled(Principal),
    /// The directory does not know the person.
    Stranger(Principal),
    /// The directory does not have the key for the person.
    NotTheirKey(Principal),
    /// There is no copy of the directory, and grant-signers does not have the key for the person.
    NotListedKey(Principal),
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
            Self::Refused(_, refusal) | Self::NotReviewed(_, refusal) => refusal.reason().token(),
            Self::Disabled(_) => "account-disabled",
            Self::Stranger(_) | Self::NotTheirKey(_) | Self::NotListedKey(_) => "person",
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
            Self::Refused(_, refusal) | Self::NotReviewed(_, refusal) => {
                write!(f, "refused ({}): {refusal}", refusal.reason())
            }
            Self::Disabled(person) => write!(f, "refused: the directory has disabled {person}"),
            Self::Stranger(person) => {
                write!(f, "refused (person): the directory has nobody of the name {person}")
            }
            Self::NotTheirKey(person) => write!(
                f,
                "refused (person): the directory does not have the key in the grant for {person}; ask for one with a key that it has, or with \
                 `key: none` for sudo"
            ),
            Self::NotListedKey(person) => write!(
                f,
                "refused (person): without a copy of the directory grant-signers says whose a key is, and it does not have the key in the grant \
                 for {person}; ask for one with the key that signs, or with `key: none` for sudo"
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

impl Moment {
    /// This one.
    pub fn now() -> Self {
        Self { now: clock::now(), uptime: clock::uptime() }
    }
}

/// Judges `text`, and keeps it if it counts.
///
/// # Errors
/// It does not; why.
pub fn accept(path: &Path, hold: &Hold, text: &[u8], moment: &Moment) -> Result<Outcome, Problem> {
    if ReviewDocument::is_meant(text) {
        return review(path, text, moment);
    }
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
    let (rule, accepted) = site.judge(&document, &known, &signatures, moment)?;
    let content = write_stored(&rule.name, site.now, &moment.uptime, text);
    let cannot = |error: std::io::Error| {
        Problem::CannotTell(format!("{}: {error}; nothing was accepted", site.config.paths.grants.display()))
    };
    if rule.is_break_glass() {
        site.keep_use(document.grant.id, &content)?;
    }
    let kept = hold.keep(&stored_name(&document.grant), &content, &moment.uptime);
    if kept.is_err() && rule.is_break_glass() {
        Uses::of(&site.config).take_back(document.grant.id);
    }
    kept.map_err(cannot)?;
    Ok(Outcome::Accepted(accepted, rule.name.clone()))
}

/// The grants that `hold` has and that stand now, with their windows as the clock of `moment` shows them.
///
/// # Errors
/// It cannot be told which do; why.
pub fn standing(config: Config, hold: &Hold, moment: &Moment) -> Result<Vec<Granted>, Problem> {
    let site = match Site::of(config, moment) {
        Err(Problem::NoRules(_)) => return Ok(Vec::new()),
        site => site?,
    };
    let kept = hold.all();
    Ok(kept.iter().filter_map(|kept| site.granted(&Stored::read(kept).ok()?, moment)).collect())
}

/// Judges a review, and closes what it is about.
fn review(path: &Path, text: &[u8], moment: &Moment) -> Result<Outcome, Problem> {
    let document = ReviewDocument::read(text).map_err(Problem::Form)?;
    let site = Site::read(path, moment)?;
    let (uses, review) = (Uses::of(&site.config), &document.review);
    let refused = |refusal| Problem::NotReviewed(review.clone(), refusal);
    let unknown = || refused(Refusal::NotUsed(review.id));
    let kept = uses.get(review.id).ok_or_else(unknown)?;
    let used = Stored::read(&kept).map_err(|_| unknown())?.document;
    let known = site.known(Timestamp::MIN);
    // Which keys the beneficiary has besides, where a copy tells: by them they do not review.
    let holders = site.holders(&used, &known.holders).unwrap_or_else(|_| known.holders.clone());
    let known = grant::Known { holders: &holders, ..known.of_grants() };
    let (rules, signatures) = (&site.config.rules.grants, document.signatures(&site.signers, site.now));
    let approvals = judge_review(review, &used, &known, rules, signatures, site.now).map_err(refused)?;
    let cannot = |error: std::io::Error| {
        Problem::CannotTell(format!("{}: {error}; it is not closed", site.config.paths.broken.display()))
    };
    uses.close(review.id, text).map_err(cannot)?;
    Ok(Outcome::Reviewed(document.review, approvals))
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
        let config = Config::load(path).map_err(|error| Problem::CannotTell(error.to_string()))?;
        Self::of(config, moment)
    }

    fn of(config: Config, moment: &Moment) -> Result<Self, Problem> {
        let cannot = |why: &dyn fmt::Display| Problem::CannotTell(why.to_string());
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
        self.granted(earlier, moment).is_some()
    }

    /// What it lets in, if it stands. A clock that was set back since makes its end no later.
    fn granted(&self, earlier: &Stored<'_>, moment: &Moment) -> Option<Granted> {
        let (at, known) = ((self.now, &moment.uptime), self.known(Timestamp::MIN));
        let rules = &self.config.rules.grants;
        earlier.as_shown(rules, &known.of_grants(), &self.signers, at, moment.now).ok()
    }

    /// By the first rule that takes it, those by which somebody lets themselves in last; where none does, the first one's
    /// reason that is about this grant.
    fn judge(
        &self,
        document: &Document<'_>,
        known: &KnownSite<'_>,
        looked: &Looked,
        moment: &Moment,
    ) -> Result<(&GrantRule, Accepted), Problem> {
        let grant = &document.grant;
        let signatures = || {
            let look = || document.signatures(&self.signers, self.now).collect();
            looked.get_or_init(look).iter().cloned()
        };
        let mut rules: Vec<&GrantRule> = self.config.rules.grants.iter().collect();
        rules.sort_by_key(|rule| rule.is_break_glass());
        let holders = match self.holders(document, &known.holders) {
            // The last resort is there also where every copy is gone: root's list says whose this signature is.
            Err(Problem::CannotTell(_)) if self.is_own(grant, &known.holders, signatures()) => {
                rules.retain(|rule| rule.is_break_glass());
                self.alone(grant, &known.holders)?
            }
            outcome => outcome?,
        };
        let known = grant::Known { holders: &holders, ..known.of_grants() };
        let mut refusals = Vec::new();
        for rule in rules {
            let lazily = std::iter::once_with(signatures).flatten();
            let judged = judge(grant, &known, rule, lazily, self.now);
            match judged.and_then(|accepted| self.may_break(rule, document, moment).map(|()| accepted)) {
                Ok(accepted) => return Ok((rule, accepted)),
                Err(refusal) => refusals.push(refusal),
            }
        }
        let none = Refusal::NoRule(self.config.rules.host.name.clone());
        let refusal = refusals.into_iter().min_by_key(distance).unwrap_or(none);
        Err(Problem::Refused(Box::new(grant.clone()), refusal))
    }

    /// Where they let themselves in by `rule`: is the key theirs by root's list alone, as each login will see it, does this
    /// host not know who is on call, and is no earlier use unreviewed?
    fn may_break(&self, rule: &GrantRule, document: &Document<'_>, moment: &Moment) -> Result<(), Refusal> {
        if !rule.is_break_glass() {
            return Ok(());
        }
        let (document, uptime) = (document.clone(), moment.uptime);
        let person = document.grant.person.clone();
        if !self.stands(&Stored { rule: &rule.name, at: self.now, uptime, document }, moment) {
            return Err(Refusal::NotOwn(person));
        }
        let roster = store::roster::read(&self.config.paths.roster, self.now);
        let roster = roster.as_ref().map_err(|_| Fault::Unreadable);
        let evidence = Evidence { roster, revoked: Ok(&self.revoked), grants: &[], claims: Claims::NotAsked };
        let is_known = knows_who_is_on_call(&evidence, &self.config.rules, self.now);
        may_break(rule, is_known, Uses::of(&self.config).open(self.now, &moment.uptime))
    }

    /// Writes down that somebody lets themselves in, before they may.
    fn keep_use(&self, id: GrantId, content: &[u8]) -> Result<(), Problem> {
        let uses = Uses::of(&self.config);
        // Of an earlier boot: its review would close this one too.
        if uses.has(id) {
            return Err(Problem::Other);
        }
        uses.keep(id, content).map_err(|error| {
            let path = self.config.paths.broken.display();
            Problem::CannotTell(format!("{path}: {error}; nothing was accepted"))
        })
    }

    /// Has the person of this grant signed it, by root's list, where a rule lets people in so?
    fn is_own(
        &self,
        grant: &Grant,
        signers: &Holders,
        mut signatures: impl Iterator<Item = Result<policy::Digest, SignatureError>>,
    ) -> bool {
        let rules = &self.config.rules;
        rules.grants.iter().any(|rule| rule.is_break_glass() && rule.covers(&rules.host))
            && signatures.any(|key| key.is_ok_and(|key| signers.has(&grant.person, &key)))
    }

    /// Who has the keys of a grant that its person has signed, where no copy of the directory counts: by the signers alone,
    /// who then have to have the key in it too. What a copy says against the person counts at any age.
    fn alone(&self, grant: &Grant, signers: &Holders) -> Result<Holders, Problem> {
        let (person, paths) = (&grant.person, &self.config.paths);
        let scope = self.config.directory.as_ref().map(|directory| self.config.copy_scope(directory));
        let copy = scope.and_then(|scope| KeyCopy::of_any_age(&paths.keys, &scope, self.now).ok());
        match copy.and_then(|copy| copy.known(person).ok()) {
            Some(Known::Disabled) => return Err(Problem::Disabled(person.clone())),
            Some(Known::Absent) => return Err(Problem::Stranger(person.clone())),
            Some(Known::Keys(_)) | None => {}
        }
        if grant.key.as_ref().is_some_and(|key| !signers.has(person, &key.sha256())) {
            return Err(Problem::NotListedKey(person.clone()));
        }
        Ok(signers.clone())
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

/// How far a refusal is from what whoever brought it has to know: first what stands in the way of break-glass alone, and
/// last what is about other accounts, hosts and people.
fn distance(refusal: &Refusal) -> u8 {
    match refusal {
        Refusal::OnCallKnown | Refusal::ReviewOpen(..) => 0,
        Refusal::NoRule(_) | Refusal::Account(_) | Refusal::NotListed(_) => 3,
        Refusal::Own(_) => 2,
        _ => 1,
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
