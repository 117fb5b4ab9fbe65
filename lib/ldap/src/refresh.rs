//! RFC 4533 on the wire: one refresh, or the paged search of a server that does not know it.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use ldap3::controls::{
    Control, ControlType, EntryState, MakeCritical, RawControl, SyncDone, SyncInfo, SyncRequest, SyncState,
    parse_syncinfo,
};
use ldap3::{DerefAliases, LdapResult, ResultEntry, SearchOptions};

use super::search::{Search, Tally};
use super::server::is_cookie_of_389;
use super::{Fault, Partial, Reader, Received, Session, Since, Step, readable};
use crate::news::{News, Refresh};
use crate::witnesses::Witnesses;

/// The server does not know the control (unavailableCriticalExtension), or does not let us use it
/// (insufficientAccessRights, unwillingToPerform).
const NOT_OFFERED: [u32; 3] = [12, 50, 53];

/// The server cannot go on from the cookie: protocolError, unavailableCriticalExtension, unwillingToPerform
/// (slapd that was restored from a backup: "consumer state is newer than provider!"), e-syncRefreshRequired.
const COOKIE_REFUSED: [u32; 4] = [2, 12, 53, 4096];

/// The octets of an entryUUID.
const UUID: usize = 16;

/// Which change an entry was last written by (draft-ietf-ldup-model's change sequence number, as slapd has it).
const CSN: &str = "entryCSN";

/// What is asked about entries that show a server's past.
const WITNESS: [&str; 2] = ["entryUUID", CSN];

/// How one request for a refresh ended.
enum Refreshed {
    /// What the directory says, and from where to go on the next time.
    Done(News, Option<Since>),
    /// The cookie is of no use.
    CookieRefused,
    /// This server has no RFC 4533 for us, or not for so many.
    NotOffered,
}

impl Session<'_> {
    /// Everybody whom `search` finds, or what changed since; and from where to go on the next time.
    pub(super) async fn people(
        &mut self,
        search: &Search<'_>,
        since: &Since,
        reader: &Reader<'_>,
    ) -> Result<(News, Option<Since>), Fault> {
        let mut refreshed = self.refresh(search, since, reader).await?;
        if let Refreshed::Done(News::Part { set, gone }, next) = &refreshed {
            let reported = |id: &str| gone.contains(id) || set.iter().any(|entry| entry.id == id);
            let is_still = next.as_ref().is_some_and(|next| next.cookie == since.cookie);
            // Where nothing happened since, nothing was undone either.
            if !(is_still && set.is_empty() && gone.is_empty())
                && self.has_another_past(search, &since.witnesses, reported).await?
            {
                refreshed = Refreshed::CookieRefused;
            }
        }
        if matches!(refreshed, Refreshed::CookieRefused) {
            refreshed = self.refresh(search, &since.of_everybody(), reader).await?;
        }
        if let Refreshed::Done(news, next) = refreshed {
            return Ok((news, next));
        }
        Ok((self.everybody(search, reader).await?, None))
    }

    /// Does the server contradict the `witnesses` of which the refresh has not `reported`?
    async fn has_another_past(
        &mut self,
        search: &Search<'_>,
        witnesses: &Witnesses,
        reported: impl Fn(&str) -> bool,
    ) -> Result<bool, Fault> {
        let Some(filter) = witnesses.filter(search.filter, &reported) else { return Ok(false) };
        let asked = Search { filter: &filter, attributes: &WITNESS, ..*search };
        let mut found = BTreeMap::new();
        // What it refers to is known by the refresh.
        let elsewhere = self.tally.elsewhere.take();
        let take = |mut entry: Received| {
            if let Some(id) = only_text(&mut entry, "entryUUID") {
                found.insert(id, only_text(&mut entry, CSN));
            }
        };
        let searched = self.search(&asked, take).await;
        self.tally.elsewhere = elsewhere;
        match searched {
            Ok(()) => Ok(witnesses.contradict(&found, reported)),
            // Nothing is shown by that, so nothing is taken for granted.
            Err(Fault::Partial(Partial::Search { .. })) => Ok(true),
            Err(fault) => Err(fault),
        }
    }

    /// Everybody whom `search` finds, page by page.
    pub(super) async fn everybody(
        &mut self,
        search: &Search<'_>,
        reader: &Reader<'_>,
    ) -> Result<News, Fault> {
        let (mut people, mut fault) = (Vec::new(), None);
        let take = |found| match reader.person(found) {
            Ok(person) => people.push(person),
            Err(partial) => fault = Some(partial),
        };
        self.search(search, take).await?;
        fault.map_or(Ok(News::Everything(people)), Err)
    }

    async fn refresh(
        &mut self,
        search: &Search<'_>,
        since: &Since,
        reader: &Reader<'_>,
    ) -> Result<Refreshed, Fault> {
        self.tally.begin();
        let Search { base, scope, filter, attributes } = *search;
        let attributes: Vec<&str> = attributes.iter().copied().chain([CSN]).collect();
        let cookie = since.cookie.as_deref();
        let request = SyncRequest { cookie: since.cookie.clone(), ..SyncRequest::default() };
        let begun = self
            .ldap
            .with_search_options(SearchOptions::new().deref(DerefAliases::Never))
            // Critical: a server that ignored it would list everybody as if nothing else had changed.
            .with_controls(RawControl::from(request.critical()))
            .streaming_search(base, scope, filter, attributes)
            .await;
        let mut stream = match begun {
            Ok(stream) => stream,
            Err(error) => return Err(self.fault(error).await),
        };
        let (mut refresh, mut spoken) = (Refresh::from(since.witnesses.clone()), true);
        loop {
            // Taken as fast as they come: tokio would let the task that reads from the server run ahead otherwise, and
            // entries would pile up between the two.
            match tokio::task::unconstrained(stream.next()).await {
                Ok(Some(item)) => spoken &= self.take(item, &mut refresh, reader)?,
                Ok(None) => break,
                Err(error) => return Err(self.fault(error).await),
            }
        }
        let result = stream.finish().await;
        if result.rc == 0 {
            return self.finish(refresh, cookie, &result, spoken);
        }
        let code = result.rc;
        let reply = self.reply(result);
        match cookie {
            _ if reply.is_limit() => Ok(Refreshed::NotOffered),
            Some(_) if COOKIE_REFUSED.contains(&code) => Ok(Refreshed::CookieRefused),
            None if NOT_OFFERED.contains(&code) => Ok(Refreshed::NotOffered),
            _ => {
                let Tally { entries, references, .. } = self.tally;
                Err(Partial::Search { base: base.to_string(), entries, references, reply }.into())
            }
        }
    }

    /// What a refresh that ended with success means. `spoken` says whether every entry came with its state.
    fn finish(
        &self,
        refresh: Refresh,
        cookie: Option<&[u8]>,
        result: &LdapResult,
        spoken: bool,
    ) -> Result<Refreshed, Fault> {
        let done = find(&result.ctrls, |kind| matches!(kind, ControlType::SyncDone));
        let (Some(done), true) = (done, spoken) else { return Ok(Refreshed::NotOffered) };
        let SyncDone { cookie: received, refresh_deletes } = self.parse(|| done.parse())?;
        if received.as_deref().is_some_and(is_cookie_of_389) {
            return Ok(Refreshed::NotOffered);
        }
        match (refresh.finish(cookie, received, refresh_deletes), cookie) {
            (Some((news, next)), _) => Ok(Refreshed::Done(news, next)),
            (None, Some(_)) => Ok(Refreshed::CookieRefused),
            (None, None) => Err(Fault::Malformed(self.step.get())),
        }
    }

    /// Takes one message of a refresh; `false` if it is an entry without its state.
    fn take(&mut self, item: ResultEntry, refresh: &mut Refresh, reader: &Reader<'_>) -> Result<bool, Fault> {
        if item.is_ref() {
            return self.tally.refer(item).map(|()| true);
        }
        if item.is_intermediate() {
            self.tally.add_reference()?;
            let info = self.parse(|| parse_syncinfo(item))?;
            return self.take_info(info, refresh).map(|()| true);
        }
        let state = find(&item.1, |kind| matches!(kind, ControlType::SyncState)).cloned();
        let Some(state) = state else { return Ok(false) };
        let SyncState { state, entry_uuid, .. } = self.parse(|| state.parse())?;
        let id = self.id(&entry_uuid)?;
        let mut found = self.receive(item)?;
        let csn = only_text(&mut found, CSN);
        match state {
            EntryState::Present => refresh.list(),
            EntryState::Delete => refresh.remove([id]),
            EntryState::Add | EntryState::Modify => {
                let mut entry = reader.person(found)?;
                entry.id = id;
                refresh.set(entry, csn.as_deref());
            }
        }
        Ok(true)
    }

    fn take_info(&mut self, info: SyncInfo, refresh: &mut Refresh) -> Result<(), Fault> {
        match info {
            // The last word's cookie counts; an earlier one would only save work after an interruption.
            SyncInfo::NewCookie(_) | SyncInfo::RefreshDelete { .. } => {}
            SyncInfo::RefreshPresent { .. } => refresh.end_present_phase(),
            SyncInfo::SyncIdSet { refresh_deletes, sync_uuids, .. } => {
                self.tally.add_bytes(sync_uuids.len().saturating_mul(UUID))?;
                let ids = sync_uuids.iter().map(|uuid| self.id(uuid)).collect::<Result<Vec<_>, _>>()?;
                if refresh_deletes { refresh.remove(ids) } else { refresh.list() }
            }
        }
        Ok(())
    }

    fn id(&self, uuid: &[u8]) -> Result<String, Fault> {
        text(uuid).ok_or(Fault::Malformed(self.step.get()))
    }

    /// What `parser` makes of the server's bytes. ldap3's parsers of these controls panic on nonsense.
    fn parse<T>(&self, parser: impl FnOnce() -> T) -> Result<T, Fault> {
        parsed(self.step.get(), parser)
    }
}

fn parsed<T>(step: Step, parser: impl FnOnce() -> T) -> Result<T, Fault> {
    catch_unwind(AssertUnwindSafe(parser)).map_err(|_panic| Fault::Malformed(step))
}

fn find(controls: &[Control], wanted: impl Fn(&ControlType) -> bool) -> Option<&RawControl> {
    controls.iter().find(|control| control.0.as_ref().is_some_and(&wanted)).map(|control| &control.1)
}

/// Takes the one value of the attribute `name` out of an entry.
fn only_text(entry: &mut Received, name: &str) -> Option<String> {
    let values = entry.take(|taken| taken.eq_ignore_ascii_case(name)).into_iter();
    let mut values = values.flat_map(|(_, values)| readable(values));
    values.next().filter(|_| values.next().is_none())
}

/// An entryUUID as RFC 4530 writes it, which is what the attribute holds.
fn text(uuid: &[u8]) -> Option<String> {
    let digits: String = (uuid.len() == UUID).then(|| uuid.iter().map(|b| format!("{b:02x}")).collect())?;
    let part = |from, to| digits.get(from..to).unwrap_or_default();
    Some([part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)].join("-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_uuid_is_written_as_the_attribute_is() {
        let uuid: Vec<u8> = (0..16).map(|n| n * 17).collect();
        assert_eq!(text(&uuid).unwrap(), "00112233-4455-6677-8899-aabbccddeeff");
        assert_eq!(text(&[1; 15]), None);
    }

    #[test]
    fn controls_that_are_nonsense_are_an_error_and_no_panic() {
        let control = |val: Option<&[u8]>| RawControl {
            ctype: String::new(),
            crit: false,
            val: val.map(<[u8]>::to_vec),
        };
        for bytes in
            [None, Some(&b""[..]), Some(b"\x04\x00"), Some(b"\x30\x00"), Some(b"\x30\x03\x0a\x01\x09")]
        {
            let state = parsed(Step::People, || control(bytes).parse::<SyncState>());
            assert!(matches!(state, Err(Fault::Malformed(Step::People))), "{bytes:?}");
        }
        for bytes in
            [None, Some(&b""[..]), Some(b"\x04\x00"), Some(b"\x30\x02\x01\x00"), Some(b"\x30\x02\x02\x00")]
        {
            let done = parsed(Step::People, || control(bytes).parse::<SyncDone>());
            assert!(matches!(done, Err(Fault::Malformed(Step::People))), "{bytes:?}");
        }
    }
}
