//! Tests of the user agent.
