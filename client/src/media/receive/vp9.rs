//! The RTP payload of VP9, RFC 9628. Pure.

use super::depacketize::Glimpse;
use crate::media::bitstream::vp9;

/// What stands before the frame's bytes (section 4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Descriptor {
    /// I: and its bits, 7 or 15.
    pub(super) picture_id: Option<(u16, u8)>,
    /// P: it refers to earlier pictures.
    pub(super) inter_predicted: bool,
    /// SID, where layers are told.
    pub(super) spatial: Option<u8>,
    /// D: it refers to the layer below.
    pub(super) on_lower_layer: bool,
    /// B: a layer's frame begins here.
    pub(super) begins: bool,
    /// E: a layer's frame ends here.
    pub(super) ends: bool,
    /// Where the frame's bytes begin.
    pub(super) size: usize,
}

/// Reads a descriptor, in flexible and in non-flexible mode.
pub(super) fn descriptor(payload: &[u8]) -> Result<Descriptor, &'static str> {
    let mut bytes = Reader(payload, 0);
    let first = bytes.next()?;
    let has = |bit: u8| first & bit != 0;
    let flexible = has(0x10);
    let mut found = Descriptor {
        picture_id: None,
        inter_predicted: has(0x40),
        spatial: None,
        on_lower_layer: false,
        begins: has(0x08),
        ends: has(0x04),
        size: 0,
    };
    if has(0x80) {
        let id = bytes.next()?;
        found.picture_id = Some(if id & 0x80 == 0 {
            (u16::from(id), 7)
        } else {
            (u16::from(id & 0x7f) << 8 | u16::from(bytes.next()?), 15)
        });
    }
    if has(0x20) {
        let layer = bytes.next()?;
        found.spatial = Some(layer >> 1 & 7);
        found.on_lower_layer = layer & 1 == 1;
        if !flexible {
            // TL0PICIDX.
            bytes.next()?;
        }
    }
    if flexible && found.inter_predicted {
        // At most three differences, each but the last saying that one follows.
        let mut left = 3;
        while bytes.next()? & 1 == 1 {
            left -= 1;
            if left == 0 {
                return Err("it refers to more than three pictures");
            }
        }
    }
    if has(0x02) {
        skip_structure(&mut bytes)?;
    }
    if bytes.1 >= payload.len() {
        return Err("nothing follows its descriptor");
    }
    found.size = bytes.1;
    Ok(found)
}

/// The scalability structure: sizes of the layers, and pictures of a group.
fn skip_structure(bytes: &mut Reader) -> Result<(), &'static str> {
    let head = bytes.next()?;
    let layers = usize::from(head >> 5) + 1;
    if head & 0x10 != 0 {
        bytes.skip(layers * 4)?;
    }
    if head & 0x08 != 0 {
        for _ in 0..bytes.next()? {
            let picture = bytes.next()?;
            bytes.skip(usize::from(picture >> 2 & 3))?;
        }
    }
    Ok(())
}

struct Reader<'a>(&'a [u8], usize);

impl Reader<'_> {
    fn next(&mut self) -> Result<u8, &'static str> {
        let byte = self.0.get(self.1).copied();
        self.1 += 1;
        byte.ok_or("it ends inside its descriptor")
    }

    fn skip(&mut self, count: usize) -> Result<(), &'static str> {
        self.1 += count;
        if self.1 > self.0.len() {
            return Err("it ends inside its descriptor");
        }
        Ok(())
    }
}

/// What a payload says about the picture that it is part of.
pub(super) fn begins(payload: &[u8]) -> Result<Glimpse, &'static str> {
    let found = descriptor(payload)?;
    let first = found.begins && found.spatial.unwrap_or(0) == 0;
    let key = first && !found.inter_predicted && vp9::is_key(&payload[found.size..]);
    Ok(Glimpse {
        starts_frame: first,
        key,
        picture: found.picture_id,
    })
}

/// The layers of one picture on their way together.
#[derive(Debug, Default)]
pub(super) struct Layers {
    data: Vec<u8>,
    /// How large each whole layer is.
    sizes: Vec<usize>,
    /// Where the layer that is not yet whole begins.
    open: Option<usize>,
    last: Option<Descriptor>,
}

impl Layers {
    /// Takes the next payload of the picture. What does not belong together is refused: a
    /// layer that begins within another or lacks its beginning, layers of two pictures, and
    /// one that refers to a layer that is not there.
    pub(super) fn push(&mut self, payload: &[u8]) -> Result<(), &'static str> {
        let now = descriptor(payload)?;
        let (was, is) = (self.last.replace(now), now.spatial.unwrap_or(0));
        if was.is_some_and(|was| was.picture_id != now.picture_id) {
            return Err("it is of another picture than the one before");
        }
        match (now.begins, self.open) {
            (true, None) => {
                let below = was.map(|was| was.spatial.unwrap_or(0));
                if below.is_some_and(|below| below >= is) {
                    return Err("its layer is not above the one before");
                }
                if now.on_lower_layer && below != is.checked_sub(1) {
                    return Err("the layer below it is not there");
                }
                self.open = Some(self.data.len());
            }
            (false, Some(_)) => {
                if was.is_some_and(|was| was.spatial != now.spatial) {
                    return Err("it goes on with another layer than the one before");
                }
            }
            (true, Some(_)) => return Err("the layer before it has no end"),
            (false, None) => return Err("its layer has no beginning"),
        }
        self.data.extend_from_slice(&payload[now.size..]);
        if now.ends {
            let begin = self.open.take().unwrap_or(0);
            self.sizes.push(self.data.len() - begin);
        }
        Ok(())
    }

    pub(super) fn len(&self) -> usize {
        self.data.len()
    }

    /// The picture: one frame, or a superframe of all its layers, of which a decoder shows
    /// the highest.
    pub(super) fn finish(mut self) -> Result<Vec<u8>, &'static str> {
        if self.open.is_some() {
            return Err("its last layer has no end");
        }
        if self.sizes.len() > 1 {
            let mut rest = &self.data[..];
            for &size in &self.sizes {
                let (layer, after) = rest.split_at(size);
                if vp9::has_index(layer) {
                    return Err("one of its layers is a superframe itself");
                }
                rest = after;
            }
            self.data.extend(vp9::index(&self.sizes));
        }
        Ok(self.data)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_descriptor_of_non_flexible_mode_is_read() {
        // I P L B E; 15-bit picture id; TID 1, SID 2, D; TL0PICIDX.
        let found = descriptor(&[0xec, 0x81, 0x02, 0x25, 0x07, 0xaa]).unwrap();
        assert_eq!(
            found,
            Descriptor {
                picture_id: Some((0x102, 15)),
                inter_predicted: true,
                spatial: Some(2),
                on_lower_layer: true,
                begins: true,
                ends: true,
                size: 5,
            }
        );
    }

    #[test]
    fn a_descriptor_of_flexible_mode_tells_what_it_refers_to() {
        // I P F B; 7-bit picture id; two differences.
        let found = descriptor(&[0xd8, 0x05, 0x03, 0x04, 0xaa]).unwrap();
        assert_eq!((found.picture_id, found.size), (Some((5, 7)), 4));
        assert!(descriptor(&[0xd8, 0x05, 0x03, 0x05, 0x07, 0xaa]).is_err());
    }

    #[test]
    fn a_scalability_structure_is_left_out() {
        // B V; two layers with sizes, a group of two pictures of one and two references.
        let structure = [
            0x38, 1, 64, 0, 180, 2, 128, 1, 104, 2, 0x04, 1, 0x28, 1, 2, 0xaa,
        ];
        let payload = [&[0x0a][..], &structure].concat();
        assert_eq!(descriptor(&payload).unwrap().size, payload.len() - 1);
        for end in 1..payload.len() {
            assert!(descriptor(&payload[..end]).is_err(), "{end}");
        }
    }

    /// One payload: begin, end, layer, on the one below, picture id.
    fn layer(begins: bool, ends: bool, spatial: u8, on_lower: bool, id: u8) -> Vec<u8> {
        let first = 0xa0 | u8::from(begins) << 3 | u8::from(ends) << 2;
        vec![
            first,
            id,
            spatial << 1 | u8::from(on_lower),
            0,
            0x80 | spatial,
        ]
    }

    fn joined(payloads: &[Vec<u8>]) -> Result<Vec<u8>, &'static str> {
        let mut layers = Layers::default();
        payloads.iter().try_for_each(|p| layers.push(p))?;
        layers.finish()
    }

    #[test]
    fn layers_of_one_picture_become_a_superframe() {
        let data = joined(&[
            layer(true, false, 0, false, 1),
            layer(false, true, 0, false, 1),
            layer(true, true, 1, true, 1),
        ]);
        let data = data.unwrap();
        assert_eq!(vp9::frames(&data).unwrap(), [&[0x80u8, 0x80][..], &[0x81]]);
        assert_eq!(joined(&[layer(true, true, 0, false, 1)]).unwrap(), [0x80]);
    }

    #[test]
    fn what_does_not_belong_together_is_refused() {
        let whole = |spatial, on_lower, id| layer(true, true, spatial, on_lower, id);
        for (payloads, what) in [
            (vec![layer(true, false, 0, false, 1)], "no end"),
            (vec![layer(false, true, 0, false, 1)], "no beginning"),
            (vec![whole(0, false, 1), whole(1, true, 2)], "two pictures"),
            (
                vec![whole(0, false, 1), whole(2, true, 1)],
                "a layer left out",
            ),
            (vec![whole(1, true, 1)], "the lowest left out"),
            (vec![whole(1, false, 1), whole(0, false, 1)], "upside down"),
            (
                vec![
                    layer(true, false, 0, false, 1),
                    layer(false, true, 1, false, 1),
                ],
                "two layers in one frame",
            ),
            (
                vec![layer(true, false, 0, false, 1), whole(1, true, 1)],
                "a layer within another",
            ),
        ] {
            assert!(joined(&payloads).is_err(), "{what}");
        }
        // Layers that stand alone may come without those below.
        assert!(joined(&[whole(0, false, 1), whole(2, false, 1)]).is_ok());
    }

    proptest! {
        #[test]
        fn no_payload_is_ever_more_than_an_error(
            payloads in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..24), 0..6),
        ) {
            let mut layers = Layers::default();
            for payload in &payloads {
                let looked = begins(payload);
                prop_assert_eq!(looked.is_ok(), descriptor(payload).is_ok());
                if layers.push(payload).is_err() {
                    break;
                }
            }
            let _ = layers.finish();
        }
    }
}
