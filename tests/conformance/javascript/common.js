// What the driven programs share: records as JSON lines, bytes in base64.
"use strict";

const readline = require("node:readline");

const encode = (bytes) => (bytes === null || bytes === undefined ? null : Buffer.from(bytes).toString("base64"));
const decode = (text) => (text === null ? null : Buffer.from(text, "base64"));
const print = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);

async function readRecords() {
  const records = [];
  for await (const line of readline.createInterface({ input: process.stdin })) records.push(JSON.parse(line));
  return records;
}

// Runs the verb on the command line and ends the process: 0 when it worked, 1 with the error's text otherwise.
async function runVerb(verbs) {
  const [bootstrap, verb, topic, ...words] = process.argv.slice(2);
  try {
    await verbs[verb](bootstrap, topic, words);
    process.exitCode = 0;
  } catch (error) {
    process.stderr.write(`${error.stack ?? error}\n`);
    process.exitCode = 1;
  }
  // Timers of a client must not keep the process; what was printed goes out first.
  process.stdout.write("", () => process.exit());
}

module.exports = { decode, encode, print, readRecords, runVerb };
