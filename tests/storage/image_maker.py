"""Makes images for the tests, honest and hostile ones, and looks at what became of them."""

import gzip
import hashlib
import io
import json
import os
import stat
import subprocess
import tarfile

ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def tar_of(*members):
    """`members`: (name, content) or (name, content, changes of the TarInfo)."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, content, *changes in members:
            info = tarfile.TarInfo(name)
            info.mtime = 1_000_000_000
            info.mode = 0o644
            if content is None:
                info.type, info.mode = tarfile.DIRTYPE, 0o755
            else:
                info.size = len(content)
            for key, value in (changes[0] if changes else {}).items():
                setattr(info, key, value)
            tar.addfile(info, io.BytesIO(content or b"") if info.isreg() else None)
    return out.getvalue()


def compressed(data, how):
    if how == "gzip":
        return gzip.compress(data, 6, mtime=0)
    if how == "zstd":
        return subprocess.run(["zstd", "-qc"], input=data, stdout=subprocess.PIPE,
                              check=True).stdout
    return data


class Image:
    """One image out of layers as tars; its documents may be changed before it is written."""

    def __init__(self, *layers, compression="", labels=None, created="2024-05-01T10:00:00Z",
                 history=None, **config):
        self.tars = layers
        self.blobs = [compressed(layer, compression) for layer in layers]
        suffix = {"": "", "gzip": "+gzip", "zstd": "+zstd"}[compression]
        self.config = {
            "architecture": ARCHITECTURE, "os": "linux", "created": created,
            "config": {"Cmd": ["sh"], "Env": ["PATH=/bin"], "Labels": labels or {}, **config},
            "rootfs": {"type": "layers", "diff_ids": ["sha256:" + sha256(t) for t in layers]},
            "history": history if history is not None else
                       [{"created": created, "created_by": f"layer {i}"}
                        for i in range(len(layers))]}
        self.layer_type = "application/vnd.oci.image.layer.v1.tar" + suffix

    def config_bytes(self):
        return json.dumps(self.config).encode()

    @property
    def id(self):
        return sha256(self.config_bytes())

    def manifest_bytes(self):
        return json.dumps({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": descriptor("application/vnd.oci.image.config.v1+json", self.config_bytes()),
            "layers": [descriptor(self.layer_type, blob) for blob in self.blobs]}).encode()

    # --- as archives -----------------------------------------------------------------------------

    def layout_members(self, *names):
        """Of one OCI layout; without a name the image is listed without one."""
        manifest = self.manifest_bytes()
        listed = []
        for name in names or (None,):
            entry = descriptor("application/vnd.oci.image.manifest.v1+json", manifest)
            if name:
                entry["annotations"] = {"org.opencontainers.image.ref.name": name}
            listed.append(entry)
        index = {"schemaVersion": 2, "manifests": listed}
        members = [("oci-layout", b'{"imageLayoutVersion":"1.0.0"}'),
                   ("index.json", json.dumps(index).encode())]
        for blob in (self.config_bytes(), manifest, *self.blobs):
            member = ("blobs/sha256/" + sha256(blob), blob)
            if member not in members:
                members.append(member)
        return members

    def docker_members(self, *names):
        manifest = [{"Config": self.id + ".json", "RepoTags": list(names),
                     "Layers": [f"{sha256(tar)}/layer.tar" for tar in self.tars]}]
        members = [(self.id + ".json", self.config_bytes()),
                   ("manifest.json", json.dumps(manifest).encode())]
        for tar, blob in zip(self.tars, self.blobs):
            member = (f"{sha256(tar)}/layer.tar", blob)
            if member not in members:
                members.append(member)
        return members

    def write_layout(self, directory, *names):
        for name, content in self.layout_members(*names):
            path = directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return directory

    def write_oci_archive(self, path, *names):
        path.write_bytes(tar_of(*self.layout_members(*names)))
        return path

    def write_docker_archive(self, path, *names):
        path.write_bytes(tar_of(*self.docker_members(*names)))
        return path


def descriptor(media_type, blob):
    return {"mediaType": media_type, "digest": "sha256:" + sha256(blob), "size": len(blob)}


def small_image(content=b"x", **more):
    """One layer that runs nothing."""
    return Image(tar_of(("etc", None), ("etc/content", content)), **more)


# --- trees -----------------------------------------------------------------------------------------


def tree_of(root):
    """Everything about each file beneath `root`: path -> facts, to the last extended attribute."""
    root = os.fsencode(root)
    found, first_names = {}, {}

    def look(path, name):
        status = os.lstat(path)
        facts = {"type": stat.S_IFMT(status.st_mode), "mode": stat.S_IMODE(status.st_mode),
                 "uid": status.st_uid, "gid": status.st_gid}
        if name != b".":
            facts["mtime"] = int(status.st_mtime)
        facts["xattrs"] = {key: os.getxattr(path, key, follow_symlinks=False)
                           for key in sorted(os.listxattr(path, follow_symlinks=False))
                           if not key.startswith(("trusted.overlay.", "user.overlay.",
                                                  "security.selinux"))}
        if stat.S_ISLNK(status.st_mode):
            facts["target"] = os.readlink(path)
        if stat.S_ISREG(status.st_mode):
            with open(path, "rb") as file:
                facts["content"] = sha256(file.read())
            if status.st_nlink > 1:
                facts["same as"] = first_names.setdefault(status.st_ino, name)
        found[name] = facts
        if stat.S_ISDIR(status.st_mode):
            for entry in sorted(os.listdir(path)):
                look(path + b"/" + entry, entry if name == b"." else name + b"/" + entry)

    look(root, b".")
    # The image says nothing of its root; a name whose other names have gone is one by itself.
    del found[b"."]
    shared = [facts["same as"] for facts in found.values() if "same as" in facts]
    for facts in found.values():
        if shared.count(facts.get("same as")) == 1:
            del facts["same as"]
    return found


def differences(left, right):
    """In words, at most five."""
    texts = []
    for name in sorted(set(left) | set(right)):
        if name not in left or name not in right:
            texts.append(f"{name!r} only on the {'right' if name in right else 'left'}")
        elif left[name] != right[name]:
            keys = [key for key in left[name] if left[name].get(key) != right[name].get(key)]
            keys += [key for key in right[name] if key not in left[name]]
            texts.append(f"{name!r}: " + ", ".join(
                f"{key} {left[name].get(key)!r} / {right[name].get(key)!r}" for key in keys))
    return texts[:5]
