//! What people and timers ask of this program: one file a verb (`revoke` has its counterpart with it), which says all that
//! the verb has to say.

pub mod ask_rego;
pub mod claim;
pub mod config_check;
pub mod config_import;
pub mod config_show;
pub mod doctor;
pub mod end;
pub mod enforce;
pub mod explain;
pub mod grant;
pub mod heartbeat;
pub mod identities;
pub mod pam_doors;
pub mod pam_lines;
pub mod pause;
pub mod policy;
pub mod policy_plan;
pub mod provider;
pub mod pull;
pub mod refresh;
pub mod report;
pub mod revoke;
pub mod sessions;
pub mod status;
pub mod sync;
pub mod test_access;
pub mod watch;
pub mod who;
pub mod why;
