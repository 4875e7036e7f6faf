//! Which way picture and sound go, in what both sides say. Pure.
//!
//! Directions are ours to write: the engine answers `sendonly` by `sendrecv`, remembers what a far side said as if we had
//! wished it, and stops a transceiver for good where a far side merely holds it (`inactive`). So the engine is told that
//! what was once negotiated goes both ways, and what goes out says what is meant (RFC 3264 sections 6.1 and 8, RFC 9429
//! sections 5.2 and 5.3).

use super::sdp::sections;
use crate::event::Kind;

/// Which way one sense goes, seen from who says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Flow {
    pub(super) send: bool,
    pub(super) receive: bool,
}

impl Flow {
    pub(super) const BOTH: Self = Self {
        send: true,
        receive: true,
    };
    pub(super) const NONE: Self = Self {
        send: false,
        receive: false,
    };

    const fn line(self) -> &'static str {
        match (self.send, self.receive) {
            (true, true) => "a=sendrecv",
            (true, false) => "a=sendonly",
            (false, true) => "a=recvonly",
            (false, false) => "a=inactive",
        }
    }

    fn parse(line: &str) -> Option<Self> {
        [(true, true), (true, false), (false, true), (false, false)]
            .into_iter()
            .map(|(send, receive)| Self { send, receive })
            .find(|flow| flow.line() == line)
    }

    /// What is left of it where the other side says this of itself.
    const fn meeting(self, other: Self) -> Self {
        Self {
            send: self.send && other.receive,
            receive: self.receive && other.send,
        }
    }
}

/// One media section of a description.
struct Section<'a> {
    lines: Vec<&'a str>,
    flow: Flow,
}

impl<'a> Section<'a> {
    fn mid(&self) -> &'a str {
        let mid = self.lines.iter().find_map(|l| l.strip_prefix("a=mid:"));
        mid.unwrap_or_default()
    }

    fn kind(&self) -> Option<Kind> {
        kind_of(self.lines[0])
    }

    /// Port 0 refuses or ends, unless the section rides on another's transport (RFC 9143 section 6).
    fn is_rejected(&self) -> bool {
        is_rejected(&self.lines)
    }

    /// Whether a track of its maker's is behind it.
    fn has_track(&self) -> bool {
        self.lines.iter().any(|line| line.starts_with("a=msid:"))
    }

    /// Its lines with another direction. What describes a track stays where it is merely held: Chromium shows nothing of a
    /// stream that was gone from a description and came back.
    fn with(&self, flow: Flow) -> Vec<String> {
        let mut lines: Vec<String> = self
            .lines
            .iter()
            .filter(|line| Flow::parse(line).is_none())
            .map(|line| (*line).to_owned())
            .collect();
        lines.insert(1, flow.line().to_owned());
        lines
    }

    /// Its lines where nothing of it is to be used any more.
    fn rejected(&self) -> Vec<String> {
        let mut lines = self.with(Flow::NONE);
        lines.retain(|line| {
            !is_of_track(line) && !line.starts_with("a=candidate:") && line != "a=end-of-candidates"
        });
        let mut words: Vec<&str> = self.lines[0].split(' ').collect();
        if let Some(port) = words.get_mut(1) {
            *port = "0";
        }
        lines[0] = words.join(" ");
        lines
    }
}

fn is_of_track(line: &str) -> bool {
    ["a=msid:", "a=ssrc:", "a=ssrc-group:"]
        .iter()
        .any(|prefix| line.starts_with(prefix))
}

fn is_rejected(section: &[&str]) -> bool {
    section[0].split(' ').nth(1) == Some("0") && !section.contains(&"a=bundle-only")
}

fn kind_of(media_line: &str) -> Option<Kind> {
    match media_line.strip_prefix("m=")?.split(' ').next()? {
        "audio" => Some(Kind::Audio),
        "video" => Some(Kind::Video),
        _ => None,
    }
}

fn parse(sdp: &str) -> Vec<Section<'_>> {
    let session = sdp
        .lines()
        .take_while(|line| !line.starts_with("m="))
        .find_map(Flow::parse)
        .unwrap_or(Flow::BOTH);
    let one = |lines: Vec<&'_ str>| -> Flow {
        let own = lines.iter().find_map(|line| Flow::parse(line));
        own.unwrap_or(session)
    };
    sections(sdp)
        .into_iter()
        .map(|lines| Section {
            flow: one(lines.clone()),
            lines,
        })
        .collect()
}

/// Writes a description with other sections; those that are gone or rejected are in no bundle (RFC 9143 section 7.3).
fn write(sdp: &str, each: Vec<Vec<String>>, unbundled: &[&str]) -> String {
    let mut text = String::with_capacity(sdp.len());
    let mut push = |line: &str| {
        text.push_str(line);
        text.push_str("\r\n");
    };
    for line in sdp.lines().take_while(|line| !line.starts_with("m=")) {
        if Flow::parse(line).is_some() {
            continue;
        }
        match line.strip_prefix("a=group:BUNDLE") {
            Some(mids) if !unbundled.is_empty() => {
                let kept = mids.split(' ').filter(|m| !m.is_empty());
                let kept: Vec<&str> = kept.filter(|mid| !unbundled.contains(mid)).collect();
                push(&format!("a=group:BUNDLE {}", kept.join(" ")));
            }
            _ => push(line),
        }
    }
    for line in each.iter().flatten() {
        push(line);
    }
    text
}

/// An offer of the engine's with the directions that are meant. `before` is how many sections were agreed on: what the far
/// side has ended stays among them, rejected, and is not offered behind them again, as the engine would.
pub(super) fn offer(sdp: &str, wanted: impl Fn(Kind) -> Flow, before: usize) -> String {
    let mut each = Vec::new();
    let mut unbundled = Vec::new();
    for (index, section) in parse(sdp).iter().enumerate() {
        let Some(kind) = section.kind() else {
            each.push(section.lines.iter().map(|l| (*l).to_owned()).collect());
            continue;
        };
        // Nothing that is alive is inactive to the engine.
        if section.flow == Flow::NONE || section.is_rejected() {
            unbundled.push(section.mid());
            if index < before {
                each.push(section.rejected());
            }
            continue;
        }
        let wanted = wanted(kind);
        each.push(section.with(Flow {
            send: wanted.send && section.has_track(),
            receive: wanted.receive,
        }));
    }
    write(sdp, each, &unbundled)
}

/// An answer of the engine's with the directions that are meant, and that the offer allows.
pub(super) fn answer(sdp: &str, offer: &str, wanted: impl Fn(Kind) -> Flow) -> String {
    let offered = parse(offer);
    let mut each = Vec::new();
    let mut unbundled = Vec::new();
    for section in &parse(sdp) {
        let asked = offered.iter().find(|asked| asked.mid() == section.mid());
        let (Some(kind), Some(asked)) = (section.kind(), asked) else {
            each.push(section.lines.iter().map(|l| (*l).to_owned()).collect());
            continue;
        };
        if asked.is_rejected() || section.is_rejected() {
            unbundled.push(section.mid());
            each.push(section.rejected());
            continue;
        }
        let wanted = wanted(kind);
        let flow = Flow {
            send: wanted.send && section.has_track(),
            receive: wanted.receive,
        };
        each.push(section.with(flow.meeting(asked.flow)));
    }
    write(sdp, each, &unbundled)
}

/// A far side's offer as the engine is to see it. `known` are the mids that were agreed on before, `free` the kinds of which
/// we have a track that is in no section yet.
pub(super) fn for_the_engine(sdp: &str, known: &[String], mut free: Vec<Kind>) -> String {
    let mut each = Vec::new();
    for section in &parse(sdp) {
        let Some(kind) = section.kind().filter(|_| !section.is_rejected()) else {
            each.push(match section.kind() {
                // What is ended is inactive, whatever its lines say.
                Some(_) => section.with(Flow::NONE),
                None => section.lines.iter().map(|l| (*l).to_owned()).collect(),
            });
            continue;
        };
        let truth = section.flow;
        let ours = free.iter().position(|free| *free == kind);
        let mut told = section.with(truth);
        let flow = if known.iter().any(|mid| mid == section.mid()) {
            Flow::BOTH
        } else if !truth.send && ours.is_none() {
            // The engine would make a transceiver that never receives.
            Flow::BOTH
        } else if truth == Flow::NONE {
            Flow {
                send: false,
                receive: true,
            }
        } else {
            truth
        };
        if truth.receive
            && let Some(at) = ours
        {
            free.remove(at);
        }
        told[1] = flow.line().to_owned();
        if !truth.send {
            told.retain(|line| !is_of_track(line));
        }
        each.push(told);
    }
    write(sdp, each, &[])
}

/// Which way the section of this name goes; without a name, or where there is no such section: of any of the kind.
pub(super) fn flow(sdp: &str, kind: Kind, mid: Option<&str>) -> Flow {
    let all = parse(sdp);
    let alive = |section: &&Section<'_>| section.kind() == Some(kind) && !section.is_rejected();
    if let Some(mid) = mid {
        let own = all.iter().find(|section| section.mid() == mid);
        return own.filter(alive).map_or(Flow::NONE, |own| own.flow);
    }
    let any = all.iter().filter(alive).map(|section| section.flow);
    any.fold(Flow::NONE, |sum, flow| Flow {
        send: sum.send || flow.send,
        receive: sum.receive || flow.receive,
    })
}

/// Whether a section was ended or refused.
pub(super) fn is_ended(sdp: &str, mid: &str) -> bool {
    parse(sdp)
        .iter()
        .any(|section| section.mid() == mid && section.is_rejected())
}

/// Which sections were ended or refused, in the order of the description.
pub(super) fn ended(sdp: &str) -> Vec<bool> {
    parse(sdp).iter().map(Section::is_rejected).collect()
}

/// The mids of a description, in its order.
pub(super) fn mids(sdp: &str) -> Vec<String> {
    let all = parse(sdp);
    all.iter().map(|section| section.mid().to_owned()).collect()
}

/// A description with no media section but one; as it is where there is no such section.
pub(super) fn only(sdp: &str, mid: &str) -> String {
    let all = parse(sdp);
    match all.iter().find(|section| section.mid() == mid) {
        Some(section) => {
            let lines = section.lines.iter().map(|l| (*l).to_owned()).collect();
            let session = sdp.lines().take_while(|line| !line.starts_with("m="));
            session
                .map(str::to_owned)
                .chain::<Vec<String>>(lines)
                .fold(String::new(), |text, line| text + &line + "\r\n")
        }
        None => sdp.to_owned(),
    }
}

#[cfg(test)]
mod tests;
