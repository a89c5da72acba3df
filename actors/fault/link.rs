//! Faults of link messages: a pump between a connection and whoever uses it, that loses, holds up and doubles messages on the way.
//!
//! A message that is held up holds up those behind it, as on any stream. What is no MLTP passes as it is, with all that follows.

use std::sync::Arc;

use tandem_model::ConnectorId;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::sleep;

use super::rule::{Direction, Medium};
use crate::directory::Directory;
use crate::link::transport::Stream;

/// What may wait between the connection and its user, each way.
const PIPE_BYTES: usize = 64 * 1024;
/// How much is read at a time.
const READ_BYTES: usize = 16 * 1024;
/// A head that is longer is no MLTP.
const HEAD_BYTES: usize = 256 * 1024;
/// So is a body.
const BODY_BYTES: usize = 4 * 1024 * 1024;

/// The connection as it is to be used: what is sent and what arrives passes the rules of this process.
pub fn through_faults(stream: Stream, directory: &Arc<Directory>, connector: ConnectorId) -> Stream {
    let (near, far) = tokio::io::duplex(PIPE_BYTES);
    let (from_user, to_user) = tokio::io::split(far);
    let (from_peer, to_peer) = tokio::io::split(stream);
    let directories = [directory.clone(), directory.clone()];
    let [out, incoming] = directories;
    actix_rt::spawn(async move {
        let out = pump(from_user, to_peer, &out, connector, Direction::Out);
        let incoming = pump(from_peer, to_user, &incoming, connector, Direction::In);
        // A connection that has ended on one side is over when what it said last has arrived.
        tokio::select! {
            () = out => {}
            () = incoming => {}
        }
    });
    Box::new(near)
}

async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    directory: &Directory,
    connector: ConnectorId,
    direction: Direction,
) {
    let mut frames = Frames::default();
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let count = match from.read(&mut buffer).await {
            Ok(0) | Err(_) => break,
            Ok(count) => count,
        };
        frames.feed(buffer.get(..count).unwrap_or_default());
        while let Some(frame) = frames.next() {
            let verdict = directory.faults.judge(Medium::Link, direction, connector.0);
            if !verdict.delay.is_zero() {
                sleep(verdict.delay).await;
            }
            for _ in 0..verdict.copies {
                if to.write_all(&frame).await.is_err() {
                    return;
                }
            }
        }
        if to.flush().await.is_err() {
            return;
        }
    }
    // What has no end is nobody's message.
    let _ = to.write_all(&frames.rest()).await;
    let _ = to.shutdown().await;
}

/// Finds where one message ends and the next one begins.
#[derive(Default)]
struct Frames {
    bytes: Vec<u8>,
    /// This is no MLTP.
    raw: bool,
}

impl Frames {
    fn feed(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    fn next(&mut self) -> Option<Vec<u8>> {
        if self.raw {
            return Some(self.rest()).filter(|rest| !rest.is_empty());
        }
        let whole = match self.length() {
            Ok(whole) => whole?,
            Err(NoFrame) => {
                self.raw = true;
                return Some(self.rest());
            }
        };
        let rest = self.bytes.split_off(whole);
        Some(std::mem::replace(&mut self.bytes, rest))
    }

    fn rest(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }

    /// The length of the first message, with the empty lines before it; `None` until it is whole.
    fn length(&self) -> Result<Option<usize>, NoFrame> {
        let (mut at, mut body, mut begun) = (0, 0, false);
        while let Some(end) = self.bytes.iter().skip(at).position(|byte| *byte == b'\n') {
            let line = self.bytes.get(at..at + end).unwrap_or_default().trim_ascii();
            at += end + 1;
            if at > HEAD_BYTES {
                return Err(NoFrame);
            }
            if line.is_empty() && begun {
                return Ok((self.bytes.len() >= at + body).then_some(at + body));
            }
            begun |= !line.is_empty();
            if let Some(length) = content_length(line) {
                body = length.filter(|length| *length <= BODY_BYTES).ok_or(NoFrame)?;
            }
        }
        if self.bytes.len() > HEAD_BYTES + BODY_BYTES {
            return Err(NoFrame);
        }
        Ok(None)
    }
}

/// This is no MLTP.
struct NoFrame;

/// The value of a content-length line; `Some(None)` where that is no number.
fn content_length(line: &[u8]) -> Option<Option<usize>> {
    let text = std::str::from_utf8(line).ok()?;
    let (name, value) = text.split_once(':')?;
    let is_it = name.trim().eq_ignore_ascii_case("content-length");
    is_it.then(|| value.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(frames: &mut Frames) -> Vec<String> {
        std::iter::from_fn(|| frames.next())
            .map(|frame| String::from_utf8(frame).unwrap())
            .collect()
    }

    #[test]
    fn messages_are_told_apart_however_they_arrive() {
        let first = "A * MLTP/1.0\r\nContent-Length: 4\r\n\r\n\n\nab";
        let second = "\r\nB * MLTP/1.0\nx: 1\n\n";
        let text = format!("{first}{second}{first}");
        for size in 1..text.len() {
            let mut frames = Frames::default();
            let mut got = Vec::new();
            for chunk in text.as_bytes().chunks(size) {
                frames.feed(chunk);
                got.extend(all(&mut frames));
            }
            assert_eq!(got, [first, second, first], "{size} bytes at a time");
        }
    }

    #[test]
    fn what_is_no_message_passes_as_it_is() {
        let mut frames = Frames::default();
        let text = "A * MLTP/1.0\ncontent-length: many\n\nwhatever";
        frames.feed(text.as_bytes());
        assert_eq!(all(&mut frames), [text]);
        frames.feed(b"more");
        assert_eq!(all(&mut frames), ["more"]);
    }
}
