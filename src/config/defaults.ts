import { homedir, totalmem } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { SettingKey, Settings } from './schema.ts'
import { SETTING_KEYS, settingSchema } from './schema.ts'

/** Bytes this process may use: the machine's memory or, in a container, its limit. */
export function availableMemory(): number {
  const total = totalmem()
  const limit = process.constrainedMemory()
  return limit > 0 && limit < total ? limit : total
}

/** A file or folder that is part of the package, from `src` as from `dist`. */
export function packagePath(name: string): string {
  return fileURLToPath(new URL(`../../${name}`, import.meta.url))
}

/** The store of whoever names none: `troupe/store` in the user's data folder. */
export function defaultStore(env: Readonly<Record<string, string | undefined>> = process.env): string {
  return join(env['XDG_DATA_HOME'] || join(homedir(), '.local', 'share'), 'troupe', 'store')
}

/** What holds where nothing was set; settings without a default are absent. */
export function defaultSettings(memory = availableMemory()): Partial<Settings> {
  const fixed = SETTING_KEYS.map((key): [SettingKey, unknown] => [key, settingSchema(key).default])
  return {
    ...Object.fromEntries(fixed.filter(([, value]) => value !== undefined)),
    model: packagePath('models/demo'),
    store: defaultStore(),
    memoryBytes: Math.floor(memory / 8),
    bankBytes: Math.floor(memory / 16),
    graphBytes: Math.floor(memory / 4),
    prefixCacheBytes: Math.floor(memory / 16),
  }
}
