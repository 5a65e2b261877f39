//! What came of it.

use std::fmt;
use std::time::Duration;

use super::members::Told;

/// What the server's process took at a time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    pub(super) at: Duration,
    pub(super) resident_kib: u64,
    pub(super) descriptors: usize,
}

pub(super) struct Report {
    pub(super) connections: usize,
    /// Before anybody came, and after everybody had gone.
    pub(super) idle: Sample,
    pub(super) last: Sample,
    pub(super) samples: Vec<Sample>,
    pub(super) told: Told,
    /// How many stalled.
    pub(super) stalled: u64,
    pub(super) counters: String,
}

/// Growth that is no leak: buffers and tables that reach their size late.
const GROWTH_KIB_PER_HOUR_MAX: f64 = 2_048.0;

impl Report {
    /// Nothing was lost, and nothing grew.
    pub(super) fn is_good(&self) -> bool {
        let Told { said, acknowledged, out_of_order, failed, .. } = &self.told;
        let kept = said == acknowledged && *out_of_order == 0 && failed.is_empty();
        kept && self.last.descriptors == self.idle.descriptors
            && self.growth_kib_per_hour() < GROWTH_KIB_PER_HOUR_MAX
    }

    /// The slope of a line through the resident memory (least squares), over the last two thirds of the time.
    fn growth_kib_per_hour(&self) -> f64 {
        let samples = self.samples.get(self.samples.len() / 3..).unwrap_or_default();
        let count = samples.len() as f64;
        let x = |it: &Sample| it.at.as_secs_f64() / 3600.0;
        let y = |it: &Sample| it.resident_kib as f64;
        let (mean_x, mean_y) = (
            samples.iter().map(x).sum::<f64>() / count,
            samples.iter().map(y).sum::<f64>() / count,
        );
        let above: f64 = samples.iter().map(|it| (x(it) - mean_x) * (y(it) - mean_y)).sum();
        let below: f64 = samples.iter().map(|it| (x(it) - mean_x).powi(2)).sum();
        above / below
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Told { opened, said, acknowledged, heard, out_of_order, failed } = &self.told;
        let time = self.samples.last().map_or(Duration::ZERO, |it| it.at);
        writeln!(f, "{} connections at a time for {} s", self.connections, time.as_secs())?;
        writeln!(f, "  came, chatted and went  {opened}")?;
        writeln!(f, "  stalled                 {}", self.stalled)?;
        writeln!(f, "  said                    {said}, {acknowledged} of them acknowledged")?;
        writeln!(f, "  heard                   {heard}, {out_of_order} out of order")?;
        writeln!(f, "  ended by themselves     {}", failed.len())?;
        for reason in failed.iter().take(5) {
            writeln!(f, "    {reason}")?;
        }
        writeln!(f, "the server")?;
        let Some(third) = self.samples.get(self.samples.len() / 3) else { return Ok(()) };
        let last = self.samples.last().unwrap_or(third);
        let most = self.samples.iter().map(|it| it.resident_kib).max().unwrap_or_default();
        writeln!(
            f,
            "  memory (KiB)            {} before, {} after a third, {} at the end, {most} at most, {} afterwards",
            self.idle.resident_kib, third.resident_kib, last.resident_kib, self.last.resident_kib
        )?;
        writeln!(f, "  growth (KiB an hour)    {:.0}", self.growth_kib_per_hour())?;
        writeln!(
            f,
            "  descriptors             {} before, {} afterwards",
            self.idle.descriptors, self.last.descriptors
        )?;
        writeln!(f, "{}", self.counters)?;
        write!(f, "{}", if self.is_good() { "nothing was lost, nothing grew" } else { "NOT GOOD" })
    }
}
