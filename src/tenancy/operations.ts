import { TroupeError } from '../core/errors.ts'
import type { Caller, Role } from './roles.ts'

/** What an operation does, as far as it matters who may do it. */
type Right = 'read' | 'call' | 'publish' | 'manage' | 'scrape'

/** What each role may do. Whose objects it may do that to is a matter of names: `access.ts`. */
const RIGHTS: Readonly<Record<Role, readonly Right[]>> = {
  admin: ['read', 'call', 'publish', 'manage', 'scrape'],
  publisher: ['read', 'call', 'publish'],
  caller: ['read', 'call'],
  metrics: ['scrape'],
}

/** Every operation that needs a key, by its id in the API's description. A route without an entry cannot be added. */
const OPERATIONS: Readonly<Record<string, Right>> = {
  generate: 'call',
  createCompletion: 'call',
  createResponse: 'call',
  createChatCompletion: 'call',
  compare: 'call',
  tokenize: 'call',
  detokenize: 'call',
  tokenizeAsVllm: 'call',
  detokenizeAsVllm: 'call',
  listModels: 'read',
  getModel: 'read',
  listTasks: 'read',
  getTask: 'read',
  listTaskHistory: 'read',
  getShadow: 'read',
  planAdapters: 'read',
  liveFigures: 'read',
  listAdapters: 'read',
  getAdapter: 'read',
  listAdapterVersions: 'read',
  getAdapterVersion: 'read',
  listEvaluations: 'read',
  getEvaluation: 'read',
  listEvaluationAnswers: 'read',
  createEvaluation: 'publish',
  rerunEvaluation: 'publish',
  cancelEvaluation: 'publish',
  deleteEvaluation: 'publish',
  putTask: 'publish',
  deleteTask: 'publish',
  activateVersion: 'publish',
  rollbackTask: 'publish',
  describeAdapter: 'publish',
  deleteAdapter: 'publish',
  uploadAdapterVersion: 'publish',
  describeAdapterVersion: 'publish',
  deleteAdapterVersion: 'publish',
  retryAdapterVersion: 'publish',
  mergeAdapters: 'publish',
  loadLoraAdapter: 'publish',
  unloadLoraAdapter: 'publish',
  listTenants: 'manage',
  putTenant: 'manage',
  getTenant: 'manage',
  deleteTenant: 'manage',
  listKeys: 'manage',
  createKey: 'manage',
  changeKey: 'manage',
  rotateKey: 'manage',
  revokeKey: 'manage',
  metrics: 'scrape',
}

/** Throws unless there is a rule about who may do this. */
export function assertHasRule(operation: string | undefined, url: string): void {
  if (operation === undefined || !Object.hasOwn(OPERATIONS, operation))
    throw new Error(
      `${url} (${operation ?? 'no operationId'}) has no entry in src/tenancy/operations.ts: who may use it?`,
    )
}

/** Throws `forbidden` unless the caller's role allows the operation. */
export function assertMay(caller: Caller, operation: string): void {
  const right = OPERATIONS[operation]
  if (right !== undefined && RIGHTS[caller.role].includes(right)) return
  const roles = Object.entries(RIGHTS).flatMap(([role, rights]) => (right && rights.includes(right) ? [role] : []))
  throw new TroupeError('forbidden', `a key of the role ${caller.role} may not do this: it needs ${roles.join(' or ')}`)
}
