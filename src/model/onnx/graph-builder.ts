import { create, toBinary } from '@bufbuild/protobuf'
import type { AttributeProto, NodeProto, TensorProto, ValueInfoProto } from './generated/onnx_pb.ts'
import {
  AttributeProto_AttributeType,
  AttributeProtoSchema,
  ModelProtoSchema,
  NodeProtoSchema,
  TensorProto_DataLocation,
  TensorProto_DataType,
  TensorProtoSchema,
  ValueInfoProtoSchema,
} from './generated/onnx_pb.ts'

/** A named value in the graph. The brand keeps plain strings out. */
export type Value = string & { readonly __value: unique symbol }
export type ElementType = 'f32' | 'i64' | 'i32' | 'i8' | 'u8'
/** Sizes by number, or by the name of a free dimension. */
export type Shape = readonly (number | string)[]
export type Attribute = number | string | readonly number[] | { readonly float: number }

const ELEMENT: Record<ElementType, TensorProto_DataType> = {
  f32: TensorProto_DataType.FLOAT,
  i64: TensorProto_DataType.INT64,
  i32: TensorProto_DataType.INT32,
  i8: TensorProto_DataType.INT8,
  u8: TensorProto_DataType.UINT8,
}

/** ONNX operator set and ONNX Runtime's contributed operators. */
const ONNX_OPSET = 21n
const ONNX_IR_VERSION = 10n
export const MICROSOFT = 'com.microsoft'
const VERSIONS: Readonly<Record<string, bigint>> = { '': ONNX_OPSET, [MICROSOFT]: 1n }
/** Version of a domain of operators of our own. */
const OWN_VERSION = 1n

/** Where an initialiser's bytes are: a range of a file beside the model. */
export interface ExternalRange {
  readonly file: string
  readonly offset: number
  readonly bytes: number
}

/** Builds one ONNX model, node by node, in topological order. */
export class GraphBuilder {
  readonly #nodes: NodeProto[] = []
  readonly #initializers: TensorProto[] = []
  readonly #inputs: ValueInfoProto[] = []
  readonly #outputs: ValueInfoProto[] = []
  readonly #domains = new Set(['', MICROSOFT])
  #unnamed = 0

  input(name: string, type: ElementType, shape: Shape): Value {
    this.#inputs.push(tensorInfo(name, type, shape))
    return name as Value
  }

  output(value: Value, type: ElementType, shape: Shape): void {
    this.#outputs.push(tensorInfo(value, type, shape))
  }

  /** A graph output that is a sequence of f32 tensors. */
  sequenceOutput(value: Value): void {
    const elemType = { value: { case: 'tensorType' as const, value: { elemType: ELEMENT.f32 } } }
    const type = { value: { case: 'sequenceType' as const, value: { elemType } } }
    this.#outputs.push(create(ValueInfoProtoSchema, { name: value, type }))
  }

  /** An initialiser whose bytes stay in a file. */
  external(name: string, type: ElementType, shape: readonly number[], range: ExternalRange): Value {
    const entries = { location: range.file, offset: String(range.offset), length: String(range.bytes) }
    this.#initializers.push(
      create(TensorProtoSchema, {
        name,
        dataType: ELEMENT[type],
        dims: shape.map(BigInt),
        dataLocation: TensorProto_DataLocation.EXTERNAL,
        externalData: Object.entries(entries).map(([key, value]) => ({ key, value })),
      }),
    )
    return name as Value
  }

  /** A small initialiser inside the model. */
  constant(type: 'f32' | 'i64' | 'i8' | 'u8', shape: readonly number[], data: readonly number[]): Value {
    const name = this.#fresh('const')
    const values = {
      f32: () => ({ floatData: [...data] }),
      i64: () => ({ int64Data: data.map(BigInt) }),
      i8: () => ({ int32Data: [...data] }),
      u8: () => ({ int32Data: [...data] }),
    }[type]()
    this.#initializers.push(
      create(TensorProtoSchema, { name, dataType: ELEMENT[type], dims: shape.map(BigInt), ...values }),
    )
    return name as Value
  }

  /** One node with one output. An absent optional input is null. */
  node(op: string, inputs: readonly (Value | null)[], attributes: Record<string, Attribute> = {}, domain = ''): Value {
    return this.nodes(op, inputs, 1, attributes, domain)[0]!
  }

  /** One node with several outputs; `outputs` is their count, or their names (null = the output is not wanted). */
  nodes(
    op: string,
    inputs: readonly (Value | null)[],
    outputs: number | readonly (string | null)[],
    attributes: Record<string, Attribute> = {},
    domain = '',
  ): Value[] {
    const names =
      typeof outputs === 'number'
        ? Array.from({ length: outputs }, () => this.#fresh(op))
        : outputs.map((name) => name ?? '')
    this.#domains.add(domain)
    this.#nodes.push(
      create(NodeProtoSchema, {
        name: names[0] ?? '',
        opType: op,
        domain,
        input: inputs.map((value) => value ?? ''),
        output: names,
        attribute: Object.entries(attributes).map(([name, value]) => attribute(name, value)),
      }),
    )
    return names as Value[]
  }

  /** The serialised model. */
  build(graphName: string): Uint8Array<ArrayBuffer> {
    const model = create(ModelProtoSchema, {
      irVersion: ONNX_IR_VERSION,
      producerName: 'troupe',
      opsetImport: [...this.#domains].map((domain) => ({ domain, version: VERSIONS[domain] ?? OWN_VERSION })),
      graph: {
        name: graphName,
        node: this.#nodes,
        initializer: this.#initializers,
        input: this.#inputs,
        output: this.#outputs,
      },
    })
    return toBinary(ModelProtoSchema, model)
  }

  #fresh(stem: string): string {
    return `${stem}_${this.#unnamed++}`
  }
}

function tensorInfo(name: string, type: ElementType, shape: Shape): ValueInfoProto {
  const dim = shape.map((size) => ({
    value:
      typeof size === 'number'
        ? { case: 'dimValue' as const, value: BigInt(size) }
        : { case: 'dimParam' as const, value: size },
  }))
  const tensor = { elemType: ELEMENT[type], shape: { dim } }
  return create(ValueInfoProtoSchema, { name, type: { value: { case: 'tensorType', value: tensor } } })
}

function attribute(name: string, value: Attribute): AttributeProto {
  const Type = AttributeProto_AttributeType
  if (typeof value === 'number') return create(AttributeProtoSchema, { name, type: Type.INT, i: BigInt(value) })
  if (typeof value === 'string')
    return create(AttributeProtoSchema, { name, type: Type.STRING, s: new TextEncoder().encode(value) })
  if ('float' in value) return create(AttributeProtoSchema, { name, type: Type.FLOAT, f: value.float })
  return create(AttributeProtoSchema, { name, type: Type.INTS, ints: value.map(BigInt) })
}
