//! What the structs of a message need to know about each other.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use esker_wire_schema::{Field, Message, Type, Versions};

/// An inclusive range with both ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) oldest: i16,
    pub(super) newest: i16,
}

impl Range {
    /// The part of `self` that `versions` says.
    pub(super) fn narrow(self, versions: Versions) -> Self {
        Self {
            oldest: versions.oldest.map_or(self.oldest, |v| v.max(self.oldest)),
            newest: versions.newest.map_or(self.newest, |v| v.min(self.newest)),
        }
    }

    fn hull(self, other: Self) -> Self {
        Self { oldest: self.oldest.min(other.oldest), newest: self.newest.max(other.newest) }
    }

    /// Condition on the version `v` that holds in `self`, for who knows that `v` is in `known`.
    /// `None` if it always holds.
    pub(super) fn condition(self, known: Self) -> Option<String> {
        let Self { oldest, newest } = self;
        match (oldest > known.oldest, newest < known.newest) {
            (false, false) => None,
            (true, false) => Some(format!("v >= {oldest}")),
            (false, true) => Some(format!("v <= {newest}")),
            (true, true) if oldest == newest => Some(format!("v == {oldest}")),
            (true, true) => Some(format!("({oldest}..={newest}).contains(&v)")),
        }
    }
}

/// A struct of a message, the message itself included.
#[derive(Debug)]
pub(super) struct Struct<'s> {
    pub(super) name: &'s str,
    pub(super) fields: &'s [Field],
    /// Versions in which it can occur.
    pub(super) range: Range,
    /// Whether it borrows from the frame.
    pub(super) borrows: bool,
}

/// All structs of a message by name, with the order in which they are to be written down.
#[derive(Debug)]
pub(super) struct Layout<'s> {
    pub(super) message: &'s Message,
    pub(super) structs: Vec<Struct<'s>>,
    index: BTreeMap<&'s str, usize>,
}

impl<'s> Layout<'s> {
    pub(super) fn new(message: &'s Message) -> Result<Self> {
        let mut layout = Self { message, structs: Vec::new(), index: BTreeMap::new() };
        let range = Range { oldest: message.oldest, newest: message.newest };
        layout.visit(&message.name, &message.fields, range)?;
        layout.find_borrowers();
        for def in &message.structs {
            ensure!(layout.index.contains_key(&def.name[..]), "`{}` is not used", def.name);
        }
        layout.check_min_lens()?;
        Ok(layout)
    }

    pub(super) fn get(&self, name: &str) -> &Struct<'s> {
        &self.structs[self.index[name]]
    }

    fn visit(&mut self, name: &'s str, fields: &'s [Field], range: Range) -> Result<()> {
        match self.index.get(name) {
            Some(&index) => {
                let known = &mut self.structs[index];
                known.range = known.range.hull(range);
            }
            None => {
                self.index.insert(name, self.structs.len());
                self.structs.push(Struct { name, fields, range, borrows: false });
            }
        }
        for field in fields {
            let own = range.narrow(field.versions);
            ensure!(own.oldest <= own.newest, "`{name}.{}` is in no version", field.name);
            if let Some(inner) = field.ty.struct_name() {
                let fields = self
                    .message
                    .struct_fields(inner)
                    .with_context(|| format!("`{inner}` is not defined"))?;
                self.visit(inner, fields, own)?;
            }
        }
        Ok(())
    }

    /// Structs nest without cycles, and a struct is found before those in it: backwards is enough
    /// but for shared ones, hence until nothing changes.
    fn find_borrowers(&mut self) {
        loop {
            let mut changed = false;
            for index in 0..self.structs.len() {
                let borrows = self.structs[index].fields.iter().any(|field| match &field.ty {
                    Type::String | Type::Bytes | Type::Records | Type::Array(_) => true,
                    Type::Struct(name) => self.get(name).borrows,
                    _ => false,
                });
                changed |= borrows != self.structs[index].borrows;
                self.structs[index].borrows = borrows;
            }
            if !changed {
                return;
            }
        }
    }

    /// Least size of a struct at `version`.
    pub(super) fn min_len(&self, of: &Struct<'_>, version: i16) -> usize {
        let flexible = self.message.is_flexible(version);
        let fields: usize = of
            .fields
            .iter()
            .filter(|field| {
                field.tag.is_none() && of.range.narrow(field.versions).contains(version)
            })
            .map(|field| match &field.ty {
                Type::Bool | Type::I8 => 1,
                Type::I16 | Type::U16 => 2,
                Type::I32 | Type::U32 => 4,
                Type::I64 | Type::F64 => 8,
                Type::Uuid => 16,
                Type::Struct(_) if field.nullable.is_some() => 1,
                Type::Struct(name) => self.min_len(self.get(name), version),
                _ if flexible => 1,
                Type::String => 2,
                Type::Bytes | Type::Records | Type::Array(_) => 4,
            })
            .sum();
        fields + usize::from(flexible)
    }

    /// The reader divides by the least size of an element.
    fn check_min_lens(&self) -> Result<()> {
        for of in &self.structs[1..] {
            for version in of.range.oldest..=of.range.newest {
                let empty = self.min_len(of, version) == 0;
                ensure!(!empty, "`{}` is empty in version {version}", of.name);
            }
        }
        Ok(())
    }
}

impl Range {
    fn contains(self, version: i16) -> bool {
        (self.oldest..=self.newest).contains(&version)
    }
}
