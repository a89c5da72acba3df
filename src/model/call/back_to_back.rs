//! Destinations that are called by a back-to-back leg (seed 002 lines 1945-2098; T-Library reference ch. 9.2).
//!
//! Such a destination is reported as it was asked for until somebody answers; then as who answered. Two names stand for a device so
//! long: the address that was asked for, which is nobody's DN and has no events (a tel URI, a number), and the DN that has forwarded the
//! call, which rings on for its clients until the one it forwarded to answers. The method holds for destinations of requests: a call
//! that a device dials by itself is reported as ever.

use serde::{Deserialize, Serialize};

use super::device::{Device, DeviceKey};
use super::events::Told;
use super::make::shortened;
use super::{Call, CallOutput};
use crate::link::PartyTarget;
use crate::numbering::{Calling, CallingMethod};
use crate::{CallState, DnId, DnRole, EventName, PartyState};

/// A device goes by another name than its own.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Mask {
    /// Who answers there.
    pub(super) real: DnId,
    /// The name is that of a DN of ours, which has its events.
    pub(super) reported: bool,
}

impl Call {
    /// How a device is called that was asked for as `dialled`.
    pub(super) fn call_by(&mut self, key: DeviceKey, calling: Calling, dialled: &str) {
        let Some(device) = self.device_mut(key) else { return };
        let masked = calling.method == CallingMethod::BackToBack
            && matches!(device.target, PartyTarget::Dn(_))
            && !is_named(&device.dn, dialled);
        device.calling = calling;
        if masked {
            let name: String = shortened(dialled).chars().filter(|c| !c.is_whitespace()).collect();
            let real = std::mem::replace(&mut device.dn, DnId::new(&name));
            device.mask = Some(Mask { real, reported: false });
        }
    }

    /// Whether a device that forwards its call is reported until the one it forwards to answers.
    pub(super) fn hides_forwarding(&self, key: DeviceKey) -> bool {
        self.device(key)
            .is_some_and(|device| device.calling.method == CallingMethod::BackToBack)
    }

    /// The new device goes by the name of the one that has forwarded the call to it.
    pub(super) fn stand_in(&mut self, old: DeviceKey, new: DeviceKey) {
        let Some(from) = self.device(old) else { return };
        let (name, calling, reported) = (from.dn.clone(), from.calling.clone(), !from.is_external());
        let Some(device) = self.device_mut(new) else { return };
        device.calling = calling;
        let real = std::mem::replace(&mut device.dn, name);
        device.mask = Some(Mask { real, reported });
    }

    /// A device has answered: who forwarded the call is released, and who answers comes into its place.
    pub(super) fn reveal(&mut self, key: DeviceKey, out: &mut Vec<CallOutput>) {
        let Some(mask) = self.device(key).and_then(|device| device.mask.clone()) else {
            return;
        };
        let mut ringing = self.conns_of(key);
        ringing.retain(|id| self.party(*id, key).is_some_and(|party| party.state == PartyState::Alerting));
        for id in ringing.iter().copied().filter(|_| mask.reported) {
            let told = Told {
                third: Some((mask.real.clone(), DnRole::DeletedBy)),
                ..Told::new(EventName::EventReleased, PartyState::Null, CallState::Forwarded)
            };
            self.tell(id, key, told, out);
        }
        if let Some(device) = self.device_mut(key) {
            device.dn = mask.real;
            device.mask = None;
        }
        for id in ringing {
            self.ring(id, key, CallState::Forwarded, out);
        }
    }
}

impl Device {
    /// Whether it is the device of a DN, by whatever name it goes.
    pub(super) fn is_of(&self, dn: &DnId) -> bool {
        self.dn == *dn || self.mask.as_ref().is_some_and(|mask| mask.real == *dn)
    }

    /// Whose device it is.
    pub(super) fn real_dn(&self) -> &DnId {
        self.mask.as_ref().map_or(&self.dn, |mask| &mask.real)
    }
}

/// Whether a DN was asked for by its own name.
fn is_named(dn: &DnId, dialled: &str) -> bool {
    let asked = DnId::new(dialled.trim());
    !asked.as_str().starts_with("tel:") && asked.user() == dn.user()
}
