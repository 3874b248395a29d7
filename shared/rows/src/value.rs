//! Which JSON values a typed column can hold *exactly*. All others go to `extra` as they are.

use std::borrow::Cow;

use jiff::civil::{Date, Time};
use jiff::tz::Offset;

use crate::scan::{Kind, Value};

pub(crate) use self::number::number;

mod number;

/// The text of a JSON string. None for any other value, and for a string with half a
/// surrogate pair (`"\ud83d"`), which JSON can write and Unicode text cannot hold.
#[inline]
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
#[inline]
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan::only;
    use proptest::prelude::*;

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

    proptest! {
        #[test]
        fn a_time_that_fits_comes_back(micro in -62_135_596_800_000_000i64..253_402_300_800_000_000) {
            let time = jiff::Timestamp::from_microsecond(micro).unwrap();
            prop_assert_eq!(micros(&format!("\"{time}\"")), Some(micro));
        }
    }
}
