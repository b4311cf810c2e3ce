#!/bin/sh
# Serves on 127.0.0.1:5000 with conf/yantian.yaml and storage in ./var, and says how to use it.
#   conf/run.sh [BINARY]        what `make run` does after the build
set -eu

cd "$(dirname "$0")/.."
binary=${1:-build/yantian}
config=var/yantian.yaml

mkdir -p var
{
    echo "# Made by conf/run.sh from conf/yantian.yaml; written anew at each run."
    sed -e 's|address: 0\.0\.0\.0:5000|address: 127.0.0.1:5000|' \
        -e "s|path: /var/lib/yantian|path: $PWD/var/storage|" conf/yantian.yaml
} >"$config"
grep -q '127\.0\.0\.1:5000' "$config" && grep -q "$PWD/var/storage" "$config" || {
    echo "conf/run.sh: conf/yantian.yaml does not have the lines that this script changes" >&2
    exit 1
}
"$binary" check-config -c "$config"

cat <<'EOF'
Clients use http://127.0.0.1:5000; health and metrics are at http://127.0.0.1:5001. Ctrl-C stops.

Docker: in /etc/docker/daemon.json, then `systemctl restart docker`
    { "registry-mirrors": ["http://127.0.0.1:5000"] }

containerd: in /etc/containerd/certs.d/docker.io/hosts.toml (a folder for each registry)
    server = "https://registry-1.docker.io"
    [host."http://127.0.0.1:5000"]
      capabilities = ["pull", "resolve"]

podman, skopeo, CRI-O: in /etc/containers/registries.conf.d/yantian.conf
    [[registry]]
    location = "docker.io"
    [[registry.mirror]]
    location = "127.0.0.1:5000/docker.io"
    insecure = true

pip: in ~/.config/pip/pip.conf
    [global]
    index-url = http://127.0.0.1:5000/pypi/simple/

uv:
    export UV_DEFAULT_INDEX=http://127.0.0.1:5000/pypi/simple/

npm, pnpm, yarn 1: in ~/.npmrc
    registry=http://127.0.0.1:5000/npm/

yarn berry: in ~/.yarnrc.yml
    npmRegistryServer: "http://127.0.0.1:5000/npm"
    unsafeHttpWhitelist: ["127.0.0.1"]

EOF
exec "$binary" serve -c "$config"
