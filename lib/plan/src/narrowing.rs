//! What files of `[[policy.rego]]` leave of a rota: on each host by those that it asks. They are asked by whoever asks for a
//! plan; this crate does not know what they say.

use std::collections::BTreeSet;

use policy::{Host, Roster};

use crate::expectations::Narrow;

/// The files of both sides.
#[derive(Default)]
pub struct Files<'a> {
    /// Those of the configuration before the change.
    pub old: Narrowing<'a>,
    /// Those of the one after it.
    pub new: Narrowing<'a>,
}

/// The files of one configuration; by default none is asked, whatever it names.
#[derive(Default)]
pub struct Narrowing<'a>(pub Option<Asked<'a>>);

/// How they are asked.
pub struct Asked<'a> {
    /// What they leave of a rota on a host.
    pub leave: &'a Narrow<'a>,
    /// What their answer hangs on there: which are asked, and the host itself if one of them looks at that. On hosts of
    /// which this is the same, the answer is. Nothing: none is asked.
    pub kind: &'a dyn Fn(&Host) -> Vec<String>,
}

impl Files<'_> {
    /// Is what the new ones leave counted?
    pub(crate) fn are_asked(&self) -> bool {
        self.new.0.is_some()
    }
}

impl Narrowing<'_> {
    /// What their answer hangs on, on `host`.
    pub(crate) fn kind_of(&self, host: Option<&Host>) -> Vec<String> {
        self.0.as_ref().zip(host).map(|(asked, host)| (asked.kind)(host)).unwrap_or_default()
    }

    /// What they leave of `roster` on `host`, if one is asked there. Where that cannot be told, `troubles` says why.
    pub(crate) fn left_of(
        &self,
        roster: &Roster,
        host: Option<&Host>,
        troubles: &mut BTreeSet<String>,
    ) -> Option<Roster> {
        let (asked, host) = self.0.as_ref().zip(host)?;
        if (asked.kind)(host).is_empty() {
            return None;
        }
        match (asked.leave)(host, roster) {
            Ok(left) => Some(left),
            Err(trouble) => {
                troubles.insert(format!("what is left of the rota on {}: {trouble}", host.name));
                None
            }
        }
    }
}
