//! Opus in Ogg (RFC 7845).

use std::collections::VecDeque;
use std::io::SeekFrom;
use std::time::Duration;

use ogg::{OggReadError, Packet, PacketReader};

use super::input::{Input, Problem};
use super::opus::{self, Head};
use super::source::{Demux, Unit};
use crate::media::capture::AudioItem;
use crate::media::clock::Timestamp;
use crate::media::frame::EncodedSound;

/// The present stream of a file; files may have several, one after the other.
struct Stream {
    serial: u32,
    /// Granule position at which this stream begins, once its first page is known.
    origin: Option<u64>,
    /// Where it begins in the file's time, in samples.
    begin: u64,
}

/// An Ogg file with Opus in it.
pub(super) struct OggOpus {
    reader: PacketReader<Input>,
    head: Head,
    stream: Option<Stream>,
    /// Packets of the page that is being read: their times follow from its end.
    page: Vec<(Vec<u8>, u32)>,
    ready: VecDeque<(u64, Vec<u8>, u32)>,
    /// Samples so far: where the next packet belongs.
    position: u64,
}

impl OggOpus {
    pub(super) fn open(input: Input) -> Result<Self, Problem> {
        let mut file = Self {
            reader: PacketReader::new(input),
            head: Head {
                channels: 0,
                pre_skip: 0,
            },
            stream: None,
            page: Vec::new(),
            ready: VecDeque::new(),
            position: 0,
        };
        while file.stream.is_none() {
            let Some(packet) = file.packet()? else {
                return Err(Problem::unsupported(
                    "is Ogg without Opus in it; convert it: ffmpeg -i FILE -c:a libopus out.opus"
                        .into(),
                ));
            };
            file.take(packet);
        }
        Ok(file)
    }

    /// The next packet; `None` at the end, also in the middle of a page.
    fn packet(&mut self) -> Result<Option<Packet>, Problem> {
        match self.reader.read_packet() {
            Ok(packet) => Ok(packet),
            Err(OggReadError::ReadError(e)) if e.kind() == std::io::ErrorKind::UnexpectedEof => {
                Ok(None)
            }
            Err(OggReadError::ReadError(e)) => Err(e.into()),
            Err(e) => Err(self.reader.get_ref().broken(e.to_string())),
        }
    }

    fn take(&mut self, packet: Packet) {
        if packet.first_in_stream() {
            let over = self
                .stream
                .as_ref()
                .is_none_or(|s| s.serial != packet.stream_serial());
            if let Some(head) = Head::parse(&packet.data).filter(|_| over) {
                self.flush(None);
                self.head = head;
                self.stream = Some(Stream {
                    serial: packet.stream_serial(),
                    origin: None,
                    begin: self.position,
                });
            }
            return;
        }
        let ours = self
            .stream
            .as_ref()
            .is_some_and(|s| s.serial == packet.stream_serial());
        if !ours || packet.data.starts_with(b"OpusTags") {
            return;
        }
        let end = packet.last_in_page().then(|| packet.absgp_page());
        let last = packet.last_in_stream();
        if let Some(samples) = opus::samples(&packet.data) {
            self.page.push((packet.data, samples));
        }
        if end.is_some() {
            // The last page's position tells where to cut the sound, not where it began.
            self.flush(end.filter(|_| !last));
        }
    }

    /// Gives the packets of a page their times. Its granule position is that of its
    /// last sample, so that a page lost before it shows as a hole.
    fn flush(&mut self, granule: Option<u64>) {
        let held: u64 = self.page.iter().map(|(_, n)| u64::from(*n)).sum();
        if let (Some(stream), Some(end)) = (&mut self.stream, granule)
            && held > 0
            && end != u64::MAX
        {
            let begin = end.saturating_sub(held);
            let origin = *stream.origin.get_or_insert(begin);
            let told = stream.begin.saturating_add(begin.saturating_sub(origin));
            self.position = self.position.max(told);
        }
        for (data, samples) in self.page.drain(..) {
            self.ready.push_back((self.position, data, samples));
            self.position = self.position.saturating_add(u64::from(samples));
        }
    }
}

impl Demux<AudioItem> for OggOpus {
    fn next(&mut self) -> Result<Option<Unit<AudioItem>>, Problem> {
        loop {
            if let Some((position, data, samples)) = self.ready.pop_front() {
                return Ok(Some(Unit {
                    time: opus::time(position),
                    item: AudioItem::Encoded(EncodedSound {
                        level: None,
                        data: data.into(),
                        duration: opus::time(samples),
                        at: Timestamp::default(),
                    }),
                }));
            }
            match self.packet()? {
                Some(packet) => self.take(packet),
                None => {
                    self.flush(None);
                    if self.ready.is_empty() {
                        return Ok(None);
                    }
                }
            }
        }
    }

    fn rewind(&mut self) -> Result<(), Problem> {
        self.reader.delete_unread_packets();
        self.reader.seek_bytes(SeekFrom::Start(0))?;
        self.stream = None;
        self.page.clear();
        self.ready.clear();
        self.position = 0;
        Ok(())
    }

    fn length(&self) -> Duration {
        opus::time(self.position)
    }

    fn describe(&self) -> String {
        format!("Ogg Opus, channels: {}", self.head.channels)
    }
}
