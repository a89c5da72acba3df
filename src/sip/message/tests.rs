//! Tests of the message layer.

use bytes::Bytes;

use super::*;

#[test]
fn smoke() {
    let mut files: Vec<_> = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/message/torture"))
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    files.sort();
    for file in files {
        let bytes = std::fs::read(&file).unwrap();
        let verdict = match Message::parse(Bytes::from(bytes.clone())) {
            Ok(message) => match message.validate() {
                Ok(()) => "accept".to_owned(),
                Err(v) => format!("{v:?}"),
            },
            Err(error) => format!("parse {error} {:?}", error.answerable()),
        };
        println!("{} {verdict}", file.file_name().unwrap().to_string_lossy());
        exercise(&bytes);
    }
}
