//! A node with one shard, as the master hears it: obeys the orders of a control stream, and sends a
//! frame a second. It measures nothing; its frames are drawn beforehand.

use onrush_node::control_wire::{self, FromWorker, Phase, ShardKey, ShardReport, ToWorker};
use onrush_scenario::shard::Plan;
use onrush_scenario::stats::frame::{
    FRAME_VERSION, Frame, GeneratorHealth, RequestDelta, ScenarioDelta, Times,
};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::DuplexStream;
use tokio::sync::mpsc;

/// Frames that are drawn; shards and seconds take turns.
const DRAWN: usize = 64;
/// Samples of a request name in a frame: about a hundred of them have a bucket of their own.
const SAMPLES: usize = 110;
const MEDIAN_US: f64 = 20_000.0;
const SIGMA: f64 = 0.6;
/// A shard's frame is there within this time of the end of its second.
const CUT_WITHIN_MS: u64 = 100;
const ORDERS_MAX: usize = 64;
/// How long a worker without anything to do waits for an order.
const IDLE: Duration = Duration::from_secs(3_600);

/// What the shards are going to say.
pub(super) struct Frames(Vec<Frame>);

impl Frames {
    pub(super) fn draw(names: usize) -> Self {
        let mut dice = Dice(1);
        let request = |number: usize, dice: &mut Dice| {
            let ok = Times::of((0..SAMPLES).map(|_| dice.response_us()));
            RequestDelta {
                path: vec![format!("request {number}")],
                sent: SAMPLES as u64,
                ok,
                codes: vec![(200, SAMPLES as u64)],
                bytes_sent: 20_000,
                bytes_received: 100_000,
                ..RequestDelta::default()
            }
        };
        let frame = |_| Frame {
            version: FRAME_VERSION,
            requests: (0..names).map(|number| request(number, &mut dice)).collect(),
            scenarios: vec![ScenarioDelta {
                name: "visitors".to_owned(),
                started: 100,
                ended: 100,
                active: 200,
                active_max: 210,
                ..ScenarioDelta::default()
            }],
            generator: GeneratorHealth { cpu_percent: 60.0, ..GeneratorHealth::default() },
            ..Frame::default()
        };
        Self((0..DRAWN).map(frame).collect())
    }

    fn of(&self, key: &ShardKey, seq: u64) -> Frame {
        let turn = usize::try_from(u64::from(key.shard) * 7 + seq).unwrap_or(0) % DRAWN;
        Frame {
            shard: key.shard,
            epoch: key.epoch,
            seq,
            second: u32::try_from(seq - 1).unwrap_or(u32::MAX),
            ..self.0[turn].clone()
        }
    }

    /// Bytes of one as it crosses.
    pub(super) fn bytes(&self) -> usize {
        self.0[0].encode().len()
    }
}

/// Numbers that are the same in every run: xorshift.
struct Dice(u64);

impl Dice {
    /// Between 0 and 1, neither included.
    #[expect(clippy::cast_precision_loss, reason = "53 of 64 bits")]
    fn uniform(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 12) as f64 + 0.5) / (1_u64 << 52) as f64
    }

    /// Lognormal.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "positive, and far below 2^63"
    )]
    fn response_us(&mut self) -> u64 {
        let angle = std::f64::consts::TAU * self.uniform();
        let normal = (-2.0 * self.uniform().ln()).sqrt() * angle.cos();
        (MEDIAN_US * (SIGMA * normal).exp()) as u64
    }
}

/// Serves a master's stream until it ends.
pub(super) async fn talk(
    stream: DuplexStream,
    frames: Arc<Frames>,
) -> Result<(), control_wire::Error> {
    let (mut from, mut to) = tokio::io::split(stream);
    let (orders, mut inbox) = mpsc::channel(ORDERS_MAX);
    let reading = async {
        loop {
            let order = control_wire::receive::<ToWorker, _>(&mut from).await?;
            if orders.send(order).await.is_err() {
                return Ok(());
            }
        }
    };
    let working = async {
        let mut shard = Shard::default();
        loop {
            let answer = tokio::select! {
                order = inbox.recv() => match order {
                    Some(order) => shard.obey(order),
                    None => return Ok(()),
                },
                () = tokio::time::sleep(shard.wait()) => shard.frame(&frames),
            };
            if let Some(message) = answer {
                control_wire::send(&mut to, &message).await?;
            }
        }
    };
    tokio::select! {
        ended = reading => ended,
        ended = working => ended,
    }
}

#[derive(Default)]
struct Shard {
    report: Option<ShardReport>,
    /// When the master's monotonic clock was 0.
    origin: Option<Instant>,
    start: Option<Instant>,
    /// The last frame sent, once they were asked for.
    sent: Option<u64>,
}

impl Shard {
    fn obey(&mut self, order: ToWorker) -> Option<FromWorker> {
        match order {
            ToWorker::Hello { .. } => {}
            ToWorker::Heartbeat { mono_us, .. } => {
                // A millisecond on its way does not matter here.
                let origin = Instant::now().checked_sub(Duration::from_micros(mono_us));
                self.origin = self.origin.or(origin);
                return Some(FromWorker::Probe { sent_us: 0 });
            }
            ToWorker::Prepare(order) => {
                let phase = Phase::Ready { plan: plan() };
                let key = order.key;
                let (yields, load, closed) = Default::default();
                self.report = Some(ShardReport {
                    key,
                    phase,
                    newest: 0,
                    start_us: None,
                    yields,
                    load,
                    closed,
                });
            }
            ToWorker::Start { at_us, .. } => {
                let at = Duration::from_micros(u64::try_from(at_us).ok()?);
                self.start = Some(self.origin? + at);
                let report = self.report.as_mut()?;
                report.phase = Phase::Running;
            }
            ToWorker::Resume { cursor, .. } => {
                self.sent = Some(cursor);
                return None;
            }
            _ => return None,
        }
        Some(FromWorker::Report { shards: self.report.iter().cloned().collect() })
    }

    fn wait(&self) -> Duration {
        let (Some(report), Some(start), Some(sent)) = (&self.report, self.start, self.sent) else {
            return IDLE;
        };
        let late = u64::from(report.key.shard) * 37 % CUT_WITHIN_MS;
        let due = start + Duration::from_millis((sent + 1) * 1_000 + late);
        due.saturating_duration_since(Instant::now())
    }

    fn frame(&mut self, frames: &Frames) -> Option<FromWorker> {
        let (report, sent) = (self.report.as_ref()?, self.sent.as_mut()?);
        *sent += 1;
        let (key, seq) = (report.key.clone(), *sent);
        let body = frames.of(&key, seq).encode().into();
        Some(FromWorker::Frame { key, seq, body })
    }
}

fn plan() -> String {
    let plan = Plan {
        plan_hash: "same".to_owned(),
        simulation: "bench".to_owned(),
        scenarios: Vec::new(),
        injection_us: IDLE.as_secs() * 1_000_000,
        stages: 0,
        undivided: vec![],
        max_duration_us: None,
        assertions: serde_json::Value::Null,
    };
    serde_json::to_string(&plan).unwrap_or_default()
}
