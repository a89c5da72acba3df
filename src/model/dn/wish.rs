//! What clients ask of a DN for as long as they are connected (seed 002 lines 2361-2386): extensions of RegisterAddress.
//!
//! Each client's [`Wish`] hangs on its registration and outlives the process with it. Of several clients the one that asked last is heeded,
//! and when it is gone the one that asked before it. What holds ([`InForce`]) is looked up where calls begin ([`Wishes`]); a call goes on as
//! it began.

use std::collections::HashMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::numbering::DirectOverride;
use crate::{DnId, KvList, TError};

/// What one client asks of one DN.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct Wish {
    /// How its direct calls are handled, and the place of that among what other clients asked: the highest is the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direct: Option<(u64, DirectOverride)>,
}

/// What a request changes of a [`Wish`]: what it does not name stays.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct WishChange {
    /// How direct calls are handled.
    pub direct: Option<DirectOverride>,
}

impl WishChange {
    /// What the extensions of a RegisterAddress say.
    pub fn from_extensions(extensions: &KvList) -> Result<Self, TError> {
        Ok(Self {
            direct: DirectOverride::from_extensions(extensions)?,
        })
    }
}

/// What holds for a DN because its clients asked for it.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct InForce {
    /// How its direct calls are handled.
    pub direct: DirectOverride,
}

impl InForce {
    /// Of what these clients ask.
    pub(super) fn of<'a>(wishes: impl Iterator<Item = &'a Wish>) -> Self {
        let last = wishes.filter_map(|wish| wish.direct).max_by_key(|(place, _)| *place);
        Self {
            direct: last.map(|(_, direct)| direct).unwrap_or_default(),
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
