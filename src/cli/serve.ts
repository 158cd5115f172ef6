import type { Settings } from '../config/schema.ts'
import { startServer } from '../app/start.ts'
import type { Server } from '../app/start.ts'
import { renderBanner } from './banner.ts'
import { ProgressLine } from './progress-line.ts'

/** Runs the server until a signal ends it or the engine dies. Log lines go to stdout, what people read to stderr. */
export async function serve(settings: Settings): Promise<void> {
  const startedAt = performance.now()
  const progress = new ProgressLine('preparing the model')
  const server = await startServer(settings, {
    onProgress: (done, total, what) => progress.update(done, total, what),
  }).finally(() => progress.finish())
  process.stderr.write(bannerOf(server, (performance.now() - startedAt) / 1000))

  const end = await Promise.race([nextSignal(), server.crashed])
  const hurry = new AbortController()
  if (end instanceof Error) {
    server.log.fatal({ err: end }, 'the engine thread died; the server must be restarted')
    process.exitCode = 1
    hurry.abort()
  } else {
    process.stderr.write(
      `\n${end}: finishing what runs, for ${settings.shutdownSeconds} s at most; again to cut it off\n`,
    )
    void nextSignal().then(() => hurry.abort())
  }
  await server.close(hurry.signal)
  // The engine has ended: nothing native runs that an exit could break.
  process.exit()
}

function nextSignal(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    const onSignal = (signal: NodeJS.Signals): void => {
      process.off('SIGINT', onSignal).off('SIGTERM', onSignal)
      resolve(signal)
    }
    process.on('SIGINT', onSignal).on('SIGTERM', onSignal)
  })
}

function bannerOf(server: Server, seconds: number): string {
  const { url, info, maxContext, registry, settings } = server
  return renderBanner({
    ...{ url, info, maxContext, seconds },
    maxBatch: settings.maxBatch,
    adapters: registry.listAdapters('*'),
    tasks: registry.listTasks('*'),
    keyed: settings.keys !== undefined,
  })
}
