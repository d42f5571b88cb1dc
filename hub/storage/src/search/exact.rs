//! Whether a resource is what a filter asks for: the meaning of search, of which the indexes are only the shortcut.

use hub_domain::query::{DateMatch, Filter, IndexValue, Param, Prefix, SystemMatch, TokenMatch, index};
use schemas::resource::Resource;
use schemas::time::Timestamp;
use serde_json::Value;

pub(super) fn matches(resource: &Resource, filters: &[Filter]) -> bool {
    let values = index(resource);
    let any = |param: &Param, test: &dyn Fn(&IndexValue) -> bool| {
        values.iter().any(|(of, value)| std::ptr::eq(*of, param) && test(value))
    };
    filters.iter().all(|filter| match filter {
        Filter::Id(ids) => ids.contains(&resource.key.id),
        Filter::LastUpdated(when) => date(when, resource.last_updated, resource.last_updated),
        Filter::Token { param, any: wanted } => any(param, &|value| match value {
            IndexValue::Token { system, code } => wanted.iter().any(|w| token(w, system.as_deref(), code)),
            _ => false,
        }),
        Filter::Reference { param, any: wanted } => any(param, &|value| match value {
            IndexValue::Reference(to) => wanted.contains(to),
            _ => false,
        }),
        Filter::ReferenceIdentifier { param, any: wanted } => any(param, &|value| match value {
            IndexValue::ReferenceIdentifier { system, value } => {
                wanted.iter().any(|w| token(w, system.as_deref(), value))
            }
            _ => false,
        }),
        Filter::Date { param, when } => any(param, &|value| match value {
            IndexValue::Date { low, high } => date(when, *low, *high),
            _ => false,
        }),
        Filter::Missing { param, missing } => is_missing(resource, param) == *missing,
    })
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
    }
}

/// Whether nothing stands at the parameter's path.
fn is_missing(resource: &Resource, param: &Param) -> bool {
    fn stands(value: &Value, mut path: std::str::Split<'_, char>) -> bool {
        match value {
            Value::Array(items) => items.iter().any(|item| stands(item, path.clone())),
            value => path.next().is_none_or(|name| value.get(name).is_some_and(|value| stands(value, path))),
        }
    }
    let mut path = param.path.split('.');
    let first = path.next().and_then(|name| resource.body.get(name));
    !first.is_some_and(|value| stands(value, path))
}
