//! User data: attach, update, delete (T-Library reference ch. 12). Each change is told to every party with the whole new list.
//!
//! A consultation begins with a copy of the main call's data, and from then on each call has its own. At completion the main call takes
//! what was set, changed or deleted in the consultation since, and keeps what it did itself; a key that both changed has the value of the
//! consultation, which is the later stage of the conversation. A call that is no consultation about the main one is taken with all it has.
//!
//! What a single-step operation brings along is shown to the party that it calls, and is the call's for the others when it is done. A key
//! of it that is set or deleted before that stays as it was set or deleted: that came later.

use std::sync::Arc;

use super::conn::Conn;
use super::device::DeviceKey;
use super::events::Told;
use super::operation::Op;
use super::{Call, CallOutput};
use crate::{CallState, ConnId, DnRole, EventName, KvList, KvValue, PartyState, Requestor, TError, TErrorCode};

impl Call {
    /// Attach and update do the same to a list of unique keys: a listed key gets the new value, in its place.
    pub(super) fn merge_user_data(
        &mut self,
        at: (ConnId, DeviceKey),
        requestor: Requestor,
        pairs: &KvList,
        out: &mut Vec<CallOutput>,
    ) -> Result<(), TError> {
        let user_data = self.user_data_with(at.0, pairs)?;
        let limit_bytes = self.settings.user_data_limit_bytes;
        if let Some(coming) = self.coming_user_data(at.0) {
            let mut left = coming.clone();
            left.remove_all(pairs);
            let mut all = user_data.clone();
            all.merge(&left);
            check_size(&all, limit_bytes)?;
            *coming = left;
        }
        self.set_user_data(at, requestor, user_data, out)
    }

    /// A key that is not there is deleted already: no error, as the list is what was asked for.
    pub(super) fn delete_user_data(
        &mut self,
        at: (ConnId, DeviceKey),
        requestor: Requestor,
        key: &str,
        out: &mut Vec<CallOutput>,
    ) -> Result<(), TError> {
        let mut user_data = self.user_data_of(at.0);
        user_data.remove(key);
        if let Some(coming) = self.coming_user_data(at.0) {
            coming.remove(key);
        }
        self.set_user_data(at, requestor, user_data, out)
    }

    pub(super) fn delete_all_user_data(
        &mut self,
        at: (ConnId, DeviceKey),
        requestor: Requestor,
        out: &mut Vec<CallOutput>,
    ) -> Result<(), TError> {
        if let Some(coming) = self.coming_user_data(at.0) {
            coming.clear();
        }
        self.set_user_data(at, requestor, KvList::new(), out)
    }

    fn user_data_of(&self, id: ConnId) -> KvList {
        self.conn(id).map(|conn| KvList::clone(&conn.user_data)).unwrap_or_default()
    }

    fn set_user_data(
        &mut self,
        (id, by): (ConnId, DeviceKey),
        requestor: Requestor,
        user_data: KvList,
        out: &mut Vec<CallOutput>,
    ) -> Result<(), TError> {
        let role = self.party(id, by).map_or(DnRole::Unknown, |party| party.role);
        let third = self.dn_of(by).map(|dn| (dn, role));
        self.replace_user_data(id, user_data);
        self.tell_user_data(id, third, Some((by, requestor)), out);
        Ok(())
    }

    /// Every party that clients know is told the whole list.
    pub(super) fn tell_user_data(
        &mut self,
        id: ConnId,
        third: Option<(crate::DnId, DnRole)>,
        asked: Option<(DeviceKey, Requestor)>,
        out: &mut Vec<CallOutput>,
    ) {
        let Some(conn) = self.conn(id) else { return };
        for key in conn.devices() {
            if self.party(id, key).is_none_or(|party| party.state == PartyState::Null) {
                continue;
            }
            let told = Told {
                third: third.clone(),
                requestor: asked.filter(|(by, _)| *by == key).map(|(_, requestor)| requestor),
                ..Told::same(EventName::EventAttachedDataChanged, CallState::Ok)
            };
            self.tell(id, key, told, out);
        }
    }

    /// The data of a call with these pairs set.
    pub(super) fn user_data_with(&self, id: ConnId, pairs: &KvList) -> Result<KvList, TError> {
        let mut user_data = self.user_data_of(id);
        user_data.merge(pairs);
        check_size(&user_data, self.settings.user_data_limit_bytes)?;
        Ok(user_data)
    }

    /// The data of a main call when another one ends in it.
    pub(super) fn merged_user_data(&self, main: ConnId, other: &Conn) -> Result<KvList, TError> {
        let consultation = other.consultation.as_ref();
        let Some(consultation) = consultation.filter(|consultation| consultation.main == main) else {
            return self.user_data_with(main, &other.user_data);
        };
        let mut user_data = self.user_data_of(main);
        user_data.merge_changes(&consultation.copied, &other.user_data);
        check_size(&user_data, self.settings.user_data_limit_bytes)?;
        Ok(user_data)
    }

    /// What the operation in progress on a call brings into its user data.
    pub(super) fn coming_user_data(&mut self, id: ConnId) -> Option<&mut KvList> {
        let pending = self.pending.as_mut().filter(|pending| pending.conn == id)?;
        match &mut pending.op {
            Op::SingleStep(step) => Some(&mut step.user_data),
            _ => None,
        }
    }

    /// The user data as a party is to see it: one that is called into the call sees what it comes with.
    pub(super) fn user_data_seen_by(&self, conn: &Conn, key: DeviceKey) -> Arc<KvList> {
        let pending = self.pending.as_ref().filter(|pending| pending.conn == conn.id);
        match pending.map(|pending| &pending.op) {
            Some(Op::SingleStep(step)) if step.target == key && !step.user_data.is_empty() => {
                let mut user_data = KvList::clone(&conn.user_data);
                user_data.merge(&step.user_data);
                Arc::new(user_data)
            }
            _ => conn.user_data.clone(),
        }
    }

    /// Sets what fits, as was checked; says whether that changed anything.
    pub(super) fn take_user_data(&mut self, id: ConnId, pairs: &KvList) -> bool {
        let mut user_data = self.user_data_of(id);
        user_data.merge(pairs);
        self.replace_user_data(id, user_data)
    }

    /// Says whether that changed anything.
    pub(super) fn replace_user_data(&mut self, id: ConnId, user_data: KvList) -> bool {
        let Some(conn) = self.conn_mut(id).filter(|conn| *conn.user_data != user_data) else {
            return false;
        };
        conn.user_data = Arc::new(user_data);
        true
    }
}

/// Refuses a list that is larger than a call may carry.
pub(super) fn check_size(user_data: &KvList, limit_bytes: usize) -> Result<(), TError> {
    let size = size(user_data);
    if size <= limit_bytes {
        return Ok(());
    }
    let text = format!("the user data would have {size} bytes, the limit is {limit_bytes}");
    Err(TError::new(TErrorCode::BadParameter, text))
}

fn size(list: &KvList) -> usize {
    list.iter()
        .map(|(key, value)| {
            key.len()
                + match value {
                    KvValue::Int(_) => 8,
                    KvValue::Str(text) => text.len(),
                    KvValue::List(list) => size(list),
                }
        })
        .sum()
}
