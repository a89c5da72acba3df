//! Tests of the conference, lowest level first: [`table`] (one transition each), [`transcripts`] (whole flows, golden),
//! [`property`] (random interleavings against [`fake_ua`], which keeps the user agent's contract and checks ours).

mod fake_ua;
mod property;
mod scene;
mod table;
mod transcripts;
