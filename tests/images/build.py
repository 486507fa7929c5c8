"""Builds the images of the tests and the demo, each once per content, as archives in the cache.

The Dockerfiles are those of the release, `ARG BASE` names the base image. Python dependencies are unpacked into the
build context beforehand (`site/`), from the hash-locked requirements. Root on Linux builds with buildah, in a mount
namespace and with its storage in the cache folder, so that nothing of it is left on the machine; others with Docker.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from cluster.local import scratch
from toolchain.build import cache_root, ensure

HERE = Path(__file__).parent
REPOSITORY = HERE.parent.parent
SUITE = "bookworm"
PACKAGES = "python3,ca-certificates,libgomp1,libstdc++6"
PYTHON = "3.11"  # of Debian 12, whatever Python this machine has
MACHINE = {"arm64": "aarch64"}.get(platform.machine(), platform.machine())  # macOS has a name of its own for it
_INSIDE = "/run/build"
IGNORED = shutil.ignore_patterns("__pycache__", "tests", ".*cache")


@dataclass(frozen=True)
class Image:
    """One image: its reference in pods, the folders that make its build context, and how long a build takes.

    `prepare` adds to the context what is not in the repository. `base` names the image it is built on.
    """

    reference: str
    context: Path
    seconds: int
    prepare: Callable[[Path], None]
    base: str | None = None

    @property
    def name(self) -> str:
        """The last part of the reference, which also names the archive."""
        return self.reference.rpartition("/")[2].partition(":")[0]


def with_docker() -> bool:
    """Whether images are built by Docker, because buildah and debootstrap need root on Linux."""
    return sys.platform != "linux" or os.geteuid() != 0


def _root_file_system(context: Path) -> None:
    """The base image's files by debootstrap, or for Docker the Dockerfile that starts from Debian's own image."""
    if with_docker():
        (context / "docker.Dockerfile").replace(context / "Dockerfile")
        return
    root = context / "root"
    components = "--components=main"
    _run(["debootstrap", "--variant=minbase", components, f"--include={PACKAGES}", SUITE, root, _debian_mirror()])
    for useless in ("var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/locale", "usr/share/man"):
        shutil.rmtree(root / useless, ignore_errors=True)
    _run(["tar", "--directory", root, "--create", "--file", context / "rootfs.tar", "."])
    shutil.rmtree(root)


def _debian_mirror() -> str:
    """The mirror this machine takes Debian from; its own configuration knows it."""
    sites = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI) $(CODENAME)"], capture_output=True, text=True, check=False
    ).stdout.splitlines()
    found = [line.split()[0] for line in sites if line.split()[1:] == [SUITE]]
    return found[0] if found else ""


def _pause(context: Path) -> None:
    shutil.copy2(ensure(["pause"])["pause"], context / "pause")


def _site(context: Path) -> None:
    """Unpacks the locked wheels for the base image's Python into `site/`."""
    _run(
        [
            *(
                sys.executable,
                "-m",
                "pip",
                "install",
                "--quiet",
                "--no-deps",
                "--no-compile",
                "--target",
                context / "site",
            ),
            *("--only-binary=:all:", "--implementation", "cp", "--python-version", PYTHON),
            *(f"--platform=manylinux_2_{minor}_{MACHINE}" for minor in (35, 34, 31, 28, 27, 24)),
            *(f"--platform={old}_{MACHINE}" for old in ("manylinux2014", "manylinux1")),
            *("--require-hashes", "--requirement", context / "requirements.txt"),
        ]
    )


BASE = Image("llmkube.local/base:test", HERE / "base", 45, _root_file_system)
PAUSE = Image("llmkube.local/pause:test", HERE / "pause", 2, _pause)
DOWNLOADER = Image("llmkube.local/downloader:test", REPOSITORY / "downloader", 10, _site, BASE.reference)
MODEL_SERVER = Image("llmkube.local/model-server:test", HERE / "model-server", 15, _site, BASE.reference)
MLX_SERVER = Image("llmkube.local/mlx-server:test", HERE / "mlx-server", 60, _site, BASE.reference)
NODE_IMAGES = (PAUSE, BASE)
_ALL = {image.reference: image for image in (BASE, PAUSE, DOWNLOADER, MODEL_SERVER, MLX_SERVER)}


def archive(image: Image) -> Path:
    """Where the archive of `image` is, or will be: named by all that goes into it."""
    return cache_root() / "images" / f"{image.name}-{_content_hash(image)}.tar"


def build(images: Iterable[Image]) -> list[Path]:
    """Builds what is missing of `images` and what they rest on; returns their archives."""
    wanted = list(images)
    for image in wanted:
        if not archive(image).exists():
            _build(image)
    return [archive(image) for image in wanted]


def _content_hash(image: Image) -> str:
    digest = hashlib.sha256(repr((image.reference, PACKAGES, SUITE, PYTHON, MACHINE, with_docker())).encode())
    if image.base:
        digest.update(_content_hash(_ALL[image.base]).encode())
    for path in sorted(image.context.rglob("*")):
        relative = path.relative_to(image.context)
        if path.is_file() and not {"tests", "__pycache__"} & set(relative.parts):
            digest.update(relative.as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]


def _build(image: Image) -> None:
    """Builds in a scratch folder that goes with the build; the archive appears by one rename."""
    target = archive(image)
    target.parent.mkdir(parents=True, exist_ok=True)
    bases = build([_ALL[image.base]]) if image.base else []
    print(f"image {image.name}: building, usually {image.seconds} s ...", file=sys.stderr, flush=True)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".build-") as folder:
        context = Path(folder) / "context"
        shutil.copytree(image.context, context, ignore=IGNORED)
        image.prepare(context)
        staged = _docker(image, Path(folder), bases) if with_docker() else _buildah(image, Path(folder), bases)
        for old in target.parent.glob(f"{image.name}-*.tar"):
            old.unlink()  # of another content: nobody asks for it any more
        staged.rename(target)
    size = target.stat().st_size / 2**20
    print(f"image {image.name}: {size:.0f} MiB in {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)


def _buildah(image: Image, scratch_folder: Path, bases: list[Path]) -> Path:
    """Builds and exports in one mount namespace, which ends with what buildah keeps at fixed paths."""
    storage = f"buildah --root {_INSIDE}/storage --runroot {_INSIDE}/run --storage-driver overlay"
    arguments = f"--build-arg BASE={image.base}" if image.base else ""
    target = f"oci-archive:{_INSIDE}/image.tar:{image.reference}"
    steps = [
        *(f"{storage} pull --quiet oci-archive:{_INSIDE}/{base.name}" for base in bases),
        f"{storage} build --isolation chroot --quiet --pull-never {arguments} -t {image.reference} {_INSIDE}/context",
        f"{storage} push --quiet {image.reference} {target}",
    ]
    for base in bases:
        shutil.copy2(base, scratch_folder / base.name)
    script = scratch.script(str(scratch_folder), _INSIDE) + "\n".join(steps)
    _run(["unshare", "--mount", "--propagation", "private", "sh", "-c", script])
    return scratch_folder / "image.tar"


def push(image: Image, registry: str) -> str:
    """Copies a built image to a user's registry, with the credentials that Docker or buildah find; its name there."""
    target = f"{registry}/{image.reference.rpartition('/')[2]}"
    if with_docker():
        _run(["docker", "load", "--quiet", "--input", archive(image)])
        _run(["docker", "tag", image.reference, target])
        _run(["docker", "push", "--quiet", target])
        return target
    with tempfile.TemporaryDirectory(dir=archive(image).parent, prefix=".push-") as folder:
        shutil.copy2(archive(image), Path(folder) / "image.tar")
        storage = f"buildah --root {_INSIDE}/storage --runroot {_INSIDE}/run --storage-driver overlay"
        steps = [
            f"{storage} pull --quiet oci-archive:{_INSIDE}/image.tar",
            f"{storage} push --quiet {image.reference} docker://{target}",
        ]
        script = scratch.script(folder, _INSIDE) + "\n".join(steps)
        _run(["unshare", "--mount", "--propagation", "private", "sh", "-c", script])
    return target


def _docker(image: Image, scratch_folder: Path, bases: list[Path]) -> Path:
    """Builds with Docker's own storage, and exports."""
    for base in bases:
        _run(["docker", "load", "--quiet", "--input", base])
    arguments = ["--build-arg", f"BASE={image.base}"] if image.base else []
    _run(["docker", "build", "--quiet", *arguments, "--tag", image.reference, scratch_folder / "context"])
    _run(["docker", "save", "--output", scratch_folder / "image.tar", image.reference])
    return scratch_folder / "image.tar"


def _run(command: list[str | Path]) -> None:
    done = subprocess.run(
        [part for part in map(str, command) if part], capture_output=True, text=True, check=False, env=os.environ
    )
    if done.returncode:
        message = f"{command[0]} failed with exit {done.returncode}: {(done.stderr or done.stdout).strip()[-2000:]}"
        raise RuntimeError(message)
