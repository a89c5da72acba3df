//! The task of one client, from the upgrade to the last byte.

use std::cell::Cell;

use actix_ws::{CloseCode, CloseReason, Message, Session};
use bytes::Bytes;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use tandem_wire::{close, event};

use super::Settings;
use super::inbound::{Inbound, Incoming, Violation};
use super::queue::{Closing, Frames};
use crate::api::port::ClientLink;

/// How a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
enum End {
    /// The client closed; it gets its code back.
    ByClient(Option<u16>),
    /// We close, for a reason of the runtime's, and read on until the client has closed too.
    ByServer(Closing),
    /// We close because of what the client sent.
    ByViolation(Violation),
    /// There is nobody to say anything to.
    Gone,
}

impl End {
    /// For the metric.
    fn by(&self) -> &'static str {
        match self {
            Self::ByClient(_) => "client",
            Self::ByServer(Closing {
                code: close::SLOW_CONSUMER,
                ..
            }) => "slow_consumer",
            Self::ByServer(Closing {
                code: close::TIMEOUT, ..
            }) => "timeout",
            Self::ByServer(_) => "server",
            Self::ByViolation(_) => "violation",
            Self::Gone => "gone",
        }
    }
}

/// Serves a client until it is gone.
pub async fn run(settings: Settings, session: Session, mut inbound: Inbound, mut frames: Frames, link: Box<dyn ClientLink>) {
    let last_sign = Cell::new(Instant::now());
    let opened = Cell::new(false);
    let mut written = None;
    let end = {
        let reader = read(
            &settings,
            &mut inbound,
            session.clone(),
            &*link,
            &last_sign,
            &opened,
            frames.closing.clone(),
        );
        let writer = write(&mut frames, session.clone(), &mut written);
        let watchdog = watch(&settings, session.clone(), &last_sign, &opened);
        tokio::select! {
            end = reader => end,
            end = writer => end,
            end = watchdog => end,
        }
    };
    metrics::counter!("tandem_event_client_disconnects_total", "by" => end.by()).increment(1);
    // The runtime forgets the client now, and finds its queue shut already; what follows is courtesy.
    drop(frames);
    drop(link);
    farewell(&settings, session, &mut inbound, end, written.as_ref()).await;
}

/// Hands frames on, one at a time: the client is not read faster than it is served.
async fn read(
    settings: &Settings,
    inbound: &mut Inbound,
    mut session: Session,
    link: &dyn ClientLink,
    last_sign: &Cell<Instant>,
    opened: &Cell<bool>,
    mut closing: watch::Receiver<Option<Closing>>,
) -> End {
    loop {
        let incoming = inbound.next().await;
        last_sign.set(Instant::now());
        match incoming {
            Incoming::Text(text) => {
                opened.set(true);
                let served = link.frame(text).await;
                last_sign.set(Instant::now());
                if !served {
                    return after_the_client(settings, &mut closing).await;
                }
            }
            Incoming::Ping(bytes) => {
                if session.pong(&bytes).await.is_err() {
                    return End::Gone;
                }
            }
            Incoming::Alive => {}
            Incoming::Close(code) => return End::ByClient(code),
            Incoming::Violation(violation) => return End::ByViolation(violation),
            Incoming::Gone => return End::Gone,
        }
    }
}

/// The Client actor has ended. Its reason is on its way to the writer, behind the last answers; a crash may have lost it.
async fn after_the_client(settings: &Settings, closing: &mut watch::Receiver<Option<Closing>>) -> End {
    if timeout(settings.close_grace, closed(closing, |_| true)).await.is_ok() {
        // The writer ends the session when it has written what is queued.
        std::future::pending::<()>().await;
    }
    End::ByServer(Closing::of(close::INTERNAL, "internal error"))
}

/// Writes the queue into the socket. `written` is the last frame that went.
async fn write(ends: &mut Frames, mut session: Session, written: &mut Option<Bytes>) -> End {
    let Frames { frames, closing } = ends;
    loop {
        let mut at_once = closing.clone();
        let frame = tokio::select! {
            biased;
            closing = closed(&mut at_once, |closing| closing.code == close::SLOW_CONSUMER) => return End::ByServer(closing),
            frame = frames.recv() => frame,
            // Polled only when nothing is queued: what was queued before the close goes first.
            closing = closed(closing, |_| true) => return End::ByServer(closing),
        };
        let Some(frame) = frame else {
            let lost = Closing::of(close::INTERNAL, "internal error");
            return End::ByServer(closing.borrow().clone().unwrap_or(lost));
        };
        // The pattern is there for the type: actix-ws names that of its text only here.
        let Ok(Message::Text(text)) = frame.clone().try_into().map(Message::Text) else {
            continue;
        };
        tokio::select! {
            sent = session.text(text) => match sent {
                Ok(()) => *written = Some(frame),
                Err(_) => return End::Gone,
            },
            closing = closed(&mut at_once, |closing| closing.code == close::SLOW_CONSUMER) => return End::ByServer(closing),
        }
    }
}

/// Waits for a reason to close that `counts`. Never ends where none can come any more.
async fn closed(closing: &mut watch::Receiver<Option<Closing>>, counts: impl Fn(&Closing) -> bool) -> Closing {
    let found = closing.wait_for(|closing| closing.as_ref().is_some_and(&counts)).await;
    match found.ok().and_then(|found| found.clone()) {
        Some(found) => found,
        None => std::future::pending().await,
    }
}

/// Pings, and ends where the client says nothing.
async fn watch(settings: &Settings, mut session: Session, last_sign: &Cell<Instant>, opened: &Cell<bool>) -> End {
    let timed_out = |reason| End::ByServer(Closing::of(close::TIMEOUT, reason));
    let open_by = Instant::now() + settings.open_timeout;
    let mut next_ping = Instant::now() + settings.ping_interval;
    loop {
        sleep_until(if opened.get() { next_ping } else { next_ping.min(open_by) }).await;
        let now = Instant::now();
        if !opened.get() && now >= open_by {
            return timed_out("no OpenServer in time");
        }
        if now >= last_sign.get() + settings.silence_limit {
            return timed_out("no sign of life");
        }
        if now >= next_ping {
            next_ping = now + settings.ping_interval;
            // A full channel is as good as a ping: what stands in it will draw an error or a sign of life.
            let _ = timeout(settings.ping_interval, session.ping(b"")).await;
        }
    }
}

/// Sends the close frame and lets the client finish, for a while: a socket that is closed with unread bytes in it is reset, and
/// the reset overtakes the close frame.
async fn farewell(settings: &Settings, session: Session, inbound: &mut Inbound, end: End, written: Option<&Bytes>) {
    let (code, reason, read_on) = match end {
        End::Gone => return,
        End::ByClient(code) => (code.unwrap_or(close::NORMAL), String::new(), false),
        End::ByViolation(Violation { code, reason, readable }) => (code, reason.to_owned(), readable),
        End::ByServer(Closing { code, reason }) => match written.and_then(|frame| event::sequence_of(frame)) {
            Some(last) if code == close::SLOW_CONSUMER => (code, format!("{reason}; last sequence {last}"), true),
            _ => (code, reason.into_owned(), true),
        },
    };
    let reason = CloseReason {
        code: CloseCode::from(code),
        description: Some(reason).filter(|reason| !reason.is_empty()),
    };
    // Held until the end: the connection closes when the last handle on the session goes.
    let _open = session.clone();
    let until = Instant::now() + settings.close_grace;
    let sent = timeout_at(until, session.close(Some(reason))).await;
    while read_on && sent.is_ok() {
        match timeout_at(until, inbound.next()).await {
            Ok(Incoming::Close(_) | Incoming::Gone | Incoming::Violation(Violation { readable: false, .. })) | Err(_) => break,
            Ok(_) => {}
        }
    }
}
