// The certified oidc-provider as an authorization server in front of an MCP server. It prints one
// line of JSON when it listens, and nothing else on stdout.
//
//   node oidc_provider.mjs '{"port": 9000, "resource": "http://…/api/mcp", "lifetime": 300}'
//
// `resource` is the audience of its tokens, `lifetime` theirs in seconds. `strict`: a resource
// indicator that is not spelt so, byte for byte, is no target, and one is needed. `path`: the
// issuer's, "/tenant". `clients`: known ones, and then nobody is registered. `authkit`: the
// addresses of WorkOS AuthKit. `device`, `dpop` (true or "nonce") and `par` (true or "required").
// `documents`: clients are known by their metadata documents, and nobody is registered.
// `certificate`: a PEM file with key and chain, for https. `trace` prints errors on stderr.

import { createHash, generateKeyPairSync, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

const options = {
  host: '127.0.0.1',
  authkit: false,
  certificate: '',
  clients: [],
  device: false,
  documents: false,
  dpop: false,
  lifetime: 300,
  par: false,
  path: '',
  strict: false,
  trace: false,
  ...JSON.parse(process.argv[2]),
};
const scheme = options.certificate ? 'https' : 'http';
const issuer = `${scheme}://${options.host}:${options.port}${options.path}`;

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
  if (options.strict && indicator !== options.resource) throw new errors.InvalidTarget();
  return {
    audience: options.resource,
    scope: 'openid profile email',
    accessTokenFormat: 'jwt',
    accessTokenTTL: options.lifetime,
    jwt: { sign: { alg: 'RS256' } },
  };
}

const person = (ctx, id) => ({
  accountId: id,
  claims: () => ({ sub: id, name: 'Ada', email: `${id}@example.com`, email_verified: true }),
});

const authkit = {
  authorization: '/oauth2/authorize',
  introspection: '/oauth2/introspect',
  jwks: '/oauth2/jwks',
  registration: '/oauth2/register',
  revocation: '/oauth2/revoke',
  token: '/oauth2/token',
  userinfo: '/oauth2/userinfo',
};

const provider = new Provider(issuer, {
  claims: { openid: ['sub'], profile: ['name'], email: ['email', 'email_verified'] },
  clientBasedCORS: () => true,
  clients: options.clients,
  // It fetches nothing from loopback, by a dispatcher of its own; here there is nothing else.
  fetch: (url, { dispatcher, ...rest }) => fetch(url, rest),
  cookies: { keys: [randomBytes(24).toString('hex')] },
  features: {
    clientIdMetadataDocument: { enabled: options.documents },
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
    registration: { enabled: options.clients.length === 0 && !options.documents },
    resourceIndicators: {
      enabled: true,
      defaultResource: (ctx, client, one) => one ?? (options.strict ? undefined : options.resource),
      getResourceServerInfo: resourceServer,
      useGrantedResource: () => !options.strict,
    },
    revocation: { enabled: true, allowedPolicy: () => true },
  },
  findAccount: person,
  jwks: { keys: [signingKey()] },
  pkce: { required: () => true },
  rotateRefreshToken: true,
  routes: options.authkit ? authkit : {},
  scopes: ['openid', 'profile', 'email', 'offline_access'],
  ttl: { AccessToken: options.lifetime, IdToken: 3600, RefreshToken: 86400 },
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

// Mounted below the issuer's path, as behind a reverse proxy that serves several tenants.
function below(handle) {
  return (request, response) => {
    if (!request.url.startsWith(`${options.path}/`)) {
      response.writeHead(404, { 'Content-Type': 'text/html' }).end('<h1>Not found</h1>');
      return;
    }
    request.originalUrl = request.url;
    request.url = request.url.slice(options.path.length);
    handle(request, response);
  };
}

const handler = options.path ? below(provider.callback()) : provider.callback();
const pem = options.certificate ? readFileSync(options.certificate) : undefined;
const server = pem
  ? https.createServer({ cert: pem, key: pem }, handler)
  : http.createServer(handler);
server.listen(options.port, options.host, () => {
  process.stdout.write(`${JSON.stringify({ url: issuer })}\n`);
});
process.on('SIGTERM', () => {
  server.close(() => process.exit(0));
  server.closeAllConnections();
});
