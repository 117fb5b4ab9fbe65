//! The one file that calls libpam.
//!
//! Everything that a decision needs is copied out of the transaction at once, into plain strings:
//! what libpam lends may change under our feet, and need not be UTF-8.

use std::any::Any;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

/// libpam's handle; opaque.
#[repr(C)]
pub struct Raw {
    _private: [u8; 0],
}

/// Return codes, from security/_pam_types.h. Plain integers: a code of libpam's that we do not know
/// must not become an impossible enum.
pub mod code {
    use std::ffi::c_int;
    pub const SUCCESS: c_int = 0;
    pub const PERM_DENIED: c_int = 6;
    pub const AUTHINFO_UNAVAIL: c_int = 9;
    pub const USER_UNKNOWN: c_int = 10;
    pub const IGNORE: c_int = 25;
}

/// `PAM_SILENT` (security/_pam_types.h).
pub const SILENT: c_int = 0x8000;

const PAM_SERVICE: c_int = 1;
const PAM_USER: c_int = 2;
const PAM_TTY: c_int = 3;
const PAM_RHOST: c_int = 4;
const PAM_RUSER: c_int = 8;
const PAM_ERROR_MSG: c_int = 3;

/// The longest item that is copied whole; one byte more says that it was longer.
const LONGEST: usize = 16 * 1024;

unsafe extern "C" {
    fn pam_get_item(handle: *const Raw, kind: c_int, item: *mut *const c_void) -> c_int;
    fn pam_getenv(handle: *mut Raw, name: *const c_char) -> *const c_char;
    fn pam_set_data(
        handle: *mut Raw,
        name: *const c_char,
        data: *mut c_void,
        cleanup: Option<Cleanup>,
    ) -> c_int;
    fn pam_get_data(handle: *const Raw, name: *const c_char, data: *mut *const c_void) -> c_int;
    fn pam_prompt(
        handle: *mut Raw,
        style: c_int,
        response: *mut *mut c_char,
        format: *const c_char,
        ...
    ) -> c_int;
}

/// What libpam keeps for us: a pointer to it is thin, and it knows its own type.
type Kept = Box<dyn Any>;

type Cleanup = unsafe extern "C" fn(*mut Raw, *mut c_void, c_int);

/// Frees what was kept: libpam calls it when something else is kept, and at the end, before it lets go of us.
///
/// # Safety
/// `data` must be what [`Call::keep`] gave to libpam.
unsafe extern "C" fn forget(_: *mut Raw, data: *mut c_void, _: c_int) {
    let _ = catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: `data` came from Box::into_raw of a Kept in `keep`, and libpam calls this once for it.
        drop(unsafe { Box::from_raw(data.cast::<Kept>()) });
    }));
}

/// What libpam calls our data by: with an address of ours, so that another release of this module, loaded
/// beside us while files were replaced, finds nothing that it would read wrongly.
fn data_name() -> CString {
    CString::new(format!("pam_oncall {:p}", forget as *const ())).unwrap_or_default()
}

/// What one call of libpam's tells.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// `PAM_SERVICE`.
    pub service: String,
    /// `PAM_USER` as it is now: an earlier module may have changed it.
    pub user: String,
    /// `PAM_RUSER`: who asks, as sudo says.
    pub asker: String,
    /// `PAM_TTY`.
    pub tty: String,
    /// `PAM_RHOST`.
    pub remote_host: String,
    /// sshd's `SSH_AUTH_INFO_0`, from the PAM environment and never from the process's.
    pub authentication: Option<String>,
    /// The words after the module's name in the stack line.
    pub arguments: Vec<String>,
}

/// One call of libpam's.
pub struct Call {
    handle: *mut Raw,
}

impl Call {
    /// # Safety
    /// `handle` must be the live handle that libpam called with.
    pub unsafe fn new(handle: *mut Raw) -> Self {
        Self { handle }
    }

    /// Copies what the transaction holds.
    ///
    /// # Safety
    /// `argv` must hold `argc` valid strings, as libpam calls with.
    pub unsafe fn request(&self, argc: c_int, argv: *const *const c_char) -> Request {
        let count = if argv.is_null() { 0 } else { usize::try_from(argc).unwrap_or(0) };
        let arguments = (0..count).map(|index| {
            // SAFETY: index < argc, and libpam's argv has argc entries.
            let argument = unsafe { *argv.add(index) };
            // SAFETY: each entry is null or a string that outlives this call (caller's contract).
            unsafe { copy(argument) }.unwrap_or_default()
        });
        Request {
            service: self.item(PAM_SERVICE),
            user: self.item(PAM_USER),
            asker: self.item(PAM_RUSER),
            tty: self.item(PAM_TTY),
            remote_host: self.item(PAM_RHOST),
            authentication: self.variable(c"SSH_AUTH_INFO_0"),
            arguments: arguments.collect(),
        }
    }

    fn item(&self, kind: c_int) -> String {
        let mut item: *const c_void = ptr::null();
        // SAFETY: the handle is live (`new`), and `item` is a place to write a pointer to.
        let status = unsafe { pam_get_item(self.handle, kind, &raw mut item) };
        if status != code::SUCCESS {
            return String::new();
        }
        // SAFETY: libpam's string items are null or NUL-terminated, and live until the next libpam call.
        unsafe { copy(item.cast()) }.unwrap_or_default()
    }

    fn variable(&self, name: &CStr) -> Option<String> {
        // SAFETY: the handle is live and the name is NUL-terminated.
        let value = unsafe { pam_getenv(self.handle, name.as_ptr()) };
        // SAFETY: null or a NUL-terminated string in libpam's environment list, alive until it changes.
        unsafe { copy(value) }
    }

    /// What an earlier call of this login has kept, if that is a `T`.
    pub fn kept<T: Any + Clone>(&self) -> Option<T> {
        let mut data: *const c_void = ptr::null();
        // SAFETY: the handle is live, the name NUL-terminated, and `data` is a place to write a pointer to.
        let status = unsafe { pam_get_data(self.handle, data_name().as_ptr(), &raw mut data) };
        if status != code::SUCCESS || data.is_null() {
            return None;
        }
        // SAFETY: under this name there is only what `keep` put there, a Kept that lives until it is replaced.
        let kept = unsafe { &*data.cast::<Kept>() };
        (**kept).downcast_ref::<T>().cloned()
    }

    /// Keeps `kept` for later calls of this login, instead of what was kept before.
    pub fn keep<T: Any>(&self, kept: T) {
        let kept: Kept = Box::new(kept);
        let data = Box::into_raw(Box::new(kept)).cast::<c_void>();
        // SAFETY: the handle is live and the name NUL-terminated; libpam gives `data` to `forget`, once.
        let status = unsafe { pam_set_data(self.handle, data_name().as_ptr(), data, Some(forget)) };
        if status != code::SUCCESS {
            // SAFETY: libpam did not take it, so it is ours alone.
            drop(unsafe { Box::from_raw(data.cast::<Kept>()) });
        }
    }

    /// Tells the user one line, through whatever the application shows messages with.
    pub fn tell(&self, text: &str) {
        let Ok(text) = CString::new(text) else { return };
        // SAFETY: the handle is live; the format takes exactly the one string that follows; a null response
        // is allowed for messages (pam_prompt(3)). That nobody saw the message changes nothing.
        let _ =
            unsafe { pam_prompt(self.handle, PAM_ERROR_MSG, ptr::null_mut(), c"%s".as_ptr(), text.as_ptr()) };
    }
}

/// Copies a C string, cut at [`LONGEST`] + 1 bytes; bytes that are not UTF-8 become U+FFFD, which no name
/// that we accept contains.
///
/// # Safety
/// `text` must be null or point to a NUL-terminated string.
unsafe fn copy(text: *const c_char) -> Option<String> {
    if text.is_null() {
        return None;
    }
    // SAFETY: not null, and NUL-terminated by the caller's contract.
    let bytes = unsafe { CStr::from_ptr(text) }.to_bytes();
    Some(String::from_utf8_lossy(bytes.get(..=LONGEST).unwrap_or(bytes)).into_owned())
}
