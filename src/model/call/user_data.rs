//! User data: attach, update, delete (T-Library reference ch. 12). Each change is told to every party with the whole new list.

use std::sync::Arc;

use super::{Call, CallOutput};
use crate::{CallState, EventName, KvList, KvValue, Requestor, TError, TErrorCode};

impl Call {
    /// Attach and update do the same to a list of unique keys: a listed key gets the new value, in its place.
    pub(super) fn merge_user_data(
        &mut self,
        index: usize,
        requestor: Requestor,
        pairs: &KvList,
        out: &mut Vec<CallOutput>,
    ) -> Result<(), TError> {
        let mut user_data = KvList::clone(&self.user_data);
        user_data.merge(pairs);
        check_size(&user_data, self.settings.user_data_limit_bytes)?;
        self.set_user_data(index, requestor, user_data, out)
    }

    /// A key that is not there is deleted already: no error, as the list is what was asked for.
    pub(super) fn delete_user_data(
        &mut self,
        index: usize,
        requestor: Requestor,
        key: &str,
        out: &mut Vec<CallOutput>,
    ) -> Result<(), TError> {
        let mut user_data = KvList::clone(&self.user_data);
        user_data.remove(key);
        self.set_user_data(index, requestor, user_data, out)
    }

    pub(super) fn delete_all_user_data(
        &mut self,
        index: usize,
        requestor: Requestor,
        out: &mut Vec<CallOutput>,
    ) -> Result<(), TError> {
        self.set_user_data(index, requestor, KvList::new(), out)
    }

    fn set_user_data(
        &mut self,
        by: usize,
        requestor: Requestor,
        user_data: KvList,
        out: &mut Vec<CallOutput>,
    ) -> Result<(), TError> {
        self.user_data = Arc::new(user_data);
        for index in 0..self.parties.len() {
            if self.parties.get(index).is_some_and(|party| party.is_on_call()) {
                let mut event = self.party_event(index, EventName::EventAttachedDataChanged);
                event.call_state = Some(CallState::Ok);
                event.third_party_dn = self.parties.get(by).map(|party| party.dn.clone());
                event.third_party_dn_role = self.parties.get(by).map(|party| party.role);
                let requestor = (index == by).then_some(requestor);
                out.push(CallOutput::Event { event, requestor });
            }
        }
        Ok(())
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
