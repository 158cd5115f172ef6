import type { CatalogueState } from '../catalogue/state.ts'
import type { Gate, Route, TaskSettings } from '../catalogue/task.ts'
import { TroupeError } from '../core/errors.ts'
import type { EvaluationState } from './book.ts'
import type { Evaluation, EvaluationResult } from './record.ts'

/** Where a gate finds its evaluations. */
export interface GateParts {
  readonly evaluations: EvaluationState
  readonly state: CatalogueState
  readonly base: { readonly fingerprint: string }
}

/**
 * Refuses routes to versions that have not passed the gate of their task: the newest finished evaluation decides that has the gate's set, the task's
 * prompt as it is, and the version alone as one of its mixes. Versions that the task routes to already need none.
 *
 * @param routes what the task shall route to
 * @throws TroupeError `gate_not_passed` with the numbers and the way out
 */
export function checkGate(parts: GateParts, task: TaskSettings, routes: readonly Route[]): void {
  const { gate } = task
  if (!gate) return
  const names = routes.length === 0 ? [null] : routes
  const current = task.routes.length === 0 ? [null] : task.routes
  const isKnown = (route: Route | null): boolean => current.some((one) => nameOf(one) === nameOf(route))
  for (const route of names) {
    if (isKnown(route)) continue
    const problem = problemOf(parts, task, gate, route, current)
    if (problem !== null)
      throw new TroupeError('gate_not_passed', `task "${task.name}" is gated: ${problem}`, { param: 'gate' })
  }
}

/** Why a version does not pass; null = it does. */
function problemOf(
  { evaluations, state, base }: GateParts,
  task: TaskSettings,
  gate: Gate,
  candidate: Route | null,
  current: readonly (Route | null)[],
): string | null {
  const rivals = gate.notWorseThanCurrent ? current : []
  const wanted = [candidate, ...rivals]
  const mixIn = (evaluation: Evaluation, route: Route | null): number => mixOf(evaluation, digestOf(state, route))
  const found = [...evaluations.values()].findLast(
    (one) =>
      one.end?.status === 'done' &&
      one.spec.base.fingerprint === base.fingerprint &&
      one.spec.set.digest === gate.set &&
      one.spec.metrics.some((metric) => metric === gate.metric) &&
      one.spec.confidence === gate.confidence &&
      one.spec.task?.name === task.name &&
      one.spec.task.prompt === task.prompt &&
      one.spec.task.system === task.system &&
      wanted.every((route) => mixIn(one, route) >= 0),
  )
  const result = found?.end?.result
  if (!found || !result) {
    const mixes = [...new Set(wanted.map(nameOf))].join(', ')
    return (
      `no finished evaluation of ${nameOf(candidate)} fits. Run one with POST /v1/evaluations: task ${task.name} as it is now, ` +
      `set ${gate.set}, mixes ${mixes}, metric ${gate.metric}, confidence ${gate.confidence}`
    )
  }
  const [mix, name, id] = [mixIn(found, candidate), nameOf(candidate), found.spec.id]
  const score = result.mixes[mix]?.metrics[gate.metric]
  if (gate.min !== null && (!score || score.value < gate.min))
    return (
      `${name} scores ${shown(score?.value ?? 0)} on ${gate.metric}, and at least ${gate.min} is asked for (${id}). ` +
      'Activate a better version, or change the gate'
    )
  for (const rival of rivals) {
    const worse = lossTo(result, gate.metric, mix, mixIn(found, rival))
    if (worse && worse.high < 0)
      return (
        `${name} is worse than ${nameOf(rival)} on ${gate.metric}: ${shown(worse.value)}, between ${shown(worse.low)} and ${shown(worse.high)} at ` +
        `confidence ${gate.confidence} (${id}). Activate a better version, or change the gate`
      )
  }
  return null
}

/** Score of the candidate minus score of the rival. */
function lossTo(
  { comparisons }: EvaluationResult,
  metric: string,
  candidate: number,
  rival: number,
): { readonly value: number; readonly low: number; readonly high: number } | null {
  const found = comparisons.find(
    (one) =>
      one.metric === metric && ((one.a === candidate && one.b === rival) || (one.a === rival && one.b === candidate)),
  )
  if (!found) return null
  const { value, low, high } = found.difference
  return found.a === candidate ? found.difference : { value: -value, low: -high, high: -low }
}

/** The mix that is this version alone, as it was trained; -1 = there is none. */
function mixOf({ spec }: Evaluation, digest: string | null | undefined): number {
  if (digest === undefined) return -1
  return spec.mixes.findIndex(({ adapters }) => {
    if (digest === null) return adapters.length === 0
    return adapters.length === 1 && adapters[0]?.digest === digest && adapters[0].scale === 1
  })
}

/** Null = the base model. */
function digestOf(state: CatalogueState, route: Route | null): string | null | undefined {
  return route === null ? null : state.byNumber(route.adapter, route.version)?.digest
}

function nameOf(route: Route | null): string {
  return route === null ? 'base' : `${route.adapter}@v${route.version}`
}

function shown(value: number): string {
  return String(Math.round(value * 10_000) / 10_000)
}
