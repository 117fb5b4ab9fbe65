//! pam_oncall.so: guarded logins are for people on call.
//!
//! All six entry points of a PAM module are exported, for ever: a stack that names this module in a
//! phase it has nothing to say about must keep working (guest-oslogin#123 is what happens otherwise).

mod account;
mod credential;
mod human;
mod pam;
mod record;
mod stack;

use std::ffi::{c_char, c_int};
use std::fs::File;
use std::os::fd::AsRawFd;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook};
use std::sync::atomic::{AtomicBool, Ordering};

use ::record::Phase;
use account::Answer;
use host::clock::now;
use host::switch::is_probe;
use policy::Effect;

/// Holds whichever of the first three descriptors are closed. What is opened meanwhile is none of them then: SQLite
/// would fill them itself, and leave them so.
fn hold_standard_descriptors() -> Vec<File> {
    let null = std::iter::from_fn(|| File::open("/dev/null").ok());
    null.take_while(|file| file.as_raw_fd() <= 2).collect()
}

/// What `run` returns; where it panics, a refusal.
fn guarded(run: impl FnOnce() -> c_int) -> c_int {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or(pam::code::AUTHINFO_UNAVAIL)
}

/// Runs `decide` so that no panic leaves this module and none prints into its host's standard error.
/// `not_ours` is the code for a login that is not ours to refuse.
unsafe fn answer(
    handle: *mut pam::Raw,
    flags: c_int,
    argc: c_int,
    argv: *const *const c_char,
    not_ours: c_int,
    decide: impl FnOnce(&pam::Call, &pam::Request) -> Answer,
) -> c_int {
    // No `Once`: who forks while another thread is in it would wait for ever.
    static QUIET: AtomicBool = AtomicBool::new(false);
    guarded(|| {
        if !QUIET.swap(true, Ordering::Relaxed) {
            set_hook(Box::new(|_| {}));
        }
        let _held = hold_standard_descriptors();
        // SAFETY: libpam keeps the handle alive until the entry point returns.
        let call = unsafe { pam::Call::new(handle) };
        // SAFETY: argc and argv are libpam's own.
        let request = unsafe { call.request(argc, argv) };
        let answer = decide(&call, &request);
        let is_silent = flags & pam::SILENT != 0 && record::asks_for_silence(&request.service);
        if let Some(text) = answer.tell.as_ref().filter(|_| !is_silent) {
            call.tell(text);
        }
        match answer.effect {
            Effect::Allow => pam::code::SUCCESS,
            Effect::Ignore => not_ours,
            Effect::Refuse => pam::code::PERM_DENIED,
            Effect::CannotTell => pam::code::AUTHINFO_UNAVAIL,
            Effect::BadName => pam::code::USER_UNKNOWN,
        }
    })
}

macro_rules! entry_points {
    ($($(#[$doc:meta])* $name:ident($not_ours:ident) => $decide:expr;)*) => {$(
        $(#[$doc])*
        ///
        /// # Safety
        /// Called by libpam, with a live handle and `argc` valid strings in `argv`.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name(
            handle: *mut pam::Raw,
            flags: c_int,
            argc: c_int,
            argv: *const *const c_char,
        ) -> c_int {
            let decide = |call: &pam::Call, request: &pam::Request| $decide(call, request);
            // SAFETY: passed on as libpam gave them.
            unsafe { answer(handle, flags, argc, argv, pam::code::$not_ours, decide) }
        }
    )*};
}

entry_points! {
    /// Account management: decides.
    pam_sm_acct_mgmt(IGNORE) => |call, request| {
        let answer = account::account(request, nix::unistd::getuid(), now());
        let phase = if is_probe() { Phase::Test } else { Phase::Account };
        record::decided(call, request, answer, phase, now())
    };
    /// Session management, opening: decides over sshd what account management left to it, and records who came in.
    pam_sm_open_session(SUCCESS) => |call, request| {
        let answer = account::open_session(request, record::earlier(call), now());
        record::opened(call, request, answer, now())
    };
    /// Session management, closing: records that.
    pam_sm_close_session(SUCCESS) => |call, request| record::closed(call, request, now());
    /// Authentication is not this module's phase; a stack line there lets the log tell whom PAM was asked about
    /// before other modules changed it.
    pam_sm_authenticate(IGNORE) => record::asked;
}

macro_rules! nothing_to_say {
    ($($(#[$doc:meta])* $name:ident => $code:ident;)*) => {$(
        $(#[$doc])*
        #[unsafe(no_mangle)]
        pub extern "C" fn $name(_: *mut pam::Raw, _: c_int, _: c_int, _: *const *const c_char) -> c_int {
            pam::code::$code
        }
    )*};
}

nothing_to_say! {
    /// Credentials are not this module's phase.
    pam_sm_setcred => IGNORE;
    /// Nor are passwords.
    pam_sm_chauthtok => IGNORE;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_of_ours_refuses() {
        assert_eq!(guarded(|| panic!("ours")), pam::code::AUTHINFO_UNAVAIL);
        assert_eq!(guarded(|| pam::code::IGNORE), pam::code::IGNORE);
    }
}
