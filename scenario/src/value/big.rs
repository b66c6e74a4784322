//! Whole numbers beyond 64 bits: kept as their digits, because nothing is done with them but to
//! compare them and to write them. What fits into an `i64` is never one.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use super::Value;

/// Digits without leading zeros, a minus before them where it is negative.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Big(Arc<str>);

impl Big {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    #[must_use]
    pub fn is_negative(&self) -> bool {
        self.0.starts_with('-')
    }

    /// The nearest double.
    #[must_use]
    pub fn to_f64(&self) -> f64 {
        // Digits are always a double's text.
        self.0.parse().unwrap_or(f64::NAN)
    }

    /// The lowest 64 bits of the two's complement, as Java's `BigInteger.longValue`.
    #[must_use]
    pub fn low_bits(&self) -> i64 {
        let digits = self.0.bytes().filter(u8::is_ascii_digit);
        let magnitude = digits
            .fold(0_i64, |low, digit| low.wrapping_mul(10).wrapping_add(i64::from(digit - b'0')));
        if self.is_negative() { magnitude.wrapping_neg() } else { magnitude }
    }

    /// Against a double, exactly.
    #[must_use]
    pub fn cmp_f64(&self, number: f64) -> Ordering {
        let side = if self.is_negative() { Ordering::Less } else { Ordering::Greater };
        if !number.is_finite() {
            // Java has it that nothing is greater than what is no number.
            return if number == f64::NEG_INFINITY { Ordering::Greater } else { Ordering::Less };
        }
        match Value::integer(&format!("{:.0}", number.trunc())) {
            Some(Value::Big(other)) => self.cmp(&other),
            _ => side,
        }
    }
}

impl Ord for Big {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_magnitude = || (self.0.len(), &self.0).cmp(&(other.0.len(), &other.0));
        match (self.is_negative(), other.is_negative()) {
            (false, true) => Ordering::Greater,
            (true, false) => Ordering::Less,
            (false, false) => by_magnitude(),
            (true, true) => by_magnitude().reverse(),
        }
    }
}

impl PartialOrd for Big {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Big {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Value {
    /// A whole number of any size from its digits, a minus before them or none; nothing for other
    /// text.
    #[must_use]
    pub fn integer(text: &str) -> Option<Self> {
        if let Ok(number) = text.parse() {
            return (!text.starts_with('+')).then_some(Self::Int(number));
        }
        let (minus, digits) = text.strip_prefix('-').map_or(("", text), |digits| ("-", digits));
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let significant = digits.trim_start_matches('0');
        if significant.len() == digits.len() {
            return Some(Self::Big(Big(text.into())));
        }
        // Without the zeros it may be small.
        let text = format!("{minus}{}", if significant.is_empty() { "0" } else { significant });
        Some(text.parse().map_or_else(|_| Self::Big(Big(text.into())), Self::Int))
    }

    /// Of a number of any kind, the nearest double.
    #[must_use]
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            #[expect(clippy::cast_precision_loss, reason = "what asking for a double means")]
            Self::Int(number) => Some(*number as f64),
            Self::Double(number) => Some(*number),
            Self::Big(number) => Some(number.to_f64()),
            _ => None,
        }
    }

    /// The order of two numbers: whole ones exactly, others as doubles. Nothing where one is not a
    /// number, or not one of JavaScript's.
    #[must_use]
    pub fn cmp_numbers(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Int(left), Self::Int(right)) => Some(left.cmp(right)),
            (Self::Big(left), Self::Big(right)) => Some(left.cmp(right)),
            (Self::Big(big), Self::Int(_)) => {
                Some(if big.is_negative() { Ordering::Less } else { Ordering::Greater })
            }
            (Self::Big(big), Self::Double(number)) => Some(big.cmp_f64(*number)),
            (Self::Int(_) | Self::Double(_), Self::Big(_)) => {
                other.cmp_numbers(self).map(Ordering::reverse)
            }
            _ => self.as_f64()?.partial_cmp(&other.as_f64()?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn big(text: &str) -> Big {
        match Value::integer(text) {
            Some(Value::Big(big)) => big,
            other => unreachable!("{text} is {other:?}"),
        }
    }

    #[test]
    fn only_what_64_bits_cannot_hold_is_big() {
        for (text, small) in [
            ("9223372036854775807", i64::MAX),
            ("-9223372036854775808", i64::MIN),
            ("-0", 0),
            ("000000000000000000000000007", 7),
        ] {
            assert_eq!(Value::integer(text), Some(Value::Int(small)), "{text}");
        }
        assert_eq!(big("9223372036854775808").to_string(), "9223372036854775808");
        assert_eq!(big("-009223372036854775809").to_string(), "-9223372036854775809");
        for text in ["", "-", "+1", "1.0", "1e3", "9223372036854775808x", "--9223372036854775808"] {
            assert_eq!(Value::integer(text), None, "{text}");
        }
    }

    /// As `BigInteger.longValue` and `intValue` have it.
    #[test]
    fn the_low_bits_are_those_of_the_twos_complement() {
        for (text, low) in [
            ("9223372036854775808", i64::MIN),
            ("18446744073709551615", -1),
            ("18446744073709551616", 0),
            ("-9223372036854775809", i64::MAX),
            // 123456789012345678901234567890 mod 2^64 is 14083847773837265618.
            ("123456789012345678901234567890", 14_083_847_773_837_265_618_u64.cast_signed()),
        ] {
            assert_eq!(big(text).low_bits(), low, "{text}");
        }
    }

    #[test]
    fn numbers_are_ordered_exactly() {
        let ordered: Vec<Value> = [
            "-18446744073709551616",
            "-9223372036854775809",
            "-9223372036854775808",
            "9007199254740992",
            "9007199254740993",
            "9223372036854775807",
            "9223372036854775808",
            "10000000000000000000",
            "123456789012345678901234567890",
        ]
        .iter()
        .filter_map(|text| Value::integer(text))
        .collect();
        assert_eq!(ordered.len(), 9);
        for (at, left) in ordered.iter().enumerate() {
            for (other, right) in ordered.iter().enumerate() {
                assert_eq!(left.cmp_numbers(right), Some(at.cmp(&other)), "{left} {right}");
            }
        }
        let two_64 = Value::Big(big("18446744073709551616"));
        assert_eq!(two_64.cmp_numbers(&Value::Double(2_f64.powi(64))), Some(Ordering::Equal));
        assert_eq!(Value::Double(1.5).cmp_numbers(&two_64), Some(Ordering::Less));
        assert_eq!(two_64.cmp_numbers(&Value::Double(f64::INFINITY)), Some(Ordering::Less));
        assert_eq!(two_64.cmp_numbers(&Value::from("1")), None);
        assert_eq!(two_64.as_f64(), Some(18_446_744_073_709_551_616.0));
    }
}
