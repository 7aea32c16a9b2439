"""`moldau topic`: list, create, describe and delete topics. The asking is `moldau.client.admin`'s."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import click

from moldau.cli.options import KEY_VALUE, client_overrides, connection_options, output_option
from moldau.cli.output import confirm, emit_object, emit_rows, message, table
from moldau.client.admin import Cluster, Config, Topic
from moldau.client.config import Connection
from moldau.client.errors import NotFound

_TOPIC_ALREADY_EXISTS = 36


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def topic() -> None:
    """List, create, describe and delete topics."""


@topic.command("list")
@click.option("--internal", is_flag=True, help="Show Kafka's own topics as well.")
@client_overrides
@connection_options
@output_option
def list_topics(connection: Connection, output: str, internal: bool) -> None:
    """List the topics."""
    rows = [_listed(item) for item in Cluster(connection).topics() if internal or not item.internal]
    emit_rows(output, ("name", "partitions", "replication_factor"), rows)


@topic.command()
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@click.option("-p", "--partitions", type=click.IntRange(min=1), help="How many partitions; else the broker's default.")
@click.option(
    "-r", "--replication-factor", type=click.IntRange(min=1), help="How many replicas; else the broker's default."
)
@click.option(
    "-X", "configs", type=KEY_VALUE, multiple=True, metavar="KEY=VALUE", help="A config of the topic; may be repeated."
)
@click.option("--if-not-exists", is_flag=True, help="An existing topic is fine (and left as it is).")
@click.option("--dry-run", is_flag=True, help="Let the broker check everything and create nothing.")
@connection_options
@output_option
def create(
    connection: Connection,
    output: str,
    names: tuple[str, ...],
    partitions: int | None,
    replication_factor: int | None,
    configs: tuple[tuple[str, str], ...],
    **flags: bool,
) -> None:
    """Create topics."""
    cluster = Cluster(connection)
    dry_run = flags["dry_run"]
    for name in names:
        try:
            cluster.create_topic(name, partitions or -1, replication_factor or -1, dict(configs), validate_only=dry_run)
        except Exception as error:
            if not (flags["if_not_exists"] and _already_there(error)):
                raise
    if dry_run:
        message(f"the broker would create {', '.join(names)}")
        return
    rows = [_listed(item) for item in cluster.topics(names)]
    emit_rows(output, ("name", "partitions", "replication_factor", "id"), rows)


@topic.command()
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@click.option("--all-configs", is_flag=True, help="Show defaults too, not only what was set.")
@client_overrides
@connection_options
@output_option
def describe(connection: Connection, output: str, names: tuple[str, ...], all_configs: bool) -> None:
    """Show partitions, offsets and configs."""
    cluster = Cluster(connection)
    described = []
    for item in cluster.topics(names):
        configs = [config for config in cluster.topic_configs(item.name) if all_configs or config.own]
        described.append(_described(cluster, item, configs))
    if output == "table":
        for page in described:
            emit_object(output, page, partial(_pages, page))
    elif len(described) == 1:
        emit_object(output, described[0], list)
    else:
        emit_rows(output, ("name",), described)


@topic.command()
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.option("--if-exists", is_flag=True, help="A missing topic is fine.")
@click.option("--dry-run", is_flag=True, help="Say what would be deleted and delete nothing.")
@client_overrides
@connection_options
@output_option
def delete(connection: Connection, output: str, names: tuple[str, ...], **flags: bool) -> None:
    """Delete topics and all their records."""
    cluster = Cluster(connection)
    there = []
    for name in names:
        try:
            there += cluster.topics([name])
        except NotFound:
            if not flags["if_exists"]:
                raise
    rows = [_listed(item) for item in there]
    if flags["dry_run"]:
        message(f"would delete {', '.join(item.name for item in there) or 'nothing'}")
    elif there:
        confirm(f"Delete {', '.join(item.name for item in there)} and all records?", yes=flags["yes"])
        for item in there:
            cluster.delete_topic(item.name)
    emit_rows(output, ("name", "partitions", "replication_factor"), rows)


def _already_there(error: Exception) -> bool:
    from moldau.cli.errors import kafka_error

    known = kafka_error(error)
    return known is not None and known[0] == _TOPIC_ALREADY_EXISTS


def _listed(item: Topic) -> dict[str, Any]:
    return {
        "name": item.name,
        "partitions": len(item.partitions),
        "replication_factor": item.replication_factor,
        "internal": item.internal,
        "id": item.id,
    }


def _described(cluster: Cluster, item: Topic, configs: list[Config]) -> dict[str, Any]:
    keys = [(item.name, partition.id) for partition in item.partitions]
    starts, ends = cluster.offsets(keys, latest=False), cluster.offsets(keys, latest=True)
    partitions = [
        {
            "partition": partition.id,
            "leader": partition.leader,
            "replicas": list(partition.replicas),
            "isr": list(partition.isr),
            "start": starts.get((item.name, partition.id)),
            "end": ends.get((item.name, partition.id)),
        }
        for partition in item.partitions
    ]
    return {
        "name": item.name,
        "id": item.id,
        "internal": item.internal,
        "replication_factor": item.replication_factor,
        "partitions": partitions,
        "configs": {config.name: config.value for config in configs},
    }


def _pages(item: dict[str, Any]) -> Iterator[str]:
    yield f"Topic {item['name']}  id {item['id']}  replication factor {item['replication_factor']}"
    for name, value in item["configs"].items():
        yield f"  {name}={value}"
    yield from table(("partition", "leader", "replicas", "isr", "start", "end"), item["partitions"])
    yield ""
