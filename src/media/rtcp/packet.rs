//! RTCP packets as bytes.

use bytes::{BufMut, Bytes, BytesMut};

/// Packet types (RFC 3550 s.12.1).
const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const SOURCE_DESCRIPTION: u8 = 202;
const BYE: u8 = 203;
/// The longest compound packet that is read.
const MAX_BYTES: usize = 1_500;
/// What a report block takes, in bytes.
const BLOCK_BYTES: usize = 24;
/// The canonical name among the items of a source description (s.6.5.1).
const CNAME: u8 = 1;

/// What a sender says about its stream (s.6.4.1).
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct SenderInfo {
    /// When this was said, as NTP time.
    pub ntp: u64,
    /// The same moment on the clock of the stream.
    pub rtp_timestamp: u32,
    /// Packets sent.
    pub packets: u32,
    /// Octets of payload sent.
    pub octets: u32,
}

/// What a receiver says about a stream (s.6.4.1).
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct ReportBlock {
    /// The stream.
    pub ssrc: u32,
    /// What was lost since the last report, in parts of 256.
    pub fraction_lost: u8,
    /// Packets lost in all, 24 bits with a sign: duplicates make it less than nothing.
    pub lost: i32,
    /// The highest sequence number, and above it how often it wrapped.
    pub highest_sequence: u32,
    /// Interarrival jitter, in ticks of the RTP clock.
    pub jitter: u32,
    /// The middle of the NTP time of the last sender report; zero for none.
    pub last_sender_report: u32,
    /// How long ago that came, in units of 1/65,536 s.
    pub delay_since_report: u32,
}

/// One packet of a compound.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Packet {
    /// From one who sends.
    SenderReport {
        /// Who.
        ssrc: u32,
        /// What it says about its own stream.
        info: SenderInfo,
        /// What it says about others.
        blocks: Vec<ReportBlock>,
    },
    /// From one who only receives.
    ReceiverReport {
        /// Who.
        ssrc: u32,
        /// What it says about others.
        blocks: Vec<ReportBlock>,
    },
    /// The canonical name of a source.
    CanonicalName {
        /// Who.
        ssrc: u32,
        /// The name.
        name: String,
    },
    /// These are gone.
    Bye {
        /// Who.
        ssrcs: Vec<u32>,
    },
    /// A type that we have no use for.
    Other {
        /// Its number.
        packet_type: u8,
    },
}

/// Why bytes are not RTCP.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RtcpError {
    /// Shorter than it says, or longer than any datagram.
    #[error("the packet is cut short or too long")]
    Length,
    /// Another version than 2.
    #[error("not RTCP version 2")]
    Version,
    /// It does not begin with a report (s.6.1), or is padded before its end.
    #[error("not a compound packet")]
    NotCompound,
}

/// Whether a datagram on a port that RTP and RTCP share is RTCP (RFC 5761 s.4).
pub fn is_rtcp(datagram: &[u8]) -> bool {
    matches!(datagram, [first, 192..=223, ..] if first >> 6 == 2)
}

/// Reads a compound packet.
pub fn parse(datagram: &[u8]) -> Result<Vec<Packet>, RtcpError> {
    if datagram.len() > MAX_BYTES {
        return Err(RtcpError::Length);
    }
    let mut packets = Vec::new();
    let mut rest = datagram;
    while !rest.is_empty() {
        let [first, packet_type, high, low] = *rest.first_chunk::<4>().ok_or(RtcpError::Length)?;
        if first >> 6 != 2 {
            return Err(RtcpError::Version);
        }
        if packets.is_empty() && !matches!(packet_type, SENDER_REPORT | RECEIVER_REPORT) {
            return Err(RtcpError::NotCompound);
        }
        let length = 4 * (1 + usize::from(u16::from_be_bytes([high, low])));
        let (packet, later) = rest.split_at_checked(length).ok_or(RtcpError::Length)?;
        let mut body = packet.get(4..).unwrap_or_default();
        if first & 0x20 != 0 {
            let padding = usize::from(*body.last().ok_or(RtcpError::Length)?);
            if !later.is_empty() || padding == 0 {
                return Err(RtcpError::NotCompound);
            }
            let kept = body.len().checked_sub(padding).ok_or(RtcpError::Length)?;
            body = body.get(..kept).unwrap_or_default();
        }
        read(packet_type, usize::from(first & 0x1f), body, &mut packets).ok_or(RtcpError::Length)?;
        rest = later;
    }
    if packets.is_empty() {
        Err(RtcpError::Length)
    } else {
        Ok(packets)
    }
}

/// Reads the body of one packet with this count; `None` where it is too short.
fn read(packet_type: u8, count: usize, body: &[u8], out: &mut Vec<Packet>) -> Option<()> {
    let mut reader = Reader(body);
    match packet_type {
        SENDER_REPORT => {
            let ssrc = reader.u32()?;
            let info = SenderInfo {
                ntp: u64::from(reader.u32()?) << 32 | u64::from(reader.u32()?),
                rtp_timestamp: reader.u32()?,
                packets: reader.u32()?,
                octets: reader.u32()?,
            };
            let blocks = reader.blocks(count)?;
            out.push(Packet::SenderReport { ssrc, info, blocks });
        }
        RECEIVER_REPORT => {
            let ssrc = reader.u32()?;
            let blocks = reader.blocks(count)?;
            out.push(Packet::ReceiverReport { ssrc, blocks });
        }
        SOURCE_DESCRIPTION => {
            for _ in 0..count {
                let ssrc = reader.u32()?;
                if let Some(name) = reader.items()? {
                    out.push(Packet::CanonicalName { ssrc, name });
                }
            }
        }
        BYE => {
            let ssrcs = (0..count).map(|_| reader.u32()).collect::<Option<Vec<u32>>>()?;
            out.push(Packet::Bye { ssrcs });
        }
        packet_type => out.push(Packet::Other { packet_type }),
    }
    Some(())
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn u8(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn u32(&mut self) -> Option<u32> {
        let (bytes, rest) = self.0.split_first_chunk::<4>()?;
        self.0 = rest;
        Some(u32::from_be_bytes(*bytes))
    }

    fn blocks(&mut self, count: usize) -> Option<Vec<ReportBlock>> {
        (0..count).map(|_| self.block()).collect()
    }

    fn block(&mut self) -> Option<ReportBlock> {
        let ssrc = self.u32()?;
        let loss = self.u32()?;
        Some(ReportBlock {
            ssrc,
            fraction_lost: (loss >> 24) as u8,
            // Shifted up and down again, which spreads the sign of 24 bits.
            lost: (loss << 8) as i32 >> 8,
            highest_sequence: self.u32()?,
            jitter: self.u32()?,
            last_sender_report: self.u32()?,
            delay_since_report: self.u32()?,
        })
    }

    /// The items of one chunk up to its padding: the canonical name among them.
    fn items(&mut self) -> Option<Option<String>> {
        let start = self.0.len();
        let mut name = None;
        loop {
            let item = self.u8()?;
            if item == 0 {
                break;
            }
            let length = usize::from(self.u8()?);
            let (text, rest) = self.0.split_at_checked(length)?;
            self.0 = rest;
            if item == CNAME {
                name = Some(String::from_utf8_lossy(text).into_owned());
            }
        }
        // Chunks end on a boundary of four octets (s.6.5).
        let used = start - self.0.len();
        self.0 = self.0.get((4 - used % 4) % 4..)?;
        Some(name)
    }
}

/// A compound packet of ours: a report (a sender's, where there is something to say), the canonical name, and a BYE at the end of
/// the stream. At most 31 blocks; a name is cut to 255 octets.
pub fn compound(ssrc: u32, sender: Option<SenderInfo>, blocks: &[ReportBlock], name: &str, bye: bool) -> Bytes {
    let blocks = &blocks[..blocks.len().min(31)];
    let mut out = BytesMut::with_capacity(64 + BLOCK_BYTES * blocks.len() + name.len());
    let (packet_type, words) = if sender.is_some() {
        (SENDER_REPORT, 6)
    } else {
        (RECEIVER_REPORT, 1)
    };
    head(&mut out, blocks.len() as u8, packet_type, words + 6 * blocks.len());
    out.put_u32(ssrc);
    if let Some(info) = sender {
        out.put_u64(info.ntp);
        out.put_u32(info.rtp_timestamp);
        out.put_u32(info.packets);
        out.put_u32(info.octets);
    }
    blocks.iter().for_each(|block| put_block(&mut out, block));
    let name = &name.as_bytes()[..name.len().min(255)];
    // The item's two octets, the name, and one zero at least.
    let words = (2 + name.len()) / 4 + 1;
    head(&mut out, 1, SOURCE_DESCRIPTION, 1 + words);
    out.put_u32(ssrc);
    out.put_u8(CNAME);
    out.put_u8(name.len() as u8);
    out.put_slice(name);
    out.put_bytes(0, 4 * words - 2 - name.len());
    if bye {
        head(&mut out, 1, BYE, 1);
        out.put_u32(ssrc);
    }
    out.freeze()
}

fn head(out: &mut BytesMut, count: u8, packet_type: u8, words: usize) {
    out.put_u8(0x80 | count);
    out.put_u8(packet_type);
    out.put_u16(words as u16);
}

fn put_block(out: &mut BytesMut, block: &ReportBlock) {
    out.put_u32(block.ssrc);
    let lost = block.lost.clamp(-0x80_0000, 0x7f_ffff) as u32 & 0xff_ffff;
    out.put_u32(u32::from(block.fraction_lost) << 24 | lost);
    out.put_u32(block.highest_sequence);
    out.put_u32(block.jitter);
    out.put_u32(block.last_sender_report);
    out.put_u32(block.delay_since_report);
}
