// Drives a broker with node-rdkafka as the suites ask: one verb a call, JSON on standard output.
"use strict";

const kafka = require("node-rdkafka");
const { decode, encode, print, readRecords, runVerb } = require("./common.js");

const PATIENCE_MS = 30_000;

const settings = (bootstrap, more) => ({ "metadata.broker.list": bootstrap, ...more });

// The clients of node-rdkafka answer through callbacks with an error first.
const answered = (action) =>
  new Promise((done, failed) => action((error, value) => (error ? failed(error) : done(value))));

const request = (topic, partitions = 1, replicas = 1) => ({ topic, num_partitions: partitions, replication_factor: replicas });

async function withAdmin(bootstrap, action) {
  const admin = kafka.AdminClient.create(settings(bootstrap));
  try {
    return await action(admin);
  } finally {
    admin.disconnect();
  }
}

const create = (bootstrap, topic, [partitions]) =>
  withAdmin(bootstrap, (admin) =>
    answered((reply) => admin.createTopic(request(topic, Number(partitions)), PATIENCE_MS, reply)),
  );

async function produce(bootstrap, topic, [codec, acks]) {
  const records = await readRecords();
  const producer = new kafka.Producer(
    settings(bootstrap, {
      "compression.codec": codec,
      "enable.idempotence": acks === "all",
      dr_cb: true,
      "linger.ms": 5,
    }),
    { "request.required.acks": acks === "all" ? -1 : Number(acks) },
  );
  const offsets = new Array(records.length);
  let missing = records.length;
  await answered((reply) => producer.connect({}, reply));
  producer.setPollInterval(5);
  await new Promise((done, failed) => {
    producer.on("event.error", failed);
    producer.on("delivery-report", (error, report) => {
      if (error) return failed(error);
      offsets[report.opaque] = report.offset;
      if (--missing === 0) done();
    });
    records.forEach(({ key, value, headers, partition }, index) => {
      const wrapped = headers.map(([name, header]) => ({ [name]: decode(header) }));
      producer.produce(topic, partition, decode(value), decode(key), null, index, wrapped);
    });
  });
  await answered((reply) => producer.disconnect(reply));
  print(offsets);
}

function show({ key, value, headers, partition, offset }) {
  const shown = (headers ?? []).flatMap((header) =>
    Object.entries(header).map(([name, bytes]) => [name, encode(bytes)]),
  );
  print({ key: encode(key), value: encode(value), headers: shown, partition, offset });
}

async function consume(bootstrap, topic, count, start) {
  const consumer = new kafka.KafkaConsumer(
    settings(bootstrap, { "group.id": `group-${topic}`, "enable.auto.commit": false, "session.timeout.ms": 6000 }),
    { "auto.offset.reset": "earliest" },
  );
  await answered((reply) => consumer.connect({}, reply));
  if (start === undefined) consumer.subscribe([topic]);
  else consumer.assign([{ topic, partition: 0, offset: start }]);
  consumer.setDefaultConsumeTimeout(1000);
  for (let left = count; left > 0; ) {
    for (const message of await answered((reply) => consumer.consume(left, reply))) {
      show(message);
      left -= 1;
      if (left === 0 && start === undefined) consumer.commitMessageSync(message);
    }
  }
  await answered((reply) => consumer.disconnect(reply));
}

const read = (bootstrap, topic, [start, count]) => consume(bootstrap, topic, Number(count), Number(start));
const group = (bootstrap, topic, [count]) => consume(bootstrap, topic, Number(count));

async function errors(bootstrap, topic) {
  const names = Object.fromEntries(
    Object.entries(kafka.CODES.ERRORS).map(([name, code]) => [code, name.replace(/^ERR_/, "")]),
  );
  const seen = {};
  const name = async (why, action) => {
    try {
      await action();
      seen[why] = "none";
    } catch (error) {
      // Errors of delivery reports have a text and no code.
      if (/size too large/.test(error.message)) seen[why] = "MESSAGE_TOO_LARGE";
      else seen[why] = (names[error.code] ?? error.message).replace(/^TOPIC_EXCEPTION/, "INVALID_TOPIC_EXCEPTION");
    }
  };
  await withAdmin(bootstrap, async (admin) => {
    const attempt = (wanted) => () => answered((reply) => admin.createTopic(wanted, PATIENCE_MS, reply));
    await name("exists", attempt(request(topic)));
    await name("name", attempt(request("no name")));
    await name("replicas", attempt(request(`${topic}-replicas`, 1, 3)));
    await name("unknown", () => answered((reply) => admin.deleteTopic(`${topic}-unknown`, PATIENCE_MS, reply)));
  });
  const producer = new kafka.Producer(settings(bootstrap, { dr_cb: true, "message.max.bytes": 10_000_000 }));
  await answered((reply) => producer.connect({}, reply));
  producer.setPollInterval(5);
  await name("large", () =>
    answered((reply) => {
      producer.on("delivery-report", (error) => reply(error));
      producer.produce(topic, 0, Buffer.alloc(3 << 20));
    }),
  );
  await answered((reply) => producer.disconnect(reply));
  print(seen);
}

runVerb({ create, produce, read, group, errors });
