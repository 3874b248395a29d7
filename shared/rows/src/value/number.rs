//! Which numbers a double holds as they are written.

use std::cmp::Ordering;
use std::fmt::Write;

use crate::scan::{Kind, Value};

/// Digits that any number of 64 bits may have.
const MOST_DIGITS: usize = 19;

/// Digits that a number may have in any case without a double changing it.
const SAFE_DIGITS: usize = 15;

/// A JSON number as a double. None for any other value, and for a number that a double
/// changes: one that is not the double itself, rounded to the digits that are written. So
/// every double fits however it was printed, and an integer only if it is exactly that.
#[inline]
pub(crate) fn number(value: Value<'_>) -> Option<f64> {
    if value.kind != Kind::Number {
        return None;
    }
    let raw = value.raw;
    let double: f64 = raw.parse().ok().filter(|double: &f64| double.is_finite())?;
    if raw.len() <= SAFE_DIGITS && double.is_normal() {
        return Some(double);
    }
    let written = Written::of(raw);
    let safe = written.digits <= SAFE_DIGITS && double.is_normal();
    (safe || written.digits == 0 || written.is(double)).then_some(double)
}

/// A number as it is written: its digits from the first that is not zero on, and for a
/// fraction to the last that is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Written<'a> {
    raw: &'a str,
    /// How many they are; none is zero.
    digits: usize,
    /// The digits as a number, if they are few enough.
    number: u64,
    /// How many of them stand behind the point, if the number has no exponent.
    fraction: Option<u32>,
}

impl<'a> Written<'a> {
    fn of(raw: &'a str) -> Self {
        let mut written = Self {
            raw,
            digits: 0,
            number: 0,
            fraction: Some(0),
        };
        let mut behind_point = false;
        // As it was before the zeros that come last.
        let mut kept = written;
        for byte in raw.bytes() {
            match byte {
                b'0'..=b'9' => {
                    written.digits += usize::from(written.digits > 0 || byte != b'0');
                    written.number = written
                        .number
                        .wrapping_mul(10)
                        .wrapping_add(u64::from(byte - b'0'));
                    written.fraction = written
                        .fraction
                        .map(|digits| digits + u32::from(behind_point));
                    if byte != b'0' || !behind_point {
                        kept = written;
                    }
                }
                b'.' => behind_point = true,
                b'e' | b'E' => {
                    kept.fraction = None;
                    break;
                }
                _ => {}
            }
        }
        kept
    }

    /// Whether the double, rounded to as many digits, is the number that is written.
    fn is(&self, double: f64) -> bool {
        self.is_near(double)
            .unwrap_or_else(|| self.is_printed(double))
    }

    /// The same, found with integers, for fractions of usual size.
    fn is_near(&self, double: f64) -> Option<bool> {
        let fraction = self.fraction.filter(|_| self.digits <= MOST_DIGITS)?;
        let bits = double.to_bits();
        let exponent = u32::try_from((bits >> 52) & 0x7ff).ok()?;
        let mantissa = (bits & ((1 << 52) - 1)) | (1 << 52);
        // The double is mantissa / 2^shift, and the number is number / 10^fraction.
        let shift = 1075u32.checked_sub(exponent).filter(|shift| *shift <= 60)?;
        if exponent == 0 || fraction > 20 {
            return None;
        }
        let number = u128::from(self.number) << shift;
        let double = u128::from(mantissa) * 10u128.pow(fraction);
        // Which way half a unit is rounded is told by printing.
        match (number.abs_diff(double) << 1).cmp(&(1 << shift)) {
            Ordering::Less => Some(true),
            Ordering::Equal => None,
            Ordering::Greater => Some(false),
        }
    }

    /// The same, found by printing the double.
    fn is_printed(&self, double: f64) -> bool {
        let digits = self.digits.saturating_sub(1);
        let mut text = String::with_capacity(self.digits + 8);
        let rounded = write!(text, "{double:.digits$e}").is_ok() && same_number(&text, self.raw);
        // The shortest form rounds half a unit in its own way. An integer has no other form.
        let is_integer = !self.raw.contains(['.', 'e', 'E']);
        if rounded || is_integer {
            return rounded;
        }
        text.clear();
        write!(text, "{double:e}").is_ok() && same_number(&text, self.raw)
    }
}

/// Whether two numbers are the same when they are read without a limit to their digits.
fn same_number(a: &str, b: &str) -> bool {
    /// The digits between the zeros at both ends, and the power of ten of the last.
    fn read(text: &str) -> Option<(bool, Vec<u8>, i64)> {
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = whole
            .bytes()
            .chain(fraction.bytes())
            .filter(u8::is_ascii_digit);
        let mut digits: Vec<u8> = digits.skip_while(|digit| *digit == b'0').collect();
        let mut exponent: i64 = exponent.parse().ok()?;
        exponent = exponent.checked_sub(i64::try_from(fraction.len()).ok()?)?;
        while digits.last() == Some(&b'0') {
            digits.pop();
            exponent = exponent.checked_add(1)?;
        }
        Some((mantissa.starts_with('-'), digits, exponent))
    }
    read(a).is_some_and(|number| read(b) == Some(number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan::only;
    use proptest::num;
    use proptest::prelude::*;

    fn number(raw: &str) -> Option<f64> {
        super::number(only(raw).unwrap())
    }

    #[test]
    fn a_number_fits_if_a_double_does_not_change_it() {
        for (raw, double) in [
            ("0", 0.0),
            ("-0", -0.0),
            ("0.000e99999", 0.0),
            ("66", 66.0),
            ("1.50", 1.5),
            ("1763683208.6361175", 1_763_683_208.636_117_5),
            ("0.1", 0.1),
            // Half way between two decimals of 17 digits: each is printed somewhere.
            ("33415539819928.063", 33_415_539_819_928.063),
            ("33415539819928.062", 33_415_539_819_928.063),
            ("3.3415539819928063e13", 33_415_539_819_928.063),
            ("0.10000000000000001", 0.1),
            ("0.1000000000000000055511151231257827", 0.1),
            ("0.1000000000000000000000000000000000", 0.1),
            ("1E+2", 100.0),
            ("9007199254740992", 9_007_199_254_740_992.0),
            ("9007199254740994", 9_007_199_254_740_994.0),
            ("1180591620717411303424", 1_180_591_620_717_411_303_424.0),
            ("340282366920938463463374607431768211456", 2f64.powi(128)),
            ("5e-324", 5e-324),
            ("1.7976931348623157e308", f64::MAX),
        ] {
            assert_eq!(
                number(raw).map(f64::to_bits),
                Some(double.to_bits()),
                "{raw}"
            );
        }
        for raw in [
            "9007199254740993",
            "-9007199254740993",
            "1180591620717411303425",
            "340282366920938463463374607431768211457",
            "1.000000000000000000001",
            "12345678901234567000",
            "0.1234567890123456789",
            "0.10000000000000004",
            "0.1000000000000000055511151231257828",
            "1763683208.63611751",
            "4e-324",
            "1e-400",
            "1e400",
            "1e99999999999999999999",
            r#""NaN""#,
            r#""1""#,
            "null",
            "true",
            "[1]",
        ] {
            assert_eq!(number(raw), None, "{raw}");
        }
    }

    proptest! {
        #[test]
        fn every_double_fits_in_each_of_its_usual_forms(
            double in num::f64::POSITIVE | num::f64::NEGATIVE | num::f64::NORMAL | num::f64::SUBNORMAL | num::f64::ZERO,
        ) {
            for raw in [
                serde_json::to_string(&double).unwrap(),
                format!("{double:e}"),
                format!("{double:.16e}"),
                format!("{double:.40e}"),
            ] {
                prop_assert_eq!(number(&raw).map(f64::to_bits), Some(double.to_bits()), "{}", raw);
            }
        }

        #[test]
        fn a_fraction_fits_with_integers_as_it_does_printed(text in "[1-9][0-9]{0,9}\\.[0-9]{5,9}[1-9]") {
            let double: f64 = text.parse().unwrap();
            let written = Written::of(&text);
            if let Some(near) = written.is_near(double) {
                prop_assert_eq!(near, written.is_printed(double), "{}", text);
            }
        }

        #[test]
        fn an_integer_fits_if_and_only_if_it_comes_back(integer: i64) {
            #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "that is the question")]
            let comes_back = (integer as f64) as i128 == i128::from(integer);
            prop_assert_eq!(number(&integer.to_string()).is_some(), comes_back);
        }
    }
}
