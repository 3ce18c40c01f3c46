// Uses the console as people do, in Chromium: looks, filters, opens a decision, explains a request, by keyboard alone too,
// on a phone, in light and dark. Fails on any request to another place and on any error of the page.
//
// The environment says: GATEFORT_TEST_NODE, the directory with `node_modules`; CONSOLE_URL, the page; CONSOLE_CHROMIUM, the
// browser; CONSOLE_ID, the request id of a denial for an expired token; CONSOLE_TOKEN, one without roles; CONSOLE_SHOTS, the
// directory for the pictures.

import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { join } from 'node:path';

const require = createRequire(join(process.env.GATEFORT_TEST_NODE, 'package.json'));
const { chromium } = require('playwright-core');
const { CONSOLE_URL: url, CONSOLE_ID: id, CONSOLE_TOKEN: token, CONSOLE_SHOTS: shots } = process.env;

const browser = await chromium.launch({
  executablePath: process.env.CONSOLE_CHROMIUM,
  args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync'],
});

/** A page of its own, and what goes wrong on it. */
async function open(colorScheme, width, height) {
  const context = await browser.newContext({ colorScheme, viewport: { width, height }, reducedMotion: 'reduce' });
  const page = await context.newPage();
  page.setDefaultTimeout(20_000);
  const wrong = [];
  page.on('console', (message) => { if (['error', 'warning'].includes(message.type())) wrong.push(message.text()); });
  page.on('pageerror', (error) => wrong.push(String(error)));
  page.on('request', (request) => { if (new URL(request.url()).origin !== new URL(url).origin) wrong.push(request.url()); });
  await page.goto(url);
  await page.locator('#ready', { hasText: 'ready' }).waitFor();
  await page.locator('details.decision').first().waitFor();
  return { page, wrong, context };
}

async function picture(page, name, clip) {
  await page.screenshot({ path: join(shots, `${name}.png`), ...clip });
}

// A part of the page. The list is drawn anew now and then, and what is drawn anew meanwhile is looked for again.
async function pictureOf(part, name) {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await part.screenshot({ path: join(shots, `${name}.png`) });
      return;
    } catch (error) {
      if (attempt === 5 || !/not attached/.test(error.message)) throw error;
    }
  }
}

async function close({ page, wrong, context }) {
  const { scroll, client } = await page.evaluate(() => ({
    scroll: document.documentElement.scrollWidth, client: document.documentElement.clientWidth,
  }));
  assert.ok(scroll <= client, `nothing is wider than the window: ${scroll} of ${client}`);
  assert.deepEqual(wrong, []);
  await context.close();
}

/** From a 401 to its cause: a request id, one decision, its tree. */
async function find(page) {
  await page.getByLabel('Request id').fill(id);
  await page.getByRole('button', { name: 'Filter' }).click();
  await page.getByText('the newest 1 that fit').waitFor();
  const decision = page.locator('details.decision');
  assert.equal(await decision.count(), 1);
  await decision.locator('> summary').click();
  await decision.locator('li.failed', { hasText: 'lifetime' }).first().waitFor();
  const told = await decision.innerText();
  for (const wanted of [/ended .* ago/, /Fix:/, /rule 4/]) assert.match(told, wanted);
}

async function explain(page) {
  await page.getByLabel('A curl line').fill(`curl https://app.example.com/admin/users -H 'Authorization: Bearer ${token}'`);
  await page.getByRole('button', { name: 'Explain' }).click();
  await page.locator('#answer', { hasText: 'roles_missing' }).waitFor();
  assert.match(await page.locator('#answer').innerText(), /expected one of admins?, root/);
}

// Light, on a desk.
{
  const one = await open('light', 1180, 900);
  const { page } = one;
  await picture(page, 'console-light');
  const before = await page.locator('#decisions').boundingBox();
  await page.waitForResponse((response) => response.url().endsWith('/status'));
  await page.waitForResponse((response) => response.url().includes('/decisions'));
  const after = await page.locator('#decisions').boundingBox();
  assert.deepEqual(after, before, 'nothing moves when the numbers change');
  await find(page);
  await page.locator('#decisions').scrollIntoViewIfNeeded();
  await pictureOf(page.locator('#decisions'), 'why-denied');
  await page.getByLabel('Verdict').selectOption('allow');
  await page.getByText('No recent decision fits.').waitFor();
  await page.locator('#filters').getByRole('button', { name: 'Clear' }).click();
  await page.getByText(/the newest \d+$/).waitFor();
  // A path that would be markup is a text.
  assert.equal(await page.locator('#list img, #list script').count(), 0);
  await explain(page);
  await page.getByLabel('A curl line').evaluate((field) => { field.blur(); field.scrollTop = 0; });
  await pictureOf(page.locator('section', { has: page.locator('#ask') }), 'explain');
  await page.getByLabel('A curl line').fill('wget x');
  await page.getByRole('button', { name: 'Explain' }).click();
  await page.getByText('does not begin with').waitFor();
  // The browser itself says on its console that this was answered with 400.
  one.wrong.splice(0, one.wrong.length, ...one.wrong.filter((text) => !text.includes('400')));
  await page.screenshot({ path: join(shots, 'console-whole.png'), fullPage: true });
  await close(one);
}

// Dark, by keyboard alone.
{
  const one = await open('dark', 1180, 900);
  const { page } = one;
  await page.keyboard.press('Tab');
  assert.equal(await page.evaluate(() => document.activeElement.textContent), 'Skip to the decisions');
  await page.keyboard.press('Enter');
  await page.keyboard.press('Tab');
  await page.keyboard.type(id);
  await page.keyboard.press('Enter');
  await page.getByText('the newest 1 that fit').waitFor();
  for (let presses = 0; presses < 20; presses += 1) {
    await page.keyboard.press('Tab');
    if (await page.evaluate(() => document.activeElement.parentElement.className === 'decision')) break;
  }
  await page.keyboard.press('Enter');
  await page.locator('details.decision[open] li.failed').first().waitFor();
  await picture(page, 'console-dark');
  await close(one);
}

// A phone, in both.
for (const scheme of ['light', 'dark']) {
  const one = await open(scheme, 375, 780);
  await picture(one.page, `phone-${scheme}`);
  await find(one.page);
  await pictureOf(one.page.locator('details.decision[open]'), `phone-tree-${scheme}`);
  await explain(one.page);
  await close(one);
}

await browser.close();
