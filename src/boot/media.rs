//! The media plane of this process: its settings from the configuration, its events to the conferences, its counters to the metrics.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use tandem_actors::media::{MediaStart, PortEvents};
use tandem_config::{Codec, Config, DtmfMode, MediaPriority, SymmetricRtp, ToneLocale};
use tandem_media::codec;
use tandem_media::endpoint::Capabilities;
use tandem_media::plane::{self, Music, Plane, PlaneEvent, PlaneEventKind, PlaneSettings, PlaneStats, PortReport};
use tandem_media::prompt::{Prompt, PromptLimits};
use tandem_media::tone::Locale;
use tandem_model::ConferenceId;
use tandem_model::leg::MediaEvent;

/// Where every stream is, beside the journal.
const MARKS: &str = "media-streams";
/// How often the counters are brought to the metrics.
const ACCOUNT_EVERY: Duration = Duration::from_secs(1);

/// The running plane.
#[derive(Clone)]
pub struct MediaPlane {
    plane: Plane,
    events: Arc<OnceLock<PortEvents>>,
}

impl MediaPlane {
    /// Starts the pump threads. No port is open yet.
    pub fn start(config: &Config, cores: usize) -> io::Result<Self> {
        describe();
        let events: Arc<OnceLock<PortEvents>> = Arc::default();
        let told = events.clone();
        let plane = Plane::start(settings(config, cores)?, move |event| tell(&told, event))?;
        Ok(Self { plane, events })
    }

    /// As the actors are given it.
    pub fn as_actors_use_it(&self) -> MediaStart {
        let (plane, events) = (self.plane.clone(), self.events.clone());
        Box::new(move |port_events| {
            // Set once: there is one tree.
            let _ = events.set(port_events);
            Arc::new(plane)
        })
    }

    /// From now on this is the music on hold.
    pub fn change_music(&self, music: Music) {
        self.plane.change_music(music);
    }

    /// Brings the counters to the metrics, for as long as the server runs.
    pub async fn account(self) {
        let mut look = tokio::time::interval(ACCOUNT_EVERY);
        loop {
            look.tick().await;
            gauge!("tandem_media_ports_open").set(self.plane.open_ports() as f64);
            account(&self.plane.stats());
        }
    }

    /// Ends the pump threads and closes every port.
    pub fn stop(&self) {
        self.plane.stop();
    }
}

fn tell(events: &OnceLock<PortEvents>, event: PlaneEvent) {
    let heard = match event.kind {
        PlaneEventKind::Flowing => MediaEvent::Flowing,
        PlaneEventKind::Stalled => {
            counter!("tandem_rtp_stalls_total").increment(1);
            MediaEvent::Stalled
        }
        PlaneEventKind::Digit(digit) => MediaEvent::Digit(digit),
        PlaneEventKind::Speaks => MediaEvent::Speaks,
        PlaneEventKind::FileEnded => MediaEvent::Ended,
        PlaneEventKind::Lost => MediaEvent::Refused,
        PlaneEventKind::DigitsSent => return,
        PlaneEventKind::Closed(report) => return account_port(&report),
    };
    if let Some(events) = events.get() {
        events.tell(ConferenceId(event.owner), event.port, heard);
    }
}

fn account(stats: &PlaneStats) {
    counter!("tandem_rtp_packets_total", "direction" => "in").absolute(stats.packets_in);
    counter!("tandem_rtp_packets_total", "direction" => "out").absolute(stats.packets_out);
    counter!("tandem_rtp_bytes_total", "direction" => "in").absolute(stats.bytes_in);
    counter!("tandem_rtp_bytes_total", "direction" => "out").absolute(stats.bytes_out);
    counter!("tandem_rtp_relayed_packets_total").absolute(stats.relayed);
    for (reason, dropped) in [
        ("stranger", stats.dropped_stranger),
        ("malformed", stats.dropped_malformed),
        ("payload_type", stats.dropped_unknown),
        ("no_destination", stats.dropped_no_destination),
    ] {
        counter!("tandem_rtp_dropped_packets_total", "reason" => reason).absolute(dropped);
    }
    counter!("tandem_rtp_floods_total").absolute(stats.floods);
    counter!("tandem_rtp_send_errors_total").absolute(stats.send_errors);
    counter!("tandem_rtcp_packets_total", "direction" => "in").absolute(stats.rtcp_in);
    counter!("tandem_rtcp_packets_total", "direction" => "out").absolute(stats.rtcp_out);
    counter!("tandem_media_frames_total").absolute(stats.frames);
    counter!("tandem_media_late_ticks_total").absolute(stats.late_ticks);
    counter!("tandem_media_crashes_total").absolute(stats.crashes);
    counter!("tandem_dtmf_digits_total").absolute(stats.digits_in);
}

/// What the metrics of the media plane mean.
fn describe() {
    describe_gauge!(
        "tandem_media_ports_open",
        "RTP ports open, one for each leg whose media is anchored."
    );
    describe_counter!("tandem_rtp_packets_total", "RTP packets received and sent.");
    describe_counter!("tandem_rtp_bytes_total", Unit::Bytes, "RTP received and sent.");
    describe_counter!(
        "tandem_rtp_relayed_packets_total",
        "RTP packets sent that were relayed, not made."
    );
    describe_counter!(
        "tandem_rtp_dropped_packets_total",
        "RTP packets received and dropped, by reason."
    );
    describe_counter!(
        "tandem_rtp_floods_total",
        "Times that a port was left alone for a while because too much came."
    );
    describe_counter!(
        "tandem_rtp_send_errors_total",
        "RTP and RTCP packets that the system refused to send."
    );
    describe_counter!(
        "tandem_rtp_stalls_total",
        "Times that nothing came for a while from a device that is to send."
    );
    describe_counter!("tandem_rtcp_packets_total", "RTCP packets received and sent.");
    describe_counter!(
        "tandem_media_frames_total",
        "Frames of 20 ms that were mixed, transcoded or played."
    );
    describe_counter!(
        "tandem_media_late_ticks_total",
        "Rounds of 20 ms that began more than 10 ms late."
    );
    describe_counter!("tandem_media_crashes_total", "Crashes of media threads.");
    describe_counter!("tandem_dtmf_digits_total", "Digits that devices pressed.");
    describe_histogram!(
        "tandem_rtp_jitter_seconds",
        Unit::Seconds,
        "Interarrival jitter of a leg at its end."
    );
    describe_histogram!("tandem_rtp_loss_ratio", "Packets of a leg that never came, from 0 to 1.");
    describe_histogram!(
        "tandem_rtp_round_trip_seconds",
        Unit::Seconds,
        "Round-trip time of a leg, as RTCP gives it."
    );
    describe_histogram!("tandem_rtp_mos", "Estimated mean opinion score of a leg, 1 to 4.5.");
}

/// What a closed port leaves behind in the metrics (RFC 3550 s.6.4, ITU-T G.107).
fn account_port(report: &PortReport) {
    if report.packets_in > 0 {
        let expected = report.packets_in + report.lost_in;
        histogram!("tandem_rtp_jitter_seconds").record(report.jitter_ms / 1_000.0);
        histogram!("tandem_rtp_loss_ratio").record(report.lost_in as f64 / expected as f64);
    }
    if let Some(round_trip_ms) = report.round_trip_ms {
        histogram!("tandem_rtp_round_trip_seconds").record(round_trip_ms / 1_000.0);
    }
    if let Some(mos) = report.mos {
        histogram!("tandem_rtp_mos").record(mos);
    }
}

/// What a port of this server can do.
pub fn capabilities(config: &Config) -> Capabilities {
    let codecs = config.media.codecs.iter().map(|codec| match codec {
        Codec::Pcmu => codec::Codec::Pcmu,
        Codec::Pcma => codec::Codec::Pcma,
        Codec::G722 => codec::Codec::G722,
        Codec::Opus => codec::Codec::Opus,
    });
    Capabilities {
        codecs: codecs.collect(),
        // Digits that go by INFO may come as events all the same.
        telephone_event: config.media.dtmf != DtmfMode::Inband,
        ..Capabilities::default()
    }
}

fn settings(config: &Config, cores: usize) -> io::Result<PlaneSettings> {
    let media = &config.media;
    Ok(PlaneSettings {
        threads: media.resolved_threads(cores),
        priority: match media.priority {
            MediaPriority::Realtime => plane::Priority::Realtime,
            MediaPriority::Normal => plane::Priority::Normal,
        },
        bind: media.bind,
        advertised: media.advertised,
        ports: media.port_first..=media.port_last,
        symmetric: match media.symmetric {
            SymmetricRtp::Strict => plane::SymmetricRtp::Off,
            SymmetricRtp::Learn => plane::SymmetricRtp::LearnOnce,
            SymmetricRtp::Follow => plane::SymmetricRtp::Follow,
        },
        stall_after: Duration::from_secs(media.stall_timeout_s),
        locale: match media.locale {
            ToneLocale::Us => Locale::Us,
            ToneLocale::Uk => Locale::Uk,
            ToneLocale::De => Locale::De,
            ToneLocale::Fr => Locale::Fr,
        },
        music: music(media)?,
        prompts: media.prompt_directory.clone(),
        marks: config.journal.directory().map(|directory| directory.join(MARKS)),
        ..PlaneSettings::default()
    })
}

/// The music on hold: every file of the directory by its name, and which one is the default. A file that cannot be played is told, not
/// passed over: it would be silence to callers.
pub fn music(media: &tandem_config::Media) -> io::Result<Music> {
    let load = |path: &Path| {
        let prompt = Prompt::load(path, PromptLimits::default()).map_err(io::Error::other)?;
        let name: Arc<str> = path.file_name().unwrap_or_default().to_string_lossy().into();
        Ok::<_, io::Error>((name, Arc::new(prompt)))
    };
    let mut named = HashMap::new();
    if let Some(directory) = &media.music_directory {
        let of_directory = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", directory.display()));
        for entry in std::fs::read_dir(directory).map_err(of_directory)? {
            let path = entry.map_err(of_directory)?.path();
            if path.is_file() {
                named.extend([load(&path)?]);
            }
        }
    }
    let mut default = None;
    if let Some(path) = &media.music {
        let (name, prompt) = load(path)?;
        named.insert(name.clone(), prompt);
        default = Some(name);
    }
    Ok(Music { named, default })
}
