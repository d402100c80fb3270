// The account page as people use it, in Chromium. Reads a task (JSON) from standard input, writes what it found.
"use strict";

const crypto = require("node:crypto");
const { chromium } = require("playwright-core");

const LIMIT_MS = 30_000;

// RFC 6238, of a secret in base32.
function totp(secret, step) {
  const bits = [...secret].map((sign) => "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".indexOf(sign).toString(2).padStart(5, "0")).join("");
  const key = Buffer.from(bits.match(/.{8}/g).map((byte) => parseInt(byte, 2)));
  const counter = Buffer.alloc(8);
  counter.writeBigInt64BE(BigInt(step));
  const digest = crypto.createHmac("sha1", key).update(counter).digest();
  return String((digest.readUInt32BE(digest[19] & 15) & 0x7fffffff) % 1_000_000).padStart(6, "0");
}

const stepNow = () => Math.floor(Date.now() / 30_000);

async function notice(page, text) {
  await page.getByRole("status").filter({ hasText: text }).waitFor();
}

async function signIn(page, email, password, code) {
  await page.getByLabel("E-mail address").first().fill(email);
  await page.locator("#password").fill(password);
  await page.getByRole("button", { name: "Sign in", exact: true }).click();
  if (code) {
    await notice(page, "second factor");
    await page.locator("#code").fill(code());
    await page.getByRole("button", { name: "Sign in", exact: true }).click();
  }
  await page.getByRole("heading", { name: "Your account" }).waitFor();
}

async function setUpSecondFactor(page, password) {
  await page.locator("#totp-begin-password").fill(password);
  await page.getByRole("button", { name: "Set up an authenticator app" }).click();
  await page.locator("#totp-confirm").waitFor();
  const secret = (await page.locator("#totp-secret").textContent()).replaceAll(" ", "");
  const step = stepNow();
  await page.locator("#totp-confirm-code").fill(totp(secret, step));
  await page.getByRole("button", { name: "Confirm" }).click();
  await notice(page, "second factor is set up");
  return { codes: await page.locator("#recovery-codes li").count(), next: () => totp(secret, Math.max(step + 1, stepNow())) };
}

// A page of another site that sends what a form can send, with whatever cookies the browser adds.
async function attack(context, url) {
  const answers = [];
  for (const path of ["/v1/auth/browser/logout", "/v1/auth/browser/refresh", "/v1/auth/browser/login"]) {
    const page = await context.newPage();
    await page.route("http://evil.example/**", (route) => route.fulfill({ contentType: "text/html", body: "<form method=post enctype=text/plain></form>" }));
    await page.goto("http://evil.example/");
    const answer = page.waitForResponse((response) => response.url() === url + path);
    await page.evaluate((action) => {
      document.forms[0].action = action;
      document.forms[0].submit();
    }, url + path);
    answers.push((await answer).status());
    await page.close();
  }
  return answers;
}

async function run(task) {
  const browser = await chromium.launch({ executablePath: task.chromium, args: ["--no-sandbox", "--disable-dev-shm-usage"] });
  try {
    const context = await browser.newContext();
    context.setDefaultTimeout(LIMIT_MS);
    const violations = [];
    const errors = [];
    await context.exposeFunction("reportViolation", (text) => violations.push(text));
    await context.addInitScript(() => {
      document.addEventListener("securitypolicyviolation", (event) => window.reportViolation(`${event.violatedDirective}: ${event.blockedURI}`));
    });
    const page = await context.newPage();
    page.on("pageerror", (error) => errors.push(String(error)));
    // Refused requests are a part of the way; anything else on the console is not.
    page.on("console", (message) => {
      if (message.type() === "error" && !message.text().startsWith("Failed to load resource")) errors.push(message.text());
    });

    await page.goto(`${task.url}/account/`);
    await page.getByLabel("E-mail address").first().fill(task.email);
    await page.getByRole("button", { name: "Single sign-on" }).click();
    await page.getByRole("alert").filter({ hasText: "no single sign-on for this address" }).waitFor();
    await page.getByRole("link", { name: "Forgot your password?" }).click();
    await page.getByRole("heading", { name: "Forgot your password?" }).waitFor();
    await page.getByRole("link", { name: "Back" }).click();
    await signIn(page, task.email, task.password);
    const factor = await setUpSecondFactor(page, task.password);
    await page.reload();
    await page.getByRole("heading", { name: "Your account" }).waitFor();
    await page.getByRole("cell", { name: "this browser" }).waitFor();
    const cookiesOfScript = await page.evaluate(() => document.cookie.split("; ").map((each) => each.split("=")[0]));

    // The access token runs out: the page refreshes the session by itself.
    await context.clearCookies({ name: "rowhouse_access" });
    await page.reload();
    await page.getByRole("cell", { name: "this browser" }).waitFor();
    const evilAnswers = await attack(context, task.url);

    await page.getByRole("button", { name: "Sign out", exact: true }).click();
    await notice(page, "signed out");
    await signIn(page, task.email, task.password, factor.next);
    await page.getByRole("button", { name: "Sign out", exact: true }).click();
    await notice(page, "signed out");

    if (task.invitation) {
      await page.goto(task.invitation);
      await page.locator("#invitation-facts").getByText(task.invited).waitFor();
      if (page.url().includes("rhl_")) errors.push("the token of the link is still in the address");
      await page.locator("#invitation-name").fill("Invited Person");
      await page.locator("#invitation-password").fill(task.invited_password);
      await page.getByRole("button", { name: "Accept the invitation" }).click();
      await notice(page, "You have joined");
      await signIn(page, task.invited, task.invited_password);
    }
    await page.goto(`${task.url}/docs`);
    await page.getByRole("heading").first().waitFor();
    return { recovery_codes: factor.codes, cookies_of_script: cookiesOfScript, evil_answers: evilAnswers, violations, errors };
  } finally {
    await browser.close();
  }
}

let input = "";
process.stdin.on("data", (piece) => (input += piece));
process.stdin.on("end", () => {
  run(JSON.parse(input)).then(
    (found) => process.stdout.write(JSON.stringify(found)),
    (error) => {
      console.error(error);
      process.exitCode = 1;
    });
});
