import { expect, it } from 'vitest'
import { Metrics } from '../../src/telemetry/metrics.ts'
import { runTool } from '../support/tools.ts'
import { metricSources } from './metric-sources.ts'

async function check(options: { vllm: boolean }): Promise<ReturnType<typeof runTool>> {
  const metrics = new Metrics(options)
  metrics.observe(metricSources())
  metrics.observeConnections(() => 1)
  return runTool('promtool', ['check', 'metrics'], await metrics.render())
}

it('has nothing to say about our metrics', async () => {
  const result = await check({ vllm: false })
  if (result) expect(result).toEqual({ status: 0, output: '' })
})

it('objects only to the colon in the names of vLLM’s', async () => {
  const result = await check({ vllm: true })
  if (!result) return
  const lines = result.output.trim().split('\n')
  expect(lines).toHaveLength(4)
  for (const line of lines) expect(line).toMatch(/^vllm:\w+ metric names should not contain ':'$/)
})
