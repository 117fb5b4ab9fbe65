//! May this principal enter this account now, and why.
//!
//! [`decide`] is the only place in the suite that allows. PAM, `oncall-cache test-access`, shared
//! accounts and everything else that needs the answer calls it with the same four things: a
//! [`Login`], the [`Evidence`], the administrator's [`Rules`] and an instant. It reads no clock,
//! no file and no environment, so that two callers with the same four things cannot disagree.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod answer;
mod automation;
mod certificate;
mod claims;
mod clock;
mod decision;
#[cfg(test)]
mod dice;
pub mod ending;
mod fingerprint;
mod from;
mod grants;
mod groups;
mod incidents;
mod late;
mod left_out;
mod line;
mod mode;
mod names;
mod notice;
mod principal;
mod refusal;
pub mod revocations;
mod revoked;
mod roster;
mod roster_view;
mod rules;
mod switch;
mod time;

pub use answer::{Decision, Fault, Ground, Guard, OnCall, Program, Reason, Verdict};
pub use automation::{Automation, Digest};
pub use certificate::{Certificate, CertificateAuthority, CertificateFault};
pub use claims::{Claim, Claimed, Claims};
pub use clock::{Proven, Uptime, floor};
pub use decision::{
    Actor, Evidence, Judge, Login, admitted, anyone, decide, is_fresh, knows_who_is_on_call, on_call_now,
    told_on_call,
};
pub use ending::{End, EndAction};
pub use from::FromPattern;
pub use grants::{GrantRule, Granted, Quorum, entered, is_plain_name, is_site_name};
pub use groups::{Gid, GroupPeople, GroupRule, Groups, PublishedGroup, PublishedGroups, is_account};
pub use incidents::{
    Incident, IncidentFeed, IncidentRule, IncidentState, Incidents, LONGEST_LINGER, MOST_INCIDENTS,
    OnUnknown, SourceIncidents,
};
pub use late::{LateShift, NOTICE, late_shifts};
pub use left_out::{LeftBy, LeftOut, Taken, narrow, restore};
pub use line::{OneLine, is_printable, plain};
pub use mode::{Effect, Mode};
pub use names::{Affix, Names};
pub use notice::Notice;
pub use principal::{Account, GroupName, NameError, Principal};
pub use refusal::{ENOUGH_NAMES, Refusal};
pub use revoked::{Authority, Revocation, Revoked};
pub use roster::{Roster, Schedule, ScheduleIndex, ScheduleRef, Shift, Shifts};
pub use rules::{
    AgeLimit, Ages, Facts, Host, HostSelector, Rule, Rules, Shared, SourceAges, Subject, Who,
    asks_the_caller, is_su, matches_glob, names_its_caller,
};
pub use switch::{ModeSource, Order, Switch, mode_in_force};
pub use time::{Span, Timestamp, Window, stretches};
