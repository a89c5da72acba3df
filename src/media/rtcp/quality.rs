//! How good a call must have sounded: the E-model (ITU-T G.107) with every parameter at its default but delay, loss and codec.

use crate::codec::Codec;

/// The rating of a call without delay, loss and coding (G.107 with its defaults).
const BEST: f32 = 93.2;

/// An estimate.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Quality {
    /// The rating, 0 to 100: above 80 users are satisfied, below 60 nearly all are not.
    pub rating: f32,
    /// The mean opinion score, 1 to 4.5 (conversational, MOS-CQE).
    pub mos: f32,
}

/// Estimates the quality of one direction: the delay from mouth to ear in milliseconds (network, jitter buffer and packets), the
/// share of packets lost (0 to 1, those too late included), and the codec.
pub fn estimate(codec: Codec, delay_ms: f32, loss: f32) -> Quality {
    let delay_ms = if delay_ms.is_finite() {
        delay_ms.clamp(0.0, 60_000.0)
    } else {
        0.0
    };
    let percent = if loss.is_finite() { loss.clamp(0.0, 1.0) * 100.0 } else { 0.0 };
    // Delay (R. Cole and J. Rosenbluth's fit of G.107): nothing is lost below 177 ms but a little.
    let delay = 0.024 * delay_ms + 0.11 * (delay_ms - 177.3).max(0.0);
    // Effective equipment impairment for random loss (G.107 7.3).
    let (impairment, robustness) = impairment(codec);
    let equipment = impairment + (95.0 - impairment) * percent / (percent + robustness);
    let rating = (BEST - delay - equipment).clamp(0.0, 100.0);
    Quality {
        rating,
        mos: mos(rating),
    }
}

/// Equipment impairment and robustness against loss: G.113 Appendix I for G.711 with concealment. On this narrow-band scale
/// wide-band codecs are taken as no worse than G.711; their concealment makes them about as robust, Opus somewhat less at our bit
/// rate.
const fn impairment(codec: Codec) -> (f32, f32) {
    match codec {
        Codec::Pcmu | Codec::Pcma | Codec::G722 => (0.0, 25.1),
        Codec::Opus => (0.0, 20.0),
    }
}

/// G.107 Annex B.
fn mos(rating: f32) -> f32 {
    let mos = 1.0 + 0.035 * rating + rating * (rating - 60.0) * (100.0 - rating) * 7e-6;
    mos.clamp(1.0, 4.5)
}
