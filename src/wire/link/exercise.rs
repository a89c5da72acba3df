//! What fuzzing runs: any bytes into both ends, before and after a greeting, with the invariants that must hold whatever they are.

use std::fmt::Debug;
use std::time::{Duration, Instant};

use tandem_model::ConferenceId;
use tandem_model::link::{LinkNotification, LinkRequest};

use super::session::GREETING_TIMEOUT;
use super::{Addp, Hello, Identity, LINK_VERSION, Output, QueueLimits, Role, Session, SessionConfig, Welcome};
use crate::mltp::{Carried, HideHeaders};

/// Feeds `data` to a T-Server's and to a connector's end. The first byte says whether they are greeted before. Panics where an invariant
/// is broken.
pub fn exercise(data: &[u8], now: Instant) {
    let (greeted, stream) = data
        .split_first()
        .map_or((false, data), |(first, rest)| (first % 2 == 1, rest));
    let ended = LinkNotification::ConferenceEnded {
        conference: ConferenceId(1),
    };
    run::<_, LinkNotification>(Role::Client, greeted, stream, &LinkRequest::AuditEnd, now);
    run::<_, LinkRequest>(Role::Server, greeted, stream, &ended, now);
}

fn identity() -> Identity {
    Identity {
        instance: "fuzz".into(),
        connector: 0,
        name: "connector1".into(),
        pool: "default".into(),
    }
}

fn greeting(role: Role) -> Vec<u8> {
    let mut bytes = Vec::new();
    let written = match role {
        Role::Client => Welcome {
            version: LINK_VERSION,
            instance: "peer".into(),
            session: "peer/1".into(),
            resumed: false,
            received: 0,
        }
        .write(&mut bytes)
        .finish(),
        Role::Server => Hello {
            version: LINK_VERSION,
            identity: identity(),
            session: None,
            received: 0,
            oldest: 1,
            your_timeout: Duration::from_secs(1),
            your_trace: true,
        }
        .write(&mut bytes)
        .finish(),
    };
    assert_eq!(written, Ok(()), "a greeting within the limits");
    bytes
}

fn run<Out: Carried, In: Carried + Debug>(role: Role, greeted: bool, stream: &[u8], message: &Out, now: Instant) {
    let config = SessionConfig {
        role,
        identity: identity(),
        addp: Addp::default(),
        limits: QueueLimits { messages: 4, bytes: 400 },
        log: Some(HideHeaders::default()),
    };
    let mut session = Session::<Out, In>::new(config, now);
    session.timeout(now);
    session.connected(now);
    if greeted {
        session.bytes(&greeting(role), now);
        assert!(session.is_up(), "greeted, and not up");
        assert_eq!(session.send(message, now), Ok(()), "a message that was not taken");
    }
    let mut up = false;
    for (index, piece) in stream.chunks(97).enumerate() {
        session.bytes(piece, now + GREETING_TIMEOUT / 2);
        // What is refused, or is too much, must not harm.
        let _ = session.send(message, now + GREETING_TIMEOUT / 2);
        if index % 3 == 0 {
            session.timeout(now + GREETING_TIMEOUT / 2);
        }
        up = drain(&mut session, up);
        assert_eq!(up, session.is_up(), "the outputs tell otherwise than the state");
    }
    session.timeout(now + GREETING_TIMEOUT * 10);
    session.disconnected(now + GREETING_TIMEOUT * 10);
    drain(&mut session, up);
    assert!(!session.is_up(), "up without a connection");
    assert!(
        role == Role::Server || session.next_timeout().is_some(),
        "a client that will not connect again"
    );
}

/// Takes every output; whether the link is up after them.
fn drain<Out: Carried, In: Carried + Debug>(session: &mut Session<Out, In>, mut up: bool) -> bool {
    while let Some(output) = session.poll() {
        match output {
            Output::Up { .. } => up = true,
            Output::Down(_) => {
                assert!(up, "down without having been up");
                up = false;
            }
            Output::Deliver(message) => assert!(up, "{message:?} of a link that is not up"),
            Output::Connect | Output::Send(_) | Output::Close | Output::Fault(_) | Output::Log(_) => {}
        }
    }
    up
}
