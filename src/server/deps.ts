import type { GenerationParts, GenerationSettings } from '../generation/ports.ts'
import type { ShadowRuns } from '../generation/shadow/shadow-runs.ts'
import type { Registry } from '../registry/registry.ts'
import type { Keyring } from '../tenancy/keys.ts'

/** What the routes need of the registry. */
export type RegistryPort = Pick<
  Registry,
  | 'resolve'
  | 'claim'
  | 'acquire'
  | 'plan'
  | 'importFolder'
  | 'deletedVersion'
  | 'prefetch'
  | 'stageUpload'
  | 'beginUpload'
  | 'mergeInto'
  | 'describeAdapter'
  | 'describeVersion'
  | 'retryVersion'
  | 'proofOf'
  | 'addVersion'
  | 'pageAdapters'
  | 'listAdapters'
  | 'getAdapter'
  | 'deleteAdapter'
  | 'deleteVersion'
  | 'putTask'
  | 'activate'
  | 'rollback'
  | 'listTasks'
  | 'getTask'
  | 'deleteTask'
>

/** Limits and switches of the HTTP side. */
export interface ServerSettings extends GenerationSettings {
  /** Bytes of a JSON body. */
  readonly bodyLimitBytes: number
  /** Bytes of all files of one upload together. */
  readonly uploadLimitBytes: number
  /** Refuse unknown fields in OpenAI-shaped bodies instead of naming them in a header. */
  readonly strictRequests: boolean
}

/** What the routes are built from. */
export interface RouteDeps extends ServerDeps {
  readonly shadows: ShadowRuns
}

/** Everything the HTTP side is built from. */
export interface ServerDeps extends GenerationParts {
  readonly registry: RegistryPort
  readonly keyring: Keyring
  readonly settings: ServerSettings
  /** Reasons why the server should get no traffic now; empty = ready. */
  readiness(): Promise<readonly string[]>
}
