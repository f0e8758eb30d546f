#!/bin/sh
# Compiles native/src/checksum.c to WebAssembly and writes it, as base64, to src/protocol/checksum-wasm.ts.
# Needed only when the C source changes; the result is committed. Needs clang with wasm32 and wasm-ld (LLVM 16 or newer).
set -eu
cd "$(dirname "$0")/.."
CLANG=${CLANG:-$(command -v clang-16 || command -v clang)}
LD=${WASM_LD:-$(command -v wasm-ld-16 || command -v wasm-ld)}
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
for f in checksum checksum-wasm; do
  "$CLANG" --target=wasm32 -O3 -std=c11 -Wall -Wextra -ffreestanding -nostdlib -mbulk-memory -msimd128 -c "native/src/$f.c" -o "$out/$f.o"
done
"$LD" --no-entry --strip-all --stack-first -z stack-size=16384 -o "$out/checksum.wasm" "$out/checksum.o" "$out/checksum-wasm.o"
{
  echo '// Made by scripts/build-wasm.sh from native/src/checksum.c and checksum-wasm.c; do not edit.'
  echo '// WebAssembly with SIMD, base64: frame and batch checksums where the native addon is not.'
  echo 'export const checksumWasm ='
  base64 -w 110 "$out/checksum.wasm" | sed "s/^/  '/; s/\$/' +/; \$ s/ +\$//"
} > src/protocol/checksum-wasm.ts
wc -c < "$out/checksum.wasm"
