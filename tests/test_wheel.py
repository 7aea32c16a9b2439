"""What a user installs: the wheel and sdist, their contents and metadata, and the wheel in an empty environment."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

import moldau
from tests.support import tools
from tests.support.process import clean_environment

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LINES = 500

pytestmark = pytest.mark.slow


def run(command: list[str], cwd: Path = ROOT) -> str:
    """Standard output of a command that must succeed."""
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=300, check=False, cwd=cwd, env=clean_environment()
    )
    assert done.returncode == 0, f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the sdist; the wheel is built from the sdist, as an index would have it."""
    folder = tmp_path_factory.mktemp("dist")
    run([sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)])
    return folder


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    (found,) = built.glob("moldau-*.whl")
    return found


def test_the_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "moldau").rglob("*.py")}
    info = f"moldau-{moldau.__version__}.dist-info/"
    assert modules | {"moldau/py.typed"} <= set(names)
    assert {name for name in names if not name.startswith(("moldau/", info))} == set()
    assert f"{info}licenses/LICENSE" in names


def test_the_metadata_says_what_the_project_says(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        metadata = Parser().parsestr(archive.read(name).decode())
        (entry_points,) = [name for name in archive.namelist() if name.endswith("entry_points.txt")]
        scripts = archive.read(entry_points).decode()
    assert (metadata["Name"], metadata["Version"]) == ("moldau", moldau.__version__)
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Requires-Python"] == PROJECT["requires-python"]
    assert set(metadata.get_all("Provides-Extra") or []) == set(PROJECT["optional-dependencies"])
    base = [line for line in metadata.get_all("Requires-Dist") or [] if "extra ==" not in line]
    assert len(base) == len(PROJECT["dependencies"])
    assert "moldau = moldau.cli.main:main" in scripts
    assert (metadata.get_payload() or "") != ""


def test_the_sdist_can_be_built_from(built: Path) -> None:
    (sdist,) = built.glob("moldau-*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "moldau/__init__.py"} <= names
    assert [name for name in names if name.startswith((".venv", "tests", "bench"))] == []


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of an environment that holds the wheel and what it asks for, and nothing else."""
    folder = tmp_path_factory.mktemp("empty")
    try:
        venv.create(folder, with_pip=True)
    except subprocess.CalledProcessError:
        venv.create(folder, with_pip=False, clear=True)
    python = str(folder / "bin" / "python")
    # Without ensurepip, this environment's pip installs into the other one.
    own_pip = (folder / "bin" / "pip").exists()
    pip = [python, "-m", "pip"] if own_pip else [sys.executable, "-m", "pip", "--python", python]
    recorded = str(ROOT / "requirements" / "dev.txt")
    command = [*pip, "install", "-q", "--disable-pip-version-check", "-c", recorded, str(wheel)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode != 0 and "No matching distribution" in done.stderr:
        tools.unavailable("a package index")
    assert done.returncode == 0, done.stderr
    return folder / "bin"


def test_an_installed_wheel_says_its_version(installed: Path) -> None:
    assert moldau.__version__ in run([str(installed / "moldau"), "version"], cwd=installed)


def test_importing_the_core_imports_no_client_and_nothing_heavy(installed: Path) -> None:
    heavy = ["confluent_kafka", "cryptography", "sqlalchemy", "opentelemetry", "starlette", "http", "rich", "click"]
    code = (
        f"import sys, moldau.core, moldau.core.server.broker; print([name for name in {heavy} if name in sys.modules])"
    )
    assert run([str(installed / "python"), "-c", code], cwd=installed).strip() == "[]"


def test_an_installed_wheel_carries_a_log_file_through_the_broker(installed: Path, tmp_path: Path) -> None:
    source = tmp_path / "app.log"
    source.write_text("".join(f"2026-11-24T12:00:{n % 60:02d}Z INFO line {n}\n" for n in range(LINES)))
    command = [str(installed / "moldau"), "quickstart", "--once", "--data-dir", str(tmp_path / "data")]
    summary = json.loads(run([*command, "--output", "json", str(source)], cwd=tmp_path))
    assert (summary["lines_read"], summary["lines_counted"]) == (LINES, LINES)
    assert summary["topic"]
