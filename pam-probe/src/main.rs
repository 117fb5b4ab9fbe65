//! `pam-probe SERVICE USER [tty=TTY] [ruser=USER] [confdir=DIRECTORY]`: what the stack of SERVICE says to USER in account
//! management; with DIRECTORY, the stack that is there.
//!
//! `oncall-cache enforce` runs it, and pam-oncall-enable, as root: that program may hold no unsafe code, and this one holds nothing else. It
//! authenticates nobody, opens no session and prints one line: libpam's code, and what it means.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::io::Write;
use std::process::ExitCode;
use std::ptr;

/// libpam's handle; opaque.
#[repr(C)]
struct Raw {
    _private: [u8; 0],
}

type Converse = extern "C" fn(
    count: c_int,
    messages: *mut *const c_void,
    answers: *mut *mut c_void,
    data: *mut c_void,
) -> c_int;

/// `struct pam_conv`.
#[repr(C)]
struct Conversation {
    converse: Converse,
    data: *mut c_void,
}

const SUCCESS: c_int = 0;
/// Nobody is there to be asked.
const CONV_ERR: c_int = 19;
const PAM_TTY: c_int = 3;
const PAM_RUSER: c_int = 8;

// By its file's name, so that no development package is needed.
#[link(name = "libpam.so.0", kind = "dylib", modifiers = "+verbatim")]
unsafe extern "C" {
    fn pam_start_confdir(
        service: *const c_char,
        user: *const c_char,
        conversation: *const Conversation,
        directory: *const c_char,
        handle: *mut *mut Raw,
    ) -> c_int;
    fn pam_set_item(handle: *mut Raw, kind: c_int, item: *const c_void) -> c_int;
    fn pam_acct_mgmt(handle: *mut Raw, flags: c_int) -> c_int;
    fn pam_strerror(handle: *mut Raw, code: c_int) -> *const c_char;
    fn pam_end(handle: *mut Raw, status: c_int) -> c_int;
}

extern "C" fn nobody_answers(_: c_int, _: *mut *const c_void, _: *mut *mut c_void, _: *mut c_void) -> c_int {
    CONV_ERR
}

/// What the stack says, and in words; `None`: libpam could not even begin.
fn probe(service: &CStr, user: &CStr, more: &[More]) -> Option<(c_int, String)> {
    let conversation = Conversation { converse: nobody_answers, data: ptr::null_mut() };
    let mut handle: *mut Raw = ptr::null_mut();
    let directory = more.iter().find_map(|one| match one {
        More::Directory(path) => Some(path.as_ptr()),
        More::Item(..) => None,
    });
    let directory = directory.unwrap_or(ptr::null());
    let (service, user) = (service.as_ptr(), user.as_ptr());
    // SAFETY: live values, the strings NUL-terminated, the directory that or null, and a place to write the handle to.
    let begun =
        unsafe { pam_start_confdir(service, user, &raw const conversation, directory, &raw mut handle) };
    if begun != SUCCESS {
        return None;
    }
    for one in more {
        if let More::Item(kind, item) = one {
            // SAFETY: the handle is live; libpam copies the NUL-terminated string.
            unsafe { pam_set_item(handle, *kind, item.as_ptr().cast()) };
        }
    }
    // SAFETY: the handle is live, and so is the conversation it holds.
    let code = unsafe { pam_acct_mgmt(handle, 0) };
    // SAFETY: the handle is live; the answer is null or a NUL-terminated string of libpam's own.
    let words = unsafe { pam_strerror(handle, code) };
    let words = if words.is_null() {
        String::new()
    } else {
        // SAFETY: not null, and NUL-terminated by libpam's contract.
        unsafe { CStr::from_ptr(words) }.to_string_lossy().into_owned()
    };
    // SAFETY: the handle is live, and not used again.
    unsafe { pam_end(handle, code) };
    Some((code, words))
}

/// What else is told.
enum More {
    /// An item of the transaction.
    Item(c_int, CString),
    /// Where the stacks are; libpam's `pam_start` is the same with none (pam_start.c).
    Directory(CString),
}

fn arguments() -> Option<(CString, CString, Vec<More>)> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let text = |text: &str| CString::new(text).ok();
    let more = |word: &String| {
        let (name, value) = word.split_once('=')?;
        let value = text(value)?;
        match name {
            "tty" => Some(More::Item(PAM_TTY, value)),
            "ruser" => Some(More::Item(PAM_RUSER, value)),
            "confdir" => Some(More::Directory(value)),
            _ => None,
        }
    };
    match words.as_slice() {
        [service, user, words @ ..] => {
            Some((text(service)?, text(user)?, words.iter().map(more).collect::<Option<_>>()?))
        }
        _ => None,
    }
}

fn main() -> ExitCode {
    let Some((service, user, more)) = arguments() else {
        #[allow(clippy::disallowed_methods, reason = "its own words, in a program without any of our crates")]
        let _ = writeln!(
            std::io::stderr(),
            "usage: pam-probe SERVICE USER [tty=TTY] [ruser=USER] [confdir=DIRECTORY]"
        );
        return ExitCode::from(64);
    };
    match probe(&service, &user, &more) {
        Some((code, words)) if writeln!(std::io::stdout(), "{code} {words}").is_ok() => ExitCode::SUCCESS,
        _ => ExitCode::from(2),
    }
}
