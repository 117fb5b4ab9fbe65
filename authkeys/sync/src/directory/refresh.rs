//! RFC 4533 on the wire: one refresh, or the paged search of a server that does not know it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use ldap3::controls::{
    Control, ControlType, EntryState, MakeCritical, RawControl, SyncDone, SyncInfo, SyncRequest, SyncState,
    parse_syncinfo,
};
use ldap3::{DerefAliases, LdapResult, ResultEntry, SearchOptions};

use super::search::{Search, Tally};
use super::server::is_cookie_of_389;
use super::{Fault, Reader, Session, Step};
use crate::replica::{News, Refresh};

/// The server does not know the control (unavailableCriticalExtension), or does not let us use it
/// (insufficientAccessRights, unwillingToPerform).
const NOT_OFFERED: [u32; 3] = [12, 50, 53];

/// The server cannot go on from the cookie: protocolError, unavailableCriticalExtension, unwillingToPerform
/// (slapd that was restored from a backup: "consumer state is newer than provider!"), e-syncRefreshRequired.
const COOKIE_REFUSED: [u32; 4] = [2, 12, 53, 4096];

/// The octets of an entryUUID.
const UUID: usize = 16;

/// How one request for a refresh ended.
enum Refreshed {
    /// What the directory says, and the cookie for the next time.
    Done(News, Option<Vec<u8>>),
    /// The cookie is of no use.
    CookieRefused,
    /// This server has no RFC 4533 for us, or not for so many.
    NotOffered,
}

impl Session<'_> {
    /// Everybody whom `search` finds, or what changed since `cookie`; and the cookie for the next time.
    pub(super) async fn people(
        &mut self,
        search: &Search<'_>,
        cookie: Option<&[u8]>,
        reader: &Reader<'_>,
    ) -> Result<(News, Option<Vec<u8>>), Fault> {
        let mut refreshed = self.refresh(search, cookie, reader).await?;
        if matches!(refreshed, Refreshed::CookieRefused) {
            refreshed = self.refresh(search, None, reader).await?;
        }
        if let Refreshed::Done(news, cookie) = refreshed {
            return Ok((news, cookie));
        }
        Ok((self.everybody(search, reader).await?, None))
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
        cookie: Option<&[u8]>,
        reader: &Reader<'_>,
    ) -> Result<Refreshed, Fault> {
        self.tally.begin();
        let Search { base, scope, filter, attributes } = *search;
        let request = SyncRequest { cookie: cookie.map(<[u8]>::to_vec), ..SyncRequest::default() };
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
        let (mut refresh, mut spoken) = (Refresh::default(), true);
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
                Err(Fault::Partial { base: base.to_string(), entries, references, reply })
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
        let SyncDone { cookie: told, refresh_deletes } = self.parse(|| done.parse())?;
        if told.as_deref().is_some_and(is_cookie_of_389) {
            return Ok(Refreshed::NotOffered);
        }
        match (refresh.finish(cookie, told, refresh_deletes), cookie) {
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
        let found = self.receive(item)?;
        match state {
            EntryState::Present => refresh.list(),
            EntryState::Delete => refresh.remove([id]),
            EntryState::Add | EntryState::Modify => {
                let mut entry = reader.person(found)?;
                entry.id = id;
                refresh.set(entry);
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
