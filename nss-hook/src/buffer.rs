//! A group in the memory that glibc lends: strings and the list of members, aligned, never past the end.

use std::ffi::c_char;
use std::mem::{align_of, size_of};
use std::ptr;

/// `struct group` of grp.h, as every libc of Linux lays it out.
#[repr(C)]
pub struct RawGroup {
    name: *mut c_char,
    password: *mut c_char,
    gid: u32,
    members: *mut *mut c_char,
}

/// The caller's memory is too small.
#[derive(Debug)]
pub struct TooSmall;

/// Memory that glibc lends for the strings of one group.
pub struct Buffer {
    next: *mut u8,
    left: usize,
}

impl Buffer {
    /// # Safety
    /// `start` must point to `length` bytes that may be written and live as long as what is put into them is used.
    pub unsafe fn new(start: *mut c_char, length: usize) -> Self {
        Self { next: start.cast(), left: if start.is_null() { 0 } else { length } }
    }

    /// Sets aside `size` bytes at an address that is a multiple of `align`.
    fn take(&mut self, size: usize, align: usize) -> Result<*mut u8, TooSmall> {
        let padding = self.next.align_offset(align);
        let whole = padding.checked_add(size).ok_or(TooSmall)?;
        self.left = self.left.checked_sub(whole).ok_or(TooSmall)?;
        // SAFETY: `whole` bytes were left, so both sums stay inside the memory or one past its end.
        unsafe {
            let start = self.next.add(padding);
            self.next = self.next.add(whole);
            Ok(start)
        }
    }

    fn string(&mut self, text: &str) -> Result<*mut c_char, TooSmall> {
        let place = self.take(text.len().checked_add(1).ok_or(TooSmall)?, 1)?;
        // SAFETY: `take` gave room for the text and its NUL, in memory that nothing else refers to.
        unsafe {
            ptr::copy_nonoverlapping(text.as_ptr(), place, text.len());
            place.add(text.len()).write(0);
        }
        Ok(place.cast())
    }

    /// Puts the group into the memory and points `result` at it; `result` is not touched if that does not fit.
    ///
    /// # Safety
    /// `result` must be a place for a `struct group`.
    pub unsafe fn put<'m>(
        mut self,
        result: *mut RawGroup,
        name: &str,
        gid: u32,
        members: impl Iterator<Item = &'m str> + Clone,
    ) -> Result<(), TooSmall> {
        let slots = members.clone().count().checked_add(1).ok_or(TooSmall)?;
        let bytes = slots.checked_mul(size_of::<*mut c_char>()).ok_or(TooSmall)?;
        let list: *mut *mut c_char = self.take(bytes, align_of::<*mut c_char>())?.cast();
        let mut slot = list;
        for member in members {
            let text = self.string(member)?;
            // SAFETY: there is a slot for each member and one more, and `take` aligned them.
            unsafe {
                slot.write(text);
                slot = slot.add(1);
            }
        }
        // SAFETY: the last slot.
        unsafe { slot.write(ptr::null_mut()) };
        let group = RawGroup { name: self.string(name)?, password: self.string("*")?, gid, members: list };
        // SAFETY: the caller's contract.
        unsafe { result.write(group) };
        Ok(())
    }
}

unsafe extern "C" {
    fn realloc(memory: *mut u32, size: usize) -> *mut u32;
}

/// The list that `initgroups` fills: glibc's, grown with glibc's own allocator.
pub struct GidList {
    /// How many are in it.
    pub count: *mut isize,
    /// For how many there is room.
    pub room: *mut isize,
    /// The list.
    pub gids: *mut *mut u32,
    /// The most that are wanted; none or less, any number.
    pub limit: isize,
}

/// Why a gid was not added.
pub enum NotAdded {
    /// The caller wants no more.
    Full,
    /// There is no memory.
    NoMemory,
}

impl GidList {
    /// Adds `gid` if it is not in the list.
    ///
    /// # Safety
    /// The four fields are as glibc calls `initgroups_dyn` with: `*gids` was allocated by malloc for `*room`
    /// numbers, of which the first `*count` are set.
    pub unsafe fn add(&mut self, gid: u32) -> Result<(), NotAdded> {
        // SAFETY: the caller's contract.
        let (count, room) = unsafe { (*self.count, *self.room) };
        let filled = usize::try_from(count).unwrap_or(0);
        // SAFETY: the first `count` numbers are set.
        let known = (0..filled).any(|at| unsafe { *(*self.gids).add(at) } == gid);
        if known {
            return Ok(());
        }
        if self.limit > 0 && count >= self.limit {
            return Err(NotAdded::Full);
        }
        if count >= room {
            // SAFETY: as above.
            unsafe { self.grow(filled) }?;
        }
        // SAFETY: there is room for one more now.
        unsafe {
            (*self.gids).add(filled).write(gid);
            *self.count = count + 1;
        }
        Ok(())
    }

    unsafe fn grow(&mut self, filled: usize) -> Result<(), NotAdded> {
        let doubled = filled.max(8).checked_mul(2).ok_or(NotAdded::NoMemory)?;
        let wanted = match usize::try_from(self.limit) {
            Ok(limit) if limit > 0 => doubled.min(limit.max(filled + 1)),
            _ => doubled,
        };
        let bytes = wanted.checked_mul(size_of::<u32>()).ok_or(NotAdded::NoMemory)?;
        let room = isize::try_from(wanted).map_err(|_| NotAdded::NoMemory)?;
        // SAFETY: `*gids` came from malloc or realloc (glibc's contract with its modules).
        let grown = unsafe { realloc(*self.gids, bytes) };
        if grown.is_null() {
            return Err(NotAdded::NoMemory);
        }
        // SAFETY: glibc's own variables.
        unsafe {
            *self.gids = grown;
            *self.room = room;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::CStr;

    /// The group `oncall` with these members, in `size` bytes of memory that has guards before and behind, `shift` bytes after
    /// an address that is a multiple of 16.
    fn put(size: usize, shift: usize, with: &[&str]) -> Option<(String, u32, Vec<String>)> {
        let mut memory = vec![0xa5_u8; 15 + 16 + shift + size + 16];
        let start = memory.as_ptr().align_offset(16) + 16 + shift;
        let mut group =
            RawGroup { name: ptr::null_mut(), password: ptr::null_mut(), gid: 7, members: ptr::null_mut() };
        // SAFETY: the memory lives to the end of this function.
        let put = unsafe {
            let buffer = Buffer::new(memory.as_mut_ptr().add(start).cast(), size);
            buffer.put(&raw mut group, "oncall", 9100, with.iter().copied())
        };
        assert!(memory[..start].iter().all(|byte| *byte == 0xa5), "written before the start");
        assert!(memory[start + size..].iter().all(|byte| *byte == 0xa5), "written past the end");
        if put.is_err() {
            assert!(group.name.is_null() && group.gid == 7, "touched although it does not fit");
            return None;
        }
        // SAFETY: what `put` wrote, in memory that still lives.
        let text = |text: *mut c_char| unsafe { CStr::from_ptr(text) }.to_str().unwrap().to_string();
        let mut members = Vec::new();
        for at in 0.. {
            // SAFETY: the list ends with a null pointer.
            let member = unsafe { *group.members.add(at) };
            if member.is_null() {
                break;
            }
            members.push(text(member));
        }
        assert_eq!(group.members.align_offset(align_of::<*mut c_char>()), 0);
        Some((text(group.name), group.gid, members))
    }

    #[test]
    fn a56_a_group_fits_whole_or_nothing_is_written() {
        for (members, shift) in [&[][..], &["alice"], &["alice", "bob"]]
            .iter()
            .flat_map(|members| (0..8).map(move |shift| (*members, shift)))
        {
            let fits: Vec<bool> = (0..100).map(|size| put(size, shift, members).is_some()).collect();
            let first = fits.iter().position(|fits| *fits).unwrap();
            assert!(fits[first..].iter().all(|fits| *fits), "more memory fits less: {fits:?}");
            // A pointer for each and one more; the members, "oncall" and "*" with their NULs.
            let least =
                8 * (members.len() + 1) + members.iter().map(|name| name.len() + 1).sum::<usize>() + 7 + 2;
            assert_eq!(first, least + (8 - shift) % 8);
            let members: Vec<String> = members.iter().map(ToString::to_string).collect();
            let names: Vec<&str> = members.iter().map(String::as_str).collect();
            assert_eq!(put(first, shift, &names), Some(("oncall".to_string(), 9100, members)));
        }
    }

    #[test]
    fn gids_are_added_once_up_to_the_limit() {
        unsafe extern "C" {
            fn malloc(size: usize) -> *mut u32;
            fn free(memory: *mut u32);
        }
        for (limit, expected) in [(0, vec![5, 9100, 9101, 9102]), (3, vec![5, 9100, 9101])] {
            // SAFETY: one number fits four bytes.
            let mut gids = unsafe {
                let gids = malloc(4);
                gids.write(5);
                gids
            };
            let (mut count, mut room) = (1, 1);
            let mut list = GidList { count: &raw mut count, room: &raw mut room, gids: &raw mut gids, limit };
            for gid in [9100, 5, 9100, 9101, 9102] {
                // SAFETY: set up as glibc does.
                let _ = unsafe { list.add(gid) };
            }
            // SAFETY: `count` numbers are set.
            let found = unsafe { std::slice::from_raw_parts(gids, usize::try_from(count).unwrap()) }.to_vec();
            // SAFETY: from malloc or realloc.
            unsafe { free(gids) };
            assert_eq!(found, expected);
        }
    }
}
