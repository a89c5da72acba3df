//! The CTI side: frames ([`frame`]), the check of every stream ([`check`]), the connections ([`desk`]).

pub mod check;
pub mod desk;
pub mod frame;
