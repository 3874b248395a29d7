//! Which JSON values a typed column can hold *exactly*. All others go to `extra` as they are.

use std::borrow::Cow;
use std::fmt::Write;

use jiff::civil::{Date, Time};
use jiff::tz::Offset;

use crate::scan::{Kind, Value};

/// The text of a JSON string. None for any other value, and for a string with half a
/// surrogate pair (`"\ud83d"`), which JSON can write and Unicode text cannot hold.
pub(crate) fn text(value: Value<'_>) -> Option<Cow<'_, str>> {
    match value.kind {
        Kind::Plain => {
            let inner = value.raw.strip_prefix('"')?.strip_suffix('"')?;
            Some(Cow::Borrowed(inner))
        }
        Kind::Escaped => serde_json::from_str(value.raw).ok().map(Cow::Owned),
        _ => None,
    }
}

/// Whether the string is `wanted`, which has nothing in it that must be escaped.
pub(crate) fn is_text(value: Value<'_>, wanted: &str) -> bool {
    text(value).is_some_and(|text| text == wanted)
}

/// Whether the value is true; none if it is neither true nor false.
pub(crate) fn flag(value: Value<'_>) -> Option<bool> {
    (value.kind == Kind::Flag).then_some(value.raw == "true")
}

/// A transaction id: a string or number of digits, that a signed 64-bit integer gives back.
pub(crate) fn xact(value: Value<'_>) -> Option<i64> {
    let text = text(value).unwrap_or(Cow::Borrowed(value.raw));
    let id: i64 = text.parse().ok()?;
    let as_written = !text.starts_with(['+', '-', '0']) || &*text == "0";
    as_written.then_some(id)
}

/// Microseconds since 1970 of a time such as `2026-05-12T23:48:21.627Z`. None for anything
/// that they cannot give back: nanoseconds, an offset other than `Z`, a leap second.
pub(crate) fn micros(value: Value<'_>) -> Option<i64> {
    let text = text(value)?;
    let (head, tail) = text.as_bytes().split_first_chunk::<19>()?;
    let form = b"dddd-dd-ddTdd:dd:dd";
    let fits = |(is, form): (&u8, &u8)| match form {
        b'd' => is.is_ascii_digit(),
        _ => is == form,
    };
    if !head.iter().zip(form).all(fits) {
        return None;
    }
    let fraction = match tail {
        [b'Z'] => 0,
        [b'.', digits @ .., b'Z'] => micros_of_fraction(digits)?,
        _ => return None,
    };
    let two = |at: usize| i8::try_from(digits_at(head, at, 2)).ok();
    let year = i16::try_from(digits_at(head, 0, 4)).ok()?;
    // A leap second, :60, is none here.
    let date = Date::new(year, two(5)?, two(8)?).ok()?;
    let time = Time::new(two(11)?, two(14)?, two(17)?, 0).ok()?;
    let second = Offset::UTC.to_timestamp(date.to_datetime(time)).ok()?;
    second.as_microsecond().checked_add(fraction)
}

/// The number in the digits at a place, which are digits.
fn digits_at(text: &[u8], at: usize, length: usize) -> u32 {
    let digits = text.iter().skip(at).take(length);
    digits.fold(0, |number, digit| number * 10 + u32::from(digit - b'0'))
}

/// Microseconds of the digits behind the point, of which there may be more only if they are
/// zeros.
fn micros_of_fraction(digits: &[u8]) -> Option<i64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    if digits.iter().skip(6).any(|digit| *digit != b'0') {
        return None;
    }
    let padded = digits
        .iter()
        .copied()
        .chain(std::iter::repeat(b'0'))
        .take(6);
    Some(padded.fold(0, |number, digit| number * 10 + i64::from(digit - b'0')))
}

/// Digits that any number of 64 bits may have.
const MOST_DIGITS: usize = 19;

/// Digits that a number may have in any case without a double changing it.
const SAFE_DIGITS: usize = 15;

/// A JSON number as a double. None for any other value, and for a number that a double
/// changes: one that is not the double itself, rounded to the digits that are written. So
/// every double fits however it was printed, and an integer only if it is exactly that.
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
        Some(number.abs_diff(double) << 1 <= 1 << shift)
    }

    /// The same, found by printing the double.
    fn is_printed(&self, double: f64) -> bool {
        let mut text = String::with_capacity(self.digits + 8);
        let digits = self.digits.saturating_sub(1);
        write!(text, "{double:.digits$e}").is_ok() && same_number(&text, self.raw)
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
    use proptest::prelude::*;

    fn number(raw: &str) -> Option<f64> {
        super::number(only(raw).unwrap())
    }

    fn micros(raw: &str) -> Option<i64> {
        super::micros(only(raw).unwrap())
    }

    fn xact(raw: &str) -> Option<i64> {
        super::xact(only(raw).unwrap())
    }

    fn text(raw: &str) -> Option<Cow<'_, str>> {
        super::text(only(raw).unwrap())
    }

    #[test]
    fn half_a_surrogate_pair_is_no_text_and_a_whole_one_is() {
        assert_eq!(
            text(r#""\ud83d\ude00 \u0000\n""#).as_deref(),
            Some("😀 \0\n")
        );
        assert!(matches!(text(r#""😀""#), Some(Cow::Borrowed("😀"))));
        for bad in [
            r#""\ud83d""#,
            r#""\ude00\ud83d""#,
            r#""\ud83dx""#,
            "1",
            "null",
            "[]",
        ] {
            assert_eq!(text(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_transaction_id_fits_up_to_the_last_signed_one_and_as_it_is_written() {
        for (raw, id) in [
            (r#""1000197156529394086""#, 1_000_197_156_529_394_086),
            ("1000197156529394086", 1_000_197_156_529_394_086),
            (r#""9223372036854775807""#, i64::MAX),
            (r#""0""#, 0),
        ] {
            assert_eq!(xact(raw), Some(id), "{raw}");
        }
        for raw in [
            r#""9223372036854775808""#,
            r#""01""#,
            r#""+1""#,
            "-1",
            "1.0",
            "1e3",
        ] {
            assert_eq!(xact(raw), None, "{raw}");
        }
    }

    #[test]
    fn a_time_fits_if_microseconds_give_it_back() {
        for (raw, micro) in [
            (r#""1970-01-01T00:00:00Z""#, 0),
            (r#""2026-05-12T23:48:21.627Z""#, 1_778_629_701_627_000),
            (r#""2026-05-12T23:48:21.627123Z""#, 1_778_629_701_627_123),
            (r#""2026-05-12T23:48:21.627123000Z""#, 1_778_629_701_627_123),
            (r#""1969-12-31T23:59:59.999999Z""#, -1),
            (r#""0001-01-01T00:00:00Z""#, -62_135_596_800_000_000),
        ] {
            assert_eq!(micros(raw), Some(micro), "{raw}");
        }
        for raw in [
            r#""2026-05-12T23:48:21.6271234Z""#,
            r#""2026-05-12T23:48:21.627+00:00""#,
            r#""2026-05-12T23:48:60Z""#,
            r#""2026-02-30T23:48:21Z""#,
            r#""2026-05-12T24:00:00Z""#,
            r#""2026-05-12 23:48:21Z""#,
            r#""2026-05-12T23:48:21Z[UTC]""#,
            r#""2026-05-12T23:48:21""#,
            r#""2026-05-12T23:48:21.Z""#,
            r#""2026-05-12""#,
            "1778629701",
            r#""""#,
        ] {
            assert_eq!(micros(raw), None, "{raw}");
        }
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
        fn every_double_fits_in_each_of_its_usual_forms(double in proptest::num::f64::ANY) {
            prop_assume!(double.is_finite());
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

        #[test]
        fn a_time_that_fits_comes_back(micro in -62_135_596_800_000_000i64..253_402_300_800_000_000) {
            let time = jiff::Timestamp::from_microsecond(micro).unwrap();
            prop_assert_eq!(micros(&format!("\"{time}\"")), Some(micro));
        }
    }
}
