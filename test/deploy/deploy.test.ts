import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { Metrics } from '../../src/telemetry/metrics.ts'
import { temporaryFolder } from '../support/model-folder.ts'
import { runTool } from '../support/tools.ts'
import { metricSources } from '../telemetry/metric-sources.ts'

const ROOT = join(import.meta.dirname, '../..')
const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8')

interface Compose {
  readonly services: Readonly<
    Record<string, { readonly ports?: readonly string[]; readonly secrets?: string[]; readonly environment?: object }>
  >
}

interface Rules {
  readonly groups: readonly { readonly rules: readonly { readonly alert: string; readonly expr: string }[] }[]
}

describe('compose', () => {
  const { services } = parse(read('docker/compose.yaml')) as Compose

  it('publishes on this machine only', () => {
    const ports = Object.values(services).flatMap((service) => service.ports ?? [])
    expect(ports.length).toBeGreaterThan(2)
    for (const port of ports) expect(port).toMatch(/^127\.0\.0\.1:/)
  })

  it('starts the server with keys, and gives the scrape one', () => {
    expect(services.troupe).toMatchObject({
      environment: { TROUPE_KEYS: '/run/secrets/troupe-keys' },
      secrets: ['troupe-keys'],
    })
    expect(services.prometheus?.secrets).toEqual(['troupe-metrics-key'])
    expect(read('docker/prometheus/prometheus.yml')).toContain('/run/secrets/troupe-metrics-key')
  })
})

describe('the image', () => {
  it('runs as a numbered user that is not root', () => {
    expect(/^USER (.*)$/m.exec(read('docker/Dockerfile'))?.[1]).toMatch(/^[1-9]\d*:[1-9]\d*$/)
    expect(read('docker/Dockerfile')).not.toMatch(/chown[= ]+(-R )?[a-z]/)
  })

  it('keeps native binaries of one platform', async () => {
    const dir = await temporaryFolder()
    for (const folder of ['linux/x64', 'linux/arm64', 'darwin/arm64', 'win32/x64'])
      mkdirSync(join(dir, 'node_modules/onnxruntime-node/bin/napi-v6', folder), { recursive: true })
    for (const folder of ['linux-x64', 'darwin-arm64'])
      mkdirSync(join(dir, 'native/prebuilds', folder), { recursive: true })
    const result = runTool('sh', [join(ROOT, 'docker/keep-platform.sh'), dir, 'linux', 'x64'])
    if (!result) return
    expect(result).toEqual({ status: 0, output: '' })
    const bin = join(dir, 'node_modules/onnxruntime-node/bin/napi-v6')
    expect(readdirSync(bin).flatMap((os) => readdirSync(join(bin, os)).map((arch) => `${os}/${arch}`))).toEqual([
      'linux/x64',
    ])
    expect(readdirSync(join(dir, 'native/prebuilds'))).toEqual(['linux-x64'])
  })

  it('finds the binaries where the script looks', () => {
    const bin = join(ROOT, 'node_modules/onnxruntime-node/bin')
    if (!existsSync(bin)) return
    const versions = readdirSync(bin).filter((name) => name.startsWith('napi-v'))
    expect(versions.flatMap((version) => readdirSync(join(bin, version)))).toContain(process.platform)
  })
})

describe('alert rules', () => {
  const rules = (parse(read('docker/prometheus/alerts.yml')) as Rules).groups.flatMap((group) => group.rules)

  it('ask for metrics that there are', async () => {
    const metrics = new Metrics()
    metrics.observe(metricSources())
    const families = [...(await metrics.render()).matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name!)
    for (const { alert, expr } of rules) {
      for (const [name] of expr.matchAll(/troupe_\w+/g)) {
        const family = name.replace(/_bucket$/, '')
        expect(families, `${alert}: ${name}`).toContain(family)
      }
    }
  })

  it('and the scrape are what promtool takes', async () => {
    const dir = await temporaryFolder()
    const key = join(dir, 'key')
    writeFileSync(key, 'sk-metrics-1')
    writeFileSync(join(dir, 'alerts.yml'), read('docker/prometheus/alerts.yml'))
    const config = read('docker/prometheus/prometheus.yml').replace('/run/secrets/troupe-metrics-key', key)
    writeFileSync(join(dir, 'prometheus.yml'), config)
    const result = runTool('promtool', ['check', 'config', join(dir, 'prometheus.yml')])
    if (result) expect(result, result.output).toMatchObject({ status: 0 })
    if (result) expect(result.output).toContain(`SUCCESS: ${rules.length} rules found`)
  })
})

it('the systemd unit is one that systemd takes', async () => {
  const unit = join(await temporaryFolder(), 'troupe.service')
  // What the unit runs need not be installed here.
  writeFileSync(unit, read('deploy/systemd/troupe.service').replace('/usr/bin/node', process.execPath))
  const result = runTool('systemd-analyze', ['verify', '--man=no', unit])
  if (!result) return
  const ours = result.output.split('\n').filter((line) => line.includes('troupe.service'))
  expect(ours).toEqual([])
})
