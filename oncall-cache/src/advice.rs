//! What to do about an answer: one step that exists, for each reason.

use policy::{Authority, Decision, Ground, Reason, Verdict};

const NAME_THE_HOST: &str = "in config.toml, name this host or a label of it in a [[policy.rule]]'s `hosts`, or set [host] name to what the rules name";

const SAY_WHY: &str = "as that person, run oncall-cache claim --reason TEXT; or send the line `claim: TEXT` to ssh oncall-grant@HOST";

const AN_INCIDENT: &str =
    "if there is an incident, run oncall-cache refresh; else have a colleague open one, or ask for a grant";

const BREAK_GLASS: &str =
    "say what you do where colleagues read it; then ask an approver to review it: oncall-cache grant review";

const BY_ENTRY: &str =
    "use the key from an address, for an account and a service that its entry lists; or change the entry";

const LIST_AUTHORITY: &str = "log in with your own key; or, if this authority is to count, list its key in policy.certificate_authorities";

const NEW_CERTIFICATE: &str =
    "get a new certificate; ssh-keygen -L -f FILE shows from when to when one is valid";

const PLAIN_CERTIFICATE: &str = "get a user certificate without other critical options than force-command, source-address and verify-required";

const AUTOMATION: &str =
    "none needed; [[policy.automation]] says which programs are admitted, and until when";

/// The next step of `person`, who asked for `account`; `first` is the command that comes before every sync, if one does.
pub fn step(decision: &Decision, person: &str, account: &str, first: Option<&str>) -> String {
    if let (Some(first), Verdict::CannotTell, true) = (first, decision.verdict, is_by_sync(decision.reason)) {
        return format!("as root, run {first}, then authkeys-sync and oncall-cache sync");
    }
    let text = match decision.reason {
        Reason::OnCall | Reason::Grant => "none needed; access ends by itself",
        Reason::BreakGlass => BREAK_GLASS,
        Reason::Automation => AUTOMATION,
        Reason::AutomationExpired => {
            "extend the entry's `until` if the program is still needed, or remove the entry and the key"
        }
        Reason::AutomationOutOfScope => BY_ENTRY,
        Reason::CertificateAuthority => LIST_AUTHORITY,
        Reason::CertificatePeriod => NEW_CERTIFICATE,
        Reason::CertificateUnusable => PLAIN_CERTIFICATE,
        Reason::Exempt => "none needed; policy.exempt_accounts and policy.exempt_ttys say who is exempt",
        Reason::AwaitsKey => "log in with your own key: it says who you are",
        Reason::OutOfScope => "to guard this login, list its service in policy.pam_services",
        Reason::NotGuarded => {
            "none needed; policy.guarded_accounts, privileged_groups and shared_account say what is guarded"
        }
        Reason::AlreadyRoot => "none needed",
        Reason::Revoked => return revoked(decision, person),
        Reason::RevokedUnreadable => "as root, fix what the first line names, then ask again",
        Reason::RevokedStale => {
            "as root, run oncall-cache pull, and read what it says; more: oncall-cache status"
        }
        Reason::NoRule => NAME_THE_HOST,
        Reason::NotOnCall => {
            "ask the person on call; or take over the shift in the rota, then run oncall-cache refresh"
        }
        Reason::NoIncident => AN_INCIDENT,
        Reason::ClaimNeeded => SAY_WHY,
        Reason::NotEligible => {
            "ask the directory's administrators to list them as eligible; then, as root, run authkeys-sync and oncall-cache sync"
        }
        Reason::UnknownPerson => {
            return format!("log in as yourself; to see whose keys open it: authkeys --explain {account}");
        }
        Reason::AmbiguousPerson => "give each person a separate key in the directory, then run authkeys-sync",
        Reason::BadUser => "log in as yourself, with a name that the directory has",
        Reason::CacheMissing => "as root, run authkeys-sync, then oncall-cache sync",
        Reason::CacheCorrupt | Reason::CacheVersion | Reason::BeyondHorizon => {
            "as root, run oncall-cache sync"
        }
        Reason::CacheUnreadable => {
            "as root, check dmesg for disk errors; the next good oncall-cache sync rewrites the file"
        }
        Reason::CacheStale => "run oncall-cache refresh, or as root oncall-cache sync, and read what it says",
        Reason::FileUntrusted => {
            "find out who changed it; then, as root, fix owner and mode, and run oncall-cache sync"
        }
        Reason::ClockRollback => "as root, set this host's clock, then run oncall-cache sync",
        Reason::SourceIncomplete => {
            "as root, run oncall-cache sync; if this persists, the [[policy.rule]] names a schedule that does not exist"
        }
        Reason::ConfigInvalid => "run oncall-cache config check on the configuration, and fix what it names",
    };
    text.to_string()
}

/// Is it mended by a sync that has something to read?
const fn is_by_sync(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::CacheMissing
            | Reason::CacheCorrupt
            | Reason::CacheVersion
            | Reason::CacheStale
            | Reason::BeyondHorizon
            | Reason::SourceIncomplete
    )
}

/// Only those who have said so can take it back.
fn revoked(decision: &Decision, person: &str) -> String {
    match &decision.ground {
        Ground::Revoked(revocation) if revocation.authority == Authority::Fleet => {
            "ask the person who revoked it; only a collector can undo it: oncall-collector unrevoke"
                .to_string()
        }
        _ => format!("ask the person who revoked {person}; root can undo it: oncall-cache unrevoke {person}"),
    }
}
