//! `[media]`: the media plane.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// `[media]`
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Media {
    /// Where the audio of two parties goes.
    pub mode: MediaMode,
    /// Whether a call whose two parties simply hear each other again goes back to direct.
    pub descend: bool,
    /// The address that the ports are bound to.
    pub bind: IpAddr,
    /// The address that stands in session descriptions; the bound one where absent.
    pub advertised: Option<IpAddr>,
    /// The first UDP port; each leg has an even one for RTP and the odd one above it for RTCP.
    pub port_first: u16,
    /// The last UDP port, included.
    pub port_last: u16,
    /// How many threads carry media; 0 is one per core. See [`Media::resolved_threads`].
    pub threads: usize,
    /// How those threads stand to the rest of the machine.
    pub priority: MediaPriority,
    /// The codecs that are offered, the preferred one first.
    pub codecs: Vec<Codec>,
    /// How digits are sent to a device that leaves the choice.
    pub dtmf: DtmfMode,
    /// What is done with a device whose packets come from elsewhere than it said.
    pub symmetric: SymmetricRtp,
    /// How long nothing may come from a device that is to send before that is counted as a stall, in seconds; 0: for ever.
    pub stall_timeout_s: u64,
    /// Whose tones are played.
    pub locale: ToneLocale,
    /// The directory with the music; absolute once loaded, as the other paths here.
    pub music_directory: Option<PathBuf>,
    /// The music that is played where nothing else is asked for.
    pub music: Option<PathBuf>,
    /// The directory with the prompts.
    pub prompt_directory: Option<PathBuf>,
}

/// Where the audio of two parties goes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MediaMode {
    /// From device to device, until something needs the media plane.
    Direct,
    /// Through the media plane, always.
    Anchored,
}

/// How media threads stand to the rest of the machine.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MediaPriority {
    /// Real-time, where the process may; else as near to it as may be had.
    Realtime,
    /// The same as everybody's.
    Normal,
}

/// A codec of the media plane.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Codec {
    /// G.711 mu-law.
    #[serde(rename = "PCMU")]
    Pcmu,
    /// G.711 A-law.
    #[serde(rename = "PCMA")]
    Pcma,
    /// G.722.
    #[serde(rename = "G722")]
    G722,
    /// Opus.
    #[serde(rename = "opus")]
    Opus,
}

/// How digits are sent.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DtmfMode {
    /// As telephone events (RFC 4733); in-band to a device that cannot do that.
    Rfc4733,
    /// As SIP INFO requests.
    Info,
    /// As tones in the audio.
    Inband,
}

/// What is done with a device whose packets come from elsewhere than its session description says.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SymmetricRtp {
    /// The first source is learnt, and then held to.
    Learn,
    /// Only what was said counts.
    Strict,
    /// The newest source is followed.
    Follow,
}

/// Whose tones are played (ITU-T E.180 supplement 2).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ToneLocale {
    /// North America.
    Us,
    /// The United Kingdom.
    Uk,
    /// Germany.
    De,
    /// France.
    Fr,
}

impl Media {
    /// The number of media threads on a machine with that many cores: at least one.
    pub fn resolved_threads(&self, cores: usize) -> usize {
        if self.threads == 0 { cores.max(1) } else { self.threads }
    }

    /// Makes every path absolute: directories start at `base`, the music at its directory.
    pub(crate) fn resolve_paths(&mut self, base: &Path) {
        let from = |base: &Path, path: &mut PathBuf| {
            let joined = base.join(&path);
            // Where there is no current directory the path stays as it is, and the file will not be found.
            *path = std::path::absolute(&joined).unwrap_or(joined);
        };
        for directory in self.music_directory.iter_mut().chain(&mut self.prompt_directory) {
            from(base, directory);
        }
        if let Some(music) = &mut self.music {
            from(self.music_directory.as_deref().unwrap_or(base), music);
        }
    }
}
