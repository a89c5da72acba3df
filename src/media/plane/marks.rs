//! Where every stream is, in a file: written once a second, read by the plane that starts after this one was killed.
//!
//! What a conference keeps of a port says where its stream began, and a device that is silent, or sends packets of another length, makes that a
//! poor guess of where it is. So each thread tells once a second where its streams are, and whom it has learned to send to; a thread of its own
//! writes that down. A file that cannot be written costs no call anything: streams are resumed by that guess then.
//!
//! # The file
//! Records of 64 bytes, numbers big-endian. The first is [`TITLE`], padded with zeros; then one for each pair of the range, all zeros where the pair
//! is not in use. None crosses a page, so that one that was half written is rare; it is known by its checksum and left out.
//! | bytes | what |
//! |---|---|
//! | 0..2 | the port of RTP |
//! | 2..4, 4..8, 8..12, 12..16, 16..24 | sequence number, SSRC, timestamp, its clock in Hz, when that was in microseconds since 1970 |
//! | 24..26, 26..28, 28..44 | the learned address: 0, 4 or 6 for none or its family, its port, its IP address |
//! | 60..64 | the CRC-32 of what is before |

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, bounded};

use super::pairs::Pairs;
use super::stream::StreamMark;
use super::wire::Wire;

/// How often threads tell, and the file is written.
pub(super) const EVERY: Duration = Duration::from_secs(1);
/// How long ports of the process before are not given to others.
const RESERVED: Duration = Duration::from_secs(60);
/// The first bytes of the file.
const TITLE: &[u8] = b"tandem media streams 1\n";
/// Length of a record.
const RECORD: usize = 64;
/// The checksum's place in it.
const SUM: usize = 60;
/// The longest file that is read: every port there is.
const LONGEST: u64 = (RECORD * (1 + 65_536 / 2)) as u64;

/// Where one port's stream is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Mark {
    pub(super) port: u16,
    pub(super) stream: StreamMark,
    /// Where the device is, where that is not where it said.
    pub(super) learned: Option<SocketAddr>,
}

/// The marks of the process before, and the thread that writes ours. It ends when this is dropped.
pub(super) struct Marks {
    before: Mutex<HashMap<u16, Mark>>,
    _until: Option<Sender<()>>,
}

impl Marks {
    /// Without a file nothing is known and nothing is written.
    pub(super) fn start(path: Option<PathBuf>, pairs: &Arc<Pairs>, wires: &[Arc<Wire>]) -> io::Result<Self> {
        let Some(path) = path else {
            return Ok(Self {
                before: Mutex::default(),
                _until: None,
            });
        };
        let before = read(&path);
        pairs.reserve(before.keys().copied());
        let (until, ended) = bounded(0);
        let writer = Writer {
            path,
            pairs: pairs.clone(),
            file: None,
            told: wires.iter().map(|_| Vec::new()).collect(),
            wires: wires.to_vec(),
            failed: false,
        };
        thread::Builder::new()
            .name("media-marks".into())
            .spawn(move || writer.run(&ended))?;
        Ok(Self {
            before: Mutex::new(before),
            _until: Some(until),
        })
    }

    /// Where that port's stream was in the process before, told once.
    pub(super) fn take(&self, port: u16, ssrc: u32) -> Option<Mark> {
        let mut before = self.before.lock().unwrap_or_else(PoisonError::into_inner);
        before.remove(&port).filter(|mark| mark.stream.ssrc == ssrc)
    }
}

/// What a thread says of its streams, for the writer to take.
#[derive(Default)]
pub(super) struct Told(Mutex<Option<Vec<Mark>>>);

impl Told {
    /// Says it; where the writer is just looking, the next time is soon enough.
    pub(super) fn say(&self, marks: Vec<Mark>) {
        if let Ok(mut told) = self.0.try_lock() {
            *told = Some(marks);
        }
    }

    fn heard(&self) -> Option<Vec<Mark>> {
        let mut told: MutexGuard<'_, _> = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        told.take()
    }
}

struct Writer {
    path: PathBuf,
    pairs: Arc<Pairs>,
    file: Option<File>,
    wires: Vec<Arc<Wire>>,
    /// What each thread said last.
    told: Vec<Vec<Mark>>,
    failed: bool,
}

impl Writer {
    fn run(mut self, ended: &Receiver<()>) {
        let began = Instant::now();
        let mut is_reserved = true;
        let mut written = Vec::new();
        while ended.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
            if is_reserved && began.elapsed() > RESERVED {
                self.pairs.reserve([]);
                is_reserved = false;
            }
            for (wire, told) in self.wires.iter().zip(&mut self.told) {
                if let Some(marks) = wire.told.heard() {
                    *told = marks;
                }
            }
            let records = records(self.told.iter().flatten(), &self.pairs);
            if records != written {
                match self.write(&records) {
                    Ok(()) => written = records,
                    Err(error) => self.fail(&error),
                }
            }
        }
    }

    fn write(&mut self, records: &[u8]) -> io::Result<()> {
        let file = match self.file.take() {
            Some(file) => file,
            None => OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .open(&self.path)?,
        };
        file.write_all_at(records, 0)?;
        if self.failed {
            tracing::info!(file = %self.path.display(), "the streams are written down again");
        }
        self.failed = false;
        self.file = Some(file);
        Ok(())
    }

    fn fail(&mut self, error: &io::Error) {
        if !self.failed {
            tracing::warn!(file = %self.path.display(), %error, "the streams are not written down");
        }
        self.failed = true;
    }
}

fn records<'a>(marks: impl Iterator<Item = &'a Mark>, pairs: &Pairs) -> Vec<u8> {
    let mut records = vec![0; RECORD * (1 + pairs.len())];
    if let Some(title) = records.get_mut(..TITLE.len()) {
        title.copy_from_slice(TITLE);
    }
    for mark in marks {
        let place = pairs.index_of(mark.port).map(|index| RECORD * (1 + index));
        if let Some(record) = place.and_then(|at| records.get_mut(at..)?.first_chunk_mut()) {
            *record = encode(mark);
        }
    }
    records
}

/// What the file says; nothing where it cannot be read or is no file of ours.
fn read(path: &Path) -> HashMap<u16, Mark> {
    let mut bytes = Vec::new();
    let taken = File::open(path).and_then(|file| file.take(LONGEST).read_to_end(&mut bytes));
    match taken {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return HashMap::new(),
        Err(error) => tracing::warn!(file = %path.display(), %error, "where the streams were cannot be read"),
        Ok(_) if !bytes.starts_with(TITLE) => {
            tracing::warn!(file = %path.display(), "this is no file of streams; it is written over");
            return HashMap::new();
        }
        Ok(_) => {}
    }
    let (records, _) = bytes.as_chunks::<RECORD>();
    let marks = records.iter().skip(1).filter_map(decode);
    marks.map(|mark| (mark.port, mark)).collect()
}

fn encode(mark: &Mark) -> [u8; RECORD] {
    let stream = &mark.stream;
    let (family, port, ip) = match mark.learned {
        None => (0_u16, 0, [0; 16]),
        Some(SocketAddr::V6(address)) => (6, address.port(), address.ip().octets()),
        Some(SocketAddr::V4(address)) => {
            let [a, b, c, d] = address.ip().octets();
            (4, address.port(), [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
        }
    };
    let fields: [&[u8]; 9] = [
        &mark.port.to_be_bytes(),
        &stream.sequence.to_be_bytes(),
        &stream.ssrc.to_be_bytes(),
        &stream.timestamp.to_be_bytes(),
        &stream.clock_hz.to_be_bytes(),
        &stream.at_us.to_be_bytes(),
        &family.to_be_bytes(),
        &port.to_be_bytes(),
        &ip,
    ];
    let mut record = [0; RECORD];
    let bytes = fields.into_iter().flatten();
    for (place, byte) in record.iter_mut().zip(bytes) {
        *place = *byte;
    }
    if let Some((body, sum)) = record.split_last_chunk_mut::<{ RECORD - SUM }>() {
        *sum = crc32fast::hash(body).to_be_bytes();
    }
    record
}

fn decode(record: &[u8; RECORD]) -> Option<Mark> {
    let (body, sum) = record.split_last_chunk::<{ RECORD - SUM }>()?;
    if crc32fast::hash(body).to_be_bytes() != *sum {
        return None;
    }
    let (port, rest) = body.split_first_chunk()?;
    let (sequence, rest) = rest.split_first_chunk()?;
    let (ssrc, rest) = rest.split_first_chunk()?;
    let (timestamp, rest) = rest.split_first_chunk()?;
    let (clock_hz, rest) = rest.split_first_chunk()?;
    let (at_us, rest) = rest.split_first_chunk()?;
    let (family, rest) = rest.split_first_chunk()?;
    let (learned_port, ip) = rest.split_first_chunk()?;
    let ip = match u16::from_be_bytes(*family) {
        4 => Some(IpAddr::V4(Ipv4Addr::from(*ip.first_chunk::<4>()?))),
        6 => Some(IpAddr::V6(Ipv6Addr::from(*ip.first_chunk::<16>()?))),
        _ => None,
    };
    let stream = StreamMark {
        ssrc: u32::from_be_bytes(*ssrc),
        sequence: u16::from_be_bytes(*sequence),
        timestamp: u32::from_be_bytes(*timestamp),
        clock_hz: u32::from_be_bytes(*clock_hz),
        at_us: u64::from_be_bytes(*at_us),
    };
    Some(Mark {
        port: u16::from_be_bytes(*port),
        stream,
        learned: ip.map(|ip| SocketAddr::new(ip, u16::from_be_bytes(*learned_port))),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pairs() -> Pairs {
        Pairs::new(IpAddr::from([127, 0, 0, 1]), &(20_000..=20_099))
    }

    fn mark(port: u16, learned: Option<&str>) -> Mark {
        Mark {
            port,
            stream: StreamMark {
                ssrc: u32::from(port) << 8,
                sequence: 65_000,
                timestamp: u32::MAX,
                clock_hz: 48_000,
                at_us: 1 << 50,
            },
            learned: learned.map(|address| address.parse().unwrap()),
        }
    }

    fn written(bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("streams");
        std::fs::write(&path, bytes).unwrap();
        (directory, path)
    }

    #[test]
    fn what_is_written_is_read() {
        let marks = [
            mark(20_000, None),
            mark(20_098, Some("192.0.2.7:4000")),
            mark(20_040, Some("[2001:db8::7]:4000")),
        ];
        let (_directory, path) = written(&records(marks.iter(), &pairs()));
        let read = read(&path);
        assert_eq!(read.len(), 3);
        for mark in marks {
            assert_eq!(read.get(&mark.port), Some(&mark));
        }
    }

    #[test]
    fn a_port_that_is_not_of_the_range_has_no_place() {
        let (_directory, path) = written(&records(
            [mark(20_001, None), mark(30_000, None), mark(9, None)].iter(),
            &pairs(),
        ));
        assert_eq!(read(&path), HashMap::new());
    }

    #[test]
    fn a_damaged_record_costs_that_stream_alone_and_a_foreign_file_all() {
        let marks = [mark(20_000, None), mark(20_002, None)];
        let mut bytes = records(marks.iter(), &pairs());
        bytes[RECORD + 5] ^= 1;
        let (_directory, path) = written(&bytes);
        assert_eq!(read(&path).into_keys().collect::<Vec<_>>(), [20_002]);
        let (_directory, path) = written(b"something else");
        assert_eq!(read(&path), HashMap::new());
        assert_eq!(read(Path::new("/nowhere")), HashMap::new());
    }

    #[test]
    fn another_stream_of_that_port_is_not_meant() {
        let (_directory, path) = written(&records([mark(20_000, None)].iter(), &pairs()));
        let pairs = Arc::new(pairs());
        let marks = Marks::start(Some(path), &pairs, &[]).unwrap();
        assert_eq!(marks.take(20_002, 20_000 << 8), None);
        assert_eq!(marks.take(20_000, 1), None);
        assert_eq!(marks.take(20_000, 20_000 << 8), None, "told once");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let (_directory, path) = written(&[TITLE, &bytes[..]].concat());
            read(&path);
        }
    }
}
