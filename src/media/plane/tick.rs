//! Every 20 ms: what is made rather than relayed is mixed, coded and sent.

use std::os::fd::AsFd;

use super::event::PlaneEventKind;
use super::floor::{Floor, Now};
use super::kernel;
use super::keys::Keys;
use super::line::{Line, Slot};
use super::packet::write_header;
use super::player::Played;
use super::scene::{Scene, Stage, Voice};
use super::stamp::Stamp;
use crate::codec::{Codec, Encoder};
use crate::rate::Rate;
use crate::receive::Heard;
use crate::{FRAME_MS, rtp};

/// Memory of one round, kept.
#[derive(Default)]
pub(super) struct Frames {
    voice: Vec<i16>,
    converted: Vec<i16>,
    mixed: Vec<i16>,
    payload: Vec<u8>,
}

impl Floor {
    /// A round.
    pub(super) fn tick(&mut self, now: Now) {
        let mut scenes = std::mem::take(&mut self.scenes);
        let mut frames = std::mem::take(&mut self.frames);
        for scene in scenes.values_mut() {
            self.perform(scene, &mut frames, now);
        }
        self.frames = frames;
        self.scenes = scenes;
        self.serving = None;
    }

    fn perform(&mut self, scene: &mut Scene, frames: &mut Frames, now: Now) {
        for stage in &mut scene.stages {
            stage.mixer.begin();
        }
        for (number, voice) in scene.voices.iter().enumerate() {
            match *voice {
                Voice::Port(slot) => self.speak(number, slot, &mut scene.stages, frames),
                Voice::Player(slot, player) => self.play(number, slot, player, &mut scene.stages, frames),
            }
        }
        self.find_speaker(scene, now);
        for stage in &mut scene.stages {
            stage.mixer.group();
            for index in 0..stage.mixer.groups().len() {
                self.send_group(stage, index, frames, now);
            }
        }
    }

    /// What a device said.
    fn speak(&mut self, number: usize, slot: Slot, stages: &mut [Stage], frames: &mut Frames) {
        let Some(line) = self.lines.get_mut(slot).and_then(Option::as_deref_mut) else {
            return;
        };
        self.serving = Some((line.id, line.owner));
        let Some(receiver) = &mut line.receiver else { return };
        let heard = receiver.pull(&mut frames.voice);
        let from = receiver.rate();
        line.activity
            .update(if heard == Heard::Silence { &[] } else { &frames.voice });
        if !line.activity.is_audible() {
            return;
        }
        for stage in stages {
            if stage.rate == from {
                stage.mixer.feed(number, &frames.voice);
            } else {
                frames.converted.clear();
                line.convert(from, stage.rate, &frames.voice, &mut frames.converted);
                stage.mixer.feed(number, &frames.converted);
            }
        }
    }

    fn play(&mut self, number: usize, slot: Slot, player: usize, stages: &mut [Stage], frames: &mut Frames) {
        let Some(line) = self.lines.get_mut(slot).and_then(Option::as_deref_mut) else {
            return;
        };
        self.serving = Some((line.id, line.owner));
        let rate = line.settings.as_ref().map_or(Rate::Narrow, |settings| settings.codec.rate());
        let locale = self.settings.locale;
        let Some((_, player)) = line.players.get_mut(player) else {
            return;
        };
        frames.voice.clear();
        let played = player.play(rate, locale, &mut frames.voice);
        let (port, owner) = (line.id, line.owner);
        if played != Played::Nothing
            && let Some(stage) = stages.iter_mut().find(|stage| stage.rate == rate)
        {
            stage.mixer.feed(number, &frames.voice);
        }
        if played == Played::Last {
            self.tell(port, owner, PlaneEventKind::FileEnded);
        }
    }

    /// Codes once what several hear, and sends it to each.
    fn send_group(&mut self, stage: &Stage, index: usize, frames: &mut Frames, now: Now) {
        let Some(group) = stage.mixer.groups().get(index) else {
            return;
        };
        let mut listeners = stage
            .mixer
            .listeners(group)
            .iter()
            .filter_map(|listener| stage.listeners.get(*listener));
        let Some(first) = listeners.clone().next() else { return };
        let Some(line) = self.lines.get_mut(*first).and_then(Option::as_deref_mut) else {
            return;
        };
        self.serving = Some((line.id, line.owner));
        frames.mixed.clear();
        frames.payload.clear();
        stage.mixer.render(group, &mut frames.mixed);
        let coded = line
            .encoder
            .as_mut()
            .map(|encoder| encoder.encode(&frames.mixed, &mut frames.payload));
        if !matches!(coded, Some(Ok(()))) {
            frames.payload.clear();
        }
        self.counters.frames += 1;
        for slot in listeners.by_ref() {
            self.send_frame(*slot, stage.rate, &frames.payload, now);
        }
    }

    /// A frame for one device, unless a key takes its place.
    fn send_frame(&mut self, slot: Slot, rate: Rate, payload: &[u8], now: Now) {
        let Some(line) = self.lines.get_mut(slot).and_then(Option::as_deref_mut) else {
            return;
        };
        self.serving = Some((line.id, line.owner));
        if matches!(line.keys, Keys::Nothing) {
            return self.send_audio(slot, payload, now);
        }
        self.send_key(slot, rate, payload, now);
        let Some(line) = self.line(slot).filter(|line| line.keys.is_idle()) else {
            return;
        };
        line.keys = Keys::Nothing;
        let (port, owner) = (line.id, line.owner);
        self.changed.push(port);
        self.tell(port, owner, PlaneEventKind::DigitsSent);
    }

    /// A frame of a device that digits are sent to.
    fn send_key(&mut self, slot: Slot, rate: Rate, payload: &[u8], now: Now) {
        let Some(line) = self.line(slot) else { return };
        let Some(settings) = line.settings.as_ref() else { return };
        let (audio, event) = (settings.payload_type, settings.telephone_event);
        let stamp = line.stamper.own(settings.codec.frame_ticks(), now.us);
        match &mut line.keys {
            Keys::Events(keys) => match (keys.tick(stamp.timestamp), event) {
                (Some(packet), Some(event)) => {
                    let stamp = Stamp {
                        marker: packet.marker,
                        timestamp: packet.timestamp,
                        ..stamp
                    };
                    self.send(slot, event.payload_type, stamp, &packet.payload, now);
                }
                _ => self.send(slot, audio, stamp, payload, now),
            },
            Keys::Tones(keys) => {
                let mut frame = [0; Rate::Wide.frame_samples()];
                let frame = frame.get_mut(..rate.frame_samples()).unwrap_or_default();
                if !keys.fill(frame) {
                    return self.send(slot, audio, stamp, payload, now);
                }
                let mut coded = std::mem::take(&mut line.packed);
                coded.clear();
                let done = line.encoder.as_mut().map(|encoder| encoder.encode(frame, &mut coded));
                if matches!(done, Some(Ok(()))) {
                    self.send(slot, audio, stamp, &coded, now);
                }
            }
            Keys::Nothing => {}
        }
    }

    /// A coded frame: at once, or when the packet is full.
    fn send_audio(&mut self, slot: Slot, payload: &[u8], now: Now) {
        let Some(line) = self.line(slot) else { return };
        let Some(settings) = line.settings.as_ref() else { return };
        let (payload_type, ticks) = (settings.payload_type, settings.codec.frame_ticks());
        // Opus packets cannot be put together.
        let frames = match settings.codec {
            Codec::Opus => 1,
            _ => u64::from(settings.ptime_ms).div_ceil(FRAME_MS).clamp(1, 6) as u32,
        };
        if payload.is_empty() || !line.may_hear() {
            return;
        }
        if frames == 1 {
            let stamp = line.stamper.own(ticks, now.us);
            return self.send(slot, payload_type, stamp, payload, now);
        }
        line.packed.extend_from_slice(payload);
        line.packed_frames += 1;
        if line.packed_frames >= frames {
            let packed = std::mem::take(&mut line.packed);
            line.packed_frames = 0;
            let stamp = line.stamper.own(ticks * frames, now.us);
            self.send(slot, payload_type, stamp, &packed, now);
            if let Some(line) = self.line(slot) {
                line.packed = packed;
                line.packed.clear();
            }
        }
    }

    /// A packet of silence, so that NATs on the way stay open.
    pub(super) fn keep_open(&mut self, slot: Slot, now: Now) {
        let Some(line) = self.line(slot) else { return };
        let Some(settings) = line.settings.as_ref() else { return };
        let (codec, payload_type) = (settings.codec, settings.payload_type);
        let mut payload = Vec::new();
        let silence = [0; Rate::Wide.frame_samples()];
        let silence = silence.get(..codec.frame_samples()).unwrap_or_default();
        if Encoder::new(codec).encode(silence, &mut payload).is_ok() {
            let stamp = line.stamper.own(codec.frame_ticks(), now.us);
            self.send(slot, payload_type, stamp, &payload, now);
        }
    }

    /// Sends a packet of our own making.
    pub(super) fn send(&mut self, slot: Slot, payload_type: u8, stamp: Stamp, payload: &[u8], now: Now) {
        let Some(line) = self.lines.get_mut(slot).and_then(Option::as_deref_mut) else {
            return;
        };
        let Some(to) = line.to.as_ref().filter(|_| line.may_hear()) else {
            return;
        };
        self.scratch.clear();
        self.scratch.extend_from_slice(&[0; rtp::HEADER_LEN]);
        self.scratch.extend_from_slice(payload);
        write_header(&mut self.scratch, payload_type, stamp, line.stamper.ssrc());
        if kernel::send(line.lease.rtp.as_fd(), to, &self.scratch).is_err() {
            self.counters.send_errors += 1;
            return;
        }
        sent(line, payload.len(), now);
        self.counters.packets_out += 1;
        self.counters.bytes_out += self.scratch.len() as u64;
    }
}

/// Keeps account of a packet that went out.
pub(super) fn sent(line: &mut Line, octets: usize, now: Now) {
    line.sent_us = Some(now.us);
    line.control.transmission.sent(octets);
    line.report.packets_out += 1;
    line.report.octets_out += octets as u64;
}
