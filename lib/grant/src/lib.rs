//! Grants: a short text by which colleagues let one person, who is not on call, into one account of some hosts for an hour.
//!
//! `oncall-cache grant` writes, shows and signs them; ssh-keygen does as well. A host judges one by [`judge`] when it is
//! brought there, and by [`Stored::stands`] at each login after that. Nothing here reads a file or a clock.
//!
//! Two things are easily mixed up. Whether a signature is one by a certain key is looked at by `signed`; *whose* signature
//! it is, and whether it counts, is judged here, by who is known to have that key ([`Holders`]).

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod broken;
mod claim;
mod document;
mod holders;
mod id;
mod judge;
mod quorum;
mod refusal;
mod review;
mod stored;
mod text;

pub use broken::{AGAIN, Broken, may_break};
pub use claim::{LARGEST_CLAIM, claim_name, claimed, is_claim_name, read_claim, write_claim};
pub use document::{Document, LARGEST_DOCUMENT};
pub use holders::Holders;
pub use id::GrantId;
pub use judge::{Accepted, Known, OLDEST, judge, may_be_signed};
pub use quorum::Approval;
pub use refusal::{Reason, Refusal};
pub use review::{Review, ReviewDocument, judge_review};
pub use stored::{
    LARGEST_STORED, Stored, review_name, stored_id, stored_name, stored_person, used_id, used_name,
    write_stored,
};
pub use text::{Grant, GrantError, LONGEST_REASON, MOST_HOSTS, is_reason};
