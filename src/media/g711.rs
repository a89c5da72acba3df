//! G.711: 8-bit logarithmic samples, mu-law and A-law (ITU-T G.711).

/// The largest magnitude that mu-law codes.
const MULAW_CLIP: i32 = 32_635;
/// Added before the segment is looked for, so that each segment is twice as long as the one below (G.711 table 2a).
const MULAW_BIAS: i32 = 0x84;

/// A linear sample as mu-law.
pub fn encode_mulaw(sample: i16) -> u8 {
    let sign = if sample < 0 { 0x80 } else { 0 };
    let magnitude = i32::from(sample).abs().min(MULAW_CLIP) + MULAW_BIAS;
    let segment = 24 - magnitude.leading_zeros();
    let mantissa = magnitude >> (segment + 3) & 0x0f;
    !(sign | (segment << 4) as u8 | mantissa as u8)
}

/// A mu-law sample as linear.
pub const fn decode_mulaw(code: u8) -> i16 {
    let code = !code;
    let segment = code >> 4 & 0x07;
    let magnitude = (((((code & 0x0f) as i32) << 3) + MULAW_BIAS) << segment) - MULAW_BIAS;
    if code & 0x80 == 0 {
        magnitude as i16
    } else {
        -magnitude as i16
    }
}

/// A linear sample as A-law.
pub fn encode_alaw(sample: i16) -> u8 {
    let sign = if sample < 0 { 0 } else { 0x80 };
    // One's complement of the negative side, so that -1 and 0 are neighbours.
    let magnitude = i32::from(if sample < 0 { !sample } else { sample });
    let code = if magnitude < 256 {
        (magnitude >> 4) as u8
    } else {
        let segment = 24 - magnitude.leading_zeros();
        (segment << 4) as u8 | (magnitude >> (segment + 3) & 0x0f) as u8
    };
    (sign | code) ^ 0x55
}

/// An A-law sample as linear.
pub const fn decode_alaw(code: u8) -> i16 {
    let code = code ^ 0x55;
    let (segment, mantissa) = (code >> 4 & 0x07, (code & 0x0f) as i32);
    let magnitude = match segment {
        0 => (mantissa << 4) + 8,
        segment => ((mantissa << 4) + 0x108) << (segment - 1),
    };
    if code & 0x80 == 0 {
        -magnitude as i16
    } else {
        magnitude as i16
    }
}

/// Every mu-law code as linear.
pub static MULAW: [i16; 256] = {
    let mut table = [0; 256];
    let mut code = 0;
    while code < 256 {
        table[code] = decode_mulaw(code as u8);
        code += 1;
    }
    table
};

/// Every A-law code as linear.
pub static ALAW: [i16; 256] = {
    let mut table = [0; 256];
    let mut code = 0;
    while code < 256 {
        table[code] = decode_alaw(code as u8);
        code += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_of_the_scale_are_those_of_the_recommendation() {
        assert_eq!(
            (encode_mulaw(0), encode_mulaw(i16::MAX), encode_mulaw(i16::MIN)),
            (0xff, 0x80, 0x00)
        );
        assert_eq!(
            (decode_mulaw(0xff), decode_mulaw(0x80), decode_mulaw(0x00)),
            (0, 32_124, -32_124)
        );
        assert_eq!(
            (encode_alaw(0), encode_alaw(i16::MAX), encode_alaw(i16::MIN)),
            (0xd5, 0xaa, 0x2a)
        );
        assert_eq!(
            (decode_alaw(0xd5), decode_alaw(0xaa), decode_alaw(0x2a)),
            (8, 32_256, -32_256)
        );
    }

    #[test]
    fn every_code_comes_back_from_its_sample() {
        for code in 0..=u8::MAX {
            // Mu-law has a minus zero, which comes back as zero.
            if code != 0x7f {
                assert_eq!(encode_mulaw(decode_mulaw(code)), code);
            }
            assert_eq!(encode_alaw(decode_alaw(code)), code);
        }
    }

    #[test]
    fn the_error_is_a_small_part_of_the_sample() {
        for sample in (i16::MIN..=i16::MAX).step_by(7) {
            let allowed = (i32::from(sample).abs() / 16).max(16) + 640 * i32::from(i32::from(sample).abs() > MULAW_CLIP - 640);
            for back in [decode_mulaw(encode_mulaw(sample)), decode_alaw(encode_alaw(sample))] {
                assert!(
                    (i32::from(back) - i32::from(sample)).abs() <= allowed,
                    "{sample} came back as {back}"
                );
            }
        }
    }
}
