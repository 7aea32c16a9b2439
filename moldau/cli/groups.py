"""`moldau group`: consumer groups, their members and their lag. The asking is `moldau.client.admin`'s."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from moldau.cli.options import client_overrides, connection_options, output_option
from moldau.cli.output import emit_object, emit_rows, table
from moldau.client.admin import Cluster, Group, Key
from moldau.client.config import Connection


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def group() -> None:
    """List and describe consumer groups."""


@group.command("list")
@client_overrides
@connection_options
@output_option
def list_groups(connection: Connection, output: str) -> None:
    """List the groups."""
    rows = [{"name": item.name, "state": item.state, "type": item.kind} for item in Cluster(connection).groups()]
    emit_rows(output, ("name", "state", "type"), rows)


@group.command()
@click.argument("name")
@client_overrides
@connection_options
@output_option
def describe(connection: Connection, output: str, name: str) -> None:
    """Show members, what they are assigned, and per partition committed offset, end and lag."""
    cluster = Cluster(connection)
    item = described(cluster, cluster.group(name))
    emit_object(output, item, lambda: _page(item))


def described(cluster: Cluster, item: Group) -> dict[str, Any]:
    """A group with its offsets, as `--output json` shows it."""
    committed = cluster.committed(item.name)
    owners = {key: member for member in item.members for key in member.assignment}
    keys = sorted(set(committed) | set(owners))
    ends = cluster.offsets(keys, latest=True)
    offsets = [
        {
            "topic": key[0],
            "partition": key[1],
            "committed": committed.get(key),
            "end": ends.get(key),
            "lag": lag(committed.get(key), ends.get(key)),
            "member": owners[key].id if key in owners else None,
        }
        for key in keys
    ]
    return {
        "name": item.name,
        "state": item.state,
        "type": item.kind,
        "assignor": item.assignor,
        "coordinator": item.coordinator,
        "members": [
            {
                "member": member.id,
                "client_id": member.client_id,
                "host": member.host,
                "instance_id": member.instance_id,
                "assignment": [_text(key) for key in member.assignment],
            }
            for member in item.members
        ],
        "offsets": offsets,
        "lag": sum(row["lag"] for row in offsets if isinstance(row["lag"], int)),
    }


def lag(committed: int | None, end: int | None) -> int | None:
    """Records between a committed offset and the end; None where either is not known."""
    return None if committed is None or end is None else max(0, end - committed)


def _text(key: Key) -> str:
    return f"{key[0]}-{key[1]}"


def _page(item: dict[str, Any]) -> Iterator[str]:
    yield (
        f"Group {item['name']}  {item['state']}  {item['type']}  assignor {item['assignor'] or '-'}  "
        f"coordinator {item['coordinator']}  lag {item['lag']}"
    )
    yield ""
    if item["offsets"]:
        yield from table(("topic", "partition", "committed", "end", "lag", "member"), item["offsets"])
        yield ""
    if item["members"]:
        yield from table(("member", "client_id", "host", "assignment"), item["members"])
