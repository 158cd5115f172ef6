/** Rates between two answers of `/v1/live`; null where nothing happened, or where there is no earlier answer. */
export function ratesOf(now, before, seconds) {
  const { engine, queue, memory } = now
  const levels = { running: engine.running, waiting: queue.waiting }
  if (before === null || seconds <= 0) return { ...levels, decoded: null, prompt: null, stepMs: null, hitShare: null }
  const grown = (name) => engine[name] - before.engine[name]
  const steps = grown('steps')
  const hits = memory.hits - before.memory.hits
  const asked = hits + memory.loads - before.memory.loads
  return {
    ...levels,
    decoded: grown('decoded_tokens') / seconds,
    prompt: grown('prompt_tokens') / seconds,
    stepMs: steps > 0 ? (grown('step_seconds') / steps) * 1000 : null,
    hitShare: asked > 0 ? (hits / asked) * 100 : null,
  }
}
