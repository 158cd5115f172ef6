import type { Policy } from './policy.ts'

/** Who came first goes first; whatever is in the background comes last. */
export const arrival: Policy = (candidates) => [
  ...candidates.filter(({ background }) => !background),
  ...candidates.filter(({ background }) => background),
]
