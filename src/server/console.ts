import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import fastifyStatic from '@fastify/static'
import { packagePath } from '../config/defaults.ts'
import type { App } from './app.ts'

/** Where the console's files are. */
const FILES = '/console/'
/** What the page may load and reach: its own server. */
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
  "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

/** `GET /`: the console, a page of plain files in `web/`. It needs no key; what it asks the API for does. */
export async function installConsole(app: App): Promise<void> {
  await app.register(fastifyStatic, {
    root: packagePath('web'),
    prefix: FILES,
    // A route for each file: what is none of them is unknown like any other path.
    wildcard: false,
    // Browsers ask again each time and are told that nothing changed: after an update nobody sees old files.
    cacheControl: false,
    setHeaders: (reply) => void reply.header('cache-control', 'no-cache'),
  })
  const schema = { hide: true }
  app.get('/', { schema }, async (_request, reply) =>
    reply.header('content-security-policy', POLICY).sendFile('index.html'),
  )
  for (const { path, type, body } of vendoredFiles())
    app.get(FILES + path, { schema }, async (_request, reply) =>
      reply.header('cache-control', 'no-cache').type(type).send(body),
    )
}

/** The chart library, from the installed package. */
function vendoredFiles(): { readonly path: string; readonly type: string; readonly body: Buffer }[] {
  const dist = dirname(createRequire(import.meta.url).resolve('uplot/dist/uPlot.min.css'))
  return [
    { path: 'vendor/uplot.js', type: 'text/javascript; charset=utf-8', body: readFileSync(join(dist, 'uPlot.esm.js')) },
    { path: 'vendor/uplot.css', type: 'text/css; charset=utf-8', body: readFileSync(join(dist, 'uPlot.min.css')) },
  ]
}
