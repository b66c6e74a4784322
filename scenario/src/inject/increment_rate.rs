//! `incrementUsersPerSec(inc).times(n).eachLevelLasting(L)`, expanded into constant rates and ramps.
//!
//! Without ramps: levels i = 0..n at `start + i*inc` (with start 0 the first has rate 0). With
//! ramps and start 0: n times a ramp up to `(i+1)*inc`, then that level. With ramps and another
//! start: level `start + i*inc`, then a ramp to the next, none after the last.

use super::OpenStep;
use crate::time::Micros;

pub(super) fn expand(
    increment: f64,
    times: u32,
    level_us: Micros,
    ramp_us: Micros,
    start: f64,
) -> Vec<OpenStep> {
    let level =
        |rate| OpenStep::ConstantUsersPerSec { rate, duration_us: level_us, randomized: false };
    let ramp =
        |from, to| OpenStep::RampUsersPerSec { from, to, duration_us: ramp_us, randomized: false };
    let rate = |i: u32| f64::from(i).mul_add(increment, start);
    let mut steps = Vec::new();
    for i in 0..times {
        if ramp_us == 0 {
            steps.push(level(rate(i)));
        } else if start == 0.0 {
            steps.push(ramp(rate(i), rate(i + 1)));
            steps.push(level(rate(i + 1)));
        } else {
            steps.push(level(rate(i)));
            if i + 1 < times {
                steps.push(ramp(rate(i), rate(i + 1)));
            }
        }
    }
    steps
}
