// The account page: signing in, one's own sessions, password and second factor, and the links that come by mail.
// Tokens of a session are in cookies that no script can read; tokens of links are in the fragment, which no browser
// sends, and leave the address as soon as they are read.
"use strict";

const API = new URL("../v1/", document.baseURI);
// Which routes answer for whoever is signed in: those of a tenant's user or those of a platform admin.
const SIDE_KEY = "rowhouse-account-side";
const REFRESHED_KEY = "rowhouse-account-refreshed";

const $ = (id) => document.getElementById(id);

// ---- talking to the server

class Problem extends Error {
  constructor(status, document) {
    super(document.detail || document.title || `The server answered ${status}.`);
    this.status = status;
    this.code = document.code || "";
    this.fields = document.errors || [];
  }
}

function cookie(name) {
  for (const pair of document.cookie.split(";")) {
    const [key, ...value] = pair.trim().split("=");
    if (key === name) return value.join("=");
  }
  return "";
}

const csrfToken = () => cookie("__Host-rowhouse_csrf") || cookie("rowhouse_csrf");

async function send(method, path, body) {
  const headers = { Accept: "application/json" };
  const token = csrfToken();
  if (method !== "GET" && token) headers["X-CSRF-Token"] = token;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let answer;
  try {
    answer = await fetch(new URL(path, API), {
      method, headers, credentials: "same-origin", cache: "no-store", redirect: "error",
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch {
    throw new Problem(0, { detail: "The server cannot be reached." });
  }
  const text = await answer.text();
  let document = {};
  try {
    document = text ? JSON.parse(text) : {};
  } catch {
    document = { detail: `The server answered ${answer.status}.` };
  }
  if (!answer.ok) throw new Problem(answer.status, document);
  return document;
}

// A refresh token is good once, so that tabs take turns; who waited finds new cookies and needs none of its own.
async function refresh() {
  const before = localStorage.getItem(REFRESHED_KEY);
  const turn = async () => {
    if (localStorage.getItem(REFRESHED_KEY) !== before) return;
    remember(await send("POST", "auth/browser/refresh"));
  };
  if (navigator.locks) return navigator.locks.request("rowhouse-refresh", turn);
  return turn();
}

function remember(session) {
  localStorage.setItem(SIDE_KEY, session.tenant ? "tenant" : "platform");
  localStorage.setItem(REFRESHED_KEY, `${Date.now()} ${Math.random()}`);
}

// With a fresh access token if the one before has run out.
async function call(method, path, body) {
  try {
    return await send(method, path, body);
  } catch (problem) {
    const ranOut = problem.code === "credential_missing" || (method === "GET" && problem.code === "credential_unknown");
    if (!ranOut || !csrfToken()) throw problem;
  }
  await refresh();
  return send(method, path, body);
}

const onPlatform = () => localStorage.getItem(SIDE_KEY) === "platform";
const mine = (path) => (onPlatform() ? "platform/me" : "me") + path;

// ---- what the page shows

const VIEWS = ["loading", "sign-in", "forgot", "invitation", "reset", "verify", "account"];

function show(view) {
  for (const each of VIEWS) $(`view-${each}`).hidden = each !== view;
  const heading = $(`view-${view}`).querySelector("h1");
  document.title = `${heading.textContent} · Rowhouse`;
  heading.focus();
}

function tell(text) {
  $("problem").hidden = true;
  $("notice").textContent = text;
  $("notice").hidden = !text;
}

function complain(problem, form) {
  $("notice").hidden = true;
  const parts = [problem.message];
  for (const fault of problem.fields || []) {
    parts.push(`${fault.path.replace("/", "").replaceAll("_", " ")}: ${fault.message}`);
    const input = form && form.elements.namedItem(fault.path.replace("/", ""));
    if (input) input.setAttribute("aria-invalid", "true");
  }
  $("problem").textContent = parts.join(" · ");
  $("problem").hidden = false;
}

function quiet() {
  tell("");
  for (const input of document.querySelectorAll("[aria-invalid]")) input.removeAttribute("aria-invalid");
}

function facts(list, entries) {
  list.replaceChildren();
  for (const [name, value] of entries) {
    if (!value) continue;
    const term = document.createElement("dt");
    const text = document.createElement("dd");
    term.textContent = name;
    text.textContent = value;
    list.append(term, text);
  }
}

// Runs `work` for one click or submit at a time, and shows what goes wrong.
async function attempt(form, work) {
  quiet();
  const buttons = [...document.querySelectorAll("button")];
  for (const button of buttons) button.disabled = true;
  try {
    await work();
  } catch (problem) {
    complain(problem, form);
  } finally {
    for (const button of buttons) button.disabled = false;
  }
}

function onSubmit(id, work) {
  const form = $(id);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    attempt(form, () => work(new FormData(form), event.submitter, form));
  });
}

// ---- signing in

onSubmit("sign-in", async (fields, _, form) => {
  const body = { email: fields.get("email"), password: fields.get("password") };
  if (fields.get("tenant")) body.tenant = fields.get("tenant");
  if (fields.get("code")) body.code = fields.get("code");
  try {
    remember(await send("POST", "auth/browser/login", body));
  } catch (problem) {
    if (problem.code === "second_factor_required") {
      $("code-row").hidden = false;
      $("code").focus();
      return tell("Your account has a second factor: enter its code, too.");
    }
    if (problem.fields?.some((fault) => fault.path === "/tenant")) $("tenant-row").open = true;
    throw problem;
  }
  form.reset();
  $("code-row").hidden = true;
  await openAccount();
});

$("single-sign-on").addEventListener("click", () => attempt($("sign-in"), async () => {
  const email = $("email").value.trim();
  const tenant = $("tenant").value.trim();
  if (!email && !tenant) throw new Problem(0, { detail: "Enter your e-mail address first, or the tenant." });
  const found = await send("POST", "auth/sso/discover", tenant ? { tenant } : { email });
  if (!found.available) throw new Problem(0, { detail: `There is no single sign-on for this ${tenant ? "tenant" : "address"}.` });
  const start = new URL("auth/sso/start", API);
  start.searchParams.set("tenant", found.tenant);
  start.searchParams.set("return_to", location.pathname);
  localStorage.setItem(SIDE_KEY, "tenant");
  location.assign(start);
}));

onSubmit("forgot", async (fields, _, form) => {
  await send("POST", "auth/password/forgot", { email: fields.get("email") });
  form.reset();
  tell("If the address has an account, a mail is on its way.");
});

// ---- links that came by mail

let linkToken = "";

async function openInvitation() {
  const invitation = await send("POST", "auth/invitations", { token: linkToken });
  facts($("invitation-facts"), [["To", invitation.tenant.name], ["As", invitation.role], ["E-mail address", invitation.email]]);
  $("invitation-new").hidden = !invitation.choose_password;
  $("invitation-password").required = invitation.choose_password;
  show("invitation");
}

onSubmit("invitation", async (fields, _, form) => {
  const body = { token: linkToken };
  if (!$("invitation-new").hidden) {
    body.password = fields.get("password");
    if (fields.get("name")) body.name = fields.get("name");
  }
  const accepted = await send("POST", "auth/invitations/accept", body);
  linkToken = "";
  form.reset();
  $("email").value = accepted.email;
  $("tenant").value = accepted.tenant.slug;
  show("sign-in");
  tell("You have joined. Sign in now.");
});

onSubmit("reset", async (fields, _, form) => {
  await send("POST", "auth/password/reset", { token: linkToken, password: fields.get("password") });
  linkToken = "";
  form.reset();
  show("sign-in");
  tell("The new password is set. Sign in with it.");
});

onSubmit("verify", async () => {
  await send("POST", "auth/email/verify", { token: linkToken });
  linkToken = "";
  await openAccountOrSignIn();
  tell("Your e-mail address is confirmed.");
});

// ---- one's own account

const when = (text) => (text ? new Date(text).toLocaleString() : "–");

async function openAccount() {
  const me = await call("GET", mine(""));
  facts($("who"), [["Name", me.name], ["E-mail address", me.email], ["Role", me.role || (onPlatform() ? "Platform admin" : "")],
    ["Tenant", me.tenant?.name]]);
  $("place").textContent = me.tenant?.name || "";
  $("change-password").elements.namedItem("username").value = me.email || "";
  await Promise.all([showSessions(me.session), showSecondFactor()]);
  show("account");
}

async function showSessions(current) {
  const { data } = await call("GET", mine("/sessions"));
  const rows = data.map((session) => {
    const row = document.createElement("tr");
    for (const text of [when(session.created_at), when(session.last_seen_at), session.address || "–", session.agent || "–"]) {
      const cell = document.createElement("td");
      cell.textContent = text;
      row.append(cell);
    }
    const last = document.createElement("td");
    if (session.id === current) {
      last.textContent = "this browser";
    } else {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "plain";
      button.textContent = "End";
      button.addEventListener("click", () => attempt(null, async () => {
        await call("DELETE", mine(`/sessions/${session.id}`));
        await showSessions(current);
        tell("The session has ended.");
      }));
      last.append(button);
    }
    row.append(last);
    return row;
  });
  $("sessions").tBodies[0].replaceChildren(...rows);
}

async function showSecondFactor() {
  const state = await call("GET", mine("/totp"));
  $("totp-state").textContent = state.enabled
    ? `An authenticator app is set up since ${when(state.since)}; ${state.recovery_codes_left} recovery codes are left.`
    : "Your password alone signs you in. With an authenticator app on your phone nobody gets in who only knows it.";
  $("totp-begin").hidden = state.enabled;
  $("totp-confirm").hidden = true;
  $("totp-change").hidden = !state.enabled;
}

function showRecoveryCodes(codes) {
  $("recovery-codes").replaceChildren(...codes.map((code) => {
    const item = document.createElement("li");
    item.textContent = code;
    return item;
  }));
  $("recovery").hidden = codes.length === 0;
}

onSubmit("totp-begin", async (fields, _, form) => {
  const made = await call("POST", mine("/totp"), { password: fields.get("password") });
  form.reset();
  form.hidden = true;
  $("totp-secret").textContent = made.secret.replace(/(.{4})(?=.)/g, "$1 ");
  $("totp-uri").href = made.uri;
  $("totp-confirm").hidden = false;
  $("totp-confirm-code").focus();
});

onSubmit("totp-confirm", async (fields, _, form) => {
  const made = await call("POST", mine("/totp/confirm"), { code: fields.get("code") });
  form.reset();
  $("totp-secret").textContent = "";
  $("totp-uri").href = "#/";
  await showSecondFactor();
  showRecoveryCodes(made.recovery_codes);
  tell("The second factor is set up.");
});

onSubmit("totp-change", async (fields, button, form) => {
  const body = { password: fields.get("password"), code: fields.get("code") };
  if (button?.value === "remove") {
    await call("DELETE", mine("/totp"), body);
    showRecoveryCodes([]);
    tell("The second factor is removed.");
  } else {
    const made = await call("POST", mine("/recovery-codes"), body);
    showRecoveryCodes(made.recovery_codes);
    tell("The old recovery codes are no longer good.");
  }
  form.reset();
  await showSecondFactor();
});

onSubmit("change-password", async (fields, _, form) => {
  const path = onPlatform() ? "platform/password" : "auth/password";
  await call("POST", path, { current_password: fields.get("current_password"), new_password: fields.get("new_password") });
  form.reset();
  await openAccount();
  tell("The password is changed; your other sessions have ended.");
});

$("end-others").addEventListener("click", () => attempt(null, async () => {
  const { ended } = await call("DELETE", mine("/sessions"));
  await openAccount();
  tell(ended === 1 ? "One other session has ended." : `${ended} other sessions have ended.`);
}));

$("sign-out").addEventListener("click", () => attempt(null, async () => {
  await send("POST", "auth/browser/logout");
  localStorage.removeItem(SIDE_KEY);
  showRecoveryCodes([]);
  $("place").textContent = "";
  show("sign-in");
  tell("You are signed out.");
}));

// ---- where to begin

const LINKS = { invitation: openInvitation, password: async () => show("reset"), email: async () => show("verify") };

async function open() {
  quiet();
  const [, kind, token] = location.hash.split("/");
  if (LINKS[kind] && token) {
    linkToken = decodeURIComponent(token);
    history.replaceState(null, "", location.pathname);  // neither in the history nor for who looks over a shoulder
    return LINKS[kind]();
  }
  if (kind === "forgot") return show("forgot");
  if (kind === "sign-in-failed") {
    history.replaceState(null, "", location.pathname);
    show("sign-in");
    throw new Problem(0, { detail: "The single sign-on did not succeed. Try again, or ask your admin." });
  }
  return openAccountOrSignIn();
}

async function openAccountOrSignIn() {
  if (!csrfToken()) return show("sign-in");
  try {
    await openAccount();
  } catch (problem) {
    show("sign-in");
    if (problem.status !== 401) throw problem;
  }
}

function start() {
  open().catch((problem) => {
    if (!$("view-loading").hidden) show("sign-in");
    complain(problem, null);
  });
}

window.addEventListener("hashchange", start);
start();
