//! "Did you mean": the nearest of the names that could have been meant.

/// The candidate nearest to `name`, where one is near enough to have been meant.
pub(crate) fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    const NEAR_ENOUGH: f64 = 0.55;
    let plain = |text: &str| text.to_lowercase().replace('-', "_");
    let wanted = plain(name);
    let mut best: Option<(f64, &str)> = None;
    for candidate in candidates {
        let other = plain(candidate);
        // A missing unit at the end (`t1` for `t1_ms`) is the commonest slip; an edit distance alone rates it low.
        let begins_alike = wanted.len() >= 2 && (other.starts_with(&wanted) || wanted.starts_with(&other));
        let likeness = strsim::normalized_damerau_levenshtein(&wanted, &other).max(if begins_alike { 0.8 } else { 0.0 });
        if likeness > best.map_or(NEAR_ENOUGH, |(likeness, _)| likeness) {
            best = Some((likeness, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn the_nearest_name_is_found_and_a_strange_one_has_none() {
        let names = ["t1_ms", "t2_ms", "realm", "ring_timeout_ms", "listener"];
        assert_eq!(nearest("t1", names), Some("t1_ms"));
        assert_eq!(nearest("relm", names), Some("realm"));
        assert_eq!(nearest("ring-timeout", names), Some("ring_timeout_ms"));
        assert_eq!(nearest("listeners", names), Some("listener"));
        assert_eq!(nearest("colour", names), None);
        assert_eq!(nearest("", names), None);
    }
}
