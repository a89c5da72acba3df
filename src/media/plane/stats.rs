//! Counters of a plane. They only grow.

use std::sync::atomic::{AtomicU64, Ordering};

/// Makes the three forms of the same counters: what everybody reads, what one thread adds up, and what the two share.
macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Counters of all threads since the start.
        #[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
        pub struct PlaneStats {
            $($(#[$doc])* pub $name: u64,)*
        }

        /// One thread's counters, shared with those who read them.
        #[derive(Default, Debug)]
        pub(super) struct SharedCounters {
            $($name: AtomicU64,)*
        }

        impl SharedCounters {
            /// Only the thread itself does this, so a plain store is enough.
            pub(super) fn publish(&self, own: &PlaneStats) {
                $(self.$name.store(own.$name, Ordering::Relaxed);)*
            }

            pub(super) fn add_to(&self, sum: &mut PlaneStats) {
                $(sum.$name += self.$name.load(Ordering::Relaxed);)*
            }
        }
    };
}

counters! {
    /// Datagrams that came to RTP ports.
    packets_in,
    /// Their bytes.
    bytes_in,
    /// RTP packets sent.
    packets_out,
    /// Their bytes.
    bytes_out,
    /// Of those sent, the ones that were relayed.
    relayed,
    /// Dropped: not from the port's device, or injected into its stream.
    dropped_stranger,
    /// Dropped: no RTP, too short or too long.
    dropped_malformed,
    /// Dropped: of a payload type that was not negotiated, or for a port that is not told yet what it may receive.
    dropped_unknown,
    /// Dropped: nobody hears the device, or it is not to send.
    dropped_no_destination,
    /// Times that a port was left alone for the rest of 20 ms, because more came than a device sends. What does not fit into the kernel's buffer
    /// meanwhile is dropped by the kernel.
    floods,
    /// RTCP packets that came and were read.
    rtcp_in,
    /// RTCP packets sent.
    rtcp_out,
    /// RTP and RTCP packets that the system refused to send.
    send_errors,
    /// Frames of 20 ms that were made.
    frames,
    /// Rounds of 20 ms that began more than 10 ms late, or never.
    late_ticks,
    /// Digits that devices pressed.
    digits_in,
    /// Crashes of a thread; each costs one port where that is enough.
    crashes,
    /// CPU time of the threads, in microseconds.
    cpu_us,
}
