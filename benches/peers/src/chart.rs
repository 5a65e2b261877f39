//! A chart of a workload: for each case and peer a bar from 1 to how far ours is ahead, or behind.
//!
//! The axis is logarithmic, so that twice and half are equally far from 1. Colours are such that they can be read on a
//! light page and on a dark one; there is no background.

use std::fmt::Write;

use crate::report::{Found, Spread};

const WIDTH: f64 = 760.0;
const NAMES_WIDTH: f64 = 150.0;
const FIGURES_WIDTH: f64 = 60.0;
const TOP: f64 = 58.0;
const TITLE_HEIGHT: f64 = 24.0;
const BAR_HEIGHT: f64 = 16.0;
const GAP: f64 = 8.0;
const TEXT: &str = "#808080";
const AHEAD: &str = "#3b8ec2";
const BEHIND: &str = "#c9713c";

/// None where there is nothing to show.
pub fn draw(title: &str, groups: &[(&str, &[Found])]) -> Option<String> {
    let bars = |found: &'_ [Found]| -> Vec<(&'static str, Spread)> {
        found.iter().filter_map(|it| Some((it.name, it.by_default?))).collect()
    };
    let spreads: Vec<_> = groups.iter().flat_map(|it| bars(it.1)).map(|it| it.1).collect();
    if spreads.is_empty() {
        return None;
    }
    let axis = Axis::new(&spreads);
    let mut body = String::new();
    let mut y = TOP;
    for (case, found) in groups {
        y += TITLE_HEIGHT;
        text(&mut body, 0.0, y - 8.0, "start", "bold", case);
        for (name, spread) in bars(found) {
            bar(&mut body, &axis, y, name, spread);
            y += BAR_HEIGHT;
        }
        y += GAP;
    }
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {y}\" width=\"{WIDTH}\" height=\"{y}\" \
        font-family=\"sans-serif\" font-size=\"12\" fill=\"{TEXT}\">\n"
    );
    text(&mut svg, 0.0, 16.0, "start", "bold", title);
    text(
        &mut svg,
        0.0,
        32.0,
        "start",
        "normal",
        "Right of 1: ours is ahead. Lines: least to most.",
    );
    for value in axis.ticks() {
        let x = axis.x(value);
        let strength = if value == 1.0 { 0.9 } else { 0.25 };
        let _ = writeln!(
            svg,
            "<path d=\"M{x:.1} {TOP}V{y:.1}\" stroke=\"{TEXT}\" stroke-opacity=\"{strength}\"/>"
        );
        text(&mut svg, x, TOP - 4.0, "middle", "normal", &value.to_string());
    }
    Some(svg + &body + "</svg>\n")
}

fn bar(svg: &mut String, axis: &Axis, top: f64, name: &str, spread: Spread) {
    let Spread { median, least, most } = spread;
    let middle = top + BAR_HEIGHT / 2.0;
    let (from, to) = (axis.x(median.min(1.0)), axis.x(median.max(1.0)));
    let (width, height) = (to - from, BAR_HEIGHT - 4.0);
    let colour = if median < 1.0 { BEHIND } else { AHEAD };
    text(svg, NAMES_WIDTH - 8.0, middle + 4.0, "end", "normal", name);
    let _ = writeln!(
        svg,
        "<rect x=\"{from:.1}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"{height}\" fill=\"{colour}\"/>",
        top + 2.0
    );
    let (left, right) = (axis.x(least), axis.x(most));
    let _ = writeln!(svg, "<path d=\"M{left:.1} {middle:.1}H{right:.1}\" stroke=\"{TEXT}\"/>");
    text(svg, WIDTH, middle + 4.0, "end", "normal", &format!("{median:.2}"));
}

fn text(svg: &mut String, x: f64, y: f64, anchor: &str, weight: &str, words: &str) {
    let words = words.replace('&', "&amp;").replace('<', "&lt;");
    let _ = writeln!(
        svg,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" font-weight=\"{weight}\">{words}</text>"
    );
}

/// Powers of two.
struct Axis {
    first: i32,
    last: i32,
}

impl Axis {
    fn new(spreads: &[Spread]) -> Self {
        let least = spreads.iter().map(|it| it.least).fold(1.0, f64::min);
        let most = spreads.iter().map(|it| it.most).fold(1.0, f64::max);
        Self { first: least.log2().floor() as i32, last: (most.log2().ceil() as i32).max(1) }
    }

    fn ticks(&self) -> impl Iterator<Item = f64> {
        (self.first..=self.last).map(|power| f64::from(power).exp2())
    }

    fn x(&self, value: f64) -> f64 {
        let room = WIDTH - NAMES_WIDTH - FIGURES_WIDTH;
        let part = (value.log2() - f64::from(self.first)) / f64::from(self.last - self.first);
        NAMES_WIDTH + part * room
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_axis_has_room_for_all_and_for_one() {
        let spread = |least, most| Spread { median: least, least, most };
        let axis = Axis::new(&[spread(0.7, 1.1), spread(3.0, 5.0)]);
        assert_eq!(axis.ticks().collect::<Vec<_>>(), [0.5, 1.0, 2.0, 4.0, 8.0]);
        assert_eq!(axis.x(0.5), NAMES_WIDTH);
        assert_eq!(axis.x(8.0), WIDTH - FIGURES_WIDTH);
        assert_eq!(Axis::new(&[spread(1.0, 1.0)]).ticks().collect::<Vec<_>>(), [1.0, 2.0]);
    }

    #[test]
    fn there_is_no_chart_of_nothing() {
        assert!(draw("echo", &[("16 B", &[])]).is_none());
    }
}
