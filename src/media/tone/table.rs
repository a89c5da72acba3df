//! The tones of each locale, after ITU-T E.180 Supplement 2 (various tones used in national networks).

use super::ToneKind;

/// A part of a pattern.
#[derive(Debug)]
pub(super) struct Step {
    /// Frequencies in hertz, with their share of the level; none is silence.
    pub tones: &'static [(f64, f64)],
    pub ms: u32,
}

/// A tone with its cadence.
#[derive(Debug)]
pub(super) struct Pattern {
    pub steps: &'static [Step],
    /// Whether it starts over; otherwise silence follows.
    pub repeats: bool,
}

/// What follows on a pattern that ends.
pub(super) const SILENCE: Step = off(1_000);

const fn on(tones: &'static [(f64, f64)], ms: u32) -> Step {
    Step { tones, ms }
}

const fn off(ms: u32) -> Step {
    Step { tones: &[], ms }
}

const fn steady(steps: &'static [Step]) -> Pattern {
    Pattern { steps, repeats: true }
}

const DIAL_US: &[(f64, f64)] = &[(350.0, 1.0), (440.0, 1.0)];
const RING_US: &[(f64, f64)] = &[(440.0, 1.0), (480.0, 1.0)];
const BUSY_US: &[(f64, f64)] = &[(480.0, 1.0), (620.0, 1.0)];
const RING_UK: &[(f64, f64)] = &[(400.0, 1.0), (450.0, 1.0)];
const AU: &[(f64, f64)] = &[(413.0, 1.0), (438.0, 1.0)];
const HZ_400: &[(f64, f64)] = &[(400.0, 1.0)];
const HZ_425: &[(f64, f64)] = &[(425.0, 1.0)];
const HZ_440: &[(f64, f64)] = &[(440.0, 1.0)];
/// 400 Hz modulated with 16 Hz: the carrier and its two sides.
const RING_JP: &[(f64, f64)] = &[(400.0, 2.0), (384.0, 1.0), (416.0, 1.0)];

static BEEP: Pattern = Pattern {
    steps: &[on(&[(1_000.0, 1.0)], 300)],
    repeats: false,
};

/// The tones of one locale but the beep, which is the same everywhere.
#[derive(Debug)]
struct Tones {
    dial: Pattern,
    ring_back: Pattern,
    busy: Pattern,
    fast_busy: Pattern,
}

static US: Tones = Tones {
    dial: steady(&[on(DIAL_US, 1_000)]),
    ring_back: steady(&[on(RING_US, 2_000), off(4_000)]),
    busy: steady(&[on(BUSY_US, 500), off(500)]),
    fast_busy: steady(&[on(BUSY_US, 250), off(250)]),
};
static UK: Tones = Tones {
    dial: steady(&[on(DIAL_US, 1_000)]),
    ring_back: steady(&[on(RING_UK, 400), off(200), on(RING_UK, 400), off(2_000)]),
    busy: steady(&[on(HZ_400, 375), off(375)]),
    fast_busy: steady(&[on(HZ_400, 400), off(350), on(HZ_400, 225), off(525)]),
};
static DE: Tones = Tones {
    dial: steady(&[on(HZ_425, 1_000)]),
    ring_back: steady(&[on(HZ_425, 1_000), off(4_000)]),
    busy: steady(&[on(HZ_425, 480), off(480)]),
    fast_busy: steady(&[on(HZ_425, 240), off(240)]),
};
static FR: Tones = Tones {
    dial: steady(&[on(HZ_440, 1_000)]),
    ring_back: steady(&[on(HZ_440, 1_500), off(3_500)]),
    busy: steady(&[on(HZ_440, 500), off(500)]),
    fast_busy: steady(&[on(HZ_440, 250), off(250)]),
};
static ES: Tones = Tones {
    dial: steady(&[on(HZ_425, 1_000)]),
    ring_back: steady(&[on(HZ_425, 1_500), off(3_000)]),
    busy: steady(&[on(HZ_425, 200), off(200)]),
    fast_busy: steady(&[
        on(HZ_425, 200),
        off(200),
        on(HZ_425, 200),
        off(200),
        on(HZ_425, 200),
        off(600),
    ]),
};
static IT: Tones = Tones {
    dial: steady(&[on(HZ_425, 200), off(200), on(HZ_425, 600), off(1_000)]),
    ring_back: steady(&[on(HZ_425, 1_000), off(4_000)]),
    busy: steady(&[on(HZ_425, 500), off(500)]),
    fast_busy: steady(&[on(HZ_425, 200), off(200)]),
};
static RU: Tones = Tones {
    dial: steady(&[on(HZ_425, 1_000)]),
    ring_back: steady(&[on(HZ_425, 800), off(3_200)]),
    busy: steady(&[on(HZ_425, 400), off(400)]),
    fast_busy: steady(&[on(HZ_425, 200), off(200)]),
};
static AUSTRALIA: Tones = Tones {
    dial: steady(&[on(AU, 1_000)]),
    ring_back: steady(&[on(AU, 400), off(200), on(AU, 400), off(2_000)]),
    busy: steady(&[on(HZ_425, 375), off(375)]),
    fast_busy: steady(&[on(HZ_425, 375), off(375), on(HZ_400, 375), off(375)]),
};
static JP: Tones = Tones {
    dial: steady(&[on(HZ_400, 1_000)]),
    ring_back: steady(&[on(RING_JP, 1_000), off(2_000)]),
    busy: steady(&[on(HZ_400, 500), off(500)]),
    fast_busy: steady(&[on(HZ_400, 250), off(250)]),
};

/// Whose tones are played.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub enum Locale {
    /// North America.
    #[default]
    Us,
    /// The United Kingdom.
    Uk,
    /// Germany.
    De,
    /// France.
    Fr,
    /// Spain.
    Es,
    /// Italy.
    It,
    /// Russia.
    Ru,
    /// Australia.
    Au,
    /// Japan.
    Jp,
}

impl Locale {
    /// Every locale.
    pub const ALL: [Self; 9] = [
        Self::Us,
        Self::Uk,
        Self::De,
        Self::Fr,
        Self::Es,
        Self::It,
        Self::Ru,
        Self::Au,
        Self::Jp,
    ];

    /// Its name: the letters of the country.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Us => "us",
            Self::Uk => "uk",
            Self::De => "de",
            Self::Fr => "fr",
            Self::Es => "es",
            Self::It => "it",
            Self::Ru => "ru",
            Self::Au => "au",
            Self::Jp => "jp",
        }
    }

    /// The locale of that name, without case; `gb` is `uk`, `ca` is `us`.
    pub fn named(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "gb" => Some(Self::Uk),
            "ca" => Some(Self::Us),
            name => Self::ALL.into_iter().find(|locale| locale.name() == name),
        }
    }

    pub(super) fn pattern(self, kind: ToneKind) -> &'static Pattern {
        let tones = match self {
            Self::Us => &US,
            Self::Uk => &UK,
            Self::De => &DE,
            Self::Fr => &FR,
            Self::Es => &ES,
            Self::It => &IT,
            Self::Ru => &RU,
            Self::Au => &AUSTRALIA,
            Self::Jp => &JP,
        };
        match kind {
            ToneKind::Dial => &tones.dial,
            ToneKind::RingBack => &tones.ring_back,
            ToneKind::Busy => &tones.busy,
            ToneKind::FastBusy => &tones.fast_busy,
            ToneKind::Beep => &BEEP,
        }
    }
}
