//! Orders that no index has: numbers that compare as the sort wants it, and that a page token can carry.

use hub_domain::query::{IndexValue, Param, Sort, SortBy, fold, place_of, values};
use schemas::resource::Resource;

use super::Candidate;
use crate::values::text_key;

/// Of a text so many bytes count, in words of eight.
const WORDS: usize = 8;

/// The newest first among equals. The resource is given where one of the keys is a value that no row has.
pub(super) fn sort_key(row: &Candidate, resource: Option<&Resource>, sort: &[Sort]) -> Vec<i64> {
    let mut key = Vec::new();
    for sort in sort {
        let from = key.len();
        match sort.by {
            SortBy::LastUpdated => key.push(row.updated),
            // An id has at most 64 bytes, a status 16.
            SortBy::Id => key.extend(text_key::<WORDS>(&row.id)),
            SortBy::Priority => key.push(i64::from(row.priority)),
            SortBy::Status => put(&mut key, row.status.as_deref().map(text_key::<2>), sort.descending),
            SortBy::Authored => put(&mut key, told(row.authored), sort.descending),
            SortBy::Modified => put(&mut key, row.modified.and_then(told), sort.descending),
            SortBy::Param(param) => {
                let value = resource.and_then(|resource| value_key(param, resource, sort.descending));
                put(&mut key, value, sort.descending);
            }
        }
        if sort.descending {
            key[from..].iter_mut().for_each(|number| *number = !*number);
        }
    }
    key.push(!row.seq);
    key
}

/// What has no value comes last, whichever way round.
fn put<const N: usize>(key: &mut Vec<i64>, value: Option<[i64; N]>, descending: bool) {
    key.push(i64::from(value.is_none() != descending));
    key.extend(value.unwrap_or([0; N]));
}

/// A time of a row, which has the largest number where the resource tells none.
fn told(time: i64) -> Option<[i64; 1]> {
    (time != i64::MAX).then_some([time])
}

/// Of several values the one that comes first.
fn value_key(param: &Param, resource: &Resource, descending: bool) -> Option<[i64; WORDS]> {
    let number = |number: i64| std::array::from_fn(|i| if i == 0 { number } else { 0 });
    let keys = values(param, &resource.body).into_iter().filter_map(|value| match value {
        IndexValue::Token { code, .. } => Some(text_key::<WORDS>(code)),
        IndexValue::Date { low, .. } => Some(number(low.0)),
        IndexValue::Text(text) => Some(text_key::<WORDS>(&fold(&text))),
        // Of a quantity in the unit that it stands in.
        IndexValue::Amount(amount) => amount.low.or(amount.high).map(|value| number(place_of(value))),
        IndexValue::Reference(_) | IndexValue::ReferenceIdentifier { .. } => None,
    });
    if descending { keys.max() } else { keys.min() }
}
