//! What clients ask of a DN for as long as they are connected: extensions of RegisterAddress. How direct calls are handled (seed 002 lines
//! 2361-2386), and whether the DN is told how far the media of its calls is.
//!
//! Each client's [`Wish`] hangs on its registration and outlives the process with it. Of several clients the one that asked last is heeded,
//! and when it is gone the one that asked before it. What holds ([`InForce`]) is looked up where calls begin ([`Wishes`]); a call goes on as
//! it began.

use std::collections::HashMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::numbering::DirectOverride;
use crate::{DnId, KvList, KvValue, TError, TErrorCode};

/// The extension of a request that asks for events about media, and of these events with the state.
pub(crate) const REMOTE_MEDIA_FLOW_STATE: &str = "RemoteMediaFlowState";

/// What one client asks of one DN.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct Wish {
    /// How its direct calls are handled, and the place of that among what other clients asked: the highest is the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direct: Option<(u64, DirectOverride)>,
    /// Whether the DN is told how far the media of every call of it is.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub flow: bool,
}

/// What a request changes of a [`Wish`]: what it does not name stays.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct WishChange {
    /// How direct calls are handled.
    pub direct: Option<DirectOverride>,
    /// Whether the DN is told how far media is.
    pub flow: Option<bool>,
}

impl WishChange {
    /// What the extensions of a RegisterAddress say.
    pub fn from_extensions(extensions: &KvList) -> Result<Self, TError> {
        Ok(Self {
            direct: DirectOverride::from_extensions(extensions)?,
            flow: flow_wish(extensions)?,
        })
    }
}

/// What holds for a DN because its clients asked for it.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct InForce {
    /// How its direct calls are handled.
    pub direct: DirectOverride,
    /// Whether it is told how far the media of its calls is: one of its clients wants that.
    pub flow: bool,
}

impl InForce {
    /// Of what these clients ask.
    pub(super) fn of<'a>(wishes: impl Iterator<Item = &'a Wish> + Clone) -> Self {
        let asked = wishes.clone().filter_map(|wish| wish.direct);
        let last = asked.max_by_key(|(place, _)| *place);
        Self {
            direct: last.map(|(_, direct)| direct).unwrap_or_default(),
            flow: wishes.into_iter().any(|wish| wish.flow),
        }
    }
}

/// What holds for every DN. Cheap to copy.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct Wishes(Option<Arc<HashMap<DnId, InForce>>>);

impl Wishes {
    /// What holds for a DN.
    pub fn of(&self, dn: &DnId) -> InForce {
        self.0.as_ref().and_then(|all| all.get(dn)).copied().unwrap_or_default()
    }

    /// Something else holds for a DN from now on.
    pub fn set(&mut self, dn: &DnId, in_force: InForce) {
        if self.of(dn) == in_force {
            return;
        }
        let all = Arc::make_mut(self.0.get_or_insert_default());
        if in_force == InForce::default() {
            all.remove(dn);
        } else {
            all.insert(dn.clone(), in_force);
        }
    }
}

/// What a request says of events about media: error 53 where that is neither yes nor no.
pub(crate) fn flow_wish(extensions: &KvList) -> Result<Option<bool>, TError> {
    match extensions.value(REMOTE_MEDIA_FLOW_STATE) {
        None => Ok(None),
        Some(KvValue::Int(number @ (0 | 1))) => Ok(Some(*number == 1)),
        Some(KvValue::Str(text)) if matches!(text.as_str(), "1" | "true") => Ok(Some(true)),
        Some(KvValue::Str(text)) if matches!(text.as_str(), "0" | "false") => Ok(Some(false)),
        Some(_) => {
            let text = "extensions.RemoteMediaFlowState: valid are 1 and 0, `true` and `false`";
            Err(TError::new(TErrorCode::InvalidAttribute, text))
        }
    }
}
