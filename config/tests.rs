//! Tests of the crate as a whole: the registry against the structs, files against their messages.

mod files;
