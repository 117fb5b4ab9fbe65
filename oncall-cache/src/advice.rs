//! What to do about an answer: one step that exists, for each reason.

use policy::Reason;

/// The next step of `person`, who asked for `account`.
pub fn step(reason: Reason, person: &str, account: &str) -> String {
    let text = match reason {
        Reason::OnCall => "none needed; the right ends by itself",
        Reason::Automation => {
            "none needed; [[policy.automation]] says which programs are admitted, and until when"
        }
        Reason::AutomationOver => {
            "extend the entry's `until` if the program is still wanted, or take entry and key away"
        }
        Reason::AutomationElsewhere => {
            "use the key from where its entry lists, for that account and service; or change the entry"
        }
        Reason::Exempt => "none needed; policy.exempt_accounts and policy.exempt_ttys say who is exempt",
        Reason::AwaitsKey => "log in with your own key: it says who you are",
        Reason::OutOfScope => "to guard this login, list its service in policy.services",
        Reason::NotGuarded => "none needed; policy.accounts, groups and shared say what is guarded",
        Reason::AlreadyRoot => "none needed",
        Reason::Revoked => {
            return format!("ask who revoked {person}; root takes it back: oncall-cache unrevoke {person}");
        }
        Reason::RevokedUnreadable => "as root, mend what the first line names, then ask again",
        Reason::NoRule => {
            "in config.toml, name this host or a label of it in a [[policy.rule]]'s `hosts`, or set [host] name to what the rules name"
        }
        Reason::NotOnCall => {
            "ask who is; or take the shift over where the rota is kept, then run oncall-cache refresh"
        }
        Reason::NotEligible => {
            "ask who keeps the directory to list them as eligible; then, as root, run authkeys-sync and oncall-cache sync"
        }
        Reason::UnknownPerson => {
            return format!("log in as yourself; whose keys open it shows: authkeys --explain {account}");
        }
        Reason::AmbiguousPerson => {
            "give each person a key of their own in the directory, then run authkeys-sync"
        }
        Reason::BadUser => "log in as yourself, by a name that the directory has",
        Reason::CacheMissing => "as root, run authkeys-sync, then oncall-cache sync",
        Reason::CacheCorrupt | Reason::CacheVersion | Reason::BeyondHorizon => {
            "as root, run oncall-cache sync"
        }
        Reason::CacheUnreadable => {
            "as root, see what the kernel says of the disk (dmesg); a good oncall-cache sync writes the file anew"
        }
        Reason::CacheStale => "run oncall-cache refresh, or as root oncall-cache sync, and read what it says",
        Reason::FileUntrusted => {
            "find out who changed it; then, as root, mend owner and mode, and run oncall-cache sync"
        }
        Reason::ClockRollback => "as root, set this host's clock, then run oncall-cache sync",
        Reason::SourceIncomplete => {
            "as root, run oncall-cache sync; if it stays, the [[policy.rule]] names a schedule that is not there"
        }
        Reason::ConfigInvalid => "run oncall-cache config check on the configuration, and mend what it names",
    };
    text.to_string()
}
