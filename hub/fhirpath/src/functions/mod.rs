//! The functions, as a table: a further one is one row here and its body in one of the files beside.

mod conversion;
mod elements;
mod existence;
mod filtering;
mod math;
mod strings;
mod time;

use std::fmt;
use std::ops::RangeInclusive;

use crate::evaluate::{Call, Evaluation, Outcome};
use crate::syntax::Fault;
use crate::value::{Collection, Item};

pub(crate) type Run = for<'a, 'f, 's> fn(&mut Evaluation<'a, 's>, Call<'f, 'a>) -> Outcome<'a>;

pub(crate) struct Function {
    pub(crate) name: &'static str,
    pub(crate) arguments: RangeInclusive<usize>,
    pub(crate) run: Run,
}

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

const fn function(name: &'static str, arguments: RangeInclusive<usize>, run: Run) -> Function {
    Function { name, arguments, run }
}

/// More keys than this sort nothing.
const MANY: usize = 8;

static FUNCTIONS: &[Function] = &[
    // Is there something, and what of all of it?
    function("empty", 0..=0, existence::empty),
    function("exists", 0..=1, existence::exists),
    function("all", 1..=1, existence::all),
    function("allTrue", 0..=0, existence::all_true),
    function("anyTrue", 0..=0, existence::any_true),
    function("allFalse", 0..=0, existence::all_false),
    function("anyFalse", 0..=0, existence::any_false),
    function("subsetOf", 1..=1, existence::subset_of),
    function("supersetOf", 1..=1, existence::superset_of),
    function("count", 0..=0, existence::count),
    function("isDistinct", 0..=0, existence::is_distinct),
    function("not", 0..=0, existence::not),
    // Some of it, or more.
    function("where", 1..=1, filtering::keep),
    function("select", 1..=1, filtering::select),
    function("repeat", 1..=1, filtering::repeat),
    function("distinct", 0..=0, filtering::distinct),
    function("single", 0..=0, filtering::single),
    function("first", 0..=0, filtering::first),
    function("last", 0..=0, filtering::last),
    function("tail", 0..=0, filtering::tail),
    function("skip", 1..=1, filtering::skip),
    function("take", 1..=1, filtering::take),
    function("intersect", 1..=1, filtering::intersect),
    function("exclude", 1..=1, filtering::exclude),
    function("union", 1..=1, filtering::union),
    function("combine", 1..=1, filtering::combine),
    function("sort", 0..=MANY, filtering::sort),
    function("aggregate", 1..=2, filtering::aggregate),
    function("iif", 2..=3, filtering::iif),
    function("coalesce", 1..=MANY, filtering::coalesce),
    // From one type to another.
    function("toBoolean", 0..=0, conversion::to_boolean),
    function("toInteger", 0..=0, conversion::to_integer),
    function("toDecimal", 0..=0, conversion::to_decimal),
    function("toString", 0..=0, conversion::to_string),
    function("toDate", 0..=0, conversion::to_date),
    function("toDateTime", 0..=0, conversion::to_date_time),
    function("toTime", 0..=0, conversion::to_time),
    function("toQuantity", 0..=1, conversion::to_quantity),
    function("convertsToBoolean", 0..=0, conversion::converts_to_boolean),
    function("convertsToInteger", 0..=0, conversion::converts_to_integer),
    function("convertsToDecimal", 0..=0, conversion::converts_to_decimal),
    function("convertsToString", 0..=0, conversion::converts_to_string),
    function("convertsToDate", 0..=0, conversion::converts_to_date),
    function("convertsToDateTime", 0..=0, conversion::converts_to_date_time),
    function("convertsToTime", 0..=0, conversion::converts_to_time),
    function("convertsToQuantity", 0..=1, conversion::converts_to_quantity),
    // Texts.
    function("indexOf", 1..=1, strings::index_of),
    function("lastIndexOf", 1..=1, strings::last_index_of),
    function("substring", 1..=2, strings::substring),
    function("startsWith", 1..=1, strings::starts_with),
    function("endsWith", 1..=1, strings::ends_with),
    function("contains", 1..=1, strings::contains),
    function("upper", 0..=0, strings::upper),
    function("lower", 0..=0, strings::lower),
    function("replace", 2..=2, strings::replace),
    function("matches", 1..=1, strings::matches),
    function("matchesFull", 1..=1, strings::matches_full),
    function("replaceMatches", 2..=2, strings::replace_matches),
    function("length", 0..=0, strings::length),
    function("toChars", 0..=0, strings::to_chars),
    function("trim", 0..=0, strings::trim),
    function("split", 1..=1, strings::split),
    function("join", 0..=1, strings::join),
    function("encode", 1..=1, strings::encode),
    function("decode", 1..=1, strings::decode),
    function("escape", 1..=1, strings::escape),
    function("unescape", 1..=1, strings::unescape),
    // Numbers.
    function("abs", 0..=0, math::abs),
    function("ceiling", 0..=0, math::ceiling),
    function("floor", 0..=0, math::floor),
    function("truncate", 0..=0, math::truncate),
    function("round", 0..=1, math::round),
    function("exp", 0..=0, math::exp),
    function("ln", 0..=0, math::ln),
    function("log", 1..=1, math::log),
    function("power", 1..=1, math::power),
    function("sqrt", 0..=0, math::sqrt),
    function("comparable", 1..=1, math::comparable),
    // Dates and times, and how precise something is.
    function("now", 0..=0, time::now),
    function("today", 0..=0, time::today),
    function("timeOfDay", 0..=0, time::time_of_day),
    function("lowBoundary", 0..=1, time::low_boundary),
    function("highBoundary", 0..=1, time::high_boundary),
    function("precision", 0..=0, time::precision),
    // Elements of a resource.
    function("children", 0..=0, elements::children),
    function("descendants", 0..=0, elements::descendants),
    function("extension", 1..=1, elements::extension),
    function("hasExtension", 1..=1, elements::has_extension),
    function("hasValue", 0..=0, elements::has_value),
    function("getValue", 0..=0, elements::get_value),
    function("resolve", 0..=0, elements::resolve),
    function("type", 0..=0, elements::type_of),
    function("conformsTo", 1..=1, elements::conforms_to),
    function("trace", 1..=2, elements::trace),
];

pub(crate) fn named(name: &str) -> Option<&'static Function> {
    FUNCTIONS.iter().find(|function| function.name == name)
}

/// The names of all functions that an expression may call, beside `is`, `as` and `ofType`.
pub fn names() -> impl Iterator<Item = &'static str> {
    FUNCTIONS.iter().map(|function| function.name)
}

// ---- what many of them need

fn truth<'a>(value: bool) -> Outcome<'a> {
    Ok(vec![Item::Boolean(value)])
}

fn some(item: Option<Item<'_>>) -> Outcome<'_> {
    Ok(item.into_iter().collect())
}

/// The value of the only item that a function is called on.
fn input<'a>(evaluation: &Evaluation<'a, '_>, call: &Call<'_, 'a>) -> Result<Option<Item<'a>>, Fault> {
    let item = evaluation.single(call.at, &call.input, "what the function is called on")?;
    match item {
        None => Ok(None),
        Some(item) => {
            let unfit =
                || Fault::of_type(call.at, format!("the function is called on a value, and not on {}", item.noun()));
            item.value().map(Some).ok_or_else(unfit)
        }
    }
}

fn unfit<'a>(call: &Call<'_, 'a>, item: &Item<'a>) -> Fault {
    Fault::of_type(call.at, format!("the function cannot be called on {}", item.noun()))
}

/// The same of each: whatever gives several gives them all.
fn flat<'a>(parts: Vec<Collection<'a>>) -> Collection<'a> {
    parts.into_iter().flatten().collect()
}
