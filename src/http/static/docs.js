// Draws the reference from /openapi.json. Nothing is loaded from elsewhere, and keys stay in this page's memory.
'use strict';

const METHODS = ['get', 'head', 'post', 'put', 'patch', 'delete', 'options'];
const MAX_SCHEMA_DEPTH = 12;
const MAX_EXAMPLE_DEPTH = 6;
const MAX_SHOWN_RESPONSE_CHARACTERS = 200000;

const state = {
  document: null,
  groups: [],        // [{name, tags: [{name, label, description, operations}]}]
  operations: new Map(),  // operationId → {id, method, path, value, groupName, tagName, text}
  credentials: { tenant: '', platform: '' },
};

// ---- Elements -------------------------------------------------------------------------------------------------

// element('p', {class: 'lead'}, 'text', child, …); false and null children are left out.
function element(name, attributes, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (value === false || value === null || value === undefined) continue;
    if (key.startsWith('on')) node.addEventListener(key.slice(2), value);
    else node.setAttribute(key, value === true ? '' : value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

// Text with `code` in backquotes.
function rich(text) {
  return String(text || '').split(/(`[^`]+`)/).filter(Boolean)
    .map((part) => (/^`.+`$/.test(part) ? element('code', {}, part.slice(1, -1)) : part));
}

function methodBadge(method) {
  const shown = method === 'delete' ? 'DEL' : method.toUpperCase();
  return element('span', { class: `method method-${method}` }, shown);
}

function pathText(path) {
  return path.split(/(\{[^}]+\})/).filter(Boolean)
    .map((part) => (part.startsWith('{') ? element('span', { class: 'path-parameter' }, part) : part));
}

function codeBlock(text, label) {
  const copy = element('button', {
    type: 'button', class: 'copy quiet-button', 'aria-label': `Copy: ${label}`,
    onclick: () => navigator.clipboard.writeText(text).then(() => {
      copy.textContent = 'Copied';
      setTimeout(() => { copy.textContent = 'Copy'; }, 1500);
    }),
  }, 'Copy');
  const hasClipboard = Boolean(navigator.clipboard);
  return element('div', { class: 'code' },
    element('pre', { tabindex: '0', 'aria-label': label }, element('code', {}, text)), hasClipboard && copy);
}

// ---- The document ---------------------------------------------------------------------------------------------

function resolve(value) {
  let current = value;
  for (let hops = 0; current && current.$ref && hops < 10; ++hops) {
    current = current.$ref.replace(/^#\//, '').split('/')
      .reduce((at, key) => (at ? at[key.replace(/~1/g, '/').replace(/~0/g, '~')] : undefined), state.document);
  }
  return current || {};
}

function referenceName(value) {
  return value && value.$ref ? value.$ref.split('/').pop() : '';
}

function labelOfTag(tag) {
  if (tag.includes(' / ')) return tag.split(' / ').pop();
  return tag.endsWith(' functions') ? 'functions' : tag;
}

function collectOperations() {
  const byTag = new Map();
  for (const [path, item] of Object.entries(state.document.paths)) {
    for (const method of METHODS) {
      const value = item[method];
      if (!value) continue;
      for (const tag of value.tags && value.tags.length ? value.tags : ['Other']) {
        const operation = {
          id: value.operationId, method, path, value, tagName: labelOfTag(tag), groupName: '',
          text: `${method} ${path} ${value.summary} ${tag} ${value['x-rowhouse-operation'] || ''}`.toLowerCase(),
        };
        if (!byTag.has(tag)) byTag.set(tag, []);
        byTag.get(tag).push(operation);
        if (!state.operations.has(operation.id)) state.operations.set(operation.id, operation);
      }
    }
  }
  return byTag;
}

function collectGroups() {
  const byTag = collectOperations();
  const descriptions = new Map((state.document.tags || []).map((tag) => [tag.name, tag.description || '']));
  const named = state.document['x-tagGroups'] || [{ name: 'Operations', tags: [...byTag.keys()] }];
  const grouped = new Set(named.flatMap((group) => group.tags));
  const rest = [...byTag.keys()].filter((tag) => !grouped.has(tag));
  const all = rest.length ? [...named, { name: 'Other', tags: rest }] : named;
  state.groups = all.map((group) => ({
    name: group.name,
    tags: group.tags.filter((tag) => byTag.has(tag)).map((tag) => {
      const operations = byTag.get(tag);
      for (const operation of operations) {
        operation.groupName = group.name;
        operation.text += ` ${group.name.toLowerCase()}`;
      }
      return { name: tag, label: labelOfTag(tag), description: descriptions.get(tag) || '', operations };
    }),
  })).filter((group) => group.tags.length);
}

// ---- Navigation -----------------------------------------------------------------------------------------------

function operationLink(operation) {
  return element('a', { class: 'nav-link', href: `#/operation/${operation.id}`, 'data-operation': operation.id },
    methodBadge(operation.method), element('span', {}, operation.value.summary));
}

function drawNavigation() {
  const root = document.getElementById('navigation');
  const words = document.getElementById('search').value.toLowerCase().split(/\s+/).filter(Boolean);
  const current = currentOperationId();
  let found = 0;
  root.replaceChildren();
  for (const group of state.groups) {
    const tags = [];
    for (const tag of group.tags) {
      const operations = tag.operations.filter((operation) => words.every((word) => operation.text.includes(word)));
      if (!operations.length) continue;
      found += operations.length;
      const open = words.length > 0 || operations.some((operation) => operation.id === current);
      tags.push(element('details', { class: 'nav-tag', open }, element('summary', {}, tag.label),
        element('ul', {}, operations.map((operation) => element('li', {}, operationLink(operation))))));
    }
    if (tags.length) root.append(element('h2', { class: 'nav-group' }, group.name), ...tags);
  }
  if (!found) root.append(element('p', { class: 'nav-empty' }, 'No operation matches. Try part of a path or a name.'));
  document.getElementById('search-status').textContent =
    words.length ? `${found} ${found === 1 ? 'operation' : 'operations'} found` : '';
  markCurrent(current);
}

function markCurrent(id) {
  for (const link of document.querySelectorAll('#navigation .nav-link')) {
    if (link.dataset.operation === id) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
}

function setMenu(open) {
  document.getElementById('sidebar').classList.toggle('open', open);
  document.getElementById('menu-button').setAttribute('aria-expanded', String(open));
}

// ---- Schemas --------------------------------------------------------------------------------------------------

function alternativesOf(schema) {
  return schema.anyOf || schema.oneOf || null;
}

function typeText(value, depth = 0) {
  const schema = resolve(value);
  const alternatives = alternativesOf(schema);
  if (alternatives) {
    if (depth > 2) return 'one of several';
    return [...new Set(alternatives.map((one) => typeText(one, depth + 1)))].join(' or ');
  }
  const types = [].concat(schema.type || 'any');
  return types.map((type) => {
    if (type === 'array') return `array of ${typeText(schema.items || {}, depth + 1)}`;
    if (type === 'object') return referenceName(value) || 'object';
    return schema.format && type !== 'null' ? `${type} (${schema.format})` : type;
  }).join(' or ');
}

// What a value must keep to, in words.
function constraintText(schema) {
  const parts = [];
  if (schema.minimum !== undefined && schema.maximum !== undefined) parts.push(`${schema.minimum} to ${schema.maximum}`);
  else if (schema.minimum !== undefined) parts.push(`at least ${schema.minimum}`);
  else if (schema.maximum !== undefined) parts.push(`at most ${schema.maximum}`);
  if (schema.maxLength !== undefined) parts.push(`at most ${schema.maxLength} characters`);
  if (schema.default !== undefined) parts.push(`default ${JSON.stringify(schema.default)}`);
  return parts.join(', ');
}

function choicesOf(schema) {
  const list = schema.enum || (schema.items && resolve(schema.items).enum);
  if (!list) return null;
  return element('p', { class: 'choices' }, schema.enum ? 'One of: ' : 'Any of: ',
    list.flatMap((choice, i) => [i ? ', ' : '', element('code', {}, choice === null ? 'null' : String(choice))]));
}

// The properties behind a value: its own, or those of an array's items.
function innerObject(value) {
  const schema = resolve(value);
  if (schema.properties) return schema;
  if (schema.items) return innerObject(schema.items);
  const values = schema.additionalProperties;
  return values && typeof values === 'object' ? innerObject(values) : null;
}

function propertyItem(name, value, isRequired, use, depth) {
  const schema = resolve(value);
  const text = value.description || schema.description;
  const constraints = constraintText(schema);
  const inner = depth < MAX_SCHEMA_DEPTH ? innerObject(value) : null;
  return element('li', { class: 'field' },
    element('div', { class: 'field-head' },
      element('span', { class: 'field-name' }, name),
      element('span', { class: 'field-type' }, typeText(value), constraints && `, ${constraints}`),
      isRequired && element('span', { class: 'required' }, 'required'),
      schema.readOnly && element('span', { class: 'flag' }, 'kept by the database'),
      schema['x-rowhouse-personal-data'] && element('span', { class: 'flag' }, 'personal data')),
    text && element('p', { class: 'description' }, rich(text)),
    choicesOf(schema),
    inner && lazyDetails(`Members of ${name}`, () => propertyList(inner, use, depth + 1)));
}

// Content is made when it is first opened: schemas may be large, or contain themselves.
function lazyDetails(label, make) {
  const details = element('details', { class: 'more' }, element('summary', {}, label));
  details.addEventListener('toggle', () => { if (details.open && details.childElementCount === 1) details.append(make()); });
  return details;
}

// `use`: 'body' says what must be sent; an 'answer' always has what it requires, so there it is not said.
function propertyList(schema, use, depth) {
  const required = new Set(use === 'body' ? schema.required || [] : []);
  const items = Object.entries(schema.properties)
    .map(([name, value]) => propertyItem(name, value, required.has(name), use, depth));
  return element('ul', { class: 'fields' }, items);
}

function schemaView(value, use, depth = 0) {
  const schema = resolve(value);
  const alternatives = alternativesOf(schema);
  if (alternatives && depth < MAX_SCHEMA_DEPTH) {
    return element('div', {}, alternatives.map((one, i) => [
      element('p', { class: 'alternative' }, i ? 'or ' : 'Either ', typeText(one)),
      resolve(one).items ? null : schemaView(one, use, depth + 1),
    ]));
  }
  const inner = innerObject(schema);
  const text = schema.description;
  return element('div', {},
    text && element('p', { class: 'description' }, rich(text)),
    inner ? propertyList(inner, use, depth) : element('p', { class: 'field-type' }, typeText(value)));
}

// ---- Examples -------------------------------------------------------------------------------------------------

const EXAMPLES_BY_FORMAT = {
  uuid: '018f4e1c-6a70-7c3e-9d52-0c1f2a3b4c5d',
  'date-time': '2026-11-21T05:40:00Z',
  date: '2026-11-21',
  email: 'jo@example.com',
};

function exampleText(schema, name) {
  if (schema.format in EXAMPLES_BY_FORMAT) return EXAMPLES_BY_FORMAT[schema.format];
  if (/e-?mail/.test(name)) return EXAMPLES_BY_FORMAT.email;
  if (/phone/.test(name)) return '+44 20 7946 0018';
  if (/(^|_)url$/.test(name)) return 'https://example.com/';
  if (/^next_cursor$/.test(name)) return 'AXYAAAAIMTQ1…';
  const text = schema.pattern ? 'acme' : name ? name.replace(/_/g, ' ') : 'text';
  return schema.maxLength ? text.slice(0, schema.maxLength) : text;
}

function example(value, name = '', depth = 0) {
  const schema = resolve(value);
  if (schema.example !== undefined) return schema.example;
  if (schema.examples && schema.examples.length) return schema.examples[0];
  if (schema.default !== undefined) return schema.default;
  if (schema.enum) return schema.enum[0];
  const alternatives = alternativesOf(schema);
  if (alternatives) return example(alternatives[0], name, depth);
  const type = [].concat(schema.type || 'any')[0];
  if (depth > MAX_EXAMPLE_DEPTH) return null;
  if (type === 'object') {
    const entries = Object.entries(schema.properties || {});
    return Object.fromEntries(entries.map(([key, inner]) => [key, example(inner, key, depth + 1)]));
  }
  if (type === 'array') return [example(schema.items || {}, name.replace(/s$/, ''), depth + 1)];
  if (type === 'integer') return Math.max(schema.minimum || 1, 1);
  if (type === 'number') return 12.5;
  if (type === 'boolean') return false;
  return type === 'string' ? exampleText(schema, name) : {};
}

// What a caller must send at least, and a few members more.
function requestExample(value) {
  const schema = resolve(value);
  const alternatives = alternativesOf(schema);
  if (alternatives) return requestExample(alternatives[0]);
  if (!schema.properties) return example(value);
  const required = new Set(schema.required || []);
  const names = Object.keys(schema.properties);
  const chosen = names.filter((name) => required.has(name));
  for (const name of names) {
    if (chosen.length >= 4) break;
    if (!chosen.includes(name) && name !== 'id') chosen.push(name);
  }
  return Object.fromEntries(chosen.map((name) => [name, example(schema.properties[name], name, 1)]));
}

function csvExample(operation) {
  const resource = operation.path.split('/').pop();
  const pack = [].concat(operation.value['x-rowhouse-pack'] || [])[0];
  const schema = state.document.components.schemas[`${pack}.${resource}.create`];
  if (!schema) return null;
  const row = requestExample(schema);
  const cell = (value) => (typeof value === 'object' ? `"${JSON.stringify(value).replace(/"/g, '""')}"` : String(value));
  return { csv: `${Object.keys(row).join(',')}\n${Object.values(row).map(cell).join(',')}\n`, ndjson: `${JSON.stringify(row)}\n` };
}

function bodyExample(operation, mediaType) {
  const content = operation.value.requestBody && resolve(operation.value.requestBody).content;
  if (!content || !content[mediaType]) return '';
  if (mediaType === 'application/json') return JSON.stringify(requestExample(content[mediaType].schema), null, 2);
  const rows = csvExample(operation);
  if (!rows) return '';
  return mediaType === 'text/csv' ? rows.csv : rows.ndjson;
}

// ---- An operation ---------------------------------------------------------------------------------------------

function parametersOf(operation, place) {
  return (operation.value.parameters || []).map(resolve).filter((parameter) => parameter.in === place);
}

function isFilter(operation, parameter) {
  return parameter.in === 'query' && /^\/v1\/(data|export)\//.test(operation.path) && parameter.explode === true;
}

function parameterItem(parameter) {
  const schema = resolve(parameter.schema);
  const constraints = constraintText(schema);
  const sample = parameter.example !== undefined ? [].concat(parameter.example)[0] : undefined;
  const shownType = schema.type === 'array' ? 'list' : typeText(schema);
  return element('li', { class: 'field' },
    element('div', { class: 'field-head' },
      element('span', { class: 'field-name' }, parameter.name),
      sample === undefined && element('span', { class: 'field-type' }, shownType, constraints && `, ${constraints}`),
      parameter.required && element('span', { class: 'required' }, 'required')),
    parameter.description && element('p', { class: 'description' }, rich(parameter.description)),
    sample !== undefined && element('p', { class: 'choices' }, 'Example: ',
      element('code', {}, `${parameter.name}=${sample}`)),
    choicesOf(schema));
}

function parameterSections(operation) {
  const sections = [];
  const add = (title, parameters) => {
    if (parameters.length) {
      sections.push(element('h2', {}, title), element('ul', { class: 'fields' }, parameters.map(parameterItem)));
    }
  };
  const query = parametersOf(operation, 'query');
  const filters = query.filter((parameter) => isFilter(operation, parameter));
  add('Path', parametersOf(operation, 'path'));
  add('Query', query.filter((parameter) => !isFilter(operation, parameter)));
  if (filters.length) {
    const shown = filters.find((filter) => filter.name !== 'id') || filters[0];
    sections.push(element('h2', {}, 'Filters'),
      element('p', { class: 'description' }, 'A column, an operator and a value: ', element('code', {},
        `${shown.name}=${[].concat(shown.example)[0]}`), '. Several are joined by AND.'),
      element('details', { class: 'section' },
        element('summary', {}, `All ${filters.length} columns`),
        element('ul', { class: 'fields' }, filters.map(parameterItem))));
  }
  add('Headers', parametersOf(operation, 'header'));
  return sections;
}

function bodySection(operation) {
  const body = operation.value.requestBody && resolve(operation.value.requestBody);
  if (!body) return [];
  return [element('h2', {}, 'Body'),
    ...Object.entries(body.content).map(([type, media]) => element('div', {},
      element('h3', { class: 'mono' }, type), schemaView(media.schema, 'body')))];
}

function responseItem(status, value, isOpen) {
  const response = resolve(value);
  const isGood = /^[23]/.test(status);
  const headers = Object.entries(response.headers || {}).map(([name, header]) => {
    const text = resolve(header).description;
    return element('li', { class: 'field' }, element('span', { class: 'field-name' }, name),
      text && element('p', { class: 'description' }, rich(text)));
  });
  return element('details', { class: 'response', open: isOpen },
    element('summary', {},
      element('span', { class: `status ${isGood ? 'status-good' : 'status-bad'}` }, status === 'default' ? 'error' : status),
      element('span', {}, rich(response.description))),
    element('div', { class: 'response-body' },
      Object.entries(response.content || {}).map(([type, media]) => element('div', {},
        element('h3', { class: 'mono' }, type), schemaView(media.schema, 'answer'))),
      headers.length > 0 && element('details', { class: 'section' },
        element('summary', {}, 'Headers'), element('ul', { class: 'fields' }, headers))));
}

function credentialText(audience) {
  if (audience === 'tenant') return ['Key of a tenant in ', element('code', {}, 'X-Tenant-Key')];
  if (audience === 'platform') return ['Token of an administrator in ', element('code', {}, 'Authorization: Bearer')];
  return ['None'];
}

function factsOf(operation) {
  const feature = operation.value['x-rowhouse-operation'];
  const rows = [['Credential', credentialText(operation.value['x-rowhouse-audience'])]];
  if (typeof feature === 'string') rows.push(['Needs the operation', [element('code', {}, feature)]]);
  if (feature && typeof feature === 'object') {
    rows.push(['Needs the operation', Object.entries(feature).flatMap(([pack, name], i) =>
      [i ? ', ' : '', `${pack}: `, element('code', {}, name)])]);
  }
  return element('dl', { class: 'facts' },
    rows.flatMap(([name, value]) => [element('dt', {}, name), element('dd', {}, value)]));
}

function shellQuote(text) {
  return `'${text.replace(/'/g, "'\\''")}'`;
}

function curlText(operation) {
  const url = operation.path.replace(/\{(\w+)\}/g, (whole, name) => `$${name.toUpperCase()}`);
  const lines = [];
  const method = operation.method.toUpperCase();
  const query = operation.path.startsWith('/v1/data/') && operation.value.operationId.startsWith('list_') ? '?limit=5' : '';
  lines.push(`curl ${method === 'GET' ? '' : `-X ${method} `}"${location.origin}${url}${query}"`);
  const audience = operation.value['x-rowhouse-audience'];
  if (audience === 'tenant') lines.push('-H "X-Tenant-Key: $KEY"');
  if (audience === 'platform') lines.push('-H "Authorization: Bearer $TOKEN"');
  const type = Object.keys((resolve(operation.value.requestBody) || {}).content || {})[0];
  if (type === 'application/json') {
    lines.push(`-H 'Content-Type: ${type}'`, `-d ${shellQuote(bodyExample(operation, type))}`);
  } else if (type) {
    lines.push(`-H 'Content-Type: ${type}'`, '--data-binary @rows.csv');
  }
  return lines.join(' \\\n  ');
}

// The success that a caller should expect: 201 rather than 200.
function successOf(operation) {
  return Object.keys(operation.value.responses).sort().reverse().find((key) => /^2/.test(key));
}

function responseExample(operation) {
  const status = successOf(operation);
  const response = status && resolve(operation.value.responses[status]);
  const media = response && response.content && response.content['application/json'];
  return media ? { status, text: JSON.stringify(example(media.schema), null, 2) } : null;
}

function drawOperation(operation) {
  const answer = responseExample(operation);
  // The table below says the same of the plan, in its own row.
  const description = (operation.value.description || '').replace(/ The plan must include `[^`]+`\.$/, '');
  const heading = element('h1', { tabindex: '-1' }, operation.value.summary);
  return [
    element('p', { class: 'eyebrow' }, `${operation.groupName}, ${operation.tagName}`),
    heading,
    element('div', { class: 'route-line' }, methodBadge(operation.method),
      element('code', { class: 'path' }, pathText(operation.path))),
    element('div', { class: 'columns' },
      element('div', { class: 'explanation' },
        description && element('p', {}, rich(description)),
        factsOf(operation),
        parameterSections(operation),
        bodySection(operation),
        element('h2', {}, 'Responses'),
        Object.entries(operation.value.responses).map(([status, value]) =>
          responseItem(status, value, status === successOf(operation)))),
      element('div', { class: 'samples' },
        element('h2', {}, 'Example'),
        codeBlock(curlText(operation), 'Request with curl'),
        answer && codeBlock(answer.text, `Response ${answer.status}`),
        element('h2', {}, 'Try it'),
        tryForm(operation))),
  ];
}

// ---- Try it ---------------------------------------------------------------------------------------------------

function formRow(label, hint, control) {
  return element('label', { class: 'form-row' },
    element('span', { class: 'label' }, element('span', { class: 'mono' }, label),
      hint && element('span', { class: 'form-hint' }, hint)), control);
}

function credentialRow(audience) {
  if (audience === 'open') return null;
  const input = element('input', {
    type: 'password', autocomplete: 'off', spellcheck: 'false', value: state.credentials[audience],
    placeholder: audience === 'tenant' ? 'tk_…' : 'rha_…',
    oninput: () => { state.credentials[audience] = input.value.trim(); },
  });
  return formRow(audience === 'tenant' ? 'X-Tenant-Key' : 'Admin token', 'kept in this page only', input);
}

function tryForm(operation) {
  const audience = operation.value['x-rowhouse-audience'];
  const types = Object.keys((resolve(operation.value.requestBody) || {}).content || {});
  const paths = parametersOf(operation, 'path').map((parameter) =>
    ({ name: parameter.name, input: element('input', { required: true, autocomplete: 'off', spellcheck: 'false' }) }));
  const choices = parametersOf(operation, 'query');
  const sample = choices.find((parameter) => parameter.name === 'limit') ? 'limit=5' : choices.length && `${choices[0].name}=…`;
  const query = choices.length
    ? element('input', { autocomplete: 'off', spellcheck: 'false', placeholder: sample }) : null;
  const type = types.length > 1 ? element('select', {}, types.map((name) => element('option', {}, name))) : null;
  const body = types.length ? element('textarea', { spellcheck: 'false' }) : null;
  if (body) body.value = bodyExample(operation, types[0]);
  if (type) type.addEventListener('change', () => { body.value = bodyExample(operation, type.value); });
  const send = element('button', { class: 'button' }, 'Send request');
  const result = element('div', { class: 'try-result', 'aria-live': 'polite' });
  const form = element('form', { class: 'try-form' },
    credentialRow(audience),
    paths.map((path) => formRow(path.name, 'in the path', path.input)),
    query && formRow('query', 'NAME=VALUE, joined by &', query),
    type && formRow('Content-Type', '', type),
    body && formRow('body', '', body),
    send, result);
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    send.disabled = true;
    const url = paths.reduce((text, path) => text.replace(`{${path.name}}`, encodeURIComponent(path.input.value)), operation.path);
    const search = query && query.value ? `?${query.value.replace(/^\?/, '')}` : '';
    const headers = credentialHeaders(audience);
    if (body) headers['Content-Type'] = type ? type.value : types[0];
    result.replaceChildren(...await request(url + search, operation.method, headers, body && body.value));
    send.disabled = false;
  });
  return form;
}

function credentialHeaders(audience) {
  if (audience === 'tenant') return { 'X-Tenant-Key': state.credentials.tenant };
  if (audience === 'platform') return { Authorization: `Bearer ${state.credentials.platform}` };
  return {};
}

async function request(url, method, headers, body) {
  const started = performance.now();
  try {
    const response = await fetch(url, {
      method: method.toUpperCase(), headers, body: body || undefined, credentials: 'omit', cache: 'no-store',
    });
    const text = await response.text();
    const took = Math.round(performance.now() - started);
    return [
      element('p', {}, element('span', { class: `status ${response.ok ? 'status-good' : 'status-bad'}` },
        `${response.status} ${response.statusText}`), ` in ${took} ms`),
      element('details', { class: 'section' }, element('summary', {}, 'Headers'),
        codeBlock([...response.headers].map(([name, value]) => `${name}: ${value}`).join('\n'), 'Response headers')),
      text ? codeBlock(pretty(text, response.headers.get('Content-Type') || ''), 'Response body') : null,
    ].filter(Boolean);
  } catch (error) {
    return [element('p', { class: 'notice' }, `The request could not be sent: ${error.message}`)];
  }
}

function pretty(text, type) {
  let shown = text;
  if (type.includes('json') && !type.includes('ndjson')) {
    try {
      shown = JSON.stringify(JSON.parse(text), null, 2);
    } catch (error) {
      shown = text;  // cut off on the way: show what came
    }
  }
  if (shown.length <= MAX_SHOWN_RESPONSE_CHARACTERS) return shown;
  return `${shown.slice(0, MAX_SHOWN_RESPONSE_CHARACTERS)}\n… ${shown.length - MAX_SHOWN_RESPONSE_CHARACTERS} more characters`;
}

// ---- Overview -------------------------------------------------------------------------------------------------

function drawOverview() {
  const { info } = state.document;
  return [
    element('h1', { tabindex: '-1' }, `${info.title} API`),
    element('p', { class: 'lead' }, info.summary || ''),
    element('p', {}, rich(info.description)),
    element('p', {}, 'Version ', element('code', {}, info.version), '. This page is drawn from ',
      element('a', { href: '/openapi.json' }, 'openapi.json'), ', which lists what this server offers now.'),
    state.groups.map((group) => [
      element('h2', {}, group.name),
      element('div', { class: 'tag-grid' }, group.tags.map((tag) => element('section', { class: 'tag-block' },
        element('h3', {}, tag.label),
        tag.description && element('p', {}, rich(tag.description)),
        element('ul', {}, tag.operations.map((operation) => element('li', {}, operationLink(operation))))))),
    ]),
  ].flat(Infinity);
}

// ---- Start ----------------------------------------------------------------------------------------------------

function currentOperationId() {
  const match = location.hash.match(/^#\/operation\/(.+)$/);
  return match ? decodeURIComponent(match[1]) : '';
}

// `focus`: after a click the heading is focused, so that the keyboard and screen readers follow.
function draw(focus) {
  if (location.hash === '#content') return;
  const content = document.getElementById('content');
  const operation = state.operations.get(currentOperationId());
  content.replaceChildren(...(operation ? drawOperation(operation) : drawOverview()));
  document.title = operation ? `${operation.value.summary} – Rowhouse API` : 'Rowhouse API reference';
  drawNavigation();
  setMenu(false);
  window.scrollTo(0, 0);
  if (focus) content.querySelector('h1').focus({ preventScroll: true });
  const marked = document.querySelector('#navigation [aria-current]');
  if (marked) marked.scrollIntoView({ block: 'nearest' });
}

function listen() {
  const search = document.getElementById('search');
  search.disabled = false;
  search.addEventListener('input', drawNavigation);
  search.addEventListener('keydown', (event) => {
    if (event.key === 'Enter') {
      const first = document.querySelector('#navigation .nav-link');
      if (first) first.click();
    }
    if (event.key === 'Escape') {
      search.value = '';
      drawNavigation();
    }
  });
  const menu = document.getElementById('menu-button');
  menu.addEventListener('click', () => setMenu(menu.getAttribute('aria-expanded') !== 'true'));
  document.addEventListener('keydown', (event) => {
    const isTyping = /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName);
    if (event.key === '/' && !isTyping && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      if (getComputedStyle(menu).display !== 'none') setMenu(true);
      search.focus();
    }
    if (event.key === 'Escape' && menu.getAttribute('aria-expanded') === 'true') {
      setMenu(false);
      menu.focus();
    }
  });
  window.addEventListener('hashchange', () => draw(true));
}

async function start() {
  try {
    const response = await fetch(`/openapi.json${location.search}`, { credentials: 'omit' });
    if (!response.ok) throw new Error(`the server answered ${response.status}`);
    state.document = await response.json();
    collectGroups();
    listen();
    draw(false);
  } catch (error) {
    document.getElementById('content').replaceChildren(element('p', { class: 'notice', role: 'alert' },
      `The reference could not be loaded: ${error.message}. Reload the page to try again.`));
  }
}

start();
