// An authorization server as WorkOS AuthKit is one: the certified oidc-provider behind
// AuthKit's addresses. It prints one line of JSON when it listens, and nothing else on stdout.
//
//   node oidc_provider.mjs '{"port": 9000, "resource": "http://…/api/mcp", "accessTokenTtl": 300}'
//
// `resource` is the one audience it knows, byte for byte. `trace` prints errors on stderr.
// AuthKit has none of `device`, `dpop` (true or "nonce") and `par` (true or "required"); a test may
// switch them on, and name `clients` that are registered beforehand.

import { createHash, generateKeyPairSync, randomBytes } from 'node:crypto';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

const options = {
  host: '127.0.0.1',
  accessTokenTtl: 300,
  clients: [],
  device: false,
  dpop: false,
  par: false,
  trace: false,
  ...JSON.parse(process.argv[2]),
};
const issuer = `http://${options.host}:${options.port}`;

// Its notices are about production; stdout is for the one line below.
console.info = () => {};
console.warn = () => {};

const given = process.env.MCP_CLIENT_AUTH_NODE_MODULES;
const modules = given ? resolve(given) : join(import.meta.dirname, '..', '..', 'node_modules');
const installed = createRequire(pathToFileURL(join(modules, 'from-here.js')));
const { Provider, errors } = await import(pathToFileURL(installed.resolve('oidc-provider')).href);

function signingKey() {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const key = privateKey.export({ format: 'jwk' });
  const kid = createHash('sha256').update(key.n).digest('base64url').slice(0, 16);
  return { ...key, kid, use: 'sig', alg: 'RS256' };
}

// RFC 8707 §2: a resource that is not known exactly as it is spelt is an invalid target.
function resourceServer(ctx, indicator) {
  if (indicator !== options.resource) throw new errors.InvalidTarget();
  return {
    audience: indicator,
    scope: 'openid profile email',
    accessTokenFormat: 'jwt',
    accessTokenTTL: options.accessTokenTtl,
    jwt: { sign: { alg: 'RS256' } },
  };
}

const person = (ctx, id) => ({
  accountId: id,
  claims: () => ({ sub: id, name: 'Ada', email: `${id}@example.com`, email_verified: true }),
});

const provider = new Provider(issuer, {
  claims: { openid: ['sub'], profile: ['name'], email: ['email', 'email_verified'] },
  clientBasedCORS: () => true,
  clients: options.clients,
  cookies: { keys: [randomBytes(24).toString('hex')] },
  features: {
    deviceFlow: { enabled: options.device },
    devInteractions: { enabled: true },
    dPoP: {
      enabled: Boolean(options.dpop),
      nonceSecret: randomBytes(32),
      requireNonce: () => options.dpop === 'nonce',
    },
    introspection: { enabled: true, allowedPolicy: () => true },
    pushedAuthorizationRequests: {
      enabled: Boolean(options.par),
      requirePushedAuthorizationRequests: options.par === 'required',
    },
    registration: { enabled: true },
    resourceIndicators: { enabled: true, getResourceServerInfo: resourceServer },
    revocation: { enabled: true, allowedPolicy: () => true },
  },
  findAccount: person,
  jwks: { keys: [signingKey()] },
  pkce: { required: () => true },
  rotateRefreshToken: true,
  routes: {
    authorization: '/oauth2/authorize',
    introspection: '/oauth2/introspect',
    jwks: '/oauth2/jwks',
    registration: '/oauth2/register',
    revocation: '/oauth2/revoke',
    token: '/oauth2/token',
    userinfo: '/oauth2/userinfo',
  },
  scopes: ['openid', 'profile', 'email', 'offline_access'],
  ttl: { AccessToken: options.accessTokenTtl, IdToken: 3600, RefreshToken: 86400 },
});

if (options.trace) {
  const seen = ['authorization', 'grant', 'registration_create', 'revocation', 'introspection'];
  for (const event of [...seen.map((name) => `${name}.error`), 'server_error']) {
    provider.on(event, (ctx, error) => {
      process.stderr.write(`${event}: ${error.error ?? error} ${error.error_description ?? ''}\n`);
      if (event === 'server_error') process.stderr.write(`${error.stack}\n`);
    });
  }
}

const server = provider.listen(options.port, options.host, () => {
  process.stdout.write(`${JSON.stringify({ url: issuer })}\n`);
});
process.on('SIGTERM', () => {
  server.close(() => process.exit(0));
  server.closeAllConnections();
});
