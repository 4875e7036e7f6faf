//! Draws the model: layout, tiles, panes, lines.

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use unicode_width::UnicodeWidthStr;

use super::layout::{self, Layout};
use super::model::{Member, Panel, ScreenModel, Speaker};
use super::paint::Painter;
use crate::media::clock::Timestamp;
use crate::output::board::{SELF, Snapshot};
use crate::output::quality;
use crate::output::text::{clean, fit, wrap};

const DIM: Style = Style::new().fg(Color::DarkGray);
const LABEL: Style = Style::new().fg(Color::Black).bg(Color::Gray);
const ALERT: Style = Style::new().fg(Color::Red).add_modifier(Modifier::BOLD);

/// What a key does, for the help panel.
const HELP: [(&str, &str); 14] = [
    ("m", "mute or unmute yourself"),
    ("v", "camera off or on"),
    ("p", "your own picture away or back"),
    (
        "Enter, Tab",
        "write a line of chat; Enter sends, Esc leaves",
    ),
    (
        "0-9 * #",
        "press keys of a telephone; or the line /dtmf 12,34#",
    ),
    ("h", "hold the call, or take it up again; /hold, /unhold"),
    (
        "/video, /audio",
        "another source: /video screen, /audio file:a.wav, /video none",
    ),
    ("/share", "show a screen; /unshare: what was before"),
    ("d", "quality details (W3C webrtc-stats)"),
    ("up, down", "scroll the details"),
    ("?", "this help"),
    ("Esc", "back to the pictures"),
    ("q, Ctrl-C", "hang up"),
    ("Ctrl-C twice", "hang up without waiting"),
];

/// Draws everything; gives where the cursor stands, if it is to be seen.
pub fn draw(
    model: &ScreenModel,
    board: &Snapshot,
    now: Timestamp,
    painter: &mut Painter,
    buffer: &mut Buffer,
) -> Option<Position> {
    let layout = layout::of(buffer.area);
    match model.panel {
        Panel::Pictures => pictures(model, board, &layout, painter, buffer),
        Panel::Details => details(model, layout.main, buffer),
        Panel::Help => help(layout.main, buffer),
    }
    if let Some(side) = layout.side {
        // Alone one is seen in the large.
        if !model.own_hidden && !model.members.is_empty() {
            self_view(board, side.own, painter, buffer);
        }
        members(model, board, side.members, buffer);
    }
    chat(model, layout.chat, buffer);
    let cursor = input(model, layout.input, buffer);
    status(model, now, layout.status, buffer);
    cursor
}

fn pictures(
    model: &ScreenModel,
    board: &Snapshot,
    layout: &Layout,
    painter: &mut Painter,
    buffer: &mut Buffer,
) {
    let area = layout.main;
    if model.members.is_empty() {
        alone(model, board, area, painter, buffer);
        return;
    }
    let tiles = layout::grid(area, model.members.len());
    for (member, tile) in model.members.iter().zip(tiles) {
        let label = Rect {
            y: tile.bottom().saturating_sub(1),
            height: tile.height.min(1),
            ..tile
        };
        let inside = Rect {
            height: tile.height.saturating_sub(1),
            ..tile
        };
        match board.picture(&member.id).filter(|_| !member.camera_off) {
            Some(picture) => painter.picture(&member.id, picture, inside, buffer),
            None => middle(&no_picture(member), inside, DIM, buffer),
        }
        name_plate(member, board.level(&member.id), label, buffer);
    }
    if layout.side.is_none() && !model.own_hidden {
        let corner = layout::corner(area);
        if !corner.is_empty() && painter.may_overlap() {
            self_view(board, corner, painter, buffer);
        }
    }
}

fn no_picture(member: &Member) -> String {
    if member.camera_off {
        "camera off".into()
    } else if member.state == "connected" {
        "no picture yet".into()
    } else {
        format!("{}…", member.state)
    }
}

fn alone(
    model: &ScreenModel,
    board: &Snapshot,
    area: Rect,
    painter: &mut Painter,
    buffer: &mut Buffer,
) {
    if !model.caption.is_empty() {
        return preview(model, board, area, painter, buffer);
    }
    let text = if model.room.is_none() {
        "joining…".to_owned()
    } else {
        match model.url.as_str() {
            "" => "waiting for the other side".to_owned(),
            url => format!("waiting for others at {url}"),
        }
    };
    if let Some(picture) = board.picture(SELF) {
        let (picture_area, line) = layout::split_bottom(area, 1);
        painter.picture(SELF, picture, picture_area, buffer);
        middle(&text, line, Style::new(), buffer);
    } else {
        middle(&text, area, Style::new(), buffer);
    }
}

/// Our picture over its figures and the level of our sound.
fn preview(
    model: &ScreenModel,
    board: &Snapshot,
    area: Rect,
    painter: &mut Painter,
    buffer: &mut Buffer,
) {
    let lines = u16::try_from(model.caption.len()).unwrap_or(u16::MAX);
    let (picture_area, figures) = layout::split_bottom(area, lines.saturating_add(1));
    if let Some(picture) = board.picture(SELF) {
        painter.picture(SELF, picture, picture_area, buffer);
    }
    let (words, bar) = layout::split_bottom(figures, 1);
    for (text, row) in model.caption.iter().zip(rows(words)) {
        put(
            buffer,
            row,
            &fit(text, usize::from(row.width)),
            Style::new(),
        );
    }
    meter(board.level(SELF), bar, buffer);
}

fn self_view(board: &Snapshot, area: Rect, painter: &mut Painter, buffer: &mut Buffer) {
    if let Some(picture) = board.picture(SELF) {
        painter.picture(SELF, picture, area, buffer);
    }
}

/// The line under a picture: name, marks, level.
fn name_plate(member: &Member, level: Option<f32>, area: Rect, buffer: &mut Buffer) {
    if area.is_empty() {
        return;
    }
    buffer.set_style(area, LABEL);
    let meter_width = (area.width / 4).clamp(0, 12);
    let room = usize::from(area.width.saturating_sub(meter_width + 2));
    let text = marked(&format!(" {}", member.name), &marks(member), room);
    put(buffer, area, &text, LABEL);
    let meter_area = Rect {
        x: area.right().saturating_sub(meter_width + 1),
        width: meter_width,
        ..area
    };
    meter(level, meter_area, buffer);
}

fn marks(member: &Member) -> String {
    let trouble = !matches!(member.state.as_str(), "connected" | "connecting");
    mark_words(member.muted, member.camera_off, trouble)
}

fn mark_words(muted: bool, camera_off: bool, trouble: bool) -> String {
    let mut words = String::new();
    for (on, word) in [
        (muted, " [mic off]"),
        (camera_off, " [cam off]"),
        (trouble, " [!]"),
    ] {
        if on {
            words.push_str(word);
        }
    }
    words
}

/// A name with its marks; where room is short, the name gives way.
fn marked(name: &str, marks: &str, room: usize) -> String {
    let name = fit(name, room.saturating_sub(marks.width()).max(room.min(2)));
    fit(&format!("{name}{marks}"), room)
}

/// From -60 dB (nothing) to 0 dB (all of it).
fn meter(level: Option<f32>, area: Rect, buffer: &mut Buffer) {
    let share = level.map_or(0.0, |dbfs| ((dbfs + 60.0) / 60.0).clamp(0.0, 1.0));
    let lit = (share * f32::from(area.width)).round() as u16;
    for column in 0..area.width {
        let colour = match column * 10 / area.width.max(1) {
            0..7 => Color::Green,
            7..9 => Color::Yellow,
            _ => Color::Red,
        };
        if let Some(cell) = buffer.cell_mut((area.x + column, area.y)) {
            let on = column < lit;
            cell.set_symbol(if on { "▮" } else { "·" });
            cell.fg = if on { colour } else { Color::DarkGray };
        }
    }
}

fn members(model: &ScreenModel, board: &Snapshot, area: Rect, buffer: &mut Buffer) {
    let own = model.me.iter().map(|me| {
        let marks = mark_words(model.muted, model.camera_off, false);
        (format!("{} (you)", me.name), marks, board.level(SELF))
    });
    let others = model
        .members
        .iter()
        .map(|member| (member.name.clone(), marks(member), board.level(&member.id)));
    for ((name, marks, level), row) in own.chain(others).zip(rows(area)) {
        let meter_width = row.width.min(4);
        let room = usize::from(row.width.saturating_sub(meter_width + 1));
        put(buffer, row, &marked(&name, &marks, room), Style::new());
        let meter_area = Rect {
            x: row.right() - meter_width,
            width: meter_width,
            ..row
        };
        meter(level, meter_area, buffer);
    }
}

fn chat(model: &ScreenModel, area: Rect, buffer: &mut Buffer) {
    if area.is_empty() {
        return;
    }
    let mut shown: Vec<(String, Style)> = Vec::new();
    // Newest first, until the pane is full.
    for line in model.chat.iter().rev() {
        let (text, style) = match &line.speaker {
            Speaker::Note => (line.text.clone(), DIM),
            Speaker::Own(who) => (
                format!("{who}: {}", line.text),
                Style::new().fg(Color::Cyan),
            ),
            Speaker::Peer(who) => (format!("{who}: {}", line.text), Style::new()),
        };
        let wrapped = text
            .split('\n')
            .flat_map(|part| wrap(part, usize::from(area.width)));
        let wrapped: Vec<String> = wrapped.collect();
        shown.extend(wrapped.into_iter().rev().map(|part| (part, style)));
        if shown.len() >= usize::from(area.height) {
            break;
        }
    }
    for ((text, style), row) in shown.into_iter().zip(rows(area).rev()) {
        put(buffer, row, &text, style);
    }
}

fn input(model: &ScreenModel, area: Rect, buffer: &mut Buffer) -> Option<Position> {
    if area.is_empty() {
        return None;
    }
    if !model.typing {
        put(
            buffer,
            area,
            &fit("Enter: write, ?: help", usize::from(area.width)),
            DIM,
        );
        return None;
    }
    let prompt = if area.width > 8 { "> " } else { "" };
    put(buffer, area, prompt, Style::new());
    let indent = u16::try_from(prompt.len()).unwrap_or(0);
    let (text, cursor) = model.input.visible(usize::from(area.width - indent));
    let rest = Rect {
        x: area.x + indent,
        width: area.width - indent,
        ..area
    };
    put(buffer, rest, text, Style::new());
    Some(Position::new(
        rest.x + u16::try_from(cursor).unwrap_or(0),
        area.y,
    ))
}

fn status(model: &ScreenModel, now: Timestamp, area: Rect, buffer: &mut Buffer) {
    if area.is_empty() {
        return;
    }
    let style = Style::new().add_modifier(Modifier::REVERSED);
    buffer.set_style(area, style);
    let mut spans = Vec::new();
    let mut add = |text: String, style: Style| {
        if !text.is_empty() {
            spans.push(Span::styled(format!(" {text} "), style));
        }
    };
    if model.leaving {
        add("leaving…".into(), style);
    }
    add(
        model.room.clone().unwrap_or_else(|| "joining…".into()),
        style,
    );
    if let Some(since) = model.since {
        let seconds = now.since(since).as_secs();
        add(format!("{}:{:02}", seconds / 60, seconds % 60), style);
    }
    if model.signaling_lost {
        add("signaling lost".into(), style.patch(ALERT));
    }
    if model.muted {
        add("MUTED".into(), style.patch(ALERT));
    }
    if model.camera_off {
        add("CAMERA OFF".into(), style.patch(ALERT));
    }
    if let [only] = model.members.as_slice()
        && only.report.is_some()
    {
        add(only.quality.words(), style);
    } else {
        add(format!("{} here", model.members.len() + 1), style);
    }
    put_line(buffer, area, &Line::from(spans));
}

fn details(model: &ScreenModel, area: Rect, buffer: &mut Buffer) {
    let mut lines: Vec<(String, Style)> = Vec::new();
    let heading = Style::new().add_modifier(Modifier::BOLD);
    for member in &model.members {
        let Some(report) = &member.report else {
            lines.push((format!("{}: no statistics yet", member.name), DIM));
            continue;
        };
        lines.push((
            format!("{}: {}", member.name, member.quality.words()),
            heading.fg(Color::Cyan),
        ));
        for section in quality::sections(report) {
            lines.push((format!("  {}", clean(&section.heading)), heading));
            for (member, value) in section.rows {
                lines.push((
                    format!("    {:<32} {}", clean(&member), clean(&value)),
                    Style::new(),
                ));
            }
        }
    }
    if lines.is_empty() {
        lines.push(("nobody else is here".into(), DIM));
    }
    let most = lines.len().saturating_sub(usize::from(area.height));
    let skip = model.scroll.min(most);
    for ((text, style), row) in lines.into_iter().skip(skip).zip(rows(area)) {
        put(buffer, row, &fit(&text, usize::from(row.width)), style);
    }
}

fn help(area: Rect, buffer: &mut Buffer) {
    for ((key, what), row) in HELP.iter().zip(rows(area)) {
        let text = format!(" {key:<14} {what}");
        put(
            buffer,
            row,
            &fit(&text, usize::from(row.width)),
            Style::new(),
        );
    }
}

fn rows(area: Rect) -> impl DoubleEndedIterator<Item = Rect> {
    (area.top()..area.bottom()).map(move |y| Rect {
        y,
        height: 1,
        ..area
    })
}

fn middle(text: &str, area: Rect, style: Style, buffer: &mut Buffer) {
    if area.is_empty() {
        return;
    }
    let text = fit(text, usize::from(area.width));
    let width = u16::try_from(text.width())
        .unwrap_or(area.width)
        .min(area.width);
    let row = Rect {
        x: area.x + (area.width - width) / 2,
        y: area.y + area.height / 2,
        width,
        height: 1,
    };
    put(buffer, row, &text, style);
}

fn put(buffer: &mut Buffer, area: Rect, text: &str, style: Style) {
    put_line(buffer, area, &Line::from(Span::styled(text, style)));
}

fn put_line(buffer: &mut Buffer, area: Rect, line: &Line<'_>) {
    let area = area.intersection(buffer.area);
    if !area.is_empty() {
        buffer.set_line(area.x, area.y, line, area.width);
    }
}

#[cfg(test)]
mod tests;
