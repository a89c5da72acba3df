//! Whole flows against the golden transcripts of `flows.txt`.

use super::scene::Scene;

/// `=== name`, then the transcript: inputs after `>`, what came of each indented below it.
const FLOWS: &str = include_str!("flows.txt");

#[test]
fn flows_go_as_their_transcripts_say() {
    let mut wrong = String::new();
    for flow in FLOWS.split("=== ").skip(1) {
        let (name, golden) = flow.split_once('\n').expect("a name");
        let actual = Scene::run(golden).transcript;
        if actual.trim() != golden.trim() {
            wrong.push_str(&format!("=== {name}\n{actual}\n"));
        }
    }
    assert!(wrong.is_empty(), "these flows go otherwise now:\n{wrong}");
}
