/** What ONNX Runtime must be told (`extra.session`) of every graph over weights in a folder. */
export function sessionEntries(dir: string): Readonly<Record<string, string>> {
  return {
    model_external_initializers_file_folder_path: dir,
    // x64 without VNNI adds two products of bytes in 16 bits, which cannot hold the largest. This makes such processors use exact sums.
    x64quantprecision: '1',
  }
}
