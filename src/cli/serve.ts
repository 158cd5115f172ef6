import type { Settings } from '../config/schema.ts'
import { startServer } from '../app/start.ts'
import type { Server } from '../app/start.ts'
import { renderBanner } from './banner.ts'
import { ProgressLine } from './progress-line.ts'

const PARENT_LOOK_MS = 500

/** Runs the server until a signal ends it or the engine dies; SIGHUP reads keys and certificate again. Log lines go to stdout, what people read to stderr. */
export async function serve(settings: Settings): Promise<void> {
  const startedAt = performance.now()
  const progress = new ProgressLine('preparing the model')
  const server = await startServer(settings, {
    onProgress: (done, total, what) => progress.update(done, total, what),
  }).finally(() => progress.finish())
  process.stderr.write(bannerOf(server, (performance.now() - startedAt) / 1000))

  process.on('SIGHUP', () => server.reload())
  const end = await Promise.race([endSignal(), npmGone(), server.crashed])
  const hurry = new AbortController()
  if (end instanceof Error) {
    server.log.fatal({ err: end }, 'the engine thread died; the server must be restarted')
    process.exitCode = 1
    hurry.abort()
  } else {
    const { drainSeconds, shutdownSeconds } = settings
    // Who presses Ctrl-C waits for it; who sends SIGTERM may have a balancer in front.
    const drains = end === 'SIGTERM' && drainSeconds > 0
    const first = drains ? `not ready any more, but taking requests for ${drainSeconds} s; then ` : ''
    process.stderr.write(
      `\n${end}: ${first}finishing what runs, for ${shutdownSeconds} s at most; again to cut it off\n`,
    )
    void endSignal().then(() => hurry.abort())
    if (drains) await server.drain(hurry.signal)
  }
  await server.close(hurry.signal)
  // The engine has ended: nothing native runs that an exit could break.
  process.exit()
}

function endSignal(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    const onSignal = (signal: NodeJS.Signals): void => {
      process.off('SIGINT', onSignal).off('SIGTERM', onSignal)
      resolve(signal)
    }
    process.on('SIGINT', onSignal).on('SIGTERM', onSignal)
  })
}

/** Resolves when the `npm start` that this runs under is gone, killed without a chance to pass it on. Never without npm. */
function npmGone(): Promise<'npm ended'> {
  return new Promise((resolve) => {
    if (process.env.npm_lifecycle_event !== 'start') return
    const parent = process.ppid
    const timer = setInterval(() => {
      if (process.ppid === parent) return
      clearInterval(timer)
      resolve('npm ended')
    }, PARENT_LOOK_MS)
    timer.unref()
  })
}

function bannerOf(server: Server, seconds: number): string {
  const { url, info, maxContext, keyed, rooms, settings } = server
  return renderBanner({
    ...{ url, info, maxContext, seconds },
    maxBatch: settings.maxBatch,
    adapters: rooms.catalogue.listAdapters('*'),
    tasks: rooms.catalogue.listTasks('*'),
    keyed,
  })
}
