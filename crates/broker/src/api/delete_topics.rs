//! DeleteTopics.

use crate::dispatch::{Answer, Call};
use crate::error_code;
use esker_meta::Command;
use esker_types::{TopicId, TopicName};
use esker_wire::api::delete_topics::{
    DeletableTopicResult, DeleteTopicsRequest, DeleteTopicsResponse,
};
use esker_wire::{ErrorCode, Uuid};
use std::collections::BTreeSet;

/// First version that names topics by id.
const BY_ID: i16 = 6;

pub(crate) async fn handle(
    call: &Call<'_>,
    request: DeleteTopicsRequest<'_>,
) -> Result<Answer, String> {
    let wanted: Vec<(Option<&str>, Uuid)> = if call.version() >= BY_ID {
        request.topics.iter().map(|topic| (topic.name, topic.topic_id)).collect()
    } else {
        request.topic_names.iter().map(|name| (Some(name), Uuid::nil())).collect()
    };
    let mut gone = Vec::new();
    let mut seen = BTreeSet::new();
    let mut results = Vec::new();
    for (name, id) in wanted {
        let result = if !seen.insert((name, id)) {
            Err(ErrorCode::InvalidRequest)
        } else {
            delete(call, name, id).await
        };
        if let Ok((deleted, _)) = &result {
            gone.extend(TopicName::new(deleted));
        }
        results.push((name.map(str::to_owned), id, result));
    }
    if !gone.is_empty() {
        call.broker.forget_topics(&gone).await;
    }
    let responses: Vec<_> = results
        .iter()
        .map(|(name, id, result)| match result {
            Ok((deleted_name, deleted_id)) => DeletableTopicResult {
                name: Some(deleted_name),
                topic_id: deleted_id.0,
                error_message: None,
                ..Default::default()
            },
            Err(code) => DeletableTopicResult {
                name: name.as_deref(),
                topic_id: *id,
                error_code: code.code(),
                error_message: Some(code.message()),
            },
        })
        .collect();
    call.answer(&DeleteTopicsResponse { responses: responses.into(), ..Default::default() })
}

async fn delete(
    call: &Call<'_>,
    name: Option<&str>,
    id: Uuid,
) -> Result<(String, TopicId), ErrorCode> {
    let engine = call.broker.engine();
    if !call.broker.options().delete_topics {
        return Err(ErrorCode::TopicDeletionDisabled);
    }
    let state = engine.meta().image();
    let topic = match name {
        Some(_) if !id.is_nil() => return Err(ErrorCode::InvalidRequest),
        Some(name) => *state.topic_names.get(name).ok_or(ErrorCode::UnknownTopicOrPartition)?,
        None => TopicId(id),
    };
    let row = state.topics.get(&topic).ok_or(ErrorCode::UnknownTopicId)?;
    engine
        .meta()
        .propose(Command::DeleteTopic { topic })
        .await
        .map_err(|error| error_code::of_meta(&error))?;
    engine.refresh();
    Ok((row.name.to_string(), topic))
}
