//! What of a path's rate goes to whom: sound first, because it needs little and is missed most,
//! then what was lost and is sent again, then data, and the picture takes the rest.

/// What is asked for, in bits a second on the wire unless it says otherwise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Demands {
    /// What the path carries.
    pub path: f64,
    /// What sound takes now.
    pub sound: f64,
    /// Retransmissions.
    pub again: f64,
    /// Data channels.
    pub data: f64,
    /// Of a picture's bytes on the wire, what is not picture: headers and authentication.
    pub overhead: f64,
    /// The picture's encoder is not asked for less than this, in bits a second of payload.
    pub least_picture: f64,
    /// How long the pacer would take for what it holds, in seconds.
    pub waiting: f64,
}

/// What each may use.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shares {
    /// For an encoder of sound: payload, bits a second.
    pub sound: u32,
    /// For an encoder of pictures: payload, bits a second. Zero, if the caller wants none at all.
    pub picture: u32,
}

/// The least that is still understood, in bits a second of payload.
const LEAST_SOUND: f64 = 12_000.0;
/// Sound may take this share of a path: less than it would only where the path is poor.
const SOUND_SHARE: f64 = 0.3;
/// What retransmissions and data can take away from the picture.
const MOST_TAKEN: f64 = 0.5;
/// Pictures that wait for longer than this, in seconds, make the encoder save.
const PATIENT: f64 = 0.1;

/// See the module.
#[must_use]
pub fn share(demands: Demands) -> Shares {
    let sound = (demands.path * SOUND_SHARE).max(LEAST_SOUND);
    let taken = (demands.again + demands.data).min(demands.path * MOST_TAKEN);
    let left = demands.path - demands.sound - taken;
    let saved = if demands.waiting > PATIENT {
        (1.0 - (demands.waiting - PATIENT)).clamp(0.5, 1.0)
    } else {
        1.0
    };
    let picture = left * (1.0 - demands.overhead.clamp(0.0, 0.5)) * saved;
    Shares {
        sound: sound as u32,
        picture: picture.max(demands.least_picture) as u32,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RICH: Demands = Demands {
        path: 2_000_000.0,
        sound: 50_000.0,
        again: 0.0,
        data: 0.0,
        overhead: 0.06,
        least_picture: 30_000.0,
        waiting: 0.0,
    };

    #[test]
    fn sound_keeps_its_quality_until_the_path_is_poor() {
        assert_eq!(share(RICH).sound, 600_000);
        assert_eq!(
            share(Demands {
                path: 60_000.0,
                ..RICH
            })
            .sound,
            18_000
        );
        assert_eq!(
            share(Demands {
                path: 10_000.0,
                ..RICH
            })
            .sound,
            12_000
        );
    }

    #[test]
    fn the_picture_pays_for_everything_else() {
        assert_eq!(share(RICH).picture, 1_833_000);
        let lossy = Demands {
            again: 200_000.0,
            ..RICH
        };
        assert_eq!(share(lossy).picture, 1_645_000);
        let late = Demands {
            waiting: 0.4,
            ..RICH
        };
        assert_eq!(share(late).picture, 1_283_100);
        let nothing = Demands {
            path: 40_000.0,
            ..RICH
        };
        assert_eq!(share(nothing).picture, 30_000);
    }
}
