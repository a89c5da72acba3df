//! Digits that a device is to hear, and those that it presses.

use crate::dtmf::{Detector, EventReceiver, EventSender, KeyEvent, TonePlayer};
use crate::endpoint::PortSettings;
use crate::rate::Rate;

/// Digits on their way to a device: events where it takes them, else tones.
#[derive(Default)]
pub(super) enum Keys {
    #[default]
    Nothing,
    Events(Box<EventSender>),
    Tones(Box<TonePlayer>),
}

impl Keys {
    /// These digits after those that wait.
    pub(super) fn push(&mut self, digits: &str, settings: &PortSettings) {
        if self.is_idle() {
            *self = match settings.telephone_event {
                Some(event) => Self::Events(Box::new(EventSender::new(event.clock_hz))),
                None => Self::Tones(Box::new(TonePlayer::new(settings.codec.rate()))),
            };
        }
        let pushed = match self {
            Self::Nothing => Ok(()),
            Self::Events(events) => events.push(digits),
            Self::Tones(tones) => tones.push(digits),
        };
        if let Err(error) = pushed {
            tracing::warn!(%error, "digits are not sent");
        }
    }

    /// Nothing waits, and nothing is being sent.
    pub(super) fn is_idle(&self) -> bool {
        match self {
            Self::Nothing => true,
            Self::Events(events) => events.is_idle(),
            Self::Tones(tones) => tones.is_idle(),
        }
    }
}

/// Keys that a device presses, as events or as tones.
#[derive(Default)]
pub(super) struct Pressed {
    events: EventReceiver,
    ssrc: Option<u32>,
    ear: Option<(Rate, Box<Detector>)>,
}

impl Pressed {
    /// The key that this event packet presses.
    pub(super) fn event(&mut self, ssrc: u32, timestamp: u32, payload: &[u8]) -> Option<char> {
        if self.ssrc.replace(ssrc) != Some(ssrc) {
            self.events.restart();
        }
        self.events.push(timestamp, payload).into_iter().find_map(down)
    }

    /// The key that is pressed in these samples.
    pub(super) fn tone(&mut self, rate: Rate, samples: &[i16]) -> Option<char> {
        let ear = match &mut self.ear {
            Some((known, ear)) if *known == rate => ear,
            other => &mut other.insert((rate, Box::new(Detector::new(rate)))).1,
        };
        ear.push(samples).into_iter().find_map(down)
    }
}

fn down(event: KeyEvent) -> Option<char> {
    match event {
        KeyEvent::Down(key) => Some(key),
        KeyEvent::Up { .. } => None,
    }
}
