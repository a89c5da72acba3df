//! Pages of lists: `?limit&cursor` in, `{items, next_cursor}` out.
//!
//! A cursor names the last item of the page before, so pages stay right while items come and go: an item that is there throughout
//! stands on exactly one page. Cursors are opaque to clients (the key in hex).

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::problem::Problem;

const DEFAULT_LIMIT: usize = 100;
const MAX_LIMIT: usize = 1_000;

/// What a client asks of a list.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// Items on the page, 1 to 1000; 100 where absent.
    #[param(minimum = 1, maximum = 1000)]
    pub limit: Option<usize>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// One page.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
pub struct Page<T> {
    /// The items, ordered by their key.
    pub items: Vec<T>,
    /// Where the next page starts; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

impl PageQuery {
    /// How many items the page has at most.
    pub fn limit(&self) -> Result<usize, Problem> {
        let limit = self.limit.unwrap_or(DEFAULT_LIMIT);
        if (1..=MAX_LIMIT).contains(&limit) {
            return Ok(limit);
        }
        Err(Problem::bad_request(
            "bad-limit",
            format!("limit is a number from 1 to {MAX_LIMIT}"),
        ))
    }

    /// The key of the last item of the page before.
    pub fn after<K: FromStr>(&self) -> Result<Option<K>, Problem> {
        let Some(cursor) = &self.cursor else { return Ok(None) };
        let key = decoded(cursor).and_then(|key| key.parse().ok());
        key.map(Some)
            .ok_or_else(|| Problem::bad_request("bad-cursor", "cursor is none that a page of this list gave"))
    }
}

impl<T> Page<T> {
    /// A page of `items`, which are ordered by `key` and start after the cursor; `more` says whether others follow.
    pub fn new(items: Vec<T>, more: bool, key: impl Fn(&T) -> String) -> Self {
        let next_cursor = items.last().filter(|_| more).map(|last| encoded(&key(last)));
        Self { items, next_cursor }
    }

    /// Cuts the page that `query` asks for out of all `items`.
    pub fn cut<K: FromStr + Ord + ToString>(
        mut items: Vec<T>,
        key: impl Fn(&T) -> K,
        query: &PageQuery,
    ) -> Result<Self, Problem> {
        let (limit, after) = (query.limit()?, query.after::<K>()?);
        items.retain(|item| after.as_ref().is_none_or(|after| key(item) > *after));
        items.sort_unstable_by_key(|item| key(item));
        let more = items.len() > limit;
        items.truncate(limit);
        Ok(Self::new(items, more, |item| key(item).to_string()))
    }
}

fn encoded(key: &str) -> String {
    key.bytes().map(|byte| format!("{byte:02x}")).collect()
}

fn decoded(cursor: &str) -> Option<String> {
    let bytes = cursor.as_bytes();
    if bytes.is_empty() || !bytes.len().is_multiple_of(2) || !bytes.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let bytes: Option<Vec<u8>> = bytes
        .chunks_exact(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect();
    String::from_utf8(bytes?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(limit: usize, cursor: Option<String>) -> PageQuery {
        PageQuery {
            limit: Some(limit),
            cursor,
        }
    }

    #[test]
    fn following_the_cursors_visits_every_item_once_in_order() {
        let items: Vec<String> = (0..25).rev().map(|n| format!("sip:{n:02}@x")).collect();
        let (mut seen, mut cursor) = (Vec::new(), None);
        loop {
            let page = Page::cut(items.clone(), String::clone, &query(10, cursor)).unwrap();
            seen.extend(page.items);
            cursor = page.next_cursor;
            if cursor.is_none() {
                break;
            }
        }
        let mut expected = items;
        expected.sort();
        assert_eq!(seen, expected);
    }

    #[test]
    fn a_full_last_page_has_no_cursor() {
        let page = Page::cut(vec!["a".to_owned(), "b".to_owned()], String::clone, &query(2, None)).unwrap();
        assert_eq!((page.items.len(), page.next_cursor), (2, None));
    }

    #[test]
    fn an_item_that_went_away_between_pages_moves_no_other() {
        let first = Page::cut(
            vec!["a".to_owned(), "b".to_owned(), "c".to_owned()],
            String::clone,
            &query(2, None),
        )
        .unwrap();
        let second = Page::cut(
            vec!["a".to_owned(), "c".to_owned()],
            String::clone,
            &query(2, first.next_cursor),
        )
        .unwrap();
        assert_eq!(second.items, ["c"]);
    }

    #[test]
    fn wrong_limits_and_cursors_are_refused() {
        for query in [
            query(0, None),
            query(1001, None),
            query(1, Some("x".into())),
            query(1, Some("ff".into())),
        ] {
            assert!(Page::cut(vec!["a".to_owned()], String::clone, &query).is_err(), "{query:?}");
        }
    }
}
