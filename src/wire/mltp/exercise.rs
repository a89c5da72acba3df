//! What fuzzing runs: any bytes through the decoder and both readings, with the invariants that must hold whatever they are.

use tandem_model::link::{LinkNotification, LinkRequest};

use super::{Carried, Decoder, Frame, FrameError, HideHeaders, encode, masked};

/// Reads `data` as a stream, in one piece and in pieces. Panics where an invariant is broken.
pub fn exercise(data: &[u8]) {
    let whole = read(data.chunks(data.len().max(1)));
    for size in [1, 2, 7] {
        assert_eq!(
            read(data.chunks(size)),
            whole,
            "split into {size}s, the stream reads otherwise"
        );
    }
    for frame in whole.iter().flatten() {
        let mut again = Vec::new();
        if frame.write(&mut again).finish().is_ok() {
            assert_eq!(
                read([again.as_slice()].into_iter()),
                [Ok(frame.clone())],
                "a frame changed on its way round"
            );
        }
        let hidden = masked(frame, &HideHeaders::default());
        assert!(!hidden.contains('\r'), "a log line with a line end from outside");
        message::<LinkRequest>(frame);
        message::<LinkNotification>(frame);
    }
}

/// Every frame and error of a stream that comes in these pieces.
fn read<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Vec<Result<Frame, FrameError>> {
    let mut decoder = Decoder::new();
    let mut read = Vec::new();
    for piece in pieces {
        decoder.feed(piece);
        while let Some(next) = decoder.next_frame() {
            read.push(next);
        }
    }
    read
}

fn message<M: Carried + PartialEq + std::fmt::Debug>(frame: &Frame) {
    let message = match M::read(frame) {
        Ok(message) => message,
        Err(error) => return assert!(error.to_string().len() < 1_000, "an error as long as what it refuses"),
    };
    let mut bytes = Vec::new();
    if encode(&message, &mut bytes).is_err() {
        return;
    }
    let again = read([bytes.as_slice()].into_iter());
    let Some(Ok(again)) = again.first() else {
        panic!("what was written is no frame: {again:?}")
    };
    assert_eq!(M::read(again).as_ref(), Ok(&message), "a message changed on its way round");
}
