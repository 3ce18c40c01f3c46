// A real OpenID-certified issuer for tests: machine clients get RFC 9068 access tokens as signed JWTs.
//
// Whoever logs in is believed (`devInteractions`), and clients may register themselves: a test's relying party
// is told of logouts at an address that is known after this server has started.
//
// The resource that a token is asked for says what it is signed with: urn:test:rs256 gives RS256,
// urn:test:es256 ES256, urn:test:eddsa EdDSA; urn:test:opaque gives an opaque
// token instead. Loopback only. When it serves, it prints `ready PORT`.
//
// Where the package `oidc-provider` is installed, the environment says: GATEFORT_TEST_NODE names the
// directory that holds its `node_modules`.

import { generateKeyPairSync } from 'node:crypto';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const require = createRequire(join(process.env.GATEFORT_TEST_NODE, 'package.json'));
const { default: Provider } = await import(pathToFileURL(require.resolve('oidc-provider')).href);

const ALGORITHMS = { rs256: 'RS256', ps256: 'PS256', es256: 'ES256', es384: 'ES384', eddsa: 'EdDSA' };

function jwk(kid, type, options, members) {
  const { privateKey } = generateKeyPairSync(type, options);
  return { ...privateKey.export({ format: 'jwk' }), kid, use: 'sig', ...members };
}

const keys = [
  jwk('rsa-1', 'rsa', { modulusLength: 2048 }, {}),
  jwk('p256-1', 'ec', { namedCurve: 'P-256' }, { alg: 'ES256' }),
  jwk('p384-1', 'ec', { namedCurve: 'P-384' }, { alg: 'ES384' }),
  jwk('ed25519-1', 'ed25519', {}, { alg: 'EdDSA' }),
];

function resourceServer(indicator) {
  const [, name] = /^urn:test:(\w+)$/.exec(indicator) ?? [];
  if (name === 'opaque') {
    return { audience: indicator, scope: 'orders:read orders:write', accessTokenFormat: 'opaque', accessTokenTTL: 600 };
  }
  const alg = ALGORITHMS[name];
  if (!alg) throw new Error(`no such resource: ${indicator}`);
  return {
    audience: indicator,
    scope: 'orders:read orders:write',
    accessTokenFormat: 'jwt',
    accessTokenTTL: 600,
    jwt: { sign: { alg } },
  };
}

const server = createServer();
server.listen(0, '127.0.0.1', () => {
  const { port } = server.address();
  const provider = new Provider(`http://127.0.0.1:${port}`, {
    jwks: { keys },
    clients: [{
      client_id: 'machine',
      client_secret: 'machine-secret',
      token_endpoint_auth_method: 'client_secret_post',
      grant_types: ['client_credentials'],
      redirect_uris: [],
      response_types: [],
    }, {
      client_id: 'gate fort',
      client_secret: 'a:secret+of the%tests',
      token_endpoint_auth_method: 'client_secret_basic',
      grant_types: ['client_credentials'],
      redirect_uris: [],
      response_types: [],
    }, {
      client_id: 'gate+fort',
      client_secret: 'another:secret+of the%tests',
      token_endpoint_auth_method: 'client_secret_post',
      introspection_signed_response_alg: 'ES256',
      grant_types: ['client_credentials'],
      redirect_uris: [],
      response_types: [],
    }],
    // The session that a token belongs to, where it belongs to one.
    extraTokenClaims: (_ctx, token) => (token.sid ? { sid: token.sid } : undefined),
    // Its own dispatcher refuses loopback, where the relying parties of tests are.
    fetch: (url, { dispatcher, ...options }) => fetch(url, options),
    features: {
      devInteractions: { enabled: true },
      clientCredentials: { enabled: true },
      introspection: { enabled: true },
      jwtIntrospection: { enabled: true },
      revocation: { enabled: true },
      backchannelLogout: { enabled: true },
      registration: { enabled: true, idFactory: (ctx) => ctx.oidc.body.client_name },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => undefined,
        getResourceServerInfo: (_ctx, indicator) => resourceServer(indicator),
      },
    },
  });
  server.on('request', provider.callback());
  console.log(`ready ${port}`);
});
