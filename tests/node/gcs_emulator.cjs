// Google Cloud Storage for the tests: the StorageEmulator of firebase-tools, and a front that adds what it lacks.
//
//   node gcs_emulator.cjs backend PORT                 the emulator alone; prints "ready"
//   node gcs_emulator.cjs front PORT BACKEND FOLDER    the front; prints "ready"
//
// The front speaks for the real service as its documentation describes it: access tokens for signed assertions (RFC 7523) and 401
// without one; buckets that must have been made; resumable sessions with Content-Range and 308, kept in FOLDER so that they
// survive a kill of the front; ifGenerationMatch=0; 416; signed URLs (V4), checked with Node's own RSA. Objects, hashes, listing,
// copying and removing are the emulator's. FOLDER/account.json has the public key, the account's name and the buckets.
// What no buffer of Node can hold lies in a file of the front's, with an empty object in the emulator that stands for it.
'use strict';
const crypto = require('crypto');
const fs = require('fs');
const http = require('http');
const path = require('path');

const [, , role, portText, ...rest] = process.argv;
const port = Number(portText);
const QUANTUM = 256 * 1024;
const LARGE = 1024 * 1024 * 1024;

const CRC32C = new Int32Array(256).map((_, n) => {
  let c = n;
  for (let bit = 0; bit < 8; bit++) c = c & 1 ? 0x82f63b78 ^ (c >>> 1) : c >>> 1;
  return c;
});
function crc32c(bytes, before) {
  let c = ~before;
  for (let i = 0; i < bytes.length; i++) c = CRC32C[(c ^ bytes[i]) & 0xff] ^ (c >>> 8);
  return ~c;
}

function backend() {
  process.env.FIREBASE_CLI_PREVIEWS = '';
  const { StorageEmulator } = require('firebase-tools/lib/emulator/storage');
  const { EmulatorRegistry } = require('firebase-tools/lib/emulator/registry');
  const rules = { file: 'storage.rules', rules: { name: 'storage.rules', content: '' } };
  const emulator = new StorageEmulator({ host: '127.0.0.1', port, projectId: 'demo-rowhouse', rules, auto_download: false });
  // The security rules of Firebase are not Google's storage, and need Java.
  for (const part of [emulator._rulesRuntime, emulator._rulesManager]) {
    part.start = async () => {};
    part.stop = async () => {};
  }
  EmulatorRegistry.set('storage', emulator);
  emulator.start().then(() => console.log('ready'), (error) => { console.error(error); process.exit(1); });
}

function front(backendPort, folder) {
  const account = JSON.parse(fs.readFileSync(path.join(folder, 'account.json')));
  const tokens = new Set();
  const busy = new Map(); // key → the write before

  const fail = (response, status, reason, message) => {
    response.writeHead(status, { 'Content-Type': 'application/json' });
    response.end(JSON.stringify({ error: { code: status, message, errors: [{ domain: 'global', reason, message }] } }));
  };
  const json = (response, status, value, headers = {}) => {
    response.writeHead(status, { 'Content-Type': 'application/json', ...headers });
    response.end(JSON.stringify(value));
  };
  const read = (stream) => new Promise((resolve, reject) => {
    const pieces = [];
    stream.on('data', (piece) => pieces.push(piece)).on('end', () => resolve(Buffer.concat(pieces))).on('error', reject);
  });
  const encode = (text) => encodeURIComponent(text).replace(/[!'()*]/g, (c) => '%' + c.charCodeAt(0).toString(16).toUpperCase());

  const drained = (response) => new Promise((resolve) => {
    const done = () => { response.off('drain', done).off('close', done); resolve(); };
    response.on('drain', done).on('close', done);
  });

  // To the emulator. `Bearer owner` is what it takes for an administrator.
  const ask = (method, target, headers = {}, body = Buffer.alloc(0)) => new Promise((resolve, reject) => {
    const request = http.request({ host: '127.0.0.1', port: backendPort, method, path: target,
      headers: { ...headers, authorization: 'Bearer owner', 'content-length': body.length } }, resolve);
    request.on('error', reject);
    request.end(body);
  });
  // Of a large object: its file. Like Google's composite objects it has no MD5.
  const fileOf = (bucket, key) => path.join(folder, `large-${crypto.createHash('sha256').update(`${bucket}/${key}`).digest('hex')}.data`);
  const isLarge = (bucket, key) => fs.existsSync(`${fileOf(bucket, key)}.crc32c`);
  const completed = (bucket, metadata) => {
    const file = fileOf(bucket, metadata.name);
    if (!isLarge(bucket, metadata.name)) return metadata;
    return { ...metadata, md5Hash: undefined, size: String(fs.statSync(file).size), crc32c: fs.readFileSync(`${file}.crc32c`, 'latin1') };
  };
  const forgetLarge = (bucket, key) => [fileOf(bucket, key), `${fileOf(bucket, key)}.crc32c`].forEach((file) => fs.rmSync(file, { force: true }));
  const metadataOf = async (bucket, key) => {
    const answer = await ask('GET', `/storage/v1/b/${bucket}/o/${encode(key)}`);
    const text = await read(answer);
    return answer.statusCode === 200 ? completed(bucket, JSON.parse(text)) : null;
  };
  // One write of a key at a time, so that a condition and its write are one.
  const inTurn = async (key, work) => {
    const before = busy.get(key) || Promise.resolve();
    const mine = before.catch(() => {}).then(work);
    busy.set(key, mine);
    try {
      return await mine;
    } finally {
      if (busy.get(key) === mine) busy.delete(key);
    }
  };
  const store = (bucket, key, metadata, data, absent) => inTurn(`${bucket}/${key}`, () => storeNow(bucket, key, metadata, data, absent));
  const storeNow = async (bucket, key, metadata, data, absent) => {
    if (absent && await metadataOf(bucket, key)) return null;
    forgetLarge(bucket, key);
    // Its limit for the other kind of upload is 130 MB.
    const type = metadata.contentType || '';
    const begun = await ask('POST', `/upload/storage/v1/b/${bucket}/o?uploadType=resumable&name=${encode(key)}`,
      { 'content-type': 'application/json', 'x-upload-content-type': type }, Buffer.from(JSON.stringify(metadata)));
    await read(begun);
    const at = new URL(begun.headers.location);
    const answer = await ask('PUT', at.pathname + at.search, { 'content-type': 'application/octet-stream' }, data);
    const text = await read(answer);
    if (answer.statusCode !== 200) throw new Error(`the emulator answered ${answer.statusCode}: ${text}`);
    return JSON.parse(text);
  };
  const storeLarge = (bucket, key, metadata, file, sum, absent) => inTurn(`${bucket}/${key}`, async () => {
    const object = await storeNow(bucket, key, metadata, Buffer.alloc(0), absent);
    if (!object) return null;
    fs.renameSync(file, fileOf(bucket, key));
    const bytes = Buffer.alloc(4);
    bytes.writeInt32BE(sum);
    fs.writeFileSync(`${fileOf(bucket, key)}.crc32c`, bytes.toString('base64'), 'latin1');
    return completed(bucket, object);
  });

  async function token(request, response) {
    const form = new URLSearchParams((await read(request)).toString());
    const [head, claims, signature] = String(form.get('assertion')).split('.');
    const said = JSON.parse(Buffer.from(claims, 'base64url'));
    const seconds = Date.now() / 1000;
    const good = form.get('grant_type') === 'urn:ietf:params:oauth:grant-type:jwt-bearer' &&
      JSON.parse(Buffer.from(head, 'base64url')).alg === 'RS256' && said.iss === account.client_email &&
      said.aud === account.token_uri && said.scope === 'https://www.googleapis.com/auth/devstorage.read_write' &&
      said.iat <= seconds + 60 && said.exp > seconds && said.exp - said.iat <= 3600 &&
      crypto.verify('RSA-SHA256', Buffer.from(`${head}.${claims}`), account.public_key, Buffer.from(signature, 'base64url'));
    if (!good) return json(response, 400, { error: 'invalid_grant', error_description: 'Invalid JWT Signature.' });
    const access = crypto.randomBytes(24).toString('base64url');
    tokens.add(access);
    return json(response, 200, { access_token: access, expires_in: 3599, token_type: 'Bearer' });
  }

  // "V4 signing process": what was signed is rebuilt from the request.
  function signedWell(request, url) {
    const query = url.search.slice(1).split('&').filter((pair) => !pair.startsWith('X-Goog-Signature=')).sort().join('&');
    const names = url.searchParams.get('X-Goog-SignedHeaders').split(';');
    const headers = names.map((name) => `${name}:${request.headers[name] || ''}\n`).join('');
    const canonical = [request.method, url.pathname, query, headers, names.join(';'), 'UNSIGNED-PAYLOAD'].join('\n');
    const date = url.searchParams.get('X-Goog-Date');
    const begun = Date.parse(date.replace(/(....)(..)(..)T(..)(..)(..)Z/, '$1-$2-$3T$4:$5:$6Z'));
    const age = (Date.now() - begun) / 1000;
    if (!names.includes('host') || age < -60 || age > Number(url.searchParams.get('X-Goog-Expires'))) return false;
    const scope = `${date.slice(0, 8)}/auto/storage/goog4_request`;
    if (url.searchParams.get('X-Goog-Credential') !== `${account.client_email}/${scope}`) return false;
    const text = ['GOOG4-RSA-SHA256', date, scope, crypto.createHash('sha256').update(canonical).digest('hex')].join('\n');
    return crypto.verify('RSA-SHA256', Buffer.from(text), account.public_key,
      Buffer.from(url.searchParams.get('X-Goog-Signature'), 'hex'));
  }

  async function media(request, response, bucket, key, extra = {}) {
    const metadata = await metadataOf(bucket, key);
    if (!metadata) return fail(response, 404, 'notFound', `No such object: ${bucket}/${key}`);
    const large = isLarge(bucket, key);
    const answer = large ? null : await ask('GET', `/storage/v1/b/${bucket}/o/${encode(key)}?alt=media`);
    const size = Number(metadata.size);
    let [status, first, last] = [200, 0, size - 1];
    const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range || '');
    if (range) {
      [status, first, last] = [206, Number(range[1]), range[2] ? Math.min(Number(range[2]), size - 1) : size - 1];
      if (first >= size) {
        if (answer) answer.destroy();
        return fail(response, 416, 'requestedRangeNotSatisfiable', 'Request range not satisfiable');
      }
    }
    const headers = { 'Content-Type': metadata.contentType, 'Content-Length': last - first + 1, 'X-Goog-Generation': metadata.generation,
      'X-Goog-Hash': `crc32c=${metadata.crc32c}` + (metadata.md5Hash ? `,md5=${metadata.md5Hash}` : ''), 'Last-Modified': new Date(metadata.updated).toUTCString(), ...extra };
    for (const [name, value] of Object.entries(metadata.metadata || {})) headers[`X-Goog-Meta-${name}`] = value;
    if (range) headers['Content-Range'] = `bytes ${first}-${last}/${size}`;
    response.writeHead(status, headers);
    let at = large ? first : 0;
    for await (const piece of answer || fs.createReadStream(fileOf(bucket, key), { start: first, end: last, highWaterMark: QUANTUM })) {
      const part = piece.subarray(Math.max(first - at, 0), Math.max(last + 1 - at, 0));
      at += piece.length;
      if (part.length && !response.write(part)) await drained(response);
      if (response.destroyed) return undefined; // leaving the loop ends what is read
    }
    return response.end();
  }

  const sums = new Map(); // session → CRC32C of what came so far; only for sessions that began here
  const sessionFile = (id, kind) => path.join(folder, `${id}.${kind}`);
  async function session(request, response, url) {
    const id = url.searchParams.get('upload_id');
    const about = sessionFile(id, 'json');
    if (!/^[A-Za-z0-9_-]+$/.test(id) || !fs.existsSync(about)) return fail(response, 404, 'notFound', 'No such session');
    const state = JSON.parse(fs.readFileSync(about));
    const data = sessionFile(id, 'data');
    if (state.cancelled) return fail(response, 499, 'clientClosedRequest', 'The upload was cancelled');
    if (request.method === 'DELETE') {
      fs.writeFileSync(about, JSON.stringify({ ...state, cancelled: true }));
      fs.rmSync(data, { force: true });
      return fail(response, 499, 'clientClosedRequest', 'The upload was cancelled');
    }
    if (state.finished) { await read(request); return json(response, 200, state.finished); }
    const asked = /^bytes (?:(\d+)-(\d+)|\*)\/(\d+|\*)$/.exec(request.headers['content-range'] || '');
    if (!asked) return fail(response, 400, 'badRequest', 'Invalid Content-Range');
    let size = fs.statSync(data).size;
    size -= size % QUANTUM; // more may lie there after a kill
    if (asked[1] !== undefined) {
      if (Number(asked[1]) !== size) return fail(response, 503, 'backendError', `Invalid offset, there are ${size} bytes`);
      const file = fs.openSync(data, 'r+');
      try {
        for await (const piece of request) {
          size += fs.writeSync(file, piece, 0, piece.length, size);
          if (sums.has(id)) sums.set(id, crc32c(piece, sums.get(id)));
        }
      } catch (error) {
        size = fs.fstatSync(file).size;
      }
      // Only whole quanta are kept of what is not the end.
      const whole = size === Number(asked[2]) + 1;
      const kept = whole && asked[3] !== '*' ? size : size - size % QUANTUM;
      if (kept !== size) sums.delete(id);
      size = kept;
      fs.ftruncateSync(file, size);
      fs.closeSync(file);
      if (!whole) return request.destroy();
    } else {
      await read(request);
    }
    if (asked[3] === '*' || Number(asked[3]) !== size) {
      response.writeHead(308, size > 0 ? { Range: `bytes=0-${size - 1}`, 'Content-Length': 0 } : { 'Content-Length': 0 });
      return response.end();
    }
    if (size > LARGE && !sums.has(id)) throw new Error('a large upload that was cut off cannot be completed here');
    const object = size > LARGE ? await storeLarge(state.bucket, state.key, state.metadata, data, sums.get(id), state.absent)
      : await store(state.bucket, state.key, state.metadata, fs.readFileSync(data), state.absent);
    sums.delete(id);
    if (!object) return fail(response, 412, 'conditionNotMet', 'At least one of the pre-conditions you specified did not hold.');
    fs.writeFileSync(about, JSON.stringify({ ...state, finished: object }));
    fs.rmSync(data, { force: true });
    return json(response, 200, object);
  }

  async function upload(request, response, url, bucket) {
    if (url.searchParams.has('upload_id')) return session(request, response, url);
    const absent = url.searchParams.get('ifGenerationMatch') === '0';
    const key = url.searchParams.get('name');
    const body = await read(request);
    if (url.searchParams.get('uploadType') === 'resumable') {
      const id = crypto.randomBytes(24).toString('base64url');
      const state = { bucket, key, absent, metadata: JSON.parse(body) };
      sums.set(id, 0);
      fs.writeFileSync(sessionFile(id, 'data'), '');
      fs.writeFileSync(sessionFile(id, 'json'), JSON.stringify(state));
      response.writeHead(200, { Location: `http://${request.headers.host}${url.pathname}?uploadType=resumable&upload_id=${id}`, 'Content-Length': 0 });
      return response.end();
    }
    const boundary = /boundary=(\S+)/.exec(request.headers['content-type'])[1];
    const mark = Buffer.from(`\r\n--${boundary}`);
    const metadataAt = body.indexOf('\r\n\r\n') + 4;
    const metadataEnd = body.indexOf(mark, metadataAt);
    const dataAt = body.indexOf('\r\n\r\n', metadataEnd) + 4;
    const metadata = JSON.parse(body.subarray(metadataAt, metadataEnd));
    const object = await store(bucket, key, metadata, body.subarray(dataAt, body.lastIndexOf(mark)), absent);
    return object ? json(response, 200, object)
      : fail(response, 412, 'conditionNotMet', 'At least one of the pre-conditions you specified did not hold.');
  }

  async function handle(request, response) {
    const url = new URL(request.url, 'http://127.0.0.1');
    if (url.pathname === '/token') return token(request, response);
    const xml = url.searchParams.has('X-Goog-Signature');
    const bearer = /^Bearer (.+)$/.exec(request.headers.authorization || '');
    if (xml ? !signedWell(request, url) : !(bearer && tokens.has(bearer[1]))) {
      await read(request);
      return fail(response, xml ? 403 : 401, 'authError', 'Invalid Credentials');
    }
    const of = xml ? /^\/([^/]+)\/(.+)$/.exec(url.pathname) : /^(?:\/upload)?\/storage\/v1\/b\/([^/]+)\/o(?:\/([^/]+))?/.exec(url.pathname);
    if (!of) return fail(response, 404, 'notFound', 'Not Found');
    const bucket = of[1];
    if (!account.buckets.includes(bucket)) {
      await read(request);
      return fail(response, 404, 'notFound', 'The specified bucket does not exist.');
    }
    const key = of[2] === undefined ? undefined : decodeURIComponent(of[2]);
    if (xml && request.method === 'PUT') {
      const metadata = { name: key, contentType: request.headers['content-type'] || 'application/octet-stream' };
      await store(bucket, key, metadata, await read(request), false);
      response.writeHead(200, { 'Content-Length': 0 });
      return response.end();
    }
    const disposition = url.searchParams.get('response-content-disposition');
    if (xml) return media(request, response, bucket, key, disposition ? { 'Content-Disposition': disposition } : {});
    if (url.pathname.startsWith('/upload/')) return upload(request, response, url, bucket);
    if (url.searchParams.get('alt') === 'media') return media(request, response, bucket, key);
    const passOn = async () => {
      const answer = await ask(request.method, request.url.replace(/^\/storage\/v1/, ""), { 'content-type': 'application/json' }, await read(request));
      let text = await read(answer);
      if (request.method === 'DELETE' && key !== undefined) forgetLarge(bucket, key);
      if (request.method === 'GET' && answer.statusCode === 200) {
        const found = JSON.parse(text);
        if (found.items) found.items = found.items.map((one) => completed(bucket, one));
        text = JSON.stringify(found.name ? completed(bucket, found) : found);
      }
      response.writeHead(answer.statusCode, { 'Content-Type': answer.headers['content-type'] || 'text/plain' });
      response.end(text);
    };
    return request.method === 'GET' ? passOn() : inTurn(`${bucket}/${key}`, passOn);
  }

  const server = http.createServer((request, response) => {
    handle(request, response).catch((error) => {
      console.error(error);
      if (!response.headersSent) fail(response, 500, 'internalError', String(error));
      else response.destroy();
    });
  });
  server.requestTimeout = 0;
  server.listen(port, '127.0.0.1', () => console.log('ready'));
}

if (role === 'backend') backend();
else front(Number(rest[0]), rest[1]);
