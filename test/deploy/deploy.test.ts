import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { Metrics } from '../../src/telemetry/metrics.ts'
import { temporaryFolder } from '../support/model-folder.ts'
import { checkGatewayConfig, GATEWAYS, noGateway } from '../support/gateway.ts'
import { runTool } from '../support/tools.ts'
import { metricSources } from '../telemetry/metric-sources.ts'

const ROOT = join(import.meta.dirname, '../..')
const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8')

interface Compose {
  readonly services: Readonly<
    Record<string, { readonly ports?: readonly string[]; readonly secrets?: string[]; readonly environment?: object }>
  >
}

interface Manifest {
  readonly spec: {
    readonly metrics?: readonly { readonly pods: { readonly metric: { readonly name: string } } }[]
    readonly template?: {
      readonly spec: {
        readonly terminationGracePeriodSeconds: number
        readonly securityContext: object
        readonly containers: readonly object[]
      }
    }
  }
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

describe('the Kubernetes manifests', () => {
  const dir = join(ROOT, 'deploy/kubernetes')
  const manifest = (name: string): Manifest => parse(read(`deploy/kubernetes/${name}.yaml`)) as Manifest

  it('are all in the kustomization, and there is none that it names and nobody wrote', () => {
    const { resources } = parse(read('deploy/kubernetes/kustomization.yaml')) as { resources: string[] }
    const files = readdirSync(dir).filter((file) => file !== 'kustomization.yaml')
    expect([...resources].sort()).toEqual(files.sort())
  })

  it('give a server its time to drain, its probes, and no right that it does not need', () => {
    const { configMapGenerator } = parse(read('deploy/kubernetes/kustomization.yaml')) as {
      configMapGenerator: { literals: string[] }[]
    }
    const settings = Object.fromEntries(
      configMapGenerator[0]!.literals.map((line) => line.split('=') as [string, string]),
    )
    const { spec } = manifest('deployment').spec.template!
    const grace = Number(settings.TROUPE_DRAIN_SECONDS) + Number(settings.TROUPE_SHUTDOWN_SECONDS) + 5
    expect(spec.terminationGracePeriodSeconds).toBeGreaterThanOrEqual(grace)
    const [container] = spec.containers
    expect(container).toMatchObject({
      readinessProbe: { httpGet: { path: '/health/ready' } },
      livenessProbe: { httpGet: { path: '/health/live' } },
      securityContext: {
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
        capabilities: { drop: ['ALL'] },
      },
    })
    expect(spec.securityContext).toMatchObject({ runAsNonRoot: true })
    // Every setting that they set is one.
    for (const name of Object.keys(settings).filter((key) => key.startsWith('TROUPE_')))
      expect(read('docs/configuration.md')).toContain(name)
  })

  it('scale by a metric that there is', async () => {
    const metrics = new Metrics({ process: false })
    metrics.observe(metricSources())
    const names = manifest('autoscaler').spec.metrics!.map(({ pods }) => pods.metric.name)
    expect(names).toHaveLength(1)
    for (const name of names) expect(await metrics.render()).toContain(`# TYPE ${name} gauge`)
  })

  it('are what kubectl builds and the schemas of Kubernetes take', async () => {
    const built = runTool(process.env.KUBECTL ?? 'kubectl', ['kustomize', dir])
    if (!built) return
    expect(built, built.output).toMatchObject({ status: 0 })
    const file = join(await temporaryFolder(), 'built.yaml')
    writeFileSync(file, built.output)
    const checked = runTool(process.env.KUBERNETES_VALIDATE ?? 'kubernetes-validate', ['--strict', file])
    if (checked) expect(checked, checked.output).toMatchObject({ status: 0 })
  })
})

describe.each(GATEWAYS)('the configuration of %s', (kind) => {
  const reason = noGateway(kind)
  it.skipIf(reason !== null)(`is one that it takes${reason === null ? '' : ` (skipped: ${reason})`}`, () => {
    expect(checkGatewayConfig(kind)).toBe('')
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
