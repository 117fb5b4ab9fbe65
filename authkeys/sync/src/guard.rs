//! Changes that look like a mistake in the directory are not published.

use std::fmt;

use store::keys::Effect;

/// Fewer people lost than this are never too many.
const FEW_LOST: usize = 10;

/// Why a change is not published although it was fetched whole.
#[derive(Debug, PartialEq, Eq)]
pub enum Guarded {
    /// Nobody would be left.
    Empty,
    /// Too many would lose their keys, now or soon: how many, of how many, and the percentage allowed.
    Shrink(usize, usize, u8),
    /// Too many could not become root any more: how many, of how many, and the percentage allowed.
    Deprived(usize, usize, u8),
}

impl fmt::Display for Guarded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str(
                "the directory shows no people (source-empty), nothing published; check `base`, `filter` and what the bind DN may read",
            ),
            Self::Shrink(lost, before, share) => write!(
                f,
                "{lost} of {before} people would be removed or lose all keys within a week, more than max_removed ({share}%) allows (guard-tripped), \
                 nothing published; check `base`, `filter` and what the bind DN may read, or accept it once: authkeys-sync --accept"
            ),
            Self::Deprived(lost, before, share) => write!(
                f,
                "{lost} of {before} people would no longer be eligible: all of them, or more than max_removed ({share}%) allows \
                 (guard-tripped), nothing published; check `eligible_group` and what the bind DN may read of it, or accept it \
                 once: authkeys-sync --accept"
            ),
        }
    }
}

impl std::error::Error for Guarded {}

/// Refuses a change that takes away too many, or the last who may become root: a mistake in the directory must
/// not lock everybody out. Where the administrator accepts it, only a directory that `shows_nobody` is refused
/// still; a copy of nobody is none, as long as nobody is eligible.
pub fn guard(effect: Effect, shows_nobody: bool, max_removed: u8, accept: bool) -> Result<(), Guarded> {
    let Effect { lost, before, gained, deprived, eligible_before, .. } = effect;
    let many = |lost: usize, before: usize| {
        let allowed = before.saturating_mul(usize::from(max_removed));
        lost >= FEW_LOST && lost.saturating_mul(100) > allowed
    };
    let all_deprived = deprived > 0 && eligible_before + gained == deprived;
    if shows_nobody {
        Err(Guarded::Empty)
    } else if accept {
        Ok(())
    } else if all_deprived || many(deprived, eligible_before) {
        Err(Guarded::Deprived(deprived, eligible_before, max_removed))
    } else if many(lost, before) {
        Err(Guarded::Shrink(lost, before, max_removed))
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shrink_is_refused_above_its_share_and_an_empty_directory_always() {
        let effect = |lost, before, people| Effect { lost, before, people, ..Effect::default() };
        let guard = |effect: Effect, share, accept| guard(effect, effect.people == 0, share, accept);
        assert_eq!(guard(effect(20, 100, 80), 20, false), Ok(()));
        assert_eq!(guard(effect(21, 100, 79), 20, false), Err(Guarded::Shrink(21, 100, 20)));
        assert_eq!(guard(effect(21, 100, 79), 20, true), Ok(()));
        assert_eq!(guard(effect(9, 10, 1), 0, false), Ok(()));
        assert_eq!(guard(effect(10, 1000, 990), 0, false), Err(Guarded::Shrink(10, 1000, 0)));
        assert_eq!(guard(effect(0, 0, 0), 100, true), Err(Guarded::Empty));
        assert_eq!(guard(effect(0, 0, 5), 20, false), Ok(()));
    }

    #[test]
    fn the_last_who_may_become_root_and_too_many_of_them_stay_unless_that_is_accepted() {
        let of = |deprived, eligible_before, gained| {
            let effect = Effect { deprived, eligible_before, gained, people: 100, ..Effect::default() };
            [false, true].map(|accept| guard(effect, false, 20, accept))
        };
        let refused = |lost, before| [Err(Guarded::Deprived(lost, before, 20)), Ok(())];
        assert_eq!(of(1, 1, 0), refused(1, 1));
        assert_eq!(of(3, 3, 0), refused(3, 3));
        assert_eq!(of(3, 3, 1), [Ok(()), Ok(())]);
        assert_eq!(of(9, 20, 0), [Ok(()), Ok(())], "fewer than ten are never many");
        assert_eq!(of(10, 20, 0), refused(10, 20));
        assert_eq!(of(10, 50, 0), [Ok(()), Ok(())]);
        assert_eq!(of(0, 0, 0), [Ok(()), Ok(())]);
        // A copy of eligible people alone may be empty; a directory may not.
        let nobody = Effect::default();
        assert_eq!(guard(nobody, false, 20, false), Ok(()));
        assert_eq!(guard(nobody, true, 20, true), Err(Guarded::Empty));
    }
}
