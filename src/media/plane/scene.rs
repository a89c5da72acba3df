//! What is made rather than relayed, in one session: which voices there are, and who hears which.
//!
//! A *voice* is something that is mixed: the device of a port, or a player (music, tone, file) of one listener. A scene has one mixer for each
//! sampling rate that its listeners use; a voice is converted once. Listeners that hear the same and take the same codec share one encoded
//! payload.

use std::collections::HashMap;

use super::event::{PlaneEventKind, PortId, Source};
use super::floor::{Floor, Now};
use super::line::{Line, Route, Slot};
use super::music::Music;
use super::player::Player;
use crate::FRAME_MS;
use crate::codec::{Codec, Encoder};
use crate::mixer::{Mixer, Row};
use crate::rate::{Converter, Rate};
use crate::receive::Receiver;
use crate::speaker::ActiveSpeaker;

/// The scenes of one thread, by session.
pub(super) type Scenes = HashMap<u64, Scene>;

/// See the module.
#[derive(Default)]
pub(super) struct Scene {
    pub(super) voices: Vec<Voice>,
    pub(super) stages: Vec<Stage>,
    speaker: ActiveSpeaker,
    /// Who was told to speak last, and when.
    told: Option<(PortId, u64)>,
}

/// Something that is mixed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Voice {
    Port(Slot),
    /// That listener's player of that number.
    Player(Slot, usize),
}

/// The listeners of one sampling rate.
pub(super) struct Stage {
    pub(super) rate: Rate,
    pub(super) mixer: Mixer,
    pub(super) listeners: Vec<Slot>,
}

/// Between two it goes without saying who speaks.
const CONFERENCE: usize = 3;
/// Who speaks is told once in this time at most: 1 s.
const TELLING_US: u64 = 1_000_000;

/// Classes from here on are of one listener alone.
const ALONE: u32 = 16;

impl Floor {
    /// Brings the scenes of sessions in which something changed up to date.
    pub(super) fn arrange(&mut self) {
        let mut sessions = std::mem::take(&mut self.unarranged);
        sessions.sort_unstable();
        sessions.dedup();
        for session in sessions.drain(..) {
            self.arrange_session(session);
        }
        self.unarranged = sessions;
    }

    fn arrange_session(&mut self, session: u64) {
        let members = self.members.get(&session).cloned().unwrap_or_default();
        let listeners: Vec<Slot> = members
            .iter()
            .copied()
            .filter(|slot| self.peek(*slot).is_some_and(|line| line.route == Route::Made))
            .collect();
        let mut scene = self.scenes.remove(&session).unwrap_or_default();
        scene.voices.clear();
        let mut rows: HashMap<Slot, Vec<usize>> = HashMap::new();
        let mut numbers: HashMap<Slot, usize> = HashMap::new();
        for slot in &listeners {
            let Some(line) = self.peek(*slot) else { continue };
            let row = rows.entry(*slot).or_default();
            for port in self.ports_heard(line) {
                let number = *numbers.entry(port).or_insert_with(|| {
                    scene.voices.push(Voice::Port(port));
                    scene.voices.len() - 1
                });
                row.push(number);
            }
            for player in 0..line.players.len() {
                row.push(scene.voices.len());
                scene.voices.push(Voice::Player(*slot, player));
            }
        }
        for slot in members {
            let decoded = numbers.contains_key(&slot);
            if let Some(line) = self.line(slot) {
                line.decode(decoded);
            }
        }
        if listeners.is_empty() {
            return;
        }
        scene.stages.retain_mut(|stage| {
            stage.listeners.clear();
            true
        });
        for rate in [Rate::Narrow, Rate::Wide] {
            self.arrange_stage(rate, &listeners, &mut rows, &mut scene);
        }
        scene.stages.retain(|stage| !stage.listeners.is_empty());
        self.scenes.insert(session, scene);
    }

    fn arrange_stage(&mut self, rate: Rate, listeners: &[Slot], rows: &mut HashMap<Slot, Vec<usize>>, scene: &mut Scene) {
        let mut chosen = Vec::new();
        let mut table = Vec::new();
        for slot in listeners {
            let Some(line) = self.line(*slot) else { continue };
            let Some(settings) = line.settings.as_ref().filter(|settings| settings.codec.rate() == rate) else {
                continue;
            };
            let class = class_of(*slot, settings.codec, settings.ptime_ms);
            if line.encoder.as_ref().map(Encoder::codec) != Some(settings.codec) {
                line.encoder = Some(Encoder::new(settings.codec));
            }
            let hears = rows.remove(slot).unwrap_or_default();
            chosen.push(*slot);
            table.push(Row { hears, class });
        }
        if chosen.is_empty() {
            return;
        }
        let index = scene.stages.iter().position(|stage| stage.rate == rate).unwrap_or_else(|| {
            scene.stages.push(Stage {
                rate,
                mixer: Mixer::new(rate),
                listeners: Vec::new(),
            });
            scene.stages.len() - 1
        });
        let voices = scene.voices.len();
        if let Some(stage) = scene.stages.get_mut(index) {
            stage.mixer.arrange(voices, &table);
            stage.listeners = chosen;
        }
    }

    /// After a round: who speaks now, where that is somebody else than was told last, and it is time to tell. The sources are slots: numbers
    /// of voices change when somebody comes or goes.
    pub(super) fn find_speaker(&self, scene: &mut Scene, now: Now) {
        let ports = || {
            scene.voices.iter().filter_map(|voice| match voice {
                Voice::Port(slot) => Some((*slot, self.peek(*slot)?)),
                Voice::Player(..) => None,
            })
        };
        if ports().nth(CONFERENCE - 1).is_none() {
            (scene.speaker, scene.told) = Default::default();
            return;
        }
        scene.speaker.update(ports().map(|(slot, line)| (slot, &line.activity)));
        let Some(line) = scene.speaker.current().and_then(|slot| self.peek(slot)) else {
            return;
        };
        let is_due = |(port, since): (PortId, u64)| port != line.id && now.us.saturating_sub(since) >= TELLING_US;
        if scene.told.is_none_or(is_due) {
            scene.told = Some((line.id, now.us));
            self.tell(line.id, line.owner, PlaneEventKind::Speaks);
        }
    }

    /// Whether frames of 20 ms are to be made.
    pub(super) fn makes_frames(&self) -> bool {
        !self.scenes.is_empty()
    }

    pub(super) fn peek(&self, slot: Slot) -> Option<&Line> {
        self.lines.get(slot)?.as_deref()
    }
}

impl Line {
    /// Whether what the device sends is to be decoded from now on.
    fn decode(&mut self, wanted: bool) {
        self.decoded = wanted;
        if !wanted {
            self.receiver = None;
            self.converter = None;
        } else if self.receiver.is_none() {
            let formats = self.settings.as_ref().map(|settings| audio_formats(&settings.receives));
            self.receiver = Some(Receiver::new(&formats.unwrap_or_default(), Default::default()));
        }
    }

    /// The frame in another rate than it has.
    pub(super) fn convert(&mut self, from: Rate, to: Rate, frame: &[i16], out: &mut Vec<i16>) {
        match &mut self.converter {
            Some((known, converter)) if *known == (from, to) => converter.convert(frame, out),
            other => other.insert(((from, to), Converter::new(from, to))).1.convert(frame, out),
        }
    }

    /// Brings the players in line with what is heard; those that go on are kept.
    pub(super) fn choose_players(&mut self, music: &Music) {
        let mut before = std::mem::take(&mut self.players);
        for source in self.hears.iter().filter(|source| !matches!(source, Source::Port(_))) {
            let known = before.iter().position(|(known, _)| known == source);
            let player = known.map(|index| before.swap_remove(index));
            self.players
                .push(player.unwrap_or_else(|| (source.clone(), Player::new(source, music))));
        }
    }
}

/// The payload types of audio.
pub(super) fn audio_formats(receives: &[(u8, crate::endpoint::Format)]) -> Vec<(u8, Codec)> {
    let audio = receives.iter().filter_map(|(number, format)| match format {
        crate::endpoint::Format::Audio(codec) => Some((*number, *codec)),
        crate::endpoint::Format::Event { .. } => None,
    });
    audio.collect()
}

/// Listeners of one class can be sent the same payload: same codec, one frame in a packet.
fn class_of(slot: Slot, codec: Codec, ptime_ms: u32) -> u32 {
    if u64::from(ptime_ms) > FRAME_MS {
        return ALONE.saturating_add(slot as u32);
    }
    codec as u32
}
