import { Command } from 'commander'
import { describe, expect, it } from 'vitest'
import { addSettingFlags, settingsFromFlags } from '../../src/cli/setting-flags.ts'
import type { Settings } from '../../src/config/schema.ts'
import { SETTING_KEYS, flagOf } from '../../src/config/schema.ts'

function parse(...args: string[]): Settings {
  const command = addSettingFlags(new Command().exitOverride())
  return settingsFromFlags(command.parse(args, { from: 'user' }).opts())
}

describe('flags from the schema', () => {
  it('reads every kind of setting', () => {
    expect(parse('--max-batch', '4', '--kv-bytes', '2GiB', '--precision', 'int4', '--log-prompts')).toMatchObject({
      maxBatch: 4,
      kvBytes: 2 ** 31,
      precision: 'int4',
      logPrompts: true,
    })
    expect(parse('--log-prompts', 'false').logPrompts).toBe(false)
  })

  it('names the flag of a wrong value', () => {
    expect(() => parse('--max-batch', 'many')).toThrow(/maxBatch as a flag \(--max-batch\) must be a whole number/)
    expect(() => parse('--device', 'cuda')).toThrow(/"cuda" is not available in this build/)
  })

  it('has help for every setting', () => {
    const help = addSettingFlags(new Command()).helpInformation()
    for (const key of SETTING_KEYS) expect(help).toContain(`${flagOf(key)} `)
  })
})
