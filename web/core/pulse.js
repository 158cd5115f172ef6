import { ApiError, get } from './api.js'

/**
 * What the server does now: `/v1/live`, asked again and again while the tab is seen. Listeners get `{ figures, previous, connected, restarted }`;
 * without a connection the figures are the last ones.
 */
const CALM_MS = 3_000
const RETRY_MS = 1_000
const listeners = new Set()
let state = { figures: null, previous: null, connected: null, restarted: false, seconds: 0 }
let intervalMs = CALM_MS
let timer = null
let askedAt = 0

export function currentPulse() {
  return state
}

/** Returns how to stop listening. */
export function onPulse(listener) {
  listeners.add(listener)
  if (state.connected !== null) listener(state)
  return () => void listeners.delete(listener)
}

/** Asks more often until the returned function is called. */
export function hurryPulse(ms) {
  intervalMs = ms
  beat()
  return () => {
    intervalMs = CALM_MS
  }
}

/** Asks now. Resolves when the answer was told. */
export async function beat() {
  clearTimeout(timer)
  const wait = await ask()
  clearTimeout(timer)
  timer = setTimeout(() => (document.hidden ? pause() : beat()), wait)
}

function pause() {
  document.addEventListener('visibilitychange', () => beat(), { once: true })
}

async function ask() {
  try {
    const figures = await get('/v1/live')
    const now = performance.now()
    const same = state.figures?.server === figures.server
    tell({
      figures,
      previous: same ? state.figures : null,
      connected: true,
      restarted: state.figures !== null && !same,
      seconds: (now - askedAt) / 1000,
    })
    askedAt = now
    return intervalMs
  } catch (error) {
    if (!(error instanceof ApiError)) throw error
    // A server that wants a key, or says no, is there.
    tell({ ...state, connected: error.status !== 0, restarted: false })
    return RETRY_MS
  }
}

function tell(next) {
  state = next
  for (const listener of [...listeners]) listener(state)
}
