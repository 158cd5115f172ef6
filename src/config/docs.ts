import { allowedValues, defaultOf } from './describe.ts'
import type { SettingKey } from './schema.ts'
import { SETTING_KEYS, environmentOf, flagOf, settingSchema } from './schema.ts'

/** `docs/configuration.md`, made from the schema; a test holds the committed file to it. */
export function renderConfigDocs(): string {
  const head = ['Setting', 'Flag', 'Environment', 'Values', 'Default', 'Meaning']
  return `${INTRODUCTION}\n${table([head, ...SETTING_KEYS.map(row)])}\n\n${KEYS}`
}

function row(key: SettingKey): readonly string[] {
  const schema = settingSchema(key)
  const value = schema.unit === 'bytes' ? 'a size' : allowedValues(schema).replaceAll('"', '`')
  const pattern = /^a text like (.*)$/.exec(value)
  return [
    code(key),
    code(flagOf(key)),
    code(environmentOf(key)),
    pattern ? `a text like ${code(pattern[1]!)}` : value,
    defaultOf(schema),
    schema.description ?? '',
  ]
}

function code(text: string): string {
  return `\`${text}\``
}

function table(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((cells) => cells[column]!.length)))
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell, column) => cell.padEnd(widths[column]!)).join(' | ')} |`
  return [line(rows[0]!), line(widths.map((width) => '-'.repeat(width))), ...rows.slice(1).map(line)].join('\n')
}

const INTRODUCTION = `# Configuration

Every setting can stand in a file, in the environment or on the command line; the later one wins:

1. a JSON or YAML file, named by \`--config FILE\` or \`TROUPE_CONFIG\`, with the settings as keys
2. environment variables
3. flags of \`troupe serve\`

Unknown keys, unknown \`TROUPE_\` variables and wrong values are refused at the start with the key, its source and what is
allowed. \`TROUPE_KERNELS\` is no setting: it forces kernels, such as \`plain\` on a processor without AVX2. Empty variables count
as unset. Relative paths in a file are relative to the file. A size is a number of bytes, or a number with \`KB\`, \`MB\`, \`GB\`
(1000) or \`KiB\`, \`MiB\`, \`GiB\` (1024).

\`\`\`yaml
# troupe.yaml
model: /models/qwen3-0.6b
store: /var/lib/troupe/adapters
host: 0.0.0.0
maxBatch: 32
memoryBytes: 2GiB
keys: keys.json
\`\`\`
`

const KEYS = `## Keys

A server is open until its store has a key, or a keys file or an issuer of JWTs is set: then every request needs a key.
[tenants.md](tenants.md) says how to make the first one, what the roles may do, and what becomes of an open server.

The keys file is a JSON list; a tenant may have several keys. A key stands there itself or, better, as its SHA-256, which
\`printf %s "$KEY" | sha256sum\` prints. \`role\` is \`publisher\` unless given; \`"admin": true\` says the same as the role \`admin\`.

\`\`\`json
[
  { "tenant": "acme", "key": "sk-acme-0123456789" },
  { "tenant": "ops", "keySha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", "role": "admin" }
]
\`\`\`

The file is read again on SIGHUP.
`
