//! Time lines as SVG.

use std::fmt::Write;

use super::html::escape;
use crate::unit::Unit;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 130.0;
const LEFT: f64 = 74.0;
const RIGHT: f64 = 8.0;
const TOP: f64 = 8.0;
const BOTTOM: f64 = 22.0;

/// One line of a chart: what it shows, and its points in seconds and values. Where it is broken nothing was measured.
pub(super) struct Line {
    pub(super) name: String,
    pub(super) points: Vec<Option<(f64, f64)>>,
}

/// What a chart shows.
pub(super) struct Chart<'a> {
    pub(super) title: &'a str,
    pub(super) unit: Unit,
    pub(super) lines: Vec<Line>,
    /// Seconds of the call.
    pub(super) seconds: f64,
    /// Stretches in which something was not as expected.
    pub(super) shades: &'a [(f64, f64)],
    /// Things that happened, and when.
    pub(super) notes: &'a [(f64, String)],
    /// What was done, and when, with what it is marked by.
    pub(super) marks: &'a [Mark],
}

/// Something that was done on purpose, marked in every chart.
#[derive(Clone, Debug, PartialEq)]
pub struct Mark {
    /// Seconds since the beginning.
    pub at: f64,
    /// A letter or two.
    pub label: String,
    /// What it was.
    pub text: String,
}

impl Chart<'_> {
    /// Empty where nothing was measured.
    pub(super) fn draw(&self) -> String {
        let values = self.lines.iter().flat_map(|line| &line.points).flatten();
        let top = values.map(|(_, value)| *value).reduce(f64::max);
        let Some(top) = top else {
            return String::new();
        };
        let top = round_up(top);
        let mut svg = String::new();
        let title = escape(self.title);
        let _ = write!(
            svg,
            "<figure><figcaption>{title}{}</figcaption><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{title}\">",
            self.legend()
        );
        for (from, to) in self.shades {
            let (left, right) = (self.x(*from), self.x(*to));
            let _ = write!(
                svg,
                "<rect class=\"bad\" x=\"{left:.1}\" y=\"{TOP}\" width=\"{:.1}\" height=\"{:.1}\"/>",
                right - left,
                HEIGHT - TOP - BOTTOM
            );
        }
        self.axes(&mut svg, top);
        for (at, text) in self.notes {
            let x = self.x(*at);
            let _ = write!(
                svg,
                "<line class=\"note\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{TOP}\" y2=\"{:.1}\"><title>{:.1} s: {}</title></line>",
                HEIGHT - BOTTOM,
                at,
                escape(text)
            );
        }
        for mark in self.marks {
            let x = self.x(mark.at);
            let _ = write!(
                svg,
                "<g class=\"mark\"><line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{TOP}\" y2=\"{:.1}\"/><text x=\"{:.1}\" y=\"{:.1}\">{}</text><title>{:.1} s: {}</title></g>",
                HEIGHT - BOTTOM,
                x + 3.0,
                TOP + 9.0,
                escape(&mark.label),
                mark.at,
                escape(&mark.text)
            );
        }
        for (number, line) in self.lines.iter().enumerate() {
            self.line(&mut svg, number, line, top);
        }
        svg.push_str("</svg></figure>");
        svg
    }

    fn legend(&self) -> String {
        if self.lines.len() < 2 {
            return String::new();
        }
        let each = self.lines.iter().enumerate();
        each.map(|(number, line)| {
            format!(
                " <span class=\"key line{number}\">{}</span>",
                escape(&line.name)
            )
        })
        .collect()
    }

    fn axes(&self, svg: &mut String, top: f64) {
        for share in [0.0, 0.5, 1.0] {
            let y = self.y(top * share, top);
            let _ = write!(
                svg,
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/><text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                WIDTH - RIGHT,
                LEFT - 6.0,
                y + 4.0,
                escape(&self.unit.tell(top * share))
            );
        }
        let step = round_up(self.seconds / 8.0).max(1.0);
        let mut at = 0.0;
        while at <= self.seconds {
            let _ = write!(
                svg,
                "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{at:.0} s</text>",
                self.x(at),
                HEIGHT - 6.0
            );
            at += step;
        }
    }

    fn line(&self, svg: &mut String, number: usize, line: &Line, top: f64) {
        for piece in line.points.split(Option::is_none) {
            let points: Vec<_> = piece.iter().flatten().collect();
            match points[..] {
                [] => {}
                [(at, value)] => {
                    let (x, y) = (self.x(*at), self.y(*value, top));
                    let _ = write!(
                        svg,
                        "<circle class=\"line{number}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2\"/>"
                    );
                }
                _ => {
                    let _ = write!(svg, "<polyline class=\"line{number}\" points=\"");
                    for (at, value) in points {
                        let _ = write!(svg, "{:.1},{:.1} ", self.x(*at), self.y(*value, top));
                    }
                    svg.push_str("\"/>");
                }
            }
        }
    }

    fn x(&self, at: f64) -> f64 {
        let share = (at / self.seconds.max(0.001)).clamp(0.0, 1.0);
        LEFT + share * (WIDTH - LEFT - RIGHT)
    }

    /// Values below zero stand at the bottom: levels, which are below it all, are told otherwise.
    fn y(&self, value: f64, top: f64) -> f64 {
        let share = (value / top).clamp(0.0, 1.0);
        HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)
    }
}

/// The next of 1, 2, 5, 10, …
fn round_up(value: f64) -> f64 {
    if value <= 0.0 || !value.is_finite() {
        return 1.0;
    }
    let power = 10_f64.powf(value.log10().floor());
    let digit = [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .find(|d| d * power >= value);
    digit.unwrap_or(10.0) * power
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_end_at_round_numbers() {
        for (value, top) in [
            (0.0, 1.0),
            (0.03, 0.05),
            (1.0, 1.0),
            (29.9, 50.0),
            (130.0, 200.0),
        ] {
            assert!(
                (round_up(value) - top).abs() < 1e-9,
                "{value}: {}",
                round_up(value)
            );
        }
    }

    #[test]
    fn where_nothing_was_measured_there_is_no_chart() {
        let chart = Chart {
            title: "x",
            unit: Unit::Count,
            lines: vec![Line {
                name: String::new(),
                points: vec![None, None],
            }],
            seconds: 2.0,
            shades: &[],
            notes: &[],
            marks: &[],
        };
        assert_eq!(chart.draw(), "");
    }
}
