//! The session descriptions of a phone: one PCMU stream (RFC 4566, RFC 3264).
//!
//! Invariant: an answer never claims more than the offer allowed: inactive stays inactive, sendonly becomes recvonly.
//! Nothing but the address, the port and the direction of the first audio stream is read.

use std::net::{IpAddr, SocketAddr};

/// Which way media flows, as the one who describes it sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Direction {
    /// Both ways.
    SendRecv,
    /// Sends only.
    SendOnly,
    /// Receives only.
    RecvOnly,
    /// Neither.
    Inactive,
}

impl Direction {
    /// The direction that answers this one (RFC 3264 s.6.1).
    pub fn answer(self) -> Self {
        match self {
            Self::SendRecv => Self::SendRecv,
            Self::SendOnly => Self::RecvOnly,
            Self::RecvOnly => Self::SendOnly,
            Self::Inactive => Self::Inactive,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::SendRecv => "sendrecv",
            Self::SendOnly => "sendonly",
            Self::RecvOnly => "recvonly",
            Self::Inactive => "inactive",
        }
    }
}

/// What the other side described.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Remote {
    /// Where it wants its media.
    pub addr: SocketAddr,
    /// Which way it flows, as the other side sees it.
    pub direction: Direction,
}

impl Remote {
    /// Whether we are to send to it.
    pub fn wants_media(&self) -> bool {
        let receives = matches!(self.direction, Direction::SendRecv | Direction::RecvOnly);
        receives && self.addr.port() != 0 && !self.addr.ip().is_unspecified()
    }
}

/// The description of our stream; `version` grows with each one of a session.
pub fn describe(at: SocketAddr, version: u32, direction: Direction) -> String {
    let ip = at.ip();
    format!(
        "v=0\r\no=- {} {version} IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio {} RTP/AVP 0 101\r\n\
         a=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=ptime:20\r\na={}\r\n",
        at.port(),
        at.port(),
        direction.name()
    )
}

/// Reads the first audio stream; none where there is no such, or no address.
pub fn read(body: &[u8]) -> Option<Remote> {
    let text = std::str::from_utf8(body).ok()?;
    let (mut ip, mut port, mut direction) = (None, None, Direction::SendRecv);
    for line in text.lines() {
        match line.split_once('=')? {
            ("m", _) if port.is_some() => break,
            ("m", media) => {
                let mut words = media.split(' ');
                if words.next() != Some("audio") {
                    return None;
                }
                port = words.next()?.split('/').next()?.parse::<u16>().ok();
            }
            ("c", connection) => ip = connection.strip_prefix("IN IP4 ")?.trim().parse::<IpAddr>().ok(),
            ("a", "sendrecv") => direction = Direction::SendRecv,
            ("a", "sendonly") => direction = Direction::SendOnly,
            ("a", "recvonly") => direction = Direction::RecvOnly,
            ("a", "inactive") => direction = Direction::Inactive,
            _ => {}
        }
    }
    Some(Remote {
        addr: SocketAddr::new(ip?, port?),
        direction,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_described_is_read_back() {
        let at: SocketAddr = "127.0.0.1:4000".parse().unwrap();
        for direction in [
            Direction::SendRecv,
            Direction::SendOnly,
            Direction::RecvOnly,
            Direction::Inactive,
        ] {
            let remote = read(describe(at, 1, direction).as_bytes()).unwrap();
            assert_eq!(remote, Remote { addr: at, direction });
            assert_eq!(direction.answer().answer(), direction);
        }
    }

    #[test]
    fn media_is_sent_only_where_it_is_wanted() {
        let wants = |text: &str| read(text.as_bytes()).map(|remote| remote.wants_media());
        let base = "v=0\r\nc=IN IP4 127.0.0.1\r\nm=audio 4000 RTP/AVP 0\r\n";
        assert_eq!(wants(base), Some(true));
        assert_eq!(wants(&format!("{base}a=sendonly\r\n")), Some(false));
        assert_eq!(wants(&format!("{base}a=inactive\r\n")), Some(false));
        assert_eq!(wants(&base.replace("4000", "0")), Some(false));
        assert_eq!(wants(&base.replace("127.0.0.1", "0.0.0.0")), Some(false));
        assert_eq!(wants("v=0\r\nm=video 1 RTP/AVP 0\r\n"), None);
        assert_eq!(wants("rubbish"), None);
    }
}
