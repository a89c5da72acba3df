//! What the T-Server does differently for the DNs of one application pool (seed 002 lines 2652-2800).
//!
//! A DN is in the pool of its first-level folder, or in the default pool. A pool that is not the default one may have a dial plan, a caller
//! identity and a policy of pass-through calls of its own. Whoever reads the configuration fills in what it does not have from the default
//! pool, so that what stands here is complete.
//!
//! It does not know which connectors serve a pool, nor the options that take effect in them.

use super::{CallingPolicy, PassThrough};

/// The pool of DNs outside any folder that names one, and of links that name none.
pub const DEFAULT_POOL: &str = "default";

/// What holds for the DNs of a pool.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct PoolPolicy {
    /// How destinations are called (`calling-method-dialplan`, `cpn`).
    pub calling: CallingPolicy,
    /// Whether a call may go on without any DN of ours (`allow-pass-through-calls`).
    pub pass_through: PassThrough,
}
