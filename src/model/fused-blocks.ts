import type { LinearKind } from '../core/branch.ts'
import type { Architecture } from './architecture.ts'

/** Linear layers of one transformer layer, as they are fused in a prepared model: outputs side by side. */
export function fusedBlocks({
  mlpKind,
}: Pick<Architecture, 'mlpKind'>): Readonly<Record<string, readonly LinearKind[]>> {
  return {
    qkv: ['q_proj', 'k_proj', 'v_proj'],
    o: ['o_proj'],
    ...(mlpKind === 'gated' ? { gate_up: ['gate_proj', 'up_proj'] } : { up: ['up_proj'] }),
    down: ['down_proj'],
  }
}
