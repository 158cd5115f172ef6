import { dirname, resolve } from 'node:path'
import { TroupeError } from '../core/errors.ts'
import type { Source } from './check.ts'
import { checkSetting } from './check.ts'
import { readConfigFile } from './config-file.ts'
import { defaultSettings } from './defaults.ts'
import type { SettingKey, Settings } from './schema.ts'
import { SETTING_KEYS, environmentOf, isSettingKey } from './schema.ts'

export type Environment = Readonly<Record<string, string | undefined>>

export interface ConfigSources {
  /** Path of a configuration file; it goes before `TROUPE_CONFIG`. */
  readonly configFile?: string
  readonly environment?: Environment
  /** Values of flags by setting, as text. */
  readonly flags?: Readonly<Record<string, unknown>>
}

const CONFIG_VARIABLE = 'TROUPE_CONFIG'
const PREFIX = 'TROUPE_'
/**
 * Variables that are no settings: where the settings' file is; the key that client commands send (`troupe bench`, the examples the server prints);
 * which kernels the native code is forced to take.
 */
const OTHERS: readonly string[] = [CONFIG_VARIABLE, 'TROUPE_KEY', 'TROUPE_KERNELS']

/**
 * The settings from all sources: file < environment < flags; the rest are defaults.
 *
 * @throws TroupeError `invalid_config` naming the key, its source and what is allowed
 */
export function loadSettings({ configFile, environment = {}, flags = {} }: ConfigSources): Settings {
  const file = configFile ?? environment[CONFIG_VARIABLE]
  return {
    ...complete(),
    ...(file ? fromFile(resolve(file)) : {}),
    ...fromEnvironment(environment),
    ...checkAll(flags, { kind: 'flag' }, process.cwd()),
  }
}

/** Settings given by a caller, completed with the defaults. Throws `invalid_config` as `loadSettings`. */
export function completeSettings(given: Partial<Settings>): Settings {
  return { ...complete(), ...checkAll(given, { kind: 'option' }, process.cwd()) }
}

/** Every required setting has a default: a test holds it. */
function complete(): Settings {
  return defaultSettings() as Settings
}

function fromFile(path: string): Partial<Settings> {
  return checkAll(readConfigFile(path), { kind: 'file', path }, dirname(path))
}

function fromEnvironment(environment: Environment): Partial<Settings> {
  const keys = new Map<string, SettingKey>(SETTING_KEYS.map((key) => [environmentOf(key), key]))
  const values: Record<string, unknown> = {}
  for (const [variable, text] of Object.entries(environment)) {
    if (!variable.startsWith(PREFIX) || !text || OTHERS.includes(variable) || isServiceLink(variable, text)) continue
    const key = keys.get(variable)
    if (key === undefined)
      throw new TroupeError(
        'invalid_config',
        `the environment variable ${variable} is no setting; there are ${[...keys.keys()].join(', ')} and ${CONFIG_VARIABLE}`,
        { param: variable },
      )
    values[key] = text
  }
  return checkAll(values, { kind: 'environment' }, process.cwd())
}

/** Kubernetes describes a service called `troupe` to its pods by `TROUPE_SERVICE_HOST`, `TROUPE_PORT=tcp://…` and the like. */
function isServiceLink(variable: string, text: string): boolean {
  return /^TROUPE_(SERVICE_|PORT_\d)/.test(variable) || (variable === 'TROUPE_PORT' && text.includes('://'))
}

function checkAll(values: Readonly<Record<string, unknown>>, source: Source, base: string): Partial<Settings> {
  const checked: Partial<Record<SettingKey, unknown>> = {}
  for (const [key, value] of Object.entries(values)) {
    if (value === undefined) continue
    if (!isSettingKey(key)) {
      const where = source.kind === 'file' ? ` in ${source.path}` : ''
      throw new TroupeError(
        'invalid_config',
        `unknown setting "${key}"${where}; there are ${SETTING_KEYS.join(', ')}`,
        {
          param: key,
        },
      )
    }
    checked[key] = checkSetting(key, value, source, base)
  }
  return checked as Partial<Settings>
}
