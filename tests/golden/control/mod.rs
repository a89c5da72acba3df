//! Call control (reference t-library.md ch. 9.3 to 9.11): each flow with what every party is told, and who hears whom before,
//! during and after.

mod answer;
mod conference;
mod consultation;
mod data;
mod device;
mod failures;
mod hold;
mod merging;
mod ringing;
mod single_step;
mod single_step_failures;
mod states;
