import { describe, expect, it } from 'vitest'
import { createLogger, logGeneration } from '../../src/telemetry/log.ts'

function lines(): { readonly written: string[]; readonly write: (line: string) => void } {
  const written: string[] = []
  return { written, write: (line) => void written.push(line) }
}

describe('the log', () => {
  it('never shows a key', () => {
    const out = lines()
    const log = createLogger('info', out)
    const headers = { authorization: 'Bearer top-secret', 'x-api-key': 'top-secret', accept: '*/*' }
    log.info({ req: { headers } }, 'one')
    log.info({ headers }, 'two')
    log.info({ tenant: { name: 'acme', keys: ['top-secret'], apiKey: 'top-secret' } }, 'three')
    expect(out.written).toHaveLength(3)
    expect(out.written.join('')).not.toContain('top-secret')
    expect(out.written[0]).toContain('"accept":"*/*"')
  })

  it('writes one line per generation', () => {
    const out = lines()
    logGeneration(createLogger('info', out), {
      requestId: 'r1',
      tenant: 'acme',
      task: 'extract',
      model: null,
      mix: ['json@v1*1'],
      sequences: 1,
      promptTokens: 3,
      completionTokens: 4,
      queueMs: 1,
      loadMs: 2,
      totalMs: 9,
      status: 'ok',
    })
    expect(out.written).toHaveLength(1)
    expect(JSON.parse(out.written[0] ?? '')).toMatchObject({ msg: 'generation', requestId: 'r1', mix: ['json@v1*1'] })
  })

  it('keeps to its level', () => {
    const out = lines()
    createLogger('error', out).info('not this')
    expect(out.written).toEqual([])
  })
})
