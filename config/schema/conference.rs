//! `[conference]`: the resources of conferences, and `[[conference_dn]]`: conferences that are dialled into.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::secret::Secret;

/// `[conference]`
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conference {
    /// The most parties of one conference.
    pub max_parties: usize,
    /// How many conferences each connector keeps made in advance.
    pub pool_size: usize,
    /// Whether a conference that has ended is used again, whether it was made in advance or for a call.
    pub caching_enabled: bool,
    /// How many times a conference is used again before it is given up; 0: as often as it is wanted.
    pub reuse_avcall: u32,
    /// The names of the conference endpoints, `sip:conf{DD}@example.com`. See [`Conference::endpoints`].
    pub uri_pattern: Option<String>,
    /// How many conference endpoints there are.
    pub count: u32,
    /// Whether those who join are admitted at once; else they wait in a lobby.
    pub lobby_bypass_enabled: bool,
}

/// `[[conference_dn]]`: a conference that is dialled into.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConferenceDn {
    /// The SIP URI, lower case once loaded.
    pub dn: String,
    /// What is dialled to reach it; the user part of `dn` works always.
    pub number: Option<String>,
    /// The name shown.
    pub display_name: Option<String>,
    /// The digits that let a joiner in; none are asked for where there are none.
    pub pin: Option<Secret>,
    /// A file with the PIN in its first line; read into `pin` when the configuration is loaded.
    pub pin_file: Option<PathBuf>,
    /// The digits that let a joiner in as moderator.
    pub moderator_pin: Option<Secret>,
    /// A file with the moderator's PIN in its first line; read into `moderator_pin` when the configuration is loaded.
    pub moderator_pin_file: Option<PathBuf>,
    /// The most parties; as in `[conference]` where absent. See [`ConferenceDn::resolved_max_parties`].
    pub max_parties: Option<usize>,
    /// How those in the conference learn that somebody comes or goes.
    pub announce: Announce,
    /// Whether a joiner waits until a moderator is there or a desktop admits it; as in its pool where absent.
    pub lobby: Option<bool>,
    /// Whether a party that is alone hears music.
    pub music: bool,
    /// The folder it is in; see [`Config::pool_of`](super::Config::pool_of).
    pub folder: Option<String>,
}

/// How those in a conference learn that somebody comes or goes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Announce {
    /// By a tone.
    Tone,
    /// Not at all.
    None,
}

/// A pattern of names that are numbered: `<prefix>{DD}<suffix>`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct NumberedUri<'a> {
    prefix: &'a str,
    digits: usize,
    suffix: &'a str,
}

impl<'a> NumberedUri<'a> {
    /// Reads a pattern: one pair of braces with 1 to 6 `D`s in it.
    pub fn parse(pattern: &'a str) -> Option<Self> {
        let (prefix, rest) = pattern.split_once('{')?;
        let (digits, suffix) = rest.split_once('}')?;
        let sound = (1..=6).contains(&digits.len()) && digits.bytes().all(|byte| byte == b'D') && !suffix.contains(['{', '}']);
        sound.then_some(Self {
            prefix,
            digits: digits.len(),
            suffix,
        })
    }

    /// The highest number that fits.
    pub fn most(&self) -> u32 {
        10_u32.saturating_pow(u32::try_from(self.digits).unwrap_or(9)) - 1
    }

    /// The name with that number, filled up with zeros.
    pub fn name(&self, number: u32) -> String {
        format!("{}{number:0width$}{}", self.prefix, self.suffix, width = self.digits)
    }
}

impl Conference {
    /// The conference endpoints: `uri_pattern` with each number from 1 to `count` (seed 002 line 1089).
    pub fn endpoints(&self) -> impl Iterator<Item = String> {
        let pattern = self.uri_pattern.as_deref().and_then(NumberedUri::parse);
        let count = self.count;
        pattern
            .into_iter()
            .flat_map(move |pattern| (1..=count).map(move |number| pattern.name(number)))
    }
}

impl ConferenceDn {
    /// The most parties.
    pub fn resolved_max_parties(&self, conference: &Conference) -> usize {
        self.max_parties.unwrap_or(conference.max_parties)
    }

    /// Whether joiners wait in a lobby; `conference` is that of its pool.
    pub fn resolved_lobby(&self, conference: &Conference) -> bool {
        self.lobby.unwrap_or(!conference.lobby_bypass_enabled)
    }
}

#[cfg(test)]
mod tests {
    use super::NumberedUri;

    #[test]
    fn the_pattern_of_the_seed_gives_the_names_of_the_seed() {
        let Some(pattern) = NumberedUri::parse("sip:conf{DD}@skype.lab") else {
            panic!("a pattern")
        };
        assert_eq!(
            (pattern.name(1), pattern.name(99)),
            ("sip:conf01@skype.lab".into(), "sip:conf99@skype.lab".into())
        );
        assert_eq!(pattern.most(), 99);
        for wrong in [
            "sip:conf@skype.lab",
            "sip:conf{}@x",
            "sip:conf{dd}@x",
            "sip:{D}{D}@x",
            "sip:{DDDDDDD}@x",
            "sip:}{@x",
        ] {
            assert_eq!(NumberedUri::parse(wrong), None, "{wrong}");
        }
    }
}
