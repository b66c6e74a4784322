//! `xs:decimal`: a whole number and a scale. What does not fit is an error, never a wrong value.

use std::cmp::Ordering;
use std::fmt;

/// Digits of a fraction: as many as a division makes.
const SCALE_MAX: u32 = 18;

#[derive(Clone, Copy, Debug)]
pub(super) struct Decimal {
    units: i128,
    scale: u32,
}

impl Decimal {
    pub(super) fn whole(units: i128) -> Self {
        Self { units, scale: 0 }
    }

    /// `12`, `-1.50`, `.5`
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (negative, digits) = match text.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if whole.len() + fraction.len() == 0 || !all_digits(whole) || !all_digits(fraction) {
            return None;
        }
        let fraction = fraction.trim_end_matches('0');
        let fraction = &fraction[..fraction.len().min(SCALE_MAX as usize)];
        let mut units: i128 = 0;
        for digit in whole.bytes().chain(fraction.bytes()) {
            units = units.checked_mul(10)?.checked_add(i128::from(digit - b'0'))?;
        }
        let scale = u32::try_from(fraction.len()).ok()?;
        Some(Self { units: if negative { -units } else { units }, scale })
    }

    pub(super) fn to_double(self) -> f64 {
        // The text is read to the nearest double; a division of two would round twice.
        self.to_string().parse().unwrap_or(self.units as f64)
    }

    pub(super) fn of_double(value: f64) -> Option<Self> {
        if !value.is_finite() {
            return None;
        }
        Self::parse(&format!("{value}"))
    }

    pub(super) fn is_zero(self) -> bool {
        self.units == 0
    }

    pub(super) fn neg(self) -> Self {
        Self { units: -self.units, scale: self.scale }
    }

    pub(super) fn abs(self) -> Self {
        Self { units: self.units.abs(), scale: self.scale }
    }

    /// The least of all numbers has no negative: it does not fit.
    fn made(units: i128, scale: u32) -> Option<Self> {
        (units != i128::MIN).then(|| Self { units, scale }.reduced())
    }

    fn align(self, other: Self) -> Option<(i128, i128, u32)> {
        let scale = self.scale.max(other.scale);
        let up = |it: Self| it.units.checked_mul(10_i128.pow(scale - it.scale));
        Some((up(self)?, up(other)?, scale))
    }

    fn reduced(mut self) -> Self {
        while self.scale > 0 && self.units % 10 == 0 {
            self.units /= 10;
            self.scale -= 1;
        }
        while self.scale > SCALE_MAX {
            self.units /= 10;
            self.scale -= 1;
        }
        self
    }

    pub(super) fn add(self, other: Self) -> Option<Self> {
        let (left, right, scale) = self.align(other)?;
        Self::made(left.checked_add(right)?, scale)
    }

    pub(super) fn mul(self, other: Self) -> Option<Self> {
        Self::made(self.units.checked_mul(other.units)?, self.scale + other.scale)
    }

    /// The divisor is not 0.
    pub(super) fn div(self, other: Self) -> Option<Self> {
        let (left, right, _) = self.align(other)?;
        let whole = left.checked_div(right)?;
        let mut rest = left.checked_rem(right)?;
        let (mut units, mut scale) = (whole, 0);
        while rest != 0 && scale < SCALE_MAX {
            rest = rest.checked_mul(10)?;
            units = units.checked_mul(10)?.checked_add(rest / right)?;
            rest %= right;
            scale += 1;
        }
        Self::made(units, scale)
    }

    pub(super) fn rem(self, other: Self) -> Option<Self> {
        let (left, right, scale) = self.align(other)?;
        Self::made(left.checked_rem(right)?, scale)
    }

    pub(super) fn trunc(self) -> i128 {
        self.units / 10_i128.pow(self.scale)
    }

    pub(super) fn floor(self) -> i128 {
        self.units.div_euclid(10_i128.pow(self.scale))
    }

    pub(super) fn ceil(self) -> i128 {
        -self.neg().floor()
    }

    /// To so many digits after the point, or zeros before it. Half goes up, or to the even digit.
    pub(super) fn round(self, digits: i32, to_even: bool) -> Option<Self> {
        let drop = i64::from(self.scale) - i64::from(digits);
        if drop <= 0 {
            return Some(self);
        }
        let Some(unit) = u32::try_from(drop).ok().and_then(|drop| 10_i128.checked_pow(drop)) else {
            return Some(Self::whole(0));
        };
        let (mut units, rest) = (self.units.div_euclid(unit), self.units.rem_euclid(unit));
        let half = rest.checked_mul(2)?.cmp(&unit);
        if half == Ordering::Greater || (half == Ordering::Equal && (!to_even || units % 2 != 0)) {
            units += 1;
        }
        Some(match u32::try_from(digits) {
            Ok(scale) => Self { units, scale }.reduced(),
            Err(_) => {
                let zeros = 10_i128.checked_pow(digits.unsigned_abs())?;
                Self::whole(units.checked_mul(zeros)?)
            }
        })
    }

    pub(super) fn compare(self, other: Self) -> Ordering {
        match self.align(other) {
            Some((left, right, _)) => left.cmp(&right),
            None => self.to_double().total_cmp(&other.to_double()),
        }
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reduced = self.reduced();
        if reduced.scale == 0 {
            return write!(f, "{}", reduced.units);
        }
        let unit = 10_i128.pow(reduced.scale);
        let sign = if reduced.units < 0 { "-" } else { "" };
        let (whole, fraction) = ((reduced.units / unit).abs(), (reduced.units % unit).abs());
        write!(f, "{sign}{whole}.{fraction:0width$}", width = reduced.scale as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decimal(text: &str) -> Decimal {
        Decimal::parse(text).unwrap()
    }

    #[test]
    fn arithmetic_is_exact() {
        let text = |it: Option<Decimal>| it.map(|it| it.to_string()).unwrap_or_default();
        assert_eq!(text(decimal("0.1").add(decimal("0.2"))), "0.3");
        assert_eq!(text(decimal("1").div(decimal("3"))), "0.333333333333333333");
        assert_eq!(text(decimal("7").div(decimal("2"))), "3.5");
        assert_eq!(text(decimal("-7").rem(decimal("2"))), "-1");
        assert_eq!(text(decimal("1.50").mul(decimal("2"))), "3");
        assert_eq!(text(decimal("9").mul(Decimal::whole(i128::MAX))), "");
        assert_eq!(decimal("-0.05").to_string(), "-0.05");
        assert_eq!((decimal("-1.5").floor(), decimal("-1.5").ceil()), (-2, -1));
        assert_eq!(text(decimal("2.567").round(2, false)), "2.57");
        assert_eq!(text(decimal("-2.5").round(0, false)), "-2");
        assert_eq!(text(decimal("2.5").round(0, true)), "2");
        assert_eq!(text(decimal("1250").round(-2, false)), "1300");
        assert!(["", ".", "1.2.3", "1e5", "x"].iter().all(|it| Decimal::parse(it).is_none()));
    }
}
