//! Where the devices of each DN are: what the registrars publish and every connector reads.
//!
//! Only the registrar that owns a DN writes its entry, and only when the bindings change. Readers get a snapshot.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};

use crossbeam::sync::ShardedLock;
use tandem_model::DnId;
use tandem_sip::registrar::Binding;

/// The published bindings.
#[derive(Default)]
pub struct Locations(ShardedLock<HashMap<DnId, Arc<[Binding]>>>);

impl Locations {
    /// The bindings of a DN, best first; empty where nothing is registered.
    pub fn bindings(&self, dn: &DnId) -> Arc<[Binding]> {
        let table = self.0.read().unwrap_or_else(PoisonError::into_inner);
        table.get(dn).cloned().unwrap_or_else(|| Arc::from([]))
    }

    /// Replaces the bindings of a DN.
    pub fn publish(&self, dn: DnId, bindings: Vec<Binding>) {
        let mut table = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if bindings.is_empty() {
            table.remove(&dn);
        } else {
            table.insert(dn, bindings.into());
        }
    }
}
