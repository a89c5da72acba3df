//! Profiles: which part of the calls does what while it is up.

use std::path::Path;
use std::time::Duration;

use rand::Rng;
use serde::Deserialize;

/// What is done in a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Nothing.
    Plain,
    /// Hold and retrieve.
    Hold,
    /// Consultation, then CompleteTransfer.
    Transfer,
    /// Consultation, then CompleteConference.
    Conference,
    /// Consultation, two alternations, then ReconnectCall.
    Alternate,
    /// SingleStepTransfer.
    SingleStepTransfer,
    /// SingleStepConference.
    SingleStepConference,
}

/// The shares of a profile; they need not add up to one.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// How long a call is up before the first request, between two, and after the last one, in milliseconds.
    #[serde(default = "half_a_second")]
    pause_ms: u64,
    #[serde(default)]
    plain: f64,
    #[serde(default)]
    hold: f64,
    #[serde(default)]
    transfer: f64,
    #[serde(default)]
    conference: f64,
    #[serde(default)]
    alternate: f64,
    #[serde(default)]
    single_step_transfer: f64,
    #[serde(default)]
    single_step_conference: f64,
}

fn half_a_second() -> u64 {
    500
}

/// The profiles that have a name.
const NAMED: [(&str, &str); 3] = [
    (
        "agents",
        "{\"plain\": 50, \"hold\": 25, \"transfer\": 10, \"conference\": 5, \"alternate\": 4, \"single_step_transfer\": 4, \
         \"single_step_conference\": 2}",
    ),
    (
        "everything",
        "{\"plain\": 1, \"hold\": 1, \"transfer\": 1, \"conference\": 1, \"alternate\": 1, \"single_step_transfer\": 1, \
         \"single_step_conference\": 1}",
    ),
    ("holds", "{\"hold\": 1}"),
];

impl Profile {
    /// A profile by its name, or from a file of JSON.
    pub fn load(name_or_file: &str) -> Result<Self, String> {
        let named = NAMED.iter().find(|(name, _)| *name == name_or_file);
        let text = match named {
            Some((_, text)) => (*text).to_owned(),
            None => std::fs::read_to_string(Path::new(name_or_file)).map_err(|error| {
                let names: Vec<&str> = NAMED.iter().map(|(name, _)| *name).collect();
                format!("--profile {name_or_file}: {error}; by name there are {}", names.join(", "))
            })?,
        };
        let profile: Self = serde_json::from_str(&text).map_err(|error| format!("--profile {name_or_file}: {error}"))?;
        let shares = profile.shares();
        let sound = shares.iter().all(|(share, _)| *share >= 0.0) && shares.iter().any(|(share, _)| *share > 0.0);
        if sound {
            Ok(profile)
        } else {
            Err(format!("--profile {name_or_file}: the shares are 0 or more, and one is more"))
        }
    }

    /// The same with another time between two requests.
    pub fn with_pause(mut self, pause: Duration) -> Self {
        self.pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
        self
    }

    /// The time between two requests.
    pub fn pause(&self) -> Duration {
        Duration::from_millis(self.pause_ms)
    }

    fn shares(&self) -> [(f64, Kind); 7] {
        [
            (self.plain, Kind::Plain),
            (self.hold, Kind::Hold),
            (self.transfer, Kind::Transfer),
            (self.conference, Kind::Conference),
            (self.alternate, Kind::Alternate),
            (self.single_step_transfer, Kind::SingleStepTransfer),
            (self.single_step_conference, Kind::SingleStepConference),
        ]
    }

    /// What the next call does.
    pub fn pick(&self, random: &mut impl Rng) -> Kind {
        let shares = self.shares();
        let all: f64 = shares.iter().map(|(share, _)| share).sum();
        let mut at = random.random_range(0.0..all);
        for (share, kind) in shares {
            if at < share {
                return kind;
            }
            at -= share;
        }
        Kind::Plain
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    #[test]
    fn named_profiles_are_sound_and_kinds_come_by_their_share() {
        for (name, _) in NAMED {
            Profile::load(name).unwrap();
        }
        let profile: Profile = serde_json::from_str("{\"plain\": 1, \"hold\": 3, \"pause_ms\": 20}").unwrap();
        assert_eq!(profile.pause(), Duration::from_millis(20));
        let mut random = StdRng::seed_from_u64(1);
        let held = (0..4_000).filter(|_| profile.pick(&mut random) == Kind::Hold).count();
        assert!((2_800..3_200).contains(&held), "{held}");
        assert!(Profile::load("nowhere").unwrap_err().contains("by name there are agents"));
    }
}
