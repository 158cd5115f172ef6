import { createHash } from 'node:crypto'
import { ALONE_METHODS, MAX_STACK } from '../core/branch.ts'
import { TroupeError } from '../core/errors.ts'
import type { Resolution, ResolvedAdapter, Target, VersionReference } from './records.ts'
import type { Selector } from './reference.ts'
import { NEWEST, parseNamed, parseReference } from './reference.ts'
import type { CatalogueState } from './state.ts'
import { adapterNotFound } from './state.ts'
import type { Route, TaskRecord } from './task.ts'
import type { Version } from './version.ts'

const MAX_MIX = 16
const MAX_SCALE = 100

/** Where versions are found. */
export interface Versions {
  readonly state: CatalogueState
  /** The version a selector means, if it can be served. @throws TroupeError */
  select(name: string, selector: Selector): Version
  isReady(version: Version): boolean
}

/** What is looked for in which order, and what decides among routes. */
export interface ResolveOptions {
  /** Name of the base model. */
  readonly baseName: string
  /** Uniform in [0, 1): chooses among a task's routes. */
  readonly random: () => number
}

interface Sources extends ResolveOptions {
  readonly catalogue: Versions
}

/**
 * Turns what a request names into pinned digests, from memory only.
 *
 * - `task`: one of its routes, chosen by weight, at random or by the sticky key; no routes = the base model.
 * - `model`: the name of a task, of an adapter (`name`, `name@v3`, `name@sha256:…`) or of the base model, looked for in this order.
 * - `adapters` given with a task stand for its routes, while prompt, system message and defaults stay the task's (an empty list =
 *   the base model under the task's prompt); given with an adapter they are added to it; with the base model they are the mix.
 *
 * @param tenant whose names are visible
 * @throws TroupeError `task_not_found`, `model_not_found`, `adapter_not_found`, `version_not_found`, `adapter_not_ready`,
 * `invalid_request`. What the tenant may not see does not exist.
 */
export function resolveTarget(
  catalogue: Versions,
  options: ResolveOptions,
  target: Target,
  tenant: string,
): Resolution {
  const sources = { catalogue, ...options }
  const subject = findSubject(sources, target, tenant)
  const stack = target.stack ?? false
  const listed = target.adapters?.map((item) => resolveListed(sources.catalogue, item, tenant))
  if (subject.kind === 'task') {
    const { task } = subject
    if (listed) return { task, adapters: checkMix(sources.catalogue, listed, stack), stack, shadow: null }
    const adapters = checkMix(sources.catalogue, routed(sources, task, target.sticky), stack)
    return { task, adapters, stack, shadow: sampledShadow(sources, task, adapters) }
  }
  const own = subject.kind === 'adapter' ? [resolved(subject.version, 1)] : []
  const adapters = checkMix(sources.catalogue, [...own, ...(listed ?? [])], stack)
  return { task: null, adapters, stack, shadow: null }
}

type Subject =
  | { readonly kind: 'task'; readonly task: TaskRecord }
  | { readonly kind: 'adapter'; readonly version: Version }
  | { readonly kind: 'base' }

function findSubject(sources: Sources, target: Target, tenant: string): Subject {
  const { model, task } = target
  if ((model === undefined) === (task === undefined)) {
    throw new TroupeError('invalid_request', 'name exactly one of model and task', { param: 'model' })
  }
  if (task !== undefined) {
    const record = visibleTask(sources, task, tenant)
    if (!record) throw new TroupeError('task_not_found', `there is no task "${task}"`, { param: 'task' })
    return { kind: 'task', task: record }
  }
  return findModel(sources, model ?? '', tenant)
}

function findModel(sources: Sources, model: string, tenant: string): Subject {
  const task = visibleTask(sources, model, tenant)
  if (task) return { kind: 'task', task }
  const { catalogue, baseName } = sources
  const isAdapter = (name: string): boolean =>
    catalogue.state.adapters.has(name) && catalogue.state.isAdapterVisible(name, tenant)
  if (isAdapter(model)) return { kind: 'adapter', version: catalogue.select(model, NEWEST) }
  if (model === baseName) return { kind: 'base' }
  if (model.includes('@') && isAdapter(model.slice(0, model.indexOf('@')))) {
    const { name, selector } = parseNamed(model, 'model')
    return { kind: 'adapter', version: catalogue.select(name, selector ?? NEWEST) }
  }
  const message = `there is no task, adapter or base model "${model}"`
  throw new TroupeError('model_not_found', message, { param: 'model' })
}

function visibleTask(sources: Sources, name: string, tenant: string): TaskRecord | null {
  const { state } = sources.catalogue
  return state.isTaskVisible(name, tenant) ? (state.tasks.get(name) ?? null) : null
}

function routed(sources: Sources, task: TaskRecord, sticky: string | undefined): readonly ResolvedAdapter[] {
  const point = sticky === undefined ? sources.random() : stickyPoint(task.name, sticky)
  const route = chooseRoute(task.routes, point)
  if (!route) return []
  try {
    return [resolved(sources.catalogue.select(route.adapter, { kind: 'version', version: route.version }), 1)]
  } catch (error) {
    if (!(error instanceof TroupeError)) throw error
    throw new TroupeError(
      error.code,
      `task "${task.name}" routes to ${route.adapter}@v${route.version}: ${error.message}`,
    )
  }
}

/**
 * Where in [0, 1) a sticky key falls for a task: the same for ever, and evenly spread over the keys. As the point stays when weights
 * change, a canary that grows keeps the keys it has.
 */
export function stickyPoint(task: string, key: string): number {
  return createHash('sha256').update(`${task}\0${key}`).digest().readUIntBE(0, 6) / 2 ** 48
}

/** The shadow's version if this request is in its sample. Never a reason to fail: an unusable version is not compared. */
function sampledShadow(
  { catalogue, random }: Sources,
  { shadow }: TaskRecord,
  adapters: readonly ResolvedAdapter[],
): ResolvedAdapter | null {
  if (!shadow || random() >= shadow.sample) return null
  const version = catalogue.state.byNumber(shadow.adapter, shadow.version)
  if (!version || !catalogue.isReady(version) || adapters[0]?.digest === version.digest) return null
  return resolved(version, 1)
}

/** @param point in [0, 1): where in the sum of the weights */
export function chooseRoute(routes: readonly Route[], point: number): Route | null {
  const total = routes.reduce((sum, { weight }) => sum + weight, 0)
  let rest = point * total
  for (const route of routes) {
    rest -= route.weight
    if (rest < 0) return route
  }
  // Rounding can leave a rest of 0: the last one that has any weight.
  return routes.findLast(({ weight }) => weight > 0) ?? null
}

/** A version named in a list. @throws TroupeError as `resolveTarget` */
export function resolveListed(
  catalogue: Versions,
  item: { readonly name: string; readonly version?: VersionReference | undefined; readonly scale?: number },
  tenant: string,
): ResolvedAdapter {
  const { name, selector } = parseNamed(item.name, 'adapters')
  if (item.version !== undefined && selector !== null) {
    throw new TroupeError('invalid_request', `adapters: "${item.name}" names a version, and so does "version"`, {
      param: 'adapters',
    })
  }
  const wanted = item.version === undefined ? (selector ?? NEWEST) : parseReference(item.version, 'version')
  if (!catalogue.state.isAdapterVisible(name, tenant)) throw adapterNotFound(name)
  const scale = item.scale ?? 1
  if (!Number.isFinite(scale) || Math.abs(scale) > MAX_SCALE) {
    const message = `adapters: the scale of "${name}" must be a number from -${MAX_SCALE} to ${MAX_SCALE}`
    throw new TroupeError('invalid_request', message, { param: 'adapters' })
  }
  return resolved(catalogue.select(name, wanted), scale)
}

function resolved(version: Version, scale: number): ResolvedAdapter {
  const { adapter, version: number, digest, virtualTokens, tokens } = version
  return { adapter, version: number, digest, scale, virtualTokens, ...(tokens && { tokens }) }
}

function checkMix(
  catalogue: Versions,
  adapters: readonly ResolvedAdapter[],
  stack: boolean,
): readonly ResolvedAdapter[] {
  if (adapters.length > MAX_MIX) {
    throw new TroupeError('invalid_request', `at most ${MAX_MIX} adapters can be mixed`, { param: 'adapters' })
  }
  const byDigest = new Map<string, ResolvedAdapter>()
  for (const adapter of adapters) {
    const other = byDigest.get(adapter.digest)
    if (other) {
      const message =
        `adapters: ${other.adapter}@v${other.version} and ${adapter.adapter}@v${adapter.version} are the same bytes; ` +
        'name them once, with the scales added up'
      throw new TroupeError('invalid_request', message, { param: 'adapters' })
    }
    byDigest.set(adapter.digest, adapter)
  }
  const versions = adapters.map(({ adapter, version }) => catalogue.state.byNumber(adapter, version)!)
  for (const [index, { adapter, version, method }] of versions.entries()) {
    if (!ALONE_METHODS.includes(method) || (adapters.length === 1 && adapters[index]!.scale === 1)) continue
    const message = `adapters: ${adapter}@v${version} is of the method ${method}, which runs alone and at scale 1`
    throw new TroupeError('invalid_request', message, { param: 'adapters' })
  }
  if (stack) checkStack(versions)
  return adapters
}

/** Modules beside a sublayer read what it read: nothing can come before them. */
function checkStack(versions: readonly Version[]): void {
  const stacked = versions.filter(({ method }) => method === 'bottleneck')
  const beside = stacked.find(({ sites }) => sites.some((site) => site.endsWith('_in')))
  const fault =
    stacked.length < 2 || stacked.length > MAX_STACK
      ? `composition: a stack is made of 2 to ${MAX_STACK} bottleneck adapters, here are ${stacked.length}`
      : beside && `composition: ${beside.adapter}@v${beside.version} is a parallel adapter, which cannot be stacked`
  if (fault) throw new TroupeError('invalid_request', fault, { param: 'composition' })
}
