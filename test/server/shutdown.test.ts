import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import net from 'node:net'
import fastify from 'fastify'
import { expect, it } from 'vitest'
import type { App } from '../../src/server/app.ts'
import { closeGracefully } from '../../src/server/shutdown.ts'


/** A server whose only answer takes until `answer` is called. */
async function slowServer(): Promise<{
  app: App
  silent: SilentConnections
  answer: () => void
  request: Promise<Response>
  arrived: Promise<void>
}> {
  let answer = (): void => {}
  let arrive = (): void => {}
  const answered = new Promise<void>((resolve) => (answer = resolve))
  const arrived = new Promise<void>((resolve) => (arrive = resolve))
  const app = fastify({ forceCloseConnections: 'idle' })
  app.get('/', async () => {
    arrive()
    await answered
    return 'done'
  })
  const silent = new SilentConnections(app.server)
  const url = await app.listen({ port: 0, host: '127.0.0.1' })
  const request = fetch(url)
  return { app: app as unknown as App, silent, answer, request, arrived }
}

function ending(
  { app, silent }: { app: App; silent: SilentConnections },
  seconds: number,
  hurry?: AbortSignal,
): { steps: string[]; ended: Promise<void> } {
  const steps: string[] = []
  const ended = closeGracefully({
    ...{ app, silent, seconds, hurry },
    backend: { close: async () => void steps.push('backend') },
    log: { warn: (_, message) => void steps.push(message) },
  })
  return { steps, ended }
}

it('lets a running request finish, then ends at once although the client keeps its connection', async () => {
  const server = await slowServer()
  const { answer, request, arrived } = server
  await arrived
  const { steps, ended } = ending(server, 3600)
  answer()
  expect(await (await request).text()).toBe('done')
  await ended
  expect(steps).toEqual(['backend'])
})

it.each([
  ['when its time is over', 0, undefined],
  ['when told to hurry', 3600, AbortSignal.abort()],
])('cuts a running request off %s', async (_, seconds, hurry) => {
  const server = await slowServer()
  const { answer, request, arrived } = server
  const refused = expect(request).rejects.toThrow()
  await arrived
  const { steps, ended } = ending(server, seconds, hurry)
  await refused
  answer()
  await ended
  expect(steps).toEqual(['running requests are cut off', 'backend'])
})

it('is not held up by connections over which nothing was sent', async () => {
  const server = await slowServer()
  const { answer, request, arrived } = server
  await arrived
  const { port } = server.app.server.address() as AddressInfo
  const socket = net.connect(port, '127.0.0.1')
  await once(socket, 'connect')
  const gone = once(socket, 'close')
  const { steps, ended } = ending(server, 3600)
  await gone
  answer()
  expect((await request).status).toBe(200)
  await ended
  expect(steps).toEqual(['backend'])
})
