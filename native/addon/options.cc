#include "options.h"

namespace troupe::js {

namespace {

constexpr int MOST = 1 << 24;

Rope read_rope(const Value& rope) {
  const auto inverse = rope.at("inverseFrequencies").array<double>();
  return {std::vector<double>(inverse.data, inverse.data + inverse.count), rope.at("attentionFactor").number()};
}

std::vector<int32_t> read_integers(const Value& value, int count) {
  const auto array = value.array<int32_t>();
  if (array.count != size_t(count)) throw Error("bad_argument", std::string(value.name) + " must have a value for each layer");
  return std::vector<int32_t>(array.data, array.data + array.count);
}

Architecture read_architecture(const Value& from) {
  const auto size = [&](const char* name) { return from.at(name).integer(1, MOST); };
  const auto factor = [&](const char* name) { return float(from.at(name).number()); };
  Architecture a{};
  a.hidden = size("hidden");
  a.layers = size("layers");
  a.heads = size("heads");
  a.kvHeads = size("kvHeads");
  a.headDim = size("headDim");
  a.mlp = size("mlp");
  a.vocab = size("vocab");
  a.maxContext = size("maxContext");
  a.layerNorm = from.at("layerNorm").boolean();
  a.epsilon = factor("epsilon");
  a.parallel = from.at("parallel").boolean();
  a.residualScale = factor("residualScale");
  a.gated = from.at("gated").boolean();
  a.activation = Activation(from.at("activation").integer(0, int(Activation::laplace)));
  a.attentionScale = factor("attentionScale");
  a.attentionSoftcap = factor("attentionSoftcap");
  a.windows = read_integers(from.at("windows"), a.layers);
  a.ropeOfLayer = read_integers(from.at("ropeOfLayer"), a.layers);
  const Value ropes = from.at("ropes"), longRope = from.at("longRope");
  for (uint32_t i = 0; i < ropes.length(); i++) a.ropes.push_back(read_rope(ropes.at(i)));
  if (!longRope.missing()) a.longRope.push_back(read_rope(longRope));
  a.learnedPositions = from.at("learnedPositions").boolean();
  a.embedScale = factor("embedScale");
  a.logitScale = factor("logitScale");
  a.logitSoftcap = factor("logitSoftcap");
  if (a.heads % a.kvHeads != 0)
    throw Error("bad_argument", std::to_string(a.heads) + " heads cannot share " + std::to_string(a.kvHeads) + " heads of keys");
  for (const Rope& rope : a.ropes) {
    if (2 * rope.inverse.size() > size_t(a.headDim)) throw Error("bad_argument", "more dimensions are rotated than a head has");
    for (const Rope& other : a.longRope)
      if (other.inverse.size() != rope.inverse.size()) throw Error("bad_argument", "a long rope must rotate what the short one does");
  }
  for (int layer = 0; layer < a.layers; layer++) {
    const int32_t rope = a.ropeOfLayer[size_t(layer)];
    if (rope < -1 || rope >= int64_t(a.ropes.size())) throw Error("bad_argument", "a layer names a rotation that is not there");
    if (a.windows[size_t(layer)] < 0) throw Error("bad_argument", "a window must not be below 0");
  }
  return a;
}

TensorPlaces read_places(const Value& tensors) {
  TensorPlaces places;
  const uint32_t count = tensors.length();
  for (uint32_t i = 0; i < count; i++) {
    const Value tensor = tensors.at(i);
    const double offset = tensor.at("offset").number(), bytes = tensor.at("bytes").number();
    constexpr double LARGEST = 9007199254740991.0;
    if (!(offset >= 0 && offset <= LARGEST && bytes >= 0 && bytes <= LARGEST))
      throw Error("bad_argument", "a tensor lies at no place of a file");
    places[tensor.at("name").text()] = {tensor.at("format").text(), size_t(offset), size_t(bytes)};
  }
  return places;
}

Floats read_floats(const Value& value) {
  if (value.missing()) return {};
  const auto array = value.array<float>();
  // An empty array is not an absent one.
  static const float none = 0;
  return {array.count == 0 ? &none : array.data, array.count};
}

}  // namespace

ModelOptions read_options(const Value& from) {
  ModelOptions options;
  options.ortLibrary = from.at("ortLibrary").text();
  options.weights = from.at("weights").text();
  const auto graph = from.at("graph").array<uint8_t>();
  options.graph = graph.data;
  options.graphBytes = graph.count;
  options.architecture = read_architecture(from.at("architecture"));
  options.tensors = read_places(from.at("tensors"));
  options.kvFormat = KvFormat(from.at("kvFormat").integer(0, int(KvFormat::int8)));
  options.kvPages = from.at("kvPages").integer(1);
  options.adapterFormat = Format(from.at("adapterFormat").integer(0, int(Format::bf16)));
  options.session.threads = from.at("threads").integer(1, 1024);
  options.session.spinning = from.at("spinning").boolean();
  return options;
}

AdapterSource read_adapter(const Value& from) {
  AdapterSource source;
  const Value branches = from.at("branches"), gains = from.at("gains");
  const uint32_t branchCount = branches.length(), gainCount = gains.length();
  for (uint32_t i = 0; i < branchCount; i++) {
    const Value branch = branches.at(i);
    source.branches.push_back({branch.at("layer").integer(), branch.at("site").integer(), branch.at("rank").integer(),
                               branch.at("activation").integer(), float(branch.at("scale").number()), read_floats(branch.at("down")),
                               read_floats(branch.at("up")), read_floats(branch.at("a")), read_floats(branch.at("c"))});
  }
  for (uint32_t i = 0; i < gainCount; i++) {
    const Value gain = gains.at(i);
    source.gains.push_back({gain.at("layer").integer(), gain.at("site").integer(), gain.at("out").boolean(), read_floats(gain.at("values"))});
  }
  const Value embeddings = from.at("embeddings"), prefix = from.at("prefix"), tokens = from.at("tokens");
  if (!embeddings.missing()) {
    source.virtualCount = embeddings.at("count").integer(1, MOST);
    source.virtualEmbeddings = read_floats(embeddings.at("values"));
  }
  if (!prefix.missing()) {
    source.prefixCount = prefix.at("count").integer(1, MOST);
    const Value layers = prefix.at("layers");
    const uint32_t count = layers.length();
    for (uint32_t i = 0; i < count; i++)
      source.prefix.push_back({read_floats(layers.at(i).at("keys")), read_floats(layers.at(i).at("values"))});
  }
  if (!tokens.missing()) {
    const auto ids = tokens.at("ids").array<int32_t>();
    source.tokenIds.assign(ids.data, ids.data + ids.count);
    source.tokenEmbed = read_floats(tokens.at("embed"));
    source.tokenHead = read_floats(tokens.at("head"));
  }
  return source;
}

}  // namespace troupe::js
