"""Where what is deployed lies, and copies of it with secrets."""

import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"


def make_secrets(folder: Path) -> None:
    """Fill a folder with secrets, as the documents say."""
    subprocess.run(["sh", DEPLOY / "make-secrets.sh", folder], check=True, capture_output=True)


def kubernetes_folder(folder: Path) -> Path:
    """Return a copy of deploy/kubernetes, with secrets, beside what it refers to."""
    for name in ("kubernetes", "valkey"):
        shutil.copytree(DEPLOY / name, folder / name)
    make_secrets(folder / "kubernetes" / "secrets")
    return folder / "kubernetes"
