import { Option } from 'commander'
import type { Command } from 'commander'
import { loadSettings } from '../config/load.ts'
import { defaultOf } from '../config/describe.ts'
import type { SettingKey, Settings } from '../config/schema.ts'
import { SETTING_KEYS, flagOf, settingSchema } from '../config/schema.ts'

/** Settings whose path is a file's. */
const FILES: readonly SettingKey[] = ['keys', 'tlsCert', 'tlsKey']

/** Adds `--config` and a flag for every given setting; the schema checks the values, not commander. */
export function addSettingFlags(command: Command, keys: readonly SettingKey[] = SETTING_KEYS): Command {
  command.addOption(new Option('--config <file>', 'settings as JSON or YAML (default: $TROUPE_CONFIG)'))
  for (const key of keys) {
    const schema = settingSchema(key)
    const argument = schema.type === 'boolean' ? '[true|false]' : `<${placeholder(key)}>`
    const about = `${schema.description ?? ''} (default: ${defaultOf(schema)})`.replaceAll('`', '')
    command.addOption(new Option(`${flagOf(key)} ${argument}`, about))
  }
  return command
}

/** The settings from file, environment and the flags that `addSettingFlags` added. Throws `invalid_config`. */
export function settingsFromFlags(options: Readonly<Record<string, unknown>>): Settings {
  const given = SETTING_KEYS.filter((key) => options[key] !== undefined)
  const flags = given.map((key) => [key, options[key] === true ? 'true' : options[key]] as const)
  return loadSettings({
    configFile: typeof options.config === 'string' ? options.config : undefined,
    environment: process.env,
    flags: Object.fromEntries(flags),
  })
}

function placeholder(key: SettingKey): string {
  const schema = settingSchema(key)
  if (schema.unit === 'bytes') return 'size'
  if (schema.path) return FILES.includes(key) ? 'file' : 'dir'
  if (schema.type === 'array') return 'list'
  if (schema.enum) return schema.enum.join('|')
  return schema.type === 'integer' ? 'n' : 'text'
}
