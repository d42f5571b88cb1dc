//! Whether a resource is what a filter asks for: the meaning of search, of which the indexes are only the shortcut.

use hub_domain::query::{
    DateMatch, Filter, IndexValue, Param, Prefix, SystemMatch, TextMatch, TokenMatch, codes_called, composed, typed,
    values,
};
use schemas::resource::Resource;
use schemas::time::Timestamp;

pub(super) fn matches(resource: &Resource, filters: &[Filter]) -> bool {
    filters.iter().all(|filter| meets(resource, filter))
}

fn meets(resource: &Resource, filter: &Filter) -> bool {
    let body = &*resource.body;
    let any = |param: &Param| values(param, body).iter().any(|value| is(filter, value));
    match filter {
        Filter::Id(ids) => ids.contains(&resource.key.id),
        Filter::LastUpdated(when) => date(when, resource.last_updated, resource.last_updated),
        Filter::Token { param, .. } | Filter::Reference { param, .. } | Filter::ReferenceIdentifier { param, .. } => {
            any(param)
        }
        Filter::Date { param, .. } | Filter::Text { param, .. } | Filter::Amount { param, .. } => any(param),
        Filter::Below { param, .. } => any(param),
        Filter::Composite { param, any } => {
            let parts_of = composed(param, body);
            any.iter().any(|wanted| parts_of.iter().any(|parts| belong_together(wanted, parts)))
        }
        Filter::CodeText { param, any } => {
            let called = codes_called(param, body);
            any.iter().any(|wanted| called.iter().any(|text| TextMatch::Begins.holds(wanted, text)))
        }
        Filter::OfType { param, any } => typed(param, body).iter().any(|identifier| any.contains(identifier)),
        // What has no value to be found by may stand there all the same: a text without a code.
        Filter::Missing { param, missing } => {
            let stands =
                if param.only.is_some() { !values(param, body).is_empty() } else { !param.found(body).is_empty() };
            stands != *missing
        }
        Filter::Not(of) => !meets(resource, of),
        // Followed from what passes all the rest: see `links`.
        Filter::Chain { .. } | Filter::Has { .. } => true,
    }
}

/// Whether each part of one element has a value that is asked for.
fn belong_together(wanted: &[Filter], parts: &[Vec<IndexValue>]) -> bool {
    wanted.len() == parts.len()
        && wanted.iter().zip(parts).all(|(filter, values)| values.iter().any(|value| is(filter, value)))
}

/// Whether a value of a filter's parameter is one that it asks for.
fn is(filter: &Filter, value: &IndexValue) -> bool {
    match (filter, value) {
        (Filter::Token { any, .. }, IndexValue::Token { system, code }) => {
            any.iter().any(|wanted| token(wanted, *system, code))
        }
        (Filter::Reference { any, .. }, IndexValue::Reference(to)) => any.iter().any(|wanted| wanted == to),
        (Filter::ReferenceIdentifier { any, .. }, IndexValue::ReferenceIdentifier { system, value }) => {
            any.iter().any(|wanted| token(wanted, *system, value))
        }
        (Filter::Date { any, .. }, IndexValue::Date { low, high }) => any.iter().any(|when| date(when, *low, *high)),
        (Filter::Text { how, any, .. }, IndexValue::Text(text)) => any.iter().any(|wanted| how.holds(wanted, text)),
        (Filter::Amount { any, .. }, IndexValue::Amount(amount)) => any.iter().any(|wanted| wanted.holds(amount)),
        (Filter::Below { any, .. }, IndexValue::Token { code, .. }) => any.iter().any(|wanted| is_below(code, wanted)),
        _ => false,
    }
}

/// `http://example.org/plans/1` lies below `http://example.org/plans`, as this does itself.
fn is_below(uri: &str, wanted: &str) -> bool {
    let base = wanted.trim_end_matches('/');
    uri.strip_prefix(base).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn token(wanted: &TokenMatch, system: Option<&str>, code: &str) -> bool {
    let same_system = match &wanted.system {
        SystemMatch::Any => true,
        SystemMatch::None => system.is_none(),
        SystemMatch::Is(wanted) => system == Some(wanted),
    };
    same_system && wanted.code.as_deref().is_none_or(|wanted| wanted == code)
}

fn date(when: &DateMatch, low: Timestamp, high: Timestamp) -> bool {
    match when.prefix {
        Prefix::Eq => when.low <= low && high <= when.high,
        Prefix::Ne => low < when.low || when.high < high,
        Prefix::Gt => high > when.high,
        Prefix::Lt => low < when.low,
        Prefix::Ge => high > when.high || low >= when.low,
        Prefix::Le => low < when.low || high <= when.high,
        Prefix::Sa => low > when.high,
        Prefix::Eb => high < when.low,
        Prefix::Ap => low <= when.high && high >= when.low,
    }
}
