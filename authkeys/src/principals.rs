//! `authkeys --principals USER TYPE CERTIFICATE`: sshd's AuthorizedPrincipalsCommand.
//!
//! sshd asks it about each certificate that an authority in its TrustedUserCAKeys has signed, and lets in whoever has one of
//! the principals that are printed. Here that is at most one: the name of the one person whom the certificate names and the
//! directory knows, where this person may enter with a key as well. The answer is made as that about a key, by the same
//! policy, rules for keys and lists of revoked keys; the certified key takes the place of a key in the directory.
//!
//! Nothing is verified of the certificate but what the policy asks: sshd checks signature, validity and the critical options
//! that it knows, `source-address` among them, itself.

use host::Config;
use policy::{Account, CertificateFault, Principal};
use record::Line;
use state::{HostState, certificates};
use store::keys::KeyOwner;
use store::lookups::Known;
use store::{Certificate, CertificateProblem};

use crate::door;
use crate::lookup::Answer;
use crate::person::{self, Clock, Found};
use crate::problem::Problem;
use crate::reason::Outcome;
use crate::rules::{Candidate, Owner, Printed, Standing};
use crate::shared;

/// The answer about one certificate.
#[derive(Debug)]
pub struct Named {
    /// The certificate; or why it is none.
    certificate: Result<Certificate, CertificateProblem>,
    /// What is printed, as if it were the key's.
    answer: Answer,
}

impl Named {
    /// The lines for sshd: `PERSON`, behind options if a rule or `explain_refusals` adds them.
    pub fn text(&self) -> String {
        let line = |Printed { candidate, options }: &Printed| {
            let blank = if options.is_empty() { "" } else { " " };
            format!("{options}{blank}{}\n", candidate.owner)
        };
        self.answer.printed.iter().map(line).collect()
    }

    /// The audit line.
    pub fn line(&self, user: &str) -> Line {
        let Answer { printed, dropped, reason, evidence, .. } = &self.answer;
        let named = |told: bool| {
            let candidates = printed.iter().map(|printed| &printed.candidate);
            let named = candidates.filter(|one| (one.standing == Standing::Told) == told);
            named.map(|one| one.owner.to_string()).collect::<String>()
        };
        let why = dropped.first().map(|dropped| dropped.why.to_string()).unwrap_or_default();
        let line = Line::new(user, "known", reason)
            .field("principal", &named(false))
            .field("told", &named(true))
            .field("dropped", &why);
        let line = evidence.iter().fold(line, |line, (name, value)| line.field(name, value));
        match &self.certificate {
            Err(problem) => line.field("problem", &problem.to_string()),
            Ok(certificate) => line
                .field("fingerprint", &certificate.key().fingerprint())
                .field("authority", &certificate.authority().fingerprint())
                .field("serial", &certificate.serial().to_string())
                .field("key_id", certificate.id()),
        }
    }
}

/// The certificate that sshd says is offered, from `%t %k`.
///
/// # Errors
/// It is not even called one. What is only called one is no mistake of usage: it opens nothing.
pub fn offered(kind: &str, blob: &str) -> Result<Result<Certificate, CertificateProblem>, Problem> {
    if !Certificate::is_type(kind) {
        let text =
            "TYPE CERTIFICATE is not a certificate; in sshd_config write `authkeys --principals %u %t %k`";
        return Err(Problem::Offer(text));
    }
    Ok(Certificate::parse_words(kind, blob))
}

/// The principal of `certificate` that opens `account` now.
///
/// # Errors
/// What this host knows does not tell; nothing may be printed then.
pub fn answer(
    state: &HostState,
    account: &Account,
    certificate: Result<Certificate, CertificateProblem>,
    clock: Clock,
) -> Result<Named, Problem> {
    let answer = match &certificate {
        Err(_) => Answer::none(Outcome::Certificate(CertificateFault::Unusable)),
        Ok(certificate) => {
            Question { state, config: state.config()?, account, certificate, clock }.answer()?
        }
    };
    Ok(Named { certificate, answer })
}

/// What is asked.
struct Question<'a> {
    state: &'a HostState,
    config: &'a Config,
    account: &'a Account,
    certificate: &'a Certificate,
    clock: Clock,
}

impl Question<'_> {
    fn answer(&self) -> Result<Answer, Problem> {
        let Self { state, config, account, certificate, clock } = self;
        let is_shared = config.rules.shared(account.as_str()).is_some();
        if door::is_door(account) {
            // What is printed there is a command of ours with a key, and nobody gets a shell by a certificate.
            return Ok(Answer::none(Outcome::NoPrincipal));
        }
        if !is_shared && config.rules.exempts(account.as_str()) {
            // Nobody needs a shift to enter it, so what opens it is in this host's own files alone.
            return Ok(Answer::none(Outcome::Exempt));
        }
        let revoked = state.revoked().map_err(Problem::from)?;
        if state.revoked_certificate(certificate, clock.now).is_some()
            || (!is_shared && revoked.names(&account.owner(), clock.now))
        {
            return Ok(Answer::none(Outcome::Revoked));
        }
        if let Some(fault) = state.certificate_fault(certificate, clock.now)? {
            return Ok(Answer::none(Outcome::Certificate(fault)));
        }
        if is_shared { self.of_shared() } else { self.of_person() }
    }

    /// Of a shared account: whoever the policy admits.
    fn of_shared(&self) -> Result<Answer, Problem> {
        let Self { state, config, account, certificate, clock } = self;
        let directory = config.directory.as_ref().ok_or(Problem::NoDirectory)?;
        let copy = person::open_copy(config, directory, clock.now).map_err(Problem::Store)?;
        let holder = certificates::holder(&config.rules, &copy, certificate).map_err(Problem::Store)?;
        let person = match holder {
            KeyOwner::One(person) => person,
            KeyOwner::Nobody => return Ok(Answer::none(Outcome::NoPrincipal)),
            KeyOwner::Several(people) => return Ok(ambiguous(&people)),
        };
        let question = shared::Question { state, account, offered: None, wanted: &[], now: clock.now };
        match shared::standing_of(&question, &copy, &person)? {
            (Some(Standing::Told), reason) => {
                Ok(Answer { reason: Outcome::Refused(reason), ..self.print(person, Standing::Told)? })
            }
            (Some(standing), _) => self.print(person, standing),
            (None, reason) => Ok(Answer::none(Outcome::Refused(reason)).with("person", person.as_str())),
        }
    }

    /// Of a personal account: its owner, whom the directory must not have shut out. PAM decides about the rest, where the
    /// account is guarded.
    fn of_person(&self) -> Result<Answer, Problem> {
        let Self { config, account, certificate, clock, .. } = self;
        let directory = config.directory.as_ref().ok_or(Problem::NoDirectory)?;
        let (owner, people) = (account.owner(), certificates::people(certificate));
        if !people.contains(&owner) {
            return Ok(Answer::none(Outcome::NoPrincipal));
        }
        if people.len() > 1 || config.rules.automation(&certificate.key().sha256()).is_some() {
            // Whose it is then only the copy of everybody tells.
            let copy = person::open_copy(config, directory, clock.now).map_err(Problem::Store)?;
            match certificates::holder(&config.rules, &copy, certificate).map_err(Problem::Store)? {
                KeyOwner::One(person) if person == owner => {}
                KeyOwner::Several(people) => return Ok(ambiguous(&people)),
                KeyOwner::One(_) | KeyOwner::Nobody => return Ok(Answer::none(Outcome::NoPrincipal)),
            }
        }
        let Found { known, evidence, .. } = person::find(config, directory, &owner, *clock)?;
        let mut answer = match known {
            Known::Keys(_) => self.print(owner, Standing::Own)?,
            Known::Disabled => Answer::none(Outcome::AccountDisabled),
            Known::Absent => Answer::none(Outcome::NoSuchUser),
        };
        answer.evidence.extend(evidence);
        Ok(answer)
    }

    /// Prints the one principal, as the rules for keys want the certified key.
    fn print(&self, person: Principal, standing: Standing) -> Result<Answer, Problem> {
        let key = self.certificate.key().clone();
        let candidate = Candidate { key, owner: Owner::Person(person), standing };
        let mut answer = Answer::none(Outcome::NoPrincipal);
        answer.print(self.config, self.account, vec![candidate], self.clock.now)?;
        if answer.reason == Outcome::Keys {
            answer.reason = Outcome::Principal;
        }
        Ok(answer)
    }
}

/// Two people may become root by it, so it is nobody's.
fn ambiguous(people: &[Principal]) -> Answer {
    let reason = policy::Reason::AmbiguousPerson;
    Answer::none(Outcome::Refused(reason)).with("ambiguous", &Principal::list(people, ","))
}
