//! What a listener hears that no device sends: music, tones, files.

use std::sync::Arc;

use super::event::Source;
use super::music::Music;
use crate::prompt::{self, Prompt};
use crate::rate::Rate;
use crate::tone::{Locale, ToneKind, ToneSource};

/// One of them, at some point of it.
pub(super) enum Player {
    /// A tone, made at a rate as soon as that is known.
    Tone(ToneKind, Option<(Rate, ToneSource)>),
    /// Music or a file.
    Clip(Box<prompt::Player>),
    /// A file that is not loaded yet.
    Waiting,
    /// It is over, or cannot be had.
    Over,
}

/// What came of it in one frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Played {
    /// A frame.
    Frame,
    /// Silence.
    Nothing,
    /// This was its last frame.
    Last,
}

/// The players of a port, each with what it plays.
pub(super) type Players = Vec<(Source, Player)>;

impl Player {
    pub(super) fn new(source: &Source, music: &Music) -> Self {
        match source {
            Source::Tone(kind) => Self::Tone(*kind, None),
            Source::Music(name) => Self::Clip(Box::new(prompt::Player::new(music.of(name.as_deref()), true))),
            Source::File { .. } => Self::Waiting,
            Source::Port(_) => Self::Over,
        }
    }

    /// Appends the next frame.
    pub(super) fn play(&mut self, rate: Rate, locale: Locale, frame: &mut Vec<i16>) -> Played {
        match self {
            Self::Tone(kind, source) => {
                frame.resize(rate.frame_samples(), 0);
                tone(*kind, source, rate, locale).fill(frame);
                Played::Frame
            }
            Self::Clip(player) => {
                player.read(rate, frame);
                if player.advance() {
                    return Played::Frame;
                }
                *self = Self::Over;
                Played::Last
            }
            Self::Waiting | Self::Over => Played::Nothing,
        }
    }

    /// The file that this one waits for was loaded, or cannot be had: then it is over.
    pub(super) fn load(&mut self, prompt: Option<Arc<Prompt>>, repeat: bool) {
        *self = match prompt {
            Some(prompt) => Self::Clip(Box::new(prompt::Player::new(prompt, repeat))),
            None => Self::Over,
        };
    }
}

/// The tone at that rate, from where it was at another one.
fn tone(kind: ToneKind, source: &mut Option<(Rate, ToneSource)>, rate: Rate, locale: Locale) -> &mut ToneSource {
    let before = source.take();
    let tone = match before {
        Some((known, tone)) if known == rate => tone,
        other => {
            let mut tone = ToneSource::new(kind, locale, rate);
            tone.seek(other.map_or(0, |(_, tone)| tone.position_ms()));
            tone
        }
    };
    &mut source.insert((rate, tone)).1
}
