//! WAV files of 8 kHz mono 16-bit samples, written and read.

use std::path::Path;

const HEADER_BYTES: u32 = 44;
const RATE_HZ: u32 = 8_000;

/// Writes samples.
pub fn write(path: &Path, samples: impl Iterator<Item = i16>) {
    let data: Vec<u8> = samples.flat_map(i16::to_le_bytes).collect();
    let length = u32::try_from(data.len()).expect("a short file");
    let mut file = Vec::with_capacity(data.len() + HEADER_BYTES as usize);
    file.extend(b"RIFF");
    file.extend((length + HEADER_BYTES - 8).to_le_bytes());
    file.extend(b"WAVEfmt ");
    file.extend(16u32.to_le_bytes());
    file.extend(1u16.to_le_bytes());
    file.extend(1u16.to_le_bytes());
    file.extend(RATE_HZ.to_le_bytes());
    file.extend((RATE_HZ * 2).to_le_bytes());
    file.extend(2u16.to_le_bytes());
    file.extend(16u16.to_le_bytes());
    file.extend(b"data");
    file.extend(length.to_le_bytes());
    file.extend(data);
    std::fs::write(path, file).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

/// Reads the samples of a file, even while it is still being written and its header does not give a length yet.
pub fn read(path: &Path) -> Vec<i16> {
    let file = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let data = file
        .windows(4)
        .position(|bytes| bytes == b"data")
        .map_or(file.len(), |at| at + 8);
    let samples = file.get(data..).unwrap_or_default().as_chunks::<2>().0;
    samples.iter().map(|bytes| i16::from_le_bytes(*bytes)).collect()
}
