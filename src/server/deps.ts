import type { GenerationParts, GenerationSettings } from '../generation/ports.ts'
import type { ShadowRuns } from '../generation/shadow/shadow-runs.ts'
import type { Catalogue } from '../catalogue/catalogue.ts'
import type { Changes } from '../catalogue/changes.ts'
import type { EvaluationHost } from '../evaluation/runs.ts'
import type { Intake } from '../intake/intake.ts'
import type { AdapterSources } from '../intake/sources.ts'
import type { Residency } from '../residency/residency.ts'
import type { Keyring } from '../tenancy/keys.ts'
import type { TenantChanges } from '../tenancy/tenants/changes.ts'
import type { TenantsState } from '../tenancy/tenants/state.ts'

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
  readonly catalogue: Catalogue
  readonly changes: Changes
  readonly residency: Residency
  readonly intake: Intake
  readonly evaluation: EvaluationHost
  /** Where versions may be fetched from. */
  readonly sources: AdapterSources
  /** Id of this server, in every answer. */
  readonly server: string
  readonly keyring: Keyring
  readonly tenants: TenantsState
  readonly tenantChanges: TenantChanges
  readonly settings: ServerSettings
  /** Reasons why the server should get no traffic now, empty = ready; and what does not work while it serves. */
  readiness(): Promise<{ readonly reasons: readonly string[]; readonly degraded: readonly string[] }>
}
