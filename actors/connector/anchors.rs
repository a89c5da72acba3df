//! The media ports of a conference's legs: where the machine says *anchored*, this says with which words.
//!
//! A conference decides which leg's media goes through the plane ([`Description::Anchored`]); here each such leg has a port and the
//! [`Endpoint`] that speaks for it in offers and answers. Every description of every leg passes by, so that a leg that climbs in the middle
//! of a call makes its offer in the terms of the session it has (RFC 3264 s.8).
//!
//! Invariants: a leg has at most one port; a port is closed with its leg or with the order to close it. A port that is merely dropped, with a
//! conference's actor that crashed or with the message that brings it to a conference that is gone, is left: it closes soon, unless whoever
//! restores the conference takes it over ([`Anchors::restore`]). What cannot be described is refused towards the device, and the machine is told.

mod snapshot;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tandem_media::endpoint::{Capabilities, Endpoint};
use tandem_media::plane::{Port, PortId, Source, StreamMark};
use tandem_media::tone::ToneKind;
use tandem_model::leg::{AckBody, Description, LegCommand, LegEvent, MediaCommand, MediaEvent, MediaSource};
use tandem_model::link::Tone;
use tandem_model::{ConferenceId, LegId};

use crate::media::Media;

pub use snapshot::AnchorsSnapshot;

/// Service Unavailable: no port is free.
const NO_PORT: u16 = 503;
/// Not Acceptable Here: no codec is shared.
const NOT_ACCEPTABLE: u16 = 488;

/// An offer of ours that waits for its answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
enum Asked {
    /// Another device's.
    Passed,
    /// The port's.
    Anchored,
}

/// What is known of one leg's session.
#[derive(Default)]
pub struct LegMedia {
    /// The device's last description.
    device: Option<Bytes>,
    /// The last one that we sent.
    ours: Option<Bytes>,
    /// `ours` is the port's, so that its endpoint knows what is in it.
    is_ports: bool,
    /// `device` is an offer that is not answered yet.
    is_open: bool,
    /// The answer that went out with a provisional response, or to an UPDATE since: the final one repeats it (RFC 3261 s.13.2.1).
    early: Option<Bytes>,
    asked: Option<Asked>,
    /// Our INVITE has no final answer; where what was said since sends the device's media.
    invited: Option<Asked>,
    anchor: Option<Anchor>,
}

impl LegMedia {
    /// Its port.
    pub fn port(&self) -> Option<PortId> {
        Some(self.anchor.as_ref()?.port)
    }
}

impl LegMedia {
    fn said(&mut self, sdp: &Bytes, is_ports: bool) {
        self.ours = Some(sdp.clone());
        self.is_ports = is_ports;
    }
}

/// A port, left when this is dropped.
struct Anchor {
    port: PortId,
    /// Where its stream was when it was opened.
    stream: StreamMark,
    is_closed: bool,
    endpoint: Endpoint,
    media: Arc<dyn Media>,
}

impl Anchor {
    fn begin(port: Port, endpoint: Endpoint, media: Arc<dyn Media>) -> Self {
        Self {
            port: port.id,
            stream: port.stream,
            is_closed: false,
            endpoint,
            media,
        }
    }

    /// Lets the port know what offer and answer have come to.
    fn settle(&self) {
        if let Some(settings) = self.endpoint.settings() {
            self.media.set(self.port, settings);
        }
    }

    fn close(mut self) {
        self.is_closed = true;
        self.media.close(self.port);
    }
}

impl Drop for Anchor {
    fn drop(&mut self) {
        if !self.is_closed {
            self.media.leave(self.port);
        }
    }
}

/// What becomes of a leg command.
pub enum Resolved {
    /// It goes out like this.
    Send(LegCommand),
    /// It cannot go out; these do, and the machine hears that.
    Refused {
        /// Instead.
        send: Vec<LegCommand>,
        /// For the machine.
        heard: Vec<Heard>,
    },
}

/// What the machine is told of a leg.
#[derive(Debug)]
pub enum Heard {
    /// By its user agent, as it were.
    Leg(LegEvent),
    /// By its port.
    Media(MediaEvent),
}

/// The ports of one conference.
pub struct Anchors {
    conference: ConferenceId,
    media: Arc<dyn Media>,
    capabilities: Capabilities,
    legs: BTreeMap<LegId, LegMedia>,
}

impl Anchors {
    /// No legs yet.
    pub fn new(conference: ConferenceId, media: Arc<dyn Media>, capabilities: Capabilities) -> Self {
        Self {
            conference,
            media,
            capabilities,
            legs: BTreeMap::new(),
        }
    }

    /// The leg of a call that came in, with its offer.
    pub fn offered(&mut self, leg: LegId, offer: Option<&Bytes>) {
        let entry = self.legs.entry(leg).or_default();
        entry.device = offer.cloned();
        entry.is_open = offer.is_some();
    }

    /// Takes note of what a leg's user agent says. What its port makes of it, where that is not good.
    pub fn heard(&mut self, leg: LegId, event: &LegEvent) -> Option<MediaEvent> {
        match event {
            LegEvent::Progress { sdp, .. } => {
                let asked = self.legs.entry(leg).or_default().invited;
                self.described(leg, sdp.as_ref(), asked)
            }
            LegEvent::Answered { sdp } => {
                let asked = self.legs.entry(leg).or_default().invited.take();
                self.described(leg, sdp.as_ref(), asked)
            }
            // It ends the answer, and says nothing of a re-INVITE of ours that waited for it.
            LegEvent::Acked { sdp: None } => None,
            LegEvent::ReinviteAnswered { sdp } | LegEvent::Acked { sdp } => {
                let entry = self.legs.entry(leg).or_default();
                let asked = entry.asked.take();
                if entry.early.is_some() && asked.is_some() {
                    entry.early.clone_from(&entry.ours);
                }
                self.described(leg, sdp.as_ref(), asked)
            }
            LegEvent::Reoffered { offer, .. } => {
                let entry = self.legs.entry(leg).or_default();
                entry.is_open = offer.is_some();
                if offer.is_some() {
                    entry.device.clone_from(offer);
                }
                None
            }
            LegEvent::ReinviteFailed { .. } => {
                self.legs.entry(leg).or_default().asked = None;
                None
            }
            LegEvent::Failed { .. } | LegEvent::Cancelled { .. } | LegEvent::Ended { .. } => {
                self.forget(leg);
                None
            }
            LegEvent::Info { .. } | LegEvent::Talked { .. } | LegEvent::Referred { .. } => None,
        }
    }

    /// The device described itself, in answer to us or, where we asked nothing, as an offer.
    fn described(&mut self, leg: LegId, sdp: Option<&Bytes>, asked: Option<Asked>) -> Option<MediaEvent> {
        let entry = self.legs.entry(leg).or_default();
        let sdp = sdp?;
        entry.device = Some(sdp.clone());
        entry.is_open = asked.is_none();
        if asked != Some(Asked::Anchored) {
            return None;
        }
        let anchor = entry.anchor.as_mut()?;
        if let Err(error) = anchor.endpoint.take_answer(sdp) {
            tracing::info!(conference = %self.conference, %error, "an answer does not fit the offer");
            return Some(MediaEvent::Refused);
        }
        anchor.settle();
        None
    }

    /// A command as it can go out: no description in it is anchored any more.
    pub fn resolve(&mut self, leg: LegId, command: LegCommand) -> Resolved {
        match command {
            LegCommand::Invite { offer: None, .. } | LegCommand::Reinvite { offer: None } => {
                let entry = self.legs.entry(leg).or_default();
                entry.asked = None;
                entry.is_open = false;
                Resolved::Send(command)
            }
            LegCommand::Invite {
                party,
                contact,
                offer: Some(offer),
                caller,
                caller_name,
                presentation,
                auto_answer,
                conversation_id,
                headers,
                forwarded,
            } => match self.invite(leg, offer) {
                Some(sdp) => Resolved::Send(LegCommand::Invite {
                    party,
                    contact,
                    offer: Some(sdp.into()),
                    caller,
                    caller_name,
                    presentation,
                    auto_answer,
                    conversation_id,
                    headers,
                    forwarded,
                }),
                None => {
                    let failed = LegEvent::Failed {
                        status: NO_PORT,
                        q850: None,
                        reason: None,
                        contacts: Vec::new(),
                    };
                    self.forget(leg);
                    instead([], [Heard::Leg(failed)])
                }
            },
            LegCommand::Reinvite { offer: Some(offer) } => match self.offer(leg, offer) {
                Some(sdp) => Resolved::Send(LegCommand::Reinvite { offer: Some(sdp.into()) }),
                None => instead([], [Heard::Leg(LegEvent::ReinviteFailed { status: NO_PORT })]),
            },
            LegCommand::Progress {
                status,
                answer: Some(answer),
            } => {
                let answer = self.answer(leg, answer);
                if let Some(entry) = self.legs.get_mut(&leg) {
                    entry.early.clone_from(&answer);
                }
                Resolved::Send(LegCommand::Progress {
                    status,
                    answer: answer.map(Description::Passed),
                })
            }
            LegCommand::Accept { sdp: Some(sdp) } => match self.final_answer(leg, sdp) {
                Some(sdp) => Resolved::Send(LegCommand::Accept { sdp: Some(sdp.into()) }),
                None => {
                    let (status, reason) = (NOT_ACCEPTABLE, None);
                    instead([LegCommand::Reject { status, reason }], [Heard::Media(MediaEvent::Refused)])
                }
            },
            LegCommand::AcceptReinvite { sdp: Some(sdp) } => match self.reanswer(leg, sdp) {
                Some(sdp) => Resolved::Send(LegCommand::AcceptReinvite { sdp: Some(sdp.into()) }),
                None => instead(
                    [LegCommand::RejectReinvite { status: NOT_ACCEPTABLE }],
                    [Heard::Media(MediaEvent::Refused)],
                ),
            },
            LegCommand::Ack {
                answer: AckBody::Answer(sdp),
            } => match self.answer(leg, sdp) {
                Some(sdp) => Resolved::Send(LegCommand::Ack {
                    answer: AckBody::Answer(sdp.into()),
                }),
                None => instead(
                    [LegCommand::Ack {
                        answer: AckBody::Inactive,
                    }],
                    [Heard::Media(MediaEvent::Refused)],
                ),
            },
            LegCommand::Bye { .. } | LegCommand::Reject { .. } => {
                self.forget(leg);
                Resolved::Send(command)
            }
            _ => Resolved::Send(command),
        }
    }

    /// Carries out what the machine asks of a leg's port.
    pub fn command(&mut self, command: MediaCommand) {
        match command {
            MediaCommand::Hear { leg, sources } => {
                let Some(port) = self.port(leg) else { return };
                let sources = sources.into_iter().filter_map(|source| self.source(source)).collect();
                self.media.hear(port, sources);
            }
            MediaCommand::Digits { leg, digits } => {
                if let Some(port) = self.port(leg) {
                    self.media.digits(port, digits);
                }
            }
            MediaCommand::Close { leg } => self.close(leg),
        }
    }

    /// The leg that has this port.
    pub fn leg_of(&self, port: PortId) -> Option<LegId> {
        let mut legs = self.legs.iter();
        legs.find(|(_, media)| media.port() == Some(port)).map(|(leg, _)| *leg)
    }

    /// Gives a leg away, port and all.
    pub fn give(&mut self, leg: LegId) -> Option<LegMedia> {
        self.legs.remove(&leg)
    }

    /// Takes over a leg that another conference gave away.
    pub fn take(&mut self, leg: LegId, media: LegMedia) {
        if let Some(anchor) = &media.anchor {
            self.media.rehome(anchor.port, self.conference);
        }
        self.legs.insert(leg, media);
    }

    fn source(&self, source: MediaSource) -> Option<Source> {
        Some(match source {
            MediaSource::Leg(leg) => Source::Port(self.port(leg)?),
            MediaSource::Music(name) => Source::Music(name),
            MediaSource::Tone(tone) => Source::Tone(tone_kind(tone)),
            MediaSource::File { name, repeat } => Source::File { name, repeat },
        })
    }

    fn port(&self, leg: LegId) -> Option<PortId> {
        self.legs.get(&leg)?.port()
    }

    /// The bytes of an offer of ours.
    fn offer(&mut self, leg: LegId, description: Description) -> Option<Bytes> {
        let (sdp, asked) = match description {
            Description::Passed(sdp) => (sdp, Asked::Passed),
            Description::Anchored => (self.anchor(leg)?.endpoint.offer(), Asked::Anchored),
        };
        let entry = self.legs.entry(leg).or_default();
        entry.asked = Some(asked);
        entry.is_open = false;
        entry.said(&sdp, asked == Asked::Anchored);
        Some(sdp)
    }

    /// The bytes that answer the device's offer, or that offer where it waits for one (RFC 3264 s.5, late offer).
    fn answer(&mut self, leg: LegId, description: Description) -> Option<Bytes> {
        let entry = self.legs.entry(leg).or_default();
        let Some(offer) = entry.device.clone().filter(|_| entry.is_open) else {
            return self.offer(leg, description);
        };
        let is_ports = matches!(description, Description::Anchored);
        let sdp = match description {
            Description::Passed(sdp) => sdp,
            Description::Anchored => {
                let conference = self.conference;
                let anchor = self.anchor(leg)?;
                let sdp = anchor
                    .endpoint
                    .answer(&offer)
                    .inspect_err(|error| tracing::info!(%conference, %error, "an offer cannot be answered"))
                    .ok()?;
                anchor.settle();
                sdp
            }
        };
        let entry = self.legs.entry(leg).or_default();
        entry.is_open = false;
        entry.said(&sdp, is_ports);
        Some(sdp)
    }

    /// The offer of our INVITE.
    fn invite(&mut self, leg: LegId, description: Description) -> Option<Bytes> {
        let sdp = self.offer(leg, description)?;
        let entry = self.legs.entry(leg).or_default();
        entry.invited = entry.asked.take();
        Some(sdp)
    }

    /// The answer to a re-INVITE or UPDATE. The device's final answer, still to come after an UPDATE, says once more what it offered now, or
    /// comes from another device behind it that was not asked: either is taken for an answer.
    fn reanswer(&mut self, leg: LegId, description: Description) -> Option<Bytes> {
        let is_ports = matches!(description, Description::Anchored);
        let sdp = self.answer(leg, description)?;
        let entry = self.legs.entry(leg).or_default();
        if entry.early.is_some() {
            entry.early = Some(sdp.clone());
        }
        if entry.invited.is_some() {
            entry.invited = Some(if is_ports { Asked::Anchored } else { Asked::Passed });
            if let Some(anchor) = entry.anchor.as_mut().filter(|_| is_ports) {
                anchor.endpoint.await_answer();
            }
        }
        Some(sdp)
    }

    fn final_answer(&mut self, leg: LegId, description: Description) -> Option<Bytes> {
        let entry = self.legs.entry(leg).or_default();
        match (entry.early.take(), description) {
            (Some(early), Description::Anchored) => Some(early),
            // An answer is there already: this one stands for where the media comes from now.
            (Some(_), Description::Passed(sdp)) => {
                entry.said(&sdp, false);
                Some(sdp)
            }
            (None, description) => self.answer(leg, description),
        }
    }

    /// The leg's port, opened if it has none.
    fn anchor(&mut self, leg: LegId) -> Option<&mut Anchor> {
        let entry = self.legs.entry(leg).or_default();
        if entry.anchor.is_none() {
            let port = match self.media.open(self.conference) {
                Ok(port) => port,
                Err(error) => {
                    tracing::warn!(conference = %self.conference, %error, "no media port");
                    return None;
                }
            };
            let mut endpoint = Endpoint::new(port.local, self.capabilities.clone(), port.id.0);
            endpoint.learn(entry.device.as_deref().unwrap_or_default(), entry.ours.as_deref());
            entry.anchor = Some(Anchor::begin(port, endpoint, self.media.clone()));
        }
        entry.anchor.as_mut()
    }

    fn close(&mut self, leg: LegId) {
        if let Some(anchor) = self.legs.get_mut(&leg).and_then(|media| media.anchor.take()) {
            anchor.close();
        }
    }

    fn forget(&mut self, leg: LegId) {
        self.close(leg);
        self.legs.remove(&leg);
    }
}

fn tone_kind(tone: Tone) -> ToneKind {
    match tone {
        Tone::Dial => ToneKind::Dial,
        Tone::RingBack => ToneKind::RingBack,
        Tone::Busy => ToneKind::Busy,
        Tone::FastBusy => ToneKind::FastBusy,
        Tone::Beep => ToneKind::Beep,
    }
}

fn instead<const S: usize, const H: usize>(send: [LegCommand; S], heard: [Heard; H]) -> Resolved {
    Resolved::Refused {
        send: send.into(),
        heard: heard.into(),
    }
}

#[cfg(test)]
mod tests;
