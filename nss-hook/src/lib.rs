//! libnss_oncall.so.2: groups whose members are on call, or have a grant.
//!
//! Loaded into every process that looks up a group. It reads one small file that `oncall-cache sync` publishes, and
//! one of `oncall-grant-accept` where that has to say who has a grant. It keeps nothing between calls but the place of an
//! enumeration: no descriptor (a program may close it and open its own), no lock (a program may fork while it is held), no
//! thread, no log.

mod buffer;
mod group;

use std::ffi::{CStr, c_char, c_int};
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use buffer::{Buffer, GidList, NotAdded, RawGroup};
use group::{Absent, Published};
use nix::errno::Errno;
use policy::{PublishedGroup, PublishedGroups};

/// The line of the file that an enumeration has reached. glibc serialises the calls of one process.
static CURSOR: AtomicUsize = AtomicUsize::new(0);

/// What a call comes to.
enum Answer {
    Found,
    NotFound,
    /// It is not known.
    Unavailable,
    /// The caller's memory is too small: more, please.
    TooSmall,
    /// There is no memory.
    NoMemory,
}

impl Answer {
    /// nss.h's `enum nss_status`, and what errno becomes.
    fn codes(self) -> (c_int, Option<Errno>) {
        match self {
            Self::Found => (1, None),
            Self::NotFound => (0, None),
            Self::Unavailable => (-1, Some(Errno::ENOENT)),
            Self::TooSmall => (-2, Some(Errno::ERANGE)),
            Self::NoMemory => (-2, Some(Errno::ENOMEM)),
        }
    }
}

impl From<Absent> for Answer {
    fn from(absent: Absent) -> Self {
        match absent {
            Absent::NotOurs => Self::NotFound,
            Absent::Unknown => Self::Unavailable,
        }
    }
}

/// Asks the published files. No panic leaves this module, and none prints into its host's standard error.
/// errno stays as it was where there is no fault.
///
/// # Safety
/// `errno` is the calling thread's own.
unsafe fn ask(errno: *mut c_int, look: impl FnOnce(&Published, PublishedGroups<'_>) -> Answer) -> c_int {
    // The hook is that of the standard library inside this module; a host written in Rust has its own. No
    // `Once`: who forks while another thread is in it would wait for ever.
    static QUIET: AtomicBool = AtomicBool::new(false);
    // SAFETY: the caller's contract.
    let before = unsafe { *errno };
    let answer = catch_unwind(AssertUnwindSafe(|| {
        if !QUIET.swap(true, Ordering::Relaxed) {
            set_hook(Box::new(|_| {}));
        }
        let published = Published::read();
        let groups = published.as_ref().and_then(|published| Some((published, published.groups()?)));
        groups.map_or(Answer::Unavailable, |(published, groups)| look(published, groups))
    }));
    let (status, code) = answer.unwrap_or(Answer::Unavailable).codes();
    // SAFETY: as above.
    unsafe { *errno = code.map_or(before, |code| code as c_int) };
    status
}

/// The place for a group, and memory for its strings, as glibc lends them.
struct CallerBuffer {
    result: *mut RawGroup,
    memory: *mut c_char,
    length: usize,
}

impl CallerBuffer {
    /// # Safety
    /// `result` is a place for a group, and `length` bytes at `memory` may be written.
    unsafe fn fill(self, published: &Published, group: &PublishedGroup<'_>) -> Answer {
        let members = match published.members(group) {
            Ok(members) => members,
            Err(absent) => return absent.into(),
        };
        // SAFETY: the caller's contract.
        let buffer = unsafe { Buffer::new(self.memory, self.length) };
        // SAFETY: as above.
        match unsafe { buffer.put(self.result, group.name, group.gid.get(), members) } {
            Ok(()) => Answer::Found,
            Err(_) => Answer::TooSmall,
        }
    }
}

/// getgrnam(3).
///
/// # Safety
/// Called by glibc, as its modules are.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn _nss_oncall_getgrnam_r(
    name: *const c_char,
    result: *mut RawGroup,
    memory: *mut c_char,
    length: usize,
    errno: *mut c_int,
) -> c_int {
    let look = |published: &Published, groups: PublishedGroups<'_>| {
        // SAFETY: glibc passes a NUL-terminated string.
        let name = unsafe { CStr::from_ptr(name) }.to_bytes();
        let Some(group) = groups.iter().find(|group| group.name.as_bytes() == name) else {
            return Answer::NotFound;
        };
        // SAFETY: passed on as glibc gave them.
        unsafe { CallerBuffer { result, memory, length }.fill(published, &group) }
    };
    // SAFETY: glibc passes where errno is.
    unsafe { ask(errno, look) }
}

/// getgrgid(3).
///
/// # Safety
/// Called by glibc, as its modules are.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn _nss_oncall_getgrgid_r(
    gid: u32,
    result: *mut RawGroup,
    memory: *mut c_char,
    length: usize,
    errno: *mut c_int,
) -> c_int {
    let look = |published: &Published, groups: PublishedGroups<'_>| {
        let Some(group) = groups.iter().find(|group| group.gid.get() == gid) else {
            return Answer::NotFound;
        };
        // SAFETY: passed on as glibc gave them.
        unsafe { CallerBuffer { result, memory, length }.fill(published, &group) }
    };
    // SAFETY: glibc passes where errno is.
    unsafe { ask(errno, look) }
}

/// setgrent(3).
#[unsafe(no_mangle)]
pub extern "C" fn _nss_oncall_setgrent(_stay_open: c_int) -> c_int {
    rewind()
}

/// endgrent(3).
#[unsafe(no_mangle)]
pub extern "C" fn _nss_oncall_endgrent() -> c_int {
    rewind()
}

fn rewind() -> c_int {
    CURSOR.store(0, Ordering::Relaxed);
    Answer::Found.codes().0
}

/// getgrent(3): the next group that is served. One that does not fit is given again at the next call.
///
/// # Safety
/// Called by glibc, as its modules are.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn _nss_oncall_getgrent_r(
    result: *mut RawGroup,
    memory: *mut c_char,
    length: usize,
    errno: *mut c_int,
) -> c_int {
    let look = |published: &Published, groups: PublishedGroups<'_>| {
        let from = CURSOR.load(Ordering::Relaxed);
        // An enumeration that had to leave a group out does not end as if it were whole.
        let mut end = match groups.iter().take(from).all(|group| published.knows(&group)) {
            true => Answer::NotFound,
            false => Answer::Unavailable,
        };
        for (at, group) in groups.iter().enumerate().skip(from) {
            // SAFETY: passed on as glibc gave them.
            match unsafe { CallerBuffer { result, memory, length }.fill(published, &group) } {
                Answer::Found => {
                    CURSOR.store(at.saturating_add(1), Ordering::Relaxed);
                    return Answer::Found;
                }
                Answer::NotFound => {}
                Answer::Unavailable => end = Answer::Unavailable,
                full => return full,
            }
        }
        end
    };
    // SAFETY: glibc passes where errno is.
    unsafe { ask(errno, look) }
}

/// initgroups(3): adds the gids of the groups that `user` is in now.
///
/// # Safety
/// Called by glibc, as its modules are.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn _nss_oncall_initgroups_dyn(
    user: *const c_char,
    skipped: u32,
    count: *mut isize,
    room: *mut isize,
    gids: *mut *mut u32,
    limit: isize,
    errno: *mut c_int,
) -> c_int {
    let look = |published: &Published, groups: PublishedGroups<'_>| {
        // SAFETY: glibc passes a NUL-terminated string.
        let user = unsafe { CStr::from_ptr(user) }.to_bytes();
        let mut list = GidList { count, room, gids, limit };
        // A group that is known is worth more than the news that another is not.
        let (mut added, mut unknown) = (false, false);
        for group in groups.iter().filter(|group| group.gid.get() != skipped) {
            match published.has(&group, user) {
                Ok(false) | Err(Absent::NotOurs) => continue,
                Err(Absent::Unknown) => unknown = true,
                // SAFETY: glibc's own list.
                Ok(true) => match unsafe { list.add(group.gid.get()) } {
                    Ok(()) => added = true,
                    Err(NotAdded::Full) => return Answer::Found,
                    Err(NotAdded::NoMemory) => return Answer::NoMemory,
                },
            }
        }
        match (added, unknown) {
            (true, _) => Answer::Found,
            (false, true) => Answer::Unavailable,
            (false, false) => Answer::NotFound,
        }
    };
    // SAFETY: glibc passes where errno is.
    unsafe { ask(errno, look) }
}
