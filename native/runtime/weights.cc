#include "weights.h"

#include "error.h"

namespace troupe {

namespace {

constexpr size_t ALIGNMENT = 64;

[[noreturn]] void foreign(const std::string& message) {
  throw Error("weights_foreign", message + "; prepare the model again");
}

Format format_of(const std::string& name, const std::string& tensor) {
  if (name == "f32") return Format::f32;
  if (name == "bf16") return Format::bf16;
  if (name == "q8") return Format::q8;
  if (name == "q4") return Format::q4;
  foreign("tensor " + tensor + " has the unknown format " + name);
}

/** Finds tensors and checks what is said about them. */
struct Reader {
  const MappedFile& file;
  const TensorPlaces& places;
  const Architecture& architecture;

  const void* find(const std::string& name, const char* format, size_t bytes, bool required = true) const {
    const auto found = places.find(name);
    if (found == places.end()) {
      if (required) foreign("tensor " + name + " is missing");
      return nullptr;
    }
    const TensorPlace& place = found->second;
    if (place.format != format || place.bytes != bytes)
      foreign("tensor " + name + " is " + std::to_string(place.bytes) + " bytes of " + place.format + ", not " +
              std::to_string(bytes) + " of " + format);
    if (place.offset % ALIGNMENT != 0 || place.offset > file.size() || place.bytes > file.size() - place.offset)
      foreign("tensor " + name + " does not lie within the file of weights, which has " + std::to_string(file.size()) +
              " bytes");
    return file.data() + place.offset;
  }

  const float* floats(const std::string& name, size_t count, bool required = true) const {
    return static_cast<const float*>(find(name, "f32", count * sizeof(float), required));
  }

  Norm norm(const std::string& name, int width, bool required) const {
    Norm norm;
    norm.weight = floats(name, size_t(width), required);
    if (norm && architecture.layerNorm) norm.bias = floats(name + ".bias", size_t(width));
    return norm;
  }

  LinearWeights linear(const std::string& name, int inDim, const std::vector<int>& outDims) const {
    LinearWeights weights{};
    const auto place = places.find(name + ".w");
    if (place == places.end()) foreign("tensor " + name + ".w is missing");
    weights.format = format_of(place->second.format, name + ".w");
    weights.inDim = inDim;
    weights.parts = int(outDims.size());
    int tile = 0, output = 0;
    for (size_t i = 0; i < outDims.size(); i++) {
      weights.part[i] = {outDims[i], tile, output};
      tile += tiles_of(outDims[i]);
      output += outDims[i];
    }
    const size_t scales = size_t(tile) * tile_scales(inDim) * sizeof(uint16_t);
    weights.w = find(name + ".w", place->second.format.c_str(), size_t(tile) * tile_bytes(weights.format, inDim));
    if (is_quantised(weights.format)) weights.d = static_cast<const uint16_t*>(find(name + ".d", "f16", scales));
    if (weights.format == Format::q4) weights.m = static_cast<const uint16_t*>(find(name + ".m", "f16", scales));
    weights.bias = floats(name + ".bias", size_t(output), false);
    weights.inputs = static_cast<const int32_t*>(find(name + ".inputs", "i32", size_t(inDim) * 4, false));
    for (int k = 0; weights.inputs != nullptr && k < inDim; k++)
      if (weights.inputs[k] < 0 || weights.inputs[k] >= inDim) foreign("tensor " + name + ".inputs names an input that is not there");
    return weights;
  }
};

}  // namespace

std::vector<int> part_outputs(const Architecture& a, int block) {
  switch (block) {
    case QKV: return {a.heads * a.headDim, a.kvHeads * a.headDim, a.kvHeads * a.headDim};
    case O:
    case DOWN: return {a.hidden};
    case MLP_IN: return a.gated ? std::vector<int>{a.mlp, a.mlp} : std::vector<int>{a.mlp};
    default: return {a.vocab};
  }
}

int block_inputs(const Architecture& a, int block) {
  if (block == O) return a.heads * a.headDim;
  return block == DOWN ? a.mlp : a.hidden;
}

Weights::Weights(const std::string& path, const TensorPlaces& places, const Architecture& architecture)
    : file_(path) {
  const Reader reader{file_, places, architecture};
  const Architecture& a = architecture;
  const char* names[BLOCKS] = {"qkv", "o", a.gated ? "gate_up" : "up", "down"};
  layers.resize(size_t(a.layers));
  for (int i = 0; i < a.layers; i++) {
    LayerWeights& layer = layers[size_t(i)];
    const std::string prefix = "layers." + std::to_string(i) + ".";
    for (int block = 0; block < BLOCKS; block++)
      layer.blocks[block] = reader.linear(prefix + names[block], block_inputs(a, block), part_outputs(a, block));
    layer.norm[ATTENTION] = reader.norm(prefix + "attn_norm", a.hidden, true);
    layer.norm[MLP] = reader.norm(prefix + "mlp_norm", a.hidden, true);
    layer.postNorm[ATTENTION] = reader.norm(prefix + "attn_post_norm", a.hidden, false);
    layer.postNorm[MLP] = reader.norm(prefix + "mlp_post_norm", a.hidden, false);
    layer.qNorm = reader.norm(prefix + "q_norm", a.headDim, false);
    layer.kNorm = reader.norm(prefix + "k_norm", a.headDim, false);
  }
  head = reader.linear("head", a.hidden, {a.vocab});
  finalNorm = reader.norm("final_norm", a.hidden, true);
  const size_t embedded = size_t(a.vocab) * size_t(a.hidden);
  const auto own = places.find("embed");
  if (own != places.end()) {
    const Format format = format_of(own->second.format, "embed");
    if (is_quantised(format)) foreign("the embedding is quantised");
    const size_t bytes = embedded * (format == Format::f32 ? 4 : 2);
    embedding = {format, reader.find("embed", own->second.format.c_str(), bytes), false};
  } else {
    if (is_quantised(head.format)) foreign("tensor embed is missing");
    embedding = {head.format, head.w, true};
  }
  if (a.learnedPositions) positions = reader.floats("positions", size_t(a.maxContext) * size_t(a.hidden));
}

}  // namespace troupe
