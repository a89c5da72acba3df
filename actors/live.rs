//! What may change while the server runs: the settings that a new reading of the configuration puts in force without a restart.
//!
//! Invariant: they are exchanged as a whole, so nobody ever sees half of a change. Whoever begins something - a request, a call, a conference -
//! reads them once and goes on with what it read; a call reads them again before each of its steps.
//!
//! Written by whoever reads the configuration, read by actors on any thread. What has to do something when they change (a pool that is to be
//! filled, a DN that is new) is told so by [`Gateway::change`](crate::gateway::Gateway::change), and reads them here.

use std::sync::{Arc, PoisonError};

use crossbeam::sync::ShardedLock;
use tandem_model::call::CallSettings;
use tandem_model::conference::ConferenceSettings;
use tandem_model::conference_pool::PoolSettings;
use tandem_model::numbering::Numbering;

use crate::devices::Devices;

/// The SHA-256 of an API key.
pub type KeyDigest = [u8; 32];

/// The settings.
#[derive(Clone, Default, Debug)]
pub struct Settings {
    /// Which numbers lead where.
    pub numbering: Arc<Numbering>,
    /// Devices and trunks.
    pub devices: Arc<Devices>,
    /// How calls behave.
    pub call: CallSettings,
    /// How conferences behave.
    pub conference: ConferenceSettings,
    /// The conference resources of each connector.
    pub pool: PoolSettings,
    /// The most live calls. Those that are there already stay.
    pub max_calls: usize,
    /// The keys that open the CTI protocol. Clients that are in stay in.
    pub api_keys: Vec<KeyDigest>,
}

/// Those that are in force.
#[derive(Default, Debug)]
pub struct Live {
    settings: ShardedLock<Arc<Settings>>,
}

impl Live {
    /// These are in force from the start.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings: ShardedLock::new(Arc::new(settings)),
        }
    }

    /// Those that are in force now.
    pub fn settings(&self) -> Arc<Settings> {
        self.settings.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The devices and trunks that there are now.
    pub fn devices(&self) -> Arc<Devices> {
        self.settings.read().unwrap_or_else(PoisonError::into_inner).devices.clone()
    }

    /// Which numbers lead where now.
    pub fn numbering(&self) -> Arc<Numbering> {
        self.settings.read().unwrap_or_else(PoisonError::into_inner).numbering.clone()
    }

    /// From now on these are in force.
    pub(crate) fn set(&self, settings: Settings) {
        *self.settings.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(settings);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_began_goes_on_with_what_it_read() {
        let live = Live::new(Settings::default());
        let before = live.settings();
        live.set(Settings {
            max_calls: 7,
            ..Settings::clone(&before)
        });
        assert_eq!((before.max_calls, live.settings().max_calls), (0, 7));
        assert!(Arc::ptr_eq(&before.numbering, &live.numbering()));
        assert!(Arc::ptr_eq(&before.devices, &live.devices()));
    }
}
