// What the providers' own clients sign, for a table of odd keys: tests/storage/signatures.json on standard output.
//
// Times and keys are fixed, so the output is always the same. src/storage/signatures_test.cc compares our signers with the file,
// tests/test_storage_signatures.py the file with this.
'use strict';
// Before the clients are loaded: they give every request a random name, and sign it.
const crypto = require('crypto');
const sameEveryTime = () => '00000000-0000-4000-8000-000000000000';
crypto.randomUUID = sameEveryTime;
if (globalThis.crypto) Object.defineProperty(globalThis.crypto, 'randomUUID', { value: sameEveryTime });
const { S3Client, GetObjectCommand, PutObjectCommand, ListObjectsV2Command } = require('@aws-sdk/client-s3');
const { getSignedUrl } = require('@aws-sdk/s3-request-presigner');
const { StorageSharedKeyCredential, generateBlobSASQueryParameters, BlobSASPermissions, BlobServiceClient } = require('@azure/storage-blob');
const { Storage } = require('@google-cloud/storage');

const NOW = new Date('2024-02-29T12:34:56Z');
const ACCESS = 'AKIDEXAMPLE';
const SECRET = 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY';
const ACCOUNT = 'rowhousetest';
const ACCOUNT_KEY = Buffer.from('a key of the account, not a secret').toString('base64');
const EMAIL = 'rowhouse@demo-rowhouse.iam.gserviceaccount.com';
// Of these tests alone.
const PEM = require('fs').readFileSync(require('path').join(__dirname, 'signing_key.pem'), 'utf8');

function keys() {
  const all = [];
  for (let c = 0x20; c < 0x7f; ++c) {
    const letter = String.fromCharCode(c);
    if (letter === '/') continue;
    all.push(`a${letter}b`, `folder${letter}/x`);
  }
  all.push('a/b/c.txt', 'ä/ö.txt', '日本/語.txt', '📷.png', 'cafe\u0301', 'caf\u00e9', '%41', '%2F', 'a%2Fb', 'a+b c', '~', '~/~', '*', "it's",
    '(1)', '!', 'x'.repeat(300), '&amp;', '<a>', 'a=b&c=d', 'a;b', 'a?b#c', '€'.repeat(90), '\u00a0', 'q"q', 'a  b   c', '\ufffd');
  return [...new Set(all)];
}

// It depends on the machine, and is not signed.
function without(headers, name) {
  const { [name]: _, ...rest } = headers;
  return rest;
}

async function s3(key) {
  const client = new S3Client({ endpoint: 'https://s3.example.com:9000', region: 'eu-central-1', forcePathStyle: true,
    systemClockOffset: NOW - Date.now(), credentials: { accessKeyId: ACCESS, secretAccessKey: SECRET }, requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED' });
  let seen;
  client.middlewareStack.add(() => async (args) => {
    seen = args.request;
    return { response: { statusCode: 200, headers: {}, body: undefined }, output: { $metadata: {} } };
  }, { step: 'deserialize', priority: 'low', name: 'stop' });
  const told = (request) => ({ method: request.method, path: request.path, query: request.query || {}, headers: without(request.headers, 'user-agent') });
  await client.send(new PutObjectCommand({ Bucket: 'bucket', Key: key, Body: 'the body', ContentType: 'text/plain' }));
  const put = told(seen);
  await client.send(new ListObjectsV2Command({ Bucket: 'bucket', Prefix: key, MaxKeys: 7 }));
  const list = told(seen);
  const link = await getSignedUrl(client, new GetObjectCommand({ Bucket: 'bucket', Key: key, ResponseContentDisposition: 'attachment' }),
    { expiresIn: 900, signingDate: NOW });
  client.destroy();
  return { put, list, link };
}

function gcs(key) {
  const file = new Storage({ projectId: 'demo', credentials: { client_email: EMAIL, private_key: PEM } }).bucket('bucket').file(key);
  return file.getSignedUrl({ version: 'v4', action: 'read', accessibleAt: NOW, expires: new Date(NOW.getTime() + 900000),
    responseDisposition: 'attachment' }).then(([url]) => url);
}

async function azure(key) {
  const credential = new StorageSharedKeyCredential(ACCOUNT, ACCOUNT_KEY);
  const sas = generateBlobSASQueryParameters({ containerName: 'container', blobName: key, permissions: BlobSASPermissions.parse('r'),
    protocol: 'https', expiresOn: new Date(NOW.getTime() + 900000), contentDisposition: 'attachment', version: '2021-08-06' }, credential).toString();
  // The request as the client would send it, caught before it leaves.
  let seen;
  const client = new BlobServiceClient(`https://${ACCOUNT}.blob.core.windows.net`, credential, { retryOptions: { maxTries: 1 },
    httpClient: { sendRequest: async (request) => { seen = request; throw new Error('caught'); } } });
  await client.getContainerClient('container').getBlockBlobClient(key).upload('the body', 8, { blobHTTPHeaders: { blobContentType: 'text/plain' } }).catch(() => {});
  const headers = {};
  for (const { name, value } of seen.headers.headersArray()) headers[name] = value;
  const url = new URL(seen.url);
  return { sas, put: { method: seen.method, path: url.pathname, headers: without(headers, 'User-Agent') } };
}

async function main() {
  const RealDate = Date;
  // Azure's client asks the clock itself.
  global.Date = class extends RealDate {
    constructor(...args) { super(...(args.length ? args : [NOW])); }
    static now() { return NOW.getTime(); }
  };
  const cases = [];
  for (const key of keys()) cases.push({ key, s3: await s3(key), azure: await azure(key), gcs: await gcs(key) });
  const known = { access_key: ACCESS, secret_key: SECRET, account: ACCOUNT, account_key: ACCOUNT_KEY, client_email: EMAIL };
  process.stdout.write(`${JSON.stringify({ time: Math.floor(NOW / 1000), ...known, cases: 0 }).replace('"cases":0}', '"cases":[')}\n` +
    `${cases.map((one) => JSON.stringify(one)).join(',\n')}\n]}\n`);
}
main().catch((error) => { console.error(error); process.exit(1); });
