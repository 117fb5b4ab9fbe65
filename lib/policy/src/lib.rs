//! May this principal enter this account now, and why.
//!
//! [`decide`] is the only place in the suite that allows. PAM, `oncall-cache check`, shared
//! accounts and everything else that needs the answer calls it with the same four things: a
//! [`Login`], the [`Evidence`], the administrator's [`Rules`] and an instant. It reads no clock,
//! no file and no environment, so that two callers with the same four things cannot disagree.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod automation;
mod clock;
mod decision;
mod from;
mod groups;
mod line;
mod mode;
mod names;
mod notice;
mod principal;
mod refusal;
mod revoked;
mod roster;
mod rules;
mod switch;
mod time;

pub use automation::{Automation, Digest};
pub use clock::{Proven, Uptime, floor};
pub use decision::{
    Decision, Evidence, Fault, Ground, Guard, Judge, Login, OnCall, Person, Program, Reason, Verdict,
    admitted, anyone, decide, on_call_now, told_on_call,
};
pub use from::FromPattern;
pub use groups::{Gid, GroupRule, Groups, PublishedGroup, PublishedGroups, is_account};
pub use line::{OneLine, is_printable, plain};
pub use mode::{Effect, Mode};
pub use names::{Affix, Names};
pub use notice::Notice;
pub use principal::{Account, GroupName, NameError, Principal};
pub use refusal::Refusal;
pub use revoked::{Revocation, Revoked};
pub use roster::{Roster, Schedule, ScheduleRef, Shift, Shifts};
pub use rules::{
    AgeLimit, Ages, Facts, Host, HostSelector, Rule, Rules, Shared, SourceAges, Subject, Who,
    asks_the_caller, is_su, matches_glob, names_its_caller,
};
pub use switch::{ModeSource, Order, Switch, mode_in_force};
pub use time::{Span, Timestamp, Window, stretches};
