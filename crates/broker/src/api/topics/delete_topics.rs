//! DeleteTopics.

use crate::access::{Access, Operation, Resource};
use crate::api_error::{ApiError, code_of, text_of};
use crate::call::{Call, Outcome};
use crate::error_code;
use esker_meta::{Command, State};
use esker_types::TopicId;
use esker_wire::api::delete_topics::{
    DeletableTopicResult, DeleteTopicsRequest, DeleteTopicsResponse,
};
use esker_wire::{ErrorCode, Uuid};
use std::collections::BTreeMap;

pub(crate) const ACCESS: Access = Access::Needs(Operation::Delete, Resource::Topic);

/// First version that names topics by id.
const BY_ID: i16 = 6;
/// First version that knows of deletion being switched off.
const DISABLED_SINCE: i16 = 3;

/// What a request says of one topic.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Wanted<'a> {
    name: Option<&'a str>,
    id: Uuid,
}

pub(crate) async fn handle(call: &Call<'_>, request: DeleteTopicsRequest<'_>) -> Outcome {
    let wanted: Vec<_> = if call.version() >= BY_ID {
        request.topics.iter().map(|t| Wanted { name: t.name, id: t.topic_id }).collect()
    } else {
        request
            .topic_names
            .iter()
            .map(|name| Wanted { name: Some(name), id: Uuid::nil() })
            .collect()
    };
    let state = call.broker.engine().meta().image();
    let mut outcomes = Vec::new();
    for (wanted, found) in find(&state, wanted) {
        let deleted = match found {
            Ok(topic) => delete(call, topic).await,
            Err(refusal) => Err(refusal),
        };
        outcomes.push((wanted, deleted));
    }
    let gone = outcomes.iter().filter_map(|(_, deleted)| state.topics.get(deleted.as_ref().ok()?));
    let gone: Vec<_> = gone.map(|row| row.name.clone()).collect();
    if !gone.is_empty() {
        call.broker.coordinator.forget_topics(&gone).await;
    }
    let responses = outcomes.iter().map(|(wanted, deleted)| {
        // Whoever asked by id is told the name, too, once the topic is gone.
        let known = deleted.as_ref().ok().and_then(|id| Some((id, state.topics.get(id)?)));
        DeletableTopicResult {
            name: known.map_or(wanted.name, |(_, row)| Some(row.name.as_str())),
            topic_id: known.map_or(wanted.id, |(id, _)| id.0),
            error_code: code_of(deleted),
            error_message: text_of(deleted),
        }
    });
    call.answer(DeleteTopicsResponse { responses: responses.collect(), ..Default::default() })
}

/// Finds the topics that a request means. One that is named more than once, in whatever way, is not deleted, and is
/// answered once.
fn find<'a>(
    state: &State,
    wanted: Vec<Wanted<'a>>,
) -> impl Iterator<Item = (Wanted<'a>, Result<TopicId, ApiError>)> {
    let mut count: BTreeMap<Wanted<'a>, usize> = BTreeMap::new();
    let mut order = Vec::new();
    for one in wanted {
        let times = count.entry(one.clone()).or_default();
        *times += 1;
        if *times == 1 {
            order.push(one);
        }
    }
    let mut found: Vec<_> = order
        .into_iter()
        .map(|one| {
            let topic = if count[&one] > 1 { Err(duplicate(&one)) } else { find_one(state, &one) };
            (one, topic)
        })
        .collect();
    let mut meant: BTreeMap<TopicId, usize> = BTreeMap::new();
    for topic in found.iter().filter_map(|(_, topic)| topic.as_ref().ok()) {
        *meant.entry(*topic).or_default() += 1;
    }
    // A name and an id of one topic: said of it once, with both.
    found.retain_mut(|(one, topic)| {
        let Some(id) = topic.as_ref().ok().copied().filter(|id| meant[id] > 1) else { return true };
        *topic = Err(ApiError::new(
            ErrorCode::InvalidRequest,
            "The provided topic name maps to an ID that was already supplied.",
        ));
        let is_by_name = one.name.is_some();
        one.id = id.0;
        is_by_name
    });
    found.into_iter()
}

fn duplicate(wanted: &Wanted<'_>) -> ApiError {
    let message =
        if wanted.name.is_some() { "Duplicate topic name." } else { "Duplicate topic id." };
    ApiError::new(ErrorCode::InvalidRequest, message)
}

fn find_one(state: &State, wanted: &Wanted<'_>) -> Result<TopicId, ApiError> {
    let refuse = ApiError::of_code;
    match wanted.name {
        Some(_) if !wanted.id.is_nil() => Err(ApiError::new(
            ErrorCode::InvalidRequest,
            "You may not specify both topic name and topic id.",
        )),
        None if wanted.id.is_nil() => Err(ApiError::new(
            ErrorCode::InvalidRequest,
            "Neither topic name nor id were specified.",
        )),
        Some(name) => {
            let id = state.topic_names.get(name).copied();
            id.ok_or_else(|| refuse(ErrorCode::UnknownTopicOrPartition))
        }
        None => {
            let id = TopicId(wanted.id);
            let known = state.topics.contains_key(&id);
            if known { Ok(id) } else { Err(refuse(ErrorCode::UnknownTopicId)) }
        }
    }
}

async fn delete(call: &Call<'_>, topic: TopicId) -> Result<TopicId, ApiError> {
    let refuse = ApiError::of_code;
    if !call.broker.options().delete_topics {
        return Err(match call.version() {
            ..DISABLED_SINCE => {
                ApiError::new(ErrorCode::InvalidRequest, "Topic deletion is disabled.")
            }
            _ => refuse(ErrorCode::TopicDeletionDisabled),
        });
    }
    let engine = call.broker.engine();
    let deleted = engine.meta().propose(Command::DeleteTopic { topic }).await;
    deleted.map_err(|error| refuse(error_code::of_meta(&error)))?;
    engine.refresh();
    Ok(topic)
}
