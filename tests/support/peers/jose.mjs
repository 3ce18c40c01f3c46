// What `jose` says about tokens: a JSON object a line on standard input, `ok` or the reason a line on standard output.
//
// GATEFORT_TEST_NODE names the directory that holds `node_modules`.

import { createInterface } from 'node:readline';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const require = createRequire(join(process.env.GATEFORT_TEST_NODE, 'package.json'));
const { importJWK, jwtVerify } = await import(pathToFileURL(require.resolve('jose')).href);

const keys = new Map();

async function judge({ token, key, algorithm, issuer, audience, skew }) {
  const name = JSON.stringify(key);
  if (!keys.has(name)) keys.set(name, await importJWK(key, algorithm));
  try {
    await jwtVerify(token, keys.get(name), {
      algorithms: [algorithm], issuer, audience, clockTolerance: skew, requiredClaims: ['exp'],
    });
    return 'ok';
  } catch (error) {
    return `${error.code ?? error.name}: ${error.message}`.replaceAll('\n', ' ');
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(`${await judge(JSON.parse(line))}\n`);
}
