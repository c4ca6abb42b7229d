//! Footers and manifests, parsed: read once, by one request for all who wait.

use crate::objects::error::{ObjectDamage, ObjectReadError};
use crate::objects::stored::StoredExtent;
use esker_cache::{CachedObject, ObjectReader, ReadHint};
use esker_env::{BoxFuture, ObjectKey};
use esker_object::{Corrupt, Manifest, ObjectMeta, manifest_key};
use esker_types::{Incarnation, ObjectId};
use futures_util::FutureExt;
use futures_util::future::{Shared, WeakShared};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Memory for what was parsed.
const BYTES_MAX: usize = 32 << 20;

/// Parsed footers and manifests.
#[derive(Default)]
pub(crate) struct Footers {
    cache: Arc<Mutex<ParsedCache>>,
}

#[derive(Default)]
struct ParsedCache {
    known: BTreeMap<ObjectId, (u64, Parsed)>,
    bytes: usize,
    turn: u64,
    /// What is being read. Whoever waits for one drives it; when nobody does any more it is gone.
    loading: BTreeMap<ObjectId, WeakShared<Reading>>,
}

type Reading = BoxFuture<'static, Result<Parsed, ObjectReadError>>;

/// A footer or a manifest on its way.
pub(crate) type Loading = Shared<Reading>;

#[derive(Clone)]
pub(crate) enum Parsed {
    Object(Arc<ObjectMeta>),
    Manifest(Arc<Manifest>),
}

impl Parsed {
    fn bytes(&self) -> usize {
        match self {
            Self::Object(meta) => meta.memory_bytes(),
            Self::Manifest(manifest) => 64 * manifest.len() + 256,
        }
    }
}

impl ParsedCache {
    fn get(&mut self, id: ObjectId) -> Option<Parsed> {
        self.turn += 1;
        let (used, parsed) = self.known.get_mut(&id)?;
        *used = self.turn;
        Some(parsed.clone())
    }

    fn insert(&mut self, id: ObjectId, parsed: Parsed) {
        self.turn += 1;
        self.bytes += parsed.bytes();
        if let Some((_, old)) = self.known.insert(id, (self.turn, parsed)) {
            self.bytes -= old.bytes();
        }
        while self.bytes > BYTES_MAX && self.known.len() > 1 {
            let oldest = self.known.iter().min_by_key(|(_, (used, _))| *used);
            let Some(oldest) = oldest.map(|(id, _)| *id) else { break };
            if let Some((_, old)) = self.known.remove(&oldest) {
                self.bytes -= old.bytes();
            }
        }
    }
}

/// What there is of a footer or a manifest.
enum Lookup {
    Known(Parsed),
    Loading(Loading),
}

impl Footers {
    /// Forgets what was read.
    pub(crate) fn clear(&self) {
        *self.cache.lock() = ParsedCache::default();
    }

    /// An object's footer; one that `footer_included` is part of what is being fetched into the
    /// cache.
    pub(crate) async fn object(
        &self,
        reader: &ObjectReader,
        stored: &StoredExtent,
        footer_included: bool,
    ) -> Result<Arc<ObjectMeta>, ObjectReadError> {
        let read = || read_object(reader.clone(), *stored, footer_included);
        let found = self.find(stored.object, read).0;
        match found.parsed().await? {
            Parsed::Object(meta) => Ok(meta),
            Parsed::Manifest(_) => Err(two_kinds(stored.object)),
        }
    }

    /// An object's footer, if it is in memory.
    pub(crate) fn known_object(&self, id: ObjectId) -> Option<Arc<ObjectMeta>> {
        match self.cache.lock().get(id)? {
            Parsed::Object(meta) => Some(meta),
            Parsed::Manifest(_) => None,
        }
    }

    /// The reading of an object's footer, for a task to drive; `None` where it is there or somebody
    /// reads it.
    pub(crate) fn load_object(
        &self,
        reader: &ObjectReader,
        stored: &StoredExtent,
        footer_included: bool,
    ) -> Option<Loading> {
        match self.find(stored.object, || read_object(reader.clone(), *stored, footer_included)) {
            (Lookup::Loading(loading), true) => Some(loading),
            _ => None,
        }
    }

    /// A manifest segment.
    pub(crate) async fn manifest(
        &self,
        reader: &ObjectReader,
        object: ObjectId,
        incarnation: Incarnation,
        len: u64,
    ) -> Result<Arc<Manifest>, ObjectReadError> {
        let read = || read_manifest(reader.clone(), object, incarnation, len);
        match self.find(object, read).0.parsed().await? {
            Parsed::Manifest(manifest) => Ok(manifest),
            Parsed::Object(_) => Err(two_kinds(object)),
        }
    }

    /// A manifest segment, if it is in memory.
    pub(crate) fn known_manifest(&self, id: ObjectId) -> Option<Arc<Manifest>> {
        match self.cache.lock().get(id)? {
            Parsed::Manifest(manifest) => Some(manifest),
            Parsed::Object(_) => None,
        }
    }

    /// What is known, or its reading, and whether that begins now.
    fn find(&self, id: ObjectId, read: impl FnOnce() -> Reading) -> (Lookup, bool) {
        let mut state = self.cache.lock();
        if let Some(parsed) = state.get(id) {
            return (Lookup::Known(parsed), false);
        }
        if let Some(loading) = state.loading.get(&id).and_then(WeakShared::upgrade) {
            return (Lookup::Loading(loading), false);
        }
        let (owner, read) = (Arc::clone(&self.cache), read());
        let loading = async move {
            let outcome = read.await;
            let mut state = owner.lock();
            state.loading.remove(&id);
            if let Ok(parsed) = &outcome {
                state.insert(id, parsed.clone());
            }
            outcome
        };
        let loading = loading.boxed().shared();
        let weak = loading.downgrade().expect("nobody has driven it yet");
        state.loading.retain(|_, loading| loading.upgrade().is_some());
        state.loading.insert(id, weak);
        (Lookup::Loading(loading), true)
    }
}

impl Lookup {
    async fn parsed(self) -> Result<Parsed, ObjectReadError> {
        match self {
            Self::Known(parsed) => Ok(parsed),
            Self::Loading(loading) => loading.await,
        }
    }
}

fn read_object(reader: ObjectReader, stored: StoredExtent, footer_included: bool) -> Reading {
    let read = async move {
        let object = stored.cached();
        let range = stored.meta_position..stored.len;
        let parse = |bytes| {
            let meta = ObjectMeta::parse(bytes, stored.meta_position)?;
            let is_it = meta.header().object == stored.object;
            if is_it { Ok(meta) } else { Err(Corrupt("it says it is another one")) }
        };
        let refused = ObjectReadError::of_bucket(object.id);
        let bytes = if footer_included {
            let whole = [range.clone()];
            let read = reader.read_each(&object, &whole, ReadHint::SINGLE).await;
            read.map_err(&refused)?.pop().expect("one piece for each range")
        } else {
            reader.read_uncached(&object, range.clone(), true).await.map_err(&refused)?
        };
        let meta = match parse(bytes) {
            Ok(meta) => meta,
            // What a request or the cache damaged is asked for once more.
            Err(_) => {
                let again = reader.read_uncached(&object, range, true).await.map_err(&refused)?;
                parse(again).map_err(|source| ObjectReadError::Corrupt {
                    object: object.id,
                    source: ObjectDamage::Data { key: object.key.clone(), source },
                })?
            }
        };
        Ok(Parsed::Object(Arc::new(meta)))
    };
    read.boxed()
}

fn read_manifest(
    reader: ObjectReader,
    id: ObjectId,
    incarnation: Incarnation,
    len: u64,
) -> Reading {
    let read = async move {
        let key = ObjectKey::new(&manifest_key(id, incarnation));
        let object = CachedObject { id, key: key.clone(), len };
        let refused = ObjectReadError::of_bucket(id);
        let bytes = reader.read_uncached(&object, 0..len, true).await.map_err(&refused)?;
        let manifest = match Manifest::parse(bytes) {
            Ok(manifest) => manifest,
            Err(_) => {
                let again = reader.read_uncached(&object, 0..len, true).await.map_err(&refused)?;
                Manifest::parse(again).map_err(|source| ObjectReadError::Corrupt {
                    object: id,
                    source: ObjectDamage::Manifest { key, source },
                })?
            }
        };
        Ok(Parsed::Manifest(Arc::new(manifest)))
    };
    read.boxed()
}

fn two_kinds(object: ObjectId) -> ObjectReadError {
    ObjectReadError::Corrupt { object, source: ObjectDamage::TwoKinds(object) }
}
