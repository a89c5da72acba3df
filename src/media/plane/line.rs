//! One port, as its thread has it.

use std::net::SocketAddr;

use smallvec::SmallVec;
use socket2::SockAddr;

use super::control::Control;
use super::event::{PortId, PortReport, Source};
use super::keys::{Keys, Pressed};
use super::latch::Latch;
use super::pairs::Lease;
use super::player::Players;
use super::stamp::Stamper;
use super::stream::StreamMark;
use crate::codec::{Codec, Encoder};
use crate::endpoint::{Format, PortSettings};
use crate::rate::{Converter, Rate};
use crate::receive::Receiver;
use crate::speaker::Activity;

/// Where a port is in its thread's table.
pub(super) type Slot = usize;

/// How a port's stream is made.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(super) enum Route {
    /// It hears nothing.
    #[default]
    Silent,
    /// It gets the packets of that port as they come.
    Relay(Slot),
    /// Its frames are made every 20 ms.
    Made,
}

/// See the module.
pub(super) struct Line {
    pub(super) id: PortId,
    pub(super) owner: u64,
    pub(super) session: u64,
    pub(super) lease: Lease,
    pub(super) settings: Option<Box<PortSettings>>,
    pub(super) latch: Option<Latch>,
    /// Where the process before had learned that the device is.
    pub(super) learned: Option<SocketAddr>,
    /// Where RTP goes: none while the device wants none.
    pub(super) to: Option<SockAddr>,
    pub(super) stamper: Stamper,
    pub(super) hears: Vec<Source>,
    pub(super) route: Route,
    /// Ports that get this one's packets as they come.
    pub(super) relays: SmallVec<[Slot; 2]>,
    /// Whether somebody needs this one's packets decoded.
    pub(super) decoded: bool,
    /// The codec and length in milliseconds of the device's last audio packet.
    pub(super) heard: Option<(Codec, u32)>,
    pub(super) flowing: bool,
    pub(super) stall_told: bool,
    /// When it was left, where nobody has taken it over.
    pub(super) left_us: Option<u64>,
    pub(super) heard_us: u64,
    pub(super) sent_us: Option<u64>,
    /// The window of the flood guard, and what came in it.
    pub(super) window: u64,
    pub(super) taken: u32,
    pub(super) pressed: Pressed,
    pub(super) keys: Keys,
    pub(super) receiver: Option<Receiver>,
    pub(super) activity: Activity,
    pub(super) converter: Option<((Rate, Rate), Converter)>,
    pub(super) encoder: Option<Encoder>,
    /// Frames that wait until their packet is full.
    pub(super) packed: Vec<u8>,
    pub(super) packed_frames: u32,
    pub(super) players: Players,
    pub(super) control: Control,
    pub(super) report: PortReport,
}

impl Line {
    pub(super) fn new(id: PortId, owner: u64, session: u64, lease: Lease, stream: &StreamMark) -> Self {
        Self {
            id,
            owner,
            session,
            lease,
            settings: None,
            latch: None,
            learned: None,
            to: None,
            stamper: Stamper::new(stream.ssrc, stream.sequence, stream.timestamp, 0),
            hears: Vec::new(),
            route: Route::Silent,
            relays: SmallVec::new(),
            decoded: false,
            heard: None,
            flowing: false,
            stall_told: false,
            left_us: None,
            heard_us: 0,
            sent_us: None,
            window: 0,
            taken: 0,
            pressed: Pressed::default(),
            keys: Keys::default(),
            receiver: None,
            activity: Activity::default(),
            converter: None,
            encoder: None,
            packed: Vec::new(),
            packed_frames: 0,
            players: Vec::new(),
            control: Control::new(),
            report: PortReport::default(),
        }
    }

    /// Whether anything is to be sent to the device.
    pub(super) fn may_hear(&self) -> bool {
        self.to.is_some() && self.settings.as_ref().is_some_and(|settings| settings.direction.sends())
    }

    /// Whether the device is to send.
    pub(super) fn may_speak(&self) -> bool {
        self.settings.as_ref().is_some_and(|settings| settings.direction.receives())
    }

    /// Whether the device sends its keys as events.
    pub(super) fn sends_events(&self) -> bool {
        let receives = self.settings.iter().flat_map(|settings| &settings.receives);
        receives.into_iter().any(|(_, format)| matches!(format, Format::Event { .. }))
    }

    /// What a payload type of the device means.
    pub(super) fn meaning(&self, payload_type: u8) -> Option<Format> {
        let receives = &self.settings.as_ref()?.receives;
        receives
            .iter()
            .find(|(number, _)| *number == payload_type)
            .map(|(_, format)| *format)
    }
}
