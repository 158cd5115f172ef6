import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { Value } from 'typebox/value'
import { completeSettings, loadSettings } from '../../src/config/load.ts'
import { SETTING_KEYS, SettingsSchema, environmentOf, flagOf } from '../../src/config/schema.ts'
import { LOG_LEVELS } from '../../src/telemetry/log.ts'
import { temporaryFolder } from '../support/model-folder.ts'

const refused = (message: RegExp) =>
  expect.objectContaining({ code: 'invalid_config', message: expect.stringMatching(message) as string }) as Error

async function fileWith(content: string | object, name = 'troupe.json'): Promise<string> {
  return join(await temporaryFolder({ [name]: content }), name)
}

describe('loadSettings', () => {
  it('has defaults that the schema accepts', () => {
    const settings = loadSettings({})
    expect(Value.Errors(SettingsSchema, settings)).toEqual([])
    expect(settings).toMatchObject({
      host: '127.0.0.1',
      port: 8080,
      precision: 'auto',
      maxBatch: 32,
      logPrompts: false,
    })
    expect(settings.model).toMatch(/models\/demo$/)
    expect(settings.memoryBytes).toBe(settings.kvBytes)
  })

  it('prefers flags to the environment and the environment to the file', async () => {
    const configFile = await fileWith({ port: 1, host: 'file', maxBatch: 2 })
    const environment = { TROUPE_PORT: '3', TROUPE_HOST: 'environment', OTHER: 'x' }
    expect(loadSettings({ configFile, environment, flags: { port: '5' } })).toMatchObject({
      port: 5,
      host: 'environment',
      maxBatch: 2,
    })
  })

  it('reads YAML, the file that TROUPE_CONFIG names, and paths relative to the file', async () => {
    const path = await fileWith('model: models/big\nmemoryBytes: 2GiB\nlogPrompts: true\n', 'troupe.yaml')
    const settings = loadSettings({ environment: { TROUPE_CONFIG: path } })
    expect(settings).toMatchObject({ model: join(path, '../models/big'), memoryBytes: 2 ** 31, logPrompts: true })
    expect(loadSettings({ flags: { model: 'here' } }).model).toBe(join(process.cwd(), 'here'))
  })

  it.each([
    [{ TROUPE_PORT: '70000' }, /port in the environment \(TROUPE_PORT\) must be a whole number from 0 to 65535/],
    [{ TROUPE_PORT: '80a' }, /TROUPE_PORT/],
    [{ TROUPE_PRECISION: 'fp16' }, /"auto" or "f32" or "bf16" or "int8" or "int4", not "fp16"/],
    [{ TROUPE_LOG_PROMPTS: 'maybe' }, /true or false/],
    [{ TROUPE_KV_BYTES: 'lots' }, /kvBytes .* KiB, MiB/],
    [{ TROUPE_PROT: '1' }, /TROUPE_PROT is no setting; there are TROUPE_MODEL/],
    [{ TROUPE_ALLOWED_ORIGINS: 'app.example.com' }, /allowedOrigins .* must be a list of origins such as/],
    [{ TROUPE_ALLOWED_HOSTS: 'a.example, http://b' }, /allowedHosts .* must be a list of host names/],
    [{ TROUPE_TRUSTED_PROXIES: 'everybody' }, /trustedProxies .* must be a list of addresses/],
    [{ TROUPE_DEVICE: 'webgpu' }, /device .*"webgpu" is not available in this build; it must be "cpu"/],
  ])('refuses the environment %o', (environment, message) => {
    expect(() => loadSettings({ environment })).toThrow(refused(message))
  })

  it('reads lists with commas, and as lists in files', async () => {
    const environment = { TROUPE_ALLOWED_HOSTS: 'a.example, .b.example,' }
    expect(loadSettings({ environment }).allowedHosts).toEqual(['a.example', '.b.example'])
    const configFile = await fileWith('trustedProxies: [10.0.0.0/8, loopback]\n', 'troupe.yaml')
    expect(loadSettings({ configFile }).trustedProxies).toEqual(['10.0.0.0/8', 'loopback'])
    expect(loadSettings({}).allowedOrigins).toEqual([])
  })

  it('leaves the key that client commands send alone', () => {
    for (const environment of [{ TROUPE_KEY: 'sk-acme-0123456789' }, { TROUPE_KERNELS: 'plain' }])
      expect(() => loadSettings({ environment })).not.toThrow()
  })

  it('ignores empty variables and the ones Kubernetes makes from a service called troupe', () => {
    const environment = {
      TROUPE_HOST: '',
      TROUPE_PORT: 'tcp://10.0.0.7:80',
      TROUPE_SERVICE_HOST: '10.0.0.7',
      TROUPE_PORT_80_TCP: 'x',
    }
    expect(loadSettings({ environment })).toMatchObject({ host: '127.0.0.1', port: 8080 })
  })

  it.each([
    ['troupe.json', '{"port": "8080"}', /port in .*troupe\.json must be a whole number from 0 to 65535, not "8080"/],
    ['troupe.json', '{"prot": 1}', /unknown setting "prot" in .*troupe\.json; there are model, store/],
    ['troupe.json', '{"port": 1,}', /troupe\.json is not valid JSON/],
    ['troupe.yaml', 'port: [1', /troupe\.yaml is not valid YAML/],
    ['troupe.yaml', '- port', /troupe\.yaml must hold settings/],
    ['troupe.toml', 'port = 1', /ends in \.json, \.yaml or \.yml/],
  ])('refuses %s with %s', async (name, content, message) => {
    const configFile = await fileWith(content, name)
    expect(() => loadSettings({ configFile })).toThrow(refused(message))
  })

  it('names the flag, and a file that is not there', () => {
    expect(() => loadSettings({ flags: { maxBatch: '0' } })).toThrow(refused(/maxBatch as a flag \(--max-batch\)/))
    expect(() => loadSettings({ configFile: '/nowhere/troupe.yaml' })).toThrow(refused(/\/nowhere\/troupe\.yaml/))
  })
})

describe('completeSettings', () => {
  it('fills in defaults and checks what is given', () => {
    expect(completeSettings({ port: 0, name: undefined })).toMatchObject({ port: 0, maxBatch: 32 })
    expect(() => completeSettings({ port: -1 })).toThrow(refused(/port as an option/))
  })
})

describe('the schema', () => {
  it('gives every setting a flag and a variable of its own', () => {
    expect(flagOf('maxBatch')).toBe('--max-batch')
    expect(environmentOf('maxBatch')).toBe('TROUPE_MAX_BATCH')
    expect(new Set(SETTING_KEYS.map(environmentOf)).size).toBe(SETTING_KEYS.length)
  })

  it('knows the levels the logger has', () => {
    for (const logLevel of LOG_LEVELS) expect(completeSettings({ logLevel }).logLevel).toBe(logLevel)
  })
})
