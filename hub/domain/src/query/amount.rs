//! Numbers and amounts: a range of what each may be, and a unit.

use hub_fhirpath::{Decimal, Item, Measure, decimal};
use serde_json::{Map, Value};

use super::Prefix;

const UCUM: &str = "http://unitsofmeasure.org";
/// Of the codes that money has.
const CURRENCIES: &str = "urn:iso:std:iso:4217";

/// What a resource says of a number: from the least to the most that it may be, both included. None has no end there.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Amount {
    pub low: Option<Decimal>,
    pub high: Option<Decimal>,
    pub unit: Unit,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Unit {
    pub system: Option<String>,
    pub code: Option<String>,
    /// As people read it.
    pub name: Option<String>,
}

/// A number that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AmountMatch {
    pub prefix: Prefix,
    pub value: Decimal,
    /// What it means when nothing is said of more or less: all that is written so when it is rounded, from here to before
    /// `high`. With `ap`, a tenth more and less, both included.
    pub low: Decimal,
    pub high: Decimal,
    pub unit: UnitMatch,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UnitMatch {
    /// `5.4`
    Any,
    /// `5.4||mg`: the code of its unit, or the unit as people read it.
    Named(String),
    /// `5.4|http://unitsofmeasure.org|mg`: of this unit, or of one that can be converted to it.
    Is { system: String, code: String },
}

impl Amount {
    /// The same in base units, and what those are called; none where its unit is not known.
    pub fn in_base_units(&self) -> Option<(Self, String)> {
        let measure = measure(self.unit.system.as_deref()?, self.unit.code.as_deref()?)?;
        let base = |end: Option<Decimal>| end.map_or(Some(None), |end| measure.base(end).map(Some));
        let (low, high) = (base(self.low)?, base(self.high)?);
        Some((Self { low, high, unit: Unit::default() }, measure.base_name()))
    }
}

impl AmountMatch {
    /// None when `number` is none.
    pub fn read(prefix: Prefix, number: &str, unit: UnitMatch) -> Option<Self> {
        let (value, half) = rounded(number)?;
        let width = if prefix == Prefix::Ap { value.abs().checked_div(Decimal::TEN)? } else { half };
        Some(Self { prefix, value, low: value.checked_sub(width)?, high: value.checked_add(width)?, unit })
    }

    pub fn in_base_units(&self) -> Option<(Self, String)> {
        let UnitMatch::Is { system, code } = &self.unit else { return None };
        let measure = measure(system, code)?;
        let (value, low, high) = (measure.base(self.value)?, measure.base(self.low)?, measure.base(self.high)?);
        Some((Self { prefix: self.prefix, value, low, high, unit: UnitMatch::Any }, measure.base_name()))
    }

    pub fn holds(&self, amount: &Amount) -> bool {
        let unit = &amount.unit;
        let is_same = match &self.unit {
            UnitMatch::Any => true,
            UnitMatch::Named(name) => unit.code.as_ref() == Some(name) || unit.name.as_ref() == Some(name),
            UnitMatch::Is { system, code } => unit.system.as_ref() == Some(system) && unit.code.as_ref() == Some(code),
        };
        if is_same {
            return self.compares(amount);
        }
        match (self.in_base_units(), amount.in_base_units()) {
            (Some((wanted, of)), Some((amount, other))) => of == other && wanted.compares(&amount),
            _ => false,
        }
    }

    /// Of numbers of the same unit.
    fn compares(&self, amount: &Amount) -> bool {
        let from = |than: Decimal| amount.low.is_some_and(|low| low >= than);
        let (above, below) =
            (amount.high.is_none_or(|it| it > self.value), amount.low.is_none_or(|it| it < self.value));
        let is = from(self.low) && amount.high.is_some_and(|high| high < self.high);
        match self.prefix {
            Prefix::Eq => is,
            Prefix::Ne => !is,
            Prefix::Gt => above,
            Prefix::Lt => below,
            Prefix::Ge => above || amount.high == Some(self.value),
            Prefix::Le => below || amount.low == Some(self.value),
            Prefix::Sa => amount.low.is_some_and(|low| low > self.value),
            Prefix::Eb => amount.high.is_some_and(|high| high < self.value),
            Prefix::Ap => {
                amount.low.is_none_or(|low| low <= self.high) && amount.high.is_none_or(|high| high >= self.low)
            }
        }
    }
}

fn measure(system: &str, code: &str) -> Option<Measure> {
    if system == UCUM { Measure::of_unit(code) } else { None }
}

/// A number, and half of what its last digit counts. FHIR R4 takes `1e2`, without a point, for 95 to 105.
fn rounded(number: &str) -> Option<(Decimal, Decimal)> {
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, ""));
    let digits = mantissa.strip_prefix('-').unwrap_or(mantissa);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(whole) || !is_number(fraction) {
        return None;
    }
    let after_point = i32::try_from(mantissa.split_once('.').map_or(0, |(_, after)| after.len())).ok()?;
    let place = match exponent {
        "" if !number.ends_with(['e', 'E']) => -after_point,
        exponent if after_point == 0 => exponent.parse::<i32>().ok()?.checked_sub(1)?,
        exponent => exponent.parse::<i32>().ok()?.checked_sub(after_point)?,
    };
    let half = match u32::try_from(1_i32.checked_sub(place)?) {
        // So small that it makes no difference.
        Ok(scale) if scale > Decimal::MAX_SCALE => Decimal::ZERO,
        Ok(scale) => Decimal::new(5, scale),
        Err(_) => decimal(&format!("5e{}", place - 1))?,
    };
    Some((decimal(number)?, half))
}

/// A number's place among all numbers. Of two that lie very near to each other it may be the same.
pub fn place_of(value: Decimal) -> i64 {
    let float: f64 = value.to_string().parse().unwrap_or_default();
    let bits = if float == 0.0 { 0 } else { float.to_bits() as i64 };
    // Below zero, a larger pattern of bits is a smaller number.
    if bits < 0 { bits ^ i64::MAX } else { bits }
}

/// A number, a Quantity, a Range, Money or what a device sampled.
pub(super) fn amount(item: &Item) -> Option<Amount> {
    let exactly = |value: Decimal, unit| Amount { low: Some(value), high: Some(value), unit };
    let Item::Node(node) = item else { return None };
    match (node.value?, node.kind) {
        (Value::Number(number), _) => Some(exactly(decimal(number.as_str())?, Unit::default())),
        (Value::Object(range), "Range") => {
            let ends = ["low", "high"].map(|name| range.get(name).and_then(Value::as_object));
            let unit = ends.into_iter().flatten().map(unit).next()?;
            let [low, high] = ends.map(|end| number(end?, "value"));
            between(low, high, unit)
        }
        (Value::Object(sampled), "SampledData") => {
            let unit = unit(sampled.get("origin")?.as_object()?);
            let [low, high] = ["lowerLimit", "upperLimit"].map(|name| number(sampled, name));
            between(low, high, unit)
        }
        (Value::Object(quantity), _) => {
            let value = number(quantity, "value")?;
            let whole = exactly(value, unit(quantity));
            Some(match quantity.get("comparator").and_then(Value::as_str) {
                Some("<" | "<=") => Amount { low: None, ..whole },
                Some(">" | ">=") => Amount { high: None, ..whole },
                _ => whole,
            })
        }
        _ => None,
    }
}

/// None where neither end is told.
fn between(low: Option<Decimal>, high: Option<Decimal>, unit: Unit) -> Option<Amount> {
    (low.is_some() || high.is_some()).then_some(Amount { low, high, unit })
}

fn number(object: &Map<String, Value>, name: &str) -> Option<Decimal> {
    decimal(object.get(name)?.as_number()?.as_str())
}

fn unit(object: &Map<String, Value>) -> Unit {
    let text = |name: &str| object.get(name).and_then(Value::as_str).map(str::to_owned);
    match text("currency") {
        Some(currency) => Unit { system: Some(CURRENCIES.into()), code: Some(currency), name: None },
        None => Unit { system: text("system"), code: text("code"), name: text("unit") },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exactly(value: &str, code: &str) -> Amount {
        let value = decimal(value);
        let unit = Unit { system: Some(UCUM.into()), code: Some(code.into()), name: None };
        Amount { low: value, high: value, unit }
    }

    fn asked(text: &str) -> AmountMatch {
        let (prefix, number) = Prefix::split(text);
        AmountMatch::read(prefix, number, UnitMatch::Any).unwrap()
    }

    #[test]
    fn a_number_means_what_is_rounded_to_it() {
        for (text, low, high) in [
            ("100", "99.5", "100.5"),
            ("100.00", "99.995", "100.005"),
            ("1e2", "95", "105"),
            ("5.40e-3", "0.005395", "0.005405"),
            ("-1.5", "-1.55", "-1.45"),
            ("0", "-0.5", "0.5"),
            ("ap100", "90", "110"),
            ("ap-100", "-110", "-90"),
            ("2e4", "19500", "20500"),
        ] {
            let asked = asked(text);
            assert_eq!((Some(asked.low), Some(asked.high)), (decimal(low), decimal(high)), "{text}");
        }
        for none in ["", "-", "1.", ".5", "1e", "1e+-2", "one", "1 ", "0x1", "1_0", "1e999", "+1", "--1", "1e1.5"] {
            assert_eq!(AmountMatch::read(Prefix::Eq, none, UnitMatch::Any), None, "{none}");
        }
    }

    #[test]
    fn prefixes_compare_with_what_stands_and_not_with_what_is_rounded() {
        let finds = |text: &str, value: &str| asked(text).holds(&exactly(value, "mg"));
        assert!(finds("100", "99.5") && finds("100", "100.4") && !finds("100", "100.5") && !finds("100.0", "100.4"));
        assert!(finds("ne100", "101") && !finds("ne100", "100.2"));
        assert!(finds("gt100", "100.1") && !finds("gt100", "100") && finds("ge100", "100") && !finds("ge100", "99.9"));
        assert!(finds("lt100", "99.9") && !finds("lt100", "100") && finds("le100", "100") && !finds("le100", "100.1"));
        assert!(finds("sa100", "100.1") && !finds("sa100", "100") && finds("eb100", "99.9"));
        assert!(finds("ap100", "110") && !finds("ap100", "110.1") && finds("ap100", "90"));
    }

    #[test]
    fn what_has_no_end_is_found_by_where_it_may_lie() {
        let below_five = Amount { low: None, ..exactly("5", "mg") };
        let finds = |text: &str| asked(text).holds(&below_five);
        assert!(finds("lt1") && finds("gt4") && finds("ap3") && finds("eb6") && finds("ne5"));
        assert!(!finds("gt5") && !finds("5") && !finds("sa1") && !finds("eb5"));
    }

    #[test]
    fn units_are_converted_where_they_can_be() {
        let asked = |number: &str, unit: UnitMatch| AmountMatch::read(Prefix::Eq, number, unit).unwrap();
        let is = |code: &str| UnitMatch::Is { system: UCUM.into(), code: code.into() };
        let gram = exactly("1", "g");
        assert!(asked("1000", is("mg")).holds(&gram) && asked("1", is("g")).holds(&gram));
        assert!(!asked("1001", is("mg")).holds(&gram) && !asked("1", is("mL")).holds(&gram));
        assert!(asked("1", UnitMatch::Named("g".into())).holds(&gram));
        assert!(!asked("1000", UnitMatch::Named("mg".into())).holds(&gram));
        let tablets = Amount { unit: Unit { name: Some("tablet".into()), ..Unit::default() }, ..gram };
        assert!(asked("1", UnitMatch::Named("tablet".into())).holds(&tablets) && !asked("1", is("g")).holds(&tablets));
    }

    #[test]
    fn a_larger_number_has_a_later_place() {
        let numbers = ["-1e20", "-100.5", "-100", "-0.001", "0", "0.0000001", "1", "1.5", "99.99", "1e25"];
        let places: Vec<i64> = numbers.iter().map(|number| place_of(decimal(number).unwrap())).collect();
        assert!(places.is_sorted_by(|one, other| one < other), "{places:?}");
        assert_eq!(place_of(decimal("-0.0").unwrap()), place_of(Decimal::ZERO));
    }
}
