#!/usr/bin/env bash
# Gets a data set: Fashion-MNIST from Debian's package where there is apt, else its public copy; MNIST from its public
# copy. Nothing is fetched that is there already. Exits 1 with one sentence when a set cannot be got.
#
#   scripts/fetch_data.sh                 Fashion-MNIST
#   scripts/fetch_data.sh mnist           MNIST
#
# Downloads go to $FISHERDIAG_DATA/SET if that is set, else to data/SET; see data/README.md.
set -euo pipefail
cd "$(dirname "$0")/.."

package_folder=/usr/share/datasets/fashion-mnist
files=(train-images-idx3-ubyte train-labels-idx1-ubyte t10k-images-idx3-ubyte t10k-labels-idx1-ubyte)

# shellcheck disable=SC2034  # the four arrays below are used by name
{
# Published MD5 sums of the .gz files, in the order of `files`.
fashion_sums=(8d4fb7e6c68d591d4c3dfef9ec88bf0d 25c81989df183df01b3e8a0aad5dffbe
              bef4ecab320f06d8554ea6380940ec79 bb300cfdad3c16e7a12a480ee83cd310)
mnist_sums=(f68b3c2dcbeaaa9fbdd348bbdeb94873 d53e105ee54ea40749a09fcbcd1e9432
            9fb629c4189551a2d022fa330f9573f3 ec29112dd5afa0611ce80d1b7f02629c)
fashion_urls=(http://fashion-mnist.s3-website.eu-central-1.amazonaws.com
              https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion)
mnist_urls=(https://ossci-datasets.s3.amazonaws.com/mnist https://storage.googleapis.com/cvdf-datasets/mnist)
}

complete() {  # FOLDER: true if all four files are in it, plain or compressed
  local file
  for file in "${files[@]}"; do
    [[ -s "$1/$file" || -s "$1/$file.gz" ]] || return 1
  done
}

install_package() {
  command -v apt-get >/dev/null || return 1
  local as_root=()
  if [[ $(id -u) -ne 0 ]]; then
    command -v sudo >/dev/null || return 1
    as_root=(sudo)
    [[ -t 0 ]] || as_root=(sudo -n)
  fi
  local install=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends
                 dataset-fashion-mnist)
  echo "installing the package dataset-fashion-mnist" >&2
  "${install[@]}" >/dev/null 2>&1 && return
  "${as_root[@]}" apt-get update >/dev/null 2>&1 && "${install[@]}" >/dev/null 2>&1
}

fetch_url() {  # URL FILE
  if command -v curl >/dev/null; then
    curl --fail --silent --location --connect-timeout 10 --max-time 600 --output "$2" "$1"
  elif command -v wget >/dev/null; then
    wget --quiet --timeout=10 --tries=2 --output-document="$2" "$1"
  else
    return 1
  fi
}

fetch_file() {  # FILE SUM FOLDER URL...: tries the URLs until one gives the file with that sum
  local name=$1.gz sum=$2 target=$3 url
  shift 3
  for url in "$@"; do
    if fetch_url "$url/$name" "$target/$name.part" && echo "$sum  $target/$name.part" | md5sum --check --status; then
      mv "$target/$name.part" "$target/$name"
      return
    fi
  done
  rm -f "$target/$name.part"
  return 1
}

download() {  # FOLDER SUMS-ARRAY URLS-ARRAY
  local -n sums=$2 urls=$3
  local i
  mkdir -p "$1"
  for i in "${!files[@]}"; do
    [[ -s "$1/${files[i]}" || -s "$1/${files[i]}.gz" ]] && continue
    echo "downloading ${files[i]}.gz" >&2
    fetch_file "${files[i]}" "${sums[i]}" "$1" "${urls[@]}" || return 1
  done
}

set_name=${1:-fashion-mnist}
folder=${FISHERDIAG_DATA:-data}/$set_name
case $set_name in
  fashion-mnist)
    if complete "$package_folder"; then folder=$package_folder
    elif complete "$folder"; then :
    elif install_package && complete "$package_folder"; then folder=$package_folder
    else download "$folder" fashion_sums fashion_urls || failed=1
    fi ;;
  mnist) complete "$folder" || download "$folder" mnist_sums mnist_urls || failed=1 ;;
  *)
    echo "usage: scripts/fetch_data.sh [fashion-mnist|mnist]" >&2
    exit 2 ;;
esac

if [[ -n ${failed:-} ]]; then
  echo "$set_name cannot be reached from here: place ${files[*]/%/.gz} in $folder" >&2
  exit 1
fi
echo "$set_name is in $folder"
