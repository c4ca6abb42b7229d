// Drives a broker with kafkajs as the suites ask: one verb a call, JSON on standard output.
"use strict";

const { Kafka, CompressionCodecs, CompressionTypes, ConfigResourceTypes, logLevel } = require("kafkajs");
const { decode, encode, print, readRecords, runVerb } = require("./common.js");

CompressionCodecs[CompressionTypes.Snappy] = require("kafkajs-snappy");

const CODECS = { none: CompressionTypes.None, gzip: CompressionTypes.GZIP, snappy: CompressionTypes.Snappy };
const ACKS = { 0: 0, 1: 1, all: -1 };

function connect(bootstrap) {
  return new Kafka({ clientId: "conformance", brokers: [bootstrap], logLevel: logLevel.NOTHING, retry: { retries: 5 } });
}

async function withAdmin(bootstrap, action) {
  const admin = connect(bootstrap).admin();
  await admin.connect();
  try {
    return await action(admin);
  } finally {
    await admin.disconnect();
  }
}

async function create(bootstrap, topic, [partitions]) {
  await withAdmin(bootstrap, (admin) =>
    admin.createTopics({ topics: [{ topic, numPartitions: Number(partitions), replicationFactor: 1 }], waitForLeaders: true }),
  );
}

async function produce(bootstrap, topic, [codec, acks]) {
  const messages = (await readRecords()).map(({ key, value, headers, partition }) => {
    const grouped = {};
    for (const [name, header] of headers) (grouped[name] ??= []).push(decode(header));
    return { key: decode(key), value: decode(value), partition, headers: grouped };
  });
  const producer = connect(bootstrap).producer({ idempotent: acks === "all" });
  await producer.connect();
  // Requests of kafkajs are as large as what one call is given.
  const offsets = [];
  for (let from = 0, size = 0, i = 0; i < messages.length; i++) {
    size += messages[i].value?.length ?? 0;
    if (size > 700_000 || i === messages.length - 1) {
      const sent = messages.slice(from, i + 1);
      const [answer] = await producer.send({ topic, acks: ACKS[acks], compression: CODECS[codec], messages: sent });
      for (let n = 0; n < sent.length; n++) offsets.push(Number(answer?.baseOffset ?? -1) + n);
      [from, size] = [i + 1, 0];
    }
  }
  await producer.disconnect();
  print(offsets);
}

function show({ partition, message }) {
  const headers = Object.entries(message.headers ?? {}).flatMap(([name, values]) =>
    (Array.isArray(values) ? values : [values]).map((value) => [name, encode(value)]),
  );
  print({ key: encode(message.key), value: encode(message.value), headers, partition, offset: Number(message.offset) });
}

// kafkajs has no consumer without a group: each read is a group of its own.
async function consume(bootstrap, topic, groupId, start, count) {
  const consumer = connect(bootstrap).consumer({ groupId, sessionTimeout: 6000, heartbeatInterval: 500 });
  await consumer.connect();
  await consumer.subscribe({ topic, fromBeginning: true });
  let left = count;
  await new Promise((done, failed) => {
    consumer.on(consumer.events.CRASH, ({ payload }) => failed(payload.error));
    consumer
      .run({
        autoCommit: false,
        eachMessage: async ({ partition, message }) => {
          if (left <= 0 || Number(message.offset) < start) return;
          left -= 1;
          show({ partition, message });
          if (left === 0) {
            await consumer.commitOffsets([{ topic, partition, offset: String(Number(message.offset) + 1) }]);
            done();
          }
        },
      })
      .catch(failed);
    if (start > 0) consumer.seek({ topic, partition: 0, offset: String(start) });
  });
  await consumer.disconnect();
}

const read = (bootstrap, topic, [start, count]) =>
  consume(bootstrap, topic, `read-${topic}-${process.pid}-${start}`, Number(start), Number(count));

const group = (bootstrap, topic, [count]) => consume(bootstrap, topic, `group-${topic}`, 0, Number(count));

async function rebalance(bootstrap, topic, [partitions]) {
  const held = [0, 0];
  const member = async (index) => {
    const consumer = connect(bootstrap).consumer({
      groupId: `group-${topic}`,
      sessionTimeout: 6000,
      heartbeatInterval: 200,
    });
    consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
      held[index] = (payload.memberAssignment[topic] ?? []).length;
      changed();
    });
    await consumer.connect();
    await consumer.subscribe({ topic });
    await consumer.run({ eachMessage: async () => {} });
    return consumer;
  };
  let changed = () => {};
  const until = (first, second) =>
    new Promise((done) => {
      changed = () => held[0] === first && held[1] === second && done();
      changed();
    });
  const all = Number(partitions);
  const one = await member(0);
  await until(all, 0);
  const two = await member(1);
  await until(all / 2, all / 2);
  await one.disconnect();
  held[0] = 0;
  await until(0, all);
  await two.disconnect();
  print(held);
}

async function admin(bootstrap, topic) {
  const seen = {};
  await withAdmin(bootstrap, async (admin) => {
    await admin.createPartitions({ topicPartitions: [{ topic, count: 3 }] });
    const { topics } = await admin.fetchTopicMetadata({ topics: [topic] });
    seen.partitions = topics[0].partitions.length;
    const entries = [{ name: "retention.ms", value: "123456" }];
    const type = ConfigResourceTypes.TOPIC;
    await admin.alterConfigs({ validateOnly: false, resources: [{ type, name: topic, configEntries: entries }] });
    const described = await admin.describeConfigs({ includeSynonyms: true, resources: [{ type, name: topic }] });
    const entry = described.resources[0].configEntries.find(({ configName }) => configName === "retention.ms");
    seen["retention.ms"] = entry.configValue;
    seen.synonyms = entry.configSynonyms.map(({ configName }) => configName);
    const groupId = `admin-${topic}`;
    await admin.setOffsets({ groupId, topic, partitions: [{ partition: 0, offset: "3" }] });
    const [fetched] = await admin.fetchOffsets({ groupId, topics: [topic] });
    seen.committed = fetched.partitions.find(({ partition }) => partition === 0).offset;
    const { groups } = await admin.describeGroups([groupId]);
    seen.group = groups[0].state;
    seen.listed = (await admin.listGroups()).groups.some((listed) => listed.groupId === groupId);
    seen.deleted = (await admin.deleteGroups([groupId]))[0].errorCode ?? 0;
    await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: "5" }] });
    const offsets = await admin.fetchTopicOffsets(topic);
    seen["low watermark"] = Number(offsets.find(({ partition }) => partition === 0).low);
    seen.brokers = (await admin.describeCluster()).brokers.length;
  });
  print(seen);
}

async function times(bootstrap, topic, words) {
  const found = [];
  await withAdmin(bootstrap, async (admin) => {
    for (const at of words) {
      const [entry] = await admin.fetchTopicOffsetsByTimestamp(topic, Number(at));
      found.push(Number(entry.offset));
    }
    const [{ low, high }] = await admin.fetchTopicOffsets(topic);
    // kafkajs asks for neither the stable end nor the newest record.
    found.push(Number(low), Number(high), Number(high), Number(high) - 1);
  });
  print(found);
}

async function errors(bootstrap, topic) {
  const seen = {};
  const name = async (name, action) => {
    try {
      await action();
      seen[name] = "none";
    } catch (error) {
      const cause = error.errors?.[0] ?? error.cause ?? error;
      seen[name] = cause.type ?? cause.message;
    }
  };
  await withAdmin(bootstrap, async (admin) => {
    const request = (topic, replicationFactor = 1) => ({ topics: [{ topic, numPartitions: 1, replicationFactor }] });
    await name("exists", async () => {
      // kafkajs answers `false` for a topic that exists.
      if (!(await admin.createTopics(request(topic)))) throw { type: "TOPIC_ALREADY_EXISTS" };
    });
    await name("name", () => admin.createTopics(request("no name")));
    await name("replicas", () => admin.createTopics(request(`${topic}-replicas`, 3)));
    await name("unknown", () => admin.deleteTopics({ topics: [`${topic}-unknown`] }));
  });
  const producer = connect(bootstrap).producer({ retry: { retries: 0 } });
  await producer.connect();
  await name("large", () => producer.send({ topic, messages: [{ value: Buffer.alloc(3 << 20) }] }));
  await producer.disconnect();
  print(seen);
}

runVerb({ create, produce, read, group, rebalance, admin, times, errors });
