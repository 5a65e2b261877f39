//! Rows of the table.

/// One row: what was measured, the median, and the least and the most of the rounds.
pub(crate) struct Row {
    pub(crate) mode: String,
    pub(crate) figure: String,
    pub(crate) spread: String,
    pub(crate) target: &'static str,
}

impl Row {
    /// A row of numbers, with a word for what they count.
    pub(crate) fn of(
        mode: impl Into<String>,
        unit: &str,
        values: &[f64],
        target: &'static str,
    ) -> Self {
        let least = values.iter().copied().fold(f64::INFINITY, f64::min);
        let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        Self {
            mode: mode.into(),
            figure: format!("{} {unit}", number(median(values))).trim_end().to_owned(),
            spread: format!("{} to {}", number(least), number(most)),
            target,
        }
    }

    pub(crate) fn print(&self) {
        println!("| {} | {} | {} | {} |", self.mode, self.figure, self.spread, self.target);
    }
}

pub(crate) fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Thousands with commas, small numbers with two digits after the point.
fn number(value: f64) -> String {
    if value.abs() < 100.0 {
        return format!("{value:.2}");
    }
    let digits = format!("{:.0}", value.abs());
    let mut text = String::from(if value < 0.0 { "-" } else { "" });
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
