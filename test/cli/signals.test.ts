import { spawn } from 'node:child_process'
import { readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it, onTestFinished } from 'vitest'
import { startCommand } from '../support/command.ts'
import { modelDir } from '../support/fixtures.ts'
import { temporaryFolder } from '../support/model-folder.ts'

const ROOT = join(import.meta.dirname, '../..')
const TIMEOUT = 180_000

async function flags(): Promise<string[]> {
  return ['--model', modelDir('llama'), '--store', await temporaryFolder(), '--port', '0', '--threads', '1']
}

/** A package with the start script of this one; what it would compile is there, and other tests use it. */
async function packageWithoutBuild(): Promise<string> {
  const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { scripts: { start: string } }
  const manifest = { name: 'started', scripts: { build: 'node --version', start: scripts.start } }
  const dir = await temporaryFolder({ 'package.json': manifest })
  symlinkSync(join(ROOT, 'dist'), join(dir, 'dist'))
  return dir
}

function urlIn(banner: string): string {
  return /http:\/\/[\d.]+:\d+/.exec(banner)![0]
}

async function statusOf(url: string, key?: string): Promise<number> {
  return (await fetch(url, { headers: key === undefined ? {} : { 'x-api-key': key } })).status
}

async function gone(url: string): Promise<void> {
  for (;;) {
    const answers = await fetch(url).then(
      () => true,
      () => false,
    )
    if (!answers) return
    await sleep(100)
  }
}

it(
  'reads the keys again on SIGHUP, keeps them when the file is damaged, and drains on SIGTERM',
  async () => {
    const keys = join(await temporaryFolder(), 'keys.json')
    const write = (key: string): void => writeFileSync(keys, JSON.stringify([{ tenant: 'acme', key }]))
    write('sk-first-key')
    const server = startCommand(['serve', ...(await flags()), '--keys', keys, '--drain-seconds', '2'])
    onTestFinished(() => void server.child.kill('SIGKILL'))
    const url = urlIn(await server.until(/Try:/))
    const models = `${url}/v1/models`
    expect(await statusOf(models, 'sk-first-key')).toBe(200)

    write('sk-second-key')
    server.child.kill('SIGHUP')
    while ((await statusOf(models, 'sk-second-key')) !== 200) await sleep(50)
    expect(await statusOf(models, 'sk-first-key')).toBe(401)

    writeFileSync(keys, '[{"tenant": "acme"')
    server.child.kill('SIGHUP')
    await sleep(500)
    expect(await statusOf(models, 'sk-second-key')).toBe(200)

    server.child.kill('SIGTERM')
    while ((await statusOf(`${url}/health/ready`)) !== 503) await sleep(20)
    expect(await statusOf(models, 'sk-second-key')).toBe(200)
    expect(await server.ended).toBe(0)
    expect(server.stderr()).toMatch(/SIGTERM: not ready any more, but taking requests for 2 s/)
  },
  TIMEOUT,
)

// Windows has no such signals: a process there is only ever ended.
it.skipIf(process.platform === 'win32').each(['SIGTERM', 'SIGKILL'] as const)(
  'npm start takes the server with it on %s (not on Windows, which has no such signals)',
  async (signal) => {
    const args = ['start', '--', ...(await flags()), '--drain-seconds', '0', '--shutdown-seconds', '1']
    const npm = spawn('npm', args, { cwd: await packageWithoutBuild(), stdio: ['ignore', 'ignore', 'pipe'] })
    onTestFinished(() => void npm.kill('SIGKILL'))
    let said = ''
    npm.stderr.setEncoding('utf8').on('data', (text: string) => (said += text))
    while (!said.includes('Try:')) {
      if (npm.exitCode !== null) throw new Error(`npm start ended: ${said}`)
      await sleep(100)
    }
    const url = urlIn(said)
    expect(await statusOf(`${url}/health/live`)).toBe(200)
    npm.kill(signal)
    await gone(`${url}/health/live`)
  },
  TIMEOUT,
)
