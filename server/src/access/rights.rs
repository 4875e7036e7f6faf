//! What a peer may do, as its token says it.

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use rtc_protocol::{ErrorCode, Name, RoomId};
use serde::{Deserialize, Serialize};

use super::{Claims, Denied, Moment, Rooms, SKEW};

/// One thing that a token can allow.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum Power {
    /// To enter the rooms that the token names, and to ring others into them.
    Join,
    /// To send sound and picture there; who may not is muted from the begin to the end.
    Publish,
    /// To mute, kick and grant there, without having been first.
    Moderate,
    /// To look after the server: its list of rooms, broadcasts, draining.
    Admin,
}

impl Power {
    /// What a token gives that does not say.
    #[must_use]
    pub fn usual() -> BTreeSet<Self> {
        [Self::Join, Self::Publish].into()
    }
}

/// What a peer may do. One pointer, as every idle peer has it.
#[derive(Clone, Debug, PartialEq)]
pub struct Rights(Option<Arc<Granted>>);

#[derive(Debug, PartialEq)]
struct Granted {
    rooms: Rooms,
    name: Option<Name>,
    powers: BTreeSet<Power>,
    /// None: never.
    until: Option<Instant>,
    subject: Option<String>,
}

static ADMINISTRATOR: LazyLock<Arc<Granted>> = LazyLock::new(|| {
    Arc::new(Granted {
        rooms: Rooms::All,
        name: None,
        powers: [Power::Join, Power::Publish, Power::Moderate, Power::Admin].into(),
        until: None,
        subject: None,
    })
});

static NOBODY: LazyLock<Arc<Granted>> = LazyLock::new(|| {
    Arc::new(Granted {
        rooms: Rooms::default(),
        name: None,
        powers: BTreeSet::new(),
        until: None,
        subject: None,
    })
});

impl Rights {
    /// Of everybody, where no token is needed: every room, and whoever comes first moderates.
    #[must_use]
    pub const fn open() -> Self {
        Self(None)
    }

    /// Of who holds the administrator's token: everything.
    #[must_use]
    pub fn administrator() -> Self {
        Self(Some(Arc::clone(&ADMINISTRATOR)))
    }

    /// None at all.
    #[must_use]
    pub fn none() -> Self {
        Self(Some(Arc::clone(&NOBODY)))
    }

    /// What these claims give, as they are; whether they are genuine, and in time, is looked at elsewhere.
    ///
    /// # Errors
    /// When one is larger than it may be.
    pub(crate) fn from_claims(claims: &Claims, now: Moment) -> Result<Self, Denied> {
        let left = claims.exp - now.unix + SKEW.as_secs_f64();
        let until = match Duration::try_from_secs_f64(left) {
            // So far away that no clock counts there.
            Err(_) if left > 0.0 => None,
            Err(_) => Some(now.steady),
            Ok(left) => now.steady.checked_add(left),
        };
        if claims.sub.as_ref().is_some_and(|sub| sub.len() > 256) {
            return Err(Denied::Claims("its sub is longer than 256 bytes".into()));
        }
        Ok(Self(Some(Arc::new(Granted {
            rooms: claims.room.clone(),
            name: claims.name.clone(),
            powers: claims.rights.clone(),
            until,
            subject: claims.sub.clone(),
        }))))
    }

    /// Whether they have run out; what was begun with them goes on, and nothing new begins.
    #[must_use]
    pub fn expired(&self, now: Instant) -> bool {
        let until = self.0.as_ref().and_then(|granted| granted.until);
        until.is_some_and(|until| now >= until)
    }

    /// Whether their holder may enter this room now, and what to answer if not.
    ///
    /// # Errors
    /// When it may not.
    pub fn join(&self, room: &RoomId, now: Instant) -> Result<(), (ErrorCode, String)> {
        let Some(granted) = &self.0 else {
            return Ok(());
        };
        self.any()?;
        if !granted.powers.contains(&Power::Join) || !granted.rooms.hold(room) {
            let words =
                format!("your token does not let you into room {room}; ask for one that does");
            return Err((ErrorCode::NotAllowed, words));
        }
        self.in_time(now)
    }

    /// Whether their holder may take this name to be called by.
    ///
    /// # Errors
    /// When it may not.
    pub fn register(&self, name: &Name, now: Instant) -> Result<(), (ErrorCode, String)> {
        let Some(granted) = &self.0 else {
            return Ok(());
        };
        self.any()?;
        let own = granted.name.as_ref().is_none_or(|own| own == name);
        if !granted.powers.contains(&Power::Join) || !own {
            let name = name.as_str();
            let words = format!("your token does not let you go by the name {name:?}; use its own");
            return Err((ErrorCode::NotAllowed, words));
        }
        self.in_time(now)
    }

    fn any(&self) -> Result<(), (ErrorCode, String)> {
        let nobody = self
            .0
            .as_ref()
            .is_some_and(|granted| Arc::ptr_eq(granted, &NOBODY));
        if nobody {
            return Err((Denied::Missing.code(), Denied::Missing.to_string()));
        }
        Ok(())
    }

    fn in_time(&self, now: Instant) -> Result<(), (ErrorCode, String)> {
        if self.expired(now) {
            return Err((Denied::Expired.code(), Denied::Expired.to_string()));
        }
        Ok(())
    }

    /// Whether their holder moderates this room, whoever came first.
    #[must_use]
    pub fn moderate(&self, room: &RoomId) -> bool {
        self.has(Power::Moderate)
            && self
                .0
                .as_ref()
                .is_some_and(|granted| granted.rooms.hold(room))
    }

    /// Whether their holder may send sound and picture.
    #[must_use]
    pub fn publish(&self) -> bool {
        self.0.is_none() || self.has(Power::Publish)
    }

    /// Whether their holder may look after the server now.
    #[must_use]
    pub fn administrate(&self, now: Instant) -> bool {
        self.has(Power::Admin) && !self.expired(now)
    }

    /// The name that their holder must go by.
    #[must_use]
    pub fn name(&self) -> Option<&Name> {
        self.0.as_ref().and_then(|granted| granted.name.as_ref())
    }

    /// Whose they are, in the words of who made the token.
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        self.0
            .as_ref()
            .and_then(|granted| granted.subject.as_deref())
    }

    fn has(&self, power: Power) -> bool {
        self.0
            .as_ref()
            .is_some_and(|granted| granted.powers.contains(&power))
    }
}
