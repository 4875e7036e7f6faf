//! Tables of TOML whose keys are taken one by one: what is left over nobody knows.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::action::nearest;

/// Something wrong, at a place in the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) span: Range<usize>,
    pub(super) why: String,
}

/// What is wrong so far.
pub(super) type Wrongs = Vec<Wrong>;

/// A table, and which of its keys somebody asked for.
pub(super) struct Table<'a> {
    what: &'static str,
    table: &'a DeTable<'a>,
    span: Range<usize>,
    known: Vec<&'static str>,
}

/// A value with its place.
pub(super) struct At<T> {
    pub(super) value: T,
    pub(super) span: Range<usize>,
}

type Found<'a> = &'a Spanned<DeValue<'a>>;

impl<'a> Table<'a> {
    pub(super) fn new(what: &'static str, table: &'a DeTable<'a>, span: Range<usize>) -> Self {
        Self {
            what,
            table,
            span,
            known: Vec::new(),
        }
    }

    pub(super) fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    fn find(&mut self, key: &'static str) -> Option<Found<'a>> {
        self.known.push(key);
        let mut pairs = self.table.iter();
        let found = pairs.find(|(name, _)| name.get_ref() == key);
        found.map(|(_, value)| value)
    }

    pub(super) fn text(&mut self, key: &'static str, wrongs: &mut Wrongs) -> Option<At<String>> {
        let value = self.find(key)?;
        match value.get_ref() {
            DeValue::String(text) => Some(At {
                value: text.to_string(),
                span: value.span(),
            }),
            other => {
                refuse(key, "a text in quotes", other, value.span(), wrongs);
                None
            }
        }
    }

    pub(super) fn needed(
        &mut self,
        key: &'static str,
        example: &str,
        wrongs: &mut Wrongs,
    ) -> Option<At<String>> {
        if !self.table.iter().any(|(name, _)| name.get_ref() == key) {
            wrongs.push(Wrong {
                span: self.span(),
                why: format!("{} needs {key}: {key} = {example}", self.what),
            });
        }
        self.text(key, wrongs)
    }

    /// A text, or several.
    pub(super) fn texts(&mut self, key: &'static str, wrongs: &mut Wrongs) -> Vec<At<String>> {
        let Some(value) = self.find(key) else {
            return Vec::new();
        };
        let mut texts = Vec::new();
        let mut take = |value: Found<'_>, wrongs: &mut Wrongs| match value.get_ref() {
            DeValue::String(text) => texts.push(At {
                value: text.to_string(),
                span: value.span(),
            }),
            other => refuse(key, "texts in quotes", other, value.span(), wrongs),
        };
        match value.get_ref() {
            DeValue::Array(array) => array.iter().for_each(|one| take(one, wrongs)),
            _ => take(value, wrongs),
        }
        texts
    }

    pub(super) fn yes(&mut self, key: &'static str, wrongs: &mut Wrongs) -> bool {
        match self.find(key).map(|value| (value.get_ref(), value.span())) {
            None => false,
            Some((DeValue::Boolean(yes), _)) => *yes,
            Some((other, span)) => {
                refuse(key, "true or false", other, span, wrongs);
                false
            }
        }
    }

    pub(super) fn number(&mut self, key: &'static str, wrongs: &mut Wrongs) -> Option<u64> {
        let value = self.find(key)?;
        let number = match value.get_ref() {
            DeValue::Integer(number) => number.to_string().parse().ok(),
            _ => None,
        };
        if number.is_none() {
            refuse(
                key,
                "a whole number, 0 or more",
                value.get_ref(),
                value.span(),
                wrongs,
            );
        }
        number
    }

    /// A table of texts, whose names are free.
    pub(super) fn map(
        &mut self,
        key: &'static str,
        wrongs: &mut Wrongs,
    ) -> BTreeMap<String, String> {
        let Some(value) = self.find(key) else {
            return BTreeMap::new();
        };
        let DeValue::Table(table) = value.get_ref() else {
            refuse(
                key,
                "a table of texts",
                value.get_ref(),
                value.span(),
                wrongs,
            );
            return BTreeMap::new();
        };
        let mut map = BTreeMap::new();
        for (name, value) in table {
            match value.get_ref() {
                DeValue::String(text) => {
                    map.insert(name.get_ref().to_string(), text.to_string());
                }
                other => refuse(key, "a table of texts", other, value.span(), wrongs),
            }
        }
        map
    }

    /// The tables of `[[key]]`.
    pub(super) fn tables(
        &mut self,
        key: &'static str,
        what: &'static str,
        wrongs: &mut Wrongs,
    ) -> Vec<Self> {
        let Some(value) = self.find(key) else {
            return Vec::new();
        };
        let DeValue::Array(array) = value.get_ref() else {
            refuse(
                key,
                "tables of their own, as [[…]]",
                value.get_ref(),
                value.span(),
                wrongs,
            );
            return Vec::new();
        };
        let mut tables = Vec::new();
        for one in array {
            match one.get_ref() {
                DeValue::Table(table) => tables.push(Self::new(what, table, one.span())),
                other => refuse(key, "a table", other, one.span(), wrongs),
            }
        }
        tables
    }

    /// Whatever nobody asked for is a mistake.
    pub(super) fn finish(self, wrongs: &mut Wrongs) {
        for (name, _) in self.table {
            let key: &str = name.get_ref();
            if self.known.contains(&key) {
                continue;
            }
            let hint = nearest(key, self.known.iter().copied()).map_or_else(
                || format!("; there are {}", self.known.join(", ")),
                |near| format!("; is it {near}?"),
            );
            wrongs.push(Wrong {
                span: name.span(),
                why: format!("{} has no key {key}{hint}", self.what),
            });
        }
    }
}

fn refuse(key: &str, wanted: &str, found: &DeValue<'_>, span: Range<usize>, wrongs: &mut Wrongs) {
    wrongs.push(Wrong {
        span,
        why: format!(
            "{key} is {wanted}, and this is of type {}",
            found.type_str()
        ),
    });
}
