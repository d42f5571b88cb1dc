//! Units of measure: as much of UCUM as orders use, and the words of the calendar.
//!
//! Facts from the Unified Code for Units of Measure (ucum.org), version 2.1. A unit that is not here is equal to itself
//! and comparable to nothing else.

use rust_decimal::{Decimal, MathematicalOps};

/// Powers of metre, gram, second, mole, kelvin, candela, coulomb, international unit, calendar month.
pub(crate) type Dimensions = [i8; 9];

/// So many of the base units: a fraction, so that sixty times a sixtieth is one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measure {
    pub(crate) above: Decimal,
    pub(crate) below: Decimal,
    pub(crate) dimensions: Dimensions,
}

const NONE: Dimensions = [0; 9];
const LENGTH: Dimensions = power(0);
const MASS: Dimensions = power(1);
const TIME: Dimensions = power(2);
const AMOUNT: Dimensions = power(3);
const MONTHS: Dimensions = power(8);
const VOLUME: Dimensions = [3, 0, 0, 0, 0, 0, 0, 0, 0];
const FORCE: Dimensions = [1, 1, -2, 0, 0, 0, 0, 0, 0];
const PRESSURE: Dimensions = [-1, 1, -2, 0, 0, 0, 0, 0, 0];
const ENERGY: Dimensions = [2, 1, -2, 0, 0, 0, 0, 0, 0];
const POWER: Dimensions = [2, 1, -3, 0, 0, 0, 0, 0, 0];
const VOLTAGE: Dimensions = [2, 1, -2, 0, 0, 0, -1, 0, 0];
const CURRENT: Dimensions = [0, 0, -1, 0, 0, 0, 1, 0, 0];

const fn power(of: usize) -> Dimensions {
    let mut one = NONE;
    one[of] = 1;
    one
}

/// Code, its factor as mantissa and power of ten, its dimensions, and whether prefixes go before it.
const ATOMS: [(&str, i64, i32, Dimensions, bool); 56] = [
    ("m", 1, 0, LENGTH, true),
    ("g", 1, 0, MASS, true),
    ("s", 1, 0, TIME, true),
    ("mol", 1, 0, AMOUNT, true),
    ("K", 1, 0, power(4), true),
    ("cd", 1, 0, power(5), true),
    ("C", 1, 0, power(6), true),
    ("L", 1, -3, VOLUME, true),
    ("l", 1, -3, VOLUME, true),
    ("t", 1, 6, MASS, true),
    ("N", 1, 3, FORCE, true),
    ("Pa", 1, 3, PRESSURE, true),
    ("bar", 1, 8, PRESSURE, true),
    ("m[Hg]", 133_322, 3, PRESSURE, true),
    ("m[H2O]", 980_665, 1, PRESSURE, true),
    ("atm", 101_325, 3, PRESSURE, false),
    ("J", 1, 3, ENERGY, true),
    ("cal", 4184, 0, ENERGY, true),
    ("[Cal]", 4184, 3, ENERGY, false),
    ("W", 1, 3, POWER, true),
    ("V", 1, 3, VOLTAGE, true),
    ("A", 1, 0, CURRENT, true),
    ("Hz", 1, 0, [0, 0, -1, 0, 0, 0, 0, 0, 0], true),
    ("Bq", 1, 0, [0, 0, -1, 0, 0, 0, 0, 0, 0], true),
    ("Gy", 1, 0, [2, 0, -2, 0, 0, 0, 0, 0, 0], true),
    ("Sv", 1, 0, [2, 0, -2, 0, 0, 0, 0, 0, 0], true),
    ("kat", 1, 0, [0, 0, -1, 1, 0, 0, 0, 0, 0], true),
    ("eq", 1, 0, AMOUNT, true),
    ("osm", 1, 0, AMOUNT, true),
    // A micromole a minute: what is left is a sixtieth.
    ("U", 1, -6, [0, 0, -1, 1, 0, 0, 0, 0, 0], true),
    ("[iU]", 1, 0, power(7), true),
    ("[IU]", 1, 0, power(7), true),
    ("min", 60, 0, TIME, false),
    ("h", 3600, 0, TIME, false),
    ("d", 86_400, 0, TIME, false),
    ("wk", 604_800, 0, TIME, false),
    ("mo", 2_629_800, 0, TIME, false),
    ("a", 31_557_600, 0, TIME, false),
    ("%", 1, -2, NONE, false),
    ("[ppth]", 1, -3, NONE, false),
    ("[ppm]", 1, -6, NONE, false),
    ("[ppb]", 1, -9, NONE, false),
    ("1", 1, 0, NONE, false),
    ("10*", 10, 0, NONE, false),
    ("10^", 10, 0, NONE, false),
    ("[lb_av]", 45_359_237, -5, MASS, false),
    ("[oz_av]", 28_349_523_125, -9, MASS, false),
    ("[gr]", 6_479_891, -8, MASS, false),
    ("[in_i]", 254, -4, LENGTH, false),
    ("[ft_i]", 3048, -4, LENGTH, false),
    ("[yd_i]", 9144, -4, LENGTH, false),
    ("[mi_i]", 1_609_344, -3, LENGTH, false),
    ("[foz_us]", 295_735_295_625, -16, VOLUME, false),
    ("[gal_us]", 3_785_411_784, -12, VOLUME, false),
    ("[tsp_us]", 492_892_159_375, -17, VOLUME, false),
    ("[drp]", 5, -8, VOLUME, false),
];

const PREFIXES: [(&str, i32); 16] = [
    ("da", 1),
    ("y", -24),
    ("z", -21),
    ("a", -18),
    ("f", -15),
    ("p", -12),
    ("n", -9),
    ("u", -6),
    ("m", -3),
    ("c", -2),
    ("d", -1),
    ("h", 2),
    ("k", 3),
    ("M", 6),
    ("G", 9),
    ("T", 12),
];

/// The words of the calendar, the UCUM unit nearest to each, and whether the two are the same length.
const WORDS: [(&str, &str, bool); 8] = [
    ("year", "a", false),
    ("month", "mo", false),
    ("week", "wk", true),
    ("day", "d", true),
    ("hour", "h", true),
    ("minute", "min", true),
    ("second", "s", true),
    ("millisecond", "ms", true),
];

/// `day` for `day` and `days`.
pub(crate) fn word(text: &str) -> Option<&'static str> {
    let singular = text.strip_suffix('s').unwrap_or(text);
    WORDS.iter().find(|(word, ..)| *word == singular).map(|(word, ..)| *word)
}

/// The UCUM unit of a word, and whether it is as long.
pub(crate) fn unit_of_word(text: &str) -> Option<(&'static str, bool)> {
    WORDS.iter().find(|(word, ..)| *word == text).map(|(_, unit, same)| (*unit, *same))
}

/// What a unit is in base units; none for one that is not known here.
pub(crate) fn measure(unit: &str) -> Option<Measure> {
    match unit {
        "month" => Some(Measure::of(Decimal::ONE, MONTHS)),
        "year" => Some(Measure::of(Decimal::from(12), MONTHS)),
        _ => {
            let unit = unit_of_word(unit).map_or(unit, |(unit, _)| unit);
            Measure::of_unit(unit)
        }
    }
}

/// The unit that has these dimensions and the factor one: `m2`, `g.m-1`, `1`.
pub(crate) fn base_name(dimensions: &Dimensions) -> String {
    const NAMES: [&str; 9] = ["m", "g", "s", "mol", "K", "cd", "C", "[iU]", "month"];
    let powers = NAMES.iter().zip(dimensions).filter(|(_, power)| **power != 0);
    let named: Vec<String> =
        powers.map(|(name, power)| if *power == 1 { (*name).to_owned() } else { format!("{name}{power}") }).collect();
    if named.is_empty() { "1".into() } else { named.join(".") }
}

/// Reads a term of UCUM: `mg/kg`, `10*3/uL`, `kg.m/s2`, `/min`, `m[Hg]`, `{score}`.
struct Terms<'t> {
    rest: &'t str,
    depth: u8,
}

impl Terms<'_> {
    fn whole(mut self) -> Option<Measure> {
        let measure = self.term()?;
        self.rest.is_empty().then_some(measure)
    }

    fn term(&mut self) -> Option<Measure> {
        self.depth += 1;
        if self.depth > 8 {
            return None;
        }
        let mut all = Measure::of(Decimal::ONE, NONE);
        let mut sign = if self.eats('/') { -1 } else { 1 };
        loop {
            all = all.times(self.component()?.to(sign)?)?;
            sign = match self.rest.chars().next() {
                Some('/') => -1,
                Some('.') => 1,
                _ => break,
            };
            self.rest = &self.rest[1..];
        }
        self.depth -= 1;
        Some(all)
    }

    fn eats(&mut self, mark: char) -> bool {
        let rest = self.rest.strip_prefix(mark);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn component(&mut self) -> Option<Measure> {
        if self.eats('(') {
            let inner = self.term()?;
            return self.eats(')').then_some(inner);
        }
        if self.annotation() {
            return Some(Measure::of(Decimal::ONE, NONE));
        }
        let end = self.rest.find(['/', '.', '(', ')', '{']).unwrap_or(self.rest.len());
        let (text, rest) = self.rest.split_at(end);
        self.rest = rest;
        self.annotation();
        simple(text)
    }

    /// `{tablet}`: for readers, of no weight.
    fn annotation(&mut self) -> bool {
        let Some(end) = self.rest.strip_prefix('{').and_then(|rest| rest.find('}')) else { return false };
        self.rest = &self.rest[end + 2..];
        true
    }
}

/// A unit with its prefix and exponent.
fn simple(text: &str) -> Option<Measure> {
    if let Some(measure) = prefixed(text) {
        return Some(measure);
    }
    let digits = text.bytes().rev().take_while(u8::is_ascii_digit).count();
    let (unit, exponent) = text.split_at(text.len() - digits);
    let sign = unit.strip_suffix(['-', '+']);
    let exponent: i8 = exponent.parse().ok()?;
    let exponent = if unit.ends_with('-') { -exponent } else { exponent };
    let unit = sign.unwrap_or(unit);
    if unit.is_empty() {
        // A number is a unit too.
        return Some(Measure::of(Decimal::from(exponent), NONE));
    }
    prefixed(unit)?.to(exponent)
}

fn prefixed(text: &str) -> Option<Measure> {
    let atom = |text: &str| ATOMS.iter().find(|(code, ..)| *code == text);
    if let Some((code, mantissa, power, dimensions, _)) = atom(text) {
        let below = if *code == "U" { Decimal::from(60) } else { Decimal::ONE };
        return Some(Measure { below, ..Measure::of(ten(*mantissa, *power)?, *dimensions) });
    }
    PREFIXES.iter().find_map(|(prefix, power)| {
        let (code, ..) = atom(text.strip_prefix(prefix)?).filter(|(.., metric)| *metric)?;
        let of = prefixed(code)?;
        Some(Measure { above: of.above.checked_mul(ten(1, *power)?)?, ..of })
    })
}

fn ten(mantissa: i64, power: i32) -> Option<Decimal> {
    Decimal::from(mantissa).checked_mul(Decimal::TEN.checked_powi(i64::from(power))?)
}

impl Measure {
    /// Of a unit of UCUM, by its code; none for one that is not known here.
    pub fn of_unit(code: &str) -> Option<Self> {
        Terms { rest: code, depth: 0 }.whole()
    }

    /// What the base units are called together. Amounts can be compared where it is the same.
    pub fn base_name(&self) -> String {
        base_name(&self.dimensions)
    }

    fn of(factor: Decimal, dimensions: Dimensions) -> Self {
        Self { above: factor, below: Decimal::ONE, dimensions }
    }

    /// So many of these in base units.
    pub fn base(&self, value: Decimal) -> Option<Decimal> {
        value.checked_mul(self.above)?.checked_div(self.below)
    }

    /// So many base units in these.
    pub(crate) fn in_these(&self, value: Decimal) -> Option<Decimal> {
        value.checked_mul(self.below)?.checked_div(self.above)
    }

    pub(crate) fn times(self, other: Self) -> Option<Self> {
        let mut dimensions = self.dimensions;
        for (of, and) in dimensions.iter_mut().zip(other.dimensions) {
            *of = of.checked_add(and)?;
        }
        let (above, below) = (self.above.checked_mul(other.above)?, self.below.checked_mul(other.below)?);
        Some(Self { above, below, dimensions })
    }

    pub(crate) fn to(self, exponent: i8) -> Option<Self> {
        let mut dimensions = self.dimensions;
        for of in &mut dimensions {
            *of = of.checked_mul(exponent)?;
        }
        let power = |of: Decimal| of.checked_powi(i64::from(exponent.unsigned_abs()));
        let (above, below) = (power(self.above)?, power(self.below)?);
        Some(if exponent < 0 {
            Self { above: below, below: above, dimensions }
        } else {
            Self { above, below, dimensions }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is(left: (&str, &str), right: (&str, &str)) -> bool {
        let base = |(value, unit): (&str, &str)| {
            let measure = measure(unit).unwrap_or_else(|| panic!("{unit} is not known"));
            (measure.base(value.parse().unwrap()).unwrap(), measure.dimensions)
        };
        base(left) == base(right)
    }

    #[test]
    fn units_are_as_long_as_the_code_says() {
        for (left, right) in [
            (("1", "kg"), ("1000000", "mg")),
            (("1", "L"), ("1000", "cm3")),
            (("1", "mL"), ("1", "cm3")),
            (("1", "wk"), ("168", "h")),
            (("1", "year"), ("12", "month")),
            (("1", "mg/kg"), ("1", "ug/g")),
            (("1", "km/h"), ("1000", "m/h")),
            (("1", "10*3/uL"), ("1", "10*9/L")),
            (("60", "/min"), ("1", "Hz")),
            (("1", "J"), ("1", "kg.m2/s2")),
            (("1", "mm[Hg]"), ("133.322", "Pa")),
            (("1", "[lb_av]"), ("453.59237", "g")),
            (("1", "{tablet}"), ("1", "1")),
            (("50", "%"), ("0.5", "{score}")),
            (("1", "mg/(kg.d)"), ("1", "mg/kg/d")),
            (("1", "m-1"), ("1", "/m")),
        ] {
            assert!(is(left, right), "{left:?} {right:?}");
        }
        for (left, right) in [(("1", "a"), ("1", "year")), (("1", "g"), ("1", "mL")), (("1", "[iU]"), ("1", "U"))] {
            assert!(!is(left, right), "{left:?} {right:?}");
        }
        for unknown in ["tablet", "kkg", "mg//kg", "mg/", "", "((((((((((g))))))))))", "g99999", "wks"] {
            assert_eq!(measure(unknown), None, "{unknown}");
        }
    }
}
