"""Settings from flags, variables and files: who wins, what stops the start, what only warns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from moldau.core.base.errors import ConfigError
from moldau.core.base.options import Option
from moldau.core.server.settings import Given, Settings, key_of_variable, load

OPTIONS = {
    row.key: row
    for row in (
        Option("log.dirs", "", tuple, (), ""),
        Option("node.id", "", int, 1, "", at_least=0),
        Option("num.partitions", "", int, 1, "", at_least=1),
        Option("log.retention.ms", "", int, 1, "", at_least=-1),
        Option("auto.create.topics.enable", "", bool, True, ""),
        Option("moldau.durability", "", str, "synced", "", choices=("synced", "page-cache")),
        Option("compression.type", "", str, "producer", "", acted_on=False),
    )
}


def loaded(
    flags: Mapping[str, str] | None = None,
    environment: Mapping[str, str] | None = None,
    files: Sequence[str] = (),
    mode: Mapping[str, str] | None = None,
) -> Settings:
    given = {key: Given(text, "-X") for key, text in (flags or {}).items()}
    return load(OPTIONS, flags=given, environment=environment or {}, files=files, mode=mode or {})


def test_flags_over_variables_over_files_over_mode(tmp_path: Path) -> None:
    first, second = tmp_path / "a.properties", tmp_path / "b.toml"
    first.write_text("num.partitions=2\nnode.id=2\nlog.dirs=/file\n")
    second.write_text('num.partitions = 3\nnode.id = 3\n"log.retention.ms" = 9\n')
    files = [str(first), str(second)]
    mode = {"num.partitions": "1", "moldau.durability": "page-cache"}
    environment = {"KAFKA_NODE_ID": "4", "KAFKA_LOG_DIRS": "/kafka", "MOLDAU_LOG_DIRS": "/moldau"}
    values = loaded({"node.id": "5"}, environment, files, mode).values
    assert values == {
        "num.partitions": "3",
        "node.id": "5",
        "log.dirs": "/moldau",
        "log.retention.ms": "9",
        "moldau.durability": "page-cache",
    }


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("KAFKA_ADVERTISED_LISTENERS", "advertised.listeners"),
        ("KAFKA_ABC__DEF", "abc_def"),
        ("KAFKA_ABC___DEF", "abc-def"),
        ("KAFKA_A_B__C___D", "a.b_c-d"),
    ],
)
def test_variable_names_follow_kafkas_image(name: str, key: str) -> None:
    assert key_of_variable(name, "KAFKA_") == key


def test_our_variables_may_drop_our_prefix() -> None:
    assert loaded(environment={"MOLDAU_DURABILITY": "page-cache"}).values == {"moldau.durability": "page-cache"}
    assert loaded(environment={"MOLDAU_MOLDAU_DURABILITY": "synced"}).values == {"moldau.durability": "synced"}
    assert loaded(environment={"MOLDAU_BOOTSTRAP": "a:1", "MOLDAU_DATA_DIR": "/x", "PATH": "/"}) == Settings({})


def test_unknown_keys_stop_and_name_their_source(tmp_path: Path) -> None:
    file = tmp_path / "server.properties"
    file.write_text("num.partitons=2\n")
    with pytest.raises(ConfigError, match=r"server.properties: unknown setting num.partitons .*num.partitions\?"):
        loaded(files=[str(file)])
    with pytest.raises(ConfigError, match=r"variable MOLDAU_NO_SUCH: unknown setting no.such"):
        loaded(environment={"MOLDAU_NO_SUCH": "1"})
    with pytest.raises(ConfigError, match=r"-X: unknown setting what.ever"):
        loaded({"what.ever": "1"})


def test_impossible_values_stop_and_name_their_source() -> None:
    with pytest.raises(ConfigError, match=r"-X: Invalid value 0 for configuration num.partitions"):
        loaded({"num.partitions": "0"})
    with pytest.raises(ConfigError, match=r"variable KAFKA_NODE_ID: Invalid value one"):
        loaded(environment={"KAFKA_NODE_ID": "one"})


def test_keys_of_kafkas_that_do_nothing_here_warn() -> None:
    settings = loaded(
        {
            "num.network.threads": "3",
            "zookeeper.connect": "z:2181",
            "listener.name.internal.scram-sha-256.sasl.jaas.config": "x",
        }
    )
    assert settings.values == {}
    assert len(settings.warnings) == 3
    assert all("does not act on" in warning for warning in settings.warnings)
    accepted = loaded({"compression.type": "zstd"})
    assert accepted.values == {"compression.type": "zstd"}
    assert accepted.warnings == ["-X: compression.type is accepted, but Moldau does not act on it yet"]


def test_variables_of_the_image_and_unknown_ones() -> None:
    settings = loaded(environment={"KAFKA_HEAP_OPTS": "-Xmx1G", "KAFKA_SERVICE_HOST": "10.0.0.1"})
    assert settings.values == {}
    assert settings.warnings == [
        "variable KAFKA_SERVICE_HOST ignored: neither Kafka nor Moldau has a setting service.host"
    ]


def test_other_spellings() -> None:
    assert loaded({"log.dir": "/a", "broker.id": "7"}).values == {"log.dirs": "/a", "node.id": "7"}
    assert loaded({"log.dir": "/flag"}, {"KAFKA_LOG_DIRS": "/variable"}).values == {"log.dirs": "/flag"}


def test_toml_tables_lists_and_booleans(tmp_path: Path) -> None:
    file = tmp_path / "moldau.toml"
    file.write_text('log.dirs = ["/a", "/b"]\n[auto.create]\ntopics.enable = false\n[moldau]\ndurability = "synced"\n')
    assert loaded(files=[str(file)]).values == {
        "log.dirs": "/a,/b",
        "auto.create.topics.enable": "false",
        "moldau.durability": "synced",
    }


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("a.toml", b"x = ", "a.toml"),
        ("a.toml", b"log.dirs = 2026-01-01", "neither text, number"),
        ("a.properties", b"\xff\xfe", "not UTF-8"),
        ("a.properties", b"a=\\uzz", "broken escape"),
    ],
)
def test_broken_files_are_config_errors(tmp_path: Path, name: str, content: bytes, problem: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigError, match=problem):
        loaded(files=[str(tmp_path / name)])


def test_a_missing_file_is_a_config_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        loaded(files=[str(tmp_path / "absent")])
