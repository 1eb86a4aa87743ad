"""Images made by hand: blobs and manifests as bytes, by digest."""

import gzip
import hashlib
import io
import json
import random
import subprocess
import tarfile

OCI = "application/vnd.oci.image."
DOCKER = "application/vnd.docker.distribution.manifest."
MANIFEST = OCI + "manifest.v1+json"
INDEX = OCI + "index.v1+json"
CONFIG = OCI + "config.v1+json"
DOCKER_MANIFEST = DOCKER + "v2+json"
DOCKER_INDEX = DOCKER + "list.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
MEBIBYTE = 1 << 20
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def tar_of(files):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            member.mode = 0o644
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def noise(size, seed):
    """Bytes that do not compress, the same each time."""
    return random.Random(seed).randbytes(size)


def compress(tar, how):
    if how == "gzip":
        return gzip.compress(tar, 1, mtime=0)
    if how == "zstd":
        return subprocess.run(["zstd", "-q", "-c"], input=tar, capture_output=True,
                              check=True).stdout
    return tar


class Image:
    """One manifest with its configuration and layers."""

    def __init__(self, layers, how="gzip", architecture="amd64", docker=False, variant=None):
        tars = [tar_of(files) for files in layers]
        suffix = {"gzip": "+gzip", "zstd": "+zstd", "plain": ""}[how]
        layer_type = DOCKER_LAYER if docker else OCI + "layer.v1.tar" + suffix
        self.blobs = {}
        self.layers = []
        for tar in tars:
            blob = compress(tar, how)
            self.blobs[digest(blob)] = blob
            self.layers.append({"mediaType": layer_type, "digest": digest(blob), "size": len(blob)})
        config = {"architecture": architecture, "os": "linux", "config": {},
                  "rootfs": {"type": "layers", "diff_ids": [digest(tar) for tar in tars]}}
        if variant:
            config["variant"] = variant
        config = json.dumps(config).encode()
        self.blobs[digest(config)] = config
        self.platform = {"os": "linux", "architecture": architecture}
        if variant:
            self.platform["variant"] = variant
        self.media_type = DOCKER_MANIFEST if docker else MANIFEST
        self.document = {
            "schemaVersion": 2, "mediaType": self.media_type,
            "config": {"mediaType": DOCKER_CONFIG if docker else CONFIG, "digest": digest(config),
                       "size": len(config)},
            "layers": self.layers}

    @property
    def manifest(self):
        return json.dumps(self.document).encode()

    @property
    def digest(self):
        return digest(self.manifest)


class Index:
    """Several images for several platforms."""

    def __init__(self, images, docker=False):
        self.images = images
        self.media_type = DOCKER_INDEX if docker else INDEX
        self.manifest = json.dumps({
            "schemaVersion": 2, "mediaType": self.media_type,
            "manifests": [{"mediaType": image.media_type, "digest": image.digest,
                           "size": len(image.manifest), "platform": image.platform}
                          for image in images]}).encode()
        self.digest = digest(self.manifest)


def big_image(seed=1, layers=1, size=12 * MEBIBYTE):
    return Image([{f"file{number}": noise(size, seed * 100 + number)} for number in range(layers)],
                 "plain")


def blob_of(image, number=0):
    return image.layers[number]["digest"]
