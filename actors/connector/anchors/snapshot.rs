//! What is kept of a conference's ports, and how it becomes ports again: in a new process, or after its actor alone is gone.
//!
//! Kept is what offer and answer have come to, by leg. Descriptions are kept where they are still needed: of a leg without a port, and of one
//! in the middle of an exchange; each once, as what one device says is often what another is told. What a device hears is not kept: the
//! conference says it again.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tandem_media::endpoint::{Capabilities, Endpoint, EndpointSnapshot};
use tandem_media::plane::{PortRestore, StreamMark};
use tandem_model::{ConferenceId, LegId};

use super::{Anchor, Anchors, Asked, LegMedia};
use crate::media::Media;

/// The ports of one conference, to be kept.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct AnchorsSnapshot {
    legs: Vec<LegSnapshot>,
    /// What the legs' descriptions are numbers of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    descriptions: Vec<Bytes>,
}

/// What [`Anchors::restore`] has come to.
pub struct Restored {
    /// The ports.
    pub anchors: Anchors,
    /// Legs whose port could not be had again. They have another one where any was free. Their devices know nothing of it: each is to be sent
    /// a re-INVITE with [`tandem_model::leg::Description::Anchored`].
    pub lost: Vec<LegId>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct LegSnapshot {
    leg: LegId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    device: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ours: Option<usize>,
    /// The device has made an offer that is not answered yet.
    #[serde(default, skip_serializing_if = "is_false")]
    is_open: bool,
    /// We have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    asked: Option<Asked>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    anchor: Option<AnchorSnapshot>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct AnchorSnapshot {
    port: PortRestore,
    endpoint: EndpointSnapshot,
}

impl Anchors {
    /// What is to be kept.
    pub fn snapshot(&self) -> AnchorsSnapshot {
        let mut descriptions = Vec::new();
        let legs = self
            .legs
            .iter()
            .map(|(leg, media)| media.snapshot(*leg, &mut descriptions))
            .collect();
        AnchorsSnapshot { legs, descriptions }
    }

    /// Opens the ports of these legs again, or takes over those that live on, and lets them know what was negotiated. What other legs had is
    /// not had again.
    pub fn restore(
        snapshot: &AnchorsSnapshot,
        conference: ConferenceId,
        media: Arc<dyn Media>,
        capabilities: Capabilities,
        legs: &[LegId],
    ) -> Restored {
        let mut lost = Vec::new();
        let mut restored = BTreeMap::new();
        for kept in snapshot.legs.iter().filter(|kept| legs.contains(&kept.leg)) {
            let (entry, is_lost) = kept.restore(&snapshot.descriptions, conference, &media, &capabilities);
            restored.insert(kept.leg, entry);
            lost.extend(is_lost.then_some(kept.leg));
        }
        let anchors = Self {
            conference,
            media,
            capabilities,
            legs: restored,
        };
        Restored { anchors, lost }
    }
}

impl LegMedia {
    fn snapshot(&self, leg: LegId, descriptions: &mut Vec<Bytes>) -> LegSnapshot {
        let is_settled = self.anchor.is_some() && self.is_ports && !self.is_open && self.asked.is_none();
        let mut number_of = |description: &Option<Bytes>| {
            let description = description.as_ref().filter(|_| !is_settled)?;
            let known = descriptions.iter().position(|known| known == description);
            Some(known.unwrap_or_else(|| {
                descriptions.push(description.clone());
                descriptions.len() - 1
            }))
        };
        LegSnapshot {
            leg,
            device: number_of(&self.device),
            ours: number_of(&self.ours),
            is_open: self.is_open,
            asked: self.asked,
            anchor: self.anchor.as_ref().map(Anchor::snapshot),
        }
    }
}

impl LegSnapshot {
    /// The leg, and whether its port is lost.
    fn restore(
        &self,
        descriptions: &[Bytes],
        conference: ConferenceId,
        media: &Arc<dyn Media>,
        capabilities: &Capabilities,
    ) -> (LegMedia, bool) {
        let numbered = |number: Option<usize>| descriptions.get(number?).cloned();
        let mut entry = LegMedia {
            device: numbered(self.device),
            ours: numbered(self.ours),
            is_ports: false,
            is_open: self.is_open,
            early: None,
            asked: self.asked,
            invited: None,
            anchor: None,
        };
        let Some(anchor) = &self.anchor else {
            return (entry, false);
        };
        let (port, is_lost) = match media.reopen(conference, anchor.port) {
            Ok(port) => (Some(port), false),
            Err(error) => {
                tracing::warn!(%conference, %error, "a media port is lost");
                (media.open(conference).ok(), true)
            }
        };
        let local = port.map_or(anchor.port.local, |port| port.local);
        let endpoint = Endpoint::restore(&anchor.endpoint, local, capabilities.clone());
        if entry.ours.is_none() {
            // What the session has said so far, for the day when this leg has no port any more, or another one.
            entry.said(&endpoint.clone().offer(), true);
        }
        entry.anchor = port.map(|port| Anchor::begin(port, endpoint, media.clone()));
        if let Some(anchor) = &entry.anchor {
            anchor.settle();
        }
        (entry, is_lost)
    }
}

impl Anchor {
    fn snapshot(&self) -> AnchorSnapshot {
        let clock_hz = self.endpoint.clock_hz().unwrap_or(self.stream.clock_hz);
        AnchorSnapshot {
            port: PortRestore {
                local: self.endpoint.local(),
                stream: StreamMark { clock_hz, ..self.stream },
            },
            endpoint: self.endpoint.snapshot(),
        }
    }
}

fn is_false(value: &bool) -> bool {
    !value
}
