import { Type } from 'typebox'
import type { Static, TSchema } from 'typebox'
import { ADAPTER_FORMATS, KV_FORMATS, PRECISIONS } from '../core/model-info.ts'
import type { SettingKeywords } from './setting-kinds.ts'
import { bytes, list, seconds } from './setting-kinds.ts'

/** All settings of the server: the one source of types, checks, flags, environment variables and documentation. */
export const SettingsSchema = Type.Object({
  model: Type.String({
    minLength: 1,
    path: true,
    description: 'Folder of the base model in Hugging Face’s layout.',
    defaultText: 'the bundled demo model',
  }),
  store: Type.String({
    minLength: 1,
    path: true,
    description: 'Adapters and tasks: a folder, made if missing, or a bucket as `s3://bucket/prefix`.',
    defaultText: '`troupe/store` in `$XDG_DATA_HOME` or `~/.local/share`, filled with the demo at the first start',
  }),
  storeCacheBytes: bytes({
    default: 16 * 2 ** 30,
    description: 'Adapter files of a bucket kept on the local disk, below `cacheDir`.',
  }),
  name: Type.Optional(
    Type.String({
      pattern: '^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$',
      description: 'What clients call the base model.',
      defaultText: 'the model folder’s name',
    }),
  ),
  host: Type.String({ minLength: 1, default: '127.0.0.1', description: 'Address to listen on.' }),
  port: Type.Integer({
    minimum: 0,
    maximum: 65535,
    default: 8080,
    description: 'Port to listen on; 0 takes a free one.',
  }),
  precision: Type.Enum(['auto', ...PRECISIONS], {
    default: 'auto',
    description:
      'Precision of the base model’s weights; `auto` is the first that loses nothing and fits half of the memory, else `int8`, else `int4`.',
  }),
  device: Type.Enum(['cpu'], {
    default: 'cpu',
    unavailable: ['webgpu', 'cuda'],
    description: 'Where the model runs.',
  }),
  maxBatch: Type.Integer({
    minimum: 1,
    maximum: 4096,
    default: 32,
    description: 'Sequences that run at once, at most; `kvBytes` may allow fewer.',
  }),
  maxContext: Type.Optional(
    Type.Integer({
      minimum: 16,
      maximum: 1_048_576,
      description: 'Longest prompt and completion together, in tokens.',
      defaultText: 'the model’s, at most 2048',
    }),
  ),
  stepTokens: Type.Integer({
    minimum: 1,
    maximum: 4096,
    default: 512,
    description: 'Tokens of one step, at most. Beside running answers prompts get as many as the measured time allows.',
  }),
  threads: Type.Integer({
    minimum: 0,
    maximum: 512,
    default: 0,
    description: 'Threads of one step; 0 = one for each core, or fewer where a CPU quota (cgroup) allows fewer.',
  }),
  allowBaseMismatch: Type.Boolean({
    default: false,
    description: 'Take adapters whose files name another base model than this one; shapes are checked nevertheless.',
  }),
  mergedProbe: Type.Enum(['auto', 'on', 'off'], {
    default: 'auto',
    description: 'Compare new versions with merged weights; `auto`: for base models of up to 4 GiB in f32.',
  }),
  memoryBytes: bytes({
    description: 'Adapter weights kept in memory.',
    defaultText: 'an eighth of the memory',
  }),
  adapterPrecision: Type.Enum(['auto', ...ADAPTER_FORMATS], {
    default: 'auto',
    description: 'Precision of adapter weights in memory; `auto`: `f32` beside a base model in `f32`, else `bf16`.',
  }),
  kvBytes: bytes({
    description:
      'Keys and values of all running sequences, and of prompts that later ones may begin with; in pages of 16 tokens.',
    defaultText: 'an eighth of the memory',
  }),
  kvPrecision: Type.Enum(['auto', ...KV_FORMATS], {
    default: 'auto',
    description: 'Precision of keys and values; `auto`: `f32` beside a base model in `f32`, else `bf16`.',
  }),
  speculation: Type.Integer({
    minimum: 0,
    maximum: 64,
    default: 8,
    description:
      'Tokens guessed from the prompt and earlier answers, at most, that a step verifies for a greedy sequence; 0 = none.',
  }),
  queueLimit: Type.Integer({
    minimum: 0,
    maximum: 100_000,
    default: 256,
    description:
      'Sequences that may wait for a place, all tenants together. Beyond that the heaviest tenant’s newest request gets `overloaded`.',
  }),
  tenantConcurrency: Type.Integer({
    minimum: 1,
    maximum: 100_000,
    default: 64,
    description:
      'Requests one tenant may have open; more are refused with `rate_limit_exceeded`. A server without keys has no tenants and no such limit.',
  }),
  strictRequests: Type.Boolean({
    default: false,
    description:
      'Refuse unknown fields in OpenAI-shaped bodies, instead of naming them in the header `x-troupe-ignored`.',
  }),
  bodyLimit: bytes({ default: 8 * 2 ** 20, description: 'Largest JSON body.' }),
  uploadLimit: bytes({ default: 2 ** 30, description: 'Largest upload of an adapter.' }),
  adapterSources: list(
    '^(hf:[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)?|s3://[a-z0-9][a-z0-9.-]+(/.+)?)$',
    {
      entries:
        'a place and all below it: `hf:organisation`, `hf:organisation/name`, `s3://bucket`, `s3://bucket/prefix`',
      description: 'Where versions may be fetched from by `{"source": …}`; empty = nowhere.',
    },
  ),
  cacheDir: Type.Optional(
    Type.String({
      minLength: 1,
      path: true,
      env: 'TROUPE_CACHE',
      description: 'Folder of prepared models.',
      defaultText: '`troupe` in `$XDG_CACHE_HOME` or `~/.cache`',
    }),
  ),
  logLevel: Type.Enum(['silent', 'fatal', 'error', 'warn', 'info', 'debug', 'trace'], {
    default: 'info',
    description: 'Least severe log lines that are written.',
  }),
  logPrompts: Type.Boolean({ default: false, description: 'Write the prompts’ texts into the log.' }),
  keys: Type.Optional(
    Type.String({
      minLength: 1,
      path: true,
      description: 'File of API keys beside those of the store, read again on SIGHUP.',
      defaultText: 'none',
    }),
  ),
  jwtIssuer: Type.Optional(
    Type.String({
      minLength: 1,
      description: 'Issuer (`iss`) of JWTs to accept. Needs `jwtAudience` and `jwtKeys`.',
      defaultText: 'none: no JWTs',
    }),
  ),
  jwtAudience: Type.Optional(
    Type.String({ minLength: 1, description: 'Audience (`aud`) that JWTs must be for.', defaultText: 'none' }),
  ),
  jwtKeys: Type.Optional(
    Type.String({
      minLength: 1,
      path: true,
      description: 'Public keys of the issuer as a JWKS: an `https://` address or a file.',
      defaultText: 'none',
    }),
  ),
  jwtTenantClaim: Type.String({ minLength: 1, default: 'tenant', description: 'Claim that names the tenant.' }),
  jwtRoleClaim: Type.String({
    minLength: 1,
    default: 'role',
    description: 'Claim that names the role, or a list of which the strongest counts; without it the role is `caller`.',
  }),
  jwtSkewSeconds: Type.Integer({
    minimum: 0,
    maximum: 600,
    default: 30,
    description: 'How far the clocks of issuer and server may be apart.',
  }),
  drainSeconds: Type.Integer({
    minimum: 0,
    maximum: 3600,
    default: 5,
    description:
      'How long a server that got SIGTERM still takes requests while `/health/ready` answers 503, so that balancers can turn away first.',
  }),
  shutdownSeconds: Type.Integer({
    minimum: 0,
    maximum: 3600,
    default: 30,
    description: 'How long running requests may take to finish after that; then they end with an error.',
  }),
  tlsCert: Type.Optional(
    Type.String({
      minLength: 1,
      path: true,
      description: 'Certificate chain in PEM form, for HTTPS; read again when the file changes. Needs `tlsKey`.',
      defaultText: 'none: HTTP',
    }),
  ),
  tlsKey: Type.Optional(
    Type.String({ minLength: 1, path: true, description: 'Private key of `tlsCert`.', defaultText: 'none' }),
  ),
  allowedHosts: list('^\\.?[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$', {
    entries: 'host names',
    description:
      'Names that requests may give in `Host`; `.example.com` allows all names below it. IP addresses, `localhost` and `host` are always allowed.',
    defaultText: 'without keys none more, with keys all',
  }),
  allowedOrigins: list('^(\\*|[a-z][a-z0-9+.-]*://[^/\\s]+)$', {
    entries: 'origins such as `https://app.example.com`, or `*`',
    description: 'Origins whose web pages may use the API (CORS).',
    defaultText: 'none',
  }),
  trustedProxies: list('^([0-9a-fA-F:.]+(/[0-9]{1,3})?|loopback|linklocal|uniquelocal)$', {
    entries: 'addresses, networks such as `10.0.0.0/8`, `loopback`, `linklocal` or `uniquelocal`',
    description: 'Proxies whose `X-Forwarded-For`, `-Host` and `-Proto` are believed.',
    defaultText: 'none',
  }),
  maxConnections: Type.Integer({
    minimum: 1,
    maximum: 1_000_000,
    default: 4096,
    description: 'Connections open at once; more are closed with 503.',
  }),
  maxConnectionsPerAddress: Type.Integer({
    minimum: 1,
    maximum: 1_000_000,
    default: 1024,
    description: 'The same for one client address (IPv6: one /64 network); trusted proxies are not counted.',
  }),
  headerSeconds: seconds(10, 'How long the headers of a request, or the first byte of a connection, may take.', 600),
  bodySeconds: seconds(20, 'How long the body of a request may take, plus a second for every 4 KiB that came.', 600),
  idleSeconds: seconds(
    30,
    'How long a connection is kept open between two requests. A balancer in front must keep its own for less.',
  ),
  stallSeconds: seconds(20, 'How long a client may read nothing of an answer that waits for it.', 600),
  vllmMetrics: Type.Boolean({
    default: true,
    description: 'Show on `/metrics` also the gauges that controllers made for vLLM read, under its names.',
  }),
})

export type Settings = Readonly<Static<typeof SettingsSchema>>
export type SettingKey = keyof Settings
export type SettingSchema = TSchema & SettingKeywords & JsonSchemaKeywords

interface JsonSchemaKeywords {
  readonly type?: string
  readonly enum?: readonly string[]
  readonly minimum?: number
  readonly maximum?: number
  readonly pattern?: string
}

export const SETTING_KEYS = Object.keys(SettingsSchema.properties) as readonly SettingKey[]

export function settingSchema(key: SettingKey): SettingSchema {
  return SettingsSchema.properties[key]
}

export function isSettingKey(key: string): key is SettingKey {
  return Object.hasOwn(SettingsSchema.properties, key)
}

/** `maxBatch` → `--max-batch`. */
export function flagOf(key: SettingKey): string {
  return `--${key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`
}

/** `maxBatch` → `TROUPE_MAX_BATCH`. */
export function environmentOf(key: SettingKey): string {
  return settingSchema(key).env ?? `TROUPE_${key.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`
}
