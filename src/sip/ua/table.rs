//! The sessions, and which of them were touched since somebody asked.
//!
//! Invariant: whoever changes a session comes through [`Sessions::get_mut`], so no change is missed. Until somebody asks for changes none
//! are noted: a user agent without a journal pays nothing.

use std::collections::HashMap;

use super::api::SessionId;
use super::sessions::Session;

/// See the module.
#[derive(Default)]
pub(super) struct Sessions {
    by_id: HashMap<SessionId, Session>,
    /// Somebody asks.
    tracked: bool,
    /// Each once, by the mark in the session; bounded by the sessions, and emptied with each asking.
    touched: Vec<SessionId>,
    /// Kept ones that are gone.
    gone: Vec<SessionId>,
    /// Those that are gone whose INVITE is kept.
    gone_early: Vec<SessionId>,
}

impl Sessions {
    /// A session to look at.
    pub fn get(&self, id: &SessionId) -> Option<&Session> {
        self.by_id.get(id)
    }

    /// A session to be changed.
    pub fn get_mut(&mut self, id: &SessionId) -> Option<&mut Session> {
        let session = self.by_id.get_mut(id)?;
        if self.tracked && !session.touched {
            session.touched = true;
            self.touched.push(*id);
        }
        Some(session)
    }

    /// A new one.
    pub fn insert(&mut self, id: SessionId, mut session: Session) {
        if self.tracked {
            session.touched = true;
            self.touched.push(id);
        }
        self.by_id.insert(id, session);
    }

    /// One is over.
    pub fn remove(&mut self, id: &SessionId) -> Option<Session> {
        let session = self.by_id.remove(id)?;
        if !self.tracked {
            return Some(session);
        }
        if session.kept.is_some() {
            self.gone.push(*id);
        }
        if session.kept_invite.is_some() {
            self.gone_early.push(*id);
        }
        Some(session)
    }

    /// All of them, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (SessionId, &Session)> {
        self.by_id.iter().map(|(id, session)| (*id, session))
    }

    /// How many there are.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Those touched since the last time, and the kept ones that are gone. The first time: all.
    pub fn take_touched(&mut self) -> (Vec<SessionId>, Vec<SessionId>) {
        let mut touched = std::mem::take(&mut self.touched);
        if !std::mem::replace(&mut self.tracked, true) {
            touched = self.by_id.keys().copied().collect();
            touched.sort_unstable();
        }
        for id in &touched {
            if let Some(session) = self.by_id.get_mut(id) {
                session.touched = false;
            }
        }
        (touched, std::mem::take(&mut self.gone))
    }

    /// Those that are gone whose INVITE is kept.
    pub fn take_gone_early(&mut self) -> Vec<SessionId> {
        std::mem::take(&mut self.gone_early)
    }

    /// Notes which INVITE of a session is kept, which is no change of it.
    pub fn keep_invite(&mut self, id: SessionId, kept: Option<super::early::KeptInvite>) {
        if let Some(session) = self.by_id.get_mut(&id) {
            session.kept_invite = kept;
        }
    }

    /// Notes what is kept of a session, which is no change of it.
    pub fn keep(&mut self, id: SessionId, kept: Option<super::snapshot::Kept>) {
        if let Some(session) = self.by_id.get_mut(&id) {
            session.kept = kept.map(Box::new);
        }
    }
}
